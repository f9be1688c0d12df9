//! The quotient, streamed over exactly `degree - 1` cosets.
//!
//! On the coset `s·⟨ω⟩` the polynomial `X^n` is the constant `c = s^n`. So `h = N/(X^n - 1)`, of degree below `m·n` with
//! `m = degree - 1`, restricted to coset `j` is the polynomial `r_j = Σ_i c_j^i·h_i` of degree below `n`: one inverse
//! transform a coset gives `r_j`, and the inverse of the Vandermonde matrix of the `c_j` gives the pieces `h_i`.

use ff::Field;
use halo2_proofs::{halo2curves::bn256::Fr, poly::EvaluationDomain};

use crate::srs::powers;

/// Which cosets there are, and how the quotient's pieces follow from it.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Coset generators `s_j`.
    pub(crate) shifts: Vec<Fr>,
    /// Inverse Vandermonde matrix of the `c_j = s_j^n`, row `i` gives `h_i`.
    pub(crate) inverse: Vec<Vec<Fr>>,
    /// `1/(c_j - 1)`.
    pub(crate) vanishing: Vec<Fr>,
}

impl Shape {
    pub(crate) fn new(domain: &EvaluationDomain<Fr>) -> Self {
        let n = 1u64 << domain.k();
        let count = domain.get_quotient_poly_degree();
        let shifts: Vec<Fr> = powers(domain.extended_omega, count)
            .into_iter()
            .map(|w| domain.g_coset * w)
            .collect();
        let c: Vec<Fr> = shifts.iter().map(|s| s.pow_vartime([n])).collect();
        let invert = |v: Fr| {
            Option::<Fr>::from(v.invert())
                .expect("cosets of the extended domain differ and miss the roots of unity")
        };
        let vanishing = c.iter().map(|c| invert(*c - Fr::ONE)).collect();
        // Column j of the inverse: the coefficients of the Lagrange polynomial of c_j.
        let mut inverse = vec![vec![Fr::ZERO; count]; count];
        for j in 0..count {
            let mut coefficients = vec![Fr::ONE];
            let mut scale = Fr::ONE;
            for l in (0..count).filter(|l| *l != j) {
                let mut next = vec![Fr::ZERO; coefficients.len() + 1];
                for (i, v) in coefficients.iter().enumerate() {
                    next[i + 1] += v;
                    next[i] -= c[l] * v;
                }
                coefficients = next;
                scale *= c[j] - c[l];
            }
            let scale = invert(scale);
            for (row, v) in inverse.iter_mut().zip(&coefficients) {
                row[j] = scale * v;
            }
        }
        Self {
            shifts,
            inverse,
            vanishing,
        }
    }
}
