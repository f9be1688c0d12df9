use halo2_proofs::poly::EvaluationDomain;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn random(count: usize, seed: u64) -> Vec<Fr> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| Fr::random(&mut rng)).collect()
}

fn horner(coeffs: &[Fr], x: Fr) -> Fr {
    coeffs.iter().rev().fold(Fr::ZERO, |sum, c| sum * x + c)
}

/// Transforms on vectors and on single elements, where this processor has both.
fn all_tables(k: u32, omega: Fr, shift: Fr) -> Vec<Tables> {
    vec![
        Tables::new(k, omega, shift),
        Tables::Scalar(scalar::Tables::new(k, omega, shift)),
    ]
}

#[test]
fn evaluations_are_those_of_the_polynomial() {
    let shift = random(1, 1)[0];
    for k in 0..=9 {
        let domain = Domain::new(k);
        let coeffs = random(1 << k, 2);
        for len in [
            coeffs.len(),
            coeffs.len() / 2,
            coeffs.len() - coeffs.len() / 8,
        ] {
            for tables in all_tables(k, domain.omega, shift) {
                let mut values = vec![Fr::ONE; coeffs.len()];
                tables.evaluate(&coeffs[..len], &mut values, Threads::One);
                let mut x = shift;
                for value in values {
                    assert_eq!(
                        value,
                        horner(&coeffs[..len], x),
                        "k = {k}, {len} coefficients"
                    );
                    x *= domain.omega;
                }
            }
        }
    }
}

#[test]
fn transforms_equal_halo2_s() {
    for k in [1, 5, 6, 7, 8, 10, 13, 14, 15, 16] {
        let theirs = EvaluationDomain::<Fr>::new(1, k);
        let ours = Domain::new(k);
        assert_eq!(
            (ours.omega(), ours.k(), ours.size()),
            (theirs.get_omega(), k, 1 << k)
        );
        let values = random(1 << k, u64::from(k));
        let coeffs = theirs.lagrange_to_coeff(theirs.lagrange_from_vec(values.clone()));
        let tables = all_tables(k, ours.omega, Fr::ONE);
        for (tables, threads) in tables
            .iter()
            .flat_map(|t| [(t, Threads::One), (t, Threads::All)])
        {
            let mut column = values.clone();
            tables.interpolate_in_place(&mut column, ours.size_inverse, threads);
            assert_eq!(column[..], coeffs[..], "k = {k}");
            tables.evaluate_in_place(&mut column, threads);
            assert_eq!(column, values, "k = {k}");
        }
    }
}

#[test]
fn largest_and_smallest_elements() {
    for k in [6, 9, 12] {
        let domain = Domain::new(k);
        for element in [Fr::ZERO, Fr::ONE, -Fr::ONE] {
            let coeffs = vec![element; 1 << k];
            let mut column = coeffs.clone();
            domain.fft(&mut column);
            assert_eq!(column[0], element * Fr::from(1 << k));
            assert!(column[1..].iter().all(|value| *value == Fr::ZERO));
            domain.ifft(&mut column);
            assert_eq!(column, coeffs);
        }
    }
}

#[test]
fn cosets_there_and_back() {
    let shift = random(1, 3)[0];
    for k in [3, 8, 12] {
        let domain = Domain::new(k);
        let columns: Vec<Vec<Fr>> = (0..3).map(|i| random(1 << k, 4 + i)).collect();
        let mut evaluations = vec![vec![Fr::ZERO; 1 << k]; 3];
        domain.coset(shift).fft_many(&columns, &mut evaluations);
        for (column, evaluations) in columns.iter().zip(&mut evaluations) {
            let mut alone = vec![Fr::ZERO; 1 << k];
            domain.coset_fft(column, shift, &mut alone);
            assert_eq!(alone, *evaluations);
            domain.coset_ifft(&mut alone, shift);
            assert_eq!(alone, *column);
        }
    }
}

#[test]
fn many_columns_equal_single_ones() {
    let domain = Domain::new(10);
    let columns: Vec<Vec<Fr>> = (0..5).map(|i| random(1 << 10, 10 + i)).collect();
    let mut many = columns.clone();
    domain.fft_many(&mut many);
    for (column, transformed) in columns.iter().zip(&many) {
        let mut alone = column.clone();
        domain.fft(&mut alone);
        assert_eq!(alone, *transformed);
    }
    domain.ifft_many(&mut many);
    assert_eq!(many, columns);
}

#[test]
#[should_panic(expected = "3 values for a domain of 2^2")]
fn wrong_length() {
    Domain::new(2).fft(&mut [Fr::ONE; 3]);
}
