//! Products, quotients, maxima and minima of tensors.

use tensorseal_circuits::{
    onnx::{self, ImportOptions},
    quantize::{self, Calibration, QuantizeError},
};

use super::model_support::{Onnx, agrees};

#[test]
fn products_and_quotients_of_tensors() {
    let two = || Onnx::new().input("x", &[0, 3, 4]).input("z", &[0, 3, 4]);
    agrees(&two().node("Mul", &["x", "z"], "y").output("y"), 2);
    let quotient = two()
        .floats("c", &[], vec![2.0])
        .node("Add", &["z", "c"], "d")
        .node("Div", &["x", "d"], "y");
    agrees(&quotient.output("y"), 1);
    let constant = Onnx::new()
        .input("x", &[1, 6])
        .floats("c", &[], vec![1.5])
        .floats("k", &[6], vec![1.0, -2.0, 3.0, 0.5, 1.0, 2.0])
        .node("Add", &["x", "c"], "d")
        .node("Div", &["k", "d"], "y");
    agrees(&constant.output("y"), 1);
    let unlike = two()
        .weights("w", &[3, 4])
        .floats("big", &[], vec![50.0])
        .node("Mul", &["z", "big"], "b")
        .node("Mul", &["x", "b"], "y");
    agrees(&unlike.output("y"), 1);
}

#[test]
fn a_gate_by_channel() {
    let onnx = Onnx::new()
        .input("x", &[1, 3, 4, 4])
        .weights("w", &[4, 3, 3, 3])
        .weights("g", &[4, 4, 1, 1])
        .weights("v", &[2, 4, 1, 1])
        .node("Conv", &["x", "w"], "c")
        .node("GlobalAveragePool", &["c"], "p")
        .node("Conv", &["p", "g"], "q")
        .node("Sigmoid", &["q"], "s")
        .node("Mul", &["c", "s"], "m")
        .node("Conv", &["m", "v"], "y");
    agrees(&onnx.output("y"), 1);
}

#[test]
fn greatest_and_least_of_tensors() {
    for op in ["Max", "Min"] {
        let two = Onnx::new().input("x", &[0, 3, 4]).input("z", &[0, 3, 4]);
        agrees(&two.node(op, &["x", "z"], "y").output("y"), 2);
        let number = Onnx::new().input("x", &[1, 6]).floats("c", &[], vec![0.2]);
        agrees(&number.node(op, &["x", "c"], "y").output("y"), 1);
        let numbers = Onnx::new().input("x", &[1, 6]).weights("c", &[6]);
        agrees(&numbers.node(op, &["c", "x"], "y").output("y"), 1);
    }
    for op in ["Sum", "Mean"] {
        let three = Onnx::new()
            .input("x", &[1, 4])
            .input("z", &[1, 4])
            .weights("c", &[4]);
        agrees(&three.node(op, &["x", "c", "z"], "y").output("y"), 1);
    }
}

#[test]
fn a_constant_condition_chooses() {
    let onnx = Onnx::new()
        .input("x", &[0, 2, 3])
        .input("z", &[0, 2, 3])
        .floats("t", &[2, 3], vec![1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
        .floats("zero", &[], vec![0.0])
        .floats("far", &[], vec![-3.0])
        .node("Greater", &["t", "zero"], "c");
    agrees(
        &onnx
            .node("Where", &["c", "x", "z"], "y")
            .node("Where", &["c", "far", "y"], "w")
            .output("y")
            .output("w"),
        2,
    );
}

/// The importer drops it; a graph from elsewhere may still have one.
#[test]
fn an_input_that_nothing_reads_is_refused() {
    let onnx = Onnx::new()
        .input("x", &[1, 6])
        .input("z", &[1, 6])
        .node("Relu", &["x"], "y")
        .node("Add", &["x", "z"], "s")
        .output("y")
        .output("s");
    let mut graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    graph.outputs.truncate(1);
    let error = quantize::quantize(&graph, &Calibration::random(&graph), &Default::default());
    assert_eq!(
        error,
        Err(QuantizeError::Unread { input: "z".into() }),
        "the circuit binds only what is read"
    );
}

#[test]
fn softmax_over_each_axis() {
    for op in ["Softmax", "LogSoftmax"] {
        let scores = Onnx::new().input("x", &[0, 6]).weights("w", &[6, 5]);
        let scores = scores.node("Gemm", &["x", "w"], "s").node(op, &["s"], "y");
        agrees(&scores.output("y"), 2);
        for axis in [1, 2, -1] {
            let image = Onnx::new().input("x", &[1, 3, 4, 2]).node(op, &["x"], "y");
            agrees(&image.int("axis", axis).output("y"), 1);
        }
    }
    let old = Onnx::new().opset(11).input("x", &[1, 2, 3]);
    agrees(&old.node("Softmax", &["x"], "y").output("y"), 1);
}

#[test]
fn channels_of_zeros_do_not_coarsen_a_product() {
    let onnx = Onnx::new()
        .input("x", &[1, 3])
        .input("z", &[1, 3])
        .ints("pads", &[0, 1, 0, 1])
        .node("Pad", &["x", "pads"], "a")
        .node("Pad", &["z", "pads"], "b")
        .node("Relu", &["b"], "r")
        .node("Mul", &["a", "r"], "y");
    agrees(&onnx.output("y"), 1);
}
