//! How much of a device's memory a key and its proofs take, told before any work.

use halo2_proofs::halo2curves::bn256::Fr;

use super::{AT_A_TIME, Opened, abi::Affine, sums::sums_at_a_time};
use crate::{
    constraints::plan::{Plan, Source},
    gpu::GpuError,
};

/// Polynomials that ICICLE's roots of unity, and its copies of what it transforms, are as large as; an estimate.
const TRANSFORMS: u64 = 4 + 2 * AT_A_TIME as u64;

/// Bytes that ICICLE takes for each scalar of a sum: the scalar itself, and digits sorted by bucket; an estimate.
const SCALAR_BYTES: u64 = 640;

/// Bytes that a key and its proofs take on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    k: u32,
    /// Of our buffers.
    pub(super) own: u64,
    /// What ICICLE takes beside them, estimated.
    pub(super) icicle: u64,
}

impl Need {
    /// For circuits of `2^k` rows; `plan` is the one of the quotient, whatever its challenges.
    pub(crate) fn new(k: u32, degree: usize, plan: &Plan) -> Self {
        let n = 1 << k;
        let polynomial = (n * size_of::<Fr>()) as u64;
        let sources = plan.sources().iter().filter(|s| **s != Source::X).count() as u64;
        // Powers for all cosets; coefficients, and a batch of them on a coset or a coset's part on its way back; or a
        // batch that is committed to.
        let polynomials = 2 * (degree as u64 - 1) + sources + AT_A_TIME as u64;
        Self {
            k,
            own: (n * size_of::<Affine>()) as u64 + polynomials * polynomial,
            icicle: TRANSFORMS * polynomial + (sums_at_a_time(n) * n) as u64 * SCALAR_BYTES,
        }
    }

    /// # Errors
    /// [`GpuError::Memory`] where the device has not as much left, if its backend tells.
    pub(crate) fn check(&self, device: &Opened) -> Result<(), GpuError> {
        let needed = self.own + self.icicle;
        match device.memory()? {
            Some(memory) if memory.free < needed => Err(GpuError::Memory {
                device: device.name().to_owned(),
                k: self.k,
                needed,
                free: memory.free,
            }),
            _ => Ok(()),
        }
    }
}
