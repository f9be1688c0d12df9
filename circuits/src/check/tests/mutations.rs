//! Every fixed cell matters: the checker rejects each change of one, and each exchange of two neighbours, but for those that leave
//! the statement as it is.

use std::collections::{BTreeSet, HashMap};

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;

use super::{SMALL, planned};
use crate::check::columns::Columns;
use crate::check::walk::{self, Exponents};
use crate::check::{contraction, explain, statement};
use crate::layout::{Layout, Shown, plan};
use crate::model::Model;
use crate::profile::{HashFixed, Profile, fixed};
use crate::testing;

/// A small layout to be changed, with what it is of.
struct Bench {
    model: Model,
    profile: Profile,
    input: Shown,
    output: Shown,
}

/// One or two cells of a column, and what they become.
#[derive(Debug)]
struct Change {
    column: usize,
    row: usize,
    to: Vec<i64>,
}

impl Bench {
    fn layout(&self) -> Layout {
        planned(&self.model, self.profile, self.input, self.output).unwrap()
    }

    /// Rows in which cells are changed: behind the programs the chains hold, row after row.
    fn rows(&self, layout: &Layout) -> Vec<usize> {
        let (last, used) = (layout.last_row(), layout.stats.rows());
        (0..=last)
            .filter(|row| *row < used + 2 || *row + 2 > last || row % 37 == 0)
            .collect()
    }

    /// One more, none, the opposite, the next row's value, every number of a step; and exchanged with the next row's.
    fn changes(&self, layout: &Layout) -> Vec<Change> {
        let mut out = Vec::new();
        for column in 0..layout.fixed.len() {
            for row in self.rows(layout) {
                let (was, next) = (at(layout, column, row), at(layout, column, row + 1));
                let mut values = vec![was + 1, was - 1, 0, next, -was];
                if (fixed::TAG..fixed::LANE0).contains(&column) {
                    values.extend(0..6);
                }
                values.sort_unstable();
                values.dedup();
                let single = values.into_iter().filter(|v| *v != was);
                out.extend(single.map(|v| Change {
                    column,
                    row,
                    to: vec![v],
                }));
                if was != next {
                    out.push(Change {
                        column,
                        row,
                        to: vec![next, was],
                    });
                }
            }
        }
        out
    }

    /// Tries all changes; those that are accepted must leave the statement as it is.
    fn run(&self) -> usize {
        let honest = self.layout();
        assert_eq!(
            statement(&self.model, &honest),
            Ok(()),
            "{}",
            self.model.name
        );
        let changes = self.changes(&honest);
        changes
            .par_chunks(changes.len() / 32 + 1)
            .for_each(|changes| {
                let mut layout = self.layout();
                for change in changes {
                    let was = put(&mut layout, change.column, change.row, &change.to);
                    if statement(&self.model, &layout).is_ok() {
                        let same = says_the_same(&honest, &layout, change);
                        assert!(same, "{}: {change:?}, not {was:?}", self.model.name);
                    }
                    put(&mut layout, change.column, change.row, &was);
                }
            });
        changes.len()
    }
}

fn at(layout: &Layout, column: usize, row: usize) -> i64 {
    layout.fixed[column].get(row).copied().unwrap_or(0)
}

/// Writes cells from a row on; gives what stood there.
fn put(layout: &mut Layout, column: usize, row: usize, values: &[i64]) -> Vec<i64> {
    let cells = &mut layout.fixed[column];
    if cells.len() < row + values.len() {
        cells.resize(row + values.len(), 0);
    }
    let old = cells[row..row + values.len()].to_vec();
    cells[row..row + values.len()].copy_from_slice(values);
    old
}

/// What enters the chains, with its weight, and the weights of all functionals.
type Said = (
    Vec<(usize, Option<Exponents>)>,
    Vec<(usize, i64, Vec<(i64, (i32, i32), i64)>)>,
);

fn said(layout: &Layout) -> Said {
    let columns = Columns::new(layout).unwrap();
    let mut entering = Vec::new();
    for (num, den, selectors) in [
        (
            fixed::ACC_NUM,
            fixed::ACC_DEN,
            vec![fixed::SCALE_A, fixed::SCALE_B, fixed::INSTANCE],
        ),
        (
            fixed::CONS_NUM,
            fixed::CONS_DEN,
            vec![fixed::CONSUME, fixed::ONE],
        ),
    ] {
        let enters = |row: usize| selectors.iter().any(|s| columns.at(*s, row) != 0);
        let weights = walk::weights(&columns, (num, den), enters).unwrap();
        let rows = weights.into_iter().enumerate();
        entering.extend(rows.filter(|(row, _)| enters(*row)));
    }
    let functionals = contraction::functionals(&columns).unwrap();
    let weights = functionals.iter().map(|f| {
        let lanes = contraction::Lanes::read(&columns, f.start..f.row);
        let weights = contraction::Weights::read(&columns, &lanes, f).unwrap();
        (f.row, f.index, weights.all())
    });
    (entering, weights.collect())
}

/// Why an accepted change changes nothing.
fn says_the_same(honest: &Layout, changed: &Layout, change: &Change) -> bool {
    let lanes = fixed::LANE0..fixed::LANE0 + honest.profile.fixed_lanes;
    let (before, after) = (said(honest), said(changed));
    match change.column {
        // Steps between which nothing enters commute, and so do rows of weights between which no step is.
        column if walks(honest, column) && before == after => true,
        // A weight that only free accumulators meet.
        column if lanes.contains(&column) => {
            before.0 == after.0 && free_alone(honest, &before, &after)
        }
        // The other table has the same function on all that the row may look up.
        fixed::TAG => before == after,
        // A public input has any weight that no other cell has, and so has an accumulator that is free.
        fixed::ACC_NUM | fixed::ACC_DEN => {
            let moves = |row: usize| at(honest, fixed::INSTANCE, row) == -1 || is_free(honest, row);
            let mut pairs = before.0.iter().zip(&after.0);
            before.1 == after.1 && pairs.all(|(a, b)| a == b || (a.0 == b.0 && moves(a.0)))
        }
        // A constant counts, or not, where only accumulators that are free find it; or all accumulators find it at
        // another of its coordinates.
        fixed::ONE | fixed::Z_NUM | fixed::Z_DEN => {
            let columns = Columns::new(honest).unwrap();
            let cons = walk::weights(&columns, (fixed::CONS_NUM, fixed::CONS_DEN), |_| false);
            let constants = explain::constants(&columns, &cons.unwrap()).unwrap();
            let lanes = columns.profile.lanes as i64;
            let constant = |index: i64| constants.iter().any(|c| i64::from(c.k) * lanes == index);
            let mut pairs = before.1.iter().zip(&after.1);
            pairs.all(|(a, b)| a == b || (constant(a.1) && (a.0, a.1) == (b.0, b.1)))
        }
        // The same rows in another order, or a row more that no lookup names.
        _ => looked_up(honest) == looked_up(changed),
    }
}

/// A row whose accumulator nobody reads.
fn is_free(layout: &Layout, row: usize) -> bool {
    let selectors = [
        fixed::SCALE_A,
        fixed::SCALE_B,
        fixed::INSTANCE,
        fixed::CONSUME,
    ];
    selectors.map(|column| at(layout, column, row)) == [0, 1, 0, 0]
}

/// Whether all weights in which the functionals differ meet free accumulators, wherever the functional's cells stand.
fn free_alone(layout: &Layout, before: &Said, after: &Said) -> bool {
    let columns = Columns::new(layout).unwrap();
    let lanes = layout.profile.lanes as i64;
    let cons = walk::weights(&columns, (fixed::CONS_NUM, fixed::CONS_DEN), |_| false).unwrap();
    let acc = walk::weights(&columns, (fixed::ACC_NUM, fixed::ACC_DEN), |_| false).unwrap();
    let enters = |row: usize| {
        let selectors = [fixed::SCALE_A, fixed::SCALE_B, fixed::INSTANCE];
        selectors.iter().any(|s| at(layout, *s, row) != 0)
    };
    let by_weight: HashMap<Exponents, usize> = acc
        .iter()
        .enumerate()
        .filter(|(row, _)| enters(*row))
        .filter_map(|(row, weight)| Some(((*weight)?, row)))
        .collect();
    let mut pairs = before.1.iter().zip(&after.1);
    pairs.all(|((row, index, a), (other, same, b))| {
        let (a, b): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
        let cells = || {
            let rows = cons.iter().enumerate();
            rows.filter(|(row, _)| at(layout, fixed::CONSUME, *row) == 1)
                .filter_map(|(_, weight)| *weight)
                .filter(|weight| i64::from(weight.k) == index / lanes)
        };
        (row, index) == (other, same)
            && a.symmetric_difference(&b).all(|(exponent, (dy, dx), _)| {
                cells().next().is_some()
                    && cells().all(|cell| {
                        let met = Exponents {
                            k: (exponent / lanes) as i32,
                            y: cell.y + dy,
                            x: cell.x + dx,
                        };
                        by_weight.get(&met).is_some_and(|row| is_free(layout, *row))
                    })
            })
    })
}

/// Columns of steps.
fn walks(layout: &Layout, column: usize) -> bool {
    let hash = [HashFixed::Num, HashFixed::Den].map(|c| layout.profile.hash_fixed(c));
    (fixed::ACC_NUM..=fixed::DOT_OP).contains(&column)
        || (layout.profile.hash && hash.contains(&column))
}

/// The rows of the tables that some row's tag names, limbs being tag 1.
fn looked_up(layout: &Layout) -> BTreeSet<[i64; 3]> {
    let mut out = BTreeSet::new();
    for table in 0..layout.profile.tables {
        for row in 0..layout.last_row() {
            let entry = layout
                .profile
                .table(table)
                .map(|column| at(layout, column, row));
            if entry[2] == 1 || layout.fixed[fixed::TAG].contains(&entry[2]) {
                out.insert(entry);
            }
        }
    }
    out.remove(&[0; 3]);
    out
}

#[test]
fn each_fixed_cell_is_what_it_must_be() {
    use Shown::{Hashed, Private, Public};
    let mut tried = 0;
    for model in testing::layer_kinds() {
        for (input, output) in [(Private, Public), (Public, Private), (Hashed, Hashed)] {
            if planned(&model, SMALL, input, output).is_err() {
                continue;
            }
            let bench = Bench {
                model: model.clone(),
                profile: SMALL,
                input,
                output,
            };
            tried += bench.run();
        }
    }
    println!("{tried} changes");
}

#[test]
fn each_constant_of_a_hash_is_what_it_must_be() {
    let bench = Bench {
        model: testing::layer_kinds().swap_remove(0),
        profile: SMALL,
        input: Shown::Hashed,
        output: Shown::Hashed,
    };
    let mut layout = bench.layout();
    for row in 0..layout.hash.constants.len() {
        for change in [Fr::ONE, -layout.hash.constants[row]] {
            if change == Fr::ZERO {
                continue;
            }
            layout.hash.constants[row] += change;
            assert!(statement(&bench.model, &layout).is_err(), "row {row}");
            layout.hash.constants[row] -= change;
        }
    }
    assert_eq!(statement(&bench.model, &layout), Ok(()));
}

/// A changed model against the circuit of the original one.
#[test]
fn another_model_is_not_stated() {
    for model in testing::layer_kinds() {
        let layout = plan(&model, SMALL, Default::default()).unwrap();
        for other in testing::layer_kinds() {
            assert_eq!(
                statement(&other, &layout).is_ok(),
                other.name == model.name,
                "{} as {}",
                model.name,
                other.name
            );
        }
    }
}
