//! `inspect`: what a file holds.

use serde_json::json;

use tensorseal_circuits::model::{Encoding, Port};
use tensorseal_prover::artifact::Kind;

use crate::{
    CliError, Outcome, Result,
    args::Inspect,
    pipeline::{self, CompiledModel, Vk},
    text,
    ui::{self, Table, Ui},
};

/// Describes a compiled model layer by layer or by its prover's plan, any other artifact by its header.
pub fn run(args: &Inspect, _: &Ui) -> Result<Outcome> {
    let header = pipeline::read_header(&args.file)?;
    let is_key = matches!(header.kind, Kind::ProvingKey | Kind::VerifyingKey);
    if args.expect.id.is_some() && !is_key {
        return Err(CliError::Input(format!(
            "{}: a {}; --expect is for keys",
            args.file.display(),
            header.kind
        )));
    }
    if header.kind == Kind::Model {
        let compiled = pipeline::read_model(&args.file)?;
        return if args.plan {
            plan(&compiled, args.memory)
        } else {
            model(&compiled)
        };
    }
    if args.plan {
        return Err(CliError::Input(format!(
            "{}: a {}; --plan is for compiled models",
            args.file.display(),
            header.kind
        )));
    }
    let mut table = Table::new();
    let vk = match header.kind {
        Kind::VerifyingKey => Some(pipeline::read_vk(&args.file, args.expect.id)?),
        Kind::ProvingKey => Some(pipeline::read_vk_of_pk(&args.file, args.expect.id)?),
        _ => None,
    };
    // What the content says counts, not the header alone.
    let mut insecure = header.insecure || vk.as_ref().is_some_and(Vk::insecure);
    let ids = vk.as_ref().map(|vk| key(vk, &mut table));
    table
        .row(["version", &header.version.to_string()])
        .row(["size", &ui::bytes(header.file_bytes)])
        .row(["hash", &header.hash]);
    let digests = match header.kind {
        Kind::Proof => pipeline::read_proof(&args.file)?.digests_hex(),
        _ => vec![],
    };
    for digest in &digests {
        table.row(["digest", digest]);
    }
    let mut report = json!({
        "kind": header.kind.to_string(), "version": header.version, "file_bytes": header.file_bytes, "hash": header.hash,
        "digests": digests,
    });
    if let Some([statement_id, model_id]) = ids {
        report["statement_id"] = json!(statement_id);
        report["model_id"] = json!(model_id);
        report["key_id"] = json!(vk.as_ref().and_then(Vk::key_id));
        report["model"] = json!(vk.as_ref().map(Vk::model_name));
    }
    if header.kind == Kind::Srs {
        let srs = pipeline::read_srs(&args.file, None)?;
        table
            .row(["k", &srs.k().to_string()])
            .row(["SRS id", &srs.id()]);
        insecure |= srs.insecure();
        report["k"] = json!(srs.k());
        report["srs_id"] = json!(srs.id());
    }
    report["insecure"] = json!(insecure);
    if insecure {
        table.row(["warning", pipeline::INSECURE]);
    }
    Ok(Outcome::new(
        format!(
            "{}: {}\n{}",
            text::path(&args.file),
            header.kind,
            table.render()
        ),
        report,
    ))
}

/// What a key is of, and how its proofs' public values are read; its statement and model ids.
fn key(vk: &Vk, table: &mut Table) -> [String; 2] {
    let ids = [vk.statement_id().to_string(), vk.model_id()];
    table
        .row(["statement id", &ids[0]])
        .row(["model", vk.model_name()])
        .row(["model id", &ids[1]]);
    if let Some(key_id) = vk.key_id() {
        table.row(["key id", &key_id]);
    }
    for (is_input, port) in vk.public() {
        table.row([
            if is_input {
                "public input"
            } else {
                "public output"
            },
            &format!("{} {:?}, {}", port.name, port.shape, encoding(port)),
        ]);
    }
    ids
}

fn model(compiled: &CompiledModel) -> Result<Outcome> {
    let facts = pipeline::facts(compiled)?;
    let mut head = Table::new();
    head.row(["model id", &facts.model_id])
        .row(["parameters", &ui::thousands(facts.params as u64)])
        .row([
            "activations",
            &format!(
                "{} bits, requantizing shift {}",
                compiled.model.bits, compiled.model.shift
            ),
        ])
        .row(["profile", &facts.profile])
        .row([
            "k",
            &format!(
                "{} ({} of {} rows used)",
                facts.k,
                ui::thousands(facts.rows as u64),
                ui::thousands(1 << facts.k)
            ),
        ])
        .row([
            "columns",
            &format!(
                "{} advice, {} fixed",
                facts.advice_columns, facts.fixed_columns
            ),
        ])
        .row([
            "rows",
            &format!(
                "{} of activations, {} of weights, {} of tables, {} of hashing, side by side",
                facts.rows_by_use[0],
                facts.rows_by_use[1],
                facts.rows_by_use[2],
                facts.rows_by_use[3]
            ),
        ])
        .row([
            "visibility",
            &format!("input {}, output {}", facts.input, facts.output),
        ]);
    for (what, ports) in [
        ("input", &compiled.model.inputs),
        ("output", &compiled.model.outputs),
    ] {
        for port in ports {
            head.row([
                what,
                &format!("{} {:?}, {}", port.name, port.shape, encoding(port)),
            ]);
        }
    }
    for side in &facts.hashed {
        let (digest, packing) = (side.digest, side.digest.packing);
        head.row([
            "digest",
            &format!(
                "of the {:?}: {} values of {} bits from {} on",
                digest.side,
                digest.count,
                packing.bits(),
                packing.lo()
            )
            .to_lowercase(),
        ]);
    }
    let mut layers = Table::with_header(&[
        "#",
        "layer",
        "kind",
        "shape",
        "weights",
        "rows",
        "weight rows",
    ]);
    for (index, layer) in facts.layers.iter().enumerate() {
        layers.row([
            index.to_string(),
            layer.name.clone(),
            layer.kind.clone(),
            layer
                .shape
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("x"),
            ui::thousands(layer.weights as u64),
            ui::thousands(layer.activation_rows as u64),
            ui::thousands(layer.contraction_rows as u64),
        ]);
    }
    Ok(Outcome::new(
        format!(
            "{}: compiled model\n{}\n\n{}",
            facts.model,
            head.render(),
            layers.render()
        ),
        json!({
            "kind": Kind::Model.to_string(), "facts": facts, "bits": compiled.model.bits, "shift": compiled.model.shift,
        }),
    ))
}

/// How a port's numbers become integers.
fn encoding(port: &Port) -> String {
    let edges = |encoding: &Encoding| match encoding {
        Encoding::Scale(_) => None,
        Encoding::Edges(edges) => Some(edges.len()),
    };
    let (features, edges): (usize, Option<usize>) =
        (port.encodings.len(), port.encodings.iter().map(edges).sum());
    match (features, edges) {
        (0, _) => format!("scale {:.6e}", port.scale),
        (_, None) => format!("{features} features, each with its scale"),
        (_, Some(edges)) => {
            format!("{features} features as their places among {edges} thresholds, exact")
        }
    }
}

fn plan(compiled: &CompiledModel, memory: u32) -> Result<Outcome> {
    let plan = pipeline::prover_plan(compiled, memory)?;
    let number = |value: usize| ui::thousands(value as u64);
    let mut head = Table::new();
    head.row(["rows", &number(plan.rows)])
        .row(["cosets", &number(plan.cosets)])
        .row([
            "transforms",
            &format!(
                "{}; {} without combining and keeping",
                number(plan.transforms),
                number(plan.transforms_uncombined)
            ),
        ])
        .row([
            "a row of a coset",
            &format!(
                "{} multiplications, {} additions",
                number(plan.multiplications),
                number(plan.additions)
            ),
        ])
        .row([
            "kept on cosets",
            &format!(
                "{} fixed columns, {}, of {memory} MiB allowed",
                plan.cached.len(),
                ui::bytes(plan.cached_bytes as u64)
            ),
        ])
        .row([
            "on their own",
            &format!("{}: {}", plan.alone.len(), ranges(&plan.alone)),
        ]);
    let mut combined = Table::with_header(&["combination", "members", "columns"]);
    for (index, members) in plan.combined.iter().enumerate() {
        combined.row([
            index.to_string(),
            members.len().to_string(),
            ranges(members),
        ]);
    }
    let each = |members: &Vec<String>| json!({ "members": members.len(), "columns": members });
    Ok(Outcome::new(
        format!(
            "{}: plan of the fast prover\n{}\n\n{}",
            compiled.model.name,
            head.render(),
            combined.render()
        ),
        json!({
            "kind": Kind::Model.to_string(), "model": compiled.model.name, "memory_mib": memory,
            "plan": {
                "rows": plan.rows, "cosets": plan.cosets, "transforms": plan.transforms,
                "transforms_uncombined": plan.transforms_uncombined, "multiplications": plan.multiplications,
                "additions": plan.additions, "combined": plan.combined.iter().map(each).collect::<Vec<_>>(),
                "alone": plan.alone, "cached": plan.cached, "cached_bytes": plan.cached_bytes,
            },
        }),
    ))
}

/// `advice 1, advice 2, advice 3` as `advice 1-3`.
fn ranges(columns: &[String]) -> String {
    let parts = |column: &str| {
        let (kind, index) = column.rsplit_once(' ')?;
        Some((kind.to_string(), index.parse::<usize>().ok()?))
    };
    let mut told: Vec<(String, Option<(usize, usize)>)> = Vec::new();
    for column in columns {
        match (parts(column), told.last_mut()) {
            (Some((kind, index)), Some((last, Some((_, end)))))
                if *last == kind && *end + 1 == index =>
            {
                *end = index;
            }
            (Some((kind, index)), _) => told.push((kind, Some((index, index)))),
            (None, _) => told.push((column.clone(), None)),
        }
    }
    let tell = |(kind, range): &(String, Option<(usize, usize)>)| match range {
        Some((first, last)) if first == last => format!("{kind} {first}"),
        Some((first, last)) => format!("{kind} {first}-{last}"),
        None => kind.clone(),
    };
    told.iter().map(tell).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn neighbouring_columns_are_told_together() {
        let columns = ["advice 1", "advice 2", "advice 3", "fixed 4", "first row"];
        assert_eq!(
            ranges(&columns.map(String::from)),
            "advice 1-3, fixed 4, first row"
        );
    }
}
