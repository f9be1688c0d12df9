//! The order of the tensors: that of their rows, and of their exponents of `η`.
//!
//! A functional's weights stand where its readers are produced, and its chunk walks from the highest of these exponents to the
//! lowest, so the readers of one tensor have to stand close together. Two orders do that for most of a model: by distance from the
//! inputs, and by distance from the outputs. What is left are gaps between readers, as between an output and a later layer that read one tensor:
//! the order with fewer rows over gaps is taken.

use std::collections::HashMap;

use super::{Shown, Tensor, Visibility};
use crate::model::{Kind, Model, NodeId, Port};
use crate::profile::Profile;

/// The nodes in the order of their rows. Outputs stand first, and inputs that are shown after them: the instance columns are then short.
pub(super) fn of(
    model: &Model,
    profile: &Profile,
    visibility: Visibility,
    tensors: &HashMap<NodeId, Tensor>,
) -> Vec<NodeId> {
    let orders = [
        from_inputs(model),
        from_outputs(model, visibility.input != Shown::Private),
    ];
    let [first, second] = orders.each_ref().map(|order| {
        let gaps = gaps(model, profile, visibility, tensors, order);
        gaps.unwrap_or(usize::MAX)
    });
    let [forward, backward] = orders;
    if second < first { backward } else { forward }
}

/// Outputs, inputs, then the others by their distance from the inputs.
fn from_inputs(model: &Model) -> Vec<NodeId> {
    let mut depth = vec![0usize; model.nodes.len()];
    for (id, node) in model.nodes.iter().enumerate() {
        if let Kind::Linear(linear) = &node.kind {
            let sources = linear.terms.iter().map(|term| depth[term.source]);
            depth[id] = 1 + sources.max().unwrap_or(0);
        }
    }
    behind(model, [&model.outputs[..], &model.inputs], &depth)
}

/// Outputs, inputs if they are `shown`, then the others by their distance from the outputs.
fn from_outputs(model: &Model, shown: bool) -> Vec<NodeId> {
    let mut height = vec![0usize; model.nodes.len()];
    for (id, node) in model.nodes.iter().enumerate().rev() {
        if let Kind::Linear(linear) = &node.kind {
            for term in &linear.terms {
                height[term.source] = height[term.source].max(height[id] + 1);
            }
        }
    }
    let inputs: &[Port] = if shown { &model.inputs } else { &[] };
    behind(model, [&model.outputs, inputs], &height)
}

/// The ports' nodes, then the others by their distance.
fn behind(model: &Model, ports: [&[Port]; 2], distance: &[usize]) -> Vec<NodeId> {
    let mut order: Vec<NodeId> = ports.into_iter().flatten().map(|port| port.node).collect();
    let mut others: Vec<NodeId> = (0..model.nodes.len())
        .filter(|id| !order.contains(id))
        .collect();
    others.sort_by_key(|id| distance[*id]);
    order.extend(others);
    order
}

/// Rows in which chunks walk over exponents between the readers of their tensors; `None` for a node without a tensor of its own.
fn gaps(
    model: &Model,
    profile: &Profile,
    visibility: Visibility,
    tensors: &HashMap<NodeId, Tensor>,
    order: &[NodeId],
) -> Option<usize> {
    let in_order: Option<Vec<&Tensor>> = order.iter().map(|id| tensors.get(id)).collect();
    let in_order = in_order?;
    let bases = produced(model, profile, visibility, &in_order);
    let f = profile.fixed_lanes;
    let mut ranges: HashMap<NodeId, Vec<(usize, usize)>> = HashMap::new();
    for (tensor, base) in in_order.iter().zip(bases) {
        let Kind::Linear(linear) = &model.nodes[tensor.node].kind else {
            continue;
        };
        let range = (base / f, (base + tensor.range_p(profile)).div_ceil(f));
        for term in &linear.terms {
            ranges.entry(term.source).or_default().push(range);
        }
    }
    let mut rows = 0usize;
    for (source, mut ranges) in ranges {
        ranges.sort_unstable();
        let mut reached = usize::MAX;
        let mut gap = 0;
        for (from, to) in ranges {
            gap += from.saturating_sub(reached);
            reached = if reached == usize::MAX {
                to
            } else {
                reached.max(to)
            };
        }
        let tensor = tensors.get(&source)?;
        rows += gap * tensor.channels * tensor.cons_planes;
    }
    Some(rows)
}

/// Gives the tensors, in the order of their rows, their exponents of `η`.
///
/// Exponents fall along the rows, so that the chains need not climb. But digests, in row 0, take the lowest base: the chain over
/// what is hashed moves by single powers of `η`, and so what is hashed takes the next, after public outputs. These stand in the first
/// rows, and a climb in front of them would lengthen the instance columns.
pub(super) fn assign_bases(
    model: &Model,
    profile: &Profile,
    visibility: Visibility,
    tensors: &mut [Tensor],
) {
    let in_order: Vec<&Tensor> = tensors.iter().collect();
    let bases = produced(model, profile, visibility, &in_order);
    for (tensor, base) in tensors.iter_mut().zip(bases) {
        tensor.base_p = base;
    }
    let mut base = 0;
    for tensor in tensors.iter_mut().rev().filter(|t| t.consumed) {
        tensor.base_c = base;
        base += tensor.range_c(profile);
    }
}

/// Where each tensor's exponents begin as it is produced.
fn produced(
    model: &Model,
    profile: &Profile,
    visibility: Visibility,
    tensors: &[&Tensor],
) -> Vec<usize> {
    let rank = |t: &Tensor| {
        let is = |ports: &[Port]| ports.iter().any(|p| p.node == t.node);
        match (is(&model.outputs), is(&model.inputs)) {
            (true, _) if visibility.output == Shown::Hashed => 1,
            (true, _) if visibility.hashes() => 0,
            (_, true) if visibility.input == Shown::Hashed => 1,
            _ => 2,
        }
    };
    let mut out = vec![0; tensors.len()];
    let mut base = if visibility.hashes() {
        profile.fixed_lanes
    } else {
        0
    };
    for low in 0..=2 {
        for (i, tensor) in tensors.iter().enumerate().rev() {
            if rank(tensor) != low {
                continue;
            }
            // As few rows of weights as can be hold a functional's weights for one tensor.
            let (range, left) = (tensor.range_p(profile), base % profile.fixed_lanes);
            if left + range > profile.fixed_lanes {
                base = base.next_multiple_of(profile.fixed_lanes);
            }
            out[i] = base;
            base += range;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;
    use crate::layout::{Layout, plan};
    use crate::model::{Op, Shape, Table, Term};
    use crate::testing::{Builder, NARROW, RELU, SIGNED, port};

    /// As a forest: `count` decisions, as many leaves with three decisions each, and the leaves are read by an output and by a
    /// layer whose result another output shows.
    fn forest(count: u32) -> Model {
        let wide = Shape {
            n: 1,
            c: count as usize,
            h: 1,
            w: 1,
        };
        let mut b = Builder::new("forest", 21, (1, 4, 1, 1));
        let (asked, _) = b.dense(0, wide.c);
        let decisions = b.push(vec![asked], wide, RELU);
        let paths = (0..count).flat_map(|leaf| {
            (leaf.saturating_sub(1)..=(leaf + 1).min(count - 1)).map(move |d| (leaf, d, 9_000))
        });
        let map = Op::Map {
            out: (wide.c, 1, 1),
            entries: paths.collect(),
        };
        let reached = Term {
            source: decisions,
            channel: 0,
            op: map,
        };
        let leaves = b.push(vec![reached], wide, RELU);
        let (hidden, narrow) = b.dense(leaves, 2);
        let label = b.push(vec![hidden], narrow, SIGNED);
        let (scores, _) = b.dense(leaves, 2);
        let scores = b.push(vec![scores], narrow, Table::Raw);
        b.model.outputs.push(port("scores", scores, narrow));
        b.finish(label, 2)
    }

    fn planned(model: &Model, visibility: Visibility) -> Layout {
        let profile = Profile {
            hash: visibility.hashes(),
            ..NARROW
        };
        let layout = plan(model, profile, visibility).expect("it fits");
        check::statement(model, &layout).expect("the columns state the model");
        layout
    }

    /// With the readers of the leaves at both ends, each leaf would cost `count / 16` rows.
    #[test]
    fn leaves_cost_no_walk_from_reader_to_reader() {
        for input in [Shown::Private, Shown::Public, Shown::Hashed] {
            let visibility = Visibility {
                input,
                output: Shown::Public,
            };
            let [small, large] = [256, 512].map(|count| {
                let layout = planned(&forest(count), visibility);
                layout.stats.contraction
            });
            assert!(large < 4 * 512, "{large} rows of weights, {input:?} input");
            assert!(large < 2 * small + 64, "{small}, {large}, {input:?} input");
        }
    }
}
