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

/// An integer as a column of small values stores it.
pub(crate) trait Integer: Copy + Sync {
    /// Its value.
    fn get(self) -> i64;
}

impl Integer for i64 {
    fn get(self) -> i64 {
        self
    }
}

macro_rules! little_endian {
    ($($t:ty),*) => {$(
        impl Integer for [u8; size_of::<$t>()] {
            fn get(self) -> i64 {
                <$t>::from_le_bytes(self).into()
            }
        }
    )*};
}
little_endian!(i8, i16, i32, i64);

/// Integers of a column's first rows, at their own width; what follows is zero.
///
/// Those of one to eight bytes are little-endian, as a key's file has them, so that they are read where they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Integers<'a> {
    Native(&'a [i64]),
    B1(&'a [[u8; 1]]),
    B2(&'a [[u8; 2]]),
    B4(&'a [[u8; 4]]),
    B8(&'a [[u8; 8]]),
}

/// Runs an expression on the slice of whichever width.
macro_rules! each_width {
    ($integers:expr, $values:ident => $body:expr) => {
        match $integers {
            $crate::small::Integers::Native($values) => $body,
            $crate::small::Integers::B1($values) => $body,
            $crate::small::Integers::B2($values) => $body,
            $crate::small::Integers::B4($values) => $body,
            $crate::small::Integers::B8($values) => $body,
        }
    };
}
pub(crate) use each_width;

impl Integers<'_> {
    /// As field elements.
    pub(crate) fn widen(&self) -> Vec<Fr> {
        each_width!(self, values => values.iter().map(|v| from_i64(v.get())).collect())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        each_width!(self, values => values.len())
    }

    /// The least and the greatest, both 0 where there are none.
    pub(crate) fn range(&self) -> (i64, i64) {
        each_width!(self, values => {
            let values = values.iter().map(|v| v.get());
            (values.clone().min().unwrap_or(0), values.max().unwrap_or(0))
        })
    }

    /// The greatest magnitude.
    pub(crate) fn largest(&self) -> u64 {
        each_width!(self, values => largest(values))
    }
}

/// The greatest magnitude.
pub(crate) fn largest<T: Integer>(values: &[T]) -> u64 {
    let magnitudes = values.iter().map(|v| v.get().unsigned_abs());
    magnitudes.max().unwrap_or(0)
}
