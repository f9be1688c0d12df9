//! Mixed activation widths: more bits where the outputs are sensitive, fewer where they are not.
//!
//! A tensor of `b` bits adds rounding noise in proportion to `4^-b` to the outputs and needs table rows in proportion
//! to `2^b`. Sensitivities `s_t` are measured one tensor at a time, at [`PROBE`] bits with all others at [`MOST`];
//! noises of different tensors are taken to add up:
//!
//! ```text
//! noise(b) ≈ Σ_t s_t · 4^(PROBE - b_t),    rows(b) ≈ Σ_t r_t · 2^(b_t - PROBE)
//! ```
//!
//! From [`LEAST`] bits everywhere the tensor that wins most noise for its rows gets one more bit, again and again.
//! These steps, halved between those that miss the goal and those that pass it, and equal widths everywhere are the
//! candidates; the best is improved bit by bit. Each is made and measured: the estimate only orders.

use std::collections::BTreeMap;

use super::{
    Calibration, QuantizeError, QuantizeOptions, Trace, bounds,
    inputs::Sample,
    quantize_traced,
    trace::{CompareError, Noise, compare},
};
use crate::{graph::Graph, model::Model};

/// Least bits of a tensor.
const LEAST: u32 = 4;
/// Most bits of a tensor.
const MOST: u32 = 14;
/// Bits at which sensitivities are measured.
const PROBE: u32 = 6;

/// Bits of single tensors, by the names of their integer nodes; all others have [`QuantizeOptions::bits`].
pub type Widths = BTreeMap<String, u32>;

/// What the widths have to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The best outputs in at most this many rows.
    MaxRows(usize),
    /// The fewest rows with a signal-to-noise ratio of the outputs of at least this many decibels.
    Decibels(f64),
}

impl Goal {
    /// True where fewer bits may still be right.
    fn passed(self, found: &Found) -> bool {
        match self {
            Goal::MaxRows(limit) => found.rows > limit,
            Goal::Decibels(target) => found.decibels >= target,
        }
    }

    fn admits(self, found: &Found) -> bool {
        match self {
            Goal::MaxRows(limit) => found.rows <= limit,
            Goal::Decibels(target) => found.decibels >= target,
        }
    }

    /// True where `a` is strictly better than `b`.
    fn prefers(self, a: &Found, b: &Found) -> bool {
        match self {
            Goal::MaxRows(_) => a.decibels > b.decibels,
            Goal::Decibels(_) => a.rows < b.rows || a.rows == b.rows && a.decibels > b.decibels,
        }
    }
}

/// Widths that were found, with the model that they give.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Bits of each tensor.
    pub widths: Widths,
    /// The model.
    pub model: Model,
    /// Its rows.
    pub rows: usize,
    /// Signal-to-noise ratio of its outputs, in decibels.
    pub decibels: f64,
    /// By how much the outputs' noise grows with the tensor at 6 bits, over their signal.
    pub sensitivities: Vec<(String, f64)>,
}

/// Why no widths were found.
#[derive(Debug, thiserror::Error)]
pub enum WidthsError<E: std::error::Error + 'static> {
    /// The graph does not quantize.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The samples do not fit.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The rows of a model could not be told.
    #[error("counting rows: {0}")]
    Rows(#[source] E),
    /// Too few rows for any widths.
    #[error("no widths fit into {limit} rows: {LEAST} bits everywhere take {least}; allow more")]
    TooFewRows {
        /// Rows allowed.
        limit: usize,
        /// Rows needed.
        least: usize,
    },
    /// An accuracy that the most bits do not reach.
    #[error("no widths reach {target} dB: {MOST} bits everywhere give {best:.1} dB; ask for less")]
    OutOfReach {
        /// Decibels asked for.
        target: f64,
        /// Decibels of the best.
        best: f64,
    },
}

/// Looks for widths that reach a goal. `samples` are whole batches on which outputs are compared with the float
/// graph; `rows` tells what a model costs.
///
/// # Errors
/// [`WidthsError`], also where no widths reach the goal.
pub fn search<E: std::error::Error + 'static>(
    graph: &Graph,
    calibration: &Calibration,
    options: &QuantizeOptions,
    samples: &[Sample],
    goal: Goal,
    mut rows: impl FnMut(&Model) -> Result<usize, E>,
) -> Result<Found, WidthsError<E>> {
    let make = |widths: &Widths| quantize_traced(graph, calibration, options, widths);
    let output_noise = |(model, trace): &(Model, Trace)| -> Result<Noise, CompareError> {
        let all = compare(graph, model, trace, samples)?;
        let outputs = &all[all.len() - graph.outputs.len()..];
        Ok(outputs.iter().fold(Noise::default(), |mut sum, one| {
            sum.signal += one.signal;
            sum.noise += one.noise;
            sum
        }))
    };
    let names: Vec<String> = make(&Widths::new())?
        .1
        .adjustable
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let all = |bits: u32| names.iter().map(|name| (name.clone(), bits)).collect();
    let wide: Widths = all(MOST);
    let best = output_noise(&make(&wide)?)?;

    let mut tensors = Vec::with_capacity(names.len());
    for name in &names {
        let mut widths = wide.clone();
        widths.insert(name.clone(), PROBE);
        let made = make(&widths)?;
        // Never less than what all tensors cause at the most bits: at this width one alone causes more.
        let noise = (output_noise(&made)?.noise - best.noise).max(best.noise);
        let bounds = bounds(&made.0).map_err(QuantizeError::from)?;
        let node = made.1.adjustable.iter().find(|(n, _)| n == name);
        let (lo, hi) = node.map_or((0, 0), |&(_, node)| bounds[node].a);
        tensors.push((noise, (hi - lo + 1) as f64));
    }
    let mut measure = |widths: Widths| -> Result<Found, WidthsError<E>> {
        let made = make(&widths)?;
        let decibels = output_noise(&made)?.decibels();
        let rows = rows(&made.0).map_err(WidthsError::Rows)?;
        Ok(Found {
            widths,
            model: made.0,
            rows,
            decibels,
            sensitivities: Vec::new(),
        })
    };
    // Equal widths share tables, which the estimate knows nothing of.
    let mut measured = Vec::new();
    for bits in LEAST..=MOST {
        measured.push(measure(all(bits))?);
    }
    let (least, best_decibels) = (measured[0].rows, measured[measured.len() - 1].decibels);
    let ascent = ascent(&tensors);
    let (mut below, mut above) = (0, ascent.len());
    while above > below + 1 {
        let middle = usize::midpoint(below, above);
        let mut widths: Widths = all(LEAST);
        for &tensor in &ascent[..middle] {
            *widths.get_mut(&names[tensor]).expect("all are in it") += 1;
        }
        let found = measure(widths)?;
        if goal.passed(&found) {
            above = middle;
        } else {
            below = middle;
        }
        measured.push(found);
    }
    let mut found = measured
        .into_iter()
        .filter(|found| goal.admits(found))
        .reduce(|a, b| if goal.prefers(&b, &a) { b } else { a })
        .ok_or(match goal {
            Goal::MaxRows(limit) => WidthsError::TooFewRows { limit, least },
            Goal::Decibels(target) => WidthsError::OutOfReach {
                target,
                best: best_decibels,
            },
        })?;
    // One bit more or less in one tensor, as long as that helps.
    loop {
        let mut better = None;
        for name in &names {
            let bits = found.widths[name];
            let next = match goal {
                Goal::MaxRows(_) => (bits < MOST).then_some(bits + 1),
                Goal::Decibels(_) => (bits > LEAST).then_some(bits - 1),
            };
            let Some(bits) = next else { continue };
            let mut widths = found.widths.clone();
            widths.insert(name.clone(), bits);
            let other = measure(widths)?;
            if goal.admits(&other) && goal.prefers(&other, better.as_ref().unwrap_or(&found)) {
                better = Some(other);
            }
        }
        match better {
            Some(better) => found = better,
            None => break,
        }
    }
    let shares = tensors.iter().map(|t| t.0 / best.signal);
    Ok(Found {
        sensitivities: names.into_iter().zip(shares).collect(),
        ..found
    })
}

/// Which tensor gets the next bit, from [`LEAST`] everywhere to [`MOST`] everywhere. Each tensor is its noise and its
/// rows at [`PROBE`] bits.
fn ascent(tensors: &[(f64, f64)]) -> Vec<usize> {
    let mut bits = vec![LEAST; tensors.len()];
    let mut steps = Vec::new();
    let gain = |&(noise, rows): &(f64, f64), bits: u32| {
        let up = f64::from(bits) - f64::from(PROBE);
        // One more bit wins 3/4 of the noise and doubles the rows.
        noise * (-2.0 * up).exp2() / (rows.max(1.0) * up.exp2())
    };
    while let Some((next, _)) = (0..tensors.len())
        .filter(|&t| bits[t] < MOST)
        .map(|t| (t, gain(&tensors[t], bits[t])))
        .max_by(|a, b| a.1.total_cmp(&b.1))
    {
        bits[next] += 1;
        steps.push(next);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sensitive_and_the_cheap_come_first() {
        // Ten times the noise at the same rows; the same noise at a tenth of the rows.
        for tensors in [[(10.0, 64.0), (1.0, 64.0)], [(1.0, 6.4), (1.0, 64.0)]] {
            let steps = ascent(&tensors);
            assert_eq!(steps.len(), 2 * (MOST - LEAST) as usize);
            assert_eq!(steps[0], 0);
            let half = &steps[..steps.len() / 2];
            let first = half.iter().filter(|&&t| t == 0).count();
            assert!(first > half.len() / 2, "{steps:?}");
        }
    }
}
