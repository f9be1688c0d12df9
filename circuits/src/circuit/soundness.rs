//! Every advice cell is bound: a change is rejected, whether the later phases are left stale or recomputed.
//!
//! Cells that nobody reads exist by design (`docs/arithmetization.md` lists them); `read` below is that list, and the
//! tests check it in both directions.

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
use crate::layout::{Layout, Visibility, plan};
use crate::model::Model;
use crate::profile::{Chain, Place, Profile, fixed};
use crate::testing;
use crate::witness::{Second, Witness, field};

const SMALL: Profile = Profile {
    lanes: 4,
    fixed_lanes: 16,
    limbs: 2,
    tables: 2,
    fold: 1,
};
/// The same with several columns in one of halo2's.
const FOLDED: Profile = Profile { fold: 4, ..SMALL };

/// A planned model with an honest witness, and the means to evaluate its gates.
struct Bench {
    layout: Arc<Layout>,
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

    fn of(model: &Model, p: Profile, visibility: Visibility) -> Self {
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
        columns
    }

    fn fixed(&self, column: usize, row: usize) -> i32 {
        self.layout.fixed[column].get(row).copied().unwrap_or(0)
    }

    /// Names of the gates that fail in one of `rows`.
    fn broken(
        &self,
        columns: &Columns,
        instance: &[Vec<i64>],
        rows: impl Iterator<Item = usize>,
    ) -> Vec<String> {
        let p = &self.layout.profile;
        let mut out = Vec::new();
        for row in rows {
            // The column and row of the circuit that a rotation from the first row of this one reads.
            let place = |rotation: Rotation| {
                let at = rotation.0 as usize;
                (row + at / p.fold, at % p.fold)
            };
            for (name, gate) in &self.gates {
                let value = gate.evaluate(
                    &|c| c,
                    &|_| unreachable!("no selectors"),
                    &|q| {
                        if p.base() == Some(q.column_index()) {
                            return Fr::ONE;
                        }
                        let (row, slot) = place(q.rotation());
                        let column = self.fixed[q.column_index()][slot];
                        let column = column.expect("a gate reads a column of the circuit");
                        field(i64::from(self.fixed(column, row)))
                    },
                    &|q| {
                        let (row, slot) = place(q.rotation());
                        let column = self.advice[q.column_index()][slot];
                        let column = column.expect("a gate reads a column of the circuit");
                        columns[column].get(row).copied().unwrap_or(Fr::ZERO)
                    },
                    &|q| field(instance[q.column_index()].get(row).copied().unwrap_or(0)),
                    &|c| self.challenges[c.index()],
                    &|a| -a,
                    &|a, b| a + b,
                    &|a, b| a * b,
                    &|a, s| a * s,
                );
                if value != Fr::ZERO && !out.contains(name) {
                    out.push(name.clone());
                }
            }
        }
        out
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
        } else if column == p.u() {
            self.fixed(fixed::U_OP, row) == 1
        } else if p.sums().contains(&column) {
            true
        } else {
            let last = row == self.layout.last_row();
            chain(Chain::Acc, fixed::ACC_NUM, fixed::ACC_DEN)
                || chain(Chain::Cons, fixed::CONS_NUM, fixed::CONS_DEN)
                || chain(Chain::Z, fixed::Z_NUM, fixed::Z_DEN)
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
        bench.broken(&columns, &bench.witness.instance, 0..=last),
        Vec::<String>::new(),
        "honest"
    );
    let cells: Vec<(usize, usize)> = (0..columns.len())
        .flat_map(|c| (0..=last).map(move |r| (c, r)))
        .collect();
    cells.par_chunks(512).for_each(|cells| {
        let mut columns = columns.clone();
        for &(column, row) in cells {
            let honest = columns[column][row];
            columns[column][row] += Fr::from(1 + (row as u64 * 7 + column as u64) % 1000);
            let rows = [0, row.saturating_sub(1), row, last];
            let caught = !bench
                .broken(&columns, &bench.witness.instance, rows.into_iter())
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
fn recomputed_phases_do_not_help(model: &Model, visibility: Visibility) {
    let bench = Bench::new(model, visibility);
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
                for kind in 0..3 {
                    let Some((witness, what)) = mutate(&bench, row, lane, kind) else {
                        continue;
                    };
                    let columns = bench.columns(&witness);
                    let broken =
                        bench.broken(&columns, &witness.instance, [0, row, last].into_iter());
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
            let tag = bench.fixed(fixed::TAG, row);
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
        1 if looked_up && bench.fixed(fixed::SCALE_B, row) == 1 => {
            let column = p.b(0).start + lane;
            let value = (witness.lanes[column][row] + 1) % 256;
            let entry = layout.tables.limb_row(value)?;
            relocate(&mut witness, column, row, entry);
            witness.lanes[column][row] = value;
            Some((witness, "another remainder"))
        }
        2 if !looked_up && bench.fixed(fixed::SCALE_B, row) == 1 => {
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
        outputs: w.outputs.clone(),
        consumed: w.consumed.clone(),
    }
}

const BOTH: Visibility = Visibility {
    input: true,
    output: true,
};
const OUTPUT: Visibility = Visibility {
    input: false,
    output: true,
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
            input: false,
            output: false,
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
        recomputed_phases_do_not_help(&model, OUTPUT);
    }
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
            .broken(&columns, &bench.witness.instance, std::iter::once(last))
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
            let broken = bench.broken(&columns, &witness.instance, std::iter::once(last));
            assert!(!broken.is_empty(), "{}: {public:?}", model.name);
        }
    }
}

#[test]
fn the_mock_prover_agrees() {
    for (model, profile) in testing::layer_kinds()
        .iter()
        .flat_map(|m| [(m, SMALL), (m, FOLDED)])
    {
        let bench = Bench::of(model, profile, BOTH);
        let circuit =
            ModelCircuit::with_witness(bench.layout.clone(), Arc::new(clone(&bench.witness)));
        let instance = Layout::instance_scalars(&profile, bench.witness.instances());
        let prover = MockProver::run(bench.layout.k, &circuit, instance).expect("it runs");
        assert_eq!(prover.verify(), Ok(()), "{}", model.name);
    }
}

/// What stands between the cells of folded columns, in places of no column, enters nothing: the gates read places of
/// columns only (`Bench::broken` insists on it), on rows that the key's base column marks.
#[test]
fn folded_gates_hold_on_base_rows_alone() {
    let mut cs = ConstraintSystem::<Fr>::default();
    configure(&mut cs, &FOLDED);
    let base = FOLDED.base().expect("a folded profile has one");
    for gate in cs.gates().iter().flat_map(|g| g.polynomials()) {
        let Expression::Product(left, _) = gate else {
            panic!("a gate without its base factor: {gate:?}");
        };
        assert!(
            matches!(&**left, Expression::Fixed(q) if q.column_index() == base && q.rotation() == Rotation::cur())
        );
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
