//! Relu, LeakyRelu, Clip, Sigmoid, Tanh.

use crate::{
    graph::{Activation, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, floats},
    },
};

fn define(ctx: &mut Builder, node: &NodeView, f: Activation) -> Result<(), ImportError> {
    let input = ctx.node(node, 0)?;
    let shape = ctx.shape(input).to_vec();
    ctx.define(node, input, shape, Op::Activation(f))
}

pub(super) fn relu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    define(ctx, node, Activation::RELU)
}

pub(super) fn leaky_relu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let alpha = node.float("alpha").unwrap_or(0.01);
    if !alpha.is_finite() {
        return Err(node.form("attribute alpha is not finite"));
    }
    define(ctx, node, Activation::LeakyRelu { alpha })
}

pub(super) fn sigmoid(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    define(ctx, node, Activation::Sigmoid)
}

pub(super) fn tanh(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    define(ctx, node, Activation::Tanh)
}

/// Bounds are attributes up to opset 10, operands from 11.
pub(super) fn clip(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let bound = |i: usize, attribute: &str, default: f32| -> Result<f32, ImportError> {
        if let Some(value) = node.float(attribute) {
            return Ok(value);
        }
        match ctx.optional(node, i, "a bound")? {
            None => Ok(default),
            Some(tensor) => match floats(node, &tensor)?[..] {
                [value] => Ok(value),
                _ => Err(node.form("a bound must be one number")),
            },
        }
    };
    let (lo, hi) = (
        bound(1, "min", f32::NEG_INFINITY)?,
        bound(2, "max", f32::INFINITY)?,
    );
    if lo.is_nan() || hi.is_nan() || lo > hi {
        return Err(node.form(format!(
            "bounds {lo} and {hi} leave no values; the lower must not exceed the upper"
        )));
    }
    define(ctx, node, Activation::Clip { lo, hi })
}
