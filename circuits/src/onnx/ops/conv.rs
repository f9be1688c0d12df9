//! Conv with constant weights, over one or two spatial axes.

use super::spatial::images;
use crate::{
    graph::{Conv, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, finite},
    },
};

pub(super) fn conv(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let images = images(ctx, node)?;
    let weights = ctx.constant(node, 1, "the weights")?;
    let groups = node.int("group").unwrap_or(1);
    let (cout, group_in, kernel) = match (weights.shape(), images.rank) {
        (&[o, i, w], 1) => (o, i, (1, w)),
        (&[o, i, h, w], 2) => (o, i, (h, w)),
        _ => {
            return Err(node.form(format!(
                "weights of shape {:?} do not fit its input",
                weights.shape()
            )));
        }
    };
    let fits = |g: usize| {
        g > 0 && group_in.checked_mul(g) == Some(images.channels) && cout > 0 && cout % g == 0
    };
    let Some(groups) = usize::try_from(groups).ok().filter(|&g| fits(g)) else {
        return Err(node.form(format!(
            "{} channels in, weights {:?} and {groups} groups do not fit together",
            images.channels,
            weights.shape()
        )));
    };
    let window = images.window(node, kernel)?;
    let size = window
        .output()
        .ok_or_else(|| node.form("its kernel is larger than the padded input"))?;
    let bias = match ctx.optional(node, 2, "the bias")? {
        None => Vec::new(),
        Some(bias) => finite(node, &bias)?,
    };
    if !bias.is_empty() && bias.len() != cout {
        return Err(node.form(format!("{} bias values for {cout} channels", bias.len())));
    }
    let weights = finite(node, &weights)?;
    let shape = images.shape(ctx, cout, size);
    if shape != ctx.output_shape(node, 0)? {
        return Err(node.form(format!(
            "its output shape {shape:?} contradicts the inferred one"
        )));
    }
    let op = Op::Conv(Conv {
        cin: images.channels,
        cout,
        groups,
        window,
        weights,
        bias,
    });
    ctx.define(node, images.node, shape, op)
}
