//! `hash`: the digests that a proof would show.

use serde_json::json;

use crate::{
    CliError, Outcome, Result,
    args::Hash,
    pipeline,
    ui::{Table, Ui},
};

/// Hashes an input and its output, as far as the model does.
pub fn run(args: &Hash, _: &Ui) -> Result<Outcome> {
    let compiled = pipeline::read_model(args.model.path())?;
    if compiled.layout.digests().is_empty() {
        return Err(CliError::Input(format!(
            "`{}` hashes nothing; compile it with --input-visibility hashed or --output-visibility hashed",
            compiled.model.name
        )));
    }
    let item = pipeline::load_input(&compiled.model, &args.input, args.index)?;
    let digests = pipeline::digests(&compiled, &item)?;
    let mut table = Table::new();
    for digest in &digests {
        table.row(digest.row()).row(["of", &digest.recipe()]);
    }
    Ok(Outcome::new(
        format!("{}\n{}", compiled.model.name, table.render()),
        json!({ "model": compiled.model.name, "digests": digests }),
    ))
}
