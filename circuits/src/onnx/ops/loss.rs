//! NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss with constant labels: a linear map of the scores.

use super::softmax;
use crate::{
    graph::NodeId,
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::strides,
        build::{Builder, Value, finite, integers},
    },
};

pub(super) fn negative_log_likelihood(
    ctx: &mut Builder,
    node: &NodeView,
) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let id = loss(ctx, node, x)?;
    ctx.assign(node, Value::Node(id))
}

pub(super) fn cross_entropy(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let log = softmax::over(ctx, node, x, &[1], true)?;
    if node.output(1).is_some() {
        ctx.assign_output(node, 1, Value::Node(log))?;
    }
    let id = loss(ctx, node, log)?;
    ctx.assign(node, Value::Node(id))
}

/// `-weight · x` at each label; all of them, their sum, or their mean by weight.
fn loss(ctx: &mut Builder, node: &NodeView, x: NodeId) -> Result<NodeId, ImportError> {
    let shape = ctx.shape(x).to_vec();
    let target = ctx.constant(node, 1, "the labels")?;
    let &[items, classes, ref rest @ ..] = shape.as_slice() else {
        return Err(node.form(format!("its input {shape:?} has no classes")));
    };
    let places: usize = rest.iter().product();
    let labels = integers(node, &target)?;
    let weights = match ctx.optional(node, 2, "the weights")? {
        Some(weights) => finite(node, &weights)?,
        None => vec![1.0; classes],
    };
    if labels.len() != items * places || weights.len() != classes {
        return Err(node.form("its labels or weights do not fit its input"));
    }
    let ignored = node.int("ignore_index");
    let step = strides(&shape)[1];
    let mut taps = Vec::with_capacity(labels.len());
    let mut total = 0.0;
    for (i, &label) in labels.iter().enumerate() {
        if Some(label) == ignored {
            taps.push(Vec::new());
            continue;
        }
        let class = usize::try_from(label).ok().filter(|&c| c < classes);
        let class = class.ok_or_else(|| node.form(format!("label {label} is no class")))?;
        let at = i / places * classes * step + class * step + i % places;
        total += weights[class];
        taps.push(vec![(at, -weights[class])]);
    }
    let reduction = node.string("reduction").unwrap_or_else(|| "mean".into());
    match reduction.as_str() {
        "none" => ctx.linear_map(node, x, target.shape().to_vec(), taps),
        "sum" | "mean" => {
            let divisor = if reduction == "sum" { 1.0 } else { total };
            if divisor == 0.0 {
                return Err(node.form("the weights of its labels add up to 0"));
            }
            let all = taps.into_iter().flatten();
            let all = all.map(|(at, w)| (at, w / divisor)).collect();
            ctx.linear_map(node, x, Vec::new(), vec![all])
        }
        other => Err(node.form(format!(
            "reduction {other}; supported are none, sum and mean"
        ))),
    }
}
