//! `srs`: structured reference strings.

use serde_json::json;

use crate::{
    Outcome, Result,
    args::{Srs, SrsCommand},
    pipeline::{self, INSECURE},
    ui::{self, Ui},
};

/// Makes a development reference string.
pub fn run(args: &Srs, ui: &Ui) -> Result<Outcome> {
    let SrsCommand::Dev(dev) = &args.command;
    let (srs, took) = ui.try_timed("making the reference string", || pipeline::dev_srs(dev.k))?;
    let file_bytes = pipeline::write_srs(&dev.out, &srs)?;
    Ok(Outcome::new(
        format!(
            "{INSECURE} for 2^{} rows, made in {}\n  written {} ({})",
            dev.k,
            ui::duration(took),
            dev.out.display(),
            ui::bytes(file_bytes)
        ),
        json!({ "k": dev.k, "insecure": true, "file": dev.out, "file_bytes": file_bytes, "seconds": ui::seconds(took) }),
    ))
}
