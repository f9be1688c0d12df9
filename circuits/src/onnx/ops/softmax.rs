//! Softmax and LogSoftmax, from maxima, exponentials, sums and products.
//!
//! ```text
//! d = x - max x,   e = exp(d),   s = Σ e
//! softmax = e · (1/s),   log softmax = d - ln s
//! ```

use super::{
    elementwise::expand,
    reduce::{Core, reduced},
};
use crate::{
    graph::{Activation, NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value},
    },
};

/// Since opset 13 over one axis, the last; before, over all axes from one on, the second.
pub(super) fn softmax(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let is_new = ctx.opset() >= 13;
    let default = if is_new { -1 } else { 1 };
    let axis = node.axis(node.int("axis").unwrap_or(default), shape.len())?;
    let axes: Vec<usize> = if is_new {
        vec![axis]
    } else {
        (axis..shape.len()).collect()
    };
    if node.op() == "LogSoftmax" {
        let (distance, e) = exponentials(ctx, node, x, &axes)?;
        let sum = reduced(ctx, node, e, &axes, Core::Sum, kept(&shape, &axes))?;
        let log = ctx.activation(node, sum, Activation::Log);
        let log = expand(ctx, node, log, &shape)?;
        let op = Op::Add { subtract: true };
        let id = ctx.push(node.name(), vec![distance, log], shape, op);
        return ctx.assign(node, Value::Node(id));
    }
    let id = softmax_of(ctx, node, x, &axes, None)?;
    ctx.assign(node, Value::Node(id))
}

/// Appends the softmax over some axes; with a mask of zeros and ones, over what it leaves.
pub(in crate::onnx) fn softmax_of(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    axes: &[usize],
    mask: Option<NodeId>,
) -> Result<NodeId, ImportError> {
    let shape = ctx.shape(x).to_vec();
    let (_, mut e) = exponentials(ctx, node, x, axes)?;
    if let Some(mask) = mask {
        e = ctx.push(node.name(), vec![e, mask], shape.clone(), Op::Mul);
    }
    let sum = reduced(ctx, node, e, axes, Core::Sum, kept(&shape, axes))?;
    let share = ctx.activation(node, sum, Activation::Reciprocal);
    let share = expand(ctx, node, share, &shape)?;
    Ok(ctx.push(node.name(), vec![e, share], shape, Op::Mul))
}

/// Appends distances from the maximum, and their exponentials.
fn exponentials(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    axes: &[usize],
) -> Result<(NodeId, NodeId), ImportError> {
    let shape = ctx.shape(x).to_vec();
    let top = reduced(ctx, node, x, axes, Core::Max, kept(&shape, axes))?;
    let top = expand(ctx, node, top, &shape)?;
    let op = Op::Add { subtract: true };
    let distance = ctx.push(node.name(), vec![x, top], shape, op);
    let e = ctx.activation(node, distance, Activation::Exp);
    Ok((distance, e))
}

/// A shape with some axes reduced to one element.
fn kept(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let mut kept = shape.to_vec();
    axes.iter().for_each(|&axis| kept[axis] = 1);
    kept
}
