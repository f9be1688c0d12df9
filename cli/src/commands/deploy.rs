//! `deploy`: the verifier contract and the model's key.

use serde_json::json;

use crate::{
    Outcome, Result,
    args::Deploy,
    chain::{self, Target},
    pipeline::{self, KeyPaths},
    ui::{self, Table, Ui},
};

/// Deploys to the chain, or to the embedded EVM to learn the gas.
pub fn run(args: &Deploy, ui: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    let vk = pipeline::read_vk(args.vk.as_deref().unwrap_or(&paths.vk))?;
    let mut target = Target::open(&args.chain)?;
    let (deployed, _) = ui.try_timed("deploying", || target.deploy(&vk))?;
    if let Some(path) = &args.out {
        let text = serde_json::to_string_pretty(&deployed).expect("addresses and numbers");
        pipeline::write_file(path, format!("{text}\n").as_bytes())?;
    }
    let mut table = Table::new();
    table
        .row(["chain", &target.name()])
        .row([
            "verifier",
            &format!(
                "{} ({} bytes)",
                deployed.verifier,
                ui::thousands(deployed.verifier_bytes as u64)
            ),
        ])
        .row(["verifier gas", &ui::thousands(deployed.verifier_gas)])
        .row(["model key", &deployed.key])
        .row(["model key gas", &ui::thousands(deployed.key_gas)])
        .row(["model id", &vk.model_id()])
        .row(["key id", &vk.key_id().unwrap_or_default()]);
    if vk.insecure() {
        table.row(["warning", pipeline::INSECURE]);
    }
    let mut report = serde_json::to_value(&deployed).expect("addresses and numbers");
    report["model"] = json!(vk.model_name());
    report["key_id"] = json!(vk.key_id());
    report["chain"] = json!(target.name());
    report["deploy_gas"] = json!(deployed.verifier_gas + deployed.key_gas);
    report["insecure"] = json!(vk.insecure());
    Ok(Outcome::new(
        format!("deployed {}\n{}", vk.model_name(), table.render()),
        report,
    ))
}

/// Reads what [`run`] wrote.
pub fn read(path: &std::path::Path) -> Result<chain::Deployment> {
    let bytes = pipeline::read_file(path)?;
    serde_json::from_slice(&bytes).map_err(|why| {
        crate::CliError::input(
            format!("`{}` is not what `deploy --out` writes", path.display()),
            why,
        )
    })
}
