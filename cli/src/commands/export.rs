//! `export`: files for a chain.

use serde_json::json;
use tensorseal_verifier_contract::chain::parse_address;

use crate::{
    CliError, Outcome, Result,
    args::Export,
    chain, pipeline,
    pipeline::KeyPaths,
    ui::{self, Table, Ui},
};

/// Writes the contract, the model's key and, with `--proof`, the calldata.
pub fn run(args: &Export, _: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    let vk = pipeline::read_vk(args.vk.as_deref().unwrap_or(&paths.vk))?;
    let mut files = chain::export(&vk)?;
    if let Some(path) = &args.proof {
        let key = parse_address(&args.key_address)
            .map_err(|why| CliError::input("--key-address", why))?;
        let calldata = chain::calldata(&vk, key, &pipeline::read_proof(path)?)?;
        files.push(chain::ExportFile {
            name: "calldata.hex".into(),
            purpose: "calldata of the verifying call".into(),
            content: format!("0x{}\n", hex::encode(calldata)).into_bytes(),
        });
    }
    pipeline::create_folder(&args.out)?;
    let mut table = Table::new();
    let mut written = Vec::new();
    for file in &files {
        let path = args.out.join(&file.name);
        pipeline::write_file(&path, &file.content)?;
        table.row([
            path.display().to_string(),
            ui::bytes(file.content.len() as u64),
            file.purpose.clone(),
        ]);
        written.push(json!({ "file": path, "bytes": file.content.len(), "purpose": file.purpose }));
    }
    Ok(Outcome::new(
        format!("exported {}\n{}", vk.model_name(), table.render()),
        json!({ "model": vk.model_name(), "model_id": vk.model_id(), "key_id": vk.key_id(), "files": written }),
    ))
}
