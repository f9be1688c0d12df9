//! Committed sources and bytecode against a fresh generation and compilation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{Circuit, ConstraintSystem},
};
use tensorseal_circuits::{circuit::configure, profile};
use tensorseal_verifier_contract::{
    codegen::{ERRORS, VerifierLayout, generate},
    key::MAX_CODE_BYTES,
    profiles::Artifact,
    project::model_source,
    registry::{self, Compiled, SOURCES},
};

use crate::{
    case::crate_dir,
    circuits::{SHAPES, TestCircuit},
};

/// Folder of the real profiles, and that of the tests' shapes.
const FOLDERS: [&str; 2] = ["contracts/profiles", "tests/contracts"];

pub(crate) fn regenerating() -> bool {
    std::env::var_os("TENSORSEAL_REGENERATE").is_some_and(|v| v == "1")
}

/// Whether the pinned compiler and node are installed.
pub(crate) fn node_modules() -> bool {
    let there = crate_dir().join("node_modules/solc").exists();
    if !there {
        println!("skipped: no verifier-contract/node_modules; run `npm ci` there");
    }
    there
}

/// What stands in a folder: layouts and sources, by profile.
fn generate_all(folder: &str) -> BTreeMap<String, (VerifierLayout, String)> {
    let mut systems: Vec<(String, ConstraintSystem<Fr>, usize)> = Vec::new();
    if folder == FOLDERS[0] {
        for p in profile::ALL {
            let mut cs = ConstraintSystem::default();
            configure(&mut cs, p);
            systems.push((p.name(), cs, p.fold));
        }
    } else {
        for shape in SHAPES {
            let mut cs = ConstraintSystem::default();
            TestCircuit::configure_with_params(&mut cs, shape);
            systems.push((shape.name(), cs, 1));
        }
    }
    let make = |(name, cs, stride): (String, ConstraintSystem<Fr>, usize)| {
        let layout = VerifierLayout::strided(&name, &cs, stride).unwrap();
        let source = generate(&layout, &cs).unwrap();
        (name, (layout, source))
    };
    systems.into_iter().map(make).collect()
}

/// What the pinned solc makes of files in a folder; it must have nothing to say of them.
pub(crate) fn solc(folder: &Path, files: &[String]) -> serde_json::Value {
    let output = Command::new("node")
        .arg(crate_dir().join("compile.mjs"))
        .arg(folder)
        .args(files)
        .output()
        .expect("node runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    assert!(messages.is_empty(), "solc warns:\n{messages}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Compiles the sources of a folder with the pinned solc.
fn compile(
    folder: &Path,
    layouts: &BTreeMap<String, (VerifierLayout, String)>,
) -> BTreeMap<String, Artifact> {
    let files: Vec<String> = layouts.keys().map(|name| format!("{name}.sol")).collect();
    let compiled = solc(folder, &files);
    let artifact = |(name, (layout, _)): (&String, &(VerifierLayout, String))| {
        let contract = &compiled[format!("{name}.sol:{}", layout.contract_name())];
        let artifact = Artifact {
            contract: layout.contract_name(),
            id: hex::encode(layout.id()),
            solc: contract["solc"].as_str().unwrap().to_owned(),
            runtime_bytes: contract["runtime_bytes"].as_u64().unwrap() as usize,
            bytecode: contract["bytecode"].as_str().unwrap().to_owned(),
        };
        (name.clone(), artifact)
    };
    layouts.iter().map(artifact).collect()
}

/// The hand-written contracts that the crate embeds, compiled.
fn compile_embedded() -> [Compiled; 2] {
    let names = [
        registry::contract().contract,
        registry::verifier_interface().contract,
    ];
    let files = names.clone().map(|name| format!("{name}.sol"));
    let compiled = solc(&crate_dir().join("contracts"), &files);
    names.map(|name| {
        let mut artifact = compiled[format!("{name}.sol:{name}")].clone();
        artifact["contract"] = name.into();
        serde_json::from_value(artifact).unwrap()
    })
}

/// Writes sources, bytecode and the list that the crate embeds; nothing is replaced unless all of it compiles.
pub(crate) fn regenerate() {
    for folder in FOLDERS {
        let generated = generate_all(folder);
        let fresh = tempfile::tempdir().unwrap();
        for (name, (_, source)) in &generated {
            fs::write(fresh.path().join(format!("{name}.sol")), source).unwrap();
        }
        for (name, artifact) in compile(fresh.path(), &generated) {
            let mut text = serde_json::to_string_pretty(&artifact).unwrap();
            text.push('\n');
            fs::write(fresh.path().join(format!("{name}.json")), text).unwrap();
        }
        let path = crate_dir().join(folder);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        for file in fs::read_dir(fresh.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), path.join(file.file_name())).unwrap();
        }
        if folder == FOLDERS[0] {
            fs::write(crate_dir().join("src/embedded.rs"), embedded_list()).unwrap();
        }
    }
    for compiled in compile_embedded() {
        let path = crate_dir().join(format!("contracts/{}.json", compiled.contract));
        let text = serde_json::to_string_pretty(&compiled).unwrap() + "\n";
        fs::write(path, text).unwrap();
    }
}

/// `src/embedded.rs`, in the profiles' own order.
fn embedded_list() -> String {
    let mut text = "// Written by TENSORSEAL_REGENERATE=1 cargo test -p tensorseal-verifier-contract; do not edit.

/// Profile, source, artifact.
const EMBEDDED: &[(&str, &str, &str)] = &[
"
    .to_owned();
    for p in profile::ALL {
        let name = p.name();
        let file = |ext| {
            format!(
                "        include_str!(\"../{}/{name}.{ext}\"),\n",
                FOLDERS[0]
            )
        };
        text += &format!(
            "    (\n        \"{name}\",\n{}{}    ),\n",
            file("sol"),
            file("json")
        );
    }
    text + "];\n"
}

#[test]
fn sources_are_the_generators() {
    for folder in FOLDERS {
        for (name, (_, source)) in generate_all(folder) {
            let path = crate_dir().join(folder).join(format!("{name}.sol"));
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == source,
                "{} is stale: TENSORSEAL_REGENERATE=1 cargo test -p tensorseal-verifier-contract --test main",
                path.display()
            );
        }
    }
    assert_eq!(
        fs::read_to_string(crate_dir().join("src/embedded.rs")).unwrap(),
        embedded_list()
    );
}

#[test]
fn bytecode_is_the_pinned_compilers() {
    if !node_modules() {
        return;
    }
    for folder in FOLDERS {
        let path = crate_dir().join(folder);
        for (name, fresh) in compile(&path, &generate_all(folder)) {
            let text = fs::read_to_string(path.join(format!("{name}.json"))).unwrap();
            let committed: Artifact = serde_json::from_str(&text).unwrap();
            assert!(committed == fresh, "{folder}/{name}.json is stale");
            assert!(
                fresh.runtime_bytes < MAX_CODE_BYTES,
                "{name}: {} bytes",
                fresh.runtime_bytes
            );
            println!("{name}: {} bytes of code", fresh.runtime_bytes);
        }
    }
}

#[test]
fn hand_written_bytecode_is_the_pinned_compilers() {
    if !node_modules() {
        return;
    }
    let committed = [registry::contract(), registry::verifier_interface()];
    for (fresh, committed) in compile_embedded().into_iter().zip(committed) {
        assert!(
            fresh == committed,
            "contracts/{}.json is stale: TENSORSEAL_REGENERATE=1 rewrites it",
            fresh.contract
        );
        assert!(fresh.runtime_bytes < MAX_CODE_BYTES);
        println!("{}: {} bytes of code", fresh.contract, fresh.runtime_bytes);
    }
}

/// The interface for consumers says what a generated contract has.
#[test]
fn the_verifiers_interface_is_the_contracts() {
    if !node_modules() {
        return;
    }
    let names = |abi: &serde_json::Value| -> BTreeSet<String> {
        let types = |entry: &serde_json::Value| -> Vec<String> {
            let inputs = entry["inputs"].as_array().unwrap().iter();
            inputs.map(|i| i["type"].to_string()).collect()
        };
        let name = |entry: &serde_json::Value| {
            format!(
                "{} {} {:?} {}",
                entry["type"],
                entry["name"],
                types(entry),
                entry["stateMutability"]
            )
        };
        abi.as_array().unwrap().iter().map(name).collect()
    };
    let file = format!("{}.sol", SHAPES[0].name());
    let compiled = solc(&crate_dir().join(FOLDERS[1]), std::slice::from_ref(&file));
    let contract = &compiled[format!("{file}:TensorSealVerifier_{}", SHAPES[0].name())];
    let interface = names(&registry::verifier_interface().abi);
    assert_eq!(names(&contract["abi"]), interface);
    assert_eq!(interface.len(), 2 + ERRORS.len());
}

/// The example, for a model of one of the tests' shapes.
#[test]
fn the_example_compiles_and_fits() {
    if !node_modules() {
        return;
    }
    let project = crate::registry::project();
    let folder = tempfile::tempdir().unwrap();
    for (name, source) in SOURCES {
        fs::write(folder.path().join(name), source).unwrap();
    }
    fs::write(folder.path().join("Model.sol"), model_source(&project)).unwrap();
    let compiled = solc(folder.path(), &["PredictionOracle.sol".to_owned()]);
    let bytes = compiled["PredictionOracle.sol:PredictionOracle"]["runtime_bytes"]
        .as_u64()
        .unwrap();
    println!("PredictionOracle: {bytes} bytes of code");
    assert!(bytes < MAX_CODE_BYTES as u64);
}
