//! The node tests of ONNX, through the float graph and the integer executor.
//!
//! `fixtures/conformance/passing.txt` lists those that pass; it only grows. Their data come with PyPI's `onnx` 1.22.0;
//! `fixtures/conformance/run.sh` runs all of them. A few are committed, so that this test always does something.

use std::{
    collections::BTreeMap,
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
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType, type_proto};

use super::{
    functions::variation,
    model_support::{circuit_agrees, run},
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
    Some(match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float => read!(f32, float_data),
        DataType::Double => read!(f64, double_data),
        DataType::Int64 => read!(i64, int64_data),
        DataType::Int32 => read!(i32, int32_data),
        DataType::Bool | DataType::Uint8 => read!(u8, int32_data),
        DataType::Int8 => read!(i8, int32_data),
        _ => return None,
    })
}

/// A node test: the model, and its inputs and outputs.
struct Case {
    model: ModelProto,
    inputs: Vec<TensorProto>,
    outputs: Vec<Vec<f32>>,
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
            outputs: outputs
                .iter()
                .map(|t| values(t).ok_or("an output is of an unsupported type"))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Indices of the inputs of `f32` and of 8-bit integers, which quantized operators take.
    fn candidates(&self) -> Vec<usize> {
        let types = [DataType::Float, DataType::Int8, DataType::Uint8];
        let is_candidate = |&i: &usize| {
            let value = self.model.graph.as_ref().map(|g| &g.input[i].r#type);
            matches!(value, Some(Some(t)) if matches!(&t.value, Some(type_proto::Value::TensorType(t))
                if types.iter().any(|&of| t.elem_type == of as i32)))
        };
        (0..self.inputs.len()).filter(is_candidate).collect()
    }

    /// Which inputs stay inputs; the others become constants. All candidates first, then each alone.
    fn choices(&self) -> Vec<Vec<usize>> {
        let candidates = self.candidates();
        let mut choices = vec![candidates.clone()];
        if candidates.len() > 1 {
            choices.extend(candidates.into_iter().map(|i| vec![i]));
        }
        choices
    }

    fn check(&self) -> Result<(), String> {
        if self.candidates().is_empty() {
            return Err("it has no float32 input".into());
        }
        let mut reason = String::new();
        for (at, choice) in self.choices().into_iter().enumerate() {
            let mut model = self.model.clone();
            let onnx = model.graph.as_mut().ok_or("it has no graph")?;
            for (i, tensor) in self.inputs.iter().enumerate() {
                if !choice.contains(&i) {
                    let name = onnx.input[i].name.clone();
                    onnx.initializer.push(TensorProto {
                        name,
                        ..tensor.clone()
                    });
                }
            }
            let bytes = model.encode_to_vec();
            let sample: Vec<Vec<f32>> = choice
                .iter()
                .filter_map(|&i| values(&self.inputs[i]))
                .collect();
            let items = self.inputs[choice[0]]
                .dims
                .first()
                .map_or(1, |&d| d as usize);
            for batch in [1, items.max(1)] {
                let options = ImportOptions { batch, name: None };
                let error = match onnx::import(&bytes, &options) {
                    Ok(graph) => match self.compare(&graph, &sample) {
                        Ok(()) => return Ok(()),
                        Err(error) => error,
                    },
                    Err(ImportError::Unsupported { op, .. }) => {
                        return Err(format!("operator {op} is not supported"));
                    }
                    Err(error) => error.to_string(),
                };
                // With its first input alone a test is nearest to what a user has.
                if at <= 1 {
                    reason = error;
                }
            }
        }
        Err(reason)
    }

    fn compare(&self, graph: &Graph, sample: &[Vec<f32>]) -> Result<(), String> {
        let calibration =
            Calibration::measure(graph, &[sample.to_vec()]).map_err(|e| e.to_string())?;
        let items = |values: &[f32], at: usize| {
            let len = values.len() / graph.batch;
            values[at * len..(at + 1) * len].to_vec()
        };
        let mut float: Vec<Vec<f32>> = vec![Vec::new(); graph.outputs.len()];
        for item in 0..graph.batch {
            let inputs: Vec<Vec<f32>> = sample.iter().map(|v| items(v, item)).collect();
            let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
            let values = graph::evaluate(graph, &inputs);
            for (all, output) in float.iter_mut().zip(&graph.outputs) {
                all.extend(&values[output.node]);
            }
        }
        self.within("float graph", &float, |_, _| 0.0, FLOAT_BOUND)?;
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
        self.within("integers", &got, extra, bound)?;
        let elements: usize = graph
            .nodes
            .iter()
            .map(|n| n.shape.iter().product::<usize>())
            .sum();
        if elements <= CIRCUIT_ELEMENTS && std::env::var_os("ONNX_NODE_TESTS").is_none() {
            let options = QuantizeOptions::default();
            let model =
                quantize::quantize(graph, &calibration, &options).map_err(|e| e.to_string())?;
            circuit_agrees(&model, &sample.to_vec());
        }
        Ok(())
    }

    fn within(
        &self,
        what: &str,
        got: &[Vec<f32>],
        extra: impl Fn(usize, usize) -> f64,
        bound: f64,
    ) -> Result<(), String> {
        if got.len() > self.outputs.len() {
            return Err("it has outputs without expected values".into());
        }
        for (at, (got, expected)) in got.iter().zip(&self.outputs).enumerate() {
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
            Case::read(path).and_then(|case| case.check())
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
