//! The witness in whole columns, for provers that take them.

use halo2_proofs::halo2curves::bn256::Fr;

use super::{Second, Witness};
use crate::layout::Layout;

/// An advice column, rows from 0.
#[derive(Clone, Debug)]
pub enum ColumnValues {
    /// Small integers: lanes and multiplicities.
    Small(Vec<i64>),
    /// Field elements: the hash and the columns of phases 2 and 3.
    Dense(Vec<Fr>),
}

/// Hands out the columns phase by phase.
#[derive(Debug)]
pub struct Phases<'a> {
    layout: &'a Layout,
    witness: &'a Witness,
    second: Option<(Second, Vec<Vec<Fr>>)>,
}

impl<'a> Phases<'a> {
    /// The columns of a witness.
    pub fn new(layout: &'a Layout, witness: &'a Witness) -> Self {
        Phases {
            layout,
            witness,
            second: None,
        }
    }

    /// The columns of `phase` (0, 1, 2) in the order of the constraint system, given the challenges drawn so far: none, then `δ, ζ, βx, βy`, then also `η, λ`.
    ///
    /// `None` where phases are asked for out of order.
    pub fn next(&mut self, phase: usize, challenges: &[Fr]) -> Option<Vec<ColumnValues>> {
        let dense = |columns: Vec<Vec<Fr>>| columns.into_iter().map(ColumnValues::Dense).collect();
        match (phase, challenges) {
            (0, _) => {
                let mut columns = self.witness.lanes.clone();
                let rows = self.layout.stats.table;
                let tables = self.layout.profile.tables;
                columns.extend((0..tables).map(|t| {
                    let entries = self.witness.multiplicities.iter().skip(t * rows).take(rows);
                    entries.map(|m| *m as i64).collect()
                }));
                let hash = self.witness.hash.iter().cloned().map(ColumnValues::Dense);
                Some(
                    columns
                        .into_iter()
                        .map(ColumnValues::Small)
                        .chain(hash)
                        .collect(),
                )
            }
            (1, &[delta, zeta, beta_x, beta_y]) => {
                let second = Second {
                    delta,
                    zeta,
                    beta_x,
                    beta_y,
                };
                let columns = self.witness.second_phase(self.layout, second);
                self.second = Some((second, columns.clone()));
                Some(dense(columns))
            }
            (2, &[_, _, _, _, eta, _]) => {
                let (challenges, columns) = self.second.take()?;
                Some(dense(self.witness.third_phase(
                    self.layout,
                    challenges,
                    eta,
                    &columns,
                )))
            }
            _ => None,
        }
    }
}
