//! `srs`: structured reference strings.

use serde_json::json;
use tensorseal_prover::artifact::Kind;

use crate::{
    Outcome, Result,
    args::{Srs, SrsCommand, SrsDev, SrsImport},
    pipeline::{self, Content, INSECURE, ImportedSrs, Outputs},
    text,
    ui::{self, Table, Ui},
};

/// Makes a development reference string, or imports a ceremony's.
pub fn run(args: &Srs, ui: &Ui) -> Result<Outcome> {
    match &args.command {
        SrsCommand::Dev(args) => dev(args, ui),
        SrsCommand::Import(args) => import(args, ui),
    }
}

fn dev(args: &SrsDev, ui: &Ui) -> Result<Outcome> {
    let srs = Content::Artifact(Kind::Srs);
    Outputs::new([], args.overwrite.force).check(&args.output, srs)?;
    let (srs, took) = ui.try_timed("making the reference string", || pipeline::dev_srs(args.k))?;
    let file_bytes = pipeline::write_srs(&args.output, &srs)?;
    Ok(Outcome::new(
        format!(
            "{INSECURE} for 2^{} rows, made in {}\n  written {} ({})",
            args.k,
            ui::duration(took),
            text::path(&args.output),
            ui::bytes(file_bytes)
        ),
        json!({ "k": args.k, "insecure": true, "file": text::path(&args.output), "file_bytes": file_bytes, "seconds": ui::seconds(took) }),
    ))
}

fn import(args: &SrsImport, ui: &Ui) -> Result<Outcome> {
    let srs = Content::Artifact(Kind::Srs);
    Outputs::new([args.file.as_path()], args.overwrite.force).check(&args.output, srs)?;
    let (imported, took) = ui.staged(|show| {
        pipeline::import_srs(&args.file, args.k, &mut |at| {
            show(at.stage, at.done, at.total);
        })
    });
    let ImportedSrs {
        srs,
        format,
        file_k,
        lagrange_in_file,
    } = imported?;
    let (k, id) = (srs.k(), srs.id());
    let (written, _) = ui.timed("writing", || pipeline::write_srs(&args.output, &srs));
    let file_bytes = written?;
    let mut table = Table::new();
    table
        .row(["format", &format])
        .row(["k", &format!("{k} (the file serves up to {file_k})")])
        .row([
            "Lagrange basis",
            if lagrange_in_file {
                "from the file, checked"
            } else {
                "computed"
            },
        ])
        .row(["SRS id", &id])
        .row(["time", &ui::duration(took)])
        .row([
            "written",
            &format!("{} ({})", args.output.display(), ui::bytes(file_bytes)),
        ]);
    Ok(Outcome::new(
        format!(
            "{}: the powers of one secret; whether it was thrown away, no check can tell\n{}",
            text::path(&args.file),
            table.render()
        ),
        json!({
            "format": format, "k": k, "file_k": file_k, "lagrange_in_file": lagrange_in_file, "srs_id": id, "insecure": false,
            "file": text::path(&args.output), "file_bytes": file_bytes, "seconds": ui::seconds(took),
        }),
    ))
}
