//! The halo2 circuit of a planned model.

#[cfg(test)]
mod agreement;
mod gates;
mod hash;
#[cfg(test)]
mod holes;
#[cfg(test)]
mod soundness;

use std::sync::Arc;

use ff::Field;
use halo2_proofs::{
    circuit::{Layouter, Region, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{Circuit, ConstraintSystem, Error},
};

pub use gates::{Columns, configure};

use crate::layout::Layout;
use crate::profile::{HashFixed, Profile};
use crate::witness::{ColumnValues, Phases, Witness, field};

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
        let profile = layout.profile;
        let mut phases = self.witness.as_deref().map(|w| Phases::new(layout, w));
        let [first, second, third] = profile.folded_phases();
        layouter.assign_region(
            || "phase 1",
            |mut region| {
                for (i, values) in layout.fixed.iter().enumerate() {
                    let place = profile.fixed_place(i);
                    for (row, v) in values.iter().enumerate().filter(|(_, v)| **v != 0) {
                        let row = row * profile.fold + place.slot;
                        region.assign_fixed(columns.fixed[place.column], row, field(*v));
                    }
                }
                if profile.hash {
                    let place = profile.fixed_place(profile.hash_fixed(HashFixed::Constant));
                    for (row, v) in layout.hash.constants.iter().enumerate() {
                        let row = row * profile.fold + place.slot;
                        region.assign_fixed(columns.fixed[place.column], row, *v);
                    }
                }
                if let Some(base) = profile.base() {
                    for row in 0..=layout.last_row() {
                        region.assign_fixed(columns.fixed[base], row * profile.fold, Fr::ONE);
                    }
                }
                let values = phases.as_mut().and_then(|p| p.next(0, &[]));
                assign(&mut region, &columns, first.clone(), values);
                Ok(())
            },
        )?;
        layouter.next_phase();
        let drawn = columns.second.map(|c| layouter.get_challenge(c));
        let drawn: Value<Vec<Fr>> = drawn.into_iter().collect();
        layouter.assign_region(
            || "phase 2",
            |mut region| {
                drawn.as_ref().map(|drawn| {
                    let values = phases.as_mut().and_then(|p| p.next(1, drawn));
                    assign(&mut region, &columns, second.clone(), values);
                });
                Ok(())
            },
        )?;
        layouter.next_phase();
        let last = columns.third.map(|c| layouter.get_challenge(c));
        let last: Value<Vec<Fr>> = last.into_iter().collect();
        layouter.assign_region(
            || "phase 3",
            |mut region| {
                drawn.as_ref().zip(last.as_ref()).map(|(drawn, last)| {
                    let drawn = [drawn.as_slice(), last.as_slice()].concat();
                    let values = phases.as_mut().and_then(|p| p.next(2, &drawn));
                    assign(&mut region, &columns, third.clone(), values);
                });
                Ok(())
            },
        )
    }
}

/// Assigns the columns of a phase, those of halo2 in `range`.
fn assign(
    region: &mut Region<'_, Fr>,
    columns: &Columns,
    range: std::ops::Range<usize>,
    values: Option<Vec<ColumnValues>>,
) {
    for (column, values) in range.zip(values.into_iter().flatten()) {
        let values = values.into_dense();
        for (row, v) in values
            .iter()
            .enumerate()
            .filter(|(_, v)| !bool::from(v.is_zero()))
        {
            region.assign_advice(columns.advice[column], row, Value::known(*v));
        }
    }
}
