//! Between values on the domain, coefficients, and values on cosets.

use halo2_proofs::{fft::recursive, halo2curves::bn256::Fr, poly::EvaluationDomain};
use rayon::prelude::*;

/// The coefficients of the polynomial with these values on the domain.
pub(crate) fn interpolate(domain: &EvaluationDomain<Fr>, mut values: Vec<Fr>) -> Vec<Fr> {
    let tables = domain.get_fft_data(values.len());
    recursive::fft(&mut values, domain.omega_inv, domain.k, tables, true);
    values
        .par_iter_mut()
        .with_min_len(1024)
        .for_each(|value| *value *= domain.ifft_divisor);
    values
}

/// The coefficients of many columns.
pub(crate) fn interpolate_all(
    domain: &EvaluationDomain<Fr>,
    columns: Vec<Vec<Fr>>,
) -> Vec<Vec<Fr>> {
    columns
        .into_par_iter()
        .map(|values| interpolate(domain, values))
        .collect()
}

/// The values at `shift·ω^i`; `shifts` holds the powers of `shift`.
pub(crate) fn on_coset(
    domain: &EvaluationDomain<Fr>,
    coefficients: &[Fr],
    shifts: &[Fr],
) -> Vec<Fr> {
    let mut values: Vec<Fr> = coefficients
        .iter()
        .zip(shifts)
        .map(|(c, s)| *c * s)
        .collect();
    let tables = domain.get_fft_data(values.len());
    recursive::fft(&mut values, domain.omega, domain.k, tables, false);
    values
}

/// `p(x)`, by Horner's rule.
pub(crate) fn evaluate(coefficients: &[Fr], x: Fr) -> Fr {
    coefficients
        .iter()
        .rev()
        .fold(Fr::zero(), |value, c| value * x + c)
}
