//! One suite for every backend: each operation against its definition.

use ff::Field;
use group::Group;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::{
    constraints::plan::Builder,
    gpu::Gpu,
    icicle::Icicle,
    plain::{fourier, opening::add_scaled},
    small::Integers,
    srs::{Srs, powers},
};
use halo2_proofs::poly::EvaluationDomain;

const K: u32 = 7;
const N: usize = 1 << K;
const DEGREE: u32 = 4;

static NARROW: [[u8; 2]; 100] = {
    let mut values = [[0; 2]; 100];
    let mut i = 0;
    while i < 90 {
        values[i] = ((i as i16 - 40) * 300).to_le_bytes();
        i += 1;
    }
    values
};

/// A column of each kind.
fn columns() -> Vec<Column<'static>> {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut dense = |n: usize| -> Vec<Fr> { (0..n).map(|_| Fr::random(&mut rng)).collect() };
    vec![
        Column::small((0..100).map(|i| i * i * (i % 3 - 1)).collect(), dense(6)),
        Values::Narrow(Integers::B2(&NARROW)).into(),
        Column::dense(dense(N)),
        Column::small(vec![], dense(5)),
    ]
}

fn check(
    name: &str,
    make: impl Fn(&Srs, &EvaluationDomain<Fr>, &[(usize, &Column<'_>)]) -> Box<dyn Backend>,
) {
    let srs = Srs::dev(K).unwrap();
    let domain = EvaluationDomain::new(DEGREE, K);
    let columns = columns();
    let references: Vec<&Column<'_>> = columns.iter().collect();
    let values: Vec<Vec<Fr>> = columns.iter().map(|c| c.expand(N)).collect();
    let polynomials: Vec<Vec<Fr>> = values
        .iter()
        .map(|v| fourier::interpolate(&domain, v.clone()))
        .collect();
    let backend = make(&srs, &domain, &[(1, &columns[1])]);

    let points = backend.commit(&references).unwrap();
    for (i, point) in points.iter().enumerate() {
        assert_eq!(
            *point,
            crate::msm::commit(&values[i], srs.g_lagrange()),
            "{name}: commit, column {i}"
        );
    }
    assert_eq!(
        backend.commit(&references).unwrap(),
        points,
        "{name}: commit again"
    );
    let own = |coefficients: &[Fr]| backend.polynomial(coefficients.to_vec()).unwrap();
    let owned: Vec<Polynomial> = polynomials.iter().map(|p| own(p)).collect();
    let owned: Vec<&Polynomial> = owned.iter().collect();
    assert_eq!(
        backend.commit_polynomials(&owned).unwrap(),
        points,
        "{name}: commit_polynomials"
    );
    let zero = own(&[Fr::ZERO; N]);
    let zero = backend.commit_polynomials(&[&zero]).unwrap();
    assert!(
        bool::from(zero[0].is_identity()),
        "{name}: the zero polynomial"
    );

    let factors = [Fr::from(5).square(), Fr::ONE, -Fr::from(3), Fr::from(77)];
    let sum = |members: &[usize], constant| Sum {
        members: members
            .iter()
            .map(|i| (&columns[*i], factors[*i]))
            .collect(),
        constant,
    };
    let combined = backend
        .combine(&sum(&[0, 1, 2, 3], Fr::from(9)), &[])
        .unwrap();
    let mut expected = vec![Fr::ZERO; N];
    expected[0] = Fr::from(9);
    for (polynomial, factor) in polynomials.iter().zip(factors) {
        add_scaled(&mut expected, polynomial, factor);
    }
    // A polynomial of a backend's own is known by its values at as many points as it has coefficients.
    let is = |what: &str, polynomial: &Polynomial, expected: &[Fr]| {
        for point in powers(Fr::from(3), N) {
            let value = backend.evaluate_polynomials(&[polynomial], point).unwrap();
            let expected = fourier::evaluate(expected, point);
            assert_eq!(value, [expected], "{name}: {what}");
        }
    };
    is("combine", &combined, &expected);
    let terms = [(owned[2], Fr::from(4)), (&combined, -Fr::ONE)];
    let both = backend.combine(&sum(&[1], Fr::ZERO), &terms).unwrap();
    for ((c, p2), p1) in expected
        .iter_mut()
        .zip(&polynomials[2])
        .zip(&polynomials[1])
    {
        *c = Fr::from(4) * p2 - *c + factors[1] * p1;
    }
    is("combine with polynomials", &both, &expected);
    let nothing = backend.combine(&Sum::default(), &[]).unwrap();
    is("combine nothing", &nothing, &[]);

    // (p - low)·c for p divisible by what it is divided by.
    let points = [Fr::from(5), Fr::from(6), -Fr::from(7)];
    let low = vec![Fr::from(8), Fr::from(9)];
    let mut product = vec![Fr::ZERO; N];
    product[..N - 3].copy_from_slice(&polynomials[2][..N - 3]);
    let mut quotient = product.clone();
    for point in points {
        for i in (0..N).rev() {
            let below = if i == 0 { Fr::ZERO } else { product[i - 1] };
            product[i] = below - point * product[i];
        }
    }
    product.iter_mut().zip(&low).for_each(|(p, low)| *p += low);
    let product = own(&product);
    let divisions = [
        Division {
            polynomial: &product,
            low: low.clone(),
            points: points.to_vec(),
        },
        Division {
            polynomial: &product,
            low,
            points: points[..1].to_vec(),
        },
    ];
    let quotients = backend.divide(&divisions).unwrap();
    is("divide", &quotients[0], &quotient);
    for point in &points[1..] {
        for i in (0..N).rev() {
            let below = if i == 0 { Fr::ZERO } else { quotient[i - 1] };
            quotient[i] = below - point * quotient[i];
        }
    }
    is("divide by one", &quotients[1], &quotient);

    let x = Fr::from(12345).square();
    let queries: Vec<(&Column<'_>, i32)> = references
        .iter()
        .flat_map(|c| [-16, -1, 0, 1, 16].map(|r| (*c, r)))
        .collect();
    let evaluated = backend.evaluate(&queries, x).unwrap();
    for (i, value) in evaluated.iter().enumerate() {
        let point = domain.rotate_omega(x, halo2_proofs::poly::Rotation(queries[i].1));
        let expected = fourier::evaluate(&polynomials[i / 5], point);
        assert_eq!(*value, expected, "{name}: evaluate, query {i}");
    }

    let sigma = powers(Fr::from(8), N);
    let factor = |i: usize| Factor {
        values: &values[i],
        sigma: &sigma,
        delta: Fr::from(3 + i as u64),
        beta: Fr::from(21),
        gamma: Fr::from(1 << 40),
    };
    let product = backend
        .running_product(&[factor(0), factor(2)], Fr::from(6), N - 6)
        .unwrap();
    let omega = domain.get_omega();
    let mut expected = Fr::from(6);
    for (row, value) in product.iter().enumerate() {
        assert_eq!(*value, expected, "{name}: running_product, row {row}");
        for f in [factor(0), factor(2)] {
            let identity = f.beta * f.delta * omega.pow_vartime([row as u64]);
            let denominator = f.values[row] + f.beta * f.sigma[row] + f.gamma;
            expected *= (f.values[row] + identity + f.gamma) * denominator.invert().unwrap();
        }
    }
    assert_eq!(product.len(), N - 5);

    // N = (X^n - 1)·h for a known h is what a quotient is of: take N = (a² - b)·c with b = a² on the domain.
    let square = Column::dense(values[0].iter().map(Field::square).collect());
    let mut builder = Builder::default();
    let (a, b) = (
        builder.query(Source::Advice(0), 1),
        builder.query(Source::Advice(1), 1),
    );
    let (c, v) = (
        builder.query(Source::Fixed(1), -1),
        builder.query(Source::Virtual(0), 0),
    );
    let x_power = builder.query(Source::X, 0);
    let product = builder.mul(a, a);
    let difference = builder.sub(product, b);
    let c = builder.add(c, v);
    let c = builder.sub(c, x_power);
    let root = builder.mul(difference, c);
    let plan = builder.finish(root);
    let sums = HashMap::from([
        (
            Source::Advice(0),
            Sum {
                members: vec![(&columns[0], Fr::ONE)],
                constant: Fr::ZERO,
            },
        ),
        (
            Source::Advice(1),
            Sum {
                members: vec![(&square, Fr::ONE)],
                constant: Fr::ZERO,
            },
        ),
        (
            Source::Fixed(1),
            Sum {
                members: vec![(&columns[1], Fr::ONE)],
                constant: Fr::ZERO,
            },
        ),
        (Source::Virtual(0), sum(&[0, 2], Fr::from(2))),
    ]);
    let pieces = backend.quotient(&plan, &sums).unwrap();
    assert_eq!(pieces.len(), DEGREE as usize - 1);
    let xn = x.pow_vartime([N as u64]);
    let pieces: Vec<&Polynomial> = pieces.iter().collect();
    let values = backend.evaluate_polynomials(&pieces, x).unwrap();
    let h = values
        .iter()
        .rev()
        .fold(Fr::ZERO, |h, value| h * xn + value);
    let queries: Vec<(&Column<'_>, i32)> = vec![
        (&columns[0], 1),
        (&square, 1),
        (&columns[1], -1),
        (&columns[0], 0),
        (&columns[2], 0),
    ];
    let [a, b, c, v0, v2] = backend.evaluate(&queries, x).unwrap()[..] else {
        panic!("five values")
    };
    let v = v0 * factors[0] + v2 * factors[2] + Fr::from(2);
    assert_eq!(
        h * (xn - Fr::ONE),
        (a.square() - b) * (c + v - x),
        "{name}: quotient"
    );
}

#[test]
fn devices_compute_what_is_defined() {
    for device in crate::gpu::tests::devices() {
        for memory in [0, 1 << 16] {
            check(
                &format!("{device:?}, {memory} bytes"),
                |srs, domain, fixed| {
                    let gpu = Gpu::new(device.clone(), srs.g_lagrange(), domain, fixed, memory);
                    Box::new(gpu.unwrap())
                },
            );
        }
    }
}

#[test]
fn icicle_computes_what_is_defined() {
    for device in crate::icicle::tests::devices() {
        for memory in [0, 1 << 22] {
            check(
                &format!("{device:?}, {memory} bytes"),
                |srs, domain, fixed| {
                    let (g, memory) = (srs.g_lagrange(), memory);
                    Box::new(Icicle::new(&device, g, domain, fixed, memory).unwrap())
                },
            );
        }
    }
}

#[test]
fn the_cpu_computes_what_is_defined() {
    for memory in [0, 1 << 22] {
        check(&format!("cpu with {memory} bytes"), |srs, domain, fixed| {
            Box::new(Cpu::new(srs.g_lagrange(), domain, fixed, memory))
        });
    }
}
