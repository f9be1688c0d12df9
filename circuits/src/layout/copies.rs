//! A tensor has one consumption scheme. Where consumers want different ones, all but one read a copy.

use std::collections::HashMap;

use super::scheme::Scheme;
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

/// Adds copies until every tensor is read in one scheme; drops nodes that no output depends on.
pub(crate) fn with_copies(model: &Model) -> Model {
    let live = live_nodes(model);
    let mut wanted: HashMap<NodeId, Vec<Scheme>> = HashMap::new();
    for (_, node) in model.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        let Kind::Linear(linear) = &node.kind else {
            continue;
        };
        for term in &linear.terms {
            let Some(scheme) = requested(model, node, term) else {
                continue;
            };
            let list = wanted.entry(term.source).or_default();
            if !list.contains(&scheme) {
                list.push(scheme);
            }
        }
    }
    let mut out = Model {
        nodes: Vec::new(),
        ..model.clone()
    };
    let mut place: HashMap<NodeId, NodeId> = HashMap::new();
    let mut copies: HashMap<(NodeId, Scheme), NodeId> = HashMap::new();
    for (id, node) in model.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        let mut node = node.clone();
        if let Kind::Linear(linear) = &mut node.kind {
            let reader = &model.nodes[id];
            for term in &mut linear.terms {
                let scheme = requested(model, reader, term).unwrap_or(Scheme::UNIT);
                let source = term.source;
                let several = wanted.get(&source).is_some_and(|w| w.len() > 1);
                term.source = if several && scheme != Scheme::UNIT {
                    *copies.entry((source, scheme)).or_insert_with(|| {
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
