//! The fast prover: the bytes of the plain one, in a fraction of its time and memory.
//!
//! - Columns know their width: commitments, sums and evaluations of small integers cost a few
//!   additions a byte.
//! - What is linear in columns is summed on the domain and transformed once (`constraints::linear`).
//! - Columns are evaluated at `x`, and combined for the opening, by their values on the domain: with
//!   `l_i(x) = (x^n - 1)/n · ω^i/(x - ω^i)`, `p(x) = Σ p(ω^i)·l_i(x)` and `p(ω^r·x) = Σ p(ω^(i+r))·l_i(x)`.
//! - The quotient is streamed over `degree - 1` cosets (`quotient`).

mod column;
mod combine;
mod describe;
mod quotient;
mod witness;

pub use describe::{PlanSummary, describe};
pub use witness::{ColumnWitness, Values};

use std::borrow::Cow;
use std::collections::HashMap;

use ff::{BatchInvert, Field};
use group::Curve;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1, G1Affine},
    plonk::Circuit,
    poly::Rotation,
    transcript::TranscriptWrite,
};
use rand::{CryptoRng, RngCore};
use rayon::prelude::*;
use tracing::debug_span;

use self::{column::Column, combine::combine, quotient::Cosets};
use crate::{
    constraints::{
        linear::{Combination, extract},
        numerator::{Challenges, numerator},
        plan::{Builder, Plan, Query, Source},
        queries::ProofQueries,
    },
    kernels::FixedBase,
    keys::{ProvingKey, configure, phases, usable_rows, without_selectors},
    plain::{
        Opened, ProveError, ProveOptions, Setting, absorb, diagnose, fourier,
        opening::{self, Opening},
        permutation, squeeze,
        witness::{How, collect},
        write_scalar,
    },
    srs::{Srs, powers},
    transcript::KeccakWrite,
    verify::check_instances,
};

/// A key made ready for proofs: what does not depend on the witness is computed once.
pub struct Prover<'k> {
    pk: &'k ProvingKey,
    srs: Cow<'k, Srs>,
    /// The SRS in its Lagrange form, which serves all commitments.
    bases: FixedBase,
    fixed: Vec<Column>,
    cosets: Cosets,
    /// Fixed columns that constraints use nonlinearly: coefficients, or values on every coset.
    prepared: HashMap<usize, Prepared>,
}

enum Prepared {
    Coefficients(Vec<Fr>),
    Cosets(Vec<Vec<Fr>>),
}

impl std::fmt::Debug for Prover<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover")
            .field("k", &self.pk.vk().k())
            .field("prepared", &self.prepared.len())
            .finish()
    }
}

/// Bytes that a prover may keep between proofs, unless told otherwise.
pub const DEFAULT_MEMORY: usize = 256 << 20;

impl<'k> Prover<'k> {
    /// Prepares a key. `memory` bounds the bytes kept for reuse; with 0 everything is computed for each proof.
    ///
    /// # Errors
    /// [`ProveError::ForeignSrs`] and [`ProveError::Srs`] where the SRS is another or too small.
    pub fn new(srs: &'k Srs, pk: &'k ProvingKey, memory: usize) -> Result<Self, ProveError> {
        let vk = pk.vk();
        if srs.id() != vk.srs_id() {
            return Err(ProveError::ForeignSrs {
                key: vk.srs_id(),
                srs: srs.id(),
            });
        }
        let srs = srs.downsize(vk.k())?;
        let (domain, n) = (pk.domain(), 1usize << vk.k());
        let bases = FixedBase::new(srs.g_lagrange(), memory / 2);
        let fixed: Vec<Column> = pk.fixed().par_iter().map(|c| Column::fixed(c, n)).collect();
        let cosets = Cosets::new(domain);
        let (plan, _) = describe::placeholder_plan(vk.halo2().cs());
        let alone: Vec<usize> = describe::sources(&plan)
            .into_iter()
            .filter_map(|source| match source {
                Source::Fixed(i) => Some(i),
                _ => None,
            })
            .collect();
        let within = describe::columns_within(memory, cosets.count(), n);
        let prepared = alone
            .par_iter()
            .enumerate()
            .map(|(rank, &i)| {
                let coefficients = cosets.interpolate(fixed[i].expand(n));
                let prepared = if rank < within {
                    Prepared::Cosets(
                        (0..cosets.count())
                            .map(|j| cosets.values(&coefficients, j))
                            .collect(),
                    )
                } else {
                    Prepared::Coefficients(coefficients)
                };
                (i, prepared)
            })
            .collect();
        Ok(Self {
            pk,
            srs,
            bases,
            fixed,
            cosets,
            prepared,
        })
    }

    /// Proves that the circuit holds, as [`crate::plain::prove_with`] does.
    ///
    /// # Errors
    /// As [`crate::plain::prove_with`].
    pub fn prove<C: Circuit<Fr>>(
        &self,
        options: ProveOptions,
        circuit: &C,
        instances: &[Vec<Fr>],
        mut rng: impl RngCore + CryptoRng,
    ) -> Result<Vec<u8>, ProveError> {
        let cs = self.pk.vk().halo2().cs();
        let (own_cs, config) = configure::<C>(circuit.params());
        if format!("{:?}", without_selectors(own_cs).pinned()) != format!("{:?}", cs.pinned()) {
            return Err(ProveError::ForeignKey);
        }
        let mut transcript = self.start(instances)?;
        let setting = self.setting();
        let blinding = setting.n - setting.usable;
        let span = debug_span!("witness").entered();
        let commit = |columns: &[&[Fr]]| -> Vec<G1> {
            columns
                .par_iter()
                .map(|c| self.commit_column(&Column::detect(c.to_vec(), blinding)))
                .collect()
        };
        let how = How {
            commit: &commit,
            read_back: options.read_back,
        };
        let witness = collect(
            &setting,
            how,
            (circuit, config),
            instances,
            &mut rng,
            &mut transcript,
        )?;
        let advice = witness
            .advice
            .into_par_iter()
            .map(|c| Column::detect(c, blinding))
            .collect();
        drop(span);
        self.finish(advice, &witness.challenges, instances, rng, transcript)
    }

    /// Proves with a witness that comes in whole columns.
    ///
    /// # Errors
    /// As [`prove`](Self::prove), and [`ProveError::Columns`] for columns of the wrong number or length.
    pub fn prove_columns(
        &self,
        witness: &mut dyn ColumnWitness,
        instances: &[Vec<Fr>],
        mut rng: impl RngCore + CryptoRng,
    ) -> Result<Vec<u8>, ProveError> {
        let mut transcript = self.start(instances)?;
        let Setting { cs, n, usable, .. } = self.setting();
        let (column_phase, challenge_phase) = (cs.advice_column_phase(), cs.challenge_phase());
        let mut advice: Vec<Option<Column>> = vec![None; column_phase.len()];
        let mut challenges: Vec<Option<Fr>> = vec![None; challenge_phase.len()];
        for phase in 0..phases(cs) {
            let indices: Vec<usize> = (0..column_phase.len())
                .filter(|i| usize::from(column_phase[*i]) == phase)
                .collect();
            let span = debug_span!("witness", phase).entered();
            let drawn: Vec<Fr> = challenges.iter().flatten().copied().collect();
            let values = witness.phase(phase, &drawn);
            drop(span);
            if values.len() != indices.len() || values.iter().any(|v| v.len() > usable) {
                return Err(ProveError::Columns {
                    phase,
                    expected: indices.len(),
                    got: values.len(),
                    usable,
                });
            }
            let mut columns = Vec::with_capacity(values.len());
            for values in values {
                let tail: Vec<Fr> = (usable..n).map(|_| Fr::random(&mut rng)).collect();
                columns.push(match values {
                    Values::Small(head) => Column::Small { head, tail },
                    values @ Values::Dense(_) => {
                        let mut all = values.into_dense(usable);
                        all.extend(tail);
                        Column::Dense(all)
                    }
                });
            }
            // In step with halo2's prover, which draws a blind for each commitment.
            for _ in &columns {
                let _ = Fr::random(&mut rng);
            }
            let span = debug_span!("commit", phase).entered();
            let points: Vec<G1> = columns.par_iter().map(|c| self.commit_column(c)).collect();
            write_points(&points, "advice column", &mut transcript)?;
            drop(span);
            indices
                .into_iter()
                .zip(columns)
                .for_each(|(i, column)| advice[i] = Some(column));
            for (challenge, _) in challenges
                .iter_mut()
                .zip(&challenge_phase)
                .filter(|(_, p)| usize::from(**p) == phase)
            {
                *challenge = Some(squeeze(&mut transcript));
            }
        }
        let challenges: Vec<Fr> = challenges
            .into_iter()
            .map(|c| c.expect("all phases are over"))
            .collect();
        let advice = advice
            .into_iter()
            .map(|c| c.expect("every column has a phase"))
            .collect();
        self.finish(advice, &challenges, instances, rng, transcript)
    }

    fn setting(&self) -> Setting<'_> {
        let (cs, k) = (self.pk.vk().halo2().cs(), self.pk.vk().k());
        Setting {
            cs,
            k,
            n: 1 << k,
            usable: usable_rows(cs, k),
            srs: &self.srs,
        }
    }

    fn start(&self, instances: &[Vec<Fr>]) -> Result<KeccakWrite, ProveError> {
        check_instances(self.pk.vk(), instances).map_err(ProveError::Instances)?;
        let mut transcript = KeccakWrite::new();
        absorb(&mut transcript, self.pk.vk().halo2().transcript_repr());
        instances
            .iter()
            .flatten()
            .for_each(|value| absorb(&mut transcript, *value));
        Ok(transcript)
    }

    fn commit_column(&self, column: &Column) -> G1 {
        match column {
            Column::Small { head, tail } => {
                self.bases
                    .msm_small_with_tail(head, self.bases.len() - tail.len(), tail)
            }
            Column::Dense(values) => self.bases.msm_dense(values),
        }
    }

    /// Commits to a polynomial given by its coefficients: a transform costs less than a second set of bases.
    fn commit_coefficients(&self, coefficients: &[Fr]) -> G1 {
        self.bases.msm_dense(&self.cosets.evaluate(coefficients))
    }

    /// Everything after the phases.
    fn finish(
        &self,
        advice: Vec<Column>,
        circuit_challenges: &[Fr],
        instances: &[Vec<Fr>],
        mut rng: impl RngCore,
        mut transcript: KeccakWrite,
    ) -> Result<Vec<u8>, ProveError> {
        let setting = self.setting();
        let Setting { cs, n, .. } = setting;
        let domain = self.pk.domain();
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
        self.permutation(
            &setting,
            &mut columns,
            (beta, gamma),
            &mut rng,
            &mut transcript,
        )?;
        drop(span);

        let span = debug_span!("random").entered();
        let random: Vec<Fr> = (0..n).map(|_| Fr::random(&mut rng)).collect();
        write_points(
            &[self.commit_coefficients(&random)],
            "random polynomial",
            &mut transcript,
        )?;
        drop(span);

        let span = debug_span!("transform").entered();
        let y = squeeze(&mut transcript);
        let mut builder = Builder::default();
        let root = numerator(
            &mut builder,
            cs,
            circuit_challenges,
            &Challenges { beta, gamma, y },
        );
        let (plan, combinations) = extract(&builder, root);
        let sources = describe::sources(&plan);
        let on_cosets = |source: &Source| matches!(source, Source::Fixed(i) if matches!(self.prepared.get(i), Some(Prepared::Cosets(_))));
        let coefficients: HashMap<Source, Vec<Fr>> = sources
            .into_par_iter()
            .filter(|s| *s != Source::X && !on_cosets(s))
            .map(|source| {
                let known = match source {
                    Source::Fixed(i) => self.prepared.get(&i),
                    _ => None,
                };
                let coefficients = match (known, source) {
                    (Some(Prepared::Coefficients(known)), _) => known.clone(),
                    (_, Source::Virtual(i)) => {
                        self.cosets.interpolate(columns.sum(&combinations[i]))
                    }
                    _ => self.cosets.interpolate(columns.get(source).expand(n)),
                };
                (source, coefficients)
            })
            .collect();
        drop(span);
        let span = debug_span!("quotient").entered();
        let cached = |source: Source, j: usize| match source {
            Source::Fixed(i) => match self.prepared.get(&i) {
                Some(Prepared::Cosets(cosets)) => Some(&cosets[j][..]),
                _ => None,
            },
            _ => None,
        };
        let pieces = self.cosets.pieces(&plan, &coefficients, cached);
        drop(coefficients);
        drop(span);
        let span = debug_span!("commit quotient").entered();
        let points: Vec<G1> = pieces
            .par_iter()
            .map(|piece| self.commit_coefficients(piece))
            .collect();
        write_points(&points, "quotient piece", &mut transcript)?;
        drop(span);

        let span = debug_span!("evaluate").entered();
        let x = squeeze(&mut transcript);
        let xn = x.pow_vartime([n as u64]);
        let mut h = vec![Fr::ZERO; n];
        for piece in pieces.iter().rev() {
            h.par_iter_mut()
                .with_min_len(1024)
                .zip(piece)
                .for_each(|(h, p)| *h = *h * xn + p);
        }
        drop(pieces);
        let (h_value, random_value) = rayon::join(
            || fourier::evaluate(&h, x),
            || fourier::evaluate(&random, x),
        );
        let queries = ProofQueries::new(cs);
        let weights = lagrange_at(x, xn, domain.omega, n);
        let values = columns.evaluate(&weights, queries.written());
        let read = columns.evaluate_for(&plan, &combinations, &values, &weights);
        let value = |query: &Query| match query.source {
            Source::X => domain.rotate_omega(x, Rotation(query.rotation)),
            Source::Virtual(i) => {
                let member = |(source, factor): &(Source, Fr)| {
                    read[&Query {
                        source: *source,
                        ..*query
                    }] * factor
                };
                combinations[i].constant + combinations[i].members.iter().map(member).sum::<Fr>()
            }
            _ => read[query],
        };
        if plan.evaluate_at(value) != h_value * (xn - Fr::ONE) {
            let expanded: HashMap<Source, Vec<Fr>> = columns.expand_all();
            return Err(diagnose::failing_gate(
                cs,
                n,
                circuit_challenges,
                |source| &expanded[&source],
            ));
        }
        for query in queries.advice.iter().chain(&queries.fixed) {
            write_scalar(&mut transcript, values[query]);
        }
        write_scalar(&mut transcript, random_value);
        for query in queries
            .sigma
            .iter()
            .chain(queries.products.iter().flatten())
        {
            write_scalar(&mut transcript, values[query]);
        }
        drop(span);

        let _span = debug_span!("open").entered();
        let opening = |query: &Query| Opening {
            polynomial: Opened::Column(query.source),
            point: domain.rotate_omega(x, Rotation(query.rotation)),
            value: values[query],
        };
        let mut openings: Vec<Opening<Opened>> = queries.opened().iter().map(opening).collect();
        openings.push(Opening {
            polynomial: Opened::Quotient,
            point: x,
            value: h_value,
        });
        openings.push(Opening {
            polynomial: Opened::Random,
            point: x,
            value: random_value,
        });
        let combine_opened = |members: &[(Opened, Fr)]| {
            let on_domain: Vec<(&Column, Fr)> = members
                .iter()
                .filter_map(|(m, factor)| match m {
                    Opened::Column(source) => Some((columns.get(*source), *factor)),
                    _ => None,
                })
                .collect();
            let mut sum = self.cosets.interpolate(combine(&on_domain, Fr::ZERO, n));
            for (member, factor) in members {
                match member {
                    Opened::Column(_) => {}
                    Opened::Quotient => opening::add_scaled(&mut sum, &h, *factor),
                    Opened::Random => opening::add_scaled(&mut sum, &random, *factor),
                }
            }
            sum
        };
        let commit = |polynomial: &[Fr]| self.commit_coefficients(polynomial).to_affine();
        opening::open(&openings, n, combine_opened, commit, &mut transcript)?;
        Ok(transcript.into_proof())
    }

    fn permutation(
        &self,
        setting: &Setting<'_>,
        columns: &mut Columns<'_>,
        challenges: (Fr, Fr),
        rng: &mut impl RngCore,
        transcript: &mut KeccakWrite,
    ) -> Result<(), ProveError> {
        let copied = setting.cs.permutation().get_columns().len();
        if copied == 0 {
            return Ok(());
        }
        let sigma = self.pk.copies().expand(copied, setting.k);
        let expanded = columns.expand_all();
        let products = permutation::commit_products(
            setting,
            |source| &expanded[&source],
            &sigma,
            challenges,
            rng,
            transcript,
        )?;
        let Some(products) = products else {
            return Err(diagnose::failing_copy(
                setting.cs,
                columns.n,
                self.pk.copies(),
                |source| &expanded[&source],
            ));
        };
        columns.products = products.into_iter().map(Column::Dense).collect();
        columns.sigma = sigma.into_iter().map(Column::Dense).collect();
        let ones = |rows: std::ops::Range<usize>| {
            let mut head = vec![0; rows.end];
            head[rows].fill(1);
            Column::Small { head, tail: vec![] }
        };
        columns.indicators = Some([
            ones(0..1),
            ones(setting.usable..setting.usable + 1),
            ones(0..setting.usable),
        ]);
        Ok(())
    }
}

/// The columns of one kind and what each is called.
type Kind<'a> = (&'a [Column], fn(usize) -> Source);

/// All columns of a proof.
struct Columns<'a> {
    n: usize,
    advice: Vec<Column>,
    fixed: &'a [Column],
    instance: Vec<Column>,
    products: Vec<Column>,
    sigma: Vec<Column>,
    /// `l_0`, `l_last`, `l_active`, where the permutation argument is used.
    indicators: Option<[Column; 3]>,
}

impl Columns<'_> {
    fn get(&self, source: Source) -> &Column {
        let indicator = |i: usize| {
            &self
                .indicators
                .as_ref()
                .expect("only the permutation argument reads them")[i]
        };
        match source {
            Source::Advice(i) => &self.advice[i],
            Source::Fixed(i) => &self.fixed[i],
            Source::Instance(i) => &self.instance[i],
            Source::Product(i) => &self.products[i],
            Source::Sigma(i) => &self.sigma[i],
            Source::First => indicator(0),
            Source::Last => indicator(1),
            Source::Active => indicator(2),
            Source::X | Source::Virtual(_) => unreachable!("{source:?} is no column"),
        }
    }

    fn sum(&self, combination: &Combination) -> Vec<Fr> {
        let members: Vec<(&Column, Fr)> = combination
            .members
            .iter()
            .map(|(s, f)| (self.get(*s), *f))
            .collect();
        combine(&members, combination.constant, self.n)
    }

    fn expand_all(&self) -> HashMap<Source, Vec<Fr>> {
        let kinds: [Kind<'_>; 3] = [
            (&self.advice, Source::Advice),
            (self.fixed, Source::Fixed),
            (&self.instance, Source::Instance),
        ];
        let all = kinds.into_iter().flat_map(|(columns, source)| {
            columns
                .iter()
                .enumerate()
                .map(move |(i, column)| (source(i), column.expand(self.n)))
        });
        all.collect()
    }

    /// Values of columns at `ω^rotation·x`, from the Lagrange polynomials' values at `x`.
    fn evaluate(&self, weights: &[Fr], mut queries: Vec<Query>) -> HashMap<Query, Fr> {
        queries.sort_unstable();
        queries.dedup();
        queries
            .into_par_iter()
            .map(|q| (q, self.get(q.source).dot(weights, q.rotation)))
            .collect()
    }

    /// Values of all columns that a plan and its combinations read; those that are `known` are not computed again.
    fn evaluate_for(
        &self,
        plan: &Plan,
        combinations: &[Combination],
        known: &HashMap<Query, Fr>,
        weights: &[Fr],
    ) -> HashMap<Query, Fr> {
        let read = plan.queries().iter().flat_map(|query| match query.source {
            Source::X => vec![],
            Source::Virtual(i) => {
                let members = combinations[i].members.iter();
                members
                    .map(|(source, _)| Query {
                        source: *source,
                        ..*query
                    })
                    .collect()
            }
            _ => vec![*query],
        });
        let missing = read.filter(|query| !known.contains_key(query)).collect();
        let mut values = self.evaluate(weights, missing);
        values.extend(known);
        values
    }
}

/// `l_i(x) = (x^n - 1)/n · ω^i/(x - ω^i)` for all `i`.
fn lagrange_at(x: Fr, xn: Fr, omega: Fr, n: usize) -> Vec<Fr> {
    let roots = powers(omega, n);
    let mut weights: Vec<Fr> = roots.iter().map(|w| x - w).collect();
    weights.par_chunks_mut(4096).for_each(|chunk| {
        chunk.batch_invert();
    });
    let scale = (xn - Fr::ONE)
        * Option::<Fr>::from(Fr::from(n as u64).invert()).expect("n is a power of 2");
    weights
        .par_iter_mut()
        .with_min_len(1024)
        .zip(&roots)
        .for_each(|(v, w)| *v *= scale * w);
    weights
}

fn write_points(points: &[G1], what: &str, transcript: &mut KeccakWrite) -> Result<(), ProveError> {
    let mut affine = vec![G1Affine::default(); points.len()];
    G1::batch_normalize(points, &mut affine);
    for (i, point) in affine.into_iter().enumerate() {
        let written = transcript.write_point(point);
        written.map_err(|_| ProveError::Identity {
            what: format!("{what} {i}"),
        })?;
    }
    Ok(())
}
