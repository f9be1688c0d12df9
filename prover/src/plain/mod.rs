//! The plain prover: the protocol as it is written down, with the crates' primitives.
//!
//! Proofs have the bytes that halo2's `create_proof` with SHPLONK gives, where that one works: it panics
//! on circuits of three phases.

pub(crate) mod diagnose;
pub(crate) mod fourier;
pub(crate) mod opening;
pub(crate) mod permutation;
mod quotient;
pub(crate) mod witness;

use std::collections::HashMap;

use ff::Field;
use group::Curve;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1, G1Affine},
    plonk::{Circuit, ConstraintSystem},
    poly::{EvaluationDomain, Rotation},
    transcript::{Transcript, TranscriptWrite},
};
use rand::{CryptoRng, RngCore, rngs::OsRng};
use rayon::prelude::*;
use tracing::debug_span;

use self::{opening::Opening, witness::How};
use crate::{
    constraints::{
        numerator::{Challenges, numerator},
        plan::{Builder, Query, Source},
        queries::ProofQueries,
    },
    gpu::GpuError,
    keys::{ProvingKey, ShapeError, VerifyingKey, configure, usable_rows, without_selectors},
    msm,
    srs::{Srs, SrsError, SrsId},
    synthesis::SynthesisError,
    transcript::KeccakWrite,
    verify::{VerifyError, check_instances, verify},
};

/// Why no proof was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The key belongs to another SRS.
    #[error(
        "the key belongs to SRS {key}, but SRS {srs} was given; use the one the key was made with"
    )]
    ForeignSrs {
        /// The key's SRS.
        key: SrsId,
        /// The SRS that was given.
        srs: SrsId,
    },
    /// The SRS could not be cut to the key's size.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// The circuit is none that this crate can prove here.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The key was made for another circuit.
    #[error("the key belongs to another circuit than the one to be proved; make the keys again")]
    ForeignKey,
    /// The public values do not have the shape that the key says.
    #[error(transparent)]
    Instances(VerifyError),
    /// The witness could not be collected.
    #[error(transparent)]
    Synthesis(#[from] SynthesisError),
    /// A gate does not hold: the witness or the public values are wrong.
    #[error(
        "the witness does not satisfy the circuit: gate `{gate}`, constraint {index} ({constraint}), \
         row {row}"
    )]
    GateUnsatisfied {
        /// The gate.
        gate: String,
        /// The constraint's name, if it has one.
        constraint: String,
        /// The constraint's place in the gate.
        index: usize,
        /// The first row where it does not hold.
        row: usize,
    },
    /// Two cells that must be equal are not.
    #[error(
        "the witness does not satisfy the circuit: {left} row {left_row} and {right} row {right_row} \
         must be equal"
    )]
    CopyUnsatisfied {
        /// A column.
        left: String,
        /// A row in it.
        left_row: usize,
        /// The other column.
        right: String,
        /// The row in that.
        right_row: usize,
    },
    /// Gates and copies hold in every row, yet the proof's equation does not.
    #[error(
        "the proof does not check although every constraint holds; the key is damaged: make it again"
    )]
    Inconsistent,
    /// The finished proof does not verify, and is not given out.
    #[error(
        "the proof does not verify ({why}) and is thrown away: the key or the SRS is damaged or made to mislead; make the \
         keys again from an SRS that you trust{}",
        device_hint(processor)
    )]
    Rejected {
        /// What computed the proof.
        processor: String,
        /// What the verifier says.
        why: VerifyError,
    },
    /// A witness in whole columns does not fit the constraint system.
    #[error(
        "phase {phase} has {expected} advice columns of at most {usable} rows, but {got} were given, or longer ones; \
         the witness belongs to another circuit"
    )]
    Columns {
        /// The phase, counted from 0.
        phase: usize,
        /// Advice columns of the phase.
        expected: usize,
        /// Columns that were given.
        got: usize,
        /// Rows that may be used.
        usable: usize,
    },
    /// The device that the proof is computed on cannot be used, or failed.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// A commitment is the identity, which the transcript cannot take.
    #[error(
        "{what} is the zero polynomial, whose commitment has no encoding (a quotient piece: the \
         circuit's minimum degree is set higher than its gates need)"
    )]
    Identity {
        /// What was committed to.
        what: String,
    },
}

/// The name of this processor where it proves.
const CPU: &str = "cpu";

fn device_hint(processor: &str) -> String {
    match processor {
        CPU => String::new(),
        device => format!("; or {device} computes wrongly: prove again, or with --backend cpu"),
    }
}

/// The proof, if it verifies: the last step of every prover, so that none gives out another one.
///
/// A proof that does not verify can hide less than a valid one, as its commitments are not what they should be.
///
/// # Errors
/// [`ProveError::Rejected`].
pub(crate) fn checked(
    vk: &VerifyingKey,
    instances: &[Vec<Fr>],
    proof: Vec<u8>,
    processor: &str,
) -> Result<Vec<u8>, ProveError> {
    let _span = debug_span!("verify").entered();
    match verify(vk, instances, &proof) {
        Ok(()) => Ok(proof),
        Err(why) => Err(ProveError::Rejected {
            processor: processor.to_owned(),
            why,
        }),
    }
}

/// What a prover may do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProveOptions {
    /// Whether the circuit may read back a cell that it has assigned (`AssignedCell::value`).
    ///
    /// Costs 72 bytes for each assigned cell while the circuit runs. Where the circuit computes from its
    /// own values only, turn it off; reading back then gives unknown values, and so an error.
    pub read_back: bool,
}

impl Default for ProveOptions {
    fn default() -> Self {
        Self { read_back: true }
    }
}

impl ProveOptions {
    /// Sets [`read_back`](Self::read_back).
    #[must_use]
    pub fn read_back(mut self, read_back: bool) -> Self {
        self.read_back = read_back;
        self
    }
}

/// Proves that the circuit holds with the public values in `instances`, one vector a column.
///
/// An SRS larger than the key's is cut to size first, which is slow: cut it once, with
/// [`Srs::downsize`], where several proofs are made.
///
/// `rng` blinds the witness: a predictable one reveals it.
///
/// # Errors
/// [`ProveError`]; in particular a witness that does not satisfy the circuit gives no proof, but the
/// name of the constraint that fails.
pub fn prove<C: Circuit<Fr>>(
    srs: &Srs,
    pk: &ProvingKey,
    circuit: &C,
    instances: &[Vec<Fr>],
    rng: impl RngCore + CryptoRng,
) -> Result<Vec<u8>, ProveError> {
    prove_with(ProveOptions::default(), srs, pk, circuit, instances, rng)
}

/// [`prove`] with options.
///
/// # Errors
/// As [`prove`].
pub fn prove_with<C: Circuit<Fr>>(
    options: ProveOptions,
    srs: &Srs,
    pk: &ProvingKey,
    circuit: &C,
    instances: &[Vec<Fr>],
    mut rng: impl RngCore + CryptoRng,
) -> Result<Vec<u8>, ProveError> {
    let (vk, domain) = (pk.vk(), pk.domain());
    let (cs, k) = (vk.halo2().cs(), vk.k());
    if srs.id() != vk.srs_id() {
        return Err(ProveError::ForeignSrs {
            key: vk.srs_id(),
            srs: srs.id(),
        });
    }
    let srs = srs.downsize(k)?;
    // Verifying the proof tests the powers, by the random polynomial. That one is committed to in powers here, so it does
    // not test the Lagrange basis in rows where all columns are zero.
    srs.check_lagrange(OsRng)?;
    check_instances(vk, instances).map_err(ProveError::Instances)?;
    let (own_cs, config) = configure::<C>(circuit.params())?;
    // The key's digest is made of this text too.
    if format!("{:?}", without_selectors(own_cs).pinned()) != format!("{:?}", cs.pinned()) {
        return Err(ProveError::ForeignKey);
    }

    let mut transcript = KeccakWrite::new();
    absorb(&mut transcript, vk.halo2().transcript_repr());
    instances
        .iter()
        .flatten()
        .for_each(|value| absorb(&mut transcript, *value));

    let span = debug_span!("witness").entered();
    let setting = Setting {
        cs,
        k,
        n: 1 << k,
        usable: usable_rows(cs, k),
    };
    let commit = |columns: &[&[Fr]]| -> Result<Vec<G1>, ProveError> {
        let commit = |column: &&[Fr]| msm::commit(column, srs.g_lagrange());
        Ok(columns.par_iter().map(commit).collect())
    };
    let how = How {
        commit: &commit,
        read_back: options.read_back,
    };
    let witness = witness::collect(
        &setting,
        how,
        (circuit, config),
        instances,
        &mut rng,
        &mut transcript,
    )?;
    drop(span);
    let columns = Columns::new(pk, witness.advice, instances);

    let span = debug_span!("permutation").entered();
    // Drawn for halo2's lookups, and part of the transcript without them too.
    let _theta = squeeze(&mut transcript);
    let (beta, gamma) = (squeeze(&mut transcript), squeeze(&mut transcript));
    let sigma = pk.copies().expand(cs.permutation().get_columns().len(), k);
    let how = permutation::How {
        multiply: &|factors, first, rows| Ok(permutation::running_product(factors, first, rows)),
        commit: &|values| Ok(msm::commit(values, srs.g_lagrange())),
    };
    let products = permutation::commit_products(
        &setting,
        &how,
        |source| columns.values(source),
        &sigma,
        (beta, gamma),
        &mut rng,
        &mut transcript,
    )?;
    let Some(products) = products else {
        let value = |source| columns.values(source);
        return Err(diagnose::failing_copy(cs, columns.n, pk.copies(), value));
    };
    drop(span);

    let span = debug_span!("quotient").entered();
    // Opened at x beside h, so that h(x) reveals nothing of the witness.
    let random: Vec<Fr> = (0..columns.n).map(|_| Fr::random(&mut rng)).collect();
    write_points(&[&random], srs.g(), "random polynomial", &mut transcript)?;
    let y = squeeze(&mut transcript);
    let mut builder = Builder::default();
    let challenges = Challenges { beta, gamma, y };
    let root = numerator(&mut builder, cs, &witness.challenges, &challenges);
    let plan = builder.finish(root);
    let polynomials = Polynomials::new(domain, &columns, setting.usable, products, sigma);
    let pieces = quotient::pieces(domain, &plan, &polynomials);
    let piece_slices: Vec<&[Fr]> = pieces.iter().map(Vec::as_slice).collect();
    write_points(&piece_slices, srs.g(), "quotient piece", &mut transcript)?;
    drop(span);

    let span = debug_span!("evaluations").entered();
    let x = squeeze(&mut transcript);
    let xn = x.pow_vartime([columns.n as u64]);
    // h(X) = Σ_i x^{n·i}·h_i(X) has h's value at x, and the same degree as all others.
    let mut h = vec![Fr::ZERO; columns.n];
    for piece in pieces.iter().rev() {
        h.par_iter_mut()
            .with_min_len(1024)
            .zip(piece)
            .for_each(|(h, p)| *h = *h * xn + p);
    }
    drop(pieces);
    let h_value = fourier::evaluate(&h, x);
    let random_value = fourier::evaluate(&random, x);

    let queries = ProofQueries::new(cs);
    let asked: Vec<Query> = queries
        .written()
        .into_iter()
        .chain(plan.queries().iter().copied())
        .collect();
    let values = evaluate_all(domain, &polynomials, x, asked);
    if plan.evaluate_at(|query| values[query]) != h_value * (xn - Fr::ONE) {
        let value = |source| columns.values(source);
        return Err(diagnose::failing_gate(
            cs,
            columns.n,
            &witness.challenges,
            value,
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

    let span = debug_span!("opening").entered();
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
    let arithmetic = opening::Coefficients {
        n: columns.n,
        opened: &|opened| match opened {
            Opened::Column(source) => polynomials.coefficients(source),
            Opened::Quotient => &h,
            Opened::Random => &random,
        },
        commit: &|polynomial| msm::commit(polynomial, srs.g()).to_affine(),
    };
    opening::open(&openings, &arithmetic, &mut transcript)?;
    drop(span);
    checked(vk, instances, transcript.into_proof(), CPU)
}

/// A polynomial that a proof opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Column(Source),
    /// `h`, its pieces combined at `x`.
    Quotient,
    Random,
}

/// What all steps of a proof share.
pub(crate) struct Setting<'a> {
    pub(crate) cs: &'a ConstraintSystem<Fr>,
    pub(crate) k: u32,
    /// `2^k`.
    pub(crate) n: usize,
    /// Rows before the blinding ones.
    pub(crate) usable: usize,
}

/// The values of all columns on the domain.
struct Columns {
    n: usize,
    advice: Vec<Vec<Fr>>,
    fixed: Vec<Vec<Fr>>,
    instance: Vec<Vec<Fr>>,
}

impl Columns {
    fn new(pk: &ProvingKey, advice: Vec<Vec<Fr>>, instances: &[Vec<Fr>]) -> Self {
        let n = 1usize << pk.vk().k();
        let instance = instances.iter().map(|values| {
            let mut values = values.clone();
            values.resize(n, Fr::ZERO);
            values
        });
        Self {
            n,
            advice,
            fixed: pk
                .fixed()
                .par_iter()
                .map(|column| column.expand(n))
                .collect(),
            instance: instance.collect(),
        }
    }

    fn values(&self, source: Source) -> &[Fr] {
        match source {
            Source::Advice(index) => &self.advice[index],
            Source::Fixed(index) => &self.fixed[index],
            Source::Instance(index) => &self.instance[index],
            other => unreachable!("{other:?} is not a column of the circuit"),
        }
    }
}

/// The coefficients of all polynomials.
struct Polynomials {
    advice: Vec<Vec<Fr>>,
    fixed: Vec<Vec<Fr>>,
    instance: Vec<Vec<Fr>>,
    products: Vec<Vec<Fr>>,
    sigma: Vec<Vec<Fr>>,
    first: Vec<Fr>,
    last: Vec<Fr>,
    active: Vec<Fr>,
    x: Vec<Fr>,
}

impl Polynomials {
    fn new(
        domain: &EvaluationDomain<Fr>,
        columns: &Columns,
        usable: usize,
        products: Vec<Vec<Fr>>,
        sigma: Vec<Vec<Fr>>,
    ) -> Self {
        let n = columns.n;
        let all = |columns| fourier::interpolate_all(domain, columns);
        let indicator = |rows: std::ops::Range<usize>| {
            let mut values = vec![Fr::ZERO; n];
            values[rows].fill(Fr::ONE);
            fourier::interpolate(domain, values)
        };
        Self {
            advice: all(columns.advice.clone()),
            fixed: all(columns.fixed.clone()),
            instance: all(columns.instance.clone()),
            products: all(products),
            sigma: all(sigma),
            first: indicator(0..1),
            last: indicator(usable..usable + 1),
            active: indicator(0..usable),
            x: vec![Fr::ZERO, Fr::ONE],
        }
    }

    fn coefficients(&self, source: Source) -> &[Fr] {
        match source {
            Source::Advice(index) => &self.advice[index],
            Source::Fixed(index) => &self.fixed[index],
            Source::Instance(index) => &self.instance[index],
            Source::Product(index) => &self.products[index],
            Source::Sigma(index) => &self.sigma[index],
            Source::First => &self.first,
            Source::Last => &self.last,
            Source::Active => &self.active,
            Source::X => &self.x,
            Source::Virtual(_) => unreachable!("the plain prover sums nothing in advance"),
        }
    }
}

fn evaluate_all(
    domain: &EvaluationDomain<Fr>,
    polynomials: &Polynomials,
    x: Fr,
    mut queries: Vec<Query>,
) -> HashMap<Query, Fr> {
    queries.sort_unstable();
    queries.dedup();
    queries
        .into_par_iter()
        .map(|query| {
            let point = domain.rotate_omega(x, Rotation(query.rotation));
            (
                query,
                fourier::evaluate(polynomials.coefficients(query.source), point),
            )
        })
        .collect()
}

pub(crate) fn squeeze(transcript: &mut KeccakWrite) -> Fr {
    *transcript.squeeze_challenge_scalar::<()>()
}

pub(crate) fn absorb(transcript: &mut KeccakWrite, scalar: Fr) {
    transcript
        .common_scalar(scalar)
        .expect("the transcript takes every scalar");
}

pub(crate) fn write_scalar(transcript: &mut KeccakWrite, scalar: Fr) {
    transcript
        .write_scalar(scalar)
        .expect("the transcript takes every scalar");
}

fn write_points(
    polynomials: &[&[Fr]],
    g: &[G1Affine],
    what: &str,
    transcript: &mut KeccakWrite,
) -> Result<(), ProveError> {
    let points: Vec<G1> = polynomials.par_iter().map(|p| msm::commit(p, g)).collect();
    for (i, point) in points.into_iter().enumerate() {
        let written = transcript.write_point(point.to_affine());
        written.map_err(|_| ProveError::Identity {
            what: format!("{what} {i}"),
        })?;
    }
    Ok(())
}
