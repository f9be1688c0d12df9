//! Attention (opset 23) and RotaryEmbedding, decomposed.
//!
//! ```text
//! s = scale · Q·Kᵀ,   s = softcap · tanh(s / softcap),   y = softmax(s + mask) · V
//! ```
//!
//! Both products are of computed matrices; masks (causal, constant, by constant lengths) leave elements out.

use super::{
    compose::{contracted, joined, lifted, picked, plus, reshaped, spread},
    mask,
    shape::permuted,
    softmax,
};
use crate::{
    graph::{Activation, NodeId},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::{for_each_index, strides},
        build::{Builder, Value, finite, integers},
    },
};

fn heads(node: &NodeView, name: &str) -> Result<usize, ImportError> {
    node.int(name)
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n > 0)
        .ok_or_else(|| node.form(format!("attribute {name} is missing or not positive")))
}

/// An operand as `[batch, heads, positions, size]`.
fn by_heads(
    ctx: &mut Builder,
    node: &NodeView,
    i: usize,
    attribute: &str,
) -> Result<NodeId, ImportError> {
    let value = ctx.value(node, i)?;
    let x = lifted(ctx, node, value)?;
    match *ctx.shape(x) {
        [_, _, _, _] => Ok(x),
        [n, positions, hidden] => {
            let heads = heads(node, attribute)?;
            if !hidden.is_multiple_of(heads) {
                return Err(node.form(format!("{hidden} numbers are not {heads} heads")));
            }
            let x = reshaped(ctx, node, x, &[n, positions, heads, hidden / heads]);
            permuted(ctx, node, x, &[0, 2, 1, 3])
        }
        ref shape => Err(node.form(format!("operand {i} of {shape:?} has neither 3 nor 4 axes"))),
    }
}

/// What a cache holds, and what is new behind it.
fn with_past(
    ctx: &mut Builder,
    node: &NodeView,
    past: usize,
    x: NodeId,
) -> Result<NodeId, ImportError> {
    if node.input(past).is_none() {
        return Ok(x);
    }
    let value = ctx.value(node, past)?;
    let past = lifted(ctx, node, value)?;
    joined(ctx, node, vec![past, x], 2)
}

/// Repeats each head for the queries that share it.
fn repeated(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    heads: usize,
) -> Result<NodeId, ImportError> {
    let mut shape = ctx.shape(x).to_vec();
    let own = shape[1];
    if own == heads {
        return Ok(x);
    }
    if !heads.is_multiple_of(own) {
        return Err(node.form(format!("{heads} heads do not share {own}")));
    }
    shape[1] = heads;
    picked(ctx, node, vec![x], shape, |index, at| {
        at.extend_from_slice(index);
        at[1] = index[1] / (heads / own);
        Some(0)
    })
}

pub(super) fn attention(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let query = ctx.value(node, 0)?;
    let flat = super::compose::shape_of(ctx, &query).len() == 3;
    let q = by_heads(ctx, node, 0, "q_num_heads")?;
    let k = by_heads(ctx, node, 1, "kv_num_heads")?;
    let v = by_heads(ctx, node, 2, "kv_num_heads")?;
    let past = match node.input(4) {
        Some(_) => {
            let value = ctx.value(node, 4)?;
            super::compose::shape_of(ctx, &value)
                .get(2)
                .copied()
                .unwrap_or(0)
        }
        None => 0,
    };
    let (k, v) = (with_past(ctx, node, 4, k)?, with_past(ctx, node, 5, v)?);
    for (output, id) in [(1, k), (2, v)] {
        if node.output(output).is_some() {
            ctx.assign_output(node, output, Value::Node(id))?;
        }
    }
    let &[n, count, rows, size] = ctx.shape(q) else {
        return Err(node.form("its queries have no four axes"));
    };
    let (k, v) = (
        repeated(ctx, node, k, count)?,
        repeated(ctx, node, v, count)?,
    );
    let columns = ctx.shape(k)[2];
    let scale = node.float("scale").filter(|&s| s != 0.0);
    let scale = scale.unwrap_or(1.0 / (size as f32).sqrt());
    let s = contracted(ctx, node, q, k)?;
    let mut s = ctx.affine(node, s, scale, 0.0);
    let softcap = node.float("softcap").unwrap_or(0.0);
    if softcap > 0.0 {
        s = ctx.affine(node, s, 1.0 / softcap, 0.0);
        s = ctx.activation(node, s, Activation::Tanh);
        s = ctx.affine(node, s, softcap, 0.0);
    }
    let shape = [n, count, rows, columns];
    let masked = with_mask(ctx, node, s, shape, past)?;
    let p = softmax::over(ctx, node, masked, &[3], false)?;
    if node.output(3).is_some() {
        let id = match node.int("qk_matmul_output_mode").unwrap_or(0) {
            2 => masked,
            3 => p,
            _ => s,
        };
        ctx.assign_output(node, 3, Value::Node(id))?;
    }
    let v = permuted(ctx, node, v, &[0, 1, 3, 2])?;
    let mut y = contracted(ctx, node, p, v)?;
    if flat {
        let hidden = count * ctx.shape(y)[3];
        y = permuted(ctx, node, y, &[0, 2, 1, 3])?;
        y = reshaped(ctx, node, y, &[n, rows, hidden]);
    }
    ctx.assign(node, Value::Node(y))
}

/// The scores with everything that is added to them.
fn with_mask(
    ctx: &mut Builder,
    node: &NodeView,
    scores: NodeId,
    shape: [usize; 4],
    past: usize,
) -> Result<NodeId, ImportError> {
    let mut s = scores;
    let total: usize = shape.iter().product();
    let mut bias = vec![0.0; total];
    let columns = shape[3];
    if node.input(3).is_some() {
        match ctx.value(node, 3)? {
            Value::Constant(tensor) => {
                // A mask may end early: what is behind it is left out.
                let given = tensor.shape().last().copied().unwrap_or(columns);
                let mut inner = shape;
                inner[3] = given.min(columns);
                let flags = ctx.datum(node, 3) == Some(tract_onnx::prelude::DatumType::Bool);
                let values = spread(node, &tensor, &inner)?;
                for (at, bias) in bias.iter_mut().enumerate() {
                    let (line, column) = (at / columns, at % columns);
                    *bias = match column < inner[3] {
                        false => f32::NEG_INFINITY,
                        true if flags => match values[line * inner[3] + column] {
                            0.0 => f32::NEG_INFINITY,
                            _ => 0.0,
                        },
                        true => values[line * inner[3] + column],
                    };
                }
            }
            Value::Node(computed) => {
                let fits = !ctx.is_whole(node, 3) && ctx.shape(computed).last() == Some(&columns);
                if !fits {
                    return Err(node.not_constant("a mask of truth values, or a short one,"));
                }
                s = plus(ctx, node, s, Value::Node(computed))?;
            }
        }
    }
    if node.int("is_causal").unwrap_or(0) != 0 {
        for (at, bias) in bias.iter_mut().enumerate() {
            let (row, column) = (at / columns % shape[2], at % columns);
            if column > row + past {
                *bias = f32::NEG_INFINITY;
            }
        }
    }
    if let Some(lengths) = ctx.optional(node, 6, "the number of keys")? {
        let lengths = integers(node, &lengths)?;
        if lengths.len() != shape[0] {
            return Err(node.form("its numbers of keys are not one a batch item"));
        }
        let item = total / shape[0];
        for (at, bias) in bias.iter_mut().enumerate() {
            if (at % columns) as i64 >= lengths[at / item] {
                *bias = f32::NEG_INFINITY;
            }
        }
    }
    mask::add(ctx, node, s, bias, &shape)
}

/// Rotates pairs of elements by constant angles: a linear map.
pub(super) fn rotary(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let cosines = ctx.constant(node, 1, "the cosines")?;
    let (cos, sin) = (
        finite(node, &cosines)?,
        finite(node, &*ctx.constant(node, 2, "the sines")?)?,
    );
    let positions = ctx.optional(node, 3, "the positions")?;
    let positions = positions.map(|p| integers(node, &p)).transpose()?;
    // Axes of the position and of the head's elements; three axes hold the heads one after the other.
    let (batch, length, size) = match *shape.as_slice() {
        [n, _, length, size] => (n, length, size),
        [n, length, hidden] => (n, length, hidden / heads(node, "num_heads")?),
        _ => return Err(node.form(format!("its input {shape:?} has neither 3 nor 4 axes"))),
    };
    let rotated = node.int("rotary_embedding_dim").unwrap_or(0);
    let rotated = usize::try_from(rotated)
        .ok()
        .filter(|&r| r > 0)
        .unwrap_or(size);
    let half = rotated / 2;
    if rotated > size || size == 0 || half == 0 || cosines.shape().last() != Some(&half) {
        return Err(node.form("its caches do not fit its heads"));
    }
    let interleaved = node.int("interleaved").unwrap_or(0) != 0;
    let steps = strides(&shape);
    let mut taps = Vec::with_capacity(shape.iter().product());
    let mut fault = false;
    for_each_index(&shape, |index| {
        let at: usize = index.iter().zip(&steps).map(|(i, s)| i * s).sum();
        let position = if shape.len() == 4 { index[2] } else { index[1] };
        let element = index[shape.len() - 1] % size;
        if element >= rotated {
            taps.push(vec![(at, 1.0)]);
            return;
        }
        let (pair, second) = if interleaved {
            (element / 2, element % 2 == 1)
        } else {
            (element % half, element >= half)
        };
        let other = match (interleaved, second) {
            (true, false) => at + 1,
            (true, true) => at - 1,
            (false, false) => at + half,
            (false, true) => at - half,
        };
        let line = index[0] % batch * length + position;
        let row = match &positions {
            None => Some(line),
            Some(all) => all.get(line).and_then(|&p| usize::try_from(p).ok()),
        };
        let place = row.map(|row| row * half + pair);
        let angle = place.and_then(|place| Some((*cos.get(place)?, *sin.get(place)?)));
        let Some((cos, sin)) = angle else {
            fault = true;
            taps.push(Vec::new());
            return;
        };
        taps.push(vec![(at, cos), (other, if second { sin } else { -sin })]);
    });
    if fault {
        return Err(node.form("a position lies outside its caches"));
    }
    let id = ctx.linear_map(node, x, shape, taps)?;
    ctx.assign(node, Value::Node(id))
}
