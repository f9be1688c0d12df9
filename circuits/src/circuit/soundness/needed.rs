//! No gate is idle: for each polynomial there is a false witness that it alone rejects. Were it deleted, that one would pass.

use std::collections::BTreeSet;

use super::*;
use crate::hash::poseidon::{fourth_power, multiply, parameters};

/// Gates that are the only ones to reject some false witness.
#[derive(Default)]
struct Alone(BTreeSet<String>);

impl Alone {
    fn note(&mut self, broken: Vec<String>) {
        if let [gate] = &broken[..] {
            self.0.insert(gate.clone());
        }
    }
}

/// One cell, all else stale.
fn one_cell(bench: &Bench, alone: &mut Alone) {
    let honest = bench.columns(&bench.witness);
    let instance = bench.scalars(&bench.witness);
    let last = bench.layout.last_row();
    let cells: Vec<(usize, usize)> = (0..honest.len())
        .flat_map(|column| (0..=last).map(move |row| (column, row)))
        .collect();
    let broken: Vec<Vec<String>> = cells
        .par_chunks(512)
        .flat_map_iter(|cells| {
            let mut columns = honest.clone();
            let of = |&(column, row): &(usize, usize)| {
                let value = columns[column][row];
                columns[column][row] += Fr::from(1 + (row as u64 * 7 + column as u64) % 1000);
                let rows = BTreeSet::from([0, row.saturating_sub(1), row, last]);
                let broken = bench.broken(&columns, &instance, rows.into_iter());
                columns[column][row] = value;
                broken
            };
            cells.iter().map(of).collect::<Vec<_>>()
        })
        .collect();
    broken.into_iter().for_each(|one| alone.note(one));
}

/// Another unchecked accumulator, all else recomputed; then a head start of `dot` or of `ub` that pays for it, so that
/// `acc - dot + λ(cons - ub)` is 0 again.
fn head_starts(bench: &Bench, alone: &mut Alone) {
    let p = bench.layout.profile;
    let instance = bench.scalars(&bench.witness);
    let last = bench.layout.last_row();
    let unchecked = (0..last).rev().find(|&row| {
        bench.fixed(fixed::CONSUME, row) == 0 && bench.fixed(fixed::SCALE_B, row) == 1
    });
    let Some(row) = unchecked else { return };
    let mut witness = clone(&bench.witness);
    witness.lanes[p.b(0).start][row] += 1;
    let columns = bench.columns(&witness);
    let all = |columns: &Columns| bench.broken(columns, &instance, 0..=last);
    alone.note(all(&columns));
    let end = &bench
        .gates
        .iter()
        .find(|gate| gate.0 == "boundary 4")
        .unwrap()
        .1;
    let gap = |columns: &Columns| bench.value(end, columns, &instance, last);
    for (chain, gate) in [(Chain::Dot, "chains 4"), (Chain::Ub, "chains 5")] {
        let column = p.chain(chain);
        let gate = &bench.gates.iter().find(|g| g.0 == gate).unwrap().1;
        // The chain with a head start of 1: each next value is the one that makes the gate vanish.
        let started = |by: Fr| {
            let mut columns = columns.clone();
            columns[column][0] += by;
            columns[column] = bench.followed(&columns, &instance, column, gate);
            columns
        };
        // The end moves in proportion to the start.
        let moved = gap(&started(Fr::ONE)) - gap(&columns);
        let by = -gap(&columns) * moved.invert().unwrap();
        alone.note(all(&started(by)));
    }
}

/// The sums of the lookups with a head start, which would make up for a lookup outside the table.
fn unbalanced(bench: &Bench, alone: &mut Alone) {
    let honest = bench.columns(&bench.witness);
    let instance = bench.scalars(&bench.witness);
    for column in bench.layout.profile.sums() {
        let mut columns = honest.clone();
        columns[column].iter_mut().for_each(|v| *v += Fr::ONE);
        alone.note(bench.broken(&columns, &instance, 0..=bench.layout.last_row()));
    }
}

/// A sponge whose state is another one in one row and goes on from there as it should, with the digest and the chains
/// that follow.
fn other_states(bench: &Bench, alone: &mut Alone) {
    let layout = &*bench.layout;
    let (op, last) = (layout.profile.hash_fixed(HashFixed::Op), layout.last_row());
    let honest = &bench.witness.hash;
    let boundary = |row: usize| bench.fixed(fixed::BOUNDARY, row);
    let end = (0..=last).find(|&row| boundary(row) == boundary::DIGEST);
    let Some(end) = end else { return };
    for row in 0..end {
        for lane in 0..3 {
            let mut witness = clone(&bench.witness);
            let mut state = [0, 1, 2].map(|i| honest[i][row]);
            state[lane] += Fr::ONE;
            for row in row..=end {
                let [s0, s1, s2] = state;
                let x = s0 + layout.hash.constants[row];
                let power = fourth_power(x);
                for (column, v) in witness.hash.iter_mut().zip([s0, s1, s2, power]) {
                    column[row] = v;
                }
                state = match bench.fixed(op, row) {
                    hash_op::SBOX => [s1, s2, power * x],
                    hash_op::ROUND => multiply(&parameters().matrix, &[power * x, s1, s2]),
                    hash_op::ROTATE => [s1, s2, s0],
                    // The same value.
                    hash_op::ABSORB => [s0 + honest[0][row + 1] - honest[0][row], s1, s2],
                    _ => state,
                };
            }
            witness.digests[0] = witness.hash[0][end];
            let columns = bench.columns(&witness);
            alone.note(bench.broken(&columns, &bench.scalars(&witness), 0..=last));
        }
    }
}

#[test]
fn each_gate_alone_rejects_something() {
    let mut alone = Alone::default();
    let models = testing::layer_kinds();
    // Dense layers, hashed; pooling, whose first row may continue no window.
    for (model, visibility) in [(&models[0], HASHED), (&models[2], BOTH)] {
        let bench = Bench::new(model, visibility);
        one_cell(&bench, &mut alone);
        head_starts(&bench, &mut alone);
        unbalanced(&bench, &mut alone);
    }
    let bench = Bench::new(
        &models[0],
        Visibility {
            output: Shown::Private,
            ..HASHED
        },
    );
    other_states(&bench, &mut alone);
    let names: BTreeSet<String> = bench.gates.iter().map(|gate| gate.0.clone()).collect();
    let idle: Vec<&String> = names.difference(&alone.0).collect();
    assert!(idle.is_empty(), "{idle:?}");
}
