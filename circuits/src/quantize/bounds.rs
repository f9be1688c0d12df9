//! Worst-case ranges of every node: what sizes lookup tables, and what shows that sums stay integers.

use thiserror::Error;

use crate::{
    geometry::Window,
    model::{Kind, Linear, Model, Node, Op, Shape, Table, Term},
};

/// Accumulators must stay below 2^62 in magnitude.
pub(super) const LIMIT: i128 = 1 << 62;

/// An interval `lo..=hi`.
pub type Range = (i64, i64);

/// Ranges that hold for every input in range, over all elements of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The accumulator.
    pub y: Range,
    /// After the shift.
    pub x: Range,
    /// What is looked up: `x`, and for pools each step `x - running maximum` (the first: `x` itself).
    pub a: Range,
    /// The running maximum of a pool; `x` elsewhere.
    pub m: Range,
    /// The tensor's values.
    pub c: Range,
}

/// An accumulator that may leave the range in which field and integer arithmetic agree.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("node `{node}`: its sums may reach {reach}, beyond 2^62; lower --shift or --bits")]
pub struct BoundsError {
    /// Node name.
    pub node: String,
    /// The worst case.
    pub reach: i128,
}

/// Interval propagation, one interval a channel: for a weight `w` and a source channel in `lo..=hi` the product
/// lies in `w·lo..=w·hi` (swapped where `w` is negative); sums of intervals add. Padding counts as a possible 0.
///
/// # Errors
/// [`BoundsError`] where an accumulator may reach 2^62.
pub fn bounds(model: &Model) -> Result<Vec<Bounds>, BoundsError> {
    let mut channels: Vec<Vec<Range>> = Vec::with_capacity(model.nodes.len());
    let mut out = Vec::with_capacity(model.nodes.len());
    for node in &model.nodes {
        let (bounds, per_channel) = match &node.kind {
            Kind::Input { lo, hi } => {
                let range = (*lo, *hi);
                (
                    Bounds {
                        y: range,
                        x: range,
                        a: range,
                        m: range,
                        c: range,
                    },
                    vec![range; node.shape.c],
                )
            }
            Kind::Linear(linear) => linear_bounds(model, node, linear, &channels)?,
        };
        out.push(bounds);
        channels.push(per_channel);
    }
    Ok(out)
}

fn linear_bounds(
    model: &Model,
    node: &Node,
    linear: &Linear,
    channels: &[Vec<Range>],
) -> Result<(Bounds, Vec<Range>), BoundsError> {
    let (y, peak) = accumulators(model, node, linear, channels);
    let mut total: Option<Bounds> = None;
    let mut values = Vec::with_capacity(y.len());
    for (lo, hi) in y {
        let reach = lo.abs().max(hi.abs()).max(peak);
        if reach >= LIMIT {
            return Err(BoundsError {
                node: node.name.clone(),
                reach,
            });
        }
        let y = (lo as i64, hi as i64);
        let x = if linear.requantize {
            (y.0 >> model.shift, y.1 >> model.shift)
        } else {
            y
        };
        let (m, a) = match linear.pool {
            None => (x, x),
            Some(pool) if pool.from_zero => {
                let m = (x.0.max(0), x.1.max(0));
                (m, (x.0 - m.1, x.1))
            }
            // The first step looks up x itself, a later one x less an earlier maximum.
            Some(_) => (x, (x.0.min(x.0 - x.1), x.1.max(x.1 - x.0))),
        };
        let c = image(&linear.table, m);
        values.push(c);
        let one = Bounds { y, x, a, m, c };
        total = Some(total.map_or(one, |t| Bounds {
            y: hull(t.y, one.y),
            x: hull(t.x, one.x),
            a: hull(t.a, one.a),
            m: hull(t.m, one.m),
            c: hull(t.c, one.c),
        }));
    }
    let zero = Bounds {
        y: (0, 0),
        x: (0, 0),
        a: (0, 0),
        m: (0, 0),
        c: (0, 0),
    };
    Ok((total.unwrap_or(zero), values))
}

fn hull(a: Range, b: Range) -> Range {
    (a.0.min(b.0), a.1.max(b.1))
}

/// Least and greatest value of a table on an interval.
fn image(table: &Table, (lo, hi): Range) -> Range {
    match table {
        Table::Raw | Table::Identity | Table::Clip { .. } => (table.eval(lo), table.eval(hi)),
        Table::Lut { lo: first, values } => {
            let last = first + values.len() as i64 - 1;
            let (lo, hi) = (lo.clamp(*first, last), hi.clamp(*first, last));
            (lo..=hi)
                .map(|x| table.eval(x))
                .fold((i64::MAX, i64::MIN), |r, v| (r.0.min(v), r.1.max(v)))
        }
    }
}

/// Accumulator intervals, one a channel, and the greatest magnitude of a single product.
fn accumulators(
    model: &Model,
    node: &Node,
    linear: &Linear,
    channels: &[Vec<Range>],
) -> (Vec<(i128, i128)>, i128) {
    let count = node.shape.c;
    // Maps and biases of single elements are summed element by element, then joined over the channel.
    let per_element =
        linear.terms.iter().any(|t| matches!(t.op, Op::Map { .. })) || linear.bias.len() != count;
    let elements = match linear.pool {
        _ if !per_element => 1,
        Some(pool) => pool.full.0 * pool.full.1,
        None => node.shape.h * node.shape.w,
    };
    let wide = |b: i64| (i128::from(b), i128::from(b));
    let mut y: Vec<(i128, i128)> = if linear.bias.len() == count {
        linear
            .bias
            .iter()
            .flat_map(|&b| std::iter::repeat_n(wide(b), elements))
            .collect()
    } else {
        linear.bias.iter().map(|&b| wide(b)).collect()
    };
    let mut peak = 0;
    for term in &linear.terms {
        add_term(
            term,
            &model.nodes[term.source].shape,
            &channels[term.source][term.channel..],
            &mut y,
            elements,
            &mut peak,
        );
    }
    let channels = y.chunks(elements).map(|e| {
        e.iter()
            .fold((i128::MAX, i128::MIN), |r, v| (r.0.min(v.0), r.1.max(v.1)))
    });
    (channels.collect(), peak)
}

/// A product of its own may reach no further than a sum: only then do the sums of 2^28 of them fit 128 bits. One that
/// reaches further leaves its mark in `peak`.
fn product(weight: i64, (lo, hi): Range, peak: &mut i128) -> (i128, i128) {
    let (a, b) = (
        i128::from(weight) * i128::from(lo),
        i128::from(weight) * i128::from(hi),
    );
    *peak = (*peak).max(a.abs()).max(b.abs());
    let cut = |v: i128| v.clamp(-LIMIT, LIMIT);
    (cut(a.min(b)), cut(a.max(b)))
}

fn add_term(
    term: &Term,
    source: &Shape,
    ranges: &[Range],
    y: &mut [(i128, i128)],
    elements: usize,
    peak: &mut i128,
) {
    let plane = source.h * source.w;
    let mut add = |channel: usize, (lo, hi): (i128, i128)| {
        for y in &mut y[channel * elements..(channel + 1) * elements] {
            *y = (y.0 + lo, y.1 + hi);
        }
    };
    match &term.op {
        Op::Conv(conv) => {
            let window = Window {
                input: (source.h, source.w),
                kernel: conv.kernel,
                stride: conv.stride,
                dilation: conv.dilation,
                pads: conv.pads,
            };
            let (group_in, group_out) = (conv.cin / conv.groups, conv.cout / conv.groups);
            let taps = conv.kernel.0 * conv.kernel.1;
            for (oc, weights) in conv.weights.chunks_exact(group_in * taps).enumerate() {
                let mut sum = (0, 0);
                for (i, &weight) in weights.iter().enumerate() {
                    let range = ranges[oc / group_out * group_in + i / taps];
                    let part = product(weight, padded(range, window.is_padded()), peak);
                    sum = (sum.0 + part.0, sum.1 + part.1);
                }
                add(oc, sum);
            }
        }
        Op::Dense { weights, .. } => {
            for (feature, row) in weights.chunks_exact(source.item()).enumerate() {
                let sum = row
                    .iter()
                    .enumerate()
                    .fold((0, 0), |sum: (i128, i128), (i, &weight)| {
                        let part = product(weight, ranges[i / plane], peak);
                        (sum.0 + part.0, sum.1 + part.1)
                    });
                add(feature, sum);
            }
        }
        Op::SumPool(pool) => {
            let taps = (pool.kernel.0 * pool.kernel.1) as i128;
            let is_padded = pool.pads != (0, 0, 0, 0);
            for (channel, &range) in ranges.iter().take(pool.channels).enumerate() {
                let part = product(pool.multiplier, padded(range, is_padded), peak);
                add(channel, (part.0 * taps, part.1 * taps));
            }
        }
        Op::Map { entries, .. } => {
            for &(out, input, weight) in entries {
                let part = product(weight, ranges[input as usize / plane], peak);
                let y = &mut y[out as usize];
                *y = (y.0 + part.0, y.1 + part.1);
            }
        }
    }
}

/// A range that a padding zero may replace.
fn padded((lo, hi): Range, is_padded: bool) -> Range {
    if is_padded {
        (lo.min(0), hi.max(0))
    } else {
        (lo, hi)
    }
}

#[cfg(test)]
mod tests;
