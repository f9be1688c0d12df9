//! `prove`: one inference.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tensorseal_prover::artifact::Kind;

use crate::{
    CliError, Outcome, Result,
    args::{self, Backend, Prove, WhichProver},
    pipeline::{
        self, CompiledModel, Content, INSECURE, Item, KeyPaths, Outputs, Pk, Proof, Srs, warnings,
    },
    profile::{self, Profile},
    tensors, text,
    ui::{self, Table, Ui},
};

/// Proves and writes the proof with its public values.
pub fn run(args: &Prove, ui: &Ui) -> Result<Outcome> {
    if args.prover == WhichProver::Plain && args.backend != Backend::Cpu {
        return Err(CliError::Input(format!(
            "--backend {} goes with the fast prover; the plain one runs on this processor only",
            args.backend.name()
        )));
    }
    let paths = KeyPaths::in_folder(&args.keys);
    check_outputs(args, &paths)?;
    let compiled = pipeline::read_model(args.model.path())?;
    let item = &pipeline::load_input(&compiled.model, &args.input, args.index)?;
    let clamped = warnings::clamped_inputs(&compiled.model, std::slice::from_ref(item))?;
    warnings::refuse(args.strict, &clamped)?;
    let pk_path = args.pk.as_deref().unwrap_or(&paths.pk);
    let pk = pipeline::read_pk(pk_path, &compiled)?;
    pk.vk().expect(args.expect.id, pk_path)?;
    let statement_id = pk.vk().statement_id().to_string();
    let srs_path = args.srs.as_deref().unwrap_or(&paths.srs);
    let srs = pipeline::read_srs(srs_path, Some(pk.k()))?;
    let proved = match args.prover {
        WhichProver::Fast => fast(args, ui, &compiled, (&pk, &srs), item)?,
        WhichProver::Plain => plain(args, ui, &compiled, (&pk, &srs), item)?,
    };
    let peak = pipeline::peak_memory_mib();
    let shows = pipeline::shows(&compiled, &pk, &proved.proof, item)?;
    // What follows needs neither; a plain prover may run beside this process.
    drop((pk, srs));
    let Proved {
        processor,
        proof,
        cold,
        prepare,
        warm,
        profile,
        warm_profile,
    } = proved;
    let file_bytes = pipeline::write_proof(&args.proof, &proof)?;
    let facts = pipeline::facts(&compiled)?;
    let pipeline::Shows {
        outputs,
        outputs_are_public,
        digests,
    } = shows;

    let mut report = json!({
        "statement_id": statement_id, "model": facts.model, "model_id": facts.model_id, "k": facts.k, "prover": args.prover.name(),
        "backend": args.backend.name(), "processor": processor, "prove_s": ui::seconds(cold), "peak_mib": peak, "proof_bytes": proof.bytes().len(),
        "public_values": facts.public_values, "file": text::path(&args.proof), "file_bytes": file_bytes,
        "insecure": proof.insecure(), "outputs": tensors::json(&outputs)["outputs"],
        "outputs_in_proof": outputs_are_public, "digests": digests,
        "clamped_inputs": clamped,
    });
    let mut table = Table::new();
    table.row(["statement id", &statement_id]);
    table.row(["computed on", &processor]);
    table.row(["time", &ui::duration(cold)]);
    for (key, label, time) in [
        ("prepare_s", "of it, preparing", prepare),
        ("prove_warm_s", "once prepared", warm),
    ] {
        if let Some(time) = time {
            report[key] = json!(ui::seconds(time));
            table.row([label, &ui::duration(time)]);
        }
    }
    if let Some(peak) = peak {
        table.row(["peak memory", &format!("{peak:.1} MiB")]);
    }
    if args.plain {
        let scratch = tempfile::tempdir()
            .map_err(|why| CliError::system("making a temporary folder", why))?;
        let plain = Apart {
            model: args.model.path(),
            pk: pk_path,
            srs: srs_path,
            input: &args.input,
            index: args.index,
            proof: &scratch.path().join("proof"),
            prover: WhichProver::Plain,
            backend: Backend::Cpu,
            memory: args::memory_or_default(args.memory, args.repeat),
            repeat: 1,
            profile: false,
        };
        let (plain, _) = ui.try_timed("proving with the plain prover", || plain.run())?;
        add_plain(&mut report, &plain);
        table.row(["the plain prover", &comparison(&report)]);
    }
    table
        .row([
            "proof",
            &format!("{} bytes", ui::thousands(proof.bytes().len() as u64)),
        ])
        .row(["public values", &facts.public_values.to_string()])
        .row([
            "written",
            &format!("{} ({})", args.proof.display(), ui::bytes(file_bytes)),
        ]);
    for output in &outputs {
        let told = match outputs_are_public {
            true => output.summary(),
            false => format!("{} (not in the proof)", output.summary()),
        };
        table.row([&output.name, &told]);
    }
    for digest in &digests {
        table.row(digest.row());
    }
    for clamped in &clamped {
        table.row(["warning", &clamped.to_string()]);
    }
    if proof.insecure() {
        table.row(["warning", INSECURE]);
    }
    let mut text = format!("proved {}\n{}", facts.model, table.render());
    if let (Some(profile), Some(file)) = (&profile, &args.profile) {
        text += &format!("\n\n{}", profile.table());
        report["stages"] = json!(profile.stages);
        report["backend_s"] = json!(profile.backend_seconds);
        report["warm_profile"] = json!(warm_profile);
        if let Some(file) = file {
            pipeline::write_file(file, profile.svg(&facts.model).as_bytes())?;
        }
    }
    Ok(Outcome::new(text, report))
}

/// Neither the proof nor the picture replaces what this command reads, nor one the other.
fn check_outputs(args: &Prove, paths: &KeyPaths) -> Result<()> {
    let inputs = [
        args.model.path(),
        args.pk.as_deref().unwrap_or(&paths.pk),
        args.srs.as_deref().unwrap_or(&paths.srs),
        &args.input,
    ];
    let force = args.overwrite.force;
    Outputs::new(inputs, force).check(&args.proof, Content::Artifact(Kind::Proof))?;
    match &args.profile {
        Some(Some(picture)) => {
            let inputs = inputs.into_iter().chain([args.proof.as_path()]);
            Outputs::new(inputs, force).check(picture, Content::Other(b"<svg"))
        }
        _ => Ok(()),
    }
}

/// The last proof, and how long the proofs took.
struct Proved {
    /// What computed them.
    processor: String,
    proof: Proof,
    /// The first, from keys in memory to its bytes.
    cold: Duration,
    /// What of it was independent of the input.
    prepare: Option<Duration>,
    /// Median of those after it, where there are any.
    warm: Option<Duration>,
    /// Of the first.
    profile: Option<Profile>,
    /// The median one of those after it.
    warm_profile: Option<Profile>,
}

fn fast(
    args: &Prove,
    ui: &Ui,
    compiled: &CompiledModel,
    (pk, srs): (&Pk, &Srs),
    item: &Item,
) -> Result<Proved> {
    let profiled = args.profile.is_some();
    let cold = || -> Result<_> {
        let (prepared, prepare) = ui.try_timed("preparing", || {
            let memory = args::memory_or_default(args.memory, args.repeat);
            pipeline::prepare(compiled, pk, srs, args.backend, memory)
        })?;
        let prepared = if profiled {
            prepared.clocked()
        } else {
            prepared
        };
        let (proof, took) = ui.try_timed("proving", || prepared.prove(item))?;
        Ok((prepared, proof, prepare, took))
    };
    let (first, profile) = if profiled {
        let (first, profile) = profile::record(cold);
        (first?, Some(profile))
    } else {
        (cold()?, None)
    };
    let (prepared, mut proof, prepare, took) = first;
    let mut backend_time = prepared.backend_time();
    let with_backend = |profile: Profile, time: Option<Duration>| Profile {
        backend_seconds: time.map(ui::seconds),
        ..profile
    };
    let profile = profile.map(|profile| with_backend(profile, backend_time));
    let (mut times, mut profiles) = (vec![], vec![]);
    for _ in 1..args.repeat {
        let again = || ui.try_timed("proving again", || prepared.prove(item));
        let (again, took) = if profiled {
            let (again, profile) = profile::record(again);
            let before = std::mem::replace(&mut backend_time, prepared.backend_time());
            let time = backend_time.zip(before).map(|(now, before)| now - before);
            profiles.push(with_backend(profile, time));
            again?
        } else {
            again()?
        };
        times.push(took);
        proof = again;
    }
    Ok(Proved {
        processor: prepared.processor(),
        proof,
        cold: prepare + took,
        prepare: Some(prepare),
        warm: median(times),
        profile,
        warm_profile: profile::median(profiles),
    })
}

fn plain(
    args: &Prove,
    ui: &Ui,
    compiled: &CompiledModel,
    (pk, srs): (&Pk, &Srs),
    item: &Item,
) -> Result<Proved> {
    let once = || ui.try_timed("proving", || pipeline::prove_plain(compiled, pk, srs, item));
    let (mut proof, cold) = once()?;
    let mut times = Vec::new();
    for _ in 1..args.repeat {
        let (again, took) = once()?;
        times.push(took);
        proof = again;
    }
    Ok(Proved {
        processor: "cpu".into(),
        proof,
        cold,
        prepare: None,
        warm: median(times),
        profile: None,
        warm_profile: None,
    })
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

/// `prove` in a process of its own.
pub(super) struct Apart<'a> {
    /// As the flags of the same names.
    pub(super) model: &'a Path,
    pub(super) pk: &'a Path,
    pub(super) srs: &'a Path,
    pub(super) input: &'a Path,
    pub(super) index: usize,
    pub(super) proof: &'a Path,
    pub(super) prover: WhichProver,
    pub(super) backend: Backend,
    pub(super) memory: u32,
    pub(super) repeat: usize,
    pub(super) profile: bool,
}

/// What `prove --json` says.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) processor: String,
    pub(super) prove_s: f64,
    pub(super) prepare_s: Option<f64>,
    pub(super) prove_warm_s: Option<f64>,
    pub(super) peak_mib: Option<f64>,
    pub(super) proof_bytes: usize,
    pub(super) warm_profile: Option<Profile>,
}

impl Apart<'_> {
    /// Runs this same program and waits for it.
    pub(super) fn run(&self) -> Result<Report> {
        let program =
            std::env::current_exe().map_err(|why| CliError::system("finding this program", why))?;
        let mut command = Command::new(program);
        command.args(["--json", "prove"]);
        // Which is the fast prover's.
        if self.profile {
            command.arg("--profile");
        } else {
            command.args(["--prover", self.prover.name()]);
        }
        for (flag, value) in [
            ("--backend", self.backend.name().to_string()),
            ("--index", self.index.to_string()),
            ("--memory", self.memory.to_string()),
            ("--repeat", self.repeat.to_string()),
        ] {
            command.args([flag, &value]);
        }
        for (flag, path) in [
            ("--model", self.model),
            ("--pk", self.pk),
            ("--srs", self.srs),
            ("--input", self.input),
            ("--proof", self.proof),
        ] {
            command.arg(flag).arg(path);
        }
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|why| CliError::system("starting a process for the proof", why))?;
        if !output.status.success() {
            // Before it there may be lines of the log and of progress.
            let told = String::from_utf8_lossy(&output.stderr);
            let message = told
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix("error: "));
            return Err(CliError::Input(message.unwrap_or(told.trim()).to_string()));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|why| CliError::input("the report of the proving process", why))
    }
}

/// Adds the plain prover's figures to a report.
pub(super) fn add_plain(report: &mut Value, plain: &Report) {
    report["plain_prove_s"] = json!(plain.prove_s);
    report["plain_peak_mib"] = json!(plain.peak_mib);
}

/// How many times longer the plain prover takes, and how many times more memory.
pub(super) fn plain_ratios(report: &Value) -> [Option<f64>; 2] {
    [("plain_prove_s", "prove_s"), ("plain_peak_mib", "peak_mib")].map(|(plain, fast)| {
        let (plain, fast) = (report[plain].as_f64()?, report[fast].as_f64()?);
        (fast > 0.0).then_some(plain / fast)
    })
}

/// The plain prover's figures in words.
fn comparison(report: &Value) -> String {
    let [time, memory] = plain_ratios(report);
    let told = |key: &str, unit: &str, ratio: Option<f64>| match (report[key].as_f64(), ratio) {
        (Some(value), Some(ratio)) => format!("{value:.2} {unit} ({ratio:.1}x)"),
        _ => format!("- {unit}"),
    };
    let time = told("plain_prove_s", "s", time);
    format!("{time}, {}", told("plain_peak_mib", "MiB", memory))
}
