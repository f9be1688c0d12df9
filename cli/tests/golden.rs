//! The figures of every model, pinned in `fixtures/golden/figures.json`.
//!
//! A change there is a change of circuit: keys made before it are of no use after it. Regenerate, all models
//! and proofs included, with
//!
//! ```text
//! TENSORSEAL_REGENERATE=1 cargo test -p tensorseal golden
//! ```

use std::fs;

use serde_json::{Map, Value, json};

use crate::support::{Folder, repository};

/// Models whose proofs are quick enough for every run of the tests; of the others the layout is compared.
const PROVED: [&str; 1] = ["digits"];
const LAYOUTS: [&str; 6] = [
    "mlp",
    "lenet5",
    "cnn264k",
    "mobilenet",
    "dense4m",
    "gpt_block",
];
const LAYOUT_FIGURES: [&str; 7] = [
    "profile",
    "params",
    "k",
    "rows",
    "advice_columns",
    "fixed_columns",
    "bits",
];
const PROOF_FIGURES: [&str; 7] = [
    "proof_bytes",
    "deploy_gas",
    "verify_gas",
    "execution_gas",
    "calldata_gas",
    "calldata_floor_gas",
    "calldata_bytes",
];
/// Calldata costs by its non-zero bytes, and those vary from proof to proof.
const GAS_TOLERANCE: f64 = 0.01;

#[test]
fn golden_figures() {
    let path = repository("fixtures/golden/figures.json");
    let regenerate = std::env::var_os("TENSORSEAL_REGENERATE").is_some();
    let golden: Map<String, Value> = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).expect("the golden file is JSON"),
        Err(_) if regenerate => Map::new(),
        Err(why) => panic!("{path}: {why}"),
    };
    let mut made = golden.clone();
    for name in PROVED.iter().chain(&LAYOUTS) {
        if !std::path::Path::new(&model(name)).exists() {
            println!(
                "skipped: {name} is not in the repository; benches/models/make_models.py makes it"
            );
            continue;
        }
        for optimize in goals(name) {
            let key = format!("{name}/{optimize}");
            let proves = regenerate || PROVED.contains(name);
            let figures = measure(name, optimize, proves);
            if regenerate {
                made.insert(key, figures);
            } else {
                let expected = golden
                    .get(&key)
                    .unwrap_or_else(|| panic!("{path}: no figures of {key}"));
                compare(&key, expected, &figures);
            }
        }
    }
    if regenerate {
        fs::create_dir_all(repository("fixtures/golden")).expect("a folder for the golden file");
        fs::write(&path, format!("{:#}\n", Value::Object(made)))
            .expect("the golden file is writable");
    }
}

/// The narrowest layout of the largest model would take minutes to prove.
fn goals(name: &str) -> &'static [&'static str] {
    if ["dense4m", "gpt_block"].contains(&name) {
        &["prover"]
    } else {
        &["prover", "gas"]
    }
}

fn model(name: &str) -> String {
    let folder = match name {
        "digits" => "fixtures/digits",
        _ => "benches/models",
    };
    repository(&format!("{folder}/{name}.onnx"))
}

fn measure(name: &str, optimize: &str, proves: bool) -> Value {
    let last = if proves { "--gas" } else { "--layout-only" };
    let inputs = repository("fixtures/digits/digits_calibration.npz");
    let model = model(name);
    let mut arguments = vec!["bench", &model, "--optimize", optimize, last];
    if name == "digits" {
        arguments.extend(["--input", &inputs]);
    }
    let report = Folder::new().json(&arguments);
    let figures = if proves {
        [&LAYOUT_FIGURES[..], &PROOF_FIGURES].concat()
    } else {
        LAYOUT_FIGURES.to_vec()
    };
    figures
        .into_iter()
        .map(|figure| (figure.to_string(), report[figure].clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn compare(key: &str, golden: &Value, figures: &Value) {
    for (figure, value) in figures.as_object().expect("an object") {
        let expected = golden.get(figure).unwrap_or(&json!(null));
        if figure.ends_with("gas") {
            let (expected, value) = (
                expected.as_f64().unwrap_or(0.0),
                value.as_f64().expect("gas"),
            );
            assert!(
                (value - expected).abs() <= GAS_TOLERANCE * expected,
                "{key} {figure}: {value}, not {expected}"
            );
        } else {
            assert_eq!(value, expected, "{key}: {figure}");
        }
    }
}
