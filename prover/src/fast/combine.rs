//! Linear combinations of columns on the domain.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;

use super::column::{Column, Multiples};

/// Rows summed at a time, so that the sum stays in the cache.
const BLOCK: usize = 2048;

/// `Σ factor·column + constant` in each of `n` rows.
pub(crate) fn combine(members: &[(&Column, Fr)], constant: Fr, n: usize) -> Vec<Fr> {
    let multiples: Vec<Option<Multiples>> = members
        .par_iter()
        .map(|(column, factor)| match column {
            Column::Small { head, .. } => Some(Multiples::new(*factor, head)),
            Column::Dense(_) => None,
        })
        .collect();
    let mut out = vec![constant; n];
    out.par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, out)| {
            let start = block * BLOCK;
            for ((column, factor), multiples) in members.iter().zip(&multiples) {
                match (column, multiples) {
                    (Column::Small { head, tail }, Some(multiples)) => {
                        let rows = head.get(start..).unwrap_or_default().iter();
                        out.iter_mut()
                            .zip(rows)
                            .filter(|(_, v)| **v != 0)
                            .for_each(|(out, v)| multiples.add(out, *v));
                        let first = n - tail.len();
                        let from = first.max(start);
                        for row in from..(start + out.len()).max(from) {
                            out[row - start] += *factor * tail[row - first];
                        }
                    }
                    (Column::Dense(values), _) => {
                        let values = &values[start..];
                        if *factor == Fr::ONE {
                            out.iter_mut().zip(values).for_each(|(out, v)| *out += v);
                        } else {
                            out.iter_mut()
                                .zip(values)
                                .for_each(|(out, v)| *out += *factor * v);
                        }
                    }
                    (Column::Small { .. }, None) => {
                        unreachable!("small columns have their multiples")
                    }
                }
            }
        });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srs::powers;

    #[test]
    fn combinations_add_up() {
        let n = 2 * BLOCK;
        let head: Vec<i64> = (0..n as i64 - 50).map(|i| i % 300 - 150).collect();
        let columns = [
            Column::Small {
                head,
                tail: powers(Fr::from(3), 6),
            },
            Column::Dense(powers(Fr::from(5), n)),
            Column::Small {
                head: vec![1, -2],
                tail: vec![],
            },
        ];
        let factors = [Fr::from(17).square(), Fr::ONE, -Fr::from(9)];
        let members: Vec<(&Column, Fr)> = columns.iter().zip(factors).collect();
        let sum = combine(&members, Fr::from(4), n);
        let expanded: Vec<Vec<Fr>> = columns.iter().map(|c| c.expand(n)).collect();
        for row in 0..n {
            let expected: Fr = expanded.iter().zip(factors).map(|(c, f)| c[row] * f).sum();
            assert_eq!(sum[row], expected + Fr::from(4), "row {row}");
        }
    }
}
