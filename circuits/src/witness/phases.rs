//! The witness in whole columns, for provers that take them.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::{Second, Witness};
use crate::layout::Layout;

/// The advice columns of one phase as halo2 has them, in the order of the constraint system, rows from 0.
#[derive(Clone, Debug)]
pub enum PhaseValues {
    /// Phase 1: small integers.
    Small(Vec<Vec<i64>>),
    /// Phases 2 and 3: field elements.
    Dense(Vec<Vec<Fr>>),
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

    /// The columns of `phase` (0, 1, 2) given the challenges drawn so far: none, then `δ, ζ, βx, βy`, then also `η, λ`.
    ///
    /// `None` where phases are asked for out of order.
    pub fn next(&mut self, phase: usize, challenges: &[Fr]) -> Option<PhaseValues> {
        let profile = &self.layout.profile;
        match (phase, challenges) {
            (0, _) => {
                let mut columns = self.witness.lanes.clone();
                let rows = self.layout.stats.table;
                let tables = profile.tables;
                columns.extend((0..tables).map(|t| {
                    let entries = self.witness.multiplicities.iter().skip(t * rows).take(rows);
                    entries.map(|m| *m as i64).collect()
                }));
                Some(PhaseValues::Small(profile.fold_columns(columns, 0)))
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
                Some(PhaseValues::Dense(profile.fold_columns(columns, Fr::ZERO)))
            }
            (2, &[_, _, _, _, eta, _]) => {
                let (challenges, columns) = self.second.take()?;
                let columns = self
                    .witness
                    .third_phase(self.layout, challenges, eta, &columns);
                Some(PhaseValues::Dense(profile.fold_columns(columns, Fr::ZERO)))
            }
            _ => None,
        }
    }
}
