//! The same on a real node.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use halo2_proofs::halo2curves::bn256::Fr;
use tensorseal_circuits::profile;
use tensorseal_verifier_contract::{
    calldata::encode_verify,
    chain::{Account, Chain, ChainError},
    profiles,
    revert::Refusal,
};

use crate::{
    case::{Case, crate_dir},
    generated::node_modules,
};

/// The first account of anvil's published mnemonic; it owns nothing anywhere else.
const ANVIL_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A node on loopback, ended when dropped.
struct Anvil {
    process: Child,
    url: String,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The node's own binary: its npm wrapper would not pass the end on.
fn binary() -> Option<PathBuf> {
    let packages = std::fs::read_dir(crate_dir().join("node_modules/@foundry-rs")).ok()?;
    packages
        .filter_map(|p| Some(p.ok()?.path().join("bin/anvil")))
        .find(|path| path.exists())
}

impl Anvil {
    fn start() -> Option<Self> {
        if !node_modules() {
            return None;
        }
        let Some(binary) = binary() else {
            println!("skipped: no anvil for this platform in verifier-contract/node_modules");
            return None;
        };
        // A free port: bound once, then left to the node.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new(binary)
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--silent",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let anvil = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        };
        for _ in 0..300 {
            if Chain::connect(&anvil.url, None).is_ok() {
                return Some(anvil);
            }
            sleep(Duration::from_millis(100));
        }
        panic!("anvil does not answer at {}", anvil.url);
    }
}

#[test]
fn deploys_and_verifies_on_a_node() {
    let Some(anvil) = Anvil::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, ANVIL_KEY).unwrap();
    let account = Account::from_file(&path).unwrap();
    let chain = Chain::connect(&anvil.url, Some(account)).unwrap();
    assert_eq!(chain.chain_id(), 31337);

    let mut case = Case::profile(profile::ALL[0]);
    let embedded = profiles::for_layout(&case.layout).unwrap();
    let verifier = chain.deploy_verifier(&embedded).unwrap();
    assert_eq!(verifier.code_bytes, embedded.runtime_bytes);
    let key = chain.register_key(&case.key).unwrap();
    assert_eq!(chain.code(key.address).unwrap(), case.key.to_code());

    let calldata = encode_verify(&case.layout, key.address, &case.instances, &case.proof).unwrap();
    chain.verify(verifier.address, &calldata).unwrap();
    let sent = chain
        .verify_in_transaction(verifier.address, &calldata)
        .unwrap();
    // The embedded EVM charges what the node charges, but for zero bytes in the key's address.
    let embedded_gas = case.call(&case.calldata()).unwrap();
    println!("anvil {} gas, embedded {embedded_gas:?}", sent.gas);
    assert!(sent.gas.abs_diff(embedded_gas.transaction) < 1000);

    let mut wrong = case.instances.clone();
    wrong[1][2] += Fr::from(5);
    let wrong = encode_verify(&case.layout, key.address, &wrong, &case.proof).unwrap();
    let refused = ChainError::Refused(Refusal::PairingFailed);
    assert_eq!(chain.verify(verifier.address, &wrong), Err(refused.clone()));
    let sent = chain.verify_in_transaction(verifier.address, &wrong);
    assert_eq!(sent.unwrap_err(), refused);

    let no_key = encode_verify(&case.layout, [9; 20], &case.instances, &case.proof).unwrap();
    let refusal = chain.verify(verifier.address, &no_key).unwrap_err();
    assert!(
        matches!(refusal, ChainError::Refused(Refusal::BadKey { .. })),
        "{refusal}"
    );
    let cut = chain.verify(verifier.address, &calldata[..50]).unwrap_err();
    assert_eq!(cut, ChainError::Refused(Refusal::NoReason));
    let nothing = chain.verify([9; 20], &calldata).unwrap_err();
    assert!(matches!(nothing, ChainError::NoCode { .. }), "{nothing}");

    // Without an account there are calls, and no transactions.
    let reader = Chain::connect(&anvil.url, None).unwrap();
    reader.verify(verifier.address, &calldata).unwrap();
    assert_eq!(
        reader.deploy(&case.initcode).unwrap_err(),
        ChainError::NoAccount
    );

    // The node goes away.
    drop(anvil);
    let gone = reader.verify(verifier.address, &calldata).unwrap_err();
    assert!(matches!(gone, ChainError::Unreachable { .. }), "{gone}");
}
