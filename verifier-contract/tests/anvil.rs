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
    chain::{Account, Chain, ChainError, create2, format_address, parse_address},
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

/// The second, with its address.
const OTHER_KEY: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const OTHER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

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

/// A program of Foundry's: anvil's npm wrapper would not pass the end on.
fn binary(name: &str) -> Option<PathBuf> {
    let packages = std::fs::read_dir(crate_dir().join("node_modules/@foundry-rs")).ok()?;
    packages
        .filter_map(|p| Some(p.ok()?.path().join("bin").join(name)))
        .find(|path| path.exists())
}

impl Anvil {
    /// Starts a node with some flags; none where the pinned anvil is not installed.
    fn start(flags: &[&str]) -> Option<Self> {
        if !node_modules() {
            return None;
        }
        let Some(binary) = binary("anvil") else {
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
        let mut chain = Chain::connect(&self.url, Some(account)).unwrap();
        chain.require_id(chain.chain_id()).unwrap();
        chain
    }

    /// What the pinned `cast` prints.
    fn cast(&self, arguments: &[&str]) -> String {
        let output = Command::new(binary("cast").expect("cast comes with anvil"))
            .args(arguments)
            .args(["--rpc-url", &self.url])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
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
    let verifier = chain.deploy(&embedded.bytecode, embedded.code()).unwrap();
    assert_eq!(verifier.address, create2::address(&embedded.bytecode));
    assert_eq!(verifier.address[..], estimate.output[..]);
    assert_eq!(chain.code(verifier.address).unwrap(), embedded.code());
    let receipt = verifier.receipt.unwrap();
    assert!(
        estimate.gas.abs_diff(receipt.gas) < receipt.gas / 20,
        "{estimate:?} {receipt:?}"
    );
    let key = chain
        .deploy(&case.key.to_initcode(), &case.key.to_code())
        .unwrap();
    assert_eq!(chain.code(key.address).unwrap(), case.key.to_code());
    // Again: nothing is sent.
    let again = chain.deploy(&embedded.bytecode, embedded.code()).unwrap();
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
        .deploy(
            &registry::contract().initcode(),
            &registry::contract().code(),
        )
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
        reader
            .deploy_plainly(&embedded.bytecode, embedded.code())
            .unwrap_err(),
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
    assert_eq!(chain.chain_id(), 7);
    let contract = registry::contract();
    let (initcode, code) = (contract.initcode(), contract.code());
    for refused in [
        chain.deploy(&initcode, &code).map(drop).unwrap_err(),
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
    let deployed = chain.deploy_plainly(&initcode, &code).unwrap();
    assert_eq!(estimate.gas, deployed.receipt.unwrap().gas);
    let other = chain.deploy_plainly(&initcode, &code[1..]).unwrap_err();
    assert!(matches!(other, ChainError::OtherCode { .. }), "{other}");
}

/// An account that delegates to a contract runs its code (EIP-7702), until its owner says otherwise.
#[test]
fn what_can_change_is_no_model() {
    let Some(anvil) = Anvil::start(&["--hardfork", "osaka"]) else {
        return;
    };
    let chain = anvil.chain();
    let case = Case::profile(profile::ALL[0]);
    let embedded = profiles::for_layout(&case.layout).unwrap();
    let deploy = |initcode: &[u8], code: &[u8]| chain.deploy(initcode, code).unwrap().address;
    let verifier = deploy(&embedded.bytecode, embedded.code());
    let key = deploy(&case.key.to_initcode(), &case.key.to_code());
    let contract = registry::contract();
    let registry = deploy(&contract.initcode(), &contract.code());
    let ask = |key| encode_verify(&case.layout, key, &case.instances, &case.proof).unwrap();
    let register = |verifier, key| {
        chain
            .call(registry, &encode_register(verifier, key, ""))
            .map(|id| <[u8; 32]>::try_from(id).unwrap())
    };
    let genuine = model_id(embedded.code_hash(), case.key.code_hash(), "");
    assert_eq!(register(verifier, key), Ok(genuine));

    let account = parse_address(OTHER).unwrap();
    let delegate = |to: [u8; 20]| {
        let to = format_address(to);
        // A call to anybody carries the authorization.
        let anybody = format_address([9; 20]);
        anvil.cast(&["send", &anybody, "--auth", &to, "--private-key", OTHER_KEY]);
    };
    let refused = |result: Result<[u8; 32], ChainError>| {
        let refusal = Refusal::DelegatedAccount {
            account: hex::encode(account),
        };
        assert_eq!(result, Err(ChainError::Refused(refusal)));
    };
    let other_code = |address, code: &[u8]| {
        let other = chain.require_code(address, code).unwrap_err();
        assert!(matches!(other, ChainError::OtherCode { .. }), "{other}");
    };
    delegate(verifier);
    let designator = [&[0xef, 1, 0][..], &verifier].concat();
    assert_eq!(chain.code(account).unwrap(), designator);
    chain.verify(account, &ask(key)).unwrap();
    refused(register(account, key));
    other_code(account, embedded.code());

    delegate(key);
    refused(register(verifier, account));
    let refusal = chain.verify(verifier, &ask(account)).unwrap_err();
    let bad_key = matches!(refusal, ChainError::Refused(Refusal::BadKey { .. }));
    assert!(bad_key, "{refusal}");

    // A proxy is a contract like others (here EIP-1167's). Its id is one that nobody computes from the verifier's code.
    let code = [
        &hex::decode("363d3d373d3d3d363d73").unwrap()[..],
        &verifier,
        &hex::decode("5af43d82803e903d91602b57fd5bf3").unwrap(),
    ]
    .concat();
    let initcode = [&hex::decode("3d602d80600a3d3981f3").unwrap()[..], &code].concat();
    let proxy = deploy(&initcode, &code);
    chain.verify(proxy, &ask(key)).unwrap();
    assert_ne!(register(proxy, key).unwrap(), genuine);
    other_code(proxy, embedded.code());
}

#[test]
fn transactions_wait_for_blocks() {
    let Some(anvil) = Anvil::start(&["--block-time", "1"]) else {
        return;
    };
    let chain = anvil.chain().with_confirmations(3.try_into().unwrap());
    let receipt = chain.send([9; 20], &[]).unwrap();
    let latest: u64 = anvil.cast(&["block-number"]).parse().unwrap();
    assert!(
        latest >= receipt.block + 2,
        "{latest} after {}",
        receipt.block
    );
}
