//! Decoding, shape inference and constant folding through `tract`, fenced off from panics.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::{Arc, LazyLock, Once},
};

use tract_onnx::{
    pb::{
        GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
        ValueInfoProto,
        tensor_proto::DataType,
        tensor_shape_proto::{Dimension, dimension},
        type_proto,
    },
    prelude::{DatumType, Framework, InferenceFact, InferenceModelExt, Tensor},
    tensor::load_tensor,
    tract_hir::infer::Factoid,
};

use super::{ImportError, checks, ml};
use crate::names;

/// Elements that one tensor may have: what a circuit of 2^24 rows and 8 lanes has cells for.
pub(super) const MAX_ELEMENTS: usize = 1 << 27;

/// The operators that `tract` knows.
static FRAMEWORK: LazyLock<tract_onnx::Onnx> = LazyLock::new(tract_onnx::onnx);

/// Shape, element type and, where it is a constant, value of a named tensor.
#[derive(Clone, Debug, Default)]
pub(super) struct Fact {
    pub(super) shape: Option<Vec<usize>>,
    pub(super) datum: Option<DatumType>,
    pub(super) value: Option<Arc<Tensor>>,
}

impl From<&InferenceFact> for Fact {
    fn from(fact: &InferenceFact) -> Fact {
        let shape = fact.shape.concretize().and_then(|dims| {
            dims.iter()
                .map(|d| d.as_i64().and_then(|d| usize::try_from(d).ok()))
                .collect()
        });
        Fact {
            shape,
            datum: fact.datum_type.concretize(),
            value: fact.value.concretize(),
        }
    }
}

/// A graph input that is not an initializer.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) datum: DatumType,
}

/// What `tract` found out about a model.
#[derive(Debug)]
pub(super) struct Analysis {
    /// Why the model as a whole was not analysed; then only the constants of the file are known.
    pub(super) refused: Option<String>,
    /// By tensor name.
    pub(super) facts: HashMap<String, Fact>,
    /// In order.
    pub(super) inputs: Vec<Input>,
}

thread_local! {
    /// Whether this thread is within [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs code of a dependency; a panic becomes an error, and is not printed.
pub(super) fn guarded<T>(what: &str, f: impl FnOnce() -> T) -> Result<T, ImportError> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                print(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    GUARDED.set(outer);
    result.map_err(|payload| {
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        ImportError::Analysis {
            reason: format!("{what} broke off ({message})"),
        }
    })
}

/// Decodes the protobuf. Of types, those of the inputs are kept: all others follow.
pub(super) fn decode(bytes: &[u8]) -> Result<ModelProto, ImportError> {
    let parse = |reason: String| ImportError::Parse { reason };
    let mut reader = bytes;
    let mut model = guarded("decoding", || FRAMEWORK.proto_model_for_read(&mut reader))?
        .map_err(|e| parse(format!("{e:#}")))?;
    if let Some(graph) = &mut model.graph {
        graph.value_info.clear();
        for output in &mut graph.output {
            output.r#type = None;
        }
    }
    let graph = graph(&model)?;
    if graph.node.is_empty() {
        return Err(parse("the graph has no nodes".into()));
    }
    if graph.output.is_empty() {
        return Err(parse("the graph has no outputs".into()));
    }
    check_graph(graph)?;
    Ok(model)
}

/// Checks a graph as it stands in the file.
pub(super) fn check_graph(graph: &GraphProto) -> Result<(), ImportError> {
    check_names(graph)?;
    checks::check(graph)
}

/// Names of the graph, its nodes and their tensors stand in reports, in compiled models and keys.
fn check_names(graph: &GraphProto) -> Result<(), ImportError> {
    let values = graph.input.iter().chain(&graph.output).map(|v| &v.name);
    let tensors = graph.initializer.iter().map(|t| &t.name);
    let nodes = graph.node.iter().flat_map(|node| {
        let own = [&node.name, &node.op_type, &node.domain];
        own.into_iter().chain(&node.input).chain(&node.output)
    });
    let all = std::iter::once(&graph.name)
        .chain(values)
        .chain(tensors)
        .chain(nodes);
    for name in all {
        if let Some(what) = names::fault(name) {
            let name = name.chars().take(64).collect();
            return Err(ImportError::Name { name, what });
        }
    }
    Ok(())
}

/// The graph of a model.
pub(super) fn graph(model: &ModelProto) -> Result<&GraphProto, ImportError> {
    model.graph.as_ref().ok_or_else(no_graph)
}

fn no_graph() -> ImportError {
    ImportError::Parse {
        reason: "it holds no graph".into(),
    }
}

/// Version of ONNX's own operators; 0 where the model states none.
pub(super) fn opset(model: &ModelProto) -> i64 {
    let own = |domain: &str| matches!(domain, "" | "ai.onnx");
    let versions = model.opset_import.iter().filter(|o| own(&o.domain));
    versions.map(|o| o.version).max().unwrap_or(0)
}

/// Refuses a tensor beyond [`MAX_ELEMENTS`].
pub(super) fn check_size(tensor: &str, elements: u128) -> Result<(), ImportError> {
    if elements > MAX_ELEMENTS as u128 {
        return Err(ImportError::TooLarge {
            tensor: tensor.to_owned(),
            elements,
            limit: MAX_ELEMENTS,
        });
    }
    Ok(())
}

/// Infers every shape, and the value of every constant, from inputs that [`fix_inputs`] gave and [`sizes::check`] saw.
pub(super) fn analyse(model: &ModelProto, inputs: Vec<Input>) -> Result<Analysis, ImportError> {
    let whole = guarded("shape inference", || {
        let (inferred, outlets) = infer(model, &inputs)?;
        let fact = |(name, outlet)| Ok((name, Fact::from(inferred.outlet_fact(outlet)?)));
        outlets.into_iter().map(fact).collect()
    });
    let whole = whole.map_err(|e| e.to_string());
    let whole = whole
        .and_then(|facts: tract_onnx::prelude::TractResult<_>| facts.map_err(|e| format!("{e:#}")));
    // One operator in a form that `tract` does not know must not hide what it knows of all others: nodes are then
    // looked at one by one.
    let (facts, refused) = match whole {
        Ok(facts) => (facts, None),
        Err(reason) => (constants(model)?, Some(reason)),
    };
    check_sizes(&facts)?;
    Ok(Analysis {
        refused,
        facts,
        inputs,
    })
}

/// The constants of the file.
pub(super) fn constants(model: &ModelProto) -> Result<HashMap<String, Fact>, ImportError> {
    let load = |proto: &TensorProto| Ok((proto.name.clone(), constant(proto)?));
    graph(model)?.initializer.iter().map(load).collect()
}

/// A constant of the file.
pub(super) fn constant(proto: &TensorProto) -> Result<Fact, ImportError> {
    let failed = |reason| ImportError::Parse {
        reason: format!("initializer `{}`: {reason}", proto.name),
    };
    let tensor = guarded("decoding", || {
        load_tensor(&*FRAMEWORK.provider, proto, None)
    })?;
    let tensor = Arc::new(tensor.map_err(|e| failed(format!("{e:#}")))?);
    Ok(Fact {
        shape: Some(tensor.shape().to_vec()),
        datum: Some(tensor.datum_type()),
        value: Some(tensor),
    })
}

/// What follows about a node's outputs from what its operands turned out to be: for nodes behind one that `tract`
/// does not know. Empty where it fails.
pub(super) fn infer_node(
    opset: i64,
    node: &NodeProto,
    operands: &[(&str, Fact)],
) -> Result<HashMap<String, Fact>, ImportError> {
    let output = node.output.iter().filter(|name| !name.is_empty());
    let output = output.map(|name| ValueInfoProto {
        name: name.clone(),
        ..ValueInfoProto::default()
    });
    let version = OperatorSetIdProto {
        domain: String::new(),
        version: opset,
    };
    let model = ModelProto {
        opset_import: vec![version],
        graph: Some(GraphProto {
            node: vec![node.clone()],
            output: output.collect(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    let facts = guarded("shape inference", || {
        let parsed = FRAMEWORK.parse(&model, None).ok()?;
        let mut inference = parsed.model;
        for (name, fact) in operands {
            let outlet = *parsed.outlets_by_name.get(*name)?;
            let known = match (&fact.value, &fact.shape) {
                (Some(value), _) => InferenceFact::try_from(value.clone()).ok()?,
                (None, Some(shape)) => InferenceFact::dt_shape(fact.datum?, shape),
                (None, None) => return None,
            };
            inference.set_outlet_fact(outlet, known).ok()?;
        }
        inference.analyse(false).ok()?;
        let outlets = parsed.outlets_by_name.into_iter();
        let facts = outlets.filter(|(name, _)| node.output.contains(name));
        facts
            .map(|(name, outlet)| Some((name, Fact::from(inference.outlet_fact(outlet).ok()?))))
            .collect::<Option<HashMap<_, _>>>()
    })?
    .unwrap_or_default();
    check_sizes(&facts)?;
    Ok(facts)
}

fn check_sizes(facts: &HashMap<String, Fact>) -> Result<(), ImportError> {
    for (name, fact) in facts {
        let elements = fact
            .shape
            .iter()
            .flatten()
            .try_fold(1u128, |n, &d| n.checked_mul(d as u128));
        check_size(name, elements.unwrap_or(u128::MAX))?;
    }
    Ok(())
}

type Outlets = HashMap<String, tract_onnx::prelude::OutletId>;

/// The `tract` model with input shapes set and analysis done.
pub(super) fn infer(
    model: &ModelProto,
    inputs: &[Input],
) -> tract_onnx::prelude::TractResult<(tract_onnx::prelude::InferenceModel, Outlets)> {
    let mut framework = FRAMEWORK.clone();
    ml::shapes::register(&mut framework);
    let parsed = framework.parse(model, None)?;
    if !parsed.unresolved_inputs.is_empty() {
        let reason = format!(
            "tensors {:?} are read but nothing produces them",
            parsed.unresolved_inputs
        );
        return Err(tract_onnx::prelude::TractError::msg(reason));
    }
    let mut inference = parsed.model;
    for (at, input) in inputs.iter().enumerate() {
        inference.set_input_fact(at, InferenceFact::dt_shape(input.datum, &input.shape))?;
    }
    inference.analyse(false)?;
    Ok((inference, parsed.outlets_by_name))
}

/// The inputs that are not initializers. Their types become plain numbers: no name of a size remains.
pub(super) fn fix_inputs(model: &mut ModelProto, batch: usize) -> Result<Vec<Input>, ImportError> {
    if batch == 0 {
        return Err(ImportError::EmptyBatch);
    }
    let graph = model.graph.as_mut().ok_or_else(no_graph)?;
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let mut inputs = Vec::new();
    for input in &mut graph.input {
        if constants.contains(input.name.as_str()) {
            // The initializer has the type.
            input.r#type = None;
            continue;
        }
        let read = read_input(input, batch)?;
        fix(input, &read.shape);
        inputs.push(read);
    }
    if inputs.is_empty() {
        return Err(ImportError::Parse {
            reason: "the graph has no inputs".into(),
        });
    }
    Ok(inputs)
}

fn fix(input: &mut ValueInfoProto, shape: &[usize]) {
    let dimension = |&size: &usize| Dimension {
        value: Some(dimension::Value::DimValue(size as i64)),
        ..Dimension::default()
    };
    let value = input.r#type.as_mut().and_then(|t| t.value.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = value {
        tensor.shape = Some(TensorShapeProto {
            dim: shape.iter().map(dimension).collect(),
        });
    }
}

fn read_input(input: &ValueInfoProto, batch: usize) -> Result<Input, ImportError> {
    let no_type = || ImportError::Parse {
        reason: format!("input `{}` has no tensor type", input.name),
    };
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(no_type());
    };
    let kind = DataType::try_from(tensor.elem_type);
    let datum = kind.ok().and_then(|kind| DatumType::try_from(kind).ok());
    let is_number = |d: &DatumType| (d.is_number() && !d.is_quantized()) || *d == DatumType::Bool;
    let datum = datum
        .filter(is_number)
        .ok_or_else(|| ImportError::InputType {
            input: input.name.clone(),
            got: kind.map_or_else(|_| tensor.elem_type.to_string(), |t| format!("{t:?}")),
        })?;
    let dims = &tensor.shape.as_ref().ok_or_else(no_type)?.dim;
    if dims.len() > checks::MAX_RANK {
        return Err(no_type());
    }
    let symbol = |axis: usize| match &dims[axis].value {
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => Some(name.as_str()),
        _ => None,
    };
    let mut shape = Vec::with_capacity(dims.len());
    let mut elements = 1u128;
    for (axis, dim) in dims.iter().enumerate() {
        let size = match dim.value {
            Some(dimension::Value::DimValue(size)) if size > 0 => {
                let size = usize::try_from(size).map_err(|_| no_type())?;
                if axis == 0 && batch > 1 && size != batch {
                    return Err(ImportError::FixedBatch {
                        input: input.name.clone(),
                        got: size,
                        batch,
                    });
                }
                size
            }
            _ if axis == 0 || (symbol(axis).is_some() && symbol(axis) == symbol(0)) => batch,
            _ => {
                return Err(ImportError::DynamicAxis {
                    input: input.name.clone(),
                    axis,
                });
            }
        };
        elements = elements.saturating_mul(size as u128);
        check_size(&input.name, elements)?;
        shape.push(size);
    }
    if shape.is_empty() && batch > 1 {
        return Err(ImportError::FixedBatch {
            input: input.name.clone(),
            got: 1,
            batch,
        });
    }
    Ok(Input {
        name: input.name.clone(),
        shape,
        datum,
    })
}
