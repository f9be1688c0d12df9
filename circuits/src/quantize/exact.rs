//! Multipliers of quantized layers as weights and one shift, with proofs that nothing is lost.
//!
//! A multiplier is `m · 2^-e`, `m` odd. With the model's shift `S ≥ e` the weights become `w · m · 2^(S - e)` and
//! `floor(y / 2^S + 1/2)` rounds exactly, halves up. A half needs `acc` to be an odd multiple of `2^(e - 1)`: where
//! the accumulator's interval holds none, halves up and halves to even are the same. `docs/quantized.md` has the rest.

use super::{QuantizeError, bounds::LIMIT};
use crate::{
    graph::{
        Dyadic, Graph, Grid, Node, Op, Quantized, QuantizedOp, Sum, SumMap, Ties, finite, sum_of,
    },
    profile::LIMB_BITS,
};

/// Shifts that profiles have, beyond the one asked for: remainders of 2, 5 and 6 limbs.
const SHIFTS: [u32; 3] = [2 * LIMB_BITS, 5 * LIMB_BITS, 6 * LIMB_BITS];

/// Entries that a table of sums may have.
pub(super) const MAX_TABLE: i64 = 1 << 16;

/// What one channel of a sum multiplies by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Channel {
    pub(super) factor: Dyadic,
    /// The value it always has, where it has but one: then its weights do not matter.
    pub(super) constant: Option<i64>,
    /// Some accumulator within its interval lies on a half.
    pub(super) ties: bool,
}

impl Channel {
    /// `acc` lies in the interval `lo..=hi`.
    fn new(factor: Dyadic, (lo, hi): (i64, i64), clip: (i64, i64), ties: Ties) -> Channel {
        let value = |acc: i64| factor.times(acc, ties).value.clamp(clip.0, clip.1);
        let (first, last) = (value(lo), value(hi));
        Channel {
            factor,
            constant: (first == last).then_some(first),
            ties: has_ties(factor, (lo, hi)),
        }
    }

    /// Fractional bits that it needs.
    fn bits(&self) -> i32 {
        if self.constant.is_some() || self.factor.m == 0 {
            0
        } else {
            self.factor.e
        }
    }
}

/// True where `factor · acc` is a half for some `acc` in the interval: an odd multiple of `2^(e - 1)`, as `m` is odd.
fn has_ties(factor: Dyadic, (lo, hi): (i64, i64)) -> bool {
    if factor.m == 0 || factor.e < 1 || factor.e > 62 {
        return false;
    }
    let half = 1i64 << (factor.e - 1);
    // The first odd multiple that is not below `lo`.
    let k = lo.div_euclid(half) + i64::from(lo.rem_euclid(half) != 0);
    let k = if k % 2 == 0 { k + 1 } else { k };
    i128::from(k) * i128::from(half) <= i128::from(hi)
}

/// The channels of a sum over integers of `from`.
pub(super) fn channels(sum: &Sum, quantized: &Quantized) -> Vec<Channel> {
    let (lo, hi) = quantized.from[0].ends();
    let mut ranges: Vec<(i64, i64)> = sum.bias.iter().map(|&b| (b, b)).collect();
    let mut add = |channel: usize, weight: f32| {
        let weight = weight as i64;
        let (a, b) = (weight * lo, weight * hi);
        let range = &mut ranges[channel];
        *range = (range.0 + a.min(b), range.1 + a.max(b));
    };
    match &sum.map {
        SumMap::Conv(conv) => {
            let each = conv.weights.len() / conv.cout;
            let weights = conv.weights.iter().enumerate();
            weights.for_each(|(i, &w)| add(i / each, w));
        }
        SumMap::MatMul { n, weights, .. } => {
            let weights = weights.iter().enumerate();
            weights.for_each(|(i, &w)| add(i % n, w));
        }
        SumMap::Total(pool) => {
            let taps = (pool.window.kernel.0 * pool.window.kernel.1) as f32;
            (0..pool.channels).for_each(|channel| add(channel, taps));
        }
    }
    let of = |(&multiplier, range)| {
        Channel::new(finite(multiplier), range, quantized.clip, quantized.ties())
    };
    sum.multipliers.iter().zip(ranges).map(of).collect()
}

/// True where a sum is its accumulators as they are, 32 bits wide.
pub(super) fn is_plain(sum: &Sum, quantized: &Quantized) -> bool {
    let wide =
        quantized.clip == quantized.to.ends() && quantized.to.greatest == i64::from(i32::MAX);
    wide && sum.multipliers.iter().all(|&m| m == 1.0)
}

/// Every pair of centred integers of two grids.
fn pairs(from: &[Grid]) -> impl Iterator<Item = (i64, i64)> + '_ {
    let (a, b) = (from[0].ends(), from[1].ends());
    (a.0..=a.1).flat_map(move |x| (b.0..=b.1).map(move |y| (x, y)))
}

/// True where a scaled integer and a scaled constant add up to a half, for some pair of them.
pub(super) fn offset_has_ties(a: Dyadic, b: Dyadic, from: Grid, summands: &[i64]) -> bool {
    let (lo, hi) = from.ends();
    let mut distinct = summands.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut all = distinct
        .into_iter()
        .flat_map(|y| (lo..=hi).map(move |x| (x, y)));
    all.any(|(x, y)| is_half(sum_of((a, x), (b, y))))
}

/// True where `n / 2^e` lies on a half.
fn is_half((n, e): (i128, i32)) -> bool {
    (1..120).contains(&e) && n.rem_euclid(1 << e) == 1 << (e - 1)
}

/// True where a sum of two scaled integers is a half for some pair of them.
pub(super) fn add_has_ties(a: Dyadic, b: Dyadic, from: &[Grid]) -> bool {
    pairs(from).any(|(x, y)| is_half(sum_of((a, x), (b, y))))
}

/// True where a scaled product of two integers is a half for some pair of them.
pub(super) fn mul_has_ties(factor: Dyadic, from: &[Grid]) -> bool {
    pairs(from).any(|(x, y)| has_ties(factor, (x * y, x * y)))
}

/// Fractional bits that a node needs.
fn bits(quantized: &Quantized) -> i32 {
    match &quantized.op {
        QuantizedOp::Sum(sum) if is_plain(sum, quantized) => 0,
        QuantizedOp::Sum(sum) => channels(sum, quantized)
            .iter()
            .map(Channel::bits)
            .max()
            .unwrap_or(0),
        QuantizedOp::Add { multipliers } | QuantizedOp::Offset { multipliers, .. } => {
            let bits = multipliers.map(|m| finite(m).e);
            bits[0].max(bits[1])
        }
        // Of a quarter of the difference of two squares.
        QuantizedOp::Mul { multiplier } => finite(*multiplier).e + 2,
        QuantizedOp::Round | QuantizedOp::Shift | QuantizedOp::Mean(_) | QuantizedOp::Table(_) => 0,
    }
}

/// The least shift that some profile has and that every multiplier allows.
///
/// # Errors
/// [`QuantizeError::Multiplier`] where a multiplier is finer than any profile's remainders.
pub(super) fn shift(graph: &Graph, asked: u32) -> Result<u32, QuantizeError> {
    let mut shift = asked;
    for Node { name, op, .. } in &graph.nodes {
        let Op::Quantized(quantized) = op else {
            continue;
        };
        let bits = bits(quantized).max(0) as u32;
        if bits > shift {
            shift = SHIFTS.into_iter().find(|&s| s >= bits).ok_or_else(|| {
                QuantizeError::Multiplier {
                    node: name.clone(),
                    bits,
                    most: SHIFTS[SHIFTS.len() - 1],
                }
            })?;
        }
    }
    Ok(shift)
}

/// `factor · value · 2^shift` for a `factor` that the shift was chosen for; `None` beyond 2^62.
pub(super) fn scaled(factor: Dyadic, value: i64, shift: u32) -> Option<i64> {
    let up = shift as i32 - factor.e;
    let product = i128::from(factor.m) * i128::from(value);
    if !(0..=60).contains(&up) {
        return (product == 0).then_some(0);
    }
    let scaled = product << up;
    (scaled.abs() < LIMIT).then_some(scaled as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_found_where_some_accumulator_has_one() {
        for value in [0.5f32, 0.25, 0.75, 0.062_5, 1.5, 0.1, 3.0] {
            let factor = finite(value);
            for (lo, hi) in [(-9, 9), (3, 3), (1, 7), (-30, -17), (16, 16)] {
                let expected = (lo..=hi).any(|acc| factor.times(acc, Ties::Even).margin == 0.0);
                assert_eq!(has_ties(factor, (lo, hi)), expected, "{value} {lo} {hi}");
            }
        }
    }

    #[test]
    fn scaled_weights_are_exact_or_refused() {
        let factor = finite(0.1);
        let scaled = scaled(factor, -300, 40).unwrap();
        assert_eq!(scaled as f64, f64::from(0.1f32) * -300.0 * 2f64.powi(40));
        assert_eq!(super::scaled(finite(2.0), 1 << 30, 40), None);
        assert_eq!(super::scaled(finite(0.0), 5, 40), Some(0));
    }
}
