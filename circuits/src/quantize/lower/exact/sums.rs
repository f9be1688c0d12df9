//! Sums with integer weights, and means.

use super::ExactSum;
use crate::{
    graph::{MeanTable, NodeId, Pool, Quantized, Rounded, Sum, SumMap},
    model::Table,
    quantize::{
        QuantizeError,
        exact::{self, Channel, MAX_TABLE},
        lower::{
            Lowering, Part,
            value::{Dims, Value, len},
        },
    },
};

impl Lowering<'_> {
    pub(super) fn exact_sum(
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

    /// A mean as a table of the window's sum, scaled to the common multiple of all divisors.
    pub(super) fn exact_mean(
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

    #[test]
    fn divisors_have_a_common_multiple() {
        assert_eq!(common_multiple(&[4, 6, 9, 6]), 36);
        assert_eq!(common_multiple(&[1, 1]), 1);
    }
}
