//! The steps that commands share, from an ONNX file to a verified proof.
//!
//! | module | steps |
//! |---|---|
//! | [`float`] | import, calibration, quantization, the error against the float model |
//! | [`compiled`] | layout, the integer executor, figures of a compiled model |
//! | [`mod@digests`] | what hashed sides show |
//! | [`proof`] | reference strings, keys, proving, verifying |
//! | [`scaling`] | families of networks that grow |
//! | [`synthetic`] | a circuit of any size, measured |
//! | [`machine`] | the machine that all this runs on |
//! | [`files`] | reading and writing, always whole files |

pub mod compiled;
pub mod digests;
pub mod files;
pub mod float;
pub mod machine;
pub mod proof;
pub mod scaling;
pub mod synthetic;

pub use compiled::{
    CompiledModel, Facts, LayerFacts, Model, check_inputs, digests, execute, facts, load_input,
    load_inputs, plan, plan_in, read_model, write_model,
};
pub use digests::{DigestValue, HashedSide};
pub use files::{
    Header, create_folder, memory_mib, peak_memory_mib, read_file, read_header, read_labels,
    recent_peak_memory_mib, reset_peak_memory, write_file,
};
pub use float::{FloatModel, OutputError, Quantized};
pub use proof::{
    ImportedSrs, KeyPaths, Keys, Pk, Prepared, Proof, Shows, Srs, Vk, cores, dev_srs, devices,
    import_srs, prepare, proof_digests, prove, prove_plain, prover_plan, public_tensors, read_pk,
    read_proof, read_srs, read_vk, setup, shows, verify, write_pk, write_proof, write_srs,
    write_vk,
};

/// Said of everything made with a development reference string.
pub const INSECURE: &str = "INSECURE development SRS: its secret is public, proofs can be forged";

/// One batch of inputs: for each model input its values, row-major.
pub type Item = Vec<Vec<f32>>;
