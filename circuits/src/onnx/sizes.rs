//! How large the tensors of a model get, before `tract` infers and folds the model as a whole.
//!
//! Nodes are looked at in order. Each is inferred first with its data hidden, so that its shape is known and nothing is
//! computed; only where that is in bounds, and all operands are constants, it is folded.

use std::{borrow::Cow, collections::HashMap};

use tract_onnx::{
    pb::{ModelProto, NodeProto, TensorProto},
    prelude::{DatumType, Tensor},
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
    let mut known = Known::new(model, inputs)?;
    for proto in &parse::graph(model)?.node {
        known.add(proto)?;
    }
    Ok(())
}

/// What is known of tensors before a model is inferred as a whole, within bounds.
pub(super) struct Known {
    opset: i64,
    facts: HashMap<String, Fact>,
    budget: Budget,
}

impl Known {
    /// The inputs and constants of a model.
    pub(super) fn new(model: &ModelProto, inputs: &[Input]) -> Result<Known, ImportError> {
        let mut facts = parse::constants(model)?;
        let own = facts.values().map(elements).sum::<u128>();
        let mut budget = Budget {
            all: 0,
            folded: 0,
            foldable: MAX_FOLDED.max(4 * own),
        };
        for input in inputs {
            check_rows(input)?;
            let fact = Fact {
                shape: Some(input.shape.clone()),
                datum: Some(input.datum),
                value: None,
            };
            budget.admit(&input.name, elements(&fact), false)?;
            facts.insert(input.name.clone(), fact);
        }
        Ok(Known {
            opset: parse::opset(model),
            facts,
            budget,
        })
    }

    /// Adds what follows about the outputs of the next node.
    pub(super) fn add(&mut self, proto: &NodeProto) -> Result<(), ImportError> {
        let found = node(self.opset, proto, &self.facts, &mut self.budget)?;
        self.facts.extend(found);
        Ok(())
    }

    /// Adds a constant.
    pub(super) fn constant(&mut self, proto: &TensorProto) -> Result<(), ImportError> {
        let fact = parse::constant(proto)?;
        self.budget.admit(&proto.name, elements(&fact), true)?;
        self.facts.insert(proto.name.clone(), fact);
        Ok(())
    }

    /// The truth value of a tensor of one element, where it is known.
    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        let numbers = numbers(self.facts.get(name)?.value.as_deref()?)?;
        match numbers[..] {
            [value] => Some(value != 0.0),
            _ => None,
        }
    }
}

/// Elements of the tensors so far.
struct Budget {
    /// Of those that depend on the input.
    all: u128,
    /// Of folded constants, and how many they may be.
    folded: u128,
    foldable: u128,
}

impl Budget {
    fn admit(&mut self, tensor: &str, elements: u128, folds: bool) -> Result<(), ImportError> {
        check_size(tensor, elements)?;
        let (sum, limit) = if folds {
            (&mut self.folded, self.foldable)
        } else {
            (&mut self.all, MAX_ALL)
        };
        *sum += elements;
        if *sum > limit {
            return Err(ImportError::TooMuch {
                tensor: tensor.to_owned(),
                elements: *sum,
                limit,
            });
        }
        Ok(())
    }
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
    budget: &mut Budget,
) -> Result<HashMap<String, Fact>, ImportError> {
    let view = NodeView::new(proto);
    let mut operands: Vec<(&str, Fact)> = Vec::new();
    for name in view.inputs().iter().filter(|name| !name.is_empty()) {
        match facts.get(name) {
            Some(fact) => operands.push((name, fact.clone())),
            None => return Ok(HashMap::new()),
        }
    }
    let op = view.op();
    if operands.is_empty() {
        return parse::infer_node(opset, proto, &operands);
    }
    if SIZED_BY_FIRST.contains(&op.as_str()) {
        let Some(elements) = sized_by_first(&view, &operands)? else {
            return Ok(HashMap::new());
        };
        budget.admit(view.output(0).unwrap_or_default(), elements, true)?;
        return parse::infer_node(opset, proto, &operands);
    }
    check_operands(&view, &operands)?;
    let folds = operands.iter().all(|(_, fact)| fact.value.is_some());
    // The data may be an operand twice, and is hidden but once.
    let (mut alone, mut hidden) = (proto.clone(), operands.clone());
    let data = format!("{}\0data", operands[0].0);
    if let Some(first) = alone.input.iter_mut().find(|name| !name.is_empty()) {
        first.clone_from(&data);
    }
    hidden[0].0 = &data;
    hidden[0].1.value = None;
    let shapes = parse::infer_node(opset, &alone, &hidden)?;
    for (name, fact) in &shapes {
        let rank = fact.shape.as_ref().map_or(0, Vec::len);
        if rank > MAX_RANK {
            return Err(view.form(format!(
                "tensor `{name}` has {rank} axes, more than {MAX_RANK}"
            )));
        }
        budget.admit(name, elements(fact), folds)?;
    }
    // Where the shape does not follow without the data, neither is the data computed with.
    if folds && !shapes.is_empty() {
        return parse::infer_node(opset, proto, &operands);
    }
    Ok(shapes)
}

/// Elements that operands ask for; `None` where they are not known.
fn sized_by_first(node: &NodeView, operands: &[(&str, Fact)]) -> Result<Option<u128>, ImportError> {
    let numbers = |(_, fact): &(&str, Fact)| fact.value.as_deref().and_then(numbers);
    let Some(numbers) = operands.iter().map(numbers).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let elements = match numbers.as_slice() {
        [start, limit, delta] if node.op() == "Range" => match (&start[..], &limit[..], &delta[..])
        {
            (&[start], &[limit], &[delta]) => ((limit - start) / delta).abs(),
            _ => f64::NAN,
        },
        _ => numbers[0].iter().map(|v| v.abs()).product(),
    };
    // A step of 0 gives no number, or an infinite one.
    if elements.is_nan() {
        return Err(node.form("its operands give no size"));
    }
    Ok(Some(elements as u128))
}

/// Checks the numbers that operands behind the first give for sizes and axes.
fn check_operands(node: &NodeView, operands: &[(&str, Fact)]) -> Result<(), ImportError> {
    let op = node.op();
    let op = op.as_str();
    let limit = if SIZED.contains(&op) {
        MAX_ELEMENTS as f64
    } else if WITH_AXES.contains(&op) {
        MAX_RANK as f64
    } else {
        return Ok(());
    };
    for (name, fact) in operands.iter().skip(1) {
        let is_whole = fact.datum.is_some_and(|d| d.is_integer() || d.is_tdim());
        let value = fact.value.as_deref().filter(|_| is_whole);
        let Some(numbers) = value.and_then(numbers) else {
            continue;
        };
        if let Some(v) = numbers.iter().find(|v| v.abs() > limit) {
            return Err(node.form(format!(
                "operand `{name}` asks for {v}, out of reach (±{limit})"
            )));
        }
    }
    Ok(())
}

fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let tensor = match tensor.datum_type() {
        DatumType::TDim => tensor.cast_to::<i64>().ok()?,
        _ => Cow::Borrowed(tensor),
    };
    let cast = tensor.cast_to::<f64>().ok()?;
    let view = cast.to_plain_array_view::<f64>().ok()?;
    Some(view.iter().copied().collect())
}
