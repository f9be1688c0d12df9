//! The values that each channel can take, whatever the inputs are: what tables must cover, and digests hold.
//!
//! Soundness of the circuit does not rest on this, but for the digests of outputs: every looked-up value is a fixed cell, below 2^63,
//! so that an accumulator, a sum of at most 2^27 products of two such numbers, cannot leave the integers below `p/2`.

use super::CheckError;
use super::cells::grid;
use super::tables::value;
use crate::model::{Kind, Linear, Model, Node, NodeId, Op, Table, Term};

/// All integers from `lo` to `hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) lo: i64,
    pub(super) hi: i64,
}

impl Interval {
    fn join(self, other: Interval) -> Interval {
        Interval {
            lo: self.lo.min(other.lo),
            hi: self.hi.max(other.hi),
        }
    }
}

/// What a node looks up, and its accumulator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranges {
    /// By rows without windows, and by the first row of each.
    pub(super) first: Interval,
    /// By the other rows of windows.
    pub(super) later: Interval,
    pub(super) sum: Interval,
}

/// The ranges of all nodes.
#[derive(Debug)]
pub(super) struct Intervals(Vec<Ranges>);

/// A sum so far, in a width that holds it.
type Sum = (i128, i128);

impl Intervals {
    pub(super) fn of(model: &Model) -> Result<Self, CheckError> {
        let mut values: Vec<Vec<Interval>> = Vec::with_capacity(model.nodes.len());
        let mut out = Vec::with_capacity(model.nodes.len());
        for node in &model.nodes {
            let (ranges, channels) = match &node.kind {
                Kind::Input { lo, hi } => {
                    let range = Interval { lo: *lo, hi: *hi };
                    let ranges = Ranges {
                        first: range,
                        later: range,
                        sum: range,
                    };
                    (ranges, vec![range; node.shape.c])
                }
                Kind::Linear(linear) => computed(model, node, linear, &values)?,
            };
            out.push(ranges);
            values.push(channels);
        }
        Ok(Intervals(out))
    }

    pub(super) fn node(&self, id: NodeId) -> Ranges {
        self.0[id]
    }
}

fn computed(
    model: &Model,
    node: &Node,
    linear: &Linear,
    values: &[Vec<Interval>],
) -> Result<(Ranges, Vec<Interval>), CheckError> {
    let mut total: Option<Ranges> = None;
    let mut channels = Vec::with_capacity(node.shape.c);
    for (lo, hi) in sums(model, node, linear, values) {
        let narrow = |v: i128| i64::try_from(v).ok().filter(|v| v.unsigned_abs() < 1 << 62);
        let (Some(lo), Some(hi)) = (narrow(lo), narrow(hi)) else {
            return Err(CheckError::new("its sums leave the integers").node(&node.name));
        };
        let sum = Interval { lo, hi };
        let x = if linear.requantize {
            Interval {
                lo: lo >> model.shift,
                hi: hi >> model.shift,
            }
        } else {
            sum
        };
        // The running maximum before a later row, and behind the last.
        let (before, after) = match linear.pool {
            None => (x, x),
            Some(pool) => {
                let least = if pool.from_zero { x.lo.max(0) } else { x.lo };
                let most = if pool.from_zero { x.hi.max(0) } else { x.hi };
                let maximum = Interval {
                    lo: least,
                    hi: most,
                };
                (maximum, maximum)
            }
        };
        let later = Interval {
            lo: x.lo.saturating_sub(before.hi),
            hi: x.hi.saturating_sub(before.lo),
        };
        let one = Ranges {
            first: x,
            later,
            sum,
        };
        total = Some(total.map_or(one, |t| Ranges {
            first: t.first.join(one.first),
            later: t.later.join(one.later),
            sum: t.sum.join(one.sum),
        }));
        channels.push(image(&linear.table, after));
    }
    let total = total.ok_or_else(|| CheckError::new("it has no channels").node(&node.name))?;
    Ok((total, channels))
}

/// The least and the greatest value of a function on an interval.
fn image(table: &Table, x: Interval) -> Interval {
    let ends = Interval {
        lo: value(table, x.lo),
        hi: value(table, x.hi),
    };
    let Table::Lut { lo, values } = table else {
        return ends;
    };
    let inside = |x: i64| {
        let last = values.len() as i64 - 1;
        x.saturating_sub(*lo).clamp(0, last) as usize
    };
    let between = &values[inside(x.lo)..=inside(x.hi)];
    between.iter().fold(ends, |all, v| {
        let v = i64::from(*v);
        all.join(Interval { lo: v, hi: v })
    })
}

/// The sums of a node by channel, over all its positions.
fn sums(model: &Model, node: &Node, linear: &Linear, values: &[Vec<Interval>]) -> Vec<Sum> {
    let (h, w) = grid(node);
    let alike = linear.bias.len() == node.shape.c
        && linear.terms.iter().all(|t| !matches!(t.op, Op::Map { .. }));
    // Positions whose sums may differ.
    let positions = if alike { 1 } else { h * w };
    let bias = |i: usize| {
        let at = if linear.bias.len() == node.shape.c {
            i / positions
        } else {
            i
        };
        i128::from(linear.bias[at])
    };
    let mut out: Vec<Sum> = (0..node.shape.c * positions)
        .map(|i| (bias(i), bias(i)))
        .collect();
    for term in &linear.terms {
        add(model, term, &values[term.source], &mut out, positions);
    }
    let join = |sums: &[Sum]| {
        let lo = sums.iter().map(|s| s.0).min().unwrap_or(0);
        (lo, sums.iter().map(|s| s.1).max().unwrap_or(0))
    };
    out.chunks(positions).map(join).collect()
}

fn scaled(weight: i64, value: Interval) -> Sum {
    let (a, b) = (
        i128::from(weight) * i128::from(value.lo),
        i128::from(weight) * i128::from(value.hi),
    );
    (a.min(b), a.max(b))
}

fn plus(a: Sum, b: Sum) -> Sum {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

fn add(model: &Model, term: &Term, values: &[Interval], out: &mut [Sum], positions: usize) {
    let shape = model.nodes[term.source].shape;
    let size = shape.h * shape.w;
    let values = &values[term.channel..];
    let with_zero = |v: Interval, pads: (usize, usize, usize, usize)| {
        if pads == (0, 0, 0, 0) {
            v
        } else {
            v.join(Interval { lo: 0, hi: 0 })
        }
    };
    let mut all = |channel: usize, sum: Sum| {
        for o in &mut out[channel * positions..(channel + 1) * positions] {
            *o = plus(*o, sum);
        }
    };
    match &term.op {
        Op::Conv(conv) => {
            let (ins, outs) = (conv.cin / conv.groups, conv.cout / conv.groups);
            let taps = conv.kernel.0 * conv.kernel.1;
            for (o, weights) in conv.weights.chunks(ins * taps).enumerate() {
                let mut sum = (0, 0);
                for (c, weights) in weights.chunks(taps).enumerate() {
                    let value = with_zero(values[o / outs * ins + c], conv.pads);
                    for weight in weights {
                        sum = plus(sum, scaled(*weight, value));
                    }
                }
                all(o, sum);
            }
        }
        Op::SumPool(pool) => {
            let taps = (pool.kernel.0 * pool.kernel.1) as i128;
            for (channel, value) in values.iter().take(pool.channels).enumerate() {
                let one = scaled(pool.multiplier, with_zero(*value, pool.pads));
                all(
                    channel,
                    (one.0.saturating_mul(taps), one.1.saturating_mul(taps)),
                );
            }
        }
        Op::Dense { weights, .. } => {
            for (o, weights) in weights.chunks(shape.item()).enumerate() {
                let each = weights.chunks(size).zip(values);
                let sum = each.fold((0, 0), |sum, (weights, value)| {
                    weights
                        .iter()
                        .fold(sum, |sum, w| plus(sum, scaled(*w, *value)))
                });
                all(o, sum);
            }
        }
        Op::Map { entries, .. } => {
            for &(o, i, weight) in entries {
                let o = &mut out[o as usize];
                *o = plus(*o, scaled(weight, values[i as usize / size]));
            }
        }
    }
}
