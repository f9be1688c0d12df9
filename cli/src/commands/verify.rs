//! `verify`: a proof against a verifying key.

use serde_json::json;

use crate::{
    Outcome, Result,
    args::Verify,
    pipeline::{self, INSECURE, KeyPaths},
    tensors,
    ui::{self, Table, Ui},
};

/// Verifies; a rejected proof is an outcome, not a failure.
pub fn run(args: &Verify, ui: &Ui) -> Result<Outcome> {
    let paths = KeyPaths::in_folder(&args.keys);
    let vk = pipeline::read_vk(args.vk.as_deref().unwrap_or(&paths.vk), args.expect.id)?;
    let proof = pipeline::read_proof(&args.proof)?;
    let (statement_id, key_id) = (vk.statement_id().to_string(), vk.key_id());
    let (verdict, took) = ui.timed("verifying", || pipeline::verify(&vk, &proof));

    let mut table = Table::new();
    table
        .row(["statement id", &statement_id])
        .row(["model", vk.model_name()])
        .row(["model id", &vk.model_id()])
        .row([
            "key id",
            key_id
                .as_deref()
                .unwrap_or("none: the key does not fit a contract"),
        ])
        .row(["time", &ui::duration(took)]);
    let (public, digests) = match &verdict {
        Ok(()) => (
            pipeline::public_tensors(&vk, &proof)?,
            pipeline::proof_digests(&vk, &proof),
        ),
        Err(why) => {
            table.row(["reason", why]);
            (vec![], vec![])
        }
    };
    for tensor in &public {
        table.row([&tensor.name, &tensor.summary()]);
    }
    for digest in &digests {
        table.row(digest.row()).row(["of", &digest.recipe()]);
    }
    if vk.insecure() {
        table.row(["warning", INSECURE]);
    }
    let accepted = verdict.is_ok();
    let headline = if accepted { "ACCEPTED" } else { "REJECTED" };
    Ok(Outcome {
        text: format!("{headline}\n{}", table.render()),
        json: json!({
            "accepted": accepted, "reason": verdict.err(), "statement_id": statement_id, "model": vk.model_name(), "model_id": vk.model_id(),
            "key_id": key_id,
            "verify_ms": ui::milliseconds(took), "insecure": vk.insecure(), "public": tensors::json(&public)["outputs"],
            "digests": digests,
        }),
        accepted,
    })
}
