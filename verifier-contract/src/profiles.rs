//! The embedded verifiers: one contract per profile, its source and the bytecode that the pinned solc makes
//! of it, so that users need no Solidity compiler.
//!
//! Sources stand under `contracts/profiles/`, compiled contracts beside them as JSON. Both are written by
//! `TENSORSEAL_REGENERATE=1 cargo test -p tensorseal-verifier-contract`, and a test compares them with a
//! fresh generation and compilation.

use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use crate::codegen::VerifierLayout;

include!("embedded.rs");

/// Why there is no embedded verifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// No profile has the name.
    #[error("no verifier is embedded for profile `{name}`; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names there are.
        known: String,
    },
    /// The profile's constraint system has changed since the contract was generated.
    #[error(
        "the embedded verifier of profile `{name}` is for constraint system {embedded}, and the model's is {found}; use the release that the model was made with"
    )]
    Stale {
        /// The profile.
        name: String,
        /// Id that the contract asks of keys.
        embedded: String,
        /// The layout's id.
        found: String,
    },
}

/// A compiled contract, as `compile.mjs` and the generator write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The contract's name.
    pub contract: String,
    /// Id of the constraint system whose keys it takes, in hex.
    pub id: String,
    /// Version of the compiler.
    pub solc: String,
    /// Length of the deployed code.
    pub runtime_bytes: usize,
    /// Creation code, in hex.
    pub bytecode: String,
}

/// An embedded verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// The profile's name.
    pub profile: &'static str,
    /// The contract's name.
    pub contract: String,
    /// Solidity source.
    pub source: &'static str,
    /// Id of the constraint system whose keys it takes.
    pub id: [u8; 32],
    /// Version of the compiler.
    pub solc: String,
    /// Creation code.
    pub bytecode: Vec<u8>,
    /// Length of the deployed code.
    pub runtime_bytes: usize,
}

impl Embedded {
    /// The deployed code: creation code ends with it, since the contract has neither constructor nor immutables.
    #[must_use]
    pub fn code(&self) -> &[u8] {
        &self.bytecode[self.bytecode.len() - self.runtime_bytes..]
    }

    /// Keccak-256 of the deployed code, the same on every chain.
    #[must_use]
    pub fn code_hash(&self) -> [u8; 32] {
        Keccak256::digest(self.code()).into()
    }
}

/// Names of the profiles that have a verifier.
#[must_use]
pub fn names() -> Vec<&'static str> {
    EMBEDDED.iter().map(|(name, ..)| *name).collect()
}

/// The verifier of a profile.
///
/// # Errors
/// [`ProfileError::Unknown`] where there is none.
pub fn find(name: &str) -> Result<Embedded, ProfileError> {
    let Some((profile, source, artifact)) = EMBEDDED.iter().find(|(n, ..)| *n == name) else {
        return Err(ProfileError::Unknown {
            name: name.to_owned(),
            known: names().join(", "),
        });
    };
    let artifact: Artifact =
        serde_json::from_str(artifact).expect("a test reads every embedded artifact");
    let mut id = [0; 32];
    hex::decode_to_slice(&artifact.id, &mut id).expect("a test reads every embedded artifact");
    Ok(Embedded {
        profile,
        contract: artifact.contract,
        source,
        id,
        solc: artifact.solc,
        bytecode: hex::decode(&artifact.bytecode).expect("a test reads every embedded artifact"),
        runtime_bytes: artifact.runtime_bytes,
    })
}

/// The verifier for a layout: the one of its profile's name, if it was made for the same constraint system.
///
/// # Errors
/// [`ProfileError`] where there is none, or the constraint system has changed.
pub fn for_layout(layout: &VerifierLayout) -> Result<Embedded, ProfileError> {
    let embedded = find(layout.profile())?;
    if embedded.id != layout.id() {
        return Err(ProfileError::Stale {
            name: layout.profile().to_owned(),
            embedded: hex::encode(embedded.id),
            found: hex::encode(layout.id()),
        });
    }
    Ok(embedded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_artifact_is_read() {
        for name in names() {
            let embedded = find(name).unwrap();
            assert!(embedded.bytecode.len() > embedded.runtime_bytes, "{name}");
            assert!(
                embedded.runtime_bytes < crate::key::MAX_CODE_BYTES,
                "{name}"
            );
            assert!(
                embedded.source.contains(&hex::encode(embedded.id)),
                "{name}"
            );
        }
        assert!(matches!(find("none"), Err(ProfileError::Unknown { .. })));
    }
}
