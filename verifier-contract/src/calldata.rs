//! Calldata of the contract's `verify(address,uint256[],bytes)` and `verifyBatch(address,uint256[],bytes)`.
//!
//! The contract accepts one encoding only: head, instances, proofs, in this order, with nothing after. So does
//! [`decode_verify`], for whoever reads calls off a chain and verifies them natively.

use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::Fr;
use sha3::{Digest, Keccak256};

use crate::{codegen::VerifierLayout, key::scalar_bytes};

/// Signature of the contract's function for one proof.
pub const VERIFY_SIGNATURE: &str = "verify(address,uint256[],bytes)";

/// Signature of the contract's function for several proofs of one key.
pub const VERIFY_BATCH_SIGNATURE: &str = "verifyBatch(address,uint256[],bytes)";

/// Why values cannot be sent to the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalldataError {
    /// The instance has another number of columns than the profile.
    #[error("profile `{profile}` has {expected} instance columns, not {found}")]
    Columns {
        /// The profile.
        profile: String,
        /// What the profile says.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// Instance columns differ in length.
    #[error(
        "instance column {column} has {found} rows, and column 0 has {expected}; pad the shorter with zeros"
    )]
    Rows {
        /// The column.
        column: usize,
        /// Rows of column 0.
        expected: usize,
        /// Its rows.
        found: usize,
    },
    /// A row between two public values holds something.
    #[error(
        "row {row} of instance column {column} stands between two public values of profile `{profile}` and is not 0"
    )]
    Between {
        /// The profile.
        profile: String,
        /// The column.
        column: usize,
        /// The row.
        row: usize,
    },
    /// A batch without a proof.
    #[error("a batch holds one proof at least")]
    EmptyBatch,
    /// The proof has another length than the profile's proofs.
    #[error("a proof of profile `{profile}` has {expected} bytes, not {found}")]
    Proof {
        /// The profile.
        profile: String,
        /// What the profile says.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// The bytes are not the one encoding of a call.
    #[error(
        "calldata of {length} bytes is not the one encoding of a `verify` call: {what} is wrong"
    )]
    Encoding {
        /// Its length.
        length: usize,
        /// The first part that differs.
        what: &'static str,
    },
    /// A public value is not below the group order.
    #[error("the public value at byte {offset} of the calldata is not below the group order")]
    Scalar {
        /// Where it stands.
        offset: usize,
    },
}

/// What a call says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyCall {
    /// Where the key stands.
    pub key: [u8; 20],
    /// The public values, by column.
    pub instances: Vec<Vec<Fr>>,
    /// The proof.
    pub proof: Vec<u8>,
}

/// First four bytes of the call that verifies one proof.
#[must_use]
pub fn verify_selector() -> [u8; 4] {
    selector(VERIFY_SIGNATURE)
}

fn selector(signature: &str) -> [u8; 4] {
    Keccak256::digest(signature)[..4]
        .try_into()
        .expect("a hash has four bytes")
}

/// Calldata that asks the contract to verify `proof` of the public values `instances` (by column) for the
/// key at `key`.
///
/// # Errors
/// [`CalldataError`] where the values do not have the profile's shape.
pub fn encode_verify(
    layout: &VerifierLayout,
    key: [u8; 20],
    instances: &[Vec<Fr>],
    proof: &[u8],
) -> Result<Vec<u8>, CalldataError> {
    let words = instance_words(layout, instances, proof)?;
    Ok(encode_words(key, &words, proof))
}

/// Calldata that asks the contract to verify several proofs, each with its public values, for the key at `key`.
///
/// # Errors
/// As [`encode_verify`], and [`CalldataError::EmptyBatch`] without a proof.
pub fn encode_verify_batch(
    layout: &VerifierLayout,
    key: [u8; 20],
    batch: &[(Vec<Vec<Fr>>, Vec<u8>)],
) -> Result<Vec<u8>, CalldataError> {
    if batch.is_empty() {
        return Err(CalldataError::EmptyBatch);
    }
    let (mut words, mut proofs) = (Vec::new(), Vec::new());
    for (instances, proof) in batch {
        words.extend(instance_words(layout, instances, proof)?);
        proofs.extend_from_slice(proof);
    }
    Ok(encode(
        selector(VERIFY_BATCH_SIGNATURE),
        key,
        &words,
        &proofs,
    ))
}

/// The public values as the contract takes them, row by row, of a proof whose length is checked too.
fn instance_words(
    layout: &VerifierLayout,
    instances: &[Vec<Fr>],
    proof: &[u8],
) -> Result<Vec<[u8; 32]>, CalldataError> {
    if instances.len() != layout.instance_columns() {
        return Err(CalldataError::Columns {
            profile: layout.profile().to_owned(),
            expected: layout.instance_columns(),
            found: instances.len(),
        });
    }
    let rows = instances.first().map_or(0, Vec::len);
    if let Some(column) = instances.iter().position(|c| c.len() != rows) {
        return Err(CalldataError::Rows {
            column,
            expected: rows,
            found: instances[column].len(),
        });
    }
    let stride = layout.instance_stride();
    for (column, values) in instances.iter().enumerate() {
        let between = |(row, value): (usize, &Fr)| {
            !row.is_multiple_of(stride) && !bool::from(value.is_zero())
        };
        if let Some(row) = values.iter().enumerate().position(between) {
            return Err(CalldataError::Between {
                profile: layout.profile().to_owned(),
                column,
                row,
            });
        }
    }
    if proof.len() != layout.proof_bytes() {
        return Err(CalldataError::Proof {
            profile: layout.profile().to_owned(),
            expected: layout.proof_bytes(),
            found: proof.len(),
        });
    }
    Ok(row_by_row(layout, instances))
}

/// Public values as the contract takes them: row by row, from columns of one length, without the rows between them.
#[must_use]
pub fn row_by_row(layout: &VerifierLayout, instances: &[Vec<Fr>]) -> Vec<[u8; 32]> {
    let rows = instances.first().map_or(0, Vec::len);
    (0..rows)
        .step_by(layout.instance_stride())
        .flat_map(|row| {
            let cell = move |column: &Vec<Fr>| column.get(row).map(scalar_bytes);
            instances.iter().filter_map(cell)
        })
        .collect()
}

/// Reads a call's arguments: the inverse of [`encode_verify`], and of nothing else.
///
/// # Errors
/// [`CalldataError`] for bytes that [`encode_verify`] does not make.
pub fn decode_verify(
    layout: &VerifierLayout,
    calldata: &[u8],
) -> Result<VerifyCall, CalldataError> {
    let length = calldata.len();
    let wrong = |what| CalldataError::Encoding { length, what };
    let mut rest = calldata
        .strip_prefix(&verify_selector())
        .ok_or(wrong("the selector"))?;
    let mut word = |what| -> Result<[u8; 32], CalldataError> {
        let (word, after) = rest.split_first_chunk().ok_or(wrong(what))?;
        rest = after;
        Ok(*word)
    };
    let key = word("the key's address")?;
    let (high, key) = key.split_last_chunk::<20>().expect("a word has 32 bytes");
    if high != [0; 12] {
        return Err(wrong("the key's address"));
    }
    let offsets = [word("an offset")?, word("an offset")?];
    let columns = layout.instance_columns();
    let count = usize_of(&word("the number of public values")?)
        .filter(|count| *count <= length / 32 && (*count == 0 || columns > 0))
        .filter(|count| count.is_multiple_of(columns.max(1)))
        .ok_or(wrong("the number of public values"))?;
    if offsets.map(|o| usize_of(&o)) != [Some(0x60), Some(0x80 + 32 * count)] {
        return Err(wrong("an offset"));
    }
    let mut instances = vec![Vec::with_capacity(count / columns.max(1)); columns];
    for value in 0..count {
        let mut bytes = word("a public value")?;
        bytes.reverse();
        let scalar = Option::from(Fr::from_repr(bytes)).ok_or(CalldataError::Scalar {
            offset: 4 + 32 * (4 + value),
        })?;
        let column = &mut instances[value % columns];
        column.push(scalar);
        column.resize(column.len() + layout.instance_stride() - 1, Fr::ZERO);
    }
    let proof_bytes = usize_of(&word("the proof's length")?);
    if proof_bytes != Some(layout.proof_bytes()) || rest.len() != layout.proof_bytes() {
        return Err(wrong("the proof's length"));
    }
    Ok(VerifyCall {
        key: *key,
        instances,
        proof: rest.to_vec(),
    })
}

fn usize_of(word: &[u8; 32]) -> Option<usize> {
    let (high, low) = word.split_last_chunk::<8>().expect("a word has 32 bytes");
    (high == [0; 24])
        .then(|| usize::try_from(u64::from_be_bytes(*low)).ok())
        .flatten()
}

/// The encoding of a call for one proof, whatever the words are. Lengths and ranges are the contract's to judge.
#[must_use]
pub fn encode_words(key: [u8; 20], instances: &[[u8; 32]], proof: &[u8]) -> Vec<u8> {
    encode(verify_selector(), key, instances, proof)
}

fn encode(selector: [u8; 4], key: [u8; 20], instances: &[[u8; 32]], proof: &[u8]) -> Vec<u8> {
    let word = |v: usize| -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&(v as u64).to_be_bytes());
        bytes
    };
    let mut calldata = selector.to_vec();
    calldata.extend([0; 12]);
    calldata.extend(key);
    calldata.extend(word(0x60));
    calldata.extend(word(0x80 + 32 * instances.len()));
    calldata.extend(word(instances.len()));
    calldata.extend(instances.as_flattened());
    calldata.extend(word(proof.len()));
    calldata.extend(proof);
    calldata.resize(
        calldata.len() + proof.len().next_multiple_of(32) - proof.len(),
        0,
    );
    calldata
}
