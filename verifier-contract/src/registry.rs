//! The model registry: its contract, model ids, calldata.
//!
//! A registered model is named by its id, [`model_id`], which hashes the verifier's code, the key's code and a
//! metadata URI. Consumers fix the id and call `verify(bytes32,uint256[],bytes)`; sources and interfaces for them
//! are in [`SOURCES`].

use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

/// Sources of the hand-written contracts, by file name: what a project needs that builds on the registry.
/// `PredictionOracle.sol` also imports `Model.sol`, which [`model_source`](crate::project::model_source) writes.
pub const SOURCES: [(&str, &str); 5] = [
    (
        "ITensorSealVerifier.sol",
        include_str!("../contracts/ITensorSealVerifier.sol"),
    ),
    (
        "IVerifiedInference.sol",
        include_str!("../contracts/IVerifiedInference.sol"),
    ),
    (
        "ModelRegistry.sol",
        include_str!("../contracts/ModelRegistry.sol"),
    ),
    (
        "PublicValues.sol",
        include_str!("../contracts/PublicValues.sol"),
    ),
    (
        "PredictionOracle.sol",
        include_str!("../contracts/PredictionOracle.sol"),
    ),
];

/// A compiled hand-written contract, as it stands in `contracts/NAME.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiled {
    /// The contract's name.
    pub contract: String,
    /// Version of the compiler.
    pub solc: String,
    /// Length of the deployed code.
    pub runtime_bytes: usize,
    /// Creation code, in hex; empty for an interface.
    pub bytecode: String,
    /// The ABI.
    pub abi: serde_json::Value,
}

impl Compiled {
    fn read(json: &str) -> Self {
        serde_json::from_str(json).expect("a test reads every embedded artifact")
    }

    /// Creation code.
    #[must_use]
    pub fn initcode(&self) -> Vec<u8> {
        hex::decode(&self.bytecode).expect("a test reads every embedded artifact")
    }

    /// The deployed code: creation code ends with it, since there are neither constructors nor immutables.
    #[must_use]
    pub fn code(&self) -> Vec<u8> {
        let initcode = self.initcode();
        initcode[initcode.len() - self.runtime_bytes..].to_vec()
    }
}

/// The registry, `ModelRegistry.sol`.
#[must_use]
pub fn contract() -> Compiled {
    Compiled::read(include_str!("../contracts/ModelRegistry.json"))
}

/// The interface of all verifiers, `ITensorSealVerifier.sol`.
#[must_use]
pub fn verifier_interface() -> Compiled {
    Compiled::read(include_str!("../contracts/ITensorSealVerifier.json"))
}

/// Text that is no metadata URI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no metadata URI: write printable ASCII without spaces, quotes and backslashes, such as ipfs://...; others percent-encoded"
)]
pub struct BadUri {
    /// The text, escaped.
    pub text: String,
}

/// Checks that a metadata URI can stand in a URI and in Solidity alike. The empty one can.
///
/// # Errors
/// [`BadUri`] where it cannot.
pub fn check_uri(uri: &str) -> Result<(), BadUri> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '<' | '>' | '`');
    if uri.chars().all(fits) {
        return Ok(());
    }
    Err(BadUri {
        text: uri.escape_debug().to_string(),
    })
}

/// A registered model's id: `keccak256(abi.encode(verifier_hash, key_hash, keccak256(metadata_uri)))`.
///
/// The hashes are those of deployed code: [`Embedded::code_hash`](crate::profiles::Embedded::code_hash) and
/// [`KeyData::code_hash`](crate::key::KeyData::code_hash).
#[must_use]
pub fn model_id(verifier_hash: [u8; 32], key_hash: [u8; 32], metadata_uri: &str) -> [u8; 32] {
    Keccak256::new()
        .chain_update(verifier_hash)
        .chain_update(key_hash)
        .chain_update(Keccak256::digest(metadata_uri))
        .finalize()
        .into()
}

fn selector(signature: &str) -> [u8; 4] {
    Keccak256::digest(signature)[..4]
        .try_into()
        .expect("a hash has four bytes")
}

/// Calldata of `register(address,address,string)`.
#[must_use]
pub fn encode_register(verifier: [u8; 20], key: [u8; 20], metadata_uri: &str) -> Vec<u8> {
    let mut calldata = selector("register(address,address,string)").to_vec();
    let number = |v: usize| {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&(v as u64).to_be_bytes());
        word
    };
    let (offset, length) = (number(0x60), number(metadata_uri.len()));
    for address in [verifier, key] {
        calldata.extend([0; 12]);
        calldata.extend(address);
    }
    calldata.extend(offset);
    calldata.extend(length);
    calldata.extend(metadata_uri.as_bytes());
    calldata.resize(4 + (calldata.len() - 4).next_multiple_of(32), 0);
    calldata
}

/// Calldata of `model(bytes32)`.
#[must_use]
pub fn encode_model(model_id: [u8; 32]) -> Vec<u8> {
    [&selector("model(bytes32)")[..], &model_id].concat()
}

/// How a registry is asked to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `verify`, a view.
    View,
    /// `verifyAndLog`, which emits an event.
    Log,
    /// `verifyBatch`, a view.
    Batch,
}

/// The registry's calldata from the verifier's: another selector, and the model's id in place of the key's address.
///
/// `calldata` is [`encode_verify`](crate::calldata::encode_verify)'s, or
/// [`encode_verify_batch`](crate::calldata::encode_verify_batch)'s to ask about a batch; what is shorter than its first two
/// fields stays as it is.
#[must_use]
pub fn through_registry(calldata: &[u8], model_id: [u8; 32], ask: Ask) -> Vec<u8> {
    let mut calldata = calldata.to_vec();
    let signature = match ask {
        Ask::View => "verify(bytes32,uint256[],bytes)",
        Ask::Log => "verifyAndLog(bytes32,uint256[],bytes)",
        Ask::Batch => "verifyBatch(bytes32,uint256[],bytes)",
    };
    if let Some((head, rest)) = calldata.split_first_chunk_mut::<4>()
        && let Some(id) = rest.first_chunk_mut::<32>()
    {
        *head = selector(signature);
        *id = model_id;
    }
    calldata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_artifacts_are_read() {
        let registry = contract();
        assert!(registry.initcode().len() > registry.runtime_bytes);
        assert!(verifier_interface().initcode().is_empty());
        assert!(through_registry(&[1, 2], [0; 32], Ask::Log) == [1, 2]);
    }

    #[test]
    fn uris_that_break_a_literal_are_refused() {
        for uri in ["", "ipfs://bafy", "https://a.b/c?d=%22#e"] {
            check_uri(uri).unwrap();
        }
        for uri in ["\"", "a b", "a\nb", "\\x", "ü"] {
            check_uri(uri).unwrap_err();
        }
    }
}
