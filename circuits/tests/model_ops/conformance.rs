//! The node tests of ONNX, through the float graph and the integer executor.
//!
//! `fixtures/conformance/passing.txt` lists those that pass; it only grows. Their data come with PyPI's `onnx` 1.22.0;
//! `fixtures/conformance/run.sh` runs all of them. A few are committed, so that this test always does something.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use prost::Message;
use tensorseal_circuits::{
    graph::{self, Graph},
    onnx::{self, ImportError, ImportOptions},
    quantize::{self, Calibration, QuantizeOptions},
};
use tract_onnx::pb::{
    AttributeProto, ModelProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType, type_proto,
};

use super::{
    functions::variation,
    model_support::{circuit_agrees, run, value_info},
};

/// Error allowed of the float graph, as a share of the output's greatest magnitude.
const FLOAT_BOUND: f64 = 1e-3;

/// Error allowed of the integers at 14 bits; functions of one element may add their variation within input steps.
const INTEGER_BOUND: f64 = 1.0 / 256.0;

/// Elements beyond which the circuit is left to other tests.
const CIRCUIT_ELEMENTS: usize = 400;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/conformance")
}

/// The elements of a tensor of one of the common types.
fn values(tensor: &TensorProto) -> Option<Vec<f32>> {
    let raw = &tensor.raw_data;
    macro_rules! read {
        ($t:ty, $field:ident) => {
            if raw.is_empty() {
                tensor.$field.iter().map(|&v| v as f32).collect()
            } else {
                raw.chunks_exact(size_of::<$t>())
                    .map(|b| <$t>::from_le_bytes(b.try_into().unwrap()) as f32)
                    .collect()
            }
        };
    }
    let halves = |to: fn(u16) -> f32| -> Vec<f32> {
        if raw.is_empty() {
            tensor.int32_data.iter().map(|&v| to(v as u16)).collect()
        } else {
            let pairs = raw.chunks_exact(2);
            pairs
                .map(|b| to(u16::from_le_bytes([b[0], b[1]])))
                .collect()
        }
    };
    Some(match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float => read!(f32, float_data),
        DataType::Double => read!(f64, double_data),
        DataType::Float16 => halves(half),
        DataType::Bfloat16 => halves(|bits| f32::from_bits(u32::from(bits) << 16)),
        DataType::Int64 => read!(i64, int64_data),
        DataType::Int32 => read!(i32, int32_data),
        DataType::Int16 => read!(i16, int32_data),
        DataType::Int8 => read!(i8, int32_data),
        DataType::Uint64 => read!(u64, uint64_data),
        DataType::Uint32 => read!(u32, uint64_data),
        DataType::Uint16 => read!(u16, int32_data),
        DataType::Uint8 => read!(u8, int32_data),
        DataType::Bool => read!(u8, int32_data),
        _ => return None,
    })
}

/// The value of a half-precision float.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction / 1024.0 * (2f32).powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * (2f32).powi(exponent - 15),
    };
    if bits >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

/// Operators whose result follows from shapes and parameters alone: models have them among constants.
const FOLDED: [&str; 10] = [
    "Shape",
    "Size",
    "ConstantOfShape",
    "Range",
    "EyeLike",
    "NonZero",
    "Constant",
    "HannWindow",
    "HammingWindow",
    "BlackmanWindow",
];

type Tensors = Vec<Vec<f32>>;

/// What is demanded of a graph: that it gives the outputs for the inputs, for one.
type Judge<'a> = dyn Fn(&Graph, &[Vec<f32>], &[Vec<f32>]) -> Result<(), String> + 'a;

/// A node test: the model, and its inputs and outputs.
pub(super) struct Case {
    model: ModelProto,
    inputs: Vec<TensorProto>,
    outputs: Vec<Vec<f32>>,
    shapes: Vec<Vec<i64>>,
}

impl Case {
    fn read(path: &Path) -> Result<Case, String> {
        let tensors = |role: &str| -> Result<Vec<TensorProto>, String> {
            let mut all = Vec::new();
            for i in 0.. {
                let file = path.join(format!("test_data_set_0/{role}_{i}.pb"));
                let Ok(bytes) = fs::read(file) else { break };
                let tensor = TensorProto::decode(&*bytes);
                all.push(tensor.map_err(|_| format!("an {role} is no tensor"))?);
            }
            Ok(all)
        };
        let bytes = fs::read(path.join("model.onnx")).map_err(|e| e.to_string())?;
        let outputs = tensors("output")?;
        Ok(Case {
            model: ModelProto::decode(&*bytes).map_err(|e| e.to_string())?,
            inputs: tensors("input")?,
            shapes: outputs.iter().map(|t| t.dims.clone()).collect(),
            outputs: outputs
                .iter()
                .map(|t| values(t).ok_or("an output is of an unsupported type"))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Element type of an input.
    fn datum(&self, i: usize) -> Option<DataType> {
        let kind = self.model.graph.as_ref()?.input.get(i)?.r#type.as_ref()?;
        match kind.value.as_ref()? {
            type_proto::Value::TensorType(t) => DataType::try_from(t.elem_type).ok(),
        }
    }

    /// Which inputs stay inputs; the others become constants. All numbers first, then all floats, then each alone.
    fn choices(&self) -> Vec<Vec<usize>> {
        let is_float = |&i: &usize| {
            use DataType::{Bfloat16, Double, Float, Float16};
            let datum = self.datum(i);
            matches!(datum, Some(Float | Double | Float16 | Bfloat16))
        };
        let numbers: Vec<usize> = (0..self.inputs.len())
            .filter(|&i| {
                self.datum(i).is_some() && values(&self.inputs[i]).is_some_and(|v| !v.is_empty())
            })
            .collect();
        let floats: Vec<usize> = numbers.iter().copied().filter(is_float).collect();
        let mut choices = vec![numbers.clone(), floats.clone()];
        choices.extend(floats.into_iter().map(|i| vec![i]));
        choices.extend(numbers.into_iter().map(|i| vec![i]));
        let mut distinct: Vec<Vec<usize>> = Vec::new();
        for choice in choices {
            if !choice.is_empty() && !distinct.contains(&choice) {
                distinct.push(choice);
            }
        }
        let mut nodes = self.model.graph.iter().flat_map(|g| &g.node);
        if nodes.all(|n| FOLDED.contains(&n.op_type.as_str())) {
            distinct.push(Vec::new());
        }
        distinct
    }

    /// Adds a further input to an output, so that a constant one depends on an input.
    fn joined(&self, model: &mut ModelProto, output: usize) -> Vec<f32> {
        let onnx = model.graph.as_mut().expect("it was read");
        let (name, extra) = (onnx.output[output].name.clone(), format!("extra{output}"));
        let node = |op: &str, input: &[&str], to: &str| NodeProto {
            op_type: op.into(),
            input: input.iter().map(|s| (*s).to_owned()).collect(),
            output: vec![to.to_owned()],
            ..NodeProto::default()
        };
        let (float, sum) = (format!("{name}.float"), format!("{name}.sum"));
        let mut cast = node("Cast", &[&name], &float);
        cast.attribute.push(AttributeProto {
            name: "to".into(),
            r#type: AttributeType::Int as i32,
            i: DataType::Float as i64,
            ..AttributeProto::default()
        });
        onnx.node.push(cast);
        onnx.node.push(node("Add", &[&float, &extra], &sum));
        onnx.output[output].name = sum;
        onnx.input.push(value_info(&extra, &self.shapes[output]));
        let len = self.outputs[output].len();
        (0..len).map(|i| i as f32 - 0.5).collect()
    }

    /// The model with some inputs made constants and some outputs joined with further inputs; its inputs' and outputs' values.
    fn variant(&self, choice: &[usize], joined: &[usize]) -> (Vec<u8>, Tensors, Tensors) {
        let mut model = self.model.clone();
        let onnx = model.graph.as_mut().expect("it was read");
        for (i, tensor) in self.inputs.iter().enumerate() {
            if !choice.contains(&i) {
                onnx.initializer.push(TensorProto {
                    name: onnx.input[i].name.clone(),
                    ..tensor.clone()
                });
            }
        }
        let kept = choice.iter().filter_map(|&i| values(&self.inputs[i]));
        let (mut sample, mut expected): (Tensors, Tensors) = (kept.collect(), self.outputs.clone());
        for &output in joined {
            let extra = self.joined(&mut model, output);
            let sums = expected[output].iter_mut().zip(&extra);
            sums.for_each(|(expected, extra)| *expected += extra);
            sample.push(extra);
        }
        (model.encode_to_vec(), sample, expected)
    }

    /// A sample without the inputs that the importer dropped.
    fn remaining(
        &self,
        graph: &Graph,
        choice: &[usize],
        joined: &[usize],
        sample: Tensors,
    ) -> Tensors {
        let onnx = self.model.graph.as_ref().expect("it was read");
        let names = choice.iter().map(|&i| onnx.input[i].name.clone());
        let names = names.chain(joined.iter().map(|output| format!("extra{output}")));
        let read = names
            .zip(sample)
            .filter(|(name, _)| !graph.unread.contains(name));
        read.map(|(_, values)| values).collect()
    }

    /// The operators of the model.
    pub(super) fn operators(&self) -> BTreeSet<String> {
        let nodes = self.model.graph.iter().flat_map(|g| &g.node);
        nodes.map(|n| n.op_type.clone()).collect()
    }

    /// Demands it of the first choice of inputs that allows it.
    pub(super) fn check(&self, judge: &Judge) -> Result<(), String> {
        let mut reason = "it has no inputs of numbers".to_owned();
        for (at, choice) in self.choices().into_iter().enumerate() {
            let first = choice.first().and_then(|&i| self.inputs[i].dims.first());
            let items = first.map_or(1, |&d| d as usize);
            for batch in [1, items.max(1)] {
                let error = match self.attempt(&choice, batch, judge) {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                };
                // With its first input alone a test is nearest to what a user has.
                if at <= 1 {
                    reason = error;
                }
            }
        }
        Err(reason)
    }

    fn attempt(&self, choice: &[usize], batch: usize, judge: &Judge) -> Result<(), String> {
        let mut joined: Vec<usize> = match choice {
            [] => (0..self.outputs.len()).collect(),
            _ => Vec::new(),
        };
        loop {
            let (bytes, sample, expected) = self.variant(choice, &joined);
            let error = match onnx::import(&bytes, &ImportOptions { batch, name: None }) {
                Ok(graph) => {
                    let sample = self.remaining(&graph, choice, &joined, sample);
                    return judge(&graph, &sample, &expected);
                }
                Err(error) => error,
            };
            let constant = match &error {
                ImportError::ConstantOutput { output } if batch == 1 => {
                    let outputs = self.model.graph.iter().flat_map(|g| &g.output);
                    outputs.map(|o| &o.name).position(|name| name == output)
                }
                _ => None,
            };
            let constant =
                constant.filter(|at| self.outputs.get(*at).is_some_and(|o| !o.is_empty()));
            match (constant, error) {
                (Some(at), _) => joined.push(at),
                (None, ImportError::Unsupported { op, .. }) => {
                    return Err(format!("operator {op} is not supported"));
                }
                (None, error) => return Err(error.to_string()),
            }
        }
    }
}

fn compare(graph: &Graph, sample: &[Vec<f32>], expected: &[Vec<f32>]) -> Result<(), String> {
    let calibration = Calibration::measure(graph, &[sample.to_vec()]).map_err(|e| e.to_string())?;
    let float = graph::run(graph, sample);
    within("float graph", &float, expected, |_, _| 0.0, FLOAT_BOUND)?;
    let options = QuantizeOptions {
        bits: 14,
        ..QuantizeOptions::default()
    };
    let model = quantize::quantize(graph, &calibration, &options).map_err(|e| e.to_string())?;
    let function = match graph.nodes.as_slice() {
        [_, node] => match &node.op {
            graph::Op::Activation(f) => Some(f),
            _ => None,
        },
        _ => None,
    };
    let reach = 0.76 * model.inputs[0].scale;
    let extra = |output: usize, i: usize| match function {
        Some(f) if output == 0 => variation(&|t| f.extended(t), f64::from(sample[0][i]), reach),
        _ => 0.0,
    };
    let got = run(&model, &sample.to_vec());
    // Quantized operators are met exactly.
    let bound = if graph.is_exact() { 0.0 } else { INTEGER_BOUND };
    within("integers", &got, expected, extra, bound)?;
    let elements: usize = graph
        .nodes
        .iter()
        .map(|n| n.shape.iter().product::<usize>())
        .sum();
    if elements <= CIRCUIT_ELEMENTS && std::env::var_os("ONNX_NODE_TESTS").is_none() {
        let options = QuantizeOptions::default();
        let model = quantize::quantize(graph, &calibration, &options).map_err(|e| e.to_string())?;
        circuit_agrees(&model, &sample.to_vec());
    }
    Ok(())
}

fn within(
    what: &str,
    got: &[Vec<f32>],
    outputs: &[Vec<f32>],
    extra: impl Fn(usize, usize) -> f64,
    bound: f64,
) -> Result<(), String> {
    if got.len() > outputs.len() {
        return Err("it has outputs without expected values".into());
    }
    for (at, (got, expected)) in got.iter().zip(outputs).enumerate() {
        if got.len() != expected.len() {
            return Err(format!("{what}: output {at} has another length"));
        }
        let most = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
            let off = f64::from((got - expected).abs());
            let allowed = bound * f64::from(most).max(1e-3) + extra(at, i);
            if off.is_nan() || off > allowed {
                return Err(format!(
                    "{what}: element {i} of output {at} is {got}, expected {expected}"
                ));
            }
        }
    }
    Ok(())
}

/// The committed node tests.
pub(super) fn committed() -> Vec<Case> {
    let entries = fs::read_dir(folder().join("node")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| Case::read(path).ok();
    paths.iter().filter_map(read).collect()
}

/// Runs the tests of a folder; gives the reason of each failure.
fn results(folder: &Path) -> BTreeMap<String, Result<(), String>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("model.onnx").exists())
        .collect();
    paths.sort();
    let result = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // Supported or not, it must not panic as it stands.
            let bytes = fs::read(path.join("model.onnx")).unwrap_or_default();
            let _ = onnx::import(&bytes, &ImportOptions::default());
            Case::read(path).and_then(|case| case.check(&compare))
        }));
        (name, outcome.unwrap_or_else(|_| Err("PANIC".into())))
    };
    paths.iter().map(result).collect()
}

/// Names in a list file, comments left out.
fn listed(file: &str) -> Vec<String> {
    let text = fs::read_to_string(folder().join(file)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn report(file: &str, head: &str, lines: impl Iterator<Item = String>) {
    let text: String = std::iter::once(head.to_owned())
        .chain(lines)
        .map(|line| line + "\n")
        .collect();
    fs::write(folder().join(file), text).unwrap();
}

#[test]
fn node_tests_that_passed_still_pass() {
    let passing = listed("passing.txt");
    let all = std::env::var_os("ONNX_NODE_TESTS").map(PathBuf::from);
    let results = results(all.as_ref().unwrap_or(&folder().join("node")));
    assert!(!results.is_empty());
    for (name, result) in &results {
        assert_ne!(result, &Err("PANIC".into()), "{name}");
    }
    if all.is_some() && std::env::var_os("TENSORSEAL_WRITE").is_some() {
        let version = "onnx 1.22.0; written by fixtures/conformance/run.sh";
        report(
            "passing.txt",
            &format!("# Node tests that pass, {version}"),
            results
                .iter()
                .filter(|(_, r)| r.is_ok())
                .map(|(n, _)| n.clone()),
        );
        report(
            "failing.txt",
            &format!("# Node tests that do not pass, and why, {version}"),
            results
                .iter()
                .filter_map(|(n, r)| Some(format!("{n}: {}", first_line(r.as_ref().err()?)))),
        );
    }
    let lost: Vec<_> = passing
        .iter()
        .filter_map(|name| Some((name, results.get(name)?.as_ref().err()?)))
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
    if all.is_none() {
        assert!(results.keys().all(|name| passing.contains(name)));
    }
}

/// The first line of a message, at most 160 characters of it.
fn first_line(reason: &str) -> String {
    reason
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(160)
        .collect()
}
