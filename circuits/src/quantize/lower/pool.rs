//! Pooling: sums over windows, and maxima fused into the node they follow.

use super::{
    Lowering, MAX_ENTRIES, Part,
    emit::copy,
    pending::{self, Op, Pending, Term},
    value::{Dims, Run, Value, len},
};
use crate::{
    graph::{NodeId, Pool, PoolKind},
    model::{self, Linear, MaxPool, Table},
    quantize::{QuantizeError, calibrate::Ranges},
};

impl Lowering<'_> {
    pub(super) fn pool(&mut self, id: NodeId, pool: &Pool) -> Result<Value, QuantizeError> {
        let input = self.operand(id, 0);
        let dims = (pool.channels, pool.window.input.0, pool.window.input.1);
        let (value, runs) = self.planes(id, input, dims)?;
        let plane = pool.output.0 * pool.output.1;
        let mut out = Value {
            parts: Vec::new(),
            cells: Vec::with_capacity(pool.channels * plane),
        };
        for run in runs {
            let part = value.parts[run.part];
            let part = match pool.kind {
                PoolKind::Max if pool.window.kernel != (1, 1) => {
                    self.maximum(id, pool, part, run)?
                }
                // The maximum of one element is its mean.
                _ => self.mean(id, pool, part, run)?,
            };
            let at = out.parts.len() as u32;
            out.parts.push(part);
            out.cells
                .extend((0..(run.count * plane) as u32).map(|e| Some((at, e))));
        }
        for (part, range) in out
            .parts
            .clone()
            .into_iter()
            .zip(self.part_ranges(id, &out))
        {
            if let Part::Pending(pending) = &mut self.parts[part] {
                pending.set_range(range);
            }
        }
        Ok(out)
    }

    fn mean(
        &mut self,
        id: NodeId,
        pool: &Pool,
        part: super::PartId,
        run: Run,
    ) -> Result<super::PartId, QuantizeError> {
        let dims = (run.count, pool.output.0, pool.output.1);
        let term = self.window_term(id, pool, part, run, &|divisor| 1.0 / divisor as f64)?;
        let pending = Pending::linear(self.name(id), dims, vec![term], Ranges::default());
        Ok(self.pend(pending))
    }

    /// Sums over the windows of all channels, each element times the weight that belongs to its window's divisor.
    pub(super) fn total(
        &mut self,
        id: NodeId,
        pool: &Pool,
        weight: &dyn Fn(usize) -> f64,
    ) -> Result<(Vec<Term>, Dims), QuantizeError> {
        let input = self.operand(id, 0);
        let dims = (pool.channels, pool.window.input.0, pool.window.input.1);
        let (mut value, mut runs) = self.planes(id, input, dims)?;
        if runs.len() > 1 {
            (value, runs) = self.one_run(id, &value, dims)?;
        }
        let term = self.window_term(id, pool, value.parts[runs[0].part], runs[0], weight)?;
        Ok((vec![term], (pool.channels, pool.output.0, pool.output.1)))
    }

    /// Weighted sums over the windows of some channels.
    fn window_term(
        &mut self,
        id: NodeId,
        pool: &Pool,
        part: super::PartId,
        run: Run,
        weight: &dyn Fn(usize) -> f64,
    ) -> Result<Term, QuantizeError> {
        let source = self.force(part);
        let divisors = pool.divisors();
        let plain =
            divisors.iter().all(|&d| d == divisors[0]) && pool.window.output() == Some(pool.output);
        let dims = (run.count, pool.output.0, pool.output.1);
        // A pool that dilates has no term of its own.
        Ok(if plain && pool.window.dilation == (1, 1) {
            let op = Op::SumPool {
                channels: run.count,
                window: pool.window,
                weight: weight(divisors[0]),
            };
            Term {
                source,
                channel: run.channel,
                op,
            }
        } else {
            let plane = pool.window.input.0 * pool.window.input.1;
            let mut entries = Vec::new();
            self.each_window(id, pool, run.count, |out, c, _, cell| {
                if let Some(cell) = cell {
                    let weight = weight(divisors[out % divisors.len()]);
                    entries.push((
                        out as u32,
                        ((run.channel + c) * plane + cell) as u32,
                        weight,
                    ));
                }
            })?;
            Term {
                source,
                channel: 0,
                op: Op::Map { out: dims, entries },
            }
        })
    }

    fn maximum(
        &mut self,
        id: NodeId,
        pool: &Pool,
        part: super::PartId,
        run: Run,
    ) -> Result<super::PartId, QuantizeError> {
        let window = &pool.window;
        let side_by_side = window.kernel == window.stride
            && window.dilation == (1, 1)
            && !window.is_padded()
            && window.output() == Some(pool.output);
        let dims = (run.count, pool.output.0, pool.output.1);
        if let (true, Part::Pending(pending)) = (side_by_side, &self.parts[part]) {
            let whole = run.channel == 0 && run.count == pending.dims.0;
            if whole
                && pending.pool.is_none()
                && pending.activation.as_ref().is_none_or(|f| f.is_monotone())
            {
                let mut pooled = pending.as_ref().clone();
                pooled.dims = dims;
                pooled.pool = Some(pending::Pool {
                    kernel: window.kernel,
                    full: window.input,
                });
                pooled.name = self.name(id).to_owned();
                return Ok(self.pend(pooled));
            }
        }
        let index = self.force(part);
        let tensor = self.tensors[index].clone();
        let scales = tensor.scales[run.channel..run.channel + run.count].to_vec();
        let (terms, bias, full) = if side_by_side {
            (
                vec![copy(tensor.node, run.channel, run.count, 1)],
                vec![0; run.count],
                window.input,
            )
        } else {
            let (kh, kw) = window.kernel;
            let full = (pool.output.0 * kh, pool.output.1 * kw);
            let plane = window.input.0 * window.input.1;
            let width = full.1;
            let mut entries = Vec::new();
            let mut bias = vec![0; run.count * full.0 * full.1];
            self.each_window(id, pool, run.count, |out, c, (ky, kx), cell| {
                let (oy, ox) = (out / pool.output.1 % pool.output.0, out % pool.output.1);
                let at = (c * full.0 + oy * kh + ky) * width + ox * kw + kx;
                match cell {
                    Some(cell) => {
                        entries.push((at as u32, ((run.channel + c) * plane + cell) as u32, 1))
                    }
                    // Padding never wins: it reads as the least value the source can have.
                    None => bias[at] = tensor.least,
                }
            })?;
            entries.sort_unstable_by_key(|e| e.0);
            let op = model::Op::Map {
                out: (run.count, full.0, full.1),
                entries,
            };
            (
                vec![model::Term {
                    source: tensor.node,
                    channel: 0,
                    op,
                }],
                bias,
                full,
            )
        };
        let pool = Some(MaxPool {
            kernel: window.kernel,
            from_zero: false,
            full,
        });
        let linear = Linear {
            terms,
            bias,
            requantize: false,
            pool,
            table: Table::Identity,
        };
        let name = self.name(id).to_owned();
        let index = self.push_exact(name, dims, linear, scales, tensor.least);
        Ok(self.part(Part::Tensor(index)))
    }

    /// Calls `f` with the output element, its channel, the tap and the input cell of its plane, for every tap of
    /// every window; the cell is `None` in the padding.
    fn each_window(
        &self,
        id: NodeId,
        pool: &Pool,
        channels: usize,
        mut f: impl FnMut(usize, usize, (usize, usize), Option<usize>),
    ) -> Result<(), QuantizeError> {
        let window = &pool.window;
        let (oh, ow) = pool.output;
        let entries = len((channels, oh, ow)).saturating_mul(window.kernel.0 * window.kernel.1);
        if entries > MAX_ENTRIES {
            let node = self.name(id).to_owned();
            return Err(QuantizeError::TooManyEntries {
                node,
                entries,
                limit: MAX_ENTRIES,
            });
        }
        for out in 0..channels * oh * ow {
            let (oy, ox) = (out / ow % oh, out % ow);
            for ky in 0..window.kernel.0 {
                for kx in 0..window.kernel.1 {
                    let cell = window
                        .row(oy, ky)
                        .zip(window.column(ox, kx))
                        .map(|(y, x)| y * window.input.1 + x);
                    f(out, out / (oh * ow), (ky, kx), cell);
                }
            }
        }
        Ok(())
    }
}
