//! Quantized models against the recorded integers of ONNX Runtime (`fixtures/quantized/make.py`).

use std::{fs, path::PathBuf};

use tensorseal_circuits::{
    executor,
    graph::{self, Agreement, Graph, IntegerTensor, NodeId, integer_tensors},
    layout::{LayoutError, Optimize, Shown, Visibility, choose},
    model::{Kind, Model},
    onnx::{self, ImportOptions},
    ports,
    quantize::{
        self, Calibration, QuantizeOptions,
        inputs::{self, InputSpec, Sample},
    },
};

use tract_onnx::pb::tensor_proto::DataType;

use super::model_support::{self, Numbers, Onnx, circuit_agrees};

const INPUTS: usize = 200;

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

/// A model with its recorded outputs.
struct Case {
    name: String,
    graph: Graph,
    model: Model,
    samples: Vec<Sample>,
    expected: Vec<Vec<i64>>,
}

impl Case {
    fn new(name: &str) -> Case {
        let graph = import(name);
        let model = compile(&graph);
        let samples = samples(&model);
        let outputs = model.outputs[0].shape.iter().product();
        let integers = |v: Vec<f32>| v.into_iter().map(|v| v as i64).collect();
        Case {
            expected: recorded(name, outputs).into_iter().map(integers).collect(),
            name: name.to_owned(),
            graph,
            model,
            samples,
        }
    }

    /// The graph's output integers as the model shows them, some elements rounded to the other side.
    fn outputs(
        &self,
        sample: &Sample,
        flipped: &[(NodeId, usize)],
    ) -> (Vec<i64>, Vec<IntegerTensor>) {
        let tensors = integer_tensors(&self.graph, &[&sample[0]], flipped);
        let last = self.graph.quantized.last().unwrap();
        // An output of real numbers shows the integers less the zero point.
        let real = self.graph.outputs[0].node == last.node;
        let zero = if real { last.grid.zero_point } else { 0 };
        let values = &tensors.last().unwrap().values;
        (values.iter().map(|q| q - zero).collect(), tensors)
    }

    /// The output's real numbers, from the integers that the model shows.
    fn reals(&self, integers: &[i64]) -> Vec<f32> {
        let scale = self.model.outputs[0].scale as f32;
        integers.iter().map(|&q| q as f32 * scale).collect()
    }

    /// Outputs that differ from ONNX Runtime's; each of them must follow from one near-tie, or two, rounded to the other side.
    fn compare(&self) -> usize {
        let mut off = 0;
        for (at, (sample, expected)) in self.samples.iter().zip(&self.expected).enumerate() {
            let got = run(&self.model, sample);
            let (exact, _) = self.outputs(sample, &[]);
            assert_eq!(got, exact, "{}: executor and graph, input {at}", self.name);
            if got == *expected {
                continue;
            }
            off += got.iter().zip(expected).filter(|(g, e)| g != e).count();
            let theirs: Vec<f32> = self.reals(expected);
            let agreement = graph::explain(&self.graph, &[&sample[0]], &[&theirs]);
            assert!(
                matches!(&agreement, Agreement::NearTies { ties, .. } if ties.len() <= 2),
                "{}, input {at}: {got:?}, not {expected:?}",
                self.name
            );
        }
        off
    }
}

fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap();
    let names = files.filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".onnx").map(str::to_owned)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn outputs_are_those_of_onnx_runtime() {
    let (mut off, mut all) = (0, 0);
    let names = names();
    assert!(names.len() >= 13, "{names:?}");
    let others = ["means_of_one_scale", "mixed", "sums"];
    for name in names.iter().filter(|name| !others.contains(&name.as_str())) {
        let case = Case::new(name);
        let outputs: usize = case.expected.iter().map(Vec::len).sum();
        let differ = case.compare();
        println!("{name}: {differ} of {outputs}");
        (off, all) = (off + differ, all + outputs);
    }
    assert!(off * 10_000 <= all, "{off} of {all} outputs differ");
}

/// Outputs as if a tie had gone to the other side are explained by it; others are not.
#[test]
fn differences_are_explained_by_near_ties_alone() {
    let case = Case::new("powers_of_two");
    let (mut explained, mut unexplained) = (0, 0);
    for sample in &case.samples {
        let inputs = [&sample[0][..]];
        let (exact, tensors) = case.outputs(sample, &[]);
        let explain = |theirs: &[i64]| graph::explain(&case.graph, &inputs, &[&case.reals(theirs)]);
        assert_eq!(explain(&exact), Agreement::Equal);
        let ties = tensors.iter().flat_map(|tensor| {
            let margins = tensor.margins.iter().enumerate();
            margins
                .filter(|(_, m)| **m == 0.0)
                .map(|(i, _)| (tensor.node, i))
        });
        for tie in ties.take(8) {
            let (other, _) = case.outputs(sample, &[tie]);
            if other != exact {
                let agreement = explain(&other);
                assert!(
                    matches!(&agreement, Agreement::NearTies { ties, .. } if ties.len() == 1 && ties[0].margin == 0.0),
                    "{agreement:?}"
                );
                explained += 1;
            }
        }
        let mut wrong = exact.clone();
        wrong[0] += if wrong[0] > 0 { -40 } else { 40 };
        unexplained += usize::from(explain(&wrong) == Agreement::Unexplained { differing: 1 });
    }
    assert!(explained > 8, "{explained}");
    assert!(unexplained > 150, "{unexplained}");
}

/// Of means with one scale in front and behind, ONNX Runtime rounds exact halves by the errors of its float32 sums.
#[test]
fn only_exact_halves_differ_in_means_of_one_scale() {
    let case = Case::new("means_of_one_scale");
    let mut differ = 0;
    for (sample, expected) in case.samples.iter().zip(&case.expected) {
        let (got, tensors) = case.outputs(sample, &[]);
        assert_eq!(got, run(&case.model, sample));
        let margins = &tensors.last().unwrap().margins;
        for ((g, e), m) in got.iter().zip(expected).zip(margins) {
            assert!(g == e || (*m == 0.0 && (g - e).abs() == 1), "{g} {e} {m}");
            differ += usize::from(g != e);
        }
    }
    assert!((1..640).contains(&differ), "{differ} of 6400");
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

/// A last layer without a `QuantizeLinear`: its integers are the sums.
#[test]
fn last_layers_show_their_sums() {
    let case = Case::new("sums");
    assert_eq!(
        case.model.nodes.len(),
        3,
        "the input, the sums, and the sums as public values"
    );
    for (sample, expected) in case.samples.iter().zip(&case.expected) {
        assert_eq!(&run(&case.model, sample), expected);
    }
    let scale = case.model.outputs[0].scale;
    assert!((scale - 0.01 / 128.0).abs() < 1e-9);
}

/// Float layers around quantized ones are calibrated; the model shifts by what the quantized ones need.
#[test]
fn float_layers_may_stand_around_quantized_ones() {
    let graph = import("mixed");
    assert_eq!(Calibration::exact(&graph), None);
    let mut numbers = Numbers(5);
    let samples: Vec<Sample> = (0..20).map(|_| vec![numbers.take(10)]).collect();
    let calibration = Calibration::measure(&graph, &samples).unwrap();
    let model = quantize::quantize(&graph, &calibration, &QuantizeOptions::default()).unwrap();
    assert_eq!(model.shift, 40);
    for sample in &samples {
        let float = graph::evaluate(&graph, &[&sample[0]]);
        let got = &model_support::run(&model, sample)[0];
        for (g, e) in got.iter().zip(&float[graph.outputs[0].node]) {
            assert!((g - e).abs() < 0.03, "{g} {e}");
        }
    }
    circuit_agrees(&model, &samples[0]);
}

#[test]
fn hashed_sides_of_quantized_models_are_refused() {
    let model = compile(&import("sums"));
    let shifted = compile(&import("cnn_qop_u8u8"));
    let hashed = Visibility {
        input: Shown::Hashed,
        output: Shown::Public,
    };
    // Its sums are not shifted, so that any profile does.
    assert!(choose(&model, Optimize::Balanced, hashed).is_ok());
    let refused = choose(&shifted, Optimize::Balanced, hashed);
    assert!(matches!(refused, Err(LayoutError::HashShift { shift: 40 })));
}

/// What has no exact integers is refused, with what would do.
#[test]
fn other_forms_are_refused() {
    let base = || {
        Onnx::new()
            .input("x", &[1, 4])
            .floats("s", &[], vec![0.1])
            .typed("z", &[], DataType::Uint8, &[7])
    };
    let refused = |onnx: Onnx, what: &str| {
        let error = onnx::import(&onnx.output("y").bytes(), &ImportOptions::default());
        let error = error.expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
    };
    refused(
        base().node("DynamicQuantizeLinear", &["x"], "y"),
        "static quantization",
    );
    refused(
        base()
            .floats("many", &[4], vec![0.1; 4])
            .node("QuantizeLinear", &["x", "many", "z"], "y"),
        "per tensor",
    );
    refused(
        base().typed("wide", &[], DataType::Int16, &[7]).node(
            "QuantizeLinear",
            &["x", "s", "wide"],
            "y",
        ),
        "int8 or uint8",
    );
    refused(
        base()
            .node("QuantizeLinear", &["x", "s", "z"], "q")
            .node("Relu", &["q"], "y"),
        "DequantizeLinear in front",
    );
    refused(
        base()
            .floats("none", &[], vec![0.0])
            .node("QuantizeLinear", &["x", "none", "z"], "y"),
        "not a positive number",
    );
    refused(
        base().node("QuantizeLinear", &["x", "s", "z"], "q").node(
            "QuantizeLinear",
            &["q", "s", "z"],
            "y",
        ),
        "integers already",
    );
    // A multiplier finer than any circuit's remainders, where it never matters.
    let far = base()
        .typed("w", &[4, 1], DataType::Int8, &[127; 4])
        .typed("wz", &[], DataType::Int8, &[0])
        .floats("tiny", &[], vec![1e-12])
        .floats("one", &[], vec![1.0])
        .node("QuantizeLinear", &["x", "s", "z"], "q")
        .node(
            "QLinearMatMul",
            &["q", "tiny", "z", "w", "one", "wz", "tiny", "z"],
            "r",
        )
        .node(
            "QLinearMatMul",
            &["r", "one", "z", "v", "one", "wz", "huge", "z"],
            "y",
        )
        .typed("v", &[1, 1], DataType::Int8, &[127])
        .floats("huge", &[], vec![1e9])
        .output("y");
    let graph = onnx::import(&far.bytes(), &ImportOptions::default()).unwrap();
    let model = compile(&graph);
    assert_eq!(run(&model, &vec![vec![0.5; 4]]), [7]);
}

/// A random quantized network: a convolution, and a few operators of other kinds behind it.
fn random_network(seed: u64) -> Onnx {
    let mut numbers = Numbers(seed);
    let mut draw = move |n: usize| ((numbers.next() + 1.0) / 2.0 * n as f32) as usize % n;
    let signed = draw(2) == 0;
    let (kind, base) = if signed {
        (DataType::Int8, -128)
    } else {
        (DataType::Uint8, 0)
    };
    // Half of the networks have scales that are powers of two, with halves all over.
    let powers = draw(2) == 0;
    let mut onnx = Onnx::new().input("x", &[0, 4, 6, 5]);
    let scale = |i: i32, draw: &mut dyn FnMut(usize) -> usize| {
        let odd = if powers {
            1.0
        } else {
            1.0 + draw(97) as f32 / 101.0
        };
        odd * 2f32.powi(i)
    };
    let mut grids = 0;
    let mut pair = |onnx: Onnx, x: &str, y: &str, i: i32, draw: &mut dyn FnMut(usize) -> usize| {
        grids += 1;
        let (s, z, q) = (
            format!("s{grids}"),
            format!("z{grids}"),
            format!("q{grids}"),
        );
        let zero = base + 64 + draw(128) as i32;
        onnx.floats(&s, &[], vec![scale(i, draw)])
            .typed(&z, &[], kind, &[zero])
            .node("QuantizeLinear", &[x, &s, &z], &q)
            .node("DequantizeLinear", &[&q, &s, &z], y)
    };
    onnx = pair(onnx, "x", "a", -7, &mut draw);
    let (groups, k) = ([1, 2, 4][draw(3)], 1 + draw(3));
    let (stride, dilation) = (
        1 + draw(2) as i64,
        if k == 2 { 1 + draw(2) as i64 } else { 1 },
    );
    let per_channel = draw(2) == 0;
    let scales = if per_channel { 8 } else { 1 };
    let weights: Vec<i32> = (0..8 * 4 / groups * k * k)
        .map(|_| draw(255) as i32 - 127)
        .collect();
    let steps: Vec<f32> = (0..scales)
        .map(|_| {
            if powers {
                2f32.powi(-(6 + draw(3) as i32))
            } else {
                0.003 + draw(80) as f32 / 9000.0
            }
        })
        .collect();
    let shape = [8, 4 / groups as i64, k as i64, k as i64];
    let zeros: Vec<i32> = (0..scales).map(|_| draw(5) as i32 - 2).collect();
    let of: &[i64] = if per_channel { &[8] } else { &[] };
    let biases: Vec<f32> = (0..8).map(|_| draw(64) as f32 / 64.0 - 0.5).collect();
    onnx = onnx
        .typed("w", &shape, DataType::Int8, &weights)
        .floats("ws", of, steps)
        .typed("wz", of, DataType::Int8, &zeros)
        .node("DequantizeLinear", &["w", "ws", "wz"], "wr")
        .int("axis", 0)
        .floats("bias", &[8], biases)
        .node("Conv", &["a", "wr", "bias"], "conv")
        .attr_ints("strides", &[stride, stride])
        .attr_ints("dilations", &[dilation, dilation])
        .attr_ints("pads", &[draw(2) as i64, draw(2) as i64, 1, 1])
        .int("group", groups as i64);
    let mut at = "conv";
    if draw(2) == 0 {
        onnx = onnx.node("Relu", &[at], "relu");
        at = "relu";
    }
    onnx = pair(onnx, at, "b", -4, &mut draw);
    onnx = match draw(5) {
        0 => onnx
            .node("MaxPool", &["b"], "c")
            .attr_ints("kernel_shape", &[2, 2])
            .attr_ints("pads", &[1, 0, 0, 1]),
        1 => onnx
            .node("AveragePool", &["b"], "c")
            .attr_ints("kernel_shape", &[2, 2])
            .attr_ints("pads", &[1, 1, 0, 0])
            .int("count_include_pad", draw(2) as i64),
        2 => onnx.node("HardSwish", &["b"], "c"),
        3 => onnx.node("GlobalAveragePool", &["b"], "c"),
        _ => onnx.node("Identity", &["b"], "c"),
    };
    onnx = pair(onnx, "c", "d", -5, &mut draw);
    onnx = match draw(4) {
        0 => pair(onnx.node("Add", &["d", "d"], "e"), "e", "f", -3, &mut draw),
        1 => {
            let onnx = pair(onnx.node("Sigmoid", &["d"], "s"), "s", "t", -8, &mut draw);
            pair(onnx.node("Mul", &["d", "t"], "e"), "e", "f", -5, &mut draw)
        }
        2 => {
            let onnx = pair(onnx.node("Sub", &["d", "d"], "s"), "s", "t", -6, &mut draw);
            let onnx = onnx.node("Concat", &["d", "t"], "e").int("axis", 1);
            pair(onnx, "e", "f", -5, &mut draw)
        }
        _ => onnx.node("Identity", &["d"], "f"),
    };
    onnx.node("Transpose", &["f"], "y")
        .attr_ints("perm", &[0, 2, 3, 1])
        .output("y")
}

/// The executor computes what the graph says, whatever the layers, the scales and the batch; so does the circuit.
#[test]
fn random_networks_are_exact() {
    for seed in 0..60 {
        let bytes = random_network(1000 + seed).bytes();
        let batch = 1 + seed as usize % 2;
        let options = ImportOptions { batch, name: None };
        let graph = onnx::import(&bytes, &options).unwrap();
        let model = compile(&graph);
        for at in 0..4 {
            let mut numbers = Numbers(seed + 77 * at);
            let sample = vec![numbers.take(batch * 120)];
            let got = &model_support::run(&model, &sample)[0];
            for (item, x) in sample[0].chunks_exact(120).enumerate() {
                let float = graph::evaluate(&graph, &[x]);
                let expected = &float[graph.outputs[0].node];
                let got = &got[item * expected.len()..][..expected.len()];
                assert_eq!(got, expected, "seed {seed}, item {item}");
            }
        }
        if seed % 15 == 0 {
            let sample = vec![Numbers(seed).take(batch * 120)];
            circuit_agrees(&model, &sample);
        }
    }
}

/// A multiplier of 43 fractional bits: remainders of six limbs.
#[test]
fn fine_multipliers_take_six_limbs() {
    let mut numbers = Numbers(3);
    let weights: Vec<i32> = (0..64 * 3)
        .map(|_| (numbers.next() * 127.0) as i32)
        .collect();
    let onnx = Onnx::new()
        .input("x", &[1, 64])
        .floats("xs", &[], vec![1.0 / 128.0])
        .typed("xz", &[], DataType::Uint8, &[128])
        .node("QuantizeLinear", &["x", "xs", "xz"], "q")
        .typed("w", &[64, 3], DataType::Int8, &weights)
        .floats("ws", &[], vec![0.000_731])
        .typed("wz", &[], DataType::Int8, &[0])
        .floats("ys", &[], vec![3.7])
        .typed("yz", &[], DataType::Uint8, &[9])
        .node(
            "QLinearMatMul",
            &["q", "xs", "xz", "w", "ws", "wz", "ys", "yz"],
            "y",
        )
        .output("y");
    let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    let model = compile(&graph);
    assert_eq!(model.shift, 48);
    for sign in [1.0, -1.0] {
        // The greatest sum of the first column, with all its signs.
        let column = weights.iter().step_by(3);
        let x: Vec<f32> = column.map(|&w| sign * w.signum() as f32).collect();
        let sample = vec![x];
        let q = &integer_tensors(&graph, &[&sample[0]], &[])
            .pop()
            .unwrap()
            .values;
        assert_eq!(&run(&model, &sample), q);
        assert_eq!(q[0], 9 + sign as i64);
        circuit_agrees(&model, &sample);
    }
}
