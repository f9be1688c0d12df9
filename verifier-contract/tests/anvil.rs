//! The same on a real node.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use halo2_proofs::halo2curves::bn256::Fr;
use tensorseal_circuits::profile;
use tensorseal_verifier_contract::{
    calldata::encode_verify,
    chain::{Account, Chain, ChainError, create2},
    profiles,
    registry::{self, Ask, encode_register, model_id, through_registry},
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
    /// Starts a node with some flags; none where the pinned anvil is not installed.
    fn start(flags: &[&str]) -> Option<Self> {
        if !node_modules() {
            return None;
        }
        let Some(binary) = binary() else {
            println!("skipped: no anvil for this platform in verifier-contract/node_modules");
            return None;
        };
        let mut process = Command::new(binary)
            .args(["--port", "0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let address = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("Listening on ")?.to_owned()))
            .expect("anvil says where it listens");
        Some(Self {
            process,
            url: format!("http://{address}"),
        })
    }

    /// A connection that can send.
    fn chain(&self) -> Chain {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, ANVIL_KEY).unwrap();
        let account = Account::from_file(&path).unwrap();
        Chain::connect(&self.url, Some(account)).unwrap()
    }
}

#[test]
fn deploys_and_verifies_on_a_node() {
    let Some(anvil) = Anvil::start(&[]) else {
        return;
    };
    let chain = anvil.chain();
    assert_eq!(chain.chain_id(), 31337);

    let mut case = Case::profile(profile::ALL[0]);
    let embedded = profiles::for_layout(&case.layout).unwrap();
    let estimate = chain.estimate_deploy(&embedded.bytecode, false).unwrap();
    assert!(
        chain
            .code(create2::address(&embedded.bytecode))
            .unwrap()
            .is_empty()
    );
    let verifier = chain.deploy(&embedded.bytecode).unwrap();
    assert_eq!(verifier.address, create2::address(&embedded.bytecode));
    assert_eq!(verifier.address[..], estimate.output[..]);
    assert_eq!(chain.code(verifier.address).unwrap(), embedded.code());
    let receipt = verifier.receipt.unwrap();
    assert!(
        estimate.gas.abs_diff(receipt.gas) < receipt.gas / 20,
        "{estimate:?} {receipt:?}"
    );
    let key = chain.deploy(&case.key.to_initcode()).unwrap();
    assert_eq!(chain.code(key.address).unwrap(), case.key.to_code());
    // Again: nothing is sent.
    let again = chain.deploy(&embedded.bytecode).unwrap();
    assert_eq!((again.address, again.receipt), (verifier.address, None));

    let calldata = encode_verify(&case.layout, key.address, &case.instances, &case.proof).unwrap();
    chain.verify(verifier.address, &calldata).unwrap();
    let sent = chain.send(verifier.address, &calldata).unwrap();
    // The embedded EVM charges what the node charges, but for zero bytes in the key's address.
    let embedded_gas = case.call(&case.calldata()).unwrap();
    println!("anvil {} gas, embedded {embedded_gas:?}", sent.gas);
    assert!(sent.gas.abs_diff(embedded_gas.transaction) < 1000);

    let mut wrong = case.instances.clone();
    wrong[1][2 * case.layout.instance_stride()] += Fr::from(5);
    let wrong = encode_verify(&case.layout, key.address, &wrong, &case.proof).unwrap();
    let refused = ChainError::Refused(Refusal::PairingFailed);
    assert_eq!(chain.verify(verifier.address, &wrong), Err(refused.clone()));
    assert_eq!(chain.send(verifier.address, &wrong).unwrap_err(), refused);

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

    // Through a registry.
    let registry = chain
        .deploy(&registry::contract().initcode())
        .unwrap()
        .address;
    let register = encode_register(verifier.address, key.address, "ipfs://model");
    let id = model_id(embedded.code_hash(), case.key.code_hash(), "ipfs://model");
    let through = through_registry(&calldata, id, Ask::View);
    let unknown = chain.verify(registry, &through).unwrap_err();
    assert!(
        matches!(unknown, ChainError::Refused(Refusal::UnknownModel { .. })),
        "{unknown}"
    );
    assert_eq!(chain.call(registry, &register).unwrap(), id);
    chain.send(registry, &register).unwrap();
    chain.verify(registry, &through).unwrap();
    chain
        .send(registry, &through_registry(&calldata, id, Ask::Log))
        .unwrap();

    // Without an account there are calls and estimates, and no transactions.
    let reader = Chain::connect(&anvil.url, None).unwrap();
    reader.verify(verifier.address, &calldata).unwrap();
    let estimate = reader.estimate(verifier.address, &calldata).unwrap();
    assert!(
        estimate.gas.abs_diff(embedded_gas.transaction) < estimate.gas / 20
            && estimate.gas_price > 0,
        "{estimate:?}"
    );
    assert_eq!(
        reader.deploy_plainly(&case.initcode).unwrap_err(),
        ChainError::NoAccount
    );

    // The node goes away.
    drop(anvil);
    let gone = reader.verify(verifier.address, &calldata).unwrap_err();
    assert!(matches!(gone, ChainError::Unreachable { .. }), "{gone}");
}

#[test]
fn a_chain_without_the_proxy_takes_plain_creation() {
    let Some(anvil) = Anvil::start(&["--disable-default-create2-deployer", "--chain-id", "7"])
    else {
        return;
    };
    let chain = anvil.chain();
    chain.require_id(7).unwrap();
    let initcode = registry::contract().initcode();
    for refused in [
        chain.deploy(&initcode).map(drop).unwrap_err(),
        chain
            .estimate_deploy(&initcode, false)
            .map(drop)
            .unwrap_err(),
    ] {
        assert!(
            matches!(refused, ChainError::NoProxy { chain_id: 7, .. }),
            "{refused}"
        );
    }
    let estimate = chain.estimate_deploy(&initcode, true).unwrap();
    let deployed = chain.deploy_plainly(&initcode).unwrap();
    assert_eq!(estimate.gas, deployed.receipt.unwrap().gas);
    assert_eq!(deployed.code_bytes, registry::contract().runtime_bytes);
}
