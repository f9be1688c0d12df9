//! What stands between the features and a model.

use super::{labels, linear::finite};
use crate::{
    graph::{Activation, NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, integers},
        ops,
    },
};

/// `(x - offset) · scale`, one of each a feature, or one for all.
pub(super) fn scaler(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let (item, features) = (ctx.item_len(x), shape.last().copied().unwrap_or(1));
    let list = |name: &str, default: f32| -> Result<Vec<f32>, ImportError> {
        let values = finite(node, name)?;
        match values.len() {
            0 => Ok(vec![default; features]),
            1 => Ok(vec![values[0]; features]),
            n if n == features => Ok(values),
            n => Err(node.form(format!(
                "attribute {name} has {n} entries for {features} features"
            ))),
        }
    };
    let (scale, offset) = (list("scale", 1.0)?, list("offset", 0.0)?);
    let summand = |i: usize| (-f64::from(offset[i]) * f64::from(scale[i])) as f32;
    let op = Op::Affine {
        scale: (0..item).map(|i| scale[i % features]).collect(),
        offset: (0..item).map(|i| summand(i % features)).collect(),
    };
    ctx.define(node, x, shape, op)
}

/// Divides each row by its norm.
pub(super) fn normalizer(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = super::linear::operand(ctx, node)?;
    let norm = node.string("norm").unwrap_or_default();
    if norm == "L1" && ctx.is_shares(x) {
        // Shares add up to 1 already.
        return ctx.assign(node, Value::Node(x));
    }
    let (core, before, after) = match norm.as_str() {
        "MAX" | "" => (ops::Core::Max, None, Activation::Reciprocal),
        "L1" => (
            ops::Core::Sum,
            Some(Activation::Abs),
            Activation::Reciprocal,
        ),
        "L2" => (
            ops::Core::Sum,
            Some(Activation::Power { exponent: 2.0 }),
            Activation::Power { exponent: -0.5 },
        ),
        other => {
            return Err(node.form(format!("norm {other}; supported are MAX, L1 and L2")));
        }
    };
    let sizes = match before {
        Some(f) => ctx.activation(node, x, f),
        None => x,
    };
    let (shape, one) = (ctx.shape(x).to_vec(), vec![ctx.batch(), 1]);
    let whole = ops::reduced(ctx, node, sizes, &[1], core, one)?;
    let share = ctx.activation(node, whole, after);
    let share = ops::broadcast_to(ctx, node, share, &shape)?;
    let id = ctx.push(node.name(), vec![x, share], shape, Op::Mul);
    ctx.assign(node, Value::Node(id))
}

/// 1 above the threshold, else 0.
pub(super) fn binarizer(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let threshold = node.float("threshold").unwrap_or(0.0);
    if threshold.is_nan() {
        return Err(node.form("its threshold is NaN"));
    }
    let (shape, item) = (ctx.shape(x).to_vec(), ctx.item_len(x));
    let op = Op::AtMost(vec![threshold; item]);
    let below = ctx.push(node.name(), vec![x], shape, op);
    let id = ctx.affine(node, below, -1.0, 1.0);
    ctx.assign(node, Value::Node(id))
}

/// Inputs are finite, so that nothing is missing.
pub(super) fn imputer(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    match node.float("replaced_value_float") {
        Some(value) if value.is_nan() => ctx.assign(node, Value::Node(x)),
        value => Err(node.form(format!(
            "replaced_value_float {value:?}; supported is NaN, which no input can be: impute before"
        ))),
    }
}

/// Joins rows.
pub(super) fn feature_vectorizer(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let count = node.inputs().len();
    let inputs = (0..count)
        .map(|i| ctx.node(node, i))
        .collect::<Result<Vec<NodeId>, _>>()?;
    let mut cells = Vec::new();
    for (i, &input) in inputs.iter().enumerate() {
        cells.extend((0..ctx.item_len(input)).map(|e| Some((i as u32, e as u32))));
    }
    let shape = vec![ctx.batch(), cells.len()];
    let id = ctx.push(node.name(), inputs, shape, Op::Rearrange(cells));
    ctx.assign(node, Value::Node(id))
}

/// Columns of a row by constant indices; or of a constant list, by the index that an ArgMax found.
pub(super) fn array_feature_extractor(
    ctx: &mut Builder,
    node: &NodeView,
) -> Result<(), ImportError> {
    match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(x), Value::Constant(indices)) => {
            let &[batch, columns] = ctx.shape(x) else {
                return Err(node.form(format!(
                    "its operand has shape {:?}, expected [batch, columns]",
                    ctx.shape(x)
                )));
            };
            let cells = integers(node, &indices)?
                .into_iter()
                .map(|i| {
                    let at = u32::try_from(i).ok().filter(|&i| (i as usize) < columns);
                    at.map(|at| Some((0, at))).ok_or_else(|| {
                        node.form(format!("index {i} lies outside {columns} columns"))
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            if cells.is_empty() || batch != ctx.batch() {
                return Err(node.mixes_batch());
            }
            let shape = vec![batch, cells.len()];
            let id = ctx.push(node.name(), vec![x], shape, Op::Rearrange(cells));
            ctx.assign(node, Value::Node(id))
        }
        (Value::Constant(list), Value::Node(index)) => {
            let labels = integers(node, &list)?;
            let shape = vec![1, ctx.batch()];
            labels::look_up(ctx, node, index, &labels, shape)
        }
        _ => Err(node.not_constant("the array or the indices")),
    }
}
