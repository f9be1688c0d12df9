//! Quantized operators as integer nodes, without any rounding but their own.

mod pairs;
mod sums;

use super::{
    Lowering, Part, Tensor,
    emit::{copy, integer_op},
    pending::Term,
    scales,
    value::{Dims, Value},
};
use crate::{
    graph::{IntegerTable, NodeId, Op, Quantized, QuantizedOp, Rounded, ratio},
    model::{Kind, Linear, Table},
    quantize::{QuantizeError, exact::MAX_TABLE},
};

/// A sum whose terms have integer weights already.
struct ExactSum {
    name: String,
    dims: Dims,
    terms: Vec<Term>,
    /// One a channel, with the rounding half where it is shifted.
    bias: Vec<i64>,
}

impl Lowering<'_> {
    pub(super) fn quantized(
        &mut self,
        id: NodeId,
        quantized: &Quantized,
    ) -> Result<Value, QuantizeError> {
        match &quantized.op {
            QuantizedOp::Round => self.round(id, quantized),
            QuantizedOp::Shift => self.shifted(id, quantized),
            QuantizedOp::Table(IntegerTable { first, values }) => {
                let clip = |v: &Rounded| v.value.clamp(quantized.clip.0, quantized.clip.1) as i32;
                let values = values.iter().map(clip).collect();
                self.tabulated(id, quantized, Table::Lut { lo: *first, values })
            }
            QuantizedOp::Sum(sum) => self.exact_sum(id, quantized, sum),
            QuantizedOp::Add { multipliers } => self.exact_add(id, quantized, *multipliers),
            QuantizedOp::Offset {
                multipliers,
                summands,
            } => self.exact_offset(id, quantized, *multipliers, summands),
            QuantizedOp::Mul { multiplier } => self.exact_mul(id, quantized, *multiplier),
            QuantizedOp::Mean(pool) => self.exact_mean(id, quantized, pool),
        }
    }

    /// A real tensor's nearest integers. An input that is quantized at once holds them already.
    fn round(&mut self, id: NodeId, quantized: &Quantized) -> Result<Value, QuantizeError> {
        let value = self.operand(id, 0);
        let source = self.graph.nodes[id].inputs[0];
        if self.graph.is_input_on_grid(source, quantized.to) {
            return Ok(value);
        }
        let grid = scales::Grid {
            lo: quantized.clip.0,
            hi: quantized.clip.1,
        };
        let mut parts = Vec::new();
        for &part in &value.parts {
            let pending = match &self.parts[part] {
                Part::Pending(pending) => pending.as_ref().clone(),
                Part::Tensor(_) => self.identity(part),
            };
            let tensor = self.emit_on(pending, grid, f64::from(quantized.to.scale))?;
            parts.push(self.part(Part::Tensor(tensor)));
        }
        Ok(Value {
            parts,
            cells: value.cells,
        })
    }

    /// The same integers with another zero point, or only another scale.
    fn shifted(&mut self, id: NodeId, quantized: &Quantized) -> Result<Value, QuantizeError> {
        let step = quantized.from[0].zero_point - quantized.to.zero_point;
        let mut value = self.operand(id, 0);
        if step != 0 && value.cells.contains(&None) {
            value = self.own_layout(id, &value)?;
        }
        let mut parts = Vec::new();
        for &part in &value.parts {
            let tensor = if step == 0 {
                let index = self.force(part);
                let tensor = self.tensors[index].clone();
                let scales = vec![f64::from(quantized.to.scale); tensor.dims.0];
                self.tensor(Tensor { scales, ..tensor })
            } else {
                let pending = self.identity(part);
                let sum = ExactSum {
                    name: self.name(id).to_owned(),
                    dims: pending.dims,
                    bias: vec![step; pending.dims.0],
                    terms: pending.terms,
                };
                self.push_sum(sum, false, Table::Identity, quantized)
            };
            parts.push(self.part(Part::Tensor(tensor)));
        }
        Ok(Value {
            parts,
            cells: value.cells,
        })
    }

    /// A function of each integer.
    fn tabulated(
        &mut self,
        id: NodeId,
        quantized: &Quantized,
        table: Table,
    ) -> Result<Value, QuantizeError> {
        let mut value = self.operand(id, 0);
        if table.eval(0) != 0 && value.cells.contains(&None) {
            value = self.own_layout(id, &value)?;
        } else if let Some(value) = self.composed(id, &value, &table, quantized) {
            return Ok(value);
        }
        let mut parts = Vec::new();
        for &part in &value.parts {
            let pending = self.identity(part);
            let sum = ExactSum {
                name: self.name(id).to_owned(),
                dims: pending.dims,
                bias: vec![0; pending.dims.0],
                terms: pending.terms,
            };
            let tensor = self.push_sum(sum, false, table.clone(), quantized);
            parts.push(self.part(Part::Tensor(tensor)));
        }
        Ok(Value {
            parts,
            cells: value.cells,
        })
    }

    /// The function in place of what the table of the only operand's node gave, where nothing else reads that.
    fn composed(
        &mut self,
        id: NodeId,
        value: &Value,
        table: &Table,
        quantized: &Quantized,
    ) -> Option<Value> {
        let source = self.graph.nodes[id].inputs[0];
        let Op::Quantized(Quantized { op, .. }) = &self.graph.nodes[source].op else {
            return None;
        };
        // The tensors of these two may be those of their operands.
        let shared = matches!(op, QuantizedOp::Round | QuantizedOp::Shift);
        if shared || self.graph.readers()[source] != 1 {
            return None;
        }
        let [part] = value.parts[..] else { return None };
        let Part::Tensor(index) = self.parts[part] else {
            return None;
        };
        let tensor = self.tensors[index].clone();
        let Kind::Linear(linear) = &mut self.model.nodes[tensor.node].kind else {
            return None;
        };
        let of = |v: i64| table.eval(v) as i32;
        let (lo, values) = match &linear.table {
            Table::Clip { lo, hi } if hi - lo < MAX_TABLE => (*lo, (*lo..=*hi).map(of).collect()),
            Table::Lut { lo, values } => (*lo, values.iter().map(|&v| of(v.into())).collect()),
            _ => return None,
        };
        linear.table = Table::Lut { lo, values };
        let composed = Tensor {
            scales: vec![f64::from(quantized.to.scale); tensor.dims.0],
            least: quantized.clip.0,
            ..tensor
        };
        let tensor = self.tensor(composed);
        let part = self.part(Part::Tensor(tensor));
        Some(Value {
            parts: vec![part],
            cells: value.cells.clone(),
        })
    }

    fn too_fine(&self, id: NodeId) -> QuantizeError {
        QuantizeError::Exact {
            node: self.name(id).to_owned(),
        }
    }

    /// Shifts a sum that holds the rounding half, halves to even where some value of it is a half.
    ///
    /// Then two nodes round halves up and down, `U` and `D`. They differ by 1 at a half and by nothing elsewhere, so
    /// that a table of `U + D` knows which it was: at a half it takes the even of the two.
    fn rounded(&mut self, sum: ExactSum, ties: bool, quantized: &Quantized) -> usize {
        let (lo, hi) = quantized.clip;
        let clip = Table::Clip { lo, hi };
        if !ties {
            return self.push_sum(sum, true, clip, quantized);
        }
        let (name, dims) = (sum.name.clone(), sum.dims);
        let down = ExactSum {
            name: format!("{name}.down"),
            bias: sum.bias.iter().map(|b| b - 1).collect(),
            terms: sum.terms.clone(),
            dims,
        };
        let up = ExactSum {
            name: format!("{name}.up"),
            ..sum
        };
        let up = self.push_sum(up, true, clip.clone(), quantized);
        let down = self.push_sum(down, true, clip, quantized);
        let half = |s: i64| {
            let rounded = ratio(s.into(), 2, quantized.ties());
            rounded.value.clamp(lo, hi) as i32
        };
        let linear = Linear {
            terms: [up, down]
                .map(|t| copy(self.tensors[t].node, 0, dims.0, 1))
                .into(),
            bias: vec![0; dims.0],
            requantize: false,
            pool: None,
            table: Table::Lut {
                lo: 2 * lo,
                values: (2 * lo..=2 * hi).map(half).collect(),
            },
        };
        let scales = vec![f64::from(quantized.to.scale); dims.0];
        self.push_exact(name, dims, linear, scales, lo)
    }

    fn push_sum(
        &mut self,
        sum: ExactSum,
        requantize: bool,
        table: Table,
        quantized: &Quantized,
    ) -> usize {
        let term = |term: &Term| crate::model::Term {
            source: self.tensors[term.source].node,
            channel: term.channel,
            op: integer_op(&term.op),
        };
        let linear = Linear {
            terms: sum.terms.iter().map(term).collect(),
            bias: sum.bias,
            requantize,
            pool: None,
            table,
        };
        let scales = vec![f64::from(quantized.to.scale); sum.dims.0];
        self.push_exact(sum.name, sum.dims, linear, scales, quantized.clip.0)
    }

    /// A tensor of the graph's own integers on one grid, as it is.
    pub(super) fn is_uniform(&self, tensor: &Tensor) -> bool {
        tensor.scales.iter().all(|s| s == &tensor.scales[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Ties;

    #[test]
    fn the_sum_of_both_roundings_decides_halves() {
        let ties = Ties::Even;
        for n in -9i64..=9 {
            // n/2 rounded up and down at halves.
            let (up, down) = ((n + 1).div_euclid(2), n.div_euclid(2));
            let exact = ratio(n.into(), 2, ties).value;
            assert_eq!(ratio((up + down).into(), 2, ties).value, exact);
            // Clamped before they are added.
            for (lo, hi) in [(-2, 1), (0, 3), (-4, -1)] {
                let s = up.clamp(lo, hi) + down.clamp(lo, hi);
                let clamped = ratio(s.into(), 2, ties).value.clamp(lo, hi);
                assert_eq!(clamped, exact.clamp(lo, hi), "{n} {lo} {hi}");
            }
        }
    }
}
