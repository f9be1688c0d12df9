//! Verification: halo2's `verify_proof` behind checks of everything that it leaves to the caller.

use halo2_proofs::{
    halo2curves::bn256::{Bn256, Fr},
    plonk::verify_proof,
    poly::kzg::{
        commitment::KZGCommitmentScheme, multiopen::VerifierSHPLONK, strategy::SingleStrategy,
    },
};

use crate::{
    keys::{Slot, VerifyingKey, proof_slots},
    transcript::{KeccakRead, TranscriptError, point_from_bytes, scalar_from_bytes},
};

/// Why a proof was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The number of instance columns is wrong.
    #[error("the circuit has {expected} instance columns, but {got} were given")]
    InstanceColumns {
        /// How many the key has.
        expected: usize,
        /// How many were given.
        got: usize,
    },
    /// An instance column has the wrong length.
    #[error("instance column {column} has {expected} public values, but {got} were given")]
    InstanceRows {
        /// Index of the instance column.
        column: usize,
        /// Its length in the key.
        expected: usize,
        /// How many values were given.
        got: usize,
    },
    /// The proof has the wrong length.
    #[error("a proof for this key has {expected} bytes, but this one has {got}")]
    ProofLength {
        /// Length of all proofs for the key.
        expected: usize,
        /// Length of this one.
        got: usize,
    },
    /// A value in the proof is not in its one valid encoding.
    #[error(transparent)]
    Encoding(#[from] TranscriptError),
    /// The equations do not hold.
    #[error("the proof is not valid for this key and these public values")]
    Rejected,
}

/// Checks that the public values have the number and lengths that the key says.
pub(crate) fn check_instances(vk: &VerifyingKey, instances: &[Vec<Fr>]) -> Result<(), VerifyError> {
    let expected = vk.instance_rows();
    if instances.len() != expected.len() {
        return Err(VerifyError::InstanceColumns {
            expected: expected.len(),
            got: instances.len(),
        });
    }
    for (column, (values, rows)) in instances.iter().zip(expected).enumerate() {
        if values.len() != *rows {
            return Err(VerifyError::InstanceRows {
                column,
                expected: *rows,
                got: values.len(),
            });
        }
    }
    Ok(())
}

/// Checks a proof.
///
/// Accepts one byte string per proof only: the length is exact, every coordinate and scalar canonical,
/// every point on the curve. Does not panic, whatever the input.
///
/// # Errors
/// [`VerifyError`], which says why not.
pub fn verify(vk: &VerifyingKey, instances: &[Vec<Fr>], proof: &[u8]) -> Result<(), VerifyError> {
    check_instances(vk, instances)?;
    check_encoding(vk, proof)?;
    let params = vk.verifier_params();
    let columns: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
    let mut transcript = KeccakRead::new(proof);
    verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, _>(
        &params,
        vk.halo2(),
        SingleStrategy::new(&params),
        &[&columns],
        &mut transcript,
    )
    .map_err(|_| VerifyError::Rejected)?;
    Ok(transcript.finish()?)
}

/// Walks over the proof's values before any of them is used, to name the one that is malformed.
fn check_encoding(vk: &VerifyingKey, proof: &[u8]) -> Result<(), VerifyError> {
    let expected = vk.proof_len();
    if proof.len() != expected {
        return Err(VerifyError::ProofLength {
            expected,
            got: proof.len(),
        });
    }
    let mut offset = 0;
    for slot in proof_slots(vk.halo2().cs()) {
        let rest = &proof[offset..];
        match slot {
            Slot::Point => {
                let bytes = rest
                    .first_chunk()
                    .expect("the slots add up to the proof's length");
                point_from_bytes(bytes, offset)?;
            }
            Slot::Scalar => {
                let bytes = rest
                    .first_chunk()
                    .expect("the slots add up to the proof's length");
                scalar_from_bytes(bytes).ok_or(TranscriptError::ScalarNotCanonical { offset })?;
            }
        }
        offset += slot.bytes();
    }
    Ok(())
}
