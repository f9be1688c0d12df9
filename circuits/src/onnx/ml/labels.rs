//! Class labels: integers as they are, strings as their index among the classes.

use crate::{
    graph::{NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value},
    },
};

/// Most classes: their pairs are compared.
const MAX_CLASSES: usize = 128;

/// Labels stay within ±2^30.
const MAX_LABEL: u64 = 1 << 30;

/// The labels of a classifier's attributes.
pub(super) fn of(node: &NodeView, integers: &str) -> Result<Vec<i32>, ImportError> {
    let labels = match (node.ints(integers), node.strings("classlabels_strings")) {
        (Some(labels), _) if !labels.is_empty() => labels.to_vec(),
        (_, Some(labels)) => (0..labels.len() as i64).collect(),
        _ => return Err(node.form("it has no class labels")),
    };
    checked(node, &labels)
}

/// Labels that the circuit can hold.
fn checked(node: &NodeView, labels: &[i64]) -> Result<Vec<i32>, ImportError> {
    if !(2..=MAX_CLASSES).contains(&labels.len()) {
        return Err(node.form(format!(
            "it has {} classes; supported are 2 to {MAX_CLASSES}",
            labels.len()
        )));
    }
    let narrow = |&label: &i64| {
        i32::try_from(label)
            .ok()
            .filter(|_| label.unsigned_abs() <= MAX_LABEL)
            .ok_or_else(|| {
                node.form(format!(
                    "label {label} lies outside ±2^30; renumber the classes"
                ))
            })
    };
    labels.iter().map(narrow).collect()
}

/// Appends the label of the greatest score, as the ONNX node's first output.
pub(super) fn define(
    ctx: &mut Builder,
    node: &NodeView,
    scores: NodeId,
    labels: Vec<i32>,
) -> Result<(), ImportError> {
    if node.output(0).is_none() {
        return Ok(());
    }
    let batch = ctx.batch();
    let id = ctx.push(node.name(), vec![scores], vec![batch], Op::Label(labels));
    ctx.assign(node, Value::Node(id))
}

/// Replaces the index that an ArgMax found by an entry of a list.
pub(super) fn look_up(
    ctx: &mut Builder,
    node: &NodeView,
    index: NodeId,
    labels: &[i64],
    shape: Vec<usize>,
) -> Result<(), ImportError> {
    let (scores, last) = ctx
        .argmax_of(index)
        .ok_or_else(|| node.form("its indices are computed by something else than ArgMax"))?;
    let classes = ctx.item_len(scores);
    if last || classes > labels.len() {
        return Err(node.form(format!(
            "{} labels for {classes} classes, and the first of equals must win",
            labels.len()
        )));
    }
    let labels = checked(node, &labels[..classes])?;
    ctx.define(node, scores, shape, Op::Label(labels))
}

/// Class labels to numbers: of integers, or of strings, which are indices here already.
pub(super) fn label_encoder(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let Some((scores, labels)) = ctx.label_of(x) else {
        return Err(node.form("it encodes something else than a classifier's label"));
    };
    let keys = node.ints("keys_int64s");
    let values = node.ints("values_int64s");
    let (Some(keys), Some(values)) = (keys, values) else {
        return Err(node.form("keys and values must be int64; labels of strings stay indices"));
    };
    let default = node.int("default_int64").unwrap_or(-1);
    let encode = |&label: &i32| {
        let at = keys.iter().position(|&key| key == i64::from(label));
        at.and_then(|at| values.get(at).copied()).unwrap_or(default)
    };
    let encoded: Vec<i64> = labels.iter().map(encode).collect();
    let labels = checked(node, &encoded)?;
    let shape = ctx.shape(x).to_vec();
    ctx.define(node, scores, shape, Op::Label(labels))
}

/// A map from label to score is its scores.
pub(super) fn zip_map(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    ctx.assign(node, Value::Node(x))
}
