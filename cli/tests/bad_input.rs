//! Unusable inputs: one clear line, the documented exit code, nothing half-written.

use crate::support::{Folder, repository};

#[test]
fn a_corrupt_onnx_file_is_refused() {
    let folder = Folder::new();
    let whole = std::fs::read(repository("fixtures/digits/digits.onnx")).expect("the model");
    folder.write("cut.onnx", &whole[..whole.len() / 2]);
    folder.write("noise.onnx", b"this is not a model at all");
    folder.write("empty.onnx", b"");
    for name in ["cut.onnx", "noise.onnx", "empty.onnx"] {
        let line = folder.fails(2, &["compile", name, "--input-range", "0,1"]);
        assert!(line.contains(name), "{line}");
    }
    assert_eq!(folder.entries(), ["cut.onnx", "empty.onnx", "noise.onnx"]);
}

#[test]
fn an_unsupported_operator_is_refused_by_name() {
    let folder = Folder::new();
    let line = folder.fails(
        2,
        &[
            "compile",
            &repository("fixtures/unsupported.onnx"),
            "--input-range=-1,1",
        ],
    );
    assert!(
        line.contains("Det") && line.contains("the_determinant"),
        "{line}"
    );
    assert!(folder.entries().is_empty());
}

#[test]
fn missing_files_are_told_by_name() {
    let folder = Folder::new();
    for arguments in [
        &["compile", "none.onnx", "--input-range", "0,1"][..],
        &["run", "none.seal", "--input", "none.npz"],
        &["setup", "--model", "none.seal", "--dev"],
        &[
            "prove",
            "--model",
            "none.seal",
            "--input",
            "none.npz",
            "--proof",
            "out.proof",
        ],
        &["verify", "--vk", "none.seal", "--proof", "none.proof"],
        &["inspect", "none.seal"],
    ] {
        let line = folder.fails(3, arguments);
        assert!(line.contains("none."), "{line}");
    }
    assert!(folder.entries().is_empty());
}

#[test]
fn calibration_is_asked_for() {
    let folder = Folder::new();
    let line = folder.fails(2, &["compile", &repository("fixtures/digits/digits.onnx")]);
    assert!(
        line.contains("--calibration") && line.contains("--input-range"),
        "{line}"
    );
}

#[test]
fn a_wrong_shaped_input_is_refused() {
    let folder = Folder::new();
    folder.compile_digits();
    folder.write("short.json", br#"{"input_data": [[0.5, 0.25, 1.0]]}"#);
    folder.write("text.json", br#"{"input_data": "no numbers"}"#);
    folder.write("broken.npz", b"PK\x03\x04 and then nothing");
    for name in ["short.json", "text.json", "broken.npz"] {
        let line = folder.fails(
            2,
            &["run", "digits.seal", "--input", name, "--output", "out.npz"],
        );
        assert!(line.contains(name), "{line}");
    }
    assert_eq!(
        folder.entries(),
        ["broken.npz", "digits.seal", "short.json", "text.json"]
    );
}

#[test]
fn files_of_the_wrong_kind_are_refused() {
    let folder = Folder::new();
    folder.compile_digits();
    let line = folder.fails(
        2,
        &["verify", "--vk", "digits.seal", "--proof", "digits.seal"],
    );
    assert!(line.contains("digits.seal"), "{line}");
    let samples = repository("fixtures/digits/digits_samples.npz");
    folder.json(&["setup", "--model", "digits.seal", "--dev", "-o", "keys"]);

    // A key of another model.
    let onnx = repository("fixtures/digits/digits.onnx");
    folder.json(&[
        "compile",
        &onnx,
        "--input-range",
        "0,1",
        "--bits",
        "7",
        "-o",
        "other.seal",
    ]);
    let prove = |model: &str| {
        [
            "prove",
            "--model",
            model,
            "--input",
            &samples,
            "--proof",
            "out.proof",
        ]
        .map(String::from)
    };
    let other = prove("other.seal");
    let line = folder.fails(2, &other.each_ref().map(String::as_str));
    assert!(line.contains("pk.seal"), "{line}");

    // A truncated and a damaged key.
    let key = std::fs::read(folder.path("keys/pk.seal")).expect("the key");
    let mut damaged = key.clone();
    damaged[key.len() / 2] ^= 4;
    for content in [&key[..key.len() - 9], &damaged] {
        folder.write("keys/pk.seal", content);
        let own = prove("digits.seal");
        let line = folder.fails(2, &own.each_ref().map(String::as_str));
        assert!(line.contains("pk.seal"), "{line}");
    }
    assert!(!folder.path("out.proof").exists());
}

#[test]
fn an_unreachable_rpc_is_told() {
    let folder = Folder::new();
    folder.compile_digits();
    folder.json(&["setup", "--model", "digits.seal", "--dev"]);
    // Port 9 on loopback (discard) has no listener.
    let line = folder.fails(
        3,
        &[
            "deploy",
            "--rpc-url",
            "http://127.0.0.1:9",
            "-o",
            "deployment.json",
        ],
    );
    assert!(line.contains("127.0.0.1:9"), "{line}");
    // Nor does the log tell the secrets of an address.
    let secret = "http://user:SECRET@127.0.0.1:9/v2/SECRET?key=SECRET";
    let ran = folder.run(&["-vvvv", "deploy", "--rpc-url", secret]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(!ran.stderr.contains("SECRET"), "{}", ran.stderr);
    assert!(!folder.path("deployment.json").exists());
    // What follows the host, and a password before it, are in no log.
    let url = "http://name:hidden@127.0.0.1:9/hidden?key=hidden";
    let ran = folder.run(&["-vvvv", "deploy", "--rpc-url", url]);
    assert!(!ran.stderr.contains("hidden"), "{}", ran.stderr);
}

#[test]
fn failures_are_json_too() {
    let ran = Folder::new().run(&["--json", "inspect", "none.seal"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["exit_code"], 3);
    assert!(
        report["error"]
            .as_str()
            .expect("a message")
            .contains("none.seal")
    );
}

#[test]
fn an_output_that_cannot_be_written_leaves_nothing() {
    let folder = Folder::new();
    let line = folder.fails(3, &["srs", "dev", "--k", "6", "-o", "no/such/folder/srs"]);
    assert!(line.contains("no/such/folder"), "{line}");
    assert!(folder.entries().is_empty());
}
