//! Which windows make a sum cheapest.

use super::{
    buckets::ROWS_FROM,
    digits::{SCALAR_BITS, Windows, small_windows},
};

/// Widest window: beyond it the buckets leave the cache.
const MAX_WINDOW_BITS: u32 = 18;

/// What a projective addition or doubling costs, in affine additions of a batch.
const PROJECTIVE: usize = 5;

/// How a sum is carried out.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) window_bits: u32,
    /// Buckets of one set: the largest magnitude of a digit.
    pub(super) per_set: usize,
    pub(super) sets: u32,
    /// Windows of small integers.
    pub(super) small: Windows,
    /// Windows of scalars of any size.
    pub(super) dense: Windows,
    /// Affine additions this takes, about.
    pub(super) cost: usize,
}

impl Plan {
    /// For `terms` scalars of any size over bases with multiples every `level_bits` bits.
    pub(super) fn dense(terms: usize, level_bits: u32) -> Self {
        let plan = |window_bits: u32| {
            let dense = Windows::dense(window_bits, level_bits);
            let (sets, per_set) = (dense.sets(), 1 << (window_bits - 1));
            let cost = terms * dense.len() + weighting(per_set, sets, window_bits);
            Plan {
                window_bits,
                per_set,
                sets,
                small: Windows::small(window_bits, 0),
                dense,
                cost,
            }
        };
        (3..=MAX_WINDOW_BITS.min(level_bits))
            .map(plan)
            .min_by_key(|plan| plan.cost)
            .unwrap_or_else(|| plan(2))
    }

    /// For `terms` integers of magnitude `max` at most and, in the same buckets, `tail` scalars of any size over bases with
    /// multiples every `level_bits` bits.
    pub(super) fn small(terms: usize, max: u64, tail: usize, level_bits: u32) -> Self {
        let plan = |window_bits: u32, whole: bool| {
            let half = 1 << (window_bits - 1);
            let count = if whole {
                1
            } else {
                small_windows(max, window_bits)
            };
            let small = if whole {
                Windows::whole(max)
            } else {
                Windows::small(window_bits, count)
            };
            let dense = Windows::dense(window_bits, level_bits);
            let mut per_set = if count == 1 { max as usize } else { half };
            let mut sets = count;
            if tail > 0 {
                per_set = per_set.max(half);
                sets = sets.max(dense.sets());
            }
            let cost =
                terms * count as usize + tail * dense.len() + weighting(per_set, sets, window_bits);
            Plan {
                window_bits,
                per_set,
                sets,
                small,
                dense,
                cost,
            }
        };
        // Values a little too wide for their window may still go into one, with more buckets.
        let whole_fits = max < 1 << (MAX_WINDOW_BITS - 1);
        let widest = if tail > 0 {
            MAX_WINDOW_BITS.min(level_bits)
        } else {
            MAX_WINDOW_BITS
        };
        let cut = (3..=widest).map(|window_bits| plan(window_bits, false));
        let whole = (3..=widest)
            .filter(|_| whole_fits)
            .map(|window_bits| plan(window_bits, true));
        cut.chain(whole)
            .min_by_key(|plan| plan.cost)
            .unwrap_or_else(|| plan(2, false))
    }

    /// How many buckets there are.
    pub(super) fn buckets(&self) -> usize {
        self.per_set * self.sets as usize
    }
}

/// The cost of the weighted sum of `sets` times `per_set` buckets.
fn weighting(per_set: usize, sets: u32, window_bits: u32) -> usize {
    let each = if per_set < ROWS_FROM {
        2 * PROJECTIVE * per_set
    } else {
        2 * per_set + 4 * PROJECTIVE * per_set.isqrt()
    };
    sets as usize * each + (sets - 1) as usize * window_bits as usize * PROJECTIVE
}

/// The distance between levels of multiples that makes dense sums over `bases` cheapest if a level takes `level_bytes`.
pub(super) fn level_bits(bases: usize, level_bytes: usize, memory_bytes: usize) -> u32 {
    let mut best = (usize::MAX, SCALAR_BITS);
    for window_bits in 4..=MAX_WINDOW_BITS {
        let windows = SCALAR_BITS.div_ceil(window_bits);
        for windows_per_level in 1..=windows {
            let levels = windows.div_ceil(windows_per_level) as usize;
            let fits = levels.checked_mul(level_bytes).is_some_and(|bytes| bytes <= memory_bytes)
                // Positions in the table carry a sign bit.
                && levels * bases < 1 << 30;
            let cost = windows as usize * bases
                + weighting(1 << (window_bits - 1), windows_per_level, window_bits);
            if (fits || levels == 1) && cost < best.0 {
                best = (cost, windows_per_level * window_bits);
            }
        }
    }
    best.1
}
