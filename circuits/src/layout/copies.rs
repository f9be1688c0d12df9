//! A tensor has one consumption scheme. Where consumers want different ones, all but one read a copy.

use std::collections::{HashMap, HashSet};

use super::scheme::{self, Scheme};
use super::{Shown, Visibility};
use crate::model::{Conv, Kind, Linear, Model, Node, NodeId, Op, Shape, Table, Term};

/// Size `(H, W)` of the accumulator of a node, before pooling.
pub(crate) fn accumulator_grid(shape: Shape, linear: &Linear) -> (usize, usize) {
    linear.pool.map_or((shape.h, shape.w), |p| p.full)
}

/// The scheme in which a term reads its source.
pub(crate) fn requested(model: &Model, reader: &Node, term: &Term) -> Option<Scheme> {
    let Kind::Linear(linear) = &reader.kind else {
        return None;
    };
    let out = accumulator_grid(reader.shape, linear);
    Some(Scheme::of(&term.op, model.nodes[term.source].shape, out))
}

/// Whether the elements of a node's accumulator are laid out flat: a sparse map onto a grid.
pub(crate) fn is_flat(node: &Node) -> bool {
    match &node.kind {
        Kind::Linear(l) => {
            accumulator_grid(node.shape, l) != (1, 1)
                && l.terms.iter().any(|t| matches!(t.op, Op::Map { .. }))
        }
        Kind::Input { .. } => false,
    }
}

/// The source whose constant lane carries a node's bias.
pub(super) fn bias_source(linear: &Linear) -> Option<NodeId> {
    linear
        .bias
        .iter()
        .any(|b| *b != 0)
        .then(|| linear.terms[0].source)
}

/// The identity on `c` channels: a depthwise 1×1 convolution of weight 1.
fn identity(source: NodeId, c: usize) -> Term {
    let op = Op::Conv(Conv {
        cin: c,
        cout: c,
        kernel: (1, 1),
        stride: (1, 1),
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
        groups: c,
        weights: vec![1; c],
    });
    Term {
        source,
        channel: 0,
        op,
    }
}

/// How a reader wants a tensor.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Request {
    scheme: Scheme,
    /// It spreads a single position over a grid, so that the items of a batch stand apart, and its bias over all of the grid;
    /// set only where another reader lays its elements out flat and wants the items side by side, or its bias once.
    spread: bool,
}

impl Request {
    const UNIT: Request = Request {
        scheme: Scheme::UNIT,
        spread: false,
    };
}

/// How the live nodes of a model read its tensors.
struct Requests<'a> {
    model: &'a Model,
    /// Of each tensor, in the order in which they come.
    wanted: HashMap<NodeId, Vec<Request>>,
    /// Sources of a single position with a reader that lays its elements out flat, in a batch or with a bias through it.
    beside_flat: HashSet<NodeId>,
    /// Tensors that have to be read whole, though the one scheme in which they are wanted leaves positions out.
    copied_whole: HashSet<NodeId>,
}

impl<'a> Requests<'a> {
    fn new(model: &'a Model, visibility: Visibility, live: &[bool]) -> Self {
        let mut requests = Requests {
            model,
            wanted: HashMap::new(),
            beside_flat: HashSet::new(),
            copied_whole: HashSet::new(),
        };
        let readers = || (0..model.nodes.len()).filter(|id| live[*id]);
        let terms = |id: NodeId| match &model.nodes[id].kind {
            Kind::Linear(linear) => linear.terms.as_slice(),
            Kind::Input { .. } => &[],
        };
        for id in readers().filter(|id| is_flat(&model.nodes[*id])) {
            let single = |term: &&Term| {
                let s = model.nodes[term.source].shape;
                (s.h, s.w) == (1, 1) && requests.places_differ(id, term.source)
            };
            let sources = terms(id).iter().filter(single).map(|term| term.source);
            let sources: Vec<NodeId> = sources.collect();
            requests.beside_flat.extend(sources);
        }
        let mut planes: HashMap<NodeId, HashSet<usize>> = HashMap::new();
        for id in readers() {
            for term in terms(id) {
                let Some(request) = requests.of(id, term) else {
                    continue;
                };
                let list = requests.wanted.entry(term.source).or_default();
                if !list.contains(&request) {
                    list.push(request);
                }
                let read = planes.entry(term.source).or_default();
                read.extend(taps(model, id, term).iter().map(|tap| tap.plane));
            }
        }
        // What a proof shows of an input, all of it, is bound by the rows in which it is looked up.
        if visibility.input != Shown::Private {
            for port in &model.inputs {
                if let Some([request]) = requests.wanted.get(&port.node).map(Vec::as_slice) {
                    let shape = model.nodes[port.node].shape;
                    if !reads_all(request.scheme, shape, &planes[&port.node]) {
                        requests.copied_whole.insert(port.node);
                    }
                }
            }
        }
        requests
    }

    fn of(&self, reader: NodeId, term: &Term) -> Option<Request> {
        let node = &self.model.nodes[reader];
        let Kind::Linear(linear) = &node.kind else {
            return None;
        };
        let spreads = !is_flat(node) && accumulator_grid(node.shape, linear) != (1, 1);
        Some(Request {
            scheme: requested(self.model, node, term)?,
            spread: spreads
                && self.beside_flat.contains(&term.source)
                && self.places_differ(reader, term.source),
        })
    }

    /// Whether it matters to a reader of a single position where a grid has it: with more items than one, or a bias.
    fn places_differ(&self, reader: NodeId, source: NodeId) -> bool {
        let node = &self.model.nodes[reader];
        let bias = |l: &Linear| bias_source(l) == Some(source);
        node.shape.n > 1 || matches!(&node.kind, Kind::Linear(l) if bias(l))
    }

    /// Whether a reader that wants `request` of `source` reads a copy.
    fn copied(&self, source: NodeId, request: Request) -> bool {
        let several = self.wanted.get(&source).is_some_and(|w| w.len() > 1);
        self.copied_whole.contains(&source) || (several && request != Request::UNIT)
    }
}

fn taps(model: &Model, reader: NodeId, term: &Term) -> Vec<scheme::Tap> {
    let node = &model.nodes[reader];
    let Kind::Linear(linear) = &node.kind else {
        return Vec::new();
    };
    let out = accumulator_grid(node.shape, linear);
    scheme::taps(&term.op, model.nodes[term.source].shape, out)
}

/// Whether every position of a tensor of `shape` has coordinates in a plane that is read.
fn reads_all(scheme: Scheme, shape: Shape, planes: &HashSet<usize>) -> bool {
    let mut positions = (0..shape.h).flat_map(|y| (0..shape.w).map(move |x| (0, y, x)));
    positions.all(|at| {
        let place = scheme.coordinate(shape, 1, at);
        place.is_some_and(|c| planes.contains(&c.plane))
    })
}

/// Adds copies until every tensor is read in one scheme, and every shown input whole; drops nodes that no output depends on.
pub(crate) fn with_copies(model: &Model, visibility: Visibility) -> Model {
    let live = live_nodes(model);
    let requests = Requests::new(model, visibility, &live);
    let mut out = Model {
        nodes: Vec::new(),
        ..model.clone()
    };
    let mut place: HashMap<NodeId, NodeId> = HashMap::new();
    let mut copies: HashMap<(NodeId, Request), NodeId> = HashMap::new();
    for (id, node) in model.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        let mut node = node.clone();
        if let Kind::Linear(linear) = &mut node.kind {
            for term in &mut linear.terms {
                let source = term.source;
                let request = requests.of(id, term).unwrap_or(Request::UNIT);
                term.source = if requests.copied(source, request) {
                    *copies.entry((source, request)).or_insert_with(|| {
                        let original = &model.nodes[source];
                        out.nodes.push(Node {
                            name: format!("{} (copy)", original.name),
                            shape: original.shape,
                            kind: Kind::Linear(Linear {
                                terms: vec![identity(place[&source], original.shape.c)],
                                bias: vec![0; original.shape.c],
                                requantize: false,
                                pool: None,
                                table: Table::Identity,
                            }),
                        });
                        out.nodes.len() - 1
                    })
                } else {
                    place[&source]
                };
            }
        }
        out.nodes.push(node);
        place.insert(id, out.nodes.len() - 1);
    }
    for port in out.inputs.iter_mut().chain(&mut out.outputs) {
        port.node = place[&port.node];
    }
    out
}

fn live_nodes(model: &Model) -> Vec<bool> {
    let mut live = vec![false; model.nodes.len()];
    model
        .inputs
        .iter()
        .chain(&model.outputs)
        .for_each(|p| live[p.node] = true);
    for (id, node) in model.nodes.iter().enumerate().rev() {
        if let (true, Kind::Linear(linear)) = (live[id], &node.kind) {
            linear.terms.iter().for_each(|t| live[t.source] = true);
        }
    }
    live
}
