//! SVMClassifier and SVMRegressor.
//!
//! ```text
//! linear    x·v                          folded into one row of weights
//! poly      (γ·x·v + c)^d                a sum and a table
//! sigmoid   tanh(γ·x·v + c)              a sum and a table
//! rbf       exp(-γ·|x - v|²)             squares of features, a sum and a table
//! ```

use super::{
    labels,
    linear::{Rows, finite, operand},
    scores::{self, Pair, Post},
};
use crate::{
    graph::{Activation, NodeId, Op},
    onnx::{ImportError, attributes::NodeView, build::Builder},
};

/// Weights that the pairs of classes may have.
const MAX_WEIGHTS: usize = 1 << 24;

/// `Σ coefficient · kernel(x, vector) + summand`, a row of coefficients a score.
#[derive(Debug)]
struct Machine {
    /// Row-major `[vectors][features]`.
    vectors: Vec<f32>,
    kernel: Kernel,
    /// Row-major `[scores][vectors]`.
    scores: Rows,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    Linear,
    Poly {
        gamma: f32,
        summand: f32,
        degree: f32,
    },
    Rbf {
        gamma: f32,
    },
    Sigmoid {
        gamma: f32,
        summand: f32,
    },
}

impl Kernel {
    fn of(node: &NodeView) -> Result<Kernel, ImportError> {
        let parameters = finite(node, "kernel_params")?;
        let parameter = |i: usize| parameters.get(i).copied().unwrap_or(0.0);
        let (gamma, summand, degree) = (parameter(0), parameter(1), parameter(2));
        match node.string("kernel_type").as_deref() {
            None | Some("LINEAR" | "") => Ok(Kernel::Linear),
            Some("POLY") => Ok(Kernel::Poly {
                gamma,
                summand,
                degree,
            }),
            Some("RBF") => Ok(Kernel::Rbf { gamma }),
            Some("SIGMOID") => Ok(Kernel::Sigmoid { gamma, summand }),
            Some(other) => Err(node.form(format!(
                "kernel_type {other}; supported are LINEAR, POLY, RBF and SIGMOID"
            ))),
        }
    }
}

impl Machine {
    /// Vectors, kernel and scores of a node over `features`.
    fn new(node: &NodeView, features: usize, scores: Rows) -> Result<Machine, ImportError> {
        let vectors = finite(node, "support_vectors")?;
        let kernel = Kernel::of(node)?;
        let count = scores.weights.len() / scores.offset.len().max(1);
        if vectors.len() != count * features {
            return Err(node.form(format!(
                "{} numbers for {count} vectors of {features} features",
                vectors.len()
            )));
        }
        Ok(Machine {
            vectors,
            kernel,
            scores,
        })
    }

    /// Appends what the scores are linear in: the features themselves, or one kernel value a vector.
    fn basis(&self, ctx: &mut Builder, node: &NodeView, x: NodeId) -> NodeId {
        let (batch, features) = (ctx.batch(), ctx.item_len(x));
        let products = |ctx: &mut Builder, gamma: f32, summand: f32| {
            let count = self.vectors.len() / features;
            let rows = Rows {
                weights: self.vectors.iter().map(|v| v * gamma).collect(),
                offset: vec![summand; count],
            };
            rows.apply(ctx, node, x)
        };
        match self.kernel {
            Kernel::Linear => x,
            Kernel::Poly {
                gamma,
                summand,
                degree,
            } => {
                let sums = products(ctx, gamma, summand);
                match degree {
                    1.0 => sums,
                    exponent => ctx.activation(node, sums, Activation::Power { exponent }),
                }
            }
            Kernel::Sigmoid { gamma, summand } => {
                let sums = products(ctx, gamma, summand);
                ctx.activation(node, sums, Activation::Tanh)
            }
            Kernel::Rbf { gamma } => {
                let points = self.vectors.clone();
                let shape = vec![batch, points.len() / features];
                let op = Op::SquaredDistance { points };
                let distance = ctx.push(node.name(), vec![x], shape, op);
                let exponent = ctx.affine(node, distance, -gamma, 0.0);
                ctx.activation(node, exponent, Activation::Exp)
            }
        }
    }

    /// The scores as a linear function of the basis.
    fn over_basis(&self, features: usize) -> Rows {
        if self.kernel != Kernel::Linear {
            return self.scores.clone();
        }
        let count = self.vectors.len() / features;
        let mut weights = Vec::new();
        for row in self.scores.weights.chunks_exact(count) {
            let mut sum = vec![0f64; features];
            for (&c, vector) in row.iter().zip(self.vectors.chunks_exact(features)) {
                for (sum, &v) in sum.iter_mut().zip(vector) {
                    *sum += f64::from(c) * f64::from(v);
                }
            }
            weights.extend(sum.into_iter().map(|s| s as f32));
        }
        Rows {
            weights,
            offset: self.scores.offset.clone(),
        }
    }
}

/// One score for each pair of classes `i < j`: the coefficients for `j` of `i`'s vectors, and for `i` of `j`'s.
fn pairs(node: &NodeView, classes: usize) -> Result<Rows, ImportError> {
    let counts: Option<Vec<usize>> = node
        .ints("vectors_per_class")
        .unwrap_or_default()
        .iter()
        .map(|&c| usize::try_from(c).ok().filter(|&c| c < 1 << 24))
        .collect();
    let counts = counts.filter(|c| c.len() == classes).ok_or_else(|| {
        node.form(
            "vectors_per_class must have one entry a class; a linear model is a LinearClassifier",
        )
    })?;
    let total: usize = counts.iter().sum();
    let pairs = classes * (classes - 1) / 2;
    if pairs.saturating_mul(total) > MAX_WEIGHTS {
        return Err(node.form(format!(
            "{pairs} pairs of classes and {total} vectors are more than {MAX_WEIGHTS} weights"
        )));
    }
    let coefficients = finite(node, "coefficients")?;
    if total == 0 || coefficients.len() != (classes - 1) * total {
        return Err(node.form(format!(
            "{} coefficients for {classes} classes and {total} vectors",
            coefficients.len()
        )));
    }
    if coefficients.iter().all(|&c| c >= 0.0) {
        return Err(node.form("no coefficient is negative; a trained machine has both signs"));
    }
    let starts: Vec<usize> = (0..classes).map(|c| counts[..c].iter().sum()).collect();
    let mut weights = Vec::new();
    for i in 0..classes {
        for j in i + 1..classes {
            let mut row = vec![0.0; total];
            for (own, other) in [(i, j - 1), (j, i)] {
                let range = starts[own]..starts[own] + counts[own];
                row[range.clone()].copy_from_slice(&coefficients[other * total..][range]);
            }
            weights.extend(row);
        }
    }
    let offset = finite(node, "rho")?;
    if offset.len() != pairs {
        return Err(node.form(format!("{} rho for {pairs} pairs of classes", offset.len())));
    }
    Ok(Rows { weights, offset })
}

pub(super) fn classifier(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = operand(ctx, node)?;
    let features = ctx.item_len(x);
    let labels = labels::of(node, "classlabels_ints")?;
    let classes = labels.len();
    if Post::of(node)? != Post::None {
        return Err(node.form("post_transform; supported is NONE"));
    }
    let machine = Machine::new(node, features, pairs(node, classes)?)?;
    let basis = machine.basis(ctx, node, x);
    let scores = machine.over_basis(features);
    if node.output(0).is_some() {
        let sums = scores.apply(ctx, node, basis);
        let votes = votes(ctx, node, sums, classes);
        labels::define(ctx, node, votes, labels)?;
    }
    if node.output(1).is_none() {
        return Ok(());
    }
    let spread =
        |ctx: &mut Builder, pairs: &[(f32, f32)]| scores.spread(pairs).apply(ctx, node, basis);
    let probability = (finite(node, "prob_a")?, finite(node, "prob_b")?);
    let shown = match (&probability.0[..], &probability.1[..]) {
        ([], []) if classes == 2 => scores::pair(ctx, node, Post::None, Pair::Opposite, spread),
        ([], []) => scores.apply(ctx, node, basis),
        // The probability of class 0 is 1 / (1 + exp(a·s + b)).
        (&[a], &[b]) if classes == 2 => {
            scores::pair(ctx, node, Post::Logistic, Pair::Complement, |ctx, _| {
                spread(ctx, &[(a, b)])
            })
        }
        _ => {
            return Err(node.form(
                "probabilities of more than two classes are an iteration; export the model with probability=False",
            ));
        }
    };
    scores::define(ctx, node, 1, shown)
}

/// Appends each class's wins: a positive score is one of the pair's first class, any other of its second.
fn votes(ctx: &mut Builder, node: &NodeView, sums: NodeId, classes: usize) -> NodeId {
    let (batch, pairs) = (ctx.batch(), classes * (classes - 1) / 2);
    let op = Op::AtMost(vec![0.0; pairs]);
    let lost = ctx.push(node.name(), vec![sums], vec![batch, pairs], op);
    let mut entries = Vec::new();
    // A class is the first of as many pairs as classes follow it.
    let offset = (0..classes).map(|i| (classes - 1 - i) as f32).collect();
    let mut pair = 0;
    for i in 0..classes {
        for j in i + 1..classes {
            entries.push((i as u32, pair, -1.0));
            entries.push((j as u32, pair, 1.0));
            pair += 1;
        }
    }
    scores::linear(ctx, node, lost, entries, offset)
}

pub(super) fn regressor(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = operand(ctx, node)?;
    let features = ctx.item_len(x);
    let scores = Rows {
        weights: finite(node, "coefficients")?,
        offset: finite(node, "rho")?,
    };
    if scores.offset.len() != 1 || scores.weights.is_empty() {
        return Err(node.form("it must have coefficients and one rho"));
    }
    let post = Post::of(node)?;
    let sums = if node.int("n_supports").unwrap_or(0) == 0 {
        if scores.weights.len() != features {
            return Err(node.form(format!(
                "{} coefficients for {features} features",
                scores.weights.len()
            )));
        }
        scores.apply(ctx, node, x)
    } else {
        let machine = Machine::new(node, features, scores)?;
        let basis = machine.basis(ctx, node, x);
        machine.over_basis(features).apply(ctx, node, basis)
    };
    if node.int("one_class").unwrap_or(0) != 0 {
        // 1 where the score is positive, else -1.
        let op = Op::AtMost(vec![0.0]);
        let outside = ctx.push(node.name(), vec![sums], vec![ctx.batch(), 1], op);
        let sign = ctx.affine(node, outside, -2.0, 1.0);
        return scores::define(ctx, node, 0, sign);
    }
    let shown = scores::transformed(ctx, node, sums, post)?;
    scores::define(ctx, node, 0, shown)
}
