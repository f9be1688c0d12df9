//! One importer an operator, in files by family.

mod activation;
mod argmax;
mod arithmetic;
mod attention;
mod compose;
mod conv;
mod conv_transpose;
mod einsum;
pub(super) mod elementwise;
mod embedding;
mod grid;
mod hints;
mod indexing;
mod logic;
mod loss;
mod mask;
mod matmul;
mod norm;
mod normalize;
pub(super) mod pool;
mod recurrent;
mod reduce;
mod resize;
mod scatter;
mod selection;
pub(super) mod shape;
mod softmax;
pub(super) mod spatial;

pub(super) use argmax::{check_argmax, computed_with};
pub(super) use elementwise::expand as broadcast_to;
pub(super) use reduce::{Core, reduced};
pub(super) use softmax::{masked as masked_softmax, over as softmax_over};

use std::collections::HashSet;

use tract_onnx::pb::GraphProto;

use super::{ImportError, attributes::NodeView, build::Builder, ml};

/// Turns one ONNX node into nodes of the float graph.
pub(super) type Importer = fn(&mut Builder, &NodeView) -> Result<(), ImportError>;

/// Every operator that may depend on the input.
pub(super) const OPERATORS: &[(&str, Importer)] = &[
    ("Abs", activation::plain),
    ("Acos", activation::plain),
    ("Acosh", activation::plain),
    ("Add", elementwise::add),
    ("AffineGrid", grid::affine_grid),
    ("And", logic::connect),
    ("ArgMax", argmax::argmax),
    ("ArgMin", selection::index),
    ("Asin", activation::plain),
    ("Asinh", activation::plain),
    ("Atan", activation::plain),
    ("Atanh", activation::plain),
    ("Attention", attention::attention),
    ("AveragePool", pool::average),
    ("BatchNormalization", norm::batch),
    ("Cast", logic::cast),
    ("CastLike", logic::cast),
    ("Ceil", activation::plain),
    ("Celu", activation::celu),
    ("CenterCropPad", scatter::center),
    ("Clip", activation::clip),
    ("Col2Im", grid::columns_to_image),
    ("Compress", selection::compress),
    ("Concat", shape::concat),
    ("Constant", shape::constant),
    ("Conv", conv::conv),
    ("ConvTranspose", conv_transpose::conv_transpose),
    ("Cos", activation::plain),
    ("Cosh", activation::plain),
    ("CumProd", arithmetic::cumulative_product),
    ("CumSum", reduce::cumulative_sum),
    ("DepthToSpace", indexing::depth_to_space),
    ("Div", elementwise::div),
    ("Dropout", shape::dropout),
    ("Einsum", einsum::einsum),
    ("Elu", activation::elu),
    ("Equal", logic::compare),
    ("Erf", activation::plain),
    ("Exp", activation::plain),
    ("Expand", indexing::expand),
    ("EyeLike", scatter::eye),
    ("Flatten", shape::reshape),
    ("Floor", activation::plain),
    ("Gather", indexing::gather),
    ("GatherElements", indexing::gather_elements),
    ("GatherND", scatter::gather_nd),
    ("Gelu", activation::gelu),
    ("Gemm", matmul::gemm),
    ("GlobalAveragePool", pool::global_average),
    ("GlobalLpPool", pool::lp),
    ("GlobalMaxPool", pool::global_max),
    ("Greater", logic::compare),
    ("GreaterOrEqual", logic::compare),
    ("GridSample", grid::grid_sample),
    ("GroupNormalization", normalize::group),
    ("GRU", recurrent::recurrent),
    ("Hardmax", selection::hardmax),
    ("HardSigmoid", activation::hard_sigmoid),
    ("HardSwish", activation::plain),
    ("Identity", shape::identity),
    ("InstanceNormalization", normalize::group),
    ("IsInf", logic::never),
    ("IsNaN", logic::never),
    ("LayerNormalization", normalize::layer),
    ("LeakyRelu", activation::leaky_relu),
    ("Less", logic::compare),
    ("LessOrEqual", logic::compare),
    ("Log", activation::plain),
    ("LogSoftmax", softmax::softmax),
    ("LpNormalization", normalize::lp),
    ("LpPool", pool::lp),
    ("LRN", normalize::local_response),
    ("LSTM", recurrent::recurrent),
    ("MatMul", matmul::matmul),
    ("Max", elementwise::max),
    ("MaxPool", pool::max),
    ("MaxUnpool", scatter::unpool),
    ("Mean", elementwise::mean),
    ("MeanVarianceNormalization", normalize::mean_variance),
    ("Min", elementwise::min),
    ("Mish", activation::plain),
    ("Mod", arithmetic::modulo),
    ("Mul", elementwise::mul),
    ("Neg", elementwise::neg),
    ("NegativeLogLikelihoodLoss", loss::negative_log_likelihood),
    ("Not", logic::not),
    ("OneHot", selection::one_hot),
    ("Or", logic::connect),
    ("Pad", shape::pad),
    ("Pow", activation::pow),
    ("PRelu", elementwise::prelu),
    ("Reciprocal", activation::plain),
    ("ReduceL1", reduce::reduce),
    ("ReduceL2", reduce::reduce),
    ("ReduceLogSum", reduce::reduce),
    ("ReduceLogSumExp", reduce::reduce),
    ("ReduceMax", reduce::reduce),
    ("ReduceMean", reduce::reduce),
    ("ReduceMin", reduce::reduce),
    ("ReduceProd", arithmetic::reduce_product),
    ("ReduceSum", reduce::reduce),
    ("ReduceSumSquare", reduce::reduce),
    ("Relu", activation::plain),
    ("Reshape", shape::reshape),
    ("Resize", resize::resize),
    ("ReverseSequence", scatter::reverse),
    ("RMSNormalization", normalize::layer),
    ("RNN", recurrent::recurrent),
    ("RotaryEmbedding", attention::rotary),
    ("Round", activation::plain),
    ("Scatter", scatter::elements),
    ("ScatterElements", scatter::elements),
    ("ScatterND", scatter::nd),
    ("Selu", activation::selu),
    ("Shrink", activation::shrink),
    ("Sigmoid", activation::plain),
    ("Sign", activation::plain),
    ("Sin", activation::plain),
    ("Sinh", activation::plain),
    ("Slice", indexing::slice),
    ("Softmax", softmax::softmax),
    ("SoftmaxCrossEntropyLoss", loss::cross_entropy),
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
    ("TensorScatter", scatter::cache),
    ("ThresholdedRelu", activation::thresholded_relu),
    ("Tile", indexing::tile),
    ("TopK", selection::top_k),
    ("Transpose", shape::transpose),
    ("Trilu", indexing::trilu),
    ("Unsqueeze", shape::reshape),
    ("Upsample", scatter::upsample),
    ("Where", elementwise::choose),
    ("Xor", logic::connect),
];

/// Operators that may also appear among constants, where `tract` folds them away.
const FOLDABLE: &[&str] = &[
    "BlackmanWindow",
    "ConstantOfShape",
    "HammingWindow",
    "HannWindow",
    "NonZero",
    "Range",
    "Shape",
    "Size",
];

/// Every operator: ONNX's own, those of `ai.onnx.ml`, the quantized ones.
pub(super) fn all() -> impl Iterator<Item = &'static (&'static str, Importer)> {
    OPERATORS
        .iter()
        .chain(ml::OPERATORS)
        .chain(super::quantized::OPERATORS)
}

/// The importer of a node's operator.
pub(super) fn importer(node: &NodeView) -> Result<Importer, ImportError> {
    let op = node.op();
    all()
        .find(|(name, _)| *name == op)
        .map(|(_, importer)| *importer)
        .ok_or_else(|| unsupported(node))
}

fn unsupported(node: &NodeView) -> ImportError {
    ImportError::Unsupported {
        node: node.name().to_owned(),
        op: node.op(),
        hint: hints::hint(&node.op()),
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
        let fixed = ["Shape", "Size"].contains(&node.op().as_str())
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
