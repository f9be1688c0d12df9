//! Squared distances to constant points, from squares of integers.
//!
//! ```text
//! e_f = x_f - m_f·s_f,   c_f = round((x_f/s_f - m_f)² / 2^r)     m_f the points' mean in steps s_f: a table
//! |x - p|² = Σ_f s_f²·2^r·c_f - 2·(p_f - m_f·s_f)·e_f + (p_f - m_f·s_f)²
//! ```
//!
//! Around the mean little cancels. `r` leaves the squares one bit more than the model has: half a step of rounding
//! there, and weights of `2^-shift` against integers that are not too large.

use super::{
    Lowering, Tensor,
    pending::{Op, Pending, Term},
    value::Value,
};
use crate::{
    graph::NodeId,
    model::{Kind, Linear, Table},
    quantize::calibrate::Ranges,
};

impl Lowering<'_> {
    pub(super) fn squared_distance(&mut self, id: NodeId, points: &[f32]) -> Value {
        let value = self.operand(id, 0);
        let item = value.cells.len();
        let count = points.len() / item;
        let mean = |feature: usize| {
            let column = points[feature..].iter().step_by(item);
            column.map(|&p| f64::from(p)).sum::<f64>() / count as f64
        };
        let mut bias = vec![0.0; count];
        let mut terms = Vec::new();
        for (at, &part) in value.parts.iter().enumerate() {
            let source = self.force(part);
            let tensor = self.tensors[source].clone();
            let plane = tensor.dims.1 * tensor.dims.2;
            let elements = tensor.dims.0 * plane;
            // Elements of one channel share its middle: that of the first that is read.
            let mut middles: Vec<Option<i64>> = vec![None; tensor.dims.0];
            let mut uses: Vec<Vec<usize>> = vec![Vec::new(); elements];
            for (feature, cell) in value.cells.iter().enumerate() {
                if let Some((_, element)) = cell.filter(|&(part, _)| part as usize == at) {
                    let channel = element as usize / plane;
                    middles[channel].get_or_insert_with(|| {
                        self.middle(source, mean(feature) / tensor.scales[channel])
                    });
                    uses[element as usize].push(feature);
                }
            }
            let middles: Vec<i64> = middles.into_iter().map(|m| m.unwrap_or(0)).collect();
            let (squares, unit) = self.squares_around(id, at, source, &middles);
            let mut linear = vec![0.0; count * elements];
            let mut square = vec![0.0; count * elements];
            for (element, features) in uses.iter().enumerate() {
                let channel = element / plane;
                let scale = tensor.scales[channel];
                let middle = middles[channel] as f64 * scale;
                for &feature in features {
                    for (point, bias) in bias.iter_mut().enumerate() {
                        let off = f64::from(points[point * item + feature]) - middle;
                        square[point * elements + element] += 1.0;
                        linear[point * elements + element] -= 2.0 * off;
                        *bias += off * off + 2.0 * off * middle;
                    }
                }
            }
            self.tensors[squares].scales = tensor.scales.iter().map(|s| s * s * unit).collect();
            for (source, weights) in [(squares, square), (source, linear)] {
                let op = Op::Dense {
                    out: count,
                    weights,
                };
                terms.push(Term {
                    source,
                    channel: 0,
                    op,
                });
            }
        }
        for (feature, cell) in value.cells.iter().enumerate() {
            if cell.is_none() {
                let column = points[feature..].iter().step_by(item);
                for (bias, &point) in bias.iter_mut().zip(column) {
                    *bias += f64::from(point).powi(2);
                }
            }
        }
        let name = self.name(id).to_owned();
        let mut pending = Pending::linear(&name, (count, 1, 1), terms, Ranges::default());
        pending.bias = bias;
        self.whole(id, pending)
    }

    /// An integer of a tensor near a number of its steps.
    fn middle(&self, source: usize, steps: f64) -> i64 {
        let (lo, hi) = self.integers(self.tensors[source].node);
        (steps.round() as i64).clamp(lo, hi)
    }

    /// `round((q - middle)² / 2^r)` of a tensor's integers, as a tensor, and `2^r`.
    fn squares_around(
        &mut self,
        id: NodeId,
        part: usize,
        source: usize,
        middles: &[i64],
    ) -> (usize, f64) {
        let tensor = self.tensors[source].clone();
        let (lo, hi) = self.integers(tensor.node);
        let most = |m: &i64| (lo - m).abs().max((hi - m).abs());
        let reach = middles.iter().map(most).max().unwrap_or(0).max(1);
        let bits = (reach * reach).ilog2() + 1;
        let r = bits.saturating_sub(self.options.bits + 1);
        let square = |q: i64| ((q * q + (1 << r >> 1)) >> r) as i32;
        let linear = Linear {
            terms: vec![super::emit::copy(tensor.node, 0, tensor.dims.0, 1)],
            bias: middles.iter().map(|m| -m).collect(),
            requantize: false,
            pool: None,
            table: Table::Lut {
                lo: -reach,
                values: (-reach..=reach).map(square).collect(),
            },
        };
        let name = format!("{}.{part}.square", self.name(id));
        let node = self.push(name, tensor.dims, Kind::Linear(linear));
        let squares = self.tensor(Tensor {
            node,
            scales: tensor.scales,
            dims: tensor.dims,
            least: 0,
        });
        (squares, f64::from(r).exp2())
    }
}
