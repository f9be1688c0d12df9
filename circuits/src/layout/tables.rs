//! The lookup table: one set of columns `(in, out, tag)` for every function.

use std::collections::HashMap;

use super::plan::LayoutError;
use crate::model::{Kind, Model, Node, Table};

/// The function behind a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Function {
    /// Model input in `lo..=hi`: its own table, since it is the range check.
    Input(i64, i64),
    /// `max(x, 0)`: growth of a running maximum.
    Growth,
    /// A node's function.
    Node(Table),
}

impl Function {
    fn eval(&self, x: i64) -> i64 {
        match self {
            Function::Input(..) => x,
            Function::Growth => x.max(0),
            Function::Node(t) => t.eval(x),
        }
    }

    /// What it is, and of which node of the model, for messages.
    fn describe(&self, model: &Model) -> String {
        match self {
            Function::Input(lo, hi) => format!("the inputs, whose integers go from {lo} to {hi},"),
            Function::Growth => "the running maxima of pools".into(),
            Function::Node(table) => {
                let has_it = |node: &&Node| match &node.kind {
                    Kind::Linear(linear) => linear.table == *table,
                    Kind::Input { .. } => false,
                };
                let node = model
                    .nodes
                    .iter()
                    .find(has_it)
                    .map_or("", |node| &node.name);
                let what = match table {
                    Table::Clip { lo, hi } => format!("which clamps to {lo}..={hi}"),
                    Table::Lut { values, .. } => format!("a function of {} values", values.len()),
                    Table::Raw | Table::Identity => "as it is".into(),
                };
                format!("node `{node}`, {what},")
            }
        }
    }
}

/// Tag of range-checked limbs.
const LIMB_TAG: i32 = 1;

/// All tables. Row 0 is `(0, 0, 0)`, then the limbs, then the functions.
#[derive(Debug)]
pub(crate) struct Tables {
    limb_rows: usize,
    tags: HashMap<Function, usize>,
    functions: Vec<(Function, i64, i64)>,
    /// First row of each function.
    starts: Vec<usize>,
}

impl Tables {
    /// No functions yet; limbs of `limb_bits`.
    pub(crate) fn new(limb_bits: u32) -> Self {
        Tables {
            limb_rows: 1 << limb_bits,
            tags: HashMap::new(),
            functions: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// The tag of a function needed on `lo..=hi`.
    pub(crate) fn tag(&mut self, function: Function, (lo, hi): (i64, i64)) -> i32 {
        let index = *self.tags.entry(function.clone()).or_insert_with(|| {
            self.functions.push((function, lo, hi));
            self.functions.len() - 1
        });
        let entry = &mut self.functions[index];
        // 0 is always there: lanes past the last channel look it up.
        entry.1 = entry.1.min(lo).min(0);
        entry.2 = entry.2.max(hi).max(0);
        index as i32 + LIMB_TAG + 1
    }

    /// Fixes the rows once every function is known; the model is for messages.
    pub(crate) fn finish(&mut self, model: &Model) -> Result<(), LayoutError> {
        let mut row = 1 + self.limb_rows;
        for (function, lo, hi) in &self.functions {
            self.starts.push(row);
            let span = usize::try_from(hi.abs_diff(*lo)).unwrap_or(usize::MAX);
            let span = span.saturating_add(1);
            if span > 1 << 24 {
                return Err(LayoutError::TableTooLarge {
                    function: function.describe(model),
                    rows: span,
                });
            }
            row += span;
        }
        self.starts.push(row);
        Ok(())
    }

    /// Rows in use.
    pub(crate) fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The rows `(in, out, tag)`.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (i64, i64, i32)> + '_ {
        let limbs = (0..self.limb_rows as i64).map(|v| (v, 0, LIMB_TAG));
        let functions = self
            .functions
            .iter()
            .enumerate()
            .flat_map(|(i, (f, lo, hi))| {
                (*lo..=*hi).map(move |x| (x, f.eval(x), i as i32 + LIMB_TAG + 1))
            });
        std::iter::once((0, 0, 0)).chain(limbs).chain(functions)
    }

    /// Value and row of a lookup; `None` outside the table.
    pub(crate) fn look_up(&self, tag: i32, x: i64) -> Option<(i64, usize)> {
        let index = usize::try_from(tag - LIMB_TAG - 1).ok()?;
        let (f, lo, hi) = self.functions.get(index)?;
        (*lo..=*hi)
            .contains(&x)
            .then(|| (f.eval(x), self.starts[index] + (x - lo) as usize))
    }

    /// Row of a limb.
    pub(crate) fn limb_row(&self, v: i64) -> Option<usize> {
        usize::try_from(v)
            .ok()
            .filter(|v| *v < self.limb_rows)
            .map(|v| 1 + v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Linear, Shape};

    #[test]
    fn a_table_too_large_is_told_in_words() {
        let shape = Shape {
            n: 1,
            c: 1,
            h: 1,
            w: 1,
        };
        let clip = Table::Clip { lo: 0, hi: 4095 };
        let linear = Linear {
            terms: vec![],
            bias: vec![0],
            requantize: true,
            pool: None,
            table: clip.clone(),
        };
        let model = Model {
            name: "m".into(),
            bits: 12,
            shift: 8,
            nodes: vec![Node {
                name: "gelu".into(),
                shape,
                kind: Kind::Linear(linear),
            }],
            inputs: vec![],
            outputs: vec![],
        };
        let mut tables = Tables::new(8);
        tables.tag(Function::Node(clip), (-(1 << 24), 0));
        let told = tables.finish(&model).unwrap_err().to_string();
        assert_eq!(
            told,
            "the table of node `gelu`, which clamps to 0..=4095, needs 16777217 rows, more than any circuit has; \
             lower --bits or rescale the model"
        );
    }
}
