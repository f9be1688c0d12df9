//! Ranges that functions have by nature, in place of what calibration saw of them.
//!
//! A detector that was calibrated without the event gives 0.005 at most, and would say so of the event. So the tensor of a
//! function that lies between two numbers gets both as its range
//!
//! - where it is shown: an output, moved or rescaled perhaps. Up to [`EXTRA_BITS`] more bits keep its steps as fine as those of
//!   the values seen;
//! - elsewhere where values seen fill [`SHARE`] of it: there that is nearly free. An attention's weights over a thousand
//!   places keep the calibrated range.
//!
//! The sum of a softmax's exponentials is 1 at least, which the most certain answer gives: its reciprocal gets a range up to
//! 1, unless values seen are less than [`LEAST_SHARE`] of that.

use super::{QuantizeOptions, Widths, calibrate::Ranges};
use crate::graph::{Activation, Graph, NodeId, Op};

/// Most bits that a shown tensor gets for a range wider than its values.
const EXTRA_BITS: u32 = 4;

/// Most bits of a tensor.
const MOST_BITS: u32 = 16;

/// Share of its natural range that an inner tensor's values fill for that to be its range.
const SHARE: f64 = 0.75;

/// Least share of 1 that the reciprocal of a softmax's sum has had for 1 to be in its range.
const LEAST_SHARE: f64 = 0.25;

/// Widens ranges to natural ones. Returns the bits of tensors that need more than the model's.
pub(super) fn widen(graph: &Graph, options: &QuantizeOptions, ranges: &mut [Ranges]) -> Widths {
    let shown = shown(graph);
    let mut widths = Widths::new();
    for id in 0..graph.nodes.len() {
        let Op::Activation(f) = &graph.nodes[id].op else {
            continue;
        };
        let (natural, least) = match f {
            Activation::Reciprocal => match softmax_sum(graph, ranges, id) {
                Some(sum) if reach(ranges[id].overall()) >= LEAST_SHARE => {
                    ranges[sum].hull((1.0, 1.0));
                    ((0.0, 1.0), 0.0)
                }
                _ => continue,
            },
            f if f.saturates() || matches!(f, Activation::Sin | Activation::Cos) => {
                (f.codomain(), SHARE)
            }
            _ => continue,
        };
        let share = reach(ranges[id].overall()) / reach(natural);
        if !reach(natural).is_finite() || share >= 1.0 || (share < least && !shown[id]) {
            continue;
        }
        ranges[id].hull((natural.0 as f32, natural.1 as f32));
        if share < SHARE {
            let extra = (1.0 / share).log2().ceil().min(f64::from(EXTRA_BITS)) as u32;
            let bits = (options.bits + extra).min(MOST_BITS);
            widths.insert(graph.nodes[id].name.clone(), bits);
        }
    }
    widths
}

fn reach((lo, hi): (f64, f64)) -> f64 {
    lo.abs().max(hi.abs())
}

/// Which tensors are outputs, or are moved or rescaled to one.
fn shown(graph: &Graph) -> Vec<bool> {
    let mut shown = vec![false; graph.nodes.len()];
    graph.outputs.iter().for_each(|o| shown[o.node] = true);
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        if shown[id] && matches!(node.op, Op::Rearrange(_) | Op::Affine { .. }) {
            node.inputs.iter().for_each(|&input| shown[input] = true);
        }
    }
    shown
}

/// The sum that a reciprocal is of, where it is one of exponentials whose greatest is 1.
fn softmax_sum(graph: &Graph, ranges: &[Ranges], reciprocal: NodeId) -> Option<NodeId> {
    let sum = graph.nodes[reciprocal].inputs[0];
    let mut at = sum;
    loop {
        let node = &graph.nodes[at];
        match &node.op {
            Op::Activation(Activation::Exp) => {
                let distance = node.inputs[0];
                let ends_at_0 = ranges[distance].overall().1 == 0.0;
                let is_distance = matches!(graph.nodes[distance].op, Op::Add { subtract: true });
                return (is_distance && ends_at_0 && at != sum).then_some(sum);
            }
            Op::MatMul { .. }
            | Op::Conv(_)
            | Op::Pool(_)
            | Op::Map(_)
            | Op::Affine { .. }
            | Op::Rearrange(_) => at = *node.inputs.first()?,
            _ => return None,
        }
    }
}
