//! Between values on the domain, coefficients, and values on the extended domain, by halo2-axiom's own transforms.

use halo2_proofs::{halo2curves::bn256::Fr, poly::EvaluationDomain};

/// The coefficients of the polynomial with these values on the domain.
pub(crate) fn interpolate(domain: &EvaluationDomain<Fr>, values: Vec<Fr>) -> Vec<Fr> {
    let values = domain.lagrange_from_vec(values);
    domain.lagrange_to_coeff(values).to_vec()
}

/// The coefficients of many columns.
pub(crate) fn interpolate_all(
    domain: &EvaluationDomain<Fr>,
    columns: Vec<Vec<Fr>>,
) -> Vec<Vec<Fr>> {
    columns
        .into_iter()
        .map(|values| interpolate(domain, values))
        .collect()
}

/// The values on the whole extended domain.
pub(crate) fn extend(domain: &EvaluationDomain<Fr>, coefficients: &[Fr]) -> Vec<Fr> {
    let mut coefficients = coefficients.to_vec();
    coefficients.resize(1 << domain.k(), Fr::zero());
    let polynomial = domain.coeff_from_vec(coefficients);
    domain.coeff_to_extended(&polynomial).to_vec()
}

/// `p(x)`, by Horner's rule.
pub(crate) fn evaluate(coefficients: &[Fr], x: Fr) -> Fr {
    coefficients
        .iter()
        .rev()
        .fold(Fr::zero(), |value, c| value * x + c)
}
