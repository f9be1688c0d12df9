//! The payload of an SRS file, of which a reader checks just the parts that it uses.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | `k`, little-endian |
//! | 1 | 1 for an insecure SRS, else 0 |
//! | 128 | `s·G2` |
//! | 32 each | Keccak-256 of each chunk of points |
//! | 32 | Keccak-256 of everything before |
//! | 64 each | the `2^k` points of the monomial basis, then those of the Lagrange basis |
//!
//! A chunk is [`CHUNK_POINTS`] points of one basis, or the basis where it is smaller. So the hash of the head
//! vouches for all of the file, and a prover for `2^12` rows hashes 256 KiB of a file for `2^20`.

use std::path::Path;

use halo2_proofs::halo2curves::bn256::G1Affine;
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use super::{MAX_K, Srs, SrsError};
use crate::{
    artifact::{self, ArtifactError, Flags, Kind},
    bytes::{PayloadError, Reader, point_or_identity, push_g2, push_u32, put_point},
    mapped::Mapped,
    output::OutputError,
    transcript::POINT_BYTES,
};

/// Points under one hash.
const CHUNK_POINTS: usize = 1 << 12;
const CHUNK_BYTES: usize = CHUNK_POINTS * POINT_BYTES;
const HASH_BYTES: usize = 32;

const MONOMIAL: &str = "point of the monomial basis";
const LAGRANGE: &str = "point of the Lagrange basis";

impl Srs {
    /// The payload of an SRS file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut points = vec![0u8; 2 * POINT_BYTES * self.g.len()];
        points
            .par_chunks_exact_mut(POINT_BYTES)
            .zip(self.g.par_iter().chain(&self.g_lagrange))
            .for_each(|(bytes, point)| put_point(bytes, point));
        let (monomial, lagrange) = points.split_at(points.len() / 2);
        let mut bytes = vec![];
        push_u32(&mut bytes, self.k as usize);
        bytes.push(u8::from(self.insecure));
        push_g2(&mut bytes, &self.s_g2);
        for basis in [monomial, lagrange] {
            let hashes: Vec<[u8; HASH_BYTES]> = basis
                .par_chunks(CHUNK_BYTES)
                .map(|chunk| Keccak256::digest(chunk).into())
                .collect();
            bytes.extend_from_slice(hashes.as_flattened());
        }
        let hash = Keccak256::digest(&bytes);
        bytes.extend_from_slice(&hash);
        bytes.append(&mut points);
        bytes
    }

    /// Reads the payload of an SRS file: every hash is checked, and every point to be on its curve and not the identity.
    ///
    /// # Errors
    /// [`SrsError`] for malformed bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SrsError> {
        Payload::parse(bytes)?.srs()
    }

    /// Writes the SRS to a file; the file's size.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn save(&self, path: &Path) -> Result<u64, OutputError> {
        artifact::write(
            path,
            Kind::Srs,
            Flags {
                insecure: self.insecure,
            },
            &self.to_bytes(),
        )
    }

    /// Reads all of an SRS file.
    ///
    /// # Errors
    /// [`SrsError`] for a missing, foreign or malformed file.
    pub fn load(path: &Path) -> Result<Self, SrsError> {
        with_payload(path, |file| file.srs())
    }

    /// Reads what `2^k` rows need of an SRS file, which may be for more: as [`load`](Self::load), then
    /// [`downsize`](Self::downsize), but the rest of the file is neither read nor hashed.
    ///
    /// # Errors
    /// As those two.
    pub fn load_for(path: &Path, k: u32) -> Result<Self, SrsError> {
        with_payload(path, |file| {
            if k == file.k {
                return file.srs();
            }
            if k > file.k {
                return Err(SrsError::TooSmall {
                    have: file.k,
                    need: k,
                });
            }
            if k == 0 {
                return Err(SrsError::KOutOfRange { k });
            }
            Self::from_first_powers(k, file.points(MONOMIAL, k)?, file.s_g2, file.insecure)
        })
    }
}

/// Maps the file and hands its payload over. The payload's own hashes stand in for the artifact's, and every
/// field of the header is compared with something else.
fn with_payload(
    path: &Path,
    read: impl FnOnce(&Payload<'_>) -> Result<Srs, SrsError>,
) -> Result<Srs, SrsError> {
    let bytes = Mapped::open(path).map_err(|why| ArtifactError::unreadable(path, why))?;
    let (flags, payload) = artifact::unhashed_payload(&bytes, Kind::Srs, path)?;
    let file = Payload::parse(payload)?;
    if flags.insecure != file.insecure {
        return Err(ArtifactError::DamagedHeader {
            path: path.to_owned(),
        }
        .into());
    }
    read(&file)
}

/// A payload whose head and length are right.
struct Payload<'a> {
    k: u32,
    insecure: bool,
    s_g2: halo2_proofs::halo2curves::bn256::G2Affine,
    hashes: &'a [u8],
    points: &'a [u8],
    /// Where the points start.
    offset: usize,
}

impl<'a> Payload<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, SrsError> {
        let mut reader = Reader::new(bytes);
        let k = reader.u32("the size k")?;
        if !(1..=MAX_K).contains(&k) {
            return Err(SrsError::KOutOfRange { k });
        }
        let insecure = reader.bool("flag of insecurity")?;
        let s_g2 = reader.g2("s·G2")?;
        let chunks = (1usize << k).div_ceil(CHUNK_POINTS);
        let hashes = reader.take(2 * chunks * HASH_BYTES, "the hashes of the points")?;
        let head = &bytes[..reader.offset()];
        if reader.take(HASH_BYTES, "the hash of the head")? != &Keccak256::digest(head)[..] {
            return Err(SrsError::Corrupt {
                what: "the head",
                offset: 0,
            });
        }
        let offset = reader.offset();
        let points = reader.take((2 * POINT_BYTES) << k, "the points")?;
        reader.finish()?;
        Ok(Self {
            k,
            insecure,
            s_g2,
            hashes,
            points,
            offset,
        })
    }

    /// All of it.
    fn srs(&self) -> Result<Srs, SrsError> {
        let g = self.points(MONOMIAL, self.k)?;
        let g_lagrange = self.points(LAGRANGE, self.k)?;
        Srs::from_parts(self.k, g, Some(g_lagrange), self.s_g2, self.insecure)
    }

    /// The first `2^k` points of a basis; the chunks that hold them are checked.
    fn points(&self, what: &'static str, k: u32) -> Result<Vec<G1Affine>, SrsError> {
        let second = usize::from(what == LAGRANGE);
        let start = second * self.points.len() / 2;
        let basis = &self.points[start..start + self.points.len() / 2];
        let hashes = &self.hashes[second * self.hashes.len() / 2..];
        let used = basis
            .len()
            .min((POINT_BYTES << k).next_multiple_of(CHUNK_BYTES));
        basis[..used]
            .par_chunks(CHUNK_BYTES)
            .zip(hashes.par_chunks_exact(HASH_BYTES))
            .enumerate()
            .try_for_each(
                |(i, (chunk, hash))| match Keccak256::digest(chunk)[..] == *hash {
                    true => Ok(()),
                    false => Err(SrsError::Corrupt {
                        what,
                        offset: self.offset + start + i * CHUNK_BYTES,
                    }),
                },
            )?;
        basis[..POINT_BYTES << k]
            .par_chunks_exact(POINT_BYTES)
            .enumerate()
            .map(|(i, bytes)| {
                point_or_identity(bytes).ok_or(SrsError::Payload(PayloadError::Invalid {
                    what,
                    offset: self.offset + start + i * POINT_BYTES,
                }))
            })
            .collect()
    }
}
