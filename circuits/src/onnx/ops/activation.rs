//! Functions of one element.

use tract_onnx::prelude::Tensor;

use crate::{
    graph::{Activation, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, finite, floats},
    },
};

fn define(ctx: &mut Builder, node: &NodeView, f: Activation) -> Result<(), ImportError> {
    let input = ctx.node(node, 0)?;
    let shape = ctx.shape(input).to_vec();
    ctx.define(node, input, shape, Op::Activation(f))
}

/// A finite float attribute.
fn number(node: &NodeView, name: &str, default: f32) -> Result<f32, ImportError> {
    let value = node.float(name).unwrap_or(default);
    if !value.is_finite() {
        return Err(node.form(format!("attribute {name} is not finite")));
    }
    Ok(value)
}

/// The functions without attributes.
pub(super) fn plain(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let f = match node.op().as_str() {
        "Relu" => Activation::RELU,
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "Exp" => Activation::Exp,
        "Log" => Activation::Log,
        "Sqrt" => Activation::Sqrt,
        "Reciprocal" => Activation::Reciprocal,
        "Erf" => Activation::Erf,
        "HardSwish" => Activation::HardSwish,
        "Softplus" => Activation::Softplus,
        "Softsign" => Activation::Softsign,
        "Mish" => Activation::Mish,
        "Sin" => Activation::Sin,
        "Cos" => Activation::Cos,
        "Tan" => Activation::Tan,
        "Asin" => Activation::Asin,
        "Acos" => Activation::Acos,
        "Atan" => Activation::Atan,
        "Sinh" => Activation::Sinh,
        "Cosh" => Activation::Cosh,
        "Asinh" => Activation::Asinh,
        "Acosh" => Activation::Acosh,
        "Atanh" => Activation::Atanh,
        "Abs" => Activation::Abs,
        "Sign" => Activation::Sign,
        "Floor" => Activation::Floor,
        "Ceil" => Activation::Ceil,
        "Round" => Activation::Round,
        other => return Err(node.form(format!("{other} is no function of one element"))),
    };
    define(ctx, node, f)
}

pub(super) fn leaky_relu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let alpha = number(node, "alpha", 0.01)?;
    define(ctx, node, Activation::LeakyRelu { alpha })
}

pub(super) fn gelu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    match node.string("approximate").as_deref() {
        None | Some("none" | "") => define(ctx, node, Activation::Gelu),
        Some("tanh") => define(ctx, node, Activation::GeluTanh),
        Some(other) => Err(node.form(format!(
            "attribute approximate is {other}; supported are none and tanh"
        ))),
    }
}

pub(super) fn swish(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let alpha = number(node, "alpha", 1.0)?;
    define(ctx, node, Activation::Swish { alpha })
}

pub(super) fn hard_sigmoid(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let (alpha, beta) = (number(node, "alpha", 0.2)?, number(node, "beta", 0.5)?);
    define(ctx, node, Activation::HardSigmoid { alpha, beta })
}

pub(super) fn elu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let alpha = number(node, "alpha", 1.0)?;
    let (gamma, width) = (1.0, 1.0);
    define(
        ctx,
        node,
        Activation::Elu {
            alpha,
            gamma,
            width,
        },
    )
}

pub(super) fn selu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let alpha = number(node, "alpha", 1.673_263_2)?;
    let gamma = number(node, "gamma", 1.050_701)?;
    let width = 1.0;
    define(
        ctx,
        node,
        Activation::Elu {
            alpha,
            gamma,
            width,
        },
    )
}

pub(super) fn celu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let alpha = number(node, "alpha", 1.0)?;
    if alpha == 0.0 {
        return Err(node.form("attribute alpha is 0; use Relu"));
    }
    let (gamma, width) = (1.0, alpha);
    define(
        ctx,
        node,
        Activation::Elu {
            alpha,
            gamma,
            width,
        },
    )
}

pub(super) fn thresholded_relu(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let alpha = number(node, "alpha", 1.0)?;
    define(ctx, node, Activation::ThresholdedRelu { alpha })
}

pub(super) fn shrink(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let (lambda, bias) = (number(node, "lambd", 0.5)?, number(node, "bias", 0.0)?);
    define(ctx, node, Activation::Shrink { lambda, bias })
}

/// A power: one table where the exponent is one number, or the base is: `base^x = e^(x·ln base)`.
pub(super) fn pow(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let one = |tensor: &Tensor| -> Result<Option<f32>, ImportError> {
        let values = finite(node, tensor)?;
        let first = values.first().copied();
        Ok(first.filter(|first| values.iter().all(|v| v == first)))
    };
    match (ctx.value(node, 0)?, ctx.value(node, 1)?) {
        (Value::Node(x), Value::Constant(c)) => {
            let Some(exponent) = one(&c)? else {
                return super::arithmetic::powers(ctx, node, x, &c);
            };
            let shape = ctx.output_shape(node, 0)?;
            let x = super::elementwise::expand(ctx, node, x, &shape)?;
            ctx.define(
                node,
                x,
                shape,
                Op::Activation(Activation::Power { exponent }),
            )
        }
        (Value::Constant(c), Value::Node(x)) => {
            let Some(base) = one(&c)? else {
                return super::arithmetic::power(ctx, node);
            };
            if base <= 0.0 {
                return Err(node.form(format!("its base {base} is not positive")));
            }
            let shape = ctx.output_shape(node, 0)?;
            let x = super::elementwise::expand(ctx, node, x, &shape)?;
            let x = ctx.affine(node, x, base.ln(), 0.0);
            ctx.define(node, x, shape, Op::Activation(Activation::Exp))
        }
        _ => super::arithmetic::power(ctx, node),
    }
}

/// Bounds are attributes up to opset 10, operands from 11.
pub(super) fn clip(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let bound = |i: usize, attribute: &str, default: f32| -> Result<f32, ImportError> {
        if let Some(value) = node.float(attribute) {
            return Ok(value);
        }
        match ctx.optional(node, i, "a bound")? {
            None => Ok(default),
            Some(tensor) => match floats(node, &tensor)?[..] {
                [value] => Ok(value),
                _ => Err(node.form("a bound must be one number")),
            },
        }
    };
    let (lo, hi) = (
        bound(1, "min", f32::NEG_INFINITY)?,
        bound(2, "max", f32::INFINITY)?,
    );
    if lo.is_nan() || hi.is_nan() || lo > hi {
        return Err(node.form(format!(
            "bounds {lo} and {hi} leave no values; the lower must not exceed the upper"
        )));
    }
    define(ctx, node, Activation::Clip { lo, hi })
}
