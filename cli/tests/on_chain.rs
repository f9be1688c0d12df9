//! A real chain: anvil on loopback.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tensorseal_prover::artifact::{self, Kind};

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

/// Folders with the programs of anvil, forge and cast.
fn foundry() -> Vec<PathBuf> {
    let Ok(packages) = fs::read_dir(repository("verifier-contract/node_modules/@foundry-rs"))
    else {
        return vec![];
    };
    packages
        .filter_map(|package| Some(package.ok()?.path().join("bin")))
        .collect()
}

/// The commands of a page's blocks of `sh`, but for the one that starts a chain; that is `chain`.
fn commands(page: &str, chain: &str) -> String {
    let text = fs::read_to_string(repository(page)).expect("the page");
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .map(|block| block.split("```").next().expect("a block ends"))
        .flat_map(str::lines)
        .filter(|line| !line.starts_with("anvil"))
        .map(|line| line.replace("http://127.0.0.1:8545", chain) + "\n")
        .collect()
}

/// Runs commands in bash, with this build of `tensorseal` and Foundry in the path; what they said on stdout and stderr.
fn bash(folder: &Folder, commands: &str) -> [String; 2] {
    std::os::unix::fs::symlink(repository("fixtures"), folder.path("fixtures")).expect("a link");
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_tensorseal"));
    let mut path = foundry();
    path.push(binary.parent().expect("a folder").to_owned());
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").expect("a path"),
    ));
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(folder.path(""))
        .env("PATH", std::env::join_paths(path).expect("a path"))
        .env("FOUNDRY_SOLC", repository("verifier-contract/solc.mjs"))
        .output()
        .expect("bash runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = [text(&output.stdout), text(&output.stderr)];
    assert!(output.status.success(), "{}\n{}", said[0], said[1]);
    said
}

/// The tour of the README, as it stands there; without anvil as far as it needs no chain.
#[test]
fn the_tour() {
    let anvil = Anvil::start();
    let chain = anvil.as_ref().map_or("", |anvil| &anvil.url);
    let mut commands = commands("README.md", chain);
    if anvil.is_none() {
        let at = commands.find("export RPC_URL").expect("the chain's part");
        commands.truncate(at);
    }
    let folder = Folder::new();
    let [stdout, stderr] = bash(&folder, &commands);
    assert!(!stderr.contains("error"), "{stderr}");
    for said in [
        "compiled digits",
        "the powers of one secret",
        "ACCEPTED\n",
        "ACCEPTED by the contract",
        "the plain prover",
        "digest",
    ] {
        assert!(stdout.contains(said), "no `{said}` in {stdout}");
    }
    assert!(!stdout.contains("REJECTED"), "{stdout}");
    if anvil.is_some() {
        for said in ["nothing sent", "registered digits", "exported digits"] {
            assert!(stdout.contains(said), "no `{said}` in {stdout}");
        }
        // `cast.sh`, the last: true.
        assert!(
            stdout.trim_end().ends_with(&format!("{:064x}", 1)),
            "{stdout}"
        );
    }
}

/// The commands of `docs/solidity.md`, as they stand there.
#[test]
fn solidity_walkthrough() {
    let Some(anvil) = Anvil::start() else { return };
    let folder = Folder::new();
    let [stdout, stderr] = bash(&folder, &commands("docs/solidity.md", &anvil.url));
    assert!(!stdout.contains("Warning"), "{stdout}");
    for said in [
        "registration",
        "ACCEPTED by the contract",
        "5 tests passed, 0 failed",
        // `cast.sh`: true.
        "0x0000000000000000000000000000000000000000000000000000000000000001",
    ] {
        assert!(stdout.contains(said), "no `{said}` in {stdout}\n{stderr}");
    }
    let refused = ["8be2934e", "PointNotOnCurve"];
    assert!(refused.iter().any(|said| stderr.contains(said)), "{stderr}");
    // The answer is the proved output.
    let output = fs::read_to_string(folder.path("oracle-project/args/output.txt")).expect("output");
    let expected: Vec<&str> = output.trim().trim_matches(['[', ']']).split(',').collect();
    let answer = stdout.lines().last().expect("the answer");
    let answered: Vec<&str> = answer
        .trim_matches(['[', ']'])
        .split(", ")
        .filter_map(|value| value.split(' ').next())
        .collect();
    assert_eq!(answered, expected);
}

/// Accounts, chain ids, dry runs, and deployments that are there already.
#[test]
fn a_model_is_registered_on_a_chain() {
    let Some(anvil) = Anvil::start() else { return };
    let folder = Folder::new();
    folder.compile_digits();
    folder.json(&["setup", "--model", "digits.seal", "--dev"]);
    folder.write("password", b"seal\n");
    let keystore = repository("verifier-contract/tests/fixtures/keystore.json");
    let rpc = ["--rpc-url", &anvil.url, "--chain-id", "31337"];
    let account = [
        &rpc[..],
        &["--keystore", &keystore, "--password-file", "password"],
    ]
    .concat();
    let register = ["register", "--metadata-uri", "ipfs://digits"];

    let wrong = ["--rpc-url", &anvil.url, "--chain-id", "1"];
    let line = folder.fails(2, &[&register[..], &wrong].concat());
    assert!(line.contains("serves chain 31337, not 1"), "{line}");
    let line = folder.fails(
        2,
        &[&register[..], &rpc, &["--keystore", &keystore]].concat(),
    );
    assert!(line.contains("TENSORSEAL_KEYSTORE_PASSWORD"), "{line}");
    let line = folder.fails(
        2,
        &[&["register", "--metadata-uri", "a b"][..], &account].concat(),
    );
    assert!(line.contains("metadata URI"), "{line}");

    let dry = |folder: &Folder| folder.json(&[&register[..], &rpc, &["--dry-run"]].concat());
    let planned = dry(&folder);
    let done = |planned: &serde_json::Value| -> Vec<bool> {
        let steps = planned["steps"].as_array().expect("steps").iter();
        steps.map(|step| step["done"] == true).collect()
    };
    assert_eq!(done(&planned), [false; 4]);
    let estimated = planned["estimated_gas"].as_u64().expect("gas");

    let out = ["-o", "deployment.json"];
    let registered = folder.json(&[&register[..], &account, &out].concat());
    assert_eq!(registered["chain_id"], 31337);
    let sent = registered["sent"].as_array().expect("transactions");
    assert_eq!(sent.len(), 4);
    assert!(
        sent.iter()
            .all(|s| s["receipt"]["block"].as_u64() > Some(0))
    );
    let gas = registered["deploy_gas"].as_u64().expect("gas");
    assert!(
        estimated > gas / 2 && estimated < 2 * gas,
        "{estimated} for {gas}"
    );
    assert_eq!(planned["steps"][0]["address"], registered["verifier"]);
    assert_eq!(done(&dry(&folder)), [true; 4]);
    // Again: nothing is sent, and the receipts stay.
    let again = folder.json(&[&register[..], &account, &out].concat());
    assert_eq!(again["sent"], registered["sent"]);
    assert_eq!(again["deploy_gas"], 0, "nothing was spent this time");
    // The project is that of what is registered, and asks where that stands.
    let exported = folder.json(&["export", "--deployment", "deployment.json"]);
    assert_eq!(exported["registered_as"], registered["registration"]["id"]);
    let constants = fs::read_to_string(folder.path("export/src/Model.sol")).expect("constants");
    let statement = registered["statement_id"].as_str().expect("an id");
    let uri = format!("\"ipfs://digits#statement={statement}\"");
    assert!(constants.contains(&uri), "{constants}");
    let text = fs::read_to_string(folder.path("deployment.json")).expect("the deployment");
    // The deployment of another statement is not this key's, is not written over, and nothing may follow it.
    let other = text.replacen(statement, &"0".repeat(64), 1);
    let twice = text.clone() + "{}";
    for (foreign, why) in [(&other, "of statement"), (&twice, "trailing")] {
        folder.write("foreign.json", foreign.as_bytes());
        for command in [
            &["export", "--deployment", "foreign.json"][..],
            &[&register[..], &account, &["-o", "foreign.json"]].concat(),
        ] {
            let line = folder.fails(2, command);
            assert!(line.contains(why), "{line}");
        }
    }
    folder.write(
        "foreign.json",
        text.replace("ipfs://digits", "ipfs://other").as_bytes(),
    );
    let line = folder.fails(2, &["export", "--deployment", "foreign.json"]);
    assert!(line.contains("deployment of this model"), "{line}");
    // The same addresses without the file; the contracts are there, so no account is needed.
    let deployed = folder.json(&[&["deploy"][..], &rpc].concat());
    assert_eq!(deployed["verifier"], registered["verifier"]);
    assert_eq!(deployed["sent"], serde_json::json!([]));
    // Nor is it created plainly.
    let plain = folder.json(
        &[
            &["deploy", "--plain-create", "-o", "plain.json"][..],
            &account,
        ]
        .concat(),
    );
    assert_eq!(
        plain["sent"],
        serde_json::json!([]),
        "what is there is used"
    );
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
    let unnamed = ["--rpc-url", &anvil.url, "--private-key-file", "account"];
    // Nothing is sent to a chain that nobody named, or for more than the limit.
    let line = folder.fails(2, &[&["deploy"][..], &unnamed].concat());
    assert!(line.ends_with("--chain-id 31337"), "{line}");
    let account = [&unnamed[..], &["--chain-id", "31337"]].concat();
    let line = folder.fails(
        2,
        &[&["deploy", "--max-fee", "5wei"][..], &account].concat(),
    );
    let raised = line.rsplit(' ').next().expect("words");
    assert!(
        line.contains("--max-fee") && raised.ends_with("gwei"),
        "{line}"
    );
    let out = ["deploy", "--max-fee", raised, "-o", "raised.json"];
    folder.json(&[&out[..], &["--dry-run"], &account].concat());
    let ran = folder.run(&[&["deploy", "--max-fee", "5"][..], &account].concat());
    assert!(
        ran.code == 2 && ran.stderr.contains("gwei"),
        "{}",
        ran.stderr
    );
    let deployed = folder.json(&[&["deploy", "-o", "deployment.json"][..], &account].concat());
    assert!(deployed["deploy_gas"].as_u64().expect("gas") > 100_000);

    let verify = [
        "verify-onchain",
        "--proof",
        "p",
        "--deployment",
        "deployment.json",
    ];
    // The deployment says which chain it is.
    let sent = folder.json(&[&verify[..], &unnamed].concat());
    assert_eq!(sent["accepted"], true);
    assert!(sent["verify_gas"].as_u64().expect("gas") > 100_000);
    let asked = folder.json(&[&verify[..], &["--rpc-url", &anvil.url]].concat());
    assert_eq!(
        (&asked["accepted"], &asked["verify_gas"]),
        (&true.into(), &serde_json::Value::Null)
    );

    let dry = folder.json(&[&verify[..], &["--rpc-url", &anvil.url, "--dry-run"]].concat());
    assert_eq!(
        (&dry["accepted"], &dry["transaction"]),
        (&true.into(), &serde_json::Value::Null)
    );
    assert!(dry["verify_gas"].as_u64().expect("an estimate") > 100_000);

    // Through the registry: not before the model is registered.
    let registry = [
        "verify-onchain",
        "--proof",
        "p",
        "--registry",
        "--metadata-uri",
        "ipfs://d",
    ];
    let line = folder.fails(
        2,
        &[&registry[..], &["--rpc-url", &anvil.url, "--dry-run"]].concat(),
    );
    assert!(line.contains("model registry"), "{line}");
    let sent = folder.json(&[&registry[..], &account].concat());
    assert_eq!(sent["accepted"], true);
    assert!(sent["transaction"].is_string() && sent["registration"]["id"].is_string());

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

/// Passes requests on to a node, but answers some methods itself; its URL.
fn liar(node: &str, lies: &'static [(&str, &str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let node = node.trim_start_matches("http://").to_owned();
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let _ = lie(stream, &node, lies);
        }
    });
    url
}

fn lie(mut stream: TcpStream, node: &str, lies: &[(&str, &str)]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some(text) = line.to_lowercase().strip_prefix("content-length: ") {
            length = text.trim_end().parse().expect("a number");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let head = |first: &str, length| {
        format!(
            "{first}\r\nhost: node\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let text = String::from_utf8_lossy(&body);
    for (method, answer) in lies {
        if text.contains(&format!("\"{method}\"")) {
            let answer = format!(r#"{{"jsonrpc":"2.0","id":0,{answer}}}"#);
            return stream.write_all((head("HTTP/1.1 200 OK", answer.len()) + &answer).as_bytes());
        }
    }
    let mut upstream = TcpStream::connect(node)?;
    upstream.write_all(head("POST / HTTP/1.1", length).as_bytes())?;
    upstream.write_all(&body)?;
    std::io::copy(&mut upstream, &mut stream).map(drop)
}

/// What an endpoint says of a contract is not enough.
#[test]
fn a_lying_endpoint_is_not_believed() {
    let Some(anvil) = Anvil::start() else { return };
    let folder = Folder::new();
    let samples = repository("fixtures/digits/digits_samples.npz");
    folder.compile_digits();
    folder.json(&["setup", "--model", "digits.seal", "--dev"]);
    let prove = ["prove", "--model", "digits.seal", "--input", &samples];
    folder.json(&[&prove[..], &["--proof", "p"]].concat());
    let honest = folder.path("p");
    let proof = artifact::read(&honest, Kind::Proof).expect("the proof");
    let mut payload = proof.payload.to_vec();
    let at = payload.len() / 2;
    payload[at] ^= 1;
    artifact::write(&folder.path("wrong"), Kind::Proof, proof.flags, &payload)
        .expect("a writable folder");
    folder.write("account", PRIVATE_KEY.as_bytes());
    let account = ["--private-key-file", "account"];
    let ask = |proof: &str, url: &str, more: &[&str]| {
        let arguments = [
            &[
                "--json",
                "verify-onchain",
                "--proof",
                proof,
                "--rpc-url",
                url,
            ][..],
            more,
        ];
        let ran = folder.run(&arguments.concat());
        let text = folder.run(&arguments.concat()[1..]);
        assert_eq!(
            (ran.code, text.code),
            (1, 1),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(json["accepted"], false);
        (json, text.stdout)
    };
    // Nothing is deployed to find out.
    let (json, _) = ask(
        "wrong",
        &anvil.url,
        &[&account[..], &["--chain-id", "31337"]].concat(),
    );
    assert_eq!(json["accepted_by_contract"], serde_json::Value::Null);
    let deploy = ["deploy", "--rpc-url", &anvil.url, "--chain-id", "31337"];
    folder.json(&[&deploy[..], &account, &["-o", "deployment.json"]].concat());
    let deployment = ["--deployment", "deployment.json"];
    let yes = &[
        (
            "eth_call",
            r#""result":"0x0000000000000000000000000000000000000000000000000000000000000001""#,
        ),
        ("eth_estimateGas", r#""result":"0x5208""#),
    ];
    // `PairingFailed()`.
    let no = &[(
        "eth_call",
        r#""error":{"code":3,"message":"execution reverted","data":"0x4df45e2f"}"#,
    )];

    // Both refuse, and nothing is sent.
    let with_account = [&deployment[..], &account].concat();
    let (json, text) = ask("wrong", &anvil.url, &with_account);
    assert_eq!(
        (
            &json["accepted_by_contract"],
            &json["accepted_natively"],
            &json["transaction"]
        ),
        (&false.into(), &false.into(), &serde_json::Value::Null)
    );
    assert!(
        text.starts_with("REJECTED") && !text.contains("DISAGREEMENT"),
        "{text}"
    );
    // The endpoint says yes to what is wrong, and no to what is right.
    let (json, text) = ask("wrong", &liar(&anvil.url, yes), &with_account);
    assert_eq!(json["accepted_by_contract"], true);
    assert!(
        text.starts_with("REJECTED") && text.contains("DISAGREEMENT"),
        "{text}"
    );
    let (json, text) = ask("p", &liar(&anvil.url, no), &deployment);
    assert_eq!(json["accepted_natively"], true);
    assert!(
        text.starts_with("REJECTED") && text.contains("DISAGREEMENT"),
        "{text}"
    );
}
