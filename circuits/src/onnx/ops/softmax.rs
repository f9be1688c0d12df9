//! Softmax and LogSoftmax, from maxima, exponentials, sums and products.
//!
//! ```text
//! d = x - max x,   e = exp(d),   s = Σ e
//! softmax = e · (1/s),   log softmax = d - ln s
//! ```
//!
//! Elements that a mask leaves out have `e = 0`; where it leaves out all of them, so is the softmax.

use super::{
    compose::{minus, times},
    elementwise::expand,
    reduce::{Core, reduced},
};
use crate::{
    graph::{Activation, Cell, NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::{for_each_index, strides},
        build::{Builder, Value},
    },
};

/// Since opset 13 over one axis, the last; before, over all axes from one on, the second.
pub(super) fn softmax(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let rank = ctx.shape(x).len();
    let is_new = ctx.opset() >= 13;
    let default = if is_new { -1 } else { 1 };
    let axis = node.axis(node.int("axis").unwrap_or(default), rank)?;
    let axes: Vec<usize> = if is_new {
        vec![axis]
    } else {
        (axis..rank).collect()
    };
    let id = over(ctx, node, x, &axes, node.op() == "LogSoftmax")?;
    ctx.assign(node, Value::Node(id))
}

/// Softmax over some axes, or its logarithm.
pub(in crate::onnx) fn over(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    axes: &[usize],
    log: bool,
) -> Result<NodeId, ImportError> {
    let shape = ctx.shape(x).to_vec();
    let mut one = shape.clone();
    axes.iter().for_each(|&axis| one[axis] = 1);
    let mask = ctx.left_out(x).map(<[bool]>::to_vec);
    let seen = match &mask {
        None => x,
        Some(_) if log => return Err(node.form("the logarithm of a masked softmax is infinite")),
        Some(left_out) => {
            let cells = stand_ins(&shape, &one, left_out, ctx.batch());
            let seen = ctx.push(node.name(), vec![x], shape.clone(), Op::Rearrange(cells));
            ctx.may_read(x, seen);
            seen
        }
    };
    let top = reduced(ctx, node, seen, axes, Core::Max, one.clone())?;
    // What is left out takes another's distance, so that its own does not stretch the range.
    let distance = minus(ctx, node, Value::Node(seen), Value::Node(top))?;
    let mut e = ctx.activation(node, distance, Activation::Exp);
    if let Some(left_out) = &mask {
        let scale: Vec<f32> = left_out.iter().map(|&out| f32::from(!out)).collect();
        let offset = vec![0.0; scale.len()];
        let op = Op::Affine { scale, offset };
        e = ctx.push(node.name(), vec![e], shape.clone(), op);
    }
    let mut sum = reduced(ctx, node, e, axes, Core::Sum, one.clone())?;
    if log {
        let log = ctx.activation(node, sum, Activation::Log);
        let log = expand(ctx, node, log, &shape)?;
        return minus(ctx, node, Value::Node(distance), Value::Node(log));
    }
    if let Some(left_out) = &mask {
        // Nothing is left of some groups: 1/s must be finite there.
        let mut offset = vec![1.0; one.iter().product::<usize>() / ctx.batch()];
        for (element, group) in groups(&shape, &one)
            .into_iter()
            .take(left_out.len())
            .enumerate()
        {
            if !left_out[element] {
                offset[group] = 0.0;
            }
        }
        if offset.contains(&1.0) {
            let scale = vec![1.0; offset.len()];
            sum = ctx.push(node.name(), vec![sum], one, Op::Affine { scale, offset });
        }
    }
    let share = ctx.activation(node, sum, Activation::Reciprocal);
    times(ctx, node, e, Value::Node(share))
}

/// The element of a reduced tensor that each element of `shape` belongs to.
fn groups(shape: &[usize], one: &[usize]) -> Vec<usize> {
    let steps = strides(one);
    let mut of = Vec::with_capacity(shape.iter().product());
    for_each_index(shape, |index| {
        let kept = index.iter().zip(one).zip(&steps);
        of.push(kept.map(|((i, size), step)| i % size * step).sum());
    });
    of
}

/// Every element of an item, but in place of those left out one of the same group that is not.
fn stand_ins(shape: &[usize], one: &[usize], left_out: &[bool], batch: usize) -> Vec<Cell> {
    let of = groups(shape, one);
    let mut first = vec![None; one.iter().product::<usize>() / batch];
    for (element, &out) in left_out.iter().enumerate() {
        if !out {
            first[of[element]].get_or_insert(element);
        }
    }
    let cell = |(element, &out): (usize, &bool)| {
        let at = if out {
            first[of[element]].unwrap_or(element)
        } else {
            element
        };
        Some((0, at as u32))
    };
    left_out.iter().enumerate().map(cell).collect()
}

/// Softmax over what a computed mask of zeros and ones leaves; zeros elsewhere.
pub(in crate::onnx) fn masked(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    axes: &[usize],
    mask: NodeId,
) -> Result<NodeId, ImportError> {
    let shape = ctx.shape(x).to_vec();
    let mut one = shape.clone();
    axes.iter().for_each(|&axis| one[axis] = 1);
    let top = reduced(ctx, node, x, axes, Core::Max, one.clone())?;
    let distance = minus(ctx, node, Value::Node(x), Value::Node(top))?;
    let e = ctx.activation(node, distance, Activation::Exp);
    let e = ctx.push(node.name(), vec![e, mask], shape, Op::Mul);
    let sum = reduced(ctx, node, e, axes, Core::Sum, one)?;
    let share = ctx.activation(node, sum, Activation::Reciprocal);
    times(ctx, node, e, Value::Node(share))
}
