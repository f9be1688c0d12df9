//! Trees as comparisons and leaves.
//!
//! A decision is a bit `[x_f ≤ t]`, or made of such bits; a leaf is reached where every decision on its path went its
//! way: a gate over `path length` bits. Scores are a linear map of leaves.

use std::collections::{BTreeMap, HashMap};

use crate::{
    graph::{Gate, NodeId, Op},
    onnx::{ImportError, attributes::NodeView, build::Builder},
};

/// Leaves that an ensemble may have; leaves with several paths count once for each.
const MAX_LEAVES: usize = 1 << 18;

/// Decisions on one path.
const MAX_DEPTH: usize = 1 << 10;

/// Decisions on all paths together.
const MAX_DECISIONS: usize = 1 << 22;

/// A decision.
#[derive(Clone, Debug)]
pub(super) struct Split {
    pub(super) feature: usize,
    pub(super) test: Test,
    /// Where to go on if it holds, and if not.
    pub(super) children: [Child; 2],
}

/// What is asked of a feature.
#[derive(Clone, Debug)]
pub(super) enum Test {
    AtMost(f32),
    Less(f32),
    AtLeast(f32),
    Greater(f32),
    Equal(f32),
    NotEqual(f32),
    Among(Vec<f32>),
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Child {
    Split(usize),
    Leaf(usize),
}

/// Trees: `splits` and the leaves that these name, each tree given by its root.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) splits: Vec<Split>,
    /// `(score, weight)` of each leaf.
    pub(super) leaves: Vec<Vec<(usize, f32)>>,
    pub(super) roots: Vec<Child>,
}

/// Scores of an item: entries of a map from leaves, and what every item has.
#[derive(Debug)]
pub(super) struct Scores {
    /// The leaves' indicators.
    pub(super) leaves: NodeId,
    /// `(score, leaf, weight)`.
    pub(super) entries: Vec<(u32, u32, f32)>,
    /// Weights of trees that are one leaf.
    pub(super) constant: Vec<f64>,
}

/// A split, and whether its test holds.
type Step = (usize, bool);

/// `constant + Σ weight · bit`
type Literal = (i32, Vec<(u32, i32)>);

/// The distinct comparisons of a forest.
#[derive(Debug, Default)]
struct Comparisons {
    list: Vec<(usize, f32)>,
    known: HashMap<(usize, u32), u32>,
}

impl Comparisons {
    fn at_most(&mut self, feature: usize, threshold: f32) -> u32 {
        // One zero.
        let bits = (threshold + 0.0).to_bits();
        *self.known.entry((feature, bits)).or_insert_with(|| {
            self.list.push((feature, threshold));
            self.list.len() as u32 - 1
        })
    }

    /// 1 where a test holds.
    fn literal(&mut self, feature: usize, test: &Test) -> Literal {
        let not = |(constant, bits): Literal| {
            let bits = bits.into_iter().map(|(bit, weight)| (bit, -weight));
            (1 - constant, bits.collect())
        };
        match test {
            Test::AtMost(t) => (0, vec![(self.at_most(feature, *t), 1)]),
            Test::Less(t) => self.literal(feature, &Test::AtMost(t.next_down())),
            Test::AtLeast(t) => not(self.literal(feature, &Test::Less(*t))),
            Test::Greater(t) => not(self.literal(feature, &Test::AtMost(*t))),
            Test::Equal(t) => {
                let (upper, lower) = (
                    self.at_most(feature, *t),
                    self.at_most(feature, t.next_down()),
                );
                (0, vec![(upper, 1), (lower, -1)])
            }
            Test::NotEqual(t) => not(self.literal(feature, &Test::Equal(*t))),
            Test::Among(values) => {
                let each = values
                    .iter()
                    .map(|&v| self.literal(feature, &Test::Equal(v)));
                (0, each.flat_map(|literal| literal.1).collect())
            }
        }
    }
}

impl Forest {
    /// Appends comparisons and leaves over the features `x`, and gives the map from leaves to `outputs` scores.
    pub(super) fn scores(
        &self,
        ctx: &mut Builder,
        node: &NodeView,
        x: NodeId,
        outputs: usize,
    ) -> Result<Scores, ImportError> {
        let features = ctx.item_len(x);
        self.check(node, features, outputs)?;
        let mut comparisons = Comparisons::default();
        let mut gate = Gate {
            entries: Vec::new(),
            bias: Vec::new(),
        };
        let mut entries = Vec::new();
        let mut constant = vec![0.0; outputs];
        for &root in &self.roots {
            if let Child::Leaf(leaf) = root {
                for &(score, weight) in &self.leaves[leaf] {
                    constant[score] += f64::from(weight);
                }
                continue;
            }
            let mut open: Vec<(Child, Vec<Step>)> = vec![(root, Vec::new())];
            while let Some((child, path)) = open.pop() {
                if path.len() > MAX_DEPTH {
                    return Err(node.form(format!(
                        "a tree is deeper than {MAX_DEPTH}, or its nodes form a circle"
                    )));
                }
                if gate.bias.len() >= MAX_LEAVES || gate.entries.len() > MAX_DECISIONS {
                    return Err(node.form(format!(
                        "it has more than {MAX_LEAVES} leaves or {MAX_DECISIONS} decisions on paths; prune it"
                    )));
                }
                match child {
                    Child::Split(at) => {
                        for (child, holds) in [(1, false), (0, true)] {
                            let mut path = path.clone();
                            path.push((at, holds));
                            open.push((self.splits[at].children[child], path));
                        }
                    }
                    Child::Leaf(leaf) => {
                        let at = gate.bias.len() as u32;
                        let (bias, bits) = self.reached(&path, &mut comparisons);
                        gate.bias.push(bias);
                        gate.entries
                            .extend(bits.into_iter().map(|(bit, w)| (at, bit, w)));
                        let weights = self.leaves[leaf]
                            .iter()
                            .filter(|(_, weight)| *weight != 0.0);
                        entries.extend(weights.map(|&(score, w)| (score as u32, at, w)));
                    }
                }
            }
        }
        if gate.bias.is_empty() {
            return Err(node.form("no tree asks anything; its scores are constants"));
        }
        let batch = ctx.batch();
        let cells = comparisons.list.iter().map(|&(f, _)| Some((0, f as u32)));
        let (cells, count) = (cells.collect(), comparisons.list.len());
        let thresholds = comparisons.list.iter().map(|c| c.1).collect();
        let leaves = gate.bias.len();
        let asked = ctx.push(
            node.name(),
            vec![x],
            vec![batch, count],
            Op::Rearrange(cells),
        );
        let op = Op::AtMost(thresholds);
        let bits = ctx.push(node.name(), vec![asked], vec![batch, count], op);
        let leaves = ctx.push(node.name(), vec![bits], vec![batch, leaves], Op::Gate(gate));
        Ok(Scores {
            leaves,
            entries,
            constant,
        })
    }

    /// Bias and weights of the gate that is 1 where all steps of a path are taken.
    fn reached(&self, path: &[Step], comparisons: &mut Comparisons) -> (i32, BTreeMap<u32, i32>) {
        let mut bias = 1 - path.len() as i32;
        let mut bits = BTreeMap::new();
        for &(split, holds) in path {
            let split = &self.splits[split];
            let (constant, weights) = comparisons.literal(split.feature, &split.test);
            let sign = if holds { 1 } else { -1 };
            bias += if holds { constant } else { 1 - constant };
            for (bit, weight) in weights {
                *bits.entry(bit).or_insert(0) += sign * weight;
            }
        }
        (bias, bits)
    }

    /// Every index in range, every threshold a number.
    fn check(&self, node: &NodeView, features: usize, outputs: usize) -> Result<(), ImportError> {
        for split in &self.splits {
            if split.feature >= features {
                return Err(node.form(format!(
                    "it asks for feature {} of {features}",
                    split.feature
                )));
            }
            let numbers: &[f32] = match &split.test {
                Test::AtMost(t) | Test::Less(t) | Test::AtLeast(t) | Test::Greater(t) => &[*t],
                Test::Equal(t) | Test::NotEqual(t) => &[*t],
                Test::Among(values) => values,
            };
            if numbers.iter().any(|t| t.is_nan()) {
                return Err(node.form("a threshold is NaN"));
            }
        }
        for &(score, weight) in self.leaves.iter().flatten() {
            if score >= outputs || !weight.is_finite() {
                return Err(node.form(format!(
                    "a leaf has weight {weight} for score {score} of {outputs}"
                )));
            }
        }
        Ok(())
    }
}
