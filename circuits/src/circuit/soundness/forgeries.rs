//! What a prover could do who knew a challenge before he committed to what it binds, or whose sums need not end at zero:
//! false outputs that every gate accepts. The phases, the order of the draws and the boundary stand against them.

use super::equations::Judge;
use super::system::System;
use super::*;
use crate::model::Table;
use crate::testing::{Builder, RELU};
use ff::PrimeField;

/// A dense layer, a hidden one behind it, one output; the first's limbs and the second's functionals are there to be
/// forged.
fn one_output() -> Bench {
    let mut b = Builder::new("one output", 1, (1, 6, 1, 1));
    let (term, shape) = b.dense(0, 5);
    let hidden = b.push(vec![term], shape, RELU);
    Bench::new(&b.finish(hidden, 1), OUTPUT)
}

/// The same with a full product, some of whose accumulators nobody checks.
fn full_product() -> Bench {
    let mut b = Builder::new("full product", 2, (1, 1, 3, 3));
    let (term, shape) = b.conv(0, 1, (2, 1, 1, 0, 1));
    let out = b.push(vec![term], shape, Table::Raw);
    Bench::new(&b.finish_at(out), OUTPUT)
}

/// All columns of a false proof, and the public value that it shows.
struct Forgery<'a> {
    bench: &'a Bench,
    columns: Columns,
    instance: Columns,
}

impl<'a> Forgery<'a> {
    /// The honest proof, with one output one larger.
    fn new(bench: &'a Bench) -> Self {
        let mut instance = bench.scalars(&bench.witness);
        let public = bench.layout.public[0];
        instance[public.lane][public.row] += Fr::ONE;
        Forgery {
            bench,
            columns: bench.columns(&bench.witness),
            instance,
        }
    }

    fn gate(&self, name: &str) -> &'a Expression<Fr> {
        let gates = self.bench.gates.iter();
        let found = gates.into_iter().find(|gate| gate.0 == name);
        &found.expect("a gate of that name").1
    }

    /// Lets each running value follow from the one before, as its gate wants it.
    fn follow(&mut self, column: usize, gate: &Expression<Fr>) {
        self.columns[column] = self
            .bench
            .followed(&self.columns, &self.instance, column, gate);
    }

    fn follow_chains(&mut self) {
        let p = self.bench.layout.profile;
        for (i, chain) in [
            Chain::Acc,
            Chain::Cons,
            Chain::Mu,
            Chain::Z,
            Chain::Dot,
            Chain::Ub,
        ]
        .into_iter()
        .enumerate()
        {
            self.follow(p.chain(chain), self.gate(&format!("chains {i}")));
        }
    }

    /// How far the totals are apart.
    fn gap(&self) -> Fr {
        let last = self.bench.layout.last_row();
        let gate = self.gate("boundary 4");
        self.bench.value(gate, &self.columns, &self.instance, last)
    }

    /// Changes cells in proportion, `by` for each `(column, row, by)`, until the totals agree.
    fn balance(&mut self, cells: &[(usize, usize, Fr)]) {
        let at = |forgery: &mut Self, by: Fr| {
            for (column, row, weight) in cells {
                forgery.columns[*column][*row] += by * weight;
            }
            forgery.follow_chains();
            forgery.gap()
        };
        let before = at(self, Fr::ZERO);
        let slope = at(self, Fr::ONE) - before;
        let by = before * Option::<Fr>::from(slope.invert()).expect("they have a weight");
        let after = at(self, -by - Fr::ONE);
        assert_eq!(after, Fr::ZERO);
    }

    /// Names of the gates that fail.
    fn broken(&self) -> Vec<String> {
        let rows = 0..=self.bench.layout.last_row();
        self.bench.broken(&self.columns, &self.instance, rows)
    }
}

/// The judge rejects the profile's system with challenge `i` drawn a phase early.
fn drawing_early_is_noticed(i: usize) {
    let mut system = System::of(&SMALL);
    assert_eq!(Judge::new(SMALL).system(&system), Ok(()));
    system.challenges[i] = system.challenges[i].wrapping_sub(1);
    assert!(Judge::new(SMALL).system(&system).is_err());
}

/// Who knows `η` when he commits to `u` moves mass from one functional to another, and their fold stays as it was.
#[test]
fn functionals_chosen_after_eta_forge_outputs() {
    let bench = one_output();
    let mut forgery = Forgery::new(&bench);
    let p = bench.layout.profile;
    // The chunks of the hidden tensor, which the output is computed from.
    let hidden = bench
        .layout
        .tensors
        .iter()
        .position(|t| t.node == 1)
        .expect("the hidden layer");
    let chunks = bench.layout.chunks.iter();
    let rows: Vec<usize> = chunks
        .filter(|c| c.tensor == hidden && c.source.is_some() && !c.taps.is_empty())
        .map(|c| c.row)
        .collect();
    // `ub` is linear in each: as much as one adds, the other takes away.
    let weight = |row: usize| {
        let mut changed = Forgery::new(&bench);
        changed.columns[p.u()][row] += Fr::ONE;
        changed.follow_chains();
        let (end, ub) = (bench.layout.last_row(), p.chain(Chain::Ub));
        changed.columns[ub][end] - bench.columns(&bench.witness)[ub][end]
    };
    let [one, other] = [rows[0], rows[1]];
    let ratio = weight(one) * weight(other).invert().unwrap();
    forgery.balance(&[(p.u(), one, Fr::ONE), (p.u(), other, -ratio)]);
    assert_eq!(forgery.broken(), Vec::<String>::new());
    drawing_early_is_noticed(4);
}

/// Who knows `λ` when he commits to `u` lets what is wrong with one functional pay for the other.
#[test]
fn functionals_chosen_after_lambda_forge_outputs() {
    let bench = one_output();
    let mut forgery = Forgery::new(&bench);
    let chunk = bench.layout.chunks.iter().find(|c| c.source.is_some());
    let u = bench.layout.profile.u();
    forgery.balance(&[(u, chunk.expect("some chunk").row, Fr::ONE)]);
    assert_eq!(forgery.broken(), Vec::<String>::new());
    drawing_early_is_noticed(5);
}

/// Who knows `βx`, `βy` (and `η`) when he commits to the lanes lets an accumulator that nobody checks pay for an output.
#[test]
fn accumulators_chosen_after_beta_forge_outputs() {
    let bench = full_product();
    let mut forgery = Forgery::new(&bench);
    let junk = (0..bench.layout.rows.len()).find(|&row| {
        bench.fixed(fixed::SCALE_B, row) == 1 && bench.fixed(fixed::CONSUME, row) == 0
    });
    let junk = junk.expect("a row of the full product");
    forgery.balance(&[(bench.layout.profile.b(0).start, junk, Fr::ONE)]);
    assert_eq!(forgery.broken(), Vec::<String>::new());
    drawing_early_is_noticed(2);
    drawing_early_is_noticed(3);
}

/// A remainder out of range lets a requantized value be any other; the rest is computed from it as it should.
fn out_of_range(bench: &Bench) -> Forgery<'_> {
    let p = bench.layout.profile;
    let rows = (0..bench.layout.rows.len()).filter(|row| bench.fixed(fixed::SCALE_B, *row) == 1);
    let mut rows = rows.filter(|row| bench.fixed(fixed::CONSUME, *row) == 1);
    let (row, lane, (mut witness, _)) = rows
        .find_map(|row| {
            let mut lanes = 0..p.lanes;
            lanes.find_map(|lane| {
                let found = mutate(bench, row, lane, 0)?;
                let c = p.c().start + lane;
                // One that changes what the next layer reads.
                (found.0.lanes[c][row] != bench.witness.lanes[c][row]).then_some((row, lane, found))
            })
        })
        .expect("some value can be another");
    // `y = 2^s·a + b` as before.
    let (a, b) = (p.a().start + lane, p.b(0).start + lane);
    let shifted = witness.lanes[a][row] - bench.witness.lanes[a][row];
    witness.lanes[b][row] -= shifted << bench.layout.model.shift;
    let mut forgery = Forgery {
        bench,
        columns: bench.columns(&witness),
        instance: bench.scalars(&bench.witness),
    };
    // The output that follows: what it changes by is an integer, since nothing else is wrong.
    let public = bench.layout.public[0];
    let before = forgery.gap();
    forgery.instance[public.lane][public.row] += Fr::ONE;
    forgery.follow_chains();
    let slope = forgery.gap() - before;
    let by = -before * Option::<Fr>::from(slope.invert()).expect("the output has a weight");
    forgery.instance[public.lane][public.row] += by - Fr::ONE;
    forgery.follow_chains();
    let small = |v: Fr| v.to_repr()[4..].iter().all(|byte| *byte == 0);
    assert!(by != Fr::ZERO && (small(by) || small(-by)), "{by:?}");
    for (j, sum) in p.sums().enumerate() {
        let gates = bench.gates.iter().filter(|gate| gate.0 == "lookup 0");
        let gate = &gates.collect::<Vec<_>>()[j].1;
        forgery.follow(sum, gate);
    }
    forgery
}

/// Who knows `δ` and `ζ` when he commits to the multiplicities chooses one that pays for a value in no table.
#[test]
fn multiplicities_chosen_after_delta_forge_outputs() {
    let bench = one_output();
    let mut forgery = out_of_range(&bench);
    let p = bench.layout.profile;
    let last = bench.layout.last_row();
    let total: Fr = p.sums().map(|s| forgery.columns[s][last]).sum();
    assert_ne!(total, Fr::ZERO);
    // The first row of the first table is (0, 0, 0): its fraction is -m/δ.
    forgery.columns[p.m().start][0] += total * bench.second.delta;
    let table = p.lookups() / crate::profile::LOOKUPS_PER_SUM;
    let gates: Vec<_> = bench.gates.iter().filter(|g| g.0 == "lookup 0").collect();
    forgery.follow(p.sums().start + table, &gates[table].1);
    assert_eq!(forgery.broken(), Vec::<String>::new());
    drawing_early_is_noticed(0);
    drawing_early_is_noticed(1);
}

/// Were the sums of the lookups not to end at zero, no lookup would bind: only the last row's boundary rejects this.
#[test]
fn the_last_row_alone_rejects_values_outside_the_tables() {
    let bench = one_output();
    let forgery = out_of_range(&bench);
    assert_eq!(forgery.broken(), ["boundary 0"]);
    let last = bench.layout.last_row();
    let before = bench.broken(&forgery.columns, &forgery.instance, 0..last);
    assert_eq!(before, Vec::<String>::new());
}

/// Were they not to start at zero, a head start would do: only the first row's boundary rejects that one.
#[test]
fn the_first_row_alone_rejects_sums_with_a_head_start() {
    let bench = one_output();
    let mut forgery = out_of_range(&bench);
    let p = bench.layout.profile;
    let last = bench.layout.last_row();
    let total: Fr = p.sums().map(|s| forgery.columns[s][last]).sum();
    let first = p.sums().start;
    forgery.columns[first].iter_mut().for_each(|v| *v -= total);
    assert_eq!(forgery.broken(), ["boundary 0"]);
    let after = bench.broken(&forgery.columns, &forgery.instance, 1..=last);
    assert_eq!(after, Vec::<String>::new());
}
