//! Reading and writing the payloads of key and SRS files.
//!
//! Integers are little-endian; points and scalars have the transcript's encodings (big-endian,
//! canonical), G2 points the order of the EVM's pairing precompile.

use ff::PrimeField;
use group::{cofactor::CofactorGroup, prime::PrimeCurveAffine};
use halo2_proofs::halo2curves::{
    CurveAffine,
    bn256::{Fq, Fq2, Fr, G1Affine, G2, G2Affine},
};

use crate::transcript::{POINT_BYTES, SCALAR_BYTES, scalar_from_bytes, scalar_to_bytes};

/// Bytes of a G2 point: `x.c1, x.c0, y.c1, y.c0`, 32 bytes big-endian each.
pub(crate) const G2_BYTES: usize = 128;

/// Why a payload could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The payload is shorter than its own counts say.
    #[error("ends at byte {available}, but {what} needs {needed} bytes from byte {offset} on")]
    Short {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// How many bytes it takes.
        needed: usize,
        /// Length of the payload.
        available: usize,
    },
    /// Bytes follow the last value.
    #[error("has {extra} bytes after its end")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// A value is out of its range.
    #[error("holds an invalid {what} at byte {offset}")]
    Invalid {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        offset: usize,
    },
}

/// A cursor over untrusted bytes: every length is checked against what is left before use.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(crate) fn take(
        &mut self,
        len: usize,
        what: &'static str,
    ) -> Result<&'a [u8], PayloadError> {
        let rest = &self.bytes[self.offset..];
        let Some(taken) = rest.get(..len) else {
            return Err(PayloadError::Short {
                what,
                offset: self.offset,
                needed: len,
                available: self.bytes.len(),
            });
        };
        self.offset += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], PayloadError> {
        let mut array = [0u8; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// How many bytes have been read.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// The error for the value of `len` bytes that was just read.
    pub(crate) fn invalid(&self, len: usize, what: &'static str) -> PayloadError {
        PayloadError::Invalid {
            what,
            offset: self.offset - len,
        }
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, PayloadError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn bool(&mut self, what: &'static str) -> Result<bool, PayloadError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.invalid(1, what)),
        }
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, PayloadError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A count of things that take at least `item_bytes` each; refused if they cannot all be there.
    pub(crate) fn count(
        &mut self,
        item_bytes: usize,
        what: &'static str,
    ) -> Result<usize, PayloadError> {
        let count = self.u32(what)? as usize;
        let needed = count.saturating_mul(item_bytes);
        if needed > self.bytes.len() - self.offset {
            return Err(PayloadError::Short {
                what,
                offset: self.offset,
                needed,
                available: self.bytes.len(),
            });
        }
        Ok(count)
    }

    pub(crate) fn scalar(&mut self, what: &'static str) -> Result<Fr, PayloadError> {
        let bytes = self.array(what)?;
        scalar_from_bytes(&bytes).ok_or_else(|| self.invalid(SCALAR_BYTES, what))
    }

    /// A point, or the identity as 64 zero bytes (the commitment of an all-zero column).
    pub(crate) fn point(&mut self, what: &'static str) -> Result<G1Affine, PayloadError> {
        let bytes: [u8; POINT_BYTES] = self.array(what)?;
        point_or_identity(&bytes).ok_or_else(|| self.invalid(POINT_BYTES, what))
    }

    pub(crate) fn g2(&mut self, what: &'static str) -> Result<G2Affine, PayloadError> {
        let bytes: [u8; G2_BYTES] = self.array(what)?;
        let fq = |i: usize| fq_from_bytes(&bytes[32 * i..32 * i + 32]);
        let point = || {
            let (x1, x0, y1, y0) = (fq(0)?, fq(1)?, fq(2)?, fq(3)?);
            let point: G2Affine = Option::from(G2Affine::from_xy(
                Fq2 { c0: x0, c1: x1 },
                Fq2 { c0: y0, c1: y1 },
            ))?;
            // The curve over Fq2 has points outside the pairing's group, unlike the one over Fq.
            let in_group = bool::from(G2::from(point).is_torsion_free());
            (in_group && !bool::from(point.is_identity())).then_some(point)
        };
        point().ok_or_else(|| self.invalid(G2_BYTES, what))
    }

    pub(crate) fn finish(self) -> Result<(), PayloadError> {
        match self.bytes.len() - self.offset {
            0 => Ok(()),
            extra => Err(PayloadError::Trailing { extra }),
        }
    }
}

fn fq_from_bytes(word: &[u8]) -> Option<Fq> {
    let mut repr = [0u8; 32];
    repr.copy_from_slice(word);
    repr.reverse();
    Option::from(Fq::from_repr(repr))
}

fn fq_to_bytes(out: &mut [u8], value: &Fq) {
    out.copy_from_slice(value.to_repr().as_ref());
    out.reverse();
}

/// Reads 64 bytes as a point of G1; 64 zero bytes are the identity.
pub(crate) fn point_or_identity(bytes: &[u8]) -> Option<G1Affine> {
    if bytes.iter().all(|b| *b == 0) {
        return Some(G1Affine::identity());
    }
    let (x, y) = (fq_from_bytes(&bytes[..32])?, fq_from_bytes(&bytes[32..64])?);
    Option::from(G1Affine::from_xy(x, y))
}

/// Writes a point of G1; the identity as 64 zero bytes.
pub(crate) fn put_point(out: &mut [u8], point: &G1Affine) {
    if bool::from(point.is_identity()) {
        out.fill(0);
    } else {
        fq_to_bytes(&mut out[..32], &point.x);
        fq_to_bytes(&mut out[32..64], &point.y);
    }
}

pub(crate) fn push_u32(out: &mut Vec<u8>, value: usize) {
    let value = u32::try_from(value).expect("counts of columns and rows fit 32 bits: k <= 28");
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn push_scalar(out: &mut Vec<u8>, value: &Fr) {
    out.extend_from_slice(&scalar_to_bytes(value));
}

pub(crate) fn push_point(out: &mut Vec<u8>, point: &G1Affine) {
    let start = out.len();
    out.resize(start + POINT_BYTES, 0);
    put_point(&mut out[start..], point);
}

pub(crate) fn push_g2(out: &mut Vec<u8>, point: &G2Affine) {
    let start = out.len();
    out.resize(start + G2_BYTES, 0);
    let words = out[start..].chunks_exact_mut(32);
    for (word, fq) in words.zip([point.x.c1, point.x.c0, point.y.c1, point.y.c0]) {
        fq_to_bytes(word, &fq);
    }
}
