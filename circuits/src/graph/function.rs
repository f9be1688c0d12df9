//! Functions made of others: what exporters write as products and sums of functions of one tensor.

use std::sync::Arc;

use super::{Activation, Graph, NodeId, Op};

/// A function of one argument as an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// The argument.
    Argument,
    /// A constant.
    Constant(f64),
    /// A function of an expression.
    Of(Activation, Arc<Function>),
    /// Sum of two expressions.
    Sum(Arc<Function>, Arc<Function>),
    /// Product of two expressions.
    Product(Arc<Function>, Arc<Function>),
}

/// Nodes on the way from a product back to the tensor that both factors are functions of.
const MAX_DEPTH: usize = 12;

impl Function {
    /// The value at `x`; inner functions are taken at the nearest point of their domain.
    pub fn eval(&self, x: f64) -> f64 {
        match self {
            Function::Argument => x,
            Function::Constant(value) => *value,
            Function::Of(f, inner) => f.extended(inner.eval(x)),
            Function::Sum(a, b) => a.eval(x) + b.eval(x),
            Function::Product(a, b) => a.eval(x) * b.eval(x),
        }
    }

    fn scaled(self: Arc<Self>, scale: f64, offset: f64) -> Arc<Function> {
        let constant = |value| Arc::new(Function::Constant(value));
        let product = match scale {
            1.0 => self,
            _ => Arc::new(Function::Product(self, constant(scale))),
        };
        match offset {
            0.0 => product,
            _ => Arc::new(Function::Sum(product, constant(offset))),
        }
    }
}

impl Graph {
    /// The nearest tensor that `a` and `b` are both functions of, element by element, and these functions.
    pub fn common_argument(
        &self,
        a: NodeId,
        b: NodeId,
    ) -> Option<(NodeId, Arc<Function>, Arc<Function>)> {
        let mut root = a;
        for _ in 0..MAX_DEPTH {
            if let (Some(f), Some(g)) = (
                self.function_of(a, root, MAX_DEPTH),
                self.function_of(b, root, MAX_DEPTH),
            ) {
                return Some((root, f, g));
            }
            let node = &self.nodes[root];
            root = match &node.op {
                Op::Activation(_) | Op::Affine { .. } => node.inputs[0],
                _ => return None,
            };
        }
        None
    }

    /// `node` as a function of `root`, where it is one.
    fn function_of(&self, node: NodeId, root: NodeId, depth: usize) -> Option<Arc<Function>> {
        if node == root {
            return Some(Arc::new(Function::Argument));
        }
        let depth = depth.checked_sub(1)?;
        if node < root {
            return None;
        }
        let argument = |i: usize| self.function_of(self.nodes[node].inputs[i], root, depth);
        match &self.nodes[node].op {
            Op::Activation(f) => Some(Arc::new(Function::Of(f.clone(), argument(0)?))),
            Op::Affine { scale, offset } => {
                let (scale, offset) = (uniform(scale)?, uniform(offset)?);
                Some(argument(0)?.scaled(scale, offset))
            }
            Op::Add { subtract } => {
                let sign = if *subtract { -1.0 } else { 1.0 };
                let second = argument(1)?.scaled(sign, 0.0);
                Some(Arc::new(Function::Sum(argument(0)?, second)))
            }
            _ => None,
        }
    }
}

/// The one number that all are.
pub(super) fn uniform(values: &[f32]) -> Option<f64> {
    let first = *values.first()?;
    values
        .iter()
        .all(|&v| v == first)
        .then_some(f64::from(first))
}

/// Error function, to about 1e-15: `2/√π · e^(-x²) · Σ 2^n x^(2n+1) / (2n+1)!!`.
pub(super) fn erf(x: f64) -> f64 {
    if x.is_nan() || x.abs() >= 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
        n += 1.0;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_the_known_values() {
        for (x, expected) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (-2.0, -0.995_322_265_018_952_7),
            (4.0, 0.999_999_984_582_742_1),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - expected).abs() < 1e-14, "{x}: {}", erf(x));
        }
    }

    #[test]
    fn expressions_evaluate() {
        let x = Arc::new(Function::Argument);
        let sigmoid = Arc::new(Function::Of(Activation::Sigmoid, x.clone()));
        let silu = Function::Product(x.clone(), sigmoid);
        let direct = Activation::Swish { alpha: 1.0 };
        for v in [-3.0, -0.5, 0.0, 2.0] {
            assert!((silu.eval(v) - direct.eval(v)).abs() < 1e-12);
        }
        assert_eq!(x.scaled(2.0, -1.0).eval(3.0), 5.0);
    }
}
