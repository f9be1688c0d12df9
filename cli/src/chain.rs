//! Deploying and verifying: in the embedded EVM, or on a chain over JSON-RPC.

use serde::{Deserialize, Serialize};
use tensorseal_verifier_contract::{
    calldata::encode_verify,
    chain::{Account, Chain, ChainError, format_address, parse_address},
    codegen::VerifierLayout,
    evm::{EmbeddedEvm, EvmError},
    key::KeyData,
    profiles::{self, Embedded},
};

use crate::{
    CliError, Result, args,
    pipeline::{Proof, Vk},
};

/// A file for a chain.
#[derive(Clone, Debug)]
pub struct ExportFile {
    /// File name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Content.
    pub content: Vec<u8>,
}

/// Deployed contracts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// Address of the verifier, in hex.
    pub verifier: String,
    /// Length of its code.
    pub verifier_bytes: usize,
    /// Gas of its deployment.
    pub verifier_gas: u64,
    /// Address of the model's key, in hex.
    pub key: String,
    /// Gas of its deployment.
    pub key_gas: u64,
}

/// What the contract said of a proof.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// It accepted.
    pub accepted: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Gas of the transaction, where it succeeded.
    pub gas: Option<u64>,
    /// Length of the calldata.
    pub calldata_bytes: usize,
}

/// Where contracts are deployed and called.
#[derive(Debug)]
pub enum Target {
    /// In this process.
    Embedded(Box<EmbeddedEvm>),
    /// On a chain.
    Rpc(Box<Chain>),
}

/// The variable that holds the sender's private key.
const PRIVATE_KEY_VARIABLE: &str = "TENSORSEAL_PRIVATE_KEY";

impl Target {
    /// The embedded EVM.
    pub fn embedded() -> Self {
        Self::Embedded(Box::default())
    }

    /// The chain that the flags name. Without a private key it can be asked, not changed.
    pub fn open(chain: &args::Chain) -> Result<Self> {
        let Some(url) = &chain.rpc_url else {
            return Ok(Self::embedded());
        };
        let account = match &chain.private_key_file {
            Some(path) => Some(Account::from_file(path).map_err(chain_error)?),
            None if std::env::var_os(PRIVATE_KEY_VARIABLE).is_some() => {
                Some(Account::from_env(PRIVATE_KEY_VARIABLE).map_err(chain_error)?)
            }
            None => None,
        };
        Ok(Self::Rpc(Box::new(
            Chain::connect(url, account).map_err(chain_error)?,
        )))
    }

    /// Its name, for reports.
    pub fn name(&self) -> String {
        match self {
            Self::Embedded(_) => "embedded EVM".into(),
            Self::Rpc(chain) => format!("{} (id {})", chain.endpoint(), chain.chain_id()),
        }
    }

    /// Deploys the profile's verifier and the model's key.
    pub fn deploy(&mut self, vk: &Vk) -> Result<Deployment> {
        let (key, contract) = (key_data(vk)?, contract(vk)?);
        match self {
            Self::Embedded(evm) => {
                let failed = |why| CliError::input("deploying to the embedded EVM", why);
                let verifier = evm.deploy(&contract.bytecode).map_err(failed)?;
                let data = evm.deploy_key(&key).map_err(failed)?;
                Ok(Deployment {
                    verifier: format_address(verifier.address),
                    verifier_bytes: verifier.code_bytes,
                    verifier_gas: verifier.gas,
                    key: format_address(data.address),
                    key_gas: data.gas,
                })
            }
            Self::Rpc(chain) => {
                let verifier = chain.deploy_verifier(&contract).map_err(sending_error)?;
                let data = chain.register_key(&key).map_err(sending_error)?;
                Ok(Deployment {
                    verifier: format_address(verifier.address),
                    verifier_bytes: verifier.code_bytes,
                    verifier_gas: verifier.gas,
                    key: format_address(data.address),
                    key_gas: data.gas,
                })
            }
        }
    }

    /// Asks the verifier about a proof; with an account on a chain, in a transaction.
    pub fn verify(&mut self, vk: &Vk, deployment: &Deployment, proof: &Proof) -> Result<Verdict> {
        let verifier = parse_address(&deployment.verifier).map_err(chain_error)?;
        let key = parse_address(&deployment.key).map_err(chain_error)?;
        let calldata = calldata(vk, key, proof)?;
        let calldata_bytes = calldata.len();
        let (gas, reason) = match self {
            Self::Embedded(evm) => match evm.verify(verifier, &calldata) {
                Ok(report) => (Some(report.transaction), None),
                Err(EvmError::Refused(reason)) => (None, Some(reason)),
                Err(why) => return Err(CliError::input("calling the verifier", why)),
            },
            Self::Rpc(chain) => {
                check_contracts(chain, verifier, &contract(vk)?, key, &key_data(vk)?)?;
                match chain.verify_in_transaction(verifier, &calldata) {
                    Ok(sent) => (Some(sent.gas), None),
                    // The call before it came back with a yes.
                    Err(ChainError::NoAccount) => (None, None),
                    Err(ChainError::Refused(reason)) => (None, Some(reason)),
                    Err(why) => return Err(chain_error(why)),
                }
            }
        };
        let reason = reason.map(|reason| reason.to_string());
        Ok(Verdict {
            accepted: reason.is_none(),
            reason,
            gas,
            calldata_bytes,
        })
    }
}

/// The verifier must be the one embedded here, and it accepts proofs for whatever key it is pointed at: that must be
/// this model's.
fn check_contracts(
    chain: &Chain,
    verifier: [u8; 20],
    contract: &Embedded,
    key: [u8; 20],
    data: &KeyData,
) -> Result<()> {
    let code = chain.code(verifier).map_err(chain_error)?;
    // Creation code ends with the code that it deploys.
    if code.is_empty()
        || code.len() != contract.runtime_bytes
        || !contract.bytecode.ends_with(&code)
    {
        return Err(CliError::Input(format!(
            "the contract at {} is not the verifier of profile {}; deploy it, or give the deployment of this model",
            format_address(verifier),
            contract.profile
        )));
    }
    if chain.code(key).map_err(chain_error)? != data.to_code() {
        return Err(CliError::Input(format!(
            "the contract at {} does not hold this model's key; deploy it, or give the deployment of this model",
            format_address(key)
        )));
    }
    Ok(())
}

/// An endpoint that fails is the surroundings' fault, what was asked of it the user's.
fn chain_error(why: ChainError) -> CliError {
    match why {
        ChainError::Unreachable { .. }
        | ChainError::Rpc { .. }
        | ChainError::Failed { .. }
        | ChainError::Runtime { .. } => CliError::system("the chain", why),
        _ => CliError::input("the chain", why),
    }
}

/// [`chain_error`] where a transaction must be signed.
fn sending_error(why: ChainError) -> CliError {
    match why {
        ChainError::NoAccount => CliError::Input(format!(
            "a transaction needs a private key: set {PRIVATE_KEY_VARIABLE}, or pass --private-key-file"
        )),
        why => chain_error(why),
    }
}

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

/// Calldata of the call that verifies a proof with the key at `key`.
pub fn calldata(vk: &Vk, key: [u8; 20], proof: &Proof) -> Result<Vec<u8>> {
    encode_verify(&layout(vk)?, key, &proof.scalars(vk), proof.bytes())
        .map_err(|why| CliError::input("the proof", why))
}

/// What a chain needs to know of a key.
pub fn export(vk: &Vk) -> Result<Vec<ExportFile>> {
    let (key, contract) = (key_data(vk)?, contract(vk)?);
    let hexadecimal = |bytes: &[u8]| format!("0x{}\n", hex::encode(bytes)).into_bytes();
    let file = |name: String, purpose: String, content| ExportFile {
        name,
        purpose,
        content,
    };
    Ok(vec![
        file(
            format!("{}.sol", contract.contract),
            format!(
                "source of the verifier, profile {}, solc {}",
                contract.profile, contract.solc
            ),
            contract.source.as_bytes().to_vec(),
        ),
        file(
            format!("{}.bytecode.hex", contract.contract),
            "creation code of the verifier".into(),
            hexadecimal(&contract.bytecode),
        ),
        file(
            "key.bytecode.hex".into(),
            "creation code of the model's key".into(),
            hexadecimal(&key.to_initcode()),
        ),
        file(
            "key.hex".into(),
            "the key's data contract, as deployed".into(),
            hexadecimal(&key.to_code()),
        ),
    ])
}
