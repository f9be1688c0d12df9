//! Field elements that are small signed integers.

use ff::PrimeField;
use halo2_proofs::halo2curves::bn256::Fr;

/// The integer `v` with `|v| < 2^63` that the element stands for, if there is one.
pub(crate) fn as_i64(value: &Fr) -> Option<i64> {
    magnitude(value).or_else(|| magnitude(&-*value).map(|v| -v))
}

fn magnitude(value: &Fr) -> Option<i64> {
    let repr = value.to_repr();
    let bytes: &[u8] = repr.as_ref();
    let (low, high) = bytes.split_first_chunk::<8>()?;
    if high.iter().any(|b| *b != 0) {
        return None;
    }
    i64::try_from(u64::from_le_bytes(*low)).ok()
}

/// The field element of an integer.
pub(crate) fn from_i64(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}
