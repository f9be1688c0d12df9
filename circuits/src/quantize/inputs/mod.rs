//! Input files: `.npz`, `.npy` and JSON.
//!
//! JSON is `{"input_data": [[..]]}`, an object from input name to array, or a plain array. An array has the shape of its input,
//! for several samples with an axis in front or a longer leading axis, or it is flat: all values in one axis, or a row for
//! each sample.

mod array;
mod error;
mod json;
mod npy;
mod npz;

use std::{fs, path::Path};

pub use error::InputError;

use self::array::{Array, Refused};
use crate::graph::Graph;

/// One row-major array for each model input, batch included.
pub type Sample = Vec<Vec<f32>>;

/// Samples of a file: each has vectors of its own, which may be far larger than what they hold.
const MAX_SAMPLES: usize = 1 << 20;

/// What `numpy.savez` calls an array that its caller did not name.
const UNNAMED: &str = "arr_0";

/// An input as a file has to fill it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// ONNX name.
    pub name: String,
    /// Logical shape, batch included.
    pub shape: Vec<usize>,
}

impl InputSpec {
    /// Whether an array of this shape is one or more samples of the input.
    ///
    /// It is where its axes are the input's, alone, behind one more axis of samples, with a leading axis of several samples,
    /// or without a leading axis of 1; or where it is flat, and then counted by its values alone: one axis, or a row for each
    /// sample or for all of them.
    fn takes(&self, got: &[usize]) -> bool {
        let len: usize = self.shape.iter().product();
        let values: usize = got.iter().product();
        if values == 0 || !values.is_multiple_of(len) {
            return false;
        }
        let shape = &self.shape[..];
        match *got {
            [] | [_] => true,
            [_, row] if row == len => true,
            // As JSON has it, a list of one flat array; of a matrix these would be its own axes.
            [1, _] if shape.len() != 2 => true,
            [_, ref rest @ ..] if rest == shape => true,
            _ => match *shape {
                [] => false,
                [1, ref item @ ..] if item == got => true,
                [_, ref item @ ..] => got[1..] == *item,
            },
        }
    }
}

/// The inputs of a graph.
pub fn specs(graph: &Graph) -> Vec<InputSpec> {
    let spec = |&id: &usize| InputSpec {
        name: graph.nodes[id].name.clone(),
        shape: graph.nodes[id].shape.clone(),
    };
    graph.inputs.iter().map(spec).collect()
}

/// Reads every sample of a file.
///
/// # Errors
/// [`InputError`], for unreadable files and arrays that do not fit.
pub fn load(path: &Path, inputs: &[InputSpec]) -> Result<Vec<Sample>, InputError> {
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let shown = path.display().to_string();
    if !matches!(extension.as_str(), "npz" | "npy" | "json") {
        return Err(InputError::Extension { path: shown });
    }
    parse(&shown, &extension, &bytes(path)?, inputs)
}

fn bytes(path: &Path) -> Result<Vec<u8>, InputError> {
    fs::read(path).map_err(|source| InputError::Io {
        path: path.display().to_string(),
        source,
    })
}

/// Reads every sample of a file's bytes; `extension` is `npz`, `npy` or `json`, `path` is for messages.
///
/// Only arrays that an input names are read, or the only one where it has no name and there is one input. Memory stays within a few times the
/// file's size, or [`InputError::TooLarge`] tells why a compressed file is refused.
///
/// # Errors
/// [`InputError`], like [`load`].
pub fn parse(
    path: &str,
    extension: &str,
    bytes: &[u8],
    inputs: &[InputSpec],
) -> Result<Vec<Sample>, InputError> {
    let file = File { path, bytes };
    let arrays = match extension {
        "npz" => {
            let mut npz = file.npz()?;
            let names = npz.names();
            let read = |at: usize| {
                npz.read(at)
                    .map_err(|e| file.refused(".npz", &names[at], e))
            };
            file.select(&names, inputs)?
                .into_iter()
                .map(read)
                .collect::<Result<_, _>>()?
        }
        "npy" => {
            let array = npy::read(bytes, bytes.len() as u64, bytes.len() as u64);
            vec![array.map_err(|e| file.refused(".npy", "", e))?]
        }
        "json" => file.json(inputs)?,
        _ => {
            return Err(InputError::Extension {
                path: path.to_owned(),
            });
        }
    };
    file.samples(arrays, inputs)
}

/// The array `label` of an `.npz` file, as whole numbers.
///
/// # Errors
/// [`InputError`], like [`load`].
pub fn labels(path: &Path) -> Result<Vec<i64>, InputError> {
    let bytes = bytes(path)?;
    let shown = path.display().to_string();
    let file = File {
        path: &shown,
        bytes: &bytes,
    };
    let mut npz = file.npz()?;
    let names = npz.names();
    let Some(at) = names.iter().position(|name| name == "label") else {
        return Err(file.missing("label", names));
    };
    let array = npz.read(at).map_err(|e| file.refused(".npz", "label", e))?;
    Ok(array.values.iter().map(|&v| v as i64).collect())
}

/// A file's bytes, and what messages call it.
#[derive(Clone, Copy)]
struct File<'a> {
    path: &'a str,
    bytes: &'a [u8],
}

impl<'a> File<'a> {
    fn format(self, format: &'static str, reason: String) -> InputError {
        InputError::Format {
            path: self.path.to_owned(),
            format,
            reason,
        }
    }

    fn refused(self, format: &'static str, array: &str, why: Refused) -> InputError {
        match why {
            Refused::Format(reason) if array.is_empty() => self.format(format, reason),
            Refused::Format(reason) => self.format(format, format!("array `{array}`: {reason}")),
            Refused::TooLarge { values, limit } => InputError::TooLarge {
                path: self.path.to_owned(),
                array: array.to_owned(),
                values,
                limit,
                bytes: self.bytes.len(),
            },
        }
    }

    fn missing(self, input: &str, found: Vec<String>) -> InputError {
        InputError::Missing {
            path: self.path.to_owned(),
            input: input.to_owned(),
            found,
        }
    }

    fn npz(self) -> Result<npz::Npz<'a>, InputError> {
        npz::Npz::open(self.bytes).map_err(|reason| self.format(".npz", reason))
    }

    fn json(self, inputs: &[InputSpec]) -> Result<Vec<Array>, InputError> {
        let failed = |reason| self.format("JSON", reason);
        match json::top(self.bytes).map_err(failed)? {
            json::Top::Unnamed { within } => {
                json::unnamed(self.bytes, within, inputs.len()).map_err(failed)
            }
            json::Top::Named(names) => {
                let selected = self.select(&names, inputs)?;
                let selected: Vec<&str> = selected.iter().map(|&at| names[at].as_str()).collect();
                json::named(self.bytes, &selected).map_err(failed)
            }
        }
    }

    /// Where the array of each input stands: under its name, or alone without one.
    fn select(self, names: &[String], inputs: &[InputSpec]) -> Result<Vec<usize>, InputError> {
        let at = |input: &InputSpec| {
            let alone = (inputs.len() == 1 && names == [UNNAMED]).then_some(0);
            let named = names.iter().position(|name| *name == input.name);
            named
                .or(alone)
                .ok_or_else(|| self.missing(&input.name, names.to_vec()))
        };
        inputs.iter().map(at).collect()
    }

    /// Cuts the arrays of the inputs, in order, into samples.
    fn samples(self, arrays: Vec<Array>, inputs: &[InputSpec]) -> Result<Vec<Sample>, InputError> {
        let path = || self.path.to_owned();
        let mut samples = None;
        for (i, input) in inputs.iter().enumerate() {
            let Some(array) = arrays.get(i) else {
                return Err(self.missing(&input.name, Vec::new()));
            };
            if !input.takes(&array.shape) {
                return Err(InputError::Shape {
                    path: path(),
                    input: input.name.clone(),
                    expected: input.shape.clone(),
                    got: array.shape.clone(),
                });
            }
            if let Some(index) = array.values.iter().position(|v| !v.is_finite()) {
                return Err(InputError::NotFinite {
                    path: path(),
                    input: input.name.clone(),
                    index,
                });
            }
            let got = array.values.len() / input.shape.iter().product::<usize>();
            if got > MAX_SAMPLES {
                return Err(InputError::TooManySamples { path: path(), got });
            }
            let expected = *samples.get_or_insert(got);
            if got != expected {
                return Err(InputError::Samples {
                    path: path(),
                    input: input.name.clone(),
                    expected,
                    got,
                });
            }
        }
        let samples = samples.unwrap_or(0);
        let cut = |s: usize| {
            let part = |array: &Array| {
                let len = array.values.len() / samples;
                array.values[s * len..(s + 1) * len].to_vec()
            };
            arrays.iter().take(inputs.len()).map(part).collect()
        };
        Ok((0..samples).map(cut).collect())
    }
}
