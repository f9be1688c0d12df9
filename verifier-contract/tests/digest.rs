//! `PoseidonDigest.sol`: written from the circuit's own constants, and the same function as in Rust.

use std::{collections::BTreeMap, fmt::Write, fs};

use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::Fr;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha3::{Digest, Keccak256};
use tensorseal_circuits::hash::{
    Packing,
    poseidon::{self, FULL_ROUNDS, PARTIAL_ROUNDS},
};
use tensorseal_verifier_contract::evm::{EmbeddedEvm, EvmError};

use crate::{
    case::crate_dir,
    generated::{node_modules, regenerating},
};

const LIBRARY: &str = "contracts/PoseidonDigest.sol";
const HARNESS: crate::harness::Source = crate::harness::Source {
    folder: "tests/digest",
    contract: "DigestHarness",
};
const GOLDEN: &str = "tests/golden/digest_gas.json";

fn hex_of(v: &Fr) -> String {
    let mut bytes = v.to_repr();
    bytes.reverse();
    format!("0x{}", hex::encode(bytes))
}

/// The library, from its template and the permutation's constants.
fn source() -> String {
    let parameters = poseidon::parameters();
    let mut table = String::new();
    for (i, constant) in parameters.rounds.iter().flatten().enumerate() {
        let to = match i {
            0 => "table".to_owned(),
            i => format!("add(table, {:#x})", 32 * i),
        };
        writeln!(table, "            mstore({to}, {})", hex_of(constant)).expect("a string");
    }
    let mut text = include_str!("digest/PoseidonDigest.sol.template")
        .replace("{table}", table.trim_end())
        .replace("{words}", &parameters.rounds.concat().len().to_string())
        .replace("{full bytes}", &format!("{:#x}", 32 * 3 * FULL_ROUNDS / 2))
        .replace("{partial bytes}", &format!("{:#x}", 32 * PARTIAL_ROUNDS));
    for (i, line) in parameters.matrix.iter().enumerate() {
        for (j, m) in line.iter().enumerate() {
            text = text.replace(&format!("{{m{i}{j}}}"), &hex_of(m));
        }
    }
    text
}

/// Writes the library and the harness's bytecode.
pub(crate) fn regenerate() {
    fs::write(crate_dir().join(LIBRARY), source()).unwrap();
    HARNESS.regenerate();
}

/// The harness in an EVM.
struct Harness {
    evm: EmbeddedEvm,
    address: [u8; 20],
}

impl Harness {
    fn new() -> Self {
        let mut evm = EmbeddedEvm::new();
        let code = hex::decode(HARNESS.committed().bytecode).unwrap();
        let address = evm.deploy(&code).unwrap().address;
        Self { evm, address }
    }

    /// Calls `signature` with two words and an array, in the order `head` says; the word returned, and the gas.
    fn call(
        &mut self,
        signature: &str,
        head: &[Option<[u8; 32]>],
        array: &[[u8; 32]],
    ) -> Result<([u8; 32], u64), EvmError> {
        let mut calldata = Keccak256::digest(signature)[..4].to_vec();
        for word in head {
            calldata.extend(word.unwrap_or(int(32 * head.len() as i128)));
        }
        calldata.extend(int(array.len() as i128));
        calldata.extend(array.as_flattened());
        let (output, gas) = self.evm.call(self.address, &calldata)?;
        Ok((output.try_into().expect("one word"), gas.execution))
    }

    fn digest(&mut self, values: &[i64], lo: i64, bits: u32) -> Result<([u8; 32], u64), EvmError> {
        let values: Vec<[u8; 32]> = values.iter().map(|v| int(i128::from(*v))).collect();
        let head = [None, Some(int(i128::from(lo))), Some(int(i128::from(bits)))];
        self.call("digest(int256[],int256,uint256)", &head, &values)
    }

    fn hash(&mut self, tag: &Fr, elements: &[Fr]) -> Result<([u8; 32], u64), EvmError> {
        let elements: Vec<[u8; 32]> = elements.iter().map(word).collect();
        self.call(
            "hash(uint256,uint256[])",
            &[Some(word(tag)), None],
            &elements,
        )
    }
}

/// An `int256`.
fn int(v: i128) -> [u8; 32] {
    let mut bytes = [if v < 0 { 0xff } else { 0 }; 32];
    bytes[16..].copy_from_slice(&v.to_be_bytes());
    bytes
}

fn word(v: &Fr) -> [u8; 32] {
    let mut bytes = v.to_repr();
    bytes.reverse();
    bytes
}

#[test]
fn the_library_is_generated_and_compiled_as_committed() {
    let library = fs::read_to_string(crate_dir().join(LIBRARY)).unwrap_or_default();
    assert!(
        library == source(),
        "{LIBRARY} is stale: TENSORSEAL_REGENERATE=1 cargo test -p tensorseal-verifier-contract --test main"
    );
    if node_modules() {
        assert!(HARNESS.committed() == HARNESS.compile());
    }
}

#[test]
fn solidity_and_rust_hash_alike() {
    let mut harness = Harness::new();
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    for case in 0..60 {
        let bits = [1, 4, 8, 9, 12, 24, 31, 40, 63, 64][case % 10];
        let lo = match case % 3 {
            0 => 0,
            1 => -(1i64 << (bits - 1).min(62)),
            _ => rng.gen_range(-1000..1000),
        };
        let packing = Packing::try_from((lo, bits)).unwrap();
        let count = match case {
            0..10 => case,
            _ => rng.gen_range(1..200),
        };
        let above = |rng: &mut ChaCha20Rng| rng.r#gen::<u64>() >> (64 - bits);
        let values: Vec<i64> = (0..count)
            .map(|_| i128::from(lo) + i128::from(above(&mut rng)))
            .map(|v| i64::try_from(v).unwrap_or(lo))
            .collect();
        let expected = packing.digest(&values).unwrap();
        let (got, _) = harness.digest(&values, lo, bits).unwrap();
        assert_eq!(
            got,
            word(&expected),
            "{count} values of {bits} bits from {lo}"
        );
        let elements = packing.pack(&values).unwrap();
        let (got, _) = harness.hash(&packing.tag(count), &elements).unwrap();
        assert_eq!(got, word(&expected));
    }
}

#[test]
fn the_library_refuses_what_rust_refuses() {
    let mut harness = Harness::new();
    let mut refused = |values: &[i64], lo, bits| {
        let failed = harness.digest(values, lo, bits);
        assert!(
            matches!(failed, Err(EvmError::Refused(_))),
            "{values:?} {lo} {bits}: {failed:?}"
        );
    };
    refused(&[0, 16], 0, 4);
    refused(&[-1], 0, 4);
    refused(&[i64::MIN], 1, 64);
    refused(&[], 0, 0);
    refused(&[], 0, 65);
    let wide = Fr::from(2).pow_vartime([248]);
    let failed = harness.hash(&Fr::from(1), &[wide]);
    assert!(matches!(failed, Err(EvmError::Refused(_))), "{failed:?}");
}

/// What hashing costs a contract, as a golden file.
#[test]
fn hashing_costs_what_the_documents_say() {
    let mut harness = Harness::new();
    let mut costs = BTreeMap::new();
    let packing = Packing::try_from((0, 8)).unwrap();
    for count in [10, 64, 784] {
        let values: Vec<i64> = (0..count).map(|i| i % 256).collect();
        let elements = packing.pack(&values).unwrap();
        let tag = packing.tag(values.len());
        let (_, packing_too) = harness.digest(&values, 0, 8).unwrap();
        let (_, packed) = harness.hash(&tag, &elements).unwrap();
        costs.insert(format!("{count} bytes"), packing_too);
        costs.insert(format!("{count} bytes, packed"), packed);
    }
    let path = crate_dir().join(GOLDEN);
    if regenerating() {
        fs::write(&path, serde_json::to_string_pretty(&costs).unwrap() + "\n").unwrap();
    }
    let text = fs::read_to_string(&path).expect("TENSORSEAL_REGENERATE=1 writes it");
    let golden: BTreeMap<String, u64> = serde_json::from_str(&text).unwrap();
    assert_eq!(costs, golden, "TENSORSEAL_REGENERATE=1 rewrites {GOLDEN}");
}
