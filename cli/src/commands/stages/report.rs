//! What was measured, as JSON and as tables.

use std::time::Duration;

use serde::Serialize;
use tensorseal_prover::figures::Operation;

use crate::{
    profile::{Profile, Stage},
    ui::{self, Table},
};

/// Everything that was measured on a backend.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) date: String,
    pub(super) backend: &'static str,
    /// What computed, where anything did.
    pub(super) processor: Option<String>,
    pub(super) machine: Option<String>,
    pub(super) threads: usize,
    pub(super) repeat: usize,
    pub(super) operations: Vec<Figure>,
    /// Proofs of the synthetic circuit.
    pub(super) circuits: Vec<Run>,
    pub(super) models: Vec<Run>,
    pub(super) left_out: Vec<LeftOut>,
}

/// An operation on one size.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) operation: &'static str,
    pub(super) k: u32,
    pub(super) ms: f64,
    pub(super) values: u64,
    pub(super) values_per_s: f64,
}

/// Proofs of one circuit, all of them verified.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) k: u32,
    pub(super) seconds: f64,
    /// What of it the backend took.
    pub(super) backend_s: Option<f64>,
    /// The rest: witness, randomness, transcript.
    pub(super) host_s: Option<f64>,
    pub(super) stages: Vec<Stage>,
    pub(super) proof_bytes: usize,
    pub(super) verified: bool,
    pub(super) setup_s: f64,
    pub(super) prepare_s: Option<f64>,
}

/// What could not be measured.
#[derive(Debug, Serialize)]
pub(super) struct LeftOut {
    pub(super) name: String,
    pub(super) why: String,
}

impl Figure {
    pub(super) fn new(k: u32, operation: &Operation) -> Self {
        let seconds = operation.median.as_secs_f64();
        Self {
            operation: operation.name,
            k,
            ms: ui::milliseconds(operation.median),
            values: operation.values,
            values_per_s: (operation.values as f64 / seconds).round(),
        }
    }
}

impl Run {
    /// Of a proof that was verified.
    pub(super) fn new(
        (name, k): (String, u32),
        (setup, prepare_s): (Duration, Option<f64>),
        profile: Profile,
        proof_bytes: usize,
    ) -> Self {
        let seconds = profile.seconds;
        let host = |backend: f64| ((seconds - backend) * 1e4).max(0.0).round() / 1e4;
        Self {
            name,
            k,
            seconds,
            backend_s: profile.backend_seconds,
            host_s: profile.backend_seconds.map(host),
            stages: profile.stages,
            proof_bytes,
            verified: true,
            setup_s: ui::seconds(setup),
            prepare_s,
        }
    }

    /// Which circuit it is.
    pub(super) fn label(&self) -> String {
        format!("{}, 2^{}", self.name, self.k)
    }

    /// A stage's time, 0 where there is no such stage.
    pub(super) fn stage(&self, name: &str) -> f64 {
        let stage = self.stages.iter().find(|stage| stage.name == name);
        stage.map_or(0.0, |stage| stage.seconds)
    }
}

impl Report {
    /// What computed, and where.
    pub(super) fn title(&self) -> String {
        let processor = self.processor.as_deref().unwrap_or(self.backend);
        let backend = if processor == self.backend {
            String::new()
        } else {
            format!("{}: ", self.backend)
        };
        let machine = self.machine.as_deref().unwrap_or("unknown processor");
        format!(
            "{backend}{processor} ({}{machine}, {} threads)",
            if self.backend == "cpu" { "" } else { "beside " },
            self.threads
        )
    }

    /// When, and how.
    pub(super) fn subtitle(&self) -> String {
        let sizes: Vec<u32> = self.circuits.iter().map(|run| run.k).collect();
        let range = match (sizes.first(), sizes.last()) {
            (Some(first), Some(last)) if first < last => format!(", k = {first} to {last}"),
            (Some(k), _) => format!(", k = {k}"),
            _ => String::new(),
        };
        let runs = if self.repeat == 1 { "run" } else { "runs" };
        format!(
            "{}{range}, median of {} {runs} after one that does not count, tensorseal {}",
            self.date, self.repeat, self.version
        )
    }

    /// All runs, by kind.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.circuits.iter().chain(&self.models)
    }

    /// The names of all stages that took time, in the order of their beginning; what no stage covers is the last.
    pub(super) fn stages(&self) -> Vec<&str> {
        let mut names: Vec<&str> = vec![];
        for run in self.runs() {
            let mut next = 0;
            for stage in run.stages.iter().filter(|stage| stage.seconds > 0.0) {
                match names.iter().position(|name| *name == stage.name) {
                    Some(at) => next = at + 1,
                    None => {
                        names.insert(next, &stage.name);
                        next += 1;
                    }
                }
            }
        }
        names
    }

    /// The operations, each once.
    pub(super) fn operation_names(&self) -> Vec<&'static str> {
        let mut names = vec![];
        for figure in &self.operations {
            if !names.contains(&figure.operation) {
                names.push(figure.operation);
            }
        }
        names
    }

    pub(super) fn text(&self) -> String {
        let mut parts = vec![format!("{}\n{}", self.title(), self.subtitle())];
        if !self.circuits.is_empty() {
            parts.push(format!(
                "single operations, ms (millions of values a second)\n{}",
                self.operations()
            ));
            parts.push(format!(
                "proofs of a circuit of 60 columns, ms by stage\n{}",
                self.proofs(&self.circuits)
            ));
        }
        if !self.models.is_empty() {
            parts.push(format!(
                "proofs of models, ms by stage\n{}",
                self.proofs(&self.models)
            ));
        }
        if self.runs().next().is_some() {
            parts.push("All proofs were verified.".into());
        }
        let left_out = self.left_out.iter();
        parts.extend(left_out.map(|LeftOut { name, why }| format!("left out: {name}: {why}")));
        parts.join("\n\n")
    }

    fn operations(&self) -> String {
        let sizes: Vec<String> = self
            .circuits
            .iter()
            .map(|run| format!("2^{}", run.k))
            .collect();
        let sizes = sizes.iter().map(String::as_str);
        let header: Vec<&str> = ["operation"].into_iter().chain(sizes).collect();
        let mut table = Table::with_header(&header);
        for name in self.operation_names() {
            let figures = self.operations.iter().filter(|f| f.operation == name);
            let cell = |f: &Figure| format!("{} ({:.2})", digits(f.ms), f.values_per_s / 1e6);
            table.row([name.to_string()].into_iter().chain(figures.map(cell)));
        }
        table.render()
    }

    fn proofs(&self, runs: &[Run]) -> String {
        let headers: Vec<String> = runs.iter().map(Run::label).collect();
        let names = headers.iter().map(String::as_str);
        let header: Vec<&str> = ["stage"].into_iter().chain(names).collect();
        let mut table = Table::with_header(&header);
        let mut row = |label: &str, cell: &dyn Fn(&Run) -> String| {
            table.row([label.to_string()].into_iter().chain(runs.iter().map(cell)));
        };
        let ms = |seconds: f64| digits(1e3 * seconds);
        let known = |seconds: Option<f64>| seconds.map_or("-".into(), ms);
        for stage in self.stages() {
            if runs.iter().any(|run| run.stage(stage) > 0.0) {
                row(stage, &|run| ms(run.stage(stage)));
            }
        }
        row("total", &|run| ms(run.seconds));
        row("of it, in the backend", &|run| known(run.backend_s));
        row("of it, elsewhere", &|run| known(run.host_s));
        row("before: keys", &|run| ms(run.setup_s));
        row("before: preparing", &|run| known(run.prepare_s));
        row("proof, bytes", &|run| ui::thousands(run.proof_bytes as u64));
        table.render()
    }
}

/// A time with three digits or so.
pub(super) fn time(ms: f64) -> String {
    if ms < 1e3 {
        format!("{} ms", digits(ms))
    } else {
        format!("{} s", digits(ms / 1e3))
    }
}

/// A number with three digits or so.
pub(super) fn digits(value: f64) -> String {
    let places = match value {
        0.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.places$}")
}
