//! A circuit of any number of rows with the columns, widths and degree that quantized networks have.

use ff::Field;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{Advice, Circuit, Column, ConstraintSystem, Error, Fixed, Instance},
    poly::Rotation,
};
use rayon::prelude::*;

use crate::{fast::Values, small::from_i64};

/// Columns of a group: four factors, and what they give.
const GROUP: usize = 5;
/// Groups of columns.
const GROUPS: usize = 12;
/// Groups, the last ones, whose values are field elements; in the others, factors have 8 bits.
const DENSE_GROUPS: usize = 3;
/// Public values.
const PUBLIC: usize = 8;
/// Rows at the end without a gate: those that halo2 keeps for blinding, and the one after the last gate.
const SPARE: usize = 16;
/// Places of a row of values from the seed: the advice columns, the weights after them, the public values.
const WEIGHTS: usize = GROUPS * GROUP;
const PUBLIC_PLACE: usize = WEIGHTS + GROUPS;

/// A circuit of 60 advice columns, 13 fixed ones, degree 5, and `2^k` rows, nearly all of them used.
///
/// In each of 12 groups, with a fixed column `w` of 8-bit weights and a fixed column `q` of ones,
///
/// ```text
/// q·(a·b·c·d + w·a(ωX) [+ p] - e) = 0,     p: the public values, in the first group
/// ```
///
/// The factors `a` to `d` are 8-bit integers in nine groups and field elements in three, all from a seed. There are no
/// copy constraints.
#[derive(Clone, Debug)]
pub struct Synthetic {
    k: u32,
    seed: u64,
    witness: bool,
}

impl Synthetic {
    /// Advice columns.
    pub const ADVICE: usize = GROUPS * GROUP;
    /// Rows that each instance column has, as keys are made with.
    pub const INSTANCE_ROWS: [usize; 1] = [PUBLIC];
    /// The least `k` that there is room for.
    pub const LEAST_K: u32 = 6;

    /// A column of 8-bit integers, and one of field elements.
    pub(super) const SMALL: usize = 0;
    pub(super) const DENSE: usize = (GROUPS - DENSE_GROUPS) * GROUP;

    /// The circuit of `2^k` rows; too small a `k` is refused where keys are made.
    #[must_use]
    pub fn new(k: u32, seed: u64) -> Self {
        Self {
            k,
            seed,
            witness: true,
        }
    }

    /// Base-2 logarithm of the number of rows.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.k
    }

    /// Rows with a gate.
    fn rows(&self) -> usize {
        (1usize << self.k).saturating_sub(SPARE)
    }

    /// The public values, by instance column.
    #[must_use]
    pub fn instances(&self) -> Vec<Vec<Fr>> {
        let values = (0..PUBLIC).map(|row| from_i64(self.public(row)));
        vec![values.collect()]
    }

    /// The witness, by advice column.
    #[must_use]
    pub fn columns(&self) -> Vec<Values> {
        let columns = (0..Self::ADVICE).into_par_iter();
        columns.map(|column| self.column(column)).collect()
    }

    fn column(&self, column: usize) -> Values {
        let (group, place) = (column / GROUP, column % GROUP);
        let factors = group * GROUP..(group + 1) * GROUP - 1;
        let rows = 0..self.rows();
        let small = |row: usize| match place {
            GROUP_RESULT => {
                let product: i64 = factors.clone().map(|f| self.small(f, row)).product();
                let next = self.small(factors.start, row + 1);
                product + self.small(WEIGHTS + group, row) * next + self.added(group, row)
            }
            _ => self.small(column, row),
        };
        let dense = |row: usize| match place {
            GROUP_RESULT => {
                let product: Fr = factors.clone().map(|f| self.dense(f, row)).product();
                let next = self.dense(factors.start, row + 1);
                let weight = from_i64(self.small(WEIGHTS + group, row));
                product + weight * next + from_i64(self.added(group, row))
            }
            _ => self.dense(column, row),
        };
        if column < Self::DENSE {
            Values::Small(rows.map(small).collect())
        } else {
            Values::Dense(rows.map(dense).collect())
        }
    }

    /// What the public values add to a group's result.
    fn added(&self, group: usize, row: usize) -> i64 {
        if group == 0 && row < PUBLIC {
            self.public(row)
        } else {
            0
        }
    }

    fn public(&self, row: usize) -> i64 {
        self.small(PUBLIC_PLACE, row)
    }

    /// The 8-bit integer of a place; 0 after the last row with a gate.
    fn small(&self, place: usize, row: usize) -> i64 {
        if row < self.rows() {
            i64::from(self.word(place, row, 0) as i8)
        } else {
            0
        }
    }

    /// The field element of a place; 0 after the last row with a gate.
    fn dense(&self, place: usize, row: usize) -> Fr {
        if row < self.rows() {
            let word = |i| self.word(place, row, i);
            // Below 2^253, hence below the modulus.
            Fr::from_raw([word(0), word(1), word(2), word(3) >> 3])
        } else {
            Fr::ZERO
        }
    }

    /// SplitMix64 at a position of its own for each word.
    fn word(&self, place: usize, row: usize, i: u64) -> u64 {
        let position = ((place as u64) << 34 | (row as u64) << 2 | i).wrapping_add(1);
        let mut z = self
            .seed
            .wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The place of the result in its group.
const GROUP_RESULT: usize = GROUP - 1;

/// The columns of a [`Synthetic`] circuit.
#[derive(Clone, Debug)]
pub struct SyntheticConfig {
    advice: Vec<Column<Advice>>,
    q: Column<Fixed>,
    weights: Vec<Column<Fixed>>,
}

impl Circuit<Fr> for Synthetic {
    type Config = SyntheticConfig;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        Self {
            witness: false,
            ..self.clone()
        }
    }

    fn configure(cs: &mut ConstraintSystem<Fr>) -> SyntheticConfig {
        let advice: Vec<_> = (0..Self::ADVICE).map(|_| cs.advice_column()).collect();
        let q = cs.fixed_column();
        let weights: Vec<_> = (0..GROUPS).map(|_| cs.fixed_column()).collect();
        let public: Column<Instance> = cs.instance_column();
        for (index, (group, weight)) in advice.chunks(GROUP).zip(&weights).enumerate() {
            cs.create_gate("product", |cells| {
                let q = cells.query_fixed(q, Rotation::cur());
                let weight = cells.query_fixed(*weight, Rotation::cur());
                let next = cells.query_advice(group[0], Rotation::next());
                let mut here = |i: usize| cells.query_advice(group[i], Rotation::cur());
                let product = here(0) * here(1) * here(2) * here(3);
                let mut result = product + weight * next - here(GROUP_RESULT);
                if index == 0 {
                    result = result + cells.query_instance(public, Rotation::cur());
                }
                vec![q * result]
            });
        }
        SyntheticConfig { advice, q, weights }
    }

    fn synthesize(
        &self,
        config: SyntheticConfig,
        mut layouter: impl Layouter<Fr>,
    ) -> Result<(), Error> {
        layouter.assign_region(
            || "all",
            |mut region| {
                for row in 0..self.rows() {
                    region.assign_fixed(config.q, row, Fr::ONE);
                    for (group, weight) in config.weights.iter().enumerate() {
                        let value = from_i64(self.small(WEIGHTS + group, row));
                        region.assign_fixed(*weight, row, value);
                    }
                }
                if !self.witness {
                    return Ok(());
                }
                for (index, column) in config.advice.iter().enumerate() {
                    let values = self.column(index).into_dense(self.rows());
                    for (row, value) in values.into_iter().enumerate() {
                        region.assign_advice(*column, row, Value::known(value));
                    }
                }
                Ok(())
            },
        )
    }
}
