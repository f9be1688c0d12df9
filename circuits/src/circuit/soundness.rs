//! Every advice cell is bound: a change is rejected, whether the later phases are left stale or recomputed.
//!
//! Cells that nobody reads exist by design (`docs/arithmetization.md` lists them); `read` below is that list, and the
//! tests check it in both directions.

mod columns;
mod deletions;
mod equations;
mod forgeries;
mod monomials;
mod needed;
mod system;

use std::collections::HashMap;
use std::sync::Arc;

use ff::Field;
use halo2_proofs::{
    dev::MockProver,
    halo2curves::bn256::Fr,
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;

use super::{ModelCircuit, configure};
use crate::layout::{Layout, Shown, Visibility, plan};
use crate::model::Model;
use crate::profile::{Chain, HashFixed, Place, Profile, boundary, fixed, hash_op};
use crate::testing;
use crate::witness::{Second, Witness, field, hash_columns};

const SMALL: Profile = Profile {
    lanes: 4,
    fixed_lanes: 16,
    limbs: 2,
    tables: 2,
    fold: 1,
    hash: false,
};
/// The same with remainders of five limbs, for models that shift by 40.
const WIDE: Profile = Profile { limbs: 5, ..SMALL };
/// The same with six tables.
const TABLES: Profile = Profile { tables: 6, ..SMALL };
/// The same with several columns in one of halo2's.
const FOLDED: Profile = Profile { fold: 4, ..SMALL };

/// A planned model with an honest witness, and the means to evaluate its gates.
struct Bench {
    layout: Arc<Layout>,
    inputs: Vec<Vec<i64>>,
    witness: Witness,
    gates: Vec<(String, Expression<Fr>)>,
    second: Second,
    eta: Fr,
    challenges: Vec<Fr>,
    advice: Vec<Vec<Option<usize>>>,
    fixed: Vec<Vec<Option<usize>>>,
}

type Columns = Vec<Vec<Fr>>;

/// Columns of the circuit by column of halo2 and slot.
fn columns_by_place(
    folded: usize,
    fold: usize,
    places: impl Iterator<Item = Place>,
) -> Vec<Vec<Option<usize>>> {
    let mut out = vec![vec![None; fold]; folded];
    for (i, place) in places.enumerate() {
        let before = out[place.column][place.slot].replace(i);
        assert_eq!(before, None, "two columns in one place");
    }
    out
}

impl Bench {
    fn new(model: &Model, visibility: Visibility) -> Self {
        Self::of(model, SMALL, visibility)
    }

    /// In the profile, or in its sibling that hashes where the visibility asks for it.
    fn of(model: &Model, profile: Profile, visibility: Visibility) -> Self {
        let hash = visibility.hashes();
        let p = Profile { hash, ..profile };
        let layout = Arc::new(plan(model, p, visibility).expect("the model fits"));
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let inputs: Vec<Vec<i64>> = testing::random_inputs(model, &mut rng);
        let witness = Witness::new(&layout, &inputs).expect("the inputs fit");
        let challenges: Vec<Fr> = (0..6).map(|_| Fr::random(&mut rng)).collect();
        let mut cs = ConstraintSystem::default();
        configure(&mut cs, &p);
        let gates = cs
            .gates()
            .iter()
            .flat_map(|g| {
                g.polynomials()
                    .iter()
                    .enumerate()
                    .map(|(i, p)| (format!("{} {i}", g.name()), p.clone()))
            })
            .collect();
        let second = Second {
            delta: challenges[0],
            zeta: challenges[1],
            beta_x: challenges[2],
            beta_y: challenges[3],
        };
        Bench {
            layout,
            inputs,
            witness,
            gates,
            second,
            eta: challenges[4],
            challenges,
            advice: columns_by_place(
                p.folded_advice_columns(),
                p.fold,
                (0..p.advice_columns()).map(|i| p.advice_place(i)),
            ),
            fixed: columns_by_place(
                p.folded_fixed_columns(),
                p.fold,
                (0..p.fixed_columns()).map(|i| p.fixed_place(i)),
            ),
        }
    }

    /// Columns of phases 1, 2 and 3 computed honestly from a witness.
    fn columns(&self, witness: &Witness) -> Columns {
        let mut columns = self.first(witness);
        let second = witness.second_phase(&self.layout, self.second);
        let third = witness.third_phase(&self.layout, self.second, self.eta, &second);
        columns.extend(second);
        columns.extend(third);
        columns
    }

    fn first(&self, witness: &Witness) -> Columns {
        let rows = self.layout.last_row() + 1;
        let mut columns: Columns = witness
            .lanes
            .iter()
            .map(|c| {
                (0..rows)
                    .map(|r| field(c.get(r).copied().unwrap_or(0)))
                    .collect()
            })
            .collect();
        let mut m = vec![vec![Fr::ZERO; rows]; self.layout.profile.tables];
        for (at, count) in witness.multiplicities.iter().enumerate() {
            let (table, row) = self.layout.table_row(at);
            m[table][row] = Fr::from(*count);
        }
        columns.extend(m);
        columns.extend(witness.hash.clone());
        columns
    }

    /// The instance columns, by row of the circuit.
    fn scalars(&self, witness: &Witness) -> Columns {
        let unfolded = Profile {
            fold: 1,
            ..self.layout.profile
        };
        witness.scalars(&unfolded)
    }

    fn fixed(&self, column: usize, row: usize) -> i64 {
        self.layout.fixed[column].get(row).copied().unwrap_or(0)
    }

    /// Names of the gates that fail in one of `rows`.
    fn broken(
        &self,
        columns: &Columns,
        instance: &[Vec<Fr>],
        rows: impl Iterator<Item = usize>,
    ) -> Vec<String> {
        let mut out = Vec::new();
        for row in rows {
            for (name, gate) in &self.gates {
                if self.value(gate, columns, instance, row) != Fr::ZERO && !out.contains(name) {
                    out.push(name.clone());
                }
            }
        }
        out
    }

    /// A gate's polynomial in one row of the circuit.
    fn value(
        &self,
        gate: &Expression<Fr>,
        columns: &Columns,
        instance: &[Vec<Fr>],
        row: usize,
    ) -> Fr {
        let p = &self.layout.profile;
        let constants = p.hash.then(|| p.hash_fixed(HashFixed::Constant));
        let fixed = |column: usize, row: usize| {
            if constants == Some(column) {
                let constants = &self.layout.hash.constants;
                constants.get(row).copied().unwrap_or(Fr::ZERO)
            } else {
                field(self.fixed(column, row))
            }
        };
        // The column and row of the circuit that a rotation from the first row of this one reads.
        let place = |rotation: Rotation| {
            let at = rotation.0 as usize;
            (row + at / p.fold, at % p.fold)
        };
        gate.evaluate(
            &|c| c,
            &|_| unreachable!("no selectors"),
            &|q| {
                if p.base() == Some(q.column_index()) {
                    return Fr::ONE;
                }
                let (row, slot) = place(q.rotation());
                let column = self.fixed[q.column_index()][slot];
                let column = column.expect("a gate reads a column of the circuit");
                fixed(column, row)
            },
            &|q| {
                let (row, slot) = place(q.rotation());
                let column = self.advice[q.column_index()][slot];
                let column = column.expect("a gate reads a column of the circuit");
                columns[column].get(row).copied().unwrap_or(Fr::ZERO)
            },
            &|q| {
                instance[q.column_index()]
                    .get(row)
                    .copied()
                    .unwrap_or(Fr::ZERO)
            },
            &|c| self.challenges[c.index()],
            &|a| -a,
            &|a, b| a + b,
            &|a, b| a * b,
            &|a, s| a * s,
        )
    }

    /// A running column from its first row on: each next value is the one that makes the gate vanish.
    fn followed(
        &self,
        columns: &Columns,
        instance: &[Vec<Fr>],
        column: usize,
        gate: &Expression<Fr>,
    ) -> Vec<Fr> {
        let mut columns = columns.clone();
        for row in 0..self.layout.last_row() {
            let mut at = |value: Fr| {
                columns[column][row + 1] = value;
                self.value(gate, &columns, instance, row)
            };
            let (zero, one) = (at(Fr::ZERO), at(Fr::ONE));
            // Where the gate leaves it free, it is 0.
            let slope = (one - zero).invert().unwrap_or(Fr::ZERO);
            columns[column][row + 1] = -zero * slope;
        }
        columns.swap_remove(column)
    }

    /// Place and value of what is hashed, by port and element.
    fn hashed_values(&self) -> HashMap<(usize, usize), (usize, i64)> {
        let ports = self.witness.outputs.iter().chain(&self.inputs).enumerate();
        ports
            .flat_map(|(port, values)| values.iter().enumerate().map(move |(e, v)| ((port, e), *v)))
            .enumerate()
            .map(|(at, (key, value))| (key, (at, value)))
            .collect()
    }

    /// True where some gate or lookup depends on the cell.
    fn read(&self, column: usize, row: usize) -> bool {
        let p = &self.layout.profile;
        let on = |c: usize| self.fixed(c, row) != 0;
        let before = |c: usize| row > 0 && self.fixed(c, row - 1) != 0;
        let chain = |c: Chain, num, den| column == p.chain(c) && (on(num) || before(den));
        if p.a().contains(&column) {
            on(fixed::CONSUME) || on(fixed::SCALE_A)
        } else if p.c().contains(&column) {
            on(fixed::CONSUME) || on(fixed::WINDOW)
        } else if column < p.m().start {
            on(fixed::CONSUME) || on(fixed::SCALE_B)
        } else if p.m().contains(&column) {
            on(fixed::ACTIVE)
        } else if p.hash_state().contains(&column) {
            let op = p.hash_fixed(HashFixed::Op);
            let edge =
                [boundary::LOAD, boundary::DIGEST].contains(&self.fixed(fixed::BOUNDARY, row));
            let linear = on(op) || before(op) || edge;
            match column - p.hash_state().start {
                0 => on(fixed::ACTIVE) || linear,
                1 | 2 => {
                    linear && self.fixed(fixed::BOUNDARY, row) != boundary::DIGEST || before(op)
                }
                _ => on(fixed::ACTIVE),
            }
        } else if column == p.u() {
            self.fixed(fixed::U_OP, row) == 1
        } else if p.sums().contains(&column) {
            true
        } else {
            let last = row == self.layout.last_row();
            chain(Chain::Acc, fixed::ACC_NUM, fixed::ACC_DEN)
                || chain(Chain::Cons, fixed::CONS_NUM, fixed::CONS_DEN)
                || chain(Chain::Z, fixed::Z_NUM, fixed::Z_DEN)
                || p.hash
                    && chain(
                        Chain::Hashed,
                        p.hash_fixed(HashFixed::Num),
                        p.hash_fixed(HashFixed::Den),
                    )
                || (column == p.chain(Chain::Z) && self.fixed(fixed::U_OP, row) == 1 && !last)
                || [Chain::Mu, Chain::Dot, Chain::Ub]
                    .iter()
                    .any(|c| p.chain(*c) == column)
        }
    }
}

/// Changes each cell in turn and leaves everything else as it was.
fn every_cell_is_bound(model: &Model, profile: Profile, visibility: Visibility) {
    let bench = Bench::of(model, profile, visibility);
    let columns = bench.columns(&bench.witness);
    let last = bench.layout.last_row();
    assert_eq!(
        bench.broken(&columns, &bench.scalars(&bench.witness), 0..=last),
        Vec::<String>::new(),
        "honest"
    );
    let cells: Vec<(usize, usize)> = (0..columns.len())
        .flat_map(|c| (0..=last).map(move |r| (c, r)))
        .collect();
    let instance = bench.scalars(&bench.witness);
    cells.par_chunks(512).for_each(|cells| {
        let mut columns = columns.clone();
        for &(column, row) in cells {
            let honest = columns[column][row];
            columns[column][row] += Fr::from(1 + (row as u64 * 7 + column as u64) % 1000);
            let rows = [0, row.saturating_sub(1), row, last];
            let caught = !bench
                .broken(&columns, &instance, rows.into_iter())
                .is_empty();
            assert_eq!(
                caught,
                bench.read(column, row),
                "{}: column {column}, row {row}",
                model.name
            );
            columns[column][row] = honest;
        }
    });
}

/// Changes values of phase 1 to others that the tables hold, recomputes everything after, and looks at the totals.
fn recomputed_phases_do_not_help(model: &Model, profile: Profile, visibility: Visibility) {
    let bench = Bench::of(model, profile, visibility);
    let (layout, p) = (&*bench.layout, bench.layout.profile);
    let last = layout.last_row();
    let live: Vec<usize> = (0..layout.rows.len())
        .filter(|r| layout.rows[*r].is_some())
        .collect();
    let tried: usize = live
        .par_iter()
        .map(|&row| {
            let mut tried = 0;
            for lane in 0..p.lanes {
                for kind in 0..2 + p.limbs {
                    let Some((witness, what)) = mutate(&bench, row, lane, kind) else {
                        continue;
                    };
                    let columns = bench.columns(&witness);
                    let broken = bench.broken(
                        &columns,
                        &bench.scalars(&witness),
                        [0, row, last].into_iter(),
                    );
                    assert!(
                        !broken.is_empty(),
                        "{}: {what} at row {row}, lane {lane} accepted",
                        model.name
                    );
                    tried += 1;
                }
            }
            tried
        })
        .sum();
    assert!(tried > live.len(), "{}: only {tried} mutations", model.name);
}

/// One consistent lie: another table entry, another limb, another unchecked accumulator.
fn mutate(bench: &Bench, row: usize, lane: usize, kind: usize) -> Option<(Witness, &'static str)> {
    let (layout, p) = (&*bench.layout, bench.layout.profile);
    let mut witness = Witness {
        outputs: Vec::new(),
        ..clone(&bench.witness)
    };
    let (a, c) = (p.a().start + lane, p.c().start + lane);
    let looked_up = bench.fixed(fixed::CONSUME, row) == 1;
    match kind {
        0 if looked_up => {
            let tag = bench.fixed(fixed::TAG, row) as i32;
            let old = witness.lanes[a][row];
            let (value, (image, entry)) = [old + 1, old - 1]
                .into_iter()
                .find_map(|v| layout.tables.look_up(tag, v).map(|f| (v, f)))?;
            relocate(&mut witness, lane, row, entry);
            witness.lanes[a][row] = value;
            witness.lanes[c][row] = image;
            let cell = layout.rows[row]?;
            let tensor = &layout.tensors[cell.tensor as usize];
            let at = (cell.group as usize * tensor.order.len() + cell.position as usize) * p.lanes
                + lane;
            witness.consumed[cell.tensor as usize][at] = image;
            Some((witness, "another table entry"))
        }
        2.. if looked_up && bench.fixed(fixed::SCALE_B, row) == 1 => {
            let column = p.b(kind - 2).start + lane;
            let value = (witness.lanes[column][row] + 1) % 256;
            let entry = layout.tables.limb_row(value)?;
            relocate(&mut witness, column, row, entry);
            witness.lanes[column][row] = value;
            Some((witness, "another remainder"))
        }
        1 if !looked_up && bench.fixed(fixed::SCALE_B, row) == 1 => {
            witness.lanes[p.b(1).start + lane][row] += 3;
            Some((witness, "another unchecked accumulator"))
        }
        _ => None,
    }
}

/// Moves a lookup to another table entry; `lookup` is the fraction's index.
fn relocate(witness: &mut Witness, lookup: usize, row: usize, entry: usize) {
    let old = std::mem::replace(&mut witness.lookups[lookup][row], entry as u32);
    witness.multiplicities[old as usize] -= 1;
    witness.multiplicities[entry] += 1;
}

fn clone(w: &Witness) -> Witness {
    Witness {
        lanes: w.lanes.clone(),
        multiplicities: w.multiplicities.clone(),
        lookups: w.lookups.clone(),
        instance: w.instance.clone(),
        hash: w.hash.clone(),
        digests: w.digests.clone(),
        outputs: w.outputs.clone(),
        consumed: w.consumed.clone(),
    }
}

const BOTH: Visibility = Visibility {
    input: Shown::Public,
    output: Shown::Public,
};
const OUTPUT: Visibility = Visibility {
    input: Shown::Private,
    output: Shown::Public,
};
const HASHED: Visibility = Visibility {
    input: Shown::Hashed,
    output: Shown::Hashed,
};

#[test]
fn each_cell_of_each_layer_kind_is_bound() {
    for model in testing::layer_kinds() {
        every_cell_is_bound(&model, SMALL, BOTH);
    }
    every_cell_is_bound(
        &testing::layer_kinds()[0],
        SMALL,
        Visibility {
            input: Shown::Private,
            output: Shown::Private,
        },
    );
}

#[test]
fn folding_binds_the_same_cells() {
    for model in testing::layer_kinds() {
        every_cell_is_bound(&model, FOLDED, BOTH);
    }
}

#[test]
fn consistent_lies_are_rejected() {
    for model in testing::layer_kinds() {
        recomputed_phases_do_not_help(&model, SMALL, OUTPUT);
    }
}

#[test]
fn remainders_of_five_limbs_bind_the_same_cells() {
    let kinds = testing::layer_kinds().into_iter();
    let kinds = kinds.map(|model| testing::with_shift(model, 40));
    for model in kinds.chain([testing::tied()]) {
        every_cell_is_bound(&model, WIDE, BOTH);
    }
    recomputed_phases_do_not_help(&testing::tied(), WIDE, OUTPUT);
}

#[test]
fn six_tables_bind_the_same_cells() {
    // Of these each has other functions.
    for model in testing::layer_kinds().into_iter().skip(2).step_by(2) {
        every_cell_is_bound(&model, TABLES, BOTH);
    }
    recomputed_phases_do_not_help(&testing::tied(), Profile { limbs: 5, ..TABLES }, OUTPUT);
}

/// Where a sum lies on a half, a prover who rounds it to the other side everywhere is caught.
#[test]
fn lies_about_ties_are_rejected() {
    let bench = Bench::of(&testing::tied(), WIDE, OUTPUT);
    let (layout, p) = (&*bench.layout, bench.layout.profile);
    let [up, down, rounded, out] = [1, 2, 3, 4].map(|node| {
        let tensor = layout.tensors.iter().position(|t| t.node == node);
        tensor.expect("every node has a tensor")
    });
    let row_of = |tensor: usize, cell: &crate::layout::Cell| {
        let wanted = crate::layout::Cell {
            tensor: tensor as u32,
            ..*cell
        };
        let row = layout.rows.iter().position(|r| *r == Some(wanted));
        row.expect("all four have the same cells")
    };
    let mut lies = 0;
    for (row, cell) in layout.rows.iter().enumerate() {
        let Some(cell) = cell.filter(|c| c.tensor as usize == up) else {
            continue;
        };
        let channels = layout.tensors[up].channels - cell.group as usize * p.lanes;
        for lane in 0..p.lanes.min(channels) {
            let limbs = (0..p.limbs).map(|limb| bench.witness.lanes[p.b(limb).start + lane][row]);
            // `y = 2^40·U` with nothing over: a half, whose other rounding is U - 1.
            if limbs.sum::<i64>() != 0 {
                continue;
            }
            for (of_up, of_down) in [(-1, 0), (0, 1), (-1, 1), (-1, -1), (1, 1)] {
                let mut witness = clone(&bench.witness);
                let mut change = |tensor: usize, by: i64| {
                    let row = row_of(tensor, &cell);
                    let tag = bench.fixed(fixed::TAG, row) as i32;
                    let a = witness.lanes[p.a().start + lane][row] + by;
                    let (image, entry) = layout.tables.look_up(tag, a)?;
                    relocate(&mut witness, lane, row, entry);
                    witness.lanes[p.a().start + lane][row] = a;
                    let c = &mut witness.lanes[p.c().start + lane][row];
                    let grown = image - std::mem::replace(c, image);
                    let tensor_of = &layout.tensors[tensor];
                    let at = (cell.group as usize * tensor_of.order.len() + cell.position as usize)
                        * p.lanes
                        + lane;
                    witness.consumed[tensor][at] = image;
                    Some(grown)
                };
                let Some(by) = change(up, of_up).zip(change(down, of_down)) else {
                    continue;
                };
                let Some(shown) = change(rounded, by.0 + by.1) else {
                    continue;
                };
                let row = row_of(out, &cell);
                witness.lanes[p.b(0).start + lane][row] += shown;
                let public = layout
                    .public
                    .iter()
                    .find(|x| x.row == row && x.lane == lane);
                let public = public.expect("every output is public");
                witness.instance[public.lane][public.row] += shown;
                let columns = bench.columns(&witness);
                let last = layout.last_row();
                let broken = bench.broken(
                    &columns,
                    &bench.scalars(&witness),
                    [0, row, last].into_iter(),
                );
                assert!(
                    !broken.is_empty(),
                    "row {row}, lane {lane}: {of_up}, {of_down}"
                );
                lies += 1;
            }
        }
    }
    assert!(lies > 10, "{lies}");
}

#[test]
fn functionals_are_bound_one_by_one() {
    let model = &testing::layer_kinds()[1];
    let bench = Bench::new(model, OUTPUT);
    let second = bench.witness.second_phase(&bench.layout, bench.second);
    let last = bench.layout.last_row();
    let rejected = |second: Vec<Vec<Fr>>| {
        let third = bench
            .witness
            .third_phase(&bench.layout, bench.second, bench.eta, &second);
        let columns = [bench.first(&bench.witness), second, third].concat();
        !bench
            .broken(
                &columns,
                &bench.scalars(&bench.witness),
                std::iter::once(last),
            )
            .is_empty()
    };
    assert!(!rejected(second.clone()));
    let rows: Vec<usize> = bench.layout.chunks.iter().map(|c| c.row).collect();
    for pair in rows.windows(2) {
        let mut one = second.clone();
        one[0][pair[0]] += Fr::ONE;
        assert!(rejected(one));
        let mut two = second.clone();
        two[0][pair[0]] += Fr::ONE;
        two[0][pair[1]] -= Fr::ONE;
        assert!(rejected(two));
    }
}

#[test]
fn public_values_are_bound() {
    for model in testing::layer_kinds() {
        let bench = Bench::new(&model, BOTH);
        let last = bench.layout.last_row();
        for public in &bench.layout.public {
            let mut witness = clone(&bench.witness);
            witness.instance[public.lane][public.row] += 1;
            let columns = bench.columns(&witness);
            let broken = bench.broken(&columns, &bench.scalars(&witness), std::iter::once(last));
            assert!(!broken.is_empty(), "{}: {public:?}", model.name);
        }
    }
}

#[test]
fn each_cell_of_a_hash_is_bound() {
    for model in [0, 2].map(|i| testing::layer_kinds().swap_remove(i)) {
        every_cell_is_bound(&model, SMALL, HASHED);
    }
    every_cell_is_bound(&testing::layer_kinds()[0], FOLDED, HASHED);
    let private = Visibility {
        output: Shown::Private,
        ..HASHED
    };
    every_cell_is_bound(&testing::layer_kinds()[1], SMALL, private);
}

/// Other values are hashed than the model read or computed, the state, the digest and every chain are computed anew: only the
/// functional can tell.
#[test]
fn other_values_than_the_tensors_are_not_hashed() {
    for (model, profile) in testing::layer_kinds()
        .iter()
        .flat_map(|m| [(m, SMALL), (m, FOLDED)])
    {
        let bench = Bench::of(model, profile, HASHED);
        let last = bench.layout.last_row();
        let accepted = |lie: &dyn Fn(usize, i64) -> i64| {
            let mut witness = clone(&bench.witness);
            let values = bench.hashed_values();
            (witness.hash, witness.digests) = hash_columns(&bench.layout, |port, element| {
                let (at, value) = values[&(port, element)];
                lie(at, value)
            });
            let columns = bench.columns(&witness);
            let broken = bench.broken(&columns, &bench.scalars(&witness), 0..=last);
            let totals = ["boundary 4".to_owned()];
            assert!(broken.is_empty() || broken == totals, "{broken:?}");
            broken.is_empty()
        };
        assert!(accepted(&|_, v| v), "{}: honest", model.name);
        let count = bench.hashed_values().len();
        for i in 0..count {
            assert!(!accepted(&|at, v| v + i64::from(at == i)), "value {i}");
        }
        // Two values of an element such that the element, and with it the digest, stays the same.
        for digest in bench.layout.digests() {
            let carry = 1 << digest.packing.bits();
            let first = match digest.lane {
                0 => 0,
                _ => bench.layout.digests()[0].count,
            };
            let lie = |at: usize, v: i64| match at.checked_sub(first) {
                Some(0) => v + carry,
                Some(1) => v - 1,
                _ => v,
            };
            assert!(!accepted(&lie), "{}: {:?}", model.name, digest.side);
        }
        // Two values at once.
        let swapped = |at: usize, v: i64| if at < 2 { 1 - v } else { v };
        assert!(!accepted(&swapped), "{}: other values", model.name);
    }
}

#[test]
fn digests_are_bound() {
    for (model, profile) in testing::layer_kinds()
        .iter()
        .flat_map(|m| [(m, SMALL), (m, FOLDED)])
    {
        let bench = Bench::of(model, profile, HASHED);
        let last = bench.layout.last_row();
        for i in 0..2 {
            let mut witness = clone(&bench.witness);
            witness.digests[i] += Fr::ONE;
            let columns = bench.columns(&witness);
            let broken = bench.broken(&columns, &bench.scalars(&witness), 0..=last);
            assert!(!broken.is_empty(), "{}: digest {i}", model.name);
            // The same with the chains of the honest one.
            let mut instance = bench.scalars(&bench.witness);
            instance[i][0] += Fr::ONE;
            let columns = bench.columns(&bench.witness);
            let broken = bench.broken(&columns, &instance, 0..=last);
            assert_eq!(broken, ["chains 0"], "{}", model.name);
        }
        let mut witness = clone(&bench.witness);
        witness.digests.swap(0, 1);
        let columns = bench.columns(&witness);
        let broken = bench.broken(&columns, &bench.scalars(&witness), 0..=last);
        assert_eq!(broken, ["boundary 4"], "{}: exchanged", model.name);
    }
}

/// A state that departs from the permutation in one row and goes on from there.
#[test]
fn each_row_of_a_hash_follows_from_the_one_before() {
    let bench = Bench::new(&testing::layer_kinds()[0], HASHED);
    let honest = bench.columns(&bench.witness);
    let instance = bench.scalars(&bench.witness);
    let op = bench.layout.profile.hash_fixed(HashFixed::Op);
    for row in 0..bench.layout.hash.constants.len() - 1 {
        for lane in 0..3 {
            let mut columns = honest.clone();
            let column = bench.layout.profile.hash_state().start + lane;
            columns[column][row + 1] += Fr::ONE;
            let broken = bench.broken(&columns, &instance, std::iter::once(row));
            let gate = match bench.fixed(op, row) {
                hash_op::OFF => continue,
                // What is absorbed goes to the chain.
                hash_op::ABSORB if lane == 0 => "hash 7",
                _ => "hash",
            };
            assert!(
                !broken.is_empty() && broken.iter().all(|b| b.starts_with(gate)),
                "row {row}, lane {lane}: {broken:?}"
            );
        }
    }
}

#[test]
fn the_mock_prover_agrees() {
    for (model, profile, visibility) in testing::layer_kinds().iter().flat_map(|m| {
        [
            (m, SMALL, BOTH),
            (m, FOLDED, BOTH),
            (m, SMALL, HASHED),
            (m, FOLDED, HASHED),
        ]
    }) {
        let bench = Bench::of(model, profile, visibility);
        let circuit =
            ModelCircuit::with_witness(bench.layout.clone(), Arc::new(clone(&bench.witness)));
        let instance = bench.witness.scalars(&bench.layout.profile);
        let prover = MockProver::run(bench.layout.k, &circuit, instance).expect("it runs");
        assert_eq!(prover.verify(), Ok(()), "{}", model.name);
    }
}

/// What stands between the cells of folded columns, in places of no column, enters nothing: the gates read places of
/// columns only (`Bench::broken` insists on it), on rows that the key's base column marks.
#[test]
fn folded_gates_hold_on_base_rows_alone() {
    for hash in [false, true] {
        let profile = Profile { hash, ..FOLDED };
        let mut cs = ConstraintSystem::<Fr>::default();
        configure(&mut cs, &profile);
        let base = profile.base().expect("a folded profile has one");
        for gate in cs.gates().iter().flat_map(|g| g.polynomials()) {
            let Expression::Product(left, _) = gate else {
                panic!("a gate without its base factor: {gate:?}");
            };
            assert!(
                matches!(&**left, Expression::Fixed(q) if q.column_index() == base && q.rotation() == Rotation::cur())
            );
        }
    }
}

#[test]
fn no_gate_exceeds_the_degree() {
    for profile in crate::profile::ALL {
        let mut cs = ConstraintSystem::<Fr>::default();
        configure(&mut cs, profile);
        let highest = cs
            .gates()
            .iter()
            .flat_map(|g| g.polynomials())
            .map(|p| p.degree())
            .max();
        assert_eq!(highest, Some(profile.degree()));
        assert_eq!(cs.degree(), profile.degree());
        assert_eq!(cs.blinding_factors() + 1, profile.blinding_rows());
        assert_eq!(cs.num_advice_columns(), profile.folded_advice_columns());
        assert_eq!(cs.num_fixed_columns(), profile.folded_fixed_columns());
    }
}

#[test]
fn instance_slots_convert_both_ways() {
    let model = &testing::layer_kinds()[2];
    let bench = Bench::new(model, BOTH);
    let values = bench
        .layout
        .public_values(bench.witness.instances())
        .expect("honest");
    assert_eq!(values.outputs, bench.witness.outputs);
    assert_eq!(
        bench.layout.instances(&values).expect("honest"),
        bench.witness.instance
    );
}
