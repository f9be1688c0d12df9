//! A model that is quantized already, from end to end.

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
