//! The backend that runs on the processor's cores.

use std::{borrow::Cow, collections::HashMap};

use ff::{BatchInvert, Field};
use halo2_proofs::{
    arithmetic::kate_division,
    halo2curves::bn256::{Fr, G1, G1Affine},
    poly::EvaluationDomain,
};
use rayon::prelude::*;
use tracing::debug_span;

use super::{Backend, Column, Division, Polynomial, Sum, combine::combine, cosets::Cosets};
use crate::{
    constraints::plan::{Plan, Source},
    gpu::GpuError,
    kernels::FixedBase,
    plain::{
        fourier,
        opening::add_scaled,
        permutation::{self, Factor},
    },
    srs::powers,
};

/// Tables for one key.
pub(crate) struct Cpu {
    /// The SRS in its Lagrange form, which serves all commitments.
    bases: FixedBase,
    cosets: Cosets,
    /// Fixed columns that are transformed on their own: coefficients, or values on every coset.
    prepared: HashMap<usize, Prepared>,
}

enum Prepared {
    Coefficients(Vec<Fr>),
    Cosets(Vec<Vec<Fr>>),
}

impl std::fmt::Debug for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cpu")
            .field("rows", &self.bases.len())
            .field("prepared", &self.prepared.len())
            .finish()
    }
}

impl Cpu {
    /// Prepares the fixed columns that are transformed on their own, by index. Half of `memory` is for multiples of the
    /// bases, half for columns on all cosets.
    pub(crate) fn new(
        g_lagrange: &[G1Affine],
        domain: &EvaluationDomain<Fr>,
        fixed: &[(usize, &Column<'_>)],
        memory: usize,
    ) -> Self {
        let cosets = Cosets::new(domain);
        let n = g_lagrange.len();
        let within = columns_within(memory, cosets.count(), n);
        let prepared = fixed
            .par_iter()
            .enumerate()
            .map(|(rank, (index, column))| {
                let coefficients = cosets.interpolate(column.expand(n));
                let prepared = if rank < within {
                    let values = (0..cosets.count()).map(|j| cosets.values(&coefficients, j));
                    Prepared::Cosets(values.collect())
                } else {
                    Prepared::Coefficients(coefficients)
                };
                (*index, prepared)
            })
            .collect();
        Self {
            bases: FixedBase::new(g_lagrange, memory / 2),
            cosets,
            prepared,
        }
    }

    fn n(&self) -> usize {
        self.bases.len()
    }

    /// The coefficients of a sum of columns.
    fn sum(&self, sum: &Sum<'_>) -> Vec<Fr> {
        if sum.members.is_empty() && sum.constant == Fr::ZERO {
            return vec![Fr::ZERO; self.n()];
        }
        self.cosets.interpolate(combine(sum, self.n()))
    }

    fn prepared(&self, source: Source) -> Option<&Prepared> {
        match source {
            Source::Fixed(index) => self.prepared.get(&index),
            _ => None,
        }
    }
}

/// A polynomial's coefficients.
fn coefficients(polynomial: &Polynomial) -> &[Fr] {
    match polynomial {
        Polynomial::Host(coefficients) => coefficients,
        Polynomial::Device(_) => unreachable!("another backend's polynomial"),
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn polynomial(&self, coefficients: Vec<Fr>) -> Result<Polynomial, GpuError> {
        Ok(Polynomial::Host(coefficients))
    }

    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError> {
        let commit = |column: &&Column<'_>| column.commit(&self.bases);
        Ok(columns.par_iter().map(commit).collect())
    }

    /// By the values on the domain: a transform costs less than a second set of bases.
    fn commit_polynomials(&self, polynomials: &[&Polynomial]) -> Result<Vec<G1>, GpuError> {
        let commit = |polynomial: &&Polynomial| {
            let values = self.cosets.evaluate(coefficients(polynomial));
            self.bases.msm_dense(&values)
        };
        Ok(polynomials.par_iter().map(commit).collect())
    }

    fn combine(
        &self,
        sum: &Sum<'_>,
        polynomials: &[(&Polynomial, Fr)],
    ) -> Result<Polynomial, GpuError> {
        let mut combined = self.sum(sum);
        for (polynomial, factor) in polynomials {
            add_scaled(&mut combined, coefficients(polynomial), *factor);
        }
        Ok(Polynomial::Host(combined))
    }

    fn divide(&self, divisions: &[Division<'_>]) -> Result<Vec<Polynomial>, GpuError> {
        let divide = |division: &Division<'_>| {
            let mut quotient = coefficients(division.polynomial).to_vec();
            quotient
                .iter_mut()
                .zip(&division.low)
                .for_each(|(p, low)| *p -= low);
            let points = division.points.iter();
            let mut quotient = points.fold(quotient, |q, point| kate_division(&q, *point));
            quotient.resize(self.n(), Fr::ZERO);
            Polynomial::Host(quotient)
        };
        Ok(divisions.par_iter().map(divide).collect())
    }

    fn evaluate(&self, queries: &[(&Column<'_>, i32)], x: Fr) -> Result<Vec<Fr>, GpuError> {
        let weights = lagrange_at(x, self.cosets.omega(), self.n());
        let value = |(column, rotation): &(&Column<'_>, i32)| column.dot(&weights, *rotation);
        Ok(queries.par_iter().map(value).collect())
    }

    fn evaluate_polynomials(
        &self,
        polynomials: &[&Polynomial],
        x: Fr,
    ) -> Result<Vec<Fr>, GpuError> {
        let value = |polynomial: &&Polynomial| fourier::evaluate(coefficients(polynomial), x);
        Ok(polynomials.par_iter().map(value).collect())
    }

    fn running_product(
        &self,
        factors: &[Factor<'_>],
        first: Fr,
        rows: usize,
    ) -> Result<Vec<Fr>, GpuError> {
        Ok(permutation::running_product(factors, first, rows))
    }

    fn quotient(
        &self,
        plan: &Plan,
        sums: &HashMap<Source, Sum<'_>>,
    ) -> Result<Vec<Polynomial>, GpuError> {
        let span = debug_span!("transform").entered();
        let coefficients: HashMap<Source, Cow<'_, [Fr]>> = plan
            .sources()
            .into_par_iter()
            .filter(|source| *source != Source::X)
            .filter_map(|source| {
                let coefficients = match self.prepared(source) {
                    Some(Prepared::Cosets(_)) => return None,
                    Some(Prepared::Coefficients(known)) => Cow::Borrowed(&known[..]),
                    None => Cow::Owned(self.sum(&sums[&source])),
                };
                Some((source, coefficients))
            })
            .collect();
        drop(span);
        let _span = debug_span!("quotient").entered();
        let cached = |source, j: usize| match self.prepared(source) {
            Some(Prepared::Cosets(cosets)) => Some(&cosets[j][..]),
            _ => None,
        };
        let pieces = self.cosets.pieces(plan, &coefficients, cached);
        Ok(pieces.into_iter().map(Polynomial::Host).collect())
    }
}

/// How many fixed columns may be kept on all cosets, within half of `memory`; the bases have the other half.
pub(crate) fn columns_within(memory: usize, cosets: usize, n: usize) -> usize {
    (memory / 2)
        .checked_div(cosets * n * size_of::<Fr>())
        .unwrap_or(0)
}

/// `l_i(x) = (x^n - 1)/n · ω^i/(x - ω^i)` for all `i`.
fn lagrange_at(x: Fr, omega: Fr, n: usize) -> Vec<Fr> {
    let roots = powers(omega, n);
    let mut weights: Vec<Fr> = roots.iter().map(|w| x - w).collect();
    weights.par_chunks_mut(4096).for_each(|chunk| {
        chunk.batch_invert();
    });
    let scale = (x.pow_vartime([n as u64]) - Fr::ONE)
        * Option::<Fr>::from(Fr::from(n as u64).invert()).expect("n is a power of 2");
    weights
        .par_iter_mut()
        .with_min_len(1024)
        .zip(&roots)
        .for_each(|(v, w)| *v *= scale * w);
    weights
}
