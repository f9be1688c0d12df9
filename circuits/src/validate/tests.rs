//! Each check refuses a model that violates it alone.

use std::collections::BTreeSet;

use super::*;
use crate::model::{Conv, MaxPool, Shape, SumPool};

const SHAPE: Shape = Shape {
    n: 1,
    c: 2,
    h: 4,
    w: 4,
};

fn linear(op: Op, source: usize, c: usize) -> Linear {
    Linear {
        terms: vec![Term {
            source,
            channel: 0,
            op,
        }],
        bias: vec![0; c],
        requantize: false,
        pool: None,
        table: Table::Identity,
    }
}

/// A port in NCHW.
fn port(node: usize, shape: &[usize]) -> Port {
    Port {
        name: format!("port {node}"),
        node,
        shape: shape.to_vec(),
        order: Vec::new(),
        scale: 1.0,
        encodings: Vec::new(),
    }
}

const CONV: usize = 2;
const POOL: usize = 3;
const MEAN: usize = 4;
const LUT: usize = 5;
const CLIP: usize = 6;
const OUTPUT: usize = 7;

fn shape(c: usize, h: usize, w: usize) -> Shape {
    Shape { n: 1, c, h, w }
}

/// Two inputs, and a node of each operation and table.
fn sound() -> Model {
    let conv = Op::Conv(Conv {
        cin: 2,
        cout: 4,
        kernel: (3, 2),
        stride: (1, 1),
        dilation: (1, 1),
        pads: (1, 0, 1, 1),
        groups: 2,
        weights: vec![1; 24],
    });
    let one = Op::Conv(Conv {
        cin: 4,
        cout: 4,
        kernel: (1, 1),
        stride: (1, 1),
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
        groups: 1,
        weights: vec![1; 16],
    });
    let pooled = Linear {
        requantize: true,
        pool: Some(MaxPool {
            kernel: (2, 2),
            from_zero: true,
            full: (4, 4),
        }),
        ..linear(one, CONV, 4)
    };
    let mean = Op::SumPool(SumPool {
        channels: 3,
        kernel: (2, 1),
        stride: (2, 1),
        pads: (1, 0, 1, 1),
        multiplier: 5,
    });
    let map = |out, entries| Op::Map { out, entries };
    let looked_up = Linear {
        bias: vec![0; 4],
        table: Table::Lut {
            lo: -2,
            values: vec![0, 1, 2],
        },
        ..linear(map((1, 2, 2), vec![(0, 17, 1), (3, 0, -1)]), MEAN, 1)
    };
    let clipped = Linear {
        table: Table::Clip { lo: -5, hi: 5 },
        requantize: true,
        ..linear(map((12, 1, 1), vec![(0, 0, 1), (11, 3, 2)]), LUT, 12)
    };
    let dense = Op::Dense {
        out: 3,
        weights: vec![1; 36],
    };
    let last = Linear {
        table: Table::Raw,
        ..linear(dense, CLIP, 3)
    };
    let nodes = [
        (SHAPE, Kind::Input { lo: -8, hi: 7 }),
        (SHAPE, Kind::Input { lo: 0, hi: 1 }),
        (shape(4, 4, 4), Kind::Linear(linear(conv, 0, 4))),
        (shape(4, 2, 2), Kind::Linear(pooled)),
        (shape(3, 2, 3), Kind::Linear(linear(mean, POOL, 3))),
        (shape(1, 2, 2), Kind::Linear(looked_up)),
        (shape(12, 1, 1), Kind::Linear(clipped)),
        (shape(3, 1, 1), Kind::Linear(last)),
    ];
    let nodes = nodes.into_iter().enumerate();
    let nodes = nodes.map(|(id, (shape, kind))| Node {
        name: format!("node {id}"),
        shape,
        kind,
    });
    Model {
        name: "sound".into(),
        bits: 8,
        shift: 16,
        nodes: nodes.collect(),
        inputs: vec![port(0, &[1, 2, 4, 4]), port(1, &[32])],
        outputs: vec![port(OUTPUT, &[3])],
    }
}

fn at(model: &mut Model, node: usize) -> &mut Linear {
    let Kind::Linear(linear) = &mut model.nodes[node].kind else {
        panic!("node {node} is linear")
    };
    linear
}

fn conv(model: &mut Model, node: usize) -> &mut Conv {
    let Op::Conv(conv) = &mut at(model, node).terms[0].op else {
        panic!("node {node} is a convolution")
    };
    conv
}

fn mean(model: &mut Model) -> &mut SumPool {
    let Op::SumPool(pool) = &mut at(model, MEAN).terms[0].op else {
        panic!("a sum over windows")
    };
    pool
}

fn pool(model: &mut Model) -> &mut MaxPool {
    at(model, POOL).pool.as_mut().expect("it pools")
}

fn entries(model: &mut Model, node: usize) -> &mut Vec<(u32, u32, i64)> {
    let Op::Map { entries, .. } = &mut at(model, node).terms[0].op else {
        panic!("node {node} is a map")
    };
    entries
}

type Change = (&'static str, Box<dyn Fn(&mut Model)>);

fn change(what: &'static str, change: impl Fn(&mut Model) + 'static) -> Change {
    (what, Box::new(change))
}

/// What a model as a whole can lack.
fn of_models() -> Vec<Change> {
    let width = "has an unknown shift or width";
    let many = "has more than 2^12 inputs or outputs";
    let name = "has a name with control or invisible characters";
    vec![
        change("has more than 2^16 nodes", |m| {
            let node = m.nodes[0].clone();
            m.nodes.resize((1 << 16) + 1, node);
        }),
        change(many, |m| {
            let port = m.inputs[0].clone();
            m.inputs.resize((1 << 12) + 1, port);
        }),
        change(many, |m| {
            let port = m.outputs[0].clone();
            m.outputs.resize((1 << 12) + 1, port);
        }),
        change(name, |m| m.name.push('\u{202e}')),
        change(name, |m| m.nodes[CONV].name.push('\n')),
        change(name, |m| m.inputs[1].name.push('\x1b')),
        change(name, |m| m.outputs[0].name.push('\x1b')),
        change("has no nodes", |m| m.nodes.clear()),
        change("has no output", |m| m.outputs.clear()),
        change("has no input", |m| m.inputs.clear()),
        change(width, |m| m.shift = 49),
        change(width, |m| m.bits = 1),
        change(width, |m| m.bits = 17),
        change("has input nodes without a port", |m| {
            m.inputs.pop();
        }),
    ]
}

/// Shapes, ranges, tables, windows, biases.
fn of_nodes() -> Vec<Change> {
    let empty = "has an empty or enormous shape";
    let range = "has an input range without 0 or too wide";
    let raw = "is raw without being an output, or an output without being raw";
    let bare = "is raw but pooled or requantized";
    let table = "has a table out of range";
    let clip = "clips to a range out of reach";
    let window = "has a pooling window that does not fit";
    let long = "has a bias of the wrong length";
    let bias = "has a bias out of range";
    let order = "reads a node that does not stand before it";
    let mixed = "mixes a sparse map or an element bias with convolutions";
    let lut = |lo: i64| {
        move |m: &mut Model| {
            at(m, LUT).table = Table::Lut {
                lo,
                values: vec![1],
            };
        }
    };
    let clips = |lo: i64, hi: i64| move |m: &mut Model| at(m, CLIP).table = Table::Clip { lo, hi };
    let input = |lo: i64, hi: i64| move |m: &mut Model| m.nodes[0].kind = Kind::Input { lo, hi };
    vec![
        change(empty, |m| m.nodes[1].shape.n = 0),
        change(empty, |m| m.nodes[1].shape.c = 0),
        change(empty, |m| m.nodes[1].shape.h = 0),
        change(empty, |m| m.nodes[1].shape.w = 0),
        change(empty, |m| m.nodes[1].shape.w = (1 << 25) + 1),
        change(empty, |m| m.nodes[1].shape.w = usize::MAX),
        change(range, input(1, 7)),
        change(range, input(-8, -1)),
        change(range, input(0, (1 << 24) + 1)),
        change(raw, |m| at(m, CLIP).table = Table::Raw),
        change(raw, |m| at(m, OUTPUT).table = Table::Identity),
        change(bare, |m| at(m, OUTPUT).requantize = true),
        change(bare, |m| at(m, OUTPUT).pool = at(m, POOL).pool),
        change("clips to an empty range", clips(1, 0)),
        change("has an empty table", |m| {
            at(m, LUT).table = Table::Lut {
                lo: 0,
                values: Vec::new(),
            };
        }),
        change("has an empty table", |m| {
            at(m, LUT).table = Table::Lut {
                lo: 0,
                values: vec![0; (1 << 24) + 1],
            };
        }),
        change(table, lut((1 << 40) + 1)),
        change(table, lut(-(1 << 40) - 1)),
        change(clip, clips(0, (1 << 30) + 1)),
        change(clip, clips(-(1 << 30) - 1, 0)),
        change(window, |m| pool(m).kernel.0 = 0),
        change(window, |m| pool(m).kernel.1 = 0),
        change(window, |m| {
            m.nodes[POOL].shape = shape(4, 1, 1);
            pool(m).kernel = (1 << 8, (1 << 8) + 1);
            pool(m).full = pool(m).kernel;
        }),
        change(window, |m| pool(m).full.0 = 6),
        change(window, |m| pool(m).full.1 = 6),
        change(window, |m| pool(m).kernel.0 = 1),
        change(window, |m| pool(m).kernel.1 = 1),
        change("pools and applies a function at once", |m| {
            at(m, POOL).table = Table::Clip { lo: 0, hi: 5 };
        }),
        change("has an enormous accumulator", |m| {
            pool(m).kernel = (1 << 8, 1 << 8);
            pool(m).full = (1 << 8, 1 << 22);
            m.nodes[POOL].shape = shape(4, 1, 1 << 14);
        }),
        change(long, |m| at(m, CONV).bias.push(0)),
        change(long, |m| at(m, LUT).bias = vec![0; 3]),
        change(bias, |m| at(m, CONV).bias[1] = (1 << 62) + 1),
        change(bias, |m| at(m, CONV).bias[1] = -(1 << 62) - 1),
        change("has no terms", |m| at(m, CONV).terms.clear()),
        change(order, |m| at(m, CONV).terms[0].source = CONV),
        change(order, |m| at(m, CONV).terms[0].source = POOL),
        change(order, |m| at(m, CONV).terms[0].source = usize::MAX),
        change("reads a raw output", |m| {
            // Another output behind the first, which reads it.
            let node = m.nodes[OUTPUT].clone();
            m.nodes.push(node);
            m.outputs.push(port(OUTPUT + 1, &[3]));
            at(m, OUTPUT + 1).terms[0] = Term {
                source: OUTPUT,
                channel: 0,
                op: Op::Dense {
                    out: 3,
                    weights: vec![1; 9],
                },
            };
        }),
        change(mixed, |m| at(m, CONV).bias = vec![0; 64]),
        change(mixed, |m| {
            let term = at(m, CONV).terms[0].clone();
            at(m, CONV).terms.push(Term {
                op: Op::Map {
                    out: (4, 4, 4),
                    entries: Vec::new(),
                },
                ..term
            });
        }),
    ]
}

/// What is done to an honest model.
type Violation = dyn Fn(&mut Model);

/// Everything that makes a term's shapes agree.
fn of_terms() -> Vec<Change> {
    let cases: Vec<Box<Violation>> = vec![
        Box::new(|m| {
            // Another batch than the source's.
            m.nodes[0].shape.n = 2;
            m.inputs[0].shape[0] = 2;
        }),
        Box::new(|m| conv(m, CONV).kernel.0 = 0),
        Box::new(|m| conv(m, CONV).kernel.1 = 0),
        Box::new(|m| conv(m, CONV).stride.0 = 0),
        Box::new(|m| conv(m, CONV).stride.1 = 0),
        Box::new(|m| conv(m, CONV).dilation.0 = 0),
        Box::new(|m| conv(m, CONV).dilation.1 = 0),
        Box::new(|m| conv(m, CONV).groups = 0),
        // Of a kernel of 1 nothing but the check itself tells.
        Box::new(|m| conv(m, POOL).dilation.0 = 0),
        Box::new(|m| conv(m, POOL).dilation.1 = 0),
        Box::new(|m| conv(m, POOL).dilation.0 = (1 << 16) + 1),
        Box::new(|m| conv(m, POOL).dilation.1 = (1 << 16) + 1),
        Box::new(|m| {
            // A stride that no output has a second position for.
            m.nodes[POOL].shape = shape(4, 1, 1);
            pool(m).full = (1, 1);
            pool(m).kernel = (1, 1);
            conv(m, POOL).stride = ((1 << 16) + 1, 4);
        }),
        Box::new(|m| {
            conv(m, CONV).cin = 0;
            conv(m, CONV).weights.clear();
        }),
        Box::new(|m| {
            // 2 channels in 3 groups, then 4 outputs in 3.
            conv(m, CONV).groups = 3;
            conv(m, CONV).weights = vec![1; 0];
        }),
        Box::new(|m| {
            conv(m, POOL).cin = 3;
            conv(m, POOL).groups = 3;
            conv(m, POOL).weights = vec![1; 4];
        }),
        Box::new(|m| {
            // As many weights as 2 of its 4 channels in 2 groups have.
            conv(m, POOL).cin = 3;
            conv(m, POOL).groups = 2;
            conv(m, POOL).weights = vec![1; 4];
        }),
        Box::new(|m| {
            conv(m, CONV).cout = 2;
            conv(m, CONV).weights = vec![1; 12];
        }),
        Box::new(|m| {
            conv(m, CONV).cout = 6;
            conv(m, CONV).weights = vec![1; 36];
        }),
        Box::new(|m| at(m, CONV).terms[0].channel = 1),
        Box::new(|m| at(m, CONV).terms[0].channel = usize::MAX),
        Box::new(|m| {
            conv(m, CONV).weights.pop();
        }),
        Box::new(|m| conv(m, CONV).weights.push(1)),
        Box::new(|m| conv(m, CONV).pads.0 = 0),
        Box::new(|m| conv(m, CONV).pads.1 = 1),
        Box::new(|m| conv(m, CONV).pads.2 = 2),
        Box::new(|m| conv(m, CONV).pads.3 = 2),
        Box::new(|m| conv(m, CONV).pads.0 = usize::MAX),
        Box::new(|m| conv(m, CONV).stride.0 = 2),
        Box::new(|m| conv(m, CONV).stride.1 = 2),
        Box::new(|m| conv(m, CONV).dilation.0 = 2),
        Box::new(|m| conv(m, CONV).dilation.1 = 2),
        Box::new(|m| conv(m, CONV).kernel = (2, 3)),
        Box::new(|m| {
            // As many rows as its pad gives it, but the pad is beyond reach.
            m.nodes[MEAN].shape.h = (1 << 19) + 2;
            mean(m).pads.0 = (1 << 20) + 1;
        }),
        Box::new(|m| mean(m).kernel.0 = 0),
        Box::new(|m| mean(m).kernel.1 = 0),
        Box::new(|m| mean(m).stride.0 = 0),
        Box::new(|m| mean(m).stride.1 = 0),
        Box::new(|m| mean(m).channels = 2),
        Box::new(|m| mean(m).channels = 4),
        Box::new(|m| at(m, MEAN).terms[0].channel = 2),
        Box::new(|m| at(m, MEAN).terms[0].channel = usize::MAX),
        Box::new(|m| mean(m).kernel.0 = 4),
        Box::new(|m| mean(m).kernel.1 = 2),
        Box::new(|m| mean(m).stride.0 = 1),
        Box::new(|m| mean(m).stride.1 = 2),
        Box::new(|m| mean(m).pads.0 = 3),
        Box::new(|m| mean(m).pads.1 = 1),
        Box::new(|m| mean(m).pads.2 = 3),
        Box::new(|m| mean(m).pads.3 = 0),
        Box::new(|m| {
            at(m, OUTPUT).terms[0].op = Op::Dense {
                out: 4,
                weights: vec![1; 48],
            };
        }),
        Box::new(|m| {
            // A dense layer's output has one position.
            m.nodes[OUTPUT].shape = shape(3, 1, 2);
            m.outputs[0].shape = vec![6];
        }),
        Box::new(|m| {
            m.nodes[OUTPUT].shape = shape(3, 2, 1);
            m.outputs[0].shape = vec![6];
        }),
        Box::new(|m| at(m, OUTPUT).terms[0].channel = 1),
        Box::new(|m| {
            at(m, OUTPUT).terms[0].op = Op::Dense {
                out: 3,
                weights: vec![1; 35],
            };
        }),
        Box::new(|m| {
            at(m, CLIP).terms[0].op = Op::Map {
                out: (11, 1, 1),
                entries: Vec::new(),
            };
        }),
        Box::new(|m| at(m, CLIP).terms[0].channel = 1),
        Box::new(|m| entries(m, CLIP).push((12, 0, 1))),
        Box::new(|m| entries(m, CLIP).push((11, 4, 1))),
    ];
    let what = "has a term whose shape does not fit";
    cases.into_iter().map(|case| (what, case)).collect()
}

/// Inputs and outputs.
fn of_ports() -> Vec<Change> {
    let size = "has a shape of another size than its node";
    let scale = "has a scale that is not a positive number";
    let count = "has encodings that are not one for each element of an input's item";
    let encoding = "has an encoding that is not in order";
    let order = "has an order that is no permutation";
    let scaled = |scale: f64| move |m: &mut Model| m.inputs[0].scale = scale;
    let encoded = |encoding: Encoding| {
        move |m: &mut Model| {
            m.inputs[1].encodings = vec![Encoding::Scale(1.0), encoding.clone()];
        }
    };
    let edges = |edges: &[f32]| encoded(Encoding::Edges(edges.to_vec()));
    let ordered = |order: Vec<u32>| move |m: &mut Model| m.outputs[0].order = order.clone();
    vec![
        change("names a node that does not exist", |m| {
            m.outputs.push(port(8, &[3]));
        }),
        change("names a node that another port names", |m| {
            m.inputs[1] = m.inputs[0].clone();
        }),
        change("names a node that another port names", |m| {
            let port = m.outputs[0].clone();
            m.outputs.push(port);
        }),
        change("names a node of the wrong kind", |m| {
            m.inputs[1] = port(OUTPUT, &[3]);
        }),
        change("names a node of the wrong kind", |m| {
            m.outputs.push(port(1, &[32]));
        }),
        change(size, |m| m.inputs[1].shape = vec![31]),
        change(size, |m| m.inputs[1].shape = vec![32, 0]),
        change(size, |m| m.inputs[1].shape = vec![32, usize::MAX]),
        change(scale, scaled(0.0)),
        change(scale, scaled(-1.0)),
        change(scale, scaled(f64::NAN)),
        change(scale, scaled(f64::INFINITY)),
        change(count, |m| {
            m.inputs[1].encodings = vec![Encoding::Scale(1.0); 3];
        }),
        change(count, |m| {
            m.outputs[0].encodings = vec![Encoding::Scale(1.0); 3];
        }),
        change(encoding, encoded(Encoding::Scale(0.0))),
        change(encoding, encoded(Encoding::Scale(f64::NAN))),
        change(encoding, encoded(Encoding::Scale(f64::INFINITY))),
        change(encoding, edges(&[f32::NAN])),
        change(encoding, edges(&[1.0, 0.0])),
        change(encoding, edges(&[1.0, 1.0])),
        change(order, ordered(vec![0, 1])),
        change(order, ordered(vec![0, 1, 1])),
        change(order, ordered(vec![0, 1, 3])),
        change(order, ordered(vec![0, 1, 2, 0])),
    ]
}

#[test]
fn each_check_refuses_what_violates_it_alone() {
    assert_eq!(validate(&sound()), Ok(()));
    let all = [of_models(), of_nodes(), of_terms(), of_ports()]
        .into_iter()
        .flatten();
    let mut refused = BTreeSet::new();
    for (i, (what, change)) in all.enumerate() {
        let mut model = sound();
        change(&mut model);
        let why = match validate(&model) {
            Ok(()) => panic!("{i}, {what}: accepted"),
            Err(
                ModelError::Node { what, .. }
                | ModelError::Port { what, .. }
                | ModelError::Model { what },
            ) => what,
        };
        assert_eq!(why, what, "case {i}");
        refused.insert(why);
    }
    // Whatever the checks can say was said here.
    let source = include_str!("../validate.rs");
    let said = source.split('"').skip(1).step_by(2);
    let messages = [
        "has ", "is ", "reads ", "names ", "clips ", "pools ", "mixes ",
    ];
    let missing: Vec<&str> = said
        .filter(|text| messages.iter().any(|m| text.starts_with(m)) && !refused.contains(text))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
