//! A verifying key as the contract crate sees it.

use tensorseal_verifier_contract::{
    calldata::{encode_verify, encode_verify_batch, row_by_row},
    codegen::VerifierLayout,
    key::KeyData,
    profiles::{self, Embedded},
    project::{self, Project, Replay},
    registry::{self, model_id},
};

use crate::{
    CliError, Result,
    pipeline::{Proof, Vk},
};

/// The contract's view of a key's constraint system.
fn layout(vk: &Vk) -> Result<VerifierLayout> {
    VerifierLayout::strided(&vk.profile(), vk.key().halo2().cs(), vk.fold())
        .map_err(|why| CliError::input("the key's profile", why))
}

fn key_data(vk: &Vk) -> Result<KeyData> {
    KeyData::of(&layout(vk)?, vk.key()).map_err(|why| CliError::input("the key", why))
}

fn contract(vk: &Vk) -> Result<Embedded> {
    profiles::for_layout(&layout(vk)?).map_err(|why| CliError::input("the verifier contract", why))
}

/// Hash of the key's data contract, in hex; none where the key does not fit a contract.
pub fn key_id(vk: &Vk) -> Option<String> {
    key_data(vk).ok().map(|key| hex::encode(key.code_hash()))
}

/// Calldata of the call that verifies a proof, or several in a batch, with the key at `key`. A proof of another length or
/// with other public values than the key's is [`CliError::Rejected`].
pub fn calldata(vk: &Vk, key: [u8; 20], proofs: &[Proof]) -> Result<Vec<u8>> {
    let layout = layout(vk)?;
    let encoded = match proofs {
        [proof] => encode_verify(&layout, key, &proof.scalars(vk), proof.bytes()),
        _ => {
            let parts = |proof: &Proof| (proof.scalars(vk), proof.bytes().to_vec());
            let batch: Vec<_> = proofs.iter().map(parts).collect();
            encode_verify_batch(&layout, key, &batch)
        }
    };
    // A proof that the contract's call cannot even hold.
    encoded.map_err(|why| CliError::Rejected(format!("the proof is rejected: {why}")))
}

/// A proof for a project's test, and for calldata with the key at `key`.
pub fn replay(vk: &Vk, key: [u8; 20], proof: &Proof) -> Result<Replay> {
    // Encoding checks that the proof has the key's shape.
    calldata(vk, key, std::slice::from_ref(proof))?;
    Ok(Replay {
        instances: row_by_row(&layout(vk)?, &proof.scalars(vk)),
        proof: proof.bytes().to_vec(),
        key,
    })
}

/// Refuses what is no metadata URI.
pub fn check_uri(metadata_uri: &str) -> Result<()> {
    registry::check_uri(metadata_uri).map_err(|why| CliError::input("--metadata-uri", why))
}

/// The metadata URI that a model is registered with: the given one, and the statement id as its fragment. The model's id in
/// a registry is a hash of it, and so commits to names, places and scales as well, which the key's code does not.
pub fn registered_uri(vk: &Vk, metadata_uri: &str) -> Result<String> {
    check_uri(metadata_uri)?;
    let fragment = format!("statement={}", vk.statement_id());
    match metadata_uri.split_once('#') {
        None => Ok(format!("{metadata_uri}#{fragment}")),
        Some((_, own)) if own == fragment => Ok(metadata_uri.to_owned()),
        Some(_) => Err(CliError::Input(format!(
            "--metadata-uri: what follows `#` is the statement id, `{fragment}`; leave it out, and it is added"
        ))),
    }
}

/// A Foundry project around the key's model.
pub fn project(vk: &Vk, metadata_uri: &str) -> Result<Project> {
    let metadata_uri = registered_uri(vk, metadata_uri)?;
    Ok(Project {
        name: vk.model_name().to_owned(),
        verifier: contract(vk)?,
        key: key_data(vk)?,
        metadata_uri,
        statement_id: vk.statement_id().bytes(),
        tensors: vk.public_places(),
        hashed: vk.digest_places(),
        registry: project::registry_address(),
    })
}

/// A model's contracts, and what they are known by.
#[derive(Debug)]
pub(super) struct Contracts {
    pub(super) verifier: Embedded,
    pub(super) key: KeyData,
}

impl Contracts {
    pub(super) fn of(vk: &Vk) -> Result<Self> {
        Ok(Self {
            verifier: contract(vk)?,
            key: key_data(vk)?,
        })
    }

    /// The model's id in a registry.
    pub(super) fn id(&self, metadata_uri: &str) -> [u8; 32] {
        model_id(
            self.verifier.code_hash(),
            self.key.code_hash(),
            metadata_uri,
        )
    }
}
