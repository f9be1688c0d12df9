//! A model that is quantized already, from end to end.

use ndarray::Array2;

use crate::support::{Folder, repository};

#[test]
fn a_quantized_model_needs_no_calibration() {
    let folder = Folder::new();
    let onnx = repository("fixtures/quantized/cnn_qdq_u8s8_channel.onnx");
    let compiled = folder.json(&["compile", &onnx, "-o", "model.seal"]);
    assert_eq!(compiled["profile"], "w4f32b5t2");
    let values: Vec<f32> = (0..192)
        .map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0)
        .collect();
    let input = serde_json::json!({ "input_data": [values] }).to_string();
    folder.write("x.json", input.as_bytes());

    folder.json(&["setup", "--model", "model.seal", "--dev", "-o", "keys"]);
    let proved = folder.json(&[
        "prove",
        "--model",
        "model.seal",
        "--input",
        "x.json",
        "--proof",
        "x.proof",
    ]);
    let run = folder.json(&["run", &onnx, "--input", "x.json"]);
    assert_eq!(proved["outputs"][0]["values"], run["outputs"][0]["values"]);
    assert_eq!(
        folder.json(&["verify", "--proof", "x.proof"])["accepted"],
        true
    );
    assert_eq!(
        folder.json(&["verify-onchain", "--proof", "x.proof"])["accepted"],
        true
    );
}

/// Another runtime's outputs: here our own, and the same with one of them wrong.
#[test]
fn outputs_of_another_runtime_are_compared() {
    let folder = Folder::new();
    let onnx = repository("fixtures/quantized/cnn_qdq_u8s8_channel.onnx");
    let values = |seed: usize| -> Vec<f32> {
        (0..192)
            .map(|i| (i * (37 + seed) % 101) as f32 / 50.0 - 1.0)
            .collect()
    };
    let both = [values(0), values(1)].concat();
    let input = serde_json::json!({ "input_data": [both] }).to_string();
    folder.write("x.json", input.as_bytes());
    folder.json(&["run", &onnx, "--input", "x.json", "--output", "theirs.npy"]);
    let compare = ["compare", &onnx, "--input", "x.json", "--reference"];
    let report = folder.json(&[&compare[..], &["theirs.npy"]].concat());
    assert_eq!(report["equal"], 2, "{report}");
    assert_eq!(report["unexplained"], 0);

    let mut theirs: Array2<f32> =
        ndarray_npy::read_npy(folder.path("theirs.npy")).expect("the outputs");
    theirs[[1, 0]] += 1000.0;
    ndarray_npy::write_npy(folder.path("wrong.npy"), &theirs).expect("a file");
    let ran = folder.run(&[&compare[..], &["wrong.npy", "--json"]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (&report["equal"], &report["unexplained"]),
        (&1.into(), &1.into())
    );
    assert_eq!(report["differing_elements"], 1);
}
