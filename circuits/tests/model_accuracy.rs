//! The integer executor against the float model, on the comparison models.

use std::{fs, path::PathBuf};

use tensorseal_circuits::{
    executor,
    graph::Graph,
    onnx::{self, ImportOptions, Reference},
    ports,
    quantize::{
        self, Calibration, Method, QuantizeOptions,
        inputs::{self, InputSpec},
    },
};

fn models() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../benches/models")
}

fn load(name: &str) -> (Graph, Reference, Vec<inputs::Sample>) {
    let bytes = fs::read(models().join(format!("{name}.onnx"))).unwrap();
    let options = ImportOptions::default();
    let graph = onnx::import(&bytes, &options).unwrap();
    let reference = Reference::new(&bytes, &options).unwrap();
    let samples = inputs::load(
        &models().join(format!("{name}.input.json")),
        &inputs::specs(&graph),
    )
    .unwrap();
    (graph, reference, samples)
}

/// The largest output error, as a share of the float output range.
fn error(
    graph: &Graph,
    reference: &Reference,
    calibration: &Calibration,
    options: QuantizeOptions,
    sample: &inputs::Sample,
) -> f64 {
    let model = quantize::quantize(graph, calibration, &options).unwrap();
    let quantize = |(port, values): (_, &Vec<f32>)| {
        ports::quantize_input(&model, port, values).unwrap().values
    };
    let integers: Vec<Vec<i64>> = model.inputs.iter().zip(sample).map(quantize).collect();
    let values = executor::run(&model, &integers).unwrap();
    let expected = reference.run(sample).unwrap();
    let mut worst = 0f64;
    for (port, expected) in model.outputs.iter().zip(&expected) {
        let got = ports::dequantize(port, &values[port.node]).unwrap();
        let (lo, hi) = expected
            .iter()
            .fold((f32::MAX, f32::MIN), |r, &v| (r.0.min(v), r.1.max(v)));
        let off = got
            .iter()
            .zip(expected)
            .map(|(g, e)| (g - e).abs())
            .fold(0.0, f32::max);
        worst = worst.max(f64::from(off / (hi - lo)));
    }
    worst
}

/// An input like the sample: its values, shuffled.
fn shuffled(sample: &inputs::Sample, seed: u64) -> inputs::Sample {
    let mut state = seed;
    let mut shuffle = |values: &Vec<f32>| {
        let mut values = values.clone();
        for i in (1..values.len()).rev() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            values.swap(i, (state >> 33) as usize % (i + 1));
        }
        values
    };
    sample.iter().map(&mut shuffle).collect()
}

/// Limits for the input that the model was calibrated on, and for inputs that it was not.
const LIMITS: [(u32, u32, f64, f64); 3] = [
    (8, 12, 0.02, 0.03),
    (8, 16, 0.02, 0.03),
    (14, 16, 0.001, 0.01),
];

/// Calibrated on the committed input alone, the least that users do.
fn check(name: &str) {
    let (graph, reference, samples) = load(name);
    let calibration = Calibration::measure(&graph, &samples).unwrap();
    for (bits, shift, limit, unseen_limit) in LIMITS {
        let options = QuantizeOptions {
            bits,
            shift,
            method: Method::MinMax,
        };
        let of = |sample: &inputs::Sample| error(&graph, &reference, &calibration, options, sample);
        let seen = of(&samples[0]);
        let unseen = (0..4)
            .map(|seed| of(&shuffled(&samples[0], seed)))
            .fold(0.0, f64::max);
        println!(
            "{name}, {bits} bits, shift {shift}: {:.3} % of the output range, unseen inputs {:.3} %",
            100.0 * seen,
            100.0 * unseen
        );
        assert!(
            seen <= limit,
            "{name}, {bits} bits: {seen} of the output range, limit {limit}"
        );
        assert!(
            unseen <= unseen_limit,
            "{name}, {bits} bits, unseen inputs: {unseen}"
        );
    }
}

#[test]
fn mlp() {
    check("mlp");
}

#[test]
fn lenet5() {
    check("lenet5");
}

#[test]
fn cnn264k() {
    check("cnn264k");
}

#[test]
fn dense4m() {
    // 16 MB, not in the repository.
    if !models().join("dense4m.onnx").exists() {
        println!("skipped: make it with `python benches/models/make_models.py dense4m`");
        return;
    }
    check("dense4m");
}

#[test]
fn mobilenet() {
    check("mobilenet");
}

/// Classes that the float and the integer model get right on the digits test set, of all.
fn digits(options: QuantizeOptions) -> (usize, usize, usize) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/digits");
    let bytes = fs::read(folder.join("digits.onnx")).unwrap();
    let graph = onnx::import(&bytes, &ImportOptions::default()).unwrap();
    let reference = Reference::new(&bytes, &ImportOptions::default()).unwrap();
    let specs = inputs::specs(&graph);
    let read = |file: &str, specs: &[InputSpec]| inputs::load(&folder.join(file), specs).unwrap();
    let label = InputSpec {
        name: "label".into(),
        shape: vec![1],
    };
    let tests = read("digits_test.npz", &[specs[0].clone(), label]);
    let calibration =
        Calibration::measure(&graph, &read("digits_calibration.npz", &specs)).unwrap();
    let model = quantize::quantize(&graph, &calibration, &options).unwrap();
    let class = |scores: &[f32]| (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut float_right, mut integer_right) = (0, 0);
    for test in &tests {
        let (image, label) = (&test[0], test[1][0] as usize);
        let scores = reference
            .run(std::slice::from_ref(image))
            .unwrap()
            .swap_remove(0);
        float_right += usize::from(class(&scores) == Some(label));
        let input = ports::quantize_input(&model, &model.inputs[0], image)
            .unwrap()
            .values;
        let values = executor::run(&model, &[input]).unwrap();
        let port = &model.outputs[0];
        let scores = ports::dequantize(port, &values[port.node]).unwrap();
        integer_right += usize::from(class(&scores) == Some(label));
    }
    (float_right, integer_right, tests.len())
}

#[test]
fn digits_lose_at_most_half_a_point() {
    for shift in [12, 16] {
        let options = QuantizeOptions {
            shift,
            ..QuantizeOptions::default()
        };
        let (float_right, integer_right, count) = digits(options);
        println!("digits, shift {shift}: {float_right} float, {integer_right} integer, of {count}");
        let lost = (float_right as f64 - integer_right as f64) / count as f64;
        assert!(
            lost <= 0.005,
            "{float_right} right in float, {integer_right} in integers, of {count}"
        );
    }
}
