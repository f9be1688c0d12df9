//! LinearClassifier and LinearRegressor.

use super::{
    labels,
    scores::{self, Pair, Post},
};
use crate::{
    graph::{NodeId, Op},
    onnx::{ImportError, attributes::NodeView, build::Builder},
};

/// Scores that are linear in the features: `[scores][features]` and one summand a score.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) weights: Vec<f32>,
    pub(super) offset: Vec<f32>,
}

impl Rows {
    /// Appends the scores of features. A scaling in front of them joins the weights, so that it rounds nothing.
    pub(super) fn apply(&self, ctx: &mut Builder, node: &NodeView, x: NodeId) -> NodeId {
        let (features, count) = (ctx.item_len(x), self.offset.len());
        let scaling = ctx.scaling(x);
        let (x, scale, shift) = match scaling {
            Some((inner, scale, shift)) => (inner, scale, shift),
            None => (x, vec![1.0; features], vec![0.0; features]),
        };
        let mut weights = vec![0.0; features * count];
        let mut offset = Vec::with_capacity(count);
        for (score, row) in self.weights.chunks_exact(features).enumerate() {
            let mut sum = f64::from(self.offset[score]);
            for (feature, &weight) in row.iter().enumerate() {
                let weight = f64::from(weight);
                weights[feature * count + score] = (weight * f64::from(scale[feature])) as f32;
                sum += weight * f64::from(shift[feature]);
            }
            offset.push(sum as f32);
        }
        let shape = vec![ctx.batch(), count];
        let op = Op::MatMul {
            rows: 1,
            k: features,
            n: count,
            weights,
        };
        let sums = ctx.push(node.name(), vec![x], shape.clone(), op);
        let scale = vec![1.0; count];
        ctx.push(node.name(), vec![sums], shape, Op::Affine { scale, offset })
    }

    /// `factor · s + summand` of the one score `s`, for each of `pairs`.
    pub(super) fn spread(&self, pairs: &[(f32, f32)]) -> Rows {
        let weights = pairs
            .iter()
            .flat_map(|(factor, _)| self.weights.iter().map(move |w| factor * w));
        let offset = pairs
            .iter()
            .map(|(factor, summand)| factor * self.offset[0] + summand);
        Rows {
            weights: weights.collect(),
            offset: offset.collect(),
        }
    }
}

/// The operand: features of a batch item in one row.
pub(super) fn operand(ctx: &Builder, node: &NodeView) -> Result<NodeId, ImportError> {
    let x = ctx.node(node, 0)?;
    match ctx.shape(x) {
        &[batch, _] if batch == ctx.batch() => Ok(x),
        shape => Err(node.form(format!(
            "its features have shape {shape:?}, expected [batch, features]"
        ))),
    }
}

/// The coefficients of a linear model over `features`.
fn coefficients(node: &NodeView, features: usize) -> Result<Rows, ImportError> {
    let weights = finite(node, "coefficients")?;
    let offset = finite(node, "intercepts")?;
    let count = weights.len() / features;
    if count == 0 || count * features != weights.len() {
        return Err(node.form(format!(
            "{} coefficients for {features} features",
            weights.len()
        )));
    }
    if !offset.is_empty() && offset.len() != count {
        return Err(node.form(format!("{} intercepts for {count} rows", offset.len())));
    }
    let offset = if offset.is_empty() {
        vec![0.0; count]
    } else {
        offset
    };
    Ok(Rows { weights, offset })
}

/// A list of finite numbers, empty where the attribute is missing.
pub(super) fn finite(node: &NodeView, name: &str) -> Result<Vec<f32>, ImportError> {
    let values = node.floats(name).unwrap_or_default();
    if values.iter().any(|v| !v.is_finite()) {
        return Err(node.form(format!(
            "attribute {name} holds a number that is not finite"
        )));
    }
    Ok(values.to_vec())
}

pub(super) fn classifier(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = operand(ctx, node)?;
    let features = ctx.item_len(x);
    let labels = labels::of(node, "classlabels_ints")?;
    let post = Post::of(node)?;
    let rows = coefficients(node, features)?;
    let (count, classes) = (rows.offset.len(), labels.len());
    if count == 1 && classes == 2 {
        let against = rows.spread(&[(0.0, 0.0), (1.0, 0.0)]).apply(ctx, node, x);
        labels::define(ctx, node, against, labels)?;
        if node.output(1).is_some() {
            let shown = scores::pair(ctx, node, post, Pair::Complement, |ctx, pairs| {
                rows.spread(pairs).apply(ctx, node, x)
            });
            scores::define(ctx, node, 1, shown)?;
        }
        return Ok(());
    }
    if count != classes {
        return Err(node.form(format!(
            "{count} rows of coefficients for {classes} classes"
        )));
    }
    let labelled = rows.apply(ctx, node, x);
    labels::define(ctx, node, labelled, labels)?;
    if node.output(1).is_some() {
        let shown = rows.apply(ctx, node, x);
        let shown = scores::transformed(ctx, node, shown, post)?;
        scores::define(ctx, node, 1, shown)?;
    }
    Ok(())
}

pub(super) fn regressor(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = operand(ctx, node)?;
    let rows = coefficients(node, ctx.item_len(x))?;
    let targets = node.int("targets").unwrap_or(1);
    if usize::try_from(targets) != Ok(rows.offset.len()) {
        return Err(node.form(format!(
            "{} rows of coefficients for {targets} targets",
            rows.offset.len()
        )));
    }
    let sums = rows.apply(ctx, node, x);
    let shown = scores::transformed(ctx, node, sums, Post::of(node)?)?;
    scores::define(ctx, node, 0, shown)
}
