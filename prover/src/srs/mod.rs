//! The structured reference string: powers of a secret `s` that nobody may know.
//!
//! `g[i] = s^i·G1` and `g_lagrange[i] = L_i(s)·G1` for `i < 2^k`, with `L_i` the Lagrange basis of the
//! domain `{ω^i}`, and `s·G2`. `g[0]` and `g2` are the standard generators, always.

//!
//! | module | purpose |
//! |---|---|
//! | `dev` | the development SRS, whose secret is public |
//! | [`import`](mod@import) | the result of a ceremony: `ptau` files of snarkjs, `halo2` raw parameters |
//! | `lagrange` | from powers to the Lagrange basis |
//! | `check` | whether points are the powers of one secret |
//! | `file` | the file, of which only the points in use are read |

mod check;
mod dev;
mod file;
mod halo2;
pub mod import;
mod lagrange;
mod ptau;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::OnceLock};

use ff::{Field, PrimeField};
use group::prime::PrimeCurveAffine;
use halo2_proofs::{
    halo2curves::bn256::{Bn256, Fr, G1Affine, G2Affine},
    poly::kzg::commitment::ParamsKZG,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha3::{Digest, Keccak256};

use crate::{
    artifact::ArtifactError,
    bytes::{PayloadError, push_g2},
};

pub(crate) use dev::is_dev;
pub use import::{ImportError, Imported, import};

/// The largest `k` with a domain of size `2^k` in the scalar field.
pub const MAX_K: u32 = Fr::S;

/// Names an SRS whatever its size: the Keccak-256 hash of `g2` and `s·g2`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SrsId(pub [u8; 32]);

impl SrsId {
    /// The name of the SRS with these points in G2.
    #[must_use]
    pub fn new(g2: &G2Affine, s_g2: &G2Affine) -> Self {
        let mut bytes = vec![];
        push_g2(&mut bytes, g2);
        push_g2(&mut bytes, s_g2);
        Self(Keccak256::digest(&bytes).into())
    }
}

impl std::fmt::Display for SrsId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0[..8]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for SrsId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SrsId({self})")
    }
}

/// A structured reference string for circuits of up to `2^k` rows.
#[derive(Clone)]
pub struct Srs {
    k: u32,
    g: Vec<G1Affine>,
    g_lagrange: Vec<G1Affine>,
    g2: G2Affine,
    s_g2: G2Affine,
    insecure: bool,
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Srs")
            .field("k", &self.k)
            .field("id", &self.id())
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

/// Why an SRS could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SrsError {
    /// The file could not be read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The file's content is malformed.
    #[error("the SRS {0}; make or import it again")]
    Payload(#[from] PayloadError),
    /// No domain of this size exists.
    #[error("k = {k} is out of range: the field has domains of up to 2^{MAX_K} rows")]
    KOutOfRange {
        /// The size asked for.
        k: u32,
    },
    /// A smaller SRS cannot be made into a larger one.
    #[error("the SRS has 2^{have} points, but 2^{need} are needed; import or make a larger one")]
    TooSmall {
        /// Its size.
        have: u32,
        /// The size asked for.
        need: u32,
    },
    /// The number of points is not `2^k`.
    #[error("k = {k} needs {} points, got {got}", 1u64 << k)]
    WrongLength {
        /// The size claimed.
        k: u32,
        /// How many points were given.
        got: usize,
    },
    /// A part of the file does not match its hash.
    #[error(
        "the SRS is corrupt: {what} at byte {offset} of the payload does not match its hash; copy the file again, or import it again"
    )]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// Where it starts.
        offset: usize,
    },
    /// A point is not the one before it times the secret in `s·G2`.
    #[error(
        "the points are not a consistent SRS: g[{index}] is not s times g[{}]{}; get it from a trusted source again",
        index - 1, if *index == 1 { ", or s·G2 is of another secret" } else { "" }
    )]
    NotPowers {
        /// The first such point.
        index: usize,
    },
    /// The secret is zero or a root of unity: anyone finds it.
    #[error("the secret s is worthless: s^{index} is 0, 1 or -1; get an SRS from a trusted source")]
    DegenerateSecret {
        /// The exponent.
        index: usize,
    },
    /// A point is the identity, so what it is multiplied by has no part in a commitment.
    ///
    /// In the Lagrange basis of a consistent SRS that is so if and only if the secret is in the evaluation domain; then
    /// a commitment is to one cell, and no blinding value hides it.
    #[error(
        "point {index} of the {basis} is the identity: proofs under this SRS would give away private values; get one \
         from a trusted source"
    )]
    Identity {
        /// Which basis.
        basis: &'static str,
        /// The first such point.
        index: usize,
    },
    /// The points are not an SRS.
    #[error("the points are not a consistent SRS ({what}); get it from a trusted source again")]
    Inconsistent {
        /// Which check failed.
        what: &'static str,
    },
}

impl Srs {
    /// An SRS from its points; the Lagrange basis is computed if it is not given (some minutes at
    /// `k = 20`).
    ///
    /// Trusts the points to be on the curve and consistent; for some of doubtful origin call [`check`](Self::check).
    /// The SRS is insecure if `insecure` says so, or if `s_g2` is that of the development SRS.
    ///
    /// # Errors
    /// [`SrsError::KOutOfRange`], [`SrsError::WrongLength`], [`SrsError::Inconsistent`] if `g[0]` is
    /// not the standard generator, or [`SrsError::Identity`] for the identity in either basis.
    pub fn from_parts(
        k: u32,
        g: Vec<G1Affine>,
        g_lagrange: Option<Vec<G1Affine>>,
        s_g2: G2Affine,
        insecure: bool,
    ) -> Result<Self, SrsError> {
        if !(1..=MAX_K).contains(&k) {
            return Err(SrsError::KOutOfRange { k });
        }
        for points in [Some(&g), g_lagrange.as_ref()].into_iter().flatten() {
            if points.len() != 1 << k {
                return Err(SrsError::WrongLength {
                    k,
                    got: points.len(),
                });
            }
        }
        if g[0] != G1Affine::generator() {
            return Err(SrsError::Inconsistent {
                what: "g[0] is not the generator of G1",
            });
        }
        refuse_identity("powers", &g)?;
        let g_lagrange = g_lagrange.unwrap_or_else(|| lagrange::from_powers(k, &g, |_| {}));
        refuse_identity("Lagrange basis", &g_lagrange)?;
        Ok(Self {
            k,
            g,
            g_lagrange,
            g2: G2Affine::generator(),
            s_g2,
            insecure: insecure || dev::is_dev(&s_g2),
        })
    }

    /// The SRS for `2^k` rows made of this one's first points.
    ///
    /// Costs a Fourier transform over points (seconds at `k = 13`, minutes at `k = 20`) unless this is
    /// the development SRS or `k` is its own size; keep the result.
    ///
    /// # Errors
    /// [`SrsError::TooSmall`] if there are fewer than `2^k` points.
    pub fn downsize(&self, k: u32) -> Result<Cow<'_, Self>, SrsError> {
        if k == self.k {
            return Ok(Cow::Borrowed(self));
        }
        if k > self.k {
            return Err(SrsError::TooSmall {
                have: self.k,
                need: k,
            });
        }
        Self::from_first_powers(k, self.g[..1 << k].to_vec(), self.s_g2, self.insecure)
            .map(Cow::Owned)
    }

    /// An SRS from the first powers of a larger one.
    fn from_first_powers(
        k: u32,
        g: Vec<G1Affine>,
        s_g2: G2Affine,
        insecure: bool,
    ) -> Result<Self, SrsError> {
        if dev::is_dev(&s_g2) {
            return Self::dev(k);
        }
        Self::from_parts(k, g, None, s_g2, insecure)
    }

    /// Base-2 logarithm of the number of points.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.k
    }

    /// The powers `s^i·G1`.
    #[must_use]
    pub fn g(&self) -> &[G1Affine] {
        &self.g
    }

    /// The Lagrange basis `L_i(s)·G1`.
    #[must_use]
    pub fn g_lagrange(&self) -> &[G1Affine] {
        &self.g_lagrange
    }

    /// The generator of G2.
    #[must_use]
    pub fn g2(&self) -> G2Affine {
        self.g2
    }

    /// The secret times the generator of G2.
    #[must_use]
    pub fn s_g2(&self) -> G2Affine {
        self.s_g2
    }

    /// Whether the secret is known.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// What names this SRS, whatever its size.
    #[must_use]
    pub fn id(&self) -> SrsId {
        SrsId::new(&self.g2, &self.s_g2)
    }

    /// The parameters in the form halo2's own functions take (a copy of the points).
    #[must_use]
    pub fn params(&self) -> ParamsKZG<Bn256> {
        kzg_params(
            self.k,
            self.g.clone(),
            self.g_lagrange.clone(),
            self.g2,
            self.s_g2,
        )
    }
}

fn refuse_identity(basis: &'static str, points: &[G1Affine]) -> Result<(), SrsError> {
    let identity = points.iter().position(|p| bool::from(p.is_identity()));
    identity.map_or(Ok(()), |index| Err(SrsError::Identity { basis, index }))
}

/// halo2's parameters from parts. Its constructor is a method, so it takes throw-away parameters.
pub(crate) fn kzg_params(
    k: u32,
    g: Vec<G1Affine>,
    g_lagrange: Vec<G1Affine>,
    g2: G2Affine,
    s_g2: G2Affine,
) -> ParamsKZG<Bn256> {
    static ANY: OnceLock<ParamsKZG<Bn256>> = OnceLock::new();
    ANY.get_or_init(|| ParamsKZG::setup(1, ChaCha20Rng::from_seed([0; 32])))
        .from_parts(k, g, Some(g_lagrange), g2, s_g2)
}

/// The generator of the domain of size `2^k`.
pub(crate) fn root_of_unity(k: u32) -> Fr {
    (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square())
}

/// `1, x, x², …`, `n` of them.
pub(crate) fn powers(x: Fr, n: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::ONE), |power| Some(*power * x))
        .take(n)
        .collect()
}
