//! Flags, words, names and exit codes: what a user meets before anything is proved.

use ndarray::Array4;
use serde_json::{Value, json};

use crate::support::{Folder, repository};

const DIGITS: &str = "fixtures/digits/digits.onnx";
const CALIBRATION: &str = "fixtures/digits/digits_calibration.npz";

fn compile<'a>(onnx: &'a str, data: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    [&["compile", onnx, "--calibration", data][..], flags].concat()
}

#[test]
fn a_flag_means_the_same_everywhere() {
    let folder = Folder::new();
    let (onnx, data) = (repository(DIGITS), repository(CALIBRATION));
    // `compile` reads no inputs: the old name is the same as the new one, and what used to be the outputs' is refused.
    let ran = folder.run(&compile(&onnx, &data, &["--input", "inputs.npz"]));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--input-visibility"), "{}", ran.stderr);
    let ran = folder.run(&compile(&onnx, &data, &["--output", "hashed"]));
    assert_eq!(ran.code, 2);
    let remedy = "--output-visibility hashed";
    assert!(ran.stderr.contains(remedy), "{}", ran.stderr);
    assert!(folder.entries().is_empty());

    folder.json(&compile(
        &onnx,
        &data,
        &["--input", "public", "-o", "d.seal"],
    ));
    assert_eq!(
        folder.json(&["inspect", "d.seal"])["facts"]["input"],
        "public"
    );

    // One file, whatever the flag's name, and the model by itself or by its flag.
    folder.json(&compile(&onnx, &data, &["-o", "a.seal"]));
    folder.json(&compile(&onnx, &data, &["--out", "b.seal"]));
    folder.json(&[
        "compile",
        "--model",
        &onnx,
        "--calibration",
        &data,
        "--output",
        "c.seal",
    ]);
    let read = |name: &str| std::fs::read(folder.path(name)).expect("the model");
    assert!(read("a.seal") == read("b.seal") && read("b.seal") == read("c.seal"));
    folder.json(&["setup", "a.seal", "--dev", "--output", "keys"]);
    let ran = folder.run(&["setup", "a.seal", "--model", "b.seal", "--dev"]);
    assert_eq!(ran.code, 2, "two models: {}", ran.stdout);
    let samples = repository("fixtures/digits/digits_samples.npz");
    for flag in ["-o", "--output", "--proof"] {
        folder.json(&["prove", "a.seal", "--input", &samples, flag, "p"]);
        assert_eq!(folder.json(&["verify", "--proof", "p"])["accepted"], true);
    }
    let devices = folder.json(&["devices"]);
    assert_eq!(devices["devices"][0]["backend"], "cpu");
}

#[test]
fn wrong_usage_is_json_too() {
    let folder = Folder::new();
    for arguments in [
        &["--json", "prove", "--model", "m"][..],
        &["compile", "m.onnx", "--bits", "99", "--json"],
        &["inspekt", "--json"],
        &["--json"],
    ] {
        let ran = folder.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(report["exit_code"], 2);
        let error = report["error"].as_str().expect("a message");
        assert!(!error.is_empty() && !error.contains("Usage"), "{error}");
    }
    for arguments in [["--json", "--help"], ["--json", "--version"]] {
        let ran = folder.run(&arguments);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("tensorseal"), "{}", ran.stdout);
    }
}

#[test]
fn models_are_named_by_the_user_or_their_file() {
    let folder = Folder::new();
    let onnx = repository("fixtures/exported/random_forest.onnx");
    let data = repository("fixtures/exported/random_forest.npz");
    // skl2onnx's own name for it is no name.
    let compiled = folder.json(&compile(&onnx, &data, &["-o", "a.seal"]));
    assert_eq!(compiled["model"], "random_forest");
    let named = folder.json(&compile(&onnx, &data, &["--name", "credit v2"]));
    assert_eq!(named["model"], "credit v2");
    assert_ne!(named["model_id"], compiled["model_id"]);
    // Decisions are no clamps, and labels are counted as such.
    assert_eq!(compiled["clamped"], 0);
    let compared = folder.json(&["compare", &onnx, "--input", &data, "--compiled", "a.seal"]);
    let label = &compared["outputs"][0];
    assert_eq!(label["equal_labels"], label["items"], "{label}");
    assert_eq!(label["same_greatest"], Value::Null);
    let probabilities = &compared["outputs"][1];
    assert_eq!(probabilities["equal_labels"], Value::Null);
    assert!(probabilities["same_greatest"].as_u64() > Some(0));
}

#[test]
fn a_proof_that_states_nothing_is_warned_of() {
    let folder = Folder::new();
    let (onnx, data) = (repository(DIGITS), repository(CALIBRATION));
    let warnings = |flags: &[&str]| {
        let compiled = folder.json(&compile(&onnx, &data, flags));
        compiled["warnings"].as_array().expect("a list").len()
    };
    assert_eq!(warnings(&[]), 0);
    assert_eq!(warnings(&["--output-visibility", "private"]), 1);
}

#[test]
fn batches_are_whole_and_remembered() {
    let folder = Folder::new();
    let (onnx, data) = (repository(DIGITS), repository(CALIBRATION));
    let five = Array4::<f32>::from_elem((5, 1, 8, 8), 0.5);
    ndarray_npy::write_npy(folder.path("five.npy"), &five).expect("a file");
    folder.json(&compile(&onnx, &data, &["--batch", "2", "-o", "pair.seal"]));
    let compared = folder.json(&["compare", &onnx, "--input", "five.npy", "--batch", "5"]);
    assert_eq!(compared["outputs"][0]["items"], 5);

    // Two pairs can be proved; what is left over is told.
    let line = folder.fails(2, &["run", "pair.seal", "--input", "five.npy"]);
    assert!(
        line.contains("batches of 2") && line.contains("last 1"),
        "{line}"
    );
    folder.json(&["setup", "pair.seal", "--dev"]);
    let prove = |index| {
        [
            "prove",
            "pair.seal",
            "--input",
            "five.npy",
            "--index",
            index,
            "-o",
            "p",
        ]
    };
    folder.json(&prove("1"));
    let line = folder.fails(2, &prove("2"));
    assert!(
        line.contains("2 whole batches of 2 inputs, and 1 more"),
        "{line}"
    );

    // The compiled model knows its batch.
    let samples = repository("fixtures/digits/digits_samples.npz");
    let with = [
        "compare",
        &onnx,
        "--input",
        &samples,
        "--compiled",
        "pair.seal",
    ];
    assert!(folder.json(&with)["outputs"][0]["items"].as_u64() >= Some(10));
    let line = folder.fails(2, &[&with[..], &["--batch", "3"]].concat());
    assert!(line.contains("its own batches"), "{line}");
}

#[test]
fn files_in_each_others_place_are_told_apart() {
    let folder = Folder::new();
    folder.compile_digits();
    let (onnx, data) = (repository(DIGITS), repository(CALIBRATION));
    for (arguments, said) in [
        (&["compile", "digits.seal"][..], "`setup`"),
        (&["compile", &data], ".npz"),
        (&["inspect", &onnx], "`compile`"),
        (&["setup", &onnx, "--dev"], "`compile`"),
        (&["inspect", &data], "numpy"),
    ] {
        let line = folder.fails(2, arguments);
        assert!(line.contains(said), "{line}");
        assert!(!line.contains("protobuf"), "{line}");
    }
}

#[test]
fn errors_are_words_and_short() {
    let folder = Folder::new();
    let unsupported = repository("fixtures/unsupported.onnx");
    let line = folder.fails(2, &["compile", &unsupported, "--input-range=-1,1"]);
    assert!(
        line.len() < 400 && line.contains("docs/operators.md"),
        "{line}"
    );
}

#[test]
fn the_log_tells_stages_sizes_and_files() {
    let folder = Folder::new();
    let (onnx, data) = (repository(DIGITS), repository(CALIBRATION));
    let mut verbose = compile(&onnx, &data, &["-v", "-o", "digits.seal"]);
    let said = folder.run(&verbose).stderr;
    for word in [
        "quantizing: ",
        "planning the layout: ",
        "digits.onnx, ",
        "wrote digits.seal",
    ] {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
    verbose.retain(|argument| *argument != "-v");
    assert_eq!(folder.run(&verbose).stderr, "");
    let said = folder.run(&["-v", "setup", "digits.seal", "--dev"]).stderr;
    for word in ["making the keys: ", "wrote keys/pk.seal"] {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
}

#[test]
fn a_rejected_proof_is_1_wherever_it_is_checked() {
    let folder = Folder::new();
    let (onnx, data) = (repository(DIGITS), repository(CALIBRATION));
    let samples = repository("fixtures/digits/digits_samples.npz");
    for (goal, model) in [("gas", "gas.seal"), ("prover", "prover.seal")] {
        folder.json(&compile(&onnx, &data, &["--optimize", goal, "-o", model]));
        folder.json(&["setup", model, "--dev", "-o", goal]);
        let input = ["--keys", goal, "--input", &samples];
        folder.json(&[&["prove", model, "-o", goal_proof(goal)][..], &input].concat());
    }
    // Of another profile, hence of another length.
    for command in ["verify", "verify-onchain"] {
        for (keys, proof) in [("gas", "prover.proof"), ("prover", "gas.proof")] {
            let arguments = ["--json", command, "--keys", keys, "--proof", proof];
            let ran = folder.run(&arguments);
            assert_eq!(ran.code, 1, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
            let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
            assert_eq!(report["accepted"], json!(false));
            assert!(report["reason"].is_string(), "{report}");
        }
    }
    // What is no proof at all is unusable.
    folder.fails(
        2,
        &["verify-onchain", "--keys", "gas", "--proof", "gas.seal"],
    );
}

fn goal_proof(goal: &str) -> &'static str {
    match goal {
        "gas" => "gas.proof",
        _ => "prover.proof",
    }
}
