//! Gather from a constant table by computed indices: rows of the table, picked by one-hot vectors.
//!
//! ```text
//! hot_j = [index = j] + [index = j - rows]      negative indices count from the end
//! out   = Σ_j hot_j · table_j                   one of them is 1
//! ```

use tract_onnx::prelude::Tensor;

use super::{
    compose::{joined, merged_sum, plus, reshaped},
    selection::weighted,
};
use crate::{
    graph::{Activation, NodeId},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, Value, finite},
    },
};

/// Rows of a table: each is a function of the index, with a table of as many entries.
const MAX_ROWS: usize = 256;

/// The rows of `table` that the computed tensor `index` names.
pub(super) fn embed(
    ctx: &mut Builder,
    node: &NodeView,
    table: &Tensor,
    index: NodeId,
) -> Result<(), ImportError> {
    let shape = table.shape();
    if node.axis(node.int("axis").unwrap_or(0), shape.len())? != 0 {
        return Err(node.form(
            "its indices are computed and pick along another axis than the first; transpose the table",
        ));
    }
    let (rows, row) = (shape[0], &shape[1..]);
    let len: usize = row.iter().product();
    if rows == 0 || len == 0 || rows > MAX_ROWS {
        return Err(node.form(format!(
            "its indices are computed, and its table has shape {shape:?}; supported are 1 to {MAX_ROWS} rows"
        )));
    }
    let table = finite(node, table)?;
    ctx.bound_whole(index, (-(rows as i64), rows as i64 - 1));
    let from = ctx.shape(index).to_vec();
    let index = reshaped(ctx, node, index, &[&from[..], &[1]].concat());
    let mut parts = Vec::with_capacity(rows);
    for j in 0..rows {
        let at = |place: f32| Activation::Indicator {
            lo: place - 0.5,
            hi: place + 0.5,
            inside: true,
        };
        let front = ctx.activation(node, index, at(j as f32));
        let back = ctx.activation(node, index, at(j as f32 - rows as f32));
        parts.push(match merged_sum(ctx, node, front, back) {
            Some(id) => id,
            None => plus(ctx, node, front, Value::Node(back))?,
        });
    }
    let hot = joined(ctx, node, parts, from.len())?;
    let id = weighted(ctx, node, hot, len, |k, n| table[k * len + n])?;
    let id = reshaped(ctx, node, id, &[&from[..], row].concat());
    ctx.assign(node, Value::Node(id))
}
