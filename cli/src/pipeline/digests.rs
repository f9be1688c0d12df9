//! What the hashed sides of a model show: one digest each.

use halo2_proofs::halo2curves::bn256::Fr;
use serde::{Deserialize, Serialize};
use tensorseal_circuits::{
    layout::{Digest, Side},
    model::{Encoding, Model, Port},
};
use tensorseal_prover::transcript::scalar_to_bytes;

/// A hashed side, and what it takes to hash tensors as the circuit does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HashedSide {
    /// What is hashed, how many values, and their packing.
    pub digest: Digest,
    /// The tensors, in the order in which they are hashed, each row-major.
    pub tensors: Vec<HashedTensor>,
}

/// A hashed tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HashedTensor {
    /// The ONNX name.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// `real = scale * integer`; 1 where elements have encodings of their own.
    pub scale: f64,
    /// One for each element of an item, where they differ.
    pub encodings: Vec<Encoding>,
}

/// The digest of a side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DigestValue {
    /// `input` or `output`.
    pub side: &'static str,
    /// The digest, in hex.
    pub digest: String,
    /// Values hashed.
    pub count: usize,
    /// The least value.
    pub lo: i64,
    /// Bits of a packed value.
    pub bits: u32,
    /// Names of the tensors.
    pub tensors: Vec<String>,
}

impl HashedSide {
    /// Describes a digest of a model.
    pub fn new(model: &Model, digest: &Digest) -> Self {
        let ports = match digest.side {
            Side::Input => &model.inputs,
            Side::Output => &model.outputs,
        };
        let tensor = |port: &Port| HashedTensor {
            name: port.name.clone(),
            shape: port.shape.clone(),
            scale: port.scale,
            encodings: port.encodings.clone(),
        };
        HashedSide {
            digest: *digest,
            tensors: ports.iter().map(tensor).collect(),
        }
    }

    /// A value of the digest, for reports.
    pub fn with(&self, value: &Fr) -> DigestValue {
        let packing = self.digest.packing;
        DigestValue {
            side: match self.digest.side {
                Side::Input => "input",
                Side::Output => "output",
            },
            digest: digest_hex(value),
            count: self.digest.count,
            lo: packing.lo(),
            bits: packing.bits(),
            tensors: self.tensors.iter().map(|t| t.name.clone()).collect(),
        }
    }
}

impl DigestValue {
    /// What it is, and its value, for people.
    pub fn row(&self) -> [String; 2] {
        [format!("{} digest", self.side), self.digest.clone()]
    }

    /// How it is made, for people.
    pub fn recipe(&self) -> String {
        format!(
            "{}: {} values of {} bits from {} on",
            self.tensors.join(", "),
            self.count,
            self.bits,
            self.lo
        )
    }
}

/// A digest for reports.
pub(super) fn digest_hex(value: &Fr) -> String {
    format!("0x{}", hex::encode(scalar_to_bytes(value)))
}
