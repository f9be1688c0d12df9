//! `setup`: keys of a compiled model.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    Outcome, Result,
    args::Setup,
    pipeline::{self, INSECURE, KeyPaths},
    ui::{self, Table, Ui},
};

/// Makes the keys and writes them, with as much of the reference string as proving needs.
pub fn run(args: &Setup, ui: &Ui) -> Result<Outcome> {
    let compiled = pipeline::read_model(&args.model)?;
    let facts = pipeline::facts(&compiled)?;
    let paths = KeyPaths::in_folder(&args.out);
    let srs = match &args.srs {
        Some(path) => {
            let read = || pipeline::read_srs(path, Some(facts.k));
            let (srs, _) = ui.try_timed("reading the reference string", read)?;
            ui.try_timed("checking the reference string", || {
                pipeline::check_srs(&srs)
            })?;
            srs
        }
        None => {
            ui.try_timed("making the reference string", || pipeline::dev_srs(facts.k))?
                .0
        }
    };
    let (keys, took) = ui.try_timed("making the keys", || pipeline::setup(&compiled, &srs))?;
    pipeline::create_folder(&args.out)?;
    // A larger one that stands there under that name must not be lost.
    let same_file = |given: &PathBuf| {
        let absolute = |path: &PathBuf| path.canonicalize().ok();
        absolute(given).is_some_and(|given| absolute(&paths.srs) == Some(given))
    };
    if !args.srs.as_ref().is_some_and(same_file) {
        pipeline::write_srs(&paths.srs, &srs)?;
    }
    let pk_bytes = pipeline::write_pk(&paths.pk, &keys)?;
    let vk_bytes = pipeline::write_vk(&paths.vk, &keys)?;
    let insecure = srs.insecure();
    let key_id = keys.vk.key_id();

    let mut table = Table::new();
    table
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
    if insecure {
        table.row(["warning", INSECURE]);
    }
    Ok(Outcome::new(
        format!("keys of {}\n{}", facts.model, table.render()),
        json!({
            "model": facts.model, "model_id": facts.model_id, "key_id": key_id, "k": facts.k, "setup_s": ui::seconds(took),
            "pk": paths.pk, "pk_bytes": pk_bytes, "vk": paths.vk, "vk_bytes": vk_bytes, "insecure": insecure,
        }),
    ))
}
