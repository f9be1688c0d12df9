//! The digest of a tensor: one field element in place of public values.
//!
//! `N` values `x_i` of `lo ..= lo + 2^bits - 1` are packed, `m = 248 / bits` (rounded down) to a field element, lowest first:
//!
//! ```text
//! e_k = Σ_(j < m) (x_(k·m + j) - lo) · 2^(bits·j)                         < 2^248
//! state = (tag, 0, 0),  tag = "tensorseal"·2^160 + N·2^96 + bits·2^64 + (lo mod 2^64)
//! for each two elements:  state[1] += e_k,  state[2] += e_(k+1),  state = Poseidon(state)
//! digest = state[0]
//! ```
//!
//! A missing second element is 0. Different sequences of values, numbers of values or packings give different
//! sequences of absorbed elements or tags; up to two elements the digest is circomlib's `Poseidon(2)` with the tag as
//! initial state.

pub mod poseidon;

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use serde::{Deserialize, Serialize};

use crate::witness::field;

/// Bits of a packed element: less than the field's, so that packing is injective.
pub const ELEMENT_BITS: u32 = 248;

/// `tensorseal` in ASCII, big-endian: the tag's highest bytes.
pub const DOMAIN: &[u8; 10] = b"tensorseal";

/// How values are packed: those of `lo ..= lo + 2^bits - 1`, `bits` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(i64, u32)", into = "(i64, u32)")]
pub struct Packing {
    lo: i64,
    bits: u32,
}

/// What a packing cannot be or hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackingError {
    /// No such width.
    #[error("a packed value has 1 to 64 bits, not {bits}")]
    Bits {
        /// What was asked for.
        bits: u32,
    },
    /// A value out of range.
    #[error(
        "value {value} at position {index} is outside the packing's range, {bits} bits from {lo} on; quantize it as the model does"
    )]
    Value {
        /// The value.
        value: i64,
        /// Where.
        index: usize,
        /// The packing's least value.
        lo: i64,
        /// The packing's bits.
        bits: u32,
    },
}

impl TryFrom<(i64, u32)> for Packing {
    type Error = PackingError;

    fn try_from((lo, bits): (i64, u32)) -> Result<Self, PackingError> {
        if (1..=64).contains(&bits) {
            Ok(Packing { lo, bits })
        } else {
            Err(PackingError::Bits { bits })
        }
    }
}

impl From<Packing> for (i64, u32) {
    fn from(packing: Packing) -> Self {
        (packing.lo, packing.bits)
    }
}

impl Packing {
    /// The least value.
    pub fn lo(&self) -> i64 {
        self.lo
    }

    /// Bits of a value over [`lo`](Self::lo), 1 to 64.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The narrowest packing of `lo..=hi`.
    pub fn of(lo: i64, hi: i64) -> Self {
        let bits = u64::BITS - hi.abs_diff(lo).leading_zeros();
        Packing {
            lo,
            bits: bits.max(1),
        }
    }

    /// Values in a field element.
    pub fn per_element(&self) -> usize {
        (ELEMENT_BITS / self.bits) as usize
    }

    /// The initial state's first element for `count` values.
    pub fn tag(&self, count: usize) -> Fr {
        let shift = |v: Fr, bits: u32| v * Fr::from(2).pow_vartime([u64::from(bits)]);
        let domain = DOMAIN.iter().fold(Fr::ZERO, |sum, byte| {
            shift(sum, 8) + Fr::from(u64::from(*byte))
        });
        let count = shift(domain, 64) + Fr::from(count as u64);
        let bits = shift(count, 32) + Fr::from(u64::from(self.bits));
        shift(bits, 64) + Fr::from(self.lo as u64)
    }

    /// The packed elements.
    ///
    /// # Errors
    /// [`PackingError`] for a value out of range.
    pub fn pack(&self, values: &[i64]) -> Result<Vec<Fr>, PackingError> {
        let base = Fr::from(2).pow_vartime([u64::from(self.bits)]);
        let element = |(k, chunk): (usize, &[i64])| {
            let mut sum = Fr::ZERO;
            for (j, value) in chunk.iter().enumerate().rev() {
                let above = i128::from(*value) - i128::from(self.lo);
                let above = u64::try_from(above)
                    .ok()
                    .filter(|v| v.checked_shr(self.bits).unwrap_or(0) == 0)
                    .ok_or(PackingError::Value {
                        value: *value,
                        index: k * self.per_element() + j,
                        lo: self.lo,
                        bits: self.bits,
                    })?;
                sum = sum * base + Fr::from(above);
            }
            Ok(sum)
        };
        let chunks = values.chunks(self.per_element());
        chunks.enumerate().map(element).collect()
    }

    /// The digest of a tensor's values.
    ///
    /// # Errors
    /// [`PackingError`] for a value out of range.
    pub fn digest(&self, values: &[i64]) -> Result<Fr, PackingError> {
        let mut state = [self.tag(values.len()), Fr::ZERO, Fr::ZERO];
        for pair in self.pack(values)?.chunks(2) {
            for (s, element) in state[1..].iter_mut().zip(pair) {
                *s += element;
            }
            poseidon::permute(&mut state);
        }
        Ok(state[0])
    }

    /// `2^(bits·j)`, the weight of value `j` of an element.
    pub(crate) fn weight(&self, j: usize) -> Fr {
        Fr::from(2).pow_vartime([u64::from(self.bits) * j as u64])
    }

    /// What the first `count` places of an element add up to where each value is `-lo`.
    pub(crate) fn offset(&self, count: usize) -> Fr {
        (0..count).map(|j| self.weight(j)).sum::<Fr>() * -field(self.lo)
    }
}

#[cfg(test)]
mod tests {
    use ff::PrimeField;

    use super::*;

    #[test]
    fn packings_are_as_narrow_as_their_range() {
        for (lo, hi, bits) in [
            (0, 0, 1),
            (0, 1, 1),
            (-8, 7, 4),
            (0, 255, 8),
            (-128, 128, 9),
            (5, 6, 1),
        ] {
            assert_eq!(Packing::of(lo, hi), Packing { lo, bits });
        }
        assert_eq!(Packing::of(i64::MIN, i64::MAX).bits, 64);
        assert_eq!(Packing::of(i64::MIN, i64::MAX).per_element(), 3);
    }

    #[test]
    fn values_out_of_range_are_named() {
        let packing = Packing::of(-8, 7);
        assert_eq!(packing.pack(&[-8, 7]), Ok(vec![Fr::from(15 << 4)]));
        for value in [-9, 8, i64::MIN, i64::MAX] {
            let (index, lo, bits) = (1, -8, 4);
            let expected = PackingError::Value {
                value,
                index,
                lo,
                bits,
            };
            assert_eq!(packing.digest(&[0, value]), Err(expected));
        }
        for bits in [0, 65] {
            assert_eq!(
                Packing::try_from((0, bits)),
                Err(PackingError::Bits { bits })
            );
        }
        let full = Packing::of(i64::MIN, i64::MAX);
        assert_eq!(full.pack(&[i64::MAX]), Ok(vec![Fr::from(u64::MAX)]));
    }

    /// The tag, written in bytes: domain, number, width and least value, each at its place.
    #[test]
    fn tags_name_number_width_and_range() {
        let little = |v: u64| v.to_le_bytes();
        for (lo, bits, count) in [(-8, 4, 130), (i64::MIN, 64, 1), (7, 1, usize::MAX)] {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&little(lo as u64));
            bytes[8..12].copy_from_slice(&little(bits.into())[..4]);
            bytes[12..20].copy_from_slice(&little(count as u64));
            bytes[20..30].copy_from_slice(b"laesrosnet");
            let tag = Packing { lo, bits }.tag(count);
            assert_eq!(Some(tag), Option::<Fr>::from(Fr::from_repr(bytes)));
        }
        // Of values that pack to zeros only the tag tells one packing from another.
        let zeros = [(-8, 4, 2), (-8, 5, 2), (-7, 4, 2), (-8, 4, 3)].map(|(lo, bits, count)| {
            let digest = Packing { lo, bits }.digest(&vec![lo; count]);
            digest.unwrap()
        });
        for (i, a) in zeros.iter().enumerate() {
            assert!(zeros[i + 1..].iter().all(|b| a != b), "{i}");
        }
    }

    /// As many values to an element as its bits hold, each with bits of its own, all below the field's order.
    #[test]
    fn packing_is_injective() {
        for bits in 1..=64 {
            let packing = Packing { lo: 0, bits };
            let most = if bits == 64 {
                i64::MAX
            } else {
                ((1i128 << bits) - 1) as i64
            };
            let m = (248 / bits) as usize;
            let mut base = Fr::ONE;
            for j in 0..m {
                let mut values = vec![0; m + 1];
                values[j] = most;
                let packed = packing.pack(&values).unwrap();
                assert_eq!(
                    packed,
                    [base * Fr::from(most as u64), Fr::ZERO],
                    "{bits}, {j}"
                );
                assert_eq!(packing.weight(j), base);
                base *= Fr::from(2).pow_vartime([u64::from(bits)]);
            }
            // The greatest element is below 2^248, hence no two are the same element of the field.
            let all = packing.pack(&vec![most; m]).unwrap();
            assert_eq!((all.len(), all[0].to_repr()[31]), (1, 0), "{bits}");
        }
    }

    /// Length, range, width, order and every value count.
    #[test]
    fn digests_tell_tensors_apart() {
        let packing = Packing { lo: -8, bits: 4 };
        let values: Vec<i64> = (0..130).map(|i| i * 7 % 16 - 8).collect();
        let digest = packing.digest(&values).unwrap();
        let mut others = Vec::new();
        for i in [0, 61, 62, 123, 124, 129] {
            let mut changed = values.clone();
            changed[i] = (changed[i] + 9) % 16 - 8;
            others.push(packing.digest(&changed).unwrap());
        }
        others.push(packing.digest(&values[..129]).unwrap());
        let zeros = [&values[..], &[-8]].concat();
        others.push(packing.digest(&zeros).unwrap());
        let shifted: Vec<i64> = values.iter().map(|v| v + 8).collect();
        others.push(Packing { lo: 0, bits: 4 }.digest(&shifted).unwrap());
        others.push(Packing { lo: -8, bits: 5 }.digest(&values).unwrap());
        others.push(digest);
        for (i, a) in others.iter().enumerate() {
            assert!(others[i + 1..].iter().all(|b| a != b), "{i}");
        }
    }
}
