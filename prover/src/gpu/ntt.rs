//! Fourier transforms over a subgroup, in passes of radix 8.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::{
    device::{
        Buffer, Device, Slice, SliceMut,
        launch::{Pass, ntt_pass, powers},
    },
    error::GpuError,
};
use crate::srs::root_of_unity;
use std::sync::Arc;

/// The subgroup of order `2^k`.
#[derive(Debug)]
pub(crate) struct Subgroup {
    k: u32,
    omega: Fr,
    /// `ω^i`.
    roots: Buffer<Fr>,
}

/// Which way, and what multiplies the values as they are read.
#[derive(Clone, Copy)]
pub(crate) enum Transform<'a> {
    /// Coefficients to values on the subgroup.
    Forward,
    /// Coefficients to values on a coset, whose generator's powers these are.
    ToCoset(Slice<'a, Fr>),
    /// Values to `2^k` times the coefficients.
    Backward,
}

impl Subgroup {
    pub(crate) fn new(device: &Arc<dyn Device>, k: u32) -> Result<Self, GpuError> {
        let omega = root_of_unity(k);
        let mut roots = Buffer::unset(device, 1 << k)?;
        powers(Fr::ONE, omega, roots.all_mut())?;
        Ok(Self { k, omega, roots })
    }

    pub(crate) fn omega(&self) -> Fr {
        self.omega
    }

    pub(crate) fn roots(&self) -> Slice<'_, Fr> {
        self.roots.all()
    }

    /// Transforms all that the input holds, one after another; `spare` is as large.
    pub(crate) fn transform(
        &self,
        how: Transform<'_>,
        input: Slice<'_, Fr>,
        mut out: SliceMut<'_, Fr>,
        mut spare: SliceMut<'_, Fr>,
    ) -> Result<(), GpuError> {
        let radices = radices(self.k);
        if radices.is_empty() {
            return out.copy_from(input);
        }
        let backwards = matches!(how, Transform::Backward);
        let scale = match how {
            Transform::ToCoset(powers) => Some(powers),
            _ => None,
        };
        let mut log_stride = 0;
        for (i, log_radix) in radices.iter().enumerate() {
            let pass = Pass {
                log_radix: *log_radix,
                log_n: self.k,
                log_stride,
                backwards,
            };
            // The last pass writes to `out`.
            let to_out = (radices.len() - i) % 2 == 1;
            let (from, to) = if to_out {
                (spare.read(), out.again())
            } else {
                (out.read(), spare.again())
            };
            let (from, scale) = if i == 0 { (input, scale) } else { (from, None) };
            ntt_pass(pass, from, self.roots.all(), scale, to)?;
            log_stride += log_radix;
        }
        Ok(())
    }
}

/// Logarithms of the passes' radices.
fn radices(k: u32) -> Vec<u32> {
    let rest = k % 3;
    let rest = (rest > 0).then_some(rest);
    rest.into_iter().chain((0..k / 3).map(|_| 3)).collect()
}
