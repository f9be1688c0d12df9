//! What deployment and verification cost, as a golden file: a change shows in the diff.

use std::{collections::BTreeMap, fs};

use serde::{Deserialize, Serialize};
use tensorseal_circuits::profile;

use crate::{
    case::{Case, crate_dir},
    generated::regenerating,
};

/// One profile's costs, for a proof with four rows of public values.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cost {
    verifier_bytes: usize,
    verifier_deploy_gas: u64,
    key_bytes: usize,
    key_deploy_gas: u64,
    proof_bytes: usize,
    calldata_bytes: usize,
    calldata_gas: u64,
    calldata_floor_gas: u64,
    execution_gas: u64,
    transaction_gas: u64,
    /// Execution of a batch of 16 proofs, and what each but the first adds.
    batch_of_16_gas: u64,
    batch_marginal_gas: u64,
}

pub(crate) fn check() {
    let mut costs = BTreeMap::new();
    for p in profile::ALL {
        let mut case = Case::profile(*p);
        let calldata = case.calldata();
        let gas = case.call(&calldata).unwrap();
        let batch_of_16_gas = case.batch_gas(16);
        let cost = Cost {
            verifier_bytes: case.verifier.code_bytes,
            verifier_deploy_gas: case.verifier.gas,
            key_bytes: case.registered.code_bytes,
            key_deploy_gas: case.registered.gas,
            proof_bytes: case.proof.len(),
            calldata_bytes: gas.calldata_bytes,
            calldata_gas: gas.calldata,
            calldata_floor_gas: gas.calldata_floor,
            execution_gas: gas.execution,
            transaction_gas: gas.transaction,
            batch_of_16_gas,
            batch_marginal_gas: (batch_of_16_gas - case.batch_gas(1)) / 15,
        };
        costs.insert(p.name(), cost);
    }
    let path = crate_dir().join("tests/golden/gas.json");
    if regenerating() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = serde_json::to_string_pretty(&costs).unwrap() + "\n";
        fs::write(&path, text).unwrap();
    }
    let text = fs::read_to_string(&path).expect("TENSORSEAL_REGENERATE=1 writes it");
    let golden: BTreeMap<String, Cost> = serde_json::from_str(&text).unwrap();
    assert_eq!(
        costs,
        golden,
        "TENSORSEAL_REGENERATE=1 rewrites {}",
        path.display()
    );
}
