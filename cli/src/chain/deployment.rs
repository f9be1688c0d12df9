//! What stands where on a chain, as `deploy` and `register` write it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tensorseal_verifier_contract::chain::Receipt;

use super::registered_uri;
use crate::{
    CliError, Result,
    pipeline::{self, Vk},
};

/// Deployed contracts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The id of what a verifier of the model's proofs relies on, in hex.
    pub statement_id: String,
    /// The chain; none for the embedded EVM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<u64>,
    /// Address of the verifier.
    pub verifier: String,
    /// Length of its code.
    pub verifier_bytes: usize,
    /// Address of the model's key.
    pub key: String,
    /// The model's entry in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// What was sent.
    pub sent: Vec<Sent>,
}

/// A model's entry in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Address of the registry.
    pub registry: String,
    /// The model's id in it, in hex.
    pub id: String,
    /// Its metadata URI.
    pub metadata_uri: String,
}

/// A transaction that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// What for.
    pub what: Step,
    /// Gas it used.
    pub gas: u64,
    /// Its receipt; none in the embedded EVM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// A step of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The verifier is deployed.
    Verifier,
    /// The model's key is deployed.
    Key,
    /// The registry is deployed.
    Registry,
    /// The model is registered.
    Register,
}

impl Step {
    /// Its name, for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verifier => "verifier",
            Self::Key => "model key",
            Self::Registry => "registry",
            Self::Register => "registration",
        }
    }
}

impl Deployment {
    /// Gas of all that was sent.
    pub fn total_gas(&self) -> u64 {
        self.sent
            .iter()
            .fold(0, |sum, sent| sum.saturating_add(sent.gas))
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = pipeline::read_file(path)?;
        serde_json::from_slice(&bytes).map_err(|why| {
            CliError::input(
                format!("`{}` is not what `deploy --output` writes", path.display()),
                why,
            )
        })
    }

    /// Reads the deployment of a key's model: of its statement, and where it is registered, under an id that commits to it.
    pub fn read_of(path: &Path, vk: &Vk) -> Result<Self> {
        let deployment = Self::read(path)?;
        let own = vk.statement_id().to_string();
        let registered = match &deployment.registration {
            None => true,
            Some(entry) => {
                registered_uri(vk, &entry.metadata_uri).is_ok_and(|uri| uri == entry.metadata_uri)
            }
        };
        if deployment.statement_id == own && registered {
            return Ok(deployment);
        }
        Err(CliError::Input(format!(
            "{}: not the deployment of statement {own}, which is this key's, but of {}; give the deployment of this model",
            path.display(),
            deployment.statement_id
        )))
    }

    /// Writes it as JSON.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("addresses and numbers");
        pipeline::write_file(path, format!("{text}\n").as_bytes()).map(drop)
    }
}
