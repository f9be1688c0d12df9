//! Lowering: graph operators become terms of as few integer nodes as possible.
//!
//! Each graph tensor is a [`Value`]: a view of parts. A part is an integer tensor, or a [`Pending`] sum that the
//! next operator may still extend. A tensor with several readers is emitted at once; one with a single reader
//! stays pending until something needs its integers.

mod argmax;
mod contract;
mod decisions;
mod distance;
mod elementwise;
mod emit;
mod exact;
mod features;
mod label;
mod linear;
mod pending;
mod pool;
mod ports;
mod product;
mod scales;
mod value;

use std::collections::{BTreeMap, HashMap};

use self::{
    pending::{Op, Pending, Term},
    value::{Dims, PartId, Value, len},
};
use super::{
    QuantizeError, QuantizeOptions, Widths,
    calibrate::Ranges,
    trace::{self, Trace, Traced},
};
use crate::{
    graph::{self, Graph, NodeId},
    model::{Linear, Model, Table},
};

/// Single weights that one map may have.
const MAX_ENTRIES: usize = 1 << 24;

/// Single weights: `(output element, input element, weight)`.
type Entries = Vec<(u32, u32, f64)>;

/// An integer tensor of the model.
#[derive(Clone, Debug)]
struct Tensor {
    node: crate::model::NodeId,
    dims: Dims,
    /// One a channel: layouts may join tensors of different scales.
    scales: Vec<f64>,
    /// A lower bound of its integers.
    least: i64,
}

/// A part of a value.
#[derive(Clone, Debug)]
enum Part {
    /// Index into [`Lowering::tensors`].
    Tensor(usize),
    Pending(Box<Pending>),
}

struct Lowering<'a> {
    graph: &'a Graph,
    ranges: &'a [Ranges],
    /// Least values of tensors that stop there: see [`super::masks`].
    floors: &'a BTreeMap<NodeId, f64>,
    options: &'a QuantizeOptions,
    widths: &'a Widths,
    model: Model,
    tensors: Vec<Tensor>,
    /// Of inputs that are only compared: the edges of each element's bins, by tensor.
    edges: HashMap<usize, Vec<Vec<f32>>>,
    parts: Vec<Part>,
    values: Vec<Option<Value>>,
    /// Nodes whose bits follow from their name: see [`Trace`].
    adjustable: Vec<(String, crate::model::NodeId)>,
}

/// Lowers a graph; `ranges` holds one entry a graph node.
pub(super) fn lower(
    graph: &Graph,
    ranges: &[Ranges],
    floors: &BTreeMap<NodeId, f64>,
    options: &QuantizeOptions,
    widths: &Widths,
) -> Result<(Model, Trace), QuantizeError> {
    let model = Model {
        name: graph.name.clone(),
        bits: options.bits,
        shift: options.shift,
        nodes: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    let mut lowering = Lowering {
        graph,
        ranges,
        floors,
        options,
        widths,
        model,
        tensors: Vec::new(),
        edges: HashMap::new(),
        parts: Vec::new(),
        values: Vec::new(),
        adjustable: Vec::new(),
    };
    let readers = graph.readers();
    for (id, &readers) in readers.iter().enumerate() {
        let mut value = lowering.node(id)?;
        value.prune();
        if readers > 1 || floors.contains_key(&id) {
            lowering.settle(&value);
        }
        lowering.values.push(Some(value));
    }
    for output in &graph.outputs {
        lowering.output(output)?;
    }
    let tensors = (0..graph.nodes.len())
        .filter_map(|id| lowering.traced(id))
        .collect();
    let trace = Trace {
        tensors,
        adjustable: lowering.adjustable,
    };
    Ok((lowering.model, trace))
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId) -> Result<Value, QuantizeError> {
        match &self.graph.nodes[id].op {
            graph::Op::Input | graph::Op::Whole { .. } => Ok(self.input(id)),
            graph::Op::Conv(conv) => self.conv(id, conv),
            graph::Op::MatMul {
                rows,
                k,
                n,
                weights,
            } => self.matmul(id, *rows, *k, *n, weights),
            graph::Op::Affine { scale, offset } => self.affine(id, scale, offset),
            graph::Op::Activation(f) => self.activation(id, f),
            graph::Op::Pool(pool) => self.pool(id, pool),
            graph::Op::Add { subtract } => self.add(id, *subtract),
            graph::Op::Mul => self.product(id),
            graph::Op::Contract(sizes) => self.contract(id, *sizes),
            graph::Op::Map(entries) => Ok(self.map(id, entries)),
            graph::Op::Rearrange(cells) => Ok(self.rearrange(id, cells)),
            graph::Op::ArgMax { last } => self.argmax(id, *last),
            graph::Op::AtMost(thresholds) => Ok(self.at_most(id, thresholds)),
            graph::Op::Gate(gate) => Ok(self.gate(id, gate)),
            graph::Op::Label(labels) => self.label(id, labels),
            graph::Op::SquaredDistance { points } => Ok(self.squared_distance(id, points)),
            graph::Op::Quantized(quantized) => self.quantized(id, quantized),
        }
    }

    /// Where the tensor of a graph node is, if all of it has become integers.
    fn traced(&self, id: NodeId) -> Option<Traced> {
        let value = self.values[id].as_ref()?;
        let part = |&part: &PartId| match &self.parts[part] {
            Part::Tensor(tensor) => Some(trace::Part {
                node: self.tensors[*tensor].node,
                scales: self.tensors[*tensor].scales.clone(),
            }),
            Part::Pending(_) => None,
        };
        Some(Traced {
            graph: id,
            parts: value.parts.iter().map(part).collect::<Option<_>>()?,
            cells: value.cells.clone(),
        })
    }

    /// Bits of the tensor of this name.
    fn width(&self, name: &str) -> u32 {
        self.widths.get(name).copied().unwrap_or(self.options.bits)
    }

    fn name(&self, id: NodeId) -> &str {
        &self.graph.nodes[id].name
    }

    /// The value of input `i` of a node.
    fn operand(&self, id: NodeId, i: usize) -> Value {
        self.values[self.graph.nodes[id].inputs[i]]
            .clone()
            .expect("nodes are in topological order")
    }

    fn tensor(&mut self, tensor: Tensor) -> usize {
        self.tensors.push(tensor);
        self.tensors.len() - 1
    }

    fn part(&mut self, part: Part) -> PartId {
        self.parts.push(part);
        self.parts.len() - 1
    }

    fn pend(&mut self, pending: Pending) -> PartId {
        self.part(Part::Pending(Box::new(pending)))
    }

    fn dims(&self, part: PartId) -> Dims {
        match &self.parts[part] {
            Part::Tensor(t) => self.tensors[*t].dims,
            Part::Pending(pending) => pending.dims,
        }
    }

    fn all_dims(&self, value: &Value) -> Vec<Dims> {
        value.parts.iter().map(|&p| self.dims(p)).collect()
    }

    /// The part as integers; emits it where it is pending.
    fn force(&mut self, part: PartId) -> usize {
        match &self.parts[part] {
            Part::Tensor(t) => *t,
            Part::Pending(pending) => {
                let pending = pending.as_ref().clone();
                let tensor = self.emit(pending);
                self.parts[part] = Part::Tensor(tensor);
                tensor
            }
        }
    }

    /// Emits every pending part.
    fn settle(&mut self, value: &Value) {
        for &part in &value.parts {
            self.force(part);
        }
    }

    /// Takes a part for a sum to extend: itself where it is only a sum so far, else a copy of its integers.
    fn sum(&mut self, part: PartId) -> Pending {
        match &self.parts[part] {
            Part::Pending(pending) if pending.is_linear() => pending.as_ref().clone(),
            _ => self.identity(part),
        }
    }

    /// A sum of one term: the part's integers.
    fn identity(&mut self, part: PartId) -> Pending {
        let index = self.force(part);
        let tensor = &self.tensors[index];
        let (dims, name) = (tensor.dims, self.model.nodes[tensor.node].name.clone());
        let term = Term::scaled_copy(index, 0, (dims.1, dims.2), vec![1.0; dims.0]);
        Pending::linear(&name, dims, vec![term], self.representable(index))
    }

    /// The range of real values that a tensor's integers can express.
    fn representable(&self, index: usize) -> Ranges {
        let tensor = &self.tensors[index];
        let (lo, hi) = self.integers(tensor.node);
        let plane = tensor.dims.1 * tensor.dims.2;
        let spread = |end: i64| -> Vec<f32> {
            tensor
                .scales
                .iter()
                .flat_map(|s| std::iter::repeat_n((end as f64 * s) as f32, plane))
                .collect()
        };
        Ranges {
            lo: spread(lo),
            hi: spread(hi),
        }
    }

    /// Calibrated ranges of each part's elements, where the tensor of graph node `id` is `value`.
    fn part_ranges(&self, id: NodeId, value: &Value) -> Vec<Ranges> {
        let mut ranges: Vec<Ranges> = value
            .parts
            .iter()
            .map(|&p| Ranges::empty(len(self.dims(p))))
            .collect();
        for (i, cell) in value.cells.iter().enumerate() {
            if let Some((part, element)) = *cell {
                ranges[part as usize].include(element as usize, &self.ranges[id], i);
            }
        }
        ranges
    }

    /// A new pending part that is the tensor of graph node `id`, elements in the part's own order.
    fn whole(&mut self, id: NodeId, mut pending: Pending) -> Value {
        pending.set_range(self.ranges[id].clone());
        pending.name = self.name(id).to_owned();
        let elements = len(pending.dims);
        let part = self.pend(pending);
        Value::whole(part, elements)
    }

    /// The same view of new parts, which now are the tensor of graph node `id`.
    fn replace(&mut self, id: NodeId, value: Value, parts: Vec<Pending>) -> Value {
        let ranges = self.part_ranges(id, &value);
        let many = parts.len() > 1;
        let mut replaced = Vec::with_capacity(parts.len());
        for (i, (mut pending, range)) in parts.into_iter().zip(ranges).enumerate() {
            pending.set_range(range);
            pending.name = if many {
                format!("{}.{i}", self.name(id))
            } else {
                self.name(id).to_owned()
            };
            replaced.push(self.pend(pending));
        }
        Value {
            parts: replaced,
            cells: value.cells,
        }
    }

    fn rearrange(&mut self, id: NodeId, cells: &[graph::Cell]) -> Value {
        let mut parts: Vec<PartId> = Vec::new();
        let inputs: Vec<(Value, Vec<u32>)> = (0..self.graph.nodes[id].inputs.len())
            .map(|i| {
                let value = self.operand(id, i);
                let place = |part: &PartId| {
                    let at = parts.iter().position(|p| p == part).unwrap_or_else(|| {
                        parts.push(*part);
                        parts.len() - 1
                    });
                    at as u32
                };
                let places = value.parts.iter().map(place).collect();
                (value, places)
            })
            .collect();
        let cells = cells
            .iter()
            .map(|cell| {
                let (input, element) = (*cell)?;
                let (value, places) = &inputs[input as usize];
                let (part, element) = value.cells[element as usize]?;
                Some((places[part as usize], element))
            })
            .collect();
        Value { parts, cells }
    }

    /// The value as one tensor laid out as `dims`, copied element by element.
    fn laid_out(&mut self, name: &str, value: &Value, dims: Dims) -> Result<Value, QuantizeError> {
        let elements = len(dims);
        debug_assert_eq!(elements, value.cells.len());
        let tensors: Vec<usize> = value.parts.iter().map(|&p| self.force(p)).collect();
        let scale_of = |(part, element): (u32, u32)| {
            let tensor = &self.tensors[tensors[part as usize]];
            tensor.scales[element as usize / (tensor.dims.1 * tensor.dims.2)]
        };
        let plane = dims.1 * dims.2;
        // A copy is exact where every channel of it has one scale.
        let mut scales: Vec<f64> = Vec::with_capacity(dims.0);
        let mut exact = true;
        // A channel of zeros has any scale; one of its own would set it apart for no reason.
        let any = value.cells.iter().flatten().next();
        let any = any.map_or(1.0, |&cell| scale_of(cell));
        for channel in value.cells.chunks_exact(plane) {
            let mut of = channel.iter().flatten().map(|&cell| scale_of(cell));
            let first = of.next();
            exact &= of.all(|s| Some(s) == first);
            scales.push(first.unwrap_or(any));
        }
        let name = format!("{name}.layout");
        let maps = self.map_terms(&name, value, &tensors, dims)?;
        let tensor = if exact {
            let least = tensors
                .iter()
                .map(|&t| self.tensors[t].least)
                .min()
                .unwrap_or(0)
                .min(0);
            let terms = maps.into_iter().map(|(index, entries)| {
                let entries = entries.into_iter().map(|(o, i, _)| (o, i, 1)).collect();
                crate::model::Term {
                    source: self.tensors[index].node,
                    channel: 0,
                    op: crate::model::Op::Map { out: dims, entries },
                }
            });
            let terms = terms.collect();
            let linear = Linear {
                terms,
                bias: vec![0; dims.0],
                requantize: false,
                pool: None,
                table: Table::Identity,
            };
            self.push_exact(name, dims, linear, scales, least)
        } else {
            let sources: Vec<Ranges> = tensors.iter().map(|&t| self.representable(t)).collect();
            let mut range = Ranges::empty(elements);
            for (i, &cell) in value.cells.iter().enumerate() {
                if let Some((part, element)) = cell {
                    range.include(i, &sources[part as usize], element as usize);
                }
            }
            let terms = maps
                .into_iter()
                .map(|(source, entries)| Term {
                    source,
                    channel: 0,
                    op: Op::Map { out: dims, entries },
                })
                .collect();
            let pending = Pending::linear(&name, dims, terms, range);
            self.emit(pending)
        };
        let part = self.part(Part::Tensor(tensor));
        Ok(Value::whole(part, elements))
    }

    /// Entries of weight 1 that place a value's elements into `dims`, for each tensor it reads.
    fn map_terms(
        &self,
        name: &str,
        value: &Value,
        tensors: &[usize],
        dims: Dims,
    ) -> Result<Vec<(usize, Entries)>, QuantizeError> {
        let entries = len(dims);
        if entries > MAX_ENTRIES {
            return Err(QuantizeError::TooManyEntries {
                node: name.to_owned(),
                entries,
                limit: MAX_ENTRIES,
            });
        }
        let mut maps: Vec<(usize, Entries)> = tensors.iter().map(|&t| (t, Vec::new())).collect();
        for (out, cell) in value.cells.iter().enumerate() {
            if let Some((part, element)) = *cell {
                maps[part as usize].1.push((out as u32, element, 1.0));
            }
        }
        if maps.is_empty() {
            // All zeros: the node still needs a term.
            maps.push((0, Vec::new()));
        }
        Ok(maps)
    }

    /// The integers that a node's table or input allows.
    fn integers(&self, node: crate::model::NodeId) -> (i64, i64) {
        match &self.model.nodes[node].kind {
            crate::model::Kind::Input { lo, hi } => (*lo, *hi),
            crate::model::Kind::Linear(linear) => match &linear.table {
                Table::Clip { lo, hi } => (*lo, *hi),
                Table::Lut { values, .. } => {
                    let (lo, hi) = values
                        .iter()
                        .fold((i32::MAX, i32::MIN), |r, &v| (r.0.min(v), r.1.max(v)));
                    (i64::from(lo), i64::from(hi))
                }
                // Exact copies: their sources' ranges, padding included.
                Table::Identity | Table::Raw => linear
                    .terms
                    .iter()
                    .map(|term| self.integers(term.source))
                    .fold((0, 0), |r, s| (r.0.min(s.0), r.1.max(s.1))),
            },
        }
    }
}
