//! The lookup tables: the limbs are all limbs, the table of each tag is its nodes' function, and covers whatever they look up.

use std::collections::BTreeMap;

use super::CheckError;
use super::columns::Columns;
use super::intervals::{Interval, Intervals};
use super::rows::Tags;
use crate::layout::Layout;
use crate::model::{Kind, Linear, Model, NodeId, Op, Table};
use crate::profile::LIMB_BITS;

/// Tag of the limbs of remainders.
const LIMBS: i64 = 1;

/// One tag's function: its value at `lo`, `lo + 1`, ...
#[derive(Debug)]
struct Values {
    lo: i64,
    out: Vec<i64>,
}

/// All tables by tag.
#[derive(Debug)]
pub(super) struct Tables(BTreeMap<i64, Values>);

/// What a row looks up.
#[derive(Clone, Copy, Debug)]
enum Function<'a> {
    /// The value itself, an input's.
    Range(i64, i64),
    Of(&'a Table),
    /// How much a running maximum grows, at most by the last.
    Growth(Option<i64>),
}

impl Function<'_> {
    fn at(self, x: i64) -> i64 {
        match self {
            Function::Range(..) => x,
            Function::Growth(most) => x.max(0).min(most.unwrap_or(i64::MAX)),
            Function::Of(table) => value(table, x),
        }
    }
}

/// `c = table(x)`, as the model defines it.
pub(super) fn value(table: &Table, x: i64) -> i64 {
    match table {
        Table::Raw | Table::Identity => x,
        Table::Clip { lo, hi } => x.max(*lo).min(*hi),
        Table::Lut { lo, values } => {
            let last = values.len() - 1;
            let at = usize::try_from(x.saturating_sub(*lo))
                .unwrap_or(0)
                .min(last);
            i64::from(values[at])
        }
    }
}

impl Tables {
    /// Reads the tables: arguments rise by one from row to row of a tag, on through the sets of columns.
    pub(super) fn read(columns: &Columns<'_>) -> Result<Self, CheckError> {
        let mut out: BTreeMap<i64, Values> = BTreeMap::new();
        let mut current: Option<(i64, Values)> = None;
        for set in 0..columns.profile.tables {
            let [input, output, tag] = columns.profile.table(set);
            let rows = [input, output, tag].map(|c| columns.column(c).len());
            for row in 0..rows.into_iter().max().unwrap_or(0) {
                let [x, y, tag] = [input, output, tag].map(|c| columns.at(c, row));
                match &mut current {
                    Some((t, values)) if *t == tag && tag != 0 => {
                        if x.checked_sub(values.lo) != Some(values.out.len() as i64) {
                            return Err(CheckError::at(row, "the arguments of a table have a gap"));
                        }
                        values.out.push(y);
                    }
                    _ if tag == 0 => {
                        if (x, y) != (0, 0) {
                            return Err(CheckError::at(row, "a table row without a tag"));
                        }
                    }
                    _ => {
                        close(&mut out, current.take(), row)?;
                        let values = Values {
                            lo: x,
                            out: vec![y],
                        };
                        current = Some((tag, values));
                    }
                }
            }
        }
        close(&mut out, current, columns.last)?;
        Ok(Tables(out))
    }

    /// Limbs of remainders: each of the least ones once, and a remainder of as many bits as the model shifts by.
    pub(super) fn limbs(&self, columns: &Columns<'_>, model: &Model) -> Result<(), CheckError> {
        let limbs = columns.profile.limbs as u32;
        let bits = if limbs == 1 { model.shift } else { LIMB_BITS };
        if limbs * bits != model.shift {
            return Err(CheckError::new(
                "remainders have other bits than the model shifts by",
            ));
        }
        let table = self.0.get(&LIMBS);
        let exact =
            |t: &Values| t.lo == 0 && t.out.len() == 1 << bits && t.out.iter().all(|v| *v == 0);
        if table.is_some_and(exact) {
            Ok(())
        } else {
            Err(CheckError::new("the table of limbs is not all limbs"))
        }
    }

    /// The function and the extent of the tables that the rows of a node look up. With `silent` the node has lanes past the last
    /// channel that must look up a 0.
    pub(super) fn node(
        &self,
        layout: &Layout,
        id: NodeId,
        tags: Tags,
        intervals: &Intervals,
        silent: bool,
    ) -> Result<(), CheckError> {
        let node = &layout.model.nodes[id];
        let range = intervals.node(id);
        let (first, later) = functions(&layout.model, id);
        for (tag, functions, range) in [
            (tags.first, first, range.first),
            (tags.later, later, range.later),
        ] {
            let Some(tag) = tag else { continue };
            let mut verdict = Ok(());
            for function in functions {
                verdict = self.function(tag, function, range, silent);
                if verdict.is_ok() {
                    break;
                }
            }
            verdict.map_err(|e| e.node(&node.name))?;
        }
        Ok(())
    }

    fn function(
        &self,
        tag: i64,
        function: Function<'_>,
        range: Interval,
        silent: bool,
    ) -> Result<(), CheckError> {
        let table = self
            .0
            .get(&tag)
            .filter(|_| tag != LIMBS)
            .ok_or_else(|| CheckError::new("its rows look up a table that does not exist"))?;
        let hi = table.lo + table.out.len() as i64 - 1;
        if let Function::Range(from, to) = function
            && (from, to) != (table.lo, hi)
        {
            return Err(CheckError::new(
                "the table of an input is not the input's range",
            ));
        }
        let wrong = (table.lo..)
            .zip(&table.out)
            .find(|(x, y)| function.at(*x) != **y);
        if let Some((x, y)) = wrong {
            return Err(CheckError::new(format!("its table has {y} at {x}")));
        }
        if table.lo > range.lo.min(0) || hi < range.hi.max(0) {
            return Err(CheckError::new(
                "its table does not reach whatever it may look up",
            ));
        }
        if silent && function.at(0) != 0 {
            return Err(CheckError::new(
                "unused lanes are not 0, and no functional takes them up",
            ));
        }
        Ok(())
    }
}

/// What the first rows of a node's windows, or its rows without windows, may look up, and what the others may.
fn functions(model: &Model, id: NodeId) -> (Vec<Function<'_>>, Vec<Function<'_>>) {
    let linear = match &model.nodes[id].kind {
        Kind::Input { lo, hi } => return (vec![Function::Range(*lo, *hi)], Vec::new()),
        Kind::Linear(linear) => linear,
    };
    let Some(pool) = linear.pool else {
        return (vec![Function::Of(&linear.table)], Vec::new());
    };
    let growth = || vec![Function::Growth(None)];
    if !pool.from_zero {
        return (vec![Function::Of(&Table::Identity)], growth());
    }
    let mut growth = growth();
    growth.extend(saturation(model, id).map(|hi| Function::Growth(Some(hi))));
    (growth.clone(), growth)
}

fn close(
    out: &mut BTreeMap<i64, Values>,
    done: Option<(i64, Values)>,
    row: usize,
) -> Result<(), CheckError> {
    let Some((tag, values)) = done else {
        return Ok(());
    };
    if values.lo.checked_add(values.out.len() as i64).is_none() || out.insert(tag, values).is_some()
    {
        return Err(CheckError::at(row, "two tables have one tag"));
    }
    Ok(())
}

/// Where the growth of a node's running maximum, which starts at 0, may saturate. Some `x - M` of a window that reaches `hi` has
/// `x >= hi`, so that the true maximum and the one with saturated growth are both `hi` or more: where every reader takes
/// the maximum as it is, alone, and clamps it to `0..=hi`, it sees no difference.
fn saturation(model: &Model, id: NodeId) -> Option<i64> {
    let mut readers = model.nodes.iter().filter_map(|node| match &node.kind {
        Kind::Linear(linear) if linear.terms.iter().any(|t| t.source == id) => Some(linear),
        _ => None,
    });
    let mut least = None;
    let clamp = readers.try_fold((), |(), reader| {
        let hi = clamps(reader)?;
        let same = *least.get_or_insert(hi) == hi;
        same.then_some(())
    });
    clamp.and(least)
}

/// The upper end, where a node does nothing but clamp one tensor's elements to `0..=hi`.
fn clamps(linear: &Linear) -> Option<i64> {
    let [term] = linear.terms.as_slice() else {
        return None;
    };
    let Op::Conv(conv) = &term.op else {
        return None;
    };
    let alone = conv.kernel == (1, 1) && conv.groups == conv.cin && conv.cout == conv.cin;
    let exact = conv.weights.iter().all(|w| *w == 1) && linear.bias.iter().all(|b| *b == 0);
    match linear.table {
        Table::Clip { lo: 0, hi }
            if alone && exact && !linear.requantize && linear.pool.is_none() =>
        {
            Some(hi)
        }
        _ => None,
    }
}
