//! Phases: the circuit assigns advice columns, the prover commits and draws challenges, and so on.

use std::collections::HashMap;

use ff::{BatchInvert, Field};
use group::Curve;
use halo2_proofs::{
    circuit::Value,
    halo2curves::bn256::{Fr, G1, G1Affine},
    plonk::{
        self, Advice, Any, Assigned, Assignment, Challenge, Circuit, Column, Fixed, FloorPlanner,
        Instance, Selector,
    },
    transcript::{Transcript, TranscriptWrite},
};
use rand::RngCore;

use super::{ProveError, Setting};
use crate::{
    keys::phases,
    synthesis::{FirstError, SynthesisError},
    transcript::KeccakWrite,
};

/// Commits to columns by their values on the domain.
pub(crate) type Commit<'a> = dyn Fn(&[&[Fr]]) -> Result<Vec<G1>, ProveError> + Send + Sync + 'a;

/// How the witness is collected.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) commit: &'a Commit<'a>,
    /// See [`super::ProveOptions::read_back`].
    pub(crate) read_back: bool,
}

/// What the phases leave behind.
pub(crate) struct Witness {
    /// The advice columns, blinding rows included.
    pub(crate) advice: Vec<Vec<Fr>>,
    /// The challenges, by index.
    pub(crate) challenges: Vec<Fr>,
}

/// Runs the circuit's synthesis and the commitments between its phases.
///
/// A circuit that calls `next_phase` itself is run once. One that does not is run once a phase, as
/// halo2 does it.
pub(crate) fn collect<C: Circuit<Fr>, R: RngCore>(
    setting: &Setting<'_>,
    how: How<'_>,
    (circuit, config): (&C, C::Config),
    instances: &[Vec<Fr>],
    rng: &mut R,
    transcript: &mut KeccakWrite,
) -> Result<Witness, ProveError> {
    let cs = setting.cs;
    let mut collector = Collector {
        k: setting.k,
        usable: setting.usable,
        column_phase: cs
            .advice_column_phase()
            .into_iter()
            .map(usize::from)
            .collect(),
        challenge_phase: cs.challenge_phase().into_iter().map(usize::from).collect(),
        phase: 0,
        phases: phases(cs),
        commit: how.commit,
        instances,
        advice: vec![vec![Fr::ZERO; setting.n]; cs.num_advice_columns()],
        fractions: HashMap::new(),
        challenges: vec![None; cs.num_challenges()],
        cells: how.read_back.then(CellStore::default),
        rng,
        transcript,
        error: FirstError::new(),
    };
    while collector.phase < collector.phases {
        let constants = cs.constants().clone();
        let result =
            C::FloorPlanner::synthesize(&mut collector, circuit, config.clone(), constants);
        collector.error.check()?;
        result.map_err(SynthesisError::Circuit)?;
        collector.next_phase();
        collector.error.check()?;
    }
    let Collector {
        advice, challenges, ..
    } = collector;
    let challenges = challenges.into_iter().collect::<Option<Vec<Fr>>>();
    Ok(Witness {
        advice,
        challenges: challenges.expect("all phases are over"),
    })
}

struct Collector<'a, R> {
    k: u32,
    usable: usize,
    column_phase: Vec<usize>,
    challenge_phase: Vec<usize>,
    /// The phase being assigned.
    phase: usize,
    phases: usize,
    commit: &'a Commit<'a>,
    instances: &'a [Vec<Fr>],
    advice: Vec<Vec<Fr>>,
    /// Cells given as fractions, inverted together when their phase ends.
    fractions: HashMap<(usize, usize), (Fr, Fr)>,
    challenges: Vec<Option<Fr>>,
    cells: Option<CellStore>,
    rng: &'a mut R,
    transcript: &'a mut KeccakWrite,
    error: FirstError<ProveError>,
}

impl<R: RngCore> Collector<'_, R> {
    fn assign(
        &mut self,
        column: usize,
        row: usize,
        value: Option<Assigned<Fr>>,
    ) -> Result<(), SynthesisError> {
        let Some(column_phase) = self.column_phase.get(column).copied() else {
            return Err(SynthesisError::NoSuchColumn {
                column: format!("advice column {column}"),
            });
        };
        if row >= self.usable {
            return Err(SynthesisError::NotEnoughRows {
                row,
                usable: self.usable,
                k: self.k,
            });
        }
        match value {
            // Committed already: a circuit that is run once a phase assigns these again.
            _ if column_phase < self.phase => {}
            None if column_phase > self.phase => {}
            None => {
                return Err(SynthesisError::MissingWitness {
                    column,
                    row,
                    phase: self.phase,
                });
            }
            Some(Assigned::Rational(numerator, denominator)) => {
                self.fractions
                    .insert((column, row), (numerator, denominator));
            }
            Some(value) => {
                if !self.fractions.is_empty() {
                    self.fractions.remove(&(column, row));
                }
                self.advice[column][row] = value.numerator();
            }
        }
        Ok(())
    }

    fn resolve_fractions(&mut self) {
        let (cells, (numerators, mut denominators)): (Vec<_>, (Vec<Fr>, Vec<Fr>)) =
            self.fractions.drain().unzip();
        // Zero stays zero here, as halo2 defines x/0 = 0.
        denominators.batch_invert();
        for (((column, row), numerator), inverse) in
            cells.into_iter().zip(numerators).zip(denominators)
        {
            self.advice[column][row] = numerator * inverse;
        }
    }

    /// Blinds and commits to the columns of the phase, then draws its challenges.
    fn end_phase(&mut self) -> Result<(), ProveError> {
        self.resolve_fractions();
        let of_phase = |phases: &[usize], phase| -> Vec<usize> {
            (0..phases.len()).filter(|i| phases[*i] == phase).collect()
        };
        let columns = of_phase(&self.column_phase, self.phase);
        for column in &columns {
            for cell in &mut self.advice[*column][self.usable..] {
                *cell = Fr::random(&mut *self.rng);
            }
        }
        // KZG commitments carry no blinding term of their own; halo2 draws one a column all the same.
        // Drawing them too keeps our random values in step with its prover's, so proofs can be compared.
        for _ in &columns {
            let _ = Fr::random(&mut *self.rng);
        }
        let values: Vec<&[Fr]> = columns.iter().map(|c| &self.advice[*c][..]).collect();
        let commitments = (self.commit)(&values)?;
        let mut affine = vec![G1Affine::default(); commitments.len()];
        G1::batch_normalize(&commitments, &mut affine);
        for (point, column) in affine.into_iter().zip(columns) {
            let written = self.transcript.write_point(point);
            written.map_err(|_| ProveError::Identity {
                what: format!("advice column {column}"),
            })?;
        }
        for index in of_phase(&self.challenge_phase, self.phase) {
            self.challenges[index] = Some(*self.transcript.squeeze_challenge_scalar::<()>());
        }
        self.phase += 1;
        Ok(())
    }
}

impl<R: RngCore> Assignment<Fr> for Collector<'_, R> {
    fn enter_region<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _: N) {}

    fn annotate_column<A: FnOnce() -> AR, AR: Into<String>>(&mut self, _: A, _: Column<Any>) {}

    fn exit_region(&mut self) {}

    fn enable_selector<A: FnOnce() -> AR, AR: Into<String>>(
        &mut self,
        _: A,
        _: &Selector,
        _: usize,
    ) -> Result<(), plonk::Error> {
        Ok(())
    }

    fn query_instance(
        &self,
        column: Column<Instance>,
        row: usize,
    ) -> Result<Value<Fr>, plonk::Error> {
        let value = self
            .instances
            .get(column.index())
            .and_then(|values| values.get(row));
        value
            .map(|value| Value::known(*value))
            .ok_or(plonk::Error::BoundsFailure)
    }

    fn assign_advice<'v>(
        &mut self,
        column: Column<Advice>,
        row: usize,
        to: Value<Assigned<Fr>>,
    ) -> Value<&'v Assigned<Fr>> {
        let mut value = None;
        to.map(|v| value = Some(v));
        let result = self.assign(column.index(), row, value);
        if let Err(error) = result {
            self.error.set(error);
        }
        match (&mut self.cells, value) {
            (Some(cells), Some(value)) => Value::known(cells.keep(value)),
            _ => Value::unknown(),
        }
    }

    fn assign_fixed(&mut self, _: Column<Fixed>, _: usize, _: Assigned<Fr>) {}

    fn copy(&mut self, _: Column<Any>, _: usize, _: Column<Any>, _: usize) {}

    fn fill_from_row(
        &mut self,
        _: Column<Fixed>,
        _: usize,
        _: Value<Assigned<Fr>>,
    ) -> Result<(), plonk::Error> {
        Ok(())
    }

    fn get_challenge(&self, challenge: Challenge) -> Value<Fr> {
        match self.challenges.get(challenge.index()) {
            Some(Some(value)) => Value::known(*value),
            _ => Value::unknown(),
        }
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _: N) {}

    fn pop_namespace(&mut self, _: Option<String>) {}

    fn next_phase(&mut self) {
        if self.phase < self.phases && !self.error.is_set() {
            let result = self.end_phase();
            self.error.catch(result);
        }
    }
}

/// Keeps the values that `assign_advice` hands back by reference.
///
/// Append-only, in chunks that never move, so that a reference stays valid until the store is dropped.
#[derive(Default)]
struct CellStore {
    chunks: Vec<Vec<Assigned<Fr>>>,
}

impl CellStore {
    const CHUNK: usize = 4096;

    /// Stores a value, and returns it with the lifetime that halo2's trait leaves to the caller.
    fn keep<'v>(&mut self, value: Assigned<Fr>) -> &'v Assigned<Fr> {
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.len() == Self::CHUNK)
        {
            self.chunks.push(Vec::with_capacity(Self::CHUNK));
        }
        let chunk = self.chunks.last_mut().expect("a chunk was just pushed");
        chunk.push(value);
        let kept: *const Assigned<Fr> = &chunk[chunk.len() - 1];
        // SAFETY: the chunk has room for CHUNK values from the start, so its buffer never moves, and a
        // value is never written again. The store outlives the synthesis that it serves. `'v` is free
        // only because the trait offers no lifetime to tie it to; a reference would dangle if a circuit
        // stowed an assigned cell's value away beyond its `synthesize`, as it would in halo2's prover.
        unsafe { &*kept }
    }
}
