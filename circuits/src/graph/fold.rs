//! Rewrites of the float graph that keep its outputs.

use super::{Cell, Graph, NodeId, Op, PoolKind, Quantized, QuantizedOp, Sum, SumMap};
use crate::geometry::{Pads, Window};

pub(super) fn simplify(graph: &mut Graph) {
    compose_rearrangements(graph);
    absorb_padding(graph);
    drop_dead(graph);
}

/// A rearrangement of rearrangements reads their sources directly.
fn compose_rearrangements(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let Op::Rearrange(cells) = &graph.nodes[id].op else {
            continue;
        };
        let old = &graph.nodes[id].inputs;
        if !old
            .iter()
            .any(|&i| matches!(graph.nodes[i].op, Op::Rearrange(_)))
        {
            continue;
        }
        let mut inputs: Vec<NodeId> = Vec::new();
        let mut cell = |node: NodeId, element: u32| -> Cell {
            let at = inputs.iter().position(|&i| i == node).unwrap_or_else(|| {
                inputs.push(node);
                inputs.len() - 1
            });
            Some((at as u32, element))
        };
        let composed = cells
            .iter()
            .map(|c| {
                let (input, element) = (*c)?;
                let source = old[input as usize];
                match &graph.nodes[source].op {
                    Op::Rearrange(inner) => {
                        let (input, element) = inner[element as usize]?;
                        cell(graph.nodes[source].inputs[input as usize], element)
                    }
                    _ => cell(source, element),
                }
            })
            .collect();
        graph.nodes[id].op = Op::Rearrange(composed);
        graph.nodes[id].inputs = inputs;
    }
}

/// Zero padding in front of a convolution or of a mean pool that counts it becomes their own padding.
fn absorb_padding(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let (channels, window) = match &graph.nodes[id].op {
            Op::Conv(conv)
            | Op::Quantized(Quantized {
                op:
                    QuantizedOp::Sum(Sum {
                        map: SumMap::Conv(conv),
                        ..
                    }),
                ..
            }) => (conv.cin, conv.window),
            Op::Pool(pool)
                if counts_padding(pool.kind, pool.window)
                    && pool.window.output() == Some(pool.output) =>
            {
                (pool.channels, pool.window)
            }
            _ => continue,
        };
        let pad = graph.nodes[id].inputs[0];
        let Op::Rearrange(cells) = &graph.nodes[pad].op else {
            continue;
        };
        let [source] = graph.nodes[pad].inputs[..] else {
            continue;
        };
        let Some(unpadded) = plane_of(&graph.nodes[source].shape, channels, graph.item_len(source))
        else {
            continue;
        };
        let Some(extra) = padding(cells, channels, window.input, unpadded) else {
            continue;
        };
        let fit = |w: &mut Window| {
            w.input = unpadded;
            w.pads = (
                w.pads.0 + extra.0,
                w.pads.1 + extra.1,
                w.pads.2 + extra.2,
                w.pads.3 + extra.3,
            );
        };
        graph.nodes[id].inputs[0] = source;
        match &mut graph.nodes[id].op {
            Op::Conv(conv)
            | Op::Quantized(Quantized {
                op:
                    QuantizedOp::Sum(Sum {
                        map: SumMap::Conv(conv),
                        ..
                    }),
                ..
            }) => fit(&mut conv.window),
            Op::Pool(pool) => {
                fit(&mut pool.window);
                pool.kind = PoolKind::Average {
                    count_include_pad: true,
                };
            }
            _ => {}
        }
    }
}

fn counts_padding(kind: PoolKind, window: Window) -> bool {
    matches!(kind, PoolKind::Average { count_include_pad } if count_include_pad || !window.is_padded())
}

/// The `(height, width)` of a tensor with the given channels, from its logical shape.
fn plane_of(shape: &[usize], channels: usize, item: usize) -> Option<(usize, usize)> {
    let plane = match *shape {
        [_, _, w] => (1, w),
        [_, _, h, w] => (h, w),
        _ => return None,
    };
    (channels * plane.0 * plane.1 == item).then_some(plane)
}

/// The padding that `cells` is, from planes of size `from` to planes of size `to`.
fn padding(
    cells: &[Cell],
    channels: usize,
    to: (usize, usize),
    from: (usize, usize),
) -> Option<Pads> {
    let first = cells.iter().position(Option::is_some)?;
    let (top, left) = (first / to.1 % to.0, first % to.1);
    let (bottom, right) = (
        to.0.checked_sub(from.0 + top)?,
        to.1.checked_sub(from.1 + left)?,
    );
    if cells.len() != channels * to.0 * to.1 {
        return None;
    }
    let same = cells.iter().enumerate().all(|(i, &cell)| {
        let (c, y, x) = (i / (to.0 * to.1), i / to.1 % to.0, i % to.1);
        let inside = y >= top && x >= left && y < top + from.0 && x < left + from.1;
        let want = inside.then(|| (0, ((c * from.0 + y - top) * from.1 + x - left) as u32));
        cell == want
    });
    same.then_some((top, left, bottom, right))
}

/// Removes nodes that no output needs. Inputs stay: they are part of the interface.
pub(super) fn drop_dead(graph: &mut Graph) {
    let mut live = vec![false; graph.nodes.len()];
    for &input in &graph.inputs {
        live[input] = true;
    }
    for output in &graph.outputs {
        live[output.node] = true;
    }
    for id in (0..graph.nodes.len()).rev() {
        if live[id] {
            for &input in &graph.nodes[id].inputs {
                live[input] = true;
            }
        }
    }
    let mut renamed = vec![usize::MAX; graph.nodes.len()];
    let mut kept = 0;
    for (id, live) in live.iter().enumerate() {
        if *live {
            renamed[id] = kept;
            kept += 1;
        }
    }
    let mut keep = live.iter();
    graph
        .nodes
        .retain(|_| *keep.next().expect("one flag a node"));
    let rename = |id: &mut NodeId| *id = renamed[*id];
    graph.quantized.retain(|tensor| live[tensor.node]);
    graph
        .nodes
        .iter_mut()
        .flat_map(|node| &mut node.inputs)
        .for_each(rename);
    graph.inputs.iter_mut().for_each(rename);
    graph
        .outputs
        .iter_mut()
        .map(|output| &mut output.node)
        .chain(graph.quantized.iter_mut().map(|tensor| &mut tensor.node))
        .for_each(rename);
}
