//! Operators that move elements, and linear ones with constant attributes.

use tensorseal_circuits::{
    graph,
    onnx::{self, ImportError, ImportOptions, Reference},
    quantize::{self, Calibration, QuantizeOptions},
};

use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use super::model_support::{Onnx, agrees, circuit_agrees, error, run, samples};

fn image() -> Onnx {
    Onnx::new().input("x", &[1, 4, 6, 6])
}

/// The operator alone, and between convolutions.
fn between(f: impl Fn(Onnx, &str) -> Onnx, channels: i64) {
    agrees(&f(image(), "x").output("m"), 1);
    let before = image()
        .weights("w", &[4, 4, 1, 1])
        .node("Conv", &["x", "w"], "c")
        .node("Relu", &["c"], "r");
    let onnx = f(before, "r").weights("v", &[2, channels, 1, 1]);
    agrees(&onnx.node("Conv", &["m", "v"], "y").output("y"), 1);
}

#[test]
fn slices() {
    let slice = |o: Onnx, x: &str, spec: [&[i64]; 4]| {
        o.ints("starts", spec[0])
            .ints("ends", spec[1])
            .ints("axes", spec[2])
            .ints("steps", spec[3])
            .node("Slice", &[x, "starts", "ends", "axes", "steps"], "m")
    };
    between(|o, x| slice(o, x, [&[1], &[3], &[1], &[1]]), 2);
    between(
        |o, x| slice(o, x, [&[-1, 1], &[i64::MIN, 1 << 40], &[2, -1], &[-2, 3]]),
        4,
    );
}

#[test]
fn splits() {
    let parts = |o: Onnx, x: &str| {
        let o = o
            .ints("sizes", &[1, 3])
            .node("Split", &[x, "sizes"], "p")
            .int("axis", 1);
        o.edit(|n| n.output.push("q".into()))
            .node("Relu", &["q"], "m")
    };
    between(parts, 3);
}

#[test]
fn gathers() {
    let rows = |o: Onnx, x: &str| {
        o.ints("i", &[3, 0, -2])
            .node("Gather", &[x, "i"], "m")
            .int("axis", 1)
    };
    between(rows, 3);
    let columns = |o: Onnx, x: &str| {
        o.ints("i", &[5, 5])
            .node("Gather", &[x, "i"], "m")
            .int("axis", 3)
    };
    between(columns, 4);
    let single = Onnx::new().input("x", &[0, 3, 4]).ints("i", &[2, 0, 1]);
    agrees(
        &single
            .node("Gather", &["x", "i"], "y")
            .int("axis", 2)
            .output("y"),
        2,
    );
}

#[test]
fn expansions_and_tiles() {
    let onnx = Onnx::new().input("x", &[0, 3, 1]).ints("to", &[1, 3, 4]);
    agrees(&onnx.node("Expand", &["x", "to"], "y").output("y"), 2);
    let tile = |o: Onnx, x: &str| {
        o.ints("reps", &[1, 2, 1, 3])
            .node("Tile", &[x, "reps"], "m")
    };
    between(tile, 8);
}

#[test]
fn blocks_between_depth_and_space() {
    for mode in ["DCR", "CRD"] {
        between(
            |o, x| {
                o.node("DepthToSpace", &[x], "m")
                    .int("blocksize", 2)
                    .string("mode", mode)
            },
            1,
        );
    }
    between(
        |o, x| o.node("SpaceToDepth", &[x], "m").int("blocksize", 3),
        36,
    );
}

#[test]
fn triangles() {
    for (upper, k) in [(1, 0), (0, 1), (1, -2)] {
        let scalar = Onnx::new().opset(14).input("x", &[0, 4, 5]).scalar("k", k);
        agrees(
            &scalar
                .node("Trilu", &["x", "k"], "y")
                .int("upper", upper)
                .output("y"),
            2,
        );
    }
}

#[test]
fn resizes() {
    for (mode, coordinates) in [
        ("nearest", "asymmetric"),
        ("nearest", "half_pixel"),
        ("linear", "half_pixel"),
        ("linear", "align_corners"),
        ("linear", "asymmetric"),
        ("linear", "pytorch_half_pixel"),
        ("cubic", "half_pixel"),
    ] {
        for (h, w) in [(2.0, 2.0), (1.5, 0.5)] {
            let resize = |o: Onnx, x: &str| {
                o.floats("s", &[4], vec![1.0, 1.0, h, w])
                    .node("Resize", &[x, "", "s"], "m")
                    .string("mode", mode)
                    .string("coordinate_transformation_mode", coordinates)
                    .string("nearest_mode", "floor")
            };
            agrees(&resize(image(), "x").output("m"), 1);
        }
    }
    let sizes = image()
        .ints("to", &[1, 4, 9, 5])
        .node("Resize", &["x", "", "", "to"], "r");
    let onnx = sizes.string("mode", "linear").weights("v", &[2, 4, 3, 3]);
    agrees(&onnx.node("Conv", &["r", "v"], "y").output("y"), 1);
}

#[test]
fn transposed_convolutions() {
    for (kernel, stride, pads, extra, dilation, groups) in [
        ([2, 2], [2, 2], [0, 0, 0, 0], [0, 0], [1, 1], 1),
        ([3, 3], [2, 2], [1, 1, 1, 1], [1, 1], [1, 1], 1),
        ([3, 2], [1, 3], [0, 1, 2, 0], [0, 2], [2, 1], 2),
        ([1, 1], [2, 2], [0, 0, 0, 0], [0, 0], [1, 1], 4),
    ] {
        let onnx = Onnx::new()
            .input("x", &[1, 4, 3, 4])
            .weights("w", &[4, 2, kernel[0], kernel[1]])
            .weights("b", &[2 * groups])
            .node("ConvTranspose", &["x", "w", "b"], "y")
            .attr_ints("strides", &stride)
            .attr_ints("pads", &pads)
            .attr_ints("output_padding", &extra)
            .attr_ints("dilations", &dilation)
            .int("group", groups);
        agrees(&onnx.output("y"), 1);
    }
    let line = Onnx::new().input("x", &[0, 2, 5]).weights("w", &[2, 3, 3]);
    agrees(
        &line
            .node("ConvTranspose", &["x", "w"], "y")
            .attr_ints("strides", &[2])
            .output("y"),
        2,
    );
}

#[test]
fn reductions() {
    for axes in [&[2, 3][..], &[3], &[1], &[1, 2], &[-1]] {
        let of = |op: &str| image().node(op, &["x"], "y").attr_ints("axes", axes);
        agrees(&of("ReduceMean").output("y"), 1);
        agrees(&of("ReduceMax").int("keepdims", 0).output("y"), 1);
        let sum = image()
            .ints("axes", axes)
            .node("ReduceSum", &["x", "axes"], "y");
        agrees(&sum.int("keepdims", 0).output("y"), 1);
    }
    // The least of many elements varies little, so that steps are a large share of its range.
    for axis in [1, 3] {
        let least = image().node("ReduceMin", &["x"], "y");
        agrees(&least.attr_ints("axes", &[axis]).output("y"), 1);
    }
    for op in ["ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"] {
        agrees(
            &image()
                .node(op, &["x"], "y")
                .attr_ints("axes", &[1])
                .output("y"),
            1,
        );
    }
    let all = Onnx::new()
        .input("x", &[3, 4])
        .node("ReduceMean", &["x"], "y")
        .output("y");
    agrees(&all, 1);
    let global = Onnx::new()
        .input("x", &[0, 3, 4, 4])
        .node("GlobalMaxPool", &["x"], "y");
    agrees(&global.output("y"), 2);
}

#[test]
fn cumulative_sums() {
    for (axis, exclusive, reverse) in [(1, 0, 0), (-1, 1, 0), (1, 1, 1)] {
        let onnx = Onnx::new().input("x", &[0, 4, 3]).scalar("axis", axis);
        let onnx = onnx
            .node("CumSum", &["x", "axis"], "y")
            .int("exclusive", exclusive);
        agrees(&onnx.int("reverse", reverse).output("y"), 2);
    }
}

#[test]
fn einsums() {
    for (equation, input, weights) in [
        ("bij,jk->bik", &[0, 3, 4][..], &[4, 5][..]),
        ("jk,bij->bki", &[0, 3, 4], &[4, 5]),
        ("bchw,cd->bdhw", &[0, 2, 3, 3], &[2, 4]),
        ("bhi,hij->bhj", &[0, 2, 3], &[2, 3, 4]),
        ("bij,j->bi", &[0, 3, 4], &[4]),
    ] {
        let onnx = Onnx::new().input("x", input).weights("w", weights);
        let operands = if equation.starts_with("jk") {
            ["w", "x"]
        } else {
            ["x", "w"]
        };
        let onnx = onnx
            .node("Einsum", &operands, "y")
            .string("equation", equation);
        agrees(&onnx.output("y"), 2);
    }
    let turned = Onnx::new()
        .input("x", &[0, 3, 4])
        .node("Einsum", &["x"], "y");
    agrees(&turned.string("equation", "bij->bji").output("y"), 2);
}

#[test]
fn casts_between_floats_and_of_indices() {
    let float = Onnx::new()
        .input("x", &[1, 5])
        .node("Cast", &["x"], "c")
        .int("to", 1);
    agrees(&float.node("Relu", &["c"], "y").output("y"), 1);
    let index = Onnx::new()
        .input("x", &[1, 5])
        .node("ArgMax", &["x"], "i")
        .int("axis", 1);
    agrees(&index.node("Cast", &["i"], "y").int("to", 6).output("y"), 1);
}

#[test]
fn pads_by_numbers_and_by_elements() {
    let pads = |o: Onnx, x: &str, mode: &str| {
        o.ints("pads", &[0, 0, 1, 2, 0, 0, 0, 1])
            .node("Pad", &[x, "pads"], "m")
            .string("mode", mode)
    };
    between(|o, x| pads(o, x, "reflect"), 4);
    between(|o, x| pads(o, x, "edge"), 4);
    let valued = |o: Onnx, x: &str| {
        o.ints("pads", &[0, 0, 1, 2, 0, 0, 0, 3])
            .floats("fill", &[], vec![0.7])
            .node("Pad", &[x, "pads", "fill"], "m")
    };
    between(valued, 4);
}

#[test]
fn negative_pads_crop() {
    let onnx = Onnx::new()
        .input("x", &[1, 4])
        .ints("pads", &[0, -1, 0, 1])
        .node("Pad", &["x", "pads"], "y")
        .output("y");
    let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    let values = graph::evaluate(&graph, &[&[1.0, 2.0, 3.0, 4.0]]);
    assert_eq!(values[graph.outputs[0].node], [2.0, 3.0, 4.0, 0.0]);
}

/// Runs a model whose input `z` nothing reads, beside the reference, which is given none.
fn without_z(onnx: &Onnx) {
    let options = ImportOptions::default();
    let graph = onnx::import(&onnx.bytes(), &options).unwrap();
    assert_eq!(
        (graph.inputs.len(), &graph.unread[..]),
        (1, &["z".to_owned()][..])
    );
    let reference = Reference::new(&onnx.bytes(), &options)
        .unwrap()
        .without(&graph.unread);
    let samples = samples(&graph, 4, 3);
    let calibration = Calibration::measure(&graph, &samples).unwrap();
    let model = quantize::quantize(&graph, &calibration, &QuantizeOptions::default()).unwrap();
    for sample in &samples {
        let expected = reference.run(sample).unwrap();
        for (got, expected) in run(&model, sample).iter().zip(&expected) {
            assert!(error(got, expected, 1.0) < 0.03);
        }
    }
    circuit_agrees(&model, &samples[0]);
}

#[test]
fn inputs_that_no_output_needs_are_dropped() {
    let x = || {
        Onnx::new()
            .input("z", &[1, 4])
            .input("x", &[1, 4])
            .weights("w", &[4, 3])
    };
    without_z(&x().node("MatMul", &["x", "w"], "y").output("y"));
    // Read, but by nothing that reaches an output.
    without_z(
        &x().node("Exp", &["z"], "e")
            .node("MatMul", &["x", "w"], "y")
            .output("y"),
    );
    // Joined, computed with, and cut off again.
    without_z(
        &x().node("Concat", &["x", "z"], "both")
            .int("axis", 1)
            .node("Relu", &["both"], "r")
            .ints("from", &[0])
            .ints("to", &[4])
            .ints("axes", &[1])
            .node("Slice", &["r", "from", "to", "axes"], "a")
            .node("MatMul", &["a", "w"], "y")
            .output("y"),
    );
}

#[test]
fn outputs_that_are_constant_are_shown() {
    let onnx = Onnx::new()
        .input("x", &[1, 4])
        .weights("w", &[4, 3])
        .floats("c", &[1, 2], vec![0.5, -3.0])
        .node("Neg", &["c"], "k")
        .node("MatMul", &["x", "w"], "y")
        .output("k")
        .output("y");
    let (graph, model) = agrees(&onnx, 1);
    assert_eq!(graph.constant_outputs, ["k"]);
    assert_eq!(model.outputs[0].name, "k");
    let only = Onnx::new()
        .input("x", &[1, 4])
        .floats("c", &[1], vec![1.0])
        .node("Neg", &["c"], "k")
        .output("k");
    let error = onnx::import(&only.bytes(), &ImportOptions::default()).unwrap_err();
    assert!(
        matches!(error, ImportError::ConstantOutput { .. }),
        "{error}"
    );
}

/// `If(condition)`: one of two branches of one node each, from the outer `x` to the node's output.
fn chosen(onnx: Onnx, condition: &str, ops: [&str; 2], output: &str) -> Onnx {
    let branch = |op: &str| GraphProto {
        node: vec![NodeProto {
            op_type: op.into(),
            input: vec!["x".into()],
            output: vec!["inner".into()],
            ..NodeProto::default()
        }],
        output: vec![ValueInfoProto {
            name: "inner".into(),
            ..ValueInfoProto::default()
        }],
        ..GraphProto::default()
    };
    let attribute = |name: &str, op| AttributeProto {
        name: name.into(),
        r#type: AttributeType::Graph as i32,
        g: Some(branch(op)),
        ..AttributeProto::default()
    };
    onnx.node("If", &[condition], output).edit(|node| {
        node.attribute.push(attribute("then_branch", ops[0]));
        node.attribute.push(attribute("else_branch", ops[1]));
    })
}

#[test]
fn branches_are_taken_where_the_condition_is_known() {
    let x = || Onnx::new().input("x", &[1, 4]).weights("w", &[4, 3]);
    for (truth, activation) in [(1, "Relu"), (0, "Neg")] {
        let flag = x().typed("flag", &[], DataType::Bool, &[truth]);
        // Two nodes with inner tensors of one name.
        let onnx = chosen(flag, "flag", ["Relu", "Neg"], "a");
        let onnx = chosen(onnx, "flag", ["Tanh", "Abs"], "b")
            .node("Add", &["a", "b"], "s")
            .node("MatMul", &["s", "w"], "y")
            .output("y");
        let (graph, _) = agrees(&onnx, 1);
        let plain =
            x().node(activation, &["x"], "a")
                .node(["Abs", "Tanh"][truth as usize], &["x"], "b");
        let plain = plain
            .node("Add", &["a", "b"], "s")
            .node("MatMul", &["s", "w"], "y");
        let plain = onnx::import(&plain.output("y").bytes(), &ImportOptions::default()).unwrap();
        let ops = |graph: &graph::Graph| -> Vec<graph::Op> {
            graph.nodes.iter().map(|node| node.op.clone()).collect()
        };
        assert_eq!(ops(&graph), ops(&plain));
    }
    // By the input's shape.
    let sized = x()
        .ints("four", &[1, 4])
        .node("Shape", &["x"], "shape")
        .node("Equal", &["shape", "four"], "equal")
        .ints("last", &[1])
        .node("Gather", &["equal", "last"], "is_four");
    let onnx = chosen(sized, "is_four", ["Relu", "Nonsense"], "y").output("y");
    agrees(&onnx, 1);
    let computed = x()
        .floats("zero", &[], vec![0.0])
        .node("Greater", &["x", "zero"], "c");
    let onnx = chosen(computed, "c", ["Relu", "Neg"], "y").output("y");
    let error = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("depends on the input"),
        "{error}"
    );
}

#[test]
fn branches_count_against_the_limits() {
    let onnx = Onnx::new()
        .input("x", &[1, 4])
        .typed("flag", &[], DataType::Bool, &[1]);
    let onnx = chosen(onnx, "flag", ["Relu", "Neg"], "y");
    // A branch of more nodes than a graph may have.
    let onnx = onnx.edit(|node| {
        for attribute in &mut node.attribute {
            let graph = attribute.g.as_mut().unwrap();
            let first = graph.node[0].clone();
            graph.node.extend((0..20_000).map(|at| NodeProto {
                output: vec![format!("t{at}")],
                ..first.clone()
            }));
        }
    });
    let error = onnx::import(&onnx.output("y").bytes(), &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("20001 nodes"), "{error}");
}
