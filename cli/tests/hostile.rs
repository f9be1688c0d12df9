//! Files that were changed at random: every reader ends, with a value or an error, within bounds of time and memory.
//!
//! The readers run in a process of their own ([`worker`]), so that one that aborts or overflows its stack fails the test and
//! not the others. `slow_twenty_thousand_files` is the full form: `cargo test -p tensorseal slow_ -- --ignored`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha20Rng;
use tensorseal::{
    chain::deployment::Deployment,
    pipeline::{self, CompiledModel, Vk, files},
};
use tensorseal_circuits::{
    onnx::{self, ImportOptions, Reference},
    quantize::inputs::{self, InputSpec},
};
use tensorseal_prover::artifact::{self, Kind};

use crate::support::{Folder, repository};

/// Every parser of untrusted bytes but that of calldata, which `verifier-contract/tests/differential.rs` mutates.
const KINDS: [&str; 11] = [
    "npy",
    "npz",
    "json",
    "onnx",
    "model",
    "vk",
    "pk",
    "proof",
    "srs",
    "ptau",
    "deployment",
];
/// Time and memory that a file of under 10 MB may take.
const MAX_TIME: Duration = Duration::from_secs(10);
const MAX_MIB: f64 = 1024.0;

/// Where a worker finds the honest files, and which cases are its own: `KIND FROM TO`.
const FOLDER: &str = "TENSORSEAL_HOSTILE_FOLDER";
const CASES: &str = "TENSORSEAL_HOSTILE_CASES";

#[test]
fn some_hundred_changed_files() {
    run_all(30);
}

#[test]
#[ignore = "slow: 20,000 files, some minutes"]
fn slow_twenty_thousand_files() {
    run_all(1820);
}

fn run_all(cases: u64) {
    let folder = honest();
    for kind in KINDS {
        let output = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "--ignored", "--nocapture", "hostile::worker"])
            .env(FOLDER, folder.path(""))
            .env(CASES, format!("{kind} 0 {cases}"))
            .output()
            .expect("the worker starts");
        let last = fs::read_to_string(folder.path("last")).unwrap_or_default();
        assert!(
            output.status.success() && last == format!("{kind} {}", cases - 1),
            "{kind}: {} at case `{last}`\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// A folder with an honest file of each kind.
fn honest() -> Folder {
    let folder = Folder::new();
    let model = repository("fixtures/quantized/mlp_qop_u8u8.onnx");
    folder.json(&["compile", &model, "-o", "model"]);
    let compiled = pipeline::read_model(&folder.path("model")).expect("it was just compiled");
    let len: usize = compiled.model.inputs[0].shape.iter().product();
    let values = vec![1.0f32; len];
    let json = serde_json::json!({ compiled.model.inputs[0].name.as_str(): values });
    folder.write("json", json.to_string().as_bytes());
    let tensor = tensorseal::tensors::Tensor {
        name: compiled.model.inputs[0].name.clone(),
        shape: vec![1, len],
        values: values.clone(),
    };
    for kind in ["npy", "npz"] {
        let path = PathBuf::from(format!("x.{kind}"));
        let bytes = tensorseal::tensors::encode(&path, std::slice::from_ref(&tensor));
        folder.write(kind, &bytes.expect("one tensor"));
    }
    fs::copy(model, folder.path("onnx")).expect("the model");
    fs::copy(
        repository("fixtures/srs/snarkjs_5.ptau"),
        folder.path("ptau"),
    )
    .expect("the file");
    let srs = pipeline::dev_srs(compiled.layout.k).expect("a small one");
    let keys = pipeline::setup(&compiled, &srs).expect("keys");
    let proof = pipeline::prove(&compiled, &keys.pk, &srs, &vec![values]).expect("a proof");
    pipeline::write_vk(&folder.path("vk"), &keys).expect("written");
    pipeline::write_pk(&folder.path("pk"), &keys).expect("written");
    pipeline::write_proof(&folder.path("proof"), &proof).expect("written");
    // A reference string of the size in use is large; a small one has the same parts.
    let small = pipeline::dev_srs(6).expect("a small one");
    pipeline::write_srs(&folder.path("srs"), &small).expect("written");
    folder.write(
        "deployment",
        br#"{"statement_id":"abababababababababababababababababababababababababababababababab","chain_id":1,
            "verifier":"0x00000000000000000000000000000000000000aa","verifier_bytes":100,
            "key":"0x00000000000000000000000000000000000000bb","registration":{"registry":"0xcc","id":"0xdd",
            "metadata_uri":"ipfs://x"},"sent":[{"what":"verifier","gas":21000}]}"#,
    );
    folder
}

/// Reads changed files of one kind; run by the tests above.
#[test]
#[ignore = "a process of the tests above"]
fn worker() {
    let (Ok(folder), Ok(cases)) = (std::env::var(FOLDER), std::env::var(CASES)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let fields: Vec<&str> = cases.split(' ').collect();
    let (kind, from, to) = (fields[0], number(fields[1]), number(fields[2]));
    let readers = Readers::new(&folder);
    let honest = fs::read(folder.join(kind)).expect("an honest file");
    let artifact = artifact_kind(kind).map(|kind_of| {
        let path = folder.join(kind);
        Vec::from(artifact::read(&path, kind_of).expect("honest").payload)
    });
    let changed = folder.join("changed");
    readers
        .read(kind, &folder.join(kind))
        .expect("the honest file is read");
    for case in from..to {
        fs::write(folder.join("last"), format!("{kind} {case}")).expect("a writable folder");
        let mut rng = ChaCha20Rng::seed_from_u64(case);
        match &artifact {
            // Behind the hash, where whoever forges a file gets as well.
            Some(payload) if rng.gen_bool(0.75) => {
                let payload = mutated(payload, &mut rng);
                let kind = artifact_kind(kind).expect("it is one");
                files::write_artifact(&changed, kind, true, &payload).expect("written");
            }
            _ => fs::write(&changed, mutated(&honest, &mut rng)).expect("written"),
        }
        let counted = pipeline::reset_peak_memory();
        let start = Instant::now();
        let outcome = readers.read(kind, &changed);
        let took = start.elapsed();
        assert!(took < MAX_TIME, "{kind} {case}: {took:?}, {outcome:?}");
        if let Some(mib) = pipeline::recent_peak_memory_mib().filter(|_| counted) {
            assert!(mib < MAX_MIB, "{kind} {case}: {mib} MiB, {outcome:?}");
        }
        if let Err(message) = outcome {
            assert!(
                !message.is_empty() && message.len() < 10_000,
                "{kind} {case}: {message}"
            );
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn artifact_kind(kind: &str) -> Option<Kind> {
    Some(match kind {
        "model" => Kind::Model,
        "vk" => Kind::VerifyingKey,
        "pk" => Kind::ProvingKey,
        "proof" => Kind::Proof,
        "srs" => Kind::Srs,
        _ => return None,
    })
}

/// What reading some files needs of others.
struct Readers {
    compiled: CompiledModel,
    vk: Vk,
    specs: Vec<InputSpec>,
}

impl Readers {
    fn new(folder: &Path) -> Self {
        let compiled = pipeline::read_model(&folder.join("model")).expect("honest");
        let spec = |port: &tensorseal_circuits::model::Port| InputSpec {
            name: port.name.clone(),
            shape: port.shape.clone(),
        };
        Self {
            specs: compiled.model.inputs.iter().map(spec).collect(),
            compiled,
            vk: pipeline::read_vk(&folder.join("vk"), None).expect("honest"),
        }
    }

    /// Reads a file as far as a command would before it computes with it.
    fn read(&self, kind: &str, path: &Path) -> Result<(), String> {
        let text = |why: &dyn std::error::Error| why.to_string();
        match kind {
            "npy" | "npz" | "json" => {
                let bytes = fs::read(path).expect("it is there");
                inputs::parse("changed", kind, &bytes, &self.specs)
                    .map(drop)
                    .map_err(|why| text(&why))
            }
            "onnx" => {
                let bytes = fs::read(path).expect("it is there");
                let options = ImportOptions::default();
                onnx::import(&bytes, &options).map_err(|why| text(&why))?;
                Reference::new(&bytes, &options)
                    .map(drop)
                    .map_err(|why| text(&why))
            }
            "model" => pipeline::read_model(path)
                .map(drop)
                .map_err(|why| text(&why)),
            "vk" => pipeline::read_vk(path, None)
                .map(drop)
                .map_err(|why| text(&why)),
            "pk" => pipeline::read_pk(path, &self.compiled)
                .map(drop)
                .map_err(|why| text(&why)),
            "proof" => {
                let proof = pipeline::read_proof(path).map_err(|why| text(&why))?;
                pipeline::verify(&self.vk, &proof).map(drop)
            }
            "srs" => pipeline::read_srs(path, None)
                .map(drop)
                .map_err(|why| text(&why)),
            "ptau" => pipeline::import_srs(path, None, &mut |_| ())
                .map(drop)
                .map_err(|why| text(&why)),
            "deployment" => Deployment::read(path).map(drop).map_err(|why| text(&why)),
            _ => unreachable!("an unknown kind"),
        }
    }
}

/// A file with one to four changes.
fn mutated(honest: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut bytes = honest.to_vec();
    for _ in 0..rng.gen_range(1..=4) {
        change(&mut bytes, rng);
    }
    bytes
}

/// Numbers at which readers break: varints, little- and big-endian words.
const NUMBERS: [&[u8]; 8] = [
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    &[0xff; 8],
    &[0, 0, 0, 0, 0, 0, 0, 0x80],
    &[0, 0, 0, 0, 1, 0, 0, 0],
    &[0xff; 4],
    &[0; 8],
];

fn change(bytes: &mut Vec<u8>, rng: &mut ChaCha20Rng) {
    if bytes.is_empty() {
        bytes.push(rng.r#gen());
        return;
    }
    // Heads and lengths stand in front: half of the changes are made there.
    let end = if rng.gen_bool(0.5) {
        bytes.len().min(256)
    } else {
        bytes.len()
    };
    let at = rng.gen_range(0..end);
    let some = (at + rng.gen_range(1..=64)).min(bytes.len());
    match rng.gen_range(0..9) {
        0 => bytes[at] ^= 1 << rng.gen_range(0..8),
        1 => bytes[at] = rng.r#gen(),
        2 => bytes[at] = *[0, 1, 0x7f, 0x80, 0xff].choose(rng).expect("some"),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..some)),
        5 => {
            let copy = bytes[at..some].to_vec();
            let to = rng.gen_range(0..=bytes.len());
            drop(bytes.splice(to..to, copy));
        }
        6 => {
            let number = NUMBERS.choose(rng).expect("some");
            drop(bytes.splice(at..at + 1, number.iter().copied()));
        }
        7 => {
            let number = NUMBERS.choose(rng).expect("some");
            let end = (at + number.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        _ => {
            let digits = b"0123456789[](){}\"',:-.eTF";
            bytes[at] = *digits.choose(rng).expect("some");
        }
    }
}

#[test]
fn an_import_that_breaks_down_is_an_error() {
    let folder = Folder::new();
    for (name, side) in [("abort.onnx", 1024), ("memory.onnx", 160)] {
        folder.write(name, &folded_convolution(side));
        let start = Instant::now();
        let line = folder.fails(2, &["compile", name, "--input-range", "0,1"]);
        assert!(line.contains(name) && line.contains("its import"), "{line}");
        assert!(line.contains("--no-import-limits"), "{line}");
        assert!(start.elapsed() < Duration::from_secs(90), "{line}");
    }
}

/// A model that folds the convolution of a constant image by a constant kernel, both of `side` squared.
fn folded_convolution(side: usize) -> Vec<u8> {
    // Protobuf by hand: a message is its fields, a field a key, for bytes and messages a length, and the value.
    let varint = |mut v: u64| {
        let mut out = Vec::new();
        while v > 0x7f {
            out.push(v as u8 | 0x80);
            v >>= 7;
        }
        out.push(v as u8);
        out
    };
    let number = |field: u64, v: u64| [varint(field << 3), varint(v)].concat();
    let bytes = |field: u64, v: &[u8]| {
        [varint(field << 3 | 2), varint(v.len() as u64), v.to_vec()].concat()
    };
    let text = |field: u64, v: &str| bytes(field, v.as_bytes());
    let side = side as u64;
    let tensor = |name: &str| {
        let dims: Vec<u8> = [1, 1, side, side]
            .iter()
            .flat_map(|&d| number(1, d))
            .collect();
        let raw = vec![0; (side * side * 4) as usize];
        [dims, number(2, 1), text(8, name), bytes(9, &raw)].concat()
    };
    let dim = |size: u64| bytes(1, &number(1, size));
    let shape = bytes(2, &[dim(1), dim(4)].concat());
    let kind = bytes(2, &bytes(1, &[number(1, 1), shape].concat()));
    let input = [text(1, "x"), kind].concat();
    let pads: Vec<u8> = [side / 2; 4].iter().flat_map(|&p| number(8, p)).collect();
    let pads = [text(1, "pads"), number(20, 7), pads].concat();
    let node = |op: &str, inputs: &[&str], output: &str, attribute: &[u8]| {
        let inputs: Vec<u8> = inputs.iter().flat_map(|name| text(1, name)).collect();
        bytes(
            1,
            &[inputs, text(2, output), text(4, op), attribute.to_vec()].concat(),
        )
    };
    let graph = [
        node("Conv", &["a", "b"], "c", &bytes(5, &pads)),
        node("ReduceSum", &["c"], "s", &[]),
        node("Add", &["x", "s"], "y", &[]),
        text(2, "folded"),
        bytes(5, &tensor("a")),
        bytes(5, &tensor("b")),
        bytes(11, &input),
        bytes(12, &text(1, "y")),
    ]
    .concat();
    let opset = bytes(8, &number(2, 13));
    [number(1, 8), bytes(7, &graph), opset].concat()
}
