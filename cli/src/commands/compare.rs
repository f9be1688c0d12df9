//! `compare`: how far the integer model is from the float model on the user's own inputs.

use std::path::Path;

use serde_json::{Value, json};
use tensorseal_circuits::{graph::Agreement, quantize::Noise};

use crate::{
    CliError, Outcome, Result,
    args::{Compare, Optimize},
    pipeline::{self, FloatModel, Item, OutputError},
    ui::{self, Table, Ui},
};

/// Compares outputs with the float model, and every tensor where the model is quantized here.
pub fn run(args: &Compare, ui: &Ui) -> Result<Outcome> {
    let compiled = args.compiled.as_deref().map(pipeline::read_model);
    let compiled = compiled.transpose()?;
    if compiled.is_some() && args.quantization.is_given() {
        return Err(CliError::Input(
            "--compiled is compared as it is, in its own batches: leave out --calibration, --input-range, --bits, --batch and --ranges"
                .into(),
        ));
    }
    let batch = compiled.as_ref().map(pipeline::CompiledModel::batch);
    let batch = batch.or(args.quantization.batch).unwrap_or(1);
    let float = FloatModel::open(args.model.path(), batch)?;
    let items = float.load_inputs(&args.input)?;
    if items.is_empty() {
        return Err(CliError::Input(format!(
            "`{}` holds no input",
            args.input.display()
        )));
    }
    if let Some(path) = &args.reference {
        return reference(&float, &items, path);
    }
    let (errors, layers) = if let Some(compiled) = &compiled {
        (float.errors_of(&compiled.model, &items)?, None)
    } else {
        let calibration = float.calibration_or(&args.quantization, &args.input)?;
        let quantized = float.quantize(&calibration, &args.quantization, Optimize::Prover)?;
        let (layers, _) = ui.try_timed("comparing", || float.layers(&quantized, &items))?;
        (float.errors_of(&quantized.model, &items)?, Some(layers))
    };
    let mut table = Table::with_header(&[
        "output",
        "largest error",
        "% of range",
        "SNR dB",
        "same greatest element",
        "equal labels",
    ]);
    for error in &errors {
        table.row([
            error.noise.name.clone(),
            format!("{:.6}", error.noise.max_abs),
            format!("{:.4}", 100.0 * error.relative()),
            format!("{:.1}", error.noise.decibels()),
            share(error.same_greatest, error.items),
            share(error.equal_labels, error.items),
        ]);
    }
    let mut text = format!(
        "{}: {} inputs\n{}",
        float.name(),
        items.len(),
        table.render()
    );
    let mut report = json!({
        "model": float.name(), "items": items.len(),
        "outputs": errors.iter().map(output_json).collect::<Vec<_>>(),
    });
    if let Some(layers) = layers {
        let (by_layer, layers) = layer_table(&layers);
        text += &format!("\n\nBy tensor:\n{by_layer}");
        report["layers"] = layers;
    }
    Ok(Outcome::new(text, report))
}

/// Every element of a quantized model's outputs against another runtime's.
fn reference(float: &FloatModel, items: &[Item], path: &Path) -> Result<Outcome> {
    let agreements = float.agreements(items, path)?;
    let (mut equal, mut explained, mut differing) = (0, 0, 0);
    let mut lines = Vec::new();
    let mut differences = Vec::new();
    for (at, agreement) in agreements.iter().enumerate() {
        let (count, ties) = match agreement {
            Agreement::Equal => {
                equal += 1;
                continue;
            }
            Agreement::NearTies { differing, ties } => (*differing, &ties[..]),
            Agreement::Unexplained { differing } => (*differing, &[][..]),
        };
        differing += count;
        explained += usize::from(!ties.is_empty());
        let told: Vec<String> = ties
            .iter()
            .map(|tie| {
                format!(
                    "element {} of `{}` lies {:.1e} steps from a half",
                    tie.element, tie.node, tie.margin
                )
            })
            .collect();
        let why = if told.is_empty() {
            "not explained by any two near-ties".to_owned()
        } else {
            told.join(", ")
        };
        lines.push(format!("  input {at}: {count} differ; {why}"));
        let ties: Vec<Value> = ties
            .iter()
            .map(|tie| json!({ "node": tie.node, "element": tie.element, "margin": tie.margin }))
            .collect();
        differences.push(json!({ "input": at, "differing": count, "near_ties": ties }));
    }
    let unexplained = agreements.len() - equal - explained;
    let text = format!(
        "{}: outputs of {} inputs: {equal} equal, {explained} differ by near-ties, {unexplained} differ otherwise\n{}",
        float.name(),
        agreements.len(),
        lines.join("\n")
    );
    Ok(Outcome {
        text: text.trim_end().to_owned(),
        json: json!({
            "model": float.name(), "items": agreements.len(), "equal": equal, "near_ties": explained,
            "unexplained": unexplained, "differing_elements": differing, "differences": differences,
        }),
        accepted: unexplained == 0,
    })
}

fn share(count: Option<usize>, items: usize) -> String {
    count.map_or("-".into(), |count| format!("{count} of {items}"))
}

pub(super) fn output_json(error: &OutputError) -> Value {
    json!({
        "name": error.noise.name, "max_abs_error": error.noise.max_abs, "output_range": error.range,
        "snr_db": finite(error.noise.decibels()), "same_greatest": error.same_greatest, "equal_labels": error.equal_labels, "items": error.items,
    })
}

/// Signal-to-noise ratios of every tensor, for people and for programs.
pub(super) fn layer_table(layers: &[Noise]) -> (String, Value) {
    let mut table = Table::with_header(&["tensor", "bits", "SNR dB", "largest error", "clamped"]);
    for layer in layers {
        table.row([
            layer.name.clone(),
            if layer.bits == 0 {
                String::new()
            } else {
                layer.bits.to_string()
            },
            format!("{:.1}", layer.decibels()),
            format!("{:.6}", layer.max_abs),
            format!(
                "{} of {}",
                ui::thousands(layer.clamped),
                ui::thousands(layer.values)
            ),
        ]);
    }
    let one = |layer: &Noise| {
        json!({
            "name": layer.name, "bits": layer.bits, "snr_db": finite(layer.decibels()), "max_abs_error": layer.max_abs,
            "clamped": layer.clamped, "values": layer.values,
        })
    };
    (table.render(), layers.iter().map(one).collect())
}

/// JSON has no infinity: null where there is no noise at all.
fn finite(decibels: f64) -> Option<f64> {
    decibels.is_finite().then_some(decibels)
}
