//! Random circuits: gates over columns at rotations, copies and public values, in one to three phases.

use ff::Field;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{
        Advice, Challenge, Circuit, Column, ConstraintSystem, Error, Expression, FirstPhase, Fixed,
        Instance, SecondPhase, ThirdPhase,
    },
    poly::Rotation,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::toy::signed;

/// Shape and values, all from one seed. Each phase has some input columns and an output column `o` with
///
/// ```text
/// q·(Π_j in_j(ω^{r_j}·X) + c·in_0(ω^{r_0}·X) + public - o) = 0,     c: a challenge from the second phase on
/// ```
///
/// where inputs of later phases take values of the phase before. Some inputs are copied from row to row.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    pub(crate) seed: u64,
    pub(crate) phases: usize,
}

/// Rows of the gate; rotations stay within as many rows on either side.
const FIRST: usize = 4;
const LAST: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
struct PhaseShape {
    /// Rotations of the product's factors, by input column.
    inputs: Vec<i32>,
    /// Whether values are small integers.
    small: bool,
}

impl Random {
    fn rng(&self) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(self.seed)
    }

    fn shape(params: (u64, usize)) -> Vec<PhaseShape> {
        let mut rng = ChaCha20Rng::seed_from_u64(params.0);
        (0..params.1.max(1))
            .map(|_| PhaseShape {
                inputs: (0..rng.gen_range(1..=3))
                    .map(|_| rng.gen_range(-4..=4))
                    .collect(),
                small: rng.r#gen(),
            })
            .collect()
    }

    /// The public values: one a row of the gate.
    pub(crate) fn instances(&self) -> Vec<Vec<Fr>> {
        let mut rng = self.rng();
        vec![
            (0..LAST)
                .map(|_| Fr::from(rng.gen_range(0..1000u64)))
                .collect(),
        ]
    }

    /// Rows that the instance column has.
    pub(crate) const INSTANCE_ROWS: [usize; 1] = [LAST];
}

#[derive(Clone, Debug)]
pub(crate) struct Phase {
    inputs: Vec<(Column<Advice>, i32)>,
    output: Column<Advice>,
    challenge: Option<Challenge>,
    small: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    q: Column<Fixed>,
    phases: Vec<Phase>,
}

impl Circuit<Fr> for Random {
    type Config = Config;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = (u64, usize);

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn params(&self) -> Self::Params {
        (self.seed, self.phases)
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Config {
        unreachable!("configured with its parameters")
    }

    fn configure_with_params(cs: &mut ConstraintSystem<Fr>, params: Self::Params) -> Config {
        let (q, public): (_, Column<Instance>) = (cs.fixed_column(), cs.instance_column());
        let mut phases: Vec<Phase> = vec![];
        for (index, shape) in Random::shape(params).into_iter().enumerate() {
            let challenge = match index {
                0 => None,
                1 => Some(cs.challenge_usable_after(FirstPhase)),
                _ => Some(cs.challenge_usable_after(SecondPhase)),
            };
            let mut column = || match index {
                0 => cs.advice_column(),
                1 => cs.advice_column_in(SecondPhase),
                _ => cs.advice_column_in(ThirdPhase),
            };
            let inputs: Vec<_> = shape.inputs.iter().map(|r| (column(), *r)).collect();
            let output = column();
            cs.enable_equality(inputs[0].0);
            cs.enable_equality(output);
            let gate = inputs.clone();
            cs.create_gate("product", |cells| {
                let q = cells.query_fixed(q, Rotation::cur());
                let inputs: Vec<Expression<Fr>> = gate
                    .iter()
                    .map(|(column, r)| cells.query_advice(*column, Rotation(*r)))
                    .collect();
                let output = cells.query_advice(output, Rotation::cur());
                let public = cells.query_instance(public, Rotation::cur());
                let linear = match challenge {
                    Some(c) => inputs[0].clone() * cells.query_challenge(c),
                    None => inputs[0].clone(),
                };
                let product = inputs
                    .into_iter()
                    .reduce(|a, b| a * b)
                    .expect("one at least");
                vec![q * (product + linear + public - output)]
            });
            phases.push(Phase {
                inputs,
                output,
                challenge,
                small: shape.small,
            });
        }
        Config { q, phases }
    }

    fn synthesize(&self, config: Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let mut rng = self.rng();
        let public = &self.instances()[0];
        layouter.assign_region(
            || "selector",
            |mut region| {
                for row in FIRST..LAST {
                    region.assign_fixed(config.q, row, Fr::ONE);
                }
                Ok(())
            },
        )?;
        for (index, phase) in config.phases.iter().enumerate() {
            if index > 0 {
                layouter.next_phase();
            }
            let challenge = match phase.challenge {
                Some(challenge) => layouter.get_challenge(challenge),
                None => Value::known(Fr::ONE),
            };
            let mut value = || {
                if phase.small {
                    signed(rng.gen_range(-200..200))
                } else {
                    Fr::random(&mut rng)
                }
            };
            let rows = LAST + FIRST;
            let mut inputs: Vec<Vec<Fr>> = phase
                .inputs
                .iter()
                .map(|_| (0..rows).map(|_| value()).collect())
                .collect();
            // These are copies.
            inputs[0][rows - 1] = inputs[0][0];
            inputs[0][5] = inputs[0][0];
            layouter.assign_region(
                || "phase",
                |mut region| {
                    let mut copied = vec![];
                    for ((column, _), values) in phase.inputs.iter().zip(&inputs) {
                        for (row, v) in values.iter().enumerate() {
                            let cell = region.assign_advice(*column, row, Value::known(*v)).cell();
                            if *column == phase.inputs[0].0 && [0, 5, rows - 1].contains(&row) {
                                copied.push(cell);
                            }
                        }
                    }
                    region.constrain_equal(copied[0], copied[2]);
                    region.constrain_equal(copied[1], copied[0]);
                    for row in FIRST..LAST {
                        let factors: Vec<Fr> = phase
                            .inputs
                            .iter()
                            .zip(&inputs)
                            .map(|((_, r), values)| values[(row as i32 + r) as usize])
                            .collect();
                        let product: Fr = factors.iter().product();
                        let output = challenge.map(|c| product + c * factors[0] + public[row]);
                        region.assign_advice(phase.output, row, output);
                    }
                    Ok(())
                },
            )?;
        }
        Ok(())
    }
}
