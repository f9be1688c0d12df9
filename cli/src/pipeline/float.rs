//! Float models: import, calibration, quantization.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tensorseal_circuits::{
    executor,
    graph::{self, Agreement, Graph, Op},
    model::Port,
    onnx::{self, ImportOptions, Reference},
    ports,
    quantize::{
        self, Calibration, Found, Goal, Noise, QuantizeOptions, Trace, Widths, inputs::InputSpec,
    },
};

use super::{Item, Model, compiled, files, trial};
use crate::{
    CliError, Result,
    args::{Optimize, Quantization},
};

/// Inputs drawn for `--input-range`.
const RANDOM_ITEMS: usize = 32;
/// Calibration inputs that are looked at for saturation.
const SATURATION_ITEMS: usize = 32;
/// Batches on which searched widths are measured.
const SEARCH_ITEMS: usize = 16;
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
    /// Where the float graph's tensors are in it.
    pub trace: Trace,
    /// Values at the end of their range, on the calibration inputs (or the first of them).
    pub saturated: u64,
    /// All values that were looked at for that.
    pub values: u64,
}

/// How far an output of the integer model is from the float model's.
#[derive(Clone, Debug)]
pub struct OutputError {
    /// Signal, noise and the largest difference.
    pub noise: Noise,
    /// Greatest minus least float value.
    pub range: f64,
    /// Items whose greatest element is the same.
    pub same_greatest: usize,
    /// Items.
    pub items: usize,
}

impl OutputError {
    /// The largest difference as a share of the range.
    pub fn relative(&self) -> f64 {
        if self.range > 0.0 {
            self.noise.max_abs / self.range
        } else {
            0.0
        }
    }
}

impl FloatModel {
    /// Imports an ONNX file.
    pub fn open(path: &Path, batch: usize) -> Result<Self> {
        let bytes = files::read_file(path)?;
        trial::check(&path.display().to_string(), &bytes, batch)?;
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
            let tensor = |(spec, &node): (&InputSpec, &usize)| {
                let mut draw = || match self.graph.nodes[node].op {
                    Op::Whole { lo, hi } => {
                        rng.gen_range(low..high).round().clamp(lo as f32, hi as f32)
                    }
                    _ => rng.gen_range(low..high),
                };
                (0..spec.shape.iter().product()).map(|_| draw()).collect()
            };
            specs.iter().zip(&self.graph.inputs).map(tensor).collect()
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
        self.quantize_widths(calibration, quantization, optimize, &Widths::new())
    }

    fn quantize_widths(
        &self,
        calibration: &[Item],
        quantization: &Quantization,
        optimize: Optimize,
        widths: &Widths,
    ) -> Result<Quantized> {
        let measured = self.measure(calibration)?;
        let options = options(quantization, optimize);
        let (model, trace) = quantize::quantize_traced(&self.graph, &measured, &options, widths)
            .map_err(|why| self.not_quantized(why))?;
        let looked_at = &calibration[..calibration.len().min(SATURATION_ITEMS)];
        let (saturated, values) = saturation(&model, &batches(looked_at, self.graph.batch))?;
        Ok(Quantized {
            model,
            trace,
            saturated,
            values,
        })
    }

    /// Looks for bits of every tensor's own that reach a goal; `rows` tells what a model costs.
    pub fn search(
        &self,
        calibration: &[Item],
        quantization: &Quantization,
        optimize: Optimize,
        goal: Goal,
        rows: impl FnMut(&Model) -> Result<usize>,
    ) -> Result<(Quantized, Found)> {
        let measured = self.measure(calibration)?;
        let compared = batches(calibration, self.graph.batch);
        let found = quantize::search(
            &self.graph,
            &measured,
            &options(quantization, optimize),
            &compared[..compared.len().min(SEARCH_ITEMS)],
            goal,
            rows,
        )
        .map_err(|why| self.not_quantized(why))?;
        let quantized = self.quantize_widths(calibration, quantization, optimize, &found.widths)?;
        Ok((quantized, found))
    }

    fn measure(&self, calibration: &[Item]) -> Result<Calibration> {
        match Calibration::exact(&self.graph) {
            Some(exact) => Ok(exact),
            None => Calibration::measure(&self.graph, calibration)
                .map_err(|why| self.not_quantized(why)),
        }
    }

    fn not_quantized(&self, why: impl std::error::Error) -> CliError {
        CliError::input(format!("quantizing `{}`", self.name()), why)
    }

    /// How far the integers of every tensor are from the floats: layers, then outputs.
    pub fn layers(&self, quantized: &Quantized, items: &[Item]) -> Result<Vec<Noise>> {
        quantize::compare(&self.graph, &quantized.model, &quantized.trace, items)
            .map_err(|why| CliError::input(format!("comparing `{}`", self.name()), why))
    }

    /// Compares the exact outputs of a quantized model with those of another runtime, in a file of arrays named like the
    /// outputs.
    pub fn agreements(&self, items: &[Item], path: &Path) -> Result<Vec<Agreement>> {
        if !self.graph.is_exact() || self.graph.batch != 1 {
            return Err(CliError::Input(format!(
                "`{}` is no model of quantized operators alone, in a batch of one; --reference is for those",
                self.name()
            )));
        }
        let spec = |output: &graph::Output| InputSpec {
            name: output.name.clone(),
            shape: self.graph.nodes[output.node].shape.clone(),
        };
        let specs: Vec<InputSpec> = self.graph.outputs.iter().map(spec).collect();
        let theirs = load_items(&specs, path)?;
        if theirs.len() != items.len() {
            return Err(CliError::Input(format!(
                "`{}` holds outputs of {} inputs; there are {}",
                path.display(),
                theirs.len(),
                items.len()
            )));
        }
        let pairs = items.iter().zip(&theirs);
        Ok(pairs
            .map(|(item, theirs)| {
                let inputs: Vec<&[f32]> = item.iter().map(Vec::as_slice).collect();
                let theirs: Vec<&[f32]> = theirs.iter().map(Vec::as_slice).collect();
                graph::explain(&self.graph, &inputs, &theirs)
            })
            .collect())
    }

    /// Compares every output of the integer model with the float model's.
    pub fn errors_of(&self, model: &Model, items: &[Item]) -> Result<Vec<OutputError>> {
        let named = |port: &Port| OutputError {
            noise: Noise {
                name: port.name.clone(),
                ..Noise::default()
            },
            range: 0.0,
            same_greatest: 0,
            items: 0,
        };
        let mut errors: Vec<OutputError> = model.outputs.iter().map(named).collect();
        let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); errors.len()];
        for item in items {
            let exact = self
                .reference
                .run(item)
                .map_err(|why| CliError::input(self.name(), why))?;
            let integers = compiled::execute(model, item)?;
            let outputs = exact.iter().zip(&integers).zip(&mut errors);
            for (((float, integer), error), (low, high)) in outputs.zip(&mut ranges) {
                for (&float, &integer) in float.iter().zip(&integer.values) {
                    let float = f64::from(float);
                    error.noise.add(float, f64::from(integer));
                    (*low, *high) = (low.min(float), high.max(float));
                }
                let len = float.len() / self.graph.batch;
                for (float, integer) in float.chunks(len).zip(integer.values.chunks(len)) {
                    error.items += 1;
                    error.same_greatest += usize::from(greatest(float) == greatest(integer));
                }
            }
        }
        for (error, (low, high)) in errors.iter_mut().zip(ranges) {
            error.range = (high - low).max(0.0);
        }
        Ok(errors)
    }

    /// [`Self::errors_of`] of the output that is farthest off.
    pub fn error_of(&self, model: &Model, items: &[Item]) -> Result<OutputError> {
        let errors = self.errors_of(model, items)?;
        let worst = errors
            .into_iter()
            .max_by(|a, b| a.relative().total_cmp(&b.relative()));
        worst.ok_or_else(|| CliError::Input(format!("`{}` has no output", self.name())))
    }
}

fn options(quantization: &Quantization, optimize: Optimize) -> QuantizeOptions {
    QuantizeOptions {
        bits: quantization.bits,
        shift: compiled::goal(optimize).shift(),
        method: quantization.ranges.0,
    }
}

/// Where the greatest value stands; among equals the first.
fn greatest(values: &[f32]) -> Option<usize> {
    (0..values.len()).min_by(|&a, &b| values[b].total_cmp(&values[a]))
}

/// Reads a file that holds, for each input of shape `[batch, ...]`, any number of batches.
pub(super) fn load_items(specs: &[InputSpec], path: &Path) -> Result<Vec<Item>> {
    quantize::inputs::load(path, specs).map_err(files::input_error)
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
        for (node, values_of) in values.iter().enumerate() {
            for batch_item in 0..model.nodes[node].shape.n {
                saturated += quantize::saturated(model, node, &values, batch_item);
            }
            if quantize::clamps(model, node) {
                total += values_of.len() as u64;
            }
        }
    }
    Ok((saturated, total))
}
