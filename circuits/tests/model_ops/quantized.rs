//! Quantized models against the recorded integers of ONNX Runtime (`fixtures/quantized/make.py`).

use std::{fs, path::PathBuf};

use tensorseal_circuits::{
    executor,
    graph::{Graph, integer_tensors},
    model::{Kind, Model},
    onnx::{self, ImportOptions},
    ports,
    quantize::{
        self, Calibration, QuantizeOptions,
        inputs::{self, InputSpec, Sample},
    },
};

use super::model_support::{Numbers, circuit_agrees};

const INPUTS: usize = 200;

/// How near a half a number must lie that ONNX Runtime may round to the other side: it computes in float32, whose numbers
/// up to 2^9 are `2^-15` apart, with a few roundings.
const NEAR: f64 = 1.0 / 8192.0;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/quantized")
}

fn import(name: &str) -> Graph {
    let bytes = fs::read(folder().join(format!("{name}.onnx"))).unwrap();
    onnx::import(&bytes, &ImportOptions::default()).unwrap()
}

fn compile(graph: &Graph) -> Model {
    let calibration = Calibration::exact(graph).expect("nothing is left to calibrate");
    quantize::quantize(graph, &calibration, &QuantizeOptions::default()).unwrap()
}

/// The inputs that the script drew.
fn samples(model: &Model) -> Vec<Sample> {
    let mut numbers = Numbers(42);
    let port = &model.inputs[0];
    let Kind::Input { lo, hi } = model.nodes[port.node].kind else {
        unreachable!("a port of an input")
    };
    let count = port.shape.iter().product();
    // Integers where the input is one of integers.
    let value = |v: f32| match (port.scale, lo) {
        (1.0, 0) => ((v + 1.0) * 128.0).floor(),
        (1.0, -128) if hi == 127 => ((v + 1.0) * 128.0).floor() - 128.0,
        _ => v,
    };
    (0..INPUTS)
        .map(|_| vec![numbers.take(count).into_iter().map(value).collect()])
        .collect()
}

/// What ONNX Runtime computed.
fn recorded(name: &str, outputs: usize) -> Vec<Vec<f32>> {
    let spec = InputSpec {
        name: "y".into(),
        shape: vec![INPUTS, outputs],
    };
    let path = folder().join(format!("{name}.npz"));
    let mut all = inputs::load(&path, &[spec]).unwrap();
    let all = all.swap_remove(0).swap_remove(0);
    all.chunks_exact(outputs).map(<[f32]>::to_vec).collect()
}

/// The raw integers of the output.
fn run(model: &Model, sample: &Sample) -> Vec<i64> {
    let input = ports::quantize_input(model, &model.inputs[0], &sample[0]).unwrap();
    let values = executor::run(model, &[input.values]).unwrap();
    let port = &model.outputs[0];
    let tensor = &values[port.node];
    let at = |i: usize| port.order.get(i).map_or(i, |&o| o as usize);
    (0..tensor.len()).map(|i| tensor[at(i)]).collect()
}

/// Compares all outputs; returns those that differ, each explained by a near-tie, and all outputs.
fn compare(name: &str) -> (usize, usize) {
    let graph = import(name);
    let model = compile(&graph);
    let samples = samples(&model);
    let (mut off, mut all) = (0, 0);
    let expected = recorded(name, model.outputs[0].shape.iter().product());
    for (at, (sample, expected)) in samples.iter().zip(&expected).enumerate() {
        let got = run(&model, sample);
        let tensors = integer_tensors(&graph, &[&sample[0]]);
        let last = tensors.last().unwrap();
        let zero = graph.quantized.last().unwrap().grid.zero_point;
        let shift = if model.outputs[0].scale == 1.0 && model.inputs[0].scale == 1.0 {
            0
        } else {
            zero
        };
        let exact: Vec<i64> = last.values.iter().map(|q| q - shift).collect();
        assert_eq!(got, exact, "{name}: the executor and the graph, input {at}");
        let differ = got
            .iter()
            .zip(expected)
            .filter(|(g, e)| **g != **e as i64)
            .count();
        all += got.len();
        if differ > 0 {
            off += differ;
            let near = tensors
                .iter()
                .flat_map(|t| t.margins.iter().map(move |m| (m, &t.name)))
                .min_by(|a, b| a.0.total_cmp(b.0))
                .unwrap();
            println!("{name}: input {at}: {got:?}, ONNX Runtime {expected:?}; nearest {near:?}");
            assert!(
                *near.0 < NEAR,
                "{name}, input {at}: {got:?} {expected:?} {near:?}"
            );
            let step = got
                .iter()
                .zip(expected)
                .map(|(g, e)| (g - *e as i64).abs())
                .max();
            assert!(step <= Some(4), "{name}, input {at}: {got:?} {expected:?}");
        }
    }
    println!(
        "{name}: {off} of {all} outputs differ; shift {}, {} nodes",
        model.shift,
        model.nodes.len()
    );
    (off, all)
}

#[test]
fn outputs_are_those_of_onnx_runtime() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".onnx").map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 11, "{names:?}");
    let (mut off, mut all) = (0, 0);
    for name in names {
        let (o, a) = compare(&name);
        off += o;
        all += a;
    }
    println!("{off} of {all} outputs differ");
    assert!(off * 1000 <= all, "{off} of {all}");
}

#[test]
fn circuits_hold_quantized_models() {
    for name in [
        "cnn_qdq_u8s8_channel",
        "powers_of_two",
        "operators_s8",
        "mlp_qop_u8u8",
    ] {
        let model = compile(&import(name));
        circuit_agrees(&model, &samples(&model)[0]);
    }
}
