//! What the tables, the packing of digests and the equality of field and integer arithmetic rest on.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::executor;
use crate::model::{Conv, MaxPool, Op, SumPool};
use crate::testing::{Builder, layer_kinds, tied};

/// An input of 2 channels of 2 × 2, and on it a table with values in `3..=5`.
fn positive() -> (Builder, usize) {
    let mut b = Builder::new("bounds", 1, (1, 2, 2, 2));
    let table = Table::Lut {
        lo: -8,
        values: (0..16).map(|i| 3 + i / 6).collect(),
    };
    let source = b.linear(b.shape(0), node(vec![b.identity(0)], vec![0; 2], table));
    (b, source)
}

fn node(terms: Vec<Term>, bias: Vec<i64>, table: Table) -> Linear {
    Linear {
        terms,
        bias,
        requantize: false,
        pool: None,
        table,
    }
}

fn conv(cout: usize, groups: usize, kernel: (usize, usize), pads: usize, weights: &[i64]) -> Op {
    Op::Conv(Conv {
        cin: 2,
        cout,
        kernel,
        stride: (1, 1),
        dilation: (1, 1),
        pads: (pads, pads, pads, pads),
        groups,
        weights: weights.to_vec(),
    })
}

fn sums(kernel: usize, stride: usize, pads: usize, multiplier: i64) -> Op {
    Op::SumPool(SumPool {
        channels: 2,
        kernel: (kernel, kernel),
        stride: (stride, stride),
        pads: (pads, pads, pads, pads),
        multiplier,
    })
}

/// Bounds of one node with these terms over [`positive`].
fn of(ops: Vec<(usize, Op)>, (c, h, w): (usize, usize, usize), bias: Vec<i64>) -> Bounds {
    let (mut b, source) = positive();
    let terms = ops.into_iter().map(|(channel, op)| Term {
        source,
        channel,
        op,
    });
    let terms = terms.collect();
    let out = b.linear(Shape { n: 1, c, h, w }, node(terms, bias, Table::Raw));
    let model = b.finish_at(out);
    *bounds(&model).unwrap().last().unwrap()
}

#[test]
fn sums_reach_what_they_reach_and_no_more() {
    let one = |op: Op, shape, bias: i64| {
        let (c, _, _) = shape;
        of(vec![(0, op)], shape, vec![bias; c]).y
    };
    let square = (1, 2, 2);
    // Weights of both signs, a bias.
    assert_eq!(one(conv(1, 1, (1, 1), 0, &[2, -1]), square, 7), (8, 14));
    // Where padding may stand for a value, 0 counts too, and only there.
    assert_eq!(one(conv(1, 1, (1, 1), 1, &[2, -1]), (1, 4, 4), 7), (2, 17));
    let kernel = &[1, 1, 1, 1, -1, -1, -1, -1];
    assert_eq!(one(conv(1, 1, (2, 2), 0, kernel), (1, 1, 1), 0), (-8, 8));
    // Each channel of its group alone; the node's bounds hold for both.
    assert_eq!(
        one(conv(2, 2, (1, 1), 0, &[10, -1]), (2, 2, 2), 0),
        (-5, 50)
    );
    assert_eq!(one(sums(2, 2, 0, -3), (2, 1, 1), 1), (-59, -35));
    assert_eq!(one(sums(2, 1, 1, -3), (2, 3, 3), 0), (-60, 0));
    assert_eq!(one(sums(1, 1, 1, 3), (2, 4, 4), 0), (0, 15));
    let dense = Op::Dense {
        out: 1,
        weights: vec![1, 1, 1, 1, -1, -1, -1, -2],
    };
    assert_eq!(one(dense, (1, 1, 1), 0), (-13, 5));
    // Terms add up.
    let two = vec![
        (0, conv(1, 1, (1, 1), 0, &[2, -1])),
        (0, conv(1, 1, (1, 1), 0, &[0, 1])),
    ];
    assert_eq!(of(two, square, vec![0]).y, (4, 12));
    // Element by element, with an element's own bias; an element that nothing reaches is its bias.
    let map = Op::Map {
        out: (1, 1, 3),
        entries: vec![(0, 0, 2), (0, 7, -1), (1, 3, 4)],
    };
    let y = of(vec![(0, map.clone())], (1, 1, 3), vec![0, -100, 200]).y;
    assert_eq!(y, (-88, 200));
    assert_eq!(of(vec![(0, map)], (1, 1, 3), vec![1]).y, (1, 21));
}

/// A term that starts at a later channel has the bounds of that channel.
#[test]
fn terms_read_the_channels_that_they_name() {
    let (mut b, source) = positive();
    // Channel 0 in 3..=5, channel 1 in -10..=-6.
    let scaled = b.linear(
        b.shape(source),
        node(
            vec![Term {
                source,
                channel: 0,
                op: conv(2, 2, (1, 1), 0, &[1, -2]),
            }],
            vec![0; 2],
            Table::Identity,
        ),
    );
    let second = Op::SumPool(SumPool {
        channels: 1,
        kernel: (1, 1),
        stride: (1, 1),
        pads: (0, 0, 0, 0),
        multiplier: 1,
    });
    let terms = vec![Term {
        source: scaled,
        channel: 1,
        op: second,
    }];
    let shape = Shape {
        c: 1,
        ..b.shape(scaled)
    };
    let out = b.linear(shape, node(terms, vec![0], Table::Raw));
    let all = bounds(&b.finish_at(out)).unwrap();
    assert_eq!((all[scaled].c, all[out].y), ((-10, 5), (-10, -6)));
}

#[test]
fn shifts_windows_and_tables_follow() {
    let (mut b, source) = positive();
    b.model.shift = 16;
    let window = |from_zero| {
        Some(MaxPool {
            kernel: (2, 2),
            from_zero,
            full: (2, 2),
        })
    };
    let small = Shape {
        n: 1,
        c: 1,
        h: 1,
        w: 1,
    };
    let scaled = |weights: &[i64]| {
        vec![Term {
            source,
            channel: 0,
            op: conv(1, 1, (1, 1), 0, weights),
        }]
    };
    // -3·2^16 - 1 is floored.
    let unit = 1 << 16;
    let mut push = |terms: Vec<Term>, bias: i64, pool: Option<MaxPool>, table: Table| {
        let shape = if pool.is_some() {
            small
        } else {
            Shape {
                h: 2,
                w: 2,
                ..small
            }
        };
        b.linear(
            shape,
            Linear {
                requantize: true,
                pool,
                ..node(terms, vec![bias], table)
            },
        )
    };
    let lut = Table::Lut {
        lo: -5,
        values: vec![9, 1, 7, 100],
    };
    let floored = push(scaled(&[-unit, 0]), -1, None, lut);
    let free = push(scaled(&[unit, -unit]), 0, window(false), Table::Identity);
    let clipped = push(scaled(&[unit, -unit]), 0, window(true), Table::Identity);
    let above = push(scaled(&[unit, 0]), 0, window(false), Table::Identity);
    let all = bounds(&b.model).unwrap();
    assert_eq!(all[floored].y, (-5 * unit - 1, -3 * unit - 1));
    assert_eq!((all[floored].x, all[floored].a), ((-6, -4), (-6, -4)));
    // Past its ends a table is constant: 9 at -6 and -5, 1 at -4.
    assert_eq!(all[floored].c, (1, 9));
    // x in -2..=2: looked up are x itself and x - M for every M before it.
    assert_eq!((all[free].x, all[free].a), ((-2, 2), (-4, 4)));
    assert_eq!((all[free].m, all[free].c), ((-2, 2), (-2, 2)));
    assert_eq!((all[clipped].x, all[clipped].a), ((-2, 2), (-4, 2)));
    assert_eq!((all[clipped].m, all[clipped].c), ((0, 2), (0, 2)));
    // x in 3..=5: from 3 itself to a step of -2 or 2, both of which 0..=5 do not hold.
    assert_eq!((all[above].x, all[above].a), ((3, 5), (-2, 5)));
}

/// No input leaves them: all layers, inputs at the ends of their ranges and at random.
#[test]
fn no_input_leaves_the_bounds() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for model in layer_kinds().into_iter().chain([tied()]) {
        let all = bounds(&model).unwrap();
        for run in 0..200 {
            let inputs: Vec<Vec<i64>> = model
                .inputs
                .iter()
                .map(|port| {
                    let node = &model.nodes[port.node];
                    let Kind::Input { lo, hi } = node.kind else {
                        unreachable!("an input")
                    };
                    let ends = [lo, hi];
                    (0..node.shape.len())
                        .map(|_| match run % 2 {
                            0 => ends[rng.gen_range(0..2)],
                            _ => rng.gen_range(lo..=hi),
                        })
                        .collect()
                })
                .collect();
            let tensors = executor::run(&model, &inputs).unwrap();
            for (node, (tensor, bounds)) in tensors.iter().zip(&all).enumerate() {
                let inside = |v: &i64| (bounds.c.0..=bounds.c.1).contains(v);
                assert!(tensor.iter().all(inside), "{}: node {node}", model.name);
            }
        }
    }
}

/// 2^62 is the first magnitude that is refused: of a sum, of a bias, of a single product that others would hide.
#[test]
fn sums_end_below_two_to_the_62() {
    let reach = |weights: &[i64], bias: i64| {
        let (mut b, source) = positive();
        let terms = vec![Term {
            source,
            channel: 0,
            op: conv(1, 1, (1, 1), 0, weights),
        }];
        let shape = Shape {
            c: 1,
            ..b.shape(source)
        };
        b.linear(shape, node(terms, vec![bias], Table::Raw));
        bounds(&b.model).map(|all| all.last().unwrap().y)
    };
    let limit = 1i64 << 62;
    let refused = |by: i128| {
        Err(BoundsError {
            node: "node 2".into(),
            reach: by,
        })
    };
    assert_eq!(reach(&[0, 0], limit - 1), Ok((limit - 1, limit - 1)));
    assert_eq!(reach(&[0, 0], limit), refused(1 << 62));
    assert_eq!(reach(&[0, 0], -limit), refused(1 << 62));
    assert_eq!(reach(&[1, 0], limit - 6), Ok((limit - 3, limit - 1)));
    assert_eq!(reach(&[1, 0], limit - 5), refused(1 << 62));
    assert_eq!(reach(&[-1, 0], 5 - limit), refused(1 << 62));
    assert_eq!(reach(&[-1, 0], 6 - limit), Ok((1 - limit, 3 - limit)));
    // Both products lie beyond, in opposite directions: their sum does not tell.
    let half = 1i64 << 61;
    assert_eq!(reach(&[half, -half], 0), refused(5 << 61));
}
