//! Normalizations over the tensor's own statistics, from means, squares, a table and products.
//!
//! ```text
//! d = x - mean x,   v = mean d²,   y = d · (v + epsilon)^(-1/2)
//! ```
//!
//! The power is one table over the calibrated range of `v`; `d` and the power meet in a product of two tensors.

use std::sync::Arc;

use tract_onnx::prelude::Tensor;

use super::{
    compose::{minus, plus, reshaped, reshaped_value, shape_of, times},
    reduce::{Core, reduced},
};
use crate::{
    graph::{Activation, NodeId},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::{for_each_index, strides},
        build::{Builder, Value, floats},
    },
};

/// What a normalization computes on its way; each with axes of 1 where it reduced.
struct Statistics {
    mean: Option<NodeId>,
    inverse: NodeId,
    y: NodeId,
}

fn ones(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    let mut one = shape.to_vec();
    axes.iter().for_each(|&axis| one[axis] = 1);
    one
}

/// `(x - mean) / √(v + epsilon)` over some axes, the mean left out where not `centred`.
fn normalized(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    axes: &[usize],
    epsilon: f32,
    centred: bool,
) -> Result<Statistics, ImportError> {
    let one = ones(ctx.shape(x), axes);
    let (mean, d) = if centred {
        let mean = reduced(ctx, node, x, axes, Core::Mean, one.clone())?;
        let d = minus(ctx, node, Value::Node(x), Value::Node(mean))?;
        (Some(mean), d)
    } else {
        (None, x)
    };
    let squares = ctx.activation(node, d, Activation::Power { exponent: 2.0 });
    let variance = reduced(ctx, node, squares, axes, Core::Mean, one)?;
    let shifted = ctx.affine(node, variance, 1.0, epsilon);
    let inverse = ctx.activation(node, shifted, Activation::Power { exponent: -0.5 });
    let y = times(ctx, node, d, Value::Node(inverse))?;
    Ok(Statistics { mean, inverse, y })
}

fn epsilon(node: &NodeView) -> Result<f32, ImportError> {
    let epsilon = node.float("epsilon").unwrap_or(1e-5);
    if epsilon.is_finite() && epsilon >= 0.0 {
        Ok(epsilon)
    } else {
        Err(node.form(format!("attribute epsilon is {epsilon}")))
    }
}

/// LayerNormalization and RMSNormalization: over all axes from one on.
pub(super) fn layer(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let rank = ctx.shape(x).len();
    let first = node.axis(node.int("axis").unwrap_or(-1), rank)?;
    let axes: Vec<usize> = (first..rank).collect();
    let centred = node.op() != "RMSNormalization";
    let of = normalized(ctx, node, x, &axes, epsilon(node)?, centred)?;
    let scale = ctx.value(node, 1)?;
    let mut y = times(ctx, node, of.y, scale)?;
    if node.input(2).is_some() {
        let bias = ctx.value(node, 2)?;
        y = plus(ctx, node, y, bias)?;
    }
    ctx.assign(node, Value::Node(y))?;
    if let (Some(mean), Some(_)) = (of.mean, node.output(1)) {
        ctx.assign_output(node, 1, Value::Node(mean))?;
    }
    match node.output(2) {
        Some(_) => ctx.assign_output(node, 2, Value::Node(of.inverse)),
        None => Ok(()),
    }
}

/// A parameter of one number a channel, so that it broadcasts over `[batch, channels, ..]`.
fn by_channel(
    ctx: &mut Builder,
    node: &NodeView,
    i: usize,
    rank: usize,
    channels: usize,
) -> Result<Value, ImportError> {
    let mut value = ctx.value(node, i)?;
    let mut shape = vec![1; rank - 1];
    shape[0] = channels;
    let given: usize = shape_of(ctx, &value).iter().product();
    if let Value::Constant(tensor) = &value {
        // Up to opset 20 GroupNormalization has one number a group.
        if given < channels && given > 0 && channels.is_multiple_of(given) {
            let each = channels / given;
            let values: Vec<f32> = floats(node, tensor)?
                .into_iter()
                .flat_map(|v| std::iter::repeat_n(v, each))
                .collect();
            let tensor = Tensor::from_shape(&[channels], &values);
            value = Value::Constant(Arc::new(tensor.map_err(|e| node.form(e.to_string()))?));
        }
    } else if given != channels {
        return Err(node.form(format!(
            "a computed parameter of {given} numbers; expected {channels}"
        )));
    }
    reshaped_value(ctx, node, value, &shape)
}

/// InstanceNormalization and GroupNormalization: over the elements of a channel or a group of them.
pub(super) fn group(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let &[batch, channels, ref spatial @ ..] = shape.as_slice() else {
        return Err(node.form(format!("its input {shape:?} has no channels")));
    };
    let groups = match node.op().as_str() {
        "GroupNormalization" => node.int("num_groups").unwrap_or(0),
        _ => channels as i64,
    };
    let groups = usize::try_from(groups)
        .ok()
        .filter(|&g| g > 0 && channels.is_multiple_of(g))
        .ok_or_else(|| node.form(format!("{channels} channels are not {groups} groups")))?;
    let each = channels / groups * spatial.iter().product::<usize>();
    let grouped = reshaped(ctx, node, x, &[batch, groups, each]);
    let of = normalized(ctx, node, grouped, &[2], epsilon(node)?, true)?;
    let y = reshaped(ctx, node, of.y, &shape);
    let scale = by_channel(ctx, node, 1, shape.len(), channels)?;
    let bias = by_channel(ctx, node, 2, shape.len(), channels)?;
    let y = times(ctx, node, y, scale)?;
    let y = plus(ctx, node, y, bias)?;
    ctx.assign(node, Value::Node(y))
}

pub(super) fn mean_variance(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let rank = ctx.shape(x).len();
    let axes = node.ints("axes").unwrap_or(&[0, 2, 3]).to_vec();
    let axes = axes
        .into_iter()
        .map(|axis| node.axis(axis, rank))
        .collect::<Result<Vec<_>, _>>()?;
    let of = normalized(ctx, node, x, &axes, 0.0, true)?;
    ctx.assign(node, Value::Node(of.y))
}

/// `x / Σ|x|` or `x / √Σx²` over an axis.
pub(super) fn lp(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let axis = node.axis(node.int("axis").unwrap_or(-1), shape.len())?;
    let (before, after) = match node.int("p").unwrap_or(2) {
        1 => (Activation::Abs, Activation::Reciprocal),
        2 => (
            Activation::Power { exponent: 2.0 },
            Activation::Power { exponent: -0.5 },
        ),
        p => return Err(node.form(format!("attribute p is {p}; supported are 1 and 2"))),
    };
    let parts = ctx.activation(node, x, before);
    let one = ones(&shape, &[axis]);
    let norm = reduced(ctx, node, parts, &[axis], Core::Sum, one)?;
    let inverse = ctx.activation(node, norm, after);
    let y = times(ctx, node, x, Value::Node(inverse))?;
    ctx.assign(node, Value::Node(y))
}

/// `x · (bias + alpha/size · Σx²)^(-beta)`, the sum over neighbouring channels.
pub(super) fn local_response(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let size = node.int("size").and_then(|s| usize::try_from(s).ok());
    let size = size
        .filter(|&s| s > 0)
        .ok_or_else(|| node.form("attribute size is missing or not positive"))?;
    if shape.len() < 2 {
        return Err(node.form(format!("its input {shape:?} has no channels")));
    }
    let number = |name: &str, default: f32| node.float(name).unwrap_or(default);
    let (alpha, beta, bias) = (
        number("alpha", 1e-4),
        number("beta", 0.75),
        number("bias", 1.0),
    );
    let squares = ctx.activation(node, x, Activation::Power { exponent: 2.0 });
    let (before, after) = ((size - 1) / 2, size / 2);
    let steps = strides(&shape);
    let mut taps = Vec::with_capacity(shape.iter().product());
    for_each_index(&shape, |index| {
        let at: usize = index.iter().zip(&steps).map(|(i, s)| i * s).sum();
        let own = at - index[1] * steps[1];
        let channels = index[1].saturating_sub(before)..(index[1] + after + 1).min(shape[1]);
        taps.push(
            channels
                .map(|c| (own + c * steps[1], alpha / size as f32))
                .collect(),
        );
    });
    let sum = ctx.linear_map(node, squares, shape, taps)?;
    let shifted = ctx.affine(node, sum, 1.0, bias);
    let factor = ctx.activation(node, shifted, Activation::Power { exponent: -beta });
    let y = times(ctx, node, x, Value::Node(factor))?;
    ctx.assign(node, Value::Node(y))
}
