use ff::{Field, PrimeField};
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::{arithmetic::best_multiexp, halo2curves::bn256::Fq};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::small::from_i64;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Points without structure: the multiples of a random one by random scalars of 64 bits.
fn bases(count: usize, seed: u64) -> Vec<G1Affine> {
    let mut rng = rng(seed);
    let start = G1::generator() * Fr::random(&mut rng);
    let points: Vec<G1> = (0..count)
        .map(|_| start * Fr::from(rng.r#gen::<u64>()))
        .collect();
    let mut affine = vec![G1Affine::identity(); count];
    G1::batch_normalize(&points, &mut affine);
    affine
}

fn naive(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    if scalars.is_empty() {
        G1::identity()
    } else {
        best_multiexp(scalars, &bases[..scalars.len()])
    }
}

fn small(values: &[i64]) -> Vec<Fr> {
    values.iter().map(|v| from_i64(*v)).collect()
}

/// Without precomputation, with a few levels, with all of them.
fn tables(bases: &[G1Affine]) -> Vec<FixedBase> {
    let tables = [0, bases.len() * 64 * 5, usize::MAX].map(|memory| FixedBase::new(bases, memory));
    assert_eq!(tables[0].all.count(), 1);
    assert!((2..=5).contains(&tables[1].all.count()));
    assert!(tables[2].all.count() > tables[1].all.count());
    tables.into()
}

#[test]
fn dense_sums_equal_the_crate_s() {
    let bases = bases(3000, 1);
    let mut rng = rng(2);
    let random: Vec<Fr> = (0..3000).map(|_| Fr::random(&mut rng)).collect();
    let cases: Vec<(&str, Vec<Fr>)> = vec![
        ("random", random.clone()),
        ("few", random[..7].to_vec()),
        ("one scalar", random[..1].to_vec()),
        ("no scalars", vec![]),
        ("all equal", vec![random[0]; 3000]),
        ("zeros", vec![Fr::ZERO; 3000]),
        ("ones", vec![Fr::ONE; 2500]),
        ("r - 1", vec![-Fr::ONE; 3000]),
        ("half the modulus", vec![Fr::TWO_INV; 3000]),
        (
            "mixed",
            (0..3000)
                .map(|i| {
                    if i % 3 == 0 {
                        random[i]
                    } else {
                        from_i64(i as i64 - 1500)
                    }
                })
                .collect(),
        ),
    ];
    for table in tables(&bases) {
        for (name, scalars) in &cases {
            assert_eq!(
                table.msm_dense(scalars),
                naive(scalars, &bases),
                "{name}, {table:?}"
            );
        }
    }
}

#[test]
fn repeated_opposite_and_identity_bases() {
    let some = bases(300, 3);
    let mut rng = rng(4);
    let repeated = vec![some[0]; 2500];
    let opposite: Vec<G1Affine> = (0..2500)
        .map(|i| {
            if i % 2 == 0 {
                some[i % 300 / 2]
            } else {
                -some[i % 300 / 2]
            }
        })
        .collect();
    let identities: Vec<G1Affine> = (0..2500)
        .map(|i| {
            if i % 4 == 0 {
                G1Affine::identity()
            } else {
                some[i % 300]
            }
        })
        .collect();
    let nothing = vec![G1Affine::identity(); 2500];
    let dense: Vec<Fr> = (0..2500).map(|_| Fr::random(&mut rng)).collect();
    let bytes: Vec<i64> = (0..2500).map(|_| rng.gen_range(-128..=127)).collect();
    for bases in [repeated, opposite, identities, nothing] {
        for table in tables(&bases) {
            assert_eq!(table.msm_dense(&dense), naive(&dense, &bases));
            assert_eq!(
                table.msm_dense(&[Fr::ONE; 2500]),
                naive(&[Fr::ONE; 2500], &bases)
            );
            assert_eq!(table.msm_small(&bytes), naive(&small(&bytes), &bases));
            assert_eq!(table.msm_small(&[1; 2500]), naive(&[Fr::ONE; 2500], &bases));
        }
    }
}

#[test]
fn small_sums_equal_the_crate_s() {
    let bases = bases(5000, 5);
    let mut rng = rng(6);
    let mut columns: Vec<Vec<i64>> = vec![
        vec![0; 5000],
        vec![1; 5000],
        vec![-1; 5000],
        vec![127; 4999],
        vec![i64::MIN; 100],
        vec![i64::MAX, i64::MIN, 0, -1, 1],
        vec![],
    ];
    for bits in [1, 2, 7, 8, 9, 12, 16, 17, 20, 31, 40, 62] {
        columns.push(
            (0..5000)
                .map(|_| rng.gen_range(-(1i64 << bits)..=1 << bits))
                .collect(),
        );
        columns.push(
            (0..5000)
                .map(|i| {
                    if i % 50 == 0 {
                        rng.gen_range(0..1i64 << bits)
                    } else {
                        0
                    }
                })
                .collect(),
        );
    }
    let tail: Vec<Fr> = (0..6).map(|_| Fr::random(&mut rng)).collect();
    for table in tables(&bases) {
        for column in &columns {
            let scalars = small(column);
            let expected = naive(&scalars, &bases);
            assert_eq!(
                table.msm_small(column),
                expected,
                "{:?}",
                &column[..column.len().min(5)]
            );
            let with_tail = expected + naive(&tail, &bases[4994..]);
            assert_eq!(
                table.msm_small_with_tail(column, 4994, &tail),
                with_tail,
                "{:?}",
                &column[..column.len().min(5)]
            );
        }
        let together: Vec<G1Affine> = table
            .msm_small_many(&columns)
            .iter()
            .map(|p| p.to_affine())
            .collect();
        let one_by_one: Vec<G1Affine> = columns
            .iter()
            .map(|c| table.msm_small(c).to_affine())
            .collect();
        assert_eq!(together, one_by_one);
    }
}

#[test]
fn many_columns_equal_single_ones() {
    let bases = bases(600, 7);
    let mut rng = rng(8);
    let dense: Vec<Vec<Fr>> = (0..5)
        .map(|_| (0..600).map(|_| Fr::random(&mut rng)).collect())
        .collect();
    let table = FixedBase::new(&bases, 0);
    assert_eq!(
        table.msm_dense_many(&dense),
        dense.iter().map(|c| naive(c, &bases)).collect::<Vec<_>>()
    );
    let columns: Vec<(Vec<i64>, Vec<Fr>)> = dense
        .iter()
        .map(|c| {
            (
                (0..594).map(|_| rng.gen_range(-9..9)).collect(),
                c[..6].to_vec(),
            )
        })
        .collect();
    let expected: Vec<G1> = columns
        .iter()
        .map(|(v, t)| naive(&small(v), &bases) + naive(t, &bases[594..]))
        .collect();
    assert_eq!(table.msm_small_with_tail_many(&columns, 594), expected);
}

#[test]
fn memory_is_kept_to() {
    let bases = bases(100, 9);
    for tables in [1, 2, 3, 7, 100] {
        let table = FixedBase::new(&bases, tables * 100 * 64);
        assert!(table.all.count() <= tables);
        assert_eq!(table.bases(), bases);
        assert_eq!(table.len(), 100);
        assert!(!table.is_empty());
    }
}

#[test]
fn identity_is_recognized() {
    let identity = G1Affine::identity();
    assert_eq!((identity.x, identity.y), (Fq::zero(), Fq::zero()));
    assert!(affine::is_identity(&identity));
}

#[test]
#[should_panic(expected = "more scalars than bases")]
fn too_many_scalars() {
    let _ = FixedBase::new(&bases(3, 10), 0).msm_dense(&[Fr::ONE; 4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_column(
        values in prop::collection::vec((any::<i64>(), 0u32..64), 0..400),
        tail in prop::collection::vec(any::<[u64; 4]>(), 0..8),
        levels in 0usize..30,
        repeats in 1usize..50,
    ) {
        let points = bases(400usize.div_ceil(repeats), 11);
        let bases: Vec<G1Affine> =
            (0..400).map(|i| if i % 7 == 0 { -points[i / repeats] } else { points[i / repeats] }).collect();
        let table = FixedBase::new(&bases, levels * 400 * 64);
        let values: Vec<i64> = values.into_iter().map(|(v, shift)| v >> shift).collect();
        let tail: Vec<Fr> = tail.into_iter().map(Fr::from_raw).collect();
        let start = 400 - tail.len();
        let expected = naive(&small(&values), &bases) + naive(&tail, &bases[start..]);
        prop_assert_eq!(table.msm_small_with_tail(&values, start, &tail), expected);
        prop_assert_eq!(table.msm_dense(&small(&values)), naive(&small(&values), &bases));
    }
}
