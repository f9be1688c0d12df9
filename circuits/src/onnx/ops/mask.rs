//! Elements that a mask of `-∞` leaves out of a softmax.
//!
//! No integer stands for `-∞`, and a number far below all others would take the grid from them. So `x + mask` keeps
//! `x` where the mask says `-∞`, and the builder remembers the places: Softmax leaves them out of its maximum and
//! multiplies their exponentials by 0, which is exact. Nothing else may read such a tensor.

use tract_onnx::prelude::Tensor;

use super::{compose::spread, elementwise::expand};
use crate::{
    graph::{NodeId, Op},
    onnx::{ImportError, attributes::NodeView, broadcast::broadcast, build::Builder},
};

/// What exporters write for `-∞` lies below this; `e` to such a power is 0 in `f32`.
pub(super) const BOUND: f32 = -1e8;

/// `x + bias` of one shape, given for the whole tensor; some elements of `bias` may lie below the bound.
pub(super) fn add(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    bias: Vec<f32>,
    shape: &[usize],
) -> Result<NodeId, ImportError> {
    let bias = ctx.per_item(node, bias)?;
    let mut left_out: Vec<bool> = bias.iter().map(|&b| b < BOUND).collect();
    let offset: Vec<f32> = bias
        .iter()
        .map(|&b| if b < BOUND { 0.0 } else { b })
        .collect();
    if offset.iter().any(|v| !v.is_finite()) {
        return Err(node.form("a constant is infinite; repair the model's parameters"));
    }
    let from = ctx.shape(x).to_vec();
    let before = ctx.left_out(x).map(<[bool]>::to_vec);
    let wide = expand(ctx, node, x, shape)?;
    let scale = vec![1.0; offset.len()];
    let op = Op::Affine { scale, offset };
    let id = ctx.push(node.name(), vec![wide], shape.to_vec(), op);
    if let Some(before) = before {
        let whole: Vec<bool> = before.repeat(ctx.batch());
        let map = broadcast(&from, shape).ok_or_else(|| node.form("a mask does not broadcast"))?;
        for (flag, at) in left_out.iter_mut().zip(map) {
            *flag |= whole[at];
        }
        ctx.may_read(x, wide);
        ctx.may_read(x, id);
    }
    if left_out.contains(&true) {
        ctx.leave_out(id, left_out);
    }
    Ok(id)
}

/// True where a constant masks elements.
pub(super) fn is_mask(node: &NodeView, tensor: &Tensor) -> Result<bool, ImportError> {
    let values = super::super::build::floats(node, tensor)?;
    Ok(values.iter().any(|&v| v < BOUND))
}

/// `x + mask` with a constant of any shape that broadcasts.
pub(super) fn add_constant(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    mask: &Tensor,
) -> Result<NodeId, ImportError> {
    let shape = super::elementwise::joint_shape(node, ctx.shape(x), mask.shape())?;
    let bias = spread(node, mask, &shape)?;
    add(ctx, node, x, bias, &shape)
}
