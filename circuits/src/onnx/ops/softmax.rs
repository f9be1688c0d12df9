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
    graph::{Activation, Op},
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
    let mut one = shape.clone();
    axes.iter().for_each(|&axis| one[axis] = 1);
    let subtract = true;
    let top = reduced(ctx, node, x, &axes, Core::Max, one.clone())?;
    let top = expand(ctx, node, top, &shape)?;
    let distance = ctx.push(
        node.name(),
        vec![x, top],
        shape.clone(),
        Op::Add { subtract },
    );
    let e = ctx.activation(node, distance, Activation::Exp);
    let sum = reduced(ctx, node, e, &axes, Core::Sum, one)?;
    let id = if node.op() == "LogSoftmax" {
        let log = ctx.activation(node, sum, Activation::Log);
        let log = expand(ctx, node, log, &shape)?;
        ctx.push(
            node.name(),
            vec![distance, log],
            shape,
            Op::Add { subtract },
        )
    } else {
        let share = ctx.activation(node, sum, Activation::Reciprocal);
        let share = expand(ctx, node, share, &shape)?;
        ctx.push(node.name(), vec![e, share], shape, Op::Mul)
    };
    ctx.assign(node, Value::Node(id))
}
