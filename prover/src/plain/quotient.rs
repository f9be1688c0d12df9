//! The quotient polynomial: `h(X) = N(X)/(X^n - 1)`, see [`crate::constraints::numerator`].

use std::collections::HashMap;

use halo2_proofs::{halo2curves::bn256::Fr, poly::EvaluationDomain};

use super::{Polynomials, fourier};
use crate::constraints::plan::{Plan, Source};

/// The `degree - 1` pieces of `h(X) = Σ_i X^{n·i}·h_i(X)`, as coefficients.
///
/// `h` has degree below `(degree - 1)·n`, so its values on an extended domain of at least as many points,
/// away from the zeros of `X^n - 1`, determine it. Every column is transformed to that whole domain, where a
/// row of the small one is a step of several.
pub(super) fn pieces(
    domain: &EvaluationDomain<Fr>,
    plan: &Plan,
    polynomials: &Polynomials,
) -> Vec<Vec<Fr>> {
    let n = 1usize << domain.k();
    let steps = domain.extended_len() / n;
    let columns: HashMap<Source, Vec<Fr>> = plan
        .sources()
        .into_iter()
        .map(|source| {
            let coefficients = polynomials.coefficients(source);
            (source, fourier::extend(domain, coefficients))
        })
        .collect();
    let numerator = plan.evaluate(domain.extended_len(), steps, |source| &columns[&source]);
    drop(columns);
    let mut extended = domain.empty_extended();
    extended.copy_from_slice(&numerator);
    let quotient = domain.divide_by_vanishing_poly(extended);
    let coefficients = domain.extended_to_coeff(quotient);
    coefficients.chunks_exact(n).map(<[Fr]>::to_vec).collect()
}
