//! Masks of large numbers: scores that only a softmax reads, some of them lowered by 10000 or more.
//!
//! A softmax tells a score from 0 only where it is within [`depth`] of its row's greatest. So scores below all of that are
//! raised to it, in the statement too: they stop at the end of their grid, and the magnitude of a mask does not widen the
//! steps of the others. In a row that is all masked the shares are equal then.

use std::collections::BTreeMap;

use super::{QuantizeOptions, Widths, calibrate::Ranges};
use crate::graph::{Activation, Graph, NodeId, Op, PoolKind};

/// A mask's magnitude, in those of the scores that it leaves.
const RATIO: f64 = 16.0;

/// Bits below a step of the shares at which a score counts as 0.
const SPARE_BITS: u32 = 2;

/// Most bits that scores get for a grid that goes below what they are.
const EXTRA_BITS: u32 = 2;

/// Where exponentials are below a share of a step.
fn depth(bits: u32) -> f64 {
    f64::from(bits + SPARE_BITS) * std::f64::consts::LN_2
}

/// Raises the ranges of masked scores, of what their greatest is computed by, and of masks that are added to them. Returns
/// the least value of each scores' and masks' tensor: these stop there. Scores get bits for the wider grid in `widths`.
pub(super) fn narrow(
    graph: &Graph,
    options: &QuantizeOptions,
    ranges: &mut [Ranges],
    widths: &mut Widths,
) -> BTreeMap<NodeId, f64> {
    let mut floors = BTreeMap::new();
    for node in &graph.nodes {
        let (Op::Activation(Activation::Exp), [distance]) = (&node.op, &node.inputs[..]) else {
            continue;
        };
        let (Op::Add { subtract: true }, [scores, top]) = (
            &graph.nodes[*distance].op,
            &graph.nodes[*distance].inputs[..],
        ) else {
            continue;
        };
        let Some(between) = reads_alone(graph, *scores, *top, *distance) else {
            continue;
        };
        let (lo, hi) = ranges[*scores].overall();
        let tops = ranges[*top].lo.iter().map(|&v| f64::from(v));
        let base = tops.filter(|&v| v > lo / 2.0).fold(f64::INFINITY, f64::min);
        let floor = base - depth(options.bits);
        let seen = floor.abs().max(hi.abs());
        if !base.is_finite() || floor >= hi || lo > -RATIO * seen {
            continue;
        }
        ranges[*scores].clip(floor as f32, hi as f32);
        for (id, is_score) in between {
            let span = (hi - floor) as f32;
            match is_score {
                true => ranges[id].clip(floor as f32, hi as f32),
                false => ranges[id].clip(-span, span),
            }
        }
        ranges[*distance].clip((floor - hi) as f32, 0.0);
        floors.insert(*scores, floor);
        let extra = (seen / (hi.abs().max(base.abs()))).log2().ceil();
        let bits = options.bits + extra.clamp(0.0, f64::from(EXTRA_BITS)) as u32;
        widths.insert(graph.nodes[*scores].name.clone(), bits.min(16));
        lower_masks(graph, *scores, floor, ranges, &mut floors);
    }
    floors
}

/// The tensors between scores and their greatest, and whether each holds scores; `None` where another node reads them.
fn reads_alone(
    graph: &Graph,
    scores: NodeId,
    top: NodeId,
    distance: NodeId,
) -> Option<BTreeMap<NodeId, bool>> {
    let mut between = BTreeMap::new();
    let mut open = vec![top];
    while let Some(id) = open.pop() {
        if id != scores && between.insert(id, false).is_none() {
            open.extend(&graph.nodes[id].inputs);
        }
    }
    if between.keys().any(|&id| id < scores) || top == scores {
        return None;
    }
    let ids: Vec<NodeId> = between.keys().copied().collect();
    for id in ids {
        let node = &graph.nodes[id];
        let moves = match &node.op {
            Op::Rearrange(_) => true,
            Op::Pool(pool) => pool.kind == PoolKind::Max,
            _ => false,
        };
        let holds = |input: &NodeId| *input == scores || between.get(input) == Some(&true);
        let is_score = moves && node.inputs.iter().all(holds);
        between.insert(id, is_score);
    }
    let inside = |id: NodeId| id == scores || between.contains_key(&id);
    let is_output = graph.outputs.iter().any(|output| inside(output.node));
    let is_read = graph.nodes.iter().enumerate().any(|(id, node)| {
        id != distance && !between.contains_key(&id) && node.inputs.iter().any(|&i| inside(i))
    });
    (!is_output && !is_read).then_some(between)
}

/// The masks that are added to scores: as low as takes the greatest score to the floor.
fn lower_masks(
    graph: &Graph,
    scores: NodeId,
    floor: f64,
    ranges: &mut [Ranges],
    floors: &mut BTreeMap<NodeId, f64>,
) {
    let readers = graph.readers();
    let node = &graph.nodes[scores];
    let (Op::Add { subtract: false }, [a, b]) = (&node.op, &node.inputs[..]) else {
        return;
    };
    let (mask, other) = if ranges[*a].overall().0 < ranges[*b].overall().0 {
        (*a, *b)
    } else {
        (*b, *a)
    };
    let least = floor - ranges[other].overall().1.max(0.0);
    let mut at = mask;
    while readers[at] == 1 {
        let hi = ranges[at].overall().1 as f32;
        ranges[at].clip((least as f32).min(hi), hi);
        match (&graph.nodes[at].op, &graph.nodes[at].inputs[..]) {
            (Op::Rearrange(_), [input]) => at = *input,
            _ => {
                floors.insert(at, least);
                return;
            }
        }
    }
}
