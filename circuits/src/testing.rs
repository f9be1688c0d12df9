//! Small integer models for the tests.

mod draws;
pub(crate) mod features;
pub(crate) mod naive;
pub(crate) mod random;

use rand::Rng;

use crate::model::{
    Conv, Kind, Linear, MaxPool, Model, Node, NodeId, Op, Port, Shape, SumPool, Table, Term,
};
use crate::profile::Profile;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// Builds a model node by node with random weights.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) model: Model,
    rng: ChaCha20Rng,
}

/// Convolution geometry: kernel, stride, dilation, padding, groups.
pub(crate) type Geometry = (usize, usize, usize, usize, usize);

impl Builder {
    /// A model that reads one input.
    pub(crate) fn new(name: &str, seed: u64, (n, c, h, w): (usize, usize, usize, usize)) -> Self {
        let shape = Shape { n, c, h, w };
        let input = Node {
            name: "input".into(),
            shape,
            kind: Kind::Input { lo: -8, hi: 7 },
        };
        let model = Model {
            name: name.into(),
            bits: 4,
            shift: 16,
            nodes: vec![input],
            inputs: vec![port("input", 0, shape)],
            outputs: Vec::new(),
        };
        Builder {
            model,
            rng: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    pub(crate) fn shape(&self, node: NodeId) -> Shape {
        self.model.nodes[node].shape
    }

    fn weights(&mut self, count: usize, fan_in: usize) -> Vec<i64> {
        let limit = (40_000.0 / (fan_in as f64).sqrt()) as i64;
        (0..count)
            .map(|_| self.rng.gen_range(-limit..=limit))
            .collect()
    }

    /// A convolution term and its output shape.
    pub(crate) fn conv(
        &mut self,
        source: NodeId,
        cout: usize,
        (k, stride, dilation, pad, groups): Geometry,
    ) -> (Term, Shape) {
        let s = self.shape(source);
        let (kh, kw) = (k.min(s.h + 2 * pad), k.min(s.w + 2 * pad));
        let fan_in = s.c / groups * kh * kw;
        let conv = Conv {
            cin: s.c,
            cout,
            kernel: (kh, kw),
            stride: (stride, stride),
            dilation: (dilation, dilation),
            pads: (pad, pad, pad, pad),
            groups,
            weights: self.weights(cout * fan_in, fan_in),
        };
        let size = |size: usize, k: usize| {
            (size + 2 * pad)
                .checked_sub(dilation * (k - 1) + 1)
                .map(|v| v / stride + 1)
        };
        let (h, w) = (
            size(s.h, kh).expect("the kernel fits"),
            size(s.w, kw).expect("the kernel fits"),
        );
        (
            Term {
                source,
                channel: 0,
                op: Op::Conv(conv),
            },
            Shape { c: cout, h, w, ..s },
        )
    }

    /// A dense term and its output shape.
    pub(crate) fn dense(&mut self, source: NodeId, out: usize) -> (Term, Shape) {
        let s = self.shape(source);
        let weights = self.weights(out * s.item(), s.item());
        (
            Term {
                source,
                channel: 0,
                op: Op::Dense { out, weights },
            },
            Shape {
                n: s.n,
                c: out,
                h: 1,
                w: 1,
            },
        )
    }

    /// Appends a requantizing node, or a raw one where `table` is.
    pub(crate) fn push(&mut self, terms: Vec<Term>, shape: Shape, table: Table) -> NodeId {
        let requantize = table != Table::Raw;
        let bias = (0..shape.c)
            .map(|_| self.rng.gen_range(-90_000..90_000))
            .collect();
        self.linear(
            shape,
            Linear {
                terms,
                bias,
                requantize,
                pool: None,
                table,
            },
        )
    }

    pub(crate) fn linear(&mut self, shape: Shape, linear: Linear) -> NodeId {
        let id = self.model.nodes.len();
        self.model.nodes.push(Node {
            name: format!("node {id}"),
            shape,
            kind: Kind::Linear(linear),
        });
        id
    }

    /// The identity on a tensor.
    pub(crate) fn identity(&self, source: NodeId) -> Term {
        let c = self.shape(source).c;
        let conv = Conv {
            cin: c,
            cout: c,
            kernel: (1, 1),
            stride: (1, 1),
            dilation: (1, 1),
            pads: (0, 0, 0, 0),
            groups: c,
            weights: vec![1; c],
        };
        Term {
            source,
            channel: 0,
            op: Op::Conv(conv),
        }
    }

    /// Convolution, maximum over `k × k` windows, clip.
    pub(crate) fn conv_pool(
        &mut self,
        source: NodeId,
        cout: usize,
        geometry: Geometry,
        k: usize,
        from_zero: bool,
    ) -> NodeId {
        let (term, full) = self.conv(source, cout, geometry);
        let shape = Shape {
            h: full.h / k,
            w: full.w / k,
            ..full
        };
        let pooled = self.push(vec![term], shape, Table::Identity);
        let Kind::Linear(linear) = &mut self.model.nodes[pooled].kind else {
            unreachable!("just pushed")
        };
        linear.pool = Some(MaxPool {
            kernel: (k, k),
            from_zero,
            full: (full.h, full.w),
        });
        let terms = vec![self.identity(pooled)];
        let table = if from_zero { RELU } else { SIGNED };
        self.linear(
            shape,
            Linear {
                terms,
                bias: vec![0; cout],
                requantize: false,
                pool: None,
                table,
            },
        )
    }

    /// Ends with a dense layer to `out` raw outputs.
    pub(crate) fn finish(mut self, source: NodeId, out: usize) -> Model {
        let (term, shape) = self.dense(source, out);
        let node = self.push(vec![term], shape, Table::Raw);
        self.finish_at(node)
    }

    /// Ends with a raw node.
    pub(crate) fn finish_at(mut self, node: NodeId) -> Model {
        let shape = self.shape(node);
        self.model.outputs.push(port("output", node, shape));
        crate::validate::validate(&self.model).expect("the test model is consistent");
        self.model
    }
}

pub(crate) fn port(name: &str, node: NodeId, s: Shape) -> Port {
    Port {
        name: name.into(),
        node,
        shape: vec![s.n, s.c, s.h, s.w],
        order: Vec::new(),
        scale: 1.0,
        encodings: Vec::new(),
    }
}

/// Few lanes: small models then have several groups of them.
pub(crate) const NARROW: Profile = Profile {
    lanes: 4,
    fixed_lanes: 16,
    limbs: 2,
    tables: 1,
    fold: 1,
    hash: false,
};
pub(crate) const RELU: Table = Table::Clip { lo: 0, hi: 15 };
pub(crate) const SIGNED: Table = Table::Clip { lo: -7, hi: 7 };

/// Random values in every input's range.
pub(crate) fn random_inputs(model: &Model, rng: &mut ChaCha20Rng) -> Vec<Vec<i64>> {
    let nodes = model.inputs.iter().map(|p| &model.nodes[p.node]);
    nodes
        .map(|node| {
            let Kind::Input { lo, hi } = node.kind else {
                unreachable!("inputs are inputs")
            };
            (0..node.shape.len())
                .map(|_| rng.gen_range(lo..=hi))
                .collect()
        })
        .collect()
}

/// One small model for every kind of layer.
pub(crate) fn layer_kinds() -> Vec<Model> {
    vec![
        dense(),
        convolution(),
        pooled(),
        strided(),
        residual(),
        mapped(),
        contracted(),
    ]
}

fn dense() -> Model {
    let mut b = Builder::new("dense", 1, (2, 6, 1, 1));
    let (term, shape) = b.dense(0, 5);
    let hidden = b.push(vec![term], shape, RELU);
    b.finish(hidden, 3)
}

fn convolution() -> Model {
    let mut b = Builder::new("convolution", 2, (1, 2, 4, 3));
    let (term, shape) = b.conv(0, 5, (3, 1, 1, 1, 1));
    let hidden = b.push(vec![term], shape, RELU);
    let (term, shape) = b.conv(hidden, 3, (2, 1, 2, 0, 1));
    let out = b.push(vec![term], shape, Table::Raw);
    b.finish_at(out)
}

fn pooled() -> Model {
    let mut b = Builder::new("pooled", 3, (1, 1, 6, 5));
    let first = b.conv_pool(0, 5, (3, 1, 1, 1, 1), 2, true);
    let second = b.conv_pool(first, 2, (1, 1, 1, 0, 1), 2, false);
    b.finish(second, 3)
}

fn strided() -> Model {
    let mut b = Builder::new("strided depthwise table", 4, (1, 3, 5, 6));
    let (term, shape) = b.conv(0, 6, (3, 2, 1, 1, 1));
    let first = b.push(vec![term], shape, RELU);
    let (term, shape) = b.conv(first, 6, (3, 2, 1, 1, 6));
    let square = Table::Lut {
        lo: -3,
        values: (-3..=3).map(|v| v * v + 1).collect(),
    };
    let second = b.push(vec![term], shape, square);
    b.finish(second, 2)
}

fn residual() -> Model {
    let mut b = Builder::new("residual, mean", 5, (1, 4, 3, 3));
    let (term, shape) = b.conv(0, 5, (1, 1, 1, 0, 1));
    let first = b.push(vec![term], shape, RELU);
    let (term, shape) = b.conv(first, 5, (3, 1, 1, 1, 5));
    let second = b.push(vec![term], shape, RELU);
    let (a, shape) = b.conv(second, 5, (1, 1, 1, 0, 1));
    let (skip, _) = b.conv(first, 5, (1, 1, 1, 0, 5));
    let sum = b.push(vec![a, skip], shape, SIGNED);
    let pool = SumPool {
        channels: 5,
        kernel: (3, 3),
        stride: (3, 3),
        pads: (0, 0, 0, 0),
        multiplier: 7000,
    };
    let mean = Term {
        source: sum,
        channel: 0,
        op: Op::SumPool(pool),
    };
    let mean = b.push(
        vec![mean],
        Shape {
            n: 1,
            c: 5,
            h: 1,
            w: 1,
        },
        SIGNED,
    );
    b.finish(mean, 2)
}

/// Two rows times two columns of three, both computed, laid out as `quantize/lower/contract.rs` does.
fn contracted() -> Model {
    let mut b = Builder::new("product of computed matrices", 7, (1, 2, 2, 3));
    let (term, shape) = b.conv(0, 1, (1, 1, 1, 0, 1));
    let rows = b.push(vec![term], shape, SIGNED);
    let conv = |cin: usize, kernel: (usize, usize), above: usize, groups: usize, weights| {
        Op::Conv(Conv {
            cin,
            cout: 2,
            kernel,
            stride: (1, 1),
            dilation: (1, 1),
            pads: (above, 0, above, 0),
            groups,
            weights,
        })
    };
    let term = |source: NodeId, op: Op| Term {
        source,
        channel: 0,
        op,
    };
    let of = |h: usize, w: usize| Shape { n: 1, c: 2, h, w };
    let weights = b.weights(8, 4);
    let columns = vec![term(0, conv(2, (2, 1), 0, 1, weights))];
    let columns = b.push(columns, of(1, 3), SIGNED);
    let half = 1 << 15;
    let square = Table::Lut {
        lo: -8,
        values: (-8..=8).map(|v| v * v / 9).collect(),
    };
    let mut squares = Vec::new();
    for sign in [1, -1] {
        let terms = vec![
            term(rows, conv(1, (1, 1), 0, 1, vec![half; 2])),
            term(columns, conv(2, (2, 1), 1, 2, vec![sign * half; 4])),
        ];
        let node = b.push(terms, of(2, 3), square.clone());
        let pool = SumPool {
            channels: 2,
            kernel: (1, 3),
            stride: (1, 3),
            pads: (0, 0, 0, 0),
            multiplier: sign * 20_000,
        };
        squares.push(term(node, Op::SumPool(pool)));
    }
    let sums = b.push(squares, of(2, 1), SIGNED);
    b.finish(sums, 2)
}

fn mapped() -> Model {
    let mut b = Builder::new("map, windows", 6, (2, 2, 2, 3));
    // Every input element is read, so that each is bound.
    let entries = (0..16)
        .filter(|o| o % 5 != 4)
        .enumerate()
        .map(|(i, o)| (o, i as u32 * 7 % 12, 1))
        .collect();
    let terms = vec![Term {
        source: 0,
        channel: 0,
        op: Op::Map {
            out: (1, 4, 4),
            entries,
        },
    }];
    let bias = (0..16).map(|i| if i % 5 == 4 { -8 } else { 0 }).collect();
    let pool = Some(MaxPool {
        kernel: (2, 2),
        from_zero: false,
        full: (4, 4),
    });
    let shape = Shape {
        n: 2,
        c: 1,
        h: 2,
        w: 2,
    };
    let windows = b.linear(
        shape,
        Linear {
            terms,
            bias,
            requantize: false,
            pool,
            table: Table::Identity,
        },
    );
    let (term, shape) = b.conv(windows, 3, (2, 1, 1, 1, 1));
    let hidden = b.push(vec![term], shape, SIGNED);
    b.finish(hidden, 2)
}

/// The same model with its requantizing nodes shifting by more bits.
pub(crate) fn with_shift(mut model: Model, shift: u32) -> Model {
    let factor = 1i64 << (shift - model.shift);
    for node in &mut model.nodes {
        let Kind::Linear(linear) = &mut node.kind else {
            continue;
        };
        if !linear.requantize {
            continue;
        }
        linear.bias.iter_mut().for_each(|b| *b *= factor);
        for term in &mut linear.terms {
            match &mut term.op {
                Op::Conv(conv) => conv.weights.iter_mut().for_each(|w| *w *= factor),
                Op::Dense { weights, .. } => weights.iter_mut().for_each(|w| *w *= factor),
                Op::SumPool(pool) => pool.multiplier *= factor,
                Op::Map { entries, .. } => entries.iter_mut().for_each(|e| e.2 *= factor),
            }
        }
    }
    model.shift = shift;
    model
}

/// Half of integer sums, halves to even: both roundings, and the table that chooses.
pub(crate) fn tied() -> Model {
    let mut b = Builder::new("ties", 7, (1, 3, 2, 2));
    b.model.shift = 40;
    let (mut term, shape) = b.conv(0, 5, (1, 1, 1, 0, 1));
    let Op::Conv(conv) = &mut term.op else {
        unreachable!("a convolution")
    };
    conv.weights.iter_mut().for_each(|w| *w = (*w % 4) << 39);
    let clip = Table::Clip { lo: -9, hi: 9 };
    let mut rounded = |bias: i64| {
        let linear = Linear {
            terms: vec![term.clone()],
            bias: vec![bias; 5],
            requantize: true,
            pool: None,
            table: clip.clone(),
        };
        b.linear(shape, linear)
    };
    let (up, down) = (rounded(1 << 39), rounded((1 << 39) - 1));
    let even = |s: i32| (f64::from(s) / 2.0).round_ties_even() as i32;
    let linear = Linear {
        terms: vec![b.identity(up), b.identity(down)],
        bias: vec![0; 5],
        requantize: false,
        pool: None,
        table: Table::Lut {
            lo: -18,
            values: (-18..=18).map(even).collect(),
        },
    };
    let even = b.linear(shape, linear);
    let linear = Linear {
        terms: vec![b.identity(even)],
        bias: vec![0; 5],
        requantize: false,
        pool: None,
        table: Table::Raw,
    };
    let out = b.linear(shape, linear);
    b.finish_at(out)
}
