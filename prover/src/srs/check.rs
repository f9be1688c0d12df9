//! Checks that points are what they claim to be, by random linear combinations.

use ff::{BatchInvert, Field};
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::halo2curves::{
    bn256::{Bn256, Fr, G1Affine, G2Affine},
    pairing::{MillerLoopResult, MultiMillerLoop},
};
use rand::{CryptoRng, RngCore};

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
        check_lagrange(self.k, &self.g, &self.g_lagrange, &mut rng)
    }
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
        let (minus_g2, s_g2) = ((-G2Affine::generator()).into(), (*s_g2).into());
        let product = Bn256::multi_miller_loop(&[(&high, &minus_g2), (&low, &s_g2)]);
        bool::from(product.final_exponentiation().is_identity())
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
