//! `compile`: ONNX to a compiled model.

use serde_json::json;

use crate::{
    Outcome, Result,
    args::Compile,
    pipeline::{self, FloatModel},
    ui::{self, Table, Ui},
};

/// Imports, quantizes, lays out, writes.
pub fn run(args: &Compile, ui: &Ui) -> Result<Outcome> {
    let float = FloatModel::open(&args.model, args.quantization.batch)?;
    let calibration = float.calibration(&args.quantization)?;
    let (quantized, _) = ui.try_timed("quantizing", || {
        float.quantize(&calibration, &args.quantization, args.layout.optimize)
    })?;
    let (compiled, _) = ui.try_timed("planning the layout", || {
        pipeline::plan(quantized.model.clone(), &args.layout)
    })?;
    let file_bytes = pipeline::write_model(&args.out, &compiled)?;
    let facts = pipeline::facts(&compiled)?;

    let mut table = Table::new();
    table
        .row(["parameters", &ui::thousands(facts.params as u64)])
        .row(["profile", &facts.profile])
        .row([
            "k",
            &format!(
                "{} ({} of {} rows used)",
                facts.k,
                ui::thousands(facts.rows as u64),
                1u64 << facts.k
            ),
        ])
        .row([
            "columns",
            &format!(
                "{} advice, {} fixed",
                facts.advice_columns, facts.fixed_columns
            ),
        ])
        .row(["saturated", &share(quantized.saturated, quantized.values)])
        .row(["model id", &facts.model_id])
        .row([
            "written",
            &format!("{} ({})", args.out.display(), ui::bytes(file_bytes)),
        ]);
    Ok(Outcome::new(
        format!("compiled {}\n{}", facts.model, table.render()),
        json!({
            "model": facts.model, "model_id": facts.model_id, "params": facts.params, "profile": facts.profile,
            "k": facts.k, "rows": facts.rows,
            "advice_columns": facts.advice_columns, "fixed_columns": facts.fixed_columns,
            "bits": args.quantization.bits, "batch": args.quantization.batch,
            "calibration_items": calibration.len(),
            "saturated": quantized.saturated, "calibration_values": quantized.values,
            "file": args.out, "file_bytes": file_bytes,
        }),
    ))
}

/// How often calibration data stand at the end of their range, in words.
fn share(saturated: u64, values: u64) -> String {
    let share = if values == 0 {
        0.0
    } else {
        100.0 * saturated as f64 / values as f64
    };
    format!(
        "{} of {} calibration values at the end of their range ({share:.3} %); larger ones are clamped",
        ui::thousands(saturated),
        ui::thousands(values)
    )
}
