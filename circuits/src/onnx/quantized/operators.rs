//! Importers of `DequantizeLinear` and of the operators that compute with integers.

use super::{
    constants::{IntegerConstant, IntegerType, grid, integers_of, operand},
    layers::{self, Side},
    linear::{Bias, Linear},
};
use crate::{
    geometry::Window,
    graph::{Activation, Grid, Pool, PoolKind},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, integers},
        ops::{pool, shape, spatial},
    },
};

/// The real numbers that a tensor's integers mean: the same node.
pub(super) fn dequantize(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let on = grid(ctx, node, 1, 2)?;
    let (id, from) = (ctx.node(node, 0)?, integers_of(ctx, node, 0)?);
    let id = ctx.regrid(node.name(), id, from, on);
    ctx.assign(node, Value::Node(id))
}

/// Operands `at`, `at + 1`, `at + 2` (integers, scale, zero point) as a tensor on its grid.
fn tensor(ctx: &mut Builder, node: &NodeView, at: usize) -> Result<(usize, Grid), ImportError> {
    let on = grid(ctx, node, at + 1, at + 2)?;
    Ok((operand(ctx, node, at, on)?, on))
}

/// The same, where the operand may be a constant.
fn side(ctx: &mut Builder, node: &NodeView, at: usize) -> Result<Side, ImportError> {
    match ctx.value(node, at)? {
        Value::Constant(_) => {
            IntegerConstant::new(ctx, node, [at, at + 1, at + 2], 0).map(Side::Constant)
        }
        Value::Node(_) => tensor(ctx, node, at).map(|(id, on)| Side::Node(id, on)),
    }
}

/// A bias of integers.
fn bias(ctx: &Builder, node: &NodeView, at: usize) -> Result<Bias, ImportError> {
    Ok(match ctx.optional(node, at, "the bias")? {
        Some(bias) => Bias::Integers(integers(node, &bias)?),
        None => Bias::None,
    })
}

pub(super) fn conv(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let (x, from) = tensor(ctx, node, 0)?;
    let to = grid(ctx, node, 6, 7)?;
    let layer = Linear {
        node: *node,
        x,
        from,
        weights: IntegerConstant::new(ctx, node, [3, 4, 5], 0)?,
        bias: bias(ctx, node, 8)?,
        alpha: 1.0,
        to,
        clip: to.ends(),
    };
    let id = layer.conv(ctx)?;
    ctx.assign_integers(node, id, to)
}

pub(super) fn matmul(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let (x, from) = tensor(ctx, node, 0)?;
    let to = grid(ctx, node, 6, 7)?;
    let layer = Linear {
        node: *node,
        x,
        from,
        weights: IntegerConstant::new(ctx, node, [3, 4, 5], -1)?,
        bias: Bias::None,
        alpha: 1.0,
        to,
        clip: to.ends(),
    };
    let id = layer.matmul(ctx)?;
    ctx.assign_integers(node, id, to)
}

pub(super) fn gemm(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    if node.int("transA").unwrap_or(0) != 0 {
        return Err(node.form("attribute transA is not supported; transpose the operand"));
    }
    let (x, from) = tensor(ctx, node, 0)?;
    let transposed = node.int("transB").unwrap_or(0) != 0;
    let axis = if transposed { 0 } else { 1 };
    let mut weights = IntegerConstant::new(ctx, node, [3, 4, 5], axis)?;
    if transposed && weights.shape.len() == 2 {
        weights = weights.transposed();
    }
    let alpha = node.float("alpha").unwrap_or(1.0);
    let bias = bias(ctx, node, 6)?;
    if node.input(7).is_none() {
        return Err(node.form(
            "without an output scale it gives real numbers; give it one, or use Gemm with DequantizeLinear",
        ));
    }
    let to = grid(ctx, node, 7, 8)?;
    let layer = Linear {
        node: *node,
        x,
        from,
        weights,
        bias,
        alpha,
        to,
        clip: to.ends(),
    };
    let id = layer.matmul(ctx)?;
    ctx.assign_integers(node, id, to)
}

pub(super) fn add(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let sides = [side(ctx, node, 0)?, side(ctx, node, 3)?];
    let to = grid(ctx, node, 6, 7)?;
    let id = layers::add(ctx, node, sides, 1.0, (to, to.ends()))?;
    ctx.assign_integers(node, id, to)
}

pub(super) fn mul(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let sides = [side(ctx, node, 0)?, side(ctx, node, 3)?];
    let to = grid(ctx, node, 6, 7)?;
    let id = layers::mul(ctx, node, sides, (to, to.ends()))?;
    ctx.assign_integers(node, id, to)
}

/// Each operand on the grid of the output, then joined.
pub(super) fn concat(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let to = grid(ctx, node, 0, 1)?;
    let mut parts = Vec::new();
    for at in (2..node.inputs().len()).step_by(3) {
        let (x, from) = tensor(ctx, node, at)?;
        let x = layers::requantize(ctx, node, (x, from), (to, to.ends()));
        parts.push(Value::Node(x));
    }
    let id = shape::joined(ctx, node, parts)?;
    ctx.assign_integers(node, id, to)
}

pub(super) fn average_pool(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    channels_first(node)?;
    let (x, from) = tensor(ctx, node, 0)?;
    let to = grid(ctx, node, 3, 4)?;
    let count_include_pad = node.int("count_include_pad").unwrap_or(0) != 0;
    let kind = PoolKind::Average { count_include_pad };
    let (_, shape, pool) = pool::windows(ctx, node, kind)?;
    let id = layers::mean(ctx, node, (x, from), (pool, shape), false, (to, to.ends()))?;
    ctx.assign_integers(node, id, to)
}

pub(super) fn global_average_pool(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    channels_first(node)?;
    let (x, from) = tensor(ctx, node, 0)?;
    let to = grid(ctx, node, 3, 4)?;
    let images = spatial::images(ctx, node)?;
    let window = Window {
        input: images.size,
        kernel: images.size,
        stride: (1, 1),
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
    };
    let pool = Pool {
        kind: PoolKind::Average {
            count_include_pad: false,
        },
        channels: images.channels,
        window,
        output: (1, 1),
    };
    let shape = images.shape(ctx, images.channels, (1, 1));
    let id = layers::mean(ctx, node, (x, from), (pool, shape), true, (to, to.ends()))?;
    ctx.assign_integers(node, id, to)
}

fn channels_first(node: &NodeView) -> Result<(), ImportError> {
    if node.int("channels_last").unwrap_or(0) != 0 {
        return Err(
            node.form("attribute channels_last is not supported; export with channels first")
        );
    }
    Ok(())
}

/// Sigmoid and LeakyRelu.
pub(super) fn function(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let (x, from) = tensor(ctx, node, 0)?;
    let to = grid(ctx, node, 3, 4)?;
    let f = match node.op().as_str() {
        "com.microsoft.QLinearSigmoid" => Activation::Sigmoid,
        _ => Activation::LeakyRelu {
            alpha: node.float("alpha").unwrap_or(0.01),
        },
    };
    let real = |x: f32| f.extended(f64::from(x)) as f32;
    let id = layers::function(ctx, node, (x, from), &real, (to, to.ends()));
    ctx.assign_integers(node, id, to)
}

/// Operand 0 less its zero point (operand 2), for operators whose output is the sums themselves.
fn plain(ctx: &mut Builder, node: &NodeView) -> Result<(usize, Grid), ImportError> {
    let zero = match ctx.optional(node, 2, "a zero point")? {
        Some(zeros) => match integers(node, &zeros)?[..] {
            [zero] => zero,
            _ => return Err(node.form("its input has several zero points; use one")),
        },
        None => 0,
    };
    let from = integers_of(ctx, node, 0)?;
    let on = Grid {
        scale: 1.0,
        zero_point: zero,
        ..from
    };
    Ok((operand(ctx, node, 0, on)?, on))
}

/// A layer whose output is its sums.
fn sums<'a>(ctx: &mut Builder, node: &NodeView<'a>, axis: i64) -> Result<Linear<'a>, ImportError> {
    let (x, from) = plain(ctx, node)?;
    let to = IntegerType::I32.plain_grid();
    Ok(Linear {
        node: *node,
        x,
        from,
        weights: IntegerConstant::new(ctx, node, [1, usize::MAX, 3], axis)?,
        bias: Bias::None,
        alpha: 1.0,
        to,
        clip: to.ends(),
    })
}

pub(super) fn conv_integer(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let id = sums(ctx, node, 0)?.conv(ctx)?;
    ctx.assign_integers(node, id, IntegerType::I32.plain_grid())
}

pub(super) fn matmul_integer(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let id = sums(ctx, node, -1)?.matmul(ctx)?;
    ctx.assign_integers(node, id, IntegerType::I32.plain_grid())
}
