//! The prover's synthetic circuit, measured at one size.

use std::time::{Duration, Instant};

use halo2_proofs::{halo2curves::bn256::Fr, plonk::Circuit};
use rand::rngs::OsRng;
use tensorseal_prover::{
    self as prover, ProveError, ProvingKey,
    fast::{ColumnWitness, Prover, Values},
    figures::{self, Operation, Synthetic},
    gpu::GpuError,
};

use super::{
    machine,
    proof::{Srs, dev_srs, processor},
};
use crate::{
    CliError, Result,
    args::Backend,
    profile::{self, Profile},
    ui,
};

/// Seed of the witness.
const SEED: u64 = 1;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What computed.
    pub processor: String,
    /// Single operations.
    pub operations: Vec<Operation>,
    /// How long the keys took.
    pub setup: Duration,
    /// How long the prover took to prepare.
    pub prepare: Duration,
    /// The median proof.
    pub profile: Profile,
    /// The size of a proof.
    pub proof_bytes: usize,
}

/// What came of measuring.
#[derive(Clone, Debug)]
pub enum Attempt {
    /// All proofs were made, and verified.
    Done(Box<Measured>),
    /// The size was left out: why.
    LeftOut(String),
}

/// Measures operations and proofs with `2^k` rows on a backend: medians of `repeat` runs after one that does not count.
/// A size that does not fit is left out: this processor's memory before any work, a device's before any proof.
pub fn measure(k: u32, backend: Backend, memory_mib: u32, repeat: usize) -> Result<Attempt> {
    if let Some(why) = no_room(k, backend, memory_mib) {
        return Ok(Attempt::LeftOut(why));
    }
    let failed = |why: &dyn std::error::Error| {
        CliError::Input(format!("the circuit of 60 columns, k = {k}: {why}"))
    };
    let srs = dev_srs(k)?;
    let circuit = Synthetic::new(k, SEED);
    let start = Instant::now();
    let without = circuit.without_witnesses();
    let pk =
        prover::keygen(&srs.0, &without, &Synthetic::INSTANCE_ROWS).map_err(|why| failed(&why))?;
    let setup = start.elapsed();
    let keys = (&srs, &pk, setup);
    let (measured, proofs) = match with_keys(&circuit, keys, (backend, memory_mib), repeat) {
        Ok(done) => done,
        Err(ProveError::Gpu(why @ (GpuError::Memory { .. } | GpuError::OutOfMemory { .. }))) => {
            return Ok(Attempt::LeftOut(why.to_string()));
        }
        Err(why) => return Err(failed(&why)),
    };
    for proof in &proofs {
        prover::verify(pk.vk(), &circuit.instances(), proof).map_err(|why| failed(&why))?;
    }
    Ok(Attempt::Done(Box::new(measured)))
}

/// Why this processor's memory does not suffice, as far as is known.
fn no_room(k: u32, backend: Backend, memory_mib: u32) -> Option<String> {
    let host_bytes = match Synthetic::host_bytes(k, backend == Backend::Cuda) {
        Ok(bytes) => bytes,
        Err(why) => return Some(why.to_string()),
    };
    let needed = host_bytes + (u64::from(memory_mib) << 20);
    let available = machine::available_memory()?;
    (needed > available).then(|| {
        let [needed, available] = [needed, available].map(ui::bytes);
        format!("needs {needed} of this processor's memory, of which {available} are free")
    })
}

/// The figures, and all proofs that were made.
fn with_keys(
    circuit: &Synthetic,
    (srs, pk, setup): (&Srs, &ProvingKey, Duration),
    (backend, memory_mib): (Backend, u32),
    repeat: usize,
) -> Result<(Measured, Vec<Vec<u8>>), ProveError> {
    let start = Instant::now();
    let memory = (memory_mib as usize) << 20;
    let prover = Prover::on(processor(backend), &srs.0, pk, memory)?;
    let prepare = start.elapsed();
    let operations = figures::operations(&prover, circuit, repeat)?;
    let (prover, clock) = prover.clocked();
    let instances = circuit.instances();
    let (mut proofs, mut profiles) = (vec![], vec![]);
    for _ in 0..=repeat {
        let mut columns = Columns(circuit.columns());
        let before = clock.elapsed();
        let work = || prover.prove_columns(&mut columns, &instances, OsRng);
        let (proof, mut profile) = profile::record(work);
        profile.backend_seconds = Some(ui::seconds(clock.elapsed() - before));
        proofs.push(proof?);
        profiles.push(profile);
    }
    // The first does not count.
    let profile = profile::median(profiles.split_off(1)).expect("--repeat is at least 1");
    let measured = Measured {
        processor: prover.processor(),
        operations,
        setup,
        prepare,
        profile,
        proof_bytes: pk.vk().proof_len(),
    };
    Ok((measured, proofs))
}

/// A witness that was made before.
struct Columns(Vec<Values>);

impl ColumnWitness for Columns {
    fn phase(&mut self, _: usize, _: &[Fr]) -> Vec<Values> {
        std::mem::take(&mut self.0)
    }
}
