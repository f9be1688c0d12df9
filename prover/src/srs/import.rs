//! Import of a ceremony's result: `.ptau` files of snarkjs, and the raw parameters of halo2.
//!
//! Everything that is kept is checked: each point to be on its curve, in the group of prime order and not the
//! identity; the first ones to be the generators; the powers to be those of the one secret in `s·G2`, none
//! of them twice; and the Lagrange basis, which comes from the file or from our own transform, to be that of the
//! powers. What no check can tell is whether the secret was thrown away: compare the file's hash with the one
//! that the ceremony published.

use group::cofactor::CofactorGroup;
use halo2_proofs::halo2curves::{
    CurveAffine,
    bn256::{Fq, Fq2, G1Affine, G2, G2Affine},
    serde::SerdeObject,
};
use rand::{CryptoRng, RngCore};
use rayon::prelude::*;

use super::{
    Srs, SrsError,
    check::{check_lagrange, check_powers},
    dev, halo2, lagrange, ptau,
};

/// Points decoded between two reports of progress.
const BLOCK_POINTS: usize = 1 << 14;

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is in none of the known formats.
    #[error(
        "neither a snarkjs .ptau file (which begins with `ptau`) nor halo2 parameters (which begin with k, 1 to \
         28, in four bytes); the file has {file_bytes} bytes: check what was downloaded"
    )]
    UnknownFormat {
        /// Length of the file.
        file_bytes: usize,
    },
    /// The length of halo2 parameters does not fit their size.
    #[error(
        "truncated or foreign: halo2 parameters for 2^{k} rows take {raw} bytes (RawBytes) or {processed} \
         (Processed), but the file has {found}; download it again"
    )]
    Halo2Bytes {
        /// The size the file claims.
        k: u32,
        /// Its length if uncompressed.
        raw: usize,
        /// Its length if compressed.
        processed: usize,
        /// Its length.
        found: usize,
    },
    /// The version of the `.ptau` format is unknown.
    #[error(
        "a .ptau file of version {found}, but only version 1 is known; export it with snarkjs 0.7"
    )]
    Version {
        /// The version.
        found: u32,
    },
    /// The file ends too early.
    #[error(
        "truncated: {what} takes {needed} bytes from byte {offset} on, but the file ends at byte \
         {available}; download it again"
    )]
    Truncated {
        /// What is cut.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// How many bytes it takes.
        needed: u64,
        /// Length of the file.
        available: usize,
    },
    /// Bytes follow the last section.
    #[error("{extra} bytes follow the last section; download the file again")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// A section is not there.
    #[error("no {section}; this is not the whole result of a ceremony, get the full .ptau file")]
    MissingSection {
        /// Which.
        section: &'static str,
    },
    /// A section is there twice.
    #[error("a second {section} at byte {offset}; download the file again")]
    RepeatedSection {
        /// Which.
        section: &'static str,
        /// Where the second one starts.
        offset: usize,
    },
    /// A section's length does not fit the header.
    #[error(
        "{section} at byte {offset} has {found} bytes where the header's size asks for {expected}; download the file again"
    )]
    SectionBytes {
        /// Which.
        section: &'static str,
        /// Where it starts.
        offset: usize,
        /// How long it should be.
        expected: u64,
        /// How long it is.
        found: usize,
    },
    /// The points are of another curve.
    #[error(
        "the prime in the header is not that of BN254; get the file for bn128 (bn254, alt_bn128)"
    )]
    WrongPrime,
    /// The size in the header is impossible.
    #[error("the header claims 2^{power} powers, out of the range 1..=28; download the file again")]
    PowerOutOfRange {
        /// The size claimed.
        power: u32,
    },
    /// The file is for fewer rows than asked.
    #[error(
        "the file serves up to 2^{have} rows, not 2^{need}; ask for --k {have}, or get a larger file"
    )]
    TooFewPowers {
        /// What it serves.
        have: u32,
        /// What was asked.
        need: u32,
    },
    /// A point cannot be used.
    #[error(
        "{section}: point {index}, at byte {offset} of the file, {fault}; download the file again from a trusted source"
    )]
    Point {
        /// Where it stands.
        section: &'static str,
        /// Its index there.
        index: usize,
        /// Where its bytes are.
        offset: usize,
        /// What is wrong with it.
        fault: PointFault,
    },
    /// The secret is tensorseal's own development secret.
    #[error(
        "this is the INSECURE development SRS in another format; use `srs dev`, or get a ceremony's file"
    )]
    DevelopmentSecret,
    /// The points do not fit each other.
    #[error(transparent)]
    Srs(#[from] SrsError),
}

/// What is wrong with a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointFault {
    /// A coordinate is not below the prime, or a flag is set that should not be.
    #[error("is not in its canonical encoding")]
    NotCanonical,
    /// It does not satisfy the curve's equation.
    #[error("is not on the curve")]
    NotOnCurve,
    /// It is on the curve over the extension field, but not in the pairing's group.
    #[error("is not in the subgroup of prime order")]
    NotInSubgroup,
    /// It is the identity.
    #[error("is the identity")]
    Identity,
    /// It must be the generator.
    #[error("is not the generator")]
    NotGenerator,
}

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// snarkjs's powers of tau.
    Ptau,
    /// halo2's parameters, uncompressed (`RawBytes`).
    Halo2Raw,
    /// halo2's parameters, compressed (`Processed`).
    Halo2Processed,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ptau => "snarkjs .ptau",
            Self::Halo2Raw => "halo2 parameters, uncompressed",
            Self::Halo2Processed => "halo2 parameters, compressed",
        })
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: &'static str,
    /// How many steps of it are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

/// The result of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The SRS, checked.
    pub srs: Srs,
    /// The format it was in.
    pub format: Format,
    /// The file serves up to `2^file_k` rows.
    pub file_k: u32,
    /// Whether the Lagrange basis was in the file; else it was computed.
    pub lagrange_in_file: bool,
}

/// Imports an SRS for `2^k` rows, or for as many as the file serves, from the file's bytes; of a mapped file
/// only the points in use are read.
///
/// `rng` draws the coefficients of the checks, which the file's author must not know. `progress` is told
/// before the first step of each stage and after each step.
///
/// # Errors
/// [`ImportError`] says what is wrong, and where.
pub fn import(
    bytes: &[u8],
    k: Option<u32>,
    mut rng: impl RngCore + CryptoRng,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, ImportError> {
    let file = match bytes.starts_with(ptau::MAGIC) {
        true => ptau::parse(bytes)?,
        false => halo2::parse(bytes)?,
    };
    let k = k.unwrap_or(file.k);
    if k == 0 {
        return Err(SrsError::KOutOfRange { k }.into());
    }
    if k > file.k {
        return Err(ImportError::TooFewPowers {
            have: file.k,
            need: k,
        });
    }
    let n = 1usize << k;

    let g2 = file.g2.g2_point(bytes, file.format, 0)?;
    if g2 != G2Affine::generator() {
        return Err(file
            .g2
            .fault(file.format.g2_bytes(), 0, PointFault::NotGenerator));
    }
    let s_g2 = file.g2.g2_point(bytes, file.format, 1)?;
    if dev::is_dev(&s_g2) {
        return Err(ImportError::DevelopmentSecret);
    }
    let mut read = |table: &Table, stage| {
        let mut step = |done| {
            progress(Progress {
                stage,
                done,
                total: n,
            })
        };
        table.g1_points(bytes, file.format, n, &mut step)
    };
    let g = read(&file.g, "reading the powers")?;
    if g[0] != G1Affine::generator() {
        return Err(file
            .g
            .fault(file.format.g1_bytes(), 0, PointFault::NotGenerator));
    }
    let basis = match file.lagrange(k) {
        Some(table) => Some(read(&table, "reading the Lagrange basis")?),
        None => None,
    };

    let mut step = |stage, done, total| progress(Progress { stage, done, total });
    step("checking the powers", 0, 1);
    check_powers(&g, &s_g2, &mut rng)?;
    step("checking the powers", 1, 1);
    let lagrange_in_file = basis.is_some();
    let g_lagrange = match basis {
        Some(basis) if file.format == Format::Ptau => ptau::reorder(k, &basis),
        Some(basis) => basis,
        None => {
            let stage = "computing the Lagrange basis";
            step(stage, 0, k as usize);
            lagrange::from_powers(k, &g, |done| step(stage, done as usize, k as usize))
        }
    };
    step("checking the Lagrange basis", 0, 1);
    check_lagrange(k, &g, &g_lagrange, &mut rng)?;
    step("checking the Lagrange basis", 1, 1);
    Ok(Imported {
        srs: Srs::from_parts(k, g, Some(g_lagrange), s_g2, false)?,
        format: file.format,
        file_k: file.k,
        lagrange_in_file,
    })
}

/// Where a file has what; its lengths are checked, its points are not.
pub(super) struct Source {
    pub(super) format: Format,
    /// It serves up to `2^k` rows.
    pub(super) k: u32,
    /// `s^i·G1`, at least `2^k` of them.
    pub(super) g: Table,
    /// `G2`, `s·G2`.
    pub(super) g2: Table,
    /// The Lagrange basis of `2^k` rows; in a `.ptau` file those of 1, 2, 4, … rows, one after the other.
    pub(super) lagrange: Option<Table>,
}

impl Source {
    /// The Lagrange basis of `2^k` rows, if the file has it.
    fn lagrange(&self, k: u32) -> Option<Table> {
        let Table { section, offset } = self.lagrange?;
        match self.format {
            Format::Ptau => Some(Table {
                section,
                offset: offset + ((1usize << k) - 1) * self.format.g1_bytes(),
            }),
            Format::Halo2Raw | Format::Halo2Processed => {
                (k == self.k).then_some(Table { section, offset })
            }
        }
    }
}

/// A run of points in a file.
#[derive(Clone, Copy)]
pub(super) struct Table {
    /// What errors call it.
    pub(super) section: &'static str,
    /// Where it starts.
    pub(super) offset: usize,
}

impl Table {
    fn fault(&self, point_bytes: usize, index: usize, fault: PointFault) -> ImportError {
        ImportError::Point {
            section: self.section,
            index,
            offset: self.offset + index * point_bytes,
            fault,
        }
    }

    fn g1_points(
        &self,
        file: &[u8],
        format: Format,
        count: usize,
        step: &mut dyn FnMut(usize),
    ) -> Result<Vec<G1Affine>, ImportError> {
        let size = format.g1_bytes();
        let decode = |bytes: &[u8]| match format {
            Format::Halo2Processed => compressed(bytes),
            Format::Ptau | Format::Halo2Raw => g1_montgomery(bytes),
        };
        let mut points = Vec::with_capacity(count);
        step(0);
        for block in file[self.offset..self.offset + count * size].chunks(BLOCK_POINTS * size) {
            let decoded: Vec<Result<G1Affine, PointFault>> =
                block.par_chunks_exact(size).map(decode).collect();
            for point in decoded {
                points.push(point.map_err(|fault| self.fault(size, points.len(), fault))?);
            }
            step(points.len());
        }
        Ok(points)
    }

    fn g2_point(&self, file: &[u8], format: Format, index: usize) -> Result<G2Affine, ImportError> {
        let size = format.g2_bytes();
        let bytes = &file[self.offset + index * size..][..size];
        let point = match format {
            Format::Halo2Processed => compressed(bytes),
            Format::Ptau | Format::Halo2Raw => g2_montgomery(bytes),
        };
        point
            .and_then(
                |point| match bool::from(G2::from(point).is_torsion_free()) {
                    true => Ok(point),
                    false => Err(PointFault::NotInSubgroup),
                },
            )
            .map_err(|fault| self.fault(size, index, fault))
    }
}

impl Format {
    /// Bytes of a point of G1.
    pub(super) fn g1_bytes(self) -> usize {
        match self {
            Self::Ptau | Self::Halo2Raw => 64,
            Self::Halo2Processed => 32,
        }
    }

    /// Bytes of a point of G2.
    pub(super) fn g2_bytes(self) -> usize {
        2 * self.g1_bytes()
    }
}

/// 32 bytes, the little-endian number `x·2^256 mod q`.
fn coordinate(bytes: &[u8]) -> Result<Fq, PointFault> {
    Fq::from_raw_bytes(bytes).ok_or(PointFault::NotCanonical)
}

/// G1 has no points but those of the curve over the prime field: its cofactor is 1.
fn g1_montgomery(bytes: &[u8]) -> Result<G1Affine, PointFault> {
    let (x, y) = (coordinate(&bytes[..32])?, coordinate(&bytes[32..])?);
    proper(G1Affine { x, y })
}

fn g2_montgomery(bytes: &[u8]) -> Result<G2Affine, PointFault> {
    let fq2 = |bytes: &[u8]| {
        let (c0, c1) = (coordinate(&bytes[..32])?, coordinate(&bytes[32..])?);
        Ok(Fq2 { c0, c1 })
    };
    let (x, y) = (fq2(&bytes[..64])?, fq2(&bytes[64..])?);
    proper(G2Affine { x, y })
}

/// `x`, and the parity of `y` in a flag: the top two bits of the last byte are flags, the rest little-endian
/// coordinates of 32 bytes (two of them for G2). Each is checked to be below q first, for the library panics at a
/// coordinate of G2 that is not. It also takes flags that it would not write; those are refused after it.
fn compressed<C: CurveAffine>(bytes: &[u8]) -> Result<C, PointFault> {
    let mut x = bytes.to_vec();
    x[bytes.len() - 1] &= 0x3f;
    for coordinate in x.chunks_exact(32) {
        let word: &[u8; 32] = coordinate.try_into().expect("32 bytes");
        Option::<Fq>::from(Fq::from_bytes(word)).ok_or(PointFault::NotCanonical)?;
    }
    let mut repr = C::Repr::default();
    repr.as_mut().copy_from_slice(bytes);
    let point = Option::from(C::from_bytes(&repr)).ok_or(PointFault::NotOnCurve)?;
    let point = proper::<C>(point)?;
    match point.to_bytes().as_ref() == bytes {
        true => Ok(point),
        false => Err(PointFault::NotCanonical),
    }
}

fn proper<C: CurveAffine>(point: C) -> Result<C, PointFault> {
    if bool::from(point.is_identity()) {
        Err(PointFault::Identity)
    } else if bool::from(point.is_on_curve()) {
        Ok(point)
    } else {
        Err(PointFault::NotOnCurve)
    }
}
