//! Columns and polynomials in a device's memory.

use std::sync::Arc;

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

impl DeviceColumn {
    /// Uploads a column of `n` rows.
    pub(crate) fn new(
        device: &Arc<dyn Device>,
        column: &Column<'_>,
        n: usize,
    ) -> Result<Self, GpuError> {
        let Some((head, tail)) = column.narrow() else {
            let values = column.expand(n);
            return Ok(Self {
                head: Buffer::unset(device, 0)?,
                width: 1,
                bits: 0,
                tail: Buffer::from_slice(device, &values)?,
                n,
            });
        };
        let (width, bits, head) = match head {
            Integers::Native(values) => {
                let width = narrowest(values);
                let bytes: Vec<u8> = values
                    .iter()
                    .flat_map(|v| v.to_le_bytes().into_iter().take(width as usize))
                    .collect();
                (width, bits(values), Buffer::from_slice(device, &bytes)?)
            }
            Integers::B1(values) => (1, bits(values), upload(device, values)?),
            Integers::B2(values) => (2, bits(values), upload(device, values)?),
            Integers::B4(values) => (4, bits(values), upload(device, values)?),
            Integers::B8(values) => (8, bits(values), upload(device, values)?),
        };
        Ok(Self {
            head,
            width,
            bits,
            tail: Buffer::from_slice(device, tail)?,
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

fn upload<const W: usize>(
    device: &Arc<dyn Device>,
    values: &[[u8; W]],
) -> Result<Buffer<u8>, GpuError> {
    Buffer::from_slice(device, values.as_flattened())
}

fn bits<T: Integer>(values: &[T]) -> u32 {
    u64::BITS - largest(values).leading_zeros()
}

/// The fewest bytes that hold all values: 1, 2, 4 or 8.
fn narrowest(values: &[i64]) -> u32 {
    let least = values.iter().copied().fold(0, i64::min);
    let greatest = values.iter().copied().fold(0, i64::max);
    let fits = |bits: u32| least >= -1i64 << (bits - 1) && greatest < 1i64 << (bits - 1);
    [1, 2, 4].into_iter().find(|w| fits(8 * w)).unwrap_or(8)
}
