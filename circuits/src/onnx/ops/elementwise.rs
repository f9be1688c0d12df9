//! Arithmetic of two or more tensors, each computed or constant, with broadcasting.

use std::sync::Arc;

use tract_onnx::prelude::Tensor;

use crate::{
    graph::{Activation, Function, NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::broadcast,
        build::{Builder, Value, finite},
    },
};

pub(super) fn add(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    fold(ctx, node, |ctx, a, b| match (a, b) {
        (Value::Node(a), Value::Node(b)) => sum(ctx, node, a, b, false),
        (Value::Node(x), Value::Constant(c)) | (Value::Constant(c), Value::Node(x)) => {
            affine(ctx, node, x, &c, |c| (1.0, c))
        }
        _ => Err(too_large(node)),
    })
}

pub(super) fn sub(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let id = match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(a), Value::Node(b)) => sum(ctx, node, a, b, true),
        (Value::Node(x), Value::Constant(c)) => affine(ctx, node, x, &c, |c| (1.0, -c)),
        (Value::Constant(c), Value::Node(x)) => affine(ctx, node, x, &c, |c| (-1.0, c)),
        _ => Err(too_large(node)),
    }?;
    ctx.assign(node, Value::Node(id))
}

pub(super) fn mul(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let id = match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(a), Value::Node(b)) => product(ctx, node, a, b, |g| g),
        (Value::Node(x), Value::Constant(c)) | (Value::Constant(c), Value::Node(x)) => {
            affine(ctx, node, x, &c, |c| (c, 0.0))
        }
        _ => Err(too_large(node)),
    }?;
    ctx.assign(node, Value::Node(id))
}

pub(super) fn div(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let id = match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(a), Value::Node(b)) => product(ctx, node, a, b, |g| {
            Arc::new(Function::Of(Activation::Reciprocal, g))
        }),
        (Value::Node(x), Value::Constant(c)) => affine(ctx, node, x, &c, |c| (1.0 / c, 0.0)),
        (Value::Constant(c), Value::Node(x)) => {
            let x = ctx.activation(node, x, Activation::Reciprocal);
            affine(ctx, node, x, &c, |c| (c, 0.0))
        }
        _ => Err(too_large(node)),
    }?;
    ctx.assign(node, Value::Node(id))
}

pub(super) fn mean(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    add(ctx, node)?;
    let count = node.inputs().len();
    if let Some(sum) = ctx.defined(node) {
        let id = ctx.affine(node, sum, 1.0 / count as f32, 0.0);
        ctx.assign(node, Value::Node(id))?;
    }
    Ok(())
}

/// `max(a, b) = b + relu(a - b)`; with one number a clamp.
pub(super) fn max(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    extremum(ctx, node, false)
}

/// `min(a, b) = a - relu(a - b)`; with one number a clamp.
pub(super) fn min(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    extremum(ctx, node, true)
}

fn extremum(ctx: &mut Builder, node: &NodeView, least: bool) -> Result<(), ImportError> {
    fold(ctx, node, |ctx, a, b| match (a, b) {
        (Value::Node(a), Value::Node(b)) => {
            let shape = ctx.output_shape(node, 0)?;
            let (a, b) = (expand(ctx, node, a, &shape)?, expand(ctx, node, b, &shape)?);
            let over = sum(ctx, node, a, b, true)?;
            let over = ctx.activation(node, over, Activation::RELU);
            if least {
                sum(ctx, node, a, over, true)
            } else {
                sum(ctx, node, b, over, false)
            }
        }
        (Value::Node(x), Value::Constant(c)) | (Value::Constant(c), Value::Node(x)) => {
            let values = finite(node, &c)?;
            if let Some(&bound) = values.first().filter(|&&v| values.iter().all(|&w| w == v)) {
                let shape = ctx.output_shape(node, 0)?;
                let x = expand(ctx, node, x, &shape)?;
                let (lo, hi) = if least {
                    (f32::NEG_INFINITY, bound)
                } else {
                    (bound, f32::INFINITY)
                };
                return Ok(ctx.activation(node, x, Activation::Clip { lo, hi }));
            }
            // ±relu(±(x - c)) + c
            let shifted: fn(f32) -> (f32, f32) = if least { |c| (-1.0, c) } else { |c| (1.0, -c) };
            let back: fn(f32) -> (f32, f32) = if least { |c| (-1.0, c) } else { |c| (1.0, c) };
            let x = affine(ctx, node, x, &c, shifted)?;
            let x = ctx.activation(node, x, Activation::RELU);
            affine(ctx, node, x, &c, back)
        }
        _ => Err(too_large(node)),
    })
}

pub(super) fn neg(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let id = ctx.affine(node, x, -1.0, 0.0);
    ctx.assign(node, Value::Node(id))
}

/// `x` where positive, else `slope · x`: `relu(x) + slope · min(x, 0)`, one number being a LeakyRelu.
pub(super) fn prelu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let slope = ctx.constant(node, 1, "the slope")?;
    let values = finite(node, &slope)?;
    if let Some(&alpha) = values.first().filter(|&&v| values.iter().all(|&w| w == v)) {
        let id = ctx.activation(node, x, Activation::LeakyRelu { alpha });
        return ctx.assign(node, Value::Node(id));
    }
    let positive = ctx.activation(node, x, Activation::RELU);
    let (lo, hi) = (f32::NEG_INFINITY, 0.0);
    let negative = ctx.activation(node, x, Activation::Clip { lo, hi });
    let negative = affine(ctx, node, negative, &slope, |c| (c, 0.0))?;
    let id = sum(ctx, node, positive, negative, false)?;
    ctx.assign(node, Value::Node(id))
}

/// Chooses by a constant condition.
pub(super) fn choose(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let condition = ctx.constant(node, 0, "the condition")?;
    let shape = ctx.output_shape(node, 0)?;
    let misfit = || node.form("the operands' shapes do not broadcast");
    let flags = finite(node, &condition)?;
    let flags: Vec<bool> = broadcast(condition.shape(), &shape)
        .ok_or_else(misfit)?
        .into_iter()
        .map(|i| flags[i] != 0.0)
        .collect();
    let mut inputs = Vec::new();
    let mut cells = vec![None; flags.len()];
    let mut constants = vec![0.0; flags.len()];
    for (i, chosen) in [(1, true), (2, false)] {
        let value = ctx.value(node, i)?;
        let (from, values) = match &value {
            Value::Node(id) => (ctx.shape(*id).to_vec(), Vec::new()),
            Value::Constant(tensor) => (tensor.shape().to_vec(), finite(node, tensor)?),
        };
        let map = broadcast(&from, &shape).ok_or_else(misfit)?;
        for (at, element) in map.into_iter().enumerate() {
            if flags[at] == chosen {
                match value {
                    Value::Node(_) => cells[at] = Some((inputs.len() as u32, element as u32)),
                    Value::Constant(_) => constants[at] = values[element],
                }
            }
        }
        if let Value::Node(id) = value {
            inputs.push(id);
        }
    }
    let mut id = ctx.rearrange(node, inputs, shape.clone(), cells)?;
    if constants.iter().any(|&c| c != 0.0) {
        let offset = ctx.per_item(node, constants)?;
        let scale = vec![1.0; offset.len()];
        id = ctx.push(node.name(), vec![id], shape, Op::Affine { scale, offset });
    }
    ctx.assign(node, Value::Node(id))
}

fn too_large(node: &NodeView) -> ImportError {
    node.form("arithmetic on constants beyond the folding limit; simplify the model at export")
}

/// All operands, from left to right.
fn fold(
    ctx: &mut Builder,
    node: &NodeView,
    f: impl Fn(&mut Builder, Value, Value) -> Result<NodeId, ImportError>,
) -> Result<(), ImportError> {
    let mut all = ctx.value(node, 0)?;
    for i in 1..node.inputs().len() {
        let next = ctx.value(node, i)?;
        all = Value::Node(f(ctx, all, next)?);
    }
    ctx.assign(node, all)
}

/// `a · g(b)`: one function where both factors are functions of one tensor, a product of two tensors elsewhere.
fn product(
    ctx: &mut Builder,
    node: &NodeView,
    a: NodeId,
    b: NodeId,
    g: impl Fn(Arc<Function>) -> Arc<Function>,
) -> Result<NodeId, ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    if let Some((root, first, second)) = ctx.common_argument(a, b) {
        let function = Arc::new(Function::Product(first, g(second)));
        let op = Op::Activation(Activation::Composed(function));
        return Ok(ctx.push(node.name(), vec![root], shape, op));
    }
    let b = match g(Arc::new(Function::Argument)).as_ref() {
        Function::Of(f, _) => ctx.activation(node, b, f.clone()),
        _ => b,
    };
    let (a, b) = (expand(ctx, node, a, &shape)?, expand(ctx, node, b, &shape)?);
    Ok(ctx.push(node.name(), vec![a, b], shape, Op::Mul))
}

/// `x · scale + offset`, with both computed from a constant.
fn affine(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    constant: &Tensor,
    f: fn(f32) -> (f32, f32),
) -> Result<NodeId, ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    let values = finite(node, constant)?;
    let map = broadcast(constant.shape(), &shape)
        .ok_or_else(|| node.form("the operands' shapes do not broadcast"))?;
    let values = ctx.per_item(node, map.into_iter().map(|i| values[i]).collect())?;
    let (scale, offset): (Vec<f32>, Vec<f32>) = values.into_iter().map(f).unzip();
    if scale.iter().any(|s| !s.is_finite()) {
        return Err(node.form("the divisor holds zeros"));
    }
    let x = expand(ctx, node, x, &shape)?;
    Ok(ctx.push(node.name(), vec![x], shape, Op::Affine { scale, offset }))
}

fn sum(
    ctx: &mut Builder,
    node: &NodeView,
    a: NodeId,
    b: NodeId,
    subtract: bool,
) -> Result<NodeId, ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    let (a, b) = (expand(ctx, node, a, &shape)?, expand(ctx, node, b, &shape)?);
    Ok(ctx.push(node.name(), vec![a, b], shape, Op::Add { subtract }))
}

/// Broadcasts a tensor.
pub(in crate::onnx) fn expand(
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
