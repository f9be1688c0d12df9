//! ONNX files of a few bytes that ask for much: each is refused by name, at once.

use std::time::{Duration, Instant};

use tensorseal_circuits::onnx::{self, ImportError, ImportOptions};
use tract_onnx::pb::{
    AttributeProto, TensorProto, attribute_proto::AttributeType, tensor_proto::DataType,
    tensor_shape_proto::dimension, type_proto,
};

use crate::model_support::Onnx;

/// Imports within ten seconds, whatever comes out.
fn imported(onnx: &Onnx) -> Result<(), ImportError> {
    let start = Instant::now();
    let result = onnx::import(&onnx.bytes(), &ImportOptions::default()).map(drop);
    assert!(start.elapsed() < Duration::from_secs(10), "{result:?}");
    result
}

fn refused(onnx: &Onnx) -> ImportError {
    imported(onnx).expect_err("it asks for too much")
}

fn is_too_large(error: &ImportError) -> bool {
    matches!(
        error,
        ImportError::TooLarge { .. } | ImportError::TooMuch { .. } | ImportError::Form { .. }
    )
}

/// A model whose second input axis has this name for a size.
fn named(axis: usize, name: &str) -> Onnx {
    let mut onnx = Onnx::new()
        .input("x", &[1, 4])
        .node("Relu", &["x"], "y")
        .output("y");
    let graph = onnx.graph_mut();
    let kind = graph.input[0].r#type.as_mut().unwrap();
    let Some(type_proto::Value::TensorType(tensor)) = &mut kind.value else {
        unreachable!("it is a tensor")
    };
    tensor.shape.as_mut().unwrap().dim[axis].value =
        Some(dimension::Value::DimParam(name.to_owned()));
    onnx
}

#[test]
fn names_of_sizes_are_never_parsed() {
    for name in ["-".repeat(20_000), "(".repeat(20_000), "max(".repeat(5_000)] {
        imported(&named(0, &name)).unwrap();
        assert!(matches!(
            refused(&named(1, &name)),
            ImportError::DynamicAxis { axis: 1, .. }
        ));
    }
    let symbols: Vec<String> = (0..3000).map(|i| format!("s{i}")).collect();
    imported(&named(0, &symbols.join("+"))).unwrap();
}

#[test]
fn names_of_sizes_elsewhere_are_dropped() {
    let mut onnx = named(0, "n");
    let graph = onnx.graph_mut();
    let mut info = graph.input[0].clone();
    info.name = "y".into();
    let kind = info.r#type.as_mut().unwrap();
    let Some(type_proto::Value::TensorType(tensor)) = &mut kind.value else {
        unreachable!("it is a tensor")
    };
    tensor.shape.as_mut().unwrap().dim[1].value =
        Some(dimension::Value::DimParam("(".repeat(20_000)));
    graph.output[0] = info.clone();
    graph.value_info.push(info);
    imported(&onnx).unwrap();
}

/// `x` plus what the operator makes of constants.
fn beside(onnx: Onnx) -> Onnx {
    onnx.node("ReduceSum", &["c"], "s")
        .node("Add", &["x", "s"], "y")
        .output("y")
}

#[test]
fn constants_do_not_unfold_into_all_memory() {
    let one = || Onnx::new().input("x", &[1, 4]).weights("w", &[1]);
    for power in [26, 28, 33, 40, 62] {
        let size = 1i64 << power;
        let half = 1i64 << (power / 2);
        let models = [
            one().ints("p", &[0, size]).node("Pad", &["w", "p"], "c"),
            one().ints("n", &[size]).node("Expand", &["w", "n"], "c"),
            one()
                .ints("n", &[half, half])
                .node("Expand", &["w", "n"], "c"),
            one().ints("n", &[size]).node("Tile", &["w", "n"], "c"),
            one()
                .ints("n", &[size])
                .node("ConstantOfShape", &["n"], "c"),
            one().scalar("a", 0).scalar("b", size).scalar("d", 1).node(
                "Range",
                &["a", "b", "d"],
                "c",
            ),
            one()
                .ints("i", &[0])
                .scalar("n", size)
                .floats("v", &[2], vec![0.0, 1.0])
                .node("OneHot", &["i", "n", "v"], "c"),
            // A size that is itself computed.
            one()
                .ints("a", &[half])
                .ints("b", &[half])
                .node("Mul", &["a", "b"], "n")
                .node("Expand", &["w", "n"], "c"),
            one()
                .ints("a", &[half])
                .ints("b", &[half])
                .node("Mul", &["a", "b"], "n")
                .node("ConstantOfShape", &["n"], "c"),
        ];
        for model in models {
            let model = beside(model);
            let error = refused(&model);
            assert!(is_too_large(&error), "{model:?}: {error}");
        }
    }
}

#[test]
fn operands_do_not_multiply_beyond_the_limit() {
    let n = 1 << 14;
    let outer = Onnx::new()
        .input("x", &[1, 4])
        .weights("a", &[n, 1])
        .weights("b", &[1, n])
        .node("Mul", &["a", "b"], "c");
    assert!(is_too_large(&refused(&beside(outer))));
    let product = Onnx::new()
        .input("x", &[1, 4])
        .weights("a", &[n, 1])
        .weights("b", &[1, n])
        .node("MatMul", &["a", "b"], "c");
    assert!(is_too_large(&refused(&beside(product))));
    let grown = |op: &str, sizes: &[i64]| {
        Onnx::new()
            .input("x", &[1, 4])
            .ints("n", sizes)
            .node(op, &["x", "n"], "y")
            .output("y")
    };
    for model in [
        grown("Expand", &[1 << 26, 4]),
        grown("Tile", &[1, 1 << 26]),
        grown("Expand", &[1 << 40, 4]),
        grown("Pad", &[0, 0, 0, 1 << 40]),
    ] {
        assert!(is_too_large(&refused(&model)));
    }
    // Each within the limit, and all of them not.
    let mut chain = Onnx::new().input("x", &[1, 1 << 22]);
    let mut last = "x".to_owned();
    for i in 0..40 {
        let next = format!("t{i}");
        chain = chain.node("Relu", &[&last], &next);
        last = next;
    }
    assert!(matches!(
        refused(&chain.output(&last)),
        ImportError::TooMuch { .. }
    ));
}

#[test]
fn axes_and_sizes_are_checked() {
    let layer = |axis: i64| {
        Onnx::new()
            .opset(17)
            .input("x", &[1, 4])
            .weights("w", &[4])
            .node("LayerNormalization", &["x", "w"], "y")
            .int("axis", axis)
            .output("y")
    };
    imported(&layer(-1)).unwrap();
    for axis in [33, 1 << 40, -(1 << 40), i64::MAX, i64::MIN] {
        assert!(matches!(refused(&layer(axis)), ImportError::Form { .. }));
    }
    let pool = Onnx::new()
        .input("x", &[1, 1, 4, 4])
        .node("AveragePool", &["x"], "y")
        .attr_ints("kernel_shape", &[2, 2])
        .attr_ints("pads", &[0, 0, 1 << 40, 0])
        .output("y");
    assert!(matches!(refused(&pool), ImportError::Form { .. }));
    let reduced = Onnx::new()
        .input("x", &[1, 4])
        .ints("a", &[1 << 40])
        .node("ReduceSum", &["x", "a"], "y")
        .output("y");
    assert!(matches!(refused(&reduced), ImportError::Form { .. }));
}

#[test]
fn images_beyond_the_rows_of_a_circuit_are_refused_at_once() {
    for side in [2048, 4096] {
        let onnx = Onnx::new()
            .input("x", &[1, 1, side, side])
            .weights("w", &[1, 1, 1, 1])
            .node("Conv", &["x", "w"], "y")
            .output("y");
        assert!(matches!(
            refused(&onnx),
            ImportError::TooManyRows { ref input, .. } if input == "x"
        ));
    }
}

fn chain(length: usize) -> Onnx {
    let mut onnx = Onnx::new().input("x", &[1, 4]);
    let mut last = "x".to_owned();
    for i in 0..length {
        let next = format!("t{i}");
        onnx = onnx.node("Relu", &[&last], &next);
        last = next;
    }
    onnx.output(&last)
}

#[test]
fn long_chains_take_linear_time_or_are_refused() {
    imported(&chain(20_000)).unwrap();
    let error = refused(&chain(100_000));
    assert!(error.to_string().contains("100000 nodes"), "{error}");
}

#[test]
fn a_name_is_made_once() {
    let relu = || Onnx::new().input("x", &[1, 4]).node("Relu", &["x"], "y");
    let weights = || {
        Onnx::new()
            .input("x", &[1, 4])
            .weights("w", &[4])
            .weights("w", &[4])
            .node("Add", &["x", "w"], "y")
    };
    for (onnx, name) in [
        (relu().node("Neg", &["x"], "y").output("y"), "`y`"),
        (relu().node("Neg", &["y"], "x").output("y"), "`x`"),
        (relu().output("y").output("y"), "`y`"),
        (relu().input("x", &[1, 4]).output("y"), "`x`"),
        (weights().output("y"), "`w`"),
    ] {
        let error = refused(&onnx);
        assert!(matches!(error, ImportError::Parse { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn tensors_hold_what_they_say() {
    let tensor = |dims: Vec<i64>, raw_data: Vec<u8>| TensorProto {
        name: "c".into(),
        dims,
        data_type: DataType::Float as i32,
        raw_data,
        ..TensorProto::default()
    };
    let constant = |tensor: TensorProto| {
        let attribute = AttributeProto {
            name: "value".into(),
            r#type: AttributeType::Tensor as i32,
            t: Some(tensor),
            ..AttributeProto::default()
        };
        Onnx::new()
            .input("x", &[1, 4])
            .node("Constant", &[], "c")
            .edit(|node| node.attribute.push(attribute))
            .node("Add", &["x", "c"], "y")
            .output("y")
    };
    imported(&constant(tensor(vec![1], vec![0; 4]))).unwrap();
    for (dims, bytes) in [
        (vec![1 << 40], 4),
        (vec![1 << 32, 1 << 32], 4),
        (vec![2], 4),
        (vec![-1], 4),
        (vec![1; 40], 4),
        (vec![1 << 20], 0),
    ] {
        refused(&constant(tensor(dims, vec![0; bytes])));
    }
}
