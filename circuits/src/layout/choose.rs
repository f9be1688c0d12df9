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
        (None, None) => check_shift(model, &Profile::default())
            .map(|()| unreachable!("the default profile would have been tried")),
    }
}

/// Estimated proving time on two cores in microseconds, and gas weighed against it.
///
/// Fitted to the stages of the fast prover (`tensorseal prove --profile`): a small column costs 1.1 µs a row, nearly all of
/// it transforms; a dense one 3.4 with its commitment; a fixed one 0.06; what every proof has 20. A commitment with its
/// evaluation costs about 7,000 gas.
fn cost(layout: &Layout, goal: Optimize) -> f64 {
    let p = &layout.profile;
    let rows = f64::from(1u32 << layout.k);
    let small = if p.hash {
        p.m().end / p.fold
    } else {
        p.folded_phases()[0].len()
    };
    let dense = p.folded_advice_columns() - small;
    let fixed = p.folded_fixed_columns();
    let time = rows * (1.1 * small as f64 + 3.4 * dense as f64 + 0.06 * fixed as f64 + 20.0);
    let commitments = p.folded_advice_columns() + fixed + p.degree() - 1;
    let gas = 7000.0 * commitments as f64;
    match goal {
        Optimize::Prover => time,
        Optimize::Gas => gas + time / 100.0,
        Optimize::Balanced => time + 2.0 * gas,
    }
}
