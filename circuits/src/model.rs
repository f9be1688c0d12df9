//! The integer model: the quantized network as the executor runs it and the circuit proves it.
//!
//! A model is a list of nodes in topological order; node `i` produces tensor `i`, an integer tensor of
//! shape `[n, c, h, w]` stored in that order (NCHW). Dense tensors have `h = w = 1`, sequences `[B, T, C]`
//! have `h = 1, w = T`. Everything between two nonlinearities is one [`Linear`] node:
//!
//! ```text
//! y = Σ_terms op(source) + bias                      exact, i64
//! x = y >> shift                                     floor; the rounding half is folded into the bias
//! x = running maximum over each window               only with `pool`
//! c = table(x)                                       the tensor's value
//! ```
//!
//! Shape operators (reshape, transpose, concat, ...) do not exist here: the importer folds them into the
//! terms (permuted weight columns, split channels).

use serde::{Deserialize, Serialize};

/// Index of a node, and of the tensor it produces.
pub type NodeId = usize;

/// Shape `[n, c, h, w]` of an integer tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Batch items.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
}

impl Shape {
    /// Elements of one batch item.
    pub fn item(&self) -> usize {
        self.c * self.h * self.w
    }
    /// Elements of the tensor.
    pub fn len(&self) -> usize {
        self.n * self.item()
    }
    /// True where the tensor holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The integer model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Name, from the ONNX graph or the file.
    pub name: String,
    /// Activation bits the quantizer was asked for.
    pub bits: u32,
    /// Every requantizing node shifts by this: `x = y >> shift`.
    pub shift: u32,
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
    /// Input nodes ([`Kind::Input`]), in the order of the ONNX inputs.
    pub inputs: Vec<Port>,
    /// Output nodes, each with [`Table::Raw`]: the public accumulators.
    pub outputs: Vec<Port>,
}

/// How a model input or output is seen from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// The ONNX name.
    pub name: String,
    /// The node.
    pub node: NodeId,
    /// Logical (ONNX) shape, batch fixed. Its row-major order is that of `order`.
    pub shape: Vec<usize>,
    /// Logical element `i` is element `order[i]` of the node's NCHW tensor; empty where that is the identity.
    pub order: Vec<u32>,
    /// `real = scale · integer`.
    pub scale: f64,
    /// One for each element of an item, in place of `scale`; empty where `scale` holds for all.
    pub encodings: Vec<Encoding>,
}

/// How an input's number becomes an integer, where elements differ in that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Encoding {
    /// `real = scale · integer`.
    Scale(f64),
    /// The integer is how many of these ascending numbers are less than the real one: all that a model sees of an
    /// input which it only compares with them.
    Edges(Vec<f32>),
}

impl Encoding {
    /// The edges, where it has them.
    pub fn edges(self) -> Option<Vec<f32>> {
        match self {
            Encoding::Scale(_) => None,
            Encoding::Edges(edges) => Some(edges),
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Name, for messages.
    pub name: String,
    /// Shape of the produced tensor (after pooling).
    pub shape: Shape,
    /// What it computes.
    pub kind: Kind,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// A model input with values in `lo..=hi`.
    Input {
        /// Least value.
        lo: i64,
        /// Greatest value.
        hi: i64,
    },
    /// Linear algebra, shift, pooling, table.
    Linear(Linear),
}

/// See the module documentation for the equations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Summed terms, at least one. All give the shape `[n, c, h·kh, w·kw]` of the accumulator, `(kh, kw)` the pool window.
    pub terms: Vec<Term>,
    /// Per channel (`c` values), or per element of an item (`c·h·w` values; then every term is `Dense` or `Map`).
    pub bias: Vec<i64>,
    /// Requantization: true shifts by [`Model::shift`], false not at all.
    pub requantize: bool,
    /// Maximum over windows.
    pub pool: Option<MaxPool>,
    /// The function of the tensor's values.
    pub table: Table,
}

/// Non-overlapping maximum: kernel equals stride, no padding, the accumulator's size divides (`h·kh × w·kw`, rest cropped away).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Window `(kh, kw)`.
    pub kernel: (usize, usize),
    /// The running maximum starts at 0 (a ReLU in front, fused) instead of at the first element.
    pub from_zero: bool,
    /// Size `(H, W)` of the accumulator; rows and columns past `h·kh`, `w·kw` are not pooled.
    pub full: (usize, usize),
}

/// One linear term.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// The tensor it reads.
    pub source: NodeId,
    /// The first channel it reads; it reads as many as `op` has input channels.
    pub channel: usize,
    /// The operation.
    pub op: Op,
}

/// Linear operations with constant integer weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Convolution; `weights[out][in / groups][kh][kw]`. Channel scaling is a 1×1 depthwise one.
    Conv(Conv),
    /// Dense layer over a flattened item: `weights[out][c·h·w]`, output `[n, out, 1, 1]`. Reads all channels of the source.
    Dense {
        /// Output features.
        out: usize,
        /// Row-major `[out][item]`.
        weights: Vec<i64>,
    },
    /// Sum over windows times one multiplier (average pooling); padding counts as 0.
    SumPool(SumPool),
    /// Any sparse linear map of an item: `(output element, input element, weight)`, sorted by output.
    Map {
        /// Output shape of one item `(c, h, w)`.
        out: (usize, usize, usize),
        /// The non-zero weights.
        entries: Vec<(u32, u32, i64)>,
    },
}

/// Convolution parameters, ONNX meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Input channels.
    pub cin: usize,
    /// Output channels.
    pub cout: usize,
    /// Kernel `(kh, kw)`.
    pub kernel: (usize, usize),
    /// Stride.
    pub stride: (usize, usize),
    /// Dilation.
    pub dilation: (usize, usize),
    /// Zero padding `(top, left, bottom, right)`.
    pub pads: (usize, usize, usize, usize),
    /// Groups.
    pub groups: usize,
    /// `[cout][cin / groups][kh][kw]`.
    pub weights: Vec<i64>,
}

/// Sum-pooling parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SumPool {
    /// Channels.
    pub channels: usize,
    /// Kernel.
    pub kernel: (usize, usize),
    /// Stride.
    pub stride: (usize, usize),
    /// Zero padding `(top, left, bottom, right)`.
    pub pads: (usize, usize, usize, usize),
    /// The weight of each element.
    pub multiplier: i64,
}

/// The function from the shifted accumulator `x` to the value `c`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Table {
    /// `c = y`: no shift, no range check; only for outputs, and never read by another node.
    Raw,
    /// `c = clamp(x, lo, hi)`.
    Clip {
        /// Least value.
        lo: i64,
        /// Greatest value.
        hi: i64,
    },
    /// `c = values[clamp(x, lo, lo + len - 1) - lo]`: any function, given on a range; constant past its ends.
    Lut {
        /// First abscissa.
        lo: i64,
        /// Values.
        values: Vec<i32>,
    },
    /// `c = x`: the running maximum of a pool node as it is, or an exact copy.
    Identity,
}

impl Table {
    /// The value at `x`.
    pub fn eval(&self, x: i64) -> i64 {
        match self {
            Table::Raw | Table::Identity => x,
            Table::Clip { lo, hi } => x.clamp(*lo, *hi),
            Table::Lut { lo, values } => {
                let last = values.len() as i64 - 1;
                i64::from(values[(x - lo).clamp(0, last) as usize])
            }
        }
    }
}
