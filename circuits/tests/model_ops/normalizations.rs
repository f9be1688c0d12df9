//! Normalizations over a tensor's own statistics.

use super::model_support::{Onnx, agrees};

#[test]
fn layer_normalization_between_layers() {
    let onnx = Onnx::new()
        .opset(17)
        .input("x", &[0, 4, 6])
        .weights("w", &[6, 8])
        .floats("g", &[8], vec![1.0, 0.5, 1.5, -1.0, 0.8, 1.2, 0.9, 1.1])
        .weights("b", &[8])
        .weights("v", &[8, 3])
        .node("MatMul", &["x", "w"], "h")
        .node("LayerNormalization", &["h", "g", "b"], "n")
        .int("axis", -1)
        .node("MatMul", &["n", "v"], "y");
    agrees(&onnx.output("y").output("n"), 2);
    // As exporters wrote it before there was an operator.
    let parts = Onnx::new()
        .input("x", &[1, 4, 8])
        .floats("two", &[], vec![2.0])
        .floats("eps", &[], vec![1e-5])
        .weights("g", &[8])
        .weights("b", &[8])
        .node("ReduceMean", &["x"], "m")
        .attr_ints("axes", &[-1])
        .node("Sub", &["x", "m"], "d")
        .node("Pow", &["d", "two"], "q")
        .node("ReduceMean", &["q"], "v")
        .attr_ints("axes", &[-1])
        .node("Add", &["v", "eps"], "e")
        .node("Sqrt", &["e"], "r")
        .node("Div", &["d", "r"], "n")
        .node("Mul", &["n", "g"], "s")
        .node("Add", &["s", "b"], "y");
    agrees(&parts.output("y"), 1);
}

#[test]
fn instance_and_group_normalization() {
    let image = || {
        Onnx::new()
            .opset(17)
            .input("x", &[0, 4, 3, 3])
            .floats("g", &[4], vec![1.0, 0.5, 1.5, -1.0])
            .weights("b", &[4])
    };
    agrees(
        &image()
            .node("InstanceNormalization", &["x", "g", "b"], "y")
            .output("y"),
        2,
    );
    agrees(
        &image()
            .opset(21)
            .node("GroupNormalization", &["x", "g", "b"], "y")
            .int("num_groups", 2)
            .output("y"),
        1,
    );
}

#[test]
fn norms_of_an_axis() {
    for p in [1, 2] {
        let onnx = Onnx::new().input("x", &[0, 3, 5]);
        let onnx = onnx.node("LpNormalization", &["x"], "y").int("p", p);
        agrees(&onnx.int("axis", 1).output("y"), 2);
    }
    let channels = Onnx::new()
        .input("x", &[1, 6, 3, 3])
        .node("LRN", &["x"], "y");
    agrees(&channels.int("size", 3).float("alpha", 0.5).output("y"), 1);
    let whole = Onnx::new().input("x", &[1, 3, 4, 4]);
    agrees(
        &whole
            .node("MeanVarianceNormalization", &["x"], "y")
            .output("y"),
        1,
    );
}
