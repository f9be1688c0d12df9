//! Every operator: float graph and integer model against the float reference.

#[path = "model_ops/classical.rs"]
mod classical;
#[path = "model_ops/conformance.rs"]
mod conformance;
#[path = "model_ops/exported.rs"]
mod exported;
#[path = "model_ops/functions.rs"]
mod functions;
#[path = "model_ops/matrices.rs"]
mod matrices;
mod model_support;
#[path = "model_ops/moves.rs"]
mod moves;
#[path = "model_ops/normalizations.rs"]
mod normalizations;
#[path = "model_ops/operators.rs"]
mod operators;
#[path = "model_ops/products.rs"]
mod products;
#[path = "model_ops/quantized.rs"]
mod quantized;
#[path = "model_ops/recurrent.rs"]
mod recurrent;
#[path = "model_ops/whole.rs"]
mod whole;

use model_support::{Onnx, agrees};
use tensorseal_circuits::model::{Kind, Linear, Model, Op, Table};

fn linears(model: &Model) -> Vec<&Linear> {
    model
        .nodes
        .iter()
        .filter_map(|n| {
            if let Kind::Linear(l) = &n.kind {
                Some(l)
            } else {
                None
            }
        })
        .collect()
}

fn images(shape: &[i64]) -> Onnx {
    Onnx::new().input("x", shape)
}

#[test]
fn gemm_with_all_its_attributes() {
    let plain = Onnx::new()
        .input("x", &[1, 6])
        .weights("w", &[4, 6])
        .weights("b", &[4]);
    let (_, model) = agrees(
        &plain
            .node("Gemm", &["x", "w", "b"], "y")
            .int("transB", 1)
            .output("y"),
        1,
    );
    assert_eq!(model.nodes.len(), 2, "input and one dense node");
    let scaled = Onnx::new()
        .input("x", &[1, 6])
        .weights("w", &[6, 4])
        .weights("b", &[1, 4]);
    agrees(
        &scaled
            .node("Gemm", &["x", "w", "b"], "y")
            .float("alpha", 0.5)
            .float("beta", 2.0)
            .output("y"),
        1,
    );
    let bare = Onnx::new().input("x", &[0, 6]).weights("w", &[6, 4]);
    agrees(&bare.node("Gemm", &["x", "w"], "y").output("y"), 3);
    let turned = Onnx::new().input("x", &[6, 5]).weights("w", &[6, 4]);
    agrees(
        &turned
            .node("Gemm", &["x", "w"], "y")
            .int("transA", 1)
            .output("y"),
        1,
    );
}

#[test]
fn matmul_over_sequences_and_from_the_left() {
    let sequence = Onnx::new()
        .input("x", &[0, 5, 6])
        .weights("w", &[6, 4])
        .weights("b", &[4])
        .weights("v", &[4, 3]);
    let sequence = sequence
        .node("MatMul", &["x", "w"], "m")
        .node("Add", &["m", "b"], "h")
        .node("Relu", &["h"], "r");
    let (_, model) = agrees(&sequence.node("MatMul", &["r", "v"], "y").output("y"), 2);
    assert_eq!(model.nodes.len(), 3, "no layout copies");
    let vector = Onnx::new()
        .input("x", &[1, 6])
        .weights("w", &[6, 4])
        .node("MatMul", &["x", "w"], "y")
        .output("y");
    agrees(&vector, 1);
    let left = Onnx::new()
        .input("x", &[1, 6, 4])
        .weights("w", &[5, 6])
        .node("MatMul", &["w", "x"], "y")
        .output("y");
    agrees(&left, 1);
}

#[test]
fn mixing_along_both_axes_of_a_sequence() {
    let onnx = Onnx::new()
        .input("x", &[1, 6, 4])
        .weights("tokens", &[6, 6])
        .weights("channels", &[4, 5])
        .node("Transpose", &["x"], "t")
        .attr_ints("perm", &[0, 2, 1])
        .node("MatMul", &["t", "tokens"], "m")
        .node("Relu", &["m"], "r")
        .node("Transpose", &["r"], "u")
        .attr_ints("perm", &[0, 2, 1])
        .node("MatMul", &["u", "channels"], "y")
        .output("y");
    agrees(&onnx, 1);
}

#[test]
fn conv_with_stride_padding_dilation_and_groups() {
    for (kernel, stride, dilation, pads, groups) in [
        ([3, 3], [1, 1], [1, 1], [0, 0, 0, 0], 1),
        ([3, 3], [2, 1], [1, 1], [1, 1, 1, 1], 1),
        ([3, 2], [1, 2], [2, 1], [2, 0, 1, 1], 2),
        ([3, 3], [2, 2], [1, 1], [1, 0, 1, 2], 4),
        ([1, 1], [2, 2], [1, 1], [0, 0, 0, 0], 1),
    ] {
        let onnx = images(&[1, 4, 7, 8])
            .weights("w", &[8, 4 / groups, kernel[0], kernel[1]])
            .weights("b", &[8])
            .node("Conv", &["x", "w", "b"], "y")
            .attr_ints("kernel_shape", &kernel)
            .attr_ints("strides", &stride)
            .attr_ints("dilations", &dilation)
            .attr_ints("pads", &pads)
            .int("group", groups)
            .output("y");
        let (_, model) = agrees(&onnx, 1);
        assert_eq!(model.nodes.len(), 2);
    }
}

#[test]
fn conv_with_auto_pad_and_in_one_dimension() {
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        let onnx = images(&[1, 2, 7, 6])
            .weights("w", &[3, 2, 4, 3])
            .node("Conv", &["x", "w"], "y")
            .string("auto_pad", mode)
            .attr_ints("strides", &[2, 2])
            .output("y");
        agrees(&onnx, 1);
    }
    let line = Onnx::new()
        .input("x", &[0, 3, 11])
        .weights("w", &[4, 3, 3])
        .weights("b", &[4]);
    let line = line
        .node("Conv", &["x", "w", "b"], "y")
        .attr_ints("pads", &[2, 1])
        .attr_ints("strides", &[2])
        .output("y");
    agrees(&line, 2);
}

#[test]
fn conv_batch_norm_relu_is_one_node() {
    let onnx = images(&[1, 3, 6, 6])
        .weights("w", &[5, 3, 3, 3])
        .floats("gamma", &[5], vec![0.5, -1.0, 1.5, 0.7, 1.0])
        .weights("beta", &[5])
        .weights("mean", &[5])
        .floats("var", &[5], vec![0.3, 0.8, 1.2, 0.5, 1.0])
        .weights("v", &[2, 5, 1, 1])
        .node("Conv", &["x", "w"], "c")
        .node(
            "BatchNormalization",
            &["c", "gamma", "beta", "mean", "var"],
            "n",
        )
        .node("Relu", &["n"], "r")
        .node("Conv", &["r", "v"], "y")
        .output("y");
    let (_, model) = agrees(&onnx, 1);
    assert_eq!(model.nodes.len(), 3);
    assert!(matches!(
        linears(&model)[0].table,
        Table::Clip { lo: 0, hi: 255 }
    ));
}

#[test]
fn activations_between_layers_and_as_outputs() {
    let net = |f: &dyn Fn(Onnx) -> Onnx| {
        let onnx = Onnx::new()
            .input("x", &[1, 8])
            .weights("w", &[8, 8])
            .weights("b", &[8])
            .weights("v", &[8, 4]);
        let onnx = f(onnx.node("Gemm", &["x", "w", "b"], "h"));
        agrees(
            &onnx.node("Gemm", &["a", "v"], "y").output("y").output("a"),
            1,
        );
    };
    net(&|o| o.node("Relu", &["h"], "a"));
    net(&|o| o.node("LeakyRelu", &["h"], "a").float("alpha", 0.1));
    net(&|o| o.node("LeakyRelu", &["h"], "a").float("alpha", -0.5));
    net(&|o| o.node("Sigmoid", &["h"], "a"));
    net(&|o| o.node("Tanh", &["h"], "a"));
    net(&|o| {
        o.floats("lo", &[], vec![-0.4])
            .floats("hi", &[], vec![0.9])
            .node("Clip", &["h", "lo", "hi"], "a")
    });
    net(&|o| {
        o.floats("hi", &[], vec![0.5])
            .node("Clip", &["h", "", "hi"], "a")
    });
    net(&|o| {
        o.node("Relu", &["h"], "r")
            .floats("hi", &[], vec![0.5])
            .node("Clip", &["r", "", "hi"], "a")
    });
    net(&|o| o.node("Tanh", &["h"], "t").node("Sigmoid", &["t"], "a"));
    net(&|o| {
        o.opset(10)
            .node("Clip", &["h"], "a")
            .float("min", 0.1)
            .float("max", 0.8)
    });
}

#[test]
fn activation_of_the_input_itself() {
    let onnx = images(&[1, 2, 3, 3])
        .node("Sigmoid", &["x"], "s")
        .weights("w", &[2, 2, 2, 2]);
    agrees(&onnx.node("Conv", &["s", "w"], "y").output("y"), 1);
}

#[test]
fn max_pool_fuses_behind_its_layer() {
    for activation in ["Relu", "Tanh", ""] {
        let onnx = images(&[1, 2, 7, 9])
            .weights("w", &[4, 2, 3, 3])
            .weights("v", &[3, 4, 2, 2]);
        let onnx = onnx
            .node("Conv", &["x", "w"], "c")
            .attr_ints("pads", &[1, 1, 1, 1]);
        let (onnx, from) = if activation.is_empty() {
            (onnx, "c")
        } else {
            (onnx.node(activation, &["c"], "a"), "a")
        };
        let onnx = onnx
            .node("MaxPool", &[from], "p")
            .attr_ints("kernel_shape", &[2, 3])
            .attr_ints("strides", &[2, 3]);
        let (_, model) = agrees(&onnx.node("Conv", &["p", "v"], "y").output("y"), 1);
        let pool = linears(&model)[0].pool.unwrap();
        assert_eq!(
            (pool.kernel, pool.full, pool.from_zero),
            ((2, 3), (7, 9), activation == "Relu")
        );
        assert_eq!(model.nodes.len(), 4, "input, maximum, function, output");
    }
    let after = images(&[1, 2, 6, 6])
        .weights("w", &[4, 2, 3, 3])
        .node("Conv", &["x", "w"], "c");
    let after = after
        .node("MaxPool", &["c"], "p")
        .attr_ints("kernel_shape", &[2, 2])
        .attr_ints("strides", &[2, 2]);
    agrees(&after.node("Relu", &["p"], "y").output("y"), 1);
}

#[test]
fn max_pool_with_overlap_padding_dilation_and_rounding_up() {
    let base = || {
        images(&[1, 2, 7, 6])
            .weights("w", &[3, 2, 1, 1])
            .node("Conv", &["x", "w"], "c")
    };
    let pool = |o: Onnx| {
        o.node("MaxPool", &["c"], "y")
            .attr_ints("kernel_shape", &[3, 3])
    };
    agrees(&pool(base()).attr_ints("strides", &[2, 2]).output("y"), 1);
    agrees(
        &pool(base())
            .attr_ints("strides", &[1, 2])
            .attr_ints("pads", &[1, 1, 1, 1])
            .output("y"),
        1,
    );
    agrees(&pool(base()).attr_ints("dilations", &[2, 1]).output("y"), 1);
    agrees(
        &pool(base())
            .attr_ints("strides", &[3, 3])
            .int("ceil_mode", 1)
            .output("y"),
        1,
    );
    let shared = base()
        .node("MaxPool", &["c"], "p")
        .attr_ints("kernel_shape", &[2, 2])
        .attr_ints("strides", &[2, 2]);
    agrees(&shared.output("p").output("c"), 1);
    let input = images(&[1, 3, 4, 4])
        .node("MaxPool", &["x"], "y")
        .attr_ints("kernel_shape", &[2, 2]);
    agrees(&input.attr_ints("strides", &[2, 2]).output("y"), 1);
    let line = Onnx::new()
        .input("x", &[1, 3, 9])
        .node("MaxPool", &["x"], "y")
        .attr_ints("kernel_shape", &[3]);
    agrees(
        &line
            .attr_ints("strides", &[2])
            .attr_ints("pads", &[1, 1])
            .output("y"),
        1,
    );
}

#[test]
fn average_pools() {
    let base = || {
        images(&[1, 3, 7, 6])
            .node("AveragePool", &["x"], "y")
            .attr_ints("kernel_shape", &[3, 2])
    };
    let (_, model) = agrees(&base().attr_ints("strides", &[2, 2]).output("y"), 1);
    assert!(matches!(linears(&model)[0].terms[0].op, Op::SumPool(_)));
    let padded = |include| {
        base()
            .attr_ints("pads", &[1, 1, 1, 0])
            .int("count_include_pad", include)
            .output("y")
    };
    agrees(&padded(0), 1);
    let (_, model) = agrees(&padded(1), 1);
    assert!(matches!(linears(&model)[0].terms[0].op, Op::SumPool(_)));
    agrees(
        &images(&[0, 3, 5, 4])
            .node("GlobalAveragePool", &["x"], "y")
            .output("y"),
        2,
    );
    agrees(
        &Onnx::new()
            .input("x", &[1, 3, 5])
            .node("GlobalAveragePool", &["x"], "y")
            .output("y"),
        1,
    );
}

#[test]
fn arithmetic_with_constants() {
    for op in ["Add", "Sub", "Mul"] {
        for shape in [
            &[][..],
            &[4],
            &[3, 1, 1],
            &[1, 3, 1, 1],
            &[5, 4],
            &[3, 5, 4],
        ] {
            let from_right = images(&[1, 3, 5, 4])
                .weights("k", shape)
                .node(op, &["x", "k"], "y")
                .output("y");
            agrees(&from_right, 1);
            let from_left = images(&[1, 3, 5, 4])
                .weights("k", shape)
                .node(op, &["k", "x"], "y")
                .output("y");
            agrees(&from_left, 1);
        }
    }
    let div = images(&[1, 3, 2, 2])
        .floats("k", &[3, 1, 1], vec![2.0, -4.0, 0.5])
        .node("Div", &["x", "k"], "y");
    agrees(&div.output("y"), 1);
    let wider = Onnx::new()
        .input("x", &[1, 3, 1, 1])
        .weights("k", &[4, 5])
        .node("Add", &["x", "k"], "y")
        .output("y");
    agrees(&wider, 1);
}

#[test]
fn constants_after_a_convolution() {
    let base = || {
        images(&[1, 2, 5, 5])
            .weights("w", &[3, 2, 3, 3])
            .node("Conv", &["x", "w"], "c")
    };
    let (_, model) = agrees(
        &base()
            .weights("k", &[3, 1, 1])
            .node("Mul", &["c", "k"], "y")
            .output("y"),
        1,
    );
    assert_eq!(
        model.nodes.len(),
        2,
        "channel factors fold into the weights"
    );
    agrees(
        &base()
            .weights("k", &[3, 3])
            .node("Add", &["c", "k"], "y")
            .output("y"),
        1,
    );
    agrees(
        &base()
            .node("Relu", &["c"], "r")
            .weights("k", &[3, 3])
            .node("Mul", &["r", "k"], "y")
            .output("y"),
        1,
    );
}

#[test]
fn residual_sums_share_one_node() {
    let onnx = images(&[1, 4, 6, 6])
        .weights("w", &[4, 4, 3, 3])
        .weights("v", &[4, 4, 3, 3])
        .weights("u", &[4, 4, 1, 1])
        .node("Conv", &["x", "w"], "a")
        .attr_ints("pads", &[1, 1, 1, 1])
        .node("Relu", &["a"], "r")
        .node("Conv", &["r", "v"], "b")
        .attr_ints("pads", &[1, 1, 1, 1])
        .node("Add", &["b", "r"], "s")
        .node("Relu", &["s"], "q")
        .node("Conv", &["q", "u"], "c")
        .node("Sub", &["q", "c"], "y")
        .output("y");
    let (_, model) = agrees(&onnx, 1);
    assert_eq!(model.nodes.len(), 4);
    assert_eq!(linears(&model)[1].terms.len(), 2);
    assert_eq!(linears(&model)[2].terms.len(), 2);
}

#[test]
fn sums_of_unlike_tensors() {
    let excite = images(&[1, 3, 4, 4])
        .weights("w", &[3, 3, 1, 1])
        .node("Conv", &["x", "w"], "c")
        .node("Relu", &["c"], "r")
        .node("GlobalAveragePool", &["r"], "g")
        .node("Add", &["r", "g"], "y")
        .output("y");
    agrees(&excite, 1);
    let turned = Onnx::new()
        .input("x", &[1, 4, 4])
        .node("Transpose", &["x"], "t")
        .attr_ints("perm", &[0, 2, 1]);
    agrees(&turned.node("Add", &["x", "t"], "y").output("y"), 1);
    let two = Onnx::new()
        .input("x", &[1, 4])
        .input("z", &[1, 4])
        .weights("w", &[4, 4]);
    agrees(
        &two.node("MatMul", &["z", "w"], "m")
            .node("Sub", &["x", "m"], "y")
            .output("y"),
        1,
    );
    let itself = Onnx::new()
        .input("x", &[1, 4])
        .node("Add", &["x", "x"], "y")
        .output("y");
    agrees(&itself, 1);
}

#[test]
fn concat_of_channels_needs_no_copy() {
    let onnx = images(&[1, 2, 5, 5])
        .weights("w", &[3, 2, 1, 1])
        .weights("v", &[2, 2, 3, 3])
        .weights("u", &[4, 7, 3, 3])
        .node("Conv", &["x", "w"], "a")
        .node("Relu", &["a"], "ra")
        .node("Conv", &["x", "v"], "b")
        .attr_ints("pads", &[1, 1, 1, 1])
        .node("Tanh", &["b"], "tb")
        .node("Concat", &["ra", "x", "tb"], "j")
        .int("axis", 1)
        .node("Conv", &["j", "u"], "y")
        .output("y");
    let (_, model) = agrees(&onnx, 1);
    assert_eq!(model.nodes.len(), 4);
    assert_eq!(linears(&model)[2].terms.len(), 3);
}

#[test]
fn concat_then_everything_else() {
    let join = |axis: i64| {
        let onnx = images(&[1, 2, 4, 4])
            .weights("w", &[2, 2, 1, 1])
            .node("Conv", &["x", "w"], "a");
        onnx.node("Relu", &["a"], "r")
            .node("Concat", &["r", "x"], "j")
            .int("axis", axis)
    };
    for axis in [1, 2, -1] {
        agrees(&join(axis).output("j"), 1);
        agrees(&join(axis).node("Sigmoid", &["j"], "y").output("y"), 1);
        let pooled = join(axis)
            .node("MaxPool", &["j"], "y")
            .attr_ints("kernel_shape", &[2, 2]);
        agrees(&pooled.attr_ints("strides", &[2, 2]).output("y"), 1);
        agrees(
            &join(axis)
                .node("GlobalAveragePool", &["j"], "y")
                .output("y"),
            1,
        );
        agrees(
            &join(axis)
                .weights("k", &[])
                .node("Mul", &["j", "k"], "y")
                .output("y"),
            1,
        );
        agrees(&join(axis).node("Add", &["j", "j"], "y").output("y"), 1);
        let flat = join(axis)
            .node("Flatten", &["j"], "f")
            .weights("d", &[64, 3]);
        agrees(&flat.node("Gemm", &["f", "d"], "y").output("y"), 1);
        let (channels, side) = if axis == 1 { (4, 4) } else { (2, 8) };
        let deep = join(axis)
            .weights("d", &[channels, 1, 3, 3])
            .node("Conv", &["j", "d"], "y")
            .int("group", channels);
        assert!(side >= 4);
        agrees(&deep.output("y"), 1);
    }
}

#[test]
fn flattened_images_feed_dense_layers() {
    let onnx = images(&[0, 2, 4, 4])
        .weights("w", &[3, 2, 3, 3])
        .ints("shape", &[-1, 12])
        .weights("d", &[12, 5])
        .node("Conv", &["x", "w"], "c")
        .node("Relu", &["c"], "r")
        .node("Reshape", &["r", "shape"], "f")
        .node("Gemm", &["f", "d"], "y")
        .output("y");
    let (_, model) = agrees(&onnx, 2);
    assert_eq!(model.nodes.len(), 3);
    let moved = images(&[1, 2, 4, 4])
        .weights("w", &[3, 2, 3, 3])
        .weights("d", &[12, 5]);
    let moved = moved
        .node("Conv", &["x", "w"], "c")
        .node("Relu", &["c"], "r")
        .node("Transpose", &["r"], "t");
    let moved = moved
        .attr_ints("perm", &[0, 2, 3, 1])
        .node("Flatten", &["t"], "f")
        .node("Gemm", &["f", "d"], "y");
    let (_, model) = agrees(&moved.output("y"), 1);
    assert_eq!(
        model.nodes.len(),
        3,
        "a transposed flatten permutes weight columns"
    );
}

#[test]
fn channels_last_images_need_no_copy() {
    let onnx = Onnx::new()
        .input("x", &[1, 5, 6, 3])
        .weights("w", &[4, 3, 3, 3])
        .node("Transpose", &["x"], "t");
    let onnx = onnx
        .attr_ints("perm", &[0, 3, 1, 2])
        .node("Conv", &["t", "w"], "c")
        .node("Transpose", &["c"], "y");
    let (_, model) = agrees(&onnx.attr_ints("perm", &[0, 2, 3, 1]).output("y"), 1);
    assert_eq!(model.nodes.len(), 2);
    assert!(!model.inputs[0].order.is_empty() && !model.outputs[0].order.is_empty());
}

#[test]
fn squeeze_unsqueeze_identity_dropout() {
    let onnx = Onnx::new()
        .input("x", &[1, 6])
        .ints("axes", &[1])
        .node("Unsqueeze", &["x", "axes"], "u")
        .weights("w", &[2, 1, 3])
        .node("Conv", &["u", "w"], "c")
        .node("Identity", &["c"], "i")
        .node("Dropout", &["i"], "d")
        .node("GlobalAveragePool", &["d"], "g")
        .ints("last", &[2])
        .node("Squeeze", &["g", "last"], "y")
        .output("y");
    agrees(&onnx, 1);
}

#[test]
fn pads_go_into_the_window_or_stand_alone() {
    let base = || {
        images(&[1, 2, 4, 5])
            .ints("pads", &[0, 0, 1, 2, 0, 0, 0, 1])
            .node("Pad", &["x", "pads"], "p")
    };
    let conv = base()
        .weights("w", &[3, 2, 3, 3])
        .node("Conv", &["p", "w"], "y")
        .output("y");
    let (_, model) = agrees(&conv, 1);
    assert_eq!(model.nodes.len(), 2);
    let mean = base()
        .node("AveragePool", &["p"], "y")
        .attr_ints("kernel_shape", &[2, 2])
        .output("y");
    agrees(&mean, 1);
    agrees(&base().output("p"), 1);
    agrees(&base().node("Sigmoid", &["p"], "y").output("y"), 1);
    let max = base()
        .node("MaxPool", &["p"], "y")
        .attr_ints("kernel_shape", &[2, 2])
        .output("y");
    agrees(&max, 1);
}

#[test]
fn argmax_is_proved_by_nodes() {
    for last in [0, 1] {
        let onnx =
            Onnx::new()
                .input("x", &[0, 6])
                .weights("w", &[6, 5])
                .node("Gemm", &["x", "w"], "s");
        let onnx = onnx
            .node("ArgMax", &["s"], "y")
            .int("axis", 1)
            .int("keepdims", 0)
            .int("select_last_index", last);
        let (_, model) = agrees(&onnx.output("y"), 2);
        assert_eq!(model.outputs[0].scale, 1.0);
    }
    let direct = images(&[1, 7])
        .node("ArgMax", &["x"], "y")
        .int("axis", -1)
        .output("y");
    agrees(&direct, 1);
    let both = images(&[1, 7])
        .weights("w", &[7, 3])
        .node("MatMul", &["x", "w"], "s")
        .node("ArgMax", &["s"], "y");
    agrees(&both.int("axis", 1).output("s").output("y"), 1);
}

#[test]
fn several_outputs_and_outputs_that_are_read() {
    let onnx = Onnx::new()
        .input("x", &[1, 6])
        .weights("w", &[6, 5])
        .weights("v", &[5, 4]);
    let onnx = onnx
        .node("MatMul", &["x", "w"], "h")
        .node("Relu", &["h"], "r")
        .node("MatMul", &["r", "v"], "y");
    let (_, model) = agrees(&onnx.output("y").output("r").output("h").output("x"), 1);
    assert_eq!(model.outputs.len(), 4);
}

#[test]
fn shapes_computed_in_the_graph_are_folded() {
    let onnx = images(&[0, 2, 3, 3])
        .ints("zero", &[0])
        .ints("minus", &[-1])
        .weights("d", &[18, 2])
        .node("Shape", &["x"], "s")
        .node("Gather", &["s", "zero"], "n")
        .node("Concat", &["n", "minus"], "to")
        .int("axis", 0)
        .node("Reshape", &["x", "to"], "f")
        .node("MatMul", &["f", "d"], "y")
        .output("y");
    agrees(&onnx, 3);
}
