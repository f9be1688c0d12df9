//! Keys: what prover and verifier know of a circuit.
//!
//! A halo2 key file repeats the fixed columns as full field elements in two bases. Here the proving
//! key's file holds each fixed column in the narrowest integers that hold its values, and the copy
//! constraints as pairs of cells; all else is computed from them. Both files name the SRS they belong
//! to, and the verifying key carries what a verifier needs of it, so verification needs no SRS file.

mod column;
mod copies;
mod keygen;
mod shape;

use std::path::Path;

use ::bytes::Bytes;
use halo2_proofs::{
    halo2curves::bn256::{Bn256, Fr, G1Affine, G2Affine},
    plonk::{self, Circuit, permutation},
    poly::{EvaluationDomain, kzg::commitment::ParamsKZG},
};

pub use keygen::{KeygenError, keygen};
pub use shape::{ShapeError, check_environment};
pub(crate) use {column::CompactColumn, copies::CopyMap, shape::*};

use crate::{
    artifact::{self, ArtifactError, Flags, Kind},
    bytes::{PayloadError, Reader, push_g2, push_point, push_scalar, push_u32},
    output::OutputError,
    srs::{SrsId, is_dev, kzg_params},
    transcript::POINT_BYTES,
};

/// Why a key could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The file's content is malformed.
    #[error("the key {0}; make it again")]
    Payload(#[from] PayloadError),
    /// The circuit is none that this crate can prove.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The key was made for another circuit.
    #[error(
        "the key belongs to another circuit than the one at hand: make it again, or use the model it \
         was made for"
    )]
    ForeignKey,
}

/// What a verifier knows of a circuit: commitments to its fixed columns and copy constraints, the
/// number of public values, and the SRS's two points in G2.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    halo2: plonk::VerifyingKey<G1Affine>,
    instance_rows: Vec<usize>,
    g2: G2Affine,
    s_g2: G2Affine,
    insecure: bool,
    /// What the file says of that.
    marked: bool,
}

impl VerifyingKey {
    /// halo2's form of the key.
    ///
    /// Its domain has no tables for Fourier transforms: enough for `verify_proof`, not for
    /// `create_proof`.
    #[must_use]
    pub fn halo2(&self) -> &plonk::VerifyingKey<G1Affine> {
        &self.halo2
    }

    /// Base-2 logarithm of the number of rows.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.halo2.get_domain().k()
    }

    /// How many public values each instance column has.
    #[must_use]
    pub fn instance_rows(&self) -> &[usize] {
        &self.instance_rows
    }

    /// The generator of G2.
    #[must_use]
    pub fn g2(&self) -> G2Affine {
        self.g2
    }

    /// The SRS's secret times the generator of G2.
    #[must_use]
    pub fn s_g2(&self) -> G2Affine {
        self.s_g2
    }

    /// The SRS the key belongs to.
    #[must_use]
    pub fn srs_id(&self) -> SrsId {
        SrsId::new(&self.g2, &self.s_g2)
    }

    /// Whether the key belongs to an SRS whose secret is known, so that proofs can be forged: it is marked so, or its
    /// point `s·G2` is that of the development SRS.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// Exact length of a proof in bytes.
    #[must_use]
    pub fn proof_len(&self) -> usize {
        proof_slots(self.halo2.cs()).map(Slot::bytes).sum()
    }

    /// What halo2's `verify_proof` needs of the SRS: one point in G1, two in G2.
    #[must_use]
    pub fn verifier_params(&self) -> ParamsKZG<Bn256> {
        kzg_params(
            self.k(),
            vec![G1Affine::generator()],
            vec![],
            self.g2,
            self.s_g2,
        )
    }

    /// The payload of a verifying key's file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![];
        push_u32(&mut out, self.k() as usize);
        out.push(u8::from(self.insecure));
        push_g2(&mut out, &self.g2);
        push_g2(&mut out, &self.s_g2);
        push_u32(&mut out, self.instance_rows.len());
        self.instance_rows
            .iter()
            .for_each(|rows| push_u32(&mut out, *rows));
        for points in [
            self.halo2.fixed_commitments(),
            self.halo2.permutation().commitments(),
        ] {
            push_u32(&mut out, points.len());
            points.iter().for_each(|point| push_point(&mut out, point));
        }
        push_scalar(&mut out, &self.halo2.transcript_repr());
        out
    }

    /// Reads the payload of a verifying key's file.
    ///
    /// The constraint system is not in the file: it is rebuilt from `C` and `params`, and must be the
    /// one the key was made for.
    ///
    /// # Errors
    /// [`KeyError::ForeignKey`] for another circuit's key, [`KeyError::Payload`] for malformed bytes.
    pub fn from_bytes<C: Circuit<Fr>>(params: C::Params, bytes: &[u8]) -> Result<Self, KeyError> {
        let mut reader = Reader::new(bytes);
        let k = reader.u32("the size k")?;
        let marked = reader.bool("flag of insecurity")?;
        let g2 = reader.g2("generator of G2")?;
        let s_g2 = reader.g2("s·G2")?;
        let count = reader.count(4, "instance columns")?;
        let instance_rows = (0..count)
            .map(|_| {
                reader
                    .u32("length of an instance column")
                    .map(|rows| rows as usize)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut points = |what| {
            let count = reader.count(POINT_BYTES, what)?;
            (0..count)
                .map(|_| reader.point(what))
                .collect::<Result<Vec<_>, _>>()
        };
        let fixed_commitments = points("commitment to a fixed column")?;
        let permutation_commitments = points("commitment to a permutation column")?;
        let stored_repr = reader.scalar("digest of the circuit")?;
        reader.finish()?;

        let cs = without_selectors(configure::<C>(params)?.0);
        check(&cs, k)?;
        let usable = usable_rows(&cs, k);
        if fixed_commitments.len() != cs.num_fixed_columns()
            || permutation_commitments.len() != cs.permutation().get_columns().len()
            || instance_rows.len() != cs.num_instance_columns()
            || instance_rows.iter().any(|rows| *rows > usable)
            || g2 != G2Affine::generator()
        {
            return Err(KeyError::ForeignKey);
        }
        let halo2 = plonk::VerifyingKey::from_parts(
            light_domain(cs.degree(), k),
            fixed_commitments,
            permutation::VerifyingKey::from_commitments(permutation_commitments),
            cs,
            vec![],
            false,
        );
        if halo2.transcript_repr() != stored_repr {
            return Err(KeyError::ForeignKey);
        }
        Ok(Self {
            halo2,
            instance_rows,
            g2,
            s_g2,
            insecure: marked || is_dev(&s_g2),
            marked,
        })
    }

    /// Checks that the header of the file that the key was read from has the same mark of insecurity as the payload.
    ///
    /// # Errors
    /// [`ArtifactError::DamagedHeader`].
    pub fn check_flags(&self, flags: Flags, path: &Path) -> Result<(), ArtifactError> {
        match flags.insecure == self.marked {
            true => Ok(()),
            false => Err(ArtifactError::DamagedHeader {
                path: path.to_owned(),
            }),
        }
    }

    /// Writes the key to a file; the file's size.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn save(&self, path: &Path) -> Result<u64, OutputError> {
        artifact::write(path, Kind::VerifyingKey, self.flags(), &self.to_bytes())
    }

    /// Reads a key from a file.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), and [`KeyError::Artifact`].
    pub fn load<C: Circuit<Fr>>(params: C::Params, path: &Path) -> Result<Self, KeyError> {
        let artifact = artifact::read(path, Kind::VerifyingKey)?;
        let key = Self::from_bytes::<C>(params, &artifact.payload)?;
        key.check_flags(artifact.flags, path)?;
        Ok(key)
    }

    fn flags(&self) -> Flags {
        Flags {
            insecure: self.insecure,
        }
    }
}

/// What a prover knows of a circuit: the verifying key, the fixed columns and the copy constraints.
#[derive(Clone, Debug)]
pub struct ProvingKey {
    vk: VerifyingKey,
    domain: EvaluationDomain<Fr>,
    fixed: Vec<CompactColumn>,
    copies: CopyMap,
}

impl ProvingKey {
    /// The verifying key.
    #[must_use]
    pub fn vk(&self) -> &VerifyingKey {
        &self.vk
    }

    /// The domain, with tables for Fourier transforms.
    pub(crate) fn domain(&self) -> &EvaluationDomain<Fr> {
        &self.domain
    }

    /// The fixed columns, selectors included.
    pub(crate) fn fixed(&self) -> &[CompactColumn] {
        &self.fixed
    }

    /// The copy constraints.
    pub(crate) fn copies(&self) -> &CopyMap {
        &self.copies
    }

    /// The payload of a proving key's file: the verifying key's, then the columns and the copies.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let vk = self.vk.to_bytes();
        let mut out = vec![];
        push_u32(&mut out, vk.len());
        out.extend_from_slice(&vk);
        self.fixed.iter().for_each(|column| column.write(&mut out));
        self.copies.write(&mut out);
        out
    }

    /// Reads the payload of a proving key's file; see [`VerifyingKey::from_bytes`].
    ///
    /// The key holds on to the payload and reads its columns of small integers where they lie. That the columns
    /// are those committed to in the verifying key is not checked: a key with others makes proofs that nobody
    /// accepts.
    ///
    /// # Errors
    /// [`KeyError::ForeignKey`] for another circuit's key, [`KeyError::Payload`] for malformed bytes.
    pub fn from_bytes<C: Circuit<Fr>>(
        params: C::Params,
        payload: &Bytes,
    ) -> Result<Self, KeyError> {
        let mut reader = Reader::new(payload);
        let vk_len = reader.count(1, "verifying key")?;
        let vk = VerifyingKey::from_bytes::<C>(params, reader.take(vk_len, "verifying key")?)?;
        let n = 1usize << vk.k();
        let cs = vk.halo2.cs();
        let fixed = (0..cs.num_fixed_columns())
            .map(|_| CompactColumn::read(&mut reader, payload, n))
            .collect::<Result<Vec<_>, _>>()?;
        let copies = CopyMap::read(&mut reader, n * cs.permutation().get_columns().len())?;
        reader.finish()?;
        let domain = EvaluationDomain::new(cs.degree() as u32, vk.k());
        Ok(Self {
            vk,
            domain,
            fixed,
            copies,
        })
    }

    /// Writes the key to a file; the file's size.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn save(&self, path: &Path) -> Result<u64, OutputError> {
        artifact::write(path, Kind::ProvingKey, self.vk.flags(), &self.to_bytes())
    }

    /// Reads a key from a file, which stays mapped.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), and [`KeyError::Artifact`].
    pub fn load<C: Circuit<Fr>>(params: C::Params, path: &Path) -> Result<Self, KeyError> {
        let artifact = artifact::map(path, Kind::ProvingKey)?;
        let key = Self::from_bytes::<C>(params, &artifact.payload)?;
        key.vk.check_flags(artifact.flags, path)?;
        Ok(key)
    }
}
