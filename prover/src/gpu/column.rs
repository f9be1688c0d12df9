//! Columns and polynomials in a device's memory.

use std::{borrow::Cow, sync::Arc};

use halo2_proofs::halo2curves::bn256::Fr;

use super::{
    device::{
        Buffer, Device,
        launch::{ColumnView, ScalarValues},
    },
    error::GpuError,
    msm::{ELEMENT_BITS, Sum},
};
use crate::{
    backend::Column,
    small::{Integer, Integers, each_width, largest},
};

/// The coefficients of a polynomial.
pub(crate) type DevicePolynomial = Buffer<Fr>;

/// A column, at the width it has.
#[derive(Debug)]
pub(crate) struct DeviceColumn {
    head: Buffer<u8>,
    width: u32,
    /// Bits of the head's magnitudes.
    bits: u32,
    tail: Buffer<Fr>,
    n: usize,
}

/// A column in the bytes that a device gets.
#[derive(Debug)]
pub(crate) struct Packed<'c> {
    head: Cow<'c, [u8]>,
    width: u32,
    /// Bits of the head's magnitudes.
    bits: u32,
    tail: Cow<'c, [Fr]>,
}

impl<'c> Packed<'c> {
    /// Of a column of `n` rows.
    pub(crate) fn new(column: &'c Column<'_>, n: usize) -> Self {
        let Some((head, tail)) = column.narrow() else {
            return Self {
                head: Cow::Borrowed(&[]),
                width: 1,
                bits: 0,
                tail: Cow::Owned(column.expand(n)),
            };
        };
        let (width, head, bits) = match head {
            Integers::Native(values) => {
                let width = narrowest(values);
                (width, Cow::Owned(cut(values, width)), bits(values))
            }
            Integers::B1(values) => (1, Cow::Borrowed(values.as_flattened()), bits(values)),
            Integers::B2(values) => (2, Cow::Borrowed(values.as_flattened()), bits(values)),
            Integers::B4(values) => (4, Cow::Borrowed(values.as_flattened()), bits(values)),
            Integers::B8(values) => (8, Cow::Borrowed(values.as_flattened()), bits(values)),
        };
        Self {
            head,
            width,
            bits,
            tail: Cow::Borrowed(tail),
        }
    }
}

impl DeviceColumn {
    /// Uploads a column of `n` rows.
    pub(crate) fn new(
        device: &Arc<dyn Device>,
        packed: &Packed<'_>,
        n: usize,
    ) -> Result<Self, GpuError> {
        Ok(Self {
            head: Buffer::from_slice(device, &packed.head)?,
            width: packed.width,
            bits: packed.bits,
            tail: Buffer::from_slice(device, &packed.tail)?,
            n,
        })
    }

    /// Bytes that a column of `n` rows takes on a device.
    pub(crate) fn bytes(column: &Column<'_>, n: usize) -> u64 {
        let Some((head, tail)) = column.narrow() else {
            return (n * size_of::<Fr>()) as u64;
        };
        let width = match head {
            Integers::Native(values) => narrowest(values),
            Integers::B1(_) => 1,
            Integers::B2(_) => 2,
            Integers::B4(_) => 4,
            Integers::B8(_) => 8,
        };
        let rows = each_width!(head, values => values.len());
        (rows * width as usize + size_of_val(tail)) as u64
    }

    pub(crate) fn is_on(&self, device: &Arc<dyn Device>) -> bool {
        Arc::ptr_eq(self.tail.all().device(), device)
    }

    pub(crate) fn view(&self) -> ColumnView<'_> {
        ColumnView {
            head: self.head.all(),
            width: self.width,
            tail: self.tail.all(),
        }
    }

    /// The commitment as two sums, of the integers and of the elements.
    pub(crate) fn sums(&self) -> [Sum<'_>; 2] {
        let integers = Sum {
            values: ScalarValues::Integers(self.head.all(), self.width),
            bits: self.bits,
            first_base: 0,
        };
        let elements = Sum {
            values: ScalarValues::Elements(self.tail.all()),
            bits: ELEMENT_BITS,
            first_base: self.n - self.tail.len(),
        };
        [integers, elements]
    }
}

fn bits<T: Integer>(values: &[T]) -> u32 {
    u64::BITS - largest(values).leading_zeros()
}

/// The low `width` bytes of each value.
fn cut(values: &[i64], width: u32) -> Vec<u8> {
    fn all<const W: usize>(values: &[i64], bytes: impl Fn(i64) -> [u8; W]) -> Vec<u8> {
        let parts: Vec<[u8; W]> = values.iter().map(|v| bytes(*v)).collect();
        parts.into_flattened()
    }
    match width {
        1 => all(values, |v| (v as i8).to_le_bytes()),
        2 => all(values, |v| (v as i16).to_le_bytes()),
        4 => all(values, |v| (v as i32).to_le_bytes()),
        _ => all(values, i64::to_le_bytes),
    }
}

/// The fewest bytes that hold all values: 1, 2, 4 or 8.
fn narrowest(values: &[i64]) -> u32 {
    let least = values.iter().copied().fold(0, i64::min);
    let greatest = values.iter().copied().fold(0, i64::max);
    let fits = |bits: u32| least >= -1i64 << (bits - 1) && greatest < 1i64 << (bits - 1);
    [1, 2, 4].into_iter().find(|w| fits(8 * w)).unwrap_or(8)
}
