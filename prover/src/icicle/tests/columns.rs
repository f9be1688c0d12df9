//! Commitments to columns of all widths.

use ff::Field;
use halo2_proofs::{halo2curves::bn256::Fr, poly::EvaluationDomain};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::devices;
use crate::{
    Srs,
    backend::{Backend, Column},
    icicle::Icicle,
    msm,
};

#[test]
fn columns_of_every_width_are_committed_to() {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    for k in [4, 8] {
        let n = 1usize << k;
        let rows = n - 6;
        let mut columns = vec![];
        for bits in [0, 1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 39, 40, 47, 55, 62] {
            let bound = 1i64 << bits;
            for range in [
                0..=bound,
                -bound..=bound,
                -bound..=0,
                -bound..=-bound,
                bound..=bound,
            ] {
                let tail = if bits % 2 == 0 { 0 } else { 5 };
                let used = if bits % 3 == 0 {
                    rows
                } else {
                    1 + bits as usize % rows
                };
                let mut head: Vec<i64> = (0..used).map(|_| rng.gen_range(range.clone())).collect();
                (head[0], head[used - 1]) = (*range.start(), *range.end());
                let tail = (0..tail).map(|_| Fr::random(&mut rng)).collect();
                columns.push(Column::small(head, tail));
            }
        }
        columns.push(Column::small(vec![i64::MIN, i64::MAX], vec![-Fr::ONE]));
        columns.push(Column::small(vec![0; rows], vec![]));
        columns.push(Column::dense(vec![-Fr::ONE; n]));
        columns.push(Column::dense(vec![Fr::ZERO; n]));
        let srs = Srs::dev(k).unwrap();
        let domain = EvaluationDomain::new(3, k);
        let all: Vec<&Column<'_>> = columns.iter().collect();
        for device in devices() {
            let icicle = Icicle::new(&device, srs.g_lagrange(), &domain, &[], 0).unwrap();
            let points = icicle.commit(&all).unwrap();
            for (column, point) in columns.iter().zip(points) {
                let expected = msm::commit(&column.expand(n), srs.g_lagrange());
                assert_eq!(point, expected, "{device:?}, k = {k}: {column:?}");
            }
        }
    }
}
