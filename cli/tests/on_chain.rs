//! A real chain: anvil on loopback.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::support::{Folder, repository};

/// The first account of anvil's published mnemonic; it owns nothing anywhere else.
const PRIVATE_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

struct Anvil {
    process: Child,
    url: String,
}

impl Anvil {
    /// None where the pinned anvil is not installed.
    fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("skipped: no anvil in verifier-contract/node_modules; run `npm ci` there");
            return None;
        };
        let mut process = Command::new(program)
            .args(["--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("Listening on ")?.to_string()));
        let url = format!("http://{}", address.expect("anvil says where it listens"));
        Some(Self { process, url })
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<PathBuf> {
    let packages = fs::read_dir(repository("verifier-contract/node_modules/@foundry-rs")).ok()?;
    packages
        .filter_map(|package| Some(package.ok()?.path().join("bin/anvil")))
        .find(|path| path.is_file())
}

#[test]
fn a_proof_is_verified_on_a_chain() {
    let Some(anvil) = Anvil::start() else { return };
    let folder = Folder::new();
    let samples = repository("fixtures/digits/digits_samples.npz");
    folder.compile_digits();
    folder.json(&["setup", "--model", "digits.seal", "--dev"]);
    folder.json(&[
        "prove",
        "--model",
        "digits.seal",
        "--input",
        &samples,
        "--proof",
        "p",
    ]);

    let line = folder.fails(2, &["deploy", "--rpc-url", &anvil.url]);
    assert!(line.contains("TENSORSEAL_PRIVATE_KEY"), "{line}");
    folder.write("account", PRIVATE_KEY.as_bytes());
    let account = ["--rpc-url", &anvil.url, "--private-key-file", "account"];
    let deployed = folder.json(&[&["deploy", "-o", "deployment.json"][..], &account].concat());
    assert!(deployed["deploy_gas"].as_u64().expect("gas") > 100_000);

    let verify = [
        "verify-onchain",
        "--proof",
        "p",
        "--deployment",
        "deployment.json",
    ];
    let sent = folder.json(&[&verify[..], &account].concat());
    assert_eq!(sent["accepted"], true);
    assert!(sent["verify_gas"].as_u64().expect("gas") > 100_000);
    let asked = folder.json(&[&verify[..], &["--rpc-url", &anvil.url]].concat());
    assert_eq!(
        (&asked["accepted"], &asked["verify_gas"]),
        (&true.into(), &serde_json::Value::Null)
    );

    // Addresses that hold something else.
    let text = fs::read_to_string(folder.path("deployment.json")).expect("the deployment");
    let deployment: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for (field, other) in [("verifier", "key"), ("key", "verifier")] {
        let mut foreign = deployment.clone();
        foreign[field] = deployment[other].clone();
        folder.write("deployment.json", foreign.to_string().as_bytes());
        let line = folder.fails(2, &[&verify[..], &["--rpc-url", &anvil.url]].concat());
        assert!(line.contains("deployment of this model"), "{line}");
    }
}
