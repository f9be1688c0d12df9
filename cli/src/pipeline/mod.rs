//! The steps that commands share, from an ONNX file to a verified proof.
//!
//! | module | steps |
//! |---|---|
//! | [`float`] | import, calibration, quantization, the error against the float model |
//! | [`compiled`] | layout, the integer executor, figures of a compiled model |
//! | [`mod@digests`] | what hashed sides show |
//! | [`statement`] | what a verifier relies on, and its id |
//! | [`proof`] | reference strings, keys, proving, verifying |
//! | [`scaling`] | families of networks that grow |
//! | [`synthetic`] | a circuit of any size, measured |
//! | [`machine`] | the machine that all this runs on |
//! | [`kinds`] | what a file is that was given in place of another |
//! | [`outputs`] | what a command may write over |
//! | [`trial`] | an import in a process of its own, with limits |
//! | [`files`] | reading and writing, always whole files |

pub mod compiled;
pub mod digests;
pub mod files;
pub mod float;
pub mod kinds;
pub mod machine;
pub mod outputs;
pub mod proof;
pub mod scaling;
pub mod statement;
pub mod synthetic;
pub mod trial;
pub mod warnings;

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
pub use outputs::{Content, Outputs, same_file};
pub use proof::{
    ImportedSrs, KeyPaths, Keys, Pk, Prepared, Proof, Shows, Srs, Vk, check_environment, check_srs,
    cores, dev_srs, devices, import_srs, model_of_key, prepare, proof_digests, prove, prove_plain,
    prover_plan, public_tensors, read_pk, read_proof, read_srs, read_vk, read_vk_of_pk, setup,
    shows, verify, write_pk, write_proof, write_srs, write_vk,
};
pub use statement::StatementId;

/// Said of everything made with a development reference string.
pub const INSECURE: &str = "INSECURE development SRS: its secret is public, proofs can be forged";

/// One batch of inputs: for each model input its values, row-major.
pub type Item = Vec<Vec<f32>>;
