//! Columns that know how wide their values are.

use std::sync::OnceLock;

use ff::Field;
use halo2_proofs::halo2curves::bn256::{Fr, G1};

use crate::{
    gpu::DeviceColumn,
    kernels::FixedBase,
    keys::CompactColumn,
    small::{Integer, Integers, as_i64, each_width, largest},
};

/// A column, given by its values on the domain.
#[derive(Debug)]
pub(crate) struct Column<'k> {
    pub(crate) values: Values<'k>,
    /// What a backend keeps of the column on its device, for as long as the column is there.
    pub(crate) resident: OnceLock<DeviceColumn>,
}

/// The values of a column.
#[derive(Clone, Debug)]
pub(crate) enum Values<'k> {
    /// Small integers in the first rows, zeros, then field elements in the last (blinding) rows.
    Small { head: Vec<i64>, tail: Vec<Fr> },
    /// Small integers of a key, in the bytes they have there.
    Narrow(Integers<'k>),
    /// Field elements in every row.
    Dense(Vec<Fr>),
}

/// Wider integers are no cheaper than field elements.
const SMALL_BITS: u32 = 40;

impl<'k> From<Values<'k>> for Column<'k> {
    fn from(values: Values<'k>) -> Self {
        Self {
            values,
            resident: OnceLock::new(),
        }
    }
}

impl<'k> Column<'k> {
    /// Small integers in the first rows, zeros, then field elements in the last ones.
    pub(crate) fn small(head: Vec<i64>, tail: Vec<Fr>) -> Self {
        Values::Small { head, tail }.into()
    }

    /// Field elements in every row.
    pub(crate) fn dense(values: Vec<Fr>) -> Self {
        Values::Dense(values).into()
    }

    /// The narrowest form of `n` values whose last `blinding` are arbitrary.
    pub(crate) fn detect(values: Vec<Fr>, blinding: usize) -> Self {
        let usable = values.len() - blinding;
        let used = values[..usable]
            .iter()
            .rposition(|v| *v != Fr::ZERO)
            .map_or(0, |last| last + 1);
        let small = |v: &Fr| as_i64(v).filter(|v| v.unsigned_abs() < 1 << SMALL_BITS);
        match values[..used]
            .iter()
            .map(small)
            .collect::<Option<Vec<i64>>>()
        {
            Some(head) => Self::small(head, values[usable..].to_vec()),
            None => Self::dense(values),
        }
    }

    /// A fixed column of a key.
    pub(crate) fn fixed(column: &'k CompactColumn, n: usize) -> Self {
        let narrow = column.integers();
        match narrow.filter(|integers| integers.largest() < 1 << SMALL_BITS) {
            Some(integers) => Values::Narrow(integers).into(),
            None => Self::detect(column.expand(n), 0),
        }
    }

    /// The integers of the first rows and the elements of the last, where the column is not dense.
    pub(crate) fn narrow(&self) -> Option<(Integers<'_>, &[Fr])> {
        match &self.values {
            Values::Small { head, tail } => Some((Integers::Native(head), tail)),
            Values::Narrow(integers) => Some((*integers, &[])),
            Values::Dense(_) => None,
        }
    }

    /// All `n` values.
    pub(crate) fn expand(&self, n: usize) -> Vec<Fr> {
        match &self.values {
            Values::Dense(values) => values.clone(),
            Values::Small { head, tail } => {
                let mut out = Integers::Native(head).widen();
                out.resize(n - tail.len(), Fr::ZERO);
                out.extend_from_slice(tail);
                out
            }
            Values::Narrow(integers) => {
                let mut out = integers.widen();
                out.resize(n, Fr::ZERO);
                out
            }
        }
    }

    /// `Σ_i values[i]·G_i` for the bases of all rows.
    pub(crate) fn commit(&self, bases: &FixedBase) -> G1 {
        match &self.values {
            Values::Small { head, tail } => {
                bases.msm_small_with_tail(head, bases.len() - tail.len(), tail)
            }
            Values::Narrow(_) | Values::Dense(_) => bases.msm_dense(&self.expand(bases.len())),
        }
    }

    /// `Σ_i values[i + rotation]·weights[i]`, indices modulo `n`.
    pub(crate) fn dot(&self, weights: &[Fr], rotation: i32) -> Fr {
        let n = weights.len();
        let shift = i64::from(rotation).rem_euclid(n as i64) as usize;
        // Row `r` meets the weight of index `r - rotation`.
        let weight = |row: usize| &weights[(row + n - shift) % n];
        let wide = |first: usize, values: &[Fr]| -> Fr {
            values
                .iter()
                .enumerate()
                .map(|(i, v)| v * weight(first + i))
                .sum()
        };
        match (&self.values, self.narrow()) {
            (Values::Dense(values), _) => wide(0, values),
            (_, Some((head, tail))) => {
                let head = each_width!(head, values => Digits::dot(values, weight));
                head + wide(n - tail.len(), tail)
            }
            (_, None) => unreachable!("only dense columns are not narrow"),
        }
    }
}

/// Sums of weights by the byte that multiplies them: `Σ v·w` with one addition a byte of `v`.
struct Digits {
    sums: Vec<[Fr; 256]>,
}

impl Digits {
    fn dot<'w, T: Integer>(values: &[T], weight: impl Fn(usize) -> &'w Fr) -> Fr {
        let mut digits = Self {
            sums: vec![[Fr::ZERO; 256]; bytes(values)],
        };
        for (row, v) in values.iter().enumerate() {
            let v = v.get();
            if v != 0 {
                digits.add(v, weight(row));
            }
        }
        digits.total()
    }

    fn add(&mut self, v: i64, weight: &Fr) {
        let magnitude = v.unsigned_abs();
        for (i, sums) in self.sums.iter_mut().enumerate() {
            let digit = (magnitude >> (8 * i)) as usize & 255;
            if digit != 0 {
                if v < 0 {
                    sums[digit] -= weight;
                } else {
                    sums[digit] += weight;
                }
            }
        }
    }

    fn total(&self) -> Fr {
        let mut total = Fr::ZERO;
        for sums in self.sums.iter().rev() {
            for _ in 0..8 {
                total = total.double();
            }
            let (mut running, mut sum) = (Fr::ZERO, Fr::ZERO);
            for s in sums[1..].iter().rev() {
                running += s;
                sum += running;
            }
            total += sum;
        }
        total
    }
}

/// Bytes that the magnitudes take.
fn bytes<T: Integer>(values: &[T]) -> usize {
    (u64::BITS - largest(values).leading_zeros()).div_ceil(8) as usize
}

/// Multiples of a factor by byte, to add `factor·v` with one addition a byte of `v`.
pub(crate) struct Multiples {
    tables: Vec<Vec<Fr>>,
}

impl Multiples {
    /// For all values of a column.
    pub(crate) fn new<T: Integer>(factor: Fr, values: &[T]) -> Self {
        let mut base = factor;
        let tables = (0..bytes(values))
            .map(|_| {
                let mut table = Vec::with_capacity(256);
                let mut multiple = Fr::ZERO;
                for _ in 0..256 {
                    table.push(multiple);
                    multiple += base;
                }
                base = multiple;
                table
            })
            .collect();
        Self { tables }
    }

    /// `out += factor·v`.
    pub(crate) fn add(&self, out: &mut Fr, v: i64) {
        let magnitude = v.unsigned_abs();
        for (i, table) in self.tables.iter().enumerate() {
            let digit = (magnitude >> (8 * i)) as usize & 255;
            if digit != 0 {
                if v < 0 {
                    *out -= table[digit];
                } else {
                    *out += table[digit];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{small::from_i64, srs::powers};

    const NARROW: [[u8; 2]; 4] = [
        5i16.to_le_bytes(),
        (-300i16).to_le_bytes(),
        [0; 2],
        7i16.to_le_bytes(),
    ];

    fn columns() -> Vec<Column<'static>> {
        let head = vec![3, -1, 0, 255, 256, -65_537, 1 << 33];
        let tail = vec![Fr::from(5).square(), Fr::from(7)];
        let dense = powers(Fr::from(11), 16);
        vec![
            Column::small(head, tail),
            Column::small(vec![], vec![]),
            Values::Narrow(Integers::B2(&NARROW)).into(),
            Column::dense(dense),
        ]
    }

    #[test]
    fn dot_products_are_those_of_the_values() {
        let weights = powers(Fr::from(1234), 16);
        for column in columns() {
            let values = column.expand(16);
            for rotation in [-5, -1, 0, 1, 3] {
                let expected: Fr = (0..16)
                    .map(|i| {
                        values[(i as i64 + i64::from(rotation)).rem_euclid(16) as usize]
                            * weights[i]
                    })
                    .sum();
                assert_eq!(column.dot(&weights, rotation), expected);
            }
        }
    }

    #[test]
    fn multiples_add_products() {
        let head = [3, -1, 0, 255, 256, -65_537, 1 << 33];
        let factor = Fr::from(99).square();
        let multiples = Multiples::new(factor, &head);
        for v in head {
            let mut out = Fr::ONE;
            multiples.add(&mut out, v);
            assert_eq!(out, Fr::ONE + factor * from_i64(v));
        }
    }

    #[test]
    fn narrow_columns_are_found() {
        for column in columns() {
            let found = Column::detect(column.expand(16), 2);
            assert_eq!(found.expand(16), column.expand(16));
            assert_eq!(
                matches!(found.values, Values::Dense(_)),
                matches!(column.values, Values::Dense(_))
            );
        }
    }
}
