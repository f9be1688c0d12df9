//! Small ONNX models built in memory, and the comparison that every operator is tested with.
#![allow(dead_code)]

use std::sync::Arc;

use halo2_proofs::dev::MockProver;
use prost::Message;
use tensorseal_circuits::{
    circuit::ModelCircuit,
    executor,
    graph::{self, Graph},
    layout::{Optimize, Visibility, choose},
    model::Model,
    onnx::{self, ImportOptions, Reference},
    ports,
    quantize::{self, Calibration, QuantizeOptions, inputs::Sample},
    witness::Witness,
};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto::DataType, tensor_shape_proto::Dimension, tensor_shape_proto::dimension,
    type_proto,
};

/// Deterministic numbers in `[-1, 1)`.
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
    pub(crate) fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// An ONNX model under construction.
#[derive(Debug)]
pub(crate) struct Onnx {
    graph: GraphProto,
    opset: i64,
    numbers: Numbers,
}

impl Onnx {
    pub(crate) fn new() -> Onnx {
        let graph = GraphProto {
            name: "test".into(),
            ..GraphProto::default()
        };
        Onnx {
            graph,
            opset: 13,
            numbers: Numbers(7),
        }
    }

    pub(crate) fn opset(mut self, version: i64) -> Onnx {
        self.opset = version;
        self
    }

    /// An input; an axis of 0 is dynamic.
    pub(crate) fn input(mut self, name: &str, shape: &[i64]) -> Onnx {
        self.graph.input.push(value_info(name, shape));
        self
    }

    /// An input of integers or truth values.
    pub(crate) fn whole(mut self, name: &str, kind: DataType, shape: &[i64]) -> Onnx {
        let mut info = value_info(name, shape);
        if let Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..
        }) = &mut info.r#type
        {
            tensor.elem_type = kind as i32;
        }
        self.graph.input.push(info);
        self
    }

    pub(crate) fn output(mut self, name: &str) -> Onnx {
        self.graph.output.push(ValueInfoProto {
            name: name.into(),
            ..ValueInfoProto::default()
        });
        self
    }

    pub(crate) fn floats(mut self, name: &str, shape: &[i64], values: Vec<f32>) -> Onnx {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: shape.to_vec(),
            data_type: DataType::Float as i32,
            float_data: values,
            ..TensorProto::default()
        });
        self
    }

    /// An initializer of deterministic numbers.
    pub(crate) fn weights(mut self, name: &str, shape: &[i64]) -> Onnx {
        let count = shape.iter().product::<i64>() as usize;
        let values = self.numbers.take(count);
        self.floats(name, shape, values)
    }

    pub(crate) fn ints(mut self, name: &str, values: &[i64]) -> Onnx {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// An initializer of an integer type.
    pub(crate) fn typed(
        mut self,
        name: &str,
        shape: &[i64],
        data_type: DataType,
        values: &[i32],
    ) -> Onnx {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: shape.to_vec(),
            data_type: data_type as i32,
            int32_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// An integer without axes.
    pub(crate) fn scalar(mut self, name: &str, value: i64) -> Onnx {
        self = self.ints(name, &[value]);
        self.graph
            .initializer
            .last_mut()
            .expect("just pushed")
            .dims
            .clear();
        self
    }

    /// A node named after its output.
    pub(crate) fn node(mut self, op: &str, inputs: &[&str], output: &str) -> Onnx {
        self.graph.node.push(NodeProto {
            op_type: op.into(),
            name: output.into(),
            input: inputs.iter().map(|s| (*s).into()).collect(),
            output: vec![output.into()],
            ..NodeProto::default()
        });
        self
    }

    /// An attribute of the last node.
    pub(crate) fn int(self, name: &str, value: i64) -> Onnx {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Int as i32,
            i: value,
            ..Default::default()
        })
    }

    pub(crate) fn strings(self, name: &str, values: &[&str]) -> Onnx {
        let strings = values.iter().map(|s| s.as_bytes().to_vec()).collect();
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Strings as i32,
            strings,
            ..Default::default()
        })
    }

    pub(crate) fn attr_ints(self, name: &str, values: &[i64]) -> Onnx {
        let ints = values.to_vec();
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Ints as i32,
            ints,
            ..Default::default()
        })
    }

    pub(crate) fn attr_floats(self, name: &str, values: &[f32]) -> Onnx {
        let floats = values.to_vec();
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Floats as i32,
            floats,
            ..Default::default()
        })
    }

    pub(crate) fn attr_strings(self, name: &str, values: &[&str]) -> Onnx {
        let strings = values.iter().map(|v| v.as_bytes().to_vec()).collect();
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Strings as i32,
            strings,
            ..Default::default()
        })
    }

    pub(crate) fn attr_tensor(self, name: &str, tensor: TensorProto) -> Onnx {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Tensor as i32,
            t: Some(tensor),
            ..Default::default()
        })
    }

    pub(crate) fn float(self, name: &str, value: f32) -> Onnx {
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Float as i32,
            f: value,
            ..Default::default()
        })
    }

    pub(crate) fn string(self, name: &str, value: &str) -> Onnx {
        let s = value.as_bytes().to_vec();
        self.attribute(AttributeProto {
            name: name.into(),
            r#type: AttributeType::String as i32,
            s,
            ..Default::default()
        })
    }

    fn attribute(mut self, attribute: AttributeProto) -> Onnx {
        self.graph
            .node
            .last_mut()
            .expect("a node comes first")
            .attribute
            .push(attribute);
        self
    }

    /// The graph, for what no method does.
    pub(crate) fn graph_mut(&mut self) -> &mut GraphProto {
        &mut self.graph
    }

    /// Changes the last node.
    pub(crate) fn edit(mut self, f: impl FnOnce(&mut NodeProto)) -> Onnx {
        f(self.graph.node.last_mut().expect("a node comes first"));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: self.opset,
            }],
            graph: Some(self.graph.clone()),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

pub(crate) fn value_info(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| Dimension {
        value: Some(match size {
            0 => dimension::Value::DimParam("N".into()),
            size => dimension::Value::DimValue(size),
        }),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: shape.iter().map(dim).collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(shape),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// Random inputs for a graph.
pub(crate) fn samples(graph: &Graph, count: usize, seed: u64) -> Vec<Sample> {
    let mut numbers = Numbers(seed);
    let mut draw = |&id: &usize| -> Vec<f32> {
        let mut values = numbers.take(graph.nodes[id].shape.iter().product());
        if let graph::Op::Whole { lo, hi } = graph.nodes[id].op {
            // Truth values, or one digit with a sign.
            let spread = if hi == 1 { 1.0 } else { 9.0 };
            let whole = |v: f32| (v * spread).round().clamp(lo as f32, hi as f32);
            values.iter_mut().for_each(|v| *v = whole(*v));
        }
        values
    };
    (0..count)
        .map(|_| graph.inputs.iter().map(&mut draw).collect())
        .collect()
}

/// The sample as the model's integers.
pub(crate) fn integers(model: &Model, sample: &Sample) -> Vec<Vec<i64>> {
    let quantize =
        |(port, values): (_, &Vec<f32>)| ports::quantize_input(model, port, values).unwrap().values;
    model.inputs.iter().zip(sample).map(quantize).collect()
}

/// Quantizes and runs; gives the dequantized outputs.
pub(crate) fn run(model: &Model, sample: &Sample) -> Vec<Vec<f32>> {
    let values = executor::run(model, &integers(model, sample)).unwrap();
    check_bounds(model, &values);
    model
        .outputs
        .iter()
        .map(|port| ports::dequantize(port, &values[port.node]).unwrap())
        .collect()
}

/// Lays the model out, and checks that the circuit accepts the executor's outputs.
pub(crate) fn circuit_agrees(model: &Model, sample: &Sample) {
    let inputs = integers(model, sample);
    let layout = Arc::new(choose(model, Optimize::Balanced, Visibility::default()).unwrap());
    let witness = Arc::new(Witness::new(&layout, &inputs).unwrap());
    let values = executor::run(model, &inputs).unwrap();
    for (output, port) in witness.outputs.iter().zip(&model.outputs) {
        assert_eq!(output, &values[port.node], "output `{}`", port.name);
    }
    let instance = witness.scalars(&layout.profile);
    let circuit = ModelCircuit::with_witness(layout.clone(), witness);
    let prover = MockProver::run(layout.k, &circuit, instance).unwrap();
    if let Err(failures) = prover.verify() {
        panic!("{} of\n{model:#?}", failures[0]);
    }
}

/// No value may lie outside the bounds that the circuit's tables are sized by.
fn check_bounds(model: &Model, values: &[Vec<i64>]) {
    for ((node, bounds), values) in model
        .nodes
        .iter()
        .zip(quantize::bounds(model).unwrap())
        .zip(values)
    {
        let (lo, hi) = bounds.c;
        assert!(
            values.iter().all(|v| (lo..=hi).contains(v)),
            "`{}` leaves {lo}..={hi}",
            node.name
        );
    }
}

/// The largest error as a share of a range.
pub(crate) fn error(got: &[f32], expected: &[f32], range: f32) -> f64 {
    assert_eq!(got.len(), expected.len());
    let off = got
        .iter()
        .zip(expected)
        .map(|(g, e)| (g - e).abs())
        .fold(0.0, f32::max);
    f64::from(off) / f64::from(range).max(1e-3)
}

/// The range of each output over all samples.
fn ranges(outputs: &[Vec<Vec<f32>>]) -> Vec<f32> {
    let range = |i: usize| {
        let all = outputs.iter().flat_map(|sample| &sample[i]);
        let (lo, hi) = all.fold((f32::MAX, f32::MIN), |r, &v| (r.0.min(v), r.1.max(v)));
        hi - lo
    };
    (0..outputs[0].len()).map(range).collect()
}

/// Imports, compares the float graph with the reference, then the integers at 8 and 14 bits. Returns the models.
pub(crate) fn agrees(onnx: &Onnx, batch: usize) -> (Graph, Model) {
    agrees_within(&onnx.bytes(), batch, [(8, 0.03), (14, 0.001)])
}

/// [`agrees`] for any model, with the bits and the error allowed at them, as a share of each output's range.
pub(crate) fn agrees_within(bytes: &[u8], batch: usize, limits: [(u32, f64); 2]) -> (Graph, Model) {
    let options = ImportOptions { batch, name: None };
    let graph = onnx::import(bytes, &options).unwrap();
    let reference = Reference::new(bytes, &options).unwrap();
    let samples = samples(&graph, 6, 42);
    let calibration = Calibration::measure(&graph, &samples).unwrap();
    let expected: Vec<_> = samples
        .iter()
        .map(|sample| reference.run(sample).unwrap())
        .collect();
    let ranges = ranges(&expected);
    for (sample, expected) in samples.iter().zip(&expected) {
        for item in 0..batch {
            let inputs: Vec<&[f32]> = sample.iter().map(|v| slice(v, item, batch)).collect();
            let values = graph::evaluate(&graph, &inputs);
            for ((output, expected), &range) in graph.outputs.iter().zip(expected).zip(&ranges) {
                let off = error(&values[output.node], slice(expected, item, batch), range);
                assert!(off < 1e-4, "float graph: `{}` is off by {off}", output.name);
            }
        }
    }
    let mut coarse = None;
    for (bits, limit) in limits {
        let options = QuantizeOptions {
            bits,
            ..QuantizeOptions::default()
        };
        let model = quantize::quantize(&graph, &calibration, &options).unwrap();
        for (sample, expected) in samples.iter().zip(&expected) {
            let outputs = run(&model, sample);
            for (((got, expected), &range), port) in outputs
                .iter()
                .zip(expected)
                .zip(&ranges)
                .zip(&model.outputs)
            {
                let off = error(got, expected, range);
                assert!(
                    off < limit,
                    "{bits} bits: `{}` is off by {off}\n{model:#?}",
                    port.name
                );
            }
        }
        if bits == 8 {
            circuit_agrees(&model, &samples[0]);
        }
        coarse.get_or_insert(model);
    }
    (graph, coarse.unwrap())
}

fn slice(values: &[f32], item: usize, batch: usize) -> &[f32] {
    let len = values.len() / batch;
    &values[item * len..(item + 1) * len]
}
