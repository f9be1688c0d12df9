//! Quantized ONNX models: `QuantizeLinear` and `DequantizeLinear` around float operators, and the `QLinear` operators.
//!
//! [`expand`](expand::expand) writes every quantized operator out in float ones, for shape inference and constant
//! folding alone. The importers of [`OPERATORS`] build exact nodes: a tensor of integers stands in the graph as the real
//! numbers that they mean, and a `QuantizeLinear` looks back at what it rounds ([`fuse`]). `docs/quantized.md`.

mod constants;
mod expand;
mod fuse;
mod layers;
mod linear;
mod operators;

pub(super) use constants::IntegerType;
pub(super) use expand::expand;

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;

use super::{ImportError, attributes::NodeView, build::Builder, ops::Importer};
use crate::graph::{Grid, NodeId, Op, Quantized, QuantizedOp, QuantizedTensor};

/// The quantized operators.
pub(super) const OPERATORS: &[(&str, Importer)] = &[
    ("ConvInteger", operators::conv_integer),
    ("DequantizeLinear", operators::dequantize),
    ("MatMulInteger", operators::matmul_integer),
    ("QLinearConv", operators::conv),
    ("QLinearMatMul", operators::matmul),
    ("QuantizeLinear", fuse::quantize),
    ("com.microsoft.DequantizeLinear", operators::dequantize),
    ("com.microsoft.QGemm", operators::gemm),
    ("com.microsoft.QLinearAdd", operators::add),
    ("com.microsoft.QLinearAveragePool", operators::average_pool),
    ("com.microsoft.QLinearConcat", operators::concat),
    (
        "com.microsoft.QLinearGlobalAveragePool",
        operators::global_average_pool,
    ),
    ("com.microsoft.QLinearLeakyRelu", operators::function),
    ("com.microsoft.QLinearMul", operators::mul),
    ("com.microsoft.QLinearSigmoid", operators::function),
    ("com.microsoft.QuantizeLinear", fuse::quantize),
];

/// Float operators that may act on integers as they are: they move them, or choose among them.
const MOVES: &[&str] = &[
    "Concat",
    "DepthToSpace",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GlobalMaxPool",
    "Identity",
    "MaxPool",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// What the importers know of integer tensors.
#[derive(Debug)]
pub(super) struct Integers<'a> {
    /// Types of integer tensors, by name.
    types: &'a HashMap<String, IntegerType>,
    /// Which node produces a tensor.
    producers: HashMap<&'a str, &'a NodeProto>,
    /// Grids of the tensors that hold integers, by name.
    grids: HashMap<String, Grid>,
}

impl<'a> Integers<'a> {
    pub(super) fn new(types: &'a HashMap<String, IntegerType>, nodes: &'a [NodeProto]) -> Self {
        let outputs = |node: &'a NodeProto| node.output.iter().map(move |o| (o.as_str(), node));
        Integers {
            types,
            producers: nodes.iter().flat_map(outputs).collect(),
            grids: HashMap::new(),
        }
    }

    fn producer(&self, name: &str) -> Option<NodeView<'a>> {
        self.producers.get(name).map(|&node| NodeView::new(node))
    }
}

impl Builder<'_> {
    /// Notes that a tensor holds integers, those of a node on its grid.
    fn define_integers(&mut self, name: &str, node: NodeId, grid: Grid) {
        self.integers.grids.insert(name.to_owned(), grid);
        self.graph.quantized.push(QuantizedTensor {
            name: name.to_owned(),
            node,
            grid,
        });
    }

    /// Names the output of an ONNX node after integers.
    fn assign_integers(
        &mut self,
        node: &NodeView,
        id: NodeId,
        grid: Grid,
    ) -> Result<(), ImportError> {
        self.assign(node, super::build::Value::Node(id))?;
        if let Some(name) = node.output(0) {
            self.define_integers(name, id, grid);
        }
        Ok(())
    }

    /// Appends a quantized node; `inputs` lie on the grids `from`.
    fn push_quantized(
        &mut self,
        node: &NodeView,
        inputs: Vec<NodeId>,
        shape: Vec<usize>,
        quantized: Quantized,
    ) -> NodeId {
        self.push(node.name(), inputs, shape, Op::Quantized(quantized))
    }

    /// The grid of a node, where its integers have 8 bits: what tables and layers take.
    fn narrow_grid(&self, id: NodeId) -> Option<Grid> {
        let grid = self.graph.grid(id)?;
        (grid.greatest - grid.least < 256).then_some(grid)
    }

    /// An input of integers stands for real numbers that are those integers.
    pub(super) fn integer_input(&mut self, name: &str, id: NodeId) -> NodeId {
        let Some(kind) = self.integers.types.get(name) else {
            return id;
        };
        let grid = kind.plain_grid();
        let quantized = Quantized {
            op: QuantizedOp::Round,
            from: Vec::new(),
            to: grid,
            clip: grid.ends(),
        };
        let shape = self.shape(id).to_vec();
        let id = self.push(name, vec![id], shape, Op::Quantized(quantized));
        self.define_integers(name, id, grid);
        id
    }

    /// The node of an output: integers are the real numbers of a grid of scale 1.
    pub(super) fn integer_output(&mut self, name: &str, id: NodeId) -> Result<NodeId, ImportError> {
        let Some(&grid) = self.integers.grids.get(name) else {
            return Ok(fuse::real_output(self, name)?.unwrap_or(id));
        };
        let plain = Grid {
            scale: 1.0,
            zero_point: 0,
            ..grid
        };
        Ok(self.regrid(name, id, grid, plain))
    }

    /// The same integers on another grid.
    fn regrid(&mut self, name: &str, id: NodeId, from: Grid, to: Grid) -> NodeId {
        if (from.scale, from.zero_point) == (to.scale, to.zero_point) {
            return id;
        }
        let to = Grid {
            least: from.least,
            greatest: from.greatest,
            ..to
        };
        let quantized = Quantized {
            op: QuantizedOp::Shift,
            from: vec![from],
            to,
            clip: to.ends(),
        };
        let shape = self.shape(id).to_vec();
        self.push(name, vec![id], shape, Op::Quantized(quantized))
    }

    /// Refuses float operators over integers that they do not merely move.
    pub(super) fn check_integers(&self, node: &NodeView) -> Result<(), ImportError> {
        let op = node.op();
        let integers = |name: &&String| self.integers.grids.contains_key(name.as_str());
        let quantized = OPERATORS.iter().any(|(name, _)| *name == op);
        match node.inputs().iter().find(integers) {
            Some(name) if !quantized && !MOVES.contains(&op.as_str()) => Err(node.form(format!(
                "it acts on the integers of `{name}`; put a DequantizeLinear in front of it"
            ))),
            _ => Ok(()),
        }
    }

    /// What a float operator makes of integers that it moves is integers of their grid.
    pub(super) fn carry_integers(&mut self, node: &NodeView) -> Result<(), ImportError> {
        if !MOVES.contains(&node.op().as_str()) {
            return Ok(());
        }
        let moved = |name: &&String| self.integers.grids.contains_key(name.as_str());
        let Some(first) = node.inputs().iter().find(moved) else {
            return Ok(());
        };
        let grid = self.integers.grids[first.as_str()];
        for (i, name) in node.outputs().enumerate() {
            let Some(id) = self.node_of(name) else {
                continue;
            };
            // A part of a constant would have to be dequantized first.
            if self.graph.grid(id) != Some(grid) {
                return Err(node.form(format!(
                    "output {i} joins integers of different scales or zero points; use QLinearConcat"
                )));
            }
            self.define_integers(name, id, grid);
        }
        Ok(())
    }
}
