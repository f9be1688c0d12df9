//! Whole numbers and truth values: comparisons, logic, choices, indices. On the integers they are exact.

use tensorseal_circuits::{
    executor,
    graph::{Graph, Op},
    model::Model,
    onnx::{self, ImportOptions, Reference},
    ports,
};
use tract_onnx::pb::tensor_proto::DataType;

use super::model_support::{Onnx, agrees, samples};

/// [`agrees`], and every output of the integers at 8 bits is the reference's, exactly.
fn exact(onnx: &Onnx, batch: usize) -> (Graph, Model) {
    let (graph, model) = agrees(onnx, batch);
    let options = ImportOptions { batch, name: None };
    let reference = Reference::new(&onnx.bytes(), &options).unwrap();
    for sample in samples(&graph, 6, 42) {
        let integers: Vec<Vec<i64>> = model
            .inputs
            .iter()
            .zip(&sample)
            .map(|(port, values)| ports::quantize_input(&model, port, values).unwrap().values)
            .collect();
        let values = executor::run(&model, &integers).unwrap();
        for (port, expected) in model.outputs.iter().zip(reference.run(&sample).unwrap()) {
            assert_eq!(
                ports::dequantize(port, &values[port.node]).unwrap(),
                expected,
                "`{}`",
                port.name
            );
        }
    }
    (graph, model)
}

fn two(kind: DataType) -> Onnx {
    Onnx::new()
        .opset(18)
        .whole("x", kind, &[0, 3, 4])
        .whole("z", kind, &[0, 3, 4])
}

#[test]
fn comparisons_of_whole_numbers() {
    for op in ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"] {
        exact(
            &two(DataType::Int32).node(op, &["x", "z"], "y").output("y"),
            2,
        );
    }
}

#[test]
fn logic_of_truth_values() {
    for op in ["And", "Or", "Xor"] {
        exact(
            &two(DataType::Bool).node(op, &["x", "z"], "y").output("y"),
            2,
        );
    }
    let both = two(DataType::Bool)
        .node("Not", &["x"], "n")
        .node("And", &["n", "z"], "a")
        .node("Or", &["a", "x"], "y");
    exact(&both.output("y").output("n"), 1);
}

#[test]
fn sums_and_moves_of_whole_numbers_keep_scale_1() {
    let onnx = two(DataType::Int32)
        .node("Add", &["x", "z"], "s")
        .node("Sub", &["s", "z"], "d")
        .node("Transpose", &["d"], "y")
        .attr_ints("perm", &[0, 2, 1]);
    let (_, model) = exact(&onnx.output("y").output("s"), 1);
    assert!(
        model
            .inputs
            .iter()
            .chain(&model.outputs)
            .all(|p| p.scale == 1.0)
    );
}

#[test]
fn products_of_whole_numbers_are_exact() {
    for kind in [DataType::Uint8, DataType::Int8] {
        exact(&two(kind).node("Mul", &["x", "z"], "y").output("y"), 2);
    }
}

#[test]
fn a_grid_wider_than_its_numbers_does_not_coarsen_a_product() {
    let onnx = Onnx::new()
        .opset(18)
        .whole("x", DataType::Uint8, &[0, 3, 4])
        .input("z", &[0, 3, 4])
        .node("Cast", &["x"], "f")
        .int("to", DataType::Float as i64)
        .node("Mul", &["f", "z"], "y");
    agrees(&onnx.output("y"), 1);
}

#[test]
fn results_that_are_whole_by_type_are_exact() {
    let one = |op: &str| {
        two(DataType::Int32)
            .node(op, &["x"], "a")
            .node("Sub", &["a", "z"], "y")
    };
    for op in ["Abs", "Sign"] {
        exact(&one(op).output("y").output("a"), 1);
    }
    let whole = || {
        Onnx::new()
            .opset(18)
            .whole("x", DataType::Int32, &[0, 3, 4])
    };
    let power = whole()
        .floats("three", &[], vec![3.0])
        .node("Cast", &["x"], "f")
        .int("to", DataType::Float as i64)
        .node("Pow", &["f", "three"], "p")
        .node("Relu", &["p"], "y");
    exact(&power.output("p").output("y"), 1);
    for op in ["Floor", "Ceil", "Round"] {
        let onnx = whole()
            .floats("part", &[], vec![0.04])
            .node("Cast", &["x"], "f")
            .int("to", DataType::Float as i64)
            .node("Mul", &["f", "part"], "m")
            .node(op, &["m"], "y");
        exact(&onnx.output("y"), 1);
    }
}

#[test]
fn casts_to_and_from_truth_values() {
    let onnx = two(DataType::Int32)
        .node("Cast", &["x"], "b")
        .int("to", DataType::Bool as i64)
        .node("Cast", &["b"], "f")
        .int("to", DataType::Float as i64)
        .node("Cast", &["z"], "g")
        .int("to", DataType::Float as i64)
        .node("Add", &["f", "g"], "y");
    exact(&onnx.output("y"), 1);
}

#[test]
fn a_computed_condition_chooses() {
    let onnx = Onnx::new()
        .input("x", &[0, 3, 4])
        .input("z", &[0, 3, 4])
        .whole("c", DataType::Bool, &[0, 3, 4])
        .floats("lo", &[], vec![-0.5])
        .floats("hi", &[], vec![0.25])
        .node("Where", &["c", "x", "z"], "y")
        .node("Where", &["c", "x", "lo"], "l")
        .node("Where", &["c", "hi", "lo"], "k");
    agrees(&onnx.output("y").output("l").output("k"), 2);
}

#[test]
fn a_choice_by_a_function_is_one_function() {
    let onnx = Onnx::new()
        .input("x", &[1, 8])
        .floats("zero", &[], vec![0.0])
        .floats("slope", &[], vec![0.1])
        .node("Less", &["x", "zero"], "c")
        .node("Mul", &["x", "slope"], "s")
        .node("Where", &["c", "s", "x"], "y");
    let (_, model) = agrees(&onnx.output("y"), 1);
    assert_eq!(model.nodes.len(), 3, "input, table, output");
}

#[test]
fn places_of_the_greatest_and_least() {
    let x = || {
        Onnx::new()
            .opset(13)
            .whole("x", DataType::Int32, &[0, 3, 4])
    };
    for op in ["ArgMax", "ArgMin"] {
        for axis in [1, 2] {
            for last in [0, 1] {
                let onnx = x().node(op, &["x"], "y").int("axis", axis);
                exact(&onnx.int("select_last_index", last).output("y"), 2);
            }
        }
    }
    exact(
        &x().node("ArgMax", &["x"], "y")
            .int("axis", -1)
            .int("keepdims", 0)
            .output("y"),
        1,
    );
    let scores = Onnx::new().input("x", &[0, 4]).node("Hardmax", &["x"], "y");
    agrees(&scores.output("y"), 2);
}

#[test]
fn the_first_few_in_order() {
    for largest in [0, 1] {
        let onnx = Onnx::new()
            .opset(13)
            .whole("x", DataType::Int32, &[1, 2, 6])
            .ints("k", &[3])
            .node("TopK", &["x", "k"], "v")
            .edit(|n| n.output.push("i".into()))
            .int("largest", largest);
        exact(&onnx.output("i"), 1);
    }
    let values = Onnx::new()
        .opset(13)
        .input("x", &[0, 6])
        .ints("k", &[2])
        .node("TopK", &["x", "k"], "v")
        .edit(|n| n.output.push("i".into()));
    agrees(&values.output("v"), 2);
}

#[test]
fn quotients_and_remainders_by_constants() {
    let onnx = || {
        Onnx::new().opset(14).input("x", &[1, 8]).floats(
            "by",
            &[8],
            vec![0.3, -0.4, 0.5, 0.3, -0.25, 0.6, 0.7, -0.3],
        )
    };
    // Near a jump the remainder may lie at its other end: of tenths there are none between 0.3 and 0.7.
    let bytes = onnx()
        .node("Mod", &["x", "by"], "y")
        .int("fmod", 1)
        .output("y")
        .bytes();
    let graph = onnx::import(&bytes, &ImportOptions::default()).unwrap();
    let values = tensorseal_circuits::graph::run(
        &graph,
        &[vec![0.7, -0.7, 0.6, -0.5, 0.9, -1.0, 0.1, 0.95]],
    );
    let expected = [0.1, -0.3, 0.1, -0.2, 0.15, -0.4, 0.1, 0.05];
    for (got, expected) in values[0].iter().zip(expected) {
        assert!((got - expected).abs() < 1e-5, "{got} is not {expected}");
    }
}

#[test]
fn updates_at_constant_places() {
    for reduction in ["none", "add", "mul", "max", "min"] {
        let onnx = Onnx::new()
            .opset(18)
            .input("x", &[4, 3])
            .input("u", &[2, 3])
            .ints("i", &[0, 2])
            .ints("two", &[2, 1])
            .node("Reshape", &["i", "two"], "places")
            .node("ScatterND", &["x", "places", "u"], "y")
            .string("reduction", reduction);
        // The reference knows replacement alone.
        match reduction {
            "none" => drop(agrees(&onnx.output("y"), 1)),
            _ => drop(onnx::import(&onnx.output("y").bytes(), &ImportOptions::default()).unwrap()),
        }
    }
}

/// As AdaBoost has it: the index is compared with all classes.
#[test]
fn an_index_over_all_of_an_item_is_computed_with() {
    let onnx = Onnx::new()
        .input("x", &[1, 4])
        .ints("classes", &[0, 1, 2, 3])
        .weights("w", &[4, 3])
        .node("ArgMax", &["x"], "i")
        .int("axis", 1)
        .node("Equal", &["i", "classes"], "e")
        .node("Cast", &["e"], "f")
        .int("to", DataType::Float as i64)
        .node("MatMul", &["f", "w"], "y");
    agrees(&onnx.output("y"), 1);
}

#[test]
fn rows_of_a_table_by_computed_indices() {
    let table = || {
        Onnx::new()
            .whole("i", DataType::Int64, &[1, 4])
            .weights("table", &[10, 5])
            .node("Gather", &["table", "i"], "y")
    };
    let onnx = table().output("y");
    let graph = onnx::import(&onnx.bytes(), &ImportOptions::default()).unwrap();
    assert!(matches!(
        graph.nodes[graph.inputs[0]].op,
        Op::Whole { lo: -10, hi: 9 }
    ));
    agrees(&onnx, 1);
    let axis = table().int("axis", 1).output("y").bytes();
    let error = onnx::import(&axis, &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("first; transpose"), "{error}");
    let large = Onnx::new()
        .whole("i", DataType::Int64, &[1, 4])
        .weights("table", &[300, 2])
        .node("Gather", &["table", "i"], "y")
        .output("y");
    let error = onnx::import(&large.bytes(), &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().contains("256 rows"), "{error}");
}
