//! ArgMax over all elements of an item, as an output; over other axes, or where it is computed with, see `selection.rs`.

use std::collections::HashSet;

use tract_onnx::pb::NodeProto;

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
    let is_whole_item = classes == Some(shape.iter().product::<usize>() / ctx.batch());
    if !is_whole_item
        || node
            .output(0)
            .is_some_and(|name| ctx.is_computed_with(name))
    {
        return super::selection::index(ctx, node);
    }
    let last = node.int("select_last_index") == Some(1);
    let shape = ctx.output_shape(node, 0)?;
    ctx.define(node, input, shape, Op::ArgMax { last })
}

/// Operators that hand an index on as it is.
const PASS: &[&str] = &[
    "Cast",
    "CastLike",
    "Flatten",
    "Identity",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "ai.onnx.ml.ZipMap",
];
/// Operators that make a label of an index, or look at its shape alone.
const LABEL: &[&str] = &[
    "Shape",
    "Size",
    "ai.onnx.ml.ArrayFeatureExtractor",
    "ai.onnx.ml.LabelEncoder",
];

/// The tensors that some node computes with, at once or after they were handed on; as an index these need bits.
pub(in crate::onnx) fn computed_with(nodes: &[NodeProto]) -> HashSet<String> {
    let mut found: HashSet<String> = HashSet::new();
    for proto in nodes.iter().rev() {
        let node = NodeView::new(proto);
        let op = node.op();
        let hands_on = PASS.contains(&op.as_str());
        if LABEL.contains(&op.as_str())
            || (hands_on && !node.outputs().any(|name| found.contains(name)))
        {
            continue;
        }
        let read = if hands_on { 1 } else { proto.input.len() };
        found.extend(proto.input.iter().take(read).cloned());
    }
    found
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
