//! Operators that pick elements by constant indices: Slice, Split, Gather, Expand, Tile, DepthToSpace and their kin.

use crate::{
    graph::NodeId,
    onnx::{
        ImportError,
        attributes::NodeView,
        broadcast::{for_each_index, strides},
        build::{Builder, Value, integers},
    },
};

/// Appends a tensor whose element at an index is the input's at another, or zero.
fn moved(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    shape: Vec<usize>,
    mut source: impl FnMut(&[usize], &mut [usize]) -> bool,
) -> Result<NodeId, ImportError> {
    let steps = strides(ctx.shape(x));
    let mut from = vec![0; steps.len()];
    let mut cells = Vec::with_capacity(shape.iter().product());
    for_each_index(&shape, |index| {
        let there = source(index, &mut from);
        let element: usize = from.iter().zip(&steps).map(|(i, s)| i * s).sum();
        cells.push(there.then_some((0, element as u32)));
    });
    ctx.rearrange(node, vec![x], shape, cells)
}

/// [`moved`], as the ONNX node's first output of its inferred shape.
fn define(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    source: impl FnMut(&[usize], &mut [usize]) -> bool,
) -> Result<(), ImportError> {
    let shape = ctx.output_shape(node, 0)?;
    let id = moved(ctx, node, x, shape, source)?;
    ctx.assign(node, Value::Node(id))
}

/// Starts, ends, axes and steps are attributes up to opset 9, operands from 10.
pub(super) fn slice(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let list = |i: usize, name: &str, role| -> Result<Option<Vec<i64>>, ImportError> {
        match (node.ints(name), ctx.optional(node, i, role)?) {
            (Some(list), _) => Ok(Some(list.to_vec())),
            (None, Some(tensor)) => Ok(Some(integers(node, &tensor)?)),
            (None, None) => Ok(None),
        }
    };
    let missing = || node.form("its starts or ends are missing");
    let starts = list(1, "starts", "the starts")?.ok_or_else(missing)?;
    let ends = list(2, "ends", "the ends")?.ok_or_else(missing)?;
    let count = starts.len();
    let axes = list(3, "axes", "the axes")?.unwrap_or_else(|| (0..count as i64).collect());
    let steps = list(4, "steps", "the steps")?.unwrap_or_else(|| vec![1; count]);
    if [ends.len(), axes.len(), steps.len()] != [count; 3] {
        return Err(node.form("its starts, ends, axes and steps differ in number"));
    }
    let mut first = vec![0i64; from.len()];
    let mut stride = vec![1i64; from.len()];
    let mut shape = from.clone();
    for i in 0..count {
        let axis = node.axis(axes[i], from.len())?;
        let (size, step) = (from[axis] as i64, steps[i]);
        if step == 0 {
            return Err(node.form("a step is 0"));
        }
        let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let place = |v: i64| {
            let v = if v < 0 { v.saturating_add(size) } else { v };
            v.clamp(least, most)
        };
        let (start, end) = (place(starts[i]), place(ends[i]));
        let span = if step > 0 { end - start } else { start - end };
        shape[axis] = (span.max(0) as u64).div_ceil(step.unsigned_abs()) as usize;
        (first[axis], stride[axis]) = (start, step);
    }
    if shape != ctx.output_shape(node, 0)? {
        return Err(node.form(format!("its output {shape:?} contradicts the inferred one")));
    }
    define(ctx, node, x, |index, from| {
        for (axis, &i) in index.iter().enumerate() {
            from[axis] = (first[axis] + i as i64 * stride[axis]) as usize;
        }
        true
    })
}

/// The lengths are those of the inferred output shapes.
pub(super) fn split(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let axis = node.axis(node.int("axis").unwrap_or(0), from.len())?;
    let mut first = 0;
    for i in 0..node.output_count() {
        let shape = ctx.output_shape(node, i)?;
        let fits = shape.len() == from.len()
            && (0..from.len()).all(|a| a == axis || shape[a] == from[a])
            && first + shape[axis] <= from[axis];
        if !fits {
            return Err(node.form(format!("output {i} of {shape:?} is no part of {from:?}")));
        }
        let length = shape[axis];
        if node.output(i).is_some() {
            let id = moved(ctx, node, x, shape, |index, from| {
                from.copy_from_slice(index);
                from[axis] += first;
                true
            })?;
            ctx.assign_output(node, i, Value::Node(id))?;
        }
        first += length;
    }
    Ok(())
}

/// The constant indices of operand 1 as places of an axis, and their shape.
fn indices(
    ctx: &Builder,
    node: &NodeView,
    size: usize,
) -> Result<(Vec<usize>, Vec<usize>), ImportError> {
    let tensor = ctx.constant(node, 1, "the indices")?;
    let places = integers(node, &tensor)?
        .into_iter()
        .map(|i| {
            let place = if i < 0 {
                i.saturating_add(size as i64)
            } else {
                i
            };
            usize::try_from(place)
                .ok()
                .filter(|&p| p < size)
                .ok_or_else(|| node.form(format!("index {i} lies outside an axis of {size}")))
        })
        .collect::<Result<_, _>>()?;
    Ok((places, tensor.shape().to_vec()))
}

pub(super) fn gather(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    if let (Value::Constant(table), Value::Node(index)) = (ctx.value(node, 0)?, ctx.value(node, 1)?)
    {
        return super::embedding::embed(ctx, node, &table, index);
    }
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let axis = node.axis(node.int("axis").unwrap_or(0), from.len())?;
    let (places, shape) = indices(ctx, node, from[axis])?;
    let steps = strides(&shape);
    let rank = shape.len();
    let out = [&from[..axis], &shape, &from[axis + 1..]].concat();
    if out != ctx.output_shape(node, 0)? {
        return Err(node.form(format!("its output {out:?} contradicts the inferred one")));
    }
    define(ctx, node, x, |index, from| {
        let at: usize = index[axis..axis + rank]
            .iter()
            .zip(&steps)
            .map(|(i, s)| i * s)
            .sum();
        from[..axis].copy_from_slice(&index[..axis]);
        from[axis] = places[at];
        from[axis + 1..].copy_from_slice(&index[axis + rank..]);
        true
    })
}

pub(super) fn gather_elements(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let axis = node.axis(node.int("axis").unwrap_or(0), from.len())?;
    let (places, shape) = indices(ctx, node, from[axis])?;
    let fits = shape.len() == from.len()
        && (0..from.len()).all(|a| a == axis || shape[a] <= from[a])
        && shape == ctx.output_shape(node, 0)?;
    if !fits {
        return Err(node.form(format!("indices of shape {shape:?} do not fit {from:?}")));
    }
    let mut places = places.into_iter();
    define(ctx, node, x, |index, from| {
        from.copy_from_slice(index);
        from[axis] = places.next().unwrap_or(0);
        true
    })
}

pub(super) fn expand(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let shape = ctx.output_shape(node, 0)?;
    let lead = shape.len().checked_sub(ctx.shape(x).len());
    let from = ctx.shape(x).to_vec();
    let lead = lead
        .filter(|&lead| {
            from.iter()
                .zip(&shape[lead..])
                .all(|(&f, &s)| f == s || f == 1)
        })
        .ok_or_else(|| node.form(format!("shape {from:?} does not expand to {shape:?}")))?;
    define(ctx, node, x, |index, at| {
        for (axis, &size) in from.iter().enumerate() {
            at[axis] = index[lead + axis] % size;
        }
        true
    })
}

pub(super) fn tile(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let shape = ctx.output_shape(node, 0)?;
    if shape.len() != from.len() || shape.iter().zip(&from).any(|(s, f)| s % f != 0) {
        return Err(node.form(format!("shape {from:?} does not tile {shape:?}")));
    }
    define(ctx, node, x, |index, at| {
        for (axis, &size) in from.iter().enumerate() {
            at[axis] = index[axis] % size;
        }
        true
    })
}

/// The image `[n, c, h, w]` and the block size; `depth` and `space` must be multiples of the block.
fn blocks(ctx: &Builder, node: &NodeView) -> Result<(NodeId, [usize; 4], usize), ImportError> {
    let x = ctx.node(node, 0)?;
    let block = node.int("blocksize").and_then(|b| usize::try_from(b).ok());
    match (ctx.shape(x), block) {
        (&[n, c, h, w], Some(block)) if block > 0 && block < 1 << 16 => {
            Ok((x, [n, c, h, w], block))
        }
        (shape, _) => Err(node.form(format!(
            "input of shape {shape:?} with blocks of {block:?}: four axes and a positive size are expected"
        ))),
    }
}

pub(super) fn depth_to_space(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let (x, [n, c, h, w], block) = blocks(ctx, node)?;
    let depth = c / (block * block);
    if depth * block * block != c {
        return Err(node.form(format!("{c} channels are not blocks of {block} by {block}")));
    }
    let row_first = match node.string("mode").as_deref() {
        None | Some("DCR" | "") => false,
        Some("CRD") => true,
        Some(other) => {
            return Err(node.form(format!("mode {other}; supported are DCR and CRD")));
        }
    };
    let id = moved(
        ctx,
        node,
        x,
        vec![n, depth, h * block, w * block],
        |index, from| {
            let place = index[2] % block * block + index[3] % block;
            let channel = if row_first {
                index[1] * block * block + place
            } else {
                place * depth + index[1]
            };
            from.copy_from_slice(&[index[0], channel, index[2] / block, index[3] / block]);
            true
        },
    )?;
    ctx.assign(node, Value::Node(id))
}

pub(super) fn space_to_depth(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let (x, [n, c, h, w], block) = blocks(ctx, node)?;
    if h % block != 0 || w % block != 0 {
        return Err(node.form(format!("{h} by {w} is not in blocks of {block}")));
    }
    let shape = vec![n, c * block * block, h / block, w / block];
    let id = moved(ctx, node, x, shape, |index, from| {
        let (place, channel) = (index[1] / c, index[1] % c);
        let (y, x) = (place / block, place % block);
        from.copy_from_slice(&[
            index[0],
            channel,
            index[2] * block + y,
            index[3] * block + x,
        ]);
        true
    })?;
    ctx.assign(node, Value::Node(id))
}

/// Keeps a triangle of the last two axes.
pub(super) fn trilu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let rank = ctx.shape(x).len();
    if rank < 2 {
        return Err(node.form("its input has no two axes"));
    }
    let upper = node.int("upper").unwrap_or(1) != 0;
    let diagonal = match ctx.optional(node, 1, "the diagonal")? {
        Some(tensor) => integers(node, &tensor)?.first().copied().unwrap_or(0),
        None => 0,
    };
    define(ctx, node, x, |index, from| {
        from.copy_from_slice(index);
        let right = index[rank - 1] as i64 - index[rank - 2] as i64;
        if upper {
            right >= diagonal
        } else {
            right <= diagonal
        }
    })
}
