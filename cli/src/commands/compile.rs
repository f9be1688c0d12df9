//! `compile`: ONNX to a compiled model.

use std::collections::BTreeMap;

use serde_json::json;
use tensorseal_circuits::quantize::{Found, Goal};

use crate::{
    Outcome, Result,
    args::Compile,
    pipeline::{self, FloatModel, Model},
    ui::{self, Table, Ui},
};

/// Imports, quantizes, lays out, writes.
pub fn run(args: &Compile, ui: &Ui) -> Result<Outcome> {
    let float = FloatModel::open(&args.model, args.quantization.batch)?;
    let calibration = float.calibration(&args.quantization)?;
    let goal = args
        .max_rows
        .map(Goal::MaxRows)
        .or(args.target_accuracy.map(Goal::Decibels));
    let (quantization, optimize) = (&args.quantization, args.layout.optimize);
    let (quantized, found) = match goal {
        None => {
            let quantize = || float.quantize(&calibration, quantization, optimize);
            (ui.try_timed("quantizing", quantize)?.0, None)
        }
        Some(goal) => {
            let rows = |model: &Model| {
                Ok(pipeline::plan(model.clone(), &args.layout)?
                    .layout
                    .stats
                    .rows())
            };
            let search = || float.search(&calibration, quantization, optimize, goal, rows);
            let (quantized, found) = ui.try_timed("choosing bits", search)?.0;
            (quantized, Some(found))
        }
    };
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
        .row(["bits", &bits(args, found.as_ref())])
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
            "bits": args.quantization.bits, "widths": found.as_ref().map(|found| &found.widths),
            "snr_db": found.as_ref().map(|found| found.decibels), "batch": args.quantization.batch,
            "calibration_items": calibration.len(),
            "saturated": quantized.saturated, "calibration_values": quantized.values,
            "file": args.out, "file_bytes": file_bytes,
        }),
    ))
}

/// The bits that were asked for, or those that were found.
fn bits(args: &Compile, found: Option<&Found>) -> String {
    let Some(found) = found else {
        return args.quantization.bits.to_string();
    };
    let mut of: BTreeMap<u32, usize> = BTreeMap::new();
    for &bits in found.widths.values() {
        *of.entry(bits).or_default() += 1;
    }
    let of: Vec<String> = of
        .into_iter()
        .map(|(bits, tensors)| format!("{tensors} of {bits} bits"))
        .collect();
    format!(
        "tensors: {}; {:.1} dB on the calibration data",
        of.join(", "),
        found.decibels
    )
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
