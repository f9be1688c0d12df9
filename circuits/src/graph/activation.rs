//! Functions of one element.

/// A function of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

impl Activation {
    /// ReLU.
    pub const RELU: Activation = Activation::Clip {
        lo: 0.0,
        hi: f32::INFINITY,
    };

    /// The value at `x`.
    pub fn eval(self, x: f64) -> f64 {
        match self {
            Activation::Clip { lo, hi } => x.max(f64::from(lo)).min(f64::from(hi)),
            Activation::LeakyRelu { alpha } if x < 0.0 => f64::from(alpha) * x,
            Activation::LeakyRelu { .. } => x,
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::Tanh => x.tanh(),
        }
    }

    /// True where a greater argument never gives a smaller value: then it commutes with a maximum.
    pub fn is_monotone(self) -> bool {
        match self {
            Activation::LeakyRelu { alpha } => alpha >= 0.0,
            Activation::Clip { .. } | Activation::Sigmoid | Activation::Tanh => true,
        }
    }

    /// `next ∘ self` where that is one function of this list.
    pub fn then(self, next: Activation) -> Option<Activation> {
        match (self, next) {
            (Activation::Clip { lo, hi }, Activation::Clip { lo: lo2, hi: hi2 }) => {
                let clip = |x: f32| x.max(lo2).min(hi2);
                Some(Activation::Clip {
                    lo: clip(lo),
                    hi: clip(hi),
                })
            }
            _ => None,
        }
    }
}
