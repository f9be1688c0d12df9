//! What each row does with its lanes: whether they are looked up and by which tag, how they enter the accumulator, and where
//! windows go on.

use super::CheckError;
use super::cells::{Held, pooled};
use super::columns::Columns;
use crate::layout::{Layout, Shown};
use crate::model::{Kind, Table};
use crate::profile::fixed;

/// The lookup tags of a tensor's rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tags {
    /// Of the first rows of windows, and of all rows of a tensor without windows.
    pub(super) first: Option<i64>,
    /// Of the other rows of windows.
    pub(super) later: Option<i64>,
}

/// The columns that say what a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Selectors {
    scale_a: i64,
    scale_b: i64,
    consume: i64,
    instance: i64,
    window: i64,
    tag: i64,
}

/// The window that the next row must go on with.
struct Open {
    tensor: usize,
    channel: usize,
    at: (usize, usize, usize),
    left: usize,
}

/// Compares every row's selectors with what the held cell demands; gives the tags of each tensor.
pub(super) fn tags(
    columns: &Columns<'_>,
    layout: &Layout,
    held: &[Option<Held>],
) -> Result<Vec<Tags>, CheckError> {
    let mut tags = vec![Tags::default(); layout.tensors.len()];
    let mut open: Option<Open> = None;
    for (row, cell) in held.iter().enumerate() {
        let got = read(columns, row);
        if !(0..=1).contains(&columns.at(fixed::ONE, row)) {
            return Err(CheckError::at(row, "the constant lane is neither 0 nor 1"));
        }
        let Some(cell) = cell else {
            let expected = Selectors {
                // The digests enter in row 0.
                instance: if columns.profile.hash && row == 0 {
                    -1
                } else {
                    0
                },
                ..Selectors::default()
            };
            if got != expected || open.is_some() {
                return Err(CheckError::at(
                    row,
                    "a row that holds nothing does something",
                ));
            }
            continue;
        };
        let node = &layout.model.nodes[layout.tensors[cell.tensor].node];
        let fail = |what: &str| CheckError::at(row, what).node(&node.name);
        let (window, starts) = step(&mut open, node, cell, got.consume != 0).map_err(&fail)?;
        let expected = selectors(layout, node, cell, got).map_err(&fail)?;
        let expected = Selectors { window, ..expected };
        if got != expected {
            return Err(fail(&format!(
                "the row's selectors are {got:?}, not {expected:?}"
            )));
        }
        if got.consume != 0 {
            let tags = &mut tags[cell.tensor];
            let known = if starts {
                &mut tags.first
            } else {
                &mut tags.later
            };
            if *known.get_or_insert(got.tag) != got.tag {
                return Err(fail("two rows of one kind look up different tables"));
            }
        }
    }
    match open {
        Some(_) => Err(CheckError::new("a window has no end")),
        None => Ok(tags),
    }
}

fn read(columns: &Columns<'_>, row: usize) -> Selectors {
    Selectors {
        scale_a: columns.at(fixed::SCALE_A, row),
        scale_b: columns.at(fixed::SCALE_B, row),
        consume: columns.at(fixed::CONSUME, row),
        instance: columns.at(fixed::INSTANCE, row),
        window: columns.at(fixed::WINDOW, row),
        tag: columns.at(fixed::TAG, row),
    }
}

/// What a row's selectors must be, but for the window. A row of a computed tensor may be one that nobody reads.
fn selectors(
    layout: &Layout,
    node: &crate::model::Node,
    cell: &Held,
    got: Selectors,
) -> Result<Selectors, &'static str> {
    let zero = Selectors::default();
    match (&node.kind, cell.at) {
        // The row of a constant lane.
        (Kind::Input { .. }, None) => Ok(zero),
        (Kind::Input { .. }, Some(_)) => {
            let (scale_a, instance) = match layout.visibility.input {
                Shown::Private => (0, 0),
                Shown::Public => (1, -1),
                Shown::Hashed => (-1, 0),
            };
            Ok(Selectors {
                scale_a,
                instance,
                consume: 1,
                tag: got.tag,
                ..zero
            })
        }
        (Kind::Linear(linear), at) if linear.table == Table::Raw => {
            let (scale_b, instance) = match (layout.visibility.output, at) {
                (Shown::Public, Some(_)) => (0, 1),
                (Shown::Hashed, Some(_)) => (0, 0),
                _ => (1, 0),
            };
            Ok(Selectors {
                scale_b,
                instance,
                ..zero
            })
        }
        // Of a full product, or of a constant lane: an accumulator that is free, or none at all.
        (Kind::Linear(_), _) if got.consume == 0 => Ok(Selectors {
            scale_b: i64::from(got.scale_b != 0),
            ..zero
        }),
        (Kind::Linear(linear), Some(at)) => {
            pooled(node, at).ok_or("a row is read that no window has")?;
            let shift = if linear.requantize {
                layout.model.shift
            } else {
                0
            };
            Ok(Selectors {
                scale_a: 1 << shift,
                scale_b: i64::from(linear.requantize),
                consume: 1,
                tag: got.tag,
                ..zero
            })
        }
        (Kind::Linear(_), None) => Err("a row is read that holds no cell"),
    }
}

/// Follows the windows: the selector that a row must have, and whether it is its window's first. A running maximum passes
/// from a row to the next, so the rows of a window are neighbours.
fn step(
    open: &mut Option<Open>,
    node: &crate::model::Node,
    cell: &Held,
    read: bool,
) -> Result<(i64, bool), &'static str> {
    let Kind::Linear(linear) = &node.kind else {
        return plain(open);
    };
    let (Some(pool), true) = (linear.pool, read) else {
        return plain(open);
    };
    let at = cell
        .at
        .and_then(|at| pooled(node, at))
        .ok_or("a row is read that no window has")?;
    let starts = open.is_none();
    let window = open.take().unwrap_or(Open {
        tensor: cell.tensor,
        channel: cell.channel,
        at,
        left: pool.kernel.0 * pool.kernel.1,
    });
    if (window.tensor, window.channel, window.at) != (cell.tensor, cell.channel, at) {
        return Err("a window is interrupted");
    }
    let left = window.left - 1;
    if left > 0 {
        *open = Some(Open { left, ..window });
    }
    Ok((i64::from(left > 0), starts))
}

fn plain(open: &Option<Open>) -> Result<(i64, bool), &'static str> {
    match open {
        None => Ok((0, true)),
        Some(_) => Err("a window is interrupted"),
    }
}
