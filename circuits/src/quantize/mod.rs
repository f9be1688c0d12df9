//! Post-training quantization: from the float graph to the integer model.
//!
//! Quantization is symmetric with zero point 0: `real = scale · integer`. Each tensor has one scale, chosen
//! from calibration inputs and folded into integer weights and biases; every requantization is the same shift.

mod bounds;
mod calibrate;
mod entropy;
mod exact;
pub mod inputs;
mod lower;
mod masks;
mod natural;
mod trace;
mod widths;

pub use bounds::{Bounds, BoundsError, Range, bounds};
pub use calibrate::{Calibration, CalibrationError};
pub use trace::{CompareError, Noise, Trace, compare};
pub use widths::{Found, Goal, Widths, WidthsError, search};

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
    /// Clips each tensor but the inputs where the distribution of its magnitudes loses least (Kullback-Leibler).
    Entropy,
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
    /// A product of computed matrices that is too large for squares.
    #[error(
        "node `{node}` multiplies two computed matrices with {products} products, more than the limit of {limit}; split it, or make one of the matrices a parameter"
    )]
    TooManyProducts {
        /// Node name.
        node: String,
        /// Products needed.
        products: usize,
        /// Products allowed.
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
    Ok(quantize_traced(graph, calibration, options, &Widths::new())?.0)
}

/// Quantizes a graph with bits of their own for some tensors, and tells where its tensors went.
///
/// # Errors
/// [`QuantizeError`]; no graph makes it panic.
pub fn quantize_traced(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    widths: &Widths,
) -> Result<(Model, Trace), QuantizeError> {
    if !(2..=16).contains(&options.bits) {
        return Err(QuantizeError::Bits { bits: options.bits });
    }
    if !(8..=24).contains(&options.shift) {
        return Err(QuantizeError::Shift {
            shift: options.shift,
        });
    }
    if let Some(&bits) = widths.values().find(|bits| !(2..=16).contains(*bits)) {
        return Err(QuantizeError::Bits { bits });
    }
    let mut ranges = calibration.ranges(graph, options)?;
    let mut all_widths = natural::widen(graph, options, &mut ranges);
    let floors = masks::narrow(graph, options, &mut ranges, &mut all_widths);
    all_widths.extend(widths.iter().map(|(name, &bits)| (name.clone(), bits)));
    let options = QuantizeOptions {
        shift: exact::shift(graph, options.shift)?,
        ..*options
    };
    let (model, trace) = lower::lower(graph, &ranges, &floors, &options, &all_widths)?;
    validate(&model)?;
    if let Some(port) = model.inputs.iter().find(|port| !is_read(&model, port.node)) {
        return Err(QuantizeError::Unread {
            input: port.name.clone(),
        });
    }
    bounds(&model)?;
    Ok((model, trace))
}

/// True where a node that an output depends on reads an element of the tensor.
fn is_read(model: &Model, tensor: NodeId) -> bool {
    let mut live = vec![false; model.nodes.len()];
    let outputs = model.outputs.iter().map(|port| port.node);
    outputs.for_each(|node| live[node] = true);
    for (id, node) in model.nodes.iter().enumerate().rev() {
        let Kind::Linear(linear) = &node.kind else {
            continue;
        };
        let reads =
            |term: &&Term| !matches!(&term.op, Op::Map { entries, .. } if entries.is_empty());
        if live[id] {
            let sources = linear.terms.iter().filter(reads).map(|term| term.source);
            sources.for_each(|source| live[source] = true);
        }
    }
    live[tensor]
}
