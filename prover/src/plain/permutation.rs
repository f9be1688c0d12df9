//! The permutation argument's running products.

use ff::{BatchInvert, Field, PrimeField};
use group::Curve;
use halo2_proofs::{halo2curves::bn256::Fr, transcript::TranscriptWrite};
use rand::RngCore;
use rayon::prelude::*;

use super::{ProveError, Setting};
use crate::{
    constraints::{numerator::permutation_columns, plan::Source},
    keys::permutation_chunk,
    msm,
    srs::{powers, root_of_unity},
    transcript::KeccakWrite,
};

/// Computes and commits to the products `z_s`, one for each chunk of columns `p_j`:
///
/// ```text
/// z_0(1) = 1,   z_{s+1}(1) = z_s(ω^u)                                    u: the number of usable rows
/// z_s(ω^{i+1}) = z_s(ω^i) · Π_j (p_j(ω^i) + β·δ^j·ω^i + γ) / (p_j(ω^i) + β·s_j(ω^i) + γ)
/// ```
///
/// Rows after `u` are random. The last product ends at 1 if all copies hold; if not, this is an error.
pub(crate) fn commit_products<'c, R: RngCore>(
    setting: &Setting<'_>,
    column: impl Fn(Source) -> &'c [Fr] + Sync,
    sigma: &[Vec<Fr>],
    (beta, gamma): (Fr, Fr),
    rng: &mut R,
    transcript: &mut KeccakWrite,
) -> Result<Option<Vec<Vec<Fr>>>, ProveError> {
    let &Setting {
        cs,
        k,
        n,
        usable,
        srs,
    } = setting;
    let chunk = permutation_chunk(cs);
    let columns = permutation_columns(cs);
    let omegas = powers(root_of_unity(k), n);
    let deltas = powers(Fr::DELTA, columns.len());
    let mut products = vec![];
    let mut last = Fr::ONE;
    for (set, sources) in columns.chunks(chunk).enumerate() {
        let first = set * chunk;
        let members: Vec<(&[Fr], &[Fr], Fr)> = sources
            .iter()
            .enumerate()
            .map(|(j, source)| {
                (
                    column(*source),
                    &sigma[first + j][..],
                    beta * deltas[first + j],
                )
            })
            .collect();
        let mut ratios = vec![Fr::ONE; n];
        ratios
            .par_chunks_mut(1024)
            .enumerate()
            .for_each(|(block, ratios)| {
                let start = block * 1024;
                let rows = start..start + ratios.len();
                for (row, ratio) in rows.clone().zip(ratios.iter_mut()) {
                    for (values, sigma, _) in &members {
                        *ratio *= values[row] + beta * sigma[row] + gamma;
                    }
                }
                ratios.batch_invert();
                for (row, ratio) in rows.zip(ratios) {
                    for (values, _, beta_delta) in &members {
                        *ratio *= values[row] + *beta_delta * omegas[row] + gamma;
                    }
                }
            });
        let mut product = Vec::with_capacity(n);
        product.push(last);
        for ratio in &ratios[..usable] {
            last *= ratio;
            product.push(last);
        }
        product.extend((usable + 1..n).map(|_| Fr::random(&mut *rng)));
        // In step with halo2's prover, see the advice columns.
        let _ = Fr::random(&mut *rng);
        let point = msm::commit(&product, srs.g_lagrange()).to_affine();
        let written = transcript.write_point(point);
        written.map_err(|_| ProveError::Identity {
            what: format!("permutation product {set}"),
        })?;
        products.push(product);
    }
    Ok((last == Fr::ONE).then_some(products))
}
