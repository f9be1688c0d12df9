//! A second derivation of the statement: what the fixed columns say, compared with the integer model.
//!
//! The planner (`layout`) goes from the model to fixed columns. This goes the other way: it reads the weights of every
//! accumulator, every consumed value, every functional, window and table off the columns, as the gates define them, and
//! demands that together they are the model's equations, each cell once. It shares no code with the planner, the
//! interval propagation, the executor or the witness. `docs/arithmetization.md` has the argument, under "Two derivations".
//!
//! Of a [`Layout`] it believes the profile, `k`, the visibilities and the columns, which the key commits to. Which cell of the model
//! a row holds is a hint: whatever the layout says there is checked like everything else.

mod cells;
mod columns;
mod contraction;
mod copies;
mod error;
mod explain;
mod hash;
mod intervals;
mod links;
mod places;
mod public;
mod rows;
mod tables;
#[cfg(test)]
mod tests;
mod walk;

use rayon::prelude::*;

pub use error::CheckError;

use crate::layout::Layout;
use crate::model::Model;
use crate::profile::fixed;
use crate::validate::validate;
use cells::Cells;
use columns::Columns;
use explain::Program;
use intervals::Intervals;
use links::Link;
use tables::Tables;
use walk::Exponents;

/// Checks that a circuit with these fixed columns states what `model` computes, with what the layout says of public places and
/// digests.
///
/// # Errors
/// [`CheckError`] names a contradiction.
pub fn statement(model: &Model, layout: &Layout) -> Result<(), CheckError> {
    for model in [model, &layout.model] {
        validate(model).map_err(|why| CheckError::new(why.to_string()))?;
    }
    copies::same_model(model, &layout.model)?;
    let columns = Columns::new(layout)?;
    let held = cells::held(layout, columns.last)?;
    let tags = rows::tags(&columns, layout, &held)?;
    public::places(&columns, layout, &held)?;

    let any = |selectors: &'static [usize]| {
        move |row: usize| selectors.iter().any(|s| columns.at(*s, row) != 0)
    };
    let acc = walk::weights(
        &columns,
        (fixed::ACC_NUM, fixed::ACC_DEN),
        any(&[fixed::SCALE_A, fixed::SCALE_B, fixed::INSTANCE]),
    )?;
    let cons = walk::weights(
        &columns,
        (fixed::CONS_NUM, fixed::CONS_DEN),
        any(&[fixed::CONSUME, fixed::ONE]),
    )?;
    let rows = cells::rows_by_tensor(layout, &held)?;
    let cells: Vec<Cells<'_>> = rows
        .par_iter()
        .enumerate()
        .map(|(tensor, rows)| cells::cells(&columns, layout, tensor, rows, (&acc, &cons)))
        .collect::<Result<_, _>>()?;
    if columns.profile.hash && acc[0] != Some(Exponents::default()) {
        return Err(CheckError::at(
            0,
            "the digests have another weight than theirs",
        ));
    }
    let constants = explain::constants(&columns, &cons)?;
    distinct(&columns, &cells, &constants)?;

    let links = links(&cells)?;
    let functionals = contraction::functionals(&columns)?;
    let program = Program {
        columns,
        cells: &cells,
        links: &links,
        constants: &constants,
    };
    let silent = program.explain(&functionals)?;

    let intervals = Intervals::of(&layout.model)?;
    let tables = Tables::read(&columns)?;
    tables.limbs(&columns, &layout.model)?;
    cells
        .par_iter()
        .zip(&tags)
        .enumerate()
        .try_for_each(|(i, (cells, tags))| {
            tables.node(layout, cells.id, *tags, &intervals, silent.contains(&i))
        })?;
    hash::program(&columns, layout, &cells, &intervals)
}

/// No two accumulators have one weight, and no two consumed values of different functionals.
fn distinct(
    columns: &Columns<'_>,
    cells: &[Cells<'_>],
    constants: &[explain::Constant],
) -> Result<(), CheckError> {
    // Row 0 holds the digests, of weight 1.
    let digests: &[i32] = if columns.profile.hash { &[0] } else { &[] };
    let produced = cells.iter().map(|c| (c.node.name.as_str(), &c.produced));
    cells::distinct_exponents(produced, digests, "of accumulators")?;
    let constants: Vec<i32> = constants.iter().map(|c| c.k).collect();
    let consumed = cells.iter().map(|c| (c.node.name.as_str(), &c.consumed));
    cells::distinct_exponents(consumed, &constants, "of consumed values")
}

/// The terms that read each tensor.
fn links<'a>(cells: &[Cells<'a>]) -> Result<Vec<Vec<Link<'a>>>, CheckError> {
    let mut by_node = vec![0; cells.len()];
    for (tensor, cells) in cells.iter().enumerate() {
        by_node[cells.id] = tensor;
    }
    let terms: Vec<_> = cells
        .iter()
        .enumerate()
        .flat_map(|(to, cells)| links::terms(cells).iter().map(move |term| (to, term)))
        .collect();
    let made: Vec<(usize, Link<'a>)> = terms
        .into_par_iter()
        .map(|(to, term)| {
            let from = by_node[term.source];
            Ok((from, links::link(cells, to, from, term)?))
        })
        .collect::<Result<_, CheckError>>()?;
    let mut out: Vec<Vec<Link<'a>>> = cells.iter().map(|_| Vec::new()).collect();
    for (from, link) in made {
        out[from].push(link);
    }
    Ok(out)
}
