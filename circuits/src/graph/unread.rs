//! Inputs that no output depends on.

use super::{Cell, Graph, NodeId, Op, fold};

/// See [`Graph::drop_unread`].
pub(super) fn drop_unread(graph: &mut Graph) {
    if graph.inputs.len() < 2 {
        return;
    }
    let needed = needed(graph);
    let is_read = |id: NodeId| needed[id].contains(&true);
    let (mut kept, dropped): (Vec<NodeId>, Vec<NodeId>) =
        graph.inputs.iter().partition(|&&id| is_read(id));
    if dropped.is_empty() {
        return;
    }
    if kept.is_empty() {
        kept.push(dropped[0]);
    }
    for (node, needed) in graph.nodes.iter_mut().zip(&needed) {
        if let Op::Rearrange(cells) = &mut node.op {
            (*cells, node.inputs) = narrowed(cells, &node.inputs, needed);
        }
    }
    let names = dropped.iter().filter(|id| !kept.contains(id));
    graph.unread = names.map(|&id| graph.nodes[id].name.clone()).collect();
    graph.inputs = kept;
    fold::drop_dead(graph);
}

/// Which elements of an item some output needs.
fn needed(graph: &Graph) -> Vec<Vec<bool>> {
    let mut needed: Vec<Vec<bool>> = (0..graph.nodes.len())
        .map(|id| vec![false; graph.item_len(id)])
        .collect();
    for output in &graph.outputs {
        needed[output.node].fill(true);
    }
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        let own = std::mem::take(&mut needed[id]);
        match &node.op {
            Op::Rearrange(cells) => {
                for (input, element) in
                    own.iter().zip(cells).filter_map(|(n, c)| n.then_some(*c)?)
                {
                    needed[node.inputs[input as usize]][element as usize] = true;
                }
            }
            Op::Affine { .. } | Op::Activation(_) | Op::Add { .. } | Op::Mul | Op::AtMost(_) => {
                for &input in &node.inputs {
                    let all = needed[input].iter_mut().zip(&own);
                    all.for_each(|(all, &own)| *all |= own);
                }
            }
            _ if own.contains(&true) => {
                node.inputs.iter().for_each(|&i| needed[i].fill(true));
            }
            _ => {}
        }
        needed[id] = own;
    }
    needed
}

/// A rearrangement without the elements that nothing needs, and without the inputs that then have none in it.
fn narrowed(cells: &[Cell], inputs: &[NodeId], needed: &[bool]) -> (Vec<Cell>, Vec<NodeId>) {
    let mut kept = Vec::new();
    let place = |(&cell, &needed): (&Cell, &bool)| {
        let (input, element) = cell.filter(|_| needed)?;
        let source = inputs[input as usize];
        let at = kept.iter().position(|&id| id == source).unwrap_or_else(|| {
            kept.push(source);
            kept.len() - 1
        });
        Some((at as u32, element))
    };
    (cells.iter().zip(needed).map(place).collect(), kept)
}
