//! The activation rows and the two chains over them.

use super::limits::check_rows;
use super::path::{self, Monomial, Step};
use super::plan::LayoutError;
use super::{Cell, Layout, NodeRows, Public, Shown, Tensor, Visibility};
use crate::model::{Kind, Linear, Model, Table};
use crate::profile::{LIMB_BITS, Profile, fixed};

/// Fixed columns that grow as rows are written.
#[derive(Debug)]
pub(crate) struct FixedColumns {
    columns: Vec<Vec<i64>>,
}

impl FixedColumns {
    pub(crate) fn new(count: usize) -> Self {
        FixedColumns {
            columns: vec![Vec::new(); count],
        }
    }
    pub(crate) fn set(&mut self, column: usize, row: usize, value: impl Into<i64>) {
        let column = &mut self.columns[column];
        if column.len() <= row {
            column.resize(row + 1, 0);
        }
        column[row] = value.into();
    }
    pub(crate) fn get(&self, column: usize, row: usize) -> i64 {
        self.columns[column].get(row).copied().unwrap_or(0)
    }
    pub(crate) fn into_columns(self) -> Vec<Vec<i64>> {
        self.columns
    }
}

/// A defect of the planner, at a node or in a chain.
fn broken(node: &str, what: &'static str) -> LayoutError {
    LayoutError::Broken {
        node: node.into(),
        what,
    }
}

/// One chain's walk along the rows: `den_i · acc_{i+1} = num_i · acc_i + L_i`, so a row's numerator and the previous
/// row's denominator make one step, and a denominator of the last row would divide the total: it is 1.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The chain's name, for errors.
    chain: &'static str,
    num: usize,
    den: usize,
    last: Option<(usize, Monomial)>,
}

impl Walk {
    pub(crate) fn new(chain: &'static str, num: usize, den: usize) -> Self {
        Walk {
            chain,
            num,
            den,
            last: None,
        }
    }

    /// The first row that can hold `to`.
    pub(crate) fn earliest(&self, to: Monomial) -> usize {
        self.last
            .map_or(0, |(row, from)| row + path::cost(from, to))
    }

    /// Moves to `to` at `row`, [`Walk::earliest`] or later.
    pub(crate) fn advance(
        &mut self,
        fixed: &mut FixedColumns,
        row: usize,
        to: Monomial,
    ) -> Result<(), LayoutError> {
        if let Some((from_row, from)) = self.last {
            let steps = row
                .checked_sub(from_row)
                .and_then(|rows| path::steps(from, to, rows))
                .ok_or_else(|| broken(self.chain, "the chain has too few rows for a walk"))?;
            for (i, (num, den)) in steps.into_iter().enumerate() {
                fixed.set(self.num, from_row + 1 + i, num);
                fixed.set(self.den, from_row + i, den);
            }
        }
        self.last = Some((row, to));
        Ok(())
    }

    /// Ends at weight 1 in `row`, the one before the totals are compared.
    pub(crate) fn finish(
        &mut self,
        fixed: &mut FixedColumns,
        row: usize,
    ) -> Result<(), LayoutError> {
        let hold: Step = path::HOLD;
        if self.last.is_none() {
            // An empty chain starts, as every chain does, with the reset (numerator 0) and holds 0.
            self.last = Some((0, Monomial::default()));
        }
        self.advance(fixed, row, Monomial::default())?;
        fixed.set(self.den, row, hold.1);
        Ok(())
    }
}

/// The activation program.
pub(crate) struct Activation<'a> {
    pub(crate) model: &'a Model,
    pub(crate) profile: Profile,
    pub(crate) visibility: Visibility,
    pub(crate) tensors: &'a [Tensor],
    pub(crate) acc: Walk,
    pub(crate) cons: Walk,
    pub(crate) rows: Vec<Option<Cell>>,
    pub(crate) public: Vec<Public>,
    pub(crate) nodes: Vec<NodeRows>,
}

impl<'a> Activation<'a> {
    pub(crate) fn new(
        model: &'a Model,
        profile: Profile,
        visibility: Visibility,
        tensors: &'a [Tensor],
    ) -> Self {
        Activation {
            model,
            profile,
            visibility,
            tensors,
            acc: Walk::new("acc", fixed::ACC_NUM, fixed::ACC_DEN),
            cons: Walk::new("cons", fixed::CONS_NUM, fixed::CONS_DEN),
            rows: Vec::new(),
            public: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// Writes all rows; the digests of hashed sides stand in front, where the instance columns are short.
    pub(crate) fn write(&mut self, columns: &mut FixedColumns) -> Result<(), LayoutError> {
        if self.visibility.hashes() {
            self.acc.advance(columns, 0, Monomial::default())?;
            columns.set(fixed::INSTANCE, 0, -1);
            self.rows.push(None);
        }
        for index in 0..self.tensors.len() {
            let start = self.rows.len();
            let junk = self.write_tensor(columns, index)?;
            self.nodes.push(NodeRows {
                node: self.tensors[index].node,
                activation: self.rows.len() - start,
                junk,
                contraction: 0,
            });
        }
        Ok(())
    }

    fn write_tensor(
        &mut self,
        columns: &mut FixedColumns,
        index: usize,
    ) -> Result<usize, LayoutError> {
        let name = &self.model.nodes[self.tensors[index].node].name;
        let tensor = &self.tensors[index];
        let mut junk = 0;
        for group in 0..tensor.groups {
            for position in tensor.walk(group) {
                let (to_acc, to_cons) = self.monomials(tensor, group, position);
                let row = self
                    .rows
                    .len()
                    .max(to_acc.map_or(0, |m| self.acc.earliest(m)))
                    .max(to_cons.map_or(0, |m| self.cons.earliest(m)));
                check_rows("activations", row + 1, &self.profile)?;
                if let Some(m) = to_acc {
                    self.acc.advance(columns, row, m)?;
                }
                if let Some(m) = to_cons {
                    self.cons.advance(columns, row, m)?;
                }
                // The running maximum passes from a row to the next: after a bridging row it would start anew.
                if row != self.rows.len() && self.continues_window(tensor, group, position) {
                    return Err(broken(
                        name,
                        "the rows of a pooling window are not neighbours",
                    ));
                }
                self.rows.resize(row, None);
                self.rows.push(Some(Cell {
                    tensor: index as u32,
                    group: group as u32,
                    position: position as u32,
                }));
                let enters = [to_acc, to_cons].map(|weight| weight.is_some());
                let live = self.write_selectors(columns, tensor, (group, position), row, enters)?;
                junk += usize::from(!live);
            }
        }
        Ok(junk)
    }

    /// True for the rows of a window but its first.
    fn continues_window(&self, tensor: &Tensor, group: usize, position: usize) -> bool {
        let backwards = tensor.alternate && group % 2 == 1;
        tensor.order[position]
            .window
            .is_some_and(|(i, len)| if backwards { i + 1 < len } else { i > 0 })
    }

    /// Weights of a row in the two functionals, over the row's lane 0.
    fn monomials(
        &self,
        tensor: &Tensor,
        group: usize,
        position: usize,
    ) -> (Option<Monomial>, Option<Monomial>) {
        let lanes = self.profile.lanes;
        let cell = &tensor.order[position];
        let acc = cell.prod.map(|c| {
            let k = (tensor.base_p + tensor.offset_p(group, c.plane, lanes)) / lanes;
            Monomial {
                k: k as i64,
                y: c.y,
                x: c.x,
            }
        });
        let read = tensor.consumed && (cell.at.is_some() || (cell.one && group == 0));
        let cons = cell.cons.filter(|_| read).map(|c| {
            let k = (tensor.base_c + tensor.offset_c(group, c.plane, lanes)) / lanes;
            Monomial {
                k: k as i64,
                y: c.y,
                x: c.x,
            }
        });
        (acc, cons)
    }

    /// Returns false for a row that only completes a full product. `enters`: whether the chains `acc` and `cons` give the
    /// row a weight; what enters a chain where it only bridges would have the weight of a neighbour's cell.
    fn write_selectors(
        &mut self,
        columns: &mut FixedColumns,
        tensor: &Tensor,
        (group, position): (usize, usize),
        row: usize,
        enters: [bool; 2],
    ) -> Result<bool, LayoutError> {
        let cell = &tensor.order[position];
        if cell.one && group == 0 {
            columns.set(fixed::ONE, row, 1);
        }
        let node = &self.model.nodes[tensor.node];
        let live = match &node.kind {
            Kind::Input { .. } if cell.at.is_some() => {
                columns.set(fixed::CONSUME, row, 1);
                columns.set(fixed::TAG, row, tensor.tag);
                match self.visibility.input {
                    Shown::Private => {}
                    Shown::Public => {
                        columns.set(fixed::SCALE_A, row, 1);
                        columns.set(fixed::INSTANCE, row, -1);
                        self.record_public(tensor, group, position, row);
                    }
                    // The hashed values come in with the opposite sign.
                    Shown::Hashed => columns.set(fixed::SCALE_A, row, -1),
                }
                true
            }
            Kind::Input { .. } => true,
            Kind::Linear(linear) if linear.table == Table::Raw => {
                let valid = cell.at.is_some();
                match self.visibility.output {
                    Shown::Public if valid => {
                        columns.set(fixed::INSTANCE, row, 1);
                        self.record_public(tensor, group, position, row);
                    }
                    // The hashed values stand for the accumulators.
                    Shown::Hashed if valid => {}
                    _ => columns.set(fixed::SCALE_B, row, 1),
                }
                valid
            }
            Kind::Linear(linear) => {
                self.write_looked_up(columns, tensor, linear, (group, position), row)
            }
        };
        let in_acc = [fixed::SCALE_A, fixed::SCALE_B, fixed::INSTANCE];
        let in_cons = [fixed::CONSUME, fixed::ONE];
        for (entered, selectors) in enters.into_iter().zip([&in_acc[..], &in_cons]) {
            let selected = selectors.iter().any(|c| columns.get(*c, row) != 0);
            if selected && !entered {
                return Err(broken(
                    &node.name,
                    "a row has no weight of its own in a chain",
                ));
            }
        }
        Ok(live)
    }

    /// A row of a tensor that is not an output.
    fn write_looked_up(
        &self,
        columns: &mut FixedColumns,
        tensor: &Tensor,
        linear: &Linear,
        (group, position): (usize, usize),
        row: usize,
    ) -> bool {
        let cell = &tensor.order[position];
        if cell.cons.is_none() {
            columns.set(fixed::SCALE_B, row, 1);
            return false;
        }
        if cell.at.is_none() {
            return true;
        }
        let (mut tag, mut goes_on) = (tensor.tag, false);
        if let Some((i, len)) = cell.window {
            let i = if tensor.alternate && group % 2 == 1 {
                len - 1 - i
            } else {
                i
            };
            goes_on = i + 1 < len;
            if i == 0 {
                tag = tensor.first_tag;
            }
        }
        columns.set(fixed::CONSUME, row, 1);
        columns.set(fixed::TAG, row, tag);
        columns.set(
            fixed::SCALE_A,
            row,
            if linear.requantize {
                1i64 << self.model.shift
            } else {
                1
            },
        );
        if linear.requantize {
            columns.set(fixed::SCALE_B, row, 1);
        }
        if goes_on {
            columns.set(fixed::WINDOW, row, 1);
        }
        true
    }

    fn record_public(&mut self, tensor: &Tensor, group: usize, position: usize, row: usize) {
        let Some((n, y, x)) = tensor.order[position].at else {
            return;
        };
        let shape = self.model.nodes[tensor.node].shape;
        let outputs = self.model.outputs.len();
        let port = self
            .model
            .outputs
            .iter()
            .position(|p| p.node == tensor.node)
            .or_else(|| {
                self.model
                    .inputs
                    .iter()
                    .position(|p| p.node == tensor.node)
                    .map(|i| outputs + i)
            });
        let Some(port) = port else { return };
        for lane in 0..self.profile.lanes {
            let c = group * self.profile.lanes + lane;
            if c < tensor.channels {
                let element = ((n * shape.c + c) * shape.h + y) * shape.w + x;
                self.public.push(Public {
                    row,
                    lane,
                    port,
                    element,
                });
            }
        }
    }
}

impl Layout {
    /// Limb `i` of a remainder as this layout's profile holds it.
    pub(crate) fn limb(&self, b: i64, i: usize) -> i64 {
        if self.profile.limbs == 1 {
            b
        } else {
            (b >> (i as u32 * LIMB_BITS)) & ((1 << LIMB_BITS) - 1)
        }
    }
}
