//! `compare`: how far the integer model is from the float model on the user's own inputs.

use serde_json::{Value, json};
use tensorseal_circuits::quantize::Noise;

use crate::{
    CliError, Outcome, Result,
    args::{Compare, Optimize},
    pipeline::{self, FloatModel, OutputError},
    ui::{self, Table, Ui},
};

/// Compares outputs with the float model, and every tensor where the model is quantized here.
pub fn run(args: &Compare, ui: &Ui) -> Result<Outcome> {
    let float = FloatModel::open(&args.model, args.quantization.batch)?;
    let items = float.load_inputs(&args.input)?;
    if items.is_empty() {
        return Err(CliError::Input(format!(
            "`{}` holds no input",
            args.input.display()
        )));
    }
    let (errors, layers) = if let Some(path) = &args.compiled {
        let compiled = pipeline::read_model(path)?;
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
    ]);
    for error in &errors {
        table.row([
            error.noise.name.clone(),
            format!("{:.6}", error.noise.max_abs),
            format!("{:.4}", 100.0 * error.relative()),
            format!("{:.1}", error.noise.decibels()),
            format!("{} of {}", error.same_greatest, error.items),
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

fn output_json(error: &OutputError) -> Value {
    json!({
        "name": error.noise.name, "max_abs_error": error.noise.max_abs, "output_range": error.range,
        "snr_db": finite(error.noise.decibels()), "same_greatest": error.same_greatest, "items": error.items,
    })
}

/// Signal-to-noise ratios of every tensor, for people and for programs.
pub(super) fn layer_table(layers: &[Noise]) -> (String, Value) {
    let mut table = Table::with_header(&["tensor", "bits", "SNR dB", "largest error", "saturated"]);
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
                ui::thousands(layer.saturated),
                ui::thousands(layer.values)
            ),
        ]);
    }
    let one = |layer: &Noise| {
        json!({
            "name": layer.name, "bits": layer.bits, "snr_db": finite(layer.decibels()), "max_abs_error": layer.max_abs,
            "saturated": layer.saturated, "values": layer.values,
        })
    };
    (table.render(), layers.iter().map(one).collect())
}

/// JSON has no infinity: null where there is no noise at all.
fn finite(decibels: f64) -> Option<f64> {
    decibels.is_finite().then_some(decibels)
}
