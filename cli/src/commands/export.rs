//! `export`: a Foundry project and files for a chain.

use serde_json::json;
use tensorseal_verifier_contract::chain::{create2, parse_address};

use crate::{
    CliError, Outcome, Result,
    args::Export,
    chain, pipeline,
    pipeline::KeyPaths,
    ui::{self, Table, Ui},
};

/// Writes sources, the model's constants and key, and with `--proof` a test that replays it and its calldata.
pub fn run(args: &Export, _: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    let vk = pipeline::read_vk(args.vk.as_deref().unwrap_or(&paths.vk))?;
    let project = chain::project(&vk, &args.metadata_uri)?;
    let replay = match &args.proof {
        None => None,
        Some(path) => {
            let key = match &args.key_address {
                Some(text) => {
                    parse_address(text).map_err(|why| CliError::input("--key-address", why))?
                }
                None => create2::address(&project.key.to_initcode()),
            };
            Some(chain::replay(&vk, key, &pipeline::read_proof(path)?)?)
        }
    };
    let mut table = Table::new();
    let mut written = Vec::new();
    for file in project.files(replay.as_ref()) {
        let path = args.out.join(&file.path);
        if let Some(folder) = path.parent() {
            pipeline::create_folder(folder)?;
        }
        pipeline::write_file(&path, file.content.as_bytes())?;
        table.row([
            path.display().to_string(),
            ui::bytes(file.content.len() as u64),
            file.purpose.to_owned(),
        ]);
        written.push(json!({ "file": path, "bytes": file.content.len(), "purpose": file.purpose }));
    }
    if !project.has_oracle() {
        table.row(["no example consumer: it needs a model compiled with --input public"]);
    }
    let id = hex::encode(project.model_id());
    Ok(Outcome::new(
        format!(
            "exported {}, in a registry {id}\n{}",
            vk.model_name(),
            table.render()
        ),
        json!({
            "model": vk.model_name(), "model_id": vk.model_id(), "key_id": vk.key_id(), "registered_as": id,
            "example": project.has_oracle(), "files": written,
        }),
    ))
}
