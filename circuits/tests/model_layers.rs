//! Random layers: the quantizer never panics, the integers stay inside their bounds.

mod model_support;

use model_support::{Numbers, Onnx, samples};
use proptest::prelude::*;
use tensorseal_circuits::{
    executor,
    geometry::Window,
    graph,
    model::{Kind, Model, Op, Port, Shape, Table},
    onnx::{self, ImportOptions},
    ports,
    quantize::{self, Bounds, Calibration, Method, QuantizeOptions},
};

#[derive(Clone, Debug)]
enum Layer {
    Conv {
        cout: i64,
        kernel: (i64, i64),
        stride: i64,
        dilation: i64,
        pads: [i64; 4],
        depthwise: bool,
    },
    BatchNorm,
    Activation(&'static str),
    MaxPool {
        kernel: i64,
        stride: i64,
        pad: i64,
    },
    MeanPool {
        kernel: i64,
        stride: i64,
        pad: i64,
        include: bool,
    },
    Residual,
    Join,
}

fn layer() -> impl Strategy<Value = Layer> {
    let conv = (
        1..5i64,
        (1..4i64, 1..4i64),
        1..3i64,
        1..3i64,
        [0..2i64, 0..2, 0..2, 0..2],
        any::<bool>(),
    );
    let pool = (1..4i64, 1..4i64, 0..2i64, any::<bool>());
    prop_oneof![
        4 => conv.prop_map(|(cout, kernel, stride, dilation, pads, depthwise)| {
            Layer::Conv { cout, kernel, stride, dilation, pads, depthwise }
        }),
        1 => Just(Layer::BatchNorm),
        3 => prop::sample::select(vec!["Relu", "LeakyRelu", "Sigmoid", "Tanh"]).prop_map(Layer::Activation),
        2 => pool.clone().prop_map(|(kernel, stride, pad, _)| Layer::MaxPool { kernel, stride, pad: pad.min(kernel - 1) }),
        1 => pool.prop_map(|(kernel, stride, pad, include)| {
            Layer::MeanPool { kernel, stride, pad: pad.min(kernel - 1), include }
        }),
        1 => Just(Layer::Residual),
        1 => Just(Layer::Join),
    ]
}

/// A network of those layers that fit one after another; images of `[2, 8, 7]`, weights of any magnitude.
fn network(layers: &[Layer], seed: u64, gain: f32) -> Onnx {
    let mut numbers = Numbers(seed);
    let mut onnx = Onnx::new().input("x", &[0, 2, 8, 7]);
    let (mut at, mut shape) = ("x".to_owned(), [2i64, 8, 7]);
    for (i, layer) in layers.iter().enumerate() {
        let next = format!("t{i}");
        let (w, b) = (format!("w{i}"), format!("b{i}"));
        let mut weights = |shape: &[i64], gain: f32| -> Vec<f32> {
            numbers
                .take(shape.iter().product::<i64>() as usize)
                .into_iter()
                .map(|v| v * gain)
                .collect()
        };
        let window = |kernel: (i64, i64), stride: i64, dilation: i64, pads: [i64; 4]| {
            let u = |v: i64| v as usize;
            Window {
                input: (u(shape[1]), u(shape[2])),
                kernel: (u(kernel.0), u(kernel.1)),
                stride: (u(stride), u(stride)),
                dilation: (u(dilation), u(dilation)),
                pads: (u(pads[0]), u(pads[1]), u(pads[2]), u(pads[3])),
            }
            .output()
        };
        match *layer {
            Layer::Conv {
                cout,
                kernel,
                stride,
                dilation,
                pads,
                depthwise,
            } => {
                let Some(out) = window(kernel, stride, dilation, pads) else {
                    continue;
                };
                let (cout, groups) = if depthwise {
                    (shape[0], shape[0])
                } else {
                    (cout, 1)
                };
                let dims = [cout, shape[0] / groups, kernel.0, kernel.1];
                onnx = onnx
                    .floats(&w, &dims, weights(&dims, gain))
                    .floats(&b, &[cout], weights(&[cout], gain))
                    .node("Conv", &[&at, &w, &b], &next)
                    .attr_ints("strides", &[stride, stride])
                    .attr_ints("dilations", &[dilation, dilation])
                    .attr_ints("pads", &pads)
                    .int("group", groups);
                shape = [cout, out.0 as i64, out.1 as i64];
            }
            Layer::BatchNorm => {
                let channels = [shape[0]];
                let variance = weights(&channels, 1.0)
                    .into_iter()
                    .map(|v| v.abs() + 0.1)
                    .collect();
                onnx = onnx
                    .floats(&w, &channels, weights(&channels, 1.0))
                    .floats(&b, &channels, variance)
                    .node("BatchNormalization", &[&at, &w, &w, &w, &b], &next);
            }
            Layer::Activation(op) => onnx = onnx.node(op, &[&at], &next),
            Layer::MaxPool {
                kernel,
                stride,
                pad,
            }
            | Layer::MeanPool {
                kernel,
                stride,
                pad,
                ..
            } => {
                let Some(out) = window((kernel, kernel), stride, 1, [pad; 4]) else {
                    continue;
                };
                let op = if matches!(layer, Layer::MaxPool { .. }) {
                    "MaxPool"
                } else {
                    "AveragePool"
                };
                onnx = onnx
                    .node(op, &[&at], &next)
                    .attr_ints("kernel_shape", &[kernel, kernel])
                    .attr_ints("strides", &[stride, stride])
                    .attr_ints("pads", &[pad; 4]);
                if let Layer::MeanPool { include, .. } = *layer {
                    onnx = onnx.int("count_include_pad", i64::from(include));
                }
                shape = [shape[0], out.0 as i64, out.1 as i64];
            }
            Layer::Residual => {
                let dims = [shape[0], shape[0], 1, 1];
                let branch = format!("r{i}");
                onnx = onnx
                    .floats(&w, &dims, weights(&dims, gain))
                    .node("Conv", &[&at, &w], &branch)
                    .node("Add", &[&at, &branch], &next);
            }
            Layer::Join => {
                let branch = format!("r{i}");
                onnx = onnx
                    .node("Relu", &[&at], &branch)
                    .node("Concat", &[&at, &branch], &next)
                    .int("axis", 1);
                shape[0] *= 2;
            }
        }
        at = next;
    }
    let features = shape.iter().product::<i64>();
    let dense = numbers.take(features as usize * 3);
    onnx.node("Flatten", &[&at], "flat")
        .floats("dense", &[features, 3], dense)
        .node("Gemm", &["flat", "dense"], "y")
        .output("y")
}

/// Values of every node, and the accumulators of node `at`: the model cut there, its table taken off.
fn accumulators(model: &Model, at: usize, inputs: &[Vec<i64>]) -> Vec<i64> {
    let mut cut = model.clone();
    cut.nodes.truncate(at + 1);
    cut.outputs.retain(|port| port.node < at);
    let node = &mut cut.nodes[at];
    let Kind::Linear(linear) = &mut node.kind else {
        unreachable!()
    };
    if let Some(pool) = linear.pool.take() {
        (node.shape.h, node.shape.w) = pool.full;
    }
    linear.requantize = false;
    linear.table = Table::Raw;
    let shape = vec![node.shape.len()];
    cut.outputs.push(Port {
        name: "cut".into(),
        node: at,
        shape,
        order: Vec::new(),
        scale: 1.0,
        encodings: Vec::new(),
    });
    executor::run(&cut, inputs).unwrap().swap_remove(at)
}

fn check_bounds(model: &Model, bounds: &[Bounds], inputs: &[Vec<i64>]) {
    let values = executor::run(model, inputs).unwrap();
    let inside = |(lo, hi): (i64, i64), v: i64| (lo..=hi).contains(&v);
    for (id, node) in model.nodes.iter().enumerate() {
        let Kind::Linear(linear) = &node.kind else {
            continue;
        };
        let b = &bounds[id];
        assert!(
            values[id].iter().all(|&c| inside(b.c, c)),
            "`{}`: c",
            node.name
        );
        let y = accumulators(model, id, inputs);
        assert!(y.iter().all(|&y| inside(b.y, y)), "`{}`: y", node.name);
        let shift = if linear.requantize { model.shift } else { 0 };
        let x: Vec<i64> = y.into_iter().map(|y| y >> shift).collect();
        assert!(x.iter().all(|&x| inside(b.x, x)), "`{}`: x", node.name);
        let Some(pool) = linear.pool else {
            assert_eq!(b.a, b.x);
            continue;
        };
        let Shape { h, w, .. } = node.shape;
        for (plane, values) in x
            .chunks(pool.full.0 * pool.full.1)
            .zip(values[id].chunks(h * w))
        {
            for (i, &value) in values.iter().enumerate() {
                let mut max = pool.from_zero.then_some(0);
                for tap in 0..pool.kernel.0 * pool.kernel.1 {
                    let row = i / w * pool.kernel.0 + tap / pool.kernel.1;
                    let x = plane[row * pool.full.1 + i % w * pool.kernel.1 + tap % pool.kernel.1];
                    assert!(inside(b.a, x - max.unwrap_or(0)), "`{}`: a", node.name);
                    max = Some(max.map_or(x, |m| m.max(x)));
                }
                assert!(inside(b.m, max.unwrap()), "`{}`: m", node.name);
                assert_eq!(linear.table.eval(max.unwrap()), value);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_networks_quantize_within_their_bounds(
        layers in prop::collection::vec(layer(), 0..6),
        seed in any::<u64>(),
        magnitude in -6..7i32,
        bits in 2..17u32,
        shift in 8..25u32,
        percentile in prop::option::of(60.0..100.0f64),
        batch in 1..3usize,
    ) {
        let onnx = network(&layers, seed, 10f32.powi(magnitude));
        let graph = onnx::import(&onnx.bytes(), &ImportOptions { batch, name: None }).unwrap();
        let samples = samples(&graph, 2, seed);
        let calibration = Calibration::measure(&graph, &samples).unwrap();
        let method = percentile.map_or(Method::MinMax, Method::Percentile);
        // Extreme weights may be refused, never anything worse.
        if let Ok(model) = quantize::quantize(&graph, &calibration, &QuantizeOptions { bits, shift, method }) {
            let bounds = quantize::bounds(&model).unwrap();
            for sample in &samples {
                let port = &model.inputs[0];
                let inputs = vec![ports::quantize_input(&model, port, &sample[0]).unwrap().values];
                check_bounds(&model, &bounds, &inputs);
            }
            let Kind::Input { lo, hi } = model.nodes[model.inputs[0].node].kind else { unreachable!() };
            let len = model.nodes[model.inputs[0].node].shape.len();
            let extremes = (0..len).map(|i| if i % 3 == 0 { lo } else { hi }).collect();
            check_bounds(&model, &bounds, &[extremes]);
        }
    }

    #[test]
    fn random_networks_are_accurate_at_14_bits(
        layers in prop::collection::vec(layer(), 1..6),
        seed in any::<u64>(),
    ) {
        let onnx = network(&layers, seed, 0.5);
        let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
        let samples = samples(&graph, 3, seed);
        let calibration = Calibration::measure(&graph, &samples).unwrap();
        let options = QuantizeOptions { bits: 14, ..QuantizeOptions::default() };
        let model = quantize::quantize(&graph, &calibration, &options).unwrap();
        let reach = reach_of(&graph, &samples);
        for sample in &samples {
            let got = model_support::run(&model, sample).swap_remove(0);
            let values = graph::evaluate(&graph, &[&sample[0]]);
            let expected = &values[graph.outputs[0].node];
            let off = got.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0.0, f32::max);
            prop_assert!(off <= 0.001 * reach, "off by {off} of {reach}");
        }
    }
}

/// The layer without sparse maps: pools side by side, nothing joined.
fn without_maps(layer: Layer) -> Layer {
    match layer {
        Layer::MaxPool { kernel, .. } => Layer::MaxPool {
            kernel,
            stride: kernel,
            pad: 0,
        },
        Layer::MeanPool { kernel, stride, .. } => Layer::MeanPool {
            kernel,
            stride,
            pad: 0,
            include: true,
        },
        Layer::Join => Layer::BatchNorm,
        other => other,
    }
}

fn circuit_of(layers: &[Layer], seed: u64, batch: usize) {
    let onnx = network(layers, seed, 0.5);
    let graph = onnx::import(&onnx.bytes(), &ImportOptions { batch, name: None }).unwrap();
    let samples = samples(&graph, 3, seed);
    let calibration = Calibration::measure(&graph, &samples).unwrap();
    let model = quantize::quantize(&graph, &calibration, &QuantizeOptions::default()).unwrap();
    model_support::circuit_agrees(&model, &samples[0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn circuits_of_random_networks_agree(
        layers in prop::collection::vec(layer().prop_map(without_maps), 1..6),
        seed in any::<u64>(),
        batch in 1..3usize,
    ) {
        circuit_of(&layers, seed, batch);
    }

    #[test]
    fn circuits_with_maps_agree(
        layers in prop::collection::vec(layer(), 1..6),
        seed in any::<u64>(),
        batch in 1..3usize,
    ) {
        circuit_of(&layers, seed, batch);
    }
}

#[test]
fn circuit_of_an_overlapping_pool_over_a_batch() {
    circuit_of(
        &[Layer::MaxPool {
            kernel: 3,
            stride: 1,
            pad: 0,
        }],
        0,
        2,
    );
}

/// The greatest magnitude of any tensor, as the output layer would sum it up.
fn reach_of(graph: &graph::Graph, samples: &[Vec<Vec<f32>>]) -> f32 {
    let output = &graph.nodes[graph.outputs[0].node];
    let terms = graph.item_len(output.inputs[0]) as f32;
    let values = samples
        .iter()
        .flat_map(|sample| graph::evaluate(graph, &[&sample[0]]))
        .flatten();
    values.fold(0f32, |most, v| most.max(v.abs())) * terms.sqrt()
}

#[test]
fn padding_of_a_maximum_reads_as_the_least_value() {
    let onnx = Onnx::new()
        .input("x", &[1, 1, 2, 2])
        .node("MaxPool", &["x"], "y");
    let onnx = onnx
        .attr_ints("kernel_shape", &[2, 2])
        .attr_ints("pads", &[1, 1, 1, 1])
        .output("y");
    let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    let samples = vec![vec![vec![-1.0, -0.5, -0.25, -0.75]]];
    let calibration = Calibration::measure(&graph, &samples).unwrap();
    let model = quantize::quantize(&graph, &calibration, &QuantizeOptions::default()).unwrap();
    let got = model_support::run(&model, &samples[0]).swap_remove(0);
    let expected = [-1.0, -0.5, -0.5, -0.25, -0.25, -0.5, -0.25, -0.25, -0.75];
    assert!(
        got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 0.01),
        "{got:?}"
    );
    assert!(
        model
            .nodes
            .iter()
            .any(|n| matches!(&n.kind, Kind::Linear(l) if matches!(l.terms[0].op, Op::Map { .. })))
    );
}
