//! What must hold of a decoded model before anything else reads it: every name made once, lists of bounded length, tensors
//! that hold what they say, attributes within reach.

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::{ImportError, attributes::NodeView, parse::check_size};

/// Nodes, inputs, outputs and initializers that a graph may have of each.
pub(super) const MAX_NODES: usize = 20_000;
/// Axes that a tensor may have.
pub(super) const MAX_RANK: usize = 32;
/// Greatest size, stride, pad or repetition that an attribute may name.
const MAX_SIZE: i64 = 1 << 20;

/// Attributes that name axes.
const AXES: &[&str] = &[
    "axes",
    "axis",
    "batch_axis",
    "batch_dims",
    "perm",
    "time_axis",
];
/// Attributes that are sizes.
const SIZES: &[&str] = &[
    "blocksize",
    "depth",
    "dilations",
    "group",
    "hidden_size",
    "kernel_shape",
    "kv_num_heads",
    "num_groups",
    "num_heads",
    "num_outputs",
    "output_padding",
    "output_shape",
    "pads",
    "q_num_heads",
    "repeats",
    "rotary_embedding_dim",
    "shape",
    "size",
    "split",
    "strides",
    "tiles",
];

/// Checks a graph as it stands in the file.
pub(super) fn check(graph: &GraphProto) -> Result<(), ImportError> {
    let parse = |reason: String| ImportError::Parse { reason };
    for (what, count) in [
        ("nodes", graph.node.len()),
        ("inputs", graph.input.len()),
        ("outputs", graph.output.len()),
        ("initializers", graph.initializer.len()),
    ] {
        if count > MAX_NODES {
            return Err(parse(format!(
                "the graph has {count} {what}, more than {MAX_NODES}"
            )));
        }
    }
    check_names(graph)?;
    for tensor in &graph.initializer {
        check_tensor(tensor)?;
    }
    for node in &graph.node {
        check_attributes(node)?;
    }
    Ok(())
}

/// What reads a name must not have a choice. An initializer may stand for an input's default.
fn check_names(graph: &GraphProto) -> Result<(), ImportError> {
    let once = |seen: &mut HashSet<_>, what, name| {
        if seen.insert(name) {
            Ok(())
        } else {
            let reason = format!("{what} `{name}` is there twice");
            Err(ImportError::Parse { reason })
        }
    };
    let mut inputs: HashSet<&str> = HashSet::new();
    for input in &graph.input {
        once(&mut inputs, "input", input.name.as_str())?;
    }
    let mut made: HashSet<&str> = HashSet::new();
    for tensor in &graph.initializer {
        once(&mut made, "initializer", tensor.name.as_str())?;
    }
    made.extend(inputs);
    for node in &graph.node {
        for name in NodeView::new(node).outputs() {
            once(&mut made, "tensor", name)?;
        }
    }
    let mut outputs: HashSet<&str> = HashSet::new();
    for output in &graph.output {
        once(&mut outputs, "output", output.name.as_str())?;
    }
    Ok(())
}

/// Checks a tensor of the file before anything is allocated for it.
fn check_tensor(tensor: &TensorProto) -> Result<(), ImportError> {
    let failed = |reason: String| ImportError::Parse {
        reason: format!("tensor `{}` {reason}", tensor.name),
    };
    let dims = &tensor.dims;
    if dims.len() > MAX_RANK {
        let rank = dims.len();
        return Err(failed(format!("has {rank} axes, more than {MAX_RANK}")));
    }
    let elements = dims.iter().try_fold(1u128, |product, &d| {
        product.checked_mul(u128::try_from(d).ok()?)
    });
    let elements = elements.ok_or_else(|| failed(format!("has impossible dimensions {dims:?}")))?;
    check_size(&tensor.name, elements)?;
    if !tensor.external_data.is_empty() {
        return Err(failed(
            "is stored outside the file; save the model as one file".into(),
        ));
    }
    let Some(size) = element_size(tensor.data_type) else {
        return Ok(());
    };
    // Elements stand as bytes, or in one of the lists.
    let lists = [
        tensor.float_data.len(),
        tensor.int32_data.len(),
        tensor.int64_data.len(),
        tensor.double_data.len(),
        tensor.uint64_data.len(),
    ];
    let (held, expected) = match tensor.raw_data.len() {
        0 => (lists.into_iter().max().unwrap_or(0), elements),
        bytes => (bytes, elements * size),
    };
    if held as u128 != expected {
        return Err(failed(format!(
            "has dimensions {dims:?} and other than {elements} elements; export the model again"
        )));
    }
    Ok(())
}

/// Bytes of an element, where all elements have as many.
fn element_size(data_type: i32) -> Option<u128> {
    Some(match DataType::try_from(data_type).ok()? {
        DataType::Bool | DataType::Int8 | DataType::Uint8 => 1,
        DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 2,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        _ => return None,
    })
}

fn check_attributes(proto: &NodeProto) -> Result<(), ImportError> {
    let node = NodeView::new(proto);
    for attribute in &proto.attribute {
        for tensor in attribute.t.iter().chain(&attribute.tensors) {
            check_tensor(tensor)?;
        }
        let name = attribute.name.as_str();
        let limit = if AXES.contains(&name) {
            MAX_RANK as i64
        } else if SIZES.contains(&name) {
            MAX_SIZE
        } else {
            continue;
        };
        let mut values = attribute.ints.iter().chain([&attribute.i]);
        if let Some(value) = values.find(|v| v.unsigned_abs() > limit as u64) {
            return Err(node.form(format!(
                "attribute {name} is {value}, out of reach (±{limit})"
            )));
        }
    }
    Ok(())
}
