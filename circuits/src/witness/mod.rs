//! The witness: the executor's values laid out in rows, and the running values of phases 2 and 3.

mod chains;
mod lookups;
mod phases;
mod values;

pub(crate) use chains::Second;
pub use phases::{PhaseValues, Phases};
pub use values::WitnessError;

use halo2_proofs::halo2curves::bn256::Fr;

use crate::layout::Layout;

/// Everything of phase 1, and what the later phases need.
#[derive(Debug)]
pub struct Witness {
    /// Advice columns `a`, `b`, `c` in profile order, by activation row.
    pub(crate) lanes: Vec<Vec<i64>>,
    /// Lookup multiplicities by table row.
    pub(crate) multiplicities: Vec<u64>,
    /// Table row of every lookup: by fraction (as the profile orders them) and activation row.
    pub(crate) lookups: Vec<Vec<u32>>,
    /// Instance columns by lane.
    pub(crate) instance: Vec<Vec<i64>>,
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

    /// The instance columns, one for each lane.
    pub fn instances(&self) -> &[Vec<i64>] {
        &self.instance
    }
}
