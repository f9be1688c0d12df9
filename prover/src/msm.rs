//! Commitments with halo2-axiom's own multi-scalar multiplication.

use halo2_proofs::{
    arithmetic::best_multiexp,
    halo2curves::bn256::{Fr, G1, G1Affine},
};

/// `Σ scalars[i]·bases[i]`.
pub(crate) fn commit(scalars: &[Fr], bases: &[G1Affine]) -> G1 {
    best_multiexp(scalars, &bases[..scalars.len()])
}
