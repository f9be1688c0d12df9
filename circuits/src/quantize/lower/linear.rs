//! Convolutions and products with constant matrices.

use super::{
    Entries, Lowering,
    pending::{Op, Pending, Term},
    value::{Dims, Run, Value, len},
};
use crate::{
    geometry::Window,
    graph::{Conv, NodeId},
    quantize::{QuantizeError, calibrate::Ranges},
};

impl Lowering<'_> {
    /// The operand as whole channels of planes `(h, w)`; laid out anew where it is not that.
    pub(super) fn planes(
        &mut self,
        id: NodeId,
        value: Value,
        dims: Dims,
    ) -> Result<(Value, Vec<Run>), QuantizeError> {
        let all = self.all_dims(&value);
        let same_size = all.iter().all(|d| (d.1, d.2) == (dims.1, dims.2));
        match value.runs(dims.1 * dims.2, &all) {
            Some(runs) if same_size => Ok((value, runs)),
            _ => self.one_run(id, &value, dims),
        }
    }

    /// The operand laid out anew as one tensor.
    pub(super) fn one_run(
        &mut self,
        id: NodeId,
        value: &Value,
        dims: Dims,
    ) -> Result<(Value, Vec<Run>), QuantizeError> {
        let name = self.name(id).to_owned();
        let value = self.laid_out(&name, value, dims)?;
        let run = Run {
            part: 0,
            channel: 0,
            count: dims.0,
        };
        Ok((value, vec![run]))
    }

    pub(super) fn conv(&mut self, id: NodeId, conv: &Conv) -> Result<Value, QuantizeError> {
        let (terms, dims) = self.conv_terms(id, conv)?;
        let mut pending = Pending::linear(self.name(id), dims, terms, Ranges::default());
        if !conv.bias.is_empty() {
            pending.bias = conv.bias.iter().map(|&b| f64::from(b)).collect();
        }
        Ok(self.whole(id, pending))
    }

    /// The terms of a convolution and the dimensions of what they give.
    pub(super) fn conv_terms(
        &mut self,
        id: NodeId,
        conv: &Conv,
    ) -> Result<(Vec<Term>, Dims), QuantizeError> {
        let input = self.operand(id, 0);
        let window = conv.window;
        let dims = (conv.cin, window.input.0, window.input.1);
        let (mut value, mut runs) = self.planes(id, input, dims)?;
        if conv.groups > 1 && runs.len() > 1 {
            // A term gives all output channels, a group of one source only its own.
            (value, runs) = self.one_run(id, &value, dims)?;
        }
        let taps = window.kernel.0 * window.kernel.1;
        let group_in = conv.cin / conv.groups;
        let mut terms = Vec::new();
        let mut first = 0;
        for run in &runs {
            let source = self.force(value.parts[run.part]);
            let (groups, per_out) = if runs.len() == 1 {
                (conv.groups, group_in)
            } else {
                (1, run.count)
            };
            let weights = conv
                .weights
                .chunks_exact(group_in * taps)
                .flat_map(|w| &w[first * taps..(first + per_out) * taps]);
            let weights = weights.map(|&w| f64::from(w)).collect();
            let op = Op::Conv {
                cin: run.count,
                cout: conv.cout,
                groups,
                window,
                weights,
            };
            terms.push(Term {
                source,
                channel: run.channel,
                op,
            });
            first += run.count;
        }
        let (h, w) = window.output().expect("the importer checked the window");
        Ok((terms, (conv.cout, h, w)))
    }

    pub(super) fn matmul(
        &mut self,
        id: NodeId,
        rows: usize,
        k: usize,
        n: usize,
        weights: &[f32],
    ) -> Result<Value, QuantizeError> {
        let (terms, dims) = self.matmul_terms(id, rows, k, n, weights)?;
        let pending = Pending::linear(self.name(id), dims, terms, Ranges::default());
        if rows == 1 {
            return Ok(self.whole(id, pending));
        }
        let elements = len(dims);
        let part = self.pend(pending);
        let value = Value::whole(part, elements).reordered(elements, |i| i % n * rows + i / n);
        let range = self.part_ranges(id, &value).swap_remove(0);
        if let super::Part::Pending(pending) = &mut self.parts[part] {
            pending.set_range(range);
        }
        Ok(value)
    }

    /// The terms of a product and the dimensions of what they give: columns are channels, rows positions.
    pub(super) fn matmul_terms(
        &mut self,
        id: NodeId,
        rows: usize,
        k: usize,
        n: usize,
        weights: &[f32],
    ) -> Result<(Vec<Term>, Dims), QuantizeError> {
        let input = self.operand(id, 0);
        if rows == 1 {
            return Ok((self.dense(&input, n, weights), (n, 1, 1)));
        }
        // Rows become positions, columns become channels.
        let columns = input.reordered(rows * k, |i| i % rows * k + i / rows);
        let plane = columns
            .parts
            .first()
            .map(|&p| self.dims(p))
            .map(|d| (d.1, d.2));
        let (h, w) = plane.filter(|p| p.0 * p.1 == rows).unwrap_or((1, rows));
        let (value, runs) = self.planes(id, columns, (k, h, w))?;
        let mut terms = Vec::new();
        let mut first = 0;
        for run in runs {
            let source = self.force(value.parts[run.part]);
            let column =
                |j: usize| (0..run.count).map(move |i| f64::from(weights[(first + i) * n + j]));
            let weights = (0..n).flat_map(column).collect();
            let window = Window {
                input: (h, w),
                kernel: (1, 1),
                stride: (1, 1),
                dilation: (1, 1),
                pads: (0, 0, 0, 0),
            };
            let op = Op::Conv {
                cin: run.count,
                cout: n,
                groups: 1,
                window,
                weights,
            };
            terms.push(Term {
                source,
                channel: run.channel,
                op,
            });
            first += run.count;
        }
        Ok((terms, (n, h, w)))
    }

    /// One row: a dense layer over each source, columns in the source's own order.
    fn dense(&mut self, input: &Value, n: usize, weights: &[f32]) -> Vec<Term> {
        let mut terms: Vec<Term> = Vec::new();
        let mut items = Vec::new();
        for &part in &input.parts {
            let source = self.force(part);
            let item = len(self.tensors[source].dims);
            items.push(item);
            terms.push(Term {
                source,
                channel: 0,
                op: Op::Dense {
                    out: n,
                    weights: vec![0.0; n * item],
                },
            });
        }
        if terms.is_empty() {
            // All zeros: any source will do.
            let item = len(self.tensors[0].dims);
            terms.push(Term {
                source: 0,
                channel: 0,
                op: Op::Dense {
                    out: n,
                    weights: vec![0.0; n * item],
                },
            });
        }
        for (row, cell) in weights.chunks_exact(n).zip(&input.cells) {
            let Some((part, element)) = *cell else {
                continue;
            };
            let Op::Dense { weights, .. } = &mut terms[part as usize].op else {
                continue;
            };
            for (j, &w) in row.iter().enumerate() {
                weights[j * items[part as usize] + element as usize] += f64::from(w);
            }
        }
        terms
    }

    /// A sparse linear map: one free term over each tensor that it reads.
    pub(super) fn map(&mut self, id: NodeId, entries: &[(u32, u32, f32)]) -> Value {
        let input = self.operand(id, 0);
        let dims = self.natural(id);
        let mut sources: Vec<usize> = input.parts.iter().map(|&p| self.force(p)).collect();
        if sources.is_empty() {
            // All zeros: any source will do.
            sources.push(0);
        }
        let mut maps: Vec<Entries> = vec![Vec::new(); sources.len()];
        for &(out, element, weight) in entries {
            if let Some((part, element)) = input.cells[element as usize] {
                maps[part as usize].push((out, element, f64::from(weight)));
            }
        }
        let terms = sources.into_iter().zip(maps).map(|(source, entries)| {
            let op = Op::Map { out: dims, entries };
            Term {
                source,
                channel: 0,
                op,
            }
        });
        let pending = Pending::linear(self.name(id), dims, terms.collect(), Ranges::default());
        self.whole(id, pending)
    }
}
