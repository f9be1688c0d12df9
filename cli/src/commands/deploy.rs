//! `deploy` and `register`: the verifier contract, the model's key, and its entry in the registry.

use std::path::PathBuf;

use serde_json::json;
use tracing::info;

use crate::{
    CliError, Outcome, Result,
    args::{Deploy, Register},
    chain::{self, Deployment, Planned, Sent, Step, Target, Wanted, check_uri},
    pipeline::{self, Content, KeyPaths, Outputs, Vk},
    ui::{self, Table, Ui},
};

/// Deploys to the chain, or to the embedded EVM to learn the gas.
pub fn run(args: &Deploy, ui: &Ui) -> Result<Outcome> {
    place(args, None, ui)
}

/// Deploys what is missing and registers.
pub fn register(args: &Register, ui: &Ui) -> Result<Outcome> {
    check_uri(&args.metadata_uri)?;
    place(&args.deploy, Some(args.metadata_uri.clone()), ui)
}

fn place(args: &Deploy, registered: Option<String>, ui: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    let vk = pipeline::read_vk(args.vk.as_deref().unwrap_or(&paths.vk), args.expect.id)?;
    let registered = registered
        .map(|uri| chain::registered_uri(&vk, &uri))
        .transpose()?;
    let known = known(args, &vk)?;
    let mut target = Target::open(&args.chain)?;
    let known = known.filter(|known| known.chain_id == target.chain_id());
    let wanted = Wanted {
        registered,
        plain: args.plain_create,
        known,
    };
    if args.chain.dry_run {
        let (steps, _) = ui.try_timed("estimating", || target.plan(&vk, &wanted))?;
        return Ok(planned(&target, &vk, &steps));
    }
    let before = wanted.known.as_ref().map_or(0, |known| known.sent.len());
    let (deployed, _) = ui.try_timed("deploying", || target.deploy(&vk, &wanted))?;
    // What was sent by earlier runs is kept in the file, and was paid then.
    let sent = &deployed.sent[before..];
    for sent in sent {
        info!("sent {}: {} gas", sent.what.name(), ui::thousands(sent.gas));
    }
    if let Some(path) = &args.output {
        deployed.write(path)?;
    }
    Ok(report(&target, &vk, &deployed, sent))
}

/// What the file to write says already; it must be of the same statement.
fn known(args: &Deploy, vk: &Vk) -> Result<Option<Deployment>> {
    let Some(path) = &args.output else {
        return Ok(None);
    };
    let chain = &args.chain;
    let secrets = [
        &chain.private_key_file,
        &chain.keystore,
        &chain.password_file,
    ];
    let own = KeyPaths::in_folder(&args.keys).vk;
    let inputs = secrets.into_iter().flatten().map(PathBuf::as_path);
    let inputs = inputs.chain([args.vk.as_deref().unwrap_or(&own)]);
    let force = args.overwrite.force;
    Outputs::new(inputs, force).check(path, Content::Other(b"{"))?;
    if !path.exists() || force {
        return Ok(None);
    }
    let known = Deployment::read(path)?;
    if known.statement_id == vk.statement_id().to_string() {
        return Ok(Some(known));
    }
    Err(CliError::Input(format!(
        "{}: the deployment of statement {}, and this key's is {}; name another output, or pass --force to replace it",
        path.display(),
        known.statement_id,
        vk.statement_id()
    )))
}

fn planned(target: &Target, vk: &Vk, steps: &[Planned]) -> Outcome {
    let mut table = Table::new();
    let statement_id = vk.statement_id().to_string();
    table
        .row(["statement id", &statement_id, ""])
        .row(["chain", &target.name(), ""]);
    for step in steps {
        let gas = match (step.done, step.gas) {
            (true, _) => "there already".to_owned(),
            (false, Some(gas)) => format!("{} gas", ui::thousands(gas)),
            (false, None) => "after the contracts, about 150,000 gas".to_owned(),
        };
        let address = step.address.as_deref().unwrap_or_default();
        table.row([step.step.name(), address, &gas]);
    }
    let gas: u64 = steps.iter().filter_map(|step| step.gas).sum();
    let steps: Vec<_> = steps
        .iter()
        .map(|s| json!({ "step": s.step, "address": s.address, "done": s.done, "gas": s.gas }))
        .collect();
    Outcome::new(
        format!(
            "nothing sent: deploying {} would do\n{}",
            vk.model_name(),
            table.render()
        ),
        json!({
            "dry_run": true, "statement_id": statement_id, "model": vk.model_name(), "chain": target.name(), "chain_id": target.chain_id(),
            "steps": steps, "estimated_gas": gas,
        }),
    )
}

fn report(target: &Target, vk: &Vk, deployed: &Deployment, sent: &[Sent]) -> Outcome {
    let total = |step: Option<Step>| -> u64 {
        let counts = |sent: &&Sent| step.is_none_or(|step| sent.what == step);
        sent.iter().filter(counts).map(|sent| sent.gas).sum()
    };
    let gas = |step| match total(Some(step)) {
        0 => "there already".to_owned(),
        gas => format!("{} gas", ui::thousands(gas)),
    };
    let mut table = Table::new();
    table
        .row(["statement id", &deployed.statement_id, ""])
        .row(["chain", &target.name(), ""])
        .row(["verifier", &deployed.verifier, &gas(Step::Verifier)])
        .row(["model key", &deployed.key, &gas(Step::Key)]);
    if let Some(entry) = &deployed.registration {
        table
            .row(["registry", &entry.registry, &gas(Step::Registry)])
            .row(["registered as", &entry.id, &gas(Step::Register)])
            .row(["metadata URI", &entry.metadata_uri]);
    }
    table
        .row(["model id", &vk.model_id()])
        .row(["key id", &vk.key_id().unwrap_or_default()]);
    if vk.insecure() {
        table.row(["warning", pipeline::INSECURE]);
    }
    let mut report = serde_json::to_value(deployed).expect("addresses and numbers");
    report["model"] = json!(vk.model_name());
    report["key_id"] = json!(vk.key_id());
    report["chain"] = json!(target.name());
    report["deploy_gas"] = json!(total(None));
    report["insecure"] = json!(vk.insecure());
    let done = match deployed.registration {
        Some(_) => "registered",
        None => "deployed",
    };
    Outcome::new(
        format!("{done} {}\n{}", vk.model_name(), table.render()),
        report,
    )
}
