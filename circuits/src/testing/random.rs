//! Random models: what `validate` admits, whatever the layout makes of it.

use rand::seq::SliceRandom;

use super::draws::Draws;
use crate::model::{
    Conv, Kind, Linear, MaxPool, Model, Node, NodeId, Op, Port, Shape, SumPool, Table, Term,
};
use crate::quantize::bounds;

/// Numbers that the largest models take.
pub(crate) const TAPE: usize = 400;

/// Side of the largest grid.
const SIDE: usize = 8;

/// Elements of the largest item, about.
const ITEM: usize = 400;

/// The model of a tape.
pub(crate) fn model(tape: &[u32]) -> Model {
    let mut draws = Draws::new(tape);
    let shift = match draws.below(8) {
        0..=2 => 16,
        3..=5 => draws.below(16).saturating_sub(3) as u32,
        6 => 40,
        _ => 48,
    };
    let model = Model {
        name: "random".into(),
        bits: 8,
        shift,
        nodes: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    Generator {
        batch: draws.pick(&[1, 1, 1, 2, 3]),
        draws,
        model,
        reach: Vec::new(),
    }
    .run()
}

/// One axis of a window.
#[derive(Clone, Copy)]
struct Axis {
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
    out: usize,
}

struct Generator<'a> {
    draws: Draws<'a>,
    model: Model,
    batch: usize,
    /// Greatest magnitude of each node's values.
    reach: Vec<i64>,
}

impl Generator<'_> {
    fn run(mut self) -> Model {
        let inputs = self.draws.pick(&[1, 1, 1, 2, 2, 3]);
        self.input();
        let nodes = 1 + self.draws.below(6);
        for i in 0..nodes {
            let left = inputs - self.model.inputs.len();
            if left > 0 && (i + left >= nodes || self.draws.chance(50)) {
                self.input();
            }
            let raw = self.draws.chance(15);
            let source = self.source(None);
            self.node(source, raw);
        }
        while self.model.inputs.len() < inputs {
            self.input();
        }
        self.read_the_rest();
        if self.model.outputs.is_empty() {
            let source = self.source(None);
            self.node(source, true);
        }
        if let Some(mut rng) = self.draws.rng() {
            self.model.inputs.shuffle(&mut rng);
            self.model.outputs.shuffle(&mut rng);
        }
        self.model
    }

    /// Most inputs and nodes that nothing reads get an output that does.
    fn read_the_rest(&mut self) {
        for id in 0..self.model.nodes.len() {
            let read = self.model.nodes.iter().any(|node| reads(node, id));
            if read || is_raw(&self.model.nodes[id]) {
                continue;
            }
            let input = matches!(self.model.nodes[id].kind, Kind::Input { .. });
            if !self.draws.chance(if input { 6 } else { 50 }) {
                self.node(id, true);
                if self.draws.chance(15) {
                    self.node(id, true);
                }
            }
        }
    }

    fn channels(&mut self) -> usize {
        match self.draws.below(40) {
            0..=23 => 1 + self.draws.below(6),
            24..=33 => 5 + self.draws.below(5),
            34..=38 => 9 + self.draws.below(12),
            _ => 33 + self.draws.below(3),
        }
    }

    fn size(&mut self) -> (usize, usize) {
        match self.draws.below(8) {
            0 => (1, 1),
            1 => (1, 1 + self.draws.below(SIDE)),
            2 => (1 + self.draws.below(SIDE), 1),
            _ => (1 + self.draws.below(6), 1 + self.draws.below(6)),
        }
    }

    fn port(&mut self, name: String, node: NodeId) -> Port {
        let s = self.model.nodes[node].shape;
        let shape = match self.draws.below(3) {
            0 => vec![s.n, s.c, s.h, s.w],
            1 => vec![s.n, s.item()],
            _ => vec![s.len()],
        };
        let mut order = Vec::new();
        if self.draws.chance(30)
            && let Some(mut rng) = self.draws.rng()
        {
            order = (0..s.len() as u32).collect();
            order.shuffle(&mut rng);
        }
        Port {
            name,
            node,
            shape,
            order,
            scale: 0.25,
            encodings: Vec::new(),
        }
    }

    fn push(&mut self, shape: Shape, kind: Kind) -> NodeId {
        let id = self.model.nodes.len();
        let name = format!("node {id}");
        self.model.nodes.push(Node { name, shape, kind });
        // Sums that leave 64 bits make a model that nobody plans: what else it holds does not matter.
        let range = bounds(&self.model).map_or((0, 1), |all| all[id].c);
        self.reach.push(range.0.abs().max(range.1).max(1));
        id
    }

    fn input(&mut self) {
        // Batches of different sizes never meet.
        let n = match self.draws.chance(5) {
            true => 1 + self.draws.below(3),
            false => self.batch,
        };
        let (h, w) = self.size();
        let c = self.channels().min(1 + ITEM / (h * w));
        let (lo, hi) = self.draws.pick(&[
            (-8, 7),
            (-8, 7),
            (0, 15),
            (-128, 127),
            (0, 255),
            (0, 1),
            (-3, 0),
            (0, 0),
            (-1, 1),
            (-1500, 900),
        ]);
        let shape = Shape { n, c, h, w };
        let id = self.push(shape, Kind::Input { lo, hi });
        let port = self.port(format!("input {id}"), id);
        self.model.inputs.push(port);
    }

    /// A node that may be read, of a batch where that is given; the last ones come most often.
    fn source(&mut self, batch: Option<usize>) -> NodeId {
        let nodes = self.model.nodes.iter().enumerate();
        let fits = |node: &Node| !is_raw(node) && batch.is_none_or(|n| n == node.shape.n);
        let all: Vec<NodeId> = nodes.filter(|(_, n)| fits(n)).map(|(id, _)| id).collect();
        let (a, b) = (self.draws.below(all.len()), self.draws.below(all.len()));
        all[all.len() - 1 - a.min(b)]
    }

    /// Appends a node whose first term reads `source`.
    fn node(&mut self, source: NodeId, raw: bool) {
        let n = self.model.nodes[source].shape.n;
        let requantize = !raw && !self.draws.chance(25);
        let count = self.draws.pick(&[1, 1, 1, 2, 2, 3]);
        let limits = Limits {
            span: self.draws.pick(&[16, 100, 300, 800]) / count as i64,
            requantize,
            raw,
        };
        let (first, c, (h, w)) = self.first_term(source, &limits);
        let flat = matches!(first.op, Op::Map { .. });
        let mut terms = vec![first];
        while terms.len() < count {
            let source = self.source(Some(n));
            let last = &terms[terms.len() - 1];
            let next = if self.draws.chance(6) {
                last.clone()
            } else {
                self.term(source, flat, (c, h, w), &limits)
            };
            terms.push(next);
        }
        let pool = (!raw && self.draws.chance(25)).then(|| MaxPool {
            kernel: (
                1 + self.draws.below(h.min(3)),
                1 + self.draws.below(w.min(3)),
            ),
            from_zero: self.draws.chance(50),
            full: (h, w),
        });
        let dense = |t: &Term| matches!(t.op, Op::Map { .. } | Op::Dense { .. });
        let element_bias = terms.iter().all(dense) && self.draws.chance(50);
        let linear = Linear {
            bias: self.bias(if element_bias { c * h * w } else { c }, &limits),
            requantize,
            table: match pool {
                _ if raw => Table::Raw,
                Some(_) => Table::Identity,
                None => self.table(),
            },
            pool,
            terms,
        };
        let (kh, kw) = pool.map_or((1, 1), |p| p.kernel);
        let shape = Shape {
            n,
            c,
            h: h / kh,
            w: w / kw,
        };
        let id = self.push(shape, Kind::Linear(linear));
        if raw {
            let port = self.port(format!("output {id}"), id);
            self.model.outputs.push(port);
        }
    }

    fn bias(&mut self, len: usize, limits: &Limits) -> Vec<i64> {
        let limit = match self.draws.below(20) {
            0..=7 => return vec![0; len],
            8 if limits.raw => self.draws.pick(&[1 << 30, 1 << 61, 1 << 62]),
            _ => (limits.sum(self.model.shift) / 2).max(1),
        };
        let density = self.draws.pick(&[1.0, 1.0, 0.4]);
        self.draws.weights(len, limit, density)
    }

    fn table(&mut self) -> Table {
        let small = |g: &mut Self, least: i64, greatest: i64| {
            least + g.draws.below((greatest - least + 1) as usize) as i64
        };
        match self.draws.below(10) {
            0 | 1 => Table::Clip {
                lo: 0,
                hi: small(self, 0, 30),
            },
            2 | 3 => Table::Clip {
                lo: -small(self, 0, 30),
                hi: small(self, 0, 30),
            },
            4 => {
                let lo = small(self, 1, 20);
                let hi = lo + small(self, 0, 20);
                if self.draws.chance(50) {
                    Table::Clip { lo, hi }
                } else {
                    Table::Clip { lo: -hi, hi: -lo }
                }
            }
            5 | 6 => Table::Identity,
            _ => {
                let lo = small(self, 0, 40) - 25;
                let len = 1 + self.draws.below(40);
                let limit =
                    self.draws
                        .pick(&[15, 15, 15, 15, 15, 15, 15, 400, 400, i64::from(i32::MAX)]);
                let values = self.draws.weights(len, limit, 0.9);
                let values = values.into_iter().map(|v| v as i32).collect();
                Table::Lut { lo, values }
            }
        }
    }

    /// The first term decides the accumulator's channels and grid.
    fn first_term(&mut self, source: NodeId, limits: &Limits) -> (Term, usize, (usize, usize)) {
        let s = self.model.nodes[source].shape;
        let kind = self.draws.below(20);
        if kind >= 17 {
            let c = self.channels();
            return (self.dense(source, c, limits), c, (1, 1));
        }
        if kind >= 13 {
            let c = self.channels().min(12);
            let (h, w) = match self.draws.chance(25) {
                true => (1, 1),
                false => self.size(),
            };
            return (self.map(source, (c, h, w), limits), c, (h, w));
        }
        let pool = kind >= 8;
        let (y, x) = if pool && self.draws.chance(35) {
            (self.whole_windows(s.h), self.whole_windows(s.w))
        } else {
            (self.axis(s.h, pool), self.axis(s.w, pool))
        };
        let c = if pool {
            self.part(s.c, 1)
        } else {
            self.channels().min(1 + ITEM / (y.out * x.out))
        };
        let term = if pool {
            self.sum_pool(source, c, y, x, limits)
        } else {
            self.conv(source, c, y, x, limits)
        };
        (term, c, (y.out, x.out))
    }

    /// A further term of the same accumulator.
    fn term(
        &mut self,
        source: NodeId,
        flat: bool,
        (c, h, w): (usize, usize, usize),
        limits: &Limits,
    ) -> Term {
        let s = self.model.nodes[source].shape;
        if (h, w) == (1, 1) && self.draws.chance(40) {
            return self.dense(source, c, limits);
        }
        if flat {
            return self.map(source, (c, h, w), limits);
        }
        let pool = s.c >= c && self.draws.chance(40);
        let (y, x) = (self.axis_to(s.h, h, pool), self.axis_to(s.w, w, pool));
        if pool {
            self.sum_pool(source, c, y, x, limits)
        } else {
            self.conv(source, c, y, x, limits)
        }
    }

    /// A window axis over `size` cells.
    fn axis(&mut self, size: usize, pool: bool) -> Axis {
        let kernel = 1 + self.draws.below(4);
        let dilation = self.dilation(pool);
        let mut stride = self.draws.pick(&[1, 1, 1, 2, 2, 3, 4, 5]);
        let pads = [0, 0, 0, 0, kernel / 2, 1, 2, kernel, kernel + 1];
        let (mut before, after) = (self.draws.pick(&pads), self.draws.pick(&pads));
        let span = dilation * (kernel - 1) + 1;
        before += span.saturating_sub(size + before + after);
        let out = |stride: usize| (size + before + after - span) / stride + 1;
        while out(stride) > SIDE {
            stride += 1;
        }
        Axis {
            kernel,
            stride,
            dilation,
            before,
            after,
            out: out(stride),
        }
    }

    /// Windows side by side, a rest left over.
    fn whole_windows(&mut self, size: usize) -> Axis {
        let kernel = 1 + self.draws.below(size.min(4));
        Axis {
            kernel,
            stride: kernel,
            dilation: 1,
            before: 0,
            after: 0,
            out: size / kernel,
        }
    }

    /// A window axis over `size` cells that gives `out`.
    fn axis_to(&mut self, size: usize, out: usize, pool: bool) -> Axis {
        let kernel = 1 + self.draws.below(4);
        let dilation = self.dilation(pool);
        let span = dilation * (kernel - 1) + 1;
        // The last window begins within the padded size, and the next would not fit: span + out·stride > size.
        let least = (size + 1).saturating_sub(span).div_ceil(out).max(1);
        let stride = least + self.draws.pick(&[0, 0, 0, 1, 2]);
        let reached = span + (out - 1) * stride;
        let unused = size.saturating_sub(reached);
        let rest = unused + self.draws.below(stride - unused);
        let pads = reached + rest - size;
        let before = self.draws.below(pads + 1);
        Axis {
            kernel,
            stride,
            dilation,
            before,
            after: pads - before,
            out,
        }
    }

    fn dilation(&mut self, pool: bool) -> usize {
        if !pool && self.draws.chance(25) {
            1 + self.draws.below(3)
        } else {
            1
        }
    }

    /// How many of `all` channels; mostly all.
    fn part(&mut self, all: usize, least: usize) -> usize {
        if self.draws.chance(25) {
            least + self.draws.below(all + 1 - least)
        } else {
            all
        }
    }

    fn conv(&mut self, source: NodeId, cout: usize, y: Axis, x: Axis, limits: &Limits) -> Term {
        let s = self.model.nodes[source].shape;
        let cin = self.part(s.c, 1);
        let channel = self.draws.below(s.c - cin + 1);
        let divides = |g: &usize| cin.is_multiple_of(*g) && cout.is_multiple_of(*g);
        let all: Vec<usize> = (1..=cin.min(cout)).filter(divides).collect();
        let (most, any) = (all[all.len() - 1], self.draws.pick(&all));
        let groups = self.draws.pick(&[1, 1, any, most]);
        let kernel = (y.kernel, x.kernel);
        let fan_in = cin / groups * kernel.0 * kernel.1;
        let conv = Conv {
            cin,
            cout,
            kernel,
            stride: (y.stride, x.stride),
            dilation: (y.dilation, x.dilation),
            pads: (y.before, x.before, y.after, x.after),
            groups,
            weights: self.weights(source, cout * fan_in, fan_in, limits),
        };
        let op = Op::Conv(conv);
        Term {
            source,
            channel,
            op,
        }
    }

    fn sum_pool(
        &mut self,
        source: NodeId,
        channels: usize,
        y: Axis,
        x: Axis,
        limits: &Limits,
    ) -> Term {
        let s = self.model.nodes[source].shape;
        let channel = self.draws.below(s.c - channels + 1);
        let kernel = (y.kernel, x.kernel);
        let pool = SumPool {
            channels,
            kernel,
            stride: (y.stride, x.stride),
            pads: (y.before, x.before, y.after, x.after),
            multiplier: self.weights(source, 1, kernel.0 * kernel.1, limits)[0],
        };
        let op = Op::SumPool(pool);
        Term {
            source,
            channel,
            op,
        }
    }

    fn dense(&mut self, source: NodeId, out: usize, limits: &Limits) -> Term {
        let item = self.model.nodes[source].shape.item();
        let weights = self.weights(source, out * item, item, limits);
        Term {
            source,
            channel: 0,
            op: Op::Dense { out, weights },
        }
    }

    fn map(&mut self, source: NodeId, out: (usize, usize, usize), limits: &Limits) -> Term {
        let (item, outs) = (self.model.nodes[source].shape.item(), out.0 * out.1 * out.2);
        let count = match self.draws.below(12) {
            0 => 0,
            1..=5 => outs,
            _ => 1 + self.draws.below(2 * outs),
        };
        // In order and each input once, or anything.
        let spread = self.draws.chance(60);
        let mut pairs: Vec<(u32, u32)> = (0..count)
            .map(|i| {
                let at = if spread {
                    (self.draws.below(outs), self.draws.below(item))
                } else {
                    (i % outs, i % item)
                };
                (at.0 as u32, at.1 as u32)
            })
            .collect();
        if let (Some(last), true) = (pairs.last().copied(), self.draws.chance(20)) {
            pairs.push(last);
        }
        if self.draws.chance(70) {
            pairs.sort_unstable();
        }
        let readers = |o: u32| pairs.iter().filter(|p| p.0 == o).count();
        let fan_in = (0..outs as u32).map(readers).max().unwrap_or(0).max(1);
        let mut weights = self.weights(source, pairs.len(), fan_in, limits);
        if self.draws.chance(20) {
            let first = weights.first().copied();
            weights.fill(first.unwrap_or(0));
        }
        let entries = pairs
            .into_iter()
            .zip(weights)
            .map(|((o, i), w)| (o, i, w))
            .collect();
        Term {
            source,
            channel: 0,
            op: Op::Map { out, entries },
        }
    }

    /// Weights of which `fan_in` meet in a sum; mostly such that the sum needs a small table.
    fn weights(
        &mut self,
        source: NodeId,
        count: usize,
        fan_in: usize,
        limits: &Limits,
    ) -> Vec<i64> {
        let most = self.reach[source].saturating_mul(fan_in as i64);
        if self.draws.chance(if limits.raw { 5 } else { 1 }) {
            let limit = self.draws.pick(&[
                1 << 20,
                (1i64 << 61) / most,
                (1i64 << 62) / most,
                1 << 61,
                i64::MAX,
            ]);
            return self.draws.weights(count, limit, 1.0);
        }
        let limit = limits.sum(self.model.shift) / most;
        let density = match limit {
            0 => limits.sum(self.model.shift) as f64 / most as f64,
            _ => self.draws.pick(&[1.0, 1.0, 0.7, 0.2]),
        };
        self.draws.weights(count, limit.max(1), density)
    }
}

/// What a node's sums may reach.
struct Limits {
    /// Share of a term, after the shift.
    span: i64,
    requantize: bool,
    raw: bool,
}

impl Limits {
    fn sum(&self, shift: u32) -> i64 {
        match (self.raw, self.requantize) {
            // No table.
            (true, _) => 1 << 24,
            (_, true) => self.span << shift,
            _ => self.span,
        }
    }
}

fn is_raw(node: &Node) -> bool {
    matches!(&node.kind, Kind::Linear(l) if l.table == Table::Raw)
}

fn reads(node: &Node, source: NodeId) -> bool {
    matches!(&node.kind, Kind::Linear(l) if l.terms.iter().any(|t| t.source == source))
}
