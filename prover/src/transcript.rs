//! The Fiat-Shamir transcript: Keccak-256 over big-endian words, cheap to replay on the EVM.
//!
//! State is a byte string `buffer`, empty at the start.
//!
//! | step | effect |
//! |---|---|
//! | absorb a scalar | appends its 32 bytes, big-endian |
//! | absorb a point | appends `x` then `y`, 32 bytes big-endian each; the identity is refused |
//! | squeeze | `buffer <- keccak256(buffer)`, or `keccak256(buffer \|\| 0x01)` where `buffer` is exactly 32 bytes long; the challenge is the new buffer, read big-endian, modulo `r` |
//!
//! The extra byte separates two squeezes with nothing absorbed between them from one squeeze over a
//! lone word. These are the rules of snark-verifier's `EvmTranscript`, so its tooling reads our proofs.
//!
//! What is *written* (rather than only absorbed) is appended to the proof with the same encoding. Each
//! value has one encoding, and [`KeccakRead`] accepts no other: a proof cannot be changed into another
//! accepted byte string by re-encoding.

use std::io;

use ff::{FromUniformBytes, PrimeField};
use group::prime::PrimeCurveAffine;
use halo2_proofs::{
    halo2curves::{
        CurveAffine,
        bn256::{Fq, Fr, G1Affine},
    },
    transcript::{
        EncodedChallenge, Transcript, TranscriptRead, TranscriptReadBuffer, TranscriptWrite,
        TranscriptWriterBuffer,
    },
};
use sha3::{Digest, Keccak256};

/// Bytes of a scalar in a proof.
pub const SCALAR_BYTES: usize = 32;

/// Bytes of a point in a proof (uncompressed: two coordinates).
pub const POINT_BYTES: usize = 64;

/// Why bytes of a proof could not be taken into the transcript.
///
/// halo2's transcript traits speak `io::Error`; this is the inner error, reachable with
/// [`io::Error::get_ref`] and `downcast_ref`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptError {
    /// The proof ended where a value was expected.
    #[error(
        "proof ends at byte {available}, but a value of {needed} bytes starts at byte {offset}"
    )]
    Truncated {
        /// Where the value should have started.
        offset: usize,
        /// How long the value is.
        needed: usize,
        /// Length of the whole proof.
        available: usize,
    },
    /// A scalar's 32 bytes are not below the group order `r`.
    #[error("scalar at byte {offset} of the proof is not below the group order")]
    ScalarNotCanonical {
        /// Offset of the scalar in the proof.
        offset: usize,
    },
    /// A coordinate's 32 bytes are not below the base field's modulus `q`.
    #[error(
        "point at byte {offset} of the proof has a coordinate that is not below the field modulus"
    )]
    CoordinateNotCanonical {
        /// Offset of the point in the proof.
        offset: usize,
    },
    /// The coordinates are not a point of BN254's G1, or are the encoding of the identity.
    #[error("point at byte {offset} of the proof is not a finite point of the curve")]
    NotOnCurve {
        /// Offset of the point in the proof.
        offset: usize,
    },
    /// The identity has no affine coordinates to absorb.
    #[error("the identity point cannot be absorbed: an all-zero column was committed to")]
    Identity,
    /// Bytes follow the last value.
    #[error("proof is {length} bytes long, but only {used} belong to it; remove what follows")]
    TrailingBytes {
        /// Bytes that were read.
        used: usize,
        /// Length of the whole proof.
        length: usize,
    },
}

impl From<TranscriptError> for io::Error {
    fn from(error: TranscriptError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// A challenge: the squeezed hash modulo the group order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeccakChallenge(Fr);

impl EncodedChallenge<G1Affine> for KeccakChallenge {
    type Input = [u8; 32];

    fn new(hash: &[u8; 32]) -> Self {
        // A 64-byte little-endian integer whose upper half is zero is the 32-byte hash itself, so the
        // wide reduction is plain reduction modulo r.
        let mut wide = [0u8; 64];
        wide[..32].copy_from_slice(hash);
        wide[..32].reverse();
        Self(Fr::from_uniform_bytes(&wide))
    }

    fn get_scalar(&self) -> Fr {
        self.0
    }
}

/// The hash state shared by both sides.
#[derive(Clone, Debug, Default)]
struct Sponge {
    buffer: Vec<u8>,
}

impl Sponge {
    fn absorb_scalar(&mut self, scalar: &Fr) {
        self.buffer.extend_from_slice(&scalar_to_bytes(scalar));
    }

    fn absorb_point(&mut self, point: &G1Affine) -> Result<(), TranscriptError> {
        self.buffer.extend_from_slice(&point_to_bytes(point)?);
        Ok(())
    }

    fn squeeze(&mut self) -> KeccakChallenge {
        let mut hasher = Keccak256::new_with_prefix(&self.buffer);
        if self.buffer.len() == 32 {
            hasher.update([1u8]);
        }
        let hash: [u8; 32] = hasher.finalize().into();
        self.buffer.clear();
        self.buffer.extend_from_slice(&hash);
        KeccakChallenge::new(&hash)
    }
}

/// The 32 big-endian bytes of a scalar.
#[must_use]
pub fn scalar_to_bytes(scalar: &Fr) -> [u8; SCALAR_BYTES] {
    let mut bytes: [u8; 32] = scalar.to_repr();
    bytes.reverse();
    bytes
}

/// Reads a scalar from 32 big-endian bytes; `None` unless they are below the group order.
#[must_use]
pub fn scalar_from_bytes(bytes: &[u8; SCALAR_BYTES]) -> Option<Fr> {
    let mut repr = *bytes;
    repr.reverse();
    Option::from(Fr::from_repr(repr))
}

/// The 64 bytes of a finite point: `x` then `y`, big-endian.
///
/// # Errors
/// [`TranscriptError::Identity`] for the identity, which has no affine coordinates.
pub fn point_to_bytes(point: &G1Affine) -> Result<[u8; POINT_BYTES], TranscriptError> {
    if bool::from(point.is_identity()) {
        return Err(TranscriptError::Identity);
    }
    let mut bytes = [0u8; POINT_BYTES];
    for (word, coordinate) in bytes.chunks_exact_mut(32).zip([point.x, point.y]) {
        word.copy_from_slice(coordinate.to_repr().as_ref());
        word.reverse();
    }
    Ok(bytes)
}

/// Reads a finite point of the curve from 64 bytes; `offset` only serves the error.
///
/// # Errors
/// [`TranscriptError::CoordinateNotCanonical`] or [`TranscriptError::NotOnCurve`].
pub fn point_from_bytes(
    bytes: &[u8; POINT_BYTES],
    offset: usize,
) -> Result<G1Affine, TranscriptError> {
    let coordinate = |word: &[u8]| -> Option<Fq> {
        let mut repr = [0u8; 32];
        repr.copy_from_slice(word);
        repr.reverse();
        Option::from(Fq::from_repr(repr))
    };
    let (Some(x), Some(y)) = (coordinate(&bytes[..32]), coordinate(&bytes[32..])) else {
        return Err(TranscriptError::CoordinateNotCanonical { offset });
    };
    // BN254's G1 has prime order, so a point on the curve is in the group. The identity is held as
    // (0, 0), which some curve checks let pass.
    Option::<G1Affine>::from(G1Affine::from_xy(x, y))
        .filter(|point| !bool::from(point.is_identity()))
        .ok_or(TranscriptError::NotOnCurve { offset })
}

/// The prover's side: absorbs, and collects the proof.
#[derive(Clone, Debug, Default)]
pub struct KeccakWrite {
    sponge: Sponge,
    proof: Vec<u8>,
}

impl KeccakWrite {
    /// A transcript with nothing absorbed and an empty proof.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The proof written so far.
    #[must_use]
    pub fn into_proof(self) -> Vec<u8> {
        self.proof
    }
}

impl Transcript<G1Affine, KeccakChallenge> for KeccakWrite {
    fn squeeze_challenge(&mut self) -> KeccakChallenge {
        self.sponge.squeeze()
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        Ok(self.sponge.absorb_point(&point)?)
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.sponge.absorb_scalar(&scalar);
        Ok(())
    }
}

impl TranscriptWrite<G1Affine, KeccakChallenge> for KeccakWrite {
    fn write_point(&mut self, point: G1Affine) -> io::Result<()> {
        let bytes = point_to_bytes(&point)?;
        self.sponge.buffer.extend_from_slice(&bytes);
        self.proof.extend_from_slice(&bytes);
        Ok(())
    }

    fn write_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.sponge.absorb_scalar(&scalar);
        self.proof.extend_from_slice(&scalar_to_bytes(&scalar));
        Ok(())
    }
}

impl TranscriptWriterBuffer<Vec<u8>, G1Affine, KeccakChallenge> for KeccakWrite {
    fn init(proof: Vec<u8>) -> Self {
        Self {
            sponge: Sponge::default(),
            proof,
        }
    }

    fn finalize(self) -> Vec<u8> {
        self.proof
    }
}

/// The verifier's side: absorbs, and takes values from a proof.
///
/// Call [`finish`](Self::finish) when done: halo2's `verify_proof` does not look at what follows the
/// last value it needs.
#[derive(Clone, Debug)]
pub struct KeccakRead<'a> {
    sponge: Sponge,
    proof: &'a [u8],
    offset: usize,
}

impl<'a> KeccakRead<'a> {
    /// A transcript with nothing absorbed, at the start of `proof`.
    #[must_use]
    pub fn new(proof: &'a [u8]) -> Self {
        Self {
            sponge: Sponge::default(),
            proof,
            offset: 0,
        }
    }

    /// How many bytes of the proof have not been read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.proof.len() - self.offset
    }

    /// Checks that the whole proof has been read.
    ///
    /// # Errors
    /// [`TranscriptError::TrailingBytes`] if bytes are left.
    pub fn finish(self) -> Result<(), TranscriptError> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(TranscriptError::TrailingBytes {
                used: self.offset,
                length: self.proof.len(),
            })
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], TranscriptError> {
        let bytes =
            self.proof[self.offset..]
                .first_chunk::<N>()
                .ok_or(TranscriptError::Truncated {
                    offset: self.offset,
                    needed: N,
                    available: self.proof.len(),
                })?;
        self.offset += N;
        Ok(*bytes)
    }
}

impl Transcript<G1Affine, KeccakChallenge> for KeccakRead<'_> {
    fn squeeze_challenge(&mut self) -> KeccakChallenge {
        self.sponge.squeeze()
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        Ok(self.sponge.absorb_point(&point)?)
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.sponge.absorb_scalar(&scalar);
        Ok(())
    }
}

impl TranscriptRead<G1Affine, KeccakChallenge> for KeccakRead<'_> {
    fn read_point(&mut self) -> io::Result<G1Affine> {
        let offset = self.offset;
        let bytes = self.take::<POINT_BYTES>()?;
        let point = point_from_bytes(&bytes, offset)?;
        self.sponge.buffer.extend_from_slice(&bytes);
        Ok(point)
    }

    fn read_scalar(&mut self) -> io::Result<Fr> {
        let offset = self.offset;
        let bytes = self.take::<SCALAR_BYTES>()?;
        let scalar =
            scalar_from_bytes(&bytes).ok_or(TranscriptError::ScalarNotCanonical { offset })?;
        self.sponge.buffer.extend_from_slice(&bytes);
        Ok(scalar)
    }
}

impl<'a> TranscriptReadBuffer<&'a [u8], G1Affine, KeccakChallenge> for KeccakRead<'a> {
    fn init(proof: &'a [u8]) -> Self {
        Self::new(proof)
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;

    use super::*;

    fn keccak(parts: &[&[u8]]) -> [u8; 32] {
        parts
            .iter()
            .fold(Keccak256::new(), |h, p| h.chain_update(p))
            .finalize()
            .into()
    }

    fn reduce(hash: &[u8; 32]) -> Fr {
        // Horner over the bytes: independent of the wide reduction under test.
        hash.iter().fold(Fr::ZERO, |acc, b| {
            acc * Fr::from(256) + Fr::from(u64::from(*b))
        })
    }

    #[test]
    fn squeezes_hash_what_was_absorbed() {
        let mut t = KeccakWrite::new();
        // Nothing absorbed.
        let empty = keccak(&[]);
        assert_eq!(*t.squeeze_challenge_scalar::<()>(), reduce(&empty));
        // A lone word in the buffer: separated by the byte 1.
        let again = keccak(&[&empty, &[1]]);
        assert_eq!(*t.squeeze_challenge_scalar::<()>(), reduce(&again));
        // Longer buffers: no separator.
        t.common_scalar(Fr::from(0x0102)).unwrap();
        let mut word = [0u8; 32];
        (word[30], word[31]) = (1, 2);
        let third = keccak(&[&again, &word]);
        assert_eq!(*t.squeeze_challenge_scalar::<()>(), reduce(&third));
        t.common_point(G1Affine::generator()).unwrap();
        let (mut x, mut y) = ([0u8; 32], [0u8; 32]);
        (x[31], y[31]) = (1, 2);
        let fourth = keccak(&[&third, &x, &y]);
        assert_eq!(*t.squeeze_challenge_scalar::<()>(), reduce(&fourth));
    }

    #[test]
    fn reads_what_was_written() {
        let point = G1Affine::from(G1Affine::generator() * Fr::from(7));
        let scalar = -Fr::from(5);
        let mut w = KeccakWrite::new();
        w.write_point(point).unwrap();
        w.write_scalar(scalar).unwrap();
        let challenge = w.squeeze_challenge();
        let proof = w.into_proof();
        assert_eq!(proof.len(), POINT_BYTES + SCALAR_BYTES);
        let mut r = KeccakRead::new(&proof);
        assert_eq!(r.read_point().unwrap(), point);
        assert_eq!(r.remaining(), SCALAR_BYTES);
        assert_eq!(
            r.clone().finish(),
            Err(TranscriptError::TrailingBytes {
                used: POINT_BYTES,
                length: proof.len()
            })
        );
        assert_eq!(r.read_scalar().unwrap(), scalar);
        assert_eq!(r.squeeze_challenge(), challenge);
        r.finish().unwrap();
    }

    fn error_of<T: std::fmt::Debug>(result: io::Result<T>) -> TranscriptError {
        let error = result.unwrap_err();
        *error
            .get_ref()
            .and_then(|e| e.downcast_ref())
            .expect("a transcript error")
    }

    #[test]
    fn refuses_other_encodings() {
        // r and q themselves, from the definition of the fields: -1, plus one.
        let plus_one = |mut bytes: [u8; 32]| {
            bytes[31] += 1; // both moduli are odd, so -1 is even and nothing carries
            bytes
        };
        let r = plus_one(scalar_to_bytes(&-Fr::ONE));
        assert_eq!(
            error_of(KeccakRead::new(&r).read_scalar()),
            TranscriptError::ScalarNotCanonical { offset: 0 }
        );
        let mut q: [u8; 32] = (-Fq::ONE).to_repr();
        q.reverse();
        let q = plus_one(q);
        let good = point_to_bytes(&G1Affine::generator()).unwrap();
        for word in 0..2 {
            let mut bad = good;
            bad[32 * word..32 * word + 32].copy_from_slice(&q);
            assert_eq!(
                error_of(KeccakRead::new(&bad).read_point()),
                TranscriptError::CoordinateNotCanonical { offset: 0 }
            );
        }
        let mut off_curve = good;
        off_curve[63] = 3;
        for bad in [off_curve, [0u8; 64]] {
            assert_eq!(
                error_of(KeccakRead::new(&bad).read_point()),
                TranscriptError::NotOnCurve { offset: 0 }
            );
        }
        assert_eq!(
            error_of(KeccakRead::new(&good[..63]).read_point()),
            TranscriptError::Truncated {
                offset: 0,
                needed: 64,
                available: 63
            }
        );
        let identity = G1Affine::default();
        assert_eq!(
            error_of(KeccakWrite::new().write_point(identity)),
            TranscriptError::Identity
        );
        assert_eq!(
            error_of(KeccakWrite::new().common_point(identity)),
            TranscriptError::Identity
        );
    }
}
