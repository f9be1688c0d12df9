//! Comparisons with constants and threshold gates: bits, exact on the integers that they read.
//!
//! ```text
//! y = x - T - 1,  bit = [y >> shift < 0]         a comparison: the sign costs two rows of a table, whatever the range
//! bit = clamp(Σ ±bits + bias, 0, 1)              a gate
//! ```

use super::{
    Lowering, Part, PartId, Tensor,
    pending::{Op as RealOp, Pending},
    value::{Value, len},
};
use crate::{
    graph::{Gate, NodeId},
    model::{self, Kind, Linear, Op, Table, Term},
};

/// Computed tensors that are compared have at least this many bits.
const COMPARED_BITS: u32 = 12;

/// Sums whose sign is looked at reach at most `2^(shift + S)`, with `S` in this range: their tables have `2^(S+1)` rows.
const SIGN_BITS: std::ops::RangeInclusive<f64> = 10.0..=13.0;

/// With `S = log2(n·M²) + SIGN_SLACK - shift`, `n` integers of at most `M` summed, rounding their weights does less than
/// rounding them did.
const SIGN_SLACK: f64 = 4.0;

/// Integer weights stay within ±2^29: differences of two of them fit 32 bits.
const MAX_WEIGHT: f64 = (1u64 << 29) as f64;

/// Entries of a sparse map by source.
type Entries = Vec<(u32, u32, i64)>;

impl Lowering<'_> {
    pub(super) fn at_most(&mut self, id: NodeId, thresholds: &[f32]) -> Value {
        let value = self.operand(id, 0);
        match value.parts[..] {
            [part] if self.is_open_vector(part) && value.is_bijective(len(self.dims(part))) => {
                self.sum_at_most(id, &value, thresholds)
            }
            _ => self.integers_at_most(id, &value, thresholds),
        }
    }

    /// True where a part is a sum that nothing rounded yet, one element a channel.
    pub(super) fn is_open_vector(&self, part: PartId) -> bool {
        let dims = self.dims(part);
        let open = matches!(&self.parts[part], Part::Pending(p) if p.is_linear());
        open && dims.1 * dims.2 == 1
    }

    /// Integers against integer thresholds.
    fn integers_at_most(&mut self, id: NodeId, value: &Value, thresholds: &[f32]) -> Value {
        let sources: Vec<usize> = value.parts.iter().map(|&p| self.compared(p)).collect();
        let mut entries: Vec<Entries> = vec![Vec::new(); sources.len()];
        let mut bias = Vec::with_capacity(thresholds.len());
        for (i, (&threshold, cell)) in thresholds.iter().zip(&value.cells).enumerate() {
            bias.push(match *cell {
                // A zero.
                None => -i64::from(0.0 <= threshold),
                Some((part, element)) => {
                    entries[part as usize].push((i as u32, element, 1));
                    let source = sources[part as usize];
                    -1 - self.integer_threshold(source, element as usize, threshold)
                }
            });
        }
        let terms = self.map_terms_of(&sources, entries, thresholds.len());
        self.bits(id, terms, bias)
    }

    /// The greatest integer of an element's tensor that stands for a number of at most `threshold`, within one of the
    /// tensor's own range.
    fn integer_threshold(&self, source: usize, element: usize, threshold: f32) -> i64 {
        let tensor = &self.tensors[source];
        let (lo, hi) = self.integers(tensor.node);
        if let Some(edges) = self.edges.get(&source) {
            let below = edges[element].partition_point(|&edge| edge < threshold) as i64;
            let beyond = if threshold == f32::INFINITY {
                hi
            } else {
                below
            };
            return if threshold == f32::NEG_INFINITY {
                -1
            } else {
                beyond
            };
        }
        let scale = tensor.scales[element / (tensor.dims.1 * tensor.dims.2)];
        // The cast saturates.
        ((f64::from(threshold) / scale).floor() as i64).clamp(lo - 1, hi)
    }

    /// A part as integers to compare.
    pub(super) fn compared(&mut self, part: PartId) -> usize {
        match &self.parts[part] {
            Part::Tensor(tensor) => *tensor,
            Part::Pending(pending) => {
                let pending = pending.as_ref().clone();
                let bits = self.options.bits.max(COMPARED_BITS);
                let tensor = self.emit_with(pending, bits);
                self.parts[part] = Part::Tensor(tensor);
                tensor
            }
        }
    }

    /// A sum against thresholds, before anything rounds it.
    fn sum_at_most(&mut self, id: NodeId, value: &Value, thresholds: &[f32]) -> Value {
        let part = value.parts[0];
        let mut pending = self.sum(part);
        for (cell, &threshold) in value.cells.iter().zip(thresholds) {
            let channel = cell.map_or(0, |(_, e)| e as usize);
            pending.bias[channel] -= f64::from(threshold.clamp(f32::MIN, f32::MAX));
        }
        let (terms, mut bias) = self.fine_sum(&mut pending, 1.0);
        bias.iter_mut().for_each(|b| *b -= 1);
        let bits = self.bits(id, terms, bias);
        // The part's channels in the order of the tensor's elements.
        let order: Vec<usize> = value
            .cells
            .iter()
            .map(|cell| cell.map_or(0, |(_, e)| e as usize))
            .collect();
        bits.reordered(order.len(), |i| order[i])
    }

    /// A sum as integers as fine as the sign test takes them, where `spread` sums of its size may be added up.
    pub(super) fn fine_sum(&mut self, pending: &mut Pending, spread: f64) -> (Vec<Term>, Vec<i64>) {
        let mut reach = vec![0.0; pending.dims.0];
        for (reach, bias) in reach.iter_mut().zip(&pending.bias) {
            *reach = bias.abs();
        }
        let (mut peak, mut largest, mut count) = (0f64, 1f64, vec![0u32; pending.dims.0]);
        for term in &mut pending.terms {
            let source = &self.tensors[term.source];
            let (lo, hi) = self.integers(source.node);
            let most = lo.unsigned_abs().max(hi.unsigned_abs()) as f64;
            largest = largest.max(most);
            let first = term.channel;
            let outputs = reach.len();
            let each = output_of(&term.op, outputs);
            let mut at = 0;
            term.each_weight(source.dims, |w, input| {
                let weight = (*w * source.scales[first + input]).abs();
                peak = peak.max(weight);
                reach[each(at)] += weight * most;
                count[each(at)] += u32::from(weight != 0.0);
                at += 1;
            });
        }
        let reach = spread * reach.into_iter().fold(0.0, f64::max);
        let count = f64::from(count.into_iter().max().unwrap_or(0).max(1));
        let shift = f64::from(self.options.shift);
        let bits = (count * largest * largest).log2().ceil() + SIGN_SLACK - shift;
        let widest = (shift + bits.clamp(*SIGN_BITS.start(), *SIGN_BITS.end())).exp2();
        let mut gain = if reach > 0.0 { widest / reach } else { 1.0 };
        if peak > 0.0 {
            gain = gain.min(MAX_WEIGHT / peak);
        }
        let terms = self.integer_terms(pending, 1.0, gain);
        let bias = pending.bias.iter().map(|b| (b * gain).round() as i64);
        (terms, bias.collect())
    }

    pub(super) fn gate(&mut self, id: NodeId, gate: &Gate) -> Value {
        let value = self.operand(id, 0);
        let sources: Vec<usize> = value.parts.iter().map(|&p| self.force(p)).collect();
        let mut entries: Vec<Entries> = vec![Vec::new(); sources.len()];
        for &(out, input, weight) in &gate.entries {
            if let Some((part, element)) = value.cells[input as usize] {
                entries[part as usize].push((out, element, i64::from(weight)));
            }
        }
        let terms = self.map_terms_of(&sources, entries, gate.bias.len());
        let bias = gate.bias.iter().map(|&b| i64::from(b)).collect();
        let name = self.name(id).to_owned();
        let node = self.push_bits(name, terms, bias, None);
        self.bit_value(node, gate.bias.len())
    }

    /// Sparse maps of integer tensors into a vector.
    pub(super) fn map_terms_of(
        &self,
        sources: &[usize],
        entries: Vec<Entries>,
        elements: usize,
    ) -> Vec<Term> {
        let term = |(&source, entries): (&usize, Entries)| Term {
            source: self.tensors[source].node,
            channel: 0,
            op: Op::Map {
                out: (elements, 1, 1),
                entries,
            },
        };
        let terms: Vec<Term> = sources.iter().zip(entries).map(term).collect();
        if terms.is_empty() {
            // All constants: any source will do.
            return vec![term((&0, Vec::new()))];
        }
        terms
    }

    /// Bits `[y < 0]`.
    fn bits(&mut self, id: NodeId, terms: Vec<Term>, bias: Vec<i64>) -> Value {
        let elements = bias.len();
        let name = self.name(id).to_owned();
        let node = self.push_bits(name, terms, bias, Some(sign_table()));
        self.bit_value(node, elements)
    }

    /// A vector of bits: of the signs of shifted sums where there is a table, else sums clamped.
    pub(super) fn push_bits(
        &mut self,
        name: String,
        terms: Vec<Term>,
        bias: Vec<i64>,
        sign: Option<Table>,
    ) -> model::NodeId {
        let dims = (bias.len(), 1, 1);
        let linear = Linear {
            terms,
            bias,
            requantize: sign.is_some(),
            pool: None,
            table: sign.unwrap_or(Table::Clip { lo: 0, hi: 1 }),
        };
        self.push(name, dims, Kind::Linear(linear))
    }

    fn bit_value(&mut self, node: model::NodeId, elements: usize) -> Value {
        let tensor = self.tensor(Tensor {
            node,
            dims: (elements, 1, 1),
            scales: vec![1.0; elements],
            least: 0,
        });
        let part = self.part(Part::Tensor(tensor));
        Value::whole(part, elements)
    }
}

/// 1 below zero, else 0.
pub(super) fn sign_table() -> Table {
    Table::Lut {
        lo: -1,
        values: vec![1, 0],
    }
}

/// Which of a vector's elements the weights of a term belong to, in the order of its `each_weight`.
fn output_of(op: &RealOp, outputs: usize) -> impl Fn(usize) -> usize + use<> {
    let (each, listed) = match op {
        RealOp::Conv { weights, cout, .. } => (weights.len() / cout, None),
        RealOp::Dense { weights, out } => (weights.len() / out, None),
        RealOp::SumPool { .. } => (1, None),
        RealOp::Map { entries, .. } => {
            let outs: Vec<usize> = entries.iter().map(|e| e.0 as usize).collect();
            (1, Some(outs))
        }
    };
    move |at| match &listed {
        Some(outs) => outs[at],
        None => (at / each).min(outputs - 1),
    }
}
