//! Functions of one element: the stated bound, and the patterns that exporters write them as.

use tensorseal_circuits::{
    graph,
    model::{Model, Table},
    onnx::{self, ImportOptions, Reference},
    ports,
    quantize::{self, Calibration, QuantizeOptions},
};

use super::{
    linears,
    model_support::{Numbers, Onnx, agrees, circuit_agrees, run},
};

/// Inputs of a test model.
const LEN: usize = 64;

fn model(onnx: &Onnx, sample: &[Vec<f32>], bits: u32) -> Model {
    let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    let calibration = Calibration::measure(&graph, &[sample.to_vec()]).unwrap();
    let options = QuantizeOptions {
        bits,
        ..QuantizeOptions::default()
    };
    quantize::quantize(&graph, &calibration, &options).unwrap()
}

/// The greatest change of `f` within `reach` of `x`.
pub(super) fn variation(f: &dyn Fn(f64) -> f64, x: f64, reach: f64) -> f64 {
    (-100..=100)
        .map(|i| f(x + reach * f64::from(i) / 100.0))
        .filter(|v| v.is_finite())
        .map(|v| (v - f(x)).abs())
        .fold(0.0, f64::max)
}

/// Float graph against the reference; integers within one output step plus the function's variation within the
/// input steps; circuit against integers.
fn check(name: &str, node: impl Fn(Onnx) -> Onnx, (lo, hi): (f32, f32)) {
    let onnx = Onnx::new().opset(20).input("x", &[1, LEN as i64]);
    let onnx = node(onnx).output("y");
    let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    let graph::Op::Activation(f) = &graph.nodes[graph.outputs[0].node].op else {
        panic!("{name} is no function of one element")
    };
    let mut xs: Vec<f32> = Numbers(9)
        .take(LEN)
        .into_iter()
        .map(|v| lo + (hi - lo) * (v + 1.0) / 2.0)
        .collect();
    (xs[0], xs[1]) = (lo, hi);
    let sample = vec![xs.clone()];
    // The reference leaves out Celu's factor alpha.
    let celu = name == "Celu"
        && f != &graph::Activation::Elu {
            alpha: 1.0,
            gamma: 1.0,
            width: 1.0,
        };
    let reference = Reference::new(&onnx.bytes(), &ImportOptions::default()).unwrap();
    let expected = reference.run(&sample).unwrap().swap_remove(0);
    for (&x, &expected) in xs.iter().zip(&expected) {
        let got = f.eval(f64::from(x));
        let expected = match celu && x < 0.0 {
            true => 2.0 * ((x / 2.0).exp() - 1.0),
            false => expected,
        };
        let off = (got - f64::from(expected)).abs();
        assert!(
            off < 2e-4 * f64::from(expected.abs()).max(1.0),
            "{name}({x}) is {got}, in the reference {expected}"
        );
    }
    for bits in [8, 12] {
        let model = model(&onnx, &sample, bits);
        let got = run(&model, &sample).swap_remove(0);
        let (step_in, step_out) = (model.inputs[0].scale, model.outputs[0].scale);
        // Half a step of the input, and half a step of the table, which is at most half as wide.
        let reach = 0.76 * step_in;
        for (&x, &got) in xs.iter().zip(&got) {
            let x = f64::from(x);
            let bound = 1.001 * step_out + variation(&|t| f.extended(t), x, reach);
            let off = (f64::from(got) - f.eval(x)).abs();
            assert!(
                off <= bound,
                "{name}({x}) at {bits} bits: {got} is off by {off}, beyond {bound}"
            );
        }
        if bits == 8 {
            circuit_agrees(&model, &sample);
        }
    }
}

fn plain(op: &str, range: (f32, f32)) {
    check(op, |o| o.node(op, &["x"], "y"), range);
}

#[test]
fn smooth_functions_meet_their_bound() {
    plain("Exp", (-3.0, 2.0));
    plain("Log", (0.2, 5.0));
    plain("Sqrt", (0.0, 5.0));
    plain("Reciprocal", (0.3, 4.0));
    plain("Erf", (-3.0, 3.0));
    plain("Gelu", (-4.0, 4.0));
    plain("HardSwish", (-4.0, 5.0));
    plain("Softplus", (-6.0, 4.0));
    plain("Softsign", (-6.0, 4.0));
    plain("Mish", (-5.0, 3.0));
    plain("HardSigmoid", (-4.0, 4.0));
    plain("Elu", (-4.0, 3.0));
    plain("Selu", (-4.0, 3.0));
    plain("Celu", (-4.0, 3.0));
    plain("Abs", (-2.0, 3.0));
}

#[test]
fn trigonometric_and_hyperbolic_functions_meet_their_bound() {
    plain("Sin", (-4.0, 4.0));
    plain("Cos", (-4.0, 4.0));
    plain("Tan", (-1.2, 1.2));
    plain("Asin", (-0.9, 0.9));
    plain("Acos", (-0.9, 0.9));
    plain("Atan", (-4.0, 4.0));
    plain("Sinh", (-2.0, 2.0));
    plain("Cosh", (-2.0, 2.0));
    plain("Asinh", (-4.0, 4.0));
    plain("Acosh", (1.1, 4.0));
    plain("Atanh", (-0.9, 0.9));
}

#[test]
fn functions_with_jumps_meet_their_bound() {
    for op in [
        "Sign",
        "Floor",
        "Ceil",
        "Round",
        "ThresholdedRelu",
        "Shrink",
    ] {
        plain(op, (-2.7, 3.3));
    }
}

#[test]
fn attributes_change_functions() {
    let range = (-3.0, 3.0);
    check(
        "Gelu, tanh",
        |o| o.node("Gelu", &["x"], "y").string("approximate", "tanh"),
        range,
    );
    check(
        "Elu",
        |o| o.node("Elu", &["x"], "y").float("alpha", 0.4),
        range,
    );
    check(
        "Celu",
        |o| o.node("Celu", &["x"], "y").float("alpha", 2.0),
        range,
    );
    let selu = |o: Onnx| {
        o.node("Selu", &["x"], "y")
            .float("alpha", 2.0)
            .float("gamma", 0.5)
    };
    check("Selu", selu, range);
    let hard = |o: Onnx| {
        o.node("HardSigmoid", &["x"], "y")
            .float("alpha", 0.5)
            .float("beta", 0.3)
    };
    check("HardSigmoid", hard, range);
    let shrink = |o: Onnx| {
        o.node("Shrink", &["x"], "y")
            .float("lambd", 1.0)
            .float("bias", 0.5)
    };
    check("Shrink", shrink, range);
    let threshold = |o: Onnx| o.node("ThresholdedRelu", &["x"], "y").float("alpha", 0.7);
    check("ThresholdedRelu", threshold, range);
    for (exponent, range) in [
        (2.0, (-3.0, 3.0)),
        (3.0, (-2.0, 2.0)),
        (0.5, (0.1, 4.0)),
        (-1.5, (0.5, 2.0)),
    ] {
        let pow = |o: Onnx| {
            o.floats("e", &[], vec![exponent])
                .node("Pow", &["x", "e"], "y")
        };
        check("Pow", pow, range);
    }
}

#[test]
fn powers_of_a_constant_and_slopes_by_channel() {
    let base = Onnx::new()
        .input("x", &[1, 6])
        .floats("b", &[1], vec![2.5])
        .node("Pow", &["b", "x"], "y");
    agrees(&base.output("y"), 1);
    let image = |slopes: Vec<f32>| {
        let count = slopes.len() as i64;
        Onnx::new()
            .input("x", &[1, 3, 4, 4])
            .weights("w", &[3, 3, 1, 1])
            .floats("s", &[count, 1, 1], slopes)
            .node("Conv", &["x", "w"], "c")
            .node("PRelu", &["c", "s"], "y")
            .output("y")
    };
    agrees(&image(vec![0.3]), 1);
    agrees(&image(vec![0.3, -0.5, 1.2]), 1);
    agrees(
        &Onnx::new()
            .input("x", &[1, 6])
            .node("Neg", &["x"], "y")
            .output("y"),
        1,
    );
}

#[test]
fn values_outside_the_domain_are_taken_at_its_end() {
    let log = Onnx::new()
        .input("x", &[1, 4])
        .node("Log", &["x"], "y")
        .output("y");
    let sample = vec![vec![0.5, 1.0, 2.0, 4.0]];
    let model = model(&log, &sample, 8);
    let port = &model.inputs[0];
    let zero = ports::quantize_input(&model, port, &[0.0, 0.5, 1.0, 4.0]).unwrap();
    let values = tensorseal_circuits::executor::run(&model, &[zero.values]).unwrap();
    let least = linears(&model)
        .iter()
        .find_map(|l| match &l.table {
            Table::Lut { values, .. } => values.iter().min().copied(),
            _ => None,
        })
        .unwrap();
    assert_eq!(values[model.outputs[0].node][0], i64::from(least));
}

/// How many tables a model has.
fn tables(model: &Model) -> usize {
    let is_table = |l: &&&tensorseal_circuits::model::Linear| matches!(l.table, Table::Lut { .. });
    linears(model).iter().filter(is_table).count()
}

#[test]
fn products_of_functions_of_one_tensor_are_one_table() {
    let base = || {
        Onnx::new()
            .input("x", &[1, 8])
            .weights("w", &[8, 8])
            .node("Gemm", &["x", "w"], "h")
    };
    let swish = base()
        .node("Sigmoid", &["h"], "s")
        .node("Mul", &["h", "s"], "a");
    let mish = base()
        .node("Softplus", &["h"], "s")
        .node("Tanh", &["s"], "t")
        .node("Mul", &["t", "h"], "a");
    let gelu = base()
        .floats("root", &[], vec![std::f32::consts::SQRT_2])
        .floats("one", &[], vec![1.0])
        .floats("half", &[], vec![0.5])
        .node("Div", &["h", "root"], "d")
        .node("Erf", &["d"], "e")
        .node("Add", &["e", "one"], "f")
        .node("Mul", &["h", "f"], "g")
        .node("Mul", &["g", "half"], "a");
    let softsign = base()
        .floats("one", &[], vec![1.0])
        .node("Abs", &["h"], "b")
        .node("Add", &["b", "one"], "p")
        .node("Div", &["h", "p"], "a");
    let square = base().node("Mul", &["h", "h"], "a");
    for onnx in [swish, mish, gelu, softsign, square] {
        let onnx = onnx.weights("v", &[8, 3]).node("Gemm", &["a", "v"], "y");
        let (_, model) = agrees(&onnx.output("y"), 1);
        assert_eq!(tables(&model), 1, "{model:#?}");
    }
}

/// Calibration saw every input at both its ends, but nothing of the event: what lies between two numbers by nature must
/// still tell of it.
#[test]
fn an_event_that_calibration_did_not_see_is_not_clamped() {
    let together = vec![6.5, 0.0, 6.5, 0.0];
    let apart = vec![6.0, 0.0, 0.0, 6.0];
    for (op, weights, bias, seen, event) in [
        ("Sigmoid", &together, -6.0, [1.0f32, -1.0], [1.0f32, 1.0]),
        ("Tanh", &together, 0.5, [1.0, -1.0], [1.0, 1.0]),
        ("Tanh", &together, 0.5, [1.0, -1.0], [-1.0, -1.0]),
        ("Softmax", &apart, 0.0, [1.0, 1.0], [1.0, -1.0]),
    ] {
        let onnx = Onnx::new()
            .input("x", &[1, 2])
            .floats("w", &[2, 2], weights.clone())
            .floats("b", &[2], vec![bias, 0.0])
            .node("Gemm", &["x", "w", "b"], "s")
            .node(op, &["s"], "y")
            .output("y");
        let options = ImportOptions::default();
        let graph = onnx::import(&onnx.bytes(), &options).unwrap();
        let reference = Reference::new(&onnx.bytes(), &options).unwrap();
        let both = [vec![seen.to_vec()], vec![vec![-seen[0], -seen[1]]]];
        let calibration = Calibration::measure(&graph, &both).unwrap();
        let model = quantize::quantize(&graph, &calibration, &Default::default()).unwrap();
        for input in [event, seen] {
            let sample = vec![input.to_vec()];
            let (got, expected) = (run(&model, &sample), reference.run(&sample).unwrap());
            for (got, expected) in got[0].iter().zip(&expected[0]) {
                let off = (got - expected).abs();
                assert!(off < 0.02, "{op} of {input:?}: {got} for {expected}");
            }
        }
    }
}
