//! The fast prover: the bytes of the plain one, in a fraction of its time and memory.
//!
//! - Columns know their width: commitments, sums and evaluations of small integers cost a few
//!   additions a byte.
//! - What is linear in columns is summed on the domain and transformed once (`constraints::linear`).
//! - Columns are evaluated at `x`, and combined for the opening, by their values on the domain: with
//!   `l_i(x) = (x^n - 1)/n · ω^i/(x - ω^i)`, `p(x) = Σ p(ω^i)·l_i(x)` and `p(ω^r·x) = Σ p(ω^(i+r))·l_i(x)`.
//! - The quotient is streamed over `degree - 1` cosets.
//! - No proof is given out that does not verify, whatever computed it. That is also the check of the SRS: all commitments
//!   are made in its Lagrange basis, among them one to a polynomial that is random in every row and opened, and should
//!   any point of the basis not be that of the secret in the verifying key, the opening of that polynomial fails but
//!   for a chance of about 2^-250, whatever the witness is. So a proof that is given out shows what it should and
//!   no more, and that none is given out tells nothing of the witness either.
//!
//! | module | purpose |
//! |---|---|
//! | `witness` | advice columns, whole or from `synthesize` |
//! | `columns` | all columns of a proof by their source |
//! | `protocol` | everything after the phases |
//! | `describe` | the plan of a circuit, told in advance |
//! | `clocked` | how much of the time is the backend's |
//!
//! What is computed, and not drawn or written, is the backend's (`crate::backend`).

mod clocked;
pub(crate) mod columns;
pub(crate) mod describe;
mod protocol;
#[cfg(test)]
mod tests;
mod witness;

pub use clocked::BackendClock;
pub use describe::{PlanSummary, describe};
pub use witness::{ColumnWitness, Values};

use std::{borrow::Cow, sync::Arc};

use ff::Field;
use group::Curve;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1, G1Affine},
    plonk::Circuit,
    transcript::TranscriptWrite,
};
use rand::{CryptoRng, RngCore, rngs::OsRng};
use rayon::prelude::*;
use tracing::debug_span;

use crate::{
    backend::{Backend, Column, Cpu},
    constraints::plan::{Plan, Source},
    gpu::{self, Gpu, GpuError, Need, device::Device},
    icicle::{self, Icicle},
    keys::{ProvingKey, configure, phases, usable_rows, without_selectors},
    plain::{
        ProveError, ProveOptions, Setting, absorb, squeeze,
        witness::{How, collect},
    },
    srs::Srs,
    transcript::KeccakWrite,
    verify::check_instances,
};

/// A key made ready for proofs: what does not depend on the witness is computed once.
pub struct Prover<'k> {
    pk: &'k ProvingKey,
    fixed: Vec<Column<'k>>,
    backend: Box<dyn Backend>,
}

impl std::fmt::Debug for Prover<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover")
            .field("k", &self.pk.vk().k())
            .field("backend", &self.backend)
            .finish()
    }
}

/// Where proofs are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processor {
    /// On an NVIDIA GPU if one is found and the circuit fits, else on this processor.
    Auto,
    /// On the cores of this processor.
    #[default]
    Cpu,
    /// On the first NVIDIA GPU that the driver shows.
    Cuda,
    /// By an installed ICICLE library, on the device that it has a backend for.
    Icicle,
}

/// What backends are made from.
struct Key<'a> {
    pk: &'a ProvingKey,
    g_lagrange: &'a [G1Affine],
    fixed: &'a [Column<'a>],
    /// Fixed columns that are transformed on their own, by index.
    alone: &'a [(usize, &'a Column<'a>)],
    /// The quotient's plan, whatever its challenges.
    plan: &'a Plan,
}

/// Bytes that a prover may keep between proofs, unless told otherwise.
pub const DEFAULT_MEMORY: usize = 256 << 20;

impl<'k> Prover<'k> {
    /// Prepares a key on this processor. `memory` bounds the bytes kept for reuse; with 0 everything is computed for
    /// each proof.
    ///
    /// # Errors
    /// [`ProveError::ForeignSrs`] and [`ProveError::Srs`] where the SRS is another or too small.
    pub fn new(srs: &Srs, pk: &'k ProvingKey, memory: usize) -> Result<Self, ProveError> {
        Self::on(Processor::Cpu, srs, pk, memory)
    }

    /// Prepares a key on a processor of choice. On a CUDA device the key stays in its memory, and so does as much for
    /// reuse as there is room for; `memory` counts on this processor, and with ICICLE, which leaves work to it.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`ProveError::Gpu`] where the GPU that is named cannot be used or is too small.
    pub fn on(
        processor: Processor,
        srs: &Srs,
        pk: &'k ProvingKey,
        memory: usize,
    ) -> Result<Self, ProveError> {
        match processor {
            Processor::Cpu => Self::prepare(srs, pk, memory, None),
            Processor::Cuda => Self::prepare(srs, pk, memory, Some(gpu::open()?)),
            Processor::Icicle => {
                let device = icicle::Opened::from_environment()?;
                Self::prepare_icicle(srs, pk, memory, &device)
            }
            Processor::Auto => {
                let made = gpu::open().map_err(ProveError::from);
                match made.and_then(|device| Self::prepare(srs, pk, memory, Some(device))) {
                    Err(ProveError::Gpu(why)) => {
                        tracing::info!("proving on the processor: {why}");
                        Self::prepare(srs, pk, memory, None)
                    }
                    other => other,
                }
            }
        }
    }

    /// What computes the proofs: `cpu`, or a GPU's name.
    #[must_use]
    pub fn processor(&self) -> String {
        self.backend.name()
    }

    pub(crate) fn prepare(
        srs: &Srs,
        pk: &'k ProvingKey,
        memory: usize,
        device: Option<Arc<dyn Device>>,
    ) -> Result<Self, ProveError> {
        Self::with(srs, pk, |key| {
            let (g, domain) = (key.g_lagrange, key.pk.domain());
            let Some(device) = device else {
                return Ok(Box::new(Cpu::new(g, domain, key.alone, memory)));
            };
            let (k, cs) = (domain.k(), key.pk.vk().halo2().cs());
            let left = Need::new(k, cs, key.plan, key.fixed).check(k, &*device)?;
            Ok(Box::new(Gpu::new(device, g, domain, key.alone, left)?))
        })
    }

    pub(crate) fn prepare_icicle(
        srs: &Srs,
        pk: &'k ProvingKey,
        memory: usize,
        device: &icicle::Opened,
    ) -> Result<Self, ProveError> {
        Self::with(srs, pk, |key| {
            let (g, domain) = (key.g_lagrange, key.pk.domain());
            let cs = key.pk.vk().halo2().cs();
            icicle::Need::new(domain.k(), cs.degree(), key.plan).check(device)?;
            Ok(Box::new(Icicle::new(device, g, domain, key.alone, memory)?))
        })
    }

    /// Prepares a key on the backend that is made for it.
    fn with(
        srs: &Srs,
        pk: &'k ProvingKey,
        make: impl FnOnce(Key<'_>) -> Result<Box<dyn Backend>, GpuError>,
    ) -> Result<Self, ProveError> {
        let vk = pk.vk();
        if srs.id() != vk.srs_id() {
            return Err(ProveError::ForeignSrs {
                key: vk.srs_id(),
                srs: srs.id(),
            });
        }
        let srs: Cow<'_, Srs> = srs.downsize(vk.k())?;
        srs.check_sample(OsRng)?;
        let n = 1usize << vk.k();
        let fixed: Vec<Column<'k>> = pk.fixed().par_iter().map(|c| Column::fixed(c, n)).collect();
        let (plan, _) = describe::placeholder_plan(vk.halo2().cs());
        let alone: Vec<(usize, &Column<'_>)> = plan
            .sources()
            .into_iter()
            .filter_map(|source| match source {
                Source::Fixed(i) => Some((i, &fixed[i])),
                _ => None,
            })
            .collect();
        let backend = make(Key {
            pk,
            g_lagrange: srs.g_lagrange(),
            fixed: &fixed,
            alone: &alone,
            plan: &plan,
        })?;
        Ok(Self { pk, fixed, backend })
    }

    pub(crate) fn pk(&self) -> &'k ProvingKey {
        self.pk
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn fixed(&self) -> &[Column<'k>] {
        &self.fixed
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
        let (own_cs, config) = configure::<C>(circuit.params())?;
        if format!("{:?}", without_selectors(own_cs).pinned()) != format!("{:?}", cs.pinned()) {
            return Err(ProveError::ForeignKey);
        }
        let mut transcript = self.start(instances)?;
        let setting = self.setting();
        let blinding = setting.n - setting.usable;
        let span = debug_span!("witness").entered();
        let commit = |columns: &[&[Fr]]| -> Result<Vec<G1>, ProveError> {
            let columns: Vec<Column<'_>> = columns
                .par_iter()
                .map(|c| Column::detect(c.to_vec(), blinding))
                .collect();
            self.commit(&columns)
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
        let mut advice: Vec<Option<Column<'_>>> = (0..column_phase.len()).map(|_| None).collect();
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
                    Values::Small(head) => Column::small(head, tail),
                    values @ Values::Dense(_) => {
                        let mut all = values.into_dense(usable);
                        all.extend(tail);
                        Column::dense(all)
                    }
                });
            }
            // In step with halo2's prover, which draws a blind for each commitment.
            for _ in &columns {
                let _ = Fr::random(&mut rng);
            }
            let span = debug_span!("commit", phase).entered();
            let name = |i: usize| format!("advice column {}", indices[i]);
            write_points(&self.commit(&columns)?, name, &mut transcript)?;
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

    fn commit(&self, columns: &[Column<'_>]) -> Result<Vec<G1>, ProveError> {
        Ok(self.backend.commit(&columns.iter().collect::<Vec<_>>())?)
    }
}

/// Writes commitments; `name` is what the `i`-th of them is to.
fn write_points(
    points: &[G1],
    name: impl Fn(usize) -> String,
    transcript: &mut KeccakWrite,
) -> Result<(), ProveError> {
    let mut affine = vec![G1Affine::default(); points.len()];
    G1::batch_normalize(points, &mut affine);
    for (i, point) in affine.into_iter().enumerate() {
        let written = transcript.write_point(point);
        written.map_err(|_| ProveError::Identity { what: name(i) })?;
    }
    Ok(())
}
