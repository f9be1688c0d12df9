//! A random forest as scikit-learn exports it, by the commands a user types.

use std::fs::{self, File};

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use serde_json::json;

use crate::support::{Folder, repository};

#[test]
fn a_random_forest_is_proved_with_its_features_public() {
    let folder = Folder::new();
    let onnx = repository("fixtures/exported/random_forest.onnx");
    let data = repository("fixtures/exported/random_forest.npz");
    let calibrated = folder.json(&["calibrate", &onnx, "--calibration", &data, "--bits", "8"]);
    let error = calibrated["settings"][0]["max_abs_error"].as_f64();
    assert!(error.expect("an error") < 1e-5, "{calibrated}");
    folder.json(&[
        "compile",
        &onnx,
        "--calibration",
        &data,
        "--input-visibility",
        "public",
        "-o",
        "forest.seal",
    ]);
    let shown = folder.run(&["inspect", "forest.seal"]).stdout;
    assert!(
        shown.contains("13 features as their places among"),
        "{shown}"
    );
    folder.json(&["setup", "--model", "forest.seal", "--dev"]);
    let prove = ["prove", "--model", "forest.seal", "--input", &data];
    let proved = folder.json(&[&prove[..], &["--index", "7", "--proof", "p"]].concat());
    let mut archive = NpzReader::new(File::open(&data).expect("the data")).expect("an archive");
    let labels: ArrayD<f32> = archive.by_name("output/output_label").expect("labels");
    assert_eq!(proved["outputs"][0]["values"], json!([labels[[7]]]));
    let verified = folder.json(&["verify", "--proof", "p"]);
    assert_eq!(verified["accepted"], true);
    // What the verifier is shown of a feature is a number that no tree tells from the real one.
    let features = verified["public"][2]["values"]
        .as_array()
        .expect("features");
    assert_eq!(features.len(), 13);
    folder.write(
        "shown.json",
        serde_json::to_string(features).expect("JSON").as_bytes(),
    );
    let run = [
        "run",
        "forest.seal",
        "--input",
        "shown.json",
        "--output",
        "y.npz",
    ];
    folder.json(&run);
    let mut archive = NpzReader::new(File::open(folder.path("y.npz")).expect("outputs"));
    let archive = archive.as_mut().expect("an archive");
    let label: ArrayD<f32> = archive.by_name("output_label").expect("a label");
    assert_eq!(label.iter().copied().next(), Some(labels[[7]]));

    folder.json(&["export", "--proof", "p", "-o", "export"]);
    let model = fs::read_to_string(folder.path("export/src/Model.sol")).expect("text");
    assert!(model.contains("OUTPUT_1_SCALE_E18"), "{model}");
    assert!(!model.contains("INPUT_SCALE_E18"), "{model}");
}
