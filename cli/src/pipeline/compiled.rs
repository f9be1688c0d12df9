//! Compiled models: an integer model with its layout.

use std::{path::Path, sync::Arc};

use serde::Serialize;
use sha3::{Digest, Keccak256};
pub use tensorseal_circuits::model::Model;
use tensorseal_circuits::{
    compiled, executor,
    layout::{self, Layout, Optimize, Shown, Side, Visibility},
    model::{Kind as NodeKind, Op, Port, Table},
    ports,
    profile::Profile,
    quantize::inputs::InputSpec,
};
use tensorseal_prover::artifact::Kind;

use super::{
    DigestValue, HashedSide, Item, files,
    float::{Batches, load_batches},
};
use crate::{CliError, Result, args, tensors::Tensor};

/// An integer model and its layout.
#[derive(Clone, Debug)]
pub struct CompiledModel {
    /// The integer model.
    pub model: Model,
    /// Its layout.
    pub layout: Arc<Layout>,
    /// Keccak-256 of the file's payload: names the integer model, its profile and visibilities.
    pub id: [u8; 32],
    payload: Vec<u8>,
}

/// Figures of a compiled model.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Name.
    pub model: String,
    /// Name by content, in hex.
    pub model_id: String,
    /// Parameters.
    pub params: usize,
    /// Circuit profile.
    pub profile: String,
    /// `2^k` rows.
    pub k: u32,
    /// Rows used.
    pub rows: usize,
    /// Advice columns.
    pub advice_columns: usize,
    /// Fixed columns.
    pub fixed_columns: usize,
    /// Visibility of the inputs.
    pub input: &'static str,
    /// Visibility of the outputs.
    pub output: &'static str,
    /// Public values of a proof.
    pub public_values: usize,
    /// Rows used by activations, by weights, by lookup tables, by hashing: they share the circuit's rows.
    pub rows_by_use: [usize; 4],
    /// What is hashed, and how.
    pub hashed: Vec<HashedSide>,
    /// Layer by layer.
    pub layers: Vec<LayerFacts>,
}

/// Figures of a layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerFacts {
    /// Name.
    pub name: String,
    /// What it computes.
    pub kind: String,
    /// Shape `[n, c, h, w]`.
    pub shape: [usize; 4],
    /// Integer weights.
    pub weights: usize,
    /// Rows of its activations.
    pub activation_rows: usize,
    /// Rows of the weights that read it.
    pub contraction_rows: usize,
}

/// The planner's goal of the command line's.
pub fn goal(optimize: args::Optimize) -> Optimize {
    match optimize {
        args::Optimize::Prover => Optimize::Prover,
        args::Optimize::Gas => Optimize::Gas,
        args::Optimize::Balanced => Optimize::Balanced,
    }
}

/// Lays a quantized model out.
pub fn plan(model: Model, layout: &args::Layout) -> Result<CompiledModel> {
    let what = format!("laying out `{}`", model.name);
    let (compiled, planned) =
        compiled::CompiledModel::compile(model, goal(layout.optimize), visibility(layout))
            .map_err(|why| CliError::input(&what, why))?;
    packed(compiled, planned)
}

/// Lays a quantized model out in one profile, whether or not it serves the goal best.
pub fn plan_in(model: Model, profile: Profile, layout: &args::Layout) -> Result<CompiledModel> {
    let what = format!("laying out `{}` in {}", model.name, profile.name());
    let compiled = compiled::CompiledModel {
        model,
        profile,
        visibility: visibility(layout),
    };
    let planned = compiled
        .layout()
        .map_err(|why| CliError::input(&what, why))?;
    packed(compiled, planned)
}

fn visibility(layout: &args::Layout) -> Visibility {
    let shown = |visibility| match visibility {
        args::Visibility::Public => Shown::Public,
        args::Visibility::Private => Shown::Private,
        args::Visibility::Hashed => Shown::Hashed,
    };
    Visibility {
        input: shown(layout.input_visibility),
        output: shown(layout.output_visibility),
    }
}

fn packed(compiled: compiled::CompiledModel, planned: Layout) -> Result<CompiledModel> {
    let payload = compiled
        .to_bytes()
        .map_err(|why| CliError::input(format!("packing `{}`", compiled.model.name), why))?;
    Ok(CompiledModel::new(compiled.model, planned, payload))
}

/// Writes a compiled model; the size of the file.
pub fn write_model(path: &Path, compiled: &CompiledModel) -> Result<u64> {
    files::write_artifact(path, Kind::Model, false, &compiled.payload)
}

/// Reads a compiled model, checks it and plans its layout again.
pub fn read_model(path: &Path) -> Result<CompiledModel> {
    let payload = Vec::from(files::read_artifact(path, Kind::Model)?.payload);
    let compiled = compiled::CompiledModel::from_bytes(&payload)
        .map_err(|why| CliError::input(path.display(), why))?;
    let layout = compiled
        .layout()
        .map_err(|why| CliError::input(path.display(), why))?;
    Ok(CompiledModel::new(compiled.model, layout, payload))
}

impl CompiledModel {
    /// How many inputs one proof covers.
    pub fn batch(&self) -> usize {
        batch(&self.model)
    }

    fn new(model: Model, layout: Layout, payload: Vec<u8>) -> Self {
        Self {
            model,
            layout: Arc::new(layout),
            id: Keccak256::digest(&payload).into(),
            payload,
        }
    }
}

/// Figures of a compiled model.
pub fn facts(compiled: &CompiledModel) -> Result<Facts> {
    let CompiledModel { layout, .. } = compiled;
    let visible = |shown| match shown {
        Shown::Public => "public",
        Shown::Private => "private",
        Shown::Hashed => "hashed",
    };
    let stats = &layout.stats;
    let ports = |shown: Shown, ports: &[Port]| match shown {
        Shown::Public => ports
            .iter()
            .map(|port| port.shape.iter().product::<usize>())
            .sum(),
        Shown::Hashed => 1,
        Shown::Private => 0,
    };
    let layers = layout.model.nodes.iter().enumerate().map(|(id, node)| {
        let rows = stats.nodes.iter().find(|rows| rows.node == id);
        let (kind, weights) = describe(&node.kind);
        let shape = node.shape;
        LayerFacts {
            name: node.name.clone(),
            kind,
            shape: [shape.n, shape.c, shape.h, shape.w],
            weights,
            activation_rows: rows.map_or(0, |rows| rows.activation),
            contraction_rows: rows.map_or(0, |rows| rows.contraction),
        }
    });
    Ok(Facts {
        model: compiled.model.name.clone(),
        model_id: hex::encode(compiled.id),
        params: params(&compiled.model),
        profile: layout.profile.name(),
        k: layout.k,
        rows: stats.rows(),
        advice_columns: layout.profile.folded_advice_columns(),
        fixed_columns: layout.profile.folded_fixed_columns(),
        input: visible(layout.visibility.input),
        output: visible(layout.visibility.output),
        public_values: ports(layout.visibility.input, &compiled.model.inputs)
            + ports(layout.visibility.output, &compiled.model.outputs),
        rows_by_use: [stats.activation, stats.contraction, stats.table, stats.hash],
        hashed: layout
            .digests()
            .iter()
            .map(|digest| HashedSide::new(&compiled.model, digest))
            .collect(),
        layers: layers.collect(),
    })
}

/// Weights and biases. Channel scalings, of which residual sums are made, are none.
pub(super) fn params(model: &Model) -> usize {
    let mut total = 0;
    for node in &model.nodes {
        let NodeKind::Linear(linear) = &node.kind else {
            continue;
        };
        let weights = |op: &Op| match op {
            Op::Conv(conv)
                if conv.kernel == (1, 1) && conv.groups == conv.cin && conv.cin == conv.cout =>
            {
                0
            }
            Op::Conv(conv) => conv.weights.len(),
            Op::Dense { weights, .. } => weights.len(),
            Op::SumPool(_) | Op::Map { .. } => 0,
        };
        let own: usize = linear.terms.iter().map(|term| weights(&term.op)).sum();
        total += if own > 0 { own + linear.bias.len() } else { 0 };
    }
    total
}

/// A node in a few words, and how many weights it has.
fn describe(kind: &NodeKind) -> (String, usize) {
    let NodeKind::Linear(linear) = kind else {
        return ("input".into(), 0);
    };
    let mut words: Vec<String> = Vec::new();
    let mut weights = 0;
    for term in &linear.terms {
        let (word, count) = match &term.op {
            Op::Conv(conv) if conv.kernel == (1, 1) && conv.groups == conv.cin => {
                ("scale".into(), conv.weights.len())
            }
            Op::Conv(conv) => (
                format!("conv {}x{}", conv.kernel.0, conv.kernel.1),
                conv.weights.len(),
            ),
            Op::Dense { weights, .. } => ("dense".into(), weights.len()),
            Op::SumPool(pool) => (format!("sum {}x{}", pool.kernel.0, pool.kernel.1), 1),
            Op::Map { entries, .. } => ("map".into(), entries.len()),
        };
        words.push(word);
        weights += count;
    }
    let mut text = words.join(" + ");
    if let Some(pool) = linear.pool {
        text += &format!(", max {}x{}", pool.kernel.0, pool.kernel.1);
    }
    text += match linear.table {
        Table::Raw => ", raw",
        Table::Clip { lo: 0, .. } => ", relu",
        Table::Clip { .. } => ", clip",
        Table::Lut { .. } => ", table",
        Table::Identity => "",
    };
    (text, weights)
}

/// How many inputs one run of a model covers.
fn batch(model: &Model) -> usize {
    let input = model.inputs.first().map(|port| &model.nodes[port.node]);
    input.map_or(1, |node| node.shape.n.max(1))
}

/// Reads a file of inputs for a model, in whole batches.
pub fn load_inputs(model: &Model, path: &Path) -> Result<Vec<Item>> {
    load_batches(&single_specs(model), batch(model), path)?.whole(path)
}

/// The inputs with a batch of one.
fn single_specs(model: &Model) -> Vec<InputSpec> {
    let batch = batch(model);
    let spec = |port: &Port| {
        let mut shape = port.shape.clone();
        if let Some(axis) = shape.first_mut() {
            *axis /= batch;
        }
        InputSpec {
            name: port.name.clone(),
            shape,
        }
    };
    model.inputs.iter().map(spec).collect()
}

/// One batch of a file of inputs, which may hold some more than whole ones.
pub fn load_input(model: &Model, path: &Path, index: usize) -> Result<Item> {
    let Batches {
        batch,
        mut whole,
        rest,
    } = load_batches(&single_specs(model), batch(model), path)?;
    let count = whole.len();
    if index >= count {
        let of = match (batch, rest) {
            (1, _) => "inputs".to_owned(),
            (batch, 0) => format!("batches of {batch} inputs"),
            (batch, rest) => format!("whole batches of {batch} inputs, and {rest} more"),
        };
        return Err(CliError::Input(format!(
            "`{}` holds {count} {of}; --index {index} is not below {count}, it counts from 0",
            path.display(),
        )));
    }
    Ok(whole.swap_remove(index))
}

/// The integer tensors of a batch of inputs.
pub fn check_inputs(model: &Model, item: &Item) -> Result<Vec<Vec<i64>>> {
    let quantize = |(port, values): (&Port, &Vec<f32>)| {
        ports::quantize_input(model, port, values)
            .map(|quantized| quantized.values)
            .map_err(|why| CliError::input(format!("the input of `{}`", model.name), why))
    };
    model.inputs.iter().zip(item).map(quantize).collect()
}

/// The digests that a proof of one batch of inputs shows.
pub fn digests(compiled: &CompiledModel, item: &Item) -> Result<Vec<DigestValue>> {
    let model = &compiled.model;
    let failed = |why: &dyn std::error::Error| running_failed(model, why);
    let inputs = check_inputs(model, item)?;
    let values = executor::run(model, &inputs).map_err(|why| failed(&why))?;
    let outputs: Vec<Vec<i64>> = model
        .outputs
        .iter()
        .map(|p| values[p.node].clone())
        .collect();
    let compute = |digest: &layout::Digest| {
        let (ports, tensors) = match digest.side {
            Side::Input => (&model.inputs, &inputs),
            Side::Output => (&model.outputs, &outputs),
        };
        let value = digest.compute(ports, tensors).map_err(|why| failed(&why))?;
        Ok(HashedSide::new(model, digest).with(&value))
    };
    compiled.layout.digests().iter().map(compute).collect()
}

fn running_failed(model: &Model, why: &dyn std::error::Error) -> CliError {
    CliError::Input(format!("running `{}`: {why}", model.name))
}

/// Runs the integer model on one batch of inputs; the outputs as real numbers.
pub fn execute(model: &Model, item: &Item) -> Result<Vec<Tensor>> {
    let failed = |why: &dyn std::error::Error| running_failed(model, why);
    let values = executor::run(model, &check_inputs(model, item)?).map_err(|why| failed(&why))?;
    let output = |port: &Port| {
        let values = ports::dequantize(port, &values[port.node]).map_err(|why| failed(&why))?;
        Ok(Tensor {
            name: port.name.clone(),
            shape: port.shape.clone(),
            values,
        })
    };
    model.outputs.iter().map(output).collect()
}
