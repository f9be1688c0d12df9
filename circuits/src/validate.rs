//! Structural checks of a model that came from a file: afterwards no index of it can be out of range.

use crate::model::{Encoding, Kind, Linear, Model, Node, Op, Port, Table, Term};
use crate::names;

/// Largest tensor and largest weight list: the cells of 2^24 rows of 8 lanes.
const MAX_ELEMENTS: usize = 1 << 27;
/// Most nodes.
const MAX_NODES: usize = 1 << 16;
/// Most inputs, and most outputs.
const MAX_PORTS: usize = 1 << 12;
/// Largest reach of a window and largest pad; a row has no coordinates beyond.
const MAX_REACH: usize = 1 << 20;
/// Widest range of an input.
const MAX_SPAN: u64 = 1 << 24;

/// What is wrong with a model.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ModelError {
    /// A node contradicts itself or its sources.
    #[error("node `{node}`: {what}; compile the model again")]
    Node {
        /// The node.
        node: String,
        /// What is wrong.
        what: &'static str,
    },
    /// An input or output contradicts the nodes.
    #[error("port `{port}`: {what}; compile the model again")]
    Port {
        /// The port.
        port: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The model as a whole.
    #[error("the model {what}; compile it again")]
    Model {
        /// What is wrong.
        what: &'static str,
    },
}

/// Checks everything that later stages rely on.
///
/// # Errors
/// [`ModelError`] names the first node or port that is inconsistent.
pub fn validate(model: &Model) -> Result<(), ModelError> {
    let whole = |ok: bool, what| {
        if ok {
            Ok(())
        } else {
            Err(ModelError::Model { what })
        }
    };
    whole(!model.nodes.is_empty(), "has no nodes")?;
    whole(model.nodes.len() <= MAX_NODES, "has more than 2^16 nodes")?;
    let ports = model.inputs.len().max(model.outputs.len());
    whole(ports <= MAX_PORTS, "has more than 2^12 inputs or outputs")?;
    whole(!model.outputs.is_empty(), "has no output")?;
    whole(!model.inputs.is_empty(), "has no input")?;
    whole(
        model.shift <= 48 && (2..=16).contains(&model.bits),
        "has an unknown shift or width",
    )?;
    if let Some(what) = names::fault(&model.name) {
        return Err(ModelError::Model { what });
    }
    let outputs: Vec<usize> = model.outputs.iter().map(|p| p.node).collect();
    for (id, node) in model.nodes.iter().enumerate() {
        let what = node_fault(model, id, node, outputs.contains(&id));
        if let Some(what) = what {
            return Err(ModelError::Node {
                node: node.name.clone(),
                what,
            });
        }
    }
    let inputs = model
        .nodes
        .iter()
        .filter(|n| matches!(n.kind, Kind::Input { .. }))
        .count();
    whole(
        inputs == model.inputs.len(),
        "has input nodes without a port",
    )?;
    for (ports, input) in [(&model.inputs, true), (&model.outputs, false)] {
        for (i, port) in ports.iter().enumerate() {
            let twice = ports[..i].iter().any(|p| p.node == port.node);
            if let Some(what) = port_fault(model, port, input, twice) {
                return Err(ModelError::Port {
                    port: port.name.clone(),
                    what,
                });
            }
        }
    }
    Ok(())
}

fn product(factors: &[usize]) -> Option<usize> {
    let p = factors.iter().try_fold(1usize, |p, f| p.checked_mul(*f))?;
    (p > 0 && p <= MAX_ELEMENTS).then_some(p)
}

fn port_fault(model: &Model, port: &Port, input: bool, twice: bool) -> Option<&'static str> {
    let Some(node) = model.nodes.get(port.node) else {
        return Some("names a node that does not exist");
    };
    if twice {
        return Some("names a node that another port names");
    }
    if matches!(node.kind, Kind::Input { .. }) != input {
        return Some("names a node of the wrong kind");
    }
    let len = node.shape.len();
    if product(&port.shape) != Some(len) {
        return Some("has a shape of another size than its node");
    }
    description_fault(port, input)
}

/// What contradicts itself in the description of an input or output, whatever the model; none where it is sound: a plain
/// name, elements within the limits, finite positive scales, ascending edges, an order that is a permutation.
pub fn description_fault(port: &Port, input: bool) -> Option<&'static str> {
    if let Some(what) = names::fault(&port.name) {
        return Some(what);
    }
    let Some(len) = product(&port.shape) else {
        return Some("has an empty or enormous shape");
    };
    if !(port.scale.is_finite() && port.scale > 0.0) {
        return Some("has a scale that is not a positive number");
    }
    if let Some(what) = encoding_fault(port, input) {
        return Some(what);
    }
    if port.order.is_empty() {
        return None;
    }
    let mut seen = vec![false; len];
    let permutation = port.order.len() == len
        && port.order.iter().all(|i| {
            seen.get_mut(*i as usize)
                .is_some_and(|s| !std::mem::replace(s, true))
        });
    (!permutation).then_some("has an order that is no permutation")
}

fn encoding_fault(port: &Port, input: bool) -> Option<&'static str> {
    if port.encodings.is_empty() {
        return None;
    }
    let elements: usize = port.shape.iter().product();
    if !input || !elements.is_multiple_of(port.encodings.len()) {
        return Some("has encodings that are not one for each element of an input's item");
    }
    let sound = |encoding: &Encoding| match encoding {
        Encoding::Scale(scale) => scale.is_finite() && *scale > 0.0,
        Encoding::Edges(edges) => {
            edges.iter().all(|e| !e.is_nan()) && edges.is_sorted_by(|a, b| a < b)
        }
    };
    (!port.encodings.iter().all(sound)).then_some("has an encoding that is not in order")
}

fn node_fault(model: &Model, id: usize, node: &Node, is_output: bool) -> Option<&'static str> {
    let s = node.shape;
    if product(&[s.n, s.c, s.h, s.w]).is_none() {
        return Some("has an empty or enormous shape");
    }
    if let Some(what) = names::fault(&node.name) {
        return Some(what);
    }
    match &node.kind {
        Kind::Input { lo, hi } => (*lo > 0 || *hi < 0 || hi.abs_diff(*lo) > MAX_SPAN)
            .then_some("has an input range without 0 or too wide"),
        Kind::Linear(linear) => linear_fault(model, id, node, linear, is_output),
    }
}

fn linear_fault(
    model: &Model,
    id: usize,
    node: &Node,
    linear: &Linear,
    is_output: bool,
) -> Option<&'static str> {
    let s = node.shape;
    if (linear.table == Table::Raw) != is_output {
        return Some("is raw without being an output, or an output without being raw");
    }
    match &linear.table {
        Table::Raw if linear.pool.is_some() || linear.requantize => {
            return Some("is raw but pooled or requantized");
        }
        Table::Clip { lo, hi } if lo > hi => return Some("clips to an empty range"),
        Table::Lut { values, .. } if values.is_empty() || values.len() > 1 << 24 => {
            return Some("has an empty table");
        }
        Table::Lut { lo, .. } if lo.unsigned_abs() > 1 << 40 => {
            return Some("has a table out of range");
        }
        Table::Clip { lo, hi } if lo.unsigned_abs().max(hi.unsigned_abs()) > 1 << 30 => {
            return Some("clips to a range out of reach");
        }
        _ => {}
    }
    let (mut h, mut w) = (s.h, s.w);
    if let Some(pool) = linear.pool {
        let (kh, kw) = pool.kernel;
        (h, w) = pool.full;
        let fits = product(&[kh, kw]).is_some_and(|k| k <= 1 << 16);
        if !fits || h / kh != s.h || w / kw != s.w {
            return Some("has a pooling window that does not fit");
        }
        if linear.table != Table::Identity {
            return Some("pools and applies a function at once");
        }
    }
    let Some(full) = product(&[s.n, s.c, h, w]) else {
        return Some("has an enormous accumulator");
    };
    let item = full / s.n;
    if linear.bias.len() != s.c && linear.bias.len() != item {
        return Some("has a bias of the wrong length");
    }
    let element_bias = linear.bias.len() != s.c;
    if linear.bias.iter().any(|b| b.unsigned_abs() > 1 << 62) {
        return Some("has a bias out of range");
    }
    if linear.terms.is_empty() {
        return Some("has no terms");
    }
    let flat = linear.terms.iter().any(|t| matches!(t.op, Op::Map { .. }));
    for term in &linear.terms {
        if term.source >= id {
            return Some("reads a node that does not stand before it");
        }
        let source = &model.nodes[term.source];
        if matches!(&source.kind, Kind::Linear(l) if l.table == Table::Raw) {
            return Some("reads a raw output");
        }
        let dense = matches!(term.op, Op::Map { .. } | Op::Dense { .. });
        if (flat || element_bias) && !dense {
            return Some("mixes a sparse map or an element bias with convolutions");
        }
        if source.shape.n != s.n || !term_fits(term, source, (s.c, h, w)) {
            return Some("has a term whose shape does not fit");
        }
    }
    None
}

fn term_fits(term: &Term, source: &Node, (c, h, w): (usize, usize, usize)) -> bool {
    let s = source.shape;
    let size = |size: usize,
                kernel: usize,
                stride: usize,
                dilation: usize,
                before: usize,
                after: usize| {
        let span = dilation
            .checked_mul(kernel.checked_sub(1)?)?
            .checked_add(1)?;
        if [before, after, span].iter().any(|&reach| reach > MAX_REACH) {
            return None;
        }
        let padded = size + before + after;
        padded
            .checked_sub(span)?
            .checked_div(stride)?
            .checked_add(1)
    };
    let small = |v: &[usize]| v.iter().all(|v| *v > 0 && *v <= 1 << 16);
    match &term.op {
        Op::Conv(v) => {
            small(&[
                v.kernel.0,
                v.kernel.1,
                v.stride.0,
                v.stride.1,
                v.dilation.0,
                v.dilation.1,
                v.groups,
            ]) && v.cin > 0
                && v.cin % v.groups == 0
                && v.cout == c
                && v.cout % v.groups == 0
                && term
                    .channel
                    .checked_add(v.cin)
                    .is_some_and(|end| end <= s.c)
                && product(&[v.cout, v.cin / v.groups, v.kernel.0, v.kernel.1])
                    == Some(v.weights.len())
                && size(
                    s.h,
                    v.kernel.0,
                    v.stride.0,
                    v.dilation.0,
                    v.pads.0,
                    v.pads.2,
                ) == Some(h)
                && size(
                    s.w,
                    v.kernel.1,
                    v.stride.1,
                    v.dilation.1,
                    v.pads.1,
                    v.pads.3,
                ) == Some(w)
        }
        Op::SumPool(v) => {
            small(&[v.kernel.0, v.kernel.1, v.stride.0, v.stride.1])
                && v.channels == c
                && term
                    .channel
                    .checked_add(v.channels)
                    .is_some_and(|end| end <= s.c)
                && size(s.h, v.kernel.0, v.stride.0, 1, v.pads.0, v.pads.2) == Some(h)
                && size(s.w, v.kernel.1, v.stride.1, 1, v.pads.1, v.pads.3) == Some(w)
        }
        Op::Dense { out, weights } => {
            *out == c
                && (h, w) == (1, 1)
                && term.channel == 0
                && product(&[*out, s.item()]) == Some(weights.len())
        }
        Op::Map { out, entries } => {
            *out == (c, h, w)
                && term.channel == 0
                && entries
                    .iter()
                    .all(|(o, i, _)| (*o as usize) < c * h * w && (*i as usize) < s.item())
        }
    }
}

#[cfg(test)]
mod tests;
