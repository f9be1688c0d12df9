//! What can be wrong with an ONNX model.

use thiserror::Error;

/// Why a model was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ImportError {
    /// The bytes are not an ONNX model.
    #[error(
        "not a readable ONNX model: {reason}; check that the file is complete and was written by an ONNX exporter"
    )]
    Parse {
        /// What the parser said.
        reason: String,
    },
    /// A name that cannot be shown as it is.
    #[error("what is called {name:?} {what}; rename it, and export the model again")]
    Name {
        /// The name, of the graph, a node or a tensor.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An operator without an importer.
    #[error("node `{node}`: operator {op} is not supported; {hint}")]
    Unsupported {
        /// ONNX node name, or its first output where it has none.
        node: String,
        /// Operator, with its domain where that is not ONNX's own.
        op: String,
        /// What could be done instead.
        hint: &'static str,
    },
    /// A supported operator in a form that is not.
    #[error("node `{node}` ({op}): {reason}")]
    Form {
        /// ONNX node name.
        node: String,
        /// Operator.
        op: String,
        /// What is wrong, and how to mend it.
        reason: String,
    },
    /// An operand that must be known at compile time is not.
    #[error(
        "node `{node}` ({op}): {operand} must be a constant; export the model with its parameters as initializers"
    )]
    NotConstant {
        /// ONNX node name.
        node: String,
        /// Operator.
        op: String,
        /// The operand's role.
        operand: &'static str,
    },
    /// An input axis other than the batch has no size.
    #[error(
        "input `{input}`: axis {axis} has no fixed size; re-export the model with only the leading axis dynamic"
    )]
    DynamicAxis {
        /// Input name.
        input: String,
        /// The axis, from 0.
        axis: usize,
    },
    /// The leading axis of an input is fixed at another size than the batch asked for.
    #[error(
        "input `{input}`: the leading axis is fixed at {got}, a batch of {batch} was asked for; pass --batch {got}, or re-export with a dynamic leading axis"
    )]
    FixedBatch {
        /// Input name.
        input: String,
        /// Size in the model.
        got: usize,
        /// Size asked for.
        batch: usize,
    },
    /// An input that is not of numbers.
    #[error(
        "input `{input}`: element type {got} is not supported; export the model with inputs of floats, integers or truth values"
    )]
    InputType {
        /// Input name.
        input: String,
        /// ONNX element type.
        got: String,
    },
    /// A tensor whose elements depend on other batch items.
    #[error(
        "node `{node}` ({op}): batch items are mixed; every operator must treat each item of a batch alone, or use --batch 1"
    )]
    MixesBatch {
        /// ONNX node name.
        node: String,
        /// Operator.
        op: String,
    },
    /// An output that is the same for every input.
    #[error("output `{output}` does not depend on any input; remove it from the model")]
    ConstantOutput {
        /// Output name.
        output: String,
    },
    /// Shape inference failed.
    #[error(
        "shape inference failed: {reason}; check the model with `onnx.checker`, and its opset (6 to 22)"
    )]
    Analysis {
        /// What was found.
        reason: String,
    },
    /// A tensor beyond the limit of this importer.
    #[error(
        "tensor `{tensor}` has {elements} elements, more than the limit of {limit}; lower --batch or the input size"
    )]
    TooLarge {
        /// Tensor name.
        tensor: String,
        /// Its size.
        elements: u128,
        /// The largest size accepted.
        limit: usize,
    },
    /// Tensors that are within limits one by one, and beyond them together.
    #[error(
        "the tensors up to `{tensor}` have {elements} elements, more than the limit of {limit} for all of them; lower --batch or the input size"
    )]
    TooMuch {
        /// Tensor name.
        tensor: String,
        /// Elements so far.
        elements: u128,
        /// The most that are accepted.
        limit: u128,
    },
    /// An input that no circuit has rows for.
    #[error(
        "input `{input}` takes {rows} rows of a circuit at least, more than the limit of {limit}; lower --batch or the input size"
    )]
    TooManyRows {
        /// Input name.
        input: String,
        /// Rows.
        rows: u128,
        /// The most that are accepted.
        limit: u128,
    },
    /// The batch size is 0.
    #[error("the batch size must be at least 1")]
    EmptyBatch,
}
