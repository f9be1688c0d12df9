//! ONNX import: bytes to the float graph.
//!
//! `tract` parses the file, infers shapes and folds constants; the operators here turn what depends on the
//! input into [`crate::graph`]. An operator outside the list of [`supported_operators`] is refused by name.

mod attributes;
mod branches;
mod broadcast;
mod build;
mod checks;
mod error;
mod ml;
mod ops;
mod parse;
mod quantized;
mod reference;
mod sizes;

pub use error::ImportError;
pub use reference::{Reference, ReferenceError};

use crate::graph::Graph;

/// How a model is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// Items of a batch: the size of every dynamic leading axis, at least 1.
    pub batch: usize,
    /// Name of the model; the ONNX graph's own where `None`.
    pub name: Option<String>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        ImportOptions {
            batch: 1,
            name: None,
        }
    }
}

/// The operators that a model may apply to values that depend on its input.
pub fn supported_operators() -> Vec<&'static str> {
    ops::all().map(|(name, _)| *name).collect()
}

/// Reads an ONNX model, float, quantized or both.
///
/// # Errors
/// See [`ImportError`]; corrupt bytes are an error, never a panic.
pub fn import(bytes: &[u8], options: &ImportOptions) -> Result<Graph, ImportError> {
    let mut model = parse::decode(bytes)?;
    branches::resolve(&mut model, options.batch)?;
    let mut expanded = quantized::expand(&model)?;
    ops::check_operators(parse::graph(&model)?)?;
    let inputs = parse::fix_inputs(&mut expanded.model, options.batch)?;
    sizes::check(&expanded.model, &inputs)?;
    let analysed = parse::analyse(&expanded.model, inputs)?;
    parse::guarded("the import", || {
        build::build(&model, analysed, &expanded.types, options)
    })?
}
