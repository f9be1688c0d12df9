//! `PublicValues.unpack`: the same verdicts from less calldata.

use halo2_proofs::halo2curves::bn256::Fr;
use sha3::{Digest, Keccak256};
use tensorseal_verifier_contract::{
    calldata::encode_verify,
    evm::{EvmError, GasReport},
    packed::{Packed, pack},
    revert::Refusal,
};

use crate::{
    case::Case, circuits::SHAPES, generated::node_modules, harness::Source, registered::Registered,
};

pub(crate) const HARNESS: Source = Source {
    folder: "tests/packed",
    contract: "PackedHarness",
};

/// A registered model, and a consumer.
struct Consumer {
    registered: Registered,
    address: [u8; 20],
}

impl Consumer {
    fn new() -> Self {
        let mut registered = Registered::new(Case::shape(SHAPES[1]));
        let code = hex::decode(HARNESS.committed().bytecode).unwrap();
        let address = registered.case.evm.deploy(&code).unwrap().address;
        Self {
            registered,
            address,
        }
    }

    /// Calls a function of registry, id, what `head` and `tails` hold, and the proof.
    fn ask(
        &mut self,
        signature: &str,
        width: Option<usize>,
        values: (usize, &[u8]),
    ) -> Result<GasReport, EvmError> {
        let mut calldata = Keccak256::digest(signature)[..4].to_vec();
        let number = |v: usize| {
            let mut word = [0; 32];
            word[24..].copy_from_slice(&(v as u64).to_be_bytes());
            word
        };
        let proof = &self.registered.case.proof;
        let heads = 4 + usize::from(width.is_some());
        let padded = values.1.len().next_multiple_of(32);
        calldata.extend([0; 12]);
        calldata.extend(self.registered.registry);
        calldata.extend(self.registered.id);
        calldata.extend(width.map(number).into_iter().flatten());
        calldata.extend(number(32 * heads));
        calldata.extend(number(32 * (heads + 1) + padded));
        calldata.extend(number(values.0));
        calldata.extend(values.1);
        calldata.resize(calldata.len() + padded - values.1.len(), 0);
        calldata.extend(number(proof.len()));
        calldata.extend(proof);
        let (output, gas) = self.registered.case.evm.call(self.address, &calldata)?;
        assert_eq!(output, number(1));
        Ok(gas)
    }

    fn plain(&mut self, words: &[[u8; 32]]) -> Result<GasReport, EvmError> {
        let signature = "plain(address,bytes32,uint256[],bytes)";
        self.ask(signature, None, (words.len(), words.as_flattened()))
    }

    fn packed(&mut self, values: &Packed) -> Result<GasReport, EvmError> {
        let signature = "packed(address,bytes32,uint256,bytes,bytes)";
        let bytes = (values.bytes.len(), &values.bytes[..]);
        self.ask(signature, Some(values.width), bytes)
    }

    /// The words of public values, as they stand in the verifier's calldata.
    fn words(&self, instances: &[Vec<Fr>]) -> Vec<[u8; 32]> {
        let case = &self.registered.case;
        let calldata = encode_verify(&case.layout, [0; 20], instances, &case.proof).unwrap();
        let count = instances.len() * instances[0].len();
        calldata[4 + 32 * 4..][..32 * count]
            .as_chunks::<32>()
            .0
            .to_vec()
    }
}

#[test]
fn packed_values_get_the_same_verdict() {
    let mut consumer = Consumer::new();
    let honest = consumer.registered.case.instances.clone();
    let words = consumer.words(&honest);
    let packed = pack(&words).expect("small values");
    let (plain, less) = (
        consumer.plain(&words).unwrap(),
        consumer.packed(&packed).unwrap(),
    );
    println!(
        "{} values: {} gas a transaction as words, {} packed in {} bytes each",
        words.len(),
        plain.transaction,
        less.transaction,
        packed.width
    );
    assert!(less.calldata < plain.calldata);

    // Wider than needed is the same values; another value is another statement, whichever sign it has.
    let wide = Packed {
        width: packed.width + 3,
        bytes: packed
            .bytes
            .chunks(packed.width)
            .flat_map(|v| {
                let fill = if v[0] & 0x80 == 0 { 0 } else { 0xff };
                [&[fill; 3], v].concat()
            })
            .collect(),
    };
    consumer.packed(&wide).unwrap();
    for change in [1, 0x80, 0xff] {
        let mut wrong = packed.clone();
        *wrong.bytes.last_mut().unwrap() ^= change;
        let refused = consumer.packed(&wrong).unwrap_err();
        let expected = Refusal::PairingFailed;
        assert!(
            matches!(&refused, EvmError::Refused(why) if *why == expected),
            "{refused}"
        );
    }
}

#[test]
fn what_is_not_packed_is_refused() {
    let mut consumer = Consumer::new();
    let honest = consumer.registered.case.instances.clone();
    let packed = pack(&consumer.words(&honest)).expect("small values");
    for (width, bytes) in [
        (0, packed.bytes.clone()),
        (32, vec![0; 32 * packed.bytes.len()]),
        (2, vec![0; 3]),
    ] {
        let refused = consumer.packed(&Packed { width, bytes }).unwrap_err();
        let expected = &hex::encode(&Keccak256::digest("BadPacking(uint256,uint256)")[..4]);
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    // Fewer values than the profile takes.
    let short = Packed {
        width: packed.width,
        bytes: packed.bytes[packed.width..].to_vec(),
    };
    let refused = consumer.packed(&short).unwrap_err();
    assert!(matches!(
        refused,
        EvmError::Refused(Refusal::BadInstanceCount { .. })
    ));
}

#[test]
fn the_consumer_s_bytecode_is_the_pinned_compilers() {
    if node_modules() {
        assert!(HARNESS.committed() == HARNESS.compile());
    }
}
