//! Quantized operators: integers of one grid to integers of another, exactly.
//!
//! A quantized tensor stands in the graph as the real numbers `scale · (q - zero_point)` that its integers mean.
//! Here its integers are the centred ones, `c = q - zero_point`, so that a zero of a convolution's padding is the real
//! zero. Sums are exact and round once, halves to even; multipliers are float32 numbers, taken as the fractions that
//! they are. `docs/quantized.md` says which kernels of ONNX Runtime these are.

use super::{
    Conv, Pool,
    dyadic::{Dyadic, Rounded, Ties, ratio, round},
    eval::{convolve, matmul, window_sums},
};

/// The integers of a quantized tensor, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Real step, positive.
    pub scale: f32,
    /// The integer of the real zero.
    pub zero_point: i64,
    /// Least integer.
    pub least: i64,
    /// Greatest integer.
    pub greatest: i64,
}

impl Grid {
    /// Least and greatest centred integer.
    pub fn ends(&self) -> (i64, i64) {
        (
            self.least - self.zero_point,
            self.greatest - self.zero_point,
        )
    }

    /// The centred integer nearest to a real number, as `QuantizeLinear` computes it in float32.
    pub fn nearest(&self, value: f32) -> Rounded {
        let quotient = f64::from(value / self.scale);
        let (lo, hi) = self.ends();
        let nearest = quotient.round_ties_even();
        let other = quotient.floor() + quotient.ceil() - nearest;
        // The casts saturate.
        let rounded = Rounded {
            value: nearest as i64,
            other: other as i64,
            margin: (quotient - quotient.floor() - 0.5).abs(),
        };
        rounded.clamped(lo, hi)
    }

    /// The real number of a centred integer.
    pub fn real(&self, integer: i64) -> f32 {
        integer as f32 * self.scale
    }

    /// The centred integers of real numbers that lie on the grid.
    pub fn integers(&self, values: &[f32]) -> Vec<i64> {
        let scale = f64::from(self.scale);
        values
            .iter()
            .map(|&v| (f64::from(v) / scale).round() as i64)
            .collect()
    }
}

/// A quantized operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// What it computes.
    pub op: QuantizedOp,
    /// The grids of its operands; none for [`QuantizedOp::Round`].
    pub from: Vec<Grid>,
    /// The grid of its tensor.
    pub to: Grid,
    /// The centred integers that it clamps to, within those of the grid.
    pub clip: (i64, i64),
}

/// What a quantized operator computes, before it clamps.
#[derive(Clone, Debug, PartialEq)]
pub enum QuantizedOp {
    /// The integer nearest to a real number.
    Round,
    /// The same integers `q` on another grid.
    Shift,
    /// `round(M_j · (Σ w·c + b_j))`.
    Sum(Sum),
    /// `round(M_0·a + M_1·b)`.
    Add {
        /// A factor for each operand.
        multipliers: [f32; 2],
    },
    /// `round(M_0·c + M_1·s)` with a constant.
    Offset {
        /// The factors.
        multipliers: [f32; 2],
        /// Integers, one an element of an item.
        summands: Vec<i64>,
    },
    /// `round(M·a·b)`.
    Mul {
        /// The factor.
        multiplier: f32,
    },
    /// The mean of a window times the quotient of the scales.
    Mean(Pool),
    /// A function of each integer.
    Table(IntegerTable),
}

/// A sum with integer weights and a multiplier for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Sum {
    /// What is summed.
    pub map: SumMap,
    /// One a channel.
    pub bias: Vec<i64>,
    /// One a channel.
    pub multipliers: Vec<f32>,
}

/// What a [`Sum`] sums. Weights are integers, less their zero points.
#[derive(Clone, Debug, PartialEq)]
pub enum SumMap {
    /// A convolution; its own bias is empty.
    Conv(Conv),
    /// `[rows, k]` times weights `[k, n]`; a channel is a column.
    MatMul {
        /// Rows of an item.
        rows: usize,
        /// Contracted length.
        k: usize,
        /// Columns.
        n: usize,
        /// Row-major `[k][n]`.
        weights: Vec<f32>,
    },
    /// Sums over windows.
    Total(Pool),
}

/// A function of centred integers.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerTable {
    /// The first argument.
    pub first: i64,
    /// Its values, from the first argument on.
    pub values: Vec<Rounded>,
}

impl SumMap {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        match self {
            SumMap::Conv(conv) => conv.cout,
            SumMap::MatMul { n, .. } => *n,
            SumMap::Total(pool) => pool.channels,
        }
    }

    /// The sums of an item without bias, and the channel of element `i`.
    fn sums(&self, x: &[i64]) -> (Vec<i64>, Box<dyn Fn(usize) -> usize>) {
        let integers =
            |weights: &[f32]| -> Vec<i64> { weights.iter().map(|&w| w as i64).collect() };
        match self {
            SumMap::Conv(conv) => {
                let sums = convolve(conv, &integers(&conv.weights), &[], x);
                let plane = sums.len() / conv.cout;
                (sums, Box::new(move |i| i / plane))
            }
            SumMap::MatMul {
                rows,
                k,
                n,
                weights,
            } => {
                let n = *n;
                let sums = matmul(*rows, *k, n, &integers(weights), x);
                (sums, Box::new(move |i| i % n))
            }
            SumMap::Total(pool) => {
                let plane = pool.output.0 * pool.output.1;
                (window_sums(pool, x), Box::new(move |i| i / plane))
            }
        }
    }
}

impl Quantized {
    /// The rule for ties. Element-wise kernels add the zero point before they round.
    pub fn ties(&self) -> Ties {
        match self.op {
            QuantizedOp::Add { .. }
            | QuantizedOp::Offset { .. }
            | QuantizedOp::Mul { .. }
            | QuantizedOp::Mean(_) => Ties::with_zero_point(self.to.zero_point),
            _ => Ties::Even,
        }
    }

    /// The centred integers of an item, from the real numbers of the operands' items.
    pub fn integers(&self, operands: &[&[f32]]) -> Vec<Rounded> {
        let arguments: Vec<Vec<i64>> = self
            .from
            .iter()
            .zip(operands)
            .map(|(grid, values)| grid.integers(values))
            .collect();
        let ties = self.ties();
        let mut out: Vec<Rounded> = match &self.op {
            QuantizedOp::Round => operands[0].iter().map(|&v| self.to.nearest(v)).collect(),
            QuantizedOp::Shift => {
                let step = self.from[0].zero_point - self.to.zero_point;
                arguments[0]
                    .iter()
                    .map(|&c| Rounded::exact(c + step))
                    .collect()
            }
            QuantizedOp::Sum(sum) => {
                let (sums, channel) = sum.map.sums(&arguments[0]);
                let factors: Vec<Dyadic> = sum.multipliers.iter().map(|&m| finite(m)).collect();
                let element = |(i, y): (usize, i64)| {
                    factors[channel(i)].times(y + sum.bias[channel(i)], ties)
                };
                sums.into_iter().enumerate().map(element).collect()
            }
            QuantizedOp::Add { multipliers } => {
                let [a, b] = multipliers.map(finite);
                let pairs = arguments[0].iter().zip(&arguments[1]);
                pairs.map(|(&x, &y)| add((a, x), (b, y), ties)).collect()
            }
            QuantizedOp::Offset {
                multipliers,
                summands,
            } => {
                let [a, b] = multipliers.map(finite);
                let pairs = arguments[0].iter().zip(summands);
                pairs.map(|(&x, &y)| add((a, x), (b, y), ties)).collect()
            }
            QuantizedOp::Mul { multiplier } => {
                let factor = finite(*multiplier);
                let pairs = arguments[0].iter().zip(&arguments[1]);
                pairs.map(|(&x, &y)| factor.times(x * y, ties)).collect()
            }
            QuantizedOp::Mean(pool) => {
                let mean = MeanTable::new(self.from[0], self.to);
                let divisors = pool.divisors();
                let sums = window_sums(pool, &arguments[0]).into_iter().enumerate();
                sums.map(|(i, sum)| mean.of(sum, divisors[i % divisors.len()] as i64))
                    .collect()
            }
            QuantizedOp::Table(table) => arguments[0].iter().map(|&c| table.at(c)).collect(),
        };
        for rounded in &mut out {
            *rounded = rounded.clamped(self.clip.0, self.clip.1);
        }
        out
    }
}

/// `a·x + b·y`, rounded.
pub(crate) fn add((a, x): (Dyadic, i64), (b, y): (Dyadic, i64), ties: Ties) -> Rounded {
    let (n, e) = sum_of((a, x), (b, y));
    round(n, e, ties)
}

/// `a·x + b·y = n / 2^e`.
pub(crate) fn sum_of((a, x): (Dyadic, i64), (b, y): (Dyadic, i64)) -> (i128, i32) {
    let e = a.e.max(b.e);
    let scaled = |d: Dyadic, v: i64| (i128::from(d.m) * i128::from(v)) << ((e - d.e).min(80));
    (scaled(a, x) + scaled(b, y), e)
}

/// Multipliers are checked where the operator is imported.
pub(crate) fn finite(multiplier: f32) -> Dyadic {
    Dyadic::new(multiplier).unwrap_or(Dyadic { m: 0, e: 0 })
}

impl IntegerTable {
    /// The value at an argument; the nearest end's outside the table.
    pub fn at(&self, c: i64) -> Rounded {
        self.values[(c - self.first).clamp(0, self.values.len() as i64 - 1) as usize]
    }
}

/// `sum / divisor · scale_in / scale_out`, rounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeanTable {
    from: Dyadic,
    to: Dyadic,
    ties: Ties,
}

impl MeanTable {
    pub(crate) fn new(from: Grid, to: Grid) -> MeanTable {
        MeanTable {
            from: finite(from.scale),
            to: finite(to.scale),
            ties: Ties::with_zero_point(to.zero_point),
        }
    }

    pub(crate) fn of(&self, sum: i64, divisor: i64) -> Rounded {
        let n = i128::from(self.from.m) * i128::from(sum);
        let d = i128::from(self.to.m) * i128::from(divisor);
        // from.m·2^-from.e / (to.m·2^-to.e); scales of one tensor's neighbours differ by less than 2^60.
        let up = (self.to.e - self.from.e).clamp(-60, 60);
        ratio(n << up.max(0), d << (-up).max(0), self.ties)
    }
}
