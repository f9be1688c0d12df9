//! How much of a device's memory a key and its proofs take, told before any work.

use halo2_proofs::halo2curves::bn256::Fr;

use super::{AT_A_TIME, Opened, SCALARS_AT_A_TIME, abi::Affine};
use crate::{
    constraints::plan::{Plan, Source},
    gpu::GpuError,
};

/// Polynomials that ICICLE's own tables and copies for transforms are as large as; an estimate.
const TRANSFORMS: u64 = 4 + 2 * AT_A_TIME as u64;

/// Bytes that ICICLE takes for each scalar of a sum: the scalar itself, and digits sorted by bucket; an estimate.
const SCALAR_BYTES: u64 = 640;

/// Bytes that a key and its proofs take on a device. What ICICLE takes for itself is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    k: u32,
    bytes: u64,
}

impl Need {
    /// For circuits of `2^k` rows; `plan` is the one of the quotient, whatever its challenges.
    pub(crate) fn new(k: u32, degree: usize, plan: &Plan) -> Self {
        let n = 1u64 << k;
        let polynomial = n * size_of::<Fr>() as u64;
        let sources = plan.sources().iter().filter(|s| **s != Source::X).count() as u64;
        let cosets = degree as u64 - 1;
        // Powers for all cosets; coefficients, or what a commitment transforms; a batch of values; a coset's part.
        let own = 2 * cosets + sources.max(AT_A_TIME as u64) + AT_A_TIME as u64 + 2;
        let scalars = n.max(SCALARS_AT_A_TIME as u64);
        let kept = n * size_of::<Affine>() as u64;
        let transforms = (own + TRANSFORMS) * polynomial;
        Self {
            k,
            bytes: kept + transforms + scalars * SCALAR_BYTES,
        }
    }

    /// # Errors
    /// [`GpuError::Memory`] where the device has not as much left, if its backend tells.
    pub(crate) fn check(&self, device: &Opened) -> Result<(), GpuError> {
        match device.memory()? {
            Some(memory) if memory.free < self.bytes => Err(GpuError::Memory {
                device: device.name().to_owned(),
                k: self.k,
                needed: self.bytes,
                free: memory.free,
            }),
            _ => Ok(()),
        }
    }
}
