//! Float models: import, calibration, quantization.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tensorseal_circuits::{
    executor,
    graph::{self, Agreement, Graph, Op},
    model::Port,
    names,
    onnx::{self, ImportOptions, Reference},
    ports,
    quantize::{
        self, Calibration, Found, Goal, Noise, QuantizeOptions, Trace, Widths, inputs::InputSpec,
    },
};

use super::{Item, Model, compiled, files, kinds, trial};
use crate::{
    CliError, Result,
    args::{Optimize, Quantization},
};

/// Inputs drawn for `--input-range`.
const RANDOM_ITEMS: usize = 32;
/// Calibration inputs that are looked at for clamped values.
const CLAMPED_ITEMS: usize = 32;
/// Batches on which `compile` measures the outputs' accuracy.
const ACCURACY_ITEMS: usize = 8;
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
    /// Values beyond the range that the quantizer chose for them, on the calibration inputs (or the first of them).
    pub clamped: u64,
    /// All values that have such a range; 0 where nothing was measured.
    pub values: u64,
}

/// How far an output of the integer model is from the float model's.
#[derive(Clone, Debug)]
pub struct OutputError {
    /// Signal, noise and the largest difference.
    pub noise: Noise,
    /// Greatest minus least float value.
    pub range: f64,
    /// Items whose greatest element is the same; none for an output of one element.
    pub same_greatest: Option<usize>,
    /// Items whose label is the same; none where the float model's outputs are not one whole number each.
    pub equal_labels: Option<usize>,
    /// Items.
    pub items: usize,
}

impl OutputError {
    /// The largest difference as a share of the range; of one value alone, as a share of its magnitude.
    pub fn relative(&self) -> f64 {
        let magnitude = (self.noise.signal / self.noise.values.max(1) as f64).sqrt();
        let whole = if self.range > 0.0 {
            self.range
        } else {
            magnitude
        };
        if self.noise.max_abs == 0.0 {
            0.0
        } else {
            self.noise.max_abs / whole
        }
    }
}

impl FloatModel {
    /// Imports an ONNX file. The model is named after the file where the ONNX graph has only a name that its exporter made up.
    pub fn open(path: &Path, batch: usize) -> Result<Self> {
        let bytes = files::read_file(path)?;
        kinds::expect_onnx(path, &bytes)?;
        trial::check(&path.display().to_string(), &bytes, batch)?;
        let options = ImportOptions { batch, name: None };
        let refused =
            |why: &dyn std::error::Error| CliError::Input(format!("{}: {why}", path.display()));
        let mut graph = onnx::import(&bytes, &options).map_err(|why| refused(&why))?;
        if made_up(&graph.name) {
            graph.name = path
                .file_stem()
                .map_or_else(|| "model".into(), |stem| shown(&stem.to_string_lossy()));
        }
        let reference = Reference::new(&bytes, &options).map_err(|why| refused(&why))?;
        let reference = reference.without(&graph.unread);
        Ok(Self { graph, reference })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.graph.name
    }

    /// Inputs that no output depends on; they are no part of the compiled model.
    pub fn unread_inputs(&self) -> &[String] {
        &self.graph.unread
    }

    /// Outputs that are the same for every input.
    pub fn constant_outputs(&self) -> &[String] {
        &self.graph.constant_outputs
    }

    /// Whether ranges come from inputs, and the flags name none.
    pub fn lacks_calibration(&self, quantization: &Quantization) -> bool {
        let given = quantization.calibration.is_some() || quantization.input_range.is_some();
        !given && !self.graph.is_exact()
    }

    /// The same model under another name.
    pub fn named(mut self, name: Option<&str>) -> Self {
        if let Some(name) = name {
            self.graph.name = name.to_owned();
        }
        self
    }

    /// Reads a file of inputs, in whole batches.
    pub fn load_inputs(&self, path: &Path) -> Result<Vec<Item>> {
        load_batches(&self.single_specs(), self.graph.batch, path)?.whole(path)
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
        let batch = self.graph.batch;
        let looked_at = calibration.len().min(CLAMPED_ITEMS.next_multiple_of(batch));
        let (clamped, values) =
            clamped(&model, &trace, &batches(&calibration[..looked_at], batch))?;
        Ok(Quantized {
            model,
            trace,
            clamped,
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

    /// The first calibration inputs, as batches: those on which `compile` says how accurate the integers are.
    pub fn accuracy_items(&self, calibration: &[Item]) -> Vec<Item> {
        let batch = self.graph.batch;
        let looked_at = calibration.len().min(ACCURACY_ITEMS * batch);
        batches(&calibration[..looked_at], batch)
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
            same_greatest: Some(0),
            equal_labels: Some(0),
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
                    let same = greatest(float) == greatest(integer);
                    error.same_greatest = error
                        .same_greatest
                        .filter(|_| len > 1)
                        .map(|count| count + usize::from(same));
                    error.equal_labels = match (float, integer) {
                        // Half a class off is another class.
                        ([label], [got]) if label.fract() == 0.0 => error
                            .equal_labels
                            .map(|count| count + usize::from((label - got).abs() < 0.5)),
                        _ => None,
                    };
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

/// A file's name as a model's: what no name can have becomes `_`.
fn shown(stem: &str) -> String {
    stem.chars()
        .map(|c| if names::is_plain(c) { c } else { '_' })
        .collect()
}

/// Names that exporters give to graphs of no name: of torch, skl2onnx and others.
fn made_up(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "",
        "graph",
        "main",
        "main_graph",
        "model",
        "onnx",
        "onnx_graph",
        "tf2onnx",
        "torch_jit",
        "torch-jit-export",
        "torch_jit_export",
    ];
    let lower = name.trim().to_ascii_lowercase();
    let hexadecimal = |c: char| c.is_ascii_hexdigit() || c == '-';
    NAMES.contains(&&*lower)
        || lower.starts_with("onnx(")
        || (lower.len() >= 32 && lower.chars().all(hexadecimal))
}

/// A file of inputs, in batches.
pub(super) struct Batches {
    pub(super) batch: usize,
    pub(super) whole: Vec<Item>,
    /// Inputs after the last whole batch.
    pub(super) rest: usize,
}

/// Reads a file that holds any number of inputs, whose shapes in a batch of one are given.
pub(super) fn load_batches(single: &[InputSpec], batch: usize, path: &Path) -> Result<Batches> {
    let items = load_items(single, path)?;
    let rest = items.len() % batch;
    Ok(Batches {
        batch,
        whole: batches(&items[..items.len() - rest], batch),
        rest,
    })
}

impl Batches {
    /// All of them, where nothing is left over.
    pub(super) fn whole(self, path: &Path) -> Result<Vec<Item>> {
        let Self { batch, whole, rest } = self;
        if rest == 0 {
            return Ok(whole);
        }
        Err(CliError::Input(format!(
            "`{}` holds {} inputs, and the model takes batches of {batch}; leave out the last {rest}, or compile with another --batch",
            path.display(),
            whole.len() * batch + rest,
        )))
    }
}

/// Single inputs joined to whole batches; the last is filled up with the first inputs.
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
    let whole = items.len().next_multiple_of(batch);
    let filled: Vec<Item> = items.iter().cycle().take(whole).cloned().collect();
    filled.chunks_exact(batch).map(join).collect()
}

/// How many values lie beyond the ranges that the quantizer chose, of how many.
fn clamped(model: &Model, trace: &Trace, items: &[Item]) -> Result<(u64, u64)> {
    let (mut clamped, mut total) = (0, 0);
    for item in items {
        let mut inputs = Vec::new();
        for (port, values) in model.inputs.iter().zip(item) {
            let quantized = ports::quantize_input(model, port, values)
                .map_err(|why| CliError::input("calibration", why))?;
            clamped += quantized.clamped as u64;
            total += quantized.values.len() as u64;
            inputs.push(quantized.values);
        }
        let (_, counts) = executor::run_counted(model, &inputs)
            .map_err(|why| CliError::input("calibration", why))?;
        let (beyond, values) = trace.clamped(model, &counts);
        clamped += beyond;
        total += values;
    }
    Ok((clamped, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_single_value_is_a_share_of_it() {
        let mut noise = Noise::default();
        noise.add(1.0, 0.009);
        let error = OutputError {
            noise,
            range: 0.0,
            same_greatest: None,
            equal_labels: None,
            items: 1,
        };
        assert!((error.relative() - 0.991).abs() < 1e-9);
    }

    #[test]
    fn names_that_exporters_make_are_told_apart() {
        for name in [
            "",
            "main_graph",
            "ONNX(Pipeline)",
            "torch_jit",
            "6a6e3b1e0d4f4b5f9c7e1f2a3b4c5d6e",
        ] {
            assert!(made_up(name), "{name}");
        }
        for name in ["digits", "resnet18", "main_model", "abc"] {
            assert!(!made_up(name), "{name}");
        }
    }

    #[test]
    fn the_last_batch_is_filled_up() {
        let items: Vec<Item> = (0..3).map(|at| vec![vec![at as f32]]).collect();
        assert_eq!(batches(&items, 2), [[[0.0, 1.0]], [[2.0, 0.0]]]);
        assert_eq!(batches(&items[..1], 3), [[[0.0; 3]]]);
        assert!(batches(&[], 3).is_empty());
    }
}
