//! Products of computed matrices, and attention made of them.

use tensorseal_circuits::{
    graph::Op,
    onnx::{self, ImportError, ImportOptions},
    quantize::{self, Calibration, Method, QuantizeError, QuantizeOptions},
};

use tract_onnx::pb::tensor_proto::DataType;

use super::model_support::{Onnx, agrees, agrees_within};

#[test]
fn products_of_two_computed_matrices() {
    let two = |a: &[i64], b: &[i64]| Onnx::new().input("x", a).input("z", b);
    for (a, b, batch) in [
        (&[0, 3, 4][..], &[0, 4, 5][..], 2),
        (&[1, 2, 3, 4], &[1, 2, 4, 1], 1),
        (&[1, 2, 1, 4], &[1, 1, 4, 3], 1),
        (&[3, 4], &[4, 2], 1),
        (&[1, 5], &[5, 1], 1),
    ] {
        agrees(
            &two(a, b).node("MatMul", &["x", "z"], "y").output("y"),
            batch,
        );
    }
    let gemm = two(&[4, 3], &[5, 4])
        .weights("c", &[5])
        .node("Gemm", &["x", "z", "c"], "y")
        .int("transA", 1)
        .int("transB", 1)
        .float("alpha", 0.5)
        .output("y");
    agrees(&gemm, 1);
    for (equation, a, b) in [
        ("bij,bjk->bik", &[0, 3, 4][..], &[0, 4, 2][..]),
        ("bihd,bjhd->bhij", &[0, 2, 2, 3], &[0, 3, 2, 3]),
        ("bi,bj->bij", &[0, 3], &[0, 2]),
        ("bij,bij->b", &[0, 3, 2], &[0, 3, 2]),
    ] {
        let onnx = two(a, b).node("Einsum", &["x", "z"], "y");
        agrees(&onnx.string("equation", equation).output("y"), 2);
    }
}

#[test]
fn few_products_have_two_squares_and_many_have_one() {
    // Products with zeros and ones have two, which makes them exact.
    for (rows, ones, squares) in [
        (2, false, &["m.plus", "m.minus"][..]),
        (86, false, &["m.plus"]),
        (86, true, &["m.plus", "m.minus"]),
    ] {
        let mut onnx = Onnx::new().input("x", &[1, rows, 12]);
        if ones {
            onnx = onnx
                .floats("zero", &[], vec![0.0])
                .node("Greater", &["x", "zero"], "above")
                .node("Cast", &["above"], "a")
                .int("to", 1);
        }
        let onnx = onnx
            .input("z", &[1, 12, 4])
            .weights("b", &[4])
            .node("MatMul", &[if ones { "a" } else { "x" }, "z"], "m")
            .node("Add", &["m", "b"], "s")
            .node("Relu", &["s"], "y")
            .output("y");
        let (graph, model) = if ones {
            // Where an input is near zero, the integers may say otherwise than the floats.
            let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
            let calibration = Calibration::random(&graph);
            let model = quantize::quantize(&graph, &calibration, &Default::default());
            (graph, model.unwrap())
        } else {
            agrees(&onnx, 1)
        };
        assert!(graph.nodes.iter().any(|n| matches!(n.op, Op::Contract(_))));
        let products = rows as usize * 12 * 4;
        let as_large = model.nodes.iter().filter(|n| n.shape.len() == products);
        let names: Vec<&str> = as_large.map(|n| &*n.name).collect();
        assert_eq!(names, squares);
    }
}

#[test]
fn many_matrices_of_constants() {
    let right = Onnx::new()
        .input("x", &[0, 2, 3, 4])
        .weights("w", &[2, 4, 5])
        .node("MatMul", &["x", "w"], "y");
    agrees(&right.output("y"), 2);
    let left = Onnx::new()
        .input("x", &[1, 2, 3, 4])
        .weights("w", &[1, 2, 5, 3])
        .node("MatMul", &["w", "x"], "y");
    agrees(&left.output("y"), 1);
}

#[test]
fn a_product_beyond_the_limit_is_refused() {
    let onnx = Onnx::new()
        .input("x", &[1, 80, 80])
        .input("z", &[1, 80, 80])
        .node("MatMul", &["x", "z"], "y")
        .output("y");
    let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    let error = quantize::quantize(&graph, &Calibration::random(&graph), &Default::default());
    assert_eq!(
        error,
        Err(QuantizeError::TooManyProducts {
            node: "y".into(),
            products: 512_000,
            limit: 1 << 18
        })
    );
}

/// Two heads over four positions, as exporters write them.
fn heads(mask: Option<Vec<f32>>) -> Onnx {
    let mut onnx = Onnx::new().opset(17).input("x", &[1, 4, 6]);
    for name in ["q", "k", "v"] {
        onnx = onnx
            .weights(&format!("w{name}"), &[6, 6])
            .ints(&format!("s{name}"), &[0, 0, 2, 3])
            .node("MatMul", &["x", &format!("w{name}")], &format!("p{name}"))
            .node(
                "Reshape",
                &[&format!("p{name}"), &format!("s{name}")],
                &format!("r{name}"),
            )
            .node("Transpose", &[&format!("r{name}")], name)
            .attr_ints(
                "perm",
                if name == "k" {
                    &[0, 2, 3, 1]
                } else {
                    &[0, 2, 1, 3]
                },
            );
    }
    let mut onnx = onnx
        .floats("root", &[], vec![3f32.sqrt()])
        .node("MatMul", &["q", "k"], "scores")
        .node("Div", &["scores", "root"], "scaled");
    let mut from = "scaled";
    if let Some(mask) = mask {
        onnx = onnx
            .floats("mask", &[1, 1, 4, 4], mask)
            .node("Add", &["scaled", "mask"], "masked");
        from = "masked";
    }
    onnx.weights("wo", &[6, 5])
        .ints("flat", &[0, 0, 6])
        .node("Softmax", &[from], "p")
        .int("axis", -1)
        .node("MatMul", &["p", "v"], "o")
        .node("Transpose", &["o"], "t")
        .attr_ints("perm", &[0, 2, 1, 3])
        .node("Reshape", &["t", "flat"], "f")
        .node("MatMul", &["f", "wo"], "y")
}

#[test]
fn attention_as_exporters_write_it() {
    agrees(&heads(None).output("y"), 1);
    let causal = (0..16).map(|i| if i % 4 > i / 4 { f32::MIN } else { 0.0 });
    agrees(&heads(Some(causal.collect())).output("y"), 1);
}

#[test]
fn only_a_softmax_reads_a_mask() {
    let onnx = heads(Some(vec![f32::NEG_INFINITY; 16])).output("masked");
    let error = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap_err();
    assert!(
        matches!(&error, ImportError::Form { reason, .. } if reason.contains("Softmax")),
        "{error}"
    );
}

/// A mask's magnitude is not the scores': a constant one, and one computed from an input.
#[test]
fn masks_of_large_numbers_do_not_widen_the_steps_of_scores() {
    let close = |onnx: Onnx| agrees_within(&onnx.bytes(), 1, [(8, 0.05), (14, 0.005)]);
    let scores = || {
        Onnx::new()
            .opset(18)
            .input("x", &[1, 3, 4])
            .floats("three", &[], vec![3.0])
            .node("Mul", &["x", "three"], "s")
    };
    for far in [-1e4, -1e9] {
        let above = [0.0, far, far, far, 0.0, 0.0, far, far, 0.0, 0.0, 0.0, far];
        let constant = scores()
            .floats("mask", &[3, 4], above.to_vec())
            .node("Add", &["s", "mask"], "masked")
            .node("Softmax", &["masked"], "y");
        close(constant.output("y"));
        let computed = scores()
            .whole("m", DataType::Bool, &[1, 1, 4])
            .floats("one", &[], vec![1.0])
            .floats("far", &[], vec![far])
            .node("Not", &["m"], "n")
            .node("Cast", &["n"], "f")
            .int("to", DataType::Float as i64)
            .node("Sub", &["one", "f"], "d")
            .node("Mul", &["d", "far"], "mask")
            .node("Add", &["s", "mask"], "masked")
            .node("Softmax", &["masked"], "y");
        let (graph, _) = close(computed.output("y"));
        // Ranges that leave values out leave nothing to raise scores to.
        let calibration = Calibration::random(&graph);
        for method in [Method::Percentile(51.0), Method::Entropy] {
            let options = QuantizeOptions {
                method,
                ..QuantizeOptions::default()
            };
            quantize::quantize(&graph, &calibration, &options).unwrap();
        }
    }
}
