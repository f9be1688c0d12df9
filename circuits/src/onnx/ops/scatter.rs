//! Elements written to constant places: ScatterElements, ScatterND, and reads of the same kind.

use super::{
    compose::{lifted, picked, plus, reshaped, times},
    elementwise::sum,
};
use crate::{
    graph::{Activation, Cell, NodeId},
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::{for_each_index, strides},
        build::{Builder, Value, finite, integers},
    },
};

/// A constant index as a place of an axis.
fn place(node: &NodeView, index: i64, size: usize) -> Result<usize, ImportError> {
    let at = if index < 0 {
        index.saturating_add(size as i64)
    } else {
        index
    };
    usize::try_from(at)
        .ok()
        .filter(|&at| at < size)
        .ok_or_else(|| node.form(format!("index {index} lies outside an axis of {size}")))
}

/// What an update does to the element it meets.
#[derive(Clone, Copy, PartialEq)]
enum Reduction {
    Replace,
    Add,
    Mul,
    Max,
    Min,
}

impl Reduction {
    fn new(node: &NodeView) -> Result<Reduction, ImportError> {
        Ok(match node.string("reduction").as_deref() {
            None | Some("none" | "") => Reduction::Replace,
            Some("add") => Reduction::Add,
            Some("mul") => Reduction::Mul,
            Some("max") => Reduction::Max,
            Some("min") => Reduction::Min,
            Some(other) => {
                return Err(node.form(format!(
                    "reduction {other}; supported are none, add, mul, max and min"
                )));
            }
        })
    }

    fn apply(
        self,
        ctx: &mut Builder,
        node: &NodeView,
        old: NodeId,
        new: NodeId,
    ) -> Result<NodeId, ImportError> {
        match self {
            Reduction::Replace => Ok(new),
            Reduction::Add => plus(ctx, node, old, Value::Node(new)),
            Reduction::Mul => times(ctx, node, old, Value::Node(new)),
            Reduction::Max | Reduction::Min => {
                let (a, b) = if self == Reduction::Max {
                    (new, old)
                } else {
                    (old, new)
                };
                // max = old + relu(new - old), min = old - relu(old - new)
                let over = sum(ctx, node, a, b, true)?;
                let over = ctx.activation(node, over, Activation::RELU);
                sum(ctx, node, old, over, self == Reduction::Min)
            }
        }
    }
}

/// Writes element `i` of the updates to `targets[i]` of the data. Updates of one target follow each other.
fn write(
    ctx: &mut Builder,
    node: &NodeView,
    data: NodeId,
    updates: NodeId,
    targets: &[usize],
) -> Result<NodeId, ImportError> {
    let reduction = Reduction::new(node)?;
    let shape = ctx.shape(data).to_vec();
    let elements: usize = shape.iter().product();
    let mut rest: Vec<usize> = (0..targets.len()).collect();
    let mut data = data;
    while !rest.is_empty() {
        // One update a target; later ones wait for the next round.
        let mut taken = vec![false; elements];
        let (now, later): (Vec<usize>, Vec<usize>) = rest
            .into_iter()
            .partition(|&i| !std::mem::replace(&mut taken[targets[i]], true));
        rest = later;
        let line = |of: Vec<u32>| -> Vec<Cell> { of.into_iter().map(|e| Some((0, e))).collect() };
        let old = line(now.iter().map(|&i| targets[i] as u32).collect());
        let new = line(now.iter().map(|&i| i as u32).collect());
        let count = vec![now.len()];
        let new = ctx.rearrange(node, vec![updates], count.clone(), new)?;
        let joint = if reduction == Reduction::Replace {
            new
        } else {
            let old = ctx.rearrange(node, vec![data], count, old)?;
            reduction.apply(ctx, node, old, new)?
        };
        let mut cells: Vec<Cell> = (0..elements as u32).map(|e| Some((0, e))).collect();
        for (at, &i) in now.iter().enumerate() {
            cells[targets[i]] = Some((1, at as u32));
        }
        data = ctx.rearrange(node, vec![data, joint], shape.clone(), cells)?;
    }
    Ok(data)
}

/// Data and updates; a constant among them becomes a tensor of its own.
fn operands(ctx: &mut Builder, node: &NodeView) -> Result<(NodeId, NodeId), ImportError> {
    if ctx.batch() > 1 {
        return Err(node.form("it is supported in batches of one; pass --batch 1"));
    }
    let (data, updates) = (ctx.value(node, 0)?, ctx.value(node, 2)?);
    Ok((lifted(ctx, node, data)?, lifted(ctx, node, updates)?))
}

/// ScatterElements, and Scatter as it was called.
pub(super) fn elements(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let indices = ctx.constant(node, 1, "the indices")?;
    let (data, updates) = operands(ctx, node)?;
    let shape = ctx.shape(data).to_vec();
    let axis = node.axis(node.int("axis").unwrap_or(0), shape.len())?;
    if indices.shape() != ctx.shape(updates) || indices.shape().len() != shape.len() {
        return Err(node.form("indices and updates differ in shape"));
    }
    let steps = strides(&shape);
    let values = integers(node, &indices)?;
    let mut targets = Vec::with_capacity(values.len());
    let mut fault = None;
    for_each_index(indices.shape(), |index| {
        let mut at = index.to_vec();
        match place(node, values[targets.len()], shape[axis]) {
            Ok(there) => at[axis] = there,
            Err(error) => fault = Some(error),
        }
        if at.iter().zip(&shape).any(|(i, s)| i >= s) {
            fault = Some(node.form("its indices reach beyond the data"));
        }
        targets.push(at.iter().zip(&steps).map(|(i, s)| i * s).sum());
    });
    if let Some(error) = fault {
        return Err(error);
    }
    let id = write(ctx, node, data, updates, &targets)?;
    ctx.assign(node, Value::Node(id))
}

/// The first elements of the slices that the last axis of constant indices names, and the slices' length.
fn slices(
    node: &NodeView,
    indices: &tract_onnx::prelude::Tensor,
    shape: &[usize],
    batch_axes: usize,
) -> Result<(Vec<usize>, usize), ImportError> {
    let depth = indices.shape().last().copied().unwrap_or(0);
    let fits = depth > 0
        && batch_axes + depth <= shape.len()
        && indices.shape().len() > batch_axes
        && indices.shape()[..batch_axes] == shape[..batch_axes];
    if !fits {
        return Err(node.form(format!(
            "indices of shape {:?} do not fit {shape:?}",
            indices.shape()
        )));
    }
    let steps = strides(shape);
    let values = integers(node, indices)?;
    let each: usize = indices.shape()[batch_axes..].iter().product::<usize>() / depth;
    let items: usize = shape[..batch_axes].iter().product();
    let item = shape.iter().product::<usize>() / items;
    let mut starts = Vec::with_capacity(values.len() / depth);
    for (at, index) in values.chunks_exact(depth).enumerate() {
        let mut start = at / each * item;
        for (axis, &i) in index.iter().enumerate() {
            let axis = batch_axes + axis;
            start += place(node, i, shape[axis])? * steps[axis];
        }
        starts.push(start);
    }
    Ok((starts, shape[batch_axes + depth..].iter().product()))
}

pub(super) fn nd(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let indices = ctx.constant(node, 1, "the indices")?;
    let (data, updates) = operands(ctx, node)?;
    let shape = ctx.shape(data).to_vec();
    let (starts, length) = slices(node, &indices, &shape, 0)?;
    let targets: Vec<usize> = starts.iter().flat_map(|&s| s..s + length).collect();
    if targets.len() != ctx.shape(updates).iter().product::<usize>() {
        return Err(node.form("its updates do not fit its indices"));
    }
    let id = write(ctx, node, data, updates, &targets)?;
    ctx.assign(node, Value::Node(id))
}

pub(super) fn gather_nd(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let indices = ctx.constant(node, 1, "the indices")?;
    let shape = ctx.shape(x).to_vec();
    let batch_axes = usize::try_from(node.int("batch_dims").unwrap_or(0)).unwrap_or(usize::MAX);
    if batch_axes >= shape.len() {
        return Err(node.form("attribute batch_dims is too large"));
    }
    let (starts, length) = slices(node, &indices, &shape, batch_axes)?;
    let depth = indices.shape().last().copied().unwrap_or(0);
    let lead = &indices.shape()[..indices.shape().len() - 1];
    let out = [lead, &shape[batch_axes + depth..]].concat();
    let cells = starts.iter().flat_map(|&s| s..s + length);
    let cells = cells.map(|e| Some((0, e as u32))).collect();
    let id = ctx.rearrange(node, vec![x], out, cells)?;
    ctx.assign(node, Value::Node(id))
}

/// TensorScatter: the update's slices written along the last axis but one of a cache.
pub(super) fn cache(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let (data, update) = (ctx.value(node, 0)?, ctx.value(node, 1)?);
    let (data, update) = (lifted(ctx, node, data)?, lifted(ctx, node, update)?);
    let shape = ctx.shape(data).to_vec();
    let axis = node.axis(node.int("axis").unwrap_or(-2), shape.len())?;
    let new = ctx.shape(update);
    let fits = new.len() == shape.len() && (0..new.len()).all(|a| a == axis || new[a] == shape[a]);
    if !fits {
        return Err(node.form(format!("an update of shape {new:?} does not fit {shape:?}")));
    }
    let items = shape[0];
    let firsts = match ctx.optional(node, 2, "the write indices")? {
        Some(indices) => integers(node, &indices)?,
        None => vec![0; items],
    };
    let circular = node.string("mode").as_deref() == Some("circular");
    let (size, count) = (shape[axis], ctx.shape(update)[axis]);
    if firsts.len() != items || axis == 0 || count > size {
        return Err(node.form("its write indices do not fit the cache"));
    }
    let id = picked(ctx, node, vec![data, update], shape, |index, at| {
        at.extend_from_slice(index);
        let first = firsts[index[0]];
        let mut offset = index[axis] as i64 - first;
        if circular {
            offset = offset.rem_euclid(size as i64);
        }
        match usize::try_from(offset) {
            Ok(offset) if offset < count => {
                at[axis] = offset;
                Some(1)
            }
            _ => Some(0),
        }
    })?;
    ctx.assign(node, Value::Node(id))
}

/// ReverseSequence: the first elements of each sequence, their number constant, in reverse.
pub(super) fn reverse(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let lengths = integers(node, &*ctx.constant(node, 1, "the lengths")?)?;
    let batch_axis = node.axis(node.int("batch_axis").unwrap_or(1), shape.len())?;
    let time_axis = node.axis(node.int("time_axis").unwrap_or(0), shape.len())?;
    let fits = |&l: &i64| usize::try_from(l).is_ok_and(|l| l <= shape[time_axis]);
    if lengths.len() != shape[batch_axis] || !lengths.iter().all(fits) {
        return Err(node.form("its lengths do not fit its sequences"));
    }
    let id = picked(ctx, node, vec![x], shape, |index, at| {
        at.extend_from_slice(index);
        let length = lengths[index[batch_axis]] as usize;
        if index[time_axis] < length {
            at[time_axis] = length - 1 - index[time_axis];
        }
        Some(0)
    })?;
    ctx.assign(node, Value::Node(id))
}

/// CenterCropPad: crops and pads with zeros, as much on both sides.
pub(super) fn center(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let sizes = integers(node, &*ctx.constant(node, 1, "the shape")?)?;
    let axes = match node.ints("axes") {
        Some(axes) => axes.to_vec(),
        None => (0..from.len() as i64).collect(),
    };
    if axes.len() != sizes.len() {
        return Err(node.form("its shape and axes differ in number"));
    }
    let mut shape = from.clone();
    for (&axis, &size) in axes.iter().zip(&sizes) {
        let size = usize::try_from(size).ok().filter(|&s| s > 0 && s < 1 << 24);
        shape[node.axis(axis, from.len())?] =
            size.ok_or_else(|| node.form(format!("its shape {sizes:?} is not of sizes")))?;
    }
    let (to, source) = (shape.clone(), from.clone());
    let id = picked(ctx, node, vec![x], shape, |index, at| {
        for (axis, &i) in index.iter().enumerate() {
            let i = i as i64;
            let (size, wanted) = (source[axis] as i64, to[axis] as i64);
            let i = if wanted <= size {
                i + (size - wanted) / 2
            } else {
                i - (wanted - size) / 2
            };
            at.push(usize::try_from(i).ok().filter(|&i| i < source[axis])?);
        }
        Some(0)
    })?;
    ctx.assign(node, Value::Node(id))
}

/// MaxUnpool with constant indices.
pub(super) fn unpool(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let indices = ctx.constant(node, 1, "the indices")?;
    let from = ctx.shape(x).to_vec();
    let rank = from.len();
    if rank < 3 || indices.shape() != from {
        return Err(node.form("its indices do not fit its input"));
    }
    let kernel = node.sizes("kernel_shape", rank - 2, 1)?;
    let stride = node.sizes("strides", rank - 2, 1)?;
    let pads = node.sizes("pads", 2 * (rank - 2), 0)?;
    // The indices are those of the shape without an explicit output shape.
    let mut inner = from.clone();
    for (axis, size) in inner[2..].iter_mut().enumerate() {
        let whole = (*size - 1) * stride[axis] + kernel[axis];
        *size = whole.saturating_sub(pads[axis] + pads[axis + rank - 2]);
    }
    if inner.contains(&0) {
        return Err(node.form("its pads leave nothing"));
    }
    let shape = match ctx.optional(node, 2, "the output shape")? {
        Some(given) => integers(node, &given)?
            .into_iter()
            .map(|s| usize::try_from(s).ok().filter(|&s| s > 0 && s < 1 << 24))
            .collect::<Option<Vec<_>>>()
            .filter(|s| s.len() == rank)
            .ok_or_else(|| node.form("its output shape is not of sizes"))?,
        None => inner.clone(),
    };
    let (inner_steps, steps) = (strides(&inner), strides(&shape));
    let mut cells: Vec<Cell> = vec![None; shape.iter().product()];
    for (element, value) in integers(node, &indices)?.into_iter().enumerate() {
        let at = usize::try_from(value).ok().and_then(|mut value| {
            let mut at = 0;
            for ((&inner_step, &step), &size) in inner_steps.iter().zip(&steps).zip(&shape) {
                let i = value / inner_step;
                value %= inner_step;
                if i >= size {
                    return None;
                }
                at += i * step;
            }
            Some(at)
        });
        let at = at.ok_or_else(|| node.form(format!("index {value} lies outside {shape:?}")))?;
        cells[at] = Some((0, element as u32));
    }
    let id = ctx.rearrange(node, vec![x], shape, cells)?;
    ctx.assign(node, Value::Node(id))
}

/// EyeLike: a constant that only the operand's shape says.
pub(super) fn eye(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    use tract_onnx::{pb::tensor_proto::DataType, prelude::DatumType};
    let x = ctx.node(node, 0)?;
    let shape = ctx.shape(x).to_vec();
    let &[_, columns] = shape.as_slice() else {
        return Err(node.form(format!("its operand {shape:?} is no matrix")));
    };
    let k = node.int("k").unwrap_or(0);
    let values: Vec<f32> = (0..shape.iter().product::<usize>())
        .map(|i| f32::from((i % columns) as i64 - (i / columns) as i64 == k))
        .collect();
    let given = node.int("dtype").and_then(|t| i32::try_from(t).ok());
    let given = given.and_then(|t| DataType::try_from(t).ok());
    let datum = given.and_then(|t| DatumType::try_from(t).ok());
    let datum = datum.or_else(|| ctx.datum(node, 0));
    let value = super::compose::constant(node, &shape, &values)?;
    if let (Some(datum), Value::Constant(tensor)) = (datum, &value) {
        let tensor = tensor
            .cast_to_dt(datum)
            .map_err(|e| node.form(e.to_string()))?;
        let tensor = std::sync::Arc::new(tensor.into_owned());
        return ctx.assign(node, Value::Constant(tensor));
    }
    ctx.assign(node, value)
}

/// Upsample: nearest or linear, by constant scales; the operator before Resize.
pub(super) fn upsample(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let scales = finite(node, &*ctx.constant(node, 1, "the scales")?)?;
    let whole = |s: &f32| *s >= 1.0 && s.fract() == 0.0 && *s < 256.0;
    if scales.len() != from.len() || !scales.iter().all(whole) {
        return Err(node.form(format!("scales {scales:?}: whole numbers are supported")));
    }
    if !matches!(node.string("mode").as_deref(), None | Some("nearest" | "")) {
        return Err(node.form("only mode nearest is supported; use Resize"));
    }
    let shape = from.iter().zip(&scales).map(|(f, s)| f * *s as usize);
    let shape: Vec<usize> = shape.collect();
    let id = picked(ctx, node, vec![x], shape.clone(), |index, at| {
        at.extend(index.iter().zip(&scales).map(|(i, s)| i / *s as usize));
        Some(0)
    })?;
    let id = reshaped(ctx, node, id, &shape);
    ctx.assign(node, Value::Node(id))
}
