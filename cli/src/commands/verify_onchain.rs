//! `verify-onchain`: the contract's verdict.

use serde_json::json;

use crate::{
    CliError, Outcome, Result,
    args::VerifyOnchain,
    chain::{self, Deployment, Target, Wanted, check_uri},
    pipeline::{self, KeyPaths, Vk},
    ui::{self, Table, Ui},
};

/// Calls the contract; deploys it first where it is missing.
pub fn run(args: &VerifyOnchain, ui: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    check_uri(&args.metadata_uri)?;
    let vk = pipeline::read_vk(args.vk.as_deref().unwrap_or(&paths.vk), args.expect.id)?;
    let proofs = args.proof.iter().map(|path| pipeline::read_proof(path));
    let proofs = proofs.collect::<Result<Vec<_>>>()?;
    // Before anything is sent.
    if let Err(CliError::Rejected(why)) = chain::calldata(&vk, [0; 20], &proofs) {
        return Ok(rejected(&vk, &why));
    }
    let mut target = Target::open(&args.chain)?;
    let dry = args.chain.dry_run;
    let wanted = Wanted {
        registered: match args.registry {
            true => Some(chain::registered_uri(&vk, &args.metadata_uri)?),
            false => None,
        },
        ..Wanted::default()
    };
    let deployed = match &args.deployment {
        Some(path) => Deployment::read_of(path, &vk)?,
        None if dry => target.predicted(&vk, &wanted)?,
        None => ui.try_timed("deploying", || target.deploy(&vk, &wanted))?.0,
    };
    let (verdict, _) = ui.try_timed("verifying on chain", || {
        target.verify(&vk, &deployed, &proofs, dry)
    })?;

    let gas = match verdict.gas {
        None => "none: only asked, not sent".into(),
        Some(gas) if dry => format!("{} estimated, not sent", ui::thousands(gas)),
        Some(gas) => ui::thousands(gas),
    };
    let mut table = Table::new();
    let statement_id = vk.statement_id().to_string();
    table
        .row(["statement id", &statement_id])
        .row(["chain", &target.name()])
        .row(["verifier", &deployed.verifier])
        .row(["model key", &deployed.key]);
    if let Some(entry) = &deployed.registration {
        table
            .row(["registry", &entry.registry])
            .row(["registered as", &entry.id]);
    }
    if proofs.len() > 1 {
        table.row(["proofs", &proofs.len().to_string()]);
    }
    table.row(["gas", &gas]).row([
        "calldata",
        &format!("{} bytes", ui::thousands(verdict.calldata_bytes as u64)),
    ]);
    if let Some(hash) = &verdict.transaction {
        table.row(["transaction", hash]);
    }
    if let Some(reason) = &verdict.reason {
        table.row(["reason", reason]);
    }
    if vk.insecure() {
        table.row(["warning", pipeline::INSECURE]);
    }
    let headline = if verdict.accepted {
        "ACCEPTED"
    } else {
        "REJECTED"
    };
    Ok(Outcome {
        text: format!("{headline} by the contract\n{}", table.render()),
        json: json!({
            "accepted": verdict.accepted, "reason": verdict.reason, "verify_gas": verdict.gas, "proofs": proofs.len(),
            "dry_run": dry,
            "transaction": verdict.transaction, "calldata_bytes": verdict.calldata_bytes,
            "verifier": deployed.verifier, "key": deployed.key, "registration": deployed.registration,
            "statement_id": statement_id, "model": vk.model_name(), "model_id": vk.model_id(), "key_id": vk.key_id(),
            "chain": target.name(), "chain_id": target.chain_id(), "insecure": vk.insecure(),
        }),
        accepted: verdict.accepted,
    })
}

/// Proofs that are not of the key's shape, of which no contract was asked.
fn rejected(vk: &Vk, why: &str) -> Outcome {
    let mut table = Table::new();
    let statement_id = vk.statement_id().to_string();
    table
        .row(["statement id", &statement_id])
        .row(["model", vk.model_name()])
        .row(["reason", why])
        .row(["sent", "nothing"]);
    Outcome {
        text: format!("REJECTED before any contract was asked\n{}", table.render()),
        json: json!({
            "accepted": false, "reason": why, "verify_gas": null, "transaction": null, "statement_id": statement_id,
            "model": vk.model_name(), "model_id": vk.model_id(), "key_id": vk.key_id(), "insecure": vk.insecure(),
        }),
        accepted: false,
    }
}
