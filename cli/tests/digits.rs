//! The main job: compile, set up, prove, verify, on the bundled network.

use std::fs::{self, File};

use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;
use tensorseal_prover::artifact::{self, Kind};

use crate::support::{Folder, repository};

#[test]
fn a_digit_is_proved_and_verified() {
    let folder = Folder::new();
    let compiled = folder.compile_digits();
    assert_eq!(compiled["params"], 3658);
    assert_eq!(compiled["model"], "digits");

    let setup = folder.json(&["setup", "--model", "digits.seal", "--dev", "-o", "keys"]);
    assert_eq!(setup["insecure"], true);
    assert_eq!(setup["model_id"], compiled["model_id"]);
    let samples = repository("fixtures/digits/digits_samples.npz");
    let proved = folder.json(&[
        "prove",
        "--model",
        "digits.seal",
        "--input",
        &samples,
        "--index",
        "3",
        "--proof",
        "digit.proof",
    ]);
    assert_eq!(proved["outputs"][0]["shape"], serde_json::json!([1, 10]));

    let verified = folder.json(&["verify", "--proof", "digit.proof"]);
    assert_eq!(verified["accepted"], true);
    assert_eq!(
        verified["public"], proved["outputs"],
        "the verifier reads the output from the proof's public values"
    );

    // What `run` computes is what was proved.
    folder.json(&[
        "run",
        "digits.seal",
        "--input",
        &samples,
        "--output",
        "logits.npy",
    ]);
    let logits: Array2<f32> =
        ndarray_npy::read_npy(folder.path("logits.npy")).expect("the outputs");
    let proved_logits: Vec<f32> =
        serde_json::from_value(proved["outputs"][0]["values"].clone()).expect("the proved outputs");
    assert_eq!(logits.row(3).to_vec(), proved_logits);

    let on_chain = folder.json(&["verify-onchain", "--proof", "digit.proof"]);
    assert_eq!(on_chain["accepted"], true);
    let deployed = folder.json(&["deploy"]);
    assert!(deployed["deploy_gas"].as_u64().expect("gas") > 100_000);

    let registered = folder.json(&["verify-onchain", "--proof", "digit.proof", "--registry"]);
    assert_eq!(registered["accepted"], true);
    let twice = ["--proof", "digit.proof", "--proof", "digit.proof"];
    for registry in [&[][..], &["--registry"]] {
        let batch = folder.json(&[&["verify-onchain"][..], &twice, registry].concat());
        assert_eq!(
            (&batch["accepted"], &batch["proofs"]),
            (&true.into(), &2.into())
        );
        let gas = |report: &serde_json::Value| report["verify_gas"].as_u64().expect("gas");
        assert!(gas(&batch) < 2 * gas(&on_chain), "{batch}");
    }
    let registration = folder.json(&["register"])["registration"].clone();
    assert_eq!(registered["registration"]["id"], registration["id"]);

    let exported = folder.json(&["export", "--proof", "digit.proof", "-o", "export"]);
    for file in exported["files"].as_array().expect("files") {
        assert!(folder.path(file["file"].as_str().expect("a path")).exists());
    }
    // The example wants a public input, and the id is the one that a registry gives.
    assert_eq!(exported["example"], false);
    assert_eq!(exported["registered_as"], registration["id"]);
    for file in [
        "digits.seal",
        "keys/pk.seal",
        "keys/vk.seal",
        "keys/srs.seal",
        "digit.proof",
    ] {
        assert!(folder.json(&["inspect", file])["kind"].is_string());
    }
    let shown = folder.run(&["inspect", "digits.seal"]).stdout;
    assert!(shown.contains("weight rows"), "{shown}");

    a_changed_proof_is_rejected(&folder);
}

/// Changes the last byte of the proof: rejected with exit code 1, natively and by the contract.
fn a_changed_proof_is_rejected(folder: &Folder) {
    let honest = std::fs::read(folder.path("digit.proof")).expect("the proof");
    for at in [honest.len() / 2, honest.len() - 1] {
        let mut changed = honest.clone();
        changed[at] ^= 1;
        folder.write("changed.proof", &changed);
        let ran = folder.run(&["verify", "--proof", "changed.proof"]);
        assert_ne!(ran.code, 0, "byte {at}: {}", ran.stdout);
        let ran = folder.run(&["verify-onchain", "--proof", "changed.proof"]);
        assert_ne!(ran.code, 0, "byte {at}: {}", ran.stdout);
    }
}

#[test]
fn the_demo_reports_every_figure() {
    let report = Folder::new().json(&["demo"]);
    for key in [
        "rows",
        "advice_columns",
        "fixed_columns",
        "proof_bytes",
        "deploy_gas",
        "k",
    ] {
        assert!(report[key].as_u64().expect(key) > 0, "{key}");
    }
    for key in ["setup_s", "prove_s", "verify_ms"] {
        assert!(report[key].as_f64().expect(key) > 0.0, "{key}");
    }
    assert_eq!(report["model"], "digits");
    assert_eq!(report["tampered_rejected"], true);
    assert_eq!(report["predicted"], report["expected"]);
    assert!(
        report["verify_gas"].as_u64().expect("verify_gas") < 700_000,
        "{report}"
    );
    assert!(
        report["contract_bytes"].as_u64().expect("contract_bytes") <= 24_576,
        "{report}"
    );
}

#[test]
fn quantization_keeps_the_accuracy_on_the_test_set() {
    const FLOAT_ACCURACY: f64 = 442.0 / 450.0;
    let folder = Folder::new();
    folder.compile_digits();
    let test_set = repository("fixtures/digits/digits_test.npz");
    folder.json(&[
        "run",
        "digits.seal",
        "--input",
        &test_set,
        "--output",
        "logits.npy",
    ]);
    let logits: Array2<f32> =
        ndarray_npy::read_npy(folder.path("logits.npy")).expect("the outputs");
    let mut archive =
        NpzReader::new(File::open(test_set).expect("the test set")).expect("an archive");
    let labels: Array1<i64> = archive.by_name("label").expect("labels");
    assert_eq!(logits.nrows(), labels.len());
    let right = logits
        .rows()
        .into_iter()
        .zip(&labels)
        .filter(|(row, label)| {
            let best = (0..row.len())
                .max_by(|&a, &b| row[a].total_cmp(&row[b]))
                .expect("ten classes");
            best as i64 == **label
        })
        .count();
    let accuracy = right as f64 / labels.len() as f64;
    assert!(
        accuracy >= FLOAT_ACCURACY - 0.005,
        "{accuracy} against {FLOAT_ACCURACY}"
    );
}

#[test]
fn calibrate_compares_settings() {
    let report = Folder::new().json(&[
        "calibrate",
        &repository("fixtures/digits/digits.onnx"),
        "--calibration",
        &repository("fixtures/digits/digits_calibration.npz"),
        "--bits",
        "6,10",
        "--ranges",
        "minmax",
        "--items",
        "16",
    ]);
    let error = |index: usize| {
        report["settings"][index]["max_abs_error"]
            .as_f64()
            .expect("an error")
    };
    assert!(error(1) < error(0), "{report}");
}

/// Ranges by every method, and the layers' own ratios.
#[test]
fn calibrate_shows_every_tensor() {
    let report = Folder::new().json(&[
        "calibrate",
        &repository("fixtures/digits/digits.onnx"),
        "--calibration",
        &repository("fixtures/digits/digits_calibration.npz"),
        "--bits",
        "8",
        "--items",
        "8",
        "--layers",
    ]);
    let settings = report["settings"].as_array().expect("settings");
    let ranges: Vec<&str> = settings
        .iter()
        .map(|s| s["ranges"].as_str().expect("a name"))
        .collect();
    assert_eq!(ranges, ["minmax", "99.99", "99.9", "entropy"]);
    for setting in settings {
        let decibels = setting["snr_db"].as_f64().expect("a ratio");
        assert!(decibels > 15.0, "{setting}");
    }
    let layers = report["layers"].as_array().expect("layers");
    assert!(layers.len() >= 4, "{layers:?}");
    for layer in layers {
        let decibels = layer["snr_db"].as_f64().expect("noise everywhere");
        assert!((20.0..70.0).contains(&decibels), "{layer}");
    }
}

#[test]
fn compare_finds_what_a_compiled_model_computes() {
    let folder = Folder::new();
    folder.compile_digits();
    let (model, input) = (
        repository("fixtures/digits/digits.onnx"),
        repository("fixtures/digits/digits_samples.npz"),
    );
    let calibration = repository("fixtures/digits/digits_calibration.npz");
    let compiled = folder.json(&[
        "compare",
        &model,
        "--input",
        &input,
        "--compiled",
        "digits.seal",
    ]);
    let anew = folder.json(&[
        "compare",
        &model,
        "--input",
        &input,
        "--calibration",
        &calibration,
    ]);
    let output = &compiled["outputs"][0];
    assert!(output["snr_db"].as_f64().expect("noise") > 25.0, "{output}");
    assert_eq!(output["same_greatest"], output["items"]);
    assert_eq!(
        anew["outputs"], compiled["outputs"],
        "the same flags, the same model"
    );
    let layers = anew["layers"].as_array().expect("layers");
    let (last, first) = (layers.last().expect("outputs"), &layers[0]);
    assert_eq!(last["name"], output["name"]);
    // Two float references, ours and the importer's, that differ in the order of sums.
    let (ours, theirs) = (last["snr_db"].as_f64(), output["snr_db"].as_f64());
    assert!((ours.expect("noise") - theirs.expect("noise")).abs() < 0.01);
    assert!(
        first["snr_db"].as_f64() > last["snr_db"].as_f64(),
        "errors add up"
    );
}

/// Bits of every tensor's own: fewer rows for the same accuracy, and a better model in the same rows.
#[test]
fn bits_are_chosen_by_sensitivity() {
    let folder = Folder::new();
    let compile = |flags: &[&str]| {
        let (model, calibration) = (
            repository("fixtures/digits/digits.onnx"),
            repository("fixtures/digits/digits_calibration.npz"),
        );
        let mut args = vec![
            "compile",
            &model,
            "--calibration",
            &calibration,
            "-o",
            "m.seal",
        ];
        args.extend(flags);
        folder.json(&args)
    };
    let accurate = compile(&["--target-accuracy", "40"]);
    assert!(
        accurate["snr_db"].as_f64().expect("a ratio") >= 40.0,
        "{accurate}"
    );
    let widths: Vec<u64> = accurate["widths"]
        .as_object()
        .expect("widths")
        .values()
        .map(|bits| bits.as_u64().expect("bits"))
        .collect();
    assert!(widths.iter().any(|bits| bits != &widths[0]), "{widths:?}");
    let rough = compile(&["--target-accuracy", "25"]);
    assert!(
        rough["rows"].as_u64() < accurate["rows"].as_u64(),
        "{rough}"
    );

    let limit = accurate["rows"].as_u64().expect("rows");
    let fitted = compile(&["--max-rows", &limit.to_string()]);
    assert!(fitted["rows"].as_u64().expect("rows") <= limit);
    assert!(
        fitted["snr_db"].as_f64() > rough["snr_db"].as_f64(),
        "{fitted}"
    );
    // Never worse than equal bits everywhere in as many rows.
    let even = compile(&["--bits", "8"]);
    let rows = even["rows"].as_u64().expect("rows");
    let mixed = compile(&["--max-rows", &rows.to_string()]);
    assert!(mixed["rows"].as_u64().expect("rows") <= rows);
    assert!(mixed["snr_db"].as_f64().expect("a ratio") > 40.0, "{mixed}");

    for (flags, why) in [
        (["--max-rows", "10"], "no widths fit into 10 rows"),
        (["--target-accuracy", "200"], "no widths reach 200 dB"),
    ] {
        let (model, calibration) = (
            repository("fixtures/digits/digits.onnx"),
            repository("fixtures/digits/digits_calibration.npz"),
        );
        let error = folder.fails(
            2,
            &[
                "compile",
                &model,
                "--calibration",
                &calibration,
                flags[0],
                flags[1],
            ],
        );
        assert!(error.contains(why), "{error}");
    }
}

/// The largest output error of the comparison models: at most 2 % of the output range at 8 bits, 0.1 % at 14.
#[test]
fn the_comparison_models_stay_close_to_their_float_originals() {
    for name in ["mlp", "lenet5", "cnn264k", "mobilenet"] {
        let model = repository(&format!("benches/models/{name}.onnx"));
        let input = repository(&format!("benches/models/{name}.input.json"));
        let report = Folder::new().json(&[
            "calibrate",
            &model,
            "--calibration",
            &input,
            "--bits",
            "8,14",
            "--ranges",
            "minmax",
        ]);
        for (setting, limit) in [(0, 0.02), (1, 0.001)] {
            let setting = &report["settings"][setting];
            let figure = |key: &str| setting[key].as_f64().expect(key);
            let share = figure("max_abs_error") / figure("output_range");
            assert!(
                share <= limit,
                "{name}: {share} of the range at {} bits",
                setting["bits"]
            );
        }
    }
}

/// A proof can cover several inputs, and both ends can be public or private.
#[test]
fn a_batch_is_proved_with_everything_public() {
    let folder = Folder::new();
    let samples = repository("fixtures/digits/digits_samples.npz");
    folder.json(&[
        "compile",
        &repository("fixtures/digits/digits.onnx"),
        "--calibration",
        &repository("fixtures/digits/digits_calibration.npz"),
        "--batch",
        "2",
        "--input-visibility",
        "public",
        "-o",
        "pair.seal",
    ]);
    folder.json(&["setup", "--model", "pair.seal", "--dev"]);
    let proved = folder.json(&[
        "prove",
        "--model",
        "pair.seal",
        "--input",
        &samples,
        "--index",
        "1",
        "--proof",
        "p",
    ]);
    assert_eq!(proved["outputs"][0]["shape"], serde_json::json!([2, 10]));
    assert_eq!(proved["public_values"], 20 + 128);
    let verified = folder.json(&["verify", "--proof", "p"]);
    assert_eq!(verified["public"][0], proved["outputs"][0]);
    assert_eq!(verified["public"][1]["name"], "image");

    let line = folder.fails(
        2,
        &[
            "prove",
            "--model",
            "pair.seal",
            "--input",
            &samples,
            "--index",
            "20",
            "--proof",
            "q",
        ],
    );
    assert!(line.contains("20 batches of 2 inputs;"), "{line}");
}

/// Compiles the digits with hashed sides, proves an image, and returns what `prove` and `hash` said.
fn prove_hashed(folder: &Folder, flags: &[&str]) -> [serde_json::Value; 2] {
    let samples = repository("fixtures/digits/digits_samples.npz");
    let compile = [
        "compile",
        &repository("fixtures/digits/digits.onnx"),
        "--calibration",
        &repository("fixtures/digits/digits_calibration.npz"),
        "-o",
        "hashed.seal",
    ];
    folder.json(&[&compile[..], flags].concat());
    folder.json(&["setup", "--model", "hashed.seal", "--dev"]);
    let input = [
        "--model",
        "hashed.seal",
        "--input",
        &samples,
        "--index",
        "3",
    ];
    let hashed = folder.json(&[&["hash"][..], &input].concat());
    let proved = folder.json(&[&["prove", "--proof", "p"][..], &input].concat());
    [proved, hashed]
}

/// The digest that a proof shows is that of the input, for the verifier, the contract and the caller.
#[test]
fn a_hashed_input_is_one_public_value() {
    let folder = Folder::new();
    let [proved, hashed] = prove_hashed(
        &folder,
        &["--optimize", "gas", "--input-visibility", "hashed"],
    );
    assert_eq!(proved["public_values"], 10 + 1);
    assert_eq!(proved["digests"], hashed["digests"]);
    let digest = &hashed["digests"][0];
    assert_eq!(digest["side"], "input");
    assert_eq!(digest["count"], 64);

    let verified = folder.json(&["verify", "--proof", "p"]);
    assert_eq!(verified["digests"], hashed["digests"]);
    assert_eq!(verified["public"], proved["outputs"]);
    let gas = folder.json(&["verify-onchain", "--proof", "p"]);
    assert_eq!(gas["accepted"], true);
    let exported = folder.json(&["export", "--proof", "p", "-o", "export"]);
    assert_eq!(exported["example"], false);
    assert!(folder.path("export/src/PoseidonDigest.sol").exists());
    let model = fs::read_to_string(folder.path("export/src/Model.sol")).expect("text");
    let (lo, bits) = (&digest["lo"], &digest["bits"]);
    let recipe = format!("`PoseidonDigest.digest(values, {lo}, {bits})`");
    assert!(model.contains(&recipe), "{model}");
    assert!(model.contains("constant INPUT_DIGEST = 0;"), "{model}");
    assert!(model.contains("constant OUTPUT ="), "{model}");
    let digest = digest["digest"].as_str().expect("hex").to_owned();
    let shown = folder.json(&["inspect", "p"]);
    assert_eq!(shown["digests"][0], digest);
    let shown = folder.run(&["inspect", "hashed.seal"]).stdout;
    assert!(shown.contains("64 values"), "{shown}");

    // Another digest: the proof file is made whole again, so that only the proof can tell.
    let path = folder.path("p");
    let proof = artifact::read(&path, Kind::Proof).expect("the proof");
    let old = hex::decode(&digest[2..]).expect("hex");
    let mut payload = proof.payload.to_vec();
    let at = payload.windows(32).position(|w| w == old);
    payload[at.expect("the digest stands in the file") + 31] ^= 1;
    artifact::write(&path, Kind::Proof, proof.flags, &payload).expect("a writable folder");
    for command in ["verify", "verify-onchain"] {
        let ran = folder.run(&[command, "--proof", "p"]);
        assert_eq!(ran.code, 1, "{command}: {}{}", ran.stdout, ran.stderr);
    }

    folder.compile_digits();
    let samples = repository("fixtures/digits/digits_samples.npz");
    let line = folder.fails(2, &["hash", "--model", "digits.seal", "--input", &samples]);
    assert!(line.contains("--input-visibility hashed"), "{line}");
}

#[test]
fn both_sides_can_be_hashed() {
    let folder = Folder::new();
    let [proved, hashed] = prove_hashed(
        &folder,
        &[
            "--input-visibility",
            "hashed",
            "--output-visibility",
            "hashed",
        ],
    );
    assert_eq!(proved["public_values"], 2);
    assert_eq!(hashed["digests"].as_array().expect("digests").len(), 2);
    let verified = folder.json(&["verify", "--proof", "p"]);
    assert_eq!(verified["digests"], hashed["digests"]);
    assert_eq!(verified["public"], serde_json::json!([]));
    let on_chain = folder.json(&["verify-onchain", "--proof", "p"]);
    assert_eq!(on_chain["accepted"], true);
    folder.json(&["export", "--proof", "p", "-o", "export"]);
    let model = fs::read_to_string(folder.path("export/src/Model.sol")).expect("text");
    for place in ["OUTPUT_DIGEST = 0;", "INPUT_DIGEST = 1;"] {
        assert!(model.contains(place), "{model}");
    }
}
