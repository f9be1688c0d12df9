//! What the importer refuses, and that it never panics.

#[path = "model_errors/compiled.rs"]
mod compiled;
#[path = "model_errors/hostile.rs"]
mod hostile;
mod model_support;

use model_support::Onnx;
use proptest::prelude::*;
use tensorseal_circuits::onnx::{self, ImportError, ImportOptions, Reference};

fn refused(onnx: &Onnx, batch: usize) -> ImportError {
    onnx::import(&onnx.bytes(), &ImportOptions { batch, name: None }).unwrap_err()
}

fn message(onnx: &Onnx) -> String {
    refused(onnx, 1).to_string()
}

fn dense() -> Onnx {
    Onnx::new().input("x", &[1, 4]).weights("w", &[4, 3])
}

#[test]
fn unsupported_operators_are_named_with_a_remedy() {
    let error = refused(&dense().node("Unique", &["x"], "gate").output("gate"), 1);
    let ImportError::Unsupported { node, op, hint } = &error else {
        panic!("{error}")
    };
    assert_eq!((node.as_str(), op.as_str()), ("gate", "Unique"));
    assert!(hint.contains("depends on the data") && error.to_string().ends_with(hint));
    let foreign = dense()
        .node("Relu", &["x"], "y")
        .edit(|n| n.domain = "com.example".into())
        .output("y");
    assert!(
        matches!(refused(&foreign, 1), ImportError::Unsupported { op, .. } if op == "com.example.Relu")
    );
    let unknown = dense().node("Frobnicate", &["x"], "y").output("y");
    assert!(matches!(
        refused(&unknown, 1),
        ImportError::Unsupported { .. }
    ));
    let nameless = dense()
        .node("Det", &["x"], "y")
        .edit(|n| n.name.clear())
        .output("y");
    assert!(matches!(refused(&nameless, 1), ImportError::Unsupported { node, .. } if node == "y"));
}

/// Names end up in reports, compiled models and keys.
#[test]
fn names_that_hide_are_refused() {
    let named = |input: &str, output: &str| {
        Onnx::new()
            .input(input, &[1, 4])
            .node("Relu", &[input], output)
            .output(output)
    };
    assert!(onnx::import(&named("x", "Grüße").bytes(), &ImportOptions::default()).is_ok());
    let long = "a".repeat(5000);
    for name in ["a\nb", "\x1b[8m", "a\u{202e}b", "a\u{200b}", &long] {
        for model in [named(name, "y"), named("x", name)] {
            let error = refused(&model, 1);
            assert!(matches!(error, ImportError::Name { .. }), "{error}");
            let told = error.to_string();
            assert!(
                told.len() < 300 && told.chars().all(|c| !c.is_control()),
                "{told}"
            );
        }
    }
}

#[test]
fn parameters_must_be_constants() {
    let image = Onnx::new()
        .input("x", &[1, 2, 4, 4])
        .input("v", &[3, 2, 3, 3])
        .node("Conv", &["x", "v"], "y");
    let recurrent = Onnx::new()
        .input("x", &[3, 1, 2])
        .input("v", &[1, 4, 2])
        .input("r", &[1, 4, 1])
        .node("LSTM", &["x", "v", "r"], "y")
        .int("hidden_size", 1);
    let places = Onnx::new()
        .input("x", &[1, 4])
        .input("v", &[1, 4])
        .node("Cast", &["v"], "i")
        .int("to", 7)
        .node("GatherElements", &["x", "i"], "y");
    for onnx in [image, recurrent, places] {
        let error = refused(&onnx.output("y"), 1);
        assert!(
            matches!(error, ImportError::NotConstant { ref node, .. } if node == "y"),
            "{error}"
        );
    }
}

#[test]
fn shapes_and_batches_must_be_known() {
    let relu = |shape: &[i64]| {
        Onnx::new()
            .input("x", shape)
            .node("Relu", &["x"], "y")
            .output("y")
    };
    let inner = Onnx::new()
        .input("x", &[1, 0])
        .node("Relu", &["x"], "y")
        .output("y");
    assert!(matches!(
        refused(&inner, 1),
        ImportError::DynamicAxis { axis: 1, .. }
    ));
    assert!(matches!(
        refused(&relu(&[2, 3]), 4),
        ImportError::FixedBatch {
            got: 2,
            batch: 4,
            ..
        }
    ));
    assert!(matches!(
        refused(&relu(&[0, 3]), 0),
        ImportError::EmptyBatch
    ));
    assert!(matches!(
        refused(&relu(&[0, 1 << 40]), 1),
        ImportError::TooLarge { .. }
    ));
    let images = Onnx::new()
        .input("x", &[2, 3, 4, 4])
        .node("GlobalAveragePool", &["x"], "y")
        .output("y");
    assert!(message(&images).contains("--batch 2"));
    let mixed = Onnx::new()
        .input("x", &[0, 4])
        .node("Transpose", &["x"], "y")
        .output("y");
    assert!(matches!(refused(&mixed, 3), ImportError::MixesBatch { .. }));
}

#[test]
fn forms_beyond_the_supported_ones_say_why() {
    let image = || {
        Onnx::new()
            .input("x", &[1, 2, 4, 4])
            .weights("w", &[2, 2, 3, 3])
    };
    let pads = |o: Onnx| {
        o.ints("p", &[0, 0, 1, 1, 0, 0, 1, 1])
            .node("Pad", &["x", "p"], "y")
    };
    assert!(message(&pads(image()).string("mode", "wrap").output("y")).contains("wrap"));
    let valued = image()
        .ints("p", &[0, 0, 1, 1, 0, 0, 1, 1])
        .floats("v", &[], vec![f32::INFINITY]);
    assert!(message(&valued.node("Pad", &["x", "p", "v"], "y").output("y")).contains("inf"));
    let training =
        image()
            .weights("g", &[2])
            .node("BatchNormalization", &["x", "g", "g", "g", "g"], "y");
    assert!(message(&training.int("training_mode", 1).output("y")).contains("training"));
    let negative = image().floats("g", &[2], vec![1.0, -1.0]).node(
        "BatchNormalization",
        &["x", "g", "g", "g", "g"],
        "y",
    );
    assert!(message(&negative.output("y")).contains("variance"));
    let large = image()
        .weights("k", &[2, 2, 9, 9])
        .node("Conv", &["x", "k"], "y")
        .output("y");
    assert!(onnx::import(&large.bytes(), &ImportOptions::default()).is_err());
    let nan = image()
        .floats("k", &[2], vec![1.0, f32::NAN])
        .node("Conv", &["x", "w", "k"], "y")
        .output("y");
    assert!(message(&nan).contains("NaN"));
    let zero = image()
        .floats("k", &[1], vec![0.0])
        .node("Div", &["x", "k"], "y")
        .output("y");
    assert!(message(&zero).contains("zeros"));
    let resize = |mode: &str, coordinates: &str| {
        let onnx = image().floats("s", &[4], vec![1.0, 1.0, 2.0, 2.0]);
        let onnx = onnx
            .node("Resize", &["x", "", "s"], "y")
            .string("mode", mode)
            .string("coordinate_transformation_mode", coordinates);
        onnx.output("y")
    };
    assert!(message(&resize("nearest", "tf_crop_and_resize")).contains("align_corners"));
    let step = image().ints("zero", &[0]).ints("one", &[1]).node(
        "Slice",
        &["x", "zero", "one", "one", "zero"],
        "y",
    );
    assert!(onnx::import(&step.output("y").bytes(), &ImportOptions::default()).is_err());
    let cast = dense().node("Cast", &["x"], "y").int("to", 8).output("y");
    assert!(message(&cast).contains("Float"));
    let far = dense().ints("i", &[9]).node("Gather", &["x", "i"], "y");
    assert!(message(&far.int("axis", 1).output("y")).contains('9'));
    let ellipsis = dense()
        .node("Einsum", &["x", "w"], "y")
        .string("equation", "...i,ij->...j");
    assert!(message(&ellipsis.output("y")).contains("letters"));
    let volume = Onnx::new()
        .input("x", &[1, 2, 4, 4, 4])
        .weights("w", &[2, 2, 3, 3, 3]);
    assert!(message(&volume.node("Conv", &["x", "w"], "y").output("y")).contains("spatial"));
    let read = dense()
        .node("ArgMax", &["x"], "i")
        .int("axis", 1)
        .node("Identity", &["i"], "k")
        .output("k");
    onnx::import(&read.bytes(), &ImportOptions::default()).unwrap();
}

#[test]
fn broken_graphs_are_parse_errors() {
    assert!(matches!(
        onnx::import(&[], &ImportOptions::default()),
        Err(ImportError::Parse { .. })
    ));
    assert!(matches!(
        onnx::import(&[0xff; 40], &ImportOptions::default()),
        Err(ImportError::Parse { .. })
    ));
    let dangling = dense().node("Relu", &["nothing"], "y").output("y");
    assert!(message(&dangling).contains("nothing"));
    let lost = dense().node("Relu", &["x"], "y").output("z");
    assert!(matches!(refused(&lost, 1), ImportError::Parse { .. }));
    let constant = dense().node("Relu", &["x"], "y").output("w");
    assert!(refused(&constant, 1).to_string().contains('w'));
    let size = dense()
        .floats("bad", &[1 << 40, 1 << 40], Vec::new())
        .node("Relu", &["x"], "y")
        .output("y");
    assert!(matches!(refused(&size, 1), ImportError::TooLarge { .. }));
}

/// A network that touches most importers.
fn victim() -> Vec<u8> {
    Onnx::new()
        .input("x", &[1, 2, 6, 6])
        .weights("w", &[3, 2, 3, 3])
        .weights("b", &[3])
        .ints("shape", &[1, 12])
        .weights("d", &[12, 4])
        .node("Conv", &["x", "w", "b"], "c")
        .attr_ints("pads", &[1, 1, 1, 1])
        .attr_ints("strides", &[1, 1])
        .node("LeakyRelu", &["c"], "r")
        .float("alpha", 0.1)
        .node("MaxPool", &["r"], "p")
        .attr_ints("kernel_shape", &[3, 3])
        .attr_ints("strides", &[3, 3])
        .node("Reshape", &["p", "shape"], "f")
        .node("Gemm", &["f", "d"], "g")
        .node("ArgMax", &["g"], "y")
        .int("axis", 1)
        .output("y")
        .output("g")
        .bytes()
}

fn survives(bytes: &[u8]) {
    let options = ImportOptions::default();
    if let Ok(graph) = onnx::import(bytes, &options) {
        let calibration = tensorseal_circuits::quantize::Calibration::random(&graph);
        let _ = tensorseal_circuits::quantize::quantize(&graph, &calibration, &Default::default());
        let _ = Reference::new(bytes, &options);
    }
}

/// Elements of a graph beyond which a survivor is only imported.
const QUANTIZED_ELEMENTS: usize = 1 << 18;

fn imports(bytes: &[u8]) {
    let options = ImportOptions::default();
    if let Ok(graph) = onnx::import(bytes, &options) {
        let elements: usize = graph
            .nodes
            .iter()
            .map(|node| node.shape.iter().product::<usize>())
            .sum();
        if elements <= QUANTIZED_ELEMENTS {
            let calibration = tensorseal_circuits::quantize::Calibration::random(&graph);
            let options = Default::default();
            let _ = tensorseal_circuits::quantize::quantize(&graph, &calibration, &options);
        }
    }
}

/// All `.onnx` files below a folder, sorted.
fn models(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(models(&path));
        } else if path.extension().is_some_and(|e| e == "onnx") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The committed models, or those of the folder `ONNX_MODELS`, as they are and with bytes changed: `ONNX_MUTANTS` times in
/// all. What comes of them is a model or an error.
#[test]
fn models_of_all_kinds_and_their_mutants_never_panic() {
    let fixtures = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let folder = std::env::var_os("ONNX_MODELS").map_or(fixtures, Into::into);
    let mutants: usize = std::env::var("ONNX_MUTANTS")
        .ok()
        .map_or(10_000, |count| count.parse().unwrap());
    let files: Vec<Vec<u8>> = models(&folder)
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(!files.is_empty(), "no models in {}", folder.display());
    if folder.ends_with("fixtures") {
        // The conformance tests run the small ones.
        files
            .iter()
            .filter(|f| f.len() > 20_000)
            .for_each(|f| imports(f));
    } else {
        files.iter().for_each(|f| imports(f));
    }
    let mut state = 7u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for mutant in 0..mutants {
        let mut bytes = files[mutant * files.len() / mutants.max(1)].clone();
        for _ in 0..=draw(4) {
            let at = draw(bytes.len());
            bytes[at] = draw(256) as u8;
        }
        if draw(4) == 0 {
            bytes.truncate(draw(bytes.len()));
        }
        imports(&bytes);
    }
}

#[test]
fn every_truncation_is_an_error_or_a_model() {
    let bytes = victim();
    for end in (0..bytes.len()).step_by(7) {
        survives(&bytes[..end]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mutated_models_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = victim();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.remove(cut.index(bytes.len()));
        }
        survives(&bytes);
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }
}
