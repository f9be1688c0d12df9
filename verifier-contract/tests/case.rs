//! A circuit with its key, one proof and its contract, deployed in the embedded EVM.

use std::path::PathBuf;

use ff::{Field, PrimeField};
use halo2_proofs::{
    halo2curves::{
        CurveAffine,
        bn256::{Fq, Fr, G1Affine},
    },
    plonk::Circuit,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use tensorseal_circuits::profile::Profile;
use tensorseal_prover::{ProvingKey, Srs, keygen, prove, verify};
use tensorseal_verifier_contract::{
    calldata::{encode_verify, encode_verify_batch, encode_words},
    codegen::VerifierLayout,
    evm::{Deployment, EmbeddedEvm, EvmError, GasReport},
    key::KeyData,
    profiles::Artifact,
    revert::Refusal,
};

use crate::circuits::{Idle, Shape, TestCircuit};

/// Rows of the public values in every case that has some.
const ROWS: usize = 4;

/// This crate's folder; the fuzzer's crate, which shares this file, stands beside it.
pub(crate) fn crate_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../verifier-contract")
}

/// The committed bytecode of a contract.
fn initcode(folder: &str, name: &str) -> Vec<u8> {
    let path = crate_dir().join(folder).join(format!("{name}.json"));
    let text = std::fs::read_to_string(path).expect("TENSORSEAL_REGENERATE=1 writes it");
    let artifact: Artifact = serde_json::from_str(&text).unwrap();
    hex::decode(artifact.bytecode).unwrap()
}

pub(crate) struct Case {
    pub(crate) layout: VerifierLayout,
    pub(crate) pk: ProvingKey,
    pub(crate) instances: Vec<Vec<Fr>>,
    pub(crate) proof: Vec<u8>,
    pub(crate) key: KeyData,
    pub(crate) initcode: Vec<u8>,
    pub(crate) evm: EmbeddedEvm,
    pub(crate) verifier: Deployment,
    pub(crate) registered: Deployment,
}

impl Case {
    /// One of the shapes whose contracts stand under `tests/contracts`.
    pub(crate) fn shape(shape: Shape) -> Self {
        Self::shape_from(shape, 3, 6)
    }

    /// The same with another witness and another `k`.
    pub(crate) fn shape_from(shape: Shape, start: u64, k: u32) -> Self {
        let circuit = TestCircuit {
            shape,
            start,
            steps: 9,
            public_rows: ROWS,
        };
        let initcode = initcode("tests/contracts", &shape.name());
        Self::new(&shape.name(), &circuit, circuit.instances(), 1, k, initcode)
    }

    /// A real profile.
    pub(crate) fn profile(profile: Profile) -> Self {
        let initcode = initcode("contracts/profiles", &profile.name());
        let column = |l: usize| {
            let mut values = vec![Fr::ZERO; ROWS * profile.fold];
            for row in 0..ROWS {
                values[row * profile.fold] = Fr::from((l * ROWS + row) as u64);
            }
            values
        };
        let instances = (0..profile.lanes).map(column).collect();
        let (name, idle) = (profile.name(), Idle(profile));
        Self::new(
            &name,
            &idle,
            instances,
            profile.fold,
            6 + profile.fold.ilog2(),
            initcode,
        )
    }

    fn new<C: Circuit<Fr>>(
        name: &str,
        circuit: &C,
        instances: Vec<Vec<Fr>>,
        stride: usize,
        k: u32,
        initcode: Vec<u8>,
    ) -> Self {
        let srs = Srs::dev(k).unwrap();
        let rows: Vec<usize> = instances.iter().map(Vec::len).collect();
        let pk = keygen(&srs, circuit, &rows).unwrap();
        let rng = ChaCha20Rng::seed_from_u64(7);
        let proof = prove(&srs, &pk, circuit, &instances, rng).unwrap();
        let layout = VerifierLayout::strided(name, pk.vk().halo2().cs(), stride).unwrap();
        let key = KeyData::of(&layout, pk.vk()).unwrap();
        let mut evm = EmbeddedEvm::new();
        let verifier = evm.deploy(&initcode).unwrap();
        let registered = evm.deploy_key(&key).unwrap();
        Self {
            layout,
            pk,
            instances,
            proof,
            key,
            initcode,
            evm,
            verifier,
            registered,
        }
    }

    /// Public values and proof of another witness under the same key; the case is one of [`shape`](Self::shape)'s.
    pub(crate) fn another(&self, shape: Shape, start: u64) -> (Vec<Vec<Fr>>, Vec<u8>) {
        let circuit = TestCircuit {
            shape,
            start,
            steps: 9,
            public_rows: ROWS,
        };
        let (srs, instances) = (Srs::dev(self.key.k).unwrap(), circuit.instances());
        let rng = ChaCha20Rng::seed_from_u64(start);
        let proof = prove(&srs, &self.pk, &circuit, &instances, rng).unwrap();
        (instances, proof)
    }

    /// Execution gas of a batch, which costs the same whichever proofs it holds.
    pub(crate) fn batch_gas(&mut self, proofs: usize) -> u64 {
        let batch = vec![(self.instances.clone(), self.proof.clone()); proofs];
        let calldata = encode_verify_batch(&self.layout, self.registered.address, &batch).unwrap();
        self.call(&calldata).unwrap().execution
    }

    /// The point that stands in 64 bytes of a proof.
    pub(crate) fn point(bytes: &[u8]) -> G1Affine {
        let coordinate = |bytes: &[u8]| {
            let mut bytes: [u8; 32] = bytes.try_into().unwrap();
            bytes.reverse();
            Fq::from_repr(bytes).unwrap()
        };
        G1Affine::from_xy(coordinate(&bytes[..32]), coordinate(&bytes[32..64])).unwrap()
    }

    pub(crate) fn point_bytes(point: G1Affine) -> [u8; 64] {
        let mut bytes = [0; 64];
        for (out, coordinate) in bytes.chunks_mut(32).zip([point.x, point.y]) {
            out.copy_from_slice(&coordinate.to_repr());
            out.reverse();
        }
        bytes
    }

    pub(crate) fn calldata(&self) -> Vec<u8> {
        let key = self.registered.address;
        encode_verify(&self.layout, key, &self.instances, &self.proof).unwrap()
    }

    /// What the contract says to calldata.
    pub(crate) fn call(&mut self, calldata: &[u8]) -> Result<GasReport, Refusal> {
        match self.evm.verify(self.verifier.address, calldata) {
            Ok(gas) => Ok(gas),
            Err(EvmError::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("neither accepted nor refused: {other}"),
        }
    }

    /// What the contract says to instances and a proof, whatever their shape.
    pub(crate) fn contract(
        &mut self,
        instances: &[Vec<Fr>],
        proof: &[u8],
    ) -> Result<GasReport, Refusal> {
        let rows = instances.iter().map(Vec::len).max().unwrap_or(0);
        let word = |row: usize, column: &Vec<Fr>| {
            let mut bytes = ff::PrimeField::to_repr(&column.get(row).copied().unwrap_or(Fr::ZERO));
            bytes.reverse();
            bytes
        };
        let words: Vec<[u8; 32]> = (0..rows)
            .step_by(self.layout.instance_stride())
            .flat_map(|row| instances.iter().map(move |c| word(row, c)))
            .collect();
        self.call(&encode_words(self.registered.address, &words, proof))
    }

    /// What the Rust verifier says.
    pub(crate) fn native(&self, instances: &[Vec<Fr>], proof: &[u8]) -> bool {
        verify(self.pk.vk(), instances, proof).is_ok()
    }

    /// Both refuse.
    pub(crate) fn both_refuse(
        &mut self,
        instances: &[Vec<Fr>],
        proof: &[u8],
        what: &str,
    ) -> Refusal {
        assert!(!self.native(instances, proof), "Rust accepts: {what}");
        match self.contract(instances, proof) {
            Err(refusal) => refusal,
            Ok(_) => panic!("the contract accepts: {what}"),
        }
    }
}
