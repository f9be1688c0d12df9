//! The structured reference string: powers of a secret `s` that nobody may know.
//!
//! `g[i] = s^i·G1` and `g_lagrange[i] = L_i(s)·G1` for `i < 2^k`, with `L_i` the Lagrange basis of the
//! domain `{ω^i}`, and `s·G2`. `g[0]` and `g2` are the standard generators, always.

use std::{borrow::Cow, path::Path, sync::OnceLock};

use ff::{BatchInvert, Field, FromUniformBytes, PrimeField};
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::{
    arithmetic::g_to_lagrange,
    halo2curves::{
        bn256::{Bn256, Fr, G1, G1Affine, G2Affine},
        pairing::{MillerLoopResult, MultiMillerLoop},
    },
    poly::kzg::commitment::ParamsKZG,
};
use rand::{CryptoRng, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use sha3::{Digest, Keccak256};

use crate::{
    artifact::{self, ArtifactError, Flags, Kind},
    bytes::{PayloadError, Reader, point_or_identity, push_g2, push_point, push_u32},
    msm,
    transcript::POINT_BYTES,
};

/// The largest `k` with a domain of size `2^k` in the scalar field.
pub const MAX_K: u32 = Fr::S;

const DEV_SEED: &[u8] = b"tensorseal development SRS: INSECURE, the secret is this line's hash";

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
    /// The points are not the powers of one secret.
    #[error("the points are not a consistent SRS ({what}); get it from a trusted source again")]
    Inconsistent {
        /// Which check failed.
        what: &'static str,
    },
}

impl Srs {
    /// An SRS for development: **insecure**, its secret is public and proofs under it can be forged.
    ///
    /// Deterministic: the same points on every machine, and those of a smaller `k` are powers of the
    /// same secret.
    ///
    /// # Errors
    /// [`SrsError::KOutOfRange`].
    pub fn dev(k: u32) -> Result<Self, SrsError> {
        if !(1..=MAX_K).contains(&k) {
            return Err(SrsError::KOutOfRange { k });
        }
        let s = dev_secret();
        let n = 1usize << k;
        let g = FixedBase::new().multiply_all(&powers(s, n));
        // L_i(s) = (s^n - 1)/n · ω^i/(s - ω^i)
        let omega = root_of_unity(k);
        let roots = powers(omega, n);
        let mut scalars: Vec<Fr> = roots.iter().map(|root| s - root).collect();
        scalars.batch_invert();
        let factor = (s.pow_vartime([n as u64]) - Fr::ONE)
            * Fr::from(n as u64).invert().expect("n < r is not zero");
        scalars
            .par_iter_mut()
            .zip(&roots)
            .for_each(|(scalar, root)| *scalar *= factor * root);
        let g_lagrange = FixedBase::new().multiply_all(&scalars);
        let g2 = G2Affine::generator();
        Ok(Self {
            k,
            g,
            g_lagrange,
            g2,
            s_g2: (g2 * s).to_affine(),
            insecure: true,
        })
    }

    /// An SRS from its points; the Lagrange basis is computed if it is not given (some minutes at
    /// `k = 20`).
    ///
    /// Trusts the points; for some of doubtful origin call [`check`](Self::check).
    ///
    /// # Errors
    /// [`SrsError::KOutOfRange`], [`SrsError::WrongLength`], or [`SrsError::Inconsistent`] if `g[0]` is
    /// not the standard generator.
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
        let g_lagrange = g_lagrange.unwrap_or_else(|| {
            g_to_lagrange(g.iter().map(PrimeCurveAffine::to_curve).collect(), k)
        });
        Ok(Self {
            k,
            g,
            g_lagrange,
            g2: G2Affine::generator(),
            s_g2,
            insecure,
        })
    }

    /// Checks that the points are the powers of one secret, and that both bases agree.
    ///
    /// With random `ρ`: `e(Σ ρ_i·g[i+1], g2) = e(Σ ρ_i·g[i], s·g2)`, and for a random polynomial of
    /// degree below `n` the commitments in both bases are equal. A wrong SRS passes with probability
    /// about `2^-254`.
    ///
    /// # Errors
    /// [`SrsError::Inconsistent`].
    pub fn check(&self, mut rng: impl RngCore + CryptoRng) -> Result<(), SrsError> {
        let n = self.g.len();
        let random: Vec<Fr> = (0..n - 1).map(|_| Fr::random(&mut rng)).collect();
        let low = msm::commit(&random, &self.g[..n - 1]).to_affine();
        let high = msm::commit(&random, &self.g[1..]).to_affine();
        let (g2, s_g2) = ((-self.g2).into(), self.s_g2.into());
        let product =
            Bn256::multi_miller_loop(&[(&high, &g2), (&low, &s_g2)]).final_exponentiation();
        let degenerate = bool::from(self.g[1].is_identity());
        if degenerate || !bool::from(product.is_identity()) {
            return Err(SrsError::Inconsistent {
                what: "g is not a sequence of powers",
            });
        }
        // p = Σ_i τ^i·X^i needs no Fourier transform: its values are geometric sums,
        // p(ω^j) = (τ^n - 1)/(τ·ω^j - 1).
        let tau = Fr::random(&mut rng);
        let omega = root_of_unity(self.k);
        let mut values: Vec<Fr> = powers(omega, n)
            .into_iter()
            .map(|root| tau * root - Fr::ONE)
            .collect();
        values.batch_invert();
        let factor = tau.pow_vartime([n as u64]) - Fr::ONE;
        values.iter_mut().for_each(|value| *value *= factor);
        if msm::commit(&powers(tau, n), &self.g) != msm::commit(&values, &self.g_lagrange) {
            return Err(SrsError::Inconsistent {
                what: "the Lagrange basis is not that of g",
            });
        }
        Ok(())
    }

    /// The SRS for `2^k` rows made of this one's first points.
    ///
    /// Costs a Fourier transform over points (a second at `k = 13`, minutes at `k = 20`) unless this is
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
        let smaller = if self.s_g2 == (G2Affine::generator() * dev_secret()).to_affine() {
            Self::dev(k)?
        } else {
            Self::from_parts(k, self.g[..1 << k].to_vec(), None, self.s_g2, self.insecure)?
        };
        Ok(Cow::Owned(smaller))
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

    /// The payload of an SRS file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + 2 * POINT_BYTES * self.g.len());
        push_u32(&mut bytes, self.k as usize);
        bytes.push(u8::from(self.insecure));
        push_g2(&mut bytes, &self.s_g2);
        for point in self.g.iter().chain(&self.g_lagrange) {
            push_point(&mut bytes, point);
        }
        bytes
    }

    /// Reads the payload of an SRS file. Every point is checked to be on its curve.
    ///
    /// # Errors
    /// [`SrsError`] for malformed bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SrsError> {
        let mut reader = Reader::new(bytes);
        let k = reader.u32("the size k")?;
        if !(1..=MAX_K).contains(&k) {
            return Err(SrsError::KOutOfRange { k });
        }
        let insecure = reader.bool("the flag of insecurity")?;
        let s_g2 = reader.g2("s·G2")?;
        let mut points = |what| -> Result<Vec<G1Affine>, SrsError> {
            let offset = reader.offset();
            let len = POINT_BYTES.saturating_mul(1 << k);
            let table = reader.take(len, what)?;
            table
                .par_chunks_exact(POINT_BYTES)
                .enumerate()
                .map(|(i, bytes)| {
                    point_or_identity(bytes).ok_or(SrsError::Payload(PayloadError::Invalid {
                        what,
                        offset: offset + i * POINT_BYTES,
                    }))
                })
                .collect()
        };
        let g = points("point of the monomial basis")?;
        let g_lagrange = points("point of the Lagrange basis")?;
        reader.finish()?;
        Self::from_parts(k, g, Some(g_lagrange), s_g2, insecure)
    }

    /// Writes the SRS to a file.
    ///
    /// # Errors
    /// [`ArtifactError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), ArtifactError> {
        artifact::write(
            path,
            Kind::Srs,
            Flags {
                insecure: self.insecure,
            },
            &self.to_bytes(),
        )
    }

    /// Reads an SRS from a file.
    ///
    /// # Errors
    /// [`SrsError`] for a missing, foreign or malformed file.
    pub fn load(path: &Path) -> Result<Self, SrsError> {
        Self::from_bytes(&artifact::read(path, Kind::Srs)?.payload)
    }
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

fn dev_secret() -> Fr {
    let mut wide = [0u8; 64];
    for (half, salt) in wide.chunks_exact_mut(32).zip(0u8..) {
        half.copy_from_slice(
            &Keccak256::new()
                .chain_update(DEV_SEED)
                .chain_update([salt])
                .finalize(),
        );
    }
    Fr::from_uniform_bytes(&wide)
}

/// Multiples of the generator: `table[w][d - 1] = d·2^(BITS·w)·G1`.
struct FixedBase {
    table: Vec<Vec<G1Affine>>,
}

impl FixedBase {
    /// Bits of a window: 32 additions a scalar, and a table of 512 KiB that stays in the cache.
    const BITS: usize = 8;

    fn new() -> Self {
        let mut base = G1::generator();
        let table = (0..256 / Self::BITS)
            .map(|_| {
                let mut row = Vec::with_capacity((1 << Self::BITS) - 1);
                let mut multiple = base;
                for _ in 1..1 << Self::BITS {
                    row.push(multiple);
                    multiple += base;
                }
                base = multiple;
                let mut affine = vec![G1Affine::identity(); row.len()];
                G1::batch_normalize(&row, &mut affine);
                affine
            })
            .collect();
        Self { table }
    }

    fn multiply_all(&self, scalars: &[Fr]) -> Vec<G1Affine> {
        let mut points = vec![G1Affine::identity(); scalars.len()];
        points
            .par_chunks_mut(1024)
            .zip(scalars.par_chunks(1024))
            .for_each(|(points, scalars)| {
                let products: Vec<G1> = scalars
                    .iter()
                    .map(|scalar| {
                        let repr = scalar.to_repr();
                        let digits: &[u8] = repr.as_ref();
                        self.table
                            .iter()
                            .zip(digits)
                            .filter(|(_, digit)| **digit != 0)
                            .fold(G1::identity(), |sum, (row, digit)| {
                                sum + row[usize::from(*digit) - 1]
                            })
                    })
                    .collect();
                G1::batch_normalize(&products, points);
            });
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_srs_is_consistent() {
        let srs = Srs::dev(6).unwrap();
        srs.check(ChaCha20Rng::from_seed([1; 32])).unwrap();
        assert!(srs.is_insecure());
        // The group's own transform finds the same Lagrange basis.
        let slow = Srs::from_parts(6, srs.g.clone(), None, srs.s_g2, true).unwrap();
        assert_eq!(slow.g_lagrange, srs.g_lagrange);
        // Sizes share the secret.
        let small = Srs::dev(4).unwrap();
        assert_eq!(small.id(), srs.id());
        assert_eq!(srs.downsize(4).unwrap().g_lagrange, small.g_lagrange);
        assert!(matches!(
            srs.downsize(7),
            Err(SrsError::TooSmall { have: 6, need: 7 })
        ));
        assert!(matches!(Srs::dev(29), Err(SrsError::KOutOfRange { k: 29 })));
    }

    #[test]
    fn wrong_points_are_found() {
        let srs = Srs::dev(4).unwrap();
        let rng = || ChaCha20Rng::from_seed([2; 32]);
        let mut bad = srs.clone();
        bad.g.swap(3, 4);
        assert!(bad.check(rng()).is_err());
        let mut bad = srs.clone();
        bad.g_lagrange.swap(0, 1);
        assert!(bad.check(rng()).is_err());
        let mut bad = srs.clone();
        bad.s_g2 = bad.g2;
        assert!(bad.check(rng()).is_err());
        assert_ne!(bad.id(), srs.id());
    }

    #[test]
    fn files_keep_everything() {
        let srs = Srs::dev(4).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev.srs");
        srs.save(&path).unwrap();
        let read = Srs::load(&path).unwrap();
        assert_eq!((read.k, read.insecure, read.id()), (4, true, srs.id()));
        assert_eq!(
            (read.g, read.g_lagrange),
            (srs.g.clone(), srs.g_lagrange.clone())
        );
        assert!(artifact::read(&path, Kind::Srs).unwrap().flags.insecure);

        let bytes = srs.to_bytes();
        for len in 0..bytes.len() {
            assert!(Srs::from_bytes(&bytes[..len]).is_err());
        }
        let mut long = bytes.clone();
        long.push(0);
        assert!(matches!(
            Srs::from_bytes(&long),
            Err(SrsError::Payload(PayloadError::Trailing { extra: 1 }))
        ));
        for at in [0, 4, 20, 200, 700] {
            let mut bad = bytes.clone();
            bad[at] ^= 0x55;
            assert!(Srs::from_bytes(&bad).is_err(), "byte {at}");
        }
    }
}
