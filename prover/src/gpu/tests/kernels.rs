//! The kernels against the host's arithmetic.

use std::sync::Arc;

use ff::{Field, PrimeField};
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::halo2curves::{
    bn256::{Fq, Fr, G1, G1Affine},
    serde::SerdeObject,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::devices;
use crate::gpu::{
    device::{
        Buffer, Device, Slice, cuda,
        emulated::Emulated,
        launch::{ColumnView, ScalarValues, add_scaled, checks, combine, powers},
    },
    error::GpuError,
    msm::{self, ELEMENT_BITS, Sum, narrow},
    ntt::{Subgroup, Transform},
    scan,
};
use crate::{
    msm as reference,
    srs::{Srs, powers as host_powers, root_of_unity},
};

fn msm(device: &Arc<dyn Device>, table: Slice<'_, G1Affine>, sums: &[Sum<'_>]) -> Vec<G1> {
    msm::launch(device, table, sums).unwrap().wait().unwrap()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(20)
}

/// Values whose limbs are all zeros, all ones or close to the order's, in Montgomery form and out of it; and others.
fn elements<F: PrimeField + SerdeObject>() -> Vec<F> {
    let mut values = vec![
        F::ZERO,
        F::ONE,
        -F::ONE,
        F::from(2),
        -F::from(2),
        F::TWO_INV,
    ];
    let mut power = F::ONE;
    for i in 0..256 {
        if i % 32 == 0 || i % 32 == 31 {
            values.extend([power, -power, power - F::ONE, power + F::ONE]);
        }
        power = power.double();
    }
    // The same with these integers as Montgomery forms.
    let raw: Vec<F> = values
        .iter()
        .map(|v| F::from_raw_bytes(v.to_repr().as_ref()).unwrap())
        .collect();
    values.extend(raw);
    let mut rng = rng();
    values.extend((0..10).map(|_| F::random(&mut rng)));
    values
}

fn integers() -> Vec<i64> {
    let mut values = vec![
        0,
        1,
        -1,
        i64::MAX,
        i64::MIN,
        i64::MIN + 1,
        1 << 31,
        1 << 32,
        -(1 << 32),
    ];
    let mut rng = rng();
    values.extend((0..20).map(|i| rng.r#gen::<i64>() >> (3 * i)));
    values
}

fn wide<F: PrimeField>(v: i64) -> F {
    let magnitude = F::from(v.unsigned_abs());
    if v < 0 { -magnitude } else { magnitude }
}

type FieldCheck<F> = fn(&Arc<dyn Device>, &[F], &[F], &[i64]) -> Vec<F>;

fn check_field<F: PrimeField + SerdeObject>(device: &Arc<dyn Device>, check: FieldCheck<F>) {
    let (values, integers) = (elements::<F>(), integers());
    let (mut a, mut b, mut v) = (vec![], vec![], vec![]);
    for (i, x) in values.iter().enumerate() {
        for (j, y) in values.iter().enumerate() {
            a.push(*x);
            b.push(*y);
            v.push(integers[(i + 7 * j) % integers.len()]);
        }
    }
    // All pairs of edge values, without an inversion for each of all pairs.
    let out = check(device, &a, &b, &v);
    let two_64: F = F::from(1 << 32).square();
    let two_64_inverse = two_64.invert().unwrap();
    let inverses: Vec<F> = values
        .iter()
        .map(|x| x.invert().unwrap_or(F::ZERO))
        .collect();
    for (i, out) in out.chunks(7).enumerate() {
        let (x, y) = (a[i], b[i]);
        assert_eq!(out[0], x + y, "{x:?} + {y:?}");
        assert_eq!(out[1], x - y, "{x:?} - {y:?}");
        assert_eq!(out[2], x * y, "{x:?} · {y:?}");
        assert_eq!(out[3], -x, "-{x:?}");
        assert_eq!(out[4], inverses[i / values.len()], "1/{x:?}");
        assert_eq!(
            out[5],
            x * wide::<F>(v[i]) * two_64_inverse,
            "{x:?} · {}/2^64",
            v[i]
        );
        let integer = F::from_raw_bytes(x.to_repr().as_ref()).unwrap();
        assert_eq!(out[6], integer, "{x:?} as an integer");
    }
}

#[test]
fn field_operations_are_the_hosts() {
    for device in devices() {
        check_field::<Fr>(&device, checks::scalar_field);
        check_field::<Fq>(&device, checks::base_field);
    }
}

#[test]
fn curve_operations_are_the_hosts() {
    let mut rng = rng();
    let g = G1Affine::generator();
    let mut points: Vec<G1Affine> = vec![
        G1Affine::identity(),
        g,
        -g,
        (g + g).to_affine(),
        -(g + g).to_affine(),
    ];
    points.extend((0..8).map(|_| G1::random(&mut rng).to_affine()));
    let factors = [0, 1, 2, 3, 255, 1 << 16, u32::MAX, 0x8000_0001];
    let (mut p, mut q, mut f) = (vec![], vec![], vec![]);
    for (i, a) in points.iter().enumerate() {
        for (j, b) in points.iter().enumerate() {
            p.push(*a);
            q.push(*b);
            f.push(factors[(i + 3 * j) % factors.len()]);
        }
    }
    for device in devices() {
        let out = checks::curve(&device, &p, &q, &f);
        for (i, out) in out.chunks(4).enumerate() {
            let (a, b) = (G1::from(p[i]), G1::from(q[i]));
            let expected = [a + b, a + b, a.double(), a * Fr::from(u64::from(f[i]))];
            for (got, expected) in out.iter().zip(expected) {
                assert_eq!(narrow(got), Some(expected), "{a:?}, {b:?}, {}", f[i]);
            }
        }
    }
}

#[test]
fn transforms_are_evaluations() {
    let mut rng = rng();
    for device in devices() {
        for k in 0..=8 {
            let n = 1usize << k;
            let subgroup = Subgroup::new(&device, k).unwrap();
            assert_eq!(subgroup.omega(), root_of_unity(k));
            let coefficients: Vec<Fr> = (0..3 * n).map(|_| Fr::random(&mut rng)).collect();
            let shift = Fr::random(&mut rng);
            let mut scale = Buffer::unset(&device, n).unwrap();
            powers(Fr::ONE, shift, scale.all_mut()).unwrap();
            let input = Buffer::from_slice(&device, &coefficients).unwrap();
            let (mut out, mut spare) = (
                Buffer::unset(&device, 3 * n).unwrap(),
                Buffer::unset(&device, 3 * n).unwrap(),
            );
            for (how, shift) in [
                (Transform::ToCoset(scale.all()), shift),
                (Transform::Forward, Fr::ONE),
            ] {
                subgroup
                    .transform(how, input.all(), out.all_mut(), spare.all_mut())
                    .unwrap();
                let values = out.all().to_vec().unwrap();
                for (i, value) in values.iter().enumerate() {
                    let point = shift * subgroup.omega().pow_vartime([(i % n) as u64]);
                    let polynomial = &coefficients[i / n * n..][..n];
                    let expected = polynomial
                        .iter()
                        .rev()
                        .fold(Fr::ZERO, |sum, c| sum * point + c);
                    assert_eq!(*value, expected, "k = {k}, value {i}");
                }
            }
            let mut back = Buffer::unset(&device, 3 * n).unwrap();
            subgroup
                .transform(
                    Transform::Backward,
                    out.all(),
                    back.all_mut(),
                    spare.all_mut(),
                )
                .unwrap();
            let back = back.all().to_vec().unwrap();
            for (got, coefficient) in back.iter().zip(&coefficients) {
                assert_eq!(*got, *coefficient * Fr::from(n as u64));
            }
        }
    }
}

#[test]
fn scans_take_what_comes_before() {
    let mut rng = rng();
    for device in devices() {
        for len in [1usize, 31, 32, 33, 1000, 1025] {
            let counts: Vec<u32> = (0..len).map(|_| rng.gen_range(0..9)).collect();
            let mut buffer = Buffer::from_slice(&device, &counts).unwrap();
            scan::count_scan(buffer.all_mut()).unwrap();
            let mut sum = 0;
            for (got, count) in buffer.all().to_vec().unwrap().iter().zip(&counts) {
                assert_eq!(*got, sum, "{len} counts");
                sum += count;
            }
            let values: Vec<Fr> = (0..len).map(|_| Fr::random(&mut rng)).collect();
            let first = Fr::from(5);
            let mut buffer = Buffer::from_slice(&device, &values).unwrap();
            scan::product_scan(buffer.all_mut(), first).unwrap();
            let mut product = first;
            for (got, value) in buffer.all().to_vec().unwrap().iter().zip(&values) {
                assert_eq!(*got, product, "{len} values");
                product *= value;
            }
        }
    }
}

#[test]
fn inverses_are_inverses_and_zeros_stay() {
    let mut rng = rng();
    for device in devices() {
        for len in [1usize, 2, 100, 1000] {
            let mut values: Vec<Fr> = (0..len).map(|_| Fr::random(&mut rng)).collect();
            values[len / 2] = Fr::ZERO;
            let buffer = Buffer::from_slice(&device, &values).unwrap();
            let mut out = Buffer::unset(&device, len).unwrap();
            scan::invert(buffer.all(), out.all_mut()).unwrap();
            for (got, value) in out.all().to_vec().unwrap().iter().zip(&values) {
                assert_eq!(*got, value.invert().unwrap_or(Fr::ZERO));
            }
        }
    }
}

#[test]
fn polynomials_are_evaluated_and_divided() {
    let mut rng = rng();
    for device in devices() {
        for len in [1usize, 2, 32, 33, 1024, 2000] {
            let coefficients: Vec<Fr> = (0..len).map(|_| Fr::random(&mut rng)).collect();
            let z = Fr::random(&mut rng);
            let mut buffer = Buffer::from_slice(&device, &coefficients).unwrap();
            let value = coefficients
                .iter()
                .rev()
                .fold(Fr::ZERO, |sum, c| sum * z + c);
            let mut got = Buffer::unset(&device, 1).unwrap();
            scan::evaluate(buffer.all(), z, got.all_mut()).unwrap();
            assert_eq!(got.all().to_vec().unwrap(), [value], "{len} coefficients");
            scan::divide(buffer.all_mut(), z).unwrap();
            let quotient = buffer.all().to_vec().unwrap();
            // p = q·(X - z) + p(z)
            for (i, coefficient) in coefficients.iter().enumerate() {
                let below = if i == 0 { value } else { quotient[i - 1] };
                assert_eq!(
                    below - z * quotient[i],
                    *coefficient,
                    "coefficient {i} of {len}"
                );
            }
            assert_eq!(quotient[len - 1], Fr::ZERO);
        }
    }
}

#[test]
fn columns_are_combined_at_their_width() {
    let mut rng = rng();
    let n = 64;
    for device in devices() {
        let heads: [(&[u8], u32, Vec<i64>); 4] = [
            (&[1, 255, 128, 127, 0], 1, vec![1, -1, -128, 127, 0]),
            (&[0, 128, 255, 127], 2, vec![-32768, 32767]),
            (
                &[0, 0, 0, 128, 255, 255, 255, 127],
                4,
                vec![i32::MIN.into(), i32::MAX.into()],
            ),
            (&[0, 0, 0, 0, 0, 0, 0, 128], 8, vec![i64::MIN]),
        ];
        let mut out = Buffer::unset(&device, n).unwrap();
        let mut expected = vec![Fr::from(3); n];
        let (mut buffers, mut factors) = (vec![], vec![]);
        for (i, (head, width, integers)) in heads.iter().enumerate() {
            let tail: Vec<Fr> = (0..i).map(|_| Fr::random(&mut rng)).collect();
            let factor = Fr::random(&mut rng);
            for (row, v) in integers.iter().enumerate() {
                expected[row] += factor * wide::<Fr>(*v);
            }
            for (row, v) in tail.iter().enumerate() {
                expected[n - i + row] += factor * v;
            }
            let head = Buffer::from_slice(&device, head).unwrap();
            buffers.push((head, *width, Buffer::from_slice(&device, &tail).unwrap()));
            factors.push(factor);
        }
        let members: Vec<(ColumnView<'_>, Fr)> = buffers
            .iter()
            .zip(&factors)
            .map(|((head, width, tail), factor)| {
                let column = ColumnView {
                    head: head.all(),
                    width: *width,
                    tail: tail.all(),
                };
                (column, *factor)
            })
            .collect();
        combine(&members, Fr::from(3), out.all_mut()).unwrap();
        assert_eq!(out.all().to_vec().unwrap(), expected);

        let weights = host_powers(Fr::from(7), n);
        let on_device = Buffer::from_slice(&device, &weights).unwrap();
        let shifts = [0, 5, 63];
        let queries: Vec<(ColumnView<'_>, usize)> = members
            .iter()
            .flat_map(|(column, _)| shifts.map(|shift| (*column, shift)))
            .collect();
        let dots = scan::dots(&queries, on_device.all()).unwrap();
        for (i, got) in dots.iter().enumerate() {
            let (_, _, integers) = &heads[i / 3];
            let tail = buffers[i / 3].2.all().to_vec().unwrap();
            let mut values: Vec<Fr> = integers.iter().map(|v| wide::<Fr>(*v)).collect();
            values.resize(n - tail.len(), Fr::ZERO);
            values.extend(tail);
            let expected: Fr = (0..n)
                .map(|row| values[row] * weights[(row + shifts[i % 3]) % n])
                .sum();
            assert_eq!(*got, expected, "query {i}");
        }

        let mut sum = Buffer::from_slice(&device, &expected).unwrap();
        add_scaled(on_device.all(), Fr::from(9), Some(out.all()), sum.all_mut()).unwrap();
        for (row, got) in sum.all().to_vec().unwrap().iter().enumerate() {
            assert_eq!(
                *got,
                expected[row] + Fr::from(9) * weights[row] * expected[row]
            );
        }
    }
}

/// Scalars that fill buckets evenly, all of one bucket, none, and to the last bit.
#[test]
fn sums_of_multiples_are_the_hosts() {
    let mut rng = rng();
    let srs = Srs::dev(9).unwrap();
    let n = 1usize << 9;
    let mut bases = srs.g().to_vec();
    bases[3] = G1Affine::identity();
    bases[5] = bases[4];
    bases[7] = -bases[6];
    let random: Vec<Fr> = (0..n).map(|_| Fr::random(&mut rng)).collect();
    let mut sparse = vec![Fr::ZERO; n];
    sparse[4] = Fr::ONE;
    sparse[5] = Fr::ONE;
    let dense: Vec<Vec<Fr>> = vec![
        random.clone(),
        vec![random[0]; n],
        vec![-Fr::ONE; n],
        vec![Fr::ZERO; n],
        sparse,
        (0..n)
            .map(|i| Fr::from(2).pow_vartime([(i % 254) as u64]) - Fr::from((i / 254) as u64))
            .collect(),
        random[..17].to_vec(),
    ];
    let small: Vec<(Vec<i64>, u32, u32)> = vec![
        ((0..n).map(|i| (i % 2) as i64).collect(), 1, 1),
        ((0..n).map(|i| i as i64 % 256 - 128).collect(), 1, 8),
        (vec![-128; n], 1, 8),
        ((0..100).map(|i| i * i * i - 500_000).collect(), 4, 20),
        (vec![i64::MIN, i64::MAX, -1, 0], 8, 64),
    ];
    for device in devices() {
        let table = Buffer::from_slice(&device, &bases).unwrap();
        let buffers: Vec<Buffer<Fr>> = dense
            .iter()
            .map(|s| Buffer::from_slice(&device, s).unwrap())
            .collect();
        let sums: Vec<Sum<'_>> = buffers
            .iter()
            .map(|b| Sum {
                values: ScalarValues::Elements(b.all()),
                bits: ELEMENT_BITS,
                first_base: 0,
            })
            .collect();
        let got = msm(&device, table.all(), &sums);
        for (i, (got, scalars)) in got.iter().zip(&dense).enumerate() {
            assert_eq!(*got, reference::commit(scalars, &bases), "dense sum {i}");
        }
        for (values, width, bits) in &small {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|v| v.to_le_bytes()[..*width as usize].to_vec())
                .collect();
            let bytes = Buffer::from_slice(&device, &bytes).unwrap();
            let first_base = n - values.len();
            let sum = Sum {
                values: ScalarValues::Integers(bytes.all(), *width),
                bits: *bits,
                first_base,
            };
            let got = msm(&device, table.all(), &[sum, sum]);
            let scalars: Vec<Fr> = values.iter().map(|v| wide(*v)).collect();
            let expected = reference::commit(&scalars, &bases[first_base..]);
            assert_eq!(got, [expected, expected], "{bits} bits");
        }
        assert_eq!(msm(&device, table.all(), &[]), []);
    }
}

#[test]
fn kernels_compile_for_devices() {
    if let Err(why) = cuda::compiler() {
        eprintln!("skipped: {why}");
        return;
    }
    let image = cuda::compile("sm_90").unwrap();
    assert!(image.starts_with(b"\x7fELF"));
    let refused = cuda::compile("sm_1").unwrap_err();
    assert!(matches!(refused, GpuError::Compile { .. }), "{refused}");
}

#[test]
fn emulated_memory_is_bounded_and_given_back() {
    let emulated = Emulated::new(1 << 12);
    let device: Arc<dyn Device> = emulated.clone();
    let buffer = Buffer::<Fr>::zeros(&device, 100).unwrap();
    let refused = Buffer::<Fr>::unset(&device, 100).unwrap_err();
    assert!(
        matches!(refused, GpuError::OutOfMemory { bytes: 3200, .. }),
        "{refused}"
    );
    assert_eq!(buffer.all().to_vec().unwrap(), [Fr::ZERO; 100]);
    drop(buffer);
    assert_eq!(emulated.allocated(), 0);
    assert_eq!(device.memory().unwrap().free, 1 << 12);
}
