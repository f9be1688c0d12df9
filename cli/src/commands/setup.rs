//! `setup`: keys of a compiled model.

use serde_json::json;

use crate::{
    CliError, Outcome, Result,
    args::Setup,
    pipeline::{self, INSECURE, KeyPaths, Outputs, same_file},
    text,
    ui::{self, Table, Ui},
};

/// Makes the keys and writes them, with as much of the reference string as proving needs.
pub fn run(args: &Setup, ui: &Ui) -> Result<Outcome> {
    let compiled = pipeline::read_model(args.model.path())?;
    let facts = pipeline::facts(&compiled)?;
    let paths = KeyPaths::in_folder(&args.output);
    // A larger reference string that stands in the folder under that name must not be lost.
    let keep = args
        .srs
        .as_ref()
        .is_some_and(|given| same_file(given, &paths.srs));
    let inputs = [
        Some(args.model.path()),
        args.srs.as_deref().filter(|_| !keep),
    ];
    let outputs = Outputs::new(inputs.into_iter().flatten(), args.overwrite.force);
    let again = outputs.check_keys(&paths, &compiled)?;
    let srs = match &args.srs {
        Some(path) => {
            let read = || pipeline::read_srs(path, Some(facts.k));
            let (srs, _) = ui.try_timed("reading the reference string", read)?;
            ui.try_timed("checking the reference string", || {
                pipeline::check_srs(&srs)
            })?;
            srs
        }
        None if !args.dev => {
            return Err(CliError::Input(
                "keys need a reference string: --srs FILE with a ceremony's (`srs import`), or --dev, which makes an \
                 INSECURE one for trying things out"
                    .into(),
            ));
        }
        None => {
            ui.try_timed("making the reference string", || pipeline::dev_srs(facts.k))?
                .0
        }
    };
    if !keep {
        outputs.check_srs(&paths.srs, &srs)?;
    }
    let (keys, took) = ui.try_timed("making the keys", || pipeline::setup(&compiled, &srs))?;
    pipeline::create_folder(&args.output)?;
    if !keep {
        pipeline::write_srs(&paths.srs, &srs)?;
    }
    let pk_bytes = pipeline::write_pk(&paths.pk, &keys)?;
    let vk_bytes = pipeline::write_vk(&paths.vk, &keys)?;
    let insecure = srs.insecure();
    let (statement_id, key_id) = (keys.vk.statement_id().to_string(), keys.vk.key_id());

    let mut table = Table::new();
    table
        .row(["statement id", &statement_id])
        .row(["k", &facts.k.to_string()])
        .row(["time", &ui::duration(took)])
        .row([
            "proving key",
            &format!("{} ({})", paths.pk.display(), ui::bytes(pk_bytes)),
        ])
        .row([
            "verifying key",
            &format!("{} ({})", paths.vk.display(), ui::bytes(vk_bytes)),
        ])
        .row(["model id", &facts.model_id])
        .row([
            "key id",
            key_id
                .as_deref()
                .unwrap_or("none: the key does not fit a contract"),
        ]);
    if again {
        table.row(["replaced", "keys of the same model"]);
    }
    if insecure {
        table.row(["warning", INSECURE]);
    }
    Ok(Outcome::new(
        format!("keys of {}\n{}", facts.model, table.render()),
        json!({
            "statement_id": statement_id, "model": facts.model, "model_id": facts.model_id, "key_id": key_id, "k": facts.k, "setup_s": ui::seconds(took),
            "pk": text::path(&paths.pk), "pk_bytes": pk_bytes, "vk": text::path(&paths.vk), "vk_bytes": vk_bytes,
            "replaced": again, "insecure": insecure,
        }),
    ))
}
