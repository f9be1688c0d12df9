//! Which cell of the model each row holds, and the weights of a tensor's cells where it is produced and where it is consumed.
//!
//! The layout says which cell a row holds. Nothing rests on that being right: with other cells in the rows the weights of the
//! functionals would not be the model's.

use super::CheckError;
use super::columns::Columns;
use super::places::Places;
use super::walk::Exponents;
use crate::layout::{Layout, Shown};
use crate::model::{Kind, Linear, Node, NodeId, Table};
use crate::profile::fixed;

/// `(n, y, x)` in the accumulator's grid.
pub(super) type At = (usize, usize, usize);

/// What a row holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Index of the tensor.
    pub(super) tensor: usize,
    /// The lanes' channels are those from here on.
    pub(super) channel: usize,
    /// `None`: no cell of the model.
    pub(super) at: Option<At>,
    group: usize,
    position: usize,
}

/// A tensor's cells.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    pub(super) id: NodeId,
    pub(super) node: &'a Node,
    pub(super) groups: usize,
    /// The accumulator's `(H, W)`.
    pub(super) grid: (usize, usize),
    /// Places in the functional `acc`, by position of the accumulator.
    pub(super) produced: Places,
    /// Places in the functional `cons`, by position of the tensor.
    pub(super) consumed: Places,
}

/// The accumulator's grid.
pub(super) fn grid(node: &Node) -> (usize, usize) {
    match &node.kind {
        Kind::Linear(Linear {
            pool: Some(pool), ..
        }) => pool.full,
        _ => (node.shape.h, node.shape.w),
    }
}

/// Position of the pooled tensor that a position of the accumulator belongs to; `None` in the rest that is cropped away.
pub(super) fn pooled(node: &Node, (n, y, x): At) -> Option<At> {
    let (kh, kw) = match &node.kind {
        Kind::Linear(linear) => linear.pool.map_or((1, 1), |p| p.kernel),
        Kind::Input { .. } => (1, 1),
    };
    let (y, x) = (y / kh, x / kw);
    (y < node.shape.h && x < node.shape.w).then_some((n, y, x))
}

/// What the layout says that each row holds, `None` for rows of nothing. Each node has one tensor.
pub(super) fn held(layout: &Layout, last: usize) -> Result<Vec<Option<Held>>, CheckError> {
    let lanes = layout.profile.lanes;
    let mut owners = vec![false; layout.model.nodes.len()];
    for tensor in &layout.tensors {
        let fresh = owners
            .get_mut(tensor.node)
            .is_some_and(|owned| !std::mem::replace(owned, true));
        if !fresh {
            return Err(CheckError::new("a node has two tensors, or a tensor none"));
        }
    }
    if owners.contains(&false) || layout.rows.len() > last {
        return Err(CheckError::new(
            "a node has no tensor, or the rows go past the last",
        ));
    }
    let mut out = vec![None; last];
    for (row, cell) in layout.rows.iter().enumerate() {
        let Some(cell) = cell else { continue };
        let unknown = || CheckError::at(row, "the row holds a cell that does not exist");
        let tensor = layout
            .tensors
            .get(cell.tensor as usize)
            .ok_or_else(unknown)?;
        let node = &layout.model.nodes[tensor.node];
        let (group, position) = (cell.group as usize, cell.position as usize);
        let at = tensor.order.get(position).ok_or_else(unknown)?.at;
        let (h, w) = grid(node);
        let inside = at.is_none_or(|(n, y, x)| n < node.shape.n && y < h && x < w);
        if group >= node.shape.c.div_ceil(lanes) || !inside {
            return Err(unknown().node(&node.name));
        }
        out[row] = Some(Held {
            tensor: cell.tensor as usize,
            channel: group * lanes,
            at,
            group,
            position,
        });
    }
    Ok(out)
}

/// Rows of each tensor by group and position.
pub(super) fn rows_by_tensor(
    layout: &Layout,
    held: &[Option<Held>],
) -> Result<Vec<Vec<Vec<Option<usize>>>>, CheckError> {
    let lanes = layout.profile.lanes;
    let empty = |t: &crate::layout::Tensor| {
        let groups = layout.model.nodes[t.node].shape.c.div_ceil(lanes);
        vec![vec![None; groups]; t.order.len()]
    };
    let mut out: Vec<Vec<Vec<Option<usize>>>> = layout.tensors.iter().map(empty).collect();
    for (row, cell) in held.iter().enumerate() {
        let Some(cell) = cell else { continue };
        if out[cell.tensor][cell.position][cell.group]
            .replace(row)
            .is_some()
        {
            return Err(CheckError::at(row, "a cell stands in two rows"));
        }
    }
    Ok(out)
}

/// The weights of a chain by row.
type Chain = [Option<Exponents>];

/// The cells of one tensor, from the weights of its rows. `rows` are those of each position by group.
pub(super) fn cells<'a>(
    columns: &Columns<'_>,
    layout: &'a Layout,
    tensor: usize,
    rows: &[Vec<Option<usize>>],
    (acc, cons): (&Chain, &Chain),
) -> Result<Cells<'a>, CheckError> {
    let id = layout.tensors[tensor].node;
    let node = &layout.model.nodes[id];
    let fail = |e: CheckError, row: usize| CheckError {
        row: Some(row),
        ..e.node(&node.name)
    };
    let (h, w) = grid(node);
    let (n, c) = (node.shape.n, node.shape.c);
    let mut out = Cells {
        id,
        node,
        groups: c.div_ceil(layout.profile.lanes),
        grid: (h, w),
        produced: Places::new(n * h * w),
        consumed: Places::new(n * node.shape.h * node.shape.w),
    };
    let mut seen = vec![false; n * h * w];
    for (position, rows) in rows.iter().enumerate() {
        let Some(first) = rows[0] else {
            if rows.iter().any(Option::is_some) {
                return Err(
                    CheckError::new("a position lacks its first lane group").node(&node.name)
                );
            }
            continue;
        };
        let cell = layout.tensors[tensor].order[position].at;
        let read = columns.at(fixed::CONSUME, first) != 0;
        let raw = matches!(&node.kind, Kind::Linear(l) if l.table == Table::Raw);
        // Hashed outputs enter another chain; the row where they would enter this one says with which weight.
        let hashed = raw && layout.visibility.output == Shown::Hashed && cell.is_some();
        let enters = |row: usize| {
            let selectors = [fixed::SCALE_A, fixed::SCALE_B, fixed::INSTANCE];
            hashed || selectors.iter().any(|s| columns.at(*s, row) != 0)
        };
        let consumes = |row: usize| columns.at(fixed::CONSUME, row) != 0;
        let produced = weights(rows, enters, acc).map_err(|e| fail(e, first))?;
        let consumed = weights(rows, consumes, cons).map_err(|e| fail(e, first))?;
        let valid = cell.filter(|_| read || raw);
        if let Some((n, y, x)) = valid {
            let index = (n * h + y) * w + x;
            if std::mem::replace(&mut seen[index], true) {
                return Err(fail(CheckError::new("a cell stands in two rows"), first));
            }
        }
        if let Some(weights) = produced {
            let place = out.produced.place(&weights).map_err(|e| fail(e, first))?;
            match valid {
                Some((n, y, x)) => out.produced.at[(n * h + y) * w + x] = Some(place),
                None => out.produced.spare.push(place),
            }
        }
        if let Some(weights) = consumed {
            let place = out.consumed.place(&weights).map_err(|e| fail(e, first))?;
            let pooled = valid.and_then(|at| pooled(node, at));
            let (n, y, x) = pooled
                .ok_or_else(|| fail(CheckError::new("a row is read that holds no cell"), first))?;
            let index = (n * node.shape.h + y) * node.shape.w + x;
            // The rows of a window are one position.
            if out.consumed.at[index]
                .replace(place)
                .is_some_and(|p| p != place)
            {
                let what = "the rows of a window are read with different weights";
                return Err(fail(CheckError::new(what), first));
            }
        }
    }
    let named = |e: CheckError| e.node(&node.name);
    out.produced.count(true).map_err(named)?;
    out.consumed.count(false).map_err(named)?;
    Ok(out)
}

/// The weights of a position's rows in a chain, if they enter it; all groups do or none.
fn weights(
    rows: &[Option<usize>],
    enters: impl Fn(usize) -> bool,
    chain: &Chain,
) -> Result<Option<Vec<Exponents>>, CheckError> {
    let entering = |row: &Option<usize>| row.is_some_and(&enters);
    if !rows.iter().any(entering) {
        return Ok(None);
    }
    if !rows.iter().all(entering) {
        return Err(CheckError::new(
            "some lane groups enter a chain and some do not",
        ));
    }
    let weights = rows.iter().flatten().map(|row| chain[*row]);
    let weights = weights.collect::<Option<Vec<Exponents>>>();
    match weights {
        Some(weights) if weights.iter().all(|w| w.is_power()) => Ok(Some(weights)),
        _ => Err(CheckError::new(
            "a row that enters a chain has no weight there",
        )),
    }
}

/// No exponent of `κ` belongs to two lane groups; `others` are further owners.
pub(super) fn distinct_exponents<'a>(
    places: impl Iterator<Item = (&'a str, &'a Places)>,
    others: &[i32],
    chain: &str,
) -> Result<(), CheckError> {
    let mut all: Vec<(i32, Option<&str>)> = others.iter().map(|k| (*k, None)).collect();
    for (node, places) in places {
        all.extend(places.planes.iter().flatten().map(|k| (*k, Some(node))));
    }
    all.sort_unstable();
    match all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => Ok(()),
        Some(pair) => {
            let error = CheckError::new(format!(
                "two lane groups share the exponent {} of the chain {chain}",
                pair[0].0
            ));
            Err(match pair[1].1.or(pair[0].1) {
                Some(node) => error.node(node),
                None => error,
            })
        }
    }
}
