//! MaxPool, AveragePool, and both over whole images.

use super::spatial::{Images, images};
use crate::{
    geometry::Window,
    graph::{Activation, Op, Pool, PoolKind},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value},
    },
};

pub(super) fn max(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    if node.output(1).is_some() {
        return Err(
            node.form("its second output, the indices, is not supported; remove it from the model")
        );
    }
    windowed(ctx, node, PoolKind::Max)
}

pub(super) fn average(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let count_include_pad = node.int("count_include_pad").unwrap_or(0) != 0;
    windowed(ctx, node, PoolKind::Average { count_include_pad })
}

/// `(Σ |x|^p)^(1/p)` over windows: the mean over whole kernels, times their size, between two functions.
pub(super) fn lp(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let p = node.int("p").unwrap_or(2);
    if !(1..=4).contains(&p) {
        return Err(node.form(format!("attribute p is {p}; supported are 1 to 4")));
    }
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let spatial = shape.len().saturating_sub(2);
    let size: usize = match node.op().as_str() {
        "GlobalLpPool" => shape.iter().skip(2).product(),
        _ => node.sizes("kernel_shape", spatial, 1)?.iter().product(),
    };
    let magnitude = ctx.activation(node, x, Activation::Abs);
    let powers = match p {
        1 => magnitude,
        _ => ctx.activation(node, magnitude, Activation::Power { exponent: p as f32 }),
    };
    let mut images = images(ctx, node)?;
    images.node = powers;
    // The mean that counts padding, times all it counts, is the sum of what is there.
    let count_include_pad = true;
    let kind = PoolKind::Average { count_include_pad };
    match node.op().as_str() {
        "GlobalLpPool" => global_of(ctx, node, images, kind)?,
        _ => windowed_of(ctx, node, images, kind)?,
    }
    let mean = ctx
        .defined(node)
        .ok_or_else(|| node.form("it has no output"))?;
    let sum = ctx.affine(node, mean, size as f32, 0.0);
    let id = match p {
        1 => sum,
        _ => {
            let exponent = 1.0 / p as f32;
            ctx.activation(node, sum, Activation::Power { exponent })
        }
    };
    ctx.assign(node, Value::Node(id))
}

pub(super) fn global_average(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let count_include_pad = false;
    global(ctx, node, PoolKind::Average { count_include_pad })
}

pub(super) fn global_max(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    global(ctx, node, PoolKind::Max)
}

fn global(ctx: &mut Builder, node: &NodeView, kind: PoolKind) -> Result<(), ImportError> {
    let images = images(ctx, node)?;
    global_of(ctx, node, images, kind)
}

fn global_of(
    ctx: &mut Builder,
    node: &NodeView,
    images: Images,
    kind: PoolKind,
) -> Result<(), ImportError> {
    let stride = match kind {
        // Windows side by side fuse with what stands in front.
        PoolKind::Max => images.size,
        PoolKind::Average { .. } => (1, 1),
    };
    let window = Window {
        input: images.size,
        kernel: images.size,
        stride,
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
    };
    let shape = images.shape(ctx, images.channels, (1, 1));
    let pool = Pool {
        kind,
        channels: images.channels,
        window,
        output: (1, 1),
    };
    ctx.define(node, images.node, shape, Op::Pool(pool))
}

fn windowed(ctx: &mut Builder, node: &NodeView, kind: PoolKind) -> Result<(), ImportError> {
    let images = images(ctx, node)?;
    windowed_of(ctx, node, images, kind)
}

/// The pool that a node's attributes describe, over operand 0, and the shape of what it gives.
pub(in crate::onnx) fn windows(
    ctx: &Builder,
    node: &NodeView,
    kind: PoolKind,
) -> Result<(Images, Vec<usize>, Pool), ImportError> {
    let images = images(ctx, node)?;
    let (shape, pool) = windows_of(ctx, node, &images, kind)?;
    Ok((images, shape, pool))
}

fn windowed_of(
    ctx: &mut Builder,
    node: &NodeView,
    images: Images,
    kind: PoolKind,
) -> Result<(), ImportError> {
    let (shape, pool) = windows_of(ctx, node, &images, kind)?;
    ctx.define(node, images.node, shape, Op::Pool(pool))
}

fn windows_of(
    ctx: &Builder,
    node: &NodeView,
    images: &Images,
    kind: PoolKind,
) -> Result<(Vec<usize>, Pool), ImportError> {
    let kernel = node.sizes("kernel_shape", images.rank, 0)?;
    let kernel = if images.rank == 1 {
        (1, kernel[0])
    } else {
        (kernel[0], kernel[1])
    };
    let window = images.window(node, kernel)?;
    let floor = window
        .output()
        .ok_or_else(|| node.form("its kernel is larger than the padded input"))?;
    let output = match ctx.output_shape(node, 0) {
        // Inference does not know LpPool.
        Err(_) if node.int("ceil_mode").unwrap_or(0) == 0 => floor,
        shape => match *shape? {
            [_, _, w] if images.rank == 1 => (1, w),
            [_, _, h, w] if images.rank == 2 => (h, w),
            _ => return Err(node.form("its output has another rank than its input")),
        },
    };
    let up = if node.int("ceil_mode").unwrap_or(0) != 0 {
        1
    } else {
        0
    };
    if output.0 < floor.0
        || output.0 > floor.0 + up
        || output.1 < floor.1
        || output.1 > floor.1 + up
    {
        return Err(node.form(format!(
            "an output of {output:?} contradicts its window, which gives {floor:?}"
        )));
    }
    let reads = |o: usize, k: usize, f: &dyn Fn(usize, usize) -> Option<usize>| {
        (0..k).any(|t| f(o, t).is_some())
    };
    let full = (0..output.0).all(|o| reads(o, kernel.0, &|o, t| window.row(o, t)))
        && (0..output.1).all(|o| reads(o, kernel.1, &|o, t| window.column(o, t)));
    if !full {
        return Err(node.form("a window lies in the padding alone; use less padding"));
    }
    let shape = images.shape(ctx, images.channels, output);
    let pool = Pool {
        kind,
        channels: images.channels,
        window,
        output,
    };
    Ok((shape, pool))
}
