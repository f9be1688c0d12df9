//! Input files: `.npz`, `.npy` and JSON.
//!
//! JSON is `{"input_data": [[..]]}`, an object from input name to array, or a plain array. Nested arrays may be
//! flat or shaped; what counts is the number of values, which must fill the input's shape one or more times.

use std::{fs, io::Cursor, path::Path};

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyExt};
use serde_json::Value;
use thiserror::Error;

use crate::graph::Graph;

/// One row-major array for each model input, batch included.
pub type Sample = Vec<Vec<f32>>;

/// An input as a file has to fill it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// ONNX name.
    pub name: String,
    /// Logical shape, batch included.
    pub shape: Vec<usize>,
}

/// Why an input file was refused.
#[derive(Debug, Error)]
pub enum InputError {
    /// The file cannot be read.
    #[error("cannot read input file `{path}`: {source}")]
    Io {
        /// Its path.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// Not the format its name says.
    #[error("`{path}` is not a valid {format} file: {reason}")]
    Format {
        /// Its path.
        path: String,
        /// `.npz`, `.npy` or JSON.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Neither of the known extensions.
    #[error(
        "`{path}`: the extension says neither .npz, .npy nor .json; rename or convert the file"
    )]
    Extension {
        /// Its path.
        path: String,
    },
    /// An input without an array.
    #[error("`{path}` holds no array for input `{input}`; it holds {}", found.join(", "))]
    Missing {
        /// Its path.
        path: String,
        /// Input name.
        input: String,
        /// What it holds.
        found: Vec<String>,
    },
    /// The wrong number of values.
    #[error("`{path}`: input `{input}` expects shape {expected:?} ({} values, or a multiple for several samples), got shape {got:?}", expected.iter().product::<usize>())]
    Shape {
        /// Its path.
        path: String,
        /// Input name.
        input: String,
        /// Shape of the model input.
        expected: Vec<usize>,
        /// Shape in the file.
        got: Vec<usize>,
    },
    /// Inputs with different numbers of samples.
    #[error("`{path}`: input `{input}` holds {got} samples, the first input holds {expected}")]
    Samples {
        /// Its path.
        path: String,
        /// Input name.
        input: String,
        /// Samples of the first input.
        expected: usize,
        /// Samples of this one.
        got: usize,
    },
    /// A value that is no number.
    #[error("`{path}`: input `{input}`, value {index} is not a finite number")]
    NotFinite {
        /// Its path.
        path: String,
        /// Input name.
        input: String,
        /// Position.
        index: usize,
    },
}

/// An array of a file.
struct Array {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
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
    let shown = path.display().to_string();
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if !matches!(extension.as_str(), "npz" | "npy" | "json") {
        return Err(InputError::Extension { path: shown });
    }
    let bytes = fs::read(path).map_err(|source| InputError::Io {
        path: shown.clone(),
        source,
    })?;
    parse(&shown, &extension, &bytes, inputs)
}

/// Reads every sample of a file's bytes; `extension` is `npz`, `npy` or `json`, `path` is for messages.
///
/// # Errors
/// [`InputError`], like [`load`].
pub fn parse(
    path: &str,
    extension: &str,
    bytes: &[u8],
    inputs: &[InputSpec],
) -> Result<Vec<Sample>, InputError> {
    let format = |format, reason| InputError::Format {
        path: path.to_owned(),
        format,
        reason,
    };
    let arrays = match extension {
        "npz" => npz(bytes).map_err(|reason| format(".npz", reason))?,
        "npy" => vec![npy(String::new(), bytes).map_err(|reason| format(".npy", reason))?],
        "json" => {
            let value = serde_json::from_slice(bytes).map_err(|e| format("JSON", e.to_string()))?;
            json(&value, inputs.len()).map_err(|reason| format("JSON", reason))?
        }
        _ => {
            return Err(InputError::Extension {
                path: path.to_owned(),
            });
        }
    };
    assemble(path, arrays, inputs)
}

/// Matches arrays to inputs by name, or by order where they have none, and cuts them into samples.
fn assemble(
    path: &str,
    mut arrays: Vec<Array>,
    inputs: &[InputSpec],
) -> Result<Vec<Sample>, InputError> {
    let mut columns: Vec<Vec<f32>> = Vec::new();
    let mut samples = 0;
    for input in inputs {
        let named = arrays.iter().position(|a| a.name == input.name);
        let only = arrays.len() == 1 && inputs.len() == 1;
        let at = named.or_else(|| {
            arrays
                .first()
                .filter(|a| a.name.is_empty() || only)
                .map(|_| 0)
        });
        let Some(at) = at else {
            let found = arrays.iter().map(|a| format!("`{}`", a.name)).collect();
            return Err(InputError::Missing {
                path: path.to_owned(),
                input: input.name.clone(),
                found,
            });
        };
        let array = arrays.remove(at);
        let expected: usize = input.shape.iter().product();
        if array.values.is_empty() || !array.values.len().is_multiple_of(expected) {
            let (input, expected) = (input.name.clone(), input.shape.clone());
            return Err(InputError::Shape {
                path: path.to_owned(),
                input,
                expected,
                got: array.shape,
            });
        }
        if let Some(index) = array.values.iter().position(|v| !v.is_finite()) {
            return Err(InputError::NotFinite {
                path: path.to_owned(),
                input: input.name.clone(),
                index,
            });
        }
        let got = array.values.len() / expected;
        if columns.is_empty() {
            samples = got;
        } else if got != samples {
            let input = input.name.clone();
            return Err(InputError::Samples {
                path: path.to_owned(),
                input,
                expected: samples,
                got,
            });
        }
        columns.push(array.values);
    }
    let cut = |s: usize| {
        columns
            .iter()
            .map(|v| v[s * (v.len() / samples)..(s + 1) * (v.len() / samples)].to_vec())
            .collect()
    };
    Ok((0..samples).map(cut).collect())
}

fn npz(bytes: &[u8]) -> Result<Vec<Array>, String> {
    let mut reader = NpzReader::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let names = reader.names().map_err(|e| e.to_string())?;
    let mut arrays = Vec::new();
    for name in names {
        let bare = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
        macro_rules! read {
            ($($t:ty),*) => {
                None$(.or_else(|| {
                    let array: ArrayD<$t> = reader.by_name::<OwnedRepr<$t>, IxDyn>(&name).ok()?;
                    Some(Array { name: bare.clone(), shape: array.shape().to_vec(), values: array.iter().map(|&v| v as f32).collect() })
                }))*
            };
        }
        // Arrays of other types (labels as strings, say) are nobody's input.
        arrays.extend(read!(f32, f64, u8, i8, i16, i32, i64, u16, u32, u64));
    }
    Ok(arrays)
}

fn npy(name: String, bytes: &[u8]) -> Result<Array, String> {
    let mut first = None;
    macro_rules! read {
        ($($t:ty),*) => {$(
            match ArrayD::<$t>::read_npy(Cursor::new(bytes)) {
                Ok(array) => {
                    let values = array.iter().map(|&v| v as f32).collect();
                    return Ok(Array { name, shape: array.shape().to_vec(), values });
                }
                Err(e) => first = first.or(Some(e.to_string())),
            }
        )*};
    }
    read!(f32, f64, u8, i8, i16, i32, i64, u16, u32, u64);
    Err(first.unwrap_or_default())
}

fn json(value: &Value, inputs: usize) -> Result<Vec<Array>, String> {
    match value {
        Value::Object(object) => match object.get("input_data") {
            Some(data) => unnamed(data, inputs),
            None => object
                .iter()
                .map(|(name, value)| array(name.clone(), value))
                .collect(),
        },
        Value::Array(_) => unnamed(value, inputs),
        _ => Err("expected an array, or an object of arrays".into()),
    }
}

/// One array for each input in order; with one input, all of it.
fn unnamed(value: &Value, inputs: usize) -> Result<Vec<Array>, String> {
    match value {
        Value::Array(parts) if inputs > 1 => parts
            .iter()
            .map(|part| array(String::new(), part))
            .collect(),
        _ => Ok(vec![array(String::new(), value)?]),
    }
}

fn array(name: String, value: &Value) -> Result<Array, String> {
    let mut shape = Vec::new();
    let mut level = value;
    while let Value::Array(items) = level {
        shape.push(items.len());
        match items.first() {
            Some(first) => level = first,
            None => break,
        }
    }
    let mut values = Vec::new();
    flatten(value, &mut values)?;
    if shape.iter().product::<usize>() != values.len() {
        shape = vec![values.len()];
    }
    Ok(Array {
        name,
        shape,
        values,
    })
}

fn flatten(value: &Value, out: &mut Vec<f32>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| flatten(item, out)),
        Value::Number(number) => {
            out.push(
                number
                    .as_f64()
                    .ok_or_else(|| format!("{number} is not a number in range"))?
                    as f32,
            );
            Ok(())
        }
        other => Err(format!("expected numbers, found {other}")),
    }
}
