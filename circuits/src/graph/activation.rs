//! Functions of one element.

use std::sync::Arc;

use super::function::{Function, erf};

/// A function of one element.
#[derive(Clone, Debug, PartialEq)]
pub enum Activation {
    /// `clamp(x, lo, hi)`; ReLU is `lo = 0, hi = ∞`.
    Clip {
        /// Least value.
        lo: f32,
        /// Greatest value.
        hi: f32,
    },
    /// `x` where positive, else `alpha · x`.
    LeakyRelu {
        /// Slope below zero.
        alpha: f32,
    },
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `e^x`.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// `1 / x`.
    Reciprocal,
    /// `x^exponent`.
    Power {
        /// The exponent.
        exponent: f32,
    },
    /// Error function.
    Erf,
    /// `x · Φ(x)`, `Φ` the normal distribution.
    Gelu,
    /// `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`.
    GeluTanh,
    /// `x · sigmoid(alpha · x)`.
    Swish {
        /// Factor inside the sigmoid; 1 is SiLU.
        alpha: f32,
    },
    /// `clamp(alpha · x + beta, 0, 1)`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x · clamp(x / 6 + 1/2, 0, 1)`.
    HardSwish,
    /// `gamma · x` where positive, else `gamma · alpha · (e^(x / width) - 1)`: Elu, Selu and Celu.
    Elu {
        /// Minus the limit at `-∞`, over `gamma`.
        alpha: f32,
        /// Factor of the whole.
        gamma: f32,
        /// Width of the exponential.
        width: f32,
    },
    /// `ln(1 + e^x)`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x · tanh(softplus(x))`.
    Mish,
    /// `x` where above `alpha`, else 0.
    ThresholdedRelu {
        /// The threshold.
        alpha: f32,
    },
    /// `x ± bias` outside `±lambda`, 0 inside.
    Shrink {
        /// Half the width of the zero part.
        lambda: f32,
        /// What the rest moves by, towards 0.
        bias: f32,
    },
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Arcsine.
    Asin,
    /// Arccosine.
    Acos,
    /// Arctangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Inverse hyperbolic sine.
    Asinh,
    /// Inverse hyperbolic cosine.
    Acosh,
    /// Inverse hyperbolic tangent.
    Atanh,
    /// `|x|`.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// Greatest integer not above `x`.
    Floor,
    /// Least integer not below `x`.
    Ceil,
    /// Nearest integer, halves to even.
    Round,
    /// `x` without its fraction.
    Trunc,
    /// 1 where `lo ≤ x ≤ hi`, else 0; the other way round where not `inside`.
    Indicator {
        /// Least argument of the interval.
        lo: f32,
        /// Greatest argument of the interval.
        hi: f32,
        /// The value is 1 inside the interval.
        inside: bool,
    },
    /// Any function made of these, constants, sums and products.
    Composed(Arc<Function>),
}

impl Activation {
    /// ReLU.
    pub const RELU: Activation = Activation::Clip {
        lo: 0.0,
        hi: f32::INFINITY,
    };

    /// The value at `x`; NaN outside the function's domain.
    pub fn eval(&self, x: f64) -> f64 {
        use Activation as A;
        match self {
            A::Clip { lo, hi } => x.max(f64::from(*lo)).min(f64::from(*hi)),
            A::LeakyRelu { alpha } if x < 0.0 => f64::from(*alpha) * x,
            A::LeakyRelu { .. } => x,
            A::Sigmoid => sigmoid(x),
            A::Tanh => x.tanh(),
            A::Exp => x.exp(),
            A::Log => x.ln(),
            A::Sqrt => x.sqrt(),
            A::Reciprocal => 1.0 / x,
            A::Power { exponent } => x.powf(f64::from(*exponent)),
            A::Erf => erf(x),
            A::Gelu => 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
            A::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            A::Swish { alpha } => x * sigmoid(f64::from(*alpha) * x),
            A::HardSigmoid { alpha, beta } => {
                (f64::from(*alpha) * x + f64::from(*beta)).clamp(0.0, 1.0)
            }
            A::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            A::Elu { gamma, .. } if x >= 0.0 => f64::from(*gamma) * x,
            A::Elu {
                alpha,
                gamma,
                width,
            } => f64::from(*gamma) * f64::from(*alpha) * (x / f64::from(*width)).exp_m1(),
            A::Softplus => softplus(x),
            A::Softsign => x / (1.0 + x.abs()),
            A::Mish => x * softplus(x).tanh(),
            A::ThresholdedRelu { alpha } if x > f64::from(*alpha) => x,
            A::ThresholdedRelu { .. } => 0.0,
            A::Shrink { lambda, bias } if x < -f64::from(*lambda) => x + f64::from(*bias),
            A::Shrink { lambda, bias } if x > f64::from(*lambda) => x - f64::from(*bias),
            A::Shrink { .. } => 0.0,
            A::Sin => x.sin(),
            A::Cos => x.cos(),
            A::Tan => x.tan(),
            A::Asin => x.asin(),
            A::Acos => x.acos(),
            A::Atan => x.atan(),
            A::Sinh => x.sinh(),
            A::Cosh => x.cosh(),
            A::Asinh => x.asinh(),
            A::Acosh => x.acosh(),
            A::Atanh => x.atanh(),
            A::Abs => x.abs(),
            A::Sign if x == 0.0 => 0.0,
            A::Sign => x.signum(),
            A::Floor => x.floor(),
            A::Ceil => x.ceil(),
            A::Round => x.round_ties_even(),
            A::Trunc => x.trunc(),
            A::Indicator { lo, hi, inside } => {
                let within = f64::from(*lo) <= x && x <= f64::from(*hi);
                f64::from(u8::from(within == *inside))
            }
            A::Composed(function) => function.eval(x),
        }
    }

    /// The value at the point of the domain that is nearest to `x`: what tables hold. It may be infinite at the
    /// domain's ends; a table then holds its least or greatest value there.
    pub fn extended(&self, x: f64) -> f64 {
        let (lo, hi) = self.domain();
        self.eval(x.max(lo).min(hi))
    }

    /// Where the function is defined.
    pub fn domain(&self) -> (f64, f64) {
        use Activation as A;
        match self {
            A::Log | A::Sqrt => (0.0, f64::INFINITY),
            A::Power { exponent } if exponent.fract() != 0.0 => (0.0, f64::INFINITY),
            A::Asin | A::Acos | A::Atanh => (-1.0, 1.0),
            A::Acosh => (1.0, f64::INFINITY),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// An interval that holds every value.
    pub fn codomain(&self) -> (f64, f64) {
        use Activation as A;
        let infinity = f64::INFINITY;
        match self {
            A::Clip { lo, hi } => (f64::from(*lo), f64::from(*hi)),
            A::LeakyRelu { alpha } if *alpha <= 0.0 => (0.0, infinity),
            A::Sigmoid | A::HardSigmoid { .. } | A::Indicator { .. } => (0.0, 1.0),
            A::Tanh | A::Erf | A::Softsign | A::Sin | A::Cos | A::Sign => (-1.0, 1.0),
            A::Exp | A::Sqrt | A::Softplus | A::Abs | A::Acos | A::Acosh => (0.0, infinity),
            A::Cosh => (1.0, infinity),
            A::Power { exponent } if exponent % 2.0 == 0.0 || exponent.fract() != 0.0 => {
                (0.0, infinity)
            }
            A::ThresholdedRelu { alpha } if *alpha >= 0.0 => (0.0, infinity),
            A::Elu { alpha, gamma, .. } if *alpha >= 0.0 && *gamma >= 0.0 => {
                (-f64::from(*alpha) * f64::from(*gamma), infinity)
            }
            A::Gelu | A::GeluTanh => (-0.18, infinity),
            A::HardSwish => (-0.375, infinity),
            A::Mish => (-0.31, infinity),
            A::Swish { alpha } if *alpha > 0.0 => (-0.279 / f64::from(*alpha), infinity),
            _ => (-infinity, infinity),
        }
    }

    /// True only where a greater argument never gives a smaller value: then it commutes with a maximum.
    pub fn is_monotone(&self) -> bool {
        use Activation as A;
        match self {
            A::LeakyRelu { alpha } | A::HardSigmoid { alpha, .. } => *alpha >= 0.0,
            A::ThresholdedRelu { alpha } => *alpha >= 0.0,
            A::Elu {
                alpha,
                gamma,
                width,
            } => *alpha >= 0.0 && *gamma >= 0.0 && *width > 0.0,
            A::Clip { .. } | A::Sigmoid | A::Tanh | A::Exp | A::Log | A::Sqrt | A::Erf => true,
            A::Softplus | A::Softsign | A::Asin | A::Atan | A::Sinh | A::Asinh => true,
            A::Acosh | A::Atanh | A::Sign | A::Floor | A::Ceil | A::Round | A::Trunc => true,
            _ => false,
        }
    }

    /// True where the function is monotone and as good as at the finite ends of its codomain a few units from 0.
    pub fn saturates(&self) -> bool {
        use Activation as A;
        match self {
            A::Sigmoid | A::Tanh | A::Erf | A::Exp | A::Softplus => true,
            f => matches!(f, A::HardSigmoid { .. } | A::Elu { .. }) && f.is_monotone(),
        }
    }

    /// True where every value is a whole number.
    pub fn is_whole(&self) -> bool {
        use Activation as A;
        matches!(
            self,
            A::Sign | A::Floor | A::Ceil | A::Round | A::Trunc | A::Indicator { .. }
        )
    }

    /// True where the value at a whole number is one.
    pub fn keeps_whole(&self) -> bool {
        use Activation as A;
        match self {
            A::Abs => true,
            A::Power { exponent } => *exponent >= 0.0 && exponent.fract() == 0.0,
            f => f.is_whole(),
        }
    }

    /// True where the function jumps: no interval around a jump is narrow enough to tabulate it better.
    pub fn is_step(&self) -> bool {
        use Activation as A;
        matches!(
            self,
            A::Sign
                | A::Floor
                | A::Ceil
                | A::Round
                | A::Trunc
                | A::ThresholdedRelu { .. }
                | A::Indicator { .. }
        )
    }

    /// `next ∘ self` where that is one clamp.
    pub fn then(&self, next: &Activation) -> Option<Activation> {
        match (self, next) {
            (Activation::Clip { lo, hi }, Activation::Clip { lo: lo2, hi: hi2 }) => {
                let clip = |x: f32| x.max(*lo2).min(*hi2);
                Some(Activation::Clip {
                    lo: clip(*lo),
                    hi: clip(*hi),
                })
            }
            _ => None,
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
