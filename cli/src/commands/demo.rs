//! `demo`: the whole way on a bundled model that reads handwritten digits.

use std::path::Path;

use serde_json::json;

use crate::{
    CliError, Outcome, Result,
    args::{self, Demo, Quantization},
    chain::{Target, Wanted},
    pipeline::{self, FloatModel, KeyPaths, Outputs},
    ui::{self, Table, Ui},
};

/// The network, trained by `fixtures/digits/train.py`.
const MODEL: &[u8] = include_bytes!("../../../fixtures/digits/digits.onnx");
/// Training images for the quantizer.
const CALIBRATION: &[u8] = include_bytes!("../../../fixtures/digits/digits_calibration.npz");
/// Test images with their labels.
const SAMPLES: &[u8] = include_bytes!("../../../fixtures/digits/digits_samples.npz");
/// Side of an image.
const SIDE: usize = 8;

/// Compiles, makes keys, proves, verifies natively and on the embedded EVM, and shows a changed output rejected by both.
pub fn run(args: &Demo, ui: &Ui) -> Result<Outcome> {
    let scratch =
        tempfile::tempdir().map_err(|why| CliError::system("making a temporary folder", why))?;
    let folder = args.output.as_deref().unwrap_or(scratch.path());
    pipeline::create_folder(folder)?;
    let [onnx, calibration_file, samples_file] = [
        ("digits.onnx", MODEL),
        ("digits_calibration.npz", CALIBRATION),
        ("digits_samples.npz", SAMPLES),
    ]
    .map(|(name, content)| (folder.join(name), content));
    for (path, content) in [&onnx, &calibration_file, &samples_file] {
        pipeline::write_file(path, content)?;
    }
    let labels = pipeline::read_labels(&samples_file.0)?;
    let expected = *labels.get(args.image).ok_or_else(|| {
        CliError::Input(format!(
            "--image {} is not among the {} bundled images",
            args.image,
            labels.len()
        ))
    })?;

    let quantization = Quantization::default();
    let layout = args::Layout {
        optimize: args.optimize,
        input_visibility: args::Visibility::Private,
        output_visibility: args::Visibility::Public,
    };
    let float = FloatModel::open(&onnx.0, 1)?;
    let (compiled, compile_took) = ui.try_timed("compiling", || {
        let calibration = float.load_inputs(&calibration_file.0)?;
        let quantized = float.quantize(&calibration, &quantization, args.optimize)?;
        pipeline::plan(quantized.model, &layout)
    })?;
    let facts = pipeline::facts(&compiled)?;
    let item = pipeline::load_inputs(&compiled.model, &samples_file.0)?.swap_remove(args.image);

    if let Some(folder) = &args.output {
        let paths = KeyPaths::in_folder(&folder.join("keys"));
        Outputs::default().check_keys(&paths, &compiled)?;
    }
    let ((srs, keys), setup_took) = ui.try_timed("making the keys", || {
        let srs = pipeline::dev_srs(facts.k)?;
        pipeline::setup(&compiled, &srs).map(|keys| (srs, keys))
    })?;
    let (proof, prove_took) = ui.try_timed("proving", || {
        pipeline::prepare(&compiled, &keys.pk, &srs, args.backend, 0)?.prove(&item)
    })?;
    let (verdict, verify_took) = ui.timed("verifying", || pipeline::verify(&keys.vk, &proof));
    verdict.map_err(|why| CliError::Input(format!("the honest proof was rejected: {why}")))?;
    let logits = pipeline::public_tensors(&keys.vk, &proof)?
        .swap_remove(0)
        .values;
    let predicted = argmax(&logits);

    let mut target = Target::embedded();
    let (deployed, deploy_took) =
        ui.try_timed("deploying", || target.deploy(&keys.vk, &Wanted::default()))?;
    let (on_chain, evm_took) = ui.try_timed("verifying on the EVM", || {
        target.verify(&keys.vk, &deployed, std::slice::from_ref(&proof), false)
    })?;
    if !on_chain.accepted {
        let reason = on_chain.reason.unwrap_or_default();
        return Err(CliError::Input(format!(
            "the contract rejected the honest proof: {reason}"
        )));
    }
    let verify_gas = on_chain.gas.unwrap_or_default();

    let changed = proof.with_changed_value(&keys.vk, predicted);
    let natively_rejected = pipeline::verify(&keys.vk, &changed).is_err();
    let contract_rejected = !target
        .verify(&keys.vk, &deployed, std::slice::from_ref(&changed), false)?
        .accepted;
    if let Some(folder) = &args.output {
        keep(folder, &compiled, &srs, &keys, &proof)?;
    }

    let deploy_gas = deployed.total_gas();
    let report = json!({
        "statement_id": keys.vk.statement_id().to_string(), "model": facts.model, "model_id": facts.model_id, "key_id": keys.vk.key_id(), "profile": facts.profile, "k": facts.k, "rows": facts.rows,
        "advice_columns": facts.advice_columns, "fixed_columns": facts.fixed_columns,
        "compile_s": ui::seconds(compile_took), "setup_s": ui::seconds(setup_took), "prove_s": ui::seconds(prove_took),
        "verify_ms": ui::milliseconds(verify_took), "proof_bytes": proof.bytes().len(),
        "deploy_gas": deploy_gas, "verify_gas": verify_gas, "calldata_bytes": on_chain.calldata_bytes,
        "contract_bytes": deployed.verifier_bytes,
        "image": args.image, "predicted": predicted, "expected": expected,
        "tampered_rejected": natively_rejected && contract_rejected, "insecure": proof.insecure(),
    });
    let mut table = Table::new();
    table
        .row([
            "compile",
            &ui::duration(compile_took),
            &format!(
                "{} parameters; 2^{} rows ({} used), {} advice and {} fixed columns",
                ui::thousands(facts.params as u64),
                facts.k,
                ui::thousands(facts.rows as u64),
                facts.advice_columns,
                facts.fixed_columns
            ),
        ])
        .row([
            "setup",
            &ui::duration(setup_took),
            "keys; the SRS is an INSECURE development SRS",
        ])
        .row([
            "prove",
            &ui::duration(prove_took),
            &format!("{} bytes", ui::thousands(proof.bytes().len() as u64)),
        ])
        .row(["verify", &ui::duration(verify_took), "accepted"])
        .row([
            "deploy to the EVM",
            &ui::duration(deploy_took),
            &format!(
                "{} gas once: contract of {} bytes, and the model's key",
                ui::thousands(deploy_gas),
                ui::thousands(deployed.verifier_bytes as u64)
            ),
        ])
        .row([
            "verify on the EVM",
            &ui::duration(evm_took),
            &format!(
                "accepted, {} gas, {} bytes of calldata",
                ui::thousands(verify_gas),
                ui::thousands(on_chain.calldata_bytes as u64)
            ),
        ])
        .row(["changed output", "", rejected(natively_rejected)])
        .row(["changed output on the EVM", "", rejected(contract_rejected)]);
    let verdict = if predicted as i64 == expected {
        "right"
    } else {
        "wrong"
    };
    let text = format!(
        "A handwritten digit that only the prover sees:\n\n{}\n\nThe network reads a {predicted}, the label says \
         {expected} ({verdict}). The proof shows the output without the image.\n\n{}",
        beside(&drawing(&item[0]), &bars(&logits, predicted)),
        table.render()
    );
    Ok(Outcome {
        text,
        json: report,
        accepted: natively_rejected && contract_rejected,
    })
}

fn rejected(yes: bool) -> &'static str {
    if yes {
        "rejected"
    } else {
        "ACCEPTED: this is a soundness bug, please report it"
    }
}

fn keep(
    folder: &Path,
    compiled: &pipeline::CompiledModel,
    srs: &pipeline::Srs,
    keys: &pipeline::Keys,
    proof: &pipeline::Proof,
) -> Result<()> {
    let paths = KeyPaths::in_folder(&folder.join("keys"));
    pipeline::create_folder(&folder.join("keys"))?;
    pipeline::write_model(&folder.join("digits.seal"), compiled)?;
    pipeline::write_srs(&paths.srs, srs)?;
    pipeline::write_pk(&paths.pk, keys)?;
    pipeline::write_vk(&paths.vk, keys)?;
    pipeline::write_proof(&folder.join("digit.proof"), proof).map(drop)
}

fn argmax(values: &[f32]) -> usize {
    (0..values.len())
        .max_by(|&a, &b| values[a].total_cmp(&values[b]))
        .unwrap_or(0)
}

/// The image in four shades, two characters a pixel.
fn drawing(pixels: &[f32]) -> Vec<String> {
    const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];
    let shade = |value: f32| SHADES[((value * 4.0).round().clamp(0.0, 4.0)) as usize];
    let edge = "─".repeat(2 * SIDE);
    let mut lines = vec![format!("  ┌{edge}┐")];
    lines.extend(pixels.chunks(SIDE).map(|row| {
        let line: String = row.iter().flat_map(|&value| [shade(value); 2]).collect();
        format!("  │{line}│")
    }));
    lines.push(format!("  └{edge}┘"));
    lines
}

/// One bar a class, as long as its logit is above the least.
fn bars(logits: &[f32], predicted: usize) -> Vec<String> {
    const LONGEST: f32 = 24.0;
    let low = logits.iter().copied().fold(f32::INFINITY, f32::min);
    let high = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let bar = |value: f32| {
        "▇".repeat((LONGEST * (value - low) / (high - low).max(1e-6)).round() as usize)
    };
    let line = |(class, &value): (usize, &f32)| {
        let mark = if class == predicted { " <" } else { "" };
        format!("{class} {value:>7.2} {}{mark}", bar(value))
    };
    logits.iter().enumerate().map(line).collect()
}

fn beside(left: &[String], right: &[String]) -> String {
    let width = left
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0);
    let line = |index: usize| {
        let first = left.get(index).map_or("", String::as_str);
        let pad = " ".repeat(width - first.chars().count());
        let second = right.get(index).map_or("", String::as_str);
        format!("{first}{pad}   {second}").trim_end().to_string()
    };
    (0..left.len().max(right.len()))
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_square_and_the_winner_is_marked() {
        let picture = drawing(&[1.0; SIDE * SIDE]);
        assert_eq!(picture.len(), SIDE + 2);
        assert!(
            picture
                .iter()
                .all(|line| line.chars().count() == 2 * SIDE + 4)
        );
        let classes = bars(&[0.0, 2.0, 1.0], 1);
        assert!(classes[1].ends_with('<') && !classes[0].contains('▇'));
        assert_eq!(argmax(&[0.0, 2.0, 1.0]), 1);
    }
}
