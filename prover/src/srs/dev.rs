//! The development SRS, whose secret everybody knows.

use std::sync::OnceLock;

use ff::{BatchInvert, Field, FromUniformBytes, PrimeField};
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine, G2Affine};
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use super::{MAX_K, Srs, SrsError, powers, root_of_unity};

const DEV_SEED: &[u8] = b"tensorseal development SRS: INSECURE, the secret is this line's hash";

impl Srs {
    /// An SRS for development: **insecure**, its secret is public and proofs under it can be forged.
    ///
    /// Deterministic: the same points on every machine, and those of a smaller `k` are powers of the
    /// same secret.
    ///
    /// # Errors
    /// [`SrsError::KOutOfRange`].
    pub fn dev(k: u32) -> Result<Self, SrsError> {
        if !(1..=MAX_K).contains(&k) {
            return Err(SrsError::KOutOfRange { k });
        }
        let s = dev_secret();
        let n = 1usize << k;
        let g = FixedBase::new().multiply_all(&powers(s, n));
        // L_i(s) = (s^n - 1)/n · ω^i/(s - ω^i)
        let omega = root_of_unity(k);
        let roots = powers(omega, n);
        let mut scalars: Vec<Fr> = roots.iter().map(|root| s - root).collect();
        scalars.batch_invert();
        let factor = (s.pow_vartime([n as u64]) - Fr::ONE)
            * Fr::from(n as u64).invert().expect("n < r is not zero");
        scalars
            .par_iter_mut()
            .zip(&roots)
            .for_each(|(scalar, root)| *scalar *= factor * root);
        let g_lagrange = FixedBase::new().multiply_all(&scalars);
        let g2 = G2Affine::generator();
        Ok(Self {
            k,
            g,
            g_lagrange,
            g2,
            s_g2: (g2 * s).to_affine(),
            insecure: true,
        })
    }
}

/// Whether an SRS with this point is the development SRS, whatever its file says.
pub(crate) fn is_dev(s_g2: &G2Affine) -> bool {
    static DEV: OnceLock<G2Affine> = OnceLock::new();
    *s_g2 == *DEV.get_or_init(|| (G2Affine::generator() * dev_secret()).to_affine())
}

fn dev_secret() -> Fr {
    let mut wide = [0u8; 64];
    for (half, salt) in wide.chunks_exact_mut(32).zip(0u8..) {
        half.copy_from_slice(
            &Keccak256::new()
                .chain_update(DEV_SEED)
                .chain_update([salt])
                .finalize(),
        );
    }
    Fr::from_uniform_bytes(&wide)
}

/// Multiples of the generator: `table[w][d - 1] = d·2^(BITS·w)·G1`.
pub(super) struct FixedBase {
    table: Vec<Vec<G1Affine>>,
}

impl FixedBase {
    /// Bits of a window: 32 additions a scalar, and a table of 512 KiB that stays in the cache.
    const BITS: usize = 8;

    pub(super) fn new() -> Self {
        let mut base = G1::generator();
        let table = (0..256 / Self::BITS)
            .map(|_| {
                let mut row = Vec::with_capacity((1 << Self::BITS) - 1);
                let mut multiple = base;
                for _ in 1..1 << Self::BITS {
                    row.push(multiple);
                    multiple += base;
                }
                base = multiple;
                let mut affine = vec![G1Affine::identity(); row.len()];
                G1::batch_normalize(&row, &mut affine);
                affine
            })
            .collect();
        Self { table }
    }

    pub(super) fn multiply_all(&self, scalars: &[Fr]) -> Vec<G1Affine> {
        let mut points = vec![G1Affine::identity(); scalars.len()];
        points
            .par_chunks_mut(1024)
            .zip(scalars.par_chunks(1024))
            .for_each(|(points, scalars)| {
                let products: Vec<G1> = scalars
                    .iter()
                    .map(|scalar| {
                        let repr = scalar.to_repr();
                        let digits: &[u8] = repr.as_ref();
                        self.table
                            .iter()
                            .zip(digits)
                            .filter(|(_, digit)| **digit != 0)
                            .fold(G1::identity(), |sum, (row, digit)| {
                                sum + row[usize::from(*digit) - 1]
                            })
                    })
                    .collect();
                G1::batch_normalize(&products, points);
            });
        points
    }
}
