//! Reductions over constant axes, and cumulative sums.

use super::{
    compose::{minus, plus, reshaped},
    shape::permuted,
};
use crate::{
    geometry::Window,
    graph::{Activation, NodeId, Op, Pool, PoolKind},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, integers},
    },
};

/// What is computed of the reduced elements.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::onnx) enum Core {
    Sum,
    Mean,
    Max,
}

/// `after(core(before(x)))` for each of the reductions.
pub(super) fn reduce(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let mut x = ctx.node(node, 0)?;
    let axes = axes(ctx, node, ctx.shape(x).len())?;
    let op = node.op();
    if op == "ReduceLogSumExp" && !axes.is_empty() {
        return log_sum_exp(ctx, node, x, &axes);
    }
    let square = Activation::Power { exponent: 2.0 };
    x = match op.as_str() {
        "ReduceL1" => ctx.activation(node, x, Activation::Abs),
        "ReduceL2" | "ReduceSumSquare" => ctx.activation(node, x, square),
        "ReduceMin" => ctx.affine(node, x, -1.0, 0.0),
        _ => x,
    };
    let core = match op.as_str() {
        "ReduceMean" => Core::Mean,
        "ReduceMax" | "ReduceMin" => Core::Max,
        _ => Core::Sum,
    };
    let shape = ctx.output_shape(node, 0)?;
    if !axes.is_empty() {
        x = reduced(ctx, node, x, &axes, core, shape)?;
    }
    x = match op.as_str() {
        "ReduceL2" => ctx.activation(node, x, Activation::Sqrt),
        "ReduceLogSum" => ctx.activation(node, x, Activation::Log),
        "ReduceMin" => ctx.affine(node, x, -1.0, 0.0),
        _ => x,
    };
    ctx.assign(node, Value::Node(x))
}

/// `max x + ln Σ exp(x - max x)`: exponentials of at most 1 use the grid well, whatever the arguments are.
fn log_sum_exp(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    axes: &[usize],
) -> Result<(), ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    let mut one = ctx.shape(x).to_vec();
    axes.iter().for_each(|&axis| one[axis] = 1);
    let top = reduced(ctx, node, x, axes, Core::Max, one.clone())?;
    let distance = minus(ctx, node, Value::Node(x), Value::Node(top))?;
    let e = ctx.activation(node, distance, Activation::Exp);
    let sum = reduced(ctx, node, e, axes, Core::Sum, one)?;
    let log = ctx.activation(node, sum, Activation::Log);
    let id = plus(ctx, node, log, Value::Node(top))?;
    let id = reshaped(ctx, node, id, &shape);
    ctx.assign(node, Value::Node(id))
}

/// The reduced axes in order: an attribute or an operand, all where there is neither.
pub(super) fn axes(ctx: &Builder, node: &NodeView, rank: usize) -> Result<Vec<usize>, ImportError> {
    let list = match (node.ints("axes"), ctx.optional(node, 1, "the axes")?) {
        (Some(list), _) => list.to_vec(),
        (None, Some(tensor)) => integers(node, &tensor)?,
        (None, None) => Vec::new(),
    };
    if list.is_empty() {
        let none = node.int("noop_with_empty_axes").unwrap_or(0) != 0;
        return Ok(if none {
            Vec::new()
        } else {
            (0..rank).collect()
        });
    }
    let mut axes = list
        .into_iter()
        .map(|axis| node.axis(axis, rank))
        .collect::<Result<Vec<usize>, _>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(axes)
}

/// Appends a reduction; `shape` is that of its result.
pub(in crate::onnx) fn reduced(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    axes: &[usize],
    core: Core,
    shape: Vec<usize>,
) -> Result<NodeId, ImportError> {
    let from = ctx.shape(x).to_vec();
    let count: usize = axes.iter().map(|&axis| from[axis]).product();
    let kept: usize = from.iter().product::<usize>() / count;
    if kept != shape.iter().product::<usize>() {
        return Err(node.form(format!(
            "axes {axes:?} of {from:?} contradict its output {shape:?}"
        )));
    }
    if !kept.is_multiple_of(ctx.batch()) || (ctx.batch() > 1 && axes.contains(&0)) {
        return Err(node.mixes_batch());
    }
    let kept = kept / ctx.batch();
    let (x, window, channels) = match image(&from, axes, ctx.batch()) {
        Some((channels, window)) => (x, window, channels),
        None => {
            let rest = (0..from.len()).filter(|axis| !axes.contains(axis));
            let perm: Vec<usize> = rest.chain(axes.iter().copied()).collect();
            let x = permuted(ctx, node, x, &perm)?;
            if core != Core::Max {
                let weight = if core == Core::Sum {
                    1.0
                } else {
                    1.0 / count as f32
                };
                let op = Op::MatMul {
                    rows: kept,
                    k: count,
                    n: 1,
                    weights: vec![weight; count],
                };
                return Ok(ctx.push(node.name(), vec![x], shape, op));
            }
            (x, whole((1, count), (1, count)), kept)
        }
    };
    let output = window
        .output()
        .ok_or_else(|| node.form("its input is empty"))?;
    let kind = match core {
        Core::Max => PoolKind::Max,
        Core::Sum | Core::Mean => PoolKind::Average {
            count_include_pad: false,
        },
    };
    let pool = Pool {
        kind,
        channels,
        window,
        output,
    };
    let id = ctx.push(node.name(), vec![x], shape, Op::Pool(pool));
    Ok(match core {
        Core::Sum => ctx.affine(node, id, count as f32, 0.0),
        Core::Mean | Core::Max => id,
    })
}

/// Windows side by side.
fn whole(input: (usize, usize), kernel: (usize, usize)) -> Window {
    Window {
        input,
        kernel,
        stride: kernel,
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
    }
}

/// Channels and window, where only spatial axes of images are reduced.
fn image(from: &[usize], axes: &[usize], batch: usize) -> Option<(usize, Window)> {
    let (n, c, h, w) = match *from {
        [n, c, w] => (n, c, 1, w),
        [n, c, h, w] => (n, c, h, w),
        _ => return None,
    };
    if n != batch || axes.iter().any(|&axis| axis < 2) {
        return None;
    }
    let last = from.len() - 1;
    let kernel = (
        if axes.contains(&2) && last == 3 { h } else { 1 },
        if axes.contains(&last) { w } else { 1 },
    );
    Some((c, whole((h, w), kernel)))
}

/// Sums up to each place of an axis: a product with a triangular matrix of ones.
pub(super) fn cumulative_sum(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let axis = integers(node, &*ctx.constant(node, 1, "the axis")?)?;
    let &[axis] = axis.as_slice() else {
        return Err(node.form("its axis must be one number"));
    };
    let axis = node.axis(axis, from.len())?;
    let exclusive = node.int("exclusive").unwrap_or(0) != 0;
    let reverse = node.int("reverse").unwrap_or(0) != 0;
    if ctx.batch() > 1 && axis == 0 {
        return Err(node.mixes_batch());
    }
    let k = from[axis];
    let mut perm: Vec<usize> = (0..from.len()).filter(|&a| a != axis).collect();
    perm.push(axis);
    let x = permuted(ctx, node, x, &perm)?;
    let weight = |input: usize, out: usize| {
        let (early, late) = if reverse { (out, input) } else { (input, out) };
        f32::from(early < late || (early == late && !exclusive))
    };
    let weights = (0..k * k).map(|i| weight(i / k, i % k)).collect();
    let shape = ctx.shape(x).to_vec();
    let rows = shape.iter().product::<usize>() / k;
    if !rows.is_multiple_of(ctx.batch()) {
        return Err(node.mixes_batch());
    }
    let op = Op::MatMul {
        rows: rows / ctx.batch(),
        k,
        n: k,
        weights,
    };
    let y = ctx.push(node.name(), vec![x], shape, op);
    let mut back = vec![0; perm.len()];
    for (to, &from) in perm.iter().enumerate() {
        back[from] = to;
    }
    let y = permuted(ctx, node, y, &back)?;
    ctx.assign(node, Value::Node(y))
}
