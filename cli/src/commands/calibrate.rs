//! `calibrate`: which bit width and which ranges suit a model.

use serde_json::json;

use crate::{
    Outcome, Result,
    args::{Calibrate, Optimize, Quantization},
    commands::compare::layer_table,
    pipeline::FloatModel,
    ui::{Table, Ui},
};

/// Quantizes with every combination asked for and compares each with the float model.
pub fn run(args: &Calibrate, ui: &Ui) -> Result<Outcome> {
    let float = FloatModel::open(args.model.path(), 1)?;
    let calibration = float.load_inputs(&args.calibration)?;
    let compared = &calibration[..calibration.len().min(args.items)];

    let mut table = Table::with_header(&[
        "bits",
        "ranges",
        "largest error",
        "% of range",
        "SNR dB",
        "clamped %",
    ]);
    let mut settings = Vec::new();
    let mut layers = None;
    let bar = ui.bar("calibrating", args.bits.len() * args.ranges.len());
    for &bits in &args.bits {
        for &ranges in &args.ranges {
            let quantization = Quantization {
                bits,
                ranges,
                ..Quantization::default()
            };
            let quantized = float.quantize(&calibration, &quantization, Optimize::Prover)?;
            let error = float.error_of(&quantized.model, compared)?;
            let clamped = 100.0 * quantized.clamped as f64 / quantized.values.max(1) as f64;
            table.row([
                bits.to_string(),
                ranges.to_string(),
                format!("{:.6}", error.noise.max_abs),
                format!("{:.4}", 100.0 * error.relative()),
                format!("{:.1}", error.noise.decibels()),
                format!("{clamped:.4}"),
            ]);
            settings.push(json!({
                "bits": bits, "ranges": ranges.to_string(), "max_abs_error": error.noise.max_abs,
                "output_range": error.range, "snr_db": error.noise.decibels(), "clamped": quantized.clamped, "calibration_values": quantized.values,
            }));
            if args.layers && layers.is_none() {
                layers = Some((bits, ranges, float.layers(&quantized, compared)?));
            }
            bar.step();
        }
    }
    drop(bar);
    let (mut by_layer, mut layers_json) = (String::new(), json!(null));
    if let Some((bits, ranges, layers)) = layers {
        let (table, report) = layer_table(&layers);
        by_layer = format!("\n\nBy tensor, {bits} bits, {ranges}:\n{table}");
        layers_json = report;
    }
    Ok(Outcome::new(
        format!(
            "{}: {} calibration inputs, {} compared with the float model\n{}\n\
             Pass the best to `compile` as --bits and --ranges, or let it choose bits for every tensor: --target-accuracy DB.{by_layer}",
            float.name(),
            calibration.len(),
            compared.len(),
            table.render()
        ),
        json!({ "model": float.name(), "calibration_items": calibration.len(), "compared": compared.len(), "settings": settings, "layers": layers_json }),
    ))
}
