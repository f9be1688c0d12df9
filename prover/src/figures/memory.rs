//! How much memory the processor needs for a [`Synthetic`] circuit, told before any work.

use halo2_proofs::halo2curves::bn256::{Fr, G1Affine};

use super::Synthetic;
use crate::{
    constraints::plan::Source,
    fast::describe::placeholder_plan,
    keys::{ShapeError, configure, without_selectors},
};

impl Synthetic {
    /// Bytes of the processor's memory that keys, [`operations`](super::operations()) and proofs take at most, beside
    /// what provers may keep for reuse; with the columns in a device's memory, `on_device`, far fewer.
    ///
    /// # Errors
    /// [`ShapeError::Environment`].
    pub fn host_bytes(k: u32, on_device: bool) -> Result<u64, ShapeError> {
        let cs = without_selectors(configure::<Self>(())?.0);
        let (plan, _) = placeholder_plan(&cs);
        let element = size_of::<Fr>();
        let dense = Self::ADVICE - Self::DENSE;
        let columns = dense * element + Self::DENSE * size_of::<i64>();
        // Both bases of the reference string, and what is made of one of them.
        let points = 4 * size_of::<G1Affine>();
        // Columns as elements, and copies that are committed to.
        let keygen = 2 * cs.num_fixed_columns() * element;
        let sources = plan.sources().iter().filter(|s| **s != Source::X).count();
        // Coefficients, values on a coset, pieces twice, tables of as many cosets; h, the random polynomial, x, sums.
        let (pieces, others) = (cs.degree() - 1, 8);
        let stages = if on_device {
            others * element
        } else {
            (2 * sources + 3 * pieces + others) * element
        };
        let row = points + (columns + stages).max(keygen);
        // What the allocator keeps of memory that was given back: 28 % were measured at k = 18.
        let row = row + row / 3;
        Ok((row as u64).saturating_mul(1 << k.min(40)) + (64 << 20))
    }
}
