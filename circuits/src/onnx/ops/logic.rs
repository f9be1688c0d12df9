//! Comparisons and logic: truth values are 0 and 1, each operator one table over a difference or a sum.

use tract_onnx::prelude::DatumType;

use super::compose::{filled, merged_sum, minus, plus, shape_of, times};
use crate::{
    graph::{Activation, NodeId},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value},
    },
};

/// Beyond every argument.
const ALL: f32 = f32::INFINITY;

fn indicator(lo: f32, hi: f32, inside: bool) -> Activation {
    Activation::Indicator { lo, hi, inside }
}

/// Less, Greater, Equal and their kin: a table of `a - b`, which jumps at 0, of whole numbers between them.
pub(super) fn compare(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let whole = ctx.is_whole(node, 0) && ctx.is_whole(node, 1);
    let half = if whole { 0.5 } else { 0.0 };
    let f = match node.op().as_str() {
        "Less" => indicator(-half, ALL, false),
        "LessOrEqual" => indicator(-ALL, half, true),
        "Greater" => indicator(-ALL, half, false),
        "GreaterOrEqual" => indicator(-half, ALL, true),
        _ => indicator(-half, half, true),
    };
    let (a, b) = (ctx.value(node, 0)?, ctx.value(node, 1)?);
    let difference = minus(ctx, node, a, b)?;
    truth(ctx, node, difference, f)
}

/// Names a table of `x` after the node.
fn truth(ctx: &mut Builder, node: &NodeView, x: NodeId, f: Activation) -> Result<(), ImportError> {
    let id = ctx.activation(node, x, f);
    ctx.set_datum(node, 0, DatumType::Bool);
    ctx.assign(node, Value::Node(id))
}

/// And, Or, Xor: a table of `a + b`.
pub(super) fn connect(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let f = match node.op().as_str() {
        "And" => indicator(1.5, ALL, true),
        "Or" => indicator(0.5, ALL, true),
        _ => indicator(0.5, 1.5, true),
    };
    let sum = match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(x), other) | (other, Value::Node(x)) => plus(ctx, node, x, other)?,
        _ => return Err(node.form("both operands are constants")),
    };
    truth(ctx, node, sum, f)
}

pub(super) fn not(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    truth(ctx, node, x, indicator(0.5, ALL, false))
}

/// IsNaN and IsInf: what a circuit computes is finite.
pub(super) fn never(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let value = filled(node, ctx.shape(x), 0.0, DatumType::Bool)?;
    ctx.assign(node, value)
}

/// Where by a computed condition: `b + condition · (a - b)`.
pub(super) fn choose(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let condition = ctx.node(node, 0)?;
    let (a, b) = (ctx.value(node, 1)?, ctx.value(node, 2)?);
    let id = match (&a, &b) {
        (Value::Constant(first), Value::Constant(second)) => {
            let shape = super::elementwise::joint_shape(node, first.shape(), second.shape())?;
            let first = super::compose::spread(node, first, &shape)?;
            let second = super::compose::spread(node, second, &shape)?;
            let step: Vec<f32> = first.iter().zip(&second).map(|(a, b)| a - b).collect();
            let step = super::compose::constant(node, &shape, &step)?;
            let scaled = times(ctx, node, condition, step)?;
            plus(ctx, node, scaled, b)?
        }
        _ => {
            let difference = minus(ctx, node, a, b.clone())?;
            let step = times(ctx, node, condition, Value::Node(difference))?;
            let merged = match b {
                Value::Node(b) if shape_of(ctx, &Value::Node(step)) == ctx.shape(b) => {
                    merged_sum(ctx, node, step, b)
                }
                _ => None,
            };
            match merged {
                Some(id) => id,
                None => plus(ctx, node, step, b)?,
            }
        }
    };
    ctx.assign(node, Value::Node(id))
}

/// Cast and CastLike. Between floats, and from integers and truth values, nothing changes; to truth values what is
/// not 0 is 1; to integers fractions are cut off.
pub(super) fn cast(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    use tract_onnx::pb::tensor_proto::DataType;
    let to = match node.op().as_str() {
        "CastLike" => ctx.datum(node, 1),
        _ => node
            .int("to")
            .and_then(|to| i32::try_from(to).ok())
            .and_then(|to| DataType::try_from(to).ok())
            .and_then(|to| DatumType::try_from(to).ok()),
    };
    let to = to.filter(|to| (to.is_number() && !to.is_quantized()) || *to == DatumType::Bool);
    let to = to.ok_or_else(|| {
        node.form("its type is not supported; supported are Float, Double, Float16, the integers and Bool")
    })?;
    let x = match ctx.value(node, 0)? {
        Value::Node(x) => x,
        Value::Constant(tensor) => {
            let tensor = tensor
                .cast_to_dt(to)
                .map_err(|e| node.form(e.to_string()))?;
            let tensor = std::sync::Arc::new(tensor.into_owned());
            return ctx.assign(node, Value::Constant(tensor));
        }
    };
    let id = match ctx.is_whole(node, 0) || ctx.is_index(x) || to.is_float() {
        true if to != DatumType::Bool => x,
        _ if to == DatumType::Bool => {
            let half = if ctx.is_whole(node, 0) { 0.5 } else { 0.0 };
            ctx.activation(node, x, indicator(-half, half, false))
        }
        _ => ctx.activation(node, x, Activation::Trunc),
    };
    ctx.set_datum(node, 0, to);
    ctx.assign(node, Value::Node(id))
}
