//! Remainders, quotients of integers, powers of tensors, and products of many elements.

use std::sync::Arc;

use tract_onnx::prelude::Tensor;

use super::{
    compose::{constant, minus, picked, plus, reshaped, spread, times},
    elementwise::joint_shape,
    reduce::axes,
    shape::permuted,
};
use crate::{
    graph::{Activation, Function, NodeId},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, finite},
    },
};

/// Factors that one product may have: each halving takes two squares an element.
const MAX_FACTORS: usize = 64;

/// `x / b` with the constant `b`, and half the least step between quotients where both are whole numbers.
fn quotient(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    divisor: &Tensor,
) -> Result<(NodeId, f32), ImportError> {
    let values = finite(node, divisor)?;
    let most = values.iter().fold(0f32, |m, v| m.max(v.abs()));
    if values.contains(&0.0) {
        return Err(node.form("the divisor holds zeros"));
    }
    let whole = ctx.is_whole(node, 0) && ctx.is_whole(node, 1);
    let inverse: Vec<f32> = values.iter().map(|v| 1.0 / v).collect();
    let inverse = constant(node, divisor.shape(), &inverse)?;
    let q = times(ctx, node, x, inverse)?;
    Ok((q, if whole { 0.5 / most } else { 0.0 }))
}

/// `f(q + shift)`; where `outward`, away from 0.
fn rounded(
    ctx: &mut Builder,
    node: &NodeView,
    q: NodeId,
    f: Activation,
    shift: f32,
    outward: bool,
) -> NodeId {
    let argument = Arc::new(Function::Argument);
    let by = Arc::new(Function::Constant(f64::from(shift)));
    let by = if outward {
        let sign = Arc::new(Function::Of(Activation::Sign, argument.clone()));
        Arc::new(Function::Product(sign, by))
    } else {
        by
    };
    let function = Function::Of(f, Arc::new(Function::Sum(argument, by)));
    ctx.activation(node, q, Activation::Composed(Arc::new(function)))
}

/// The quotient of integers, its fraction cut off, by constants.
pub(super) fn whole_div(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let divisor = ctx.constant(node, 1, "the divisor of integers")?;
    let (q, shift) = quotient(ctx, node, x, &divisor)?;
    let id = rounded(ctx, node, q, Activation::Trunc, shift, true);
    ctx.assign(node, Value::Node(id))
}

/// `x - b·⌊x/b⌋`, or with the fraction of `x/b` cut off (`fmod`), by constants.
pub(super) fn modulo(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let divisor = ctx.constant(node, 1, "the divisor")?;
    let cut = node.int("fmod").unwrap_or(0) != 0;
    let (q, shift) = quotient(ctx, node, x, &divisor)?;
    let q = match cut {
        true => rounded(ctx, node, q, Activation::Trunc, shift, true),
        false => rounded(ctx, node, q, Activation::Floor, shift, false),
    };
    let whole = times(ctx, node, q, Value::Constant(divisor))?;
    let id = minus(ctx, node, Value::Node(x), Value::Node(whole))?;
    ctx.assign(node, Value::Node(id))
}

/// `a^b` as `e^(b·ln a)`: `a` is taken at the nearest positive number.
pub(super) fn power(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let exponent = match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(a), b) => {
            let log = ctx.activation(node, a, Activation::Log);
            times(ctx, node, log, b)?
        }
        (Value::Constant(a), Value::Node(b)) => {
            let bases = finite(node, &a)?;
            if let Some(base) = bases.iter().find(|&&base| base <= 0.0) {
                return Err(node.form(format!("its base {base} is not positive")));
            }
            let logs: Vec<f32> = bases.iter().map(|base| base.ln()).collect();
            let logs = constant(node, a.shape(), &logs)?;
            times(ctx, node, b, logs)?
        }
        _ => return Err(node.form("both operands are constants")),
    };
    let id = ctx.activation(node, exponent, Activation::Exp);
    ctx.assign(node, Value::Node(id))
}

/// A power by exponents that differ from element to element: small whole ones as products, for any base.
pub(super) fn powers(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    exponents: &Tensor,
) -> Result<(), ImportError> {
    const MOST: f32 = 8.0;
    let shape = joint_shape(node, ctx.shape(x), exponents.shape())?;
    let values = spread(node, exponents, &shape)?;
    let small = |v: &f32| v.fract() == 0.0 && (0.0..=MOST).contains(v);
    if !values.iter().all(small) {
        return power(ctx, node);
    }
    // Each exponent's table, with the elements of the others left out.
    let x = super::elementwise::expand(ctx, node, x, &shape)?;
    let mut total: Option<NodeId> = None;
    for exponent in 0..=MOST as u32 {
        let flags: Vec<f32> = values
            .iter()
            .map(|&v| f32::from(v == exponent as f32))
            .collect();
        if flags.iter().all(|&f| f == 0.0) {
            continue;
        }
        let exponent = exponent as f32;
        let y = ctx.activation(node, x, Activation::Power { exponent });
        let flags = constant(node, &shape, &flags)?;
        let y = times(ctx, node, y, flags)?;
        total = Some(match total {
            None => y,
            Some(sum) => plus(ctx, node, sum, Value::Node(y))?,
        });
    }
    let total = total.ok_or_else(|| node.form("its exponents are empty"))?;
    ctx.assign(node, Value::Node(total))
}

/// The product of the elements of some axes, pair by pair.
pub(super) fn reduce_product(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let mut x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let axes = axes(ctx, node, from.len())?;
    let shape = ctx.output_shape(node, 0)?;
    let perm: Vec<usize> = (0..from.len())
        .filter(|axis| !axes.contains(axis))
        .chain(axes.iter().copied())
        .collect();
    let mut count: usize = axes.iter().map(|&axis| from[axis]).product();
    if count > MAX_FACTORS {
        return Err(node.form(format!(
            "it multiplies {count} elements; at most {MAX_FACTORS} are supported"
        )));
    }
    x = permuted(ctx, node, x, &perm)?;
    let kept = from.iter().product::<usize>() / count;
    x = reshaped(ctx, node, x, &[kept, count]);
    while count > 1 {
        let half = count / 2;
        let take = |ctx: &mut Builder, first: usize, length: usize| {
            picked(ctx, node, vec![x], vec![kept, length], |index, at| {
                at.extend([index[0], first + index[1]]);
                Some(0)
            })
        };
        let (a, b) = (take(ctx, 0, half)?, take(ctx, half, half)?);
        let product = times(ctx, node, a, Value::Node(b))?;
        x = match count % 2 {
            0 => product,
            _ => {
                let odd = take(ctx, 2 * half, 1)?;
                super::compose::joined(ctx, node, vec![product, odd], 1)?
            }
        };
        count = count.div_ceil(2);
    }
    let x = reshaped(ctx, node, x, &shape);
    ctx.assign(node, Value::Node(x))
}

/// Products up to each place of an axis, one after the other.
pub(super) fn cumulative_product(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let axis = super::super::build::integers(node, &*ctx.constant(node, 1, "the axis")?)?;
    let &[axis] = axis.as_slice() else {
        return Err(node.form("its axis must be one number"));
    };
    let axis = node.axis(axis, shape.len())?;
    let exclusive = node.int("exclusive").unwrap_or(0) != 0;
    let reverse = node.int("reverse").unwrap_or(0) != 0;
    let length = shape[axis];
    if length > MAX_FACTORS {
        return Err(node.form(format!(
            "it multiplies {length} elements; at most {MAX_FACTORS} are supported"
        )));
    }
    let mut one = shape.clone();
    one[axis] = 1;
    let mut parts = Vec::new();
    let mut total: Option<NodeId> = None;
    for i in 0..length {
        let at = if reverse { length - 1 - i } else { i };
        let slice = super::compose::sliced(ctx, node, x, axis, at, 1)?;
        let next = match total {
            None => slice,
            Some(t) => times(ctx, node, t, Value::Node(slice))?,
        };
        parts.push(if exclusive { total } else { Some(next) });
        total = Some(next);
    }
    let mut nodes = Vec::new();
    for part in parts {
        nodes.push(match part {
            Some(id) => id,
            None => {
                let ones = constant(node, &one, &vec![1.0; one.iter().product()])?;
                super::compose::lifted(ctx, node, ones)?
            }
        });
    }
    if reverse {
        nodes.reverse();
    }
    let id = super::compose::joined(ctx, node, nodes, axis)?;
    ctx.assign(node, Value::Node(id))
}
