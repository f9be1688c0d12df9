//! Quantized operators as integer nodes, without any rounding but their own.

use super::{
    Lowering, Part, Tensor,
    emit::{copy, integer_op},
    pending::{Pending, Term},
    scales,
    value::{Dims, Value, len},
};
use crate::{
    graph::{
        Dyadic, IntegerTable, MeanTable, NodeId, Op, Pool, Quantized, QuantizedOp, Rounded, Sum,
        SumMap, finite, ratio,
    },
    model::{Kind, Linear, Table},
    quantize::{
        QuantizeError,
        exact::{self, Channel, MAX_TABLE},
    },
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

    fn exact_sum(
        &mut self,
        id: NodeId,
        quantized: &Quantized,
        sum: &Sum,
    ) -> Result<Value, QuantizeError> {
        let (mut terms, dims, rows) = match &sum.map {
            SumMap::Conv(conv) => {
                let (terms, dims) = self.conv_terms(id, conv)?;
                (terms, dims, None)
            }
            SumMap::MatMul {
                rows,
                k,
                n,
                weights,
            } => {
                let (terms, dims) = self.matmul_terms(id, *rows, *k, *n, weights)?;
                (terms, dims, Some((*rows, *n)))
            }
            SumMap::Total(pool) => {
                let (terms, dims) = self.total(id, pool, &|_| 1.0)?;
                (terms, dims, None)
            }
        };
        if exact::is_plain(sum, quantized) {
            let sum = ExactSum {
                name: self.name(id).to_owned(),
                dims,
                terms,
                bias: sum.bias.clone(),
            };
            let tensor = self.push_sum(sum, false, Table::Identity, quantized);
            return Ok(self.summed(tensor, dims, rows));
        }
        let channels = exact::channels(sum, quantized);
        let shift = self.options.shift;
        let weight = |c: &Channel| match c.constant {
            // Every integer up to here has fewer bits than an f64.
            None => c.factor.m as f64 * 2f64.powi(shift as i32 - c.factor.e),
            Some(_) => 0.0,
        };
        let factors: Vec<f64> = channels.iter().map(weight).collect();
        terms.iter_mut().for_each(|t| t.scale_channels(&factors));
        let bias = channels
            .iter()
            .zip(&sum.bias)
            .map(|(c, &b)| match c.constant {
                None => exact::scaled(c.factor, b, shift),
                Some(value) => Some(value << shift),
            });
        let half = 1i64 << (shift - 1);
        let bias: Option<Vec<i64>> = bias.map(|b| b?.checked_add(half)).collect();
        let bias = bias.ok_or_else(|| self.too_fine(id))?;
        let sum = ExactSum {
            name: self.name(id).to_owned(),
            dims,
            terms,
            bias,
        };
        let ties = channels.iter().any(|c| c.constant.is_none() && c.ties);
        let tensor = self.rounded(sum, ties, quantized);
        Ok(self.summed(tensor, dims, rows))
    }

    /// A tensor as it is, or with its `n` channels and `rows` positions as a matrix.
    fn summed(&mut self, tensor: usize, dims: Dims, matrix: Option<(usize, usize)>) -> Value {
        let part = self.part(Part::Tensor(tensor));
        let whole = Value::whole(part, len(dims));
        match matrix {
            Some((rows, n)) if rows > 1 => whole.reordered(len(dims), |i| i % n * rows + i / n),
            _ => whole,
        }
    }

    fn exact_add(
        &mut self,
        id: NodeId,
        quantized: &Quantized,
        multipliers: [f32; 2],
    ) -> Result<Value, QuantizeError> {
        let [a, b] = multipliers.map(finite);
        let ties = exact::add_has_ties(a, b, &quantized.from);
        let weights = [self.unit(id, a)?, self.unit(id, b)?];
        self.pairwise(id, |lowering, name, first, second, swapped| {
            let [x, y] = if swapped { [1, 0] } else { [0, 1] };
            let pending = lowering.join((first, weights[x]), (second, weights[y]));
            let sum = lowering.with_half(name, pending);
            Ok(lowering.rounded(sum, ties, quantized))
        })
    }

    /// A constant for each channel is a bias; one for each element needs weights that are placed freely.
    fn exact_offset(
        &mut self,
        id: NodeId,
        quantized: &Quantized,
        multipliers: [f32; 2],
        summands: &[i64],
    ) -> Result<Value, QuantizeError> {
        let [a, b] = multipliers.map(finite);
        let ties = exact::offset_has_ties(a, b, quantized.from[0], summands);
        let weight = self.unit(id, a)?;
        let mut value = self.operand(id, 0);
        let [part] = value.parts[..] else {
            value = self.own_layout(id, &value)?;
            return self.offset_of(id, quantized, &value, (weight, b), ties, summands);
        };
        if !value.is_bijective(len(self.dims(part))) {
            value = self.own_layout(id, &value)?;
        }
        self.offset_of(id, quantized, &value, (weight, b), ties, summands)
    }

    /// [`Self::exact_offset`] for a value that is all of one part.
    fn offset_of(
        &mut self,
        id: NodeId,
        quantized: &Quantized,
        value: &Value,
        (weight, factor): (f64, Dyadic),
        ties: bool,
        summands: &[i64],
    ) -> Result<Value, QuantizeError> {
        let part = value.parts[0];
        let dims = self.dims(part);
        let half = 1i64 << (self.options.shift - 1);
        let mut bias = vec![half; len(dims)];
        for (cell, &summand) in value.cells.iter().zip(summands) {
            let Some((_, element)) = *cell else { continue };
            bias[element as usize] = exact::scaled(factor, summand, self.options.shift)
                .and_then(|b| b.checked_add(half))
                .ok_or_else(|| self.too_fine(id))?;
        }
        let plane = dims.1 * dims.2;
        let by_channel = bias
            .chunks_exact(plane)
            .all(|c| c.iter().all(|b| b == &c[0]));
        let mut pending = if by_channel {
            bias = bias.into_iter().step_by(plane).collect();
            self.identity(part)
        } else {
            self.mapped(part)
        };
        let factors = vec![weight; dims.0];
        pending
            .terms
            .iter_mut()
            .for_each(|t| t.scale_channels(&factors));
        let sum = ExactSum {
            name: self.name(id).to_owned(),
            dims,
            terms: pending.terms,
            bias,
        };
        let tensor = self.rounded(sum, ties, quantized);
        let part = self.part(Part::Tensor(tensor));
        Ok(Value {
            parts: vec![part],
            cells: value.cells.clone(),
        })
    }

    /// `4·a·b = (a + b)² - (a - b)²`, by tables of squares.
    fn exact_mul(
        &mut self,
        id: NodeId,
        quantized: &Quantized,
        multiplier: f32,
    ) -> Result<Value, QuantizeError> {
        let factor = finite(multiplier);
        let ties = exact::mul_has_ties(factor, &quantized.from);
        let quarter = Dyadic {
            e: factor.e + 2,
            ..factor
        };
        let weight = self.unit(id, quarter)?;
        let (a, b) = (quantized.from[0].ends(), quantized.from[1].ends());
        let reach = a.0.abs().max(a.1) + b.0.abs().max(b.1);
        let square = Table::Lut {
            lo: -reach,
            values: (-reach..=reach).map(|v| (v * v) as i32).collect(),
        };
        self.pairwise(id, |lowering, name, first, second, _| {
            let mut square = |sign: f64, of: &str| {
                let pending = lowering.join((first, 1.0), (second, sign));
                let sum = ExactSum {
                    name: format!("{name}.{of}"),
                    dims: pending.dims,
                    bias: vec![0; pending.dims.0],
                    terms: pending.terms,
                };
                let tensor = lowering.push_sum(sum, false, square.clone(), quantized);
                lowering.part(Part::Tensor(tensor))
            };
            let (plus, minus) = (square(1.0, "plus"), square(-1.0, "minus"));
            let pending = lowering.join((plus, weight), (minus, -weight));
            let sum = lowering.with_half(name, pending);
            Ok(lowering.rounded(sum, ties, quantized))
        })
    }

    /// A mean as a table of the window's sum, scaled to the common multiple of all divisors.
    fn exact_mean(
        &mut self,
        id: NodeId,
        quantized: &Quantized,
        pool: &Pool,
    ) -> Result<Value, QuantizeError> {
        let divisors = pool.divisors();
        let multiple = common_multiple(&divisors);
        let (lo, hi) = quantized.from[0].ends();
        if multiple.saturating_mul(hi - lo) > MAX_TABLE {
            return Err(self.too_fine(id));
        }
        let (terms, dims) = self.total(id, pool, &|divisor| multiple as f64 / divisor as f64)?;
        let mean = MeanTable::new(quantized.from[0], quantized.to);
        let value = |sum: i64| {
            let Rounded { value, .. } = mean.of(sum, multiple);
            value.clamp(quantized.clip.0, quantized.clip.1) as i32
        };
        let (lo, hi) = (lo * multiple, hi * multiple);
        let table = Table::Lut {
            lo,
            values: (lo..=hi).map(value).collect(),
        };
        let sum = ExactSum {
            name: self.name(id).to_owned(),
            dims,
            bias: vec![0; dims.0],
            terms,
        };
        let tensor = self.push_sum(sum, false, table, quantized);
        let part = self.part(Part::Tensor(tensor));
        Ok(Value::whole(part, len(dims)))
    }

    /// Calls `f` on the parts of two operands that belong together, with a name, and whether they are swapped.
    fn pairwise(
        &mut self,
        id: NodeId,
        mut f: impl FnMut(&mut Self, String, usize, usize, bool) -> Result<usize, QuantizeError>,
    ) -> Result<Value, QuantizeError> {
        let aligned = self.aligned(id)?;
        let mut parts = Vec::new();
        for (i, (first, second)) in aligned.pairs.into_iter().enumerate() {
            let name = match i {
                0 => self.name(id).to_owned(),
                i => format!("{}.{i}", self.name(id)),
            };
            let tensor = f(self, name, first, second, aligned.swapped)?;
            parts.push(self.part(Part::Tensor(tensor)));
        }
        Ok(Value {
            parts,
            cells: aligned.view.cells,
        })
    }

    /// The weight that one unit of an operand gets.
    fn unit(&self, id: NodeId, factor: Dyadic) -> Result<f64, QuantizeError> {
        let unit = exact::scaled(factor, 1, self.options.shift);
        unit.map(|u| u as f64).ok_or_else(|| self.too_fine(id))
    }

    fn with_half(&self, name: String, pending: Pending) -> ExactSum {
        ExactSum {
            name,
            dims: pending.dims,
            bias: vec![1 << (self.options.shift - 1); pending.dims.0],
            terms: pending.terms,
        }
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

fn common_multiple(divisors: &[usize]) -> i64 {
    let gcd = |mut a: i64, mut b: i64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    divisors.iter().fold(1, |multiple, &d| {
        let d = d as i64;
        (multiple / gcd(multiple, d)).saturating_mul(d)
    })
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

    #[test]
    fn divisors_have_a_common_multiple() {
        assert_eq!(common_multiple(&[4, 6, 9, 6]), 36);
        assert_eq!(common_multiple(&[1, 1]), 1);
    }
}
