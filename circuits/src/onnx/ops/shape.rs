//! Operators that only move elements: Reshape and its kin, Transpose, Concat, Pad, Identity, Dropout.

use std::sync::Arc;

use tract_onnx::prelude::{DatumType, Tensor};

use crate::{
    graph::{NodeId, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::{for_each_index, strides},
        build::{Builder, Value, finite, floats, integers},
    },
};

/// Reshape, Flatten, Squeeze, Unsqueeze: the same elements in the same order.
pub(super) fn reshape(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    match ctx.value(node, 0)? {
        Value::Constant(tensor) => {
            let shape = ctx.output_shape(node, 0)?;
            let reshaped = Tensor::clone(&tensor).into_shape(&shape);
            let reshaped = reshaped
                .map_err(|e| node.form(format!("it does not reshape its constant: {e}")))?;
            ctx.assign(node, Value::Constant(Arc::new(reshaped)))
        }
        Value::Node(input) => {
            let shape = ctx.output_shape(node, 0)?;
            let item = ctx.shape(input).iter().product::<usize>() / ctx.batch();
            if item * ctx.batch() != shape.iter().product::<usize>() {
                return Err(node.form(format!(
                    "shape {shape:?} does not hold all elements of {:?}",
                    ctx.shape(input)
                )));
            }
            let cells = (0..item as u32).map(|i| Some((0, i))).collect();
            ctx.define(node, input, shape, Op::Rearrange(cells))
        }
    }
}

pub(super) fn transpose(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let value = ctx.value(node, 0)?;
    let from = match &value {
        Value::Node(id) => ctx.shape(*id).to_vec(),
        Value::Constant(tensor) => tensor.shape().to_vec(),
    };
    let perm: Vec<usize> = match node.ints("perm") {
        None => (0..from.len()).rev().collect(),
        Some(_) => node.sizes("perm", from.len(), 0)?,
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..from.len()) {
        return Err(node.form(format!(
            "perm {perm:?} is not a permutation of {} axes",
            from.len()
        )));
    }
    match value {
        Value::Node(id) => {
            let id = permuted(ctx, node, id, &perm)?;
            ctx.assign(node, Value::Node(id))
        }
        Value::Constant(tensor) => {
            let (shape, order) = permutation(&from, &perm);
            let values = floats(node, &tensor)?;
            let moved: Vec<f32> = order.into_iter().map(|i| values[i]).collect();
            let tensor =
                Tensor::from_shape(&shape, &moved).map_err(|e| node.form(e.to_string()))?;
            ctx.assign(node, Value::Constant(Arc::new(tensor)))
        }
    }
}

/// The shape with permuted axes, and the element that stands at each place of it.
fn permutation(from: &[usize], perm: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let shape: Vec<usize> = perm.iter().map(|&axis| from[axis]).collect();
    let steps = strides(from);
    let steps: Vec<usize> = perm.iter().map(|&axis| steps[axis]).collect();
    let mut order = Vec::with_capacity(from.iter().product());
    for_each_index(&shape, |index| {
        order.push(index.iter().zip(&steps).map(|(i, s)| i * s).sum())
    });
    (shape, order)
}

/// Appends a permutation of axes.
pub(super) fn permuted(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    perm: &[usize],
) -> Result<NodeId, ImportError> {
    if perm.iter().copied().eq(0..perm.len()) {
        return Ok(x);
    }
    let (shape, order) = permutation(ctx.shape(x), perm);
    let cells = order.into_iter().map(|i| Some((0, i as u32))).collect();
    ctx.rearrange(node, vec![x], shape, cells)
}

/// Joins tensors; a constant part other than zero becomes a tensor of its own.
pub(super) fn concat(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let values = (0..node.inputs().len()).map(|i| ctx.value(node, i));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let id = joined(ctx, node, values)?;
    ctx.assign(node, Value::Node(id))
}

/// Joins values along the node's axis.
pub(in crate::onnx) fn joined(
    ctx: &mut Builder,
    node: &NodeView,
    values: Vec<Value>,
) -> Result<NodeId, ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    let axis = node
        .int("axis")
        .ok_or_else(|| node.form("attribute axis is missing"))?;
    let axis = node.axis(axis, shape.len())?;
    let mut inputs = Vec::new();
    let mut parts = Vec::new();
    for (i, value) in values.into_iter().enumerate() {
        let (part, input) = match value {
            Value::Node(id) => {
                inputs.push(id);
                (ctx.shape(id).to_vec(), Some(inputs.len() as u32 - 1))
            }
            Value::Constant(tensor) if finite(node, &tensor)?.iter().all(|&v| v == 0.0) => {
                (tensor.shape().to_vec(), None)
            }
            constant => {
                let id = super::compose::lifted(ctx, node, constant)?;
                inputs.push(id);
                (ctx.shape(id).to_vec(), Some(inputs.len() as u32 - 1))
            }
        };
        let fits =
            part.len() == shape.len() && (0..shape.len()).all(|a| a == axis || part[a] == shape[a]);
        if !fits {
            return Err(node.form(format!(
                "operand {i} of shape {part:?} does not fit into {shape:?}"
            )));
        }
        parts.push((part, input));
    }
    if parts.iter().map(|(part, _)| part[axis]).sum::<usize>() != shape[axis] {
        return Err(node.form(format!("its operands do not add up to {shape:?}")));
    }
    let outer: usize = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    let mut cells = Vec::with_capacity(shape.iter().product());
    for o in 0..outer {
        for (part, input) in &parts {
            let run = part[axis] * inner;
            cells.extend((0..run).map(|i| input.map(|input| (input, (o * run + i) as u32))));
        }
    }
    ctx.rearrange(node, inputs, shape, cells)
}

/// Elements of a padded tensor.
const MAX_PADDED: usize = 1 << 28;

/// Where padding takes its elements from.
#[derive(Clone, Copy)]
enum Padding {
    Constant,
    Reflect,
    Edge,
}

impl Padding {
    /// The element of an axis of `size` that stands at place `at`, which may lie outside it.
    fn source(self, at: i64, size: i64) -> Option<usize> {
        let at = match self {
            Padding::Constant => at,
            Padding::Edge => at.clamp(0, size - 1),
            // One reflection at each end; more padding than elements is refused.
            Padding::Reflect if at < 0 => -at,
            Padding::Reflect if at >= size => 2 * (size - 1) - at,
            Padding::Reflect => at,
        };
        usize::try_from(at).ok().filter(|&i| (i as i64) < size)
    }
}

/// Pads with a constant or with elements; negative pads crop.
pub(super) fn pad(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let input = ctx.node(node, 0)?;
    let from = ctx.shape(input).to_vec();
    let rank = from.len();
    let mode = match node.string("mode").as_deref() {
        None | Some("constant" | "") => Padding::Constant,
        Some("reflect") => Padding::Reflect,
        Some("edge") => Padding::Edge,
        Some(other) => {
            return Err(node.form(format!(
                "mode {other} is not supported; use constant, reflect or edge"
            )));
        }
    };
    let pads = match (node.ints("pads"), ctx.optional(node, 1, "the pads")?) {
        (Some(pads), _) => pads.to_vec(),
        (None, Some(tensor)) => integers(node, &tensor)?,
        (None, None) => return Err(node.form("its pads are missing")),
    };
    let value = match ctx.optional(node, 2, "the padding value")? {
        Some(tensor) => floats(node, &tensor)?.first().copied().unwrap_or(0.0),
        None => node.float("value").unwrap_or(0.0),
    };
    if !value.is_finite() {
        return Err(node.form(format!(
            "padding value {value} is not finite; MaxPool pads by itself"
        )));
    }
    let axes: Vec<usize> = match ctx.optional(node, 3, "the axes")? {
        None => (0..rank).collect(),
        Some(tensor) => integers(node, &tensor)?
            .into_iter()
            .map(|axis| node.axis(axis, rank))
            .collect::<Result<_, _>>()?,
    };
    if pads.len() != 2 * axes.len() {
        return Err(node.form(format!(
            "{} pads do not fit {} axes",
            pads.len(),
            axes.len()
        )));
    }
    let mut before = vec![0; rank];
    let mut shape = from.clone();
    for (i, &axis) in axes.iter().enumerate() {
        let (start, end, size) = (pads[i], pads[axes.len() + i], from[axis] as i64);
        before[axis] = start;
        let length = start.saturating_add(end).saturating_add(size);
        shape[axis] = usize::try_from(length)
            .ok()
            .filter(|&length| length > 0 && length < 1 << 24)
            .ok_or_else(|| node.form(format!("pads {pads:?} do not fit {from:?}")))?;
        if matches!(mode, Padding::Reflect) && start.max(end) >= size {
            return Err(node.form(format!("pads {pads:?} reflect more than the input holds")));
        }
    }
    let steps = strides(&from);
    if shape.iter().product::<usize>() > MAX_PADDED {
        return Err(node.form(format!(
            "pads {pads:?} make more than {MAX_PADDED} elements"
        )));
    }
    let mut cells = Vec::with_capacity(shape.iter().product());
    for_each_index(&shape, |index| {
        let element = (0..rank).try_fold(0, |at, axis| {
            let i = mode.source(index[axis] as i64 - before[axis], from[axis] as i64)?;
            Some(at + i * steps[axis])
        });
        cells.push(element.map(|e| (0, e as u32)));
    });
    let padding: Vec<f32> = cells
        .iter()
        .map(|cell| if cell.is_none() { value } else { 0.0 })
        .collect();
    let mut id = ctx.rearrange(node, vec![input], shape.clone(), cells)?;
    if padding.iter().any(|&v| v != 0.0) {
        let offset = ctx.per_item(node, padding)?;
        let scale = vec![1.0; offset.len()];
        id = ctx.push(node.name(), vec![id], shape, Op::Affine { scale, offset });
    }
    ctx.assign(node, Value::Node(id))
}

pub(super) fn identity(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let value = ctx.value(node, 0)?;
    ctx.assign(node, value)
}

/// Dropout at inference passes its input through.
pub(super) fn dropout(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let training = match ctx.optional(node, 2, "the training flag")? {
        Some(flag) => integers(node, &flag)?.iter().any(|&t| t != 0),
        None => false,
    };
    if training {
        return Err(node.form("it is in training mode; export the model in evaluation mode"));
    }
    if node.output(1).is_some() {
        let shape = super::compose::shape_of(ctx, &ctx.value(node, 0)?);
        let kept = super::compose::filled(node, &shape, 1.0, DatumType::Bool)?;
        ctx.assign_output(node, 1, kept)?;
    }
    identity(ctx, node)
}

/// Constants are folded before any importer runs; one that is left could not be read.
pub(super) fn constant(_: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    Err(node.form("its value could not be read; only numeric dense tensors are supported"))
}
