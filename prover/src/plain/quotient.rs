//! The quotient polynomial: `h(X) = N(X)/(X^n - 1)`, see [`crate::constraints::numerator`].

use ff::Field;
use halo2_proofs::{halo2curves::bn256::Fr, poly::EvaluationDomain};
use rayon::prelude::*;

use super::{Polynomials, fourier};
use crate::{
    constraints::plan::{Plan, Source},
    srs::powers,
};

/// The `degree - 1` pieces of `h(X) = Σ_i X^{n·i}·h_i(X)`, as coefficients.
///
/// `h` has degree below `(degree - 1)·n`, so its values on an extended domain of at least as many points,
/// away from the zeros of `X^n - 1`, determine it. That domain is a union of cosets of the small one; the
/// columns are transformed and the numerator evaluated on one coset at a time, which bounds the memory.
pub(super) fn pieces(
    domain: &EvaluationDomain<Fr>,
    plan: &Plan,
    polynomials: &Polynomials,
) -> Vec<Vec<Fr>> {
    let n = 1usize << domain.k();
    let cosets = domain.extended_len() / n;
    let mut sources: Vec<Source> = plan.queries().iter().map(|query| query.source).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut extended = domain.empty_extended();
    for coset in 0..cosets {
        let shift = domain.g_coset * domain.extended_omega.pow_vartime([coset as u64]);
        let shifts = powers(shift, n);
        let columns: Vec<Vec<Fr>> = sources
            .par_iter()
            .map(|source| match source {
                Source::X => powers(domain.omega, n)
                    .into_iter()
                    .map(|root| shift * root)
                    .collect(),
                _ => fourier::on_coset(domain, polynomials.coefficients(*source), &shifts),
            })
            .collect();
        let column = |source| {
            let index = sources
                .binary_search(&source)
                .expect("all sources of the plan are there");
            &columns[index][..]
        };
        let values = plan.evaluate(n, column);
        // X^n - 1 is constant on a coset; halo2's table holds its inverses.
        let inverse = domain.t_evaluations[coset];
        for (row, value) in values.into_iter().enumerate() {
            extended[row * cosets + coset] = value * inverse;
        }
    }
    let coefficients = domain.extended_to_coeff(extended);
    coefficients.chunks_exact(n).map(<[Fr]>::to_vec).collect()
}
