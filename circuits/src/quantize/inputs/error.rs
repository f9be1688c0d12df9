//! Why an input file was refused.

use thiserror::Error;

use super::{MAX_SAMPLES, array::FREE_VALUES};

/// Names that a message lists before it only counts.
const LISTED: usize = 20;
/// Characters of a name that it shows.
const SHOWN: usize = 60;

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
        /// What is wrong, and how to mend it.
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
    #[error(
        "`{path}` holds no array for input `{input}`; it holds {}; name the array as the input",
        listed(found)
    )]
    Missing {
        /// Its path.
        path: String,
        /// Input name.
        input: String,
        /// Names of what it holds.
        found: Vec<String>,
    },
    /// More values than a compressed file of its size may unfold to.
    #[error(
        "`{path}`: array `{array}` has {values} values, more than the {limit} that a compressed file of {bytes} bytes may hold (the greater of {FREE_VALUES} and four a byte); split it, or store it uncompressed"
    )]
    TooLarge {
        /// Its path.
        path: String,
        /// Name in the file.
        array: String,
        /// Values it says to have.
        values: u64,
        /// Values that it may have.
        limit: u64,
        /// Size of the file.
        bytes: usize,
    },
    /// Another shape than the input's.
    #[error(
        "`{path}`: input `{input}` expects shape {expected:?}, got shape {got:?}; transpose or reshape it to {expected:?}, to \
         {} for several samples, or give each sample as one row of {} values",
        stacked(expected),
        expected.iter().product::<usize>()
    )]
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
    /// More samples than can be told apart in memory.
    #[error("`{path}` holds {got} samples, more than {MAX_SAMPLES}; split it")]
    TooManySamples {
        /// Its path.
        path: String,
        /// Its samples.
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

/// The shape of several samples, for messages.
fn stacked(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("[samples, {}]", sizes.join(", "))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    let shown: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| format!("`{}`", name.chars().take(SHOWN).collect::<String>()))
        .collect();
    let more = match names.len().saturating_sub(LISTED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    shown.join(", ") + &more
}
