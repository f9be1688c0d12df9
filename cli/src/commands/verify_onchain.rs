//! `verify-onchain`: the contract's verdict, and the native verifier's.
//!
//! An endpoint can say anything of a contract. The key is at hand, so what the native verifier refuses is not accepted here
//! whatever a chain says, and no transaction is spent on it.

use serde_json::json;

use crate::{
    Outcome, Result,
    args::VerifyOnchain,
    chain::{self, Deployment, Target, Verdict, Wanted, check_uri},
    pipeline::{self, KeyPaths, Proof, Vk},
    ui::{self, Table, Ui},
};

/// Verifies natively, then calls the contract; deploys it first where it is missing.
pub fn run(args: &VerifyOnchain, ui: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    check_uri(&args.metadata_uri)?;
    let vk = pipeline::read_vk(args.vk.as_deref().unwrap_or(&paths.vk), args.expect.id)?;
    let proofs = args.proof.iter().map(|path| pipeline::read_proof(path));
    let proofs = proofs.collect::<Result<Vec<_>>>()?;
    let mut target = Target::open(&args.chain)?;
    let (native, _) = ui.timed("verifying", || verify_natively(&vk, &proofs));
    // On a chain a refused proof is only asked about.
    let dry = args.chain.dry_run || native.is_err() && target.chain_id().is_some();
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
    let asked = ui.try_timed("verifying on chain", || {
        target.verify(&vk, &deployed, &proofs, dry)
    });
    let verdict = match (asked, &native) {
        (Ok((verdict, _)), _) => verdict,
        (Err(why), Ok(())) => return Err(why),
        (Err(why), Err(refused)) => {
            return Ok(unasked(&vk, refused, &why.to_string()));
        }
    };

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
    let (headline, warning) = compare(&native, &verdict);
    for (verifier, reason) in [
        ("contract", verdict.reason.as_deref()),
        ("native", native.as_ref().err().map(String::as_str)),
    ] {
        if let Some(reason) = reason {
            table.row([&format!("{verifier} reason"), reason]);
        }
    }
    if let Some(warning) = warning {
        table.row(["DISAGREEMENT", warning]);
    }
    if vk.insecure() {
        table.row(["warning", pipeline::INSECURE]);
    }
    let accepted = verdict.accepted && native.is_ok();
    let reason = verdict.reason.clone().or(native.clone().err());
    Ok(Outcome {
        text: format!("{headline}\n{}", table.render()),
        json: json!({
            "accepted": accepted, "reason": reason, "accepted_by_contract": verdict.accepted, "accepted_natively": native.is_ok(),
            "verify_gas": verdict.gas, "proofs": proofs.len(), "dry_run": dry,
            "transaction": verdict.transaction, "calldata_bytes": verdict.calldata_bytes,
            "verifier": deployed.verifier, "key": deployed.key, "registration": deployed.registration,
            "statement_id": statement_id, "model": vk.model_name(), "model_id": vk.model_id(), "key_id": vk.key_id(),
            "chain": target.name(), "chain_id": target.chain_id(), "insecure": vk.insecure(),
        }),
        accepted,
    })
}

/// The native verdict on all proofs: why the first refused one is.
fn verify_natively(vk: &Vk, proofs: &[Proof]) -> Result<(), String> {
    proofs.iter().enumerate().try_for_each(|(i, proof)| {
        pipeline::verify(vk, proof).map_err(|why| match proofs.len() {
            1 => why,
            _ => format!("proof {}: {why}", i + 1),
        })
    })
}

/// What both verdicts come to, and what to make of it where they differ.
fn compare(native: &Result<(), String>, verdict: &Verdict) -> (&'static str, Option<&'static str>) {
    match (native.is_ok(), verdict.accepted) {
        (true, true) => ("ACCEPTED by the contract and natively", None),
        (false, false) => ("REJECTED by the contract and natively", None),
        (true, false) => (
            "REJECTED by the contract, ACCEPTED natively",
            Some(
                "the contract refuses what the native verifier accepts: the endpoint does not tell the truth, the call had too little gas, or the chain lacks what the contract needs",
            ),
        ),
        (false, true) => (
            "REJECTED natively, ACCEPTED by the contract",
            Some(
                "the contract is said to accept what the native verifier refuses: do not trust this endpoint; if the chain itself accepts it, report that",
            ),
        ),
    }
}

/// A refused proof that the contract could not be asked about.
fn unasked(vk: &Vk, refused: &str, why: &str) -> Outcome {
    let mut table = Table::new();
    let statement_id = vk.statement_id().to_string();
    table
        .row(["statement id", &statement_id])
        .row(["native reason", refused])
        .row(["contract", &format!("not asked: {why}")]);
    Outcome {
        text: format!("REJECTED natively\n{}", table.render()),
        json: json!({
            "accepted": false, "reason": refused, "accepted_by_contract": null, "accepted_natively": false,
            "statement_id": statement_id, "model": vk.model_name(), "model_id": vk.model_id(), "key_id": vk.key_id(), "insecure": vk.insecure(),
        }),
        accepted: false,
    }
}
