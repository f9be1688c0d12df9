//! Small circuits at the edges of what can be proved.

use ff::Field;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{
        Advice, Assigned, Challenge, Circuit, Column, ConstraintSystem, Error, Expression,
        FirstPhase, Fixed, SecondPhase, Selector,
    },
    poly::Rotation,
};

/// One gate `q·(a^(degree-1) - b)`; the degree is announced to halo2 or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steep {
    pub(crate) degree: usize,
    pub(crate) announced: Option<usize>,
}

impl Circuit<Fr> for Steep {
    type Config = (Column<Advice>, Column<Advice>, Column<Fixed>);
    type FloorPlanner = SimpleFloorPlanner;
    type Params = (usize, Option<usize>);

    fn without_witnesses(&self) -> Self {
        *self
    }

    fn params(&self) -> Self::Params {
        (self.degree, self.announced)
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Self::Config {
        unreachable!("configured with its parameters")
    }

    fn configure_with_params(
        cs: &mut ConstraintSystem<Fr>,
        (degree, announced): Self::Params,
    ) -> Self::Config {
        let (a, b, q) = (cs.advice_column(), cs.advice_column(), cs.fixed_column());
        if let Some(degree) = announced {
            cs.set_minimum_degree(degree);
        }
        cs.create_gate("steep", |cells| {
            let a = cells.query_advice(a, Rotation::cur());
            let b = cells.query_advice(b, Rotation::cur());
            let power = (2..degree).fold(a.clone(), |power, _| power * a.clone());
            vec![cells.query_fixed(q, Rotation::cur()) * (power - b)]
        });
        (a, b, q)
    }

    fn synthesize(
        &self,
        (a, b, q): Self::Config,
        mut layouter: impl Layouter<Fr>,
    ) -> Result<(), Error> {
        layouter.assign_region(
            || "steep",
            |mut region| {
                for row in 0..4 {
                    let x = Fr::from(row as u64 + 5);
                    region.assign_fixed(q, row, Fr::ONE);
                    region.assign_advice(a, row, Value::known(x));
                    let power = x.pow_vartime([self.degree as u64 - 1]);
                    region.assign_advice(b, row, Value::known(power));
                }
                Ok(())
            },
        )
    }
}

/// Two phases in halo2's older manner: no call of `next_phase`, so that synthesis runs once a phase.
/// Also fractions, a complex selector, an all-zero fixed column; no copies and no public values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OldStyle;

#[derive(Clone)]
pub(crate) struct OldConfig {
    a: Column<Advice>,
    c: Column<Advice>,
    zero: Column<Fixed>,
    s: Selector,
    challenge: Challenge,
}

impl Circuit<Fr> for OldStyle {
    type Config = OldConfig;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        *self
    }

    fn configure(cs: &mut ConstraintSystem<Fr>) -> OldConfig {
        let a = cs.advice_column();
        let challenge = cs.challenge_usable_after(FirstPhase);
        let c = cs.advice_column_in(SecondPhase);
        let (zero, s) = (cs.fixed_column(), cs.complex_selector());
        cs.create_gate("inverse", |cells| {
            let s = cells.query_selector(s);
            let [a0, a1] = [0, 1].map(|r| cells.query_advice(a, Rotation(r)));
            let zero = cells.query_fixed(zero, Rotation::cur());
            let one = Expression::Constant(Fr::ONE);
            vec![s.clone() * (a0.clone() * a1.clone() - one) + zero * a1 * (s.clone() + s)]
        });
        cs.create_gate("scaled", |cells| {
            let s = cells.query_selector(s);
            let a = cells.query_advice(a, Rotation::cur());
            let c = cells.query_advice(c, Rotation::cur());
            vec![s * (a * cells.query_challenge(challenge) - c)]
        });
        OldConfig {
            a,
            c,
            zero,
            s,
            challenge,
        }
    }

    fn synthesize(&self, config: OldConfig, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let challenge = layouter.get_challenge(config.challenge);
        layouter.assign_region(
            || "all",
            |mut region| {
                config.s.enable(&mut region, 0)?;
                region.assign_fixed(config.zero, 0, Fr::ZERO);
                let three = Assigned::Trivial(Fr::from(3));
                let third = Assigned::Rational(Fr::from(5), Fr::from(15));
                region.assign_advice(config.a, 0, Value::known(three));
                // The later of two assignments counts, whichever is the fraction.
                region.assign_advice(config.a, 1, Value::known(three));
                region.assign_advice(config.a, 1, Value::known(third));
                region.assign_advice(config.a, 2, Value::known(third));
                region.assign_advice(config.a, 2, Value::known(three));
                region.assign_advice(config.c, 0, challenge.map(|x| x * Fr::from(3)));
                Ok(())
            },
        )
    }
}

/// Uses halo2's lookup argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup;

impl Circuit<Fr> for Lookup {
    type Config = ();
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        *self
    }

    fn configure(cs: &mut ConstraintSystem<Fr>) {
        let (a, table) = (cs.advice_column(), cs.lookup_table_column());
        cs.lookup("in table", |cells| {
            vec![(cells.query_advice(a, Rotation::cur()), table)]
        });
    }

    fn synthesize(&self, (): (), _: impl Layouter<Fr>) -> Result<(), Error> {
        Ok(())
    }
}

/// Queries a column at two rotations that are the same row in 2^5 rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrapping;

impl Circuit<Fr> for Wrapping {
    type Config = ();
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        *self
    }

    fn configure(cs: &mut ConstraintSystem<Fr>) {
        let a = cs.advice_column();
        cs.create_gate("same", |cells| {
            let [near, far] = [-1, 31].map(|r| cells.query_advice(a, Rotation(r)));
            vec![near - far]
        });
    }

    fn synthesize(&self, (): (), _: impl Layouter<Fr>) -> Result<(), Error> {
        Ok(())
    }
}
