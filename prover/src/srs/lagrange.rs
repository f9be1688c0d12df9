//! From powers of the secret to the Lagrange basis: an inverse Fourier transform over points.
//!
//! `L_i = 1/n · Σ_j ω^{-ij}·X^j`, hence `L_i(s)·G1 = 1/n · Σ_j ω^{-ij}·g[j]`. Costs about `n/2·log2(n)`
//! multiplications of a point by a scalar: seconds at `k = 13`, minutes at `k = 20`.

use ff::{Field, PrimeField};
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine};
use rayon::prelude::*;

use super::{powers, root_of_unity};

/// Odd multiples up to `2^WINDOW_BITS` of a point are prepared for one multiplication.
const WINDOW_BITS: usize = 5;

/// The Lagrange basis of `2^k` powers `g`; `layer` is told after each of the `k` layers.
pub(super) fn from_powers(k: u32, g: &[G1Affine], mut layer: impl FnMut(u32)) -> Vec<G1Affine> {
    let n = 1usize << k;
    assert_eq!(g.len(), n, "the caller checks the length");
    let omega_inv = root_of_unity(k).invert().expect("a root is not zero");
    let twiddles = powers(omega_inv, n / 2);
    let n_inv = Fr::from(n as u64).invert().expect("n < r is not zero");
    let mut points: Vec<G1> = g.iter().map(PrimeCurveAffine::to_curve).collect();
    // Decimation in frequency: natural order in, bit-reversed order out.
    for log_blocks in 0..k {
        let half = n >> (log_blocks + 1);
        points.par_chunks_exact_mut(2 * half).for_each(|block| {
            let (low, high) = block.split_at_mut(half);
            low.par_iter_mut()
                .zip(high)
                .enumerate()
                .with_min_len(64)
                .for_each(|(j, (a, b))| {
                    let mut twiddle = twiddles[j << log_blocks];
                    let (sum, difference) = (*a + *b, *a - *b);
                    *a = sum;
                    // The factor 1/n goes into the first layer, whose upper half is multiplied anyway.
                    if log_blocks == 0 {
                        *a = multiply(&sum, &n_inv);
                        twiddle *= n_inv;
                    }
                    *b = if twiddle == Fr::ONE {
                        difference
                    } else {
                        multiply(&difference, &twiddle)
                    };
                });
        });
        layer(log_blocks + 1);
    }
    let reversed: Vec<G1> = (0..n)
        .map(|i| points[i.reverse_bits() >> (usize::BITS - k)])
        .collect();
    let mut basis = vec![G1Affine::identity(); n];
    basis
        .par_chunks_mut(1024)
        .zip(reversed.par_chunks(1024))
        .for_each(|(basis, points)| G1::batch_normalize(points, basis));
    basis
}

/// `scalar·point`, by the scalar's signed digits; a quarter of the additions of the bitwise way. The time
/// tells the scalar, which is public here.
fn multiply(point: &G1, scalar: &Fr) -> G1 {
    let double = point.double();
    let odd: [G1; 1 << (WINDOW_BITS - 2)] = {
        let mut multiple = *point;
        std::array::from_fn(|_| {
            let this = multiple;
            multiple += double;
            this
        })
    };
    signed_digits(scalar)
        .into_iter()
        .rev()
        .skip_while(|digit| *digit == 0)
        .fold(G1::identity(), |sum, digit| {
            let sum = sum.double();
            match usize::from(digit.unsigned_abs()) {
                0 => sum,
                size if digit > 0 => sum + odd[size / 2],
                size => sum - odd[size / 2],
            }
        })
}

/// Non-adjacent form of width [`WINDOW_BITS`], lowest digit first: each digit is 0 or odd and of magnitude
/// below `2^(WINDOW_BITS - 1)`, and `WINDOW_BITS - 1` zeros at least follow each odd one.
fn signed_digits(scalar: &Fr) -> [i8; 256] {
    let repr = scalar.to_repr();
    let bytes: &[u8] = repr.as_ref();
    let bit = |at: usize| {
        bytes
            .get(at / 8)
            .is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    };
    let mut digits = [0i8; 256];
    let (mut at, mut carry) = (0, false);
    while at < 256 {
        if bit(at) == carry {
            at += 1;
            continue;
        }
        // The window's value is odd, and it absorbs the carry.
        let window = (0..WINDOW_BITS).fold(0i8, |value, i| value | i8::from(bit(at + i)) << i)
            + i8::from(carry);
        carry = window >= 1 << (WINDOW_BITS - 1);
        digits[at] = if carry {
            window - (1 << WINDOW_BITS)
        } else {
            window
        };
        at += WINDOW_BITS;
    }
    // r < 2^254, so the last window never carries.
    debug_assert!(!carry);
    digits
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    #[test]
    fn products_are_the_curve_library_s() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let point = G1::random(&mut rng);
        let edges = [0u64, 1, 2, 3, 15, 16, 17, 31, 32, 33].map(Fr::from);
        for edge in edges {
            for scalar in [edge, -edge, Fr::random(&mut rng)] {
                assert_eq!(multiply(&point, &scalar), point * scalar);
            }
        }
        assert_eq!(multiply(&G1::identity(), &Fr::from(7)), G1::identity());
    }

    #[test]
    fn the_transform_is_halo2_s() {
        for k in 1..8 {
            let g: Vec<G1> = {
                let mut rng = ChaCha20Rng::seed_from_u64(u64::from(k));
                (0..1 << k).map(|_| G1::random(&mut rng)).collect()
            };
            let mut affine = vec![G1Affine::identity(); g.len()];
            G1::batch_normalize(&g, &mut affine);
            let mut layers = vec![];
            let basis = from_powers(k, &affine, |layer| layers.push(layer));
            assert_eq!(
                basis,
                halo2_proofs::arithmetic::g_to_lagrange::<G1Affine>(g, k)
            );
            assert_eq!(layers, (1..=k).collect::<Vec<_>>());
        }
    }
}
