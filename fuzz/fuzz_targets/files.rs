//! Files for readers that take a path, and the honest ones that some targets change.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use tempfile::TempDir;
use tensorseal::{
    args::Cli,
    commands,
    pipeline::{self, CompiledModel, Keys, Srs, files},
    ui::Ui,
};
use tensorseal_prover::artifact::{self, Kind};

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir().expect("a temporary folder");
}

fn path(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(name))
}

/// A file of these bytes.
pub(crate) fn written(bytes: &[u8]) -> PathBuf {
    let path = path("file");
    fs::write(&path, bytes).expect("a writable folder");
    path
}

/// An artifact of this payload, with the hash that belongs to it.
pub(crate) fn sealed(kind: Kind, payload: &[u8]) -> PathBuf {
    let path = path("artifact");
    files::write_artifact(&path, kind, true, payload).expect("a writable folder");
    path
}

/// The payload that `write` writes.
pub(crate) fn payload(kind: Kind, write: impl FnOnce(&Path) -> tensorseal::Result<u64>) -> Vec<u8> {
    let path = path("honest");
    write(&path).expect("a writable folder");
    Vec::from(artifact::read(&path, kind).expect("just written").payload)
}

/// A small model with its keys.
pub(crate) fn honest() -> (CompiledModel, Srs, Keys) {
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/quantized/mlp_qop_u8u8.onnx");
    let model = path("model");
    let arguments = ["tensorseal".as_ref(), "compile".as_ref(), onnx.as_os_str(), "-o".as_ref(), model.as_os_str()];
    commands::run(&Cli::parse_from(arguments).command, &Ui::new()).expect("a fixture");
    let compiled = pipeline::read_model(&model).expect("just compiled");
    let srs = pipeline::dev_srs(compiled.layout.k).expect("a small one");
    let keys = pipeline::setup(&compiled, &srs).expect("keys");
    (compiled, srs, keys)
}

/// What a program of edits makes of honest bytes; each edit is eight bytes: what, where (four), how much (two), a value.
pub(crate) fn edited(honest: &[u8], program: &[u8]) -> Vec<u8> {
    let mut bytes = honest.to_vec();
    for edit in program.as_chunks::<8>().0 {
        let at = u32::from_le_bytes([edit[1], edit[2], edit[3], edit[4]]) as usize % (bytes.len() + 1);
        let end = (at + usize::from(u16::from_le_bytes([edit[5], edit[6]]))).min(bytes.len());
        match edit[0] % 6 {
            0 => bytes[at..end].fill(edit[7]),
            1 => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte ^= edit[7]),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            _ => drop(bytes.splice(at..end.min(at + 1), [[0xff; 9].as_slice(), &[1]].concat())),
        }
    }
    bytes
}
