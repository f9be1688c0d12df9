//! A circuit with a bit of everything, of one to three phases.

use ff::Field;
use halo2_proofs::{
    circuit::{Layouter, SimpleFloorPlanner, Value},
    halo2curves::bn256::Fr,
    plonk::{
        Advice, Challenge, Circuit, Column, ConstraintSystem, Error, FirstPhase, Fixed, Instance,
        SecondPhase, Selector, ThirdPhase,
    },
    poly::Rotation,
};

/// Rows of the recurrence.
pub(crate) const ROWS: usize = 9;

/// `a' = a² + w·b` over [`ROWS`] rows, a running sum of `a` over a challenge in the second phase, and
/// one of both over two more in the third. Public: the first and last `a`, and all `b`.
#[derive(Clone, Debug)]
pub(crate) struct Toy {
    pub(crate) phases: usize,
    pub(crate) start: u64,
    pub(crate) weights: Vec<i64>,
    /// Added to a cell that the gates, or the copies, constrain.
    pub(crate) gate_fault: u64,
    pub(crate) copy_fault: u64,
}

impl Toy {
    pub(crate) fn new(phases: usize) -> Self {
        let weights = (0..ROWS as i64).map(|i| (i * 37) % 50 - 25).collect();
        Self {
            phases,
            start: 3,
            weights,
            gate_fault: 0,
            copy_fault: 0,
        }
    }

    fn b(&self) -> Vec<Fr> {
        (0..ROWS as u64)
            .map(|i| {
                if i == 7 {
                    Fr::from(self.start)
                } else {
                    Fr::from(i)
                }
            })
            .collect()
    }

    fn a(&self) -> Vec<Fr> {
        let mut a = vec![Fr::from(self.start)];
        for (b, w) in self.b().iter().zip(&self.weights) {
            let last = a[a.len() - 1];
            a.push(last.square() + signed(*w) * b);
        }
        a
    }

    /// The two instance columns.
    pub(crate) fn instances(&self) -> Vec<Vec<Fr>> {
        let a = self.a();
        vec![vec![a[0], a[ROWS]], self.b()]
    }
}

/// The lengths of the instance columns.
pub(crate) const INSTANCE_ROWS: [usize; 2] = [2, ROWS];

pub(crate) fn signed(v: i64) -> Fr {
    if v < 0 {
        -Fr::from(v.unsigned_abs())
    } else {
        Fr::from(v.unsigned_abs())
    }
}

#[derive(Clone)]
pub(crate) struct Config {
    a: Column<Advice>,
    b: Column<Advice>,
    w: Column<Fixed>,
    ends: Column<Instance>,
    inputs: Column<Instance>,
    s: Selector,
    second: Option<(Column<Advice>, Challenge)>,
    third: Option<(Column<Advice>, [Challenge; 2])>,
}

impl Circuit<Fr> for Toy {
    type Config = Config;
    type FloorPlanner = SimpleFloorPlanner;
    /// The number of phases, 0 standing for 1.
    type Params = usize;

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn params(&self) -> usize {
        self.phases
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Config {
        unreachable!("configured with its parameters")
    }

    fn configure_with_params(cs: &mut ConstraintSystem<Fr>, phases: usize) -> Config {
        let (a, b) = (cs.advice_column(), cs.advice_column());
        let (w, s) = (cs.fixed_column(), cs.selector());
        let (ends, inputs) = (cs.instance_column(), cs.instance_column());
        let second = (phases >= 2).then(|| {
            let challenge = cs.challenge_usable_after(FirstPhase);
            (cs.advice_column_in(SecondPhase), challenge)
        });
        let third = (phases >= 3).then(|| {
            let challenges = [(); 2].map(|()| cs.challenge_usable_after(SecondPhase));
            (cs.advice_column_in(ThirdPhase), challenges)
        });
        cs.enable_equality(a);
        cs.enable_equality(b);
        cs.enable_equality(ends);
        cs.create_gate("recurrence", |cells| {
            let s = cells.query_selector(s);
            let w = cells.query_fixed(w, Rotation::cur());
            let [a0, a1] = [0, 1].map(|r| cells.query_advice(a, Rotation(r)));
            let b0 = cells.query_advice(b, Rotation::cur());
            let public = cells.query_instance(inputs, Rotation::prev());
            vec![
                ("step", s.clone() * (a0.clone() * a0 + w * b0.clone() - a1)),
                ("public", s * (b0 - public)),
            ]
        });
        if let Some((c, challenge)) = second {
            cs.enable_equality(c);
            cs.create_gate("sum", |cells| {
                let s = cells.query_selector(s);
                let [c0, c1] = [0, 1].map(|r| cells.query_advice(c, Rotation(r)));
                let a0 = cells.query_advice(a, Rotation::cur());
                let challenge = cells.query_challenge(challenge);
                vec![s * (c0 * challenge + a0 - c1)]
            });
            if let Some((d, challenges)) = third {
                cs.create_gate("mix", |cells| {
                    let s = cells.query_selector(s);
                    let [d_before, d0] = [-1, 0].map(|r| cells.query_advice(d, Rotation(r)));
                    let c0 = cells.query_advice(c, Rotation::cur());
                    let b0 = cells.query_advice(b, Rotation::cur());
                    let [x, y] = challenges.map(|c| cells.query_challenge(c));
                    vec![s * (d_before * x.clone() + c0 * x + b0 * y - d0)]
                });
            }
        }
        Config {
            a,
            b,
            w,
            ends,
            inputs,
            s,
            second,
            third,
        }
    }

    fn synthesize(&self, config: Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let _ = config.inputs;
        let (a, b) = (self.a(), self.b());
        // Row 0 is left free: the last gate looks one row back.
        let row = |i: usize| i + 1;
        let (first, last) = layouter.assign_region(
            || "recurrence",
            |mut region| {
                let mut cells = vec![];
                for (i, value) in a.iter().enumerate() {
                    let fault = if i == 4 { self.gate_fault } else { 0 };
                    let value = Value::known(*value + Fr::from(fault));
                    cells.push(region.assign_advice(config.a, row(i), value));
                }
                for (i, b) in b.iter().enumerate() {
                    config.s.enable(&mut region, row(i))?;
                    region.assign_fixed(config.w, row(i), signed(self.weights[i]));
                    if i == 7 {
                        // Reads an assigned cell back.
                        let value = cells[0].value().map(|v| **v);
                        let value = value.map(|v| v + Fr::from(self.copy_fault));
                        let copy = region.assign_advice(config.b, row(i), value);
                        region.constrain_equal(cells[0].cell(), copy.cell());
                    } else {
                        region.assign_advice(config.b, row(i), Value::known(*b));
                    }
                }
                Ok((cells[0].cell(), cells[ROWS].cell()))
            },
        )?;
        layouter.constrain_instance(first, config.ends, 0);
        layouter.constrain_instance(last, config.ends, 1);

        let Some((c, challenge)) = config.second else {
            return Ok(());
        };
        layouter.next_phase();
        let challenge = layouter.get_challenge(challenge);
        let mut sums = vec![Value::known(Fr::ZERO)];
        for a in &a[..ROWS] {
            sums.push(
                sums[sums.len() - 1]
                    .zip(challenge)
                    .map(|(sum, x)| sum * x + a),
            );
        }
        layouter.assign_region(
            || "sum",
            |mut region| {
                for (i, value) in sums.iter().enumerate() {
                    region.assign_advice(c, row(i), *value);
                }
                Ok(())
            },
        )?;

        let Some((d, challenges)) = config.third else {
            return Ok(());
        };
        layouter.next_phase();
        let [x, y] = challenges.map(|c| layouter.get_challenge(c));
        let mut mixed = vec![Value::known(Fr::ZERO)];
        for i in 0..ROWS {
            let before = mixed[mixed.len() - 1];
            let inputs = before.zip(sums[i]).zip(x.zip(y));
            mixed.push(inputs.map(|((d, c), (x, y))| d * x + c * x + b[i] * y));
        }
        layouter.assign_region(
            || "mix",
            |mut region| {
                for (i, value) in mixed.iter().enumerate() {
                    region.assign_advice(d, i, *value);
                }
                Ok(())
            },
        )
    }
}
