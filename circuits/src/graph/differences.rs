//! The outputs of another runtime against the exact ones of a quantized model.
//!
//! Kernels multiply and add in float32, so a number that lies near a half may be rounded to the other side there: one step,
//! and what follows from it. A difference is explained where one such near-tie, or two, rounded to the other side give the
//! other runtime's outputs, all of them.

use super::{Graph, NodeId, trace};

/// How near a half a number must lie that float32 kernels may round it to the other side: float32 numbers up to 2^9 are
/// `2^-15` apart, and there are a few roundings.
pub const NEAR: f64 = 1.0 / 8192.0;

/// Near-ties of which pairs are tried, nearest first.
const MOST_IN_PAIRS: usize = 64;

/// A number that lies near a half.
#[derive(Clone, Debug, PartialEq)]
pub struct NearTie {
    /// Name of the node that rounds it.
    pub node: String,
    /// Element of the node's item.
    pub element: usize,
    /// Its distance from the half, in steps.
    pub margin: f64,
}

/// What becomes of the comparison of one item.
#[derive(Clone, Debug, PartialEq)]
pub enum Agreement {
    /// All outputs are equal.
    Equal,
    /// Some differ, as they do if these numbers are rounded to the other side.
    NearTies {
        /// Differing elements.
        differing: usize,
        /// The numbers.
        ties: Vec<NearTie>,
    },
    /// Some differ, and no near-tie says why.
    Unexplained {
        /// Differing elements.
        differing: usize,
    },
}

/// Compares the exact outputs for one item of every input with those of another runtime, one array an output.
///
/// # Panics
/// Where `inputs` does not hold one item of the right length for each input of the graph.
pub fn explain(graph: &Graph, inputs: &[&[f32]], theirs: &[&[f32]]) -> Agreement {
    let outputs = |flipped: &[(NodeId, usize)]| {
        let (reals, rounded) = trace(graph, inputs, flipped);
        let outputs: Vec<Vec<f32>> = graph
            .outputs
            .iter()
            .map(|output| reals[output.node].clone())
            .collect();
        (outputs, rounded)
    };
    let differing = |ours: &[Vec<f32>]| -> usize {
        let pairs = ours.iter().zip(theirs);
        pairs
            .map(|(ours, theirs)| ours.iter().zip(*theirs).filter(|(a, b)| a != b).count())
            .sum()
    };
    let (ours, rounded) = outputs(&[]);
    let count = differing(&ours);
    if count == 0 {
        return Agreement::Equal;
    }
    let mut near: Vec<(f64, NodeId, usize)> = rounded
        .iter()
        .flat_map(|(node, elements)| {
            let elements = elements.iter().enumerate();
            elements.map(move |(i, r)| (r.margin, *node, i))
        })
        .filter(|(margin, ..)| *margin < NEAR)
        .collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    let one = near.iter().map(|tie| vec![tie]);
    let some = &near[..near.len().min(MOST_IN_PAIRS)];
    let two = some
        .iter()
        .enumerate()
        .flat_map(|(i, a)| some[..i].iter().map(move |b| vec![a, b]));
    let explains = |ties: &Vec<&(f64, NodeId, usize)>| {
        let flipped: Vec<(NodeId, usize)> = ties.iter().map(|tie| (tie.1, tie.2)).collect();
        differing(&outputs(&flipped).0) == 0
    };
    match one.chain(two).find(explains) {
        Some(ties) => Agreement::NearTies {
            differing: count,
            ties: ties
                .into_iter()
                .map(|&(margin, node, element)| NearTie {
                    node: graph.nodes[node].name.clone(),
                    element,
                    margin,
                })
                .collect(),
        },
        None => Agreement::Unexplained { differing: count },
    }
}
