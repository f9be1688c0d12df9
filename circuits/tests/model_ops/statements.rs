//! The fixed columns of every model file of the repository state the model that was compiled.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use tensorseal_circuits::{
    check,
    layout::{Optimize, Shown, Visibility, choose},
    model::Model,
    onnx::{self, ImportOptions},
    quantize::{self, Calibration, QuantizeOptions},
};

use super::model_support::samples;

/// All ONNX files below a folder.
fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "onnx") {
            out.push(path);
        }
    }
}

/// The model as `compile` makes it for a goal, calibrated with random inputs; `None` for a file that it refuses.
fn compiled(path: &Path, goal: Optimize) -> Option<Model> {
    let bytes = std::fs::read(path).unwrap();
    let graph = onnx::import(&bytes, &ImportOptions::default()).ok()?;
    let calibration = Calibration::measure(&graph, &samples(&graph, 2, 5)).ok()?;
    let options = QuantizeOptions {
        shift: goal.shift(),
        ..QuantizeOptions::default()
    };
    quantize::quantize(&graph, &calibration, &options).ok()
}

fn all_are_stated(folder: &str, least: usize) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    paths.sort();
    let mut stated = 0;
    for path in paths {
        for (goal, input) in [
            (Optimize::Prover, Shown::Private),
            (Optimize::Balanced, Shown::Public),
        ] {
            let visibility = Visibility {
                input,
                ..Visibility::default()
            };
            let Some(model) = compiled(&path, goal) else {
                continue;
            };
            let Ok(layout) = choose(&model, goal, visibility) else {
                continue;
            };
            let start = Instant::now();
            let verdict = check::statement(&model, &layout);
            assert_eq!(verdict, Ok(()), "{}", path.display());
            stated += 1;
            if layout.k > 13 {
                println!(
                    "{}, {}: {:.1?}",
                    path.display(),
                    layout.profile.name(),
                    start.elapsed()
                );
            }
        }
    }
    assert!(stated >= least, "{stated}");
}

#[test]
fn every_fixture_is_stated() {
    all_are_stated("../fixtures", 100);
}

#[test]
fn every_comparison_model_is_stated() {
    all_are_stated("../benches/models", 8);
}
