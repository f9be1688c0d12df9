//! The model that was planned is the one that was asked for: added nodes are copies, dropped ones are read by nobody.

use super::CheckError;
use crate::model::{Kind, Linear, Model, Node, NodeId, Op, Table};

/// Compares the planned model with the original.
pub(super) fn same_model(original: &Model, planned: &Model) -> Result<(), CheckError> {
    // The node of the original whose values each planned node has.
    let mut of: Vec<NodeId> = Vec::with_capacity(planned.nodes.len());
    let mut exact = vec![None; original.nodes.len()];
    let mut next = 0;
    for (id, node) in planned.nodes.iter().enumerate() {
        let found = (next..original.nodes.len()).find(|i| equal(&original.nodes[*i], node, &of));
        match (found, copied(planned, node)) {
            (Some(i), _) => {
                exact[i] = Some(id);
                next = i + 1;
                of.push(i);
            }
            (None, Some(source)) if source < id => of.push(of[source]),
            _ => {
                let what = "neither a node of the model nor a copy of one";
                return Err(CheckError::new(what).node(&node.name));
            }
        }
    }
    let rest = |m: &Model| (m.bits, m.shift, m.inputs.len(), m.outputs.len());
    if rest(original) != rest(planned) {
        return Err(CheckError::new(
            "another shift or other ports than the model's",
        ));
    }
    let ports = |m: &'_ Model| {
        m.inputs
            .iter()
            .chain(&m.outputs)
            .cloned()
            .collect::<Vec<_>>()
    };
    for (mut port, planned) in ports(original).into_iter().zip(ports(planned)) {
        match exact[port.node] {
            Some(id) => port.node = id,
            None => return Err(CheckError::new("a port's node is missing").node(&port.name)),
        }
        if port != planned {
            return Err(CheckError::new("a port is another").node(&port.name));
        }
    }
    Ok(())
}

/// Whether a planned node is this one, its sources being `of` the original's.
fn equal(original: &Node, planned: &Node, of: &[NodeId]) -> bool {
    if (&original.name, original.shape) != (&planned.name, planned.shape) {
        return false;
    }
    let (a, b) = match (&original.kind, &planned.kind) {
        (Kind::Linear(a), Kind::Linear(b)) => (a, b),
        (a, b) => return a == b,
    };
    let alike = (a.requantize, a.pool) == (b.requantize, b.pool)
        && (&a.bias, &a.table) == (&b.bias, &b.table)
        && a.terms.len() == b.terms.len();
    alike
        && a.terms.iter().zip(&b.terms).all(|(a, b)| {
            let source = of.get(b.source).copied();
            source == Some(a.source) && (a.channel, &a.op) == (b.channel, &b.op)
        })
}

/// The source of a node that gives its source's values as they are.
fn copied(model: &Model, node: &Node) -> Option<NodeId> {
    let Kind::Linear(Linear {
        terms,
        bias,
        requantize: false,
        pool: None,
        table: Table::Identity,
    }) = &node.kind
    else {
        return None;
    };
    let [term] = terms.as_slice() else {
        return None;
    };
    let Op::Conv(conv) = &term.op else {
        return None;
    };
    let source = model.nodes.get(term.source)?;
    let channels = source.shape.c;
    let own = term.channel == 0
        && (conv.cin, conv.cout, conv.groups) == (channels, channels, channels)
        && (conv.kernel, conv.stride) == ((1, 1), (1, 1))
        && conv.pads == (0, 0, 0, 0);
    let same = own
        && source.shape == node.shape
        && conv.weights.iter().all(|w| *w == 1)
        && bias.iter().all(|b| *b == 0);
    same.then_some(term.source)
}
