//! The contraction program: for every consumed functional `u` a chunk of rows that folds its weights into `z`, then
//! `dot += u · z` and `ub = η·ub + u` in the row after the chunk.

use std::collections::BTreeMap;

use super::path::{self, Monomial};
use super::plan::LayoutError;
use super::rows::FixedColumns;
use super::{Chunk, Tensor};
use crate::model::Model;
use crate::profile::{Profile, fixed};

/// Fixed-lane row of a chunk: weights by lane.
type LaneRow = Vec<(usize, i64)>;

/// The same while taps that share a row add up.
type LaneWeights = BTreeMap<usize, i64>;

/// Values of [`fixed::U_OP`].
mod op {
    /// `ub = η·ub + u`, `dot += u·z`.
    pub(super) const END: i32 = 1;
    /// `ub = κ·ub`.
    pub(super) const KAPPA: i32 = 2;
    /// `ub = η·ub`.
    pub(super) const ETA: i32 = 3;
}

fn broken(what: &'static str) -> LayoutError {
    LayoutError::Broken {
        node: "contraction".into(),
        what,
    }
}

/// Writes the program.
#[derive(Debug)]
pub(crate) struct Contraction<'a> {
    profile: Profile,
    model: &'a Model,
    tensors: &'a [Tensor],
    row: usize,
    /// First row free for steps of `dot` and `ub`.
    free: usize,
    /// Exponent of `η` that the last `u` still has to gain, over the last index.
    index: Option<usize>,
    /// `dot`'s base, in units of the fixed lanes.
    base: Option<usize>,
}

impl<'a> Contraction<'a> {
    pub(crate) fn new(profile: Profile, model: &'a Model, tensors: &'a [Tensor]) -> Self {
        Contraction {
            profile,
            model,
            tensors,
            row: 0,
            free: 0,
            index: None,
            base: None,
        }
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.row
    }

    /// Appends a chunk and gives it its row; returns the rows it took.
    pub(crate) fn push(
        &mut self,
        columns: &mut FixedColumns,
        chunk: &mut Chunk,
    ) -> Result<usize, LayoutError> {
        let start = self.row;
        let items = self.items(chunk)?;
        let base = items
            .iter()
            .map(|(m, _)| m.k)
            .min()
            .unwrap_or(self.base.unwrap_or(0) as i64);
        let end = Monomial {
            k: base,
            y: 0,
            x: 0,
        };
        let mut at: Option<Monomial> = None;
        for (to, lanes) in items {
            match at {
                None => {
                    columns.set(fixed::Z_DEN, self.row, 1);
                    self.row += 1;
                }
                Some(from) => self.walk(columns, from, to)?,
            }
            for (lane, weight) in lanes {
                columns.set(fixed::LANE0 + lane, self.row - 1, weight);
            }
            at = Some(to);
        }
        match at {
            None => {
                columns.set(fixed::Z_DEN, self.row, 1);
                self.row += 1;
            }
            Some(from) if from != end => self.walk(columns, from, end)?,
            Some(_) => {}
        }
        self.settle(columns, chunk, base as usize)?;
        chunk.row = self.row;
        columns.set(fixed::U_OP, self.row, op::END);
        self.free = self.row + 1;
        Ok(self.row - start)
    }

    /// `z = (num / den)·z + F` along a path; the last row is the item's.
    fn walk(
        &mut self,
        columns: &mut FixedColumns,
        from: Monomial,
        to: Monomial,
    ) -> Result<(), LayoutError> {
        let steps = path::steps(from, to, path::cost(from, to))
            .ok_or_else(|| broken("the chain z has too few rows for a walk"))?;
        for (num, den) in steps {
            columns.set(fixed::Z_NUM, self.row, num);
            columns.set(fixed::Z_DEN, self.row, den);
            self.row += 1;
        }
        Ok(())
    }

    /// A row in which `z` stays.
    fn pad(&mut self, columns: &mut FixedColumns) {
        columns.set(fixed::Z_NUM, self.row, path::HOLD.0);
        columns.set(fixed::Z_DEN, self.row, path::HOLD.1);
        self.row += 1;
    }

    /// The exponent of `η` of a chunk's functional.
    fn index_of(&self, chunk: &Chunk) -> usize {
        let (tensor, lanes) = (&self.tensors[chunk.tensor], self.profile.lanes);
        tensor.base_c
            + match chunk.source {
                None => tensor.groups * tensor.cons_planes * lanes,
                Some((plane, channel)) => {
                    tensor.offset_c(channel / lanes, plane, lanes) + channel % lanes
                }
            }
    }

    /// Brings `ub` to the chunk's index and `dot` to its base, in the rows since the last chunk's end; the row of this
    /// end is `self.row` and takes one step of each: `η` of `ub`, and one upward step of `dot`.
    fn settle(
        &mut self,
        columns: &mut FixedColumns,
        chunk: &Chunk,
        base: usize,
    ) -> Result<(), LayoutError> {
        let index = self.index_of(chunk);
        // Two functionals of one exponent would be bound in their sum alone.
        let gain = match self.index {
            None => 0,
            Some(last) => last
                .checked_sub(index + 1)
                .ok_or_else(|| broken("the exponents of the functionals do not fall"))?,
        };
        let (mut up, mut down) = (0, 0);
        match self.base {
            Some(last) if last > base => up = last - base,
            Some(last) => down = base - last,
            None => {}
        }
        let steps = self.index_steps(gain);
        while self.row - self.free < steps.len().max(down).max(up.saturating_sub(1)) {
            self.pad(columns);
        }
        self.write_steps(columns, &steps);
        for i in 0..up {
            columns.set(fixed::DOT_OP, self.row - i, 1);
        }
        for i in 0..down {
            columns.set(fixed::DOT_OP, self.free + i, 2);
        }
        (self.index, self.base) = (Some(index), Some(base));
        Ok(())
    }

    fn index_steps(&self, gain: usize) -> Vec<i32> {
        let (kappas, etas) = (gain / self.profile.lanes, gain % self.profile.lanes);
        [vec![op::KAPPA; kappas], vec![op::ETA; etas]].concat()
    }

    fn write_steps(&self, columns: &mut FixedColumns, steps: &[i32]) {
        for (i, step) in steps.iter().enumerate() {
            columns.set(fixed::U_OP, self.free + i, *step);
        }
    }

    /// Brings `ub` and `dot` to exponent 0; returns the number of rows of the program.
    pub(crate) fn finish(&mut self, columns: &mut FixedColumns) -> usize {
        let steps = self.index_steps(self.index.unwrap_or(0));
        let up = self.base.unwrap_or(0);
        self.write_steps(columns, &steps);
        for i in 0..up {
            columns.set(fixed::DOT_OP, self.free + i, 1);
        }
        self.free + steps.len().max(up)
    }

    /// The rows of a chunk: monomial of lane 0 and the weights, in the order of the walk.
    fn items(&self, chunk: &Chunk) -> Result<Vec<(Monomial, LaneRow)>, LayoutError> {
        let f = self.profile.fixed_lanes;
        let mut groups: BTreeMap<usize, BTreeMap<(i64, i64), LaneWeights>> = BTreeMap::new();
        for tap in &chunk.taps {
            let base = self.tensors[tap.to].base_p;
            for &(offset, weight) in &tap.weights {
                if weight != 0 {
                    let at = base + offset as usize;
                    let lanes = groups.entry(at / f).or_default().entry(tap.shift);
                    let sum = lanes.or_default().entry(at % f).or_default();
                    *sum = sum
                        .checked_add(weight)
                        .ok_or_else(|| LayoutError::Unsupported {
                            node: self.model.nodes[self.tensors[tap.to].node].name.clone(),
                            what: "its terms read one cell with weights that add up beyond 64 bits; scale them down",
                        })?;
                }
            }
        }
        let mut out = Vec::new();
        for (i, (group, taps)) in groups.into_iter().enumerate() {
            // The lowest group's walk falls to (0, 0); the others alternate, so that each begins where the last ended.
            let keyed = taps
                .into_iter()
                .map(|(shift, lanes)| (shift, (shift, lanes)))
                .collect();
            let mut walk: Vec<((i64, i64), LaneWeights)> = super::order::snake(keyed);
            if i % 2 == 1 {
                walk.reverse();
            }
            let rows = walk.into_iter().map(|((y, x), lanes)| {
                (
                    Monomial {
                        k: group as i64,
                        y,
                        x,
                    },
                    lanes.into_iter().collect::<LaneRow>(),
                )
            });
            out.push(rows.collect::<Vec<_>>());
        }
        Ok(out.into_iter().rev().flatten().collect())
    }
}
