//! Small models that were once proved as other models than they are, or not at all: each stands for a kind.

use std::sync::Arc;

use halo2_proofs::dev::MockProver;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::ModelCircuit;
use crate::layout::{LayoutError, Shown, Visibility, plan};
use crate::model::{
    Conv, Kind, Linear, MaxPool, Model, Node, NodeId, Op, Shape, SumPool, Table, Term,
};
use crate::profile::Profile;
use crate::testing::{Builder, NARROW, RELU, SIGNED, port, random_inputs};
use crate::witness::Inference;

const OUTPUT: Visibility = Visibility {
    input: Shown::Private,
    output: Shown::Public,
};
const BOTH: Visibility = Visibility {
    input: Shown::Public,
    ..OUTPUT
};
const HASHED: Visibility = Visibility {
    input: Shown::Hashed,
    ..OUTPUT
};

/// The circuit's public values are the executor's, and it holds.
fn proves(model: &Model, visibility: Visibility) {
    let profile = Profile {
        hash: visibility.hashes(),
        ..NARROW
    };
    let layout = Arc::new(plan(model, profile, visibility).expect("the model fits"));
    let inputs = random_inputs(model, &mut ChaCha20Rng::seed_from_u64(5));
    let inference = Inference::new(model, &layout, &inputs).expect("circuit and executor agree");
    let witness = Arc::new(inference.witness);
    let instance = witness.scalars(&profile);
    let circuit = ModelCircuit::with_witness(layout.clone(), witness);
    let prover = MockProver::run(layout.k, &circuit, instance).expect("it runs");
    assert_eq!(prover.verify(), Ok(()));
}

fn mean(
    source: NodeId,
    channels: usize,
    stride: (usize, usize),
    pads: (usize, usize, usize, usize),
) -> Term {
    let pool = SumPool {
        channels,
        kernel: (1, 1),
        stride,
        pads,
        multiplier: 40_000,
    };
    Term {
        source,
        channel: 0,
        op: Op::SumPool(pool),
    }
}

fn map(source: NodeId, out: (usize, usize, usize), entries: Vec<(u32, u32, i64)>) -> Term {
    Term {
        source,
        channel: 0,
        op: Op::Map { out, entries },
    }
}

#[test]
fn a_padded_mean_of_one_element_is_padded() {
    for (stride, pads) in [
        ((1, 1), (1, 1, 1, 1)),
        ((2, 2), (1, 1, 1, 1)),
        ((2, 1), (3, 0, 0, 2)),
        ((3, 2), (0, 1, 2, 0)),
    ] {
        let mut b = Builder::new("padded mean", 3, (1, 3, 4, 5));
        let term = mean(0, 3, stride, pads);
        let shape = Shape {
            n: 1,
            c: 3,
            h: (4 + pads.0 + pads.2 - 1) / stride.0 + 1,
            w: (5 + pads.1 + pads.3 - 1) / stride.1 + 1,
        };
        let hidden = b.push(vec![term], shape, SIGNED);
        let model = b.finish(hidden, 3);
        for visibility in [OUTPUT, BOTH, HASHED] {
            proves(&model, visibility);
        }
    }
}

/// A second input, read by nothing, or by a node that no output depends on.
fn with_idle_input(read_by_dead: bool) -> Model {
    let mut b = Builder::new("idle input", 4, (1, 3, 2, 2));
    let shape = b.shape(0);
    b.model.nodes.push(Node {
        name: "idle".into(),
        shape,
        kind: Kind::Input { lo: -8, hi: 7 },
    });
    b.model.inputs.push(port("idle", 1, shape));
    if read_by_dead {
        let (term, shape) = b.conv(1, 2, (1, 1, 1, 0, 1));
        b.push(vec![term], shape, RELU);
    }
    let (term, shape) = b.conv(0, 5, (1, 1, 1, 0, 1));
    let hidden = b.push(vec![term], shape, RELU);
    b.finish(hidden, 3)
}

#[test]
fn an_input_that_no_output_depends_on_is_refused() {
    for read_by_dead in [false, true] {
        let model = with_idle_input(read_by_dead);
        for visibility in [OUTPUT, BOTH] {
            let refused = plan(&model, NARROW, visibility).unwrap_err();
            assert!(
                matches!(&refused, LayoutError::Unsupported { node, .. } if node == "idle"),
                "{refused}"
            );
        }
    }
}

#[test]
fn all_of_a_shown_input_is_bound() {
    // A stride beyond the kernel, windows that leave the rest out, a kernel in the padding alone.
    let mut models = Vec::new();
    let mut b = Builder::new("stride", 6, (2, 2, 5, 4));
    let (term, shape) = b.conv(0, 3, (1, 2, 1, 0, 1));
    let hidden = b.push(vec![term], shape, RELU);
    models.push(b.finish(hidden, 2));
    let mut b = Builder::new("rest", 7, (1, 5, 5, 5));
    let pool = SumPool {
        channels: 5,
        kernel: (2, 2),
        stride: (2, 2),
        pads: (0, 0, 0, 0),
        multiplier: 9_000,
    };
    let term = Term {
        source: 0,
        channel: 0,
        op: Op::SumPool(pool),
    };
    let hidden = b.push(
        vec![term],
        Shape {
            n: 1,
            c: 5,
            h: 2,
            w: 2,
        },
        SIGNED,
    );
    models.push(b.finish(hidden, 2));
    let mut b = Builder::new("padding alone", 8, (1, 1, 1, 1));
    let term = mean(0, 1, (2, 2), (1, 1, 0, 0));
    let hidden = b.push(
        vec![term],
        Shape {
            n: 1,
            c: 1,
            h: 1,
            w: 1,
        },
        SIGNED,
    );
    models.push(b.finish(hidden, 2));
    for model in &models {
        for visibility in [OUTPUT, BOTH, HASHED] {
            proves(model, visibility);
        }
        let layout = plan(model, NARROW, BOTH).unwrap();
        let places = layout.public().iter().filter(|p| p.port == 1).count();
        assert_eq!(places, model.nodes[0].shape.len());
    }
}

/// A batch, a tensor of one position: a map onto a grid lays it out flat, a padded convolution spreads it over a grid.
#[test]
fn items_of_a_batch_are_read_side_by_side_and_apart() {
    let mut b = Builder::new("map and convolution", 9, (3, 3, 1, 1));
    let (term, _) = b.conv(0, 2, (1, 1, 1, 0, 1));
    let Op::Conv(conv) = term.op else {
        unreachable!("a convolution")
    };
    let padded = Term {
        op: Op::Conv(Conv {
            kernel: (1, 1),
            pads: (1, 0, 0, 1),
            ..conv
        }),
        ..term
    };
    let grid = Shape {
        n: 3,
        c: 2,
        h: 2,
        w: 2,
    };
    let spread = b.push(vec![padded], grid, RELU);
    let entries = (0..8)
        .map(|o| (o, o % 3, 30_000 + 1_000 * i64::from(o)))
        .collect();
    let flat = b.push(vec![map(0, (2, 2, 2), entries)], grid, SIGNED);
    let (first, shape) = b.dense(spread, 3);
    let (second, _) = b.dense(flat, 3);
    let out = b.push(vec![first, second], shape, Table::Raw);
    let model = b.finish_at(out);
    for visibility in [OUTPUT, BOTH, HASHED] {
        proves(&model, visibility);
    }
}

/// A map whose one reader sees nothing but padding: the map has no rows.
#[test]
fn a_flat_node_may_have_no_rows() {
    let mut b = Builder::new("padding", 10, (1, 2, 1, 2));
    let entries = vec![
        (0, 0, 50_000),
        (1, 3, 40_000),
        (2, 1, -60_000),
        (3, 2, 9_000),
    ];
    let linear = Linear {
        terms: vec![map(0, (1, 2, 2), entries)],
        bias: vec![40_000, -9, 7, 123_456],
        requantize: true,
        pool: None,
        table: SIGNED,
    };
    let flat = b.linear(
        Shape {
            n: 1,
            c: 1,
            h: 2,
            w: 2,
        },
        linear,
    );
    let unseen = mean(flat, 1, (9, 9), (1, 1, 0, 0));
    let (seen, _) = b.dense(0, 1);
    let shape = Shape {
        n: 1,
        c: 1,
        h: 1,
        w: 1,
    };
    let hidden = b.push(vec![unseen, seen], shape, SIGNED);
    let model = b.finish(hidden, 2);
    for visibility in [OUTPUT, BOTH] {
        proves(&model, visibility);
    }
}

/// Windows of a flat map in a batch: their rows are neighbours.
#[test]
fn windows_of_maps_stay_together() {
    let mut b = Builder::new("windows", 11, (2, 3, 1, 1));
    let entries = (0..12).map(|o| (o, o % 3, 1)).collect();
    let shape = Shape {
        n: 2,
        c: 2,
        h: 1,
        w: 1,
    };
    let linear = Linear {
        terms: vec![map(0, (2, 2, 3), entries)],
        bias: (0..12).collect(),
        requantize: false,
        pool: Some(MaxPool {
            kernel: (2, 2),
            from_zero: false,
            full: (2, 3),
        }),
        table: Table::Identity,
    };
    let pooled = b.linear(shape, linear);
    let model = b.finish(pooled, 2);
    proves(&model, OUTPUT);
}

/// One position, a map that lays its elements out flat, a window that spreads it over a grid, and biases of both: the constant
/// lane is 1 once for the one, and all over the grid for the other.
#[test]
fn a_map_and_a_grid_have_biases_of_their_own() {
    let mut b = Builder::new("biases", 12, (1, 2, 1, 1));
    let (term, shape) = b.conv(0, 2, (1, 1, 1, 0, 1));
    let single = b.push(vec![term], shape, SIGNED);
    let entries = (0..8).map(|o| (o, o % 2, 20_000)).collect();
    let grid = |h, w| Shape { n: 1, c: 2, h, w };
    let flat = b.push(vec![map(single, (2, 2, 2), entries)], grid(2, 2), SIGNED);
    let spread = mean(single, 2, (1, 1), (1, 0, 1, 2));
    let spread = b.push(vec![spread], grid(3, 3), SIGNED);
    let (first, shape) = b.dense(spread, 3);
    let (second, _) = b.dense(flat, 3);
    let out = b.push(vec![first, second], shape, Table::Raw);
    let model = b.finish_at(out);
    for visibility in [OUTPUT, BOTH, HASHED] {
        proves(&model, visibility);
    }
}

/// Parts of a model with batches of their own: one item is read side by side and apart, since there is no other.
#[test]
fn a_batch_elsewhere_does_not_matter_to_one_item() {
    let mut b = Builder::new("two batches", 13, (1, 2, 1, 1));
    let shape = Shape {
        n: 3,
        c: 2,
        h: 1,
        w: 1,
    };
    let kind = Kind::Input { lo: -8, hi: 7 };
    b.model.nodes.push(Node {
        name: "items".into(),
        shape,
        kind,
    });
    b.model.inputs.push(port("items", 1, shape));
    let (term, shape) = b.dense(1, 2);
    let items = b.push(vec![term], shape, Table::Raw);
    b.model.outputs.push(port("items", items, shape));
    let grid = |h, w| Shape { n: 1, c: 2, h, w };
    let spread = mean(0, 2, (1, 1), (0, 1, 0, 0));
    let spread = b.push(vec![spread], grid(1, 2), SIGNED);
    let entries = (0..8).map(|o| (o, o % 2, 20_000)).collect();
    let linear = Linear {
        terms: vec![map(0, (2, 2, 2), entries)],
        bias: vec![0; 2],
        requantize: true,
        pool: None,
        table: SIGNED,
    };
    let flat = b.linear(grid(2, 2), linear);
    let (first, shape) = b.dense(spread, 3);
    let (second, _) = b.dense(flat, 3);
    let out = b.push(vec![first, second], shape, Table::Raw);
    let model = b.finish_at(out);
    for visibility in [OUTPUT, BOTH, HASHED] {
        proves(&model, visibility);
    }
}
