//! Float models: import, calibration, quantization.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tensorseal_circuits::{
    executor,
    graph::Graph,
    model::{Kind, Table},
    onnx::{self, ImportOptions, Reference},
    ports,
    quantize::{self, Calibration, Method, QuantizeOptions, inputs::InputSpec},
};

use super::{Item, Model, compiled, files};
use crate::{
    CliError, Result,
    args::{Optimize, Quantization},
};

/// Inputs drawn for `--input-range`.
const RANDOM_ITEMS: usize = 32;
/// Calibration inputs that are looked at for saturation.
const SATURATION_ITEMS: usize = 32;
/// Seed of drawn inputs: the same call compiles the same model.
const RANDOM_SEED: u64 = 1;

/// An imported ONNX model.
#[derive(Debug)]
pub struct FloatModel {
    graph: Graph,
    reference: Reference,
}

/// A quantized model.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The integer model.
    pub model: Model,
    /// Values at the end of their range, on the calibration inputs (or the first of them).
    pub saturated: u64,
    /// All values that were looked at for that.
    pub values: u64,
}

/// How far the integer model is from the float model.
#[derive(Clone, Copy, Debug)]
pub struct OutputError {
    /// The largest difference of an output value.
    pub max_abs: f64,
    /// Greatest minus least float output value.
    pub range: f64,
}

impl OutputError {
    /// The error as a share of the output range.
    pub fn relative(&self) -> f64 {
        if self.range > 0.0 {
            self.max_abs / self.range
        } else {
            0.0
        }
    }
}

impl FloatModel {
    /// Imports an ONNX file.
    pub fn open(path: &Path, batch: usize) -> Result<Self> {
        let bytes = files::read_file(path)?;
        let options = ImportOptions { batch, name: None };
        let refused =
            |why: &dyn std::error::Error| CliError::Input(format!("{}: {why}", path.display()));
        let graph = onnx::import(&bytes, &options).map_err(|why| refused(&why))?;
        let reference = Reference::new(&bytes, &options).map_err(|why| refused(&why))?;
        Ok(Self { graph, reference })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.graph.name
    }

    /// Reads a file of inputs.
    pub fn load_inputs(&self, path: &Path) -> Result<Vec<Item>> {
        load_items(&quantize::inputs::specs(&self.graph), path)
    }

    /// The inputs with a batch of one, as calibration takes them.
    fn single_specs(&self) -> Vec<InputSpec> {
        let mut specs = quantize::inputs::specs(&self.graph);
        for axis in specs.iter_mut().filter_map(|spec| spec.shape.first_mut()) {
            *axis /= self.graph.batch;
        }
        specs
    }

    /// Inputs for a batch of one drawn evenly from a range, always the same ones.
    pub fn random_inputs(&self, (low, high): (f32, f32), count: usize) -> Vec<Item> {
        let mut rng = ChaCha20Rng::seed_from_u64(RANDOM_SEED);
        let specs = self.single_specs();
        let mut item = || {
            let tensor = |spec: &InputSpec| {
                (0..spec.shape.iter().product())
                    .map(|_| rng.gen_range(low..high))
                    .collect()
            };
            specs.iter().map(tensor).collect()
        };
        (0..count).map(|_| item()).collect()
    }

    /// The calibration inputs that the flags name, one by one whatever the batch.
    pub fn calibration(&self, quantization: &Quantization) -> Result<Vec<Item>> {
        match (&quantization.calibration, quantization.input_range) {
            (Some(path), _) => load_items(&self.single_specs(), path),
            (None, Some(range)) => Ok(self.random_inputs(range, RANDOM_ITEMS)),
            // Of a quantized model nothing is left to find out.
            (None, None) if self.graph.is_exact() => Ok(Vec::new()),
            (None, None) => Err(CliError::Input(format!(
                "`{}` needs typical inputs to find the ranges of its tensors: pass --calibration FILE, \
                 or --input-range LOW,HIGH to draw them",
                self.name()
            ))),
        }
    }

    /// The calibration inputs that the flags name, else the inputs at hand.
    pub fn calibration_or(&self, quantization: &Quantization, inputs: &Path) -> Result<Vec<Item>> {
        if quantization.calibration.is_none() && quantization.input_range.is_none() {
            load_items(&self.single_specs(), inputs)
        } else {
            self.calibration(quantization)
        }
    }

    /// Quantizes for a planner's goal, which decides the requantizing shift.
    pub fn quantize(
        &self,
        calibration: &[Item],
        quantization: &Quantization,
        optimize: Optimize,
    ) -> Result<Quantized> {
        let method = if quantization.percentile < 100.0 {
            Method::Percentile(quantization.percentile)
        } else {
            Method::MinMax
        };
        let options = QuantizeOptions {
            bits: quantization.bits,
            shift: compiled::goal(optimize).shift(),
            method,
        };
        let what = || format!("quantizing `{}`", self.name());
        let measured = match Calibration::exact(&self.graph) {
            Some(exact) => exact,
            None => Calibration::measure(&self.graph, calibration)
                .map_err(|why| CliError::input(what(), why))?,
        };
        let model = quantize::quantize(&self.graph, &measured, &options)
            .map_err(|why| CliError::input(what(), why))?;
        let looked_at = &calibration[..calibration.len().min(SATURATION_ITEMS)];
        let (saturated, values) = saturation(&model, &batches(looked_at, self.graph.batch))?;
        Ok(Quantized {
            model,
            saturated,
            values,
        })
    }

    /// Compares the integer model with the float model.
    pub fn error_of(&self, model: &Model, items: &[Item]) -> Result<OutputError> {
        let (mut max_abs, mut low, mut high) = (0f64, f64::INFINITY, f64::NEG_INFINITY);
        for item in items {
            let exact = self
                .reference
                .run(item)
                .map_err(|why| CliError::input(self.name(), why))?;
            for (float, integer) in exact.iter().zip(compiled::execute(model, item)?) {
                for (float, integer) in float.iter().zip(&integer.values) {
                    let float = f64::from(*float);
                    max_abs = max_abs.max((float - f64::from(*integer)).abs());
                    (low, high) = (low.min(float), high.max(float));
                }
            }
        }
        Ok(OutputError {
            max_abs,
            range: (high - low).max(0.0),
        })
    }
}

/// Reads a file that holds, for each input of shape `[batch, ...]`, any number of batches.
pub(super) fn load_items(specs: &[InputSpec], path: &Path) -> Result<Vec<Item>> {
    // A missing file is told apart from an unusable one.
    files::read_file(path)?;
    quantize::inputs::load(path, specs).map_err(|why| CliError::Input(why.to_string()))
}

/// Single inputs joined to whole batches; a rest is left out.
fn batches(items: &[Item], batch: usize) -> Vec<Item> {
    let join = |items: &[Item]| {
        let mut joined = items[0].clone();
        for item in &items[1..] {
            joined
                .iter_mut()
                .zip(item)
                .for_each(|(all, one)| all.extend(one));
        }
        joined
    };
    items.chunks_exact(batch).map(join).collect()
}

/// How many values stand at the end of their range, where larger ones would be clamped, of how many.
fn saturation(model: &Model, items: &[Item]) -> Result<(u64, u64)> {
    let (mut saturated, mut total) = (0, 0);
    for item in items {
        let mut inputs = Vec::new();
        for (port, values) in model.inputs.iter().zip(item) {
            let quantized = ports::quantize_input(model, port, values)
                .map_err(|why| CliError::input("calibration", why))?;
            saturated += quantized.clamped as u64;
            total += quantized.values.len() as u64;
            inputs.push(quantized.values);
        }
        let values =
            executor::run(model, &inputs).map_err(|why| CliError::input("calibration", why))?;
        for (node, values) in model.nodes.iter().zip(&values) {
            let Kind::Linear(linear) = &node.kind else {
                continue;
            };
            let Table::Clip { lo, hi } = linear.table else {
                continue;
            };
            // The lower end of a ReLU is part of the function.
            let at_end = |value: &&i64| **value == hi || (lo < 0 && **value == lo);
            saturated += values.iter().filter(at_end).count() as u64;
            total += values.len() as u64;
        }
    }
    Ok((saturated, total))
}
