//! `run`: the integer executor on files.

use serde_json::json;

use crate::{
    CliError, Outcome, Result,
    args::{Optimize, Run},
    pipeline::{self, Content, FloatModel, Outputs, warnings},
    tensors::{self, Tensor},
    text,
    ui::Ui,
};

/// Runs every input of the file and writes the outputs, stacked along the batch dimension.
pub fn run(args: &Run, ui: &Ui) -> Result<Outcome> {
    if let Some(output) = &args.output {
        // An unusable name is told before the work, not after it.
        let content = Content::Other(tensors::beginning(output)?);
        let inputs = [
            Some(args.model.path()),
            Some(args.input.as_path()),
            args.quantization.calibration.as_deref(),
        ];
        Outputs::new(inputs.into_iter().flatten(), args.overwrite.force).check(output, content)?;
    }
    let path = args.model.path();
    let mut warned: Vec<String> = Vec::new();
    let model = if path
        .extension()
        .is_some_and(|extension| extension == "onnx")
    {
        let float = FloatModel::open(path, args.quantization.batch.unwrap_or(1))?;
        if float.lacks_calibration(&args.quantization) {
            warned.push(
                "the ranges were taken from the very inputs that are run, so errors look smaller than on unseen inputs: \
                 pass --calibration"
                    .to_owned(),
            );
        }
        let calibration = float.calibration_or(&args.quantization, &args.input)?;
        float
            .quantize(&calibration, &args.quantization, Optimize::Prover)?
            .model
    } else if args.quantization.is_given() {
        return Err(CliError::Input(format!(
            "`{}` is no .onnx file; --calibration, --input-range, --bits, --batch and --ranges are for those, a compiled \
             model is quantized",
            path.display()
        )));
    } else {
        pipeline::read_model(path)?.model
    };
    let items = pipeline::load_inputs(&model, &args.input)?;
    let clamped = warnings::clamped_inputs(&model, &items)?;
    warned.extend(clamped.iter().map(ToString::to_string));
    warnings::refuse(args.strict, &warned)?;
    let bar = ui.bar("running", items.len());
    let mut outputs: Vec<Tensor> = Vec::new();
    for item in &items {
        let produced = pipeline::execute(&model, item)?;
        if outputs.is_empty() {
            outputs = produced;
        } else {
            for (all, one) in outputs.iter_mut().zip(produced) {
                all.append(one);
            }
        }
        bar.step();
    }
    drop(bar);

    let mut text = format!("{}: {} inputs", model.name, items.len());
    for output in &outputs {
        text += &format!("\n  {} {}", output.name, output.summary());
    }
    for warning in &warned {
        text += &format!("\n  warning: {warning}");
    }
    let mut report = json!({ "model": model.name, "items": items.len(), "clamped_inputs": clamped, "warnings": warned });
    if let Some(path) = &args.output {
        pipeline::write_file(path, &tensors::encode(path, &outputs)?)?;
        text += &format!("\n  written to {}", text::path(path));
        report["file"] = json!(text::path(path));
    } else {
        report["outputs"] = tensors::json(&outputs)["outputs"].take();
    }
    if outputs.is_empty() {
        return Err(CliError::Input(format!(
            "`{}` holds no input",
            args.input.display()
        )));
    }
    Ok(Outcome::new(text, report))
}
