//! `QuantizeLinear`: what it rounds decides how. The patterns are those that ONNX Runtime fuses, and more of their kind.

use super::{
    constants::{IntegerConstant, IntegerType, grid},
    layers::{self, Side},
    linear::{Bias, Linear},
};
use crate::{
    graph::{Activation, Grid, NodeId, Op, PoolKind, Quantized, QuantizedOp},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, finite, floats},
    },
};

/// Functions in a row that one table takes on.
const MAX_STEPS: usize = 16;

/// A grid, and the centred integers of it that a tensor is clamped to.
type Target = (Grid, (i64, i64));

pub(super) fn quantize(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let to = grid(ctx, node, 1, 2)?;
    let id = ctx.node(node, 0)?;
    let name = node.input(0).unwrap_or_default();
    if ctx.integers.grids.contains_key(name) {
        return Err(node.form("its operand holds integers already"));
    }
    let id = fused(ctx, node, name, id, to)?;
    ctx.assign_integers(node, id, to)
}

/// The integers of a real tensor `name`, node `id`, exactly where they follow from other integers.
fn fused(
    ctx: &mut Builder,
    node: &NodeView,
    name: &str,
    id: NodeId,
    to: Grid,
) -> Result<NodeId, ImportError> {
    let (inner, clip) = peeled(ctx, name, to);
    let target = (to, clip);
    if let Some(id) = layer(ctx, inner, Some(target))? {
        return Ok(id);
    }
    let under = ctx.node_of(inner).unwrap_or(id);
    let global = ctx
        .integers
        .producer(inner)
        .is_some_and(|node| node.op() == "GlobalAveragePool");
    if let Some(id) = pair(ctx, inner, under, target)? {
        return Ok(id);
    }
    if let Op::Pool(pool) = ctx.graph.nodes[under].op.clone() {
        let x = ctx.graph.nodes[under].inputs[0];
        if let (PoolKind::Average { .. }, Some(from)) = (pool.kind, ctx.narrow_grid(x)) {
            let shape = ctx.shape(under).to_vec();
            return layers::mean(ctx, node, (x, from), (pool, shape), global, target);
        }
    }
    if let Some(from) = ctx.narrow_grid(under) {
        return Ok(layers::requantize(ctx, node, (under, from), target));
    }
    if let Some(id) = layers::rearranged(ctx, node, under, target) {
        return Ok(id);
    }
    if let Some((x, from, steps)) = steps(ctx, id) {
        let f = |v: f32| steps.iter().rev().fold(v, |v, step| step.eval(v));
        return Ok(layers::function(ctx, node, (x, from), &f, (to, to.ends())));
    }
    let rounded = Quantized {
        op: QuantizedOp::Round,
        from: Vec::new(),
        to,
        clip: to.ends(),
    };
    let shape = ctx.shape(id).to_vec();
    Ok(ctx.push_quantized(node, vec![id], shape, rounded))
}

/// What stands under Relu and Clip, and the integers that these leave: rounding is monotone, so that it may come first.
fn peeled<'a>(ctx: &Builder<'a>, name: &'a str, to: Grid) -> (&'a str, (i64, i64)) {
    let (mut name, mut clip) = (name, to.ends());
    for _ in 0..MAX_STEPS {
        let Some(node) = ctx.integers.producer(name) else {
            break;
        };
        let bounds = match node.op().as_str() {
            "Relu" => Some((0.0, f32::INFINITY)),
            "Clip" => bounds(ctx, &node),
            _ => None,
        };
        let (Some((lo, hi)), Some(inner)) = (bounds, node.input(0)) else {
            break;
        };
        // The inner clamp's ends, clamped by the outer ones.
        let end = |v: f32| to.nearest(v).value.clamp(clip.0, clip.1);
        clip = (end(lo), end(hi));
        name = inner;
    }
    (name, clip)
}

/// The bounds of a Clip, where they are constants.
fn bounds(ctx: &Builder, node: &NodeView) -> Option<(f32, f32)> {
    let bound = |i: usize, attribute: &str, default: f32| -> Option<f32> {
        if let Some(value) = node.float(attribute) {
            return Some(value);
        }
        match ctx.optional(node, i, "a bound").ok()? {
            None => Some(default),
            Some(tensor) => floats(node, &tensor).ok()?.first().copied(),
        }
    };
    let lo = bound(1, "min", f32::NEG_INFINITY)?;
    let hi = bound(2, "max", f32::INFINITY)?;
    (lo <= hi).then_some((lo, hi))
}

/// The integers of the tensor `name`, node and grid, where it is a dequantized one.
fn on_grid(ctx: &Builder, name: &str) -> Option<(NodeId, Grid)> {
    let id = ctx.node_of(name)?;
    Some((id, ctx.narrow_grid(id)?))
}

/// A convolution or product with integer weights. Without a target its sums as they are, where they have one scale.
fn layer(
    ctx: &mut Builder,
    name: &str,
    target: Option<Target>,
) -> Result<Option<NodeId>, ImportError> {
    let Some(node) = ctx.integers.producer(name) else {
        return Ok(None);
    };
    let (layer, bias) = match node.op().as_str() {
        "Conv" | "Gemm" => (node, node.input(2)),
        "MatMul" => (node, None),
        "Add" => match added(ctx, &node) {
            Some((product, bias)) => (product, Some(bias)),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let (Some(x), Some(w)) = (layer.input(0), layer.input(1)) else {
        return Ok(None);
    };
    let Some((x, from)) = on_grid(ctx, x) else {
        return Ok(None);
    };
    let Some(mut weights) = IntegerConstant::of(ctx, w)? else {
        return Ok(None);
    };
    let flag = |attribute: &str| layer.int(attribute).unwrap_or(0) != 0;
    let gemm = layer.op() == "Gemm";
    if gemm && (flag("transA") || layer.float("beta").unwrap_or(1.0) != 1.0) {
        return Ok(None);
    }
    if gemm && flag("transB") && weights.shape.len() == 2 {
        weights = weights.transposed();
    }
    let alpha = if gemm {
        layer.float("alpha").unwrap_or(1.0)
    } else {
        1.0
    };
    let plain = IntegerType::I32.plain_grid();
    let (to, clip) = target.unwrap_or((plain, plain.ends()));
    let mut linear = Linear {
        node: layer,
        x,
        from,
        weights,
        bias: Bias::None,
        alpha,
        to,
        clip,
    };
    if let Some(bias) = bias {
        match bias_of(ctx, &node, bias, &linear)? {
            Some(bias) => linear.bias = bias,
            None => return Ok(None),
        }
    }
    if target.is_none() {
        if linear.weights.scales.len() != 1 || matches!(linear.bias, Bias::Reals(_)) {
            return Ok(None);
        }
        linear.to.scale = linear.sum_scale(0);
    }
    match layer.op().as_str() {
        "Conv" => linear.conv(ctx).map(Some),
        _ => linear.matmul(ctx).map(Some),
    }
}

/// The sums of a layer with integer weights that is an output in real numbers: integers, too, and exact.
pub(super) fn real_output(ctx: &mut Builder, name: &str) -> Result<Option<NodeId>, ImportError> {
    match ctx.node_of(name) {
        Some(id) if ctx.graph.grid(id).is_none() => layer(ctx, name, None),
        _ => Ok(None),
    }
}

/// The product and the constant that an Add joins.
fn added<'a>(ctx: &Builder<'a>, node: &NodeView<'a>) -> Option<(NodeView<'a>, &'a str)> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let product = |name: &str| {
        let node = ctx.integers.producer(name)?;
        (node.op() == "MatMul").then_some(node)
    };
    let constant = |name: &str| ctx.node_of(name).is_none();
    match (product(a), product(b)) {
        (Some(product), None) if constant(b) => Some((product, b)),
        (None, Some(product)) if constant(a) => Some((product, a)),
        _ => None,
    }
}

/// A bias: integers on the scale of the sums, or real numbers.
fn bias_of(
    ctx: &Builder,
    node: &NodeView,
    name: &str,
    linear: &Linear,
) -> Result<Option<Bias>, ImportError> {
    let Some(Value::Constant(tensor)) = ctx.value_of(name) else {
        return Ok(None);
    };
    if let Some(constant) = IntegerConstant::exact(ctx, name)? {
        let (integers, scales) = constant;
        for (i, &scale) in scales.iter().enumerate() {
            let sums = linear.sum_scale(i);
            if (scale - sums).abs() > 1e-5 * sums.abs() {
                return Err(node.form(format!(
                    "its bias has scale {scale}, its sums {sums}; quantize the bias with the product of the other scales"
                )));
            }
        }
        return Ok(Some(Bias::Integers(integers)));
    }
    Ok(Some(Bias::Reals(finite(node, &tensor)?)))
}

/// A sum, difference or product of two tensors on grids, or of one and a constant on a grid.
fn pair(
    ctx: &mut Builder,
    name: &str,
    under: NodeId,
    target: Target,
) -> Result<Option<NodeId>, ImportError> {
    let Some(node) = ctx.integers.producer(name) else {
        return Ok(None);
    };
    let op = node.op();
    if !matches!(op.as_str(), "Add" | "Sub" | "Mul") || node.inputs().len() != 2 {
        return Ok(None);
    }
    // A product of functions of one tensor is a table.
    if matches!(ctx.graph.nodes[under].op, Op::Activation(_)) {
        return Ok(None);
    }
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else {
        return Ok(None);
    };
    let (Some(a), Some(b)) = (side(ctx, a)?, side(ctx, b)?) else {
        return Ok(None);
    };
    let scaled = |side: &Side| matches!(side, Side::Constant(c) if c.scales.len() != 1);
    if scaled(&a) || scaled(&b) {
        return Ok(None);
    }
    let sides = [a, b];
    let id = match op.as_str() {
        "Add" => layers::add(ctx, &node, sides, 1.0, target)?,
        "Sub" => layers::add(ctx, &node, sides, -1.0, target)?,
        _ => layers::mul(ctx, &node, sides, target)?,
    };
    Ok(Some(id))
}

fn side(ctx: &Builder, name: &str) -> Result<Option<Side>, ImportError> {
    Ok(match on_grid(ctx, name) {
        Some((id, grid)) => Some(Side::Node(id, grid)),
        None => IntegerConstant::of(ctx, name)?.map(Side::Constant),
    })
}

/// A step of a function of one element, in float32.
enum Step {
    Function(Activation),
    Affine(f32, f32),
}

impl Step {
    fn eval(&self, v: f32) -> f32 {
        match self {
            Step::Function(f) => f.extended(f64::from(v)) as f32,
            Step::Affine(scale, offset) => v * scale + offset,
        }
    }
}

/// The tensor on a grid that `id` is a function of, element by element, and the steps from there, last one first.
fn steps(ctx: &Builder, id: NodeId) -> Option<(NodeId, Grid, Vec<Step>)> {
    let (mut at, mut steps) = (id, Vec::new());
    for _ in 0..MAX_STEPS {
        if let Some(grid) = ctx.narrow_grid(at) {
            return Some((at, grid, steps));
        }
        let node = &ctx.graph.nodes[at];
        steps.push(match &node.op {
            Op::Activation(f) => Step::Function(f.clone()),
            Op::Affine { scale, offset } => {
                let uniform = |v: &[f32]| v.iter().all(|x| x == &v[0]).then_some(v[0]);
                Step::Affine(uniform(scale)?, uniform(offset)?)
            }
            _ => return None,
        });
        at = node.inputs[0];
    }
    None
}
