//! What the fast prover has computed for it, and by whom.
//!
//! The protocol code draws challenges, writes the transcript and says what is to be computed; a [`Backend`] computes
//! it. Operations are whole stages, so that an accelerator takes columns in at the width they have and gives back
//! points, values and the few polynomials that the protocol needs, with no transform's input or output in between.
//!
//! | module | purpose |
//! |---|---|
//! | `column` | columns that know how wide their values are |
//! | `cpu` | the backend that runs on the processor's cores |
//! | `combine` | its linear combinations of columns |
//! | `cosets` | its quotient |

mod column;
mod combine;
mod cosets;
mod cpu;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use halo2_proofs::halo2curves::bn256::{Fr, G1};

pub(crate) use column::Column;
pub(crate) use cpu::{Cpu, columns_within};

use crate::{
    constraints::plan::{Plan, Source},
    plain::permutation::Factor,
};

/// `Σ factor·column + constant` in every row.
pub(crate) struct Sum<'a> {
    pub(crate) members: Vec<(&'a Column<'a>, Fr)>,
    pub(crate) constant: Fr,
}

/// Computes the stages of proofs for one key. Every result is exact, so all backends give the same proofs.
pub(crate) trait Backend: std::fmt::Debug + Send + Sync {
    /// Commits to columns by their values on the domain.
    fn commit(&self, columns: &[&Column<'_>]) -> Vec<G1>;

    /// Commits to polynomials by their coefficients.
    fn commit_coefficients(&self, polynomials: &[&[Fr]]) -> Vec<G1>;

    /// The coefficients of a sum of columns.
    fn combine(&self, sum: &Sum<'_>) -> Vec<Fr>;

    /// The value of each column at `ω^rotation·x`, `x` not in the domain.
    fn evaluate(&self, queries: &[(&Column<'_>, i32)], x: Fr) -> Vec<Fr>;

    /// Running products of the permutation argument: `first`, then each row's ratio multiplied on, for `rows` rows.
    fn running_product(&self, factors: &[Factor<'_>], first: Fr, rows: usize) -> Vec<Fr>;

    /// The `degree - 1` pieces of the plan's polynomial divided by `X^n - 1`, as coefficients. `sums` gives what the
    /// plan reads, but for the variable itself.
    fn quotient(&self, plan: &Plan, sums: &HashMap<Source, Sum<'_>>) -> Vec<Vec<Fr>>;
}
