//! What a layout can hold, told of a model before any row is planned: shapes, windows and ranges cost a file nothing, and
//! must not cost memory or time either.

use std::collections::{HashMap, HashSet};

use super::copies::{accumulator_grid, requested};
use super::plan::LayoutError;
use super::scheme::Scheme;
use crate::model::{Kind, Linear, Model, Node, NodeId, Op, Shape, Table};
use crate::profile::Profile;

/// Largest circuit: 2^24 rows of halo2. Only the weights of a model can need as many.
pub(crate) const MAX_K: u32 = 24;
/// Rows that a layout may have for each of what follows from shapes and ranges, activations, tables, hashing: 2^21.
pub(crate) const MAX_OWN_ROWS: usize = 1 << 21;
/// Functionals of tensors that a layout may read, 2^19: each channel of each plane has one, so a dense layer one for each of its
/// inputs. They take more memory than rows do.
const MAX_FUNCTIONALS: usize = 1 << 19;
/// Steps that walking all windows over all positions may take.
const MAX_STEPS: u128 = 1 << 27;
/// Values of tables that bounds may be looked up in, channel by channel.
const MAX_LOOKUPS: u128 = 1 << 31;

/// Refuses a model whose activations alone are more than a layout in `profile` can hold.
pub(super) fn check(model: &Model, profile: &Profile) -> Result<(), LayoutError> {
    let rows = |shape: Shape, positions: usize| {
        shape.n as u128 * positions as u128 * shape.c.div_ceil(profile.lanes) as u128
    };
    let (mut total, mut steps, mut lookups) = (0u128, 0u128, 0u128);
    let mut schemes: HashMap<NodeId, HashSet<Scheme>> = HashMap::new();
    for node in &model.nodes {
        let shape = node.shape;
        let positions = match &node.kind {
            Kind::Linear(Linear { pool: Some(p), .. }) => {
                shape.h * shape.w * p.kernel.0 * p.kernel.1
            }
            _ => shape.h * shape.w,
        };
        total += rows(shape, positions);
        if let Kind::Linear(linear) = &node.kind {
            for term in &linear.terms {
                let scheme = requested(model, node, term).unwrap_or(Scheme::UNIT);
                schemes.entry(term.source).or_default().insert(scheme);
                steps += walked(&term.op, model.nodes[term.source].shape, node, linear);
            }
            if let Table::Lut { values, .. } = &linear.table {
                lookups += shape.c as u128 * values.len() as u128;
            }
        }
    }
    let mut functionals = 0u128;
    for (source, schemes) in schemes {
        let shape = model.nodes[source].shape;
        functionals += schemes.iter().map(|s| planes(*s, shape)).sum::<u128>() * shape.c as u128;
        if schemes.len() > 1 {
            let copies = schemes.iter().filter(|s| **s != Scheme::UNIT).count();
            total += copies as u128 * rows(shape, shape.h * shape.w);
        }
    }
    let count = |n: u128| usize::try_from(n).unwrap_or(usize::MAX);
    check_rows("activations", count(total), profile)?;
    // Each functional that is read ends in a row, whether or not it has weights.
    if functionals > MAX_FUNCTIONALS as u128 {
        return Err(LayoutError::TooManyRows {
            what: "functionals",
            rows: count(functionals),
            limit: MAX_FUNCTIONALS,
        });
    }
    let what = if steps > MAX_STEPS {
        "the windows of the model walk over more positions than can be laid out; make its kernels or its inputs smaller"
    } else if lookups > MAX_LOOKUPS {
        "the tables of the model are too large for the number of its channels; lower --bits"
    } else {
        return Ok(());
    };
    Err(LayoutError::Unsupported {
        node: model.name.clone(),
        what,
    })
}

/// Refuses rows of one use beyond what `profile` has, or beyond [`MAX_OWN_ROWS`].
pub(super) fn check_rows(
    what: &'static str,
    rows: usize,
    profile: &Profile,
) -> Result<(), LayoutError> {
    let limit = MAX_OWN_ROWS.min(most_rows(profile));
    if rows <= limit {
        return Ok(());
    }
    Err(LayoutError::TooManyRows { what, rows, limit })
}

/// Rows of the largest circuit of a profile.
pub(super) fn most_rows(profile: &Profile) -> usize {
    (1 << MAX_K) / profile.fold
}

/// Planes of a tensor that is read in a scheme.
fn planes(scheme: Scheme, shape: Shape) -> u128 {
    let positions = shape.h as u128 * shape.w as u128;
    match scheme {
        Scheme::Strided(sy, sx) => positions.min(sy as u128 * sx as u128),
        Scheme::Collapse(..) => 1,
        Scheme::Flatten => positions,
    }
}

/// Steps that laying a term out takes: every position of its window meets every position of its source.
fn walked(op: &Op, source: Shape, node: &Node, linear: &Linear) -> u128 {
    let ((kh, kw), (sy, sx), channels) = match op {
        Op::Conv(c) => (c.kernel, c.stride, 0),
        Op::SumPool(p) => (p.kernel, p.stride, p.channels),
        Op::Dense { .. } | Op::Map { .. } => return 0,
    };
    let out = accumulator_grid(node.shape, linear);
    let product = |v: &[usize]| v.iter().map(|&v| v as u128).product::<u128>();
    // Taps are sought along each axis, met with the positions of their plane, and weighted for each channel.
    product(&[kh, out.0])
        + product(&[kw, out.1])
        + product(&[
            kh,
            kw,
            source.n,
            source.h.div_ceil(sy),
            source.w.div_ceil(sx),
        ])
        + product(&[kh, kw, channels])
}
