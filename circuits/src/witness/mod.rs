//! The witness: the executor's values laid out in rows, and the running values of phases 2 and 3.

mod agreed;
mod chains;
mod hash;
mod lookups;
mod phases;
mod values;

pub use agreed::Inference;
pub(crate) use chains::Second;
#[cfg(test)]
pub(crate) use hash::run as hash_columns;
pub use phases::{ColumnValues, Phases};
pub use values::WitnessError;

use halo2_proofs::halo2curves::bn256::Fr;

use crate::layout::Layout;
use crate::profile::Profile;

/// Everything of phase 1, and what the later phases need.
#[derive(Debug)]
pub struct Witness {
    /// Advice columns `a`, `b`, `c` in profile order, by activation row.
    pub(crate) lanes: Vec<Vec<i64>>,
    /// Lookup multiplicities by table row.
    pub(crate) multiplicities: Vec<u64>,
    /// Table row of every lookup: by fraction (as the profile orders them) and activation row.
    pub(crate) lookups: Vec<Vec<u32>>,
    /// Instance columns by lane, 0 where digests stand.
    pub(crate) instance: Vec<Vec<i64>>,
    /// Columns of the hash, rows `0..=last_row`.
    pub(crate) hash: Vec<Vec<Fr>>,
    /// Digests in the order of [`Layout::digests`].
    pub digests: Vec<Fr>,
    /// Values of the output nodes, NCHW, in the model's order.
    pub outputs: Vec<Vec<i64>>,
    /// Per tensor the consumed values by group, position and lane.
    pub(crate) consumed: Vec<Vec<i64>>,
}

/// A small signed integer as a field element.
pub(crate) fn field(v: i64) -> Fr {
    if v < 0 {
        -Fr::from(v.unsigned_abs())
    } else {
        Fr::from(v as u64)
    }
}

impl Witness {
    /// Runs the model on `inputs` (NCHW, one for each model input) and lays the values out.
    ///
    /// # Errors
    /// [`WitnessError`] for inputs of the wrong number, length or range.
    pub fn new(layout: &Layout, inputs: &[Vec<i64>]) -> Result<Self, WitnessError> {
        let tensors = values::run(layout, inputs)?;
        Ok(lookups::lay_out(layout, tensors))
    }

    /// The instance columns, one for each lane; 0 where digests stand.
    pub fn instances(&self) -> &[Vec<i64>] {
        &self.instance
    }

    /// The instance columns as halo2 has them, digests included.
    pub fn scalars(&self, profile: &Profile) -> Vec<Vec<Fr>> {
        Layout::instance_scalars(profile, &self.instance, &self.digests)
    }
}
