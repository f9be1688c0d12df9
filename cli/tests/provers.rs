//! The fast prover beside the plain one: options, profile, plan.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{Folder, repository};

/// A folder with the compiled digits model and its keys.
fn prepared() -> Folder {
    let folder = Folder::new();
    folder.compile_digits();
    folder.json(&["setup", "--model", "digits.seal", "--dev"]);
    folder
}

fn prove<'a>(samples: &'a str, proof: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "prove",
        "--model",
        "digits.seal",
        "--input",
        samples,
        "--proof",
        proof,
    ];
    [&common[..], more].concat()
}

fn number(report: &Value, key: &str) -> f64 {
    report[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key}: {report}"))
}

#[test]
fn a_proof_is_timed_profiled_and_compared() {
    let folder = prepared();
    let samples = repository("fixtures/digits/digits_samples.npz");
    let more = [
        "--repeat",
        "3",
        "--memory",
        "16",
        "--profile",
        "stages.svg",
        "--plain",
    ];
    let report = folder.json(&prove(&samples, "p", &more));
    let whole = number(&report, "prove_s");
    assert!(number(&report, "prepare_s") < whole);
    assert!(number(&report, "prove_warm_s") > 0.0);
    assert!(number(&report, "plain_prove_s") > 0.0);
    assert_eq!(folder.json(&["verify", "--proof", "p"])["accepted"], true);
    if cfg!(target_os = "linux") {
        assert!(number(&report, "plain_peak_mib") > 0.0);
        assert!(number(&report["stages"][0], "peak_mib") <= number(&report, "peak_mib"));
    }

    let stages = report["stages"].as_array().expect("stages");
    let names: Vec<&str> = stages
        .iter()
        .map(|s| s["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names[0], "prepare");
    for name in [
        "execute",
        "witness",
        "commit",
        "transform",
        "quotient",
        "evaluate",
        "open",
        "other",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let sum: f64 = stages.iter().map(|stage| number(stage, "seconds")).sum();
    assert!(
        (sum - whole).abs() < 0.1 * whole + 0.01,
        "{sum}, not {whole}"
    );
    let svg = std::fs::read_to_string(folder.path("stages.svg")).expect("the picture");
    assert!(svg.starts_with("<svg") && svg.contains("quotient"), "{svg}");
}

#[test]
fn the_profile_is_a_table_and_the_comparison_has_ratios() {
    let folder = prepared();
    let samples = repository("fixtures/digits/digits_samples.npz");
    let ran = folder.run(&prove(&samples, "p", &["--plain", "--profile"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in ["preparing", "the plain prover", "x)", "quotient", "total"] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    // Each prover's proof is the other's verifier's.
    let plain = folder.json(&prove(&samples, "q", &["--prover", "plain"]));
    assert_eq!(plain["prover"], "plain");
    assert_eq!(folder.json(&["verify", "--proof", "q"])["accepted"], true);
    let both = folder.run(&prove(&samples, "r", &["--prover", "plain", "--plain"]));
    assert_eq!(both.code, 2, "{}", both.stdout);
}

#[test]
fn bench_compares_with_the_plain_prover() {
    let model = repository("fixtures/digits/digits.onnx");
    let inputs = repository("fixtures/digits/digits_calibration.npz");
    let bench = [
        "bench", &model, "--input", &inputs, "--plain", "--repeat", "2", "--memory", "0",
    ];
    let report = Folder::new().json(&bench);
    for key in ["prove_s", "prepare_s", "prove_warm_s", "plain_prove_s"] {
        assert!(number(&report, key) > 0.0, "{key}");
    }
    assert!(!cfg!(target_os = "linux") || number(&report, "plain_peak_mib") > 0.0);
}

#[test]
fn the_plan_is_shown() {
    let folder = Folder::new();
    folder.compile_digits();
    let plan = |memory| {
        folder.json(&["inspect", "digits.seal", "--plan", "--memory", memory])["plan"].clone()
    };
    let (large, none) = (plan("256"), plan("0"));
    assert!(number(&large, "transforms") < number(&none, "transforms"));
    assert!(number(&none, "transforms") < number(&none, "transforms_uncombined"));
    assert_eq!(none["cached"], serde_json::json!([]));
    let cached = large["cached"].as_array().expect("columns").len() as f64;
    let bytes = cached * 32.0 * number(&large, "rows") * number(&large, "cosets");
    assert_eq!(number(&large, "cached_bytes"), bytes);
    for combination in large["combined"].as_array().expect("combinations") {
        let columns = combination["columns"].as_array().expect("columns").len();
        assert_eq!(combination["members"], columns);
        assert!(columns > 1);
    }
    let text = folder.run(&["inspect", "digits.seal", "--plan"]).stdout;
    assert!(
        text.contains("multiplications") && text.contains("combination"),
        "{text}"
    );

    folder.json(&["srs", "dev", "--k", "5", "-o", "srs.seal"]);
    let line = folder.fails(2, &["inspect", "srs.seal", "--plan"]);
    assert!(line.contains("--plan"), "{line}");
}

#[test]
fn scaling_is_measured_and_the_cost_model_fitted() {
    let report = Folder::new().json(&["bench", "--scaling=2"]);
    let runs = report["runs"].as_array().expect("runs");
    for family in ["dense", "conv"] {
        let of: Vec<_> = runs.iter().filter(|r| r["family"] == family).collect();
        let chosen: Vec<_> = of.iter().filter(|r| r["chosen"] == true).collect();
        assert_eq!(chosen.len(), 2, "{report}");
        let profiles: std::collections::HashSet<_> =
            of.iter().map(|r| r["profile"].as_str()).collect();
        assert!(profiles.len() >= 4, "{report}");
    }
    for run in runs {
        assert!(number(run, "prove_s") > 0.0);
        let activation = number(run, "prove_s") * 1e6 / number(run, "activations");
        assert!((number(run, "us_per_activation") / activation - 1.0).abs() < 1e-9);
    }
    let fitted = report["fitted_us"].as_object().expect("constants");
    let planner = report["planner_us"].as_object().expect("constants");
    assert!(fitted.keys().eq(planner.keys()));
    let values = || fitted.values().filter_map(serde_json::Value::as_f64);
    assert!(
        values().all(|c| c >= 0.0) && values().any(|c| c > 0.0),
        "{report}"
    );

    let both = Folder::new().run(&["bench", "--scaling", "--plain"]);
    assert_eq!(both.code, 2, "{}", both.stdout);
}

/// Compiles a library of the tests' own.
fn library(source: &str, to: &Path) {
    let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
    let built = Command::new(compiler)
        .args(["-std=c++17", "-O2", "-shared", "-fPIC", "-I"])
        .arg(repository("prover/src/gpu/kernels"))
        .arg(repository(source))
        .arg("-o")
        .arg(to)
        .arg("-ldl")
        .status()
        .expect("a C++ compiler");
    assert!(built.success());
}

/// A folder with our library that has ICICLE's interface, under ICICLE's names.
fn imitation() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let built = folder.path().join("library");
    library("prover/src/icicle/tests/library.cpp", &built);
    for name in ["device", "field_bn254", "curve_bn254"] {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let file = folder.path().join(format!("{prefix}icicle_{name}{suffix}"));
        std::fs::hard_link(&built, file).expect("a link");
    }
    folder
}

#[cfg(target_os = "linux")]
#[test]
fn cuda_proves_on_a_stand_in_for_the_driver() {
    let libraries = tempfile::tempdir().expect("a folder for temporary files");
    for name in ["libcuda.so", "libnvrtc.so"] {
        library(
            "prover/src/gpu/tests/driver.cpp",
            &libraries.path().join(name),
        );
    }
    let libraries = libraries.path().to_str().expect("a path in Unicode");
    let environment = [
        ("LD_LIBRARY_PATH", libraries),
        ("XDG_CACHE_HOME", libraries),
    ];
    let folder = prepared();
    let samples = repository("fixtures/digits/digits_samples.npz");
    let found = || {
        let found = folder.json_with(&environment, &["devices"]);
        let mut found = found["devices"].as_array().expect("a list").clone();
        found.retain(|d| d["backend"] == "cuda");
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let before = found();
    assert_eq!(before["usable"], true, "{before}");
    assert_eq!(before["kernels_ready"], false, "{before}");
    let report = folder.json_with(
        &environment,
        &prove(&samples, "p", &["--backend", "cuda", "--profile"]),
    );
    assert_eq!(report["processor"], "stand-in");
    assert_eq!(folder.json(&["verify", "--proof", "p"])["accepted"], true);
    assert_eq!(found()["kernels_ready"], true);

    // A device that is too small: named, or the processor instead.
    let small = [&environment[..], &[("STAND_IN_MEMORY", "545259520")]].concat();
    let refused = folder.run_with(&small, &prove(&samples, "q", &["--backend", "cuda"]));
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let line = refused.stderr;
    assert!(line.contains("MiB on stand-in, of which 8 MiB"), "{line}");
    let report = folder.json_with(&small, &prove(&samples, "q", &["--backend", "auto"]));
    assert_eq!(report["processor"], "cpu");
}

#[test]
fn icicle_is_found_by_the_environment() {
    let libraries = imitation();
    let libraries = libraries.path().to_str().expect("a path in Unicode");
    let folder = prepared();
    let samples = repository("fixtures/digits/digits_samples.npz");
    let found = |device: &str| {
        let environment = [("ICICLE_LIB_DIR", libraries), ("ICICLE_DEVICE", device)];
        let found = folder.json_with(&environment, &["devices"]);
        let mut found = found["devices"].as_array().expect("a list").clone();
        found.retain(|d| d["backend"] == "icicle");
        found.remove(0)
    };
    let cuda = found("CUDA");
    assert_eq!(
        (&cuda["usable"], &cuda["name"]),
        (&true.into(), &"ICICLE CUDA".into())
    );
    assert!(
        cuda["total_bytes"].as_u64() >= cuda["free_bytes"].as_u64(),
        "{cuda}"
    );
    let metal = found("METAL");
    assert_eq!(metal["usable"], false);
    assert!(
        metal["why_not"]
            .as_str()
            .is_some_and(|why| why.contains("METAL")),
        "{metal}"
    );

    let environment = [("ICICLE_LIB_DIR", libraries)];
    let report = folder.json_with(
        &environment,
        &prove(&samples, "p", &["--backend", "icicle"]),
    );
    assert_eq!(report["processor"], "ICICLE CUDA");
    assert_eq!(folder.json(&["verify", "--proof", "p"])["accepted"], true);
    // Of `auto` it is no part.
    let report = folder.json_with(&environment, &prove(&samples, "q", &["--backend", "auto"]));
    assert_ne!(report["processor"], "ICICLE CUDA");
}

#[test]
fn backends_are_listed_and_named_ones_never_replaced() {
    let folder = prepared();
    let samples = repository("fixtures/digits/digits_samples.npz");
    let found = folder.json(&["devices"]);
    let found = found["devices"].as_array().expect("a list");
    assert_eq!(found[0]["backend"], "cpu");
    assert_eq!(found[0]["usable"], true);
    let of = |backend: &str| {
        let all = found.iter().filter(|d| d["backend"] == backend);
        all.collect::<Vec<&Value>>()
    };
    let (cuda, icicle) = (of("cuda"), of("icicle"));
    assert!(!cuda.is_empty() && icicle.len() == 1, "{found:?}");
    for device in cuda.iter().chain(&icicle) {
        let usable = device["usable"].as_bool().expect("yes or no");
        assert_eq!(usable, device["why_not"].is_null(), "{device}");
    }

    if icicle[0]["usable"] == false {
        let line = folder.fails(2, &prove(&samples, "p", &["--backend", "icicle"]));
        let why = icicle[0]["why_not"].as_str().expect("a reason");
        assert!(line.contains(why) && line.contains("ICICLE"), "{line}");
    }
    if cuda[0]["usable"] == false {
        let line = folder.fails(2, &prove(&samples, "p", &["--backend", "cuda"]));
        let why = cuda[0]["why_not"].as_str().expect("a reason");
        assert!(line.contains(why), "{line}");
        let line = folder.fails(2, &["bench", "--stages=8", "--backend", "cuda"]);
        assert!(line.contains(why), "{line}");
        let report = folder.json(&prove(&samples, "p", &["--backend", "auto"]));
        assert_eq!(report["processor"], "cpu");
    }
    let mixed = ["--backend", "auto", "--prover", "plain"];
    let line = folder.fails(2, &prove(&samples, "q", &mixed));
    assert!(line.contains("--backend auto"), "{line}");
}

#[test]
fn a_backend_is_measured_stage_by_stage() {
    let folder = Folder::new();
    let model = repository("fixtures/digits/digits.onnx");
    let inputs = repository("fixtures/digits/digits_calibration.npz");
    let bench = [
        "bench",
        "--stages=8..9",
        "--input",
        &inputs,
        &model,
        "-o",
        "figures",
    ];
    let report = folder.json(&bench);
    let list = |key: &str| report[key].as_array().expect("a list").clone();
    assert_eq!(report["backend"], "cpu");
    assert_eq!(list("left_out"), Vec::<Value>::new());

    let operations = list("operations");
    assert_eq!(operations.len(), 2 * 6, "{report}");
    for figure in &operations {
        assert!(number(figure, "ms") > 0.0 && number(figure, "values_per_s") > 0.0);
    }
    let (circuits, models) = (list("circuits"), list("models"));
    assert_eq!((circuits.len(), models.len()), (2, 1));
    assert_eq!(models[0]["name"], "digits");
    for (run, k) in circuits.iter().zip([8, 9]) {
        assert_eq!(run["k"], k);
    }
    for run in circuits.iter().chain(&models) {
        let stages = run["stages"].as_array().expect("stages");
        let names: Vec<&str> = stages.iter().filter_map(|s| s["name"].as_str()).collect();
        for name in [
            "commit",
            "random",
            "transform",
            "quotient",
            "commit quotient",
            "evaluate",
            "open",
            "other",
        ] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        // Rounded to tenths of a millisecond, each.
        let sum: f64 = stages.iter().map(|stage| number(stage, "seconds")).sum();
        let (whole, rounding) = (number(run, "seconds"), 1e-4 * stages.len() as f64);
        assert!((sum - whole).abs() <= rounding, "{sum}, not {whole}");
        let parts = number(run, "backend_s") + number(run, "host_s");
        assert!((parts - whole).abs() <= 3e-4, "{parts}, not {whole}");
        assert!(number(run, "backend_s") > 0.0 && number(run, "proof_bytes") > 1000.0);
        assert_eq!(run["verified"], true);
    }

    let read = |name: &str| std::fs::read_to_string(folder.path("figures").join(name)).unwrap();
    let written: Value = serde_json::from_str(&read("stages.json")).expect("JSON");
    assert_eq!(written, report);
    let svg = read("stages.svg");
    assert_well_formed(&svg);
    for part in [
        "60 columns, 2^8",
        "2^9",
        "digits",
        "quotient",
        "MSM, dense scalars",
    ] {
        assert!(svg.contains(part), "{part}: {svg}");
    }
}

#[test]
fn sizes_beyond_the_memory_are_left_out_and_wrong_ones_refused() {
    let folder = Folder::new();
    let ran = folder.run(&["bench", "--stages=6..28/22"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "left out: 60 columns, 2^28: needs",
        "2^6",
        "in the backend",
        "verified",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    for wrong in ["--stages=9..8", "--stages=4..8", "--stages=x"] {
        let ran = folder.run(&["bench", wrong]);
        assert_eq!(ran.code, 2, "{wrong}: {}", ran.stdout);
    }
    folder.write("not.onnx", b"no model");
    folder.fails(2, &["bench", "--stages=8", "not.onnx"]);
}

/// Tags are closed in order, and nothing is bare that XML has escaped.
fn assert_well_formed(xml: &str) {
    let mut open: Vec<&str> = vec![];
    for piece in xml.trim().split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "{text}");
        for part in piece.split('&').skip(1) {
            assert!(
                ["amp;", "lt;"].iter().any(|e| part.starts_with(e)),
                "{part}"
            );
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{xml}");
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().expect("a name"));
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}
