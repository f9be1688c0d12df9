//! What a verifier relies on, and the one id of all of it.
//!
//! A verifying key decides what is proved; the `KeyInfo` before it in the file says which public value belongs to which
//! element of which tensor, and what real number an integer stands for. A proof binds the first alone, so whoever can
//! exchange the second turns a right proof into a wrong answer. The [`StatementId`] names both.

use std::{collections::HashSet, fmt, path::Path, str::FromStr};

use sha3::{Digest, Keccak256};
use tensorseal_circuits::{layout::Side, model::Port, names, validate::description_fault};
use tensorseal_prover::VerifyingKey;

use super::{HashedSide, digests::HashedTensor, proof::KeyInfo};
use crate::{CliError, Result};

/// Separates the id from every other hash.
const DOMAIN: &[u8] = b"tensorseal statement id 1";

/// Names all that a verifier relies on: the verifying key, with the reference string's points, and the description of
/// its public values.
///
/// ```text
/// keccak256( keccak256("tensorseal statement id 1") ‖ keccak256(description) ‖ keccak256(key) )
/// ```
///
/// over the two parts of a verifying key's payload, each in its one encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StatementId([u8; 32]);

impl StatementId {
    pub(super) fn new(info: &KeyInfo, key: &VerifyingKey) -> Self {
        let id = Keccak256::new()
            .chain_update(Keccak256::digest(DOMAIN))
            .chain_update(Keccak256::digest(info.to_bytes()))
            .chain_update(Keccak256::digest(key.to_bytes()));
        Self(id.finalize().into())
    }

    /// The hash.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for StatementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatementId({self})")
    }
}

impl FromStr for StatementId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| "a statement id has 64 hexadecimal digits".to_owned())?;
        Ok(Self(bytes))
    }
}

impl KeyInfo {
    /// Its one encoding.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("plain data")
    }

    /// Splits a key's payload into this, from untrusted bytes in their one encoding, and the key proper.
    pub(super) fn take<'a>(payload: &'a [u8], path: &Path) -> Result<(Self, &'a [u8])> {
        let (info, key) = postcard::take_from_bytes::<Self>(payload).map_err(|why| {
            CliError::input(
                format!("{}: damaged key, make it again", path.display()),
                why,
            )
        })?;
        // The decoder takes over-long integers.
        if info.to_bytes() != payload[..payload.len() - key.len()] {
            return Err(CliError::Input(format!(
                "{}: the key's description is not in its one encoding; make the key again",
                path.display()
            )));
        }
        Ok((info, key))
    }

    /// What of a description from a file contradicts itself or the key: afterwards every public tensor has each of its
    /// elements in a cell of its own.
    pub(super) fn fault(&self, key: &VerifyingKey) -> Option<String> {
        if let Some(what) = names::fault(&self.model) {
            return Some(format!("the model {what}"));
        }
        let rows: Vec<usize> = key
            .instance_rows()
            .iter()
            .map(|rows| rows / self.profile.fold)
            .collect();
        let mut taken = HashSet::new();
        let mut take = |(column, row): (u32, u32)| {
            let exists = rows
                .get(column as usize)
                .is_some_and(|rows| (row as usize) < *rows);
            exists && taken.insert((column, row))
        };
        for (at, side) in self.hashed.iter().enumerate() {
            let again = self.hashed[..at]
                .iter()
                .any(|before| before.digest.side == side.digest.side);
            let place = u32::try_from(at).expect("at most two sides are read");
            if again || side.digest.lane != at || !take((place, 0)) {
                return Some("a digest has no place of its own".into());
            }
            if let Some(what) = hashed_fault(side) {
                return Some(what);
            }
        }
        for public in &self.public {
            let told = |what: &str| Some(format!("public tensor {:?} {what}", public.port.name));
            if let Some(what) = description_fault(&public.port, public.is_input) {
                return told(what);
            }
            let elements: usize = public.port.shape.iter().product();
            if public.cells.len() != elements {
                return told("has not one public value for each element");
            }
            if !public.cells.iter().all(|cell| take(*cell)) {
                return told("has an element without a public value of its own");
            }
            let sound = |(lo, hi): (i64, i64)| lo <= 0 && hi >= 0 && hi.abs_diff(lo) <= 1 << 24;
            if public.range.is_some() != public.is_input || !public.range.is_none_or(sound) {
                return told("has an impossible range");
            }
        }
        None
    }
}

fn hashed_fault(side: &HashedSide) -> Option<String> {
    let is_input = side.digest.side == Side::Input;
    let mut count = 0;
    for tensor in &side.tensors {
        let port = port_of(tensor);
        if let Some(what) = description_fault(&port, is_input) {
            return Some(format!("hashed tensor {:?} {what}", port.name));
        }
        count += port.shape.iter().product::<usize>();
    }
    (count != side.digest.count).then(|| "a digest is of another number of values".into())
}

/// A hashed tensor is described as a port is, but for the order: a digest has the ONNX one.
fn port_of(tensor: &HashedTensor) -> Port {
    Port {
        name: tensor.name.clone(),
        node: 0,
        shape: tensor.shape.clone(),
        order: vec![],
        scale: tensor.scale,
        encodings: tensor.encodings.clone(),
    }
}
