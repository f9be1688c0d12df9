//! `bench --stages`: where a backend's time goes, for circuits of any size and for models.
//!
//! Single operations and whole proofs of a synthetic circuit are measured in this process, models in one of their own each.
//!
//! | module | purpose |
//! |---|---|
//! | `report` | what was measured, as JSON and as tables |
//! | `picture` | the same, drawn |

mod picture;
mod report;

use std::time::SystemTime;

use self::report::{Figure, LeftOut, Report, Run};
use super::bench::{self, Compiled, Ready};
use crate::{
    CliError, Outcome, Result,
    args::{self, Backend, Bench, Sizes},
    pipeline::{
        self, machine,
        synthetic::{self, Attempt},
    },
    text,
    ui::{self, Ui},
};

/// The name of the synthetic circuit.
const SYNTHETIC: &str = "60 columns";

/// The sizes where none are given.
fn sizes(backend: Backend) -> Sizes {
    Sizes {
        first: 14,
        last: if backend == Backend::Cpu { 18 } else { 24 },
        step: 2,
    }
}

/// Measures, prints, and writes `stages.json` and `stages.svg` where a folder is given.
pub fn run(args: &Bench, ui: &Ui) -> Result<Outcome> {
    let backend = one_backend(args.backend);
    let sizes = args.stages.flatten().unwrap_or_else(|| sizes(backend));
    // One more is made, which does not count.
    let memory = args::memory_or_default(args.memory, args.repeat + 1);
    // What is wrong with a model is said before anything is measured.
    let models = args
        .models
        .iter()
        .map(|path| bench::compile(args, path, ui));
    let models: Vec<Compiled> = models.collect::<Result<_>>()?;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        date: ui::date(SystemTime::now()),
        backend: backend.name(),
        processor: None,
        machine: machine::processor_model(),
        threads: pipeline::cores(),
        repeat: args.repeat,
        operations: vec![],
        circuits: vec![],
        models: vec![],
        left_out: vec![],
    };
    for k in sizes.each() {
        let label = format!("{SYNTHETIC}, 2^{k}");
        let (attempt, _) = ui.try_timed(label, || {
            synthetic::measure(k, backend, memory, args.repeat)
        })?;
        report.add(k, attempt);
    }
    for model in &models {
        match measure(model, backend, memory, args.repeat, ui) {
            Ok((processor, run)) => {
                report.processor = Some(processor);
                report.models.push(run);
            }
            // The figures so far are not lost.
            Err(why) => report.left_out.push(LeftOut {
                name: model.name.clone(),
                why: why.to_string(),
            }),
        }
    }
    let json = serde_json::to_value(&report).expect("reports have string keys");
    let mut text = report.text();
    if let Some(folder) = &args.output {
        pipeline::create_folder(folder)?;
        let [figures, drawn] = ["stages.json", "stages.svg"].map(|name| folder.join(name));
        pipeline::write_file(&figures, format!("{json:#}\n").as_bytes())?;
        pipeline::write_file(&drawn, picture::draw(&report).as_bytes())?;
        let [figures, drawn] = [figures, drawn].map(|path| text::path(&path));
        text += &format!("\n\nwritten {figures}, {drawn}");
    }
    Ok(Outcome::new(text, json))
}

/// A table is of one backend, whatever fits it.
fn one_backend(backend: Backend) -> Backend {
    let usable = |name| {
        let found = pipeline::devices();
        found
            .iter()
            .any(|d| d.backend == name && d.problem.is_none())
    };
    match backend {
        Backend::Auto if usable(Backend::Cuda.name()) => Backend::Cuda,
        Backend::Auto => Backend::Cpu,
        named => named,
    }
}

fn measure(
    model: &Compiled,
    backend: Backend,
    memory: u32,
    repeat: usize,
    ui: &Ui,
) -> Result<(String, Run)> {
    let k = pipeline::facts(&model.compiled)?.k;
    let srs = pipeline::dev_srs(k)?;
    let ready = Ready::new(&model.compiled, &srs, &model.items[0], ui)?;
    drop(srs);
    let (proved, proof) = ready.profile(backend, memory, repeat + 1, ui)?;
    pipeline::verify(&ready.keys.vk, &proof)
        .map_err(|why| CliError::Input(format!("the proof was rejected: {why}")))?;
    let profile = proved
        .warm_profile
        .ok_or_else(|| CliError::Input("the proving process told no stages".into()))?;
    let run = Run::new(
        (model.name.clone(), k),
        (ready.setup_took, proved.prepare_s),
        profile,
        proved.proof_bytes,
    );
    Ok((proved.processor, run))
}

impl Report {
    fn add(&mut self, k: u32, attempt: Attempt) {
        let measured = match attempt {
            Attempt::Done(measured) => *measured,
            Attempt::LeftOut(why) => {
                let name = format!("{SYNTHETIC}, 2^{k}");
                self.left_out.push(LeftOut { name, why });
                return;
            }
        };
        let figures = measured.operations.iter().map(|o| Figure::new(k, o));
        self.operations.extend(figures);
        let prepare = Some(ui::seconds(measured.prepare));
        self.circuits.push(Run::new(
            (SYNTHETIC.into(), k),
            (measured.setup, prepare),
            measured.profile,
            measured.proof_bytes,
        ));
        self.processor = Some(measured.processor);
    }
}
