//! Commitments: multi-scalar multiplication that knows small signed scalars.

use group::Group;
use halo2_proofs::{
    arithmetic::best_multiexp,
    halo2curves::bn256::{Fr, G1, G1Affine},
};

use crate::small::as_i64;

/// Scalars of at least this magnitude count as wide: they gain nothing from being set apart.
const WIDE: u64 = 1 << 24;

/// `Σ scalars[i]·bases[i]`.
pub(crate) fn commit(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    best_multiexp(scalars, &bases[..scalars.len()])
}

/// [`commit`] for columns that are mostly small integers of either sign.
///
/// A negative integer `-v` is the field element `r - v`, of full length, and costs as much as a random
/// scalar. Here it is `v` on the negated base instead. Whatever is wide (blinding rows) goes into a sum
/// of its own. A column of bytes costs about a tenth of a dense one.
pub(crate) fn commit_column(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    let mut small = Vec::with_capacity(scalars.len());
    let (mut wide_scalars, mut wide_bases) = (vec![], vec![]);
    for (scalar, base) in scalars.iter().zip(bases) {
        match as_i64(scalar) {
            Some(0) => {}
            Some(v) if v.unsigned_abs() < WIDE => {
                small.push((v.unsigned_abs(), if v < 0 { -*base } else { *base }));
            }
            _ => {
                wide_scalars.push(*scalar);
                wide_bases.push(*base);
                if wide_scalars.len() > scalars.len() / 4 {
                    return commit(scalars, bases);
                }
            }
        }
    }
    let mut sum = small_msm(&small);
    if !wide_scalars.is_empty() {
        sum += best_multiexp(&wide_scalars, &wide_bases);
    }
    sum
}

/// `Σ v·P` over pairs `(v, P)`, one byte of all `v` at a time: `P` goes into the bucket of its digit,
/// and `Σ_d d·bucket_d` is the sum of the buckets' running sums from above.
fn small_msm(terms: &[(u64, G1Affine)]) -> G1 {
    let bits = terms
        .iter()
        .fold(0, |bits, (v, _)| bits | v)
        .checked_ilog2()
        .map_or(0, |b| b + 1);
    let mut total = G1::identity();
    for byte in (0..bits.div_ceil(8)).rev() {
        let mut buckets = [G1::identity(); 256];
        for (v, base) in terms {
            let digit = (v >> (8 * byte)) as usize & 0xff;
            if digit != 0 {
                buckets[digit] += base;
            }
        }
        total = (0..8).fold(total, |total, _| total.double());
        let mut running = G1::identity();
        for bucket in buckets[1..].iter().rev() {
            running += bucket;
            total += running;
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use ff::Field;

    use super::*;
    use crate::{small::from_i64, srs::Srs};

    #[test]
    fn all_ways_give_the_same_sum() {
        let srs = Srs::dev(7).unwrap();
        let column = |value: &dyn Fn(i64) -> Fr| -> Vec<Fr> { (0..128).map(value).collect() };
        let wide = Fr::from(3).invert().unwrap();
        let columns = [
            column(&|_| Fr::ZERO),
            column(&|i| from_i64(i % 2)),
            column(&|i| from_i64(i - 64)),
            column(&|i| from_i64((i - 60) * 70_001)),
            column(&|i| {
                if i < 120 {
                    from_i64(i * i - 5000)
                } else {
                    wide + from_i64(i)
                }
            }),
            column(&|i| if i % 3 == 0 { wide } else { from_i64(i) }),
            column(&|i| from_i64((i - 64) << 40)),
            column(&|i| {
                from_i64([-(1 << 24), 1 - (1 << 24), (1 << 24) - 1, 1 << 24][i as usize % 4])
            }),
        ];
        for (i, column) in columns.iter().enumerate() {
            let expected = commit(column, srs.g_lagrange());
            assert_eq!(
                commit_column(column, srs.g_lagrange()),
                expected,
                "column {i}"
            );
        }
        assert_eq!(small_msm(&[]), G1::identity());
    }
}
