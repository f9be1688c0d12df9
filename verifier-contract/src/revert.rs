//! The contract's errors, read back from revert data.

use sha3::{Digest, Keccak256};

use crate::codegen::ERRORS;

/// Signatures of the registry's own errors.
const REGISTRY_ERRORS: [&str; 4] = [
    "UnknownModel(bytes32)",
    "NotAModel(address,address)",
    "DelegatedAccount(address)",
    "NotAVerdict(address)",
];

/// Bytes that are kept of revert data that nobody knows.
const MAX_UNKNOWN: usize = 128;

/// Why the contract did not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key's address holds no key of the contract's profile.
    #[error(
        "0x{address} holds no key of the contract's profile; register the model's key, or use its own profile's verifier"
    )]
    BadKey {
        /// The address, in hex.
        address: String,
    },
    /// The number of public values is not what the key says.
    #[error("{received} public values, and the key asks for {expected}")]
    BadInstanceCount {
        /// Values in the calldata.
        received: u64,
        /// The key's rows times the profile's columns.
        expected: u64,
    },
    /// The proof has another length than the profile's proofs.
    #[error("a proof of {received} bytes, and the profile's have {expected}")]
    BadProofLength {
        /// Bytes in the calldata.
        received: u64,
        /// Bytes of the profile's proofs.
        expected: u64,
    },
    /// The calldata is not the arguments' one encoding.
    #[error(
        "calldata of {received} bytes is not the one encoding of its arguments, which has {expected}; take it from `encode_verify`"
    )]
    BadCalldata {
        /// Length.
        received: u64,
        /// Length it should have.
        expected: u64,
    },
    /// A scalar is not below the group order.
    #[error("the scalar at byte {offset} of the calldata is not below the group order")]
    ScalarNotCanonical {
        /// Where it stands.
        offset: u64,
    },
    /// A point is not on the curve, or has no canonical coordinates.
    #[error("the words at byte {offset} of the calldata are no point of the curve")]
    PointNotOnCurve {
        /// Where it stands.
        offset: u64,
    },
    /// A precompile refused its input.
    #[error(
        "precompile {precompile} failed; too little gas was given, or the chain lacks it, or the key's points are wrong"
    )]
    PrecompileFailed {
        /// Its address.
        precompile: u64,
    },
    /// The proof is well-formed and wrong.
    #[error("the proof is not valid for these public values and this key")]
    PairingFailed,
    /// The registry does not know the model.
    #[error("no model 0x{model_id} is registered there; register it first")]
    UnknownModel {
        /// Its id, in hex.
        model_id: String,
    },
    /// The registry does not take the pair for a model.
    #[error(
        "0x{verifier} is no verifier, or 0x{key} no key of its profile; deploy both, then register them"
    )]
    NotAModel {
        /// Address given for the verifier, in hex.
        verifier: String,
        /// Address given for the key, in hex.
        key: String,
    },
    /// The verifier or the key is an account that delegates to a contract (EIP-7702).
    #[error(
        "0x{account} is no contract but an account that delegates to one, and its owner can change to which; register the contract itself"
    )]
    DelegatedAccount {
        /// Its address, in hex.
        account: String,
    },
    /// The registered verifier neither accepted nor reverted.
    #[error("the model's verifier 0x{verifier} gave no verdict; it is none of tensorseal's")]
    NotAVerdict {
        /// Its address, in hex.
        verifier: String,
    },
    /// The arguments' ABI could not be read.
    #[error(
        "the calldata is too short for its arguments, or holds another call; take it from `encode_verify`"
    )]
    NoReason,
    /// Revert data that is none of the contract's errors; the beginning, where it is long.
    #[error("the call reverted with 0x{data}; is there a tensorseal verifier at the address?")]
    Unknown {
        /// The data, in hex.
        data: String,
    },
}

impl Refusal {
    /// Reads revert data.
    #[must_use]
    pub fn decode(data: &[u8]) -> Self {
        let unknown = || Self::Unknown {
            data: match data.get(..MAX_UNKNOWN) {
                Some(start) => hex::encode(start) + "...",
                None => hex::encode(data),
            },
        };
        if data.is_empty() {
            return Self::NoReason;
        }
        let Some((selector, words)) = data.split_first_chunk::<4>() else {
            return unknown();
        };
        let signature = ERRORS
            .iter()
            .chain(&REGISTRY_ERRORS)
            .find(|e| Keccak256::digest(e)[..4] == selector[..]);
        // Values are offsets and lengths; one beyond 64 bits is as wrong as the largest.
        let words: Vec<u64> = words
            .chunks_exact(32)
            .map(|w| match w.split_last_chunk::<8>() {
                Some((high, low)) if high.iter().all(|b| *b == 0) => u64::from_be_bytes(*low),
                _ => u64::MAX,
            })
            .collect();
        let name = signature.and_then(|s| s.split('(').next());
        match (name, words.as_slice()) {
            (Some("BadKey"), [_]) => Self::BadKey {
                address: hex::encode(&data[16..]),
            },
            (Some("BadInstanceCount"), &[received, expected]) => {
                Self::BadInstanceCount { received, expected }
            }
            (Some("BadProofLength"), &[received, expected]) => {
                Self::BadProofLength { received, expected }
            }
            (Some("BadCalldata"), &[received, expected]) => {
                Self::BadCalldata { received, expected }
            }
            (Some("ScalarNotCanonical"), &[offset]) => Self::ScalarNotCanonical { offset },
            (Some("PointNotOnCurve"), &[offset]) => Self::PointNotOnCurve { offset },
            (Some("PrecompileFailed"), &[precompile]) => Self::PrecompileFailed { precompile },
            (Some("PairingFailed"), []) => Self::PairingFailed,
            (Some("UnknownModel"), [_]) => Self::UnknownModel {
                model_id: hex::encode(&data[4..]),
            },
            (Some("NotAModel"), [_, _]) => Self::NotAModel {
                verifier: hex::encode(&data[16..36]),
                key: hex::encode(&data[48..]),
            },
            (Some("DelegatedAccount"), [_]) => Self::DelegatedAccount {
                account: hex::encode(&data[16..]),
            },
            (Some("NotAVerdict"), [_]) => Self::NotAVerdict {
                verifier: hex::encode(&data[16..]),
            },
            _ => unknown(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_every_length_decodes() {
        for length in 0..100 {
            let _ = Refusal::decode(&vec![0xff; length]);
        }
        let mut data = Keccak256::digest("BadProofLength(uint256,uint256)")[..4].to_vec();
        data.extend([0; 31]);
        data.push(7);
        assert!(matches!(Refusal::decode(&data), Refusal::Unknown { .. }));
        data.extend([0xff; 32]);
        let expected = Refusal::BadProofLength {
            received: 7,
            expected: u64::MAX,
        };
        assert_eq!(Refusal::decode(&data), expected);
    }
}
