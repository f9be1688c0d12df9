//! Model inputs and outputs.

use super::{
    Lowering, Part, Tensor,
    emit::copy,
    features::Encoded,
    pending::{Op, Pending, Term},
    value::{Dims, Value, len},
};
use crate::{
    graph::{self, NodeId, Quantized, QuantizedOp, SumMap},
    model::{Encoding, Kind, Linear, Port, Table},
    quantize::QuantizeError,
};

impl Lowering<'_> {
    /// The layout a tensor has where nothing asks for another: `[c, h, w]` as it is, fewer axes filled with 1
    /// (in front of the last), more of them joined to the last.
    pub(super) fn natural(&self, id: NodeId) -> Dims {
        let shape = &self.graph.nodes[id].shape;
        let item = match shape.as_slice() {
            [batch, item @ ..] if *batch == self.graph.batch => item,
            all => all,
        };
        match *item {
            [] => (1, 1, 1),
            [c] => (c, 1, 1),
            [c, w] => (c, 1, w),
            [c, h, ref w @ ..] => (c, h, w.iter().product()),
        }
    }

    pub(super) fn input(&mut self, id: NodeId) -> Value {
        let (dims, order) = self.input_layout(id);
        let Encoded {
            grid,
            scales,
            encodings,
        } = self.encoded(id, dims);
        let name = self.name(id).to_owned();
        let node = self.push(
            name.clone(),
            dims,
            Kind::Input {
                lo: grid.lo,
                hi: grid.hi,
            },
        );
        self.adjustable.push((name.clone(), node));
        let port_order = self.port_order(order.iter().copied(), len(dims));
        let shape = self.graph.nodes[id].shape.clone();
        self.model.inputs.push(Port {
            name,
            node,
            shape,
            order: port_order,
            scale: if encodings.is_empty() { scales[0] } else { 1.0 },
            encodings: encodings.clone(),
        });
        let tensor = self.tensor(Tensor {
            node,
            dims,
            scales,
            least: grid.lo,
        });
        let edges = encodings
            .into_iter()
            .map_while(Encoding::edges)
            .collect::<Vec<_>>();
        if !edges.is_empty() {
            self.edges.insert(tensor, edges);
        }
        let part = self.part(Part::Tensor(tensor));
        Value::whole(part, len(dims)).reordered(len(dims), |i| order[i])
    }

    /// The layout the first convolution, pool or product along the way wants, and where it puts each element.
    fn input_layout(&self, id: NodeId) -> (Dims, Vec<usize>) {
        let item = self.graph.item_len(id);
        let mut order: Vec<usize> = (0..item).collect();
        let mut at = id;
        while let Some(reader) = self
            .graph
            .nodes
            .iter()
            .position(|node| node.inputs.contains(&at))
        {
            let wanted = match &self.graph.nodes[reader].op {
                graph::Op::Conv(conv) => Some((conv.cin, conv.window.input.0, conv.window.input.1)),
                graph::Op::Pool(pool) => {
                    Some((pool.channels, pool.window.input.0, pool.window.input.1))
                }
                graph::Op::MatMul { rows, k, .. } if *rows > 1 => {
                    order.iter_mut().for_each(|o| *o = *o % k * rows + *o / k);
                    Some((*k, 1, *rows))
                }
                graph::Op::Rearrange(cells)
                    if cells.len() == item && self.graph.nodes[reader].inputs.len() == 1 =>
                {
                    let mut moved = vec![usize::MAX; item];
                    for (to, cell) in cells.iter().enumerate() {
                        if let Some((_, from)) = cell {
                            moved[*from as usize] = to;
                        }
                    }
                    if moved.contains(&usize::MAX) {
                        break;
                    }
                    order.iter_mut().for_each(|o| *o = moved[*o]);
                    None
                }
                graph::Op::Quantized(Quantized {
                    op: QuantizedOp::Sum(sum),
                    ..
                }) => match &sum.map {
                    SumMap::Conv(conv) => {
                        Some((conv.cin, conv.window.input.0, conv.window.input.1))
                    }
                    SumMap::MatMul { rows, k, .. } if *rows > 1 => {
                        order.iter_mut().for_each(|o| *o = *o % k * rows + *o / k);
                        Some((*k, 1, *rows))
                    }
                    _ => break,
                },
                graph::Op::Affine { .. }
                | graph::Op::Activation(_)
                | graph::Op::Add { .. }
                | graph::Op::Quantized(_) => None,
                _ => break,
            };
            match wanted {
                Some(dims) if len(dims) == item => return (dims, order),
                Some(_) => break,
                None => at = reader,
            }
        }
        (self.natural(id), (0..item).collect())
    }

    /// A port's order over the whole batch, empty where it is the identity.
    fn port_order(&self, order: impl Iterator<Item = usize> + Clone, item: usize) -> Vec<u32> {
        if order.clone().enumerate().all(|(i, o)| i == o) {
            return Vec::new();
        }
        (0..self.graph.batch)
            .flat_map(|b| order.clone().map(move |o| (b * item + o) as u32))
            .collect()
    }

    pub(super) fn output(&mut self, output: &graph::Output) -> Result<(), QuantizeError> {
        let id = output.node;
        let value = self.values[id].clone().expect("every node was lowered");
        if let Some(index) = self.index_node(&value) {
            return self.push_output(output, &value, (index, 1.0));
        }
        let direct = value
            .parts
            .first()
            .is_some_and(|&p| value.is_bijective(len(self.dims(p))));
        if !direct {
            let (value, raw) = if self.graph.grid(id).is_some() {
                let dims = self.natural(id);
                let value = self.laid_out(&output.name, &value, dims)?;
                let raw = self.copied(&output.name, value.parts[0]);
                (value, raw)
            } else {
                self.gathered(id, &value)?
            };
            return self.push_output(output, &value, raw);
        }
        let raw = match &self.parts[value.parts[0]] {
            Part::Pending(pending) if pending.is_linear() => {
                let pending = pending.as_ref().clone();
                self.emit_raw(pending)
            }
            _ => self.copied(&output.name, value.parts[0]),
        };
        self.push_output(output, &value, raw)
    }

    /// A raw copy of a part: exact where its channels have one scale.
    fn copied(&mut self, name: &str, part: super::PartId) -> (usize, f64) {
        let index = self.force(part);
        let tensor = self.tensors[index].clone();
        let name = format!("{name}.output");
        let channels = tensor.dims.0;
        if self.is_uniform(&tensor) {
            if let Some(sums) = self.plain_sums(tensor.node) {
                return (
                    self.push(name, tensor.dims, Kind::Linear(sums)),
                    tensor.scales[0],
                );
            }
            let terms = vec![copy(tensor.node, 0, channels, 1)];
            let linear = Linear {
                terms,
                bias: vec![0; channels],
                requantize: false,
                pool: None,
                table: Table::Raw,
            };
            return (
                self.push(name, tensor.dims, Kind::Linear(linear)),
                tensor.scales[0],
            );
        }
        let pending = Pending {
            name,
            ..self.identity(part)
        };
        self.emit_raw(pending)
    }

    /// The sums of a node whose tensor is nothing else, as public values: the node itself need not be there then.
    fn plain_sums(&self, node: usize) -> Option<Linear> {
        match &self.model.nodes[node].kind {
            Kind::Linear(linear)
                if !linear.requantize
                    && linear.pool.is_none()
                    && linear.table == Table::Identity =>
            {
                Some(Linear {
                    table: Table::Raw,
                    ..linear.clone()
                })
            }
            _ => None,
        }
    }

    /// An output that is no single tensor: its elements, copied into the natural layout.
    fn gathered(
        &mut self,
        id: NodeId,
        value: &Value,
    ) -> Result<(Value, (usize, f64)), QuantizeError> {
        let dims = self.natural(id);
        let name = format!("{}.output", self.name(id));
        let tensors: Vec<usize> = value.parts.iter().map(|&p| self.force(p)).collect();
        let maps = self.map_terms(&name, value, &tensors, dims)?;
        let terms = maps.into_iter().map(|(source, entries)| Term {
            source,
            channel: 0,
            op: Op::Map { out: dims, entries },
        });
        let pending = Pending::linear(&name, dims, terms.collect(), self.ranges[id].clone());
        let raw = self.emit_raw(pending);
        let part = self.part(Part::Tensor(usize::MAX));
        Ok((Value::whole(part, len(dims)), raw))
    }

    fn push_output(
        &mut self,
        output: &graph::Output,
        value: &Value,
        (node, scale): (usize, f64),
    ) -> Result<(), QuantizeError> {
        let cells = value
            .cells
            .iter()
            .map(|cell| cell.map_or(0, |(_, e)| e as usize));
        let order = self.port_order(cells, value.cells.len());
        let shape = self.graph.nodes[output.node].shape.clone();
        self.model.outputs.push(Port {
            name: output.name.clone(),
            node,
            shape,
            order,
            scale,
            encodings: Vec::new(),
        });
        Ok(())
    }
}
