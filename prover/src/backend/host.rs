//! A backend whose polynomials are this process's, whatever transforms them and sums their points.

use std::collections::HashMap;

use ff::{BatchInvert, Field};
use halo2_proofs::{
    arithmetic::kate_division,
    halo2curves::bn256::{Fr, G1},
    poly::EvaluationDomain,
};
use rayon::prelude::*;
use tracing::debug_span;

use super::{Backend, Column, Division, Polynomial, Shape, Sum};
use crate::{
    constraints::plan::{Plan, Source},
    gpu::GpuError,
    plain::{
        fourier,
        opening::add_scaled,
        permutation::{self, Factor},
    },
    srs::powers,
};

/// Transforms and commitments, for one domain, its cosets and the SRS in its Lagrange form.
///
/// # Errors
/// Those of a device.
pub(crate) trait Engine: std::fmt::Debug + Send + Sync {
    /// The coefficients of some polynomials, where the engine keeps them.
    type Polynomials: Send + Sync;

    /// What computes, for people.
    fn name(&self) -> String;

    /// Commits to columns by their values on the domain.
    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError>;

    /// Commits to polynomials by their coefficients.
    fn commit_coefficients(&self, polynomials: &[&[Fr]]) -> Result<Vec<G1>, GpuError>;

    /// The polynomials that have these sums of columns as values on the domain.
    fn interpolate(&self, sums: &[&Sum<'_>]) -> Result<Self::Polynomials, GpuError>;

    /// The coefficients of each.
    fn coefficients(&self, polynomials: Self::Polynomials) -> Result<Vec<Vec<Fr>>, GpuError>;

    /// The values on coset `j` of each polynomial of each group.
    fn evaluate_on_coset(
        &self,
        groups: [&Self::Polynomials; 2],
        j: usize,
    ) -> Result<Vec<Vec<Fr>>, GpuError>;

    /// The coefficients of the polynomial with these values on coset `j`.
    fn interpolate_on_coset(&self, values: Vec<Fr>, j: usize) -> Result<Vec<Fr>, GpuError>;
}

/// What is kept for one key, and the engine.
pub(crate) struct Host<E: Engine> {
    engine: E,
    n: usize,
    omega: Fr,
    shape: Shape,
    /// Fixed columns that are transformed on their own: of the first the values on every coset, of the others
    /// coefficients.
    on_cosets: HashMap<usize, Vec<Vec<Fr>>>,
    others: Vec<usize>,
    coefficients: E::Polynomials,
}

impl<E: Engine> std::fmt::Debug for Host<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("engine", &self.engine)
            .field("rows", &self.n)
            .field("on_cosets", &self.on_cosets.len())
            .field("others", &self.others.len())
            .finish()
    }
}

impl<E: Engine> Host<E> {
    /// Prepares the fixed columns that are transformed on their own, by index: half of `memory` is for their values on
    /// all cosets.
    pub(crate) fn prepare(
        engine: E,
        domain: &EvaluationDomain<Fr>,
        fixed: &[(usize, &Column<'_>)],
        memory: usize,
    ) -> Result<Self, GpuError> {
        let (n, shape) = (1 << domain.k(), Shape::new(domain));
        let cosets = shape.shifts.len();
        let within = columns_within(memory, cosets, n).min(fixed.len());
        let (first, others) = fixed.split_at(within);
        let interpolate = |columns: &[(usize, &Column<'_>)]| {
            let sums: Vec<Sum<'_>> = columns.iter().map(|(_, column)| Sum::of(column)).collect();
            engine.interpolate(&sums.iter().collect::<Vec<_>>())
        };
        let mut on_cosets: HashMap<usize, Vec<Vec<Fr>>> =
            first.iter().map(|(index, _)| (*index, vec![])).collect();
        let (coefficients, none) = (interpolate(first)?, interpolate(&[])?);
        for j in 0..cosets {
            let values = engine.evaluate_on_coset([&coefficients, &none], j)?;
            for ((index, _), values) in first.iter().zip(values) {
                on_cosets.entry(*index).or_default().push(values);
            }
        }
        Ok(Self {
            n,
            omega: domain.get_omega(),
            shape,
            on_cosets,
            others: others.iter().map(|(index, _)| *index).collect(),
            coefficients: interpolate(others)?,
            engine,
        })
    }

    /// Where the values of a fixed column that is kept are found.
    fn kept(&self, source: Source) -> Option<Place<'_>> {
        let Source::Fixed(index) = source else {
            return None;
        };
        if let Some(cosets) = self.on_cosets.get(&index) {
            return Some(Place::OnCosets(cosets));
        }
        let at = self.others.iter().position(|other| *other == index);
        at.map(Place::Transformed)
    }
}

/// Where the values on a coset come from.
enum Place<'a> {
    OnCosets(&'a [Vec<Fr>]),
    /// The place among the polynomials that are transformed.
    Transformed(usize),
    Variable,
}

/// A polynomial's coefficients.
fn coefficients(polynomial: &Polynomial) -> &[Fr] {
    match polynomial {
        Polynomial::Host(coefficients) => coefficients,
        Polynomial::Device(_) => unreachable!("another backend's polynomial"),
    }
}

impl<E: Engine> Backend for Host<E> {
    fn name(&self) -> String {
        self.engine.name()
    }

    fn polynomial(&self, coefficients: Vec<Fr>) -> Result<Polynomial, GpuError> {
        Ok(Polynomial::Host(coefficients))
    }

    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError> {
        self.engine.commit(columns)
    }

    fn commit_polynomials(&self, polynomials: &[&Polynomial]) -> Result<Vec<G1>, GpuError> {
        let polynomials: Vec<&[Fr]> = polynomials.iter().map(|p| coefficients(p)).collect();
        self.engine.commit_coefficients(&polynomials)
    }

    fn combine(
        &self,
        sum: &Sum<'_>,
        polynomials: &[(&Polynomial, Fr)],
    ) -> Result<Polynomial, GpuError> {
        let nothing = sum.members.is_empty() && sum.constant == Fr::ZERO;
        let mut combined = if nothing {
            vec![Fr::ZERO; self.n]
        } else {
            let made = self.engine.interpolate(&[sum])?;
            self.engine.coefficients(made)?.swap_remove(0)
        };
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
            quotient.resize(self.n, Fr::ZERO);
            Polynomial::Host(quotient)
        };
        Ok(divisions.par_iter().map(divide).collect())
    }

    fn evaluate(&self, queries: &[(&Column<'_>, i32)], x: Fr) -> Result<Vec<Fr>, GpuError> {
        let weights = lagrange_at(x, self.omega, self.n);
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
        let mut own: Vec<&Sum<'_>> = vec![];
        let places: HashMap<Source, Place<'_>> = plan
            .sources()
            .into_iter()
            .map(|source| {
                let place = self.kept(source).unwrap_or_else(|| {
                    if source == Source::X {
                        return Place::Variable;
                    }
                    own.push(&sums[&source]);
                    Place::Transformed(self.others.len() + own.len() - 1)
                });
                (source, place)
            })
            .collect();
        let own = self.engine.interpolate(&own)?;
        drop(span);
        let _span = debug_span!("quotient").entered();
        let mut pieces = vec![vec![Fr::ZERO; self.n]; self.shape.shifts.len()];
        for (j, shift) in self.shape.shifts.iter().enumerate() {
            let (transformed, variable) = rayon::join(
                || self.engine.evaluate_on_coset([&self.coefficients, &own], j),
                || -> Vec<Fr> {
                    let rows = if places.contains_key(&Source::X) {
                        self.n
                    } else {
                        0
                    };
                    let powers = powers(self.omega, rows).into_iter();
                    powers.map(|w| *shift * w).collect()
                },
            );
            let transformed = transformed?;
            let mut values = plan.evaluate(self.n, 1, |source| match &places[&source] {
                Place::OnCosets(cosets) => &cosets[j],
                Place::Transformed(at) => &transformed[*at],
                Place::Variable => &variable,
            });
            drop(transformed);
            let vanishing = self.shape.vanishing[j];
            values
                .par_iter_mut()
                .with_min_len(1024)
                .for_each(|v| *v *= vanishing);
            let part = self.engine.interpolate_on_coset(values, j)?;
            for (piece, row) in pieces.iter_mut().zip(&self.shape.inverse) {
                add_scaled(piece, &part, row[j]);
            }
        }
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
