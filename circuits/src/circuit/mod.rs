//! The halo2 circuit of a planned model.

#[cfg(test)]
mod agreement;
mod gates;
mod hash;
#[cfg(test)]
mod soundness;

use std::sync::Arc;

use ff::Field;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{Circuit, ConstraintSystem, Error},
};

pub use gates::{Columns, DEGREE, configure};

use crate::layout::Layout;
use crate::profile::{HashFixed, Profile};
use crate::witness::{Second, Witness, field, phase_columns};

/// A layout, with a witness where something is to be proved.
#[derive(Clone, Debug)]
pub struct ModelCircuit {
    layout: Arc<Layout>,
    witness: Option<Arc<Witness>>,
}

impl ModelCircuit {
    /// The circuit without a witness, for keys.
    pub fn new(layout: Arc<Layout>) -> Self {
        ModelCircuit {
            layout,
            witness: None,
        }
    }

    /// The circuit of one inference.
    pub fn with_witness(layout: Arc<Layout>, witness: Arc<Witness>) -> Self {
        ModelCircuit {
            layout,
            witness: Some(witness),
        }
    }

    /// The planned layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl Circuit<Fr> for ModelCircuit {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = Profile;

    fn params(&self) -> Profile {
        self.layout.profile
    }

    fn without_witnesses(&self) -> Self {
        Self::new(self.layout.clone())
    }

    fn configure_with_params(cs: &mut ConstraintSystem<Fr>, profile: Profile) -> Columns {
        configure(cs, &profile)
    }

    fn configure(cs: &mut ConstraintSystem<Fr>) -> Columns {
        configure(cs, &Profile::default())
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let layout = &*self.layout;
        let phases = phase_columns(&layout.profile);
        layouter.assign_region(
            || "phase 1",
            |mut region| {
                for (column, values) in columns.fixed.iter().zip(&layout.fixed) {
                    for (row, v) in values.iter().enumerate().filter(|(_, v)| **v != 0) {
                        region.assign_fixed(*column, row, field(i64::from(*v)));
                    }
                }
                if layout.profile.hash {
                    let column = columns.fixed[layout.profile.hash_fixed(HashFixed::Constant)];
                    for (row, v) in layout.hash.constants.iter().enumerate() {
                        region.assign_fixed(column, row, *v);
                    }
                }
                let Some(witness) = &self.witness else {
                    return Ok(());
                };
                let hash = layout.profile.hash_state();
                assign(&mut region, &columns, hash, &witness.hash);
                for (column, values) in columns.advice.iter().zip(&witness.lanes) {
                    for (row, v) in values.iter().enumerate().filter(|(_, v)| **v != 0) {
                        region.assign_advice(*column, row, Value::known(field(*v)));
                    }
                }
                for (at, v) in witness
                    .multiplicities
                    .iter()
                    .enumerate()
                    .filter(|(_, v)| **v != 0)
                {
                    let (table, row) = layout.table_row(at);
                    let m = columns.advice[layout.profile.m().start + table];
                    region.assign_advice(m, row, Value::known(Fr::from(*v)));
                }
                Ok(())
            },
        )?;
        layouter.next_phase();
        let second = columns.second.map(|c| layouter.get_challenge(c));
        let mut kept: Option<(Second, Vec<Vec<Fr>>)> = None;
        layouter.assign_region(
            || "phase 2",
            |mut region| {
                let Some(witness) = &self.witness else {
                    return Ok(());
                };
                let [delta, zeta, beta_x, beta_y] = second;
                delta
                    .zip(zeta)
                    .zip(beta_x.zip(beta_y))
                    .map(|((delta, zeta), (beta_x, beta_y))| {
                        let challenges = Second {
                            delta,
                            zeta,
                            beta_x,
                            beta_y,
                        };
                        let values = witness.second_phase(layout, challenges);
                        assign(&mut region, &columns, phases[1].clone(), &values);
                        kept = Some((challenges, values));
                    });
                Ok(())
            },
        )?;
        layouter.next_phase();
        let eta = layouter.get_challenge(columns.third[0]);
        layouter.assign_region(
            || "phase 3",
            |mut region| {
                let (Some(witness), Some((challenges, second))) = (&self.witness, &kept) else {
                    return Ok(());
                };
                eta.map(|eta| {
                    let values = witness.third_phase(layout, *challenges, eta, second);
                    assign(&mut region, &columns, phases[2].clone(), &values);
                });
                Ok(())
            },
        )
    }
}

fn assign(
    region: &mut halo2_proofs::circuit::Region<'_, Fr>,
    columns: &Columns,
    range: std::ops::Range<usize>,
    values: &[Vec<Fr>],
) {
    for (column, values) in range.zip(values) {
        for (row, v) in values
            .iter()
            .enumerate()
            .filter(|(_, v)| !bool::from(v.is_zero()))
        {
            region.assign_advice(columns.advice[column], row, Value::known(*v));
        }
    }
}
