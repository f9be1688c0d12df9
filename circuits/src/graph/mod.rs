//! The float graph: what an ONNX model means, in a handful of typed operators.
//!
//! All tensors are `f32`. Every operator acts on each batch item alone, so weights, [`Op::Rearrange`] maps and
//! evaluation speak of one item: the row-major elements that follow the batch axis. Everything that only moves
//! elements (reshape, transpose, concat, pad, ...) is one operator, [`Op::Rearrange`].

mod activation;
mod differences;
mod dyadic;
mod eval;
mod fold;
mod function;
mod grids;
mod integers;
mod quantized;
mod unread;

pub use activation::Activation;
pub use differences::{Agreement, NEAR, NearTie, explain};
pub(crate) use dyadic::ratio;
pub use dyadic::{Dyadic, Rounded, Ties};
pub use eval::{Integers, evaluate, run, trace};
pub use function::Function;
pub use integers::{IntegerTensor, integer_tensors};
pub use quantized::{Grid, IntegerTable, Quantized, QuantizedOp, Sum, SumMap};
pub(crate) use quantized::{MeanTable, finite, sum_of};

use crate::geometry::Window;

/// Index of a node, and of the tensor it produces.
pub type NodeId = usize;

/// A float network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Name of the ONNX graph, or the one given to the import.
    pub name: String,
    /// Items of a batch.
    pub batch: usize,
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
    /// The [`Op::Input`] and [`Op::Whole`] nodes, in ONNX order.
    pub inputs: Vec<NodeId>,
    /// The outputs, in ONNX order.
    pub outputs: Vec<Output>,
    /// The elements of a vector input are features of different units: each is quantized in steps of its own.
    pub tabular: bool,
    /// The quantized tensors of the ONNX graph, by name.
    pub quantized: Vec<QuantizedTensor>,
    /// ONNX names of inputs that no output depends on: they are dropped.
    pub unread: Vec<String>,
    /// Names of outputs that are the same for every input.
    pub constant_outputs: Vec<String>,
}

/// A quantized tensor of the ONNX graph.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedTensor {
    /// ONNX name.
    pub name: String,
    /// The node whose real numbers its integers mean.
    pub node: NodeId,
    /// Its grid.
    pub grid: Grid,
}

/// A graph output.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// ONNX name.
    pub name: String,
    /// The node.
    pub node: NodeId,
}

/// One operator and the tensor it produces.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// ONNX name of the node, for messages.
    pub name: String,
    /// The nodes it reads.
    pub inputs: Vec<NodeId>,
    /// Logical shape, batch included.
    pub shape: Vec<usize>,
    /// The operator.
    pub op: Op,
}

/// Where an element of a rearranged tensor comes from: `(input of the node, element of that input's item)`;
/// `None` is a zero.
pub type Cell = Option<(u32, u32)>;

/// Operators of the float graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A model input.
    Input,
    /// A model input of whole numbers, and what its element type can hold; truth values are 0 and 1.
    Whole {
        /// Least value.
        lo: i64,
        /// Greatest value.
        hi: i64,
    },
    /// Convolution over an item `[c, h, w]`.
    Conv(Conv),
    /// `[rows, k]` times constant weights `[k, n]`.
    MatMul {
        /// Rows of an item.
        rows: usize,
        /// Contracted length.
        k: usize,
        /// Columns of the weights.
        n: usize,
        /// Row-major `[k][n]`.
        weights: Vec<f32>,
    },
    /// `x · scale + offset`, element by element of an item.
    Affine {
        /// Factors, one an element.
        scale: Vec<f32>,
        /// Summands, one an element.
        offset: Vec<f32>,
    },
    /// A function of each element.
    Activation(Activation),
    /// Pooling over an item `[c, h, w]`.
    Pool(Pool),
    /// Sum of two tensors of one shape, or their difference.
    Add {
        /// True subtracts the second input.
        subtract: bool,
    },
    /// Product of two tensors of one shape.
    Mul,
    /// Products of matrices, both computed.
    Contract(Contract),
    /// A sparse linear map of an item: `(output element, input element, weight)`, sorted by output.
    Map(Vec<(u32, u32, f32)>),
    /// Moves elements: element `i` of the output item is `cells[i]`.
    Rearrange(Vec<Cell>),
    /// Index of the greatest of an item's elements; among equals the first, or the last.
    ArgMax {
        /// Takes the last of equal elements.
        last: bool,
    },
    /// 1 where an element is at most its threshold, else 0; one threshold an element.
    AtMost(Vec<f32>),
    /// A threshold gate of bits, the results of [`Op::AtMost`].
    Gate(Gate),
    /// The label of the greatest of an item's elements, the first among equals; at least two.
    Label(Vec<i32>),
    /// Squared distances of an item to constant points.
    SquaredDistance {
        /// Row-major `[points][item]`.
        points: Vec<f32>,
    },
    /// Integers of one grid to those of another.
    Quantized(Quantized),
}

/// `clamp(Σ weight · bit + bias, 0, 1)` for each output element, so that all of it are bits again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// `(output element, input element, weight)`, sorted by output.
    pub entries: Vec<(u32, u32, i32)>,
    /// One an output element.
    pub bias: Vec<i32>,
}

/// A convolution with constant weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Input channels.
    pub cin: usize,
    /// Output channels.
    pub cout: usize,
    /// Groups.
    pub groups: usize,
    /// The sliding window.
    pub window: Window,
    /// `[cout][cin / groups][kh][kw]`.
    pub weights: Vec<f32>,
    /// One a channel; empty where there is none.
    pub bias: Vec<f32>,
}

/// `[groups, rows, inner]` times `[groups, columns, inner]`, summed over `inner`: `[groups, rows, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Pairs of matrices.
    pub groups: usize,
    /// Rows of the first matrix.
    pub rows: usize,
    /// Rows of the second matrix.
    pub columns: usize,
    /// Columns of both.
    pub inner: usize,
}

/// Maximum or mean over windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Which of the two.
    pub kind: PoolKind,
    /// Channels.
    pub channels: usize,
    /// The sliding window.
    pub window: Window,
    /// Output `(height, width)`: larger than the window's own where ONNX rounds up.
    pub output: (usize, usize),
}

/// What a pool computes of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The greatest element; padding never wins.
    Max,
    /// The mean.
    Average {
        /// Padding counts in the divisor.
        count_include_pad: bool,
    },
}

impl Graph {
    /// Elements of one item of the node's tensor.
    pub fn item_len(&self, node: NodeId) -> usize {
        self.nodes[node].shape.iter().product::<usize>() / self.batch
    }

    /// How often each tensor is read, outputs included.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.nodes.len()];
        for node in &self.nodes {
            for &input in &node.inputs {
                readers[input] += 1;
            }
        }
        for output in &self.outputs {
            readers[output.node] += 1;
        }
        readers
    }

    /// Which tensors are features of a tabular input, rescaled or moved perhaps.
    pub fn features(&self) -> Vec<bool> {
        let mut features: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            features.push(match node.op {
                Op::Input => self.tabular && node.shape.len() == 2,
                Op::Affine { .. } | Op::Rearrange(_) => {
                    !node.inputs.is_empty() && node.inputs.iter().all(|&i| features[i])
                }
                _ => false,
            });
        }
        features
    }

    /// Drops inputs of which no output needs an element, and notes their names; one input stays in any case.
    pub fn drop_unread(&mut self) {
        unread::drop_unread(self);
    }

    /// Rewrites that keep every output: composes rearrangements, moves zero padding into convolutions and mean
    /// pools, and drops nodes that no output needs (inputs stay).
    pub fn simplify(&mut self) {
        fold::simplify(self);
    }
}

impl Pool {
    /// Divisors of a mean pool, one for each output position.
    pub fn divisors(&self) -> Vec<usize> {
        let window = &self.window;
        let (top, left, bottom, right) = window.pads;
        let include = matches!(
            self.kind,
            PoolKind::Average {
                count_include_pad: true
            }
        );
        let span = |o: usize,
                    k: usize,
                    stride: usize,
                    dilation: usize,
                    before: usize,
                    len: usize,
                    after: usize| {
            (0..k)
                .filter(|t| {
                    let at = o * stride + t * dilation;
                    if include {
                        at < before + len + after
                    } else {
                        at >= before && at < before + len
                    }
                })
                .count()
        };
        let mut out = Vec::with_capacity(self.output.0 * self.output.1);
        for oy in 0..self.output.0 {
            let rows = span(
                oy,
                window.kernel.0,
                window.stride.0,
                window.dilation.0,
                top,
                window.input.0,
                bottom,
            );
            for ox in 0..self.output.1 {
                let columns = span(
                    ox,
                    window.kernel.1,
                    window.stride.1,
                    window.dilation.1,
                    left,
                    window.input.1,
                    right,
                );
                out.push((rows * columns).max(1));
            }
        }
        out
    }
}
