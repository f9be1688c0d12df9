//! What a user should know of a model or an input that can be used all the same; `--strict` makes errors of it.

use std::fmt;

use serde::Serialize;
use tensorseal_circuits::{ports, quantize::Method};

use super::{FloatModel, Item, Model, OutputError, Quantized};
use crate::{CliError, Result};

/// Outputs this near to the float model's, in decibels, need no word.
const NEAR_DB: f64 = 30.0;
/// Share of the calibration values beyond their ranges that needs none.
const FEW: f64 = 0.01;

/// Elements of an input that lie outside the range that its integers have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Clamped {
    /// The input.
    pub input: String,
    /// How many elements.
    pub elements: usize,
    /// Of how many.
    pub of: usize,
    /// By how much at most, in the input's own units.
    pub beyond: f64,
}

impl fmt::Display for Clamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Clamped {
            input,
            elements,
            of,
            beyond,
        } = self;
        write!(
            f,
            "{elements} of {of} values of input `{input}` lie up to {beyond:.4} beyond the calibrated range and were clamped to it: \
             compile with calibration data that has such values"
        )
    }
}

/// The inputs that are clamped in some of the items.
pub fn clamped_inputs(model: &Model, items: &[Item]) -> Result<Vec<Clamped>> {
    let mut out = Vec::new();
    for (at, port) in model.inputs.iter().enumerate() {
        let mut clamped = Clamped {
            input: port.name.clone(),
            elements: 0,
            of: 0,
            beyond: 0.0,
        };
        for values in items.iter().filter_map(|item| item.get(at)) {
            let quantized = ports::quantize_input(model, port, values)
                .map_err(|why| CliError::input(format!("input of `{}`", model.name), why))?;
            clamped.elements += quantized.clamped;
            clamped.of += values.len();
            clamped.beyond = clamped.beyond.max(quantized.beyond);
        }
        if clamped.elements > 0 {
            out.push(clamped);
        }
    }
    Ok(out)
}

/// What the calibration data show of a quantized model: outputs that are far from the float model's, values beyond ranges that are
/// narrower than these data. Where ranges reach from the least to the greatest value, nothing is clamped but what a softmax cannot tell apart.
pub fn of_accuracy(
    float: &FloatModel,
    (quantized, method): (&Quantized, Method),
    errors: &[OutputError],
    items: &[Item],
) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let far: Vec<&OutputError> = errors
        .iter()
        .filter(|error| {
            // No noise has no ratio where there is no signal; neither has what is not a number.
            let near = error.noise.decibels() >= NEAR_DB;
            error.noise.noise != 0.0 && !near
        })
        .collect();
    if !far.is_empty() {
        let layers = float.layers(quantized, items)?;
        let worst = layers
            .iter()
            .filter(|layer| layer.noise != 0.0)
            .min_by(|a, b| a.decibels().total_cmp(&b.decibels()));
        let worst = worst.map_or_else(String::new, |layer| {
            format!(
                "; the least accurate tensor is `{}` with {:.1} dB",
                layer.name,
                layer.decibels()
            )
        });
        for error in far {
            out.push(format!(
                "output `{}` is {:.1} dB from the float model on the calibration data, below {NEAR_DB} dB{worst}: \
                 give more --bits, or --target-accuracy 40; `compare` without --compiled shows all tensors",
                error.noise.name,
                error.noise.decibels()
            ));
        }
    }
    if method != Method::MinMax && quantized.clamped as f64 > FEW * quantized.values as f64 {
        out.push(format!(
            "{:.1} % of the calibration values lie beyond the ranges that --ranges chose for them and are clamped: \
             --ranges minmax reaches all of them",
            100.0 * quantized.clamped as f64 / quantized.values as f64
        ));
    }
    Ok(out)
}

/// With `strict`, an error where there is a warning.
pub fn refuse<W: fmt::Display>(strict: bool, warnings: &[W]) -> Result<()> {
    match warnings {
        [] => Ok(()),
        _ if !strict => Ok(()),
        warnings => {
            let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            Err(CliError::Input(format!(
                "--strict refuses what would be a warning: {}",
                told.join("; ")
            )))
        }
    }
}
