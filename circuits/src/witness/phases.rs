//! The witness in whole columns, for provers that take them.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::{Second, Witness, field};
use crate::layout::Layout;
use crate::profile::Profile;

/// An advice column as halo2 has it, rows from 0.
#[derive(Clone, Debug)]
pub enum ColumnValues {
    /// Small integers: lanes and multiplicities.
    Small(Vec<i64>),
    /// Field elements: the hash and the columns of phases 2 and 3.
    Dense(Vec<Fr>),
}

impl ColumnValues {
    /// As field elements.
    pub fn into_dense(self) -> Vec<Fr> {
        match self {
            ColumnValues::Small(values) => values.into_iter().map(field).collect(),
            ColumnValues::Dense(values) => values,
        }
    }
}

/// The columns of halo2 from those of the circuit, which are of one phase, small ones first. One that has some of both
/// is dense.
fn fold(profile: &Profile, mut small: Vec<Vec<i64>>, mut dense: Vec<Vec<Fr>>) -> Vec<ColumnValues> {
    if !dense.is_empty() {
        let mixed = small.split_off(small.len() / profile.fold * profile.fold);
        let mixed = mixed
            .into_iter()
            .map(|c| ColumnValues::Small(c).into_dense());
        dense.splice(0..0, mixed);
    }
    let small = profile.fold_columns(small, 0);
    let dense = profile.fold_columns(dense, Fr::ZERO);
    let small = small.into_iter().map(ColumnValues::Small);
    small
        .chain(dense.into_iter().map(ColumnValues::Dense))
        .collect()
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
        let fold = |small, dense| Some(fold(&self.layout.profile, small, dense));
        match (phase, challenges) {
            (0, _) => {
                let mut columns = self.witness.lanes.clone();
                let rows = self.layout.stats.table;
                let tables = self.layout.profile.tables;
                columns.extend((0..tables).map(|t| {
                    let entries = self.witness.multiplicities.iter().skip(t * rows).take(rows);
                    entries.map(|m| *m as i64).collect()
                }));
                fold(columns, self.witness.hash.clone())
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
                fold(vec![], columns)
            }
            (2, &[_, _, _, _, eta, _]) => {
                let (challenges, columns) = self.second.take()?;
                let columns = self
                    .witness
                    .third_phase(self.layout, challenges, eta, &columns);
                fold(vec![], columns)
            }
            _ => None,
        }
    }
}
