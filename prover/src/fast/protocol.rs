//! Everything after the phases: permutation, quotient, evaluations, opening.

use std::collections::HashMap;

use ff::Field;
use group::Curve;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1Affine},
    poly::Rotation,
};
use rand::RngCore;
use tracing::debug_span;

use super::{Prover, columns::Columns, write_points};
use crate::{
    backend::{Backend, Column, Division, Polynomial, Sum},
    constraints::{
        linear::{Combination, extract},
        numerator::{Challenges, numerator, permutation_columns},
        plan::{Builder, Plan, Query, Source},
        queries::ProofQueries,
    },
    plain::{
        Opened, ProveError, Setting, checked, diagnose,
        opening::{self, Arithmetic, Opening},
        permutation, squeeze, write_scalar,
    },
    transcript::KeccakWrite,
};

impl Prover<'_> {
    /// Everything after the phases.
    pub(super) fn finish(
        &self,
        advice: Vec<Column<'_>>,
        circuit_challenges: &[Fr],
        instances: &[Vec<Fr>],
        mut rng: impl RngCore,
        mut transcript: KeccakWrite,
    ) -> Result<Vec<u8>, ProveError> {
        let setting = self.setting();
        let Setting { cs, n, .. } = setting;
        let instance = instances
            .iter()
            .map(|values| {
                let mut values = values.clone();
                values.resize(n, Fr::ZERO);
                Column::detect(values, 0)
            })
            .collect();
        let mut columns = Columns {
            n,
            advice,
            fixed: &self.fixed,
            instance,
            products: vec![],
            sigma: vec![],
            indicators: None,
        };

        let span = debug_span!("permutation").entered();
        let _theta = squeeze(&mut transcript);
        let (beta, gamma) = (squeeze(&mut transcript), squeeze(&mut transcript));
        let betas = (beta, gamma);
        self.permutation(&setting, &mut columns, betas, &mut rng, &mut transcript)?;
        drop(span);

        let span = debug_span!("random").entered();
        let random: Vec<Fr> = (0..n).map(|_| Fr::random(&mut rng)).collect();
        let random = self.backend.polynomial(random)?;
        let point = self.backend.commit_polynomials(&[&random])?;
        write_points(&point, |_| "random polynomial".into(), &mut transcript)?;
        drop(span);

        let y = squeeze(&mut transcript);
        let mut builder = Builder::default();
        let challenges = Challenges { beta, gamma, y };
        let root = numerator(&mut builder, cs, circuit_challenges, &challenges);
        let (plan, combinations) = extract(&builder, root);
        let sums: HashMap<Source, Sum<'_>> = plan
            .sources()
            .into_iter()
            .filter(|source| *source != Source::X)
            .map(|source| (source, columns.sum(source, &combinations)))
            .collect();
        let pieces = self.backend.quotient(&plan, &sums)?;
        drop(sums);
        let span = debug_span!("commit quotient").entered();
        let references: Vec<&Polynomial> = pieces.iter().collect();
        let points = self.backend.commit_polynomials(&references)?;
        write_points(&points, |i| format!("quotient piece {i}"), &mut transcript)?;
        drop(span);

        let span = debug_span!("evaluate").entered();
        let x = squeeze(&mut transcript);
        let xn = x.pow_vartime([n as u64]);
        let powers = std::iter::successors(Some(Fr::ONE), |power| Some(*power * xn));
        let terms: Vec<(&Polynomial, Fr)> = pieces.iter().zip(powers).collect();
        let h = self.backend.combine(&Sum::default(), &terms)?;
        drop(pieces);
        let values = self.backend.evaluate_polynomials(&[&h, &random], x)?;
        let (h_value, random_value) = (values[0], values[1]);
        let queries = ProofQueries::new(cs);
        let values = self.evaluate(&columns, &queries, (&plan, &combinations), x)?;
        if self.at(&plan, &combinations, &values, x) != h_value * (xn - Fr::ONE) {
            let expanded = columns.expand(columns.own());
            let value = |source| &expanded[&source][..];
            return Err(diagnose::failing_gate(cs, n, circuit_challenges, value));
        }
        for query in queries.advice.iter().chain(&queries.fixed) {
            write_scalar(&mut transcript, values[query]);
        }
        write_scalar(&mut transcript, random_value);
        let products = queries.products.iter().flatten();
        for query in queries.sigma.iter().chain(products) {
            write_scalar(&mut transcript, values[query]);
        }
        drop(span);

        let span = debug_span!("open").entered();
        let opening = |query: &Query| Opening {
            polynomial: Opened::Column(query.source),
            point: self.rotated(x, query.rotation),
            value: values[query],
        };
        let mut openings: Vec<Opening<Opened>> = queries.opened().iter().map(opening).collect();
        for (polynomial, value) in [(Opened::Quotient, h_value), (Opened::Random, random_value)] {
            openings.push(Opening {
                polynomial,
                point: x,
                value,
            });
        }
        let arithmetic = OnBackend {
            backend: &*self.backend,
            columns: &columns,
            h: &h,
            random: &random,
        };
        opening::open(&openings, &arithmetic, &mut transcript)?;
        let proof = transcript.into_proof();
        drop(span);
        checked(self.pk.vk(), instances, proof, &self.processor())
    }

    fn permutation(
        &self,
        setting: &Setting<'_>,
        columns: &mut Columns<'_>,
        challenges: (Fr, Fr),
        rng: &mut impl RngCore,
        transcript: &mut KeccakWrite,
    ) -> Result<(), ProveError> {
        let sources = permutation_columns(setting.cs);
        if sources.is_empty() {
            return Ok(());
        }
        let sigma = self.pk.copies().expand(sources.len(), setting.k);
        let expanded = columns.expand(sources);
        let how = permutation::How {
            multiply: &|factors, first, rows| {
                Ok(self.backend.running_product(factors, first, rows)?)
            },
            commit: &|values| Ok(self.backend.commit(&[&Column::dense(values.to_vec())])?[0]),
        };
        let value = |source| &expanded[&source][..];
        let products = permutation::commit_products(
            setting, &how, value, &sigma, challenges, rng, transcript,
        )?;
        let Some(products) = products else {
            let copies = self.pk.copies();
            return Err(diagnose::failing_copy(setting.cs, setting.n, copies, value));
        };
        columns.products = products.into_iter().map(Column::dense).collect();
        columns.sigma = sigma.into_iter().map(Column::dense).collect();
        let ones = |rows: std::ops::Range<usize>| {
            let mut head = vec![0; rows.end];
            head[rows].fill(1);
            Column::small(head, vec![])
        };
        columns.indicators = Some([
            ones(0..1),
            ones(setting.usable..setting.usable + 1),
            ones(0..setting.usable),
        ]);
        Ok(())
    }

    /// The values of all columns that the proof states, and of those that the plan reads besides.
    fn evaluate(
        &self,
        columns: &Columns<'_>,
        queries: &ProofQueries,
        (plan, combinations): (&Plan, &[Combination]),
        x: Fr,
    ) -> Result<HashMap<Query, Fr>, ProveError> {
        let mut asked = queries.written();
        for query in plan.queries() {
            match query.source {
                Source::X => {}
                Source::Virtual(i) => {
                    let members = combinations[i].members.iter();
                    asked.extend(members.map(|(source, _)| Query {
                        source: *source,
                        ..*query
                    }));
                }
                _ => asked.push(*query),
            }
        }
        asked.sort_unstable();
        asked.dedup();
        let columns: Vec<(&Column<'_>, i32)> = asked
            .iter()
            .map(|query| (columns.get(query.source), query.rotation))
            .collect();
        let values = self.backend.evaluate(&columns, x)?;
        Ok(asked.into_iter().zip(values).collect())
    }

    /// The plan's result at `x`.
    fn at(
        &self,
        plan: &Plan,
        combinations: &[Combination],
        values: &HashMap<Query, Fr>,
        x: Fr,
    ) -> Fr {
        plan.evaluate_at(|query| match query.source {
            Source::X => self.rotated(x, query.rotation),
            Source::Virtual(i) => {
                let member = |(source, factor): &(Source, Fr)| {
                    values[&Query {
                        source: *source,
                        ..*query
                    }] * factor
                };
                combinations[i].constant + combinations[i].members.iter().map(member).sum::<Fr>()
            }
            _ => values[query],
        })
    }

    /// `ω^rotation·x`.
    fn rotated(&self, x: Fr, rotation: i32) -> Fr {
        self.pk.domain().rotate_omega(x, Rotation(rotation))
    }
}

/// The opening's polynomials where the backend has them.
struct OnBackend<'a> {
    backend: &'a dyn Backend,
    columns: &'a Columns<'a>,
    h: &'a Polynomial,
    random: &'a Polynomial,
}

impl Arithmetic for OnBackend<'_> {
    type Member = Opened;
    type Polynomial = Polynomial;

    fn combine(&self, members: &[(Opened, Fr)]) -> Result<Polynomial, ProveError> {
        let (mut sum, mut polynomials) = (Sum::default(), vec![]);
        for (member, factor) in members {
            match member {
                Opened::Column(source) => sum.members.push((self.columns.get(*source), *factor)),
                Opened::Quotient => polynomials.push((self.h, *factor)),
                Opened::Random => polynomials.push((self.random, *factor)),
            }
        }
        Ok(self.backend.combine(&sum, &polynomials)?)
    }

    fn sum(&self, members: &[(&Polynomial, Fr)]) -> Result<Polynomial, ProveError> {
        Ok(self.backend.combine(&Sum::default(), members)?)
    }

    fn divide(
        &self,
        divisions: Vec<(&Polynomial, Vec<Fr>, Vec<Fr>)>,
    ) -> Result<Vec<Polynomial>, ProveError> {
        let division = |(polynomial, low, points)| Division {
            polynomial,
            low,
            points,
        };
        let divisions: Vec<Division<'_>> = divisions.into_iter().map(division).collect();
        Ok(self.backend.divide(&divisions)?)
    }

    fn commit(&self, polynomial: &Polynomial) -> Result<G1Affine, ProveError> {
        Ok(self.backend.commit_polynomials(&[polynomial])?[0].to_affine())
    }
}
