//! Add, Sub, Mul, Div: of two tensors, or of a tensor and a constant, with broadcasting.

use crate::{
    graph::{NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::broadcast,
        build::{Builder, Value, finite},
    },
};

pub(super) fn add(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(a), Value::Node(b)) => sum(ctx, node, a, b, false),
        (Value::Node(x), Value::Constant(_)) => affine(ctx, node, x, 1, |c| (1.0, c)),
        (_, Value::Node(x)) => affine(ctx, node, x, 0, |c| (1.0, c)),
        _ => Err(too_large(node)),
    }
}

pub(super) fn sub(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(a), Value::Node(b)) => sum(ctx, node, a, b, true),
        (Value::Node(x), Value::Constant(_)) => affine(ctx, node, x, 1, |c| (1.0, -c)),
        (_, Value::Node(x)) => affine(ctx, node, x, 0, |c| (-1.0, c)),
        _ => Err(too_large(node)),
    }
}

pub(super) fn mul(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(_), Value::Node(_)) => Err(node.not_constant("one of the factors")),
        (Value::Node(x), Value::Constant(_)) => affine(ctx, node, x, 1, |c| (c, 0.0)),
        (_, Value::Node(x)) => affine(ctx, node, x, 0, |c| (c, 0.0)),
        _ => Err(too_large(node)),
    }
}

pub(super) fn div(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (_, Value::Node(_)) => Err(node.not_constant("the divisor")),
        (Value::Node(x), Value::Constant(_)) => affine(ctx, node, x, 1, |c| (1.0 / c, 0.0)),
        _ => Err(too_large(node)),
    }
}

fn too_large(node: &NodeView) -> ImportError {
    node.form("arithmetic on constants beyond the folding limit; simplify the model at export")
}

/// `x · scale + offset`, with both computed from constant operand `at`.
fn affine(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    at: usize,
    f: fn(f32) -> (f32, f32),
) -> Result<(), ImportError> {
    let constant = ctx.constant(node, at, "an operand")?;
    let shape = ctx.output_shape(node, 0)?;
    let values = finite(node, &constant)?;
    let map = broadcast(constant.shape(), &shape)
        .ok_or_else(|| node.form("the operands' shapes do not broadcast"))?;
    let values = ctx.per_item(node, map.into_iter().map(|i| values[i]).collect())?;
    let (scale, offset): (Vec<f32>, Vec<f32>) = values.into_iter().map(f).unzip();
    if scale.iter().any(|s| !s.is_finite()) {
        return Err(node.form("the divisor holds zeros"));
    }
    let x = expand(ctx, node, x, &shape)?;
    ctx.define(node, x, shape, Op::Affine { scale, offset })
}

fn sum(
    ctx: &mut Builder,
    node: &NodeView,
    a: NodeId,
    b: NodeId,
    subtract: bool,
) -> Result<(), ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    let (a, b) = (expand(ctx, node, a, &shape)?, expand(ctx, node, b, &shape)?);
    let id = ctx.push(node.name(), vec![a, b], shape, Op::Add { subtract });
    ctx.assign(node, Value::Node(id))
}

/// Broadcasts a tensor.
fn expand(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    shape: &[usize],
) -> Result<NodeId, ImportError> {
    let from = ctx.shape(x).to_vec();
    if from.iter().product::<usize>() == shape.iter().product::<usize>() {
        return Ok(x);
    }
    let map = broadcast(&from, shape)
        .ok_or_else(|| node.form("the operands' shapes do not broadcast"))?;
    let cells = map.into_iter().map(|i| Some((0, i as u32))).collect();
    ctx.rearrange(node, vec![x], shape.to_vec(), cells)
}
