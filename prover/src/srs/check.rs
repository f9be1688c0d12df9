//! Checks that points are what they claim to be, by random linear combinations.
//!
//! | check | of what | when |
//! |---|---|---|
//! | [`Srs::check`] | every point of both bases | at `srs import` and `setup --srs` |
//! | [`Srs::check_lagrange`] | every point of the Lagrange basis, against the powers | before the plain prover works |
//! | [`Srs::check_sample`] | some rows of the Lagrange basis, against `s·G2` | before the fast prover works |
//!
//! Whoever proves is not safe by a sample alone, nor needs to be: see [`crate::fast`].

use ff::{BatchInvert, Field};
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::halo2curves::{
    bn256::{Bn256, Fr, G1Affine, G2Affine},
    pairing::{MillerLoopResult, MultiMillerLoop},
};
use rand::{CryptoRng, Rng, RngCore};

use super::{Srs, SrsError, powers, root_of_unity};
use crate::msm;

impl Srs {
    /// Checks that the points are the powers of one secret, and that both bases agree.
    ///
    /// With random `ρ`: `e(Σ ρ_i·g[i+1], g2) = e(Σ ρ_i·g[i], s·g2)`, and for a random polynomial of
    /// degree below `n` the commitments in both bases are equal. A wrong SRS passes with probability
    /// about `n·2^-254`, provided that `rng` is not known to whoever made it.
    ///
    /// # Errors
    /// [`SrsError::NotPowers`], [`SrsError::DegenerateSecret`] or [`SrsError::Inconsistent`].
    pub fn check(&self, mut rng: impl RngCore + CryptoRng) -> Result<(), SrsError> {
        check_powers(&self.g, &self.s_g2, &mut rng)?;
        self.check_lagrange(&mut rng)
    }

    /// Checks that the Lagrange basis is that of the powers.
    pub(crate) fn check_lagrange(&self, rng: impl RngCore + CryptoRng) -> Result<(), SrsError> {
        check_lagrange(self.k, &self.g, &self.g_lagrange, rng)
    }

    /// Checks the first two powers and a sample of the Lagrange basis against `s·G2`: the last rows, where blinding
    /// values stand, and random ones. Finds a basis that was made up row by row before a witness meets it, at the cost of
    /// two sums of [`SAMPLE`] points and one pairing; a few wrong rows can escape.
    pub(crate) fn check_sample(&self, mut rng: impl RngCore + CryptoRng) -> Result<(), SrsError> {
        let n = self.g_lagrange.len();
        let rows: Vec<usize> = if n <= SAMPLE {
            (0..n).collect()
        } else {
            let random = (LAST..SAMPLE).map(|_| rng.gen_range(0..n - LAST));
            random.chain(n - LAST..n).collect()
        };
        // (s - ω^i)·L_i(s) = ω^i·(s^n - 1)/n, so (s·ω^-i - 1)·L_i(s) is the same in all rows, and factors whose sum is 0
        // take it away: Σ ρ_i·ω^-i·L_i(s)·s = Σ ρ_i·L_i(s). One more random factor adds g[1] = s·g[0].
        let mut factors: Vec<Fr> = rows.iter().map(|_| Fr::random(&mut rng)).collect();
        let sum: Fr = factors.iter().sum();
        factors[0] -= sum;
        let omega_inv = root_of_unity(self.k).invert().expect("a root is not zero");
        let turned = |(row, factor): (&usize, &Fr)| *factor * omega_inv.pow_vartime([*row as u64]);
        let mut low_factors: Vec<Fr> = rows.iter().zip(&factors).map(turned).collect();
        let mut low: Vec<G1Affine> = rows.iter().map(|row| self.g_lagrange[*row]).collect();
        let mut high = low.clone();
        let head = Fr::random(&mut rng);
        low_factors.push(head);
        factors.push(head);
        low.push(self.g[0]);
        high.push(self.g[1]);
        let low = msm::commit(&low_factors, &low).to_affine();
        let high = msm::commit(&factors, &high).to_affine();
        match is_times_s(&high, &low, &self.s_g2) {
            true => Ok(()),
            false => Err(SrsError::Inconsistent {
                what: "the Lagrange basis or the first powers are not of the secret in s·G2",
            }),
        }
    }
}

/// Rows that are looked at before proving.
const SAMPLE: usize = 64;

/// How many of them are the last ones: more than circuits have blinding rows.
const LAST: usize = 16;

/// Whether `high = s·low`, by a pairing.
fn is_times_s(high: &G1Affine, low: &G1Affine, s_g2: &G2Affine) -> bool {
    let (minus_g2, s_g2) = ((-G2Affine::generator()).into(), (*s_g2).into());
    let product = Bn256::multi_miller_loop(&[(high, &minus_g2), (low, &s_g2)]);
    bool::from(product.final_exponentiation().is_identity())
}

/// That `g[0]` is the generator, `g[i+1] = s·g[i]` for all `i`, and the powers are distinct.
pub(super) fn check_powers(
    g: &[G1Affine],
    s_g2: &G2Affine,
    mut rng: impl RngCore + CryptoRng,
) -> Result<(), SrsError> {
    let generator = G1Affine::generator();
    if g[0] != generator {
        return Err(SrsError::Inconsistent {
            what: "g[0] is not the generator of G1",
        });
    }
    let random: Vec<Fr> = (1..g.len()).map(|_| Fr::random(&mut rng)).collect();
    let holds = |steps: usize| {
        let low = msm::commit(&random[..steps], &g[..steps]).to_affine();
        let high = msm::commit(&random[..steps], &g[1..=steps]).to_affine();
        is_times_s(&high, &low, s_g2)
    };
    if !holds(random.len()) {
        // The first steps that hold, and those that do not: the fault is found where they meet.
        let (mut good, mut bad) = (0, random.len());
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            if holds(middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
        return Err(SrsError::NotPowers { index: bad });
    }
    // Equal or opposite points mean s^i = ±s^j, hence s^(i-j) = ±1. So the secret is in no domain in use either,
    // as half the order of such a root gives -1.
    let known = |point: &G1Affine| point.x == generator.x || bool::from(point.is_identity());
    match g[1..].iter().position(known) {
        Some(before) => Err(SrsError::DegenerateSecret { index: before + 1 }),
        None => Ok(()),
    }
}

/// That both bases commit a random polynomial to the same point.
pub(super) fn check_lagrange(
    k: u32,
    g: &[G1Affine],
    g_lagrange: &[G1Affine],
    mut rng: impl RngCore + CryptoRng,
) -> Result<(), SrsError> {
    let n = g.len();
    // p = Σ_i τ^i·X^i needs no Fourier transform: its values are geometric sums,
    // p(ω^j) = (τ^n - 1)/(τ·ω^j - 1).
    let tau = Fr::random(&mut rng);
    let mut values: Vec<Fr> = powers(root_of_unity(k), n)
        .into_iter()
        .map(|root| tau * root - Fr::ONE)
        .collect();
    values.batch_invert();
    let factor = tau.pow_vartime([n as u64]) - Fr::ONE;
    values.iter_mut().for_each(|value| *value *= factor);
    if msm::commit(&powers(tau, n), g) != msm::commit(&values, g_lagrange) {
        return Err(SrsError::Inconsistent {
            what: "the Lagrange basis is not that of g",
        });
    }
    Ok(())
}
