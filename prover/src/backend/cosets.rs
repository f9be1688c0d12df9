//! The quotient, streamed over exactly `degree - 1` cosets.
//!
//! On the coset `s·⟨ω⟩` the polynomial `X^n` is the constant `c = s^n`. So `h = N/(X^n - 1)`, of degree below `m·n` with
//! `m = degree - 1`, restricted to coset `j` is the polynomial `r_j = Σ_i c_j^i·h_i` of degree below `n`: one inverse
//! transform a coset gives `r_j`, and the inverse of the Vandermonde matrix of the `c_j` gives the pieces `h_i`.

use std::{borrow::Cow, collections::HashMap};

use ff::Field;
use halo2_proofs::{halo2curves::bn256::Fr, poly::EvaluationDomain};
use rayon::prelude::*;

use crate::{
    constraints::plan::{Plan, Source},
    kernels::{Coset, Domain},
    srs::powers,
};

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

/// The domain and the cosets of one size and degree, with tables for transforms.
pub(crate) struct Cosets {
    domain: Domain,
    tables: Vec<Coset>,
    shape: Shape,
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

impl Cosets {
    pub(crate) fn new(domain: &EvaluationDomain<Fr>) -> Self {
        let subgroup = Domain::new(domain.k());
        let shape = Shape::new(domain);
        let tables = shape.shifts.iter().map(|shift| subgroup.coset(*shift));
        Self {
            tables: tables.collect(),
            domain: subgroup,
            shape,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.tables.len()
    }

    /// The generator of the domain.
    pub(crate) fn omega(&self) -> Fr {
        self.domain.omega()
    }

    /// The coefficients of the polynomial with these values on the domain.
    pub(crate) fn interpolate(&self, mut values: Vec<Fr>) -> Vec<Fr> {
        self.domain.ifft(&mut values);
        values
    }

    /// The values on the domain of the polynomial with these coefficients.
    pub(crate) fn evaluate(&self, coefficients: &[Fr]) -> Vec<Fr> {
        let mut values = coefficients.to_vec();
        values.resize(self.domain.size(), Fr::ZERO);
        self.domain.fft(&mut values);
        values
    }

    /// The values of a polynomial on coset `j`.
    pub(crate) fn values(&self, coefficients: &[Fr], j: usize) -> Vec<Fr> {
        let mut values = vec![Fr::ZERO; self.domain.size()];
        self.tables[j].fft(coefficients, &mut values);
        values
    }

    /// The pieces of `N/(X^n - 1)`. `coefficients` holds the polynomials that the plan reads, but for those that
    /// `cached` gives on each coset.
    pub(crate) fn pieces<'c>(
        &self,
        plan: &Plan,
        coefficients: &HashMap<Source, Cow<'_, [Fr]>>,
        cached: impl Fn(Source, usize) -> Option<&'c [Fr]> + Sync,
    ) -> Vec<Vec<Fr>> {
        let n = self.domain.size();
        let sources = plan.sources();
        let mut pieces = vec![vec![Fr::ZERO; n]; self.count()];
        for j in 0..self.count() {
            let own: Vec<Vec<Fr>> = sources
                .par_iter()
                .map(|source| match source {
                    _ if cached(*source, j).is_some() => vec![],
                    Source::X => powers(self.domain.omega(), n)
                        .into_iter()
                        .map(|w| self.shape.shifts[j] * w)
                        .collect(),
                    source => self.values(&coefficients[source], j),
                })
                .collect();
            let column = |source: Source| -> &[Fr] {
                cached(source, j).unwrap_or_else(|| {
                    let at = sources
                        .binary_search(&source)
                        .expect("all sources of the plan are there");
                    &own[at]
                })
            };
            let mut values = plan.evaluate(n, 1, column);
            drop(own);
            let vanishing = self.shape.vanishing[j];
            values
                .par_iter_mut()
                .with_min_len(1024)
                .for_each(|v| *v *= vanishing);
            self.domain.coset_ifft(&mut values, self.shape.shifts[j]);
            for (piece, row) in pieces.iter_mut().zip(&self.shape.inverse) {
                let factor = row[j];
                piece
                    .par_iter_mut()
                    .with_min_len(1024)
                    .zip(&values)
                    .for_each(|(piece, v)| *piece += factor * v);
            }
        }
        pieces
    }
}
