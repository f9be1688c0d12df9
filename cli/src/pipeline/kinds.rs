//! What a file is that was given in place of another, for messages.

use std::{fs::File, io::Read, path::Path};

use tensorseal_prover::artifact;

use crate::{CliError, Result};

/// Refuses what is plainly something else than an ONNX model, and says which command takes it.
pub fn expect_onnx(path: &Path, bytes: &[u8]) -> Result<()> {
    let (is, remedy) = match bytes {
        [] => ("an empty file", "export the model again"),
        _ if bytes.starts_with(artifact::MAGIC) => (
            "a file that tensorseal wrote, no ONNX model",
            "`inspect` says what it holds; a compiled model goes to `run`, `setup` and `prove`",
        ),
        _ if bytes.starts_with(b"PK\x03\x04") => (
            "an archive, such as .npz, no ONNX model",
            "give the .onnx file as MODEL, and arrays of inputs with --calibration or --input",
        ),
        _ if bytes.starts_with(b"\x93NUMPY") => (
            "an array of numpy, no ONNX model",
            "give the .onnx file as MODEL, and arrays of inputs with --calibration or --input",
        ),
        [b'{' | b'[', ..] => (
            "JSON, no ONNX model",
            "give the .onnx file as MODEL, and inputs with --calibration or --input",
        ),
        _ => return Ok(()),
    };
    Err(CliError::Input(format!(
        "{}: {is}; {remedy}",
        path.display()
    )))
}

/// What a file that is none of tensorseal's seems to be, and where it goes, as far as that can be guessed.
pub fn advice(path: &Path) -> Option<&'static str> {
    let mut first = [0];
    File::open(path).ok()?.read_exact(&mut first).ok()?;
    match (first, path.extension()?.to_str()?) {
        (_, "onnx") => {
            Some("an ONNX model: `compile` makes a compiled model of it, which other commands take")
        }
        (_, "npz" | "npy") => Some(
            "an array of numpy: inputs go to --calibration of `compile` and --input of `prove`",
        ),
        (_, "ptau") => Some("a ceremony's result: `srs import` makes a reference string of it"),
        ([b'{' | b'['], _) => Some(
            "JSON: inputs go to --input, and what `deploy` and `register` write to --deployment",
        ),
        _ => None,
    }
}
