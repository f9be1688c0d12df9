//! `verify-onchain`: the contract's verdict.

use serde_json::json;

use super::deploy;
use crate::{
    Outcome, Result,
    args::VerifyOnchain,
    chain::Target,
    pipeline::{self, KeyPaths},
    ui::{self, Table, Ui},
};

/// Calls the contract; deploys it first where no deployment is given.
pub fn run(args: &VerifyOnchain, ui: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    let vk = pipeline::read_vk(args.vk.as_deref().unwrap_or(&paths.vk))?;
    let proof = pipeline::read_proof(&args.proof)?;
    let mut target = Target::open(&args.chain)?;
    let deployed = match &args.deployment {
        Some(path) => deploy::read(path)?,
        None => ui.try_timed("deploying", || target.deploy(&vk))?.0,
    };
    let (verdict, _) = ui.try_timed("verifying on chain", || {
        target.verify(&vk, &deployed, &proof)
    })?;

    let mut table = Table::new();
    table
        .row(["chain", &target.name()])
        .row(["verifier", &deployed.verifier])
        .row(["model key", &deployed.key])
        .row([
            "gas",
            &verdict
                .gas
                .map_or("none: only asked, not sent".into(), ui::thousands),
        ])
        .row([
            "calldata",
            &format!("{} bytes", ui::thousands(verdict.calldata_bytes as u64)),
        ]);
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
            "accepted": verdict.accepted, "reason": verdict.reason, "verify_gas": verdict.gas,
            "calldata_bytes": verdict.calldata_bytes, "verifier": deployed.verifier, "key": deployed.key,
            "model": vk.model_name(), "model_id": vk.model_id(), "key_id": vk.key_id(), "chain": target.name(), "insecure": vk.insecure(),
        }),
        accepted: verdict.accepted,
    })
}
