//! How large the tensors of a model get, before `tract` infers and folds the model as a whole.
//!
//! Nodes are looked at in order. Each is inferred first with its data hidden, so that its shape is known and nothing is
//! computed; only where that is in bounds, and all operands are constants, it is folded.

use std::collections::HashMap;

use tract_onnx::{
    pb::{ModelProto, NodeProto},
    prelude::Tensor,
};

use super::{
    ImportError,
    attributes::NodeView,
    checks::MAX_RANK,
    parse::{self, Fact, Input, MAX_ELEMENTS, check_size},
};

/// Elements that all tensors which depend on the input may have together.
const MAX_ALL: u128 = 1 << 26;
/// Elements that all folded constants may have together, or four for each element of the file's own.
const MAX_FOLDED: u128 = 1 << 24;
/// Rows of activations that a layout may have, and the lanes of the widest profile.
const ROWS: u128 = crate::layout::MAX_OWN_ROWS as u128;
const LANES: u128 = 8;

/// Operators whose first operand says how large the result is.
const SIZED_BY_FIRST: &[&str] = &[
    "BlackmanWindow",
    "ConstantOfShape",
    "HammingWindow",
    "HannWindow",
    "Range",
];
/// Operators with an operand behind the first that says how large the result is.
const SIZED: &[&str] = &[
    "AffineGrid",
    "CenterCropPad",
    "Col2Im",
    "Expand",
    "MaxUnpool",
    "OneHot",
    "Pad",
    "Reshape",
    "Resize",
    "Tile",
    "Upsample",
];
/// Operators with axes in an operand.
const WITH_AXES: &[&str] = &[
    "CumProd",
    "CumSum",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Squeeze",
    "Unsqueeze",
];

/// Refuses a model with a tensor beyond the limits, or with too many of them.
pub(super) fn check(model: &ModelProto, inputs: &[Input]) -> Result<(), ImportError> {
    let graph = parse::graph(model)?;
    let mut facts = parse::constants(model)?;
    let own = facts.values().map(elements).sum::<u128>();
    let (mut all, mut folded) = (0, 0);
    for input in inputs {
        check_rows(input)?;
        let fact = Fact {
            shape: Some(input.shape.clone()),
            datum: Some(input.datum),
            value: None,
        };
        all += elements(&fact);
        facts.insert(input.name.clone(), fact);
    }
    let opset = parse::opset(model);
    for proto in &graph.node {
        let found = node(opset, proto, &facts)?;
        for (name, fact) in found {
            let (sum, limit) = if fact.value.is_some() {
                (&mut folded, MAX_FOLDED.max(4 * own))
            } else {
                (&mut all, MAX_ALL)
            };
            *sum += elements(&fact);
            if *sum > limit {
                return Err(ImportError::TooMuch {
                    tensor: name,
                    elements: *sum,
                    limit,
                });
            }
            facts.insert(name, fact);
        }
    }
    Ok(())
}

fn elements(fact: &Fact) -> u128 {
    let shape = fact.shape.iter().flatten();
    shape.fold(1u128, |n, &d| n.saturating_mul(d as u128))
}

/// Each element of an input has a lane of its own, and positions of an image have rows of their own.
fn check_rows(input: &Input) -> Result<(), ImportError> {
    let shape: Vec<u128> = input.shape.iter().map(|&d| d as u128).collect();
    let rows = match *shape {
        [n, c, h, w] => n * c.div_ceil(LANES) * h * w,
        _ => shape.iter().product::<u128>().div_ceil(LANES),
    };
    if rows > ROWS {
        return Err(ImportError::TooManyRows {
            input: input.name.clone(),
            rows,
            limit: ROWS,
        });
    }
    Ok(())
}

/// What follows about the outputs of a node; empty where an operand is unknown, or the operator is.
fn node(
    opset: i64,
    proto: &NodeProto,
    facts: &HashMap<String, Fact>,
) -> Result<HashMap<String, Fact>, ImportError> {
    let view = NodeView::new(proto);
    let mut operands: Vec<(&str, Fact)> = Vec::new();
    for name in view.inputs().iter().filter(|name| !name.is_empty()) {
        match facts.get(name) {
            Some(fact) => operands.push((name, fact.clone())),
            None => return Ok(HashMap::new()),
        }
    }
    check_operands(&view, &operands)?;
    let folds = operands.iter().all(|(_, fact)| fact.value.is_some());
    let op = view.op();
    if operands.is_empty() || SIZED_BY_FIRST.contains(&op.as_str()) {
        return parse::infer_node(opset, proto, &operands);
    }
    let mut hidden = operands.clone();
    let data = hidden[0].0;
    for (name, fact) in &mut hidden {
        if *name == data {
            fact.value = None;
        }
    }
    let shapes = parse::infer_node(opset, proto, &hidden)?;
    for (name, fact) in &shapes {
        let rank = fact.shape.as_ref().map_or(0, Vec::len);
        if rank > MAX_RANK {
            return Err(view.form(format!(
                "tensor `{name}` has {rank} axes, more than {MAX_RANK}"
            )));
        }
    }
    // Where the shape does not follow without the data, neither is the data computed with.
    if folds && !shapes.is_empty() {
        return parse::infer_node(opset, proto, &operands);
    }
    Ok(shapes)
}

/// Checks the numbers that operands give for sizes and axes.
fn check_operands(node: &NodeView, operands: &[(&str, Fact)]) -> Result<(), ImportError> {
    let op = node.op();
    let op = op.as_str();
    let name = node.output(0).unwrap_or_default();
    let value = |i: usize| operands.get(i).and_then(|(_, fact)| fact.value.as_deref());
    if SIZED_BY_FIRST.contains(&op) {
        let numbers = |i| value(i).and_then(numbers);
        let (Some(first), scalar) = (numbers(0), |i| numbers(i).and_then(|v| v.first().copied()))
        else {
            return Ok(());
        };
        let elements = match (op, scalar(0), scalar(1), scalar(2)) {
            ("Range", Some(start), Some(limit), Some(delta)) => ((limit - start) / delta).abs(),
            _ => first.iter().map(|v| v.abs()).product(),
        };
        // A step of 0 gives no number, or an infinite one.
        return if elements.is_nan() {
            Err(node.form("its operands give no size"))
        } else {
            check_size(name, elements as u128)
        };
    }
    let limit = if SIZED.contains(&op) {
        MAX_ELEMENTS as f64
    } else if WITH_AXES.contains(&op) {
        MAX_RANK as f64
    } else {
        return Ok(());
    };
    for i in 1..operands.len() {
        let fact = &operands[i].1;
        let is_whole = fact.datum.is_some_and(|d| d.is_integer() || d.is_tdim());
        let Some(numbers) = value(i).filter(|_| is_whole).and_then(numbers) else {
            continue;
        };
        if numbers.len() > MAX_RANK * 2 && op != "Pad" {
            continue;
        }
        if let Some(v) = numbers.iter().find(|v| v.abs() > limit) {
            return Err(node.form(format!(
                "operand `{}` asks for {v}, out of reach (±{limit})",
                operands[i].0
            )));
        }
    }
    Ok(())
}

fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let cast = tensor.cast_to::<f64>().ok()?;
    let view = cast.to_plain_array_view::<f64>().ok()?;
    Some(view.iter().copied().collect())
}
