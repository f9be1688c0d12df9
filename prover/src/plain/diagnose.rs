//! What exactly does not hold, when a proof cannot be made. Slow, and only run then.

use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem};

use super::ProveError;
use crate::{
    constraints::{
        numerator::permutation_columns,
        plan::{Builder, Source},
    },
    keys::CopyMap,
};

/// The first gate, in the circuit's order, that does not vanish, with its first row.
pub(crate) fn failing_gate<'c>(
    cs: &ConstraintSystem<Fr>,
    n: usize,
    challenges: &[Fr],
    column: impl Fn(Source) -> &'c [Fr],
) -> ProveError {
    for gate in cs.gates() {
        for (index, polynomial) in gate.polynomials().iter().enumerate() {
            let mut builder = Builder::default();
            let root = builder.expression(polynomial, challenges);
            let values = builder.finish(root).evaluate(n, 1, &column);
            if let Some(row) = values.iter().position(|value| *value != Fr::zero()) {
                return ProveError::GateUnsatisfied {
                    gate: gate.name().to_owned(),
                    constraint: gate.constraint_name(index).to_owned(),
                    index,
                    row,
                };
            }
        }
    }
    ProveError::Inconsistent
}

/// The first copy constraint between cells that differ.
pub(crate) fn failing_copy<'c>(
    cs: &ConstraintSystem<Fr>,
    n: usize,
    copies: &CopyMap,
    column: impl Fn(Source) -> &'c [Fr],
) -> ProveError {
    let columns = permutation_columns(cs);
    let value = |cell: usize| column(columns[cell / n])[cell % n];
    let name = |cell: usize| columns[cell / n].to_string();
    copies
        .moved()
        .find(|(cell, next)| value(*cell) != value(*next))
        .map_or(ProveError::Inconsistent, |(cell, next)| {
            ProveError::CopyUnsatisfied {
                left: name(cell),
                left_row: cell % n,
                right: name(next),
                right_row: next % n,
            }
        })
}
