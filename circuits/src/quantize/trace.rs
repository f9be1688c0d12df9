//! Where the tensors of the float graph stand in the integer model, and how far the integers are from the floats.

use std::collections::BTreeSet;

use crate::{
    executor::{self, ExecError},
    graph::{self, Graph, Op},
    model::{Kind, Model, NodeId, Table},
    ports::{self, PortError},
};

use super::inputs::Sample;

/// Integer nodes behind the tensors of a float graph. A tensor that was fused into its reader (a sum in front of
/// its activation) has none of its own and is missing here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    pub(super) tensors: Vec<Traced>,
    /// Nodes whose width is free, by the name that [`super::Widths`] knows them by.
    pub(super) adjustable: Vec<(String, NodeId)>,
}

impl Trace {
    /// Of the values of `model`, how many were clamped although the quantizer chose their range, and how many have such a
    /// range; `clamped` is what [`executor::run_counted`] counted.
    pub fn clamped(&self, model: &Model, clamped: &[u64]) -> (u64, u64) {
        let ranged: BTreeSet<NodeId> = self.adjustable.iter().map(|&(_, node)| node).collect();
        let clips = |&&node: &&NodeId| match &model.nodes[node].kind {
            Kind::Linear(linear) => matches!(linear.table, Table::Clip { .. }),
            Kind::Input { .. } => false,
        };
        ranged
            .iter()
            .filter(clips)
            .fold((0, 0), |(sum, values), &node| {
                let len = model.nodes[node].shape.len() as u64;
                (sum + clamped[node], values + len)
            })
    }
}

/// One tensor: element `i` of an item is `cells[i]`, an element of an item of one of the parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Traced {
    pub(super) graph: graph::NodeId,
    pub(super) parts: Vec<Part>,
    pub(super) cells: Vec<Option<(u32, u32)>>,
}

/// A tensor of the integer model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) node: NodeId,
    /// One a channel.
    pub(super) scales: Vec<f64>,
}

/// How far a tensor's integers are from its floats, over all inputs looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Noise {
    /// Name of the graph's node.
    pub name: String,
    /// Values looked at.
    pub values: u64,
    /// `Σ float²`.
    pub signal: f64,
    /// `Σ (float - scale·integer)²`.
    pub noise: f64,
    /// The largest difference.
    pub max_abs: f64,
    /// Values beyond the range of their integers, which were clamped to it; what a ReLU cuts off is none.
    pub clamped: u64,
    /// Bits that hold the integers.
    pub bits: u32,
}

impl Noise {
    /// `10·log10(signal / noise)`; infinite without noise.
    pub fn decibels(&self) -> f64 {
        10.0 * (self.signal / self.noise).log10()
    }

    /// Counts one value.
    pub fn add(&mut self, float: f64, real: f64) {
        self.values += 1;
        self.signal += float * float;
        self.noise += (float - real) * (float - real);
        self.max_abs = self.max_abs.max((float - real).abs());
    }
}

/// Why inputs could not be compared.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum CompareError {
    /// An input does not fit its port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The executor refused.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// Compares every traced tensor, then every output (those with the names of the graph's outputs), on whole batches.
///
/// # Errors
/// [`CompareError`], for inputs that do not fit the model.
pub fn compare(
    graph: &Graph,
    model: &Model,
    trace: &Trace,
    samples: &[Sample],
) -> Result<Vec<Noise>, CompareError> {
    let shown: Vec<&Traced> = trace
        .tensors
        .iter()
        // Moved elements are those of another row.
        .filter(|t| !matches!(graph.nodes[t.graph].op, Op::Rearrange(_)))
        .collect();
    let named = |name: &str| Noise {
        name: name.to_owned(),
        ..Noise::default()
    };
    let mut layers: Vec<Noise> = shown
        .iter()
        .map(|t| named(&graph.nodes[t.graph].name))
        .collect();
    let mut outputs: Vec<Noise> = graph.outputs.iter().map(|o| named(&o.name)).collect();
    for sample in samples {
        let (integers, clamped) = integers(model, sample)?;
        for (traced, noise) in shown.iter().zip(&mut layers) {
            noise.clamped += traced
                .parts
                .iter()
                .map(|part| clamped[part.node])
                .sum::<u64>();
        }
        for item in 0..graph.batch {
            let floats = graph::evaluate(graph, &item_of(sample, item, graph.batch));
            for (traced, noise) in shown.iter().zip(&mut layers) {
                let real = traced.reals(model, &integers, item);
                let both = floats[traced.graph].iter().zip(real);
                both.for_each(|(&float, real)| noise.add(f64::from(float), real));
                for part in &traced.parts {
                    noise.bits = noise.bits.max(bits(model, part.node));
                }
            }
            for (at, (output, noise)) in graph.outputs.iter().zip(&mut outputs).enumerate() {
                let port = &model.outputs[at];
                let real = ports::dequantize(port, &integers[port.node])?;
                let real = &real[item * real.len() / graph.batch..];
                let both = floats[output.node].iter().zip(real);
                both.for_each(|(&float, &real)| noise.add(f64::from(float), f64::from(real)));
            }
        }
    }
    layers.extend(outputs);
    Ok(layers)
}

/// The tensors of every node of the integer model for real inputs, and how many values of each were clamped.
pub(super) fn integers(
    model: &Model,
    sample: &Sample,
) -> Result<(Vec<Vec<i64>>, Vec<u64>), CompareError> {
    let inputs: Result<Vec<Vec<i64>>, PortError> = model
        .inputs
        .iter()
        .zip(sample)
        .map(|(port, values)| Ok(ports::quantize_input(model, port, values)?.values))
        .collect();
    Ok(executor::run_counted(model, &inputs?)?)
}

/// Item `at` of a sample of `batch` items.
pub(super) fn item_of(sample: &Sample, at: usize, batch: usize) -> Vec<&[f32]> {
    let item = |values: &'_ Vec<f32>| {
        let len = values.len() / batch;
        at * len..(at + 1) * len
    };
    sample.iter().map(|values| &values[item(values)]).collect()
}

impl Traced {
    /// The real values of one item.
    fn reals<'a>(
        &'a self,
        model: &'a Model,
        integers: &'a [Vec<i64>],
        item: usize,
    ) -> impl Iterator<Item = f64> + 'a {
        self.cells.iter().map(move |cell| {
            let Some((part, element)) = *cell else {
                return 0.0;
            };
            let part = &self.parts[part as usize];
            let shape = &model.nodes[part.node].shape;
            let integer = integers[part.node][item * shape.item() + element as usize];
            integer as f64 * part.scales[element as usize / (shape.h * shape.w)]
        })
    }
}

/// Bits of a node's integers, sign included; 0 where its table does not say.
fn bits(model: &Model, node: NodeId) -> u32 {
    let (lo, hi) = match &model.nodes[node].kind {
        Kind::Input { lo, hi } => (*lo, *hi),
        Kind::Linear(linear) => match &linear.table {
            Table::Clip { lo, hi } => (*lo, *hi),
            Table::Lut { values, .. } => values
                .iter()
                .map(|&v| i64::from(v))
                .fold((0, 0), |r, v| (r.0.min(v), r.1.max(v))),
            Table::Raw | Table::Identity => return 0,
        },
    };
    let magnitude = hi.max(-lo).unsigned_abs();
    (64 - magnitude.leading_zeros()) + u32::from(lo < 0)
}
