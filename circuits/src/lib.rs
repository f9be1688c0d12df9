//! From an ONNX model to a halo2 circuit.
//!
//! [`onnx`] imports a float model into [`graph`]; [`quantize`] turns it into the integer [`model`], which [`executor`]
//! runs and specifies; [`layout`] plans rows and columns in a [`profile`]; [`witness`] fills them; [`circuit`] is the
//! halo2 circuit. `docs/arithmetization.md` derives the gates.

#![forbid(unsafe_code)]

pub mod check;
pub mod circuit;
pub mod compiled;
pub mod executor;
pub mod geometry;
pub mod graph;
pub mod hash;
pub mod layout;
pub mod model;
pub mod names;
pub mod onnx;
pub mod ports;
pub mod profile;
pub mod quantize;
pub mod validate;
pub mod witness;

#[cfg(test)]
mod testing;
