//! `export`: a Foundry project and files for a chain.

use serde_json::json;
use tensorseal_verifier_contract::chain::{create2, parse_address};

use crate::{
    CliError, Outcome, Result,
    args::Export,
    chain::{self, Deployment},
    pipeline::{self, Content, KeyPaths, Outputs},
    text,
    ui::{self, Table, Ui},
};

/// Writes sources, the model's constants and key, and with `--proof` a test that replays it and its calldata.
pub fn run(args: &Export, _: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    let vk_path = args.vk.as_deref().unwrap_or(&paths.vk);
    let vk = pipeline::read_vk(vk_path, args.expect.id)?;
    let deployment = args
        .deployment
        .as_deref()
        .map(|path| Deployment::read_of(path, &vk))
        .transpose()?;
    let registration = deployment.as_ref().and_then(|d| d.registration.as_ref());
    let uri = registration.map_or(&args.metadata_uri, |entry| &entry.metadata_uri);
    let mut project = chain::project(&vk, uri)?;
    if let (Some(entry), Some(path)) = (registration, &args.deployment) {
        let own = hex::encode(project.model_id());
        if entry.id != own {
            return Err(CliError::Input(format!(
                "`{}` registers model {}, and this key's is {own}; give the deployment of this model",
                path.display(),
                entry.id
            )));
        }
        project.registry = address("the deployment's registry", &entry.registry)?;
    }
    let replay = match &args.proof {
        None => None,
        Some(path) => {
            let key = match (&args.key_address, &deployment) {
                (Some(text), _) => address("--key-address", text)?,
                (None, Some(deployment)) => address("the deployment's key", &deployment.key)?,
                (None, None) => create2::address(&project.key.to_initcode()),
            };
            Some(chain::replay(&vk, key, &pipeline::read_proof(path)?)?)
        }
    };
    let inputs = [
        Some(vk_path),
        args.proof.as_deref(),
        args.deployment.as_deref(),
    ];
    let outputs = Outputs::new(inputs.into_iter().flatten(), args.overwrite.force);
    let files = project.files(replay.as_ref());
    for file in &files {
        outputs.check(&args.output.join(&file.path), Content::Other(b""))?;
    }
    let statement_id = vk.statement_id().to_string();
    let mut table = Table::new();
    table.row(["statement id", &statement_id]);
    let mut written = Vec::new();
    for file in files {
        let path = args.output.join(&file.path);
        if let Some(folder) = path.parent() {
            pipeline::create_folder(folder)?;
        }
        pipeline::write_file(&path, file.content.as_bytes())?;
        table.row([
            path.display().to_string(),
            ui::bytes(file.content.len() as u64),
            file.purpose.to_owned(),
        ]);
        written.push(json!({ "file": text::path(&path), "bytes": file.content.len(), "purpose": file.purpose }));
    }
    if !project.has_oracle() {
        table
            .row(["no example consumer: it needs a model compiled with --input-visibility public"]);
    }
    let id = hex::encode(project.model_id());
    Ok(Outcome::new(
        format!(
            "exported {}, in a registry {id}\n{}",
            vk.model_name(),
            table.render()
        ),
        json!({
            "statement_id": statement_id, "model": vk.model_name(), "model_id": vk.model_id(), "key_id": vk.key_id(), "registered_as": id,
            "example": project.has_oracle(), "files": written,
        }),
    ))
}

fn address(what: &str, text: &str) -> Result<[u8; 20]> {
    parse_address(text).map_err(|why| CliError::input(what, why))
}
