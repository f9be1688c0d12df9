//! `calibrate`: which bit width and percentile suit a model.

use serde_json::json;

use crate::{
    Outcome, Result,
    args::{Calibrate, Optimize, Quantization},
    pipeline::FloatModel,
    ui::{Table, Ui},
};

/// Quantizes with every combination asked for and compares each with the float model.
pub fn run(args: &Calibrate, ui: &Ui) -> Result<Outcome> {
    let float = FloatModel::open(&args.model, 1)?;
    let calibration = float.load_inputs(&args.calibration)?;
    let compared = &calibration[..calibration.len().min(args.items)];

    let mut table = Table::with_header(&[
        "bits",
        "percentile",
        "largest error",
        "% of range",
        "saturated %",
    ]);
    let mut settings = Vec::new();
    let bar = ui.bar("calibrating", args.bits.len() * args.percentile.len());
    for &bits in &args.bits {
        for &percentile in &args.percentile {
            let quantization = Quantization {
                calibration: None,
                input_range: None,
                bits,
                batch: 1,
                percentile,
            };
            let quantized = float.quantize(&calibration, &quantization, Optimize::Prover)?;
            let error = float.error_of(&quantized.model, compared)?;
            let saturated = 100.0 * quantized.saturated as f64 / quantized.values.max(1) as f64;
            table.row([
                bits.to_string(),
                percentile.to_string(),
                format!("{:.6}", error.max_abs),
                format!("{:.4}", 100.0 * error.relative()),
                format!("{saturated:.4}"),
            ]);
            settings.push(json!({
                "bits": bits, "percentile": percentile, "max_abs_error": error.max_abs,
                "output_range": error.range, "saturated": quantized.saturated, "calibration_values": quantized.values,
            }));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(Outcome::new(
        format!(
            "{}: {} calibration inputs, {} compared with the float model\n{}\n\
             Pass the best to `compile` as --bits and --percentile.",
            float.name(),
            calibration.len(),
            compared.len(),
            table.render()
        ),
        json!({ "model": float.name(), "calibration_items": calibration.len(), "compared": compared.len(), "settings": settings }),
    ))
}
