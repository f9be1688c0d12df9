//! Which profile serves a model best.

use serde::{Deserialize, Serialize};

use super::plan::{LayoutError, check_shift, plan};
use super::{Layout, Visibility};
use crate::model::Model;
use crate::profile::{ALL, LIMB_BITS, Profile};

/// What the planner optimizes for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Optimize {
    /// Least proving time.
    Prover,
    /// Least gas: few commitments.
    Gas,
    /// Between the two.
    #[default]
    Balanced,
}

impl Optimize {
    /// The shift that models for this goal are quantized with.
    pub fn shift(self) -> u32 {
        match self {
            Optimize::Gas => 12,
            Optimize::Prover | Optimize::Balanced => 2 * LIMB_BITS,
        }
    }
}

/// Plans `model` in the profile that serves `goal` best among those that hold its shift.
pub fn choose(
    model: &Model,
    goal: Optimize,
    visibility: Visibility,
) -> Result<Layout, LayoutError> {
    let fitting = ALL
        .iter()
        .filter(|p| p.hash == visibility.hashes() && check_shift(model, p).is_ok());
    let mut best: Option<(f64, Layout)> = None;
    let mut failure = None;
    for profile in fitting {
        match plan(model, *profile, visibility) {
            Ok(layout) => {
                let cost = cost(&layout, goal);
                if best.as_ref().is_none_or(|(c, _)| cost < *c) {
                    best = Some((cost, layout));
                }
            }
            Err(e) => failure = Some(e),
        }
    }
    match (best, failure) {
        (Some((_, layout)), _) => Ok(layout),
        (None, Some(e)) => Err(e),
        (None, None) => {
            let unhashed = |p: &Profile| !p.hash && check_shift(model, p).is_ok();
            if visibility.hashes() && ALL.iter().any(unhashed) {
                return Err(LayoutError::HashShift { shift: model.shift });
            }
            check_shift(model, &Profile::default())
                .map(|()| unreachable!("the default profile would have been tried"))
        }
    }
}

/// What a proof's time is a sum of, in the order of [`time_terms`].
pub const TIME_TERMS: [&str; 5] = ["proof", "row", "small", "dense", "fixed"];

/// Microseconds on two cores for a unit of each term, from the stages of the fast prover (`tensorseal prove --profile`): a
/// small column costs 1.1 a row, nearly all of it transforms; a dense one 3.4 with its commitment; a fixed one 0.06; what
/// every proof has 20. What a proof costs whatever its rows decides nothing here. `tensorseal bench --scaling` fits them.
pub const TIME_US: [f64; 5] = [0.0, 20.0, 1.1, 3.4, 0.06];

/// How much of each term a proof in `2^k` rows takes: one proof; the rows; the rows times the advice columns of
/// small values, those of field elements, and the fixed columns.
pub fn time_terms(profile: &Profile, k: u32) -> [f64; 5] {
    let rows = f64::from(1u32 << k);
    // The states of a hash are field elements, and so are the columns that lanes share with them.
    let small = if profile.hash {
        profile.m().end / profile.fold
    } else {
        profile.folded_phases()[0].len()
    };
    let dense = profile.folded_advice_columns() - small;
    let fixed = profile.folded_fixed_columns();
    let cells = |columns: usize| rows * columns as f64;
    [1.0, rows, cells(small), cells(dense), cells(fixed)]
}

/// Estimated proving time in microseconds, and gas weighed against it: a commitment with its evaluation costs about
/// 7,000.
fn cost(layout: &Layout, goal: Optimize) -> f64 {
    let p = &layout.profile;
    let terms = time_terms(p, layout.k);
    let time: f64 = terms.iter().zip(TIME_US).map(|(t, us)| t * us).sum();
    let commitments = p.folded_advice_columns() + p.folded_fixed_columns() + p.degree() - 1;
    let gas = 7000.0 * commitments as f64;
    match goal {
        Optimize::Prover => time,
        Optimize::Gas => gas + time / 100.0,
        Optimize::Balanced => time + 2.0 * gas,
    }
}
