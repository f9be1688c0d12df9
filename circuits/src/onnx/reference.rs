//! The original float model, run by `tract`, or by our own float graph where it has operators that `tract` does not
//! know: what the quantized one is measured against.

use std::sync::Arc;

use thiserror::Error;
use tract_onnx::prelude::{
    InferenceModelExt, IntoTValue, RunOptions, Tensor, TypedFact, TypedModel, TypedOp,
};

use super::{
    ImportError, ImportOptions, branches, ml,
    parse::{self, Input},
    sizes,
};
use crate::graph::{self, Graph};

type Plan = tract_onnx::tract_hir::tract_core::plan::SimplePlan<TypedFact, Box<dyn TypedOp>>;

enum Runner {
    Plan(Arc<Plan>),
    /// The float graph itself: `tract` knows few operators of classical models, and not all of the others.
    Graph(Graph),
}

/// A runnable float model.
pub struct Reference {
    runner: Runner,
    inputs: Vec<Input>,
    /// Names of inputs that the model does not read, see [`Reference::without`].
    unread: Vec<String>,
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reference")
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

/// Why the float model did not run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// Another number of inputs than the model has.
    #[error("the float model takes {expected} inputs, got {got}")]
    Inputs {
        /// Inputs of the model.
        expected: usize,
        /// Inputs given.
        got: usize,
    },
    /// An input of the wrong length.
    #[error("input `{input}` of the float model takes shape {expected:?}, got {got} values")]
    Length {
        /// Input name.
        input: String,
        /// Its shape.
        expected: Vec<usize>,
        /// Values given.
        got: usize,
    },
    /// `tract` failed.
    #[error("the float model does not run: {reason}")]
    Run {
        /// What it said.
        reason: String,
    },
}

impl Reference {
    /// Prepares an ONNX model.
    ///
    /// # Errors
    /// The same as [`super::import`] for what cannot be read.
    pub fn new(bytes: &[u8], options: &ImportOptions) -> Result<Reference, ImportError> {
        let mut model = parse::decode(bytes)?;
        branches::resolve(&mut model, options.batch)?;
        let mut model = super::quantized::expand(&model)?.model;
        let inputs = parse::fix_inputs(&mut model, options.batch)?;
        sizes::check(&model, &inputs)?;
        let failed = |e| ImportError::Analysis {
            reason: format!("{e:#}"),
        };
        let plan = parse::guarded("the float reference", || {
            let (inferred, _) = parse::infer(&model, &inputs).map_err(failed)?;
            let typed: TypedModel = InferenceModelExt::into_optimized(inferred).map_err(failed)?;
            typed
                .into_runnable_with_options(&RunOptions::default())
                .map_err(failed)
        });
        let runner = match plan {
            Ok(Ok(plan)) if !ml::uses_domain(&model) => Runner::Plan(plan),
            _ => Runner::Graph(super::import(bytes, options)?),
        };
        Ok(Reference {
            runner,
            inputs,
            unread: Vec::new(),
        })
    }

    /// The same model without these inputs, which no output depends on: see [`Graph::unread`].
    pub fn without(mut self, unread: &[String]) -> Reference {
        self.unread = unread.to_vec();
        self
    }

    /// The inputs that are given.
    fn given(&self) -> impl Iterator<Item = &Input> {
        self.inputs
            .iter()
            .filter(|input| !self.unread.contains(&input.name))
    }

    /// Runs the model: one row-major array for each input, batch included, gives one for each output.
    ///
    /// # Errors
    /// [`ReferenceError`], for inputs of the wrong number or length.
    pub fn run(&self, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, ReferenceError> {
        let expected = self.given().count();
        if inputs.len() != expected {
            return Err(ReferenceError::Inputs {
                expected,
                got: inputs.len(),
            });
        }
        for (Input { name, shape, .. }, values) in self.given().zip(inputs) {
            if values.len() != shape.iter().product::<usize>() {
                let (input, expected) = (name.clone(), shape.clone());
                return Err(ReferenceError::Length {
                    input,
                    expected,
                    got: values.len(),
                });
            }
        }
        parse::guarded("the float reference", || self.outputs(inputs))
            .map_err(|e| ReferenceError::Run {
                reason: e.to_string(),
            })?
            .map_err(|e| ReferenceError::Run {
                reason: format!("{e:#}"),
            })
    }

    fn outputs(&self, inputs: &[Vec<f32>]) -> tract_onnx::prelude::TractResult<Vec<Vec<f32>>> {
        let plan = match &self.runner {
            Runner::Plan(plan) => plan,
            Runner::Graph(graph) => return Ok(graph::run(graph, inputs)),
        };
        let mut tensors = tract_onnx::prelude::tvec![];
        let mut given = inputs.iter();
        for input in &self.inputs {
            let zeros;
            let values = if self.unread.contains(&input.name) {
                zeros = vec![0.0; input.shape.iter().product()];
                &zeros
            } else {
                given.next().expect("as many as are given")
            };
            let tensor = Tensor::from_shape(&input.shape, values)?;
            let tensor = tensor.cast_to_dt(input.datum)?.into_owned();
            tensors.push(tensor.into_tvalue());
        }
        let outputs = plan.run(tensors)?;
        outputs
            .iter()
            .map(|t| {
                Ok(t.cast_to::<f32>()?
                    .to_plain_array_view::<f32>()?
                    .iter()
                    .copied()
                    .collect())
            })
            .collect()
    }
}
