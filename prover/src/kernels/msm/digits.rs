//! Scalars as signed digits.
//!
//! A scalar is cut into *levels* of `level_bits` bits, one for each precomputed multiple `2^(level_bits·j)·G`
//! of the bases, and a level into windows of at most `window_bits` bits. The `t`-th window of every level
//! goes into bucket set `t`, whose sum has weight `2^(window_bits·t)`. Digits lie in `[-2^(w-1), 2^(w-1)]`
//! for a window of `w` bits, so that half the buckets do: the sign goes to the point.

use ff::PrimeField;
use halo2_proofs::halo2curves::bn256::Fr;

/// Bits that windows must cover: a scalar has 254, and the topmost digit must not overflow into a carry.
pub(super) const SCALAR_BITS: u32 = 255;

/// Where one digit comes from, and where it goes.
#[derive(Clone, Copy, Debug)]
struct Window {
    offset: u32,
    width: u32,
    level: u32,
    set: u32,
}

/// The windows of a kind of scalar, least significant first.
#[derive(Clone, Debug)]
pub(super) struct Windows(Vec<Window>);

impl Windows {
    /// Windows of `window_bits` for scalars below the field's modulus.
    pub(super) fn dense(window_bits: u32, level_bits: u32) -> Self {
        let mut windows = vec![];
        let mut offset = 0;
        while offset < SCALAR_BITS {
            let (level, within) = (offset / level_bits, offset % level_bits);
            let width = window_bits.min(level_bits - within);
            windows.push(Window {
                offset,
                width,
                level,
                set: within / window_bits,
            });
            offset += width;
        }
        Windows(windows)
    }

    /// `count` windows of `window_bits` over the bases themselves.
    pub(super) fn small(window_bits: u32, count: u32) -> Self {
        let window = |t| Window {
            offset: t * window_bits,
            width: window_bits,
            level: 0,
            set: t,
        };
        Windows((0..count).map(window).collect())
    }

    /// One window that takes magnitudes of at most `max` as they are.
    pub(super) fn whole(max: u64) -> Self {
        Windows(vec![Window {
            offset: 0,
            width: u64::BITS - max.leading_zeros() + 1,
            level: 0,
            set: 0,
        }])
    }

    /// Digits a scalar has at most.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Bucket sets that the digits go to.
    pub(super) fn sets(&self) -> u32 {
        self.0.iter().map(|w| w.set + 1).max().unwrap_or(0)
    }

    /// Calls `emit(level, set, magnitude, negative)` for each digit of `limbs` other than zero.
    #[inline(always)]
    pub(super) fn digits(&self, limbs: &[u64; 4], mut emit: impl FnMut(u32, u32, u32, bool)) {
        let mut carry = 0;
        for window in &self.0 {
            let raw = bits(limbs, window.offset, window.width) + carry;
            let half = 1 << (window.width - 1);
            let negative = raw > half;
            carry = u32::from(negative);
            let magnitude = if negative {
                (1 << window.width) - raw
            } else {
                raw
            };
            if magnitude != 0 {
                emit(window.level, window.set, magnitude, negative);
            }
        }
    }
}

/// `width` (at most 24) bits of a number from bit `offset` on; zeros past its end.
#[inline(always)]
fn bits(limbs: &[u64; 4], offset: u32, width: u32) -> u32 {
    let (word, shift) = ((offset / 64) as usize, offset % 64);
    let low = limbs.get(word).copied().unwrap_or(0);
    let high = limbs.get(word + 1).copied().unwrap_or(0);
    let both = u128::from(low) | (u128::from(high) << 64);
    (both >> shift) as u32 & ((1 << width) - 1)
}

/// The canonical integer of a field element, least significant limb first.
#[inline(always)]
pub(super) fn limbs(scalar: &Fr) -> [u64; 4] {
    let bytes: [u8; 32] = scalar.to_repr();
    std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|j| bytes[8 * i + j])))
}

/// How many windows of `window_bits` a magnitude of at most `max` needs, the last without a carry.
pub(super) fn small_windows(max: u64, window_bits: u32) -> u32 {
    let half = 1u128 << (window_bits - 1);
    let mut count = 1;
    let mut top = u128::from(max);
    while top > half {
        // What the windows below leave, and the carry they may send up.
        top = (u128::from(max) >> (window_bits * count)) + 1;
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use proptest::prelude::*;

    use super::*;

    fn sum(windows: &Windows, limbs: &[u64; 4], window_bits: u32, level_bits: u32) -> Fr {
        let mut sum = Fr::ZERO;
        windows.digits(limbs, |level, set, magnitude, negative| {
            assert!(magnitude <= 1 << (window_bits - 1));
            let shift = u64::from(level * level_bits + set * window_bits);
            let term = Fr::from(2).pow_vartime([shift]) * Fr::from(u64::from(magnitude));
            sum += if negative { -term } else { term };
        });
        sum
    }

    proptest! {
        #[test]
        fn dense_digits_sum_to_the_scalar(raw in any::<[u64; 4]>(), window_bits in 2u32..=18, extra in 0u32..40, edge in 0u8..4) {
            let scalar = match edge { 0 => Fr::ZERO, 1 => -Fr::ONE, 2 => Fr::from(raw[0]), _ => Fr::from_raw(raw) };
            let level_bits = window_bits + extra;
            let windows = Windows::dense(window_bits, level_bits);
            prop_assert_eq!(sum(&windows, &limbs(&scalar), window_bits, level_bits), scalar);
        }

        #[test]
        fn small_digits_sum_to_the_magnitude(value in any::<u64>(), shift in 0u32..64, window_bits in 2u32..=18) {
            let value = value >> shift;
            let windows = Windows::small(window_bits, small_windows(value, window_bits));
            prop_assert_eq!(sum(&windows, &[value, 0, 0, 0], window_bits, 0), Fr::from(value));
        }
    }

    #[test]
    fn a_byte_has_one_window() {
        assert_eq!(small_windows(128, 8), 1);
        assert_eq!(small_windows(129, 8), 2);
        assert_eq!(small_windows(u64::MAX, 16), 5);
    }
}
