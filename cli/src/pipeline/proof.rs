//! Reference strings, keys, proofs.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use halo2_proofs::halo2curves::bn256::Fr;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use tensorseal_circuits::{
    check,
    circuit::ModelCircuit,
    layout::{self, Layout, Shown},
    model::{Kind as NodeKind, Port},
    ports,
    profile::Profile,
    witness::{ColumnValues, Inference, Phases},
};
use tensorseal_prover::{
    self as prover, ProvingKey, SrsError, VerifyingKey,
    artifact::{Artifact, ArtifactError, Kind},
    fast::{self, BackendClock, ColumnWitness, PlanSummary, Processor, Prover, Values},
    gpu::{self, FoundDevice},
    mapped::Mapped,
    srs::import::Progress,
    transcript::{scalar_from_bytes, scalar_to_bytes},
};
use tensorseal_verifier_contract::project::{self, PublicTensor, Side};
use tracing::{debug_span, info};

use super::{
    CompiledModel, DigestValue, HashedSide, Item, StatementId,
    compiled::{check_inputs, execute},
    digests::digest_hex,
    files,
};
use crate::{CliError, Result, args::Backend, chain, tensors::Tensor};

/// A structured reference string.
#[derive(Clone, Debug)]
pub struct Srs(pub(super) prover::Srs);

impl Srs {
    /// Its secret is known.
    pub fn insecure(&self) -> bool {
        self.0.is_insecure()
    }

    /// log2 of the rows it serves.
    pub fn k(&self) -> u32 {
        self.0.k()
    }

    /// What names it, whatever its size, in hex.
    pub fn id(&self) -> String {
        hex::encode(self.0.id().0)
    }
}

/// Makes an INSECURE reference string for 2^k rows.
pub fn dev_srs(k: u32) -> Result<Srs> {
    prover::Srs::dev(k)
        .map(Srs)
        .map_err(|why| CliError::input("the reference string", why))
}

/// Writes a reference string; the size of the file.
pub fn write_srs(path: &Path, srs: &Srs) -> Result<u64> {
    files::write_artifact(path, Kind::Srs, srs.insecure(), &srs.0.to_bytes())
}

/// Reads what 2^k rows need of a reference string, or all of it.
pub fn read_srs(path: &Path, k: Option<u32>) -> Result<Srs> {
    let srs = match k {
        Some(k) => prover::Srs::load_for(path, k),
        None => prover::Srs::load(path),
    };
    srs.map(Srs).map_err(|why| match why {
        SrsError::Artifact(why) => files::artifact_error(why),
        why => CliError::input(path.display(), why),
    })
}

/// Checks every point of a reference string, as `import_srs` does; `read_srs` looks at each by itself only.
pub fn check_srs(srs: &Srs) -> Result<()> {
    let checked = srs.0.check(OsRng);
    checked.map_err(|why| CliError::input("the reference string", why))
}

/// Checks that nothing in the environment changes keys.
pub fn check_environment() -> Result<()> {
    prover::check_environment().map_err(|why| CliError::System(why.to_string()))
}

/// A reference string from a ceremony, checked.
#[derive(Clone, Debug)]
pub struct ImportedSrs {
    /// The reference string.
    pub srs: Srs,
    /// The format it was in.
    pub format: String,
    /// The file serves up to 2^this rows.
    pub file_k: u32,
    /// Whether the Lagrange basis was in the file; else it was computed.
    pub lagrange_in_file: bool,
}

/// Imports a reference string for 2^k rows, or for as many as the file serves.
pub fn import_srs(
    path: &Path,
    k: Option<u32>,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportedSrs> {
    let file = Mapped::open(path)
        .map_err(|why| files::artifact_error(ArtifactError::unreadable(path, why)))?;
    let imported = prover::srs::import(&file, k, OsRng, progress)
        .map_err(|why| CliError::input(path.display(), why))?;
    Ok(ImportedSrs {
        srs: Srs(imported.srs),
        format: imported.format.to_string(),
        file_k: imported.file_k,
        lagrange_in_file: imported.lagrange_in_file,
    })
}

/// Where the files of `setup` stand.
#[derive(Clone, Debug)]
pub struct KeyPaths {
    /// The proving key.
    pub pk: PathBuf,
    /// The verifying key.
    pub vk: PathBuf,
    /// The reference string, of the model's size.
    pub srs: PathBuf,
}

impl KeyPaths {
    /// The files in a folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            pk: folder.join("pk.seal"),
            vk: folder.join("vk.seal"),
            srs: folder.join("srs.seal"),
        }
    }
}

/// What the keys' files say of the model, before the key itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct KeyInfo {
    pub(super) model: String,
    pub(super) model_id: [u8; 32],
    pub(super) profile: Profile,
    pub(super) public: Vec<PublicPort>,
    /// In the order of their instance columns, from the first on.
    pub(super) hashed: Vec<HashedSide>,
}

/// A public tensor, and where its values stand among a proof's public values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PublicPort {
    pub(super) port: Port,
    /// An input of the model, not an output.
    pub(super) is_input: bool,
    /// Least and greatest integer of an input.
    pub(super) range: Option<(i64, i64)>,
    /// `(instance column, row)` of each value of the node's tensor.
    pub(super) cells: Vec<(u32, u32)>,
}

impl KeyInfo {
    fn new(compiled: &CompiledModel) -> Result<Self> {
        let layout = &*compiled.layout;
        let mut public = Vec::new();
        for (is_input, ports, shown, first) in [
            (false, &compiled.model.outputs, layout.visibility.output, 0),
            (
                true,
                &compiled.model.inputs,
                layout.visibility.input,
                compiled.model.outputs.len(),
            ),
        ] {
            for (index, port) in ports.iter().enumerate() {
                if shown != Shown::Public {
                    continue;
                }
                let range = match compiled.model.nodes[port.node].kind {
                    NodeKind::Input { lo, hi } => Some((lo, hi)),
                    NodeKind::Linear(_) => None,
                };
                public.push(PublicPort {
                    port: port.clone(),
                    is_input,
                    range,
                    cells: public_cells(layout, port, first + index)?,
                });
            }
        }
        Ok(Self {
            model: compiled.model.name.clone(),
            model_id: compiled.id,
            profile: layout.profile,
            public,
            hashed: layout
                .digests()
                .iter()
                .map(|digest| HashedSide::new(&compiled.model, digest))
                .collect(),
        })
    }

    /// The public tensors of a proof as real numbers, outputs first.
    fn tensors(&self, proof: &Proof) -> Result<Vec<Tensor>> {
        let tensor = |public: &PublicPort| {
            let cell = |&(column, row): &(u32, u32)| {
                proof
                    .instances
                    .get(column as usize)?
                    .get(row as usize)
                    .copied()
            };
            let values: Option<Vec<i64>> = public.cells.iter().map(cell).collect();
            let values = values.ok_or_else(|| {
                CliError::Input("the proof belongs to another model than the key".into())
            })?;
            let values = ports::dequantize(&public.port, &values)
                .map_err(|why| CliError::input("the proof", why))?;
            Ok(Tensor {
                name: public.port.name.clone(),
                shape: public.port.shape.clone(),
                values,
            })
        };
        self.public.iter().map(tensor).collect()
    }

    fn put(&self, key: &[u8]) -> Vec<u8> {
        let mut payload = self.to_bytes();
        payload.extend_from_slice(key);
        payload
    }
}

/// The place of each element of a public tensor, NCHW; all have one.
fn public_cells(layout: &Layout, port: &Port, index: usize) -> Result<Vec<(u32, u32)>> {
    let mut cells = vec![None; port.shape.iter().product()];
    for public in layout.public().iter().filter(|public| public.port == index) {
        cells[public.element] = Some((public.lane as u32, public.row as u32));
    }
    cells.into_iter().collect::<Option<_>>().ok_or_else(|| {
        CliError::Input(format!(
            "`{}`: an element has no place among the public values; please report this model",
            port.name
        ))
    })
}

/// A proving key.
#[derive(Clone, Debug)]
pub struct Pk {
    info: KeyInfo,
    key: ProvingKey,
}

impl Pk {
    /// log2 of the circuit's rows.
    pub fn k(&self) -> u32 {
        self.key.vk().k()
    }

    /// What a verifier of its proofs relies on.
    pub fn vk(&self) -> Vk {
        Vk {
            info: self.info.clone(),
            key: self.key.vk().clone(),
        }
    }
}

/// A verifying key, and how to read the public values of its proofs.
#[derive(Clone, Debug)]
pub struct Vk {
    info: KeyInfo,
    key: VerifyingKey,
}

impl Vk {
    /// The key belongs to a reference string whose secret is known.
    pub fn insecure(&self) -> bool {
        self.key.is_insecure()
    }

    /// Names all that a verifier relies on: this is the id to publish and to compare.
    pub fn statement_id(&self) -> StatementId {
        StatementId::new(&self.info, &self.key)
    }

    /// Refuses a key of another statement than the one expected, where one is; `file` serves the message.
    pub fn expect(&self, expected: Option<StatementId>, file: &Path) -> Result<()> {
        let own = self.statement_id();
        let Some(expected) = expected.filter(|expected| *expected != own) else {
            return Ok(());
        };
        let told = expected.to_string();
        let hint = if self.key_id().as_ref() == Some(&told) {
            "that is its key id, which does not cover names, places and scales: ask for the statement id"
        } else if self.model_id() == told {
            "that is its model id, which a verifier cannot check: ask for the statement id"
        } else {
            "another model, key or description of the public values; get the key that was published with that id"
        };
        Err(CliError::Input(format!(
            "{}: its statement id is {own}, not {told} as --expect says; {hint}",
            file.display()
        )))
    }

    /// The model's name.
    pub fn model_name(&self) -> &str {
        &self.info.model
    }

    /// The compiled model's id, in hex.
    pub fn model_id(&self) -> String {
        hex::encode(self.info.model_id)
    }

    /// The profile's name.
    pub fn profile(&self) -> String {
        self.info.profile.name()
    }

    /// Columns of the circuit in one of halo2's.
    pub fn fold(&self) -> usize {
        self.info.profile.fold
    }

    /// The public tensors, each with whether it is an input.
    pub fn public(&self) -> impl Iterator<Item = (bool, &Port)> {
        let public = self.info.public.iter();
        public.map(|public| (public.is_input, &public.port))
    }

    /// The key proper.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The public tensors as a contract sees them: places among the public values, which it takes row by row.
    pub fn public_places(&self) -> Vec<PublicTensor> {
        let columns = self.key.instance_rows().len() as u64;
        // Beyond what a contract could be given: a place that it refuses.
        let place = |(column, row): (u32, u32)| {
            u32::try_from(u64::from(row) * columns + u64::from(column)).unwrap_or(u32::MAX)
        };
        let tensor = |public: &PublicPort| PublicTensor {
            name: public.port.name.clone(),
            side: if public.is_input {
                Side::Input
            } else {
                Side::Output
            },
            shape: public.port.shape.clone(),
            scale: public
                .port
                .encodings
                .is_empty()
                .then_some(public.port.scale),
            places: (0..public.cells.len())
                .map(|element| place(public.cells[logical(&public.port, element)]))
                .collect(),
        };
        self.info.public.iter().map(tensor).collect()
    }

    /// The digests as a contract sees them: in row 0, hence first among the public values.
    pub fn digest_places(&self) -> Vec<project::HashedSide> {
        let place = |(place, hashed): (u32, &HashedSide)| {
            let digest = hashed.digest;
            project::HashedSide {
                side: match digest.side {
                    layout::Side::Input => Side::Input,
                    layout::Side::Output => Side::Output,
                },
                place,
                count: digest.count,
                lo: digest.packing.lo(),
                bits: digest.packing.bits(),
            }
        };
        (0..).zip(&self.info.hashed).map(place).collect()
    }

    /// A value of a public input that the model's input does not have.
    fn out_of_range(&self, proof: &Proof) -> Option<String> {
        self.info.public.iter().find_map(|public| {
            let (lo, hi) = public.range?;
            let value = |&(column, row): &(u32, u32)| {
                let column = proof.instances.get(column as usize)?;
                column.get(row as usize).copied()
            };
            let mut values = public.cells.iter().filter_map(value);
            let value = values.find(|value| !(lo..=hi).contains(value))?;
            let name = &public.port.name;
            Some(format!(
                "public input `{name}` has values of {lo} to {hi}, not {value}"
            ))
        })
    }

    /// A public value that stands for nothing and yet is not zero.
    fn unused_nonzero(&self, proof: &Proof) -> Option<(usize, usize)> {
        let used: HashSet<(u32, u32)> = self
            .info
            .public
            .iter()
            .flat_map(|public| public.cells.iter().copied())
            .collect();
        proof
            .instances
            .iter()
            .enumerate()
            .find_map(|(column, values)| {
                let bad = |&(row, value): &(usize, &i64)| {
                    *value != 0 && !used.contains(&(column as u32, row as u32))
                };
                values
                    .iter()
                    .enumerate()
                    .find(bad)
                    .map(|(row, _)| (column, row))
            })
    }

    /// Hash of the key's data contract, in hex: what a chain and a verifier know the model by. None where the
    /// key does not fit a contract.
    pub fn key_id(&self) -> Option<String> {
        chain::key_id(self)
    }
}

/// Both keys.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The prover's.
    pub pk: Pk,
    /// The verifier's.
    pub vk: Vk,
}

/// Makes the keys of a compiled model.
pub fn setup(compiled: &CompiledModel, srs: &Srs) -> Result<Keys> {
    let what = || format!("keys of `{}`", compiled.model.name);
    let layout = &compiled.layout;
    // What the key is going to commit to, read back and compared with the model.
    let start = Instant::now();
    debug_span!("check")
        .in_scope(|| check::statement(&compiled.model, layout))
        .map_err(|why| CliError::input(what(), why))?;
    let checked = start.elapsed();
    let srs = srs
        .0
        .downsize(layout.k)
        .map_err(|why| CliError::input(what(), why))?;
    let instance = vec![layout.folded_instance_rows(); layout.profile.lanes];
    let key = prover::keygen(&srs, &ModelCircuit::new(layout.clone()), &instance)
        .map_err(|why| CliError::input(what(), why))?;
    info!(
        "the fixed columns state `{}`: compared with the model in {checked:.1?} of {:.1?}",
        compiled.model.name,
        start.elapsed()
    );
    let info = KeyInfo::new(compiled)?;
    let vk = Vk {
        info: info.clone(),
        key: key.vk().clone(),
    };
    Ok(Keys {
        pk: Pk { info, key },
        vk,
    })
}

/// Writes the proving key; the size of the file.
pub fn write_pk(path: &Path, keys: &Keys) -> Result<u64> {
    let Pk { info, key } = &keys.pk;
    files::write_artifact(
        path,
        Kind::ProvingKey,
        key.vk().is_insecure(),
        &info.put(&key.to_bytes()),
    )
}

/// Writes the verifying key; the size of the file.
pub fn write_vk(path: &Path, keys: &Keys) -> Result<u64> {
    let Vk { info, key } = &keys.vk;
    files::write_artifact(
        path,
        Kind::VerifyingKey,
        key.is_insecure(),
        &info.put(&key.to_bytes()),
    )
}

/// Reads a proving key, which must be this model's; its file stays mapped.
pub fn read_pk(path: &Path, compiled: &CompiledModel) -> Result<Pk> {
    let Artifact { payload, flags, .. } = files::map_artifact(path, Kind::ProvingKey)?;
    let (info, key) = KeyInfo::take(&payload, path)?;
    if info != KeyInfo::new(compiled)? {
        return Err(CliError::Input(format!(
            "{}: the key of model `{}` (id {}...), not of `{}` (id {}...); run `setup` on this model, or prove with that one",
            path.display(),
            info.model,
            &hex::encode(info.model_id)[..12],
            compiled.model.name,
            &hex::encode(compiled.id)[..12],
        )));
    }
    let key = ProvingKey::from_bytes::<ModelCircuit>(info.profile, &payload.slice_ref(key))
        .map_err(|why| CliError::input(path.display(), why))?;
    let marks = key.vk().check_flags(flags, path);
    marks.map_err(files::artifact_error)?;
    Ok(Pk { info, key })
}

/// Reads a verifying key, which must be of the statement expected, where one is.
pub fn read_vk(path: &Path, expected: Option<StatementId>) -> Result<Vk> {
    let Artifact { payload, flags, .. } = files::read_artifact(path, Kind::VerifyingKey)?;
    let (info, key) = KeyInfo::take(&payload, path)?;
    known_profile(&info, path)?;
    let key = VerifyingKey::from_bytes::<ModelCircuit>(info.profile, key)
        .map_err(|why| CliError::input(path.display(), why))?;
    key.check_flags(flags, path)
        .map_err(files::artifact_error)?;
    checked(Vk { info, key }, expected, path)
}

/// The verifying key in a proving key's file, whatever the model.
pub fn read_vk_of_pk(path: &Path, expected: Option<StatementId>) -> Result<Vk> {
    let payload = files::map_artifact(path, Kind::ProvingKey)?.payload;
    let (info, key) = KeyInfo::take(&payload, path)?;
    known_profile(&info, path)?;
    let key = ProvingKey::from_bytes::<ModelCircuit>(info.profile, &payload.slice_ref(key))
        .map_err(|why| CliError::input(path.display(), why))?;
    checked(Pk { info, key }.vk(), expected, path)
}

fn known_profile(info: &KeyInfo, path: &Path) -> Result<()> {
    if Profile::by_name(&info.profile.name()) == Some(info.profile) {
        return Ok(());
    }
    Err(CliError::Input(format!(
        "{}: a key of an unknown profile; make it again",
        path.display()
    )))
}

fn checked(vk: Vk, expected: Option<StatementId>, path: &Path) -> Result<Vk> {
    if let Some(what) = vk.info.fault(&vk.key) {
        return Err(CliError::Input(format!(
            "{}: damaged key: {what}; make it again",
            path.display()
        )));
    }
    vk.expect(expected, path)?;
    Ok(vk)
}

/// Name and id of the model that a key file of either kind says it is of.
pub fn model_of_key(path: &Path, kind: Kind) -> Result<(String, [u8; 32])> {
    let payload = files::map_artifact(path, kind)?.payload;
    let (info, _) = KeyInfo::take(&payload, path)?;
    Ok((info.model, info.model_id))
}

/// A model's prover, with everything computed that does not depend on the input.
#[derive(Debug)]
pub struct Prepared<'a> {
    compiled: &'a CompiledModel,
    prover: Prover<'a>,
    clock: Option<BackendClock>,
    insecure: bool,
}

/// Prepares the fast prover; on this processor it keeps at most `memory_mib` for reuse.
pub fn prepare<'a>(
    compiled: &'a CompiledModel,
    pk: &'a Pk,
    srs: &'a Srs,
    backend: Backend,
    memory_mib: u32,
) -> Result<Prepared<'a>> {
    let _span = debug_span!("prepare").entered();
    let prover = Prover::on(
        processor(backend),
        &srs.0,
        &pk.key,
        (memory_mib as usize) << 20,
    )
    .map_err(|why| proving_failed(compiled, &why))?;
    Ok(Prepared {
        compiled,
        prover,
        clock: None,
        insecure: srs.insecure(),
    })
}

/// The prover's name of a backend.
pub(super) fn processor(backend: Backend) -> Processor {
    match backend {
        Backend::Auto => Processor::Auto,
        Backend::Cpu => Processor::Cpu,
        Backend::Cuda => Processor::Cuda,
        Backend::Icicle => Processor::Icicle,
    }
}

/// Devices that were looked for, beside this processor.
pub fn devices() -> Vec<FoundDevice> {
    gpu::devices()
}

/// Threads that proving uses on this processor.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Prepared<'_> {
    /// What computes the proofs: `cpu`, or a device's name.
    pub fn processor(&self) -> String {
        self.prover.processor()
    }

    /// With the backend's time counted from now on.
    pub fn clocked(self) -> Self {
        let (prover, clock) = self.prover.clocked();
        Self {
            prover,
            clock: Some(clock),
            ..self
        }
    }

    /// The backend's time so far, if it is counted.
    pub fn backend_time(&self) -> Option<Duration> {
        self.clock.as_ref().map(BackendClock::elapsed)
    }

    /// Makes the proof of one batch of inputs.
    pub fn prove(&self, item: &Item) -> Result<Proof> {
        let span = debug_span!("execute").entered();
        let Inference {
            witness, instances, ..
        } = execute_for_proof(self.compiled, item)?;
        let digests = witness.digests.clone();
        drop(span);
        let mut columns = WholeColumns(Phases::new(&self.compiled.layout, &witness));
        let scalars = Layout::instance_scalars(&self.compiled.layout.profile, &instances, &digests);
        let bytes = self
            .prover
            .prove_columns(&mut columns, &scalars, OsRng)
            .map_err(|why| proving_failed(self.compiled, &why))?;
        Ok(Proof {
            instances,
            digests,
            bytes,
            insecure: self.insecure,
        })
    }
}

/// The circuit's columns as the prover takes them.
struct WholeColumns<'a>(Phases<'a>);

impl ColumnWitness for WholeColumns<'_> {
    fn phase(&mut self, phase: usize, challenges: &[Fr]) -> Vec<Values> {
        let values = |column| match column {
            ColumnValues::Small(values) => Values::Small(values),
            ColumnValues::Dense(values) => Values::Dense(values),
        };
        // Where there are none, the prover says that columns are missing.
        let columns = self.0.next(phase, challenges).unwrap_or_default();
        columns.into_iter().map(values).collect()
    }
}

fn proving_failed(compiled: &CompiledModel, why: &dyn std::error::Error) -> CliError {
    CliError::Input(format!("proving `{}`: {why}", compiled.model.name))
}

/// The inference to be proved, which circuit and integer model agree on.
fn execute_for_proof(compiled: &CompiledModel, item: &Item) -> Result<Inference> {
    let inputs = check_inputs(&compiled.model, item)?;
    Inference::new(&compiled.model, &compiled.layout, &inputs)
        .map_err(|why| proving_failed(compiled, &why))
}

/// Prepares the fast prover on this processor and makes one proof.
pub fn prove(compiled: &CompiledModel, pk: &Pk, srs: &Srs, item: &Item) -> Result<Proof> {
    prepare(compiled, pk, srs, Backend::Cpu, 0)?.prove(item)
}

/// Makes a proof with the plain prover, for comparison.
pub fn prove_plain(compiled: &CompiledModel, pk: &Pk, srs: &Srs, item: &Item) -> Result<Proof> {
    let Inference {
        witness, instances, ..
    } = execute_for_proof(compiled, item)?;
    let digests = witness.digests.clone();
    let circuit = ModelCircuit::with_witness(compiled.layout.clone(), Arc::new(witness));
    // The circuit computes from its own values and reads no cell back.
    let options = prover::ProveOptions::default().read_back(false);
    let scalars = Layout::instance_scalars(&compiled.layout.profile, &instances, &digests);
    let bytes = prover::prove_with(options, &srs.0, &pk.key, &circuit, &scalars, OsRng)
        .map_err(|why| proving_failed(compiled, &why))?;
    Ok(Proof {
        instances,
        digests,
        bytes,
        insecure: srs.insecure(),
    })
}

/// What the prover sees of a proof: the outputs, those that the proof shows as it shows them, and its digests.
#[derive(Clone, Debug)]
pub struct Shows {
    /// The outputs; where they are not public, as the circuit computed them.
    pub outputs: Vec<Tensor>,
    /// Whether the proof shows the outputs themselves.
    pub outputs_are_public: bool,
    /// What stands in place of a hashed side.
    pub digests: Vec<DigestValue>,
}

/// What a proof of one batch of inputs says, read off the proof; the outputs that it does not show come from the integer model.
pub fn shows(compiled: &CompiledModel, pk: &Pk, proof: &Proof, item: &Item) -> Result<Shows> {
    let outputs_are_public = compiled.layout.visibility.output == Shown::Public;
    let outputs = if outputs_are_public {
        let outputs = compiled.model.outputs.len();
        pk.info.tensors(proof)?.into_iter().take(outputs).collect()
    } else {
        execute(&compiled.model, item)?
    };
    let digests = pk.info.hashed.iter().zip(&proof.digests);
    Ok(Shows {
        outputs,
        outputs_are_public,
        digests: digests.map(|(side, value)| side.with(value)).collect(),
    })
}

/// How the fast prover would go about a model's constraints.
pub fn prover_plan(compiled: &CompiledModel, memory_mib: u32) -> Result<PlanSummary> {
    let layout = &compiled.layout;
    fast::describe::<ModelCircuit>(layout.profile, layout.k, (memory_mib as usize) << 20)
        .map_err(|why| proving_failed(compiled, &why))
}

/// Checks a proof; the reason where it is rejected.
pub fn verify(vk: &Vk, proof: &Proof) -> Result<(), String> {
    if let Some((column, row)) = vk.unused_nonzero(proof) {
        return Err(format!(
            "the unused public value in column {column}, row {row} is not zero"
        ));
    }
    if let Some(why) = vk.out_of_range(proof) {
        return Err(why);
    }
    let (expected, got) = (vk.info.hashed.len(), proof.digests.len());
    if expected != got {
        return Err(format!(
            "the proof has {got} digests, and those of this key have {expected}"
        ));
    }
    prover::verify(&vk.key, &proof.scalars(vk), &proof.bytes).map_err(|why| why.to_string())
}

/// A proof with its public values: small integers, and digests.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// By instance column, 0 where digests stand.
    instances: Vec<Vec<i64>>,
    /// In row 0 of the instance columns, from the first on.
    digests: Vec<Fr>,
    bytes: Vec<u8>,
    insecure: bool,
}

impl Proof {
    /// Made with a reference string whose secret is known.
    pub fn insecure(&self) -> bool {
        self.insecure
    }

    /// The proof proper.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The small public values by instance column, 0 where digests stand.
    pub fn instances(&self) -> &[Vec<i64>] {
        &self.instances
    }

    /// The public values as halo2 has them, by instance column.
    pub fn scalars(&self, vk: &Vk) -> Vec<Vec<Fr>> {
        Layout::instance_scalars(&vk.info.profile, &self.instances, &self.digests)
    }

    /// The digests in hex, whatever they are of.
    pub fn digests_hex(&self) -> Vec<String> {
        self.digests.iter().map(digest_hex).collect()
    }

    /// The same proof with the `element`-th value of the first public tensor raised by one: a lie.
    pub fn with_changed_value(&self, vk: &Vk, element: usize) -> Self {
        let public = &vk.info.public[0];
        let (column, row) = public.cells[logical(&public.port, element)];
        let mut changed = self.clone();
        changed.instances[column as usize][row as usize] += 1;
        changed
    }
}

/// The place in the node's tensor of an element in ONNX order.
fn logical(port: &Port, element: usize) -> usize {
    port.order.get(element).map_or(element, |&at| at as usize)
}

/// Writes a proof; the size of the file.
pub fn write_proof(path: &Path, proof: &Proof) -> Result<u64> {
    let digests: Vec<[u8; 32]> = proof.digests.iter().map(scalar_to_bytes).collect();
    let payload =
        postcard::to_allocvec(&(&proof.instances, digests, &proof.bytes)).expect("plain data");
    files::write_artifact(path, Kind::Proof, proof.insecure, &payload)
}

/// Reads a proof, in its one encoding.
pub fn read_proof(path: &Path) -> Result<Proof> {
    let artifact = files::read_artifact(path, Kind::Proof)?;
    let decoded: (Vec<Vec<i64>>, Vec<[u8; 32]>, Vec<u8>) = postcard::from_bytes(&artifact.payload)
        .map_err(|why| {
            CliError::input(
                format!("{}: not a proof of this version", path.display()),
                why,
            )
        })?;
    // The decoder takes over-long integers and whatever follows the last one.
    if postcard::to_allocvec(&decoded).expect("plain data") != artifact.payload {
        return Err(CliError::Input(format!(
            "{}: the proof is not in its one encoding; get the file from whoever made the proof",
            path.display()
        )));
    }
    let (instances, digests, bytes) = decoded;
    let digests: Option<Vec<Fr>> = digests.iter().map(scalar_from_bytes).collect();
    let digests = digests.ok_or_else(|| {
        CliError::Input(format!(
            "{}: a digest is not below the field's order; the proof is damaged",
            path.display()
        ))
    })?;
    Ok(Proof {
        instances,
        digests,
        bytes,
        insecure: artifact.flags.insecure,
    })
}

/// The public tensors of a proof as real numbers, outputs first. Says nothing about the proof: verify it.
pub fn public_tensors(vk: &Vk, proof: &Proof) -> Result<Vec<Tensor>> {
    vk.info.tensors(proof)
}

/// The digests of a proof. Says nothing about the proof: verify it.
pub fn proof_digests(vk: &Vk, proof: &Proof) -> Vec<DigestValue> {
    let sides = vk.info.hashed.iter().zip(&proof.digests);
    sides.map(|(side, value)| side.with(value)).collect()
}

#[cfg(test)]
mod tests;
