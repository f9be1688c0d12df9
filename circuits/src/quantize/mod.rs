//! Post-training quantization: from the float graph to the integer model.
//!
//! Quantization is symmetric with zero point 0: `real = scale · integer`. Each tensor has one scale, chosen
//! from calibration inputs and folded into integer weights and biases; every requantization is the same shift.

mod bounds;
mod calibrate;
mod exact;
pub mod inputs;
mod lower;

pub use bounds::{Bounds, BoundsError, Range, bounds};
pub use calibrate::{Calibration, CalibrationError};

use thiserror::Error;

use crate::{
    graph::Graph,
    model::{Kind, Model, NodeId, Op, Term},
    validate::{ModelError, validate},
};

/// How scales follow from calibration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// The least and greatest value seen, with some headroom where few inputs were seen.
    MinMax,
    /// Clips each tensor to this percentile of its values, and to its mirror image below; in `(50, 100]`.
    Percentile(f64),
}

/// Parameters of [`quantize`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantizeOptions {
    /// Bits of an activation, 2 to 16.
    pub bits: u32,
    /// The shift of every requantization, 8 to 24: weights carry this many fractional bits. Quantized operators may need more
    /// of them (`docs/quantized.md`).
    pub shift: u32,
    /// How scales follow from calibration.
    pub method: Method,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        QuantizeOptions {
            bits: 8,
            shift: 16,
            method: Method::MinMax,
        }
    }
}

/// Why a graph could not be quantized.
#[derive(Debug, Error, PartialEq)]
pub enum QuantizeError {
    /// Bits out of range.
    #[error("activations of {bits} bits are not supported; choose 2 to 16")]
    Bits {
        /// What was asked for.
        bits: u32,
    },
    /// Shift out of range.
    #[error("a shift of {shift} is not supported; choose 8 to 24")]
    Shift {
        /// What was asked for.
        shift: u32,
    },
    /// Percentile out of range.
    #[error("percentile {percentile} is not supported; choose more than 50 and at most 100")]
    Percentile {
        /// What was asked for.
        percentile: f64,
    },
    /// The calibration belongs to another graph.
    #[error("the calibration does not fit the graph (node `{node}`); calibrate this graph again")]
    Calibration {
        /// First node that differs.
        node: String,
    },
    /// A node that computes infinities or NaN on the calibration inputs.
    #[error(
        "node `{node}` gives values that are not finite on the calibration inputs; check the inputs and the model's parameters"
    )]
    NotFinite {
        /// Node name.
        node: String,
    },
    /// A window or view that would need too many single weights.
    #[error(
        "node `{node}` needs {entries} single weights, more than the limit of {limit}; lower its input or kernel size"
    )]
    TooManyEntries {
        /// Node name.
        node: String,
        /// Weights needed.
        entries: usize,
        /// Weights allowed.
        limit: usize,
    },
    /// A multiplier finer than the remainders of any profile.
    #[error(
        "node `{node}`: its multiplier has {bits} fractional bits, and circuits keep at most {most}; its scales are far apart: quantize the model anew, or leave this node in float"
    )]
    Multiplier {
        /// Node name.
        node: String,
        /// Bits needed.
        bits: u32,
        /// Bits there are.
        most: u32,
    },
    /// A quantized node whose integers are out of reach.
    #[error(
        "node `{node}`: its integers leave 62 bits, or its table 2^16 entries; its scales are far apart or its window is large: quantize the model anew, or leave this node in float"
    )]
    Exact {
        /// Node name.
        node: String,
    },
    /// An input that no output depends on: the circuit binds only what is read.
    #[error("no output depends on input `{input}`; remove it from the model")]
    Unread {
        /// Input name.
        input: String,
    },
    /// The integer model came out inconsistent.
    #[error("the quantizer made an inconsistent model: {0}; please report it with the model")]
    Model(#[from] ModelError),
    /// A sum may leave the 64-bit range.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
}

/// Quantizes a graph.
///
/// # Errors
/// [`QuantizeError`]; no graph makes it panic.
pub fn quantize(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
) -> Result<Model, QuantizeError> {
    if !(2..=16).contains(&options.bits) {
        return Err(QuantizeError::Bits { bits: options.bits });
    }
    if !(8..=24).contains(&options.shift) {
        return Err(QuantizeError::Shift {
            shift: options.shift,
        });
    }
    let ranges = calibration.ranges(graph, options.method)?;
    let options = QuantizeOptions {
        shift: exact::shift(graph, options.shift)?,
        ..*options
    };
    let model = lower::lower(graph, &ranges, &options)?;
    validate(&model)?;
    if let Some(port) = model.inputs.iter().find(|port| !is_read(&model, port.node)) {
        return Err(QuantizeError::Unread {
            input: port.name.clone(),
        });
    }
    bounds(&model)?;
    Ok(model)
}

/// True where some node reads an element of the tensor.
fn is_read(model: &Model, tensor: NodeId) -> bool {
    let reads = |term: &Term| {
        let empty = matches!(&term.op, Op::Map { entries, .. } if entries.is_empty());
        term.source == tensor && !empty
    };
    model.nodes.iter().any(|node| match &node.kind {
        Kind::Linear(linear) => linear.terms.iter().any(reads),
        Kind::Input { .. } => false,
    })
}
