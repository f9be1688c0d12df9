//! Fixed columns in as few bytes as their values take.

use halo2_proofs::halo2curves::bn256::Fr;

use crate::{
    bytes::{PayloadError, Reader, push_scalar, push_u32},
    small::{as_i64, from_i64},
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
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
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
        fn narrow<T: TryFrom<i64>>(values: &[i64]) -> Option<Vec<T>> {
            values.iter().map(|v| T::try_from(*v).ok()).collect()
        }
        narrow(&small)
            .map(Self::I8)
            .or_else(|| narrow(&small).map(Self::I16))
            .or_else(|| narrow(&small).map(Self::I32))
            .unwrap_or(Self::I64(small))
    }

    /// All `n` values as field elements.
    pub(crate) fn expand(&self, n: usize) -> Vec<Fr> {
        use ff::Field;
        fn widen<T: Copy + Into<i64>>(values: &[T]) -> Vec<Fr> {
            values.iter().map(|v| from_i64((*v).into())).collect()
        }
        let mut values = match self {
            Self::Const(value) => vec![*value; n],
            Self::I8(values) => widen(values),
            Self::I16(values) => widen(values),
            Self::I32(values) => widen(values),
            Self::I64(values) => widen(values),
            Self::Full(values) => values.clone(),
        };
        values.resize(n, Fr::ZERO);
        values
    }

    /// Bytes of a stored value; the tag in the file, with 0 for a constant.
    fn width(&self) -> u8 {
        match self {
            Self::Const(_) => 0,
            Self::I8(_) => 1,
            Self::I16(_) => 2,
            Self::I32(_) => 4,
            Self::I64(_) => 8,
            Self::Full(_) => 32,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.width());
        macro_rules! write_all {
            ($values:expr) => {{
                push_u32(out, $values.len());
                $values
                    .iter()
                    .for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
            }};
        }
        match self {
            Self::Const(value) => push_scalar(out, value),
            Self::I8(values) => write_all!(values),
            Self::I16(values) => write_all!(values),
            Self::I32(values) => write_all!(values),
            Self::I64(values) => write_all!(values),
            Self::Full(values) => {
                push_u32(out, values.len());
                values.iter().for_each(|v| push_scalar(out, v));
            }
        }
    }

    /// Reads a column of at most `n` values.
    pub(crate) fn read(reader: &mut Reader<'_>, n: usize) -> Result<Self, PayloadError> {
        const WHAT: &str = "fixed column";
        let width = reader.u8(WHAT)?;
        if width == 0 {
            return reader.scalar(WHAT).map(Self::Const);
        }
        if ![1, 2, 4, 8, 32].contains(&width) {
            return Err(reader.invalid(1, "width of a fixed column"));
        }
        let width = usize::from(width);
        let count = reader.count(width, WHAT)?;
        if count > n {
            return Err(reader.invalid(4, "length of a fixed column"));
        }
        let bytes = reader.take(width * count, WHAT)?;
        macro_rules! read_all {
            ($t:ty) => {
                bytes
                    .as_chunks::<{ size_of::<$t>() }>()
                    .0
                    .iter()
                    .map(|chunk| <$t>::from_le_bytes(*chunk))
                    .collect()
            };
        }
        Ok(match width {
            1 => Self::I8(read_all!(i8)),
            2 => Self::I16(read_all!(i16)),
            4 => Self::I32(read_all!(i32)),
            8 => Self::I64(read_all!(i64)),
            _ => {
                let values = bytes
                    .as_chunks::<SCALAR_BYTES>()
                    .0
                    .iter()
                    .map(scalar_from_bytes);
                let values: Option<Vec<Fr>> = values.collect();
                Self::Full(values.ok_or_else(|| reader.invalid(bytes.len(), WHAT))?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;

    use super::*;

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
            assert_eq!(column.width(), width, "{values:?}");
            assert_eq!(column.expand(n), values);
            let mut bytes = vec![];
            column.write(&mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(CompactColumn::read(&mut reader, n).unwrap(), column);
            reader.finish().unwrap();
            for len in 0..bytes.len() {
                assert!(CompactColumn::read(&mut Reader::new(&bytes[..len]), n).is_err());
            }
            if width != 0 {
                assert!(CompactColumn::read(&mut Reader::new(&bytes), 0).is_err());
            }
        }
        assert!(CompactColumn::read(&mut Reader::new(&[3, 0, 0, 0, 0]), n).is_err());
    }
}
