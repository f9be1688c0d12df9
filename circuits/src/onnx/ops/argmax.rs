//! ArgMax over all elements of an item, as an output; over other axes see `selection.rs`.

use crate::{
    graph::{Graph, Op},
    onnx::{ImportError, attributes::NodeView, build::Builder},
};

pub(super) fn argmax(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let input = ctx.node(node, 0)?;
    let shape = ctx.shape(input).to_vec();
    let axis = node.int("axis").unwrap_or(0);
    let axis = if axis < 0 {
        axis + shape.len() as i64
    } else {
        axis
    };
    let classes = usize::try_from(axis)
        .ok()
        .and_then(|axis| shape.get(axis).copied());
    if classes != Some(shape.iter().product::<usize>() / ctx.batch()) {
        return super::selection::index(ctx, node);
    }
    let last = node.int("select_last_index") == Some(1);
    let shape = ctx.output_shape(node, 0)?;
    ctx.define(node, input, shape, Op::ArgMax { last })
}

/// An index or label is an output and nothing else: no operator may compute with it, except to reshape it.
pub(in crate::onnx) fn check_argmax(graph: &Graph) -> Result<(), ImportError> {
    let is_index = |id: usize| matches!(graph.nodes[id].op, Op::ArgMax { .. } | Op::Label(_));
    for node in &graph.nodes {
        if let Some(&index) = node.inputs.iter().find(|&&i| is_index(i)) {
            if matches!(node.op, Op::Rearrange(_)) && node.inputs.len() == 1 {
                continue;
            }
            return Err(ImportError::Form {
                node: graph.nodes[index].name.clone(),
                op: "ArgMax".into(),
                reason: format!(
                    "its index or label is read by `{}`; it is supported as an output only",
                    node.name
                ),
            });
        }
    }
    Ok(())
}
