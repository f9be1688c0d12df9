//! What the fast prover has computed for it, and by whom.
//!
//! The protocol code draws challenges, writes the transcript and says what is to be computed; a [`Backend`] computes
//! it. Operations are whole stages, so that an accelerator takes columns in at the width they have and gives back
//! points, values and the few polynomials that the protocol needs, with no transform's input or output in between.
//!
//! | module | purpose |
//! |---|---|
//! | `column` | columns that know how wide their values are |
//! | `host` | the backends that keep polynomials in this process; `cpu` and [`crate::icicle`] transform and commit for it |
//! | `cpu` | the processor's cores; [`crate::gpu`] has the backend that keeps everything on a device |
//! | `combine` | linear combinations of columns |
//! | `cosets` | the cosets that the quotient is streamed over |

mod column;
mod combine;
mod cosets;
mod cpu;
mod host;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use ff::Field;
use halo2_proofs::halo2curves::bn256::{Fr, G1};

pub(crate) use column::{Column, Values};
pub(crate) use combine::combine;
pub(crate) use cosets::Shape;
pub(crate) use cpu::Cpu;
pub(crate) use host::{Engine, Host, columns_within};

use crate::{
    constraints::plan::{Plan, Source},
    gpu::{DevicePolynomial, GpuError},
    plain::permutation::Factor,
};

/// `Σ factor·column + constant` in every row.
#[derive(Default)]
pub(crate) struct Sum<'a> {
    pub(crate) members: Vec<(&'a Column<'a>, Fr)>,
    pub(crate) constant: Fr,
}

impl<'a> Sum<'a> {
    /// A column as it is.
    pub(crate) fn of(column: &'a Column<'a>) -> Self {
        Self {
            members: vec![(column, Fr::ONE)],
            constant: Fr::ZERO,
        }
    }
}

/// The coefficients of a polynomial of degree below `n`, where the backend that made it keeps them.
#[derive(Debug)]
pub(crate) enum Polynomial {
    Host(Vec<Fr>),
    Device(DevicePolynomial),
}

/// `(polynomial - low)/Π (X - point)`, which leaves no remainder.
pub(crate) struct Division<'a> {
    pub(crate) polynomial: &'a Polynomial,
    /// Coefficients, of which there are few.
    pub(crate) low: Vec<Fr>,
    pub(crate) points: Vec<Fr>,
}

/// Computes the stages of proofs for one key. Every result is exact, so all backends give the same proofs.
///
/// # Errors
/// Those of a device. Polynomials must be the backend's own.
pub(crate) trait Backend: std::fmt::Debug + Send + Sync {
    /// What computes, for people.
    fn name(&self) -> String;

    /// Waits until all results are there: the calls below may return earlier, with a device still at work.
    fn wait(&self) -> Result<(), GpuError> {
        Ok(())
    }

    /// Takes coefficients, `n` of them.
    fn polynomial(&self, coefficients: Vec<Fr>) -> Result<Polynomial, GpuError>;

    /// Commits to columns by their values on the domain.
    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError>;

    /// Commits to polynomials by their coefficients.
    fn commit_polynomials(&self, polynomials: &[&Polynomial]) -> Result<Vec<G1>, GpuError>;

    /// The coefficients of a sum of columns and of polynomials, these times factors.
    fn combine(
        &self,
        sum: &Sum<'_>,
        polynomials: &[(&Polynomial, Fr)],
    ) -> Result<Polynomial, GpuError>;

    /// The quotients of some divisions.
    fn divide(&self, divisions: &[Division<'_>]) -> Result<Vec<Polynomial>, GpuError>;

    /// The value of each column at `ω^rotation·x`, `x` not in the domain.
    fn evaluate(&self, queries: &[(&Column<'_>, i32)], x: Fr) -> Result<Vec<Fr>, GpuError>;

    /// The value of each polynomial at `x`.
    fn evaluate_polynomials(&self, polynomials: &[&Polynomial], x: Fr)
    -> Result<Vec<Fr>, GpuError>;

    /// Running products of the permutation argument: `first`, then each row's ratio multiplied on, for `rows` rows.
    fn running_product(
        &self,
        factors: &[Factor<'_>],
        first: Fr,
        rows: usize,
    ) -> Result<Vec<Fr>, GpuError>;

    /// The `degree - 1` pieces of the plan's polynomial divided by `X^n - 1`, as coefficients. `sums` gives what the
    /// plan reads, but for the variable itself.
    fn quotient(
        &self,
        plan: &Plan,
        sums: &HashMap<Source, Sum<'_>>,
    ) -> Result<Vec<Polynomial>, GpuError>;
}
