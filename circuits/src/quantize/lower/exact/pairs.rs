//! Sums and products of two tensors, or of one and a constant.

use super::ExactSum;
use crate::{
    graph::{Dyadic, NodeId, Quantized, finite},
    model::Table,
    quantize::{
        QuantizeError, exact,
        lower::{
            Lowering, Part,
            pending::Pending,
            value::{Value, len},
        },
    },
};

impl Lowering<'_> {
    pub(super) fn exact_add(
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
    pub(super) fn exact_offset(
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
    pub(super) fn exact_mul(
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
}
