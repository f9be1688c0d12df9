//! The layout planner: from an integer model to rows, fixed columns and lookup tables.
//!
//! `docs/arithmetization.md` explains the functionals. The planner fixes, for every tensor, the order of its rows
//! (`order`), the weight of every row where the tensor is produced and where it is consumed (`scheme`), and walks
//! the chains through those weights (`path`, `rows`, `contraction`).

mod choose;
mod contraction;
mod copies;
mod hash;
mod limits;
mod order;
mod path;
mod plan;
mod planner;
mod public;
mod rows;
mod scheme;
mod sequence;
mod tables;
mod weights;

pub use choose::{Optimize, TIME_TERMS, TIME_US, choose, time_terms};
pub(crate) use hash::HashProgram;
pub use hash::{Digest, Side};
pub(crate) use limits::MAX_OWN_ROWS;
#[cfg(test)]
pub(crate) use plan::plan_with;
pub use plan::{LayoutError, plan};
pub use public::{PublicError, PublicValues};

use serde::{Deserialize, Serialize};

use crate::model::{Model, NodeId};
use crate::profile::Profile;
pub(crate) use order::Position;
pub(crate) use tables::Tables;

/// How a proof shows the tensors of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Shown {
    /// Not at all.
    Private,
    /// Each value is an instance value.
    Public,
    /// One instance value is the digest of all of them (see [`crate::hash`]).
    Hashed,
}

/// What of a proof is public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    /// The inputs.
    pub input: Shown,
    /// The outputs.
    pub output: Shown,
}

impl Visibility {
    /// Whether some side is hashed.
    pub fn hashes(&self) -> bool {
        [self.input, self.output].contains(&Shown::Hashed)
    }
}

impl Default for Visibility {
    fn default() -> Self {
        Visibility {
            input: Shown::Private,
            output: Shown::Public,
        }
    }
}

/// A tensor's place.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) node: NodeId,
    pub(crate) channels: usize,
    /// Lane groups.
    pub(crate) groups: usize,
    pub(crate) order: Vec<Position>,
    pub(crate) prod_planes: usize,
    pub(crate) cons_planes: usize,
    /// Plane number of each consumption rank, as [`scheme`] numbers them.
    pub(crate) plane_ids: Vec<usize>,
    /// Odd groups walk the rows backwards.
    pub(crate) alternate: bool,
    /// Exponent of `η` of the last lane group where produced, a multiple of the lanes.
    pub(crate) base_p: usize,
    /// The same where consumed.
    pub(crate) base_c: usize,
    pub(crate) consumed: bool,
    pub(crate) has_one: bool,
    /// Lookup tags of ordinary rows and of the first row of a window.
    pub(crate) tag: i32,
    pub(crate) first_tag: i32,
    /// Origin of the production coordinates.
    pub(crate) origin: (i64, i64),
}

impl Tensor {
    /// Exponent of `η`, over [`Tensor::base_p`], of lane 0 of a group and production plane.
    pub(crate) fn offset_p(&self, group: usize, plane: usize, lanes: usize) -> usize {
        ((self.groups - 1 - group) * self.prod_planes + (self.prod_planes - 1 - plane)) * lanes
    }
    /// The same over [`Tensor::base_c`] where consumed.
    pub(crate) fn offset_c(&self, group: usize, plane: usize, lanes: usize) -> usize {
        ((self.groups - 1 - group) * self.cons_planes + (self.cons_planes - 1 - plane)) * lanes
    }
    /// Width of the production range.
    pub(crate) fn range_p(&self, p: &Profile) -> usize {
        self.groups * self.prod_planes * p.lanes
    }
    /// Width of the consumption range.
    pub(crate) fn range_c(&self, p: &Profile) -> usize {
        (self.groups * self.cons_planes + usize::from(self.has_one)) * p.lanes
    }
    /// Position indices of a group in the order of rows.
    pub(crate) fn walk(&self, group: usize) -> Box<dyn Iterator<Item = usize> + '_> {
        let keep = move |i: &usize| {
            group == 0 || self.order[*i].at.is_some() || self.order[*i].prod.is_some()
        };
        if self.alternate && group % 2 == 1 {
            Box::new((0..self.order.len()).rev().filter(keep))
        } else {
            Box::new((0..self.order.len()).filter(keep))
        }
    }
}

/// What an activation row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Index into [`Layout::tensors`].
    pub(crate) tensor: u32,
    pub(crate) group: u32,
    pub(crate) position: u32,
}

/// One chunk of the contraction program: the weights of a consumed functional.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) tensor: usize,
    /// Consumption plane and channel; `None` is the constant lane.
    pub(crate) source: Option<(usize, usize)>,
    pub(crate) taps: Vec<Weights>,
    /// Row where `u` stands.
    pub(crate) row: usize,
}

/// Weights of one tap: the functional enters a produced tensor, shifted.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// Index of the produced tensor.
    pub(crate) to: usize,
    /// Shift of the coordinates `(y, x)`.
    pub(crate) shift: (i64, i64),
    /// `(exponent of η over base_p, weight)`.
    pub(crate) weights: Vec<(u32, i64)>,
}

/// Rows of one node, for `inspect`.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct NodeRows {
    /// The node, of the layout's model.
    pub node: NodeId,
    /// Activation rows, those of bridging steps included.
    pub activation: usize,
    /// Of these, rows that only complete a full product.
    pub junk: usize,
    /// Contraction rows of the functionals that read this node's tensor.
    pub contraction: usize,
}

/// Row counts of a layout.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Stats {
    /// Rows used by activations.
    pub activation: usize,
    /// Rows used by weights.
    pub contraction: usize,
    /// Rows used by the lookup table, spread over the profile's sets of table columns.
    pub table: usize,
    /// Rows used by hashing.
    pub hash: usize,
    /// Rows of public values.
    pub instance: usize,
    /// By node, in row order.
    pub nodes: Vec<NodeRows>,
}

impl Stats {
    /// Rows of the longest of the four programs, which share the circuit's rows.
    pub fn rows(&self) -> usize {
        self.activation
            .max(self.contraction)
            .max(self.table)
            .max(self.hash)
    }
}

/// A planned circuit. Deterministic: the same model, profile and visibility give the same layout.
#[derive(Debug)]
pub struct Layout {
    /// The constraint system's shape.
    pub profile: Profile,
    /// `2^k` rows.
    pub k: u32,
    /// The model with the copies that the planner added.
    pub model: Model,
    /// What is public.
    pub visibility: Visibility,
    /// Row counts.
    pub stats: Stats,
    pub(crate) tensors: Vec<Tensor>,
    /// Activation rows; `None` bridges or stands past the end.
    pub(crate) rows: Vec<Option<Cell>>,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) tables: Tables,
    /// Fixed columns by row, up to the last row that holds anything.
    pub(crate) fixed: Vec<Vec<i64>>,
    /// `(row, lane, port, logical element)` of the public values, outputs before inputs.
    pub(crate) public: Vec<Public>,
    pub(crate) hash: HashProgram,
}

/// A public value's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public {
    /// Row of the instance column.
    pub row: usize,
    /// Index of the instance column.
    pub lane: usize,
    /// Index of the output, or outputs + index of the input.
    pub port: usize,
    /// Element of the node's NCHW tensor.
    pub element: usize,
}

impl Layout {
    /// Last usable row, where the totals are compared.
    pub fn last_row(&self) -> usize {
        self.profile.last_row(self.k)
    }

    /// Table and row of an entry of the lookup table.
    #[cfg(test)]
    pub(crate) fn table_row(&self, entry: usize) -> (usize, usize) {
        (entry / self.stats.table, entry % self.stats.table)
    }

    /// Where the public values stand among the instance columns; what no value stands in is zero.
    pub fn public(&self) -> &[Public] {
        &self.public
    }

    /// The digests among the instance values, each in row 0.
    pub fn digests(&self) -> &[Digest] {
        &self.hash.digests
    }

    /// Length of every instance column, in rows of the circuit.
    pub fn instance_rows(&self) -> usize {
        self.stats.instance
    }

    /// Length of every instance column of halo2.
    pub fn folded_instance_rows(&self) -> usize {
        self.stats.instance * self.profile.fold
    }
}
