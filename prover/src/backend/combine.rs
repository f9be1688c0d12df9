//! Linear combinations of columns on the domain.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;

use super::{
    Sum,
    column::{Multiples, Values},
};
use crate::small::{Integer, each_width};

/// Rows summed at a time, so that the sum stays in the cache.
const BLOCK: usize = 2048;

/// The sum in each of `n` rows.
pub(crate) fn combine(sum: &Sum<'_>, n: usize) -> Vec<Fr> {
    let Sum { members, constant } = sum;
    // A column that is taken once as it is needs no multiples of its values.
    if let ([(column, Fr::ONE)], &Fr::ZERO) = (&members[..], constant) {
        return column.expand(n);
    }
    let multiples: Vec<Option<Multiples>> = members
        .par_iter()
        .map(|(column, factor)| {
            let (head, _) = column.narrow()?;
            Some(each_width!(head, values => Multiples::new(*factor, values)))
        })
        .collect();
    let mut out = vec![*constant; n];
    out.par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, out)| {
            let start = block * BLOCK;
            for ((column, factor), multiples) in members.iter().zip(&multiples) {
                if let (Some((head, tail)), Some(multiples)) = (column.narrow(), multiples) {
                    each_width!(head, values => add_small(out, values, start, multiples));
                    let first = n - tail.len();
                    let from = first.max(start);
                    for row in from..(start + out.len()).max(from) {
                        out[row - start] += *factor * tail[row - first];
                    }
                } else if let Values::Dense(values) = &column.values {
                    let rows = out.iter_mut().zip(&values[start..]);
                    if *factor == Fr::ONE {
                        rows.for_each(|(out, v)| *out += v);
                    } else {
                        rows.for_each(|(out, v)| *out += *factor * v);
                    }
                }
            }
        });
    out
}

fn add_small<T: Integer>(out: &mut [Fr], values: &[T], start: usize, multiples: &Multiples) {
    let rows = values.get(start..).unwrap_or_default();
    for (out, v) in out.iter_mut().zip(rows) {
        let v = v.get();
        if v != 0 {
            multiples.add(out, v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{backend::Column, srs::powers};

    #[test]
    fn combinations_add_up() {
        let n = 2 * BLOCK;
        let head: Vec<i64> = (0..n as i64 - 50).map(|i| i % 300 - 150).collect();
        let columns = [
            Column::small(head, powers(Fr::from(3), 6)),
            Column::dense(powers(Fr::from(5), n)),
            Column::small(vec![1, -2], vec![]),
        ];
        let factors = [Fr::from(17).square(), Fr::ONE, -Fr::from(9)];
        let sum = Sum {
            members: columns.iter().zip(factors).collect(),
            constant: Fr::from(4),
        };
        let sum = combine(&sum, n);
        let expanded: Vec<Vec<Fr>> = columns.iter().map(|c| c.expand(n)).collect();
        for row in 0..n {
            let expected: Fr = expanded.iter().zip(factors).map(|(c, f)| c[row] * f).sum();
            assert_eq!(sum[row], expected + Fr::from(4), "row {row}");
        }
    }
}
