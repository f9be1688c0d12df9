//! Steps that importers are composed of: graph nodes from graph nodes, with the shapes that follow.

use std::sync::Arc;

use tract_onnx::prelude::{DatumType, Tensor};

use super::elementwise::{affine, product, sum};
use crate::{
    graph::{Activation, Contract, Function, NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::{broadcast, for_each_index, strides},
        build::{Builder, Value, floats},
    },
};

/// Elements that an operand of a product may broadcast to.
const MAX_STRETCHED: usize = 1 << 24;

/// A tensor of numbers.
pub(super) fn constant(
    node: &NodeView,
    shape: &[usize],
    values: &[f32],
) -> Result<Value, ImportError> {
    let tensor = Tensor::from_shape(shape, values).map_err(|e| node.form(e.to_string()))?;
    Ok(Value::Constant(Arc::new(tensor)))
}

/// A tensor of one number everywhere, of the element type given.
pub(super) fn filled(
    node: &NodeView,
    shape: &[usize],
    value: f32,
    datum: DatumType,
) -> Result<Value, ImportError> {
    let values = vec![value; shape.iter().product()];
    let tensor = Tensor::from_shape(shape, &values)
        .and_then(|tensor| Ok(tensor.cast_to_dt(datum)?.into_owned()))
        .map_err(|e| node.form(e.to_string()))?;
    Ok(Value::Constant(Arc::new(tensor)))
}

/// The shape of a value.
pub(super) fn shape_of(ctx: &Builder, value: &Value) -> Vec<usize> {
    match value {
        Value::Node(id) => ctx.shape(*id).to_vec(),
        Value::Constant(tensor) => tensor.shape().to_vec(),
    }
}

/// The value as a graph node: a constant becomes an offset to nothing.
pub(super) fn lifted(
    ctx: &mut Builder,
    node: &NodeView,
    value: Value,
) -> Result<NodeId, ImportError> {
    let tensor = match value {
        Value::Node(id) => return Ok(id),
        Value::Constant(tensor) => tensor,
    };
    let shape = tensor.shape().to_vec();
    if ctx.batch() > 1 && shape.first() != Some(&ctx.batch()) {
        return Err(node.mixes_batch());
    }
    let offset = ctx.per_item(node, super::super::build::finite(node, &tensor)?)?;
    let scale = vec![1.0; offset.len()];
    let zeros = ctx.push(
        node.name(),
        Vec::new(),
        shape.clone(),
        Op::Rearrange(vec![None; offset.len()]),
    );
    Ok(ctx.push(
        node.name(),
        vec![zeros],
        shape,
        Op::Affine { scale, offset },
    ))
}

/// The same elements in another shape.
pub(super) fn reshaped(ctx: &mut Builder, node: &NodeView, x: NodeId, shape: &[usize]) -> NodeId {
    if ctx.shape(x) == shape {
        return x;
    }
    let item = ctx.shape(x).iter().product::<usize>() / ctx.batch();
    let cells = (0..item as u32).map(|i| Some((0, i))).collect();
    ctx.push(node.name(), vec![x], shape.to_vec(), Op::Rearrange(cells))
}

/// A value in another shape of as many elements.
pub(super) fn reshaped_value(
    ctx: &mut Builder,
    node: &NodeView,
    value: Value,
    shape: &[usize],
) -> Result<Value, ImportError> {
    match value {
        Value::Node(id) => Ok(Value::Node(reshaped(ctx, node, id, shape))),
        Value::Constant(tensor) => {
            let tensor = Tensor::clone(&tensor).into_shape(shape);
            let tensor = tensor.map_err(|e| node.form(format!("an operand does not fit: {e}")))?;
            Ok(Value::Constant(Arc::new(tensor)))
        }
    }
}

/// A tensor whose element at each index is that of an input at another, or zero: `source` fills the index of one
/// of the inputs and says which.
pub(super) fn picked(
    ctx: &mut Builder,
    node: &NodeView,
    inputs: Vec<NodeId>,
    shape: Vec<usize>,
    mut source: impl FnMut(&[usize], &mut Vec<usize>) -> Option<usize>,
) -> Result<NodeId, ImportError> {
    let shapes: Vec<Vec<usize>> = inputs.iter().map(|&i| ctx.shape(i).to_vec()).collect();
    let steps: Vec<Vec<usize>> = shapes.iter().map(|shape| strides(shape)).collect();
    let mut at = Vec::new();
    let mut cells = Vec::with_capacity(shape.iter().product());
    for_each_index(&shape, |index| {
        at.clear();
        cells.push(source(index, &mut at).map(|input| {
            let element: usize = at.iter().zip(&steps[input]).map(|(i, s)| i * s).sum();
            (input as u32, element as u32)
        }));
    });
    ctx.rearrange(node, inputs, shape, cells)
}

/// Elements `first..first + length` of an axis.
pub(super) fn sliced(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    axis: usize,
    first: usize,
    length: usize,
) -> Result<NodeId, ImportError> {
    let mut shape = ctx.shape(x).to_vec();
    shape[axis] = length;
    picked(ctx, node, vec![x], shape, |index, at| {
        at.extend_from_slice(index);
        at[axis] += first;
        Some(0)
    })
}

/// Tensors, one at least, one after the other along an axis.
pub(super) fn joined(
    ctx: &mut Builder,
    node: &NodeView,
    parts: Vec<NodeId>,
    axis: usize,
) -> Result<NodeId, ImportError> {
    let mut shape = ctx.shape(parts[0]).to_vec();
    let mut lengths = Vec::with_capacity(parts.len());
    for &part in &parts {
        let own = ctx.shape(part);
        let fits = own.len() == shape.len()
            && axis < own.len()
            && (0..own.len()).all(|a| a == axis || own[a] == shape[a]);
        if !fits {
            return Err(node.form(format!(
                "tensors of shapes {shape:?} and {own:?} do not join"
            )));
        }
        lengths.push(own[axis]);
    }
    shape[axis] = lengths.iter().sum();
    picked(ctx, node, parts, shape, |index, at| {
        let (mut part, mut place) = (0, index[axis]);
        while place >= lengths[part] {
            place -= lengths[part];
            part += 1;
        }
        at.extend_from_slice(index);
        at[axis] = place;
        Some(part)
    })
}

/// Sum or difference with a computed or constant tensor.
pub(super) fn plus(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    other: Value,
) -> Result<NodeId, ImportError> {
    match other {
        Value::Node(y) => sum(ctx, node, x, y, false),
        Value::Constant(c) => affine(ctx, node, x, &c, |c| (1.0, c)),
    }
}

/// Difference of two values, at least one of them computed.
pub(super) fn minus(
    ctx: &mut Builder,
    node: &NodeView,
    a: Value,
    b: Value,
) -> Result<NodeId, ImportError> {
    match (a, b) {
        (Value::Node(a), Value::Node(b)) => sum(ctx, node, a, b, true),
        (Value::Node(x), Value::Constant(c)) => affine(ctx, node, x, &c, |c| (1.0, -c)),
        (Value::Constant(c), Value::Node(x)) => affine(ctx, node, x, &c, |c| (-1.0, c)),
        (Value::Constant(_), Value::Constant(_)) => Err(node.form("both operands are constants")),
    }
}

/// Product with a computed or constant tensor.
pub(super) fn times(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    other: Value,
) -> Result<NodeId, ImportError> {
    match other {
        Value::Node(y) => product(ctx, node, x, y, |g| g),
        Value::Constant(c) => affine(ctx, node, x, &c, |c| (c, 0.0)),
    }
}

/// A function of several functions of one tensor is one function of it; else nothing.
pub(super) fn merged_sum(
    ctx: &mut Builder,
    node: &NodeView,
    a: NodeId,
    b: NodeId,
) -> Option<NodeId> {
    let (root, f, g) = ctx.common_argument(a, b)?;
    let shape = ctx.shape(a).to_vec();
    if ctx.shape(root) != shape || ctx.shape(b) != shape {
        return None;
    }
    let op = Op::Activation(Activation::Composed(Arc::new(Function::Sum(f, g))));
    Some(ctx.push(node.name(), vec![root], shape, op))
}

/// `[.., rows, inner]` times `[.., columns, inner]`, the leading axes broadcast: `[.., rows, columns]`.
pub(super) fn contracted(
    ctx: &mut Builder,
    node: &NodeView,
    a: NodeId,
    b: NodeId,
) -> Result<NodeId, ImportError> {
    let (from_a, from_b) = (ctx.shape(a).to_vec(), ctx.shape(b).to_vec());
    let ([lead_a @ .., rows, inner], [lead_b @ .., columns, other]) = (&from_a[..], &from_b[..])
    else {
        return Err(node.form("its operands are no matrices"));
    };
    if inner != other {
        return Err(node.form(format!(
            "matrices of shapes {from_a:?} and {from_b:?} do not multiply"
        )));
    }
    let lead = super::elementwise::joint_shape(node, lead_a, lead_b)?;
    let widest = lead.iter().product::<usize>() * rows.max(columns) * inner;
    if widest > MAX_STRETCHED {
        return Err(node.form(format!(
            "its operands broadcast to {widest} elements, more than {MAX_STRETCHED}"
        )));
    }
    let stretch = |ctx: &mut Builder, x, last: [usize; 2]| {
        let shape = [&lead[..], &last].concat();
        super::elementwise::expand(ctx, node, x, &shape)
    };
    let a = stretch(ctx, a, [*rows, *inner])?;
    let b = stretch(ctx, b, [*columns, *inner])?;
    let groups = lead.iter().product::<usize>();
    if !groups.is_multiple_of(ctx.batch()) {
        return Err(node.mixes_batch());
    }
    let sizes = Contract {
        groups: groups / ctx.batch(),
        rows: *rows,
        columns: *columns,
        inner: *inner,
    };
    let shape = [&lead[..], &[*rows, *columns]].concat();
    Ok(ctx.push(node.name(), vec![a, b], shape, Op::Contract(sizes)))
}

/// The elements of a constant, broadcast to a shape.
pub(super) fn spread(
    node: &NodeView,
    tensor: &Tensor,
    shape: &[usize],
) -> Result<Vec<f32>, ImportError> {
    let values = floats(node, tensor)?;
    let map = broadcast(tensor.shape(), shape).ok_or_else(|| {
        node.form(format!(
            "a constant of shape {:?} does not broadcast to {shape:?}",
            tensor.shape()
        ))
    })?;
    Ok(map.into_iter().map(|i| values[i]).collect())
}
