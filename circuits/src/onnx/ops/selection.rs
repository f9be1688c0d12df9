//! Which element is the greatest: ArgMax and ArgMin over an axis, Hardmax, TopK, and OneHot of computed indices.
//!
//! ```text
//! tie_j = [x_j - max x ≥ 0]                 exact on the integers: the maximum is one of them
//! hit_j = [tie_j - Σ_(i<j) tie_i ≥ 1/2]     the first of equals; i > j for the last
//! index = Σ j · hit_j
//! ```
//!
//! TopK counts for each element those that stand before it, `rank_j = Σ_i [x_i > x_j, or x_i = x_j and i < j]`, and
//! picks by `[rank_j = r]`: exact indices, values as products with 0 and 1.

use tract_onnx::prelude::DatumType;

use super::{
    compose::{constant, contracted, joined, minus, plus, reshaped, sliced, times},
    reduce::{Core, reduced},
    shape::permuted,
};
use crate::{
    graph::{Activation, NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, finite, integers},
    },
};

/// Elements of an axis that TopK compares pair by pair.
const MAX_SORTED: usize = 64;

/// Classes of a OneHot: each is two tables.
const MAX_DEPTH: usize = 1 << 10;

const ALL: f32 = f32::INFINITY;

/// The permutation that moves an axis to the end, and its inverse.
fn to_end(rank: usize, axis: usize) -> (Vec<usize>, Vec<usize>) {
    let mut perm: Vec<usize> = (0..rank).filter(|&a| a != axis).collect();
    perm.push(axis);
    let mut back = vec![0; rank];
    for (to, &from) in perm.iter().enumerate() {
        back[from] = to;
    }
    (perm, back)
}

/// A product with constant weights over the last axis.
pub(super) fn weighted(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    n: usize,
    weight: impl Fn(usize, usize) -> f32,
) -> Result<NodeId, ImportError> {
    let mut shape = ctx.shape(x).to_vec();
    let k = shape.last().copied().unwrap_or(1);
    let rows = shape.iter().product::<usize>() / k;
    if !rows.is_multiple_of(ctx.batch()) {
        return Err(node.mixes_batch());
    }
    if let Some(last) = shape.last_mut() {
        *last = n;
    }
    let op = Op::MatMul {
        rows: rows / ctx.batch(),
        k,
        n,
        weights: (0..k * n).map(|i| weight(i / n, i % n)).collect(),
    };
    Ok(ctx.push(node.name(), vec![x], shape, op))
}

/// 1 for the first or last of the greatest along the last axis, else 0.
fn hits(ctx: &mut Builder, node: &NodeView, x: NodeId, last: bool) -> Result<NodeId, ImportError> {
    let shape = ctx.shape(x).to_vec();
    let axis = shape.len() - 1;
    let mut one = shape.clone();
    one[axis] = 1;
    let top = reduced(ctx, node, x, &[axis], Core::Max, one)?;
    let distance = minus(ctx, node, Value::Node(x), Value::Node(top))?;
    let (lo, hi, inside) = (0.0, ALL, true);
    let tie = ctx.activation(node, distance, Activation::Indicator { lo, hi, inside });
    let before = weighted(ctx, node, tie, shape[axis], |i, j| {
        let earlier = if last { i > j } else { i < j };
        f32::from(i == j) - f32::from(earlier)
    })?;
    let lo = 0.5;
    Ok(ctx.activation(node, before, Activation::Indicator { lo, hi, inside }))
}

/// ArgMax and ArgMin over any axis.
pub(super) fn index(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let mut x = ctx.node(node, 0)?;
    let rank = ctx.shape(x).len();
    let axis = node.axis(node.int("axis").unwrap_or(0), rank)?;
    if node.op() == "ArgMin" {
        x = ctx.affine(node, x, -1.0, 0.0);
    }
    let (perm, _) = to_end(rank, axis);
    let x = permuted(ctx, node, x, &perm)?;
    let last = node.int("select_last_index") == Some(1);
    let hit = hits(ctx, node, x, last)?;
    let id = weighted(ctx, node, hit, 1, |j, _| j as f32)?;
    let mut shape = ctx.shape(id).to_vec();
    shape.pop();
    if node.int("keepdims").unwrap_or(1) != 0 {
        shape.insert(axis, 1);
    }
    let id = reshaped(ctx, node, id, &shape);
    ctx.set_datum(node, 0, DatumType::I64);
    ctx.assign(node, Value::Node(id))
}

/// Since opset 13 over one axis, the last; before, over all axes from one on, the second.
pub(super) fn hardmax(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let is_new = ctx.opset() >= 13;
    let axis = node.axis(
        node.int("axis").unwrap_or(if is_new { -1 } else { 1 }),
        shape.len(),
    )?;
    if !is_new {
        let flat = [
            shape[..axis].iter().product::<usize>(),
            shape[axis..].iter().product(),
        ];
        let x = reshaped(ctx, node, x, &flat);
        let hit = hits(ctx, node, x, false)?;
        let hit = reshaped(ctx, node, hit, &shape);
        return ctx.assign(node, Value::Node(hit));
    }
    let (perm, back) = to_end(shape.len(), axis);
    let x = permuted(ctx, node, x, &perm)?;
    let hit = hits(ctx, node, x, false)?;
    let id = permuted(ctx, node, hit, &back)?;
    ctx.assign(node, Value::Node(id))
}

/// The first `k` in order, of an axis of few elements.
pub(super) fn top_k(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let input = ctx.node(node, 0)?;
    let rank = ctx.shape(input).len();
    let axis = node.axis(node.int("axis").unwrap_or(-1), rank)?;
    let n = ctx.shape(input)[axis];
    let k = match node.int("k") {
        Some(k) => k,
        None => {
            let k = ctx.constant(node, 1, "the number k")?;
            integers(node, &k)?.first().copied().unwrap_or(0)
        }
    };
    let k = usize::try_from(k)
        .ok()
        .filter(|&k| k >= 1 && k <= n)
        .ok_or_else(|| node.form(format!("k is {k} of {n} elements")))?;
    if n > MAX_SORTED {
        return Err(node.form(format!(
            "it sorts an axis of {n} elements; at most {MAX_SORTED} are supported"
        )));
    }
    let (perm, back) = to_end(rank, axis);
    let x = permuted(ctx, node, input, &perm)?;
    let lead = ctx.shape(x)[..rank - 1].to_vec();
    let rows: usize = lead.iter().product();
    let x = reshaped(ctx, node, x, &[rows, n]);
    // before[r][j][i]: element i stands before element j.
    let largest = node.int("largest").unwrap_or(1) != 0;
    let column = reshaped(ctx, node, x, &[rows, n, 1]);
    let row = reshaped(ctx, node, x, &[rows, 1, n]);
    let (first, second) = if largest {
        (row, column)
    } else {
        (column, row)
    };
    let over = minus(ctx, node, Value::Node(first), Value::Node(second))?;
    let half = if ctx.is_whole(node, 0) { 0.5 } else { 0.0 };
    let strict = ctx.activation(
        node,
        over,
        Activation::Indicator {
            lo: -ALL,
            hi: half,
            inside: false,
        },
    );
    let equal = ctx.activation(
        node,
        over,
        Activation::Indicator {
            lo: -half,
            hi: half,
            inside: true,
        },
    );
    let earlier: Vec<f32> = (0..n * n).map(|at| f32::from(at % n < at / n)).collect();
    let earlier = constant(node, &[n, n], &earlier)?;
    let equal = times(ctx, node, equal, earlier)?;
    let before = plus(ctx, node, strict, Value::Node(equal))?;
    let place = weighted(ctx, node, before, 1, |_, _| 1.0)?;
    let place = reshaped(ctx, node, place, &[rows, 1, n]);
    // picked[r][t][j]: element j is the one at place t.
    let mut picked = Vec::new();
    for t in 0..k {
        let (lo, hi, inside) = (t as f32 - 0.5, t as f32 + 0.5, true);
        picked.push(ctx.activation(node, place, Activation::Indicator { lo, hi, inside }));
    }
    let picked = joined(ctx, node, picked, 1)?;
    let out = |ctx: &mut Builder, id: NodeId| {
        let id = reshaped(ctx, node, id, &[&lead[..], &[k]].concat());
        permuted(ctx, node, id, &back)
    };
    if node.output(1).is_some() {
        let index = weighted(ctx, node, picked, 1, |j, _| j as f32)?;
        let index = out(ctx, index)?;
        ctx.set_datum(node, 1, DatumType::I64);
        ctx.assign_output(node, 1, Value::Node(index))?;
    }
    if node.output(0).is_some() {
        let x = reshaped(ctx, node, x, &[rows, 1, n]);
        let values = contracted(ctx, node, picked, x)?;
        let values = out(ctx, values)?;
        ctx.assign(node, Value::Node(values))?;
    }
    Ok(())
}

/// `off + (on - off)·[index = j]` along a new axis; negative indices count from its end.
pub(super) fn one_hot(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let number = |i: usize, role| -> Result<Vec<f32>, ImportError> {
        finite(node, &*ctx.constant(node, i, role)?)
    };
    let depth = number(1, "the depth")?.first().copied().unwrap_or(0.0) as usize;
    let &[off, on] = number(2, "the values")?.as_slice() else {
        return Err(node.form("its values are not two numbers"));
    };
    let mut shape = ctx.shape(x).to_vec();
    let axis = node.axis(node.int("axis").unwrap_or(-1), shape.len() + 1)?;
    if depth == 0 || depth > MAX_DEPTH {
        return Err(node.form(format!("a depth of {depth} is not supported")));
    }
    shape.insert(axis, 1);
    let x = reshaped(ctx, node, x, &shape);
    let mut parts = Vec::new();
    for j in 0..depth {
        let at = |place: f32| Activation::Indicator {
            lo: place - 0.5,
            hi: place + 0.5,
            inside: true,
        };
        let front = ctx.activation(node, x, at(j as f32));
        let back = ctx.activation(node, x, at(j as f32 - depth as f32));
        parts.push(plus(ctx, node, front, Value::Node(back))?);
    }
    let hot = joined(ctx, node, parts, axis)?;
    let id = ctx.affine(node, hot, on - off, off);
    ctx.assign(node, Value::Node(id))
}

/// Keeps the slices of an axis that a constant condition names.
pub(super) fn compress(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let mut x = ctx.node(node, 0)?;
    let condition = finite(node, &*ctx.constant(node, 1, "the condition")?)?;
    let axis = match node.int("axis") {
        Some(axis) => node.axis(axis, ctx.shape(x).len())?,
        None => {
            let all = ctx.shape(x).iter().product();
            x = reshaped(ctx, node, x, &[all]);
            0
        }
    };
    let kept: Vec<usize> = (0..condition.len())
        .filter(|&i| condition[i] != 0.0)
        .collect();
    if kept.is_empty() || kept.last() >= Some(&ctx.shape(x)[axis]) {
        return Err(node.form("its condition keeps nothing, or more than there is"));
    }
    let slices = kept
        .into_iter()
        .map(|at| sliced(ctx, node, x, axis, at, 1))
        .collect::<Result<Vec<_>, _>>()?;
    let id = joined(ctx, node, slices, axis)?;
    ctx.assign(node, Value::Node(id))
}
