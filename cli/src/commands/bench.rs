//! `bench`: figures of models, the proving in a process of its own so that its peak memory is its own.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::prove::{self, Apart};
use crate::{
    CliError, Outcome, Result,
    args::{self, Backend, Bench, Quantization, WhichProver},
    chain::{Target, Wanted},
    pipeline::{self, CompiledModel, FloatModel, Item, KeyPaths, Keys, OutputError, Proof, Srs},
    ui::{self, Table, Ui},
};

/// File names in the folder of a measurement.
const MODEL: &str = "model.seal";
const INPUT: &str = "input.json";
/// Runs of the verifier whose median is reported.
const VERIFY_RUNS: usize = 5;

/// One report a model: an array where there are several models, else the object itself.
pub fn run(args: &Bench, ui: &Ui) -> Result<Outcome> {
    let mut header = vec![
        "model",
        "params",
        "k",
        "rows",
        "setup s",
        "pk",
        "prove s",
        "peak MiB",
        "verify ms",
        "proof B",
        "gas",
        "max error",
    ];
    if args.plain {
        header.extend(["plain s", "time x", "plain MiB", "memory x"]);
    }
    let mut table = Table::with_header(&header);
    let mut reports = Vec::new();
    for path in &args.models {
        let report = one(args, path, ui)?;
        let number = |key: &str| match &report[key] {
            Value::Null => "-".to_string(),
            Value::Number(value) => match value.as_u64() {
                Some(whole) => ui::thousands(whole),
                None => format!("{:.2}", value.as_f64().unwrap_or(f64::NAN)),
            },
            other => other.as_str().unwrap_or_default().to_string(),
        };
        let mut cells = vec![
            number("model"),
            number("params"),
            number("k"),
            number("rows"),
            number("setup_s"),
            report["pk_bytes"].as_u64().map_or("-".into(), ui::bytes),
            number("prove_s"),
            number("peak_mib"),
            number("verify_ms"),
            number("proof_bytes"),
            number("verify_gas"),
            format!(
                "{:.5}",
                report["max_abs_error"].as_f64().unwrap_or(f64::NAN)
            ),
        ];
        if args.plain {
            let [time, memory] = prove::plain_ratios(&report)
                .map(|ratio| ratio.map_or("-".into(), |ratio| format!("{ratio:.1}")));
            cells.extend([
                number("plain_prove_s"),
                time,
                number("plain_peak_mib"),
                memory,
            ]);
        }
        table.row(cells);
        reports.push(report);
    }
    let json = if reports.len() == 1 {
        reports.remove(0)
    } else {
        Value::Array(reports)
    };
    Ok(Outcome::new(table.render(), json))
}

/// A model as `bench` compiles it.
pub(super) struct Compiled {
    pub(super) name: String,
    pub(super) compiled: CompiledModel,
    /// The first is proved.
    pub(super) items: Vec<Item>,
    error: OutputError,
    took: Duration,
}

/// Quantizes a model and lays it out.
pub(super) fn compile(args: &Bench, path: &Path, ui: &Ui) -> Result<Compiled> {
    let float = FloatModel::open(path, 1)?;
    let name = path.file_stem().map_or_else(
        || float.name().to_string(),
        |stem| stem.to_string_lossy().into_owned(),
    );
    let beside = path.with_extension("input.json");
    let items = match &args.input {
        Some(file) => float.load_inputs(file)?,
        None if beside.exists() => float.load_inputs(&beside)?,
        None => float.random_inputs((-1.0, 1.0), 1),
    };
    let quantization = Quantization {
        bits: args.bits,
        ..Quantization::default()
    };
    let layout = args::Layout {
        optimize: args.optimize,
        input_visibility: args::Visibility::Private,
        output_visibility: args::Visibility::Public,
    };
    let (quantized, quantize_took) = ui.try_timed(format!("{name}: quantizing"), || {
        float.quantize(&items, &quantization, args.optimize)
    })?;
    let error = float.error_of(&quantized.model, &items[..1])?;
    let (compiled, plan_took) = ui.try_timed(format!("{name}: planning"), || {
        pipeline::plan(quantized.model, &layout)
    })?;
    Ok(Compiled {
        name,
        compiled,
        items,
        error,
        took: quantize_took + plan_took,
    })
}

fn one(args: &Bench, path: &Path, ui: &Ui) -> Result<Value> {
    let Compiled {
        name,
        compiled,
        items,
        error,
        took,
    } = compile(args, path, ui)?;
    let facts = pipeline::facts(&compiled)?;
    let mut report = json!({
        "model": name, "model_id": facts.model_id, "params": facts.params, "profile": facts.profile,
        "k": facts.k, "rows": facts.rows,
        "advice_columns": facts.advice_columns, "fixed_columns": facts.fixed_columns, "bits": args.bits,
        "compile_s": ui::seconds(took),
        "max_abs_error": error.noise.max_abs, "output_range": error.range,
        "setup_s": null, "pk_bytes": null, "vk_bytes": null, "prove_s": null, "prepare_s": null, "peak_mib": null,
        "verify_ms": null, "proof_bytes": null,
    });
    if args.layout_only {
        return Ok(report);
    }

    let (srs, _) = ui.try_timed(format!("{name}: reference string"), || {
        pipeline::dev_srs(facts.k)
    })?;
    let ready = Ready::new(&compiled, &srs, &items[0], ui)?;
    // The child holds only what proving needs; its peak is not this process's.
    drop((srs, compiled));
    let Ready {
        keys,
        setup_took,
        pk_bytes,
        vk_bytes,
        ..
    } = &ready;
    let memory = args::memory_or_default(args.memory, args.repeat);
    let (proved, proof) = ready.prove(WhichProver::Fast, args.backend, memory, args.repeat, ui)?;
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..VERIFY_RUNS {
        let (verdict, took) = ui.timed(format!("{name}: verifying"), || {
            pipeline::verify(&keys.vk, &proof)
        });
        verdict.map_err(|why| CliError::Input(format!("{name}: the proof was rejected: {why}")))?;
        times.push(took);
    }
    times.sort();
    for (key, value) in [
        ("setup_s", json!(ui::seconds(*setup_took))),
        ("pk_bytes", json!(pk_bytes)),
        ("vk_bytes", json!(vk_bytes)),
        ("backend", json!(args.backend.name())),
        ("processor", json!(proved.processor)),
        ("prove_s", json!(proved.prove_s)),
        ("prepare_s", json!(proved.prepare_s)),
        ("peak_mib", json!(proved.peak_mib)),
        ("verify_ms", json!(ui::milliseconds(times[VERIFY_RUNS / 2]))),
        ("proof_bytes", json!(proved.proof_bytes)),
    ] {
        report[key] = value;
    }
    if let Some(warm) = proved.prove_warm_s {
        report["prove_warm_s"] = json!(warm);
    }
    if args.plain {
        let (plain, proof) = ready.prove(WhichProver::Plain, Backend::Cpu, memory, 1, ui)?;
        pipeline::verify(&keys.vk, &proof).map_err(|why| {
            CliError::Input(format!("{name}: the plain proof was rejected: {why}"))
        })?;
        prove::add_plain(&mut report, &plain);
    }
    if args.gas {
        let mut target = Target::embedded();
        let deployed = target.deploy(&keys.vk, &Wanted::default())?;
        let verdict = target.verify(&keys.vk, &deployed, std::slice::from_ref(&proof), false)?;
        if !verdict.accepted {
            return Err(CliError::Input(format!(
                "{name}: the contract rejected the proof"
            )));
        }
        report["deploy_gas"] = json!(deployed.total_gas());
        report["verify_gas"] = json!(verdict.gas);
        report["calldata_bytes"] = json!(verdict.calldata_bytes);
        if let Some(cost) = verdict.cost {
            report["execution_gas"] = json!(cost.execution);
            report["calldata_gas"] = json!(cost.calldata);
            report["calldata_floor_gas"] = json!(cost.calldata_floor);
        }
    }
    Ok(report)
}

/// A model with all files that proving needs, in a folder of their own.
pub(super) struct Ready {
    name: String,
    folder: TempDir,
    pub(super) keys: Keys,
    pub(super) setup_took: Duration,
    pk_bytes: u64,
    vk_bytes: u64,
}

impl Ready {
    /// Makes keys and writes everything.
    pub(super) fn new(compiled: &CompiledModel, srs: &Srs, item: &Item, ui: &Ui) -> Result<Self> {
        let name = compiled.model.name.clone();
        let folder = tempfile::tempdir()
            .map_err(|why| CliError::system("making a temporary folder", why))?;
        let paths = KeyPaths::in_folder(folder.path());
        pipeline::write_model(&folder.path().join(MODEL), compiled)?;
        pipeline::write_srs(&paths.srs, srs)?;
        let (keys, setup_took) =
            ui.try_timed(format!("{name}: keys"), || pipeline::setup(compiled, srs))?;
        let pk_bytes = pipeline::write_pk(&paths.pk, &keys)?;
        let vk_bytes = pipeline::write_vk(&paths.vk, &keys)?;
        write_item(&folder.path().join(INPUT), item)?;
        Ok(Self {
            name,
            folder,
            keys,
            setup_took,
            pk_bytes,
            vk_bytes,
        })
    }

    /// Proves in a process of its own; its report and the proof.
    pub(super) fn prove(
        &self,
        prover: WhichProver,
        backend: Backend,
        memory: u32,
        repeat: usize,
        ui: &Ui,
    ) -> Result<(prove::Report, Proof)> {
        self.apart(ui, |apart| Apart {
            prover,
            backend,
            memory,
            repeat,
            ..apart
        })
    }

    /// Proves with the fast prover in a process of its own, which records the stages.
    pub(super) fn profile(
        &self,
        backend: Backend,
        memory: u32,
        repeat: usize,
        ui: &Ui,
    ) -> Result<(prove::Report, Proof)> {
        self.apart(ui, |apart| Apart {
            backend,
            memory,
            repeat,
            profile: true,
            ..apart
        })
    }

    fn apart(
        &self,
        ui: &Ui,
        how: impl for<'a> FnOnce(Apart<'a>) -> Apart<'a>,
    ) -> Result<(prove::Report, Proof)> {
        let folder = self.folder.path();
        let paths = KeyPaths::in_folder(folder);
        let [model, input, proof] = [MODEL, INPUT, "proof"].map(|name| folder.join(name));
        let apart = how(Apart {
            model: &model,
            pk: &paths.pk,
            srs: &paths.srs,
            input: &input,
            index: 0,
            proof: &proof,
            prover: WhichProver::Fast,
            backend: Backend::Cpu,
            memory: 0,
            repeat: 1,
            profile: false,
        });
        let label = format!("{}: proving ({})", self.name, apart.prover.name());
        let (report, _) = ui.try_timed(label, || apart.run())?;
        Ok((report, pipeline::read_proof(&proof)?))
    }
}

fn write_item(path: &Path, item: &Item) -> Result<()> {
    let text = serde_json::to_vec(&json!({ "input_data": item })).expect("numbers");
    pipeline::write_file(path, &text).map(drop)
}
