//! `compile`: ONNX to a compiled model.

use std::collections::BTreeMap;

use serde_json::json;
use tensorseal_circuits::quantize::{Found, Goal};
use tensorseal_prover::artifact::Kind;

use crate::{
    Outcome, Result,
    args::{Compile, Visibility},
    commands::compare::output_json,
    pipeline::{self, Content, FloatModel, Model, OutputError, Outputs, Quantized, warnings},
    text,
    ui::{self, Table, Ui},
};

/// Imports, quantizes, lays out, writes.
pub fn run(args: &Compile, ui: &Ui) -> Result<Outcome> {
    let inputs = [
        Some(args.model.path()),
        args.quantization.calibration.as_deref(),
    ];
    Outputs::new(inputs.into_iter().flatten(), args.overwrite.force)
        .check(&args.output, Content::Artifact(Kind::Model))?;
    let float = FloatModel::open(args.model.path(), args.quantization.batch.unwrap_or(1))?
        .named(args.name.as_deref());
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
    let items = float.accuracy_items(&calibration);
    let errors = match items.as_slice() {
        [] => Vec::new(),
        items => {
            let measure = || float.errors_of(&quantized.model, items);
            ui.try_timed("comparing with the float model", measure)?.0
        }
    };
    let mut warnings: Vec<String> = nothing_shown(args).into_iter().collect();
    warnings.extend(warnings::of_accuracy(
        &float,
        (&quantized, args.quantization.ranges.0),
        &errors,
        &items,
    )?);
    warnings::refuse(args.strict, &warnings)?;
    let (compiled, _) = ui.try_timed("planning the layout", || {
        pipeline::plan(quantized.model.clone(), &args.layout)
    })?;
    let file_bytes = pipeline::write_model(&args.output, &compiled)?;
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
                ui::thousands(1 << facts.k)
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
        .row(["clamped", &clamped(&quantized)]);
    for error in &errors {
        table.row(["accuracy", &accuracy(error)]);
    }
    table.row(["model id", &facts.model_id]).row([
        "written",
        &format!("{} ({})", args.output.display(), ui::bytes(file_bytes)),
    ]);
    if !float.unread_inputs().is_empty() {
        let dropped = float.unread_inputs().join(", ");
        let told =
            format!("{dropped}: no output depends on it; dropped, and ignored where it is given");
        table.row(["unread inputs", &told]);
    }
    if !float.constant_outputs().is_empty() {
        let constant = float.constant_outputs().join(", ");
        table.row([
            "constant outputs",
            &format!("{constant}: the same for every input"),
        ]);
    }
    for warning in &warnings {
        table.row(["warning", warning]);
    }
    Ok(Outcome::new(
        format!("compiled {}\n{}", facts.model, table.render()),
        json!({
            "model": facts.model, "model_id": facts.model_id, "params": facts.params, "profile": facts.profile,
            "k": facts.k, "rows": facts.rows,
            "advice_columns": facts.advice_columns, "fixed_columns": facts.fixed_columns,
            "bits": args.quantization.bits, "widths": found.as_ref().map(|found| &found.widths),
            "snr_db": found.as_ref().map(|found| found.decibels), "batch": compiled.batch(), "warnings": warnings,
            "accuracy": errors.iter().map(output_json).collect::<Vec<_>>(),
            "calibration_items": calibration.len(),
            "unread_inputs": float.unread_inputs(), "constant_outputs": float.constant_outputs(),
            "clamped": quantized.clamped, "calibration_values": quantized.values,
            "file": text::path(&args.output), "file_bytes": file_bytes,
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

/// How far an output is from the float model's.
fn accuracy(error: &OutputError) -> String {
    let mut told = if error.noise.max_abs == 0.0 {
        format!("`{}`: no difference", error.noise.name)
    } else {
        format!(
            "`{}`: {:.1} dB, largest error {:.2} % of the range",
            error.noise.name,
            error.noise.decibels(),
            100.0 * error.relative()
        )
    };
    for (count, what) in [
        (error.same_greatest, "the same greatest element"),
        (error.equal_labels, "an equal label"),
    ] {
        if let Some(count) = count {
            told += &format!(", {what} in {count} of {}", error.items);
        }
    }
    format!("{told} (on {} of the calibration inputs)", error.items)
}

/// A proof that shows neither side says little.
fn nothing_shown(args: &Compile) -> Option<String> {
    let hidden = Visibility::Private;
    let layout = &args.layout;
    if (layout.input_visibility, layout.output_visibility) == (hidden, hidden) {
        return Some(
            "neither input nor output is shown: a proof says only that its maker knows some input of the model; \
             make one side public or hashed with --input-visibility or --output-visibility"
                .to_owned(),
        );
    }
    None
}

/// How many calibration values lie beyond their ranges, in words.
fn clamped(quantized: &Quantized) -> String {
    match (quantized.clamped, quantized.values) {
        (_, 0) => "nothing was measured: the model is quantized already".into(),
        (0, values) => format!("none of {} calibration values", ui::thousands(values)),
        (clamped, values) => format!(
            "{} of {} calibration values ({:.3} %) lie beyond their range",
            ui::thousands(clamped),
            ui::thousands(values),
            100.0 * clamped as f64 / values as f64
        ),
    }
}
