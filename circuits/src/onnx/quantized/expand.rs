//! A quantized model written out in float operators: what `tract` needs to know for shapes and constants.
//!
//! Tensors of integers become float32 tensors of the same numbers; `QuantizeLinear` becomes a division, rounding and two
//! bounds, `DequantizeLinear` a subtraction and a product, a `QLinear` operator all of these around its float operator.

use std::collections::HashMap;

use tract_onnx::pb::{
    self, AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto::DataType,
    type_proto,
};

use super::constants::{IntegerType, elements};
use crate::onnx::{ImportError, attributes::NodeView, parse};

/// A model in float operators, and what its names stood for.
#[derive(Debug)]
pub(in crate::onnx) struct Expanded {
    pub(in crate::onnx) model: ModelProto,
    /// Types of the integer tensors that are constants or inputs, by name.
    pub(in crate::onnx) types: HashMap<String, IntegerType>,
}

/// Writes out the quantized operators of a model; others stay as they are.
///
/// # Errors
/// [`ImportError::Form`] for forms that have no fixed grid.
pub(in crate::onnx) fn expand(model: &ModelProto) -> Result<Expanded, ImportError> {
    let graph = parse::graph(model)?;
    let op = |node: &NodeProto| NodeView::new(node).op();
    if !graph.node.iter().any(|node| is_quantized(&op(node))) {
        return Ok(Expanded {
            model: model.clone(),
            types: HashMap::new(),
        });
    }
    let mut expansion = Expansion::default();
    for tensor in &graph.initializer {
        expansion.constant(tensor.clone());
    }
    expansion.inputs(graph);
    for proto in &graph.node {
        expansion.node(proto)?;
    }
    let mut out = graph.clone();
    out.node = expansion.nodes;
    out.initializer = expansion.initializers;
    out.input = expansion.inputs;
    out.value_info.clear();
    for output in &mut out.output {
        output.r#type = None;
    }
    Ok(Expanded {
        model: ModelProto {
            graph: Some(out),
            ..model.clone()
        },
        types: expansion.types,
    })
}

fn is_quantized(op: &str) -> bool {
    op == "DynamicQuantizeLinear" || super::OPERATORS.iter().any(|(name, _)| *name == op)
}

#[derive(Default)]
struct Expansion {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    inputs: Vec<pb::ValueInfoProto>,
    types: HashMap<String, IntegerType>,
    constants: HashMap<String, TensorProto>,
}

/// A scale and a zero point of a node.
struct Step {
    scale: TensorProto,
    zeros: Vec<f64>,
    kind: IntegerType,
    axis: Option<i64>,
}

impl Expansion {
    /// Takes a constant over: 8-bit integers as float32.
    fn constant(&mut self, tensor: TensorProto) {
        let kind = IntegerType::new(tensor.data_type);
        if let Some(kind) = kind {
            self.types.insert(tensor.name.clone(), kind);
        }
        let narrow = matches!(kind, Some(IntegerType::I8 | IntegerType::U8));
        let shown = match elements(&tensor) {
            Some(values) if narrow => float_tensor(&tensor.name, &tensor.dims, values),
            _ => tensor.clone(),
        };
        self.initializers.push(shown);
        self.constants.insert(tensor.name.clone(), tensor);
    }

    /// Inputs of 8-bit integers are float32 inputs of the same numbers.
    fn inputs(&mut self, graph: &GraphProto) {
        self.inputs = graph.input.clone();
        for input in &mut self.inputs {
            let Some(type_proto::Value::TensorType(tensor)) =
                input.r#type.as_mut().and_then(|t| t.value.as_mut())
            else {
                continue;
            };
            if let Some(kind @ (IntegerType::I8 | IntegerType::U8)) =
                IntegerType::new(tensor.elem_type)
            {
                tensor.elem_type = DataType::Float as i32;
                if !self.constants.contains_key(&input.name) {
                    self.types.insert(input.name.clone(), kind);
                }
            }
        }
    }

    fn node(&mut self, proto: &NodeProto) -> Result<(), ImportError> {
        let node = NodeView::new(proto);
        let output = node.output(0).unwrap_or_default().to_owned();
        match node.op().as_str() {
            "Constant" => {
                let value = proto.attribute.iter().find(|a| a.name == "value");
                match value.and_then(|a| a.t.clone()) {
                    Some(tensor) => self.constant(TensorProto {
                        name: output,
                        ..tensor
                    }),
                    None => self.nodes.push(proto.clone()),
                }
            }
            "DequantizeLinear" | "com.microsoft.DequantizeLinear" => {
                let step = self.step(&node, 1, Some(node.int("axis").unwrap_or(1)))?;
                self.dequantize(&node, name(&node, 0)?, &step, Some(output))?;
            }
            "QuantizeLinear" | "com.microsoft.QuantizeLinear" => {
                let step = self.step(&node, 1, Some(node.int("axis").unwrap_or(1)))?;
                self.quantize(&node, name(&node, 0)?, &step, output)?;
            }
            "QLinearConv" => {
                let x = self.real(&node, 0, None)?;
                let w = self.real(&node, 3, Some(0))?;
                self.around(&node, "Conv", vec![x, w], 6)?;
            }
            "QLinearMatMul" => {
                let (a, b) = (self.real(&node, 0, None)?, self.real(&node, 3, Some(-1))?);
                self.around(&node, "MatMul", vec![a, b], 6)?;
            }
            "com.microsoft.QGemm" => {
                let transposed = node.int("transB").unwrap_or(0) != 0;
                let axis = if transposed { 0 } else { 1 };
                let (a, b) = (self.real(&node, 0, None)?, self.real(&node, 3, Some(axis))?);
                self.around(&node, "Gemm", vec![a, b], 7)?;
            }
            op @ ("com.microsoft.QLinearAdd" | "com.microsoft.QLinearMul") => {
                let plain = if op.ends_with("Add") { "Add" } else { "Mul" };
                let (a, b) = (self.real(&node, 0, None)?, self.real(&node, 3, None)?);
                self.around(&node, plain, vec![a, b], 6)?;
            }
            op @ ("com.microsoft.QLinearSigmoid"
            | "com.microsoft.QLinearLeakyRelu"
            | "com.microsoft.QLinearAveragePool"
            | "com.microsoft.QLinearGlobalAveragePool") => {
                let x = self.real(&node, 0, None)?;
                let plain = op.trim_start_matches("com.microsoft.QLinear");
                self.around(&node, plain, vec![x], 3)?;
            }
            "com.microsoft.QLinearConcat" => {
                let parts = (2..node.inputs().len()).step_by(3);
                let parts = parts.map(|at| self.real(&node, at, None));
                let parts = parts.collect::<Result<_, _>>()?;
                self.around(&node, "Concat", parts, 0)?;
            }
            op @ ("ConvInteger" | "MatMulInteger") => {
                let x = self.shifted(&node, 0, 2)?;
                let w = self.shifted(&node, 1, 3)?;
                let plain = op.trim_end_matches("Integer");
                self.push(plain, vec![x, w], output, plain_attributes(proto));
            }
            "DynamicQuantizeLinear" => {
                return Err(node.form(
                    "its scale follows from each input; export the model with static quantization",
                ));
            }
            _ => self.nodes.push(proto.clone()),
        }
        Ok(())
    }

    fn push(
        &mut self,
        op: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            op_type: op.into(),
            name: output.clone(),
            input,
            output: vec![output],
            attribute,
            ..NodeProto::default()
        });
    }

    /// The scale and zero point at operands `at` and `at + 1`.
    fn step(&self, node: &NodeView, at: usize, axis: Option<i64>) -> Result<Step, ImportError> {
        if node.int("block_size").unwrap_or(0) != 0 {
            return Err(node.form("blocks of scales are not supported; quantize per channel"));
        }
        let constant = |i: usize| self.constants.get(node.input(i)?);
        let scale = constant(at).ok_or_else(|| node.not_constant("a scale"))?;
        if scale.data_type != DataType::Float as i32 {
            return Err(
                node.form("its scale is not of float32; export the model with float32 scales")
            );
        }
        let declared = node
            .int("output_dtype")
            .filter(|&t| t != 0)
            .map(|t| i32::try_from(t).unwrap_or(-1));
        let (zeros, kind) = match node.input(at + 1) {
            None => (vec![0.0], declared.unwrap_or(DataType::Uint8 as i32)),
            Some(_) => {
                let zeros = constant(at + 1).ok_or_else(|| node.not_constant("a zero point"))?;
                (elements(zeros).unwrap_or_default(), zeros.data_type)
            }
        };
        let kind = IntegerType::new(kind).ok_or_else(|| {
            node.form("its integers are neither of 8 nor of 32 bits; quantize it to int8 or uint8")
        })?;
        if zeros.is_empty() || elements(scale).is_none_or(|s| s.is_empty()) {
            return Err(node.form("its scale or zero point cannot be read"));
        }
        Ok(Step {
            scale: scale.clone(),
            zeros,
            kind,
            axis,
        })
    }

    /// Operand `at` with its scale and zero point behind it, as real numbers.
    fn real(
        &mut self,
        node: &NodeView,
        at: usize,
        axis: Option<i64>,
    ) -> Result<String, ImportError> {
        let step = self.step(node, at + 1, axis)?;
        self.dequantize(node, name(node, at)?, &step, None)
    }

    /// An integer operand less its zero point.
    fn shifted(&mut self, node: &NodeView, at: usize, zero: usize) -> Result<String, ImportError> {
        let kind = self.types.get(name(node, at)?).copied();
        let zeros = match node.input(zero) {
            None => vec![0.0],
            Some(zero) => self
                .constants
                .get(zero)
                .and_then(elements)
                .ok_or_else(|| node.not_constant("a zero point"))?,
        };
        let step = Step {
            scale: float_tensor("", &[], vec![1.0]),
            zeros,
            kind: kind.unwrap_or(IntegerType::U8),
            axis: Some(if at == 1 && node.op() == "MatMulInteger" {
                -1
            } else {
                0
            }),
        };
        self.dequantize(node, name(node, at)?, &step, None)
    }

    /// `QLinear` operators: their float operator, and the grid at operand `at`. Without a grid its output is real.
    fn around(
        &mut self,
        node: &NodeView,
        op: &str,
        input: Vec<String>,
        at: usize,
    ) -> Result<(), ImportError> {
        let output = node.output(0).unwrap_or_default().to_owned();
        let attributes = plain_attributes(node.proto());
        if node.input(at).is_none() {
            self.push(op, input, output, attributes);
            return Ok(());
        }
        let step = self.step(node, at, None)?;
        let real = format!("{output}/real");
        self.push(op, input, real.clone(), attributes);
        self.quantize(node, &real, &step, output)
    }

    /// Real numbers of integers `x`: a constant of them where `x` is one.
    fn dequantize(
        &mut self,
        node: &NodeView,
        x: &str,
        step: &Step,
        output: Option<String>,
    ) -> Result<String, ImportError> {
        let output =
            output.unwrap_or_else(|| format!("{}/{x}", node.output(0).unwrap_or_default()));
        if let Some((tensor, values)) = self.known(x) {
            let values = step.each(node, &tensor.dims, &values, |q, scale, zero| {
                f64::from((q - zero) as f32 * scale)
            })?;
            let real = float_tensor(&output, &tensor.dims, values);
            self.constant(real);
            return Ok(output);
        }
        let (scale, zero) = step.single(node)?;
        let zero = self.scalar(&output, "zero", zero);
        let scale = self.scalar(&output, "scale", f64::from(scale));
        let centred = format!("{output}/centred");
        self.push("Sub", vec![x.to_owned(), zero], centred.clone(), Vec::new());
        self.push("Mul", vec![centred, scale], output.clone(), Vec::new());
        Ok(output)
    }

    /// Integers of real numbers `x`: a constant of them where `x` is one.
    fn quantize(
        &mut self,
        node: &NodeView,
        x: &str,
        step: &Step,
        output: String,
    ) -> Result<(), ImportError> {
        let (lo, hi) = step.kind.ends();
        let (lo, hi) = (lo as f64, hi as f64);
        if let Some((tensor, values)) = self.known(x) {
            let values = step.each(node, &tensor.dims, &values, |v, scale, zero| {
                (f64::from(v as f32 / scale).round_ties_even() + zero).clamp(lo, hi)
            })?;
            // Integers of 32 bits need more than the 24 bits of a float32.
            let quantized = match step.kind {
                IntegerType::I32 => TensorProto {
                    name: output,
                    dims: tensor.dims,
                    data_type: DataType::Int32 as i32,
                    int32_data: values.into_iter().map(|v| v as i32).collect(),
                    ..TensorProto::default()
                },
                kind => {
                    self.types.insert(output.clone(), kind);
                    float_tensor(&output, &tensor.dims, values)
                }
            };
            self.constant(quantized);
            return Ok(());
        }
        let (scale, zero) = step.single(node)?;
        let scale = self.scalar(&output, "scale", f64::from(scale));
        let zero = self.scalar(&output, "zero", zero);
        let ends = [("least", lo), ("greatest", hi)].map(|(of, v)| self.scalar(&output, of, v));
        let [quotient, rounded, moved, bounded] =
            ["quotient", "rounded", "moved", "bounded"].map(|of| format!("{output}/{of}"));
        let [least, greatest] = ends;
        self.push(
            "Div",
            vec![x.to_owned(), scale],
            quotient.clone(),
            Vec::new(),
        );
        self.push("Round", vec![quotient], rounded.clone(), Vec::new());
        self.push("Add", vec![rounded, zero], moved.clone(), Vec::new());
        self.push("Max", vec![moved, least], bounded.clone(), Vec::new());
        self.push("Min", vec![bounded, greatest], output, Vec::new());
        Ok(())
    }

    /// A constant and its elements.
    fn known(&self, name: &str) -> Option<(TensorProto, Vec<f64>)> {
        let tensor = self.constants.get(name)?;
        Some((tensor.clone(), elements(tensor)?))
    }

    fn scalar(&mut self, output: &str, of: &str, value: f64) -> String {
        let name = format!("{output}/{of}");
        self.constant(float_tensor(&name, &[], vec![value]));
        name
    }
}

impl Step {
    /// The only scale and zero point.
    fn single(&self, node: &NodeView) -> Result<(f32, f64), ImportError> {
        let scales = elements(&self.scale).unwrap_or_default();
        match (&scales[..], &self.zeros[..]) {
            (&[scale], &[zero]) => Ok((scale as f32, zero)),
            _ => Err(node.form(
                "activations with a scale for each channel are not supported; quantize them per tensor",
            )),
        }
    }

    /// `f` of each element with its scale and zero point.
    fn each(
        &self,
        node: &NodeView,
        dims: &[i64],
        values: &[f64],
        f: impl Fn(f64, f32, f64) -> f64,
    ) -> Result<Vec<f64>, ImportError> {
        let scales = elements(&self.scale).unwrap_or_default();
        let several = scales.len().max(self.zeros.len());
        let (mut inner, mut size) = (1, 1);
        if several > 1 {
            let axis = node.axis(self.axis.unwrap_or(0), dims.len())?;
            inner = dims[axis + 1..].iter().product::<i64>() as usize;
            size = dims[axis] as usize;
        }
        let fits = |len: usize| len == 1 || len == size;
        if !fits(scales.len()) || !fits(self.zeros.len()) || inner == 0 || size == 0 {
            return Err(node.form(format!(
                "{several} scales or zero points do not fit its constant of shape {dims:?}"
            )));
        }
        let at = |list: &[f64], i: usize| list[if list.len() == 1 { 0 } else { i / inner % size }];
        let element = |(i, &v): (usize, &f64)| f(v, at(&scales, i) as f32, at(&self.zeros, i));
        Ok(values.iter().enumerate().map(element).collect())
    }
}

fn name<'a>(node: &NodeView<'a>, i: usize) -> Result<&'a str, ImportError> {
    node.input(i)
        .ok_or_else(|| node.form(format!("operand {i} is missing")))
}

/// The attributes that the float operator has, too.
fn plain_attributes(proto: &NodeProto) -> Vec<AttributeProto> {
    let own = ["channels_last", "alpha", "beta"];
    let kept = |a: &&AttributeProto| {
        !own.contains(&a.name.as_str()) || proto.op_type == "QLinearLeakyRelu"
    };
    proto.attribute.iter().filter(kept).cloned().collect()
}

fn float_tensor(name: &str, dims: &[i64], values: Vec<f64>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        float_data: values.into_iter().map(|v| v as f32).collect(),
        ..TensorProto::default()
    }
}
