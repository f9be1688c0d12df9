//! Quantized operators without weights: sums and products of two tensors, means, functions, concatenation.

use super::constants::IntegerConstant;
use crate::{
    geometry::Window,
    graph::{Conv, Grid, IntegerTable, NodeId, Op, Pool, Quantized, QuantizedOp, Sum, SumMap},
    onnx::{
        ImportError, attributes::NodeView, broadcast::broadcast, build::Builder, ops::elementwise,
    },
};

/// The largest table of window sums; beyond it a mean is a sum times a multiplier.
const MAX_MEAN: i64 = 1 << 14;

/// One of two operands.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// Integers that depend on the input.
    Node(NodeId, Grid),
    Constant(IntegerConstant),
}

/// `clip` on `to`, of integers of `from`.
fn quantized(op: QuantizedOp, from: Vec<Grid>, to: Grid, clip: (i64, i64)) -> Quantized {
    Quantized { op, from, to, clip }
}

/// `a + sign·b`.
pub(super) fn add(
    ctx: &mut Builder,
    node: &NodeView,
    sides: [Side; 2],
    sign: f32,
    (to, clip): (Grid, (i64, i64)),
) -> Result<NodeId, ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    match sides {
        [Side::Node(a, from_a), Side::Node(b, from_b)] => {
            let a = elementwise::expand(ctx, node, a, &shape)?;
            let b = elementwise::expand(ctx, node, b, &shape)?;
            let multipliers = [from_a.scale / to.scale, sign * (from_b.scale / to.scale)];
            let op = QuantizedOp::Add { multipliers };
            let op = quantized(op, vec![from_a, from_b], to, clip);
            Ok(ctx.push_quantized(node, vec![a, b], shape, op))
        }
        [Side::Node(x, from), Side::Constant(c)] => {
            let op = (1.0, sign);
            offset(ctx, node, (x, from), &c, op, (to, clip), shape)
        }
        [Side::Constant(c), Side::Node(x, from)] => {
            let op = (sign, 1.0);
            offset(ctx, node, (x, from), &c, op, (to, clip), shape)
        }
        [Side::Constant(_), Side::Constant(_)] => Err(node.form("both operands are constants")),
    }
}

/// `sign_x·x + sign_c·c` with a constant.
fn offset(
    ctx: &mut Builder,
    node: &NodeView,
    (x, from): (NodeId, Grid),
    constant: &IntegerConstant,
    signs: (f32, f32),
    (to, clip): (Grid, (i64, i64)),
    shape: Vec<usize>,
) -> Result<NodeId, ImportError> {
    let &[scale] = &constant.scales[..] else {
        return Err(node.form("a constant with several scales; quantize it per tensor"));
    };
    let x = elementwise::expand(ctx, node, x, &shape)?;
    let summands = spread(ctx, node, constant, &shape)?;
    let op = QuantizedOp::Offset {
        multipliers: [
            signs.0 * (from.scale / to.scale),
            signs.1 * (scale / to.scale),
        ],
        summands: summands.into_iter().map(|v| v as i64).collect(),
    };
    let op = quantized(op, vec![from], to, clip);
    Ok(ctx.push_quantized(node, vec![x], shape, op))
}

/// `a·b`.
pub(super) fn mul(
    ctx: &mut Builder,
    node: &NodeView,
    sides: [Side; 2],
    (to, clip): (Grid, (i64, i64)),
) -> Result<NodeId, ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    match sides {
        [Side::Node(a, from_a), Side::Node(b, from_b)] => {
            let a = elementwise::expand(ctx, node, a, &shape)?;
            let b = elementwise::expand(ctx, node, b, &shape)?;
            let multiplier = from_a.scale * from_b.scale / to.scale;
            let op = quantized(
                QuantizedOp::Mul { multiplier },
                vec![from_a, from_b],
                to,
                clip,
            );
            Ok(ctx.push_quantized(node, vec![a, b], shape, op))
        }
        [Side::Node(x, from), Side::Constant(c)] | [Side::Constant(c), Side::Node(x, from)] => {
            scale(ctx, node, (x, from), &c, (to, clip), shape)
        }
        [Side::Constant(_), Side::Constant(_)] => Err(node.form("both operands are constants")),
    }
}

/// A constant's integers for every element of an item.
fn spread(
    ctx: &Builder,
    node: &NodeView,
    constant: &IntegerConstant,
    shape: &[usize],
) -> Result<Vec<f32>, ImportError> {
    let map = broadcast(&constant.shape, shape)
        .ok_or_else(|| node.form("the operands' shapes do not broadcast"))?;
    ctx.per_item(node, map.into_iter().map(|i| constant.values[i]).collect())
}

/// A product with a constant: a factor for each channel.
fn scale(
    ctx: &mut Builder,
    node: &NodeView,
    (x, from): (NodeId, Grid),
    constant: &IntegerConstant,
    (to, clip): (Grid, (i64, i64)),
    shape: Vec<usize>,
) -> Result<NodeId, ImportError> {
    let &[step] = &constant.scales[..] else {
        return Err(node.form("a constant with several scales; quantize it per tensor"));
    };
    if ctx.shape(x) != shape {
        return Err(node.form("its constant is larger than its operand; expand the operand first"));
    }
    let item = shape.iter().product::<usize>() / ctx.batch();
    let (channels, plane) = match shape.len() {
        0 | 1 => (1, item),
        2 => (item, 1),
        _ => (shape[1], item / shape[1].max(1)),
    };
    let factors = spread(ctx, node, constant, &shape)?;
    let one = |c: usize| {
        factors[c * plane..(c + 1) * plane]
            .iter()
            .all(|&f| f == factors[c * plane])
    };
    if channels * plane != item || !(0..channels).all(one) {
        return Err(node.form("its constant differs within a channel; use Mul in float"));
    }
    let window = Window {
        input: (1, plane),
        kernel: (1, 1),
        stride: (1, 1),
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
    };
    let conv = Conv {
        cin: channels,
        cout: channels,
        groups: channels,
        window,
        weights: (0..channels).map(|c| factors[c * plane]).collect(),
        bias: Vec::new(),
    };
    let sum = Sum {
        map: SumMap::Conv(conv),
        bias: vec![0; channels],
        multipliers: vec![from.scale * step / to.scale; channels],
    };
    let op = quantized(QuantizedOp::Sum(sum), vec![from], to, clip);
    Ok(ctx.push_quantized(node, vec![x], shape, op))
}

/// The mean of windows. `global`: of whole images, by ONNX Runtime's kernel for these, which is a sum with one multiplier.
pub(super) fn mean(
    ctx: &mut Builder,
    node: &NodeView,
    (x, from): (NodeId, Grid),
    (pool, shape): (Pool, Vec<usize>),
    global: bool,
    (to, clip): (Grid, (i64, i64)),
) -> Result<NodeId, ImportError> {
    let divisors = pool.divisors();
    let uniform = divisors.iter().all(|&d| d == divisors[0]);
    let reach = (from.greatest - from.least).saturating_mul(divisors[0] as i64);
    let op = if global || (uniform && reach > MAX_MEAN) {
        let multiplier = from.scale / (to.scale * divisors[0] as f32);
        if !uniform {
            return Err(node.form("its windows have different sizes"));
        }
        QuantizedOp::Sum(Sum {
            bias: vec![0; pool.channels],
            multipliers: vec![multiplier; pool.channels],
            map: SumMap::Total(pool),
        })
    } else {
        QuantizedOp::Mean(pool)
    };
    let op = quantized(op, vec![from], to, clip);
    Ok(ctx.push_quantized(node, vec![x], shape, op))
}

/// A function of each element, computed in float32 as ONNX Runtime's tables are.
pub(super) fn function(
    ctx: &mut Builder,
    node: &NodeView,
    (x, from): (NodeId, Grid),
    f: &dyn Fn(f32) -> f32,
    (to, clip): (Grid, (i64, i64)),
) -> NodeId {
    let (first, last) = from.ends();
    let value = |c| to.nearest(f(from.real(c)));
    let table = IntegerTable {
        first,
        values: (first..=last).map(value).collect(),
    };
    let shape = ctx.shape(x).to_vec();
    let op = quantized(QuantizedOp::Table(table), vec![from], to, clip);
    ctx.push_quantized(node, vec![x], shape, op)
}

/// The integers of one grid on another: the same node where it is the same grid.
pub(super) fn requantize(
    ctx: &mut Builder,
    node: &NodeView,
    (x, from): (NodeId, Grid),
    (to, clip): (Grid, (i64, i64)),
) -> NodeId {
    if from == to && clip == to.ends() {
        return x;
    }
    function(ctx, node, (x, from), &|v| v, (to, clip))
}

/// Where a rearrangement reads tensors of different grids: the same of their integers on one grid.
pub(super) fn rearranged(
    ctx: &mut Builder,
    node: &NodeView,
    id: NodeId,
    (to, clip): (Grid, (i64, i64)),
) -> Option<NodeId> {
    let Op::Rearrange(cells) = ctx.graph.nodes[id].op.clone() else {
        return None;
    };
    let sources = ctx.graph.nodes[id].inputs.clone();
    let grids: Vec<Grid> = sources
        .iter()
        .map(|&source| ctx.narrow_grid(source))
        .collect::<Option<_>>()?;
    let inputs = sources
        .into_iter()
        .zip(grids)
        .map(|source| requantize(ctx, node, source, (to, clip)))
        .collect();
    let shape = ctx.shape(id).to_vec();
    Some(ctx.push(node.name(), inputs, shape, Op::Rearrange(cells)))
}
