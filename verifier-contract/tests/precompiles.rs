//! Chains that lack a precompile: a call to its address succeeds and computes nothing, and no proof is accepted.

use revm::{
    Context, ExecuteEvm, MainBuilder, MainContext,
    bytecode::Bytecode,
    context::{CfgEnv, TxEnv, result::ExecutionResult},
    database::InMemoryDB,
    handler::EthPrecompiles,
    precompile::{Precompiles, u64_to_address},
    primitives::{Address, Bytes, TxKind, hardfork::SpecId},
    state::AccountInfo,
};
use tensorseal_prover::Srs;
use tensorseal_verifier_contract::{
    calldata::encode_verify, evm::TRANSACTION_GAS_LIMIT, revert::Refusal,
};

use crate::{
    case::Case,
    circuits::{SHAPES, Shape},
    verdicts::evaluations,
};

const VERIFIER: [u8; 20] = [1; 20];
const KEY: [u8; 20] = [2; 20];

/// The precompiles of Osaka but some.
fn without(missing: &[u64]) -> EthPrecompiles {
    let all = Precompiles::osaka();
    let there = |address: &&Address| !missing.iter().any(|m| u64_to_address(*m) == **address);
    let mut some = Precompiles::default();
    some.extend(
        all.addresses()
            .filter(there)
            .filter_map(|a| all.get(a))
            .cloned(),
    );
    assert_eq!(some.len(), all.len() - missing.len());
    EthPrecompiles {
        // The EVM asks for a static set; this one is small and the process short.
        precompiles: Box::leak(Box::new(some)),
        spec: SpecId::OSAKA,
    }
}

/// The contract's verdict on a proof, on a chain without some precompiles.
fn verdict(case: &Case, proof: &[u8], missing: &[u64]) -> Result<(), Refusal> {
    let runtime = &case.initcode[case.initcode.len() - case.verifier.code_bytes..];
    let mut database = InMemoryDB::default();
    for (address, code) in [(VERIFIER, runtime), (KEY, &case.key.to_code())] {
        let code = Bytecode::new_raw(Bytes::copy_from_slice(code));
        database.insert_account_info(Address::from(address), AccountInfo::from_bytecode(code));
    }
    let calldata = encode_verify(&case.layout, KEY, &case.instances, proof).unwrap();
    let transaction = TxEnv::builder()
        .kind(TxKind::Call(Address::from(VERIFIER)))
        .gas_limit(TRANSACTION_GAS_LIMIT)
        .data(calldata.into())
        .build()
        .unwrap();
    let mut evm = Context::mainnet()
        .with_cfg(CfgEnv::new_with_spec(SpecId::OSAKA))
        .with_db(database)
        .build_mainnet()
        .with_precompiles(without(missing));
    match evm.transact(transaction).unwrap().result {
        ExecutionResult::Success { .. } => Ok(()),
        ExecutionResult::Revert { output, .. } => Err(Refusal::decode(&output)),
        halted => panic!("{halted:?}"),
    }
}

/// A proof of nothing, which the pairing accepts where sums of points are not computed: all commitments are `s·G`, and the
/// last opening point is `G`, so both sides are `e(G, s·G2)`.
fn forged(case: &Case) -> Vec<u8> {
    let srs = Srs::dev(case.key.k).unwrap();
    let mut proof = case.proof.clone();
    let end = proof.len();
    let commitments = end - 128 - 32 * evaluations(case);
    for at in (0..commitments).step_by(64) {
        proof[at..at + 64].copy_from_slice(&Case::point_bytes(srs.g()[1]));
    }
    proof[end - 64..].copy_from_slice(&Case::point_bytes(srs.g()[0]));
    proof
}

#[test]
fn a_chain_without_a_precompile_accepts_nothing() {
    let shape: Shape = SHAPES[1];
    let case = Case::shape(shape);
    let forged = forged(&case);
    assert_eq!(verdict(&case, &case.proof, &[]), Ok(()));
    assert_eq!(verdict(&case, &forged, &[]), Err(Refusal::PairingFailed));
    for (missing, precompile) in [
        (&[6, 7][..], 7),
        (&[6], 7),
        (&[7], 7),
        (&[5], 5),
        (&[8], 8),
        (&[5, 6, 7], 5),
    ] {
        for proof in [&forged, &case.proof] {
            let refused = Refusal::PrecompileFailed { precompile };
            assert_eq!(
                verdict(&case, proof, missing),
                Err(refused),
                "without {missing:?}"
            );
        }
    }
}
