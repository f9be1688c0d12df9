//! What the benches share: the digits model, ready to be proved.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use tensorseal::{
    args::{Layout, Optimize, Quantization, Visibility},
    pipeline::{self, CompiledModel, FloatModel, Item, Keys, Srs},
};

/// A model with its keys and one input.
#[derive(Debug)]
pub struct Ready {
    /// The compiled model.
    pub compiled: CompiledModel,
    /// The reference string, for development.
    pub srs: Srs,
    /// Its keys.
    pub keys: Keys,
    /// An input.
    pub item: Item,
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The digits model, compiled for a goal of the planner.
///
/// # Errors
/// Whatever is wrong with the fixture.
pub fn digits(optimize: Optimize) -> tensorseal::Result<Ready> {
    let quantization = Quantization::default();
    let float = FloatModel::open(&repository("fixtures/digits/digits.onnx"), 1)?;
    let items = float.load_inputs(&repository("fixtures/digits/digits_calibration.npz"))?;
    let quantized = float.quantize(&items, &quantization, optimize)?;
    let layout = Layout {
        optimize,
        input_visibility: Visibility::Private,
        output_visibility: Visibility::Public,
    };
    let compiled = pipeline::plan(quantized.model, &layout)?;
    let srs = pipeline::dev_srs(compiled.layout.k)?;
    let keys = pipeline::setup(&compiled, &srs)?;
    let item = items[0].clone();
    Ok(Ready {
        compiled,
        srs,
        keys,
        item,
    })
}
