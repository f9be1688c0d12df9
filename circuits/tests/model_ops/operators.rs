//! Every operator that the importer takes occurs in a circuit, which holds for the executor's values.
//!
//! The models are those below, the committed node tests of ONNX and the quantized fixtures. The list of operators is the
//! importer's own: a new one without a model fails.

use std::{collections::BTreeSet, fs, path::PathBuf};

use prost::Message;
use tensorseal_circuits::{
    graph::{Graph, Op},
    onnx::{self, ImportOptions, supported_operators},
    quantize::{self, Calibration, QuantizeOptions, inputs::Sample},
};
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};

use super::{
    conformance,
    model_support::{Onnx, circuit_agrees, samples},
};

/// Operators that leave no node behind: they name a tensor anew. `IsInf` and `IsNaN` are folded too, since integers are
/// neither, and stand beside a `Where`; a `Constant` stands beside what reads it.
const WITHOUT_NODES: &[&str] = &["Cast", "CastLike", "Dropout", "Identity"];

/// Functions of one element with an interval of their domain.
const FUNCTIONS: &[(&str, (f32, f32))] = &[
    ("Abs", (-2.0, 3.0)),
    ("Acos", (-0.9, 0.9)),
    ("Acosh", (1.1, 4.0)),
    ("Asin", (-0.9, 0.9)),
    ("Asinh", (-4.0, 4.0)),
    ("Atan", (-4.0, 4.0)),
    ("Atanh", (-0.9, 0.9)),
    ("Ceil", (-3.0, 3.0)),
    ("Celu", (-3.0, 3.0)),
    ("Cos", (-4.0, 4.0)),
    ("Cosh", (-2.0, 2.0)),
    ("Elu", (-3.0, 3.0)),
    ("Erf", (-3.0, 3.0)),
    ("Exp", (-3.0, 2.0)),
    ("Floor", (-3.0, 3.0)),
    ("Gelu", (-3.0, 3.0)),
    ("HardSigmoid", (-4.0, 4.0)),
    ("HardSwish", (-4.0, 4.0)),
    ("LeakyRelu", (-3.0, 3.0)),
    ("Log", (0.2, 5.0)),
    ("Mish", (-3.0, 3.0)),
    ("Neg", (-3.0, 3.0)),
    ("Reciprocal", (0.3, 4.0)),
    ("Relu", (-3.0, 3.0)),
    ("Round", (-3.0, 3.0)),
    ("Selu", (-3.0, 3.0)),
    ("Shrink", (-3.0, 3.0)),
    ("Sigmoid", (-4.0, 4.0)),
    ("Sign", (-1.0, 1.0)),
    ("Sin", (-4.0, 4.0)),
    ("Sinh", (-2.0, 2.0)),
    ("Softplus", (-4.0, 4.0)),
    ("Softsign", (-4.0, 4.0)),
    ("Sqrt", (0.0, 5.0)),
    ("Swish", (-4.0, 4.0)),
    ("Tan", (-1.2, 1.2)),
    ("Tanh", (-3.0, 3.0)),
    ("ThresholdedRelu", (-3.0, 3.0)),
];

/// Reductions along an axis.
const REDUCTIONS: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
];

/// A model and the interval of its inputs.
struct Case {
    what: String,
    onnx: Onnx,
    range: (f32, f32),
}

fn vector() -> Onnx {
    Onnx::new().opset(13).input("x", &[1, 4])
}

fn image() -> Onnx {
    Onnx::new().opset(13).input("x", &[1, 2, 4, 4])
}

/// A node of another domain; further outputs are named too.
fn of(domain: &str, onnx: Onnx, op: &str, inputs: &[&str], outputs: &[&str]) -> Onnx {
    onnx.node(op, inputs, outputs[0]).edit(|node| {
        node.domain = domain.into();
        node.output = outputs.iter().map(|&o| o.into()).collect();
    })
}

fn ml(onnx: Onnx, op: &str, inputs: &[&str], outputs: &[&str]) -> Onnx {
    of("ai.onnx.ml", onnx, op, inputs, outputs)
}

fn two(op: &str) -> Onnx {
    vector().input("z", &[1, 4]).node(op, &["x", "z"], "y")
}

/// Chooses between the input and its negative by truth values `b`.
fn chosen(onnx: Onnx) -> Onnx {
    onnx.node("Neg", &["x"], "n")
        .node("Where", &["b", "x", "n"], "y")
}

fn float_tensor(values: &[f32]) -> TensorProto {
    TensorProto {
        data_type: DataType::Float as i32,
        dims: vec![values.len() as i64],
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

fn cases() -> Vec<Case> {
    let functions = FUNCTIONS.iter().map(|&(op, range)| Case {
        what: op.into(),
        onnx: Onnx::new()
            .opset(20)
            .input("x", &[1, 6])
            .node(op, &["x"], "y"),
        range,
    });
    let reductions = REDUCTIONS.iter().map(|&op| Case {
        what: op.into(),
        onnx: Onnx::new()
            .opset(13)
            .input("x", &[1, 2, 3])
            .node(op, &["x"], "y")
            .attr_ints("axes", &[2]),
        range: (0.3, 2.0),
    });
    let others = layers()
        .into_iter()
        .chain(moves())
        .chain(classical())
        .chain(quantized())
        .map(|onnx| Case {
            what: onnx_operators(&onnx.bytes())
                .into_iter()
                .collect::<Vec<_>>()
                .join(", "),
            onnx,
            range: (-1.0, 1.0),
        });
    functions.chain(reductions).chain(others).collect()
}

fn layers() -> Vec<Onnx> {
    let weights = image().weights("w", &[3, 2, 3, 3]);
    let normalized =
        image()
            .weights("g", &[2])
            .weights("b", &[2])
            .floats("v", &[2], vec![0.5, 2.0]);
    vec![
        weights.node("Conv", &["x", "w"], "y"),
        normalized.node("BatchNormalization", &["x", "g", "b", "b", "v"], "y"),
        image()
            .node("MaxPool", &["x"], "y")
            .attr_ints("kernel_shape", &[2, 2]),
        image()
            .node("AveragePool", &["x"], "y")
            .attr_ints("kernel_shape", &[2, 2]),
        image().node("GlobalAveragePool", &["x"], "y"),
        image().node("GlobalMaxPool", &["x"], "y"),
        image().node("GlobalLpPool", &["x"], "y"),
        two("Add"),
        two("Sub"),
        two("Sum"),
        two("Mean"),
        two("Min"),
        two("Max"),
        two("Mul"),
        chosen(
            vector()
                .input("z", &[1, 4])
                .node("Greater", &["x", "z"], "b"),
        ),
        chosen(
            vector()
                .input("z", &[1, 4])
                .node("LessOrEqual", &["x", "z"], "b"),
        ),
        chosen(vector().node("IsNaN", &["x"], "b")),
        chosen(vector().node("IsInf", &["x"], "b")),
        vector()
            .ints("axes", &[1])
            .node("ReduceSum", &["x", "axes"], "y"),
        vector()
            .scalar("axis", 1)
            .node("CumSum", &["x", "axis"], "y"),
    ]
}

fn moves() -> Vec<Onnx> {
    let pads = image().ints("pads", &[0, 0, 1, 0, 0, 0, 0, 2]);
    let slice = image()
        .ints("starts", &[1])
        .ints("ends", &[4])
        .ints("axes", &[2])
        .ints("steps", &[2]);
    let scatter = |op: &str| {
        let indices = TensorProto {
            data_type: DataType::Int64 as i32,
            dims: vec![1, 2],
            int64_data: vec![2, 0],
            ..TensorProto::default()
        };
        vector()
            .opset(if op == "Scatter" { 10 } else { 13 })
            .input("z", &[1, 2])
            .node("Constant", &[], "i")
            .attr_tensor("value", indices)
            .node(op, &["x", "i", "z"], "y")
            .int("axis", 1)
    };
    let like = vector()
        .floats("l", &[1], vec![0.0])
        .opset(15)
        .node("CastLike", &["x", "l"], "y");
    vec![
        pads.node("Pad", &["x", "pads"], "y"),
        slice.node("Slice", &["x", "starts", "ends", "axes", "steps"], "y"),
        scatter("Scatter"),
        scatter("ScatterElements"),
        like,
        vector().node("Dropout", &["x"], "y"),
        vector().node("Identity", &["x"], "y"),
        vector().node("Cast", &["x"], "y").int("to", 1),
        image().node("Flatten", &["x"], "y"),
        image().node("Concat", &["x", "x"], "y").int("axis", 1),
        image()
            .node("Transpose", &["x"], "y")
            .attr_ints("perm", &[0, 2, 3, 1]),
        image()
            .ints("s", &[1, 8, 4])
            .node("Reshape", &["x", "s"], "y"),
        vector().ints("a", &[1]).node("Unsqueeze", &["x", "a"], "y"),
        vector()
            .ints("a", &[1])
            .node("Unsqueeze", &["x", "a"], "u")
            .node("Squeeze", &["u", "a"], "y"),
    ]
}

fn classical() -> Vec<Onnx> {
    let imputed = ml(vector(), "Imputer", &["x"], &["i"])
        .attr_floats("imputed_value_floats", &[1.0, 2.0, 3.0, 4.0])
        .float("replaced_value_float", f32::NAN);
    let tree = |onnx: Onnx| {
        onnx.attr_ints("nodes_treeids", &[0, 0, 0])
            .attr_ints("nodes_nodeids", &[0, 1, 2])
            .attr_ints("nodes_featureids", &[1, 0, 0])
            .strings("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"])
            .attr_floats("nodes_values", &[0.25, 0.0, 0.0])
            .attr_ints("nodes_truenodeids", &[1, 0, 0])
            .attr_ints("nodes_falsenodeids", &[2, 0, 0])
    };
    let regressor = tree(ml(vector(), "TreeEnsembleRegressor", &["x"], &["y"]))
        .attr_ints("target_treeids", &[0, 0])
        .attr_ints("target_nodeids", &[1, 2])
        .attr_ints("target_ids", &[0, 0])
        .attr_floats("target_weights", &[3.0, -5.0])
        .int("n_targets", 1);
    let classifier = tree(ml(vector(), "TreeEnsembleClassifier", &["x"], &["l", "y"]))
        .attr_ints("class_treeids", &[0, 0])
        .attr_ints("class_nodeids", &[1, 2])
        .attr_ints("class_ids", &[0, 1])
        .attr_floats("class_weights", &[1.0, 1.0])
        .attr_ints("classlabels_int64s", &[3, 4, 5]);
    let modes = TensorProto {
        data_type: DataType::Uint8 as i32,
        dims: vec![1],
        raw_data: vec![0],
        ..TensorProto::default()
    };
    let ensemble = ml(vector(), "TreeEnsemble", &["x"], &["y"])
        .attr_tensor("nodes_modes", modes)
        .attr_tensor("nodes_splits", float_tensor(&[0.25]))
        .attr_ints("nodes_featureids", &[1])
        .attr_ints("nodes_trueleafs", &[1])
        .attr_ints("nodes_truenodeids", &[0])
        .attr_ints("nodes_falseleafs", &[1])
        .attr_ints("nodes_falsenodeids", &[1])
        .attr_ints("leaf_targetids", &[0, 0])
        .attr_tensor("leaf_weights", float_tensor(&[3.0, -5.0]))
        .attr_ints("tree_roots", &[0])
        .int("n_targets", 1)
        .int("post_transform", 0)
        .int("aggregate_function", 1);
    let scores = vector()
        .weights("w", &[4, 3])
        .ints("classes", &[4, 7, 6])
        .node("MatMul", &["x", "w"], "s")
        .node("ArgMax", &["s"], "index")
        .int("axis", 1);
    let named = ml(
        scores,
        "ArrayFeatureExtractor",
        &["classes", "index"],
        &["n"],
    );
    let encoded = ml(named, "LabelEncoder", &["n"], &["e"])
        .attr_ints("keys_int64s", &[4, 6, 7])
        .attr_ints("values_int64s", &[40, 60, 70])
        .node("Cast", &["e"], "y")
        .int("to", 7);
    let machine = |op: &str, outputs: &[&str]| {
        ml(vector(), op, &["x"], outputs)
            .string("kernel_type", "RBF")
            .attr_floats("kernel_params", &[0.5, 0.0, 3.0])
            .attr_floats(
                "support_vectors",
                &[0.5, -0.25, 0.1, 0.9, -0.3, -0.8, 0.2, 0.4],
            )
            .attr_floats("coefficients", &[0.7, -0.4])
            .attr_floats("rho", &[0.1])
    };
    let linear = |op: &str, outputs: &[&str]| {
        ml(vector(), op, &["x"], outputs)
            .attr_floats(
                "coefficients",
                &[1.0, -2.0, 0.5, 0.25, -0.5, 1.0, 1.5, 0.75],
            )
            .attr_floats("intercepts", &[0.1, -0.2])
    };
    let linear_classifier =
        linear("LinearClassifier", &["l", "p"]).attr_ints("classlabels_ints", &[0, 1]);
    vec![
        ml(
            imputed.ints("columns", &[2, 0]),
            "ArrayFeatureExtractor",
            &["i", "columns"],
            &["y"],
        ),
        ml(vector(), "Binarizer", &["x"], &["y"]).float("threshold", 0.25),
        ml(vector(), "FeatureVectorizer", &["x", "x"], &["y"])
            .attr_ints("inputdimensions", &[4, 4]),
        ml(vector(), "Normalizer", &["x"], &["y"]).string("norm", "L2"),
        ml(vector(), "Scaler", &["x"], &["y"])
            .attr_floats("offset", &[0.5])
            .attr_floats("scale", &[2.0]),
        encoded,
        regressor,
        classifier,
        ensemble,
        linear("LinearRegressor", &["y"]).int("targets", 2),
        ml(linear_classifier, "ZipMap", &["p"], &["y"]).attr_ints("classlabels_int64s", &[0, 1]),
        machine("SVMRegressor", &["y"]).int("n_supports", 2),
        machine("SVMClassifier", &["l", "y"])
            .attr_ints("vectors_per_class", &[1, 1])
            .attr_ints("classlabels_ints", &[0, 1]),
    ]
}

fn quantized() -> Vec<Onnx> {
    let scaled = |onnx: Onnx, s: &str, z: &str, scale: f32| {
        onnx.floats(s, &[], vec![scale])
            .typed(z, &[], DataType::Uint8, &[128])
    };
    let round = |domain: &str| {
        let onnx = scaled(vector(), "s", "z", 0.01);
        let onnx = of(domain, onnx, "QuantizeLinear", &["x", "s", "z"], &["q"]);
        of(domain, onnx, "DequantizeLinear", &["q", "s", "z"], &["y"])
    };
    let product = Onnx::new()
        .whole("x", DataType::Uint8, &[1, 4])
        .typed(
            "w",
            &[4, 3],
            DataType::Uint8,
            &[1, 200, 3, 4, 50, 6, 7, 8, 90, 255, 0, 17],
        )
        .typed("a", &[], DataType::Uint8, &[3])
        .typed("b", &[], DataType::Uint8, &[100])
        .node("MatMulInteger", &["x", "w", "a", "b"], "y");
    vec![round(""), round("com.microsoft"), product]
}

/// The operators of a model, with their domain.
fn onnx_operators(bytes: &[u8]) -> BTreeSet<String> {
    let model = ModelProto::decode(bytes).expect("it is a model");
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    nodes
        .map(|node| match node.domain.as_str() {
            "" | "ai.onnx" => node.op_type.clone(),
            domain => format!("{domain}.{}", node.op_type),
        })
        .collect()
}

/// Quantizes a graph for one sample and checks the circuit against the executor.
fn prove(graph: &Graph, sample: &Sample, bits: u32) -> Result<(), String> {
    let calibration = Calibration::measure(graph, std::slice::from_ref(sample));
    let calibration = calibration.map_err(|e| e.to_string())?;
    let options = QuantizeOptions {
        bits,
        ..QuantizeOptions::default()
    };
    let model = quantize::quantize(graph, &calibration, &options).map_err(|e| e.to_string())?;
    circuit_agrees(&model, sample);
    Ok(())
}

/// Nodes that are no inputs.
fn nodes(graph: &Graph) -> usize {
    let computed = |op: &Op| !matches!(op, Op::Input | Op::Whole { .. });
    graph.nodes.iter().filter(|n| computed(&n.op)).count()
}

/// The same for a model and an interval of its inputs.
fn prove_case(bytes: &[u8], (lo, hi): (f32, f32)) -> Result<(), String> {
    let graph = onnx::import(bytes, &ImportOptions::default()).map_err(|e| e.to_string())?;
    let operators = Vec::from_iter(onnx_operators(bytes));
    if let [operator] = operators.as_slice() {
        let listed = WITHOUT_NODES.contains(&operator.as_str());
        if (nodes(&graph) == 0) != listed {
            return Err(format!("{} nodes", nodes(&graph)));
        }
    }
    let mut sample = samples(&graph, 1, 5).swap_remove(0);
    for (values, id) in sample.iter_mut().zip(&graph.inputs) {
        if matches!(graph.nodes[*id].op, Op::Input) {
            let within = |v: &mut f32| *v = lo + (hi - lo) * (*v + 1.0) / 2.0;
            values.iter_mut().for_each(within);
        }
    }
    prove(&graph, &sample, 6)
}

#[test]
fn every_importable_operator_occurs_in_a_circuit() {
    let mut proved: BTreeSet<String> = BTreeSet::new();
    let mut failed: Vec<String> = Vec::new();
    for case in cases() {
        let bytes = case.onnx.output("y").bytes();
        match prove_case(&bytes, case.range) {
            Ok(()) => proved.extend(onnx_operators(&bytes)),
            Err(why) => failed.push(format!("{}: {why}", case.what)),
        }
    }
    for case in conformance::committed() {
        let operators = case.operators();
        if operators.is_subset(&proved) {
            continue;
        }
        let result = case.check(&|graph, sample, _| prove(graph, &sample.to_vec(), 6));
        if result.is_ok() {
            proved.extend(operators);
        }
    }
    for name in ["operators_u8", "mlp_qop_u8u8"] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/quantized");
        let bytes = fs::read(folder.join(format!("{name}.onnx"))).expect("a fixture");
        match prove_case(&bytes, (-1.0, 1.0)) {
            Ok(()) => proved.extend(onnx_operators(&bytes)),
            Err(why) => failed.push(format!("{name}: {why}")),
        }
    }
    let mut missing = supported_operators();
    missing.retain(|op| !proved.contains(*op));
    assert!(
        missing.is_empty() && failed.is_empty(),
        "no circuit has {missing:?}; {failed:#?}"
    );
}
