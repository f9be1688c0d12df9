//! The container of every file tensorseal writes.
//!
//! | bytes | field |
//! |---|---|
//! | 5 | the magic `TSEAL` |
//! | 1 | format version, [`FORMAT_VERSION`] |
//! | 1 | kind of artifact, [`Kind`] |
//! | 1 | flags: bit 0, made with an insecure SRS; the others are zero |
//! | 8 | payload length, little-endian |
//! | … | payload |
//! | 32 | Keccak-256 of everything before |
//!
//! The hash catches damage, not malice: whoever can write the file can write its hash.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use ::bytes::Bytes;
use sha3::{Digest, Keccak256};

use crate::{
    mapped::Mapped,
    output::{self, OutputError},
};

/// The version written, and the only one read.
pub const FORMAT_VERSION: u8 = 1;

/// What every artifact begins with.
pub const MAGIC: &[u8; 5] = b"TSEAL";
const HEADER_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const FLAG_INSECURE: u8 = 1;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A compiled model.
    Model = 1,
    /// A structured reference string.
    Srs = 2,
    /// A proving key.
    ProvingKey = 3,
    /// A verifying key.
    VerifyingKey = 4,
    /// A proof and its public values.
    Proof = 5,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Model,
            Self::Srs,
            Self::ProvingKey,
            Self::VerifyingKey,
            Self::Proof,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Model => "compiled model",
            Self::Srs => "SRS",
            Self::ProvingKey => "proving key",
            Self::VerifyingKey => "verifying key",
            Self::Proof => "proof",
        })
    }
}

/// What the header says besides the kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The file stems from an SRS whose secret is known, so proofs under it can be forged.
    pub insecure: bool,
}

/// A file's content, checked against its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// What it holds.
    pub kind: Kind,
    /// What the header says of it.
    pub flags: Flags,
    /// The content proper: part of a mapped file, or in memory.
    pub payload: Bytes,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// There is no such file.
    #[error("{}: no such file; check the path, or make it first", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not begin with the magic.
    #[error("{}: not a tensorseal file; expected a {expected}", path.display())]
    NotTensorseal {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        expected: Kind,
    },
    /// The file is of another format version.
    #[error(
        "{}: written in format version {found}, but this program reads version {FORMAT_VERSION}; \
         make the file again with this program", path.display()
    )]
    WrongVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u8,
    },
    /// The file holds something else.
    #[error("{}: this is a {found}, where a {expected} is needed", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        expected: Kind,
        /// What the file holds.
        found: Kind,
    },
    /// The header has a kind or a flag that this version does not define.
    #[error("{}: the header is damaged; restore the file or make it again", path.display())]
    DamagedHeader {
        /// The file.
        path: PathBuf,
    },
    /// The file is shorter than its header says.
    #[error(
        "{}: truncated: {expected} bytes expected, {found} found; copy the file again", path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// How long it should be.
        expected: u64,
        /// How long it is.
        found: u64,
    },
    /// The file is longer than its header says.
    #[error(
        "{}: {} bytes follow the end of the artifact; copy the file again", path.display(), found - expected
    )]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// How long it should be.
        expected: u64,
        /// How long it is.
        found: u64,
    },
    /// The hash does not fit the content.
    #[error("{}: corrupt: the content does not match its hash; copy the file again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
}

impl ArtifactError {
    /// The error for a file that could not be opened or read.
    #[must_use]
    pub fn unreadable(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            _ => Self::Io { path, source },
        }
    }
}

/// The bytes of an artifact.
#[must_use]
pub fn encode(kind: Kind, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len() + HASH_BYTES);
    bytes.extend_from_slice(&header(kind, flags, payload.len()));
    bytes.extend_from_slice(payload);
    let hash = Keccak256::digest(&bytes);
    bytes.extend_from_slice(&hash);
    bytes
}

/// Reads an artifact from bytes; `path` only serves the errors.
///
/// # Errors
/// Whatever is wrong with the bytes, see [`ArtifactError`].
pub fn decode(bytes: Bytes, kind: Kind, path: &Path) -> Result<Artifact, ArtifactError> {
    let (found, flags) = check(&bytes, kind, path)?;
    expect_kind(found, kind, path)?;
    Ok(Artifact {
        kind,
        flags,
        payload: bytes.slice(HEADER_BYTES..bytes.len() - HASH_BYTES),
    })
}

/// Checks that bytes are an artifact of any kind, hash included, and tells what the header says; the errors
/// name `path` and the kind `expected`.
///
/// # Errors
/// Whatever is wrong with the bytes, see [`ArtifactError`].
pub fn check(bytes: &[u8], expected: Kind, path: &Path) -> Result<(Kind, Flags), ArtifactError> {
    let head = parse_header(bytes, expected, path)?;
    let (content, hash) = bytes.split_at(bytes.len() - HASH_BYTES);
    if Keccak256::digest(content)[..] != *hash {
        return Err(ArtifactError::Corrupt {
            path: path.to_owned(),
        });
    }
    Ok(head)
}

/// What the header says and the payload, for a reader that does not use all of it and has another way to
/// check what it uses: the hash over everything is **not** checked.
pub(crate) fn unhashed_payload<'a>(
    bytes: &'a [u8],
    kind: Kind,
    path: &Path,
) -> Result<(Flags, &'a [u8]), ArtifactError> {
    let (found, flags) = parse_header(bytes, kind, path)?;
    expect_kind(found, kind, path)?;
    Ok((flags, &bytes[HEADER_BYTES..bytes.len() - HASH_BYTES]))
}

fn expect_kind(found: Kind, expected: Kind, path: &Path) -> Result<(), ArtifactError> {
    if found == expected {
        return Ok(());
    }
    Err(ArtifactError::WrongKind {
        path: path.to_owned(),
        expected,
        found,
    })
}

/// The header's kind and flags; the length it states is that of `bytes`.
fn parse_header(bytes: &[u8], expected: Kind, path: &Path) -> Result<(Kind, Flags), ArtifactError> {
    let path = || path.to_owned();
    if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) || bytes.is_empty() {
        return Err(ArtifactError::NotTensorseal {
            path: path(),
            expected,
        });
    }
    let found = bytes.len() as u64;
    let shortest = (HEADER_BYTES + HASH_BYTES) as u64;
    let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(ArtifactError::Truncated {
            path: path(),
            expected: shortest,
            found,
        });
    };
    // The version decides what the other fields mean, so it comes first.
    if head[5] != FORMAT_VERSION {
        return Err(ArtifactError::WrongVersion {
            path: path(),
            found: head[5],
        });
    }
    let Some(kind) = Kind::from_byte(head[6]).filter(|_| head[7] & !FLAG_INSECURE == 0) else {
        return Err(ArtifactError::DamagedHeader { path: path() });
    };
    let mut length = [0u8; 8];
    length.copy_from_slice(&head[8..]);
    let expected = u64::from_le_bytes(length).saturating_add(shortest);
    if found < expected {
        return Err(ArtifactError::Truncated {
            path: path(),
            expected,
            found,
        });
    }
    if found > expected {
        return Err(ArtifactError::TrailingBytes {
            path: path(),
            expected,
            found,
        });
    }
    let flags = Flags {
        insecure: head[7] & FLAG_INSECURE != 0,
    };
    Ok((kind, flags))
}

/// Writes an artifact to what `path` names, see [`output`]; the size of the artifact.
///
/// # Errors
/// [`OutputError`]; the old file, if there was one, is then untouched.
pub fn write(path: &Path, kind: Kind, flags: Flags, payload: &[u8]) -> Result<u64, OutputError> {
    let head = header(kind, flags, payload.len());
    let hash = Keccak256::new()
        .chain_update(head)
        .chain_update(payload)
        .finalize();
    output::write(path, &[&head, payload, &hash])
}

/// Reads the artifact of a given kind from `path`.
///
/// # Errors
/// Whatever is wrong with the file, see [`ArtifactError`].
pub fn read(path: &Path, kind: Kind) -> Result<Artifact, ArtifactError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|source| ArtifactError::unreadable(path, source))?;
    decode(bytes.into(), kind, path)
}

/// As [`read`], of a file that stays mapped: its payload is in memory only as far as it is looked at.
///
/// # Errors
/// Whatever is wrong with the file, see [`ArtifactError`]; a pipe cannot be mapped.
pub fn map(path: &Path, kind: Kind) -> Result<Artifact, ArtifactError> {
    let mapped = Mapped::open(path).map_err(|why| ArtifactError::unreadable(path, why))?;
    decode(Bytes::from_owner(mapped), kind, path)
}

fn header(kind: Kind, flags: Flags, payload_bytes: usize) -> [u8; HEADER_BYTES] {
    let mut head = [0u8; HEADER_BYTES];
    head[..5].copy_from_slice(MAGIC);
    head[5] = FORMAT_VERSION;
    head[6] = kind as u8;
    head[7] = if flags.insecure { FLAG_INSECURE } else { 0 };
    head[8..].copy_from_slice(&(payload_bytes as u64).to_le_bytes());
    head
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8], kind: Kind) -> Result<Artifact, ArtifactError> {
        decode(Bytes::copy_from_slice(bytes), kind, Path::new("x.seal"))
    }

    #[test]
    fn each_fault_has_its_error() {
        let good = encode(Kind::Srs, Flags { insecure: true }, b"payload");
        let artifact = parse(&good, Kind::Srs).unwrap();
        assert_eq!(artifact.payload, b"payload"[..]);
        assert!(artifact.flags.insecure);

        let mut bytes = good.clone();
        bytes[0] = b'X';
        assert!(matches!(
            parse(&bytes, Kind::Srs),
            Err(ArtifactError::NotTensorseal { .. })
        ));
        assert!(matches!(
            parse(&[], Kind::Srs),
            Err(ArtifactError::NotTensorseal { .. })
        ));

        let mut bytes = good.clone();
        bytes[5] = 9;
        let error = parse(&bytes, Kind::Srs).unwrap_err();
        assert!(matches!(
            error,
            ArtifactError::WrongVersion { found: 9, .. }
        ));

        let error = parse(&good, Kind::ProvingKey).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x.seal: this is a SRS, where a proving key is needed"
        );

        for at in [6, 7] {
            let mut bytes = good.clone();
            bytes[at] = 0x80;
            assert!(matches!(
                parse(&bytes, Kind::Srs),
                Err(ArtifactError::DamagedHeader { .. })
            ));
        }
        for len in 1..good.len() {
            let error = parse(&good[..len], Kind::Srs).unwrap_err();
            assert!(
                matches!(error, ArtifactError::Truncated { .. }),
                "{len}: {error}"
            );
        }
        let mut bytes = good.clone();
        bytes.push(0);
        assert!(matches!(
            parse(&bytes, Kind::Srs),
            Err(ArtifactError::TrailingBytes { .. })
        ));
        let mut bytes = good.clone();
        bytes[18] ^= 1;
        assert!(matches!(
            parse(&bytes, Kind::Srs),
            Err(ArtifactError::Corrupt { .. })
        ));
    }

    #[test]
    fn a_huge_length_field_is_only_compared() {
        let mut bytes = encode(Kind::Model, Flags::default(), b"");
        bytes[8..16].fill(0xff);
        assert!(matches!(
            parse(&bytes, Kind::Model),
            Err(ArtifactError::Truncated { .. })
        ));
    }

    #[test]
    fn files_replace_each_other_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.seal");
        assert!(matches!(
            read(&path, Kind::Model),
            Err(ArtifactError::NotFound { .. })
        ));
        for payload in [&b"one"[..], b"another"] {
            write(&path, Kind::Model, Flags::default(), payload).unwrap();
            let artifact = read(&path, Kind::Model).unwrap();
            assert_eq!(artifact.payload, payload);
            assert_eq!(map(&path, Kind::Model).unwrap(), artifact);
            assert!(matches!(
                map(&path, Kind::Srs),
                Err(ArtifactError::WrongKind { .. })
            ));
            assert_eq!(
                std::fs::read(&path).unwrap(),
                encode(Kind::Model, Flags::default(), payload)
            );
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
        let nowhere = folder.path().join("missing/a.seal");
        let error = write(&nowhere, Kind::Model, Flags::default(), b"").unwrap_err();
        assert!(matches!(error, OutputError::Io { .. }));
    }

    proptest! {
        #[test]
        fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&bytes, Kind::Model).is_err());
        }

        #[test]
        fn a_changed_byte_is_refused(
            payload in proptest::collection::vec(any::<u8>(), 0..100),
            at in any::<proptest::sample::Index>(),
            flip in 1u8..,
        ) {
            let mut bytes = encode(Kind::Model, Flags::default(), &payload);
            prop_assert_eq!(&parse(&bytes, Kind::Model).unwrap().payload, &payload);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert!(parse(&bytes, Kind::Model).is_err());
        }
    }
}
