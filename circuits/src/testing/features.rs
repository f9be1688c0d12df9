//! What a model has that a layout may stumble over.

use crate::model::{Kind, Linear, Model, Node, NodeId, Op, Shape, Table, Term};

/// Nodes that an output depends on, inputs left out that none depends on.
pub(crate) fn live(model: &Model) -> Vec<bool> {
    let mut live = vec![false; model.nodes.len()];
    model.outputs.iter().for_each(|p| live[p.node] = true);
    for (id, node) in model.nodes.iter().enumerate().rev() {
        if let (true, Kind::Linear(linear)) = (live[id], &node.kind) {
            linear.terms.iter().for_each(|t| live[t.source] = true);
        }
    }
    live
}

/// A node that an output depends on.
struct View<'a> {
    model: &'a Model,
    node: &'a Node,
    linear: &'a Linear,
}

/// A term of such a node.
struct TermView<'a> {
    source: Shape,
    term: &'a Term,
}

/// Kernel, stride, pads of a window.
struct Window {
    kernel: (usize, usize),
    stride: (usize, usize),
    pads: (usize, usize, usize, usize),
}

impl TermView<'_> {
    fn window(&self) -> Option<Window> {
        let (kernel, stride, pads) = match &self.term.op {
            Op::Conv(c) => (c.kernel, c.stride, c.pads),
            Op::SumPool(p) => (p.kernel, p.stride, p.pads),
            _ => return None,
        };
        Some(Window {
            kernel,
            stride,
            pads,
        })
    }

    fn windows(&self, test: impl Fn(&Window) -> bool) -> bool {
        self.window().is_some_and(|w| test(&w))
    }

    fn is_conv(&self, test: impl Fn(&crate::model::Conv) -> bool) -> bool {
        matches!(&self.term.op, Op::Conv(c) if test(c))
    }

    fn is_sum(&self, test: impl Fn(&Window) -> bool) -> bool {
        matches!(self.term.op, Op::SumPool(_)) && self.windows(test)
    }

    fn entries(&self) -> Option<&[(u32, u32, i64)]> {
        match &self.term.op {
            Op::Map { entries, .. } => Some(entries),
            _ => None,
        }
    }
}

fn padded(w: &Window) -> bool {
    w.pads != (0, 0, 0, 0)
}

fn beyond(w: &Window) -> bool {
    w.pads.0.max(w.pads.2) >= w.kernel.0 || w.pads.1.max(w.pads.3) >= w.kernel.1
}

type OfTerm = (&'static str, fn(&TermView) -> bool);
type OfNode = (&'static str, fn(&View) -> bool);
type OfModel = (&'static str, fn(&Model) -> bool);

const TERMS: &[OfTerm] = &[
    ("convolution", |t| t.is_conv(|_| true)),
    ("kernel not square", |t| {
        t.windows(|w| w.kernel.0 != w.kernel.1)
    }),
    ("stride beyond the kernel", |t| {
        t.windows(|w| w.stride.0 > w.kernel.0 || w.stride.1 > w.kernel.1)
    }),
    ("strides that differ", |t| {
        t.windows(|w| w.stride.0 != w.stride.1)
    }),
    ("dilation", |t| {
        t.is_conv(|c| c.dilation.0 > 1 && c.kernel.0 > 1 || c.dilation.1 > 1 && c.kernel.1 > 1)
    }),
    ("asymmetric pads", |t| {
        t.windows(|w| w.pads.0 != w.pads.2 || w.pads.1 != w.pads.3)
    }),
    ("pads beyond the kernel", |t| t.windows(beyond)),
    ("padded convolution of kernel 1", |t| {
        t.is_conv(|c| c.kernel == (1, 1) && c.pads != (0, 0, 0, 0))
    }),
    ("groups", |t| {
        t.is_conv(|c| c.groups > 1 && c.groups < c.cin)
    }),
    ("depthwise", |t| {
        t.is_conv(|c| c.groups > 1 && c.groups == c.cin)
    }),
    ("channel offset", |t| t.term.channel > 0),
    ("part of the channels", |t| match &t.term.op {
        Op::Conv(c) => c.cin < t.source.c,
        Op::SumPool(p) => p.channels < t.source.c,
        _ => false,
    }),
    ("sum pool", |t| t.is_sum(|_| true)),
    ("sum pool of kernel 1", |t| t.is_sum(|w| w.kernel == (1, 1))),
    ("padded sum pool of kernel 1", |t| {
        t.is_sum(|w| w.kernel == (1, 1) && padded(w))
    }),
    ("padded sum pool", |t| t.is_sum(padded)),
    ("sum pool with pads beyond the kernel", |t| t.is_sum(beyond)),
    ("sum pool whose windows overlap", |t| {
        t.is_sum(|w| w.kernel.0 > w.stride.0 || w.kernel.1 > w.stride.1)
    }),
    ("sum pool whose windows stand apart", |t| {
        t.is_sum(|w| w.kernel.0 < w.stride.0 || w.kernel.1 < w.stride.1)
    }),
    ("sum pool side by side", |t| {
        t.is_sum(|w| w.kernel == w.stride && !padded(w) && w.kernel != (1, 1))
    }),
    ("dense", |t| matches!(t.term.op, Op::Dense { .. })),
    ("dense over a grid", |t| {
        matches!(t.term.op, Op::Dense { .. }) && t.source.h * t.source.w > 1
    }),
    ("map", |t| t.entries().is_some()),
    ("map without entries", |t| {
        t.entries().is_some_and(<[_]>::is_empty)
    }),
    ("map with repeated entries", |t| {
        t.entries().is_some_and(|all| {
            let mut pairs: Vec<_> = all.iter().map(|e| (e.0, e.1)).collect();
            pairs.sort_unstable();
            pairs.windows(2).any(|p| p[0] == p[1])
        })
    }),
    ("map onto a grid from one position", |t| {
        matches!(&t.term.op, Op::Map { out, .. } if out.1 * out.2 > 1)
            && t.source.h * t.source.w == 1
    }),
];

const NODES: &[OfNode] = &[
    ("several terms", |v| v.linear.terms.len() > 1),
    ("three terms", |v| v.linear.terms.len() > 2),
    ("one term twice", |v| {
        v.linear.terms.windows(2).any(|t| t[0] == t[1])
    }),
    ("terms of different kinds", |v| {
        let kinds = v.linear.terms.iter().map(|t| std::mem::discriminant(&t.op));
        let kinds: Vec<_> = kinds.collect();
        kinds.iter().any(|k| *k != kinds[0])
    }),
    ("map beside dense", |v| {
        let has = |test: fn(&Op) -> bool| v.linear.terms.iter().any(|t| test(&t.op));
        has(|op| matches!(op, Op::Map { .. })) && has(|op| matches!(op, Op::Dense { .. }))
    }),
    ("element bias", |v| v.linear.bias.len() > v.node.shape.c),
    ("bias", |v| v.linear.bias.iter().any(|b| *b != 0)),
    ("no bias", |v| v.linear.bias.iter().all(|b| *b == 0)),
    ("no shift", |v| !v.linear.requantize && !raw(v)),
    ("shift", |v| v.linear.requantize),
    ("pool from zero", |v| {
        v.linear.pool.is_some_and(|p| p.from_zero)
    }),
    ("pool", |v| v.linear.pool.is_some_and(|p| !p.from_zero)),
    ("pool with a rest", |v| {
        let s = v.node.shape;
        v.linear
            .pool
            .is_some_and(|p| p.full != (s.h * p.kernel.0, s.w * p.kernel.1))
    }),
    ("pool of kernel 1", |v| {
        v.linear.pool.is_some_and(|p| p.kernel == (1, 1))
    }),
    ("pool over a map", |v| {
        let map = |t: &Term| matches!(t.op, Op::Map { .. });
        v.linear.pool.is_some() && v.linear.terms.iter().any(map)
    }),
    ("identity without a pool", |v| {
        v.linear.table == Table::Identity && v.linear.pool.is_none()
    }),
    ("clip", |v| matches!(v.linear.table, Table::Clip { .. })),
    (
        "clip without 0",
        |v| matches!(v.linear.table, Table::Clip { lo, hi } if lo > 0 || hi < 0),
    ),
    ("function", |v| matches!(v.linear.table, Table::Lut { .. })),
    ("function that is not 0 at 0", |v| {
        matches!(v.linear.table, Table::Lut { .. }) && v.linear.table.eval(0) != 0
    }),
    ("input read raw", |v| {
        let input = |id: NodeId| matches!(v.model.nodes[id].kind, Kind::Input { .. });
        raw(v) && v.linear.terms.iter().any(|t| input(t.source))
    }),
    ("beyond two groups of lanes", |v| v.node.shape.c > 8),
];

fn raw(v: &View) -> bool {
    v.linear.table == Table::Raw
}

fn inputs(model: &Model) -> impl Iterator<Item = &Node> {
    model.inputs.iter().map(|p| &model.nodes[p.node])
}

fn ports(model: &Model) -> impl Iterator<Item = &crate::model::Port> {
    model.inputs.iter().chain(&model.outputs)
}

const MODELS: &[OfModel] = &[
    ("several inputs", |m| m.inputs.len() > 1),
    ("three inputs", |m| m.inputs.len() > 2),
    (IDLE_INPUT, idle_input),
    ("inputs of different ranges", |m| {
        let kinds: Vec<_> = inputs(m).map(|n| &n.kind).collect();
        kinds.iter().any(|k| *k != kinds[0])
    }),
    ("inputs of different shapes", |m| {
        let shapes: Vec<_> = inputs(m).map(|n| n.shape).collect();
        shapes.iter().any(|s| *s != shapes[0])
    }),
    ("several outputs", |m| m.outputs.len() > 1),
    ("outputs of one source", |m| {
        let sources = m
            .outputs
            .iter()
            .filter_map(|p| match &m.nodes[p.node].kind {
                Kind::Linear(l) => Some(l.terms[0].source),
                Kind::Input { .. } => None,
            });
        let mut sources: Vec<_> = sources.collect();
        let all = sources.len();
        sources.sort_unstable();
        sources.dedup();
        sources.len() < all
    }),
    ("batch", |m| m.nodes.iter().any(|n| n.shape.n > 1)),
    ("batches of different sizes", |m| {
        m.nodes.iter().any(|n| n.shape.n != m.nodes[0].shape.n)
    }),
    ("dead node", |m| {
        let live = live(m);
        let dead = |(id, node): (usize, &Node)| !live[id] && matches!(node.kind, Kind::Linear(_));
        m.nodes.iter().enumerate().any(dead)
    }),
    ("permuted port", |m| ports(m).any(|p| !p.order.is_empty())),
    ("node read twice", |m| {
        let live = live(m);
        let mut sources = Vec::new();
        for (id, node) in m.nodes.iter().enumerate() {
            if let (true, Kind::Linear(l)) = (live[id], &node.kind) {
                sources.extend(l.terms.iter().map(|t| t.source));
            }
        }
        let all = sources.len();
        sources.sort_unstable();
        sources.dedup();
        sources.len() < all
    }),
    ("input of one position", |m| {
        inputs(m).any(|n| (n.shape.h, n.shape.w) == (1, 1))
    }),
    ("input of one row", |m| {
        inputs(m).any(|n| n.shape.h == 1 && n.shape.w > 1)
    }),
    ("input of one column", |m| {
        inputs(m).any(|n| n.shape.h > 1 && n.shape.w == 1)
    }),
    ("one limb", |m| m.shift <= 12),
    ("no bit shifted", |m| m.shift == 0),
    ("two limbs", |m| m.shift == 16),
    ("five limbs", |m| m.shift == 40),
    ("six limbs", |m| m.shift == 48),
];

/// The one feature that a layout refuses.
pub(crate) const IDLE_INPUT: &str = "idle input";

/// True where no output depends on some input.
pub(crate) fn idle_input(model: &Model) -> bool {
    let live = live(model);
    model.inputs.iter().any(|p| !live[p.node])
}

/// Every feature.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    let terms = TERMS.iter().map(|f| f.0);
    let nodes = NODES.iter().map(|f| f.0);
    terms.chain(nodes).chain(MODELS.iter().map(|f| f.0))
}

/// Those of a model, in what its outputs depend on.
pub(crate) fn of(model: &Model) -> Vec<&'static str> {
    let live = live(model);
    let nodes = model.nodes.iter().enumerate().filter(|(id, _)| live[*id]);
    let views: Vec<View> = nodes
        .filter_map(|(_, node)| match &node.kind {
            Kind::Linear(linear) => Some(View {
                model,
                node,
                linear,
            }),
            Kind::Input { .. } => None,
        })
        .collect();
    let terms: Vec<TermView> = views
        .iter()
        .flat_map(|v| &v.linear.terms)
        .map(|term| TermView {
            source: model.nodes[term.source].shape,
            term,
        })
        .collect();
    let of_terms = TERMS.iter().filter(|f| terms.iter().any(f.1)).map(|f| f.0);
    let of_nodes = NODES.iter().filter(|f| views.iter().any(f.1)).map(|f| f.0);
    let of_model = MODELS.iter().filter(|f| f.1(model)).map(|f| f.0);
    of_terms.chain(of_nodes).chain(of_model).collect()
}
