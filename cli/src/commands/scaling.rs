//! `bench --scaling`: how time and memory grow with the model, and the planner's cost model fitted to it.
//!
//! Each member of two families is proved in the profile that the planner chooses. A profile's columns are in one
//! ratio, whatever the rows; to tell them apart, the middle member is also proved in every other profile.

use std::collections::{BTreeMap, HashSet, btree_map::Entry};

use serde::Serialize;
use serde_json::json;
use tensorseal_circuits::{
    layout::{TIME_TERMS, TIME_US, time_terms},
    profile::ALL,
};

use super::bench::Ready;
use crate::{
    CliError, Outcome, Result,
    args::{Backend, Bench, Layout, Optimize, Visibility, WhichProver},
    fit::least_squares,
    pipeline::{self, CompiledModel, Item, Srs, scaling::Family},
    ui::{self, Table, Ui},
};

/// One member in one profile.
#[derive(Debug, Serialize)]
struct Run {
    family: &'static str,
    /// How many times larger than the first.
    factor: u32,
    /// In the profile that the planner chose.
    chosen: bool,
    profile: String,
    params: usize,
    activations: usize,
    rows: usize,
    k: u32,
    prove_s: f64,
    peak_mib: Option<f64>,
    us_per_activation: f64,
    us_per_weight: f64,
    #[serde(skip)]
    terms: [f64; TIME_TERMS.len()],
}

/// Measures and fits.
pub fn run(args: &Bench, ui: &Ui) -> Result<Outcome> {
    let steps = args.scaling.unwrap_or(1);
    let mut bench = Measure {
        repeat: args.repeat,
        backend: args.backend,
        memory: args.memory.unwrap_or(0),
        srs: BTreeMap::new(),
        ui,
    };
    let layout = |optimize| Layout {
        optimize,
        input_visibility: Visibility::Private,
        output_visibility: Visibility::Public,
    };
    let middle = (steps - 1) / 2;
    let mut runs = Vec::new();
    for family in [Family::Dense, Family::Conv] {
        let mut tried = HashSet::new();
        for step in 0..steps {
            let (model, item) = family.member(step, args.optimize)?;
            let compiled = pipeline::plan(model, &layout(args.optimize))?;
            if step == middle {
                tried.insert(compiled.layout.profile);
            }
            runs.push(bench.one(family, step, true, &compiled, &item)?);
        }
        // The two goals quantize for different profiles.
        for goal in [Optimize::Prover, Optimize::Gas] {
            let (model, item) = family.member(middle, goal)?;
            for profile in ALL.iter().filter(|p| !p.hash) {
                // A profile that cannot hold the model is none to measure.
                let Ok(compiled) = pipeline::plan_in(model.clone(), *profile, &layout(goal)) else {
                    continue;
                };
                if tried.insert(*profile) {
                    runs.push(bench.one(family, middle, false, &compiled, &item)?);
                }
            }
        }
    }

    let samples: Vec<_> = runs
        .iter()
        .map(|run| (run.terms, run.prove_s * 1e6))
        .collect();
    let fitted = least_squares(&samples);
    let mut errors: Vec<f64> = samples
        .iter()
        .map(|(terms, micros)| {
            let told: f64 = terms.iter().zip(fitted).map(|(t, us)| t * us).sum();
            (told / micros - 1.0).abs()
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    let (median, worst) = (errors[errors.len() / 2], errors[errors.len() - 1]);

    let mut constants = Table::with_header(&["us for each", "fitted", "planner's"]);
    let units = [
        "proof",
        "row",
        "row and small column",
        "row and dense column",
        "row and fixed column",
    ];
    for ((unit, fitted), planner) in units.iter().zip(fitted).zip(TIME_US) {
        constants.row([
            (*unit).to_string(),
            format!("{fitted:.3}"),
            format!("{planner:.3}"),
        ]);
    }
    let named = |constants: [f64; TIME_TERMS.len()]| -> BTreeMap<&str, f64> {
        TIME_TERMS.into_iter().zip(constants).collect()
    };
    let text = format!(
        "{}\n\ntime of a proof = sum of\n{}\nThe fit is off by {:.0}% at the median, {:.0}% at most.",
        table(&runs),
        constants.render(),
        100.0 * median,
        100.0 * worst,
    );
    let json = json!({
        "runs": runs, "fitted_us": named(fitted), "planner_us": named(TIME_US),
        "median_error": median, "worst_error": worst,
    });
    Ok(Outcome::new(text, json))
}

fn table(runs: &[Run]) -> String {
    let mut table = Table::with_header(&[
        "family",
        "times",
        "profile",
        "params",
        "activations",
        "rows",
        "k",
        "prove s",
        "peak MiB",
        "us/activation",
        "us/weight",
    ]);
    for run in runs {
        table.row([
            run.family.to_string(),
            run.factor.to_string(),
            format!(
                "{}{}",
                run.profile,
                if run.chosen { "" } else { " (not chosen)" }
            ),
            ui::thousands(run.params as u64),
            ui::thousands(run.activations as u64),
            ui::thousands(run.rows as u64),
            run.k.to_string(),
            format!("{:.3}", run.prove_s),
            run.peak_mib.map_or("-".into(), |peak| format!("{peak:.1}")),
            format!("{:.2}", run.us_per_activation),
            format!("{:.2}", run.us_per_weight),
        ]);
    }
    table.render()
}

struct Measure<'a> {
    repeat: usize,
    backend: Backend,
    memory: u32,
    /// By size.
    srs: BTreeMap<u32, Srs>,
    ui: &'a Ui,
}

impl Measure<'_> {
    fn one(
        &mut self,
        family: Family,
        step: u32,
        chosen: bool,
        compiled: &CompiledModel,
        item: &Item,
    ) -> Result<Run> {
        let facts = pipeline::facts(compiled)?;
        let srs = match self.srs.entry(facts.k) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(pipeline::dev_srs(facts.k)?),
        };
        let ready = Ready::new(compiled, srs, item, self.ui)?;
        let mut best: Option<(f64, Option<f64>)> = None;
        for _ in 0..self.repeat {
            let (report, proof) =
                ready.prove(WhichProver::Fast, self.backend, self.memory, 1, self.ui)?;
            pipeline::verify(&ready.keys.vk, &proof).map_err(|why| {
                CliError::Input(format!("{}: the proof was rejected: {why}", facts.model))
            })?;
            if best.is_none_or(|(time, _)| report.prove_s < time) {
                best = Some((report.prove_s, report.peak_mib));
            }
        }
        let (prove_s, peak_mib) = best.expect("--repeat is at least 1");
        let activations: usize = compiled
            .model
            .nodes
            .iter()
            .map(|node| node.shape.len())
            .sum();
        Ok(Run {
            family: family.name(),
            factor: 1 << step,
            chosen,
            profile: facts.profile,
            params: facts.params,
            activations,
            rows: facts.rows,
            k: facts.k,
            prove_s,
            peak_mib,
            us_per_activation: prove_s * 1e6 / activations as f64,
            us_per_weight: prove_s * 1e6 / facts.params as f64,
            terms: time_terms(&compiled.layout.profile, facts.k),
        })
    }
}
