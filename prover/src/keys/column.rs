//! Fixed columns in as few bytes as their values take.

use halo2_proofs::halo2curves::bn256::Fr;

use ::bytes::Bytes;

use crate::{
    bytes::{PayloadError, Reader, push_scalar, push_u32},
    small::{Integers, as_i64},
    transcript::{SCALAR_BYTES, scalar_from_bytes},
};

/// The values of a fixed column, rows `0..n`; what follows the stored ones is zero.
///
/// Weights and selectors are small signed integers, so a column of 2^13 of them takes 8 to 32 KiB
/// rather than 256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CompactColumn {
    /// The same value in every row.
    Const(Fr),
    /// Little-endian integers of `width` bytes: 1, 2, 4 or 8. Those of a mapped key's file stay in it.
    Narrow {
        width: u8,
        bytes: Bytes,
    },
    Full(Vec<Fr>),
}

impl CompactColumn {
    /// The narrowest form that holds the values.
    pub(crate) fn new(values: &[Fr]) -> Self {
        use ff::Field;
        if let Some(first) = values.first()
            && values.iter().all(|v| v == first)
        {
            return Self::Const(*first);
        }
        let used = values
            .iter()
            .rposition(|v| *v != Fr::ZERO)
            .map_or(0, |last| last + 1);
        let values = &values[..used];
        let Some(small) = values.iter().map(as_i64).collect::<Option<Vec<i64>>>() else {
            return Self::Full(values.to_vec());
        };
        let fits = |width: &u8| {
            let unused = 64 - 8 * u32::from(*width);
            small.iter().all(|v| v << unused >> unused == *v)
        };
        let width = [1, 2, 4].into_iter().find(fits).unwrap_or(8);
        let bytes = small
            .iter()
            .flat_map(|v| v.to_le_bytes().into_iter().take(width.into()))
            .collect();
        Self::Narrow { width, bytes }
    }

    /// The stored values, where they are integers.
    pub(crate) fn integers(&self) -> Option<Integers<'_>> {
        let Self::Narrow { width, bytes } = self else {
            return None;
        };
        Some(match width {
            1 => Integers::B1(bytes.as_chunks().0),
            2 => Integers::B2(bytes.as_chunks().0),
            4 => Integers::B4(bytes.as_chunks().0),
            _ => Integers::B8(bytes.as_chunks().0),
        })
    }

    /// All `n` values as field elements.
    pub(crate) fn expand(&self, n: usize) -> Vec<Fr> {
        use ff::Field;
        let mut values = match (self, self.integers()) {
            (_, Some(integers)) => integers.widen(),
            (Self::Full(values), _) => values.clone(),
            (Self::Const(value), _) => vec![*value; n],
            (Self::Narrow { .. }, None) => unreachable!("narrow columns are integers"),
        };
        values.resize(n, Fr::ZERO);
        values
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Const(value) => {
                out.push(0);
                push_scalar(out, value);
            }
            Self::Narrow { width, bytes } => {
                out.push(*width);
                push_u32(out, bytes.len() / usize::from(*width));
                out.extend_from_slice(bytes);
            }
            Self::Full(values) => {
                out.push(SCALAR_BYTES as u8);
                push_u32(out, values.len());
                values.iter().for_each(|v| push_scalar(out, v));
            }
        }
    }

    /// Reads a column of at most `n` values; `reader` is one of `payload`, which integers stay part of.
    pub(crate) fn read(
        reader: &mut Reader<'_>,
        payload: &Bytes,
        n: usize,
    ) -> Result<Self, PayloadError> {
        const WHAT: &str = "fixed column";
        let width = reader.u8(WHAT)?;
        if width == 0 {
            return reader.scalar(WHAT).map(Self::Const);
        }
        if ![1, 2, 4, 8, 32].contains(&width) {
            return Err(reader.invalid(1, "width of a fixed column"));
        }
        let value_bytes = usize::from(width);
        let count = reader.count(value_bytes, WHAT)?;
        if count > n {
            return Err(reader.invalid(4, "length of a fixed column"));
        }
        let bytes = reader.take(value_bytes * count, WHAT)?;
        let column = if width < 32 {
            let bytes = payload.slice_ref(bytes);
            Self::Narrow { width, bytes }
        } else {
            let values = bytes
                .as_chunks::<SCALAR_BYTES>()
                .0
                .iter()
                .map(scalar_from_bytes);
            let values: Option<Vec<Fr>> = values.collect();
            Self::Full(values.ok_or_else(|| reader.invalid(bytes.len(), WHAT))?)
        };
        match column.is_shortest(n) {
            true => Ok(column),
            false => {
                Err(reader.invalid(bytes.len(), "fixed column, in a longer form than it needs"))
            }
        }
    }

    /// Whether [`new`](Self::new) gives this form to the same values, of `n` rows.
    fn is_shortest(&self, n: usize) -> bool {
        match (self, self.integers()) {
            (Self::Narrow { width, bytes }, Some(integers)) => {
                let (least, most) = integers.range();
                let half = match width {
                    1 => 0,
                    width => 1i64 << (4 * width - 1),
                };
                let needs_width = least < -half || most >= half;
                let constant = integers.len() == n && least == most;
                let ends_in_zero = bytes.iter().rev().take((*width).into()).all(|b| *b == 0);
                needs_width && !constant && !ends_in_zero && least != i64::MIN
            }
            (Self::Full(values), _) => {
                let needs_width = values.iter().any(|v| as_i64(v).is_none());
                let constant = values.len() == n && values.iter().all(|v| *v == values[0]);
                needs_width && !constant && values.last() != Some(&Fr::zero())
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;

    use super::*;
    use crate::small::from_i64;

    #[test]
    fn columns_keep_their_values_in_their_width() {
        let n = 16;
        let wide = Fr::from(3).invert().unwrap();
        let cases: [(&[Fr], u8); 9] = [
            (&[], 0),
            (&[Fr::from(7); 16], 0),
            (&[from_i64(-128), from_i64(127)], 1),
            (&[from_i64(128)], 2),
            (&[from_i64(-32768), Fr::ZERO, Fr::ONE], 2),
            (&[from_i64(1 << 20)], 4),
            (&[from_i64(i64::from(i32::MIN) - 1)], 8),
            (&[from_i64(i64::MAX), from_i64(-i64::MAX)], 8),
            (&[Fr::ONE, wide], 32),
        ];
        for (values, width) in cases {
            let mut values = values.to_vec();
            values.resize(n, Fr::ZERO);
            let column = CompactColumn::new(&values);
            assert_eq!(column.expand(n), values);
            let mut bytes = vec![];
            column.write(&mut bytes);
            assert_eq!(bytes[0], width, "{values:?}");
            let bytes = Bytes::from(bytes);
            let read = |bytes: &Bytes, n| {
                let mut reader = Reader::new(bytes);
                let column = CompactColumn::read(&mut reader, bytes, n)?;
                reader.finish().map(|()| column)
            };
            let again = read(&bytes, n).unwrap();
            assert_eq!(again, column);
            if let CompactColumn::Narrow { bytes: stored, .. } = &again {
                assert!(bytes.as_ptr_range().contains(&stored.as_ptr()), "copied");
            }
            for len in 0..bytes.len() {
                assert!(read(&bytes.slice(..len), n).is_err());
            }
            if width != 0 {
                assert!(read(&bytes, 0).is_err());
            }
        }
        let odd = Bytes::from_static(&[3, 0, 0, 0, 0]);
        assert!(CompactColumn::read(&mut Reader::new(&odd), &odd, n).is_err());
    }

    /// The same values in a longer form are another file of the same key.
    #[test]
    fn only_the_shortest_form_is_read() {
        let n = 4;
        let narrow = |width: u8, values: &[i64]| CompactColumn::Narrow {
            width,
            bytes: values
                .iter()
                .flat_map(|v| v.to_le_bytes().into_iter().take(width.into()))
                .collect(),
        };
        let wide = Fr::from(3).invert().unwrap();
        let full = |values: &[Fr]| CompactColumn::Full(values.to_vec());
        let longer = [
            narrow(1, &[]),
            narrow(1, &[1, 0]),
            narrow(1, &[5; 4]),
            narrow(2, &[1, 127]),
            narrow(2, &[-128]),
            narrow(4, &[1, 32767]),
            narrow(8, &[i64::from(i32::MIN)]),
            narrow(8, &[1, i64::MIN]),
            narrow(2, &[300; 4]),
            full(&[Fr::ONE, Fr::ZERO, -Fr::ONE]),
            full(&[wide, Fr::ZERO]),
            full(&[wide; 4]),
            full(&[]),
        ];
        let shortest = [
            narrow(1, &[1, -128]),
            narrow(2, &[-129]),
            narrow(2, &[128, 1]),
            narrow(4, &[32768]),
            narrow(8, &[1 << 31]),
            narrow(8, &[-i64::MAX]),
            narrow(1, &[5; 3]),
            full(&[wide, Fr::ONE]),
            CompactColumn::Const(Fr::ZERO),
            CompactColumn::Const(wide),
        ];
        for (columns, read) in [(&longer[..], false), (&shortest[..], true)] {
            for column in columns {
                assert_eq!(CompactColumn::new(&column.expand(n)) == *column, read);
                let mut bytes = vec![];
                column.write(&mut bytes);
                let bytes = Bytes::from(bytes);
                let result = CompactColumn::read(&mut Reader::new(&bytes), &bytes, n);
                assert_eq!(result.is_ok(), read, "{column:?}");
            }
        }
    }
}
