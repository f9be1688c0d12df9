//! Walks the ONNX nodes in order and builds the float graph.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tract_onnx::{
    pb::{ModelProto, NodeProto},
    prelude::{DatumType, Tensor},
};

use super::{
    ImportError, ImportOptions,
    attributes::NodeView,
    ml, ops,
    parse::{self, Analysis, Fact},
    quantized::{IntegerType, Integers},
};
use crate::graph::{Activation, Cell, Function, Graph, Node, NodeId, Op, Output};

/// What a tensor name stands for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Depends on the input.
    Node(NodeId),
    /// Known at compile time.
    Constant(Arc<Tensor>),
}

/// The graph under construction.
#[derive(Debug)]
pub(super) struct Builder<'a> {
    pub(super) graph: Graph,
    values: HashMap<String, Value>,
    facts: HashMap<String, Fact>,
    opset: i64,
    /// Tensors whose rows are not negative and add up to 1.
    shares: HashSet<NodeId>,
    masks: HashMap<NodeId, Mask>,
    refused: Option<String>,
    /// See [`ops::computed_with`].
    computed_with: HashSet<String>,
    pub(super) integers: Integers<'a>,
}

/// Elements of an item that a softmax leaves out, and the nodes that know of it.
#[derive(Debug)]
struct Mask {
    left_out: Vec<bool>,
    readers: Vec<NodeId>,
}

pub(super) fn build(
    model: &ModelProto,
    analysis: Analysis,
    types: &HashMap<String, IntegerType>,
    options: &ImportOptions,
) -> Result<Graph, ImportError> {
    let onnx = parse::graph(model)?;
    let name = options.name.clone().unwrap_or_else(|| onnx.name.clone());
    let graph = Graph {
        name,
        batch: options.batch,
        nodes: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        tabular: ml::uses_domain(model),
        quantized: Vec::new(),
        unread: Vec::new(),
        constant_outputs: Vec::new(),
    };
    let mut builder = Builder {
        graph,
        values: HashMap::new(),
        facts: analysis.facts,
        opset: parse::opset(model),
        masks: HashMap::new(),
        refused: analysis.refused,
        shares: HashSet::new(),
        computed_with: ops::computed_with(&onnx.node),
        integers: Integers::new(types, &onnx.node),
    };
    for (name, fact) in &builder.facts {
        if let Some(value) = &fact.value {
            builder
                .values
                .insert(name.clone(), Value::Constant(value.clone()));
        }
    }
    for input in &analysis.inputs {
        let op = whole(input.datum).map_or(Op::Input, |(lo, hi)| Op::Whole { lo, hi });
        let id = builder.push(&input.name, Vec::new(), input.shape.clone(), op);
        builder.graph.inputs.push(id);
        let id = builder.integer_input(&input.name, id);
        builder.values.insert(input.name.clone(), Value::Node(id));
    }
    for proto in &onnx.node {
        let node = NodeView::new(proto);
        builder.complete(&node, proto)?;
        if !node
            .outputs()
            .all(|name| matches!(builder.values.get(name), Some(Value::Constant(_))))
        {
            builder.check_integers(&node)?;
            ops::importer(&node)?(&mut builder, &node)?;
            builder.carry_integers(&node)?;
        }
    }
    let mut constants = Vec::new();
    for (at, output) in onnx.output.iter().enumerate() {
        let node = match builder.values.get(&output.name) {
            Some(&Value::Node(node)) => builder.integer_output(&output.name, node)?,
            Some(Value::Constant(value)) => {
                constants.push((at, output.name.clone(), value.clone()));
                continue;
            }
            None => {
                return Err(ImportError::ConstantOutput {
                    output: output.name.clone(),
                });
            }
        };
        let name = output.name.clone();
        builder.graph.outputs.push(Output { name, node });
    }
    if let ([], [(_, output, _), ..]) = (&builder.graph.outputs[..], &constants[..]) {
        return Err(ImportError::ConstantOutput {
            output: output.clone(),
        });
    }
    builder.check_masks()?;
    builder.graph.simplify();
    ops::check_argmax(&builder.graph)?;
    builder.graph.drop_unread();
    for (at, name, value) in constants {
        builder.constant_output(at, name, &value)?;
    }
    Ok(builder.graph)
}

/// What an integer or truth value can be; `None` for floats.
fn whole(datum: DatumType) -> Option<(i64, i64)> {
    Some(match datum {
        DatumType::Bool => (0, 1),
        DatumType::U8 => (0, u8::MAX.into()),
        DatumType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DatumType::U16 => (0, u16::MAX.into()),
        DatumType::I16 => (i16::MIN.into(), i16::MAX.into()),
        DatumType::U32 | DatumType::U64 => (0, u32::MAX.into()),
        DatumType::I32 | DatumType::I64 => (i32::MIN.into(), i32::MAX.into()),
        _ => return None,
    })
}

impl Builder<'_> {
    /// Infers what is not known about a node's outputs yet, from its operands.
    fn complete(&mut self, node: &NodeView, proto: &NodeProto) -> Result<(), ImportError> {
        let is_known = |name: &str| self.facts.get(name).is_some_and(|f| f.shape.is_some());
        let is_constant = |name: &str| matches!(self.values.get(name), Some(Value::Constant(_)));
        // An importer may have made constants that inference did not foresee.
        let operands = node.inputs().iter().filter(|name| !name.is_empty());
        let folds = !node.inputs().is_empty() && operands.clone().all(|name| is_constant(name));
        if node.outputs().all(is_constant) || (node.outputs().all(is_known) && !folds) {
            return Ok(());
        }
        let mut operands = Vec::new();
        for name in node.inputs().iter().filter(|name| !name.is_empty()) {
            let mut fact = self.facts.get(name).cloned().unwrap_or_default();
            match self.values.get(name) {
                Some(Value::Node(id)) => {
                    fact.shape = Some(self.shape(*id).to_vec());
                    fact.datum.get_or_insert(DatumType::F32);
                }
                Some(Value::Constant(tensor)) => fact.value = Some(tensor.clone()),
                None => {}
            }
            operands.push((name.as_str(), fact));
        }
        for (name, fact) in parse::infer_node(self.opset, proto, &operands)? {
            if let Some(value) = &fact.value {
                self.values
                    .insert(name.clone(), Value::Constant(value.clone()));
            }
            self.facts.insert(name, fact);
        }
        Ok(())
    }

    /// Appends an output that is the same for every input, at its place: nothing of an input, plus a constant.
    fn constant_output(
        &mut self,
        at: usize,
        name: String,
        value: &Tensor,
    ) -> Result<(), ImportError> {
        let refused = || ImportError::ConstantOutput {
            output: name.clone(),
        };
        let cast = value.cast_to::<f32>().map_err(|_| refused())?;
        let view = cast.to_plain_array_view::<f32>().map_err(|_| refused())?;
        let mut offset: Vec<f32> = view.iter().copied().collect();
        let len = offset.len() / self.batch();
        let is_one_item = len * self.batch() == offset.len()
            && offset.chunks(len.max(1)).all(|item| *item == offset[..len]);
        if len == 0 || !is_one_item || offset.iter().any(|v| !v.is_finite()) {
            return Err(refused());
        }
        offset.truncate(len);
        let shape = value.shape().to_vec();
        let nothing = Op::Map(Vec::new());
        let zeros = self.push(&name, vec![self.graph.inputs[0]], shape.clone(), nothing);
        let scale = vec![1.0; len];
        let node = self.push(&name, vec![zeros], shape, Op::Affine { scale, offset });
        self.graph.constant_outputs.push(name.clone());
        self.graph.outputs.insert(at, Output { name, node });
        Ok(())
    }

    /// True where some node computes with a tensor, see [`ops::computed_with`].
    pub(super) fn is_computed_with(&self, name: &str) -> bool {
        self.computed_with.contains(name)
    }

    /// Narrows what an input of whole numbers can be, where a tensor is one, moved perhaps: what reads it takes no others.
    pub(super) fn bound_whole(&mut self, id: NodeId, bounds: (i64, i64)) {
        let mut id = id;
        while let (Op::Rearrange(_), &[input]) =
            (&self.graph.nodes[id].op, &self.graph.nodes[id].inputs[..])
        {
            id = input;
        }
        if let Op::Whole { lo, hi } = &mut self.graph.nodes[id].op {
            (*lo, *hi) = ((*lo).max(bounds.0), (*hi).min(bounds.1));
        }
    }

    /// Elements of an item that a mask leaves out of a softmax over this tensor.
    pub(super) fn left_out(&self, id: NodeId) -> Option<&[bool]> {
        self.masks.get(&id).map(|mask| mask.left_out.as_slice())
    }

    /// Leaves elements of an item out of a softmax over this tensor; no other node may read it.
    pub(super) fn leave_out(&mut self, id: NodeId, left_out: Vec<bool>) {
        let readers = Vec::new();
        self.masks.insert(id, Mask { left_out, readers });
    }

    /// Lets a node read a tensor in spite of its mask.
    pub(super) fn may_read(&mut self, id: NodeId, reader: NodeId) {
        if let Some(mask) = self.masks.get_mut(&id) {
            mask.readers.push(reader);
        }
    }

    /// Refuses what reads a masked tensor and does not leave elements out.
    fn check_masks(&self) -> Result<(), ImportError> {
        for (&id, mask) in &self.masks {
            let reads = |(reader, node): (usize, &Node)| {
                node.inputs.contains(&id) && !mask.readers.contains(&reader)
            };
            let is_output = self.graph.outputs.iter().any(|output| output.node == id);
            if is_output || self.graph.nodes.iter().enumerate().any(reads) {
                return Err(ImportError::Form {
                    node: self.graph.nodes[id].name.clone(),
                    op: "mask".into(),
                    reason: "it adds a constant of -∞ or below -1e8, which only Softmax may read"
                        .into(),
                });
            }
        }
        Ok(())
    }

    /// Element type of operand `i`, where it is known.
    pub(super) fn datum(&self, node: &NodeView, i: usize) -> Option<DatumType> {
        self.facts.get(node.input(i)?)?.datum
    }

    /// True where operand `i` is of integers or truth values.
    pub(super) fn is_whole(&self, node: &NodeView, i: usize) -> bool {
        self.datum(node, i)
            .is_some_and(|d| whole(d).is_some() || d == DatumType::TDim)
    }

    /// Says of which element type output `i` is, where inference does not.
    pub(super) fn set_datum(&mut self, node: &NodeView, i: usize, datum: DatumType) {
        if let Some(name) = node.output(i) {
            self.facts.entry(name.to_owned()).or_default().datum = Some(datum);
        }
    }

    /// Items of a batch.
    pub(super) fn batch(&self) -> usize {
        self.graph.batch
    }

    /// Version of ONNX's own operators.
    pub(super) fn opset(&self) -> i64 {
        self.opset
    }

    /// Shape of a node's tensor, batch included.
    pub(super) fn shape(&self, id: NodeId) -> &[usize] {
        &self.graph.nodes[id].shape
    }

    /// Elements of one item of a node's tensor.
    pub(super) fn item_len(&self, id: NodeId) -> usize {
        self.graph.item_len(id)
    }

    /// Remembers that rows of a tensor are not negative and add up to 1.
    pub(super) fn mark_shares(&mut self, id: NodeId) {
        self.shares.insert(id);
    }

    /// True where rows are known not to be negative and to add up to 1.
    pub(super) fn is_shares(&self, id: NodeId) -> bool {
        self.shares.contains(&id)
    }

    /// What a tensor is scaled from, with the factors and summands of an item's elements.
    pub(super) fn scaling(&self, id: NodeId) -> Option<(NodeId, Vec<f32>, Vec<f32>)> {
        match &self.graph.nodes[id].op {
            Op::Affine { scale, offset } => {
                let input = self.graph.nodes[id].inputs[0];
                Some((input, scale.clone(), offset.clone()))
            }
            _ => None,
        }
    }

    /// The scores that an index is the ArgMax of, and whether the last of equals wins.
    pub(super) fn argmax_of(&self, id: NodeId) -> Option<(NodeId, bool)> {
        let node = self.unmoved(id);
        match node.op {
            Op::ArgMax { last } => Some((node.inputs[0], last)),
            _ => None,
        }
    }

    /// The scores that a label belongs to, and all labels.
    pub(super) fn label_of(&self, id: NodeId) -> Option<(NodeId, Vec<i32>)> {
        let node = self.unmoved(id);
        match &node.op {
            Op::Label(labels) => Some((node.inputs[0], labels.clone())),
            _ => None,
        }
    }

    /// The node whose tensor another only rearranges.
    fn unmoved(&self, mut id: NodeId) -> &Node {
        while let Node {
            op: Op::Rearrange(_),
            inputs,
            ..
        } = &self.graph.nodes[id]
        {
            let [input] = inputs[..] else { break };
            id = input;
        }
        &self.graph.nodes[id]
    }

    /// Appends a node.
    pub(super) fn push(
        &mut self,
        name: &str,
        inputs: Vec<NodeId>,
        shape: Vec<usize>,
        op: Op,
    ) -> NodeId {
        self.graph.nodes.push(Node {
            name: name.to_owned(),
            inputs,
            shape,
            op,
        });
        self.graph.nodes.len() - 1
    }

    /// Appends a node of one input and names its tensor after the ONNX node's first output.
    pub(super) fn define(
        &mut self,
        node: &NodeView,
        input: NodeId,
        shape: Vec<usize>,
        op: Op,
    ) -> Result<(), ImportError> {
        let id = self.push(node.name(), vec![input], shape, op);
        self.assign(node, Value::Node(id))
    }

    /// Appends a function of each element.
    pub(super) fn activation(&mut self, node: &NodeView, x: NodeId, f: Activation) -> NodeId {
        let shape = self.shape(x).to_vec();
        self.push(node.name(), vec![x], shape, Op::Activation(f))
    }

    /// Appends `x · scale + offset`, the same numbers for every element.
    pub(super) fn affine(&mut self, node: &NodeView, x: NodeId, scale: f32, offset: f32) -> NodeId {
        let shape = self.shape(x).to_vec();
        let item = self.graph.item_len(x);
        let (scale, offset) = (vec![scale; item], vec![offset; item]);
        self.push(node.name(), vec![x], shape, Op::Affine { scale, offset })
    }

    /// See [`Graph::common_argument`].
    pub(super) fn common_argument(
        &self,
        a: NodeId,
        b: NodeId,
    ) -> Option<(NodeId, Arc<Function>, Arc<Function>)> {
        self.graph.common_argument(a, b)
    }

    /// Names a value after the ONNX node's first output. Further outputs have no meaning here and stay unknown.
    pub(super) fn assign(&mut self, node: &NodeView, value: Value) -> Result<(), ImportError> {
        self.assign_output(node, 0, value)
    }

    /// Names a value after output `i` of the ONNX node.
    pub(super) fn assign_output(
        &mut self,
        node: &NodeView,
        i: usize,
        value: Value,
    ) -> Result<(), ImportError> {
        let name = node
            .output(i)
            .ok_or_else(|| node.form(format!("it has no output {i}")))?;
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// The graph node that the ONNX node's first output stands for.
    pub(super) fn defined(&self, node: &NodeView) -> Option<NodeId> {
        self.node_of(node.output(0)?)
    }

    /// What a tensor name stands for.
    pub(super) fn value_of(&self, name: &str) -> Option<Value> {
        self.values.get(name).cloned()
    }

    /// The graph node that a tensor name stands for.
    pub(super) fn node_of(&self, name: &str) -> Option<NodeId> {
        match self.values.get(name) {
            Some(&Value::Node(id)) => Some(id),
            _ => None,
        }
    }

    /// True where a node holds the index of an ArgMax, or a label.
    pub(super) fn is_index(&self, id: NodeId) -> bool {
        match &self.graph.nodes[id] {
            node if matches!(node.op, Op::ArgMax { .. } | Op::Label(_)) => true,
            node if matches!(node.op, Op::Rearrange(_)) => {
                node.inputs.iter().any(|&i| self.is_index(i))
            }
            _ => false,
        }
    }

    /// Operand `i`.
    pub(super) fn value(&self, node: &NodeView, i: usize) -> Result<Value, ImportError> {
        let name = node
            .input(i)
            .ok_or_else(|| node.form(format!("operand {i} is missing")))?;
        let value = self.values.get(name);
        value.cloned().ok_or_else(|| {
            node.form(format!(
                "operand `{name}` is not produced by any supported operator"
            ))
        })
    }

    /// Operand `i`, which must depend on the input.
    pub(super) fn node(&self, node: &NodeView, i: usize) -> Result<NodeId, ImportError> {
        match self.value(node, i)? {
            Value::Node(id) => Ok(id),
            Value::Constant(_) => Err(node.form(format!(
                "operand {i} is a constant; fold it before the export"
            ))),
        }
    }

    /// Operand `i`, where it is there; it must be a constant.
    pub(super) fn optional(
        &self,
        node: &NodeView,
        i: usize,
        role: &'static str,
    ) -> Result<Option<Arc<Tensor>>, ImportError> {
        if node.input(i).is_none() {
            return Ok(None);
        }
        match self.value(node, i)? {
            Value::Constant(tensor) => Ok(Some(tensor)),
            Value::Node(_) => Err(node.not_constant(role)),
        }
    }

    /// Operand `i`, which must be a constant.
    pub(super) fn constant(
        &self,
        node: &NodeView,
        i: usize,
        role: &'static str,
    ) -> Result<Arc<Tensor>, ImportError> {
        self.optional(node, i, role)?
            .ok_or_else(|| node.form(format!("{role} (operand {i}) is missing")))
    }

    /// The inferred shape of output `i`.
    pub(super) fn output_shape(
        &self,
        node: &NodeView,
        i: usize,
    ) -> Result<Vec<usize>, ImportError> {
        let fact = node.output(i).and_then(|name| self.facts.get(name));
        let shape = fact.and_then(|fact| fact.shape.clone());
        let shape = shape.ok_or_else(|| match &self.refused {
            Some(reason) => ImportError::Analysis {
                reason: reason.clone(),
            },
            None => node.form(
                "its output shape does not follow from the input shapes; fix all shapes at export",
            ),
        })?;
        if shape.iter().product::<usize>() == 0
            || shape.iter().product::<usize>() % self.batch() != 0
        {
            return Err(node.mixes_batch());
        }
        Ok(shape)
    }

    /// Appends a rearrangement, given for the whole tensor: `cells[i]` names the input and the element of its
    /// whole tensor. It must do the same to every batch item.
    pub(super) fn rearrange(
        &mut self,
        node: &NodeView,
        inputs: Vec<NodeId>,
        shape: Vec<usize>,
        mut cells: Vec<Cell>,
    ) -> Result<NodeId, ImportError> {
        let batch = self.batch();
        let item = cells.len() / batch;
        let lens: Vec<usize> = inputs.iter().map(|&i| self.graph.item_len(i)).collect();
        for b in 0..batch {
            for i in 0..item {
                let local = match cells[b * item + i] {
                    None => None,
                    Some((input, element)) => {
                        let start = b * lens[input as usize];
                        let local = (element as usize)
                            .checked_sub(start)
                            .filter(|&e| e < lens[input as usize]);
                        Some((input, local.ok_or_else(|| node.mixes_batch())? as u32))
                    }
                };
                if b == 0 {
                    cells[i] = local;
                } else if cells[i] != local {
                    return Err(node.mixes_batch());
                }
            }
        }
        cells.truncate(item);
        Ok(self.push(node.name(), inputs, shape, Op::Rearrange(cells)))
    }

    /// Appends a sparse linear map, given for the whole tensor: `taps[i]` names the elements of the input's whole
    /// tensor that make up element `i`, with their weights. It must do the same to every batch item.
    pub(super) fn linear_map(
        &mut self,
        node: &NodeView,
        input: NodeId,
        shape: Vec<usize>,
        taps: Vec<Vec<(usize, f32)>>,
    ) -> Result<NodeId, ImportError> {
        let item = taps.len() / self.batch();
        if item == 0 {
            return Err(node.mixes_batch());
        }
        let len = self.graph.item_len(input);
        let mut entries: Vec<(u32, u32, f32)> = Vec::new();
        for (b, taps) in taps.chunks_exact(item).enumerate() {
            let mut at = 0;
            for (out, taps) in taps.iter().enumerate() {
                for &(element, weight) in taps {
                    let local = element.checked_sub(b * len).filter(|&e| e < len);
                    let local = local.ok_or_else(|| node.mixes_batch())?;
                    let entry = (out as u32, local as u32, weight);
                    if b == 0 {
                        entries.push(entry);
                    } else if entries.get(at) != Some(&entry) {
                        return Err(node.mixes_batch());
                    }
                    at += 1;
                }
            }
            if at != entries.len() {
                return Err(node.mixes_batch());
            }
        }
        Ok(self.push(node.name(), vec![input], shape, Op::Map(entries)))
    }

    /// A tensor given for the whole batch, reduced to the one item that all must be.
    pub(super) fn per_item(
        &self,
        node: &NodeView,
        mut values: Vec<f32>,
    ) -> Result<Vec<f32>, ImportError> {
        let item = values.len() / self.batch();
        if item == 0
            || !values.len().is_multiple_of(self.batch())
            || values
                .chunks_exact(item)
                .any(|chunk| chunk != &values[..item])
        {
            return Err(node.mixes_batch());
        }
        values.truncate(item);
        Ok(values)
    }
}

/// The elements of a constant as `f32`.
pub(super) fn floats(node: &NodeView, tensor: &Tensor) -> Result<Vec<f32>, ImportError> {
    let failed = |e| node.form(format!("a constant is not numeric: {e}"));
    let cast = tensor.cast_to::<f32>().map_err(failed)?;
    let view = cast.to_plain_array_view::<f32>().map_err(failed)?;
    let values: Vec<f32> = view.iter().copied().collect();
    if values.iter().any(|v| v.is_nan()) {
        return Err(node.form("a constant holds NaN; repair the model's parameters"));
    }
    Ok(values)
}

/// The elements of a constant, all finite.
pub(super) fn finite(node: &NodeView, tensor: &Tensor) -> Result<Vec<f32>, ImportError> {
    let values = floats(node, tensor)?;
    if values.iter().any(|v| !v.is_finite()) {
        return Err(node.form("a constant is infinite; repair the model's parameters"));
    }
    Ok(values)
}

/// The elements of a constant as integers.
pub(super) fn integers(node: &NodeView, tensor: &Tensor) -> Result<Vec<i64>, ImportError> {
    let failed = |e| node.form(format!("a constant is not of integers: {e}"));
    let cast = tensor.cast_to::<i64>().map_err(failed)?;
    Ok(cast
        .to_plain_array_view::<i64>()
        .map_err(failed)?
        .iter()
        .copied()
        .collect())
}
