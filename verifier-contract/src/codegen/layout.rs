//! What a profile's proofs, keys and openings look like, read off its constraint system.

use std::collections::BTreeSet;

use ff::PrimeField;
use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem, poly::Rotation};
use sha3::{Digest, Keccak256};

use super::CodegenError;

/// First four bytes of every key.
pub const KEY_MAGIC: [u8; 4] = *b"TSVK";
/// Version of the key's word layout.
pub const KEY_VERSION: u32 = 2;

/// Words of a key before its rotations: id, `k`, rows, `transcript_repr`, `n^-1`, `ω^-1`, `g2` and `s_g2`.
pub(crate) const KEY_FIXED_WORDS: usize = 6 + 8;

/// A point of the proof or of the key whose opening the proof holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commitment {
    /// Advice column, by index.
    Advice(usize),
    /// Fixed column, by index.
    Fixed(usize),
    /// The quotient, a sum of its pieces by powers of `x^n`.
    Quotient,
    /// The vanishing argument's random polynomial.
    Random,
}

/// A claimed evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Eval {
    /// Advice query, by index.
    Advice(usize),
    /// Fixed query, by index.
    Fixed(usize),
    /// The quotient at `x`, which the verifier computes.
    Quotient,
    /// The random polynomial at `x`.
    Random,
}

/// The polynomials opened at one set of points (BDFG21's `S_i`), in the stock verifier's order.
#[derive(Clone, Debug)]
pub(crate) struct OpeningSet {
    /// Rotations of `x`, ascending.
    pub(crate) rotations: Vec<i32>,
    /// Each commitment with its evaluations, one for each rotation.
    pub(crate) members: Vec<(Commitment, Vec<Eval>)>,
}

impl OpeningSet {
    /// Weights of its interpolation, of which the key holds one for each point; a single point needs none.
    pub(crate) fn interpolation_weights(&self) -> usize {
        match self.rotations.len() {
            1 => 0,
            points => points,
        }
    }
}

/// A challenge squeezed from the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Squeeze {
    /// A challenge of the circuit, by index.
    Circuit(usize),
    /// θ, β or γ of halo2: drawn to keep the transcript's state, and not used without lookups and copies.
    Unused,
    /// `y`, which separates the gates.
    Y,
    /// `x`, the evaluation point.
    X,
    /// SHPLONK's `y`, which separates the polynomials of a set.
    SetY,
    /// SHPLONK's `v`, which separates the sets.
    SetV,
    /// SHPLONK's `u`, the second evaluation point.
    SetU,
}

/// Proof bytes absorbed together, and the challenges drawn from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    pub(crate) points: Vec<ProofPoint>,
    pub(crate) scalars: usize,
    pub(crate) squeezes: Vec<Squeeze>,
}

/// A point of the proof, by its part in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProofPoint {
    Advice(usize),
    Random,
    Quotient(usize),
    H1,
    H2,
}

/// Everything about a profile that its contract, its keys and its calldata share.
#[derive(Clone, Debug)]
pub struct VerifierLayout {
    profile: String,
    id: [u8; 32],
    pub(crate) fixed_columns: usize,
    pub(crate) instance_columns: usize,
    /// Rows of an instance column from one public value to the next; the rows between are 0.
    pub(crate) instance_stride: usize,
    pub(crate) challenges: usize,
    pub(crate) quotient_pieces: usize,
    pub(crate) advice_queries: Vec<(usize, i32)>,
    pub(crate) fixed_queries: Vec<(usize, i32)>,
    pub(crate) instance_queries: Vec<(usize, i32)>,
    pub(crate) sections: Vec<Section>,
    pub(crate) sets: Vec<OpeningSet>,
    /// Rotations of every opened point, ascending, 0 among them.
    pub(crate) opened: Vec<i32>,
    /// Rotations whose `ω^r` the key holds: all that occur but 0, ascending.
    pub(crate) rotations: Vec<i32>,
}

impl VerifierLayout {
    /// Reads the layout off a constraint system without lookups, copies and virtual selectors.
    ///
    /// `profile` names the contract (`TensorSealVerifier_<profile>`). Take `cs` from a key's
    /// `vk.cs()`, or from a circuit's `configure` where it uses no selectors: both give one id.
    ///
    /// # Errors
    /// [`CodegenError`] where the constraint system has what the contract cannot check.
    pub fn new(profile: &str, cs: &ConstraintSystem<Fr>) -> Result<Self, CodegenError> {
        Self::strided(profile, cs, 1)
    }

    /// The same for a circuit that reads its public values from every `stride`-th row of the instance columns, and whose
    /// other rows are 0: callers of the contract leave them out. `stride` is a power of two.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn strided(
        profile: &str,
        cs: &ConstraintSystem<Fr>,
        stride: usize,
    ) -> Result<Self, CodegenError> {
        if !stride.is_power_of_two() {
            return Err(CodegenError::Stride { stride });
        }
        let named = profile
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if profile.is_empty() || !named {
            return Err(CodegenError::ProfileName {
                profile: profile.to_owned(),
            });
        }
        if !cs.lookups().is_empty() {
            return Err(CodegenError::Lookups {
                count: cs.lookups().len(),
            });
        }
        let copied = cs.permutation().get_columns().len();
        if copied != 0 {
            return Err(CodegenError::CopyConstraints { columns: copied });
        }
        let queries = |list: Vec<(usize, Rotation)>| -> Vec<(usize, i32)> {
            list.into_iter().map(|(c, r)| (c, r.0)).collect()
        };
        let advice_queries = queries(
            cs.advice_queries()
                .iter()
                .map(|q| (q.0.index(), q.1))
                .collect(),
        );
        let fixed_queries = queries(
            cs.fixed_queries()
                .iter()
                .map(|q| (q.0.index(), q.1))
                .collect(),
        );
        let instance_queries = queries(
            cs.instance_queries()
                .iter()
                .map(|q| (q.0.index(), q.1))
                .collect(),
        );
        if advice_queries.is_empty() && fixed_queries.is_empty() {
            return Err(CodegenError::NoQueries);
        }
        let quotient_pieces = cs.degree() - 1;
        let sections = sections(
            cs,
            quotient_pieces,
            advice_queries.len() + fixed_queries.len() + 1,
        );
        let sets = opening_sets(&advice_queries, &fixed_queries);
        let opened: BTreeSet<i32> = sets.iter().flat_map(|s| s.rotations.clone()).collect();
        let mut rotations: BTreeSet<i32> = opened.clone();
        rotations.extend(instance_queries.iter().map(|q| q.1));
        rotations.remove(&0);
        Ok(Self {
            profile: profile.to_owned(),
            id: key_id(cs, stride),
            fixed_columns: cs.num_fixed_columns(),
            instance_columns: cs.num_instance_columns(),
            instance_stride: stride,
            challenges: cs.num_challenges(),
            quotient_pieces,
            advice_queries,
            fixed_queries,
            instance_queries,
            sections,
            sets,
            opened: opened.into_iter().collect(),
            rotations: rotations.into_iter().collect(),
        })
    }

    /// The profile's name.
    #[must_use]
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// First word of the profile's keys: magic, version, and 24 bytes of the constraint system's hash.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// The contract's name.
    #[must_use]
    pub fn contract_name(&self) -> String {
        format!("TensorSealVerifier_{}", self.profile)
    }

    /// Columns of the instance.
    #[must_use]
    pub fn instance_columns(&self) -> usize {
        self.instance_columns
    }

    /// Rows of an instance column from one public value to the next.
    #[must_use]
    pub fn instance_stride(&self) -> usize {
        self.instance_stride
    }

    /// Length of a proof.
    #[must_use]
    pub fn proof_bytes(&self) -> usize {
        self.sections
            .iter()
            .map(|s| 64 * s.points.len() + 32 * s.scalars)
            .sum()
    }

    /// Length of a key's code: the STOP byte and its words.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        1 + 32 * self.key_words()
    }

    pub(crate) fn key_words(&self) -> usize {
        KEY_FIXED_WORDS
            + self.rotations.len()
            + self.interpolations().map(<[i32]>::len).sum::<usize>()
            + 2 * self.fixed_columns
    }

    /// Point sets, as rotations, whose interpolation weights the key holds.
    pub(crate) fn interpolations(&self) -> impl Iterator<Item = &[i32]> {
        let sets = self.sets.iter().filter(|s| s.interpolation_weights() > 0);
        sets.map(|s| s.rotations.as_slice())
    }

    /// Smallest `k` at which no two of the profile's rotations meet in one point of the domain.
    pub(crate) fn min_k(&self) -> u32 {
        let low = self.rotations.iter().copied().min().unwrap_or(0).min(0);
        let high = self.rotations.iter().copied().max().unwrap_or(0).max(0);
        (high.abs_diff(low) + 1).next_power_of_two().ilog2()
    }
}

/// The id of the constraint system's keys: two systems share it only where every part of them agrees.
fn key_id(cs: &ConstraintSystem<Fr>, stride: usize) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    hasher.update(b"tensorseal verifying key");
    hasher.update(KEY_VERSION.to_be_bytes());
    hasher.update(Fr::MODULUS);
    hasher.update((cs.degree() as u64).to_be_bytes());
    hasher.update((stride as u64).to_be_bytes());
    hasher.update(format!("{:?}", cs.pinned()));
    let digest: [u8; 32] = hasher.finalize().into();
    let mut id = [0; 32];
    id[..4].copy_from_slice(&KEY_MAGIC);
    id[4..8].copy_from_slice(&KEY_VERSION.to_be_bytes());
    id[8..].copy_from_slice(&digest[..24]);
    id
}

/// The transcript's order of absorbing and squeezing.
fn sections(cs: &ConstraintSystem<Fr>, quotient_pieces: usize, evals: usize) -> Vec<Section> {
    let mut list = vec![Section::default()];
    let absorb = |list: &mut Vec<Section>, points: Vec<ProofPoint>, scalars: usize| {
        // Nothing is absorbed between two squeezes of one section.
        if list
            .last()
            .is_none_or(|s| !s.squeezes.is_empty() && points.len() + scalars > 0)
        {
            list.push(Section::default());
        }
        let section = list.last_mut().expect("it has one section at least");
        section.points.extend(points);
        section.scalars += scalars;
    };
    let squeeze = |list: &mut Vec<Section>, squeeze| {
        let section = list.last_mut().expect("it has one section at least");
        section.squeezes.push(squeeze);
    };
    let advice_phases = cs.advice_column_phase();
    let challenge_phases = cs.challenge_phase();
    for phase in 0..=advice_phases.iter().copied().max().unwrap_or(0) {
        let of_phase = |phases: &[u8]| -> Vec<usize> {
            (0..phases.len()).filter(|i| phases[*i] == phase).collect()
        };
        let points = of_phase(&advice_phases).into_iter().map(ProofPoint::Advice);
        absorb(&mut list, points.collect(), 0);
        for challenge in of_phase(&challenge_phases) {
            squeeze(&mut list, Squeeze::Circuit(challenge));
        }
    }
    for _theta_beta_gamma in 0..3 {
        squeeze(&mut list, Squeeze::Unused);
    }
    absorb(&mut list, vec![ProofPoint::Random], 0);
    squeeze(&mut list, Squeeze::Y);
    absorb(
        &mut list,
        (0..quotient_pieces).map(ProofPoint::Quotient).collect(),
        0,
    );
    squeeze(&mut list, Squeeze::X);
    absorb(&mut list, vec![], evals);
    squeeze(&mut list, Squeeze::SetY);
    squeeze(&mut list, Squeeze::SetV);
    absorb(&mut list, vec![ProofPoint::H1], 0);
    squeeze(&mut list, Squeeze::SetU);
    absorb(&mut list, vec![ProofPoint::H2], 0);
    list
}

/// Groups the opened polynomials by their point sets, both in order of first mention.
fn opening_sets(advice: &[(usize, i32)], fixed: &[(usize, i32)]) -> Vec<OpeningSet> {
    let mut polynomials: Vec<(Commitment, Vec<(i32, Eval)>)> = Vec::new();
    let mut open =
        |commitment, rotation, eval| match polynomials.iter_mut().find(|(c, _)| *c == commitment) {
            Some((_, evals)) => evals.push((rotation, eval)),
            None => polynomials.push((commitment, vec![(rotation, eval)])),
        };
    for (i, (column, rotation)) in advice.iter().enumerate() {
        open(Commitment::Advice(*column), *rotation, Eval::Advice(i));
    }
    for (i, (column, rotation)) in fixed.iter().enumerate() {
        open(Commitment::Fixed(*column), *rotation, Eval::Fixed(i));
    }
    open(Commitment::Quotient, 0, Eval::Quotient);
    open(Commitment::Random, 0, Eval::Random);
    let mut sets: Vec<OpeningSet> = Vec::new();
    for (commitment, mut evals) in polynomials {
        evals.sort_by_key(|(rotation, _)| *rotation);
        let (rotations, evals): (Vec<i32>, Vec<Eval>) = evals.into_iter().unzip();
        match sets.iter_mut().find(|s| s.rotations == rotations) {
            Some(set) => set.members.push((commitment, evals)),
            None => sets.push(OpeningSet {
                rotations,
                members: vec![(commitment, evals)],
            }),
        }
    }
    sets
}
