//! A model's verifying key as contract code (a *data contract*).
//!
//! The code is a STOP byte, so that calling it does nothing, and 32-byte big-endian words:
//!
//! | word | content |
//! |---|---|
//! | 0 | profile id: magic `TSVK`, version, 24 bytes of the constraint system's hash |
//! | 1 | `k` |
//! | 2 | public values of each instance column |
//! | 3 | `transcript_repr`, halo2's hash of the whole key |
//! | 4, 5 | `n^-1`, `ω^-1` |
//! | 6 to 9 | `g2`: `x` then `y`, imaginary part first |
//! | 10 to 13 | `s·g2`, likewise |
//! | then | `ω^r` for each rotation `r` of the profile but 0, ascending |
//! | then | for each opening set of several points `ω^(r_m)`, its interpolation weights `1 / Π_(l≠m) (ω^(r_m) - ω^(r_l))` |
//! | then | the fixed commitments, `x` then `y`; the point at infinity is two zeros |
//!
//! The contract reads this with `EXTCODECOPY`. It compares word 0 with its own profile and trusts the rest:
//! who names a key's address or code hash says which circuit is proved. [`KeyData::parse`] checks the rest.

use ff::{Field, PrimeField};
use halo2_proofs::{
    halo2curves::{
        CurveAffine,
        bn256::{Bn256, Fq, Fq2, Fr, G1Affine, G2Affine},
        group::{Curve, prime::PrimeCurveAffine},
    },
    plonk::VerifyingKey,
    poly::{commitment::ParamsProver, kzg::commitment::ParamsKZG},
};
use sha3::{Digest, Keccak256};

use crate::codegen::{KEY_FIXED_WORDS, VerifierLayout};

/// Longest code that a contract may have (EIP-170).
pub const MAX_CODE_BYTES: usize = 24_576;

/// Most rows an instance may have in a key.
pub const MAX_INSTANCE_ROWS: usize = (1 << 28) - 1;

/// Why a key could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key belongs to another constraint system.
    #[error(
        "the key's id {found} is not {expected}, that of profile `{profile}`; use the profile that the model was compiled for"
    )]
    Profile {
        /// The layout's profile.
        profile: String,
        /// The layout's id.
        expected: String,
        /// The key's id.
        found: String,
    },
    /// The code has another length than the profile's keys.
    #[error("a key of profile `{profile}` has {expected} bytes of code, not {found}")]
    Length {
        /// The layout's profile.
        profile: String,
        /// What the layout says.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// The key would not fit into a contract.
    #[error(
        "a key of profile `{profile}` takes {bytes} bytes, and a contract holds {MAX_CODE_BYTES}; use a profile with fewer fixed columns"
    )]
    TooLong {
        /// The layout's profile.
        profile: String,
        /// What it would take.
        bytes: usize,
    },
    /// The code does not begin with STOP.
    #[error("the code begins with {found:#04x}, and a data contract begins with 0x00")]
    NotData {
        /// First byte.
        found: u8,
    },
    /// A word is out of its range.
    #[error("word {word} of the key ({what}) is out of range")]
    Word {
        /// Index of the word, after the STOP byte.
        word: usize,
        /// What it holds.
        what: &'static str,
    },
    /// A point of the key is not in its group.
    #[error("words {word} and on of the key are no point of {group}")]
    Point {
        /// Index of its first word.
        word: usize,
        /// `G1` or `G2`.
        group: &'static str,
    },
    /// `n^-1`, `ω^-1` or a rotation is not what `k` says.
    #[error("word {word} of the key ({what}) does not fit k = {k}")]
    Domain {
        /// Index of the word.
        word: usize,
        /// What it holds.
        what: &'static str,
        /// The key's `k`.
        k: u32,
    },
    /// More instance rows than the circuit can have.
    #[error("{rows} instance rows do not fit the {usable} usable rows of k = {k}")]
    Rows {
        /// Rows asked for.
        rows: usize,
        /// Rows there are.
        usable: usize,
        /// The key's `k`.
        k: u32,
    },
    /// The instance columns end between two public values.
    #[error(
        "{rows} instance rows, and the profile has a public value every {stride}; make that a multiple"
    )]
    Stride {
        /// Rows of an instance column.
        rows: usize,
        /// The profile's stride.
        stride: usize,
    },
    /// The instance columns differ in length.
    #[error(
        "instance columns of {found:?} rows, and the contract wants one length; pad the shorter with zeros"
    )]
    UnevenRows {
        /// Rows of each column.
        found: Vec<usize>,
    },
    /// The SRS does not start at the generator that the contract has.
    #[error(
        "the SRS's first G1 point is not the generator (1, 2), which the contract uses; use an SRS of powers of the generator"
    )]
    Generator,
    /// `k` is too small for the profile's rotations, or too large for the field.
    #[error("k = {k} is outside {min} to 28")]
    K {
        /// The key's `k`.
        k: u32,
        /// Smallest that keeps the profile's rotations apart.
        min: u32,
    },
}

/// Points of the SRS that a verifier needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrsPoints {
    /// First point in G1, the generator.
    pub g1: G1Affine,
    /// Generator of G2.
    pub g2: G2Affine,
    /// The same times the secret.
    pub s_g2: G2Affine,
}

impl SrsPoints {
    /// The points of halo2's own parameters.
    #[must_use]
    pub fn of(params: &ParamsKZG<Bn256>) -> Self {
        Self {
            g1: params.get_g()[0],
            g2: params.g2(),
            s_g2: params.s_g2(),
        }
    }
}

/// A model's key, as the contract reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyData {
    /// Profile id, the layout's.
    pub id: [u8; 32],
    /// `n = 2^k` rows.
    pub k: u32,
    /// Public values of each instance column that a proof has.
    pub instance_rows: usize,
    /// halo2's hash of the verifying key.
    pub transcript_repr: Fr,
    /// Generator of G2 in the SRS.
    pub g2: G2Affine,
    /// The same times the SRS's secret.
    pub s_g2: G2Affine,
    /// Rotations whose `ω^r` the code holds.
    pub rotations: Vec<i32>,
    /// Point sets, as rotations, whose interpolation weights the code holds.
    pub interpolations: Vec<Vec<i32>>,
    /// Commitments of the fixed columns.
    pub fixed_commitments: Vec<G1Affine>,
}

/// `ω`, the generator of the domain of `2^k` points that halo2 uses.
fn omega(k: u32) -> Fr {
    (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |w, _| w.square())
}

fn omega_power(k: u32, rotation: i32) -> Fr {
    let power = omega(k).pow_vartime([u64::from(rotation.unsigned_abs())]);
    if rotation < 0 { invert(power) } else { power }
}

fn invert(a: Fr) -> Fr {
    Option::from(a.invert()).expect("powers of 2 and roots of unity are not 0")
}

/// `1 / Π_(l≠m) (ω^(r_m) - ω^(r_l))` for each point `m` of a set. No factor is 0 where `k` keeps the rotations apart.
fn interpolation_weights(k: u32, rotations: &[i32]) -> Vec<Fr> {
    let points: Vec<Fr> = rotations.iter().map(|r| omega_power(k, *r)).collect();
    let weight = |m: usize| {
        let others = (0..points.len()).filter(|l| *l != m);
        invert(others.map(|l| points[m] - points[l]).product())
    };
    (0..points.len()).map(weight).collect()
}

impl KeyData {
    /// Collects the key of a circuit whose instance columns have `instance_rows` rows.
    ///
    /// # Errors
    /// [`KeyError`] where the key belongs to another profile, or does not fit the contract.
    pub fn new(
        layout: &VerifierLayout,
        vk: &VerifyingKey<G1Affine>,
        instance_rows: usize,
        srs: &SrsPoints,
    ) -> Result<Self, KeyError> {
        let stride = layout.instance_stride();
        let own = VerifierLayout::strided(layout.profile(), vk.cs(), stride);
        let found = own.map_or([0; 32], |l| l.id());
        check_id(layout, &found)?;
        if srs.g1 != G1Affine::generator() {
            return Err(KeyError::Generator);
        }
        if !instance_rows.is_multiple_of(stride) {
            return Err(KeyError::Stride {
                rows: instance_rows,
                stride,
            });
        }
        let key = Self {
            id: found,
            k: vk.get_domain().k,
            instance_rows: instance_rows / stride,
            transcript_repr: vk.transcript_repr(),
            g2: srs.g2,
            s_g2: srs.s_g2,
            rotations: layout.rotations.clone(),
            interpolations: layout.interpolations().map(<[i32]>::to_vec).collect(),
            fixed_commitments: vk.fixed_commitments().clone(),
        };
        key.check_sizes(layout)?;
        let usable = (1usize << key.k) - (vk.cs().blinding_factors() + 1);
        if instance_rows > usable {
            return Err(KeyError::Rows {
                rows: instance_rows,
                usable,
                k: key.k,
            });
        }
        Ok(key)
    }

    /// Collects the key from the prover's verifying key.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`KeyError::UnevenRows`] where instance columns differ in length.
    pub fn of(
        layout: &VerifierLayout,
        vk: &tensorseal_prover::VerifyingKey,
    ) -> Result<Self, KeyError> {
        let rows = vk.instance_rows();
        let first = rows.first().copied().unwrap_or(0);
        if rows.iter().any(|r| *r != first) {
            return Err(KeyError::UnevenRows {
                found: rows.to_vec(),
            });
        }
        let srs = SrsPoints {
            g1: G1Affine::generator(),
            g2: vk.g2(),
            s_g2: vk.s_g2(),
        };
        Self::new(layout, vk.halo2(), first, &srs)
    }

    fn check_sizes(&self, layout: &VerifierLayout) -> Result<(), KeyError> {
        let min = layout.min_k();
        if self.k < min || self.k > Fr::S {
            return Err(KeyError::K { k: self.k, min });
        }
        if self.instance_rows > MAX_INSTANCE_ROWS {
            return Err(KeyError::Rows {
                rows: self.instance_rows,
                usable: MAX_INSTANCE_ROWS,
                k: self.k,
            });
        }
        let bytes = layout.key_bytes();
        if bytes > MAX_CODE_BYTES {
            return Err(KeyError::TooLong {
                profile: layout.profile().to_owned(),
                bytes,
            });
        }
        Ok(())
    }

    /// The data contract's code: STOP and the words.
    #[must_use]
    pub fn to_code(&self) -> Vec<u8> {
        let mut code = vec![0];
        code.extend(self.id);
        let mut put = |f: Fr| code.extend(scalar_bytes(&f));
        put(Fr::from(u64::from(self.k)));
        put(Fr::from(self.instance_rows as u64));
        put(self.transcript_repr);
        put(invert(Fr::from(1 << self.k)));
        put(omega_power(self.k, -1));
        let omegas = self.rotations.iter().map(|r| omega_power(self.k, *r));
        let weights = self
            .interpolations
            .iter()
            .flat_map(|set| interpolation_weights(self.k, set));
        let domain: Vec<Fr> = omegas.chain(weights).collect();
        for point in [&self.g2, &self.s_g2] {
            for coordinate in [point.x, point.y] {
                code.extend(base_bytes(&coordinate.c1));
                code.extend(base_bytes(&coordinate.c0));
            }
        }
        for value in domain {
            code.extend(scalar_bytes(&value));
        }
        for point in &self.fixed_commitments {
            code.extend(point_bytes(point));
        }
        code
    }

    /// Code that deploys the data contract when sent in a transaction.
    #[must_use]
    pub fn to_initcode(&self) -> Vec<u8> {
        data_initcode(&self.to_code())
    }

    /// The key's name: the hash of its code (`EXTCODEHASH`).
    #[must_use]
    pub fn code_hash(&self) -> [u8; 32] {
        Keccak256::digest(self.to_code()).into()
    }

    /// Reads a data contract's code, checking all that can be checked without the circuit.
    ///
    /// That `transcript_repr` and the commitments belong to the intended circuit is seen by comparing with
    /// [`KeyData::new`] of its own key.
    ///
    /// # Errors
    /// [`KeyError`], by the first word that is wrong.
    pub fn parse(layout: &VerifierLayout, code: &[u8]) -> Result<Self, KeyError> {
        if code.len() != layout.key_bytes() {
            return Err(KeyError::Length {
                profile: layout.profile().to_owned(),
                expected: layout.key_bytes(),
                found: code.len(),
            });
        }
        if code[0] != 0 {
            return Err(KeyError::NotData { found: code[0] });
        }
        let word = |i: usize| -> [u8; 32] {
            let bytes = &code[1 + 32 * i..33 + 32 * i];
            bytes.try_into().expect("a word has 32 bytes")
        };
        let id = word(0);
        check_id(layout, &id)?;
        let small = |i: usize, what| -> Result<u32, KeyError> {
            let bytes = word(i);
            let (high, low) = bytes.split_at(28);
            let low = u32::from_be_bytes(low.try_into().expect("four bytes"));
            (high == [0; 28])
                .then_some(low)
                .ok_or(KeyError::Word { word: i, what })
        };
        let scalar = |i: usize, what| -> Result<Fr, KeyError> {
            let mut bytes = word(i);
            bytes.reverse();
            Option::from(Fr::from_repr(bytes)).ok_or(KeyError::Word { word: i, what })
        };
        let (k, rows) = (small(1, "k")?, small(2, "rows")?);
        let mut key = Self {
            id,
            k,
            instance_rows: rows as usize,
            transcript_repr: scalar(3, "transcript_repr")?,
            g2: g2_point(code, 6)?,
            s_g2: g2_point(code, 10)?,
            rotations: layout.rotations.clone(),
            interpolations: layout.interpolations().map(<[i32]>::to_vec).collect(),
            fixed_commitments: Vec::new(),
        };
        key.check_sizes(layout)?;
        let domain = |word, what, expected: Fr| {
            if scalar(word, what)? == expected {
                Ok(())
            } else {
                Err(KeyError::Domain { word, what, k })
            }
        };
        domain(4, "1/n", invert(Fr::from(1 << k)))?;
        domain(5, "1/ω", omega_power(k, -1))?;
        for (i, rotation) in key.rotations.iter().enumerate() {
            domain(
                KEY_FIXED_WORDS + i,
                "a power of ω",
                omega_power(k, *rotation),
            )?;
        }
        let mut first = KEY_FIXED_WORDS + key.rotations.len();
        for set in &key.interpolations {
            for weight in interpolation_weights(k, set) {
                domain(first, "an interpolation weight", weight)?;
                first += 1;
            }
        }
        key.fixed_commitments = (0..layout.fixed_columns)
            .map(|c| g1_point(code, first + 2 * c))
            .collect::<Result<_, _>>()?;
        Ok(key)
    }
}

fn check_id(layout: &VerifierLayout, found: &[u8; 32]) -> Result<(), KeyError> {
    if *found == layout.id() {
        return Ok(());
    }
    Err(KeyError::Profile {
        profile: layout.profile().to_owned(),
        expected: hex::encode(layout.id()),
        found: hex::encode(found),
    })
}

/// Code that, run as a constructor, returns `code`.
fn data_initcode(code: &[u8]) -> Vec<u8> {
    let length = u16::try_from(code.len()).expect("a contract has at most 24,576 bytes");
    let [high, low] = length.to_be_bytes();
    // PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN
    let mut initcode = vec![0x61, high, low, 0x80, 0x60, 10, 0x3d, 0x39, 0x3d, 0xf3];
    initcode.extend_from_slice(code);
    initcode
}

/// A scalar as a big-endian word.
pub(crate) fn scalar_bytes(f: &Fr) -> [u8; 32] {
    let mut bytes = f.to_repr();
    bytes.reverse();
    bytes
}

fn base_bytes(f: &Fq) -> [u8; 32] {
    let mut bytes = f.to_repr();
    bytes.reverse();
    bytes
}

fn point_bytes(point: &G1Affine) -> [u8; 64] {
    let mut bytes = [0; 64];
    if !bool::from(point.is_identity()) {
        bytes[..32].copy_from_slice(&base_bytes(&point.x));
        bytes[32..].copy_from_slice(&base_bytes(&point.y));
    }
    bytes
}

fn base(code: &[u8], word: usize) -> Option<Fq> {
    let bytes = &code[1 + 32 * word..33 + 32 * word];
    let mut bytes: [u8; 32] = bytes.try_into().expect("a word has 32 bytes");
    bytes.reverse();
    Option::from(Fq::from_repr(bytes))
}

fn g1_point(code: &[u8], word: usize) -> Result<G1Affine, KeyError> {
    let refused = KeyError::Point { word, group: "G1" };
    let (Some(x), Some(y)) = (base(code, word), base(code, word + 1)) else {
        return Err(refused);
    };
    if x.is_zero_vartime() && y.is_zero_vartime() {
        return Ok(G1Affine::identity());
    }
    Option::from(G1Affine::from_xy(x, y)).ok_or(refused)
}

fn g2_point(code: &[u8], word: usize) -> Result<G2Affine, KeyError> {
    let refused = KeyError::Point { word, group: "G2" };
    let coordinates: Option<Vec<Fq>> = (word..word + 4).map(|w| base(code, w)).collect();
    let Some([x1, x0, y1, y0]) = coordinates.as_deref().and_then(|c| c.first_chunk()) else {
        return Err(refused);
    };
    let (x, y) = (Fq2::new(*x0, *x1), Fq2::new(*y0, *y1));
    let point: Option<G2Affine> = Option::from(G2Affine::from_xy(x, y));
    // The curve over Fq2 has points outside the subgroup of order r.
    let in_group = |p: &G2Affine| {
        let minus_one = -Fr::ONE;
        bool::from(!p.is_identity()) && (p.to_curve() * minus_one).to_affine() == -*p
    };
    point.filter(in_group).ok_or(refused)
}
