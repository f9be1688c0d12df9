//! One importer an operator, in files by family.

mod activation;
mod argmax;
mod conv;
mod elementwise;
mod matmul;
mod norm;
mod pool;
mod shape;
mod spatial;

pub(super) use argmax::check_argmax;

use std::collections::HashSet;

use tract_onnx::pb::GraphProto;

use super::{ImportError, attributes::NodeView, build::Builder};

/// Turns one ONNX node into nodes of the float graph.
pub(super) type Importer = fn(&mut Builder, &NodeView) -> Result<(), ImportError>;

/// Every operator that may depend on the input.
pub(super) const OPERATORS: &[(&str, Importer)] = &[
    ("Add", elementwise::add),
    ("ArgMax", argmax::argmax),
    ("AveragePool", pool::average),
    ("BatchNormalization", norm::batch),
    ("Clip", activation::clip),
    ("Concat", shape::concat),
    ("Constant", shape::constant),
    ("Conv", conv::conv),
    ("Div", elementwise::div),
    ("Dropout", shape::dropout),
    ("Flatten", shape::reshape),
    ("Gemm", matmul::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("Identity", shape::identity),
    ("LeakyRelu", activation::leaky_relu),
    ("MatMul", matmul::matmul),
    ("MaxPool", pool::max),
    ("Mul", elementwise::mul),
    ("Pad", shape::pad),
    ("Relu", activation::relu),
    ("Reshape", shape::reshape),
    ("Sigmoid", activation::sigmoid),
    ("Squeeze", shape::reshape),
    ("Sub", elementwise::sub),
    ("Tanh", activation::tanh),
    ("Transpose", shape::transpose),
    ("Unsqueeze", shape::reshape),
];

/// Operators that may also appear among constants, where `tract` folds them away.
const FOLDABLE: &[&str] = &[
    "Cast",
    "Ceil",
    "ConstantOfShape",
    "Equal",
    "Expand",
    "Floor",
    "Gather",
    "Neg",
    "Pow",
    "Reciprocal",
    "Shape",
    "Size",
    "Slice",
    "Split",
    "Sqrt",
    "Where",
];

/// The importer of a node's operator.
pub(super) fn importer(node: &NodeView) -> Result<Importer, ImportError> {
    let op = node.op();
    OPERATORS
        .iter()
        .find(|(name, _)| *name == op)
        .map(|(_, importer)| *importer)
        .ok_or_else(|| unsupported(node))
}

fn unsupported(node: &NodeView) -> ImportError {
    ImportError::Unsupported {
        node: node.name().to_owned(),
        op: node.op(),
        supported: super::supported_operators(),
    }
}

/// Refuses unsupported operators before anything else looks at the graph: `tract` need not know them.
pub(super) fn check_operators(graph: &GraphProto) -> Result<(), ImportError> {
    let mut constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let mut known: HashSet<&str> = constants
        .iter()
        .copied()
        .chain(graph.input.iter().map(|i| i.name.as_str()))
        .collect();
    for proto in &graph.node {
        let node = NodeView::new(proto);
        if let Some(missing) = node
            .inputs()
            .iter()
            .find(|name| !name.is_empty() && !known.contains(name.as_str()))
        {
            return Err(node.form(format!(
                "operand `{missing}` is not produced by any earlier node"
            )));
        }
        known.extend(node.outputs());
        // A shape is known as soon as the batch is fixed.
        let fixed = node.op() == "Shape"
            || node
                .inputs()
                .iter()
                .all(|n| n.is_empty() || constants.contains(n.as_str()));
        if fixed {
            constants.extend(node.outputs());
        }
        if importer(&node).is_err() && !(fixed && FOLDABLE.contains(&node.op().as_str())) {
            return Err(unsupported(&node));
        }
    }
    match graph
        .output
        .iter()
        .find(|output| !known.contains(output.name.as_str()))
    {
        Some(output) => Err(ImportError::Parse {
            reason: format!("output `{}` is not produced by any node", output.name),
        }),
        None => Ok(()),
    }
}
