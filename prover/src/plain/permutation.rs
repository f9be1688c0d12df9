//! The permutation argument's running products.

use ff::{BatchInvert, Field, PrimeField};
use group::Curve;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1},
    transcript::TranscriptWrite,
};
use rand::RngCore;
use rayon::prelude::*;

use super::{ProveError, Setting};
use crate::{
    constraints::{numerator::permutation_columns, plan::Source},
    keys::permutation_chunk,
    srs::{powers, root_of_unity},
    transcript::KeccakWrite,
};

/// A column of the argument in one of its products.
pub(crate) struct Factor<'a> {
    /// `p_j` in each row.
    pub(crate) values: &'a [Fr],
    /// `s_j` in each row.
    pub(crate) sigma: &'a [Fr],
    /// `δ^j`.
    pub(crate) delta: Fr,
    pub(crate) beta: Fr,
    pub(crate) gamma: Fr,
}

/// Computes [`running_product`]: of factors, from a first value, for a number of rows.
pub(crate) type Multiply<'a> = dyn Fn(&[Factor<'_>], Fr, usize) -> Result<Vec<Fr>, ProveError> + 'a;

/// Who computes the products, and who commits to them.
pub(crate) struct How<'a> {
    pub(crate) multiply: &'a Multiply<'a>,
    pub(crate) commit: &'a dyn Fn(&[Fr]) -> Result<G1, ProveError>,
}

/// `first`, then each row's ratio `Π_j (p_j + β·δ^j·ω^i + γ) / (p_j + β·s_j + γ)` multiplied on, for `rows` rows.
pub(crate) fn running_product(factors: &[Factor<'_>], first: Fr, rows: usize) -> Vec<Fr> {
    let n = factors.first().map_or(rows, |factor| factor.values.len());
    let omegas = powers(root_of_unity(n.ilog2()), rows);
    let mut ratios = vec![Fr::ONE; rows];
    ratios
        .par_chunks_mut(1024)
        .enumerate()
        .for_each(|(block, ratios)| {
            let start = block * 1024;
            let rows = start..start + ratios.len();
            for (row, ratio) in rows.clone().zip(ratios.iter_mut()) {
                for f in factors {
                    *ratio *= f.values[row] + f.beta * f.sigma[row] + f.gamma;
                }
            }
            ratios.batch_invert();
            let identities: Vec<Fr> = factors.iter().map(|f| f.beta * f.delta).collect();
            for (row, ratio) in rows.zip(ratios) {
                for (f, identity) in factors.iter().zip(&identities) {
                    *ratio *= f.values[row] + *identity * omegas[row] + f.gamma;
                }
            }
        });
    let mut product = Vec::with_capacity(n);
    product.push(first);
    let mut last = first;
    for ratio in ratios {
        last *= ratio;
        product.push(last);
    }
    product
}

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
    how: &How<'_>,
    column: impl Fn(Source) -> &'c [Fr],
    sigma: &[Vec<Fr>],
    (beta, gamma): (Fr, Fr),
    rng: &mut R,
    transcript: &mut KeccakWrite,
) -> Result<Option<Vec<Vec<Fr>>>, ProveError> {
    let &Setting { cs, n, usable, .. } = setting;
    let chunk = permutation_chunk(cs);
    let columns = permutation_columns(cs);
    let deltas = powers(Fr::DELTA, columns.len());
    let mut products = vec![];
    let mut last = Fr::ONE;
    for (set, sources) in columns.chunks(chunk).enumerate() {
        let factors: Vec<Factor<'_>> = sources
            .iter()
            .zip(set * chunk..)
            .map(|(source, j)| Factor {
                values: column(*source),
                sigma: &sigma[j],
                delta: deltas[j],
                beta,
                gamma,
            })
            .collect();
        let mut product = (how.multiply)(&factors, last, usable)?;
        last = product[usable];
        product.extend((usable + 1..n).map(|_| Fr::random(&mut *rng)));
        // In step with halo2's prover, see the advice columns.
        let _ = Fr::random(&mut *rng);
        let point = (how.commit)(&product)?.to_affine();
        let written = transcript.write_point(point);
        written.map_err(|_| ProveError::Identity {
            what: format!("permutation product {set}"),
        })?;
        products.push(product);
    }
    Ok((last == Fr::ONE).then_some(products))
}
