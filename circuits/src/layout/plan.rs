//! From model and profile to a [`Layout`].

use super::contraction::Contraction;
use super::copies::with_copies;
use super::hash::{self, HashProgram};
use super::limits::{self, MAX_K, most_rows};
use super::path::Monomial;
use super::planner::Planner;
use super::public::check_public;
use super::rows::{Activation, FixedColumns};
use super::sequence;
use super::tables::Tables;
use super::{Layout, Stats, Tensor, Visibility};
use crate::model::Model;
use crate::profile::{LIMB_BITS, Profile, boundary, fixed};
use crate::quantize;

/// Why a model has no layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The quantizer's shift does not fit the profile.
    #[error(
        "the model shifts by {shift} bits but profile {profile} holds remainders of {expected}; compile again with --optimize as intended for that profile"
    )]
    Shift {
        /// The model's shift.
        shift: u32,
        /// What the profile holds.
        expected: u32,
        /// The profile.
        profile: String,
    },
    /// A side is hashed in a profile that cannot, or none in one that can.
    #[error(
        "profile {profile} does not fit: profiles that hash, whose names end in h, are for models with a hashed side, and for those alone"
    )]
    Hash {
        /// The profile.
        profile: String,
    },
    /// A side is hashed, and no profile that hashes holds the model's remainders.
    #[error(
        "the model shifts by {shift} bits, as quantized models do, and no profile that hashes holds remainders of them; make inputs and outputs public or private"
    )]
    HashShift {
        /// The model's shift.
        shift: u32,
    },
    /// A lookup table is out of reach.
    #[error(
        "the table of {function} needs {rows} rows, more than any circuit has; lower --bits or rescale the model"
    )]
    TableTooLarge {
        /// What it is for, and of which node.
        function: String,
        /// Rows.
        rows: usize,
    },
    /// The model needs more rows than the largest circuit has.
    #[error(
        "the model needs {rows} rows of {what}, more than the {limit} that a circuit of this profile holds; split it or use a wider profile (--optimize prover)"
    )]
    TooManyRows {
        /// What they are for.
        what: &'static str,
        /// Rows.
        rows: usize,
        /// The most that there can be.
        limit: usize,
    },
    /// Interval analysis failed.
    #[error(transparent)]
    Bounds(#[from] quantize::BoundsError),
    /// An invariant of the planner does not hold: a defect of ours, found before there are keys.
    #[error("the layout is inconsistent at `{node}`: {what}; please report this model")]
    Broken {
        /// The node, or the part of the circuit.
        node: String,
        /// What does not hold.
        what: &'static str,
    },
    /// A combination the layout cannot express.
    #[error("node `{node}`: {what}")]
    Unsupported {
        /// The node.
        node: String,
        /// What, and what to do.
        what: &'static str,
    },
}

pub(super) fn check_shift(model: &Model, profile: &Profile) -> Result<(), LayoutError> {
    let expected = profile.max_shift();
    let fits = if profile.limbs == 1 {
        model.shift <= expected
    } else {
        model.shift == expected
    };
    if fits {
        Ok(())
    } else {
        Err(LayoutError::Shift {
            shift: model.shift,
            expected,
            profile: profile.name(),
        })
    }
}

/// Plans `model` in `profile`.
pub fn plan(
    model: &Model,
    profile: Profile,
    visibility: Visibility,
) -> Result<Layout, LayoutError> {
    plan_with(model, profile, visibility, |_| {})
}

/// The same with the tensors changed before any row is written, which tests do to see it noticed.
pub(crate) fn plan_with(
    model: &Model,
    profile: Profile,
    visibility: Visibility,
    change: impl FnOnce(&mut [Tensor]),
) -> Result<Layout, LayoutError> {
    check_shift(model, &profile)?;
    if profile.hash != visibility.hashes() {
        return Err(LayoutError::Hash {
            profile: profile.name(),
        });
    }
    limits::check(model, &profile)?;
    let model = with_copies(model, visibility);
    let bounds = quantize::bounds(&model)?;
    let limb_bits = if profile.limbs == 1 {
        model.shift
    } else {
        LIMB_BITS
    };
    let mut tables = Tables::new(limb_bits);
    let planner = Planner::new(&model, profile);
    let mut tensors = planner.tensors(visibility, &bounds, &mut tables)?;
    tables.finish(&model)?;
    limits::check_rows("tables", tables.rows().div_ceil(profile.tables), &profile)?;
    sequence::assign_bases(&model, &profile, visibility, &mut tensors);
    change(&mut tensors);
    let mut chunks = planner.chunks(&tensors);

    let mut columns = FixedColumns::new(profile.fixed_columns());
    let mut activation = Activation::new(&model, profile, visibility, &tensors);
    activation.write(&mut columns)?;
    let (mut acc, mut cons) = (activation.acc, activation.cons);
    let (rows, public, mut nodes) = (activation.rows, activation.public, activation.nodes);
    let mut contraction = Contraction::new(profile, &model, &tensors);
    for chunk in &mut chunks {
        nodes[chunk.tensor].contraction += contraction.push(&mut columns, chunk)?;
        if contraction.rows() > most_rows(&profile) {
            return Err(too_many(contraction.rows(), &profile));
        }
    }
    let mut hash = HashProgram::default();
    if profile.hash {
        let sides = hash::sides(&model, visibility, &bounds, &tensors, profile.lanes)?;
        hash.write(&mut columns, &profile, sides)?;
    }
    check_public(&model, visibility, &public)?;
    let zero = Monomial::default();
    let instance = public.iter().map(|p| p.row + 1).max();
    let stats = Stats {
        activation: rows
            .len()
            .max(acc.earliest(zero) + 1)
            .max(cons.earliest(zero) + 1),
        contraction: contraction.finish(&mut columns),
        table: tables.rows().div_ceil(profile.tables),
        hash: hash.rows(),
        instance: instance.unwrap_or(0).max(hash.digests.len().min(1)),
        nodes,
    };
    limits::check_rows("activations", stats.activation, &profile)?;
    limits::check_rows("hashing", stats.hash, &profile)?;
    let k = profile.least_k(stats.rows());
    if k > MAX_K {
        return Err(too_many(stats.rows(), &profile));
    }
    let last = profile.last_row(k);
    acc.finish(&mut columns, last - 1)?;
    cons.finish(&mut columns, last - 1)?;
    if profile.hash {
        hash.finish(&mut columns, last - 1)?;
    }
    for row in 0..last {
        columns.set(fixed::ACTIVE, row, 1);
    }
    columns.set(fixed::BOUNDARY, 0, boundary::FIRST);
    columns.set(fixed::BOUNDARY, last, boundary::LAST);
    for (entry, (input, output, tag)) in tables.entries().enumerate() {
        let [i, o, t] = profile.table(entry / stats.table);
        let row = entry % stats.table;
        columns.set(i, row, input);
        columns.set(o, row, output);
        columns.set(t, row, tag);
    }
    let fixed = columns.into_columns();
    Ok(Layout {
        profile,
        k,
        visibility,
        stats,
        tensors,
        rows,
        chunks,
        tables,
        fixed,
        public,
        hash,
        model,
    })
}

fn too_many(rows: usize, profile: &Profile) -> LayoutError {
    LayoutError::TooManyRows {
        what: "weights",
        rows,
        limit: most_rows(profile),
    }
}
