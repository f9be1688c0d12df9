//! What is said of integers that are not the model's numbers: after compiling, of clamped inputs, and what `--strict` makes of it.

use serde_json::{Value, json};

use crate::support::{Folder, repository};

const DIGITS: &str = "fixtures/digits/digits.onnx";
const CALIBRATION: &str = "fixtures/digits/digits_calibration.npz";

fn compile<'a>(onnx: &'a str, data: &'a str, bits: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let flags = ["compile", onnx, "--calibration", data, "--bits", bits];
    [&flags[..], more].concat()
}

#[test]
fn compile_says_how_accurate_the_integers_are() {
    let folder = Folder::new();
    let (onnx, data) = (repository(DIGITS), repository(CALIBRATION));
    let fine = folder.json(&compile(
        &onnx,
        &data,
        "10",
        &["-o", "fine.seal", "--strict"],
    ));
    let output = &fine["accuracy"][0];
    assert!(output["snr_db"].as_f64().unwrap() > 30.0, "{output}");
    assert_eq!(output["same_greatest"], output["items"]);
    assert_eq!(fine["warnings"], json!([]));

    let coarse = folder.json(&compile(&onnx, &data, "4", &["-o", "coarse.seal"]));
    let decibels = coarse["accuracy"][0]["snr_db"].as_f64().unwrap();
    assert!(decibels < 30.0, "{decibels}");
    let warning = coarse["warnings"][0].as_str().unwrap();
    let name = coarse["accuracy"][0]["name"].as_str().unwrap();
    for told in [&format!("`{name}`"), "least accurate tensor is", "--bits"] {
        assert!(warning.contains(told), "{warning}");
    }

    let ran = folder.run(&compile(
        &onnx,
        &data,
        "4",
        &["-o", "none.seal", "--strict"],
    ));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--strict"), "{}", ran.stderr);
    assert!(!folder.entries().iter().any(|name| name == "none.seal"));
}

#[test]
fn clamped_inputs_are_told() {
    let folder = Folder::new();
    let (onnx, data) = (repository(DIGITS), repository(CALIBRATION));
    folder.json(&compile(&onnx, &data, "8", &["-o", "d.seal"]));
    let mut values = vec![0.0; 64];
    folder.write(
        "inside.json",
        json!({ "input_data": [values] }).to_string().as_bytes(),
    );
    values[7] = 1000.0;
    values[9] = 500.0;
    folder.write(
        "beyond.json",
        json!({ "input_data": [values] }).to_string().as_bytes(),
    );
    let run = ["run", "d.seal", "--input"];
    let inside = folder.json(&[&run[..], &["inside.json", "--strict"]].concat());
    assert_eq!(inside["clamped_inputs"], json!([]));

    let beyond = folder.json(&[&run[..], &["beyond.json"]].concat());
    let told = &beyond["clamped_inputs"][0];
    assert_eq!((&told["elements"], &told["of"]), (&json!(2), &json!(64)));
    let most = told["beyond"].as_f64().unwrap();
    assert!((900.0..1000.0).contains(&most), "{most}");
    let strict = folder.run(&[&run[..], &["beyond.json", "--strict"]].concat());
    assert_eq!(strict.code, 2);
    assert!(strict.stderr.contains("calibrat"), "{}", strict.stderr);

    // Ranges from the inputs themselves: said.
    let own = folder.json(&["run", &onnx, "--input", "inside.json"]);
    let warning = own["warnings"].to_string();
    assert!(warning.contains("--calibration"), "{warning}");
    folder.fails(2, &["run", &onnx, "--input", "inside.json", "--strict"]);

    // The same words where a proof is made.
    folder.json(&["setup", "--model", "d.seal", "--dev", "-o", "keys"]);
    let prove = [
        "prove", "--model", "d.seal", "--keys", "keys", "--proof", "p", "--input",
    ];
    let proved: Value = folder.json(&[&prove[..], &["beyond.json"]].concat());
    assert_eq!(proved["clamped_inputs"][0]["elements"], 2);
    let strict = folder.run(&[&prove[..], &["beyond.json", "--strict", "--force"]].concat());
    assert_eq!(strict.code, 2);
}
