//! How much of a device's memory a key and its proofs take, told before any work.

use halo2_proofs::{
    halo2curves::bn256::{Fr, G1Affine},
    plonk::ConstraintSystem,
};

use super::{
    column::DeviceColumn,
    device::{Device, launch::program_bytes},
    error::GpuError,
    msm,
};
use crate::{
    backend::Column,
    constraints::{
        numerator::permutation_columns,
        plan::{Plan, Source},
        queries::ProofQueries,
    },
    keys::permutation_chunk,
};

/// Polynomials that are transformed at a time.
pub(crate) const AT_A_TIME: usize = 8;

/// Threads that run the plan; each takes registers for the rows it goes through.
pub(crate) const PLAN_THREADS: usize = 1 << 16;

/// Bytes that a key takes on a device, and that its proofs take beside it at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) key: u64,
    pub(crate) proof: u64,
}

impl Need {
    /// For circuits of `2^k` rows; `plan` is the one of the quotient, whatever its challenges.
    pub(crate) fn new(
        k: u32,
        cs: &ConstraintSystem<Fr>,
        plan: &Plan,
        fixed: &[Column<'_>],
    ) -> Self {
        let n = 1u64 << k;
        let polynomial = n * size_of::<Fr>() as u64;
        let permuted = permutation_columns(cs).len();
        let products = permuted.div_ceil(permutation_chunk(cs).max(1));
        // All of a proof's columns, as if they were dense.
        let indicators = if permuted > 0 { 3 } else { 0 };
        let columns =
            cs.num_advice_columns() + cs.num_instance_columns() + products + permuted + indicators;
        let sources = plan.sources().iter().filter(|s| **s != Source::X).count();
        let pieces = cs.degree() - 1;
        let batch = AT_A_TIME;
        // Coefficients, values on a coset, what a batch takes, x, powers twice, the result and its transform; pieces.
        let quotient = 2 * sources + 2 * batch + 5 + pieces;
        let registers = program_bytes(plan, PLAN_THREADS.min(1 << k));
        // Values of a batch; pieces or sets stay.
        let sets = ProofQueries::new(cs).opened().len().min(16) + 4;
        let committed = batch + 1 + pieces.max(sets);
        let at_once = (cs.num_advice_columns() + 1).max(batch);
        let sums = msm::working_bytes(n as usize, at_once);
        let opening = 3 + pieces + 2 * sets;
        let product = 6;
        let stages = [
            quotient as u64 * polynomial + registers,
            committed as u64 * polynomial + sums,
            opening as u64 * polynomial,
            product * polynomial,
        ];
        // h and the random polynomial beside any of them.
        let proof =
            (columns as u64 + 2) * polynomial + stages.into_iter().max().unwrap_or(0) + (1 << 20);
        let held: u64 = fixed
            .iter()
            .map(|column| DeviceColumn::bytes(column, n as usize))
            .sum();
        Self {
            key: n * size_of::<G1Affine>() as u64 + polynomial + held + (1 << 16),
            proof,
        }
    }

    /// What is left of a device's free memory, in bytes.
    ///
    /// # Errors
    /// [`GpuError::Memory`] where it does not suffice.
    pub(crate) fn check(&self, k: u32, device: &dyn Device) -> Result<u64, GpuError> {
        let (needed, free) = (self.key + self.proof, device.memory()?.free);
        free.checked_sub(needed).ok_or_else(|| GpuError::Memory {
            device: device.name().to_owned(),
            k,
            needed,
            free,
        })
    }
}
