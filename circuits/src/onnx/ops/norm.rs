//! BatchNormalization with its running statistics.

use crate::{
    graph::Op,
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, finite},
    },
};

/// `(x - mean) / √(variance + epsilon) · gamma + beta`, folded to one factor and one summand a channel.
pub(super) fn batch(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    if node.int("training_mode").unwrap_or(0) != 0 {
        return Err(node.form("it is in training mode; export the model in evaluation mode"));
    }
    let input = ctx.node(node, 0)?;
    let shape = ctx.shape(input).to_vec();
    let parameter = |i: usize, role: &'static str| finite(node, &*ctx.constant(node, i, role)?);
    let (gamma, beta) = (parameter(1, "the scale")?, parameter(2, "the bias")?);
    let (mean, variance) = (parameter(3, "the mean")?, parameter(4, "the variance")?);
    let channels = shape.get(1).copied().unwrap_or(1);
    if [&gamma, &beta, &mean, &variance]
        .iter()
        .any(|p| p.len() != channels)
    {
        return Err(node.form(format!(
            "its parameters do not have one value for each of {channels} channels"
        )));
    }
    let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
    let per_channel: Vec<(f32, f32)> = (0..channels)
        .map(|c| {
            let scale = f64::from(gamma[c]) / (f64::from(variance[c]) + epsilon).sqrt();
            (
                scale as f32,
                (f64::from(beta[c]) - f64::from(mean[c]) * scale) as f32,
            )
        })
        .collect();
    if per_channel
        .iter()
        .any(|(scale, offset)| !scale.is_finite() || !offset.is_finite())
    {
        return Err(node.form("a variance plus epsilon is not positive"));
    }
    let item = shape.iter().product::<usize>() / ctx.batch();
    let positions = item / channels;
    if positions * channels != item || shape.first() != Some(&ctx.batch()) {
        return Err(node.form(format!(
            "input shape {shape:?} is not [batch, channels, ..]"
        )));
    }
    let (scale, offset) = (0..item).map(|i| per_channel[i / positions]).unzip();
    ctx.define(node, input, shape, Op::Affine { scale, offset })
}
