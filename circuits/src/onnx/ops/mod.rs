//! One importer an operator, in files by family.

mod activation;
mod argmax;
mod conv;
mod conv_transpose;
mod einsum;
pub(super) mod elementwise;
mod indexing;
mod matmul;
mod norm;
pub(super) mod pool;
mod reduce;
mod resize;
pub(super) mod shape;
mod softmax;
pub(super) mod spatial;

pub(super) use argmax::check_argmax;

use std::collections::HashSet;

use tract_onnx::pb::GraphProto;

use super::{ImportError, attributes::NodeView, build::Builder};

/// Turns one ONNX node into nodes of the float graph.
pub(super) type Importer = fn(&mut Builder, &NodeView) -> Result<(), ImportError>;

/// Every operator that may depend on the input.
pub(super) const OPERATORS: &[(&str, Importer)] = &[
    ("Abs", activation::plain),
    ("Acos", activation::plain),
    ("Acosh", activation::plain),
    ("Add", elementwise::add),
    ("ArgMax", argmax::argmax),
    ("Asin", activation::plain),
    ("Asinh", activation::plain),
    ("Atan", activation::plain),
    ("Atanh", activation::plain),
    ("AveragePool", pool::average),
    ("BatchNormalization", norm::batch),
    ("Cast", indexing::cast),
    ("Ceil", activation::plain),
    ("Celu", activation::celu),
    ("Clip", activation::clip),
    ("Concat", shape::concat),
    ("Constant", shape::constant),
    ("Conv", conv::conv),
    ("ConvTranspose", conv_transpose::conv_transpose),
    ("Cos", activation::plain),
    ("Cosh", activation::plain),
    ("CumSum", reduce::cumulative_sum),
    ("DepthToSpace", indexing::depth_to_space),
    ("Div", elementwise::div),
    ("Dropout", shape::dropout),
    ("Einsum", einsum::einsum),
    ("Elu", activation::elu),
    ("Erf", activation::plain),
    ("Exp", activation::plain),
    ("Expand", indexing::expand),
    ("Flatten", shape::reshape),
    ("Floor", activation::plain),
    ("Gather", indexing::gather),
    ("GatherElements", indexing::gather_elements),
    ("Gelu", activation::gelu),
    ("Gemm", matmul::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("GlobalMaxPool", pool::global_max),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::plain),
    ("Identity", shape::identity),
    ("LeakyRelu", activation::leaky_relu),
    ("Log", activation::plain),
    ("LogSoftmax", softmax::softmax),
    ("MatMul", matmul::matmul),
    ("Max", elementwise::max),
    ("MaxPool", pool::max),
    ("Mean", elementwise::mean),
    ("Min", elementwise::min),
    ("Mish", activation::plain),
    ("Mul", elementwise::mul),
    ("Neg", elementwise::neg),
    ("PRelu", elementwise::prelu),
    ("Pad", shape::pad),
    ("Pow", activation::pow),
    ("Reciprocal", activation::plain),
    ("ReduceL1", reduce::reduce),
    ("ReduceL2", reduce::reduce),
    ("ReduceLogSum", reduce::reduce),
    ("ReduceLogSumExp", reduce::reduce),
    ("ReduceMax", reduce::reduce),
    ("ReduceMean", reduce::reduce),
    ("ReduceMin", reduce::reduce),
    ("ReduceSum", reduce::reduce),
    ("ReduceSumSquare", reduce::reduce),
    ("Relu", activation::plain),
    ("Reshape", shape::reshape),
    ("Resize", resize::resize),
    ("Round", activation::plain),
    ("Selu", activation::selu),
    ("Shrink", activation::shrink),
    ("Sigmoid", activation::plain),
    ("Sign", activation::plain),
    ("Sin", activation::plain),
    ("Sinh", activation::plain),
    ("Slice", indexing::slice),
    ("Softmax", softmax::softmax),
    ("Softplus", activation::plain),
    ("Softsign", activation::plain),
    ("SpaceToDepth", indexing::space_to_depth),
    ("Split", indexing::split),
    ("Sqrt", activation::plain),
    ("Squeeze", shape::reshape),
    ("Sub", elementwise::sub),
    ("Sum", elementwise::add),
    ("Swish", activation::swish),
    ("Tan", activation::plain),
    ("Tanh", activation::plain),
    ("ThresholdedRelu", activation::thresholded_relu),
    ("Tile", indexing::tile),
    ("Transpose", shape::transpose),
    ("Trilu", indexing::trilu),
    ("Unsqueeze", shape::reshape),
    ("Where", elementwise::choose),
];

/// Operators that may also appear among constants, where `tract` folds them away.
const FOLDABLE: &[&str] = &[
    "And",
    "ConstantOfShape",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Mod",
    "Not",
    "Or",
    "Range",
    "ReduceProd",
    "Shape",
    "Size",
];

/// The importer of a node's operator.
pub(super) fn importer(node: &NodeView) -> Result<Importer, ImportError> {
    let op = node.op();
    OPERATORS
        .iter()
        .chain(super::quantized::OPERATORS)
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
