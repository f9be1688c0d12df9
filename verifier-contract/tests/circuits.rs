//! Small circuits that between them use what profiles may use.

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
use tensorseal_circuits::{
    circuit::{Columns, configure},
    profile::{HashFixed, Profile, fixed},
};

/// Shape of the constraint system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Phases, 1 to 3.
    pub(crate) phases: usize,
    /// Lanes folded by a challenge in each later phase.
    pub(crate) lanes: usize,
    /// Whether there is an instance.
    pub(crate) public: bool,
}

impl Shape {
    pub(crate) fn name(&self) -> String {
        let public = if self.public { "public" } else { "private" };
        format!("test_p{}l{}_{public}", self.phases, self.lanes)
    }
}

/// The shapes whose contracts stand under `tests/contracts`.
pub(crate) const SHAPES: [Shape; 4] = [
    Shape {
        phases: 1,
        lanes: 1,
        public: false,
    },
    Shape {
        phases: 1,
        lanes: 2,
        public: true,
    },
    Shape {
        phases: 2,
        lanes: 3,
        public: true,
    },
    Shape {
        phases: 3,
        lanes: 12,
        public: true,
    },
];

/// `a' = a² + b` from row to row, lanes that follow `a`, and each later phase a Horner sum of the lanes.
#[derive(Clone, Debug)]
pub(crate) struct TestCircuit {
    pub(crate) shape: Shape,
    pub(crate) start: u64,
    pub(crate) steps: usize,
    pub(crate) public_rows: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct TestConfig {
    a: Column<Advice>,
    b: Column<Advice>,
    lanes: Vec<Column<Advice>>,
    folds: Vec<(Column<Advice>, Challenge)>,
    step: Column<Fixed>,
    open: Column<Fixed>,
    next: Column<Fixed>,
    weight: Column<Fixed>,
    instance: Option<[Column<Instance>; 2]>,
}

impl TestCircuit {
    fn b(&self, row: usize) -> Fr {
        Fr::from(row as u64 + 1)
    }

    fn a(&self) -> Vec<Fr> {
        let mut a = vec![Fr::from(self.start)];
        for row in 0..self.steps {
            a.push(a[row].square() + self.b(row));
        }
        a
    }

    fn lane(&self, a: Fr, lane: usize) -> Fr {
        a + Fr::from(lane as u64)
    }

    /// The public values, by column.
    pub(crate) fn instances(&self) -> Vec<Vec<Fr>> {
        if !self.shape.public {
            return vec![];
        }
        let a = self.a()[..self.public_rows].to_vec();
        vec![a, (0..self.public_rows).map(|row| self.b(row)).collect()]
    }
}

impl Circuit<Fr> for TestCircuit {
    type Config = TestConfig;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = Shape;

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn params(&self) -> Shape {
        self.shape
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> TestConfig {
        unreachable!("the shape is given")
    }

    fn configure_with_params(cs: &mut ConstraintSystem<Fr>, shape: Shape) -> TestConfig {
        let (a, b) = (cs.advice_column(), cs.advice_column());
        let lanes: Vec<_> = (0..shape.lanes).map(|_| cs.advice_column()).collect();
        let mut folds = Vec::new();
        if shape.phases > 1 {
            let challenge = cs.challenge_usable_after(FirstPhase);
            folds.push((cs.advice_column_in(SecondPhase), challenge));
        }
        if shape.phases > 2 {
            let challenge = cs.challenge_usable_after(SecondPhase);
            folds.push((cs.advice_column_in(ThirdPhase), challenge));
        }
        let [step, open, next, weight] = [(); 4].map(|()| cs.fixed_column());
        let instance = shape.public.then(|| [(); 2].map(|()| cs.instance_column()));
        let (cur, on, back) = (Rotation::cur(), Rotation::next(), Rotation::prev());
        cs.create_gate("square", |v| {
            let q = v.query_fixed(step, cur);
            let (a0, a1, b0) = (
                v.query_advice(a, cur),
                v.query_advice(a, on),
                v.query_advice(b, cur),
            );
            vec![q * (a0.clone() * a0 + b0 - a1)]
        });
        cs.create_gate("square, read from the next row", |v| {
            let q = v.query_fixed(step, back);
            let (a0, a1, b0) = (
                v.query_advice(a, back),
                v.query_advice(a, cur),
                v.query_advice(b, back),
            );
            vec![q * (a1 - b0 - a0.clone() * a0)]
        });
        cs.create_gate("lanes", |v| {
            let q = v.query_fixed(step, cur);
            let a0 = v.query_advice(a, cur);
            let of = |l: usize| Expression::Constant(Fr::from(l as u64));
            let lane = |(l, c): (usize, &Column<Advice>)| {
                (v.query_advice(*c, cur) - a0.clone() - of(l)) * q.clone()
            };
            lanes.iter().enumerate().map(lane).collect::<Vec<_>>()
        });
        for (column, challenge) in &folds {
            cs.create_gate("fold", |v| {
                let x = v.query_challenge(*challenge);
                let (q, w) = (v.query_fixed(step, cur), v.query_fixed(weight, cur));
                let all: Vec<_> = lanes.iter().map(|c| v.query_advice(*c, cur)).collect();
                let sum = all.into_iter().reduce(|s, l| s * x.clone() + l * w.clone());
                vec![q * (v.query_advice(*column, cur) - sum.expect("a lane"))]
            });
        }
        if let Some(instance) = instance {
            cs.create_gate("public", |v| {
                let (q, p) = (v.query_fixed(open, cur), v.query_fixed(next, cur));
                let (a0, a1, b0) = (
                    v.query_advice(a, cur),
                    v.query_advice(a, on),
                    v.query_advice(b, cur),
                );
                let (i0, i1) = (
                    v.query_instance(instance[0], cur),
                    v.query_instance(instance[1], cur),
                );
                vec![
                    q.clone() * (a0 - i0),
                    q * (b0 - i1),
                    p * (a1 - v.query_instance(instance[0], on)),
                ]
            });
        }
        TestConfig {
            a,
            b,
            lanes,
            folds,
            step,
            open,
            next,
            weight,
            instance,
        }
    }

    fn synthesize(&self, config: TestConfig, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        let a = self.a();
        let weight = |row: usize| Fr::from(3 * row as u64 + 5);
        layouter.assign_region(
            || "first phase",
            |mut region| {
                for (row, value) in a.iter().enumerate() {
                    region.assign_advice(config.a, row, Value::known(*value));
                    region.assign_advice(config.b, row, Value::known(self.b(row)));
                    for (l, lane) in config.lanes.iter().enumerate() {
                        region.assign_advice(*lane, row, Value::known(self.lane(*value, l)));
                    }
                    region.assign_fixed(config.weight, row, weight(row));
                    if row < self.steps {
                        region.assign_fixed(config.step, row, Fr::ONE);
                    }
                    if config.instance.is_some() && row < self.public_rows {
                        region.assign_fixed(config.open, row, Fr::ONE);
                    }
                    if config.instance.is_some() && row + 1 < self.public_rows {
                        region.assign_fixed(config.next, row, Fr::ONE);
                    }
                }
                Ok(())
            },
        )?;
        for (column, challenge) in &config.folds {
            layouter.next_phase();
            let x = layouter.get_challenge(*challenge);
            layouter.assign_region(
                || "later phase",
                |mut region| {
                    for (row, value) in a.iter().enumerate().take(self.steps) {
                        let fold = x.map(|x| {
                            let lanes = (0..config.lanes.len()).map(|l| self.lane(*value, l));
                            lanes
                                .reduce(|s, l| s * x + l * weight(row))
                                .expect("a lane")
                        });
                        region.assign_advice(*column, row, fold);
                    }
                    Ok(())
                },
            )?;
        }
        Ok(())
    }
}

/// A real profile's constraint system, satisfied by an all-zero witness: weights without inputs.
///
/// Its contract is the one every model of the profile uses; its proof costs the same gas.
#[derive(Clone, Debug)]
pub(crate) struct Idle(pub(crate) Profile);

impl Circuit<Fr> for Idle {
    type Config = Columns;
    type FloorPlanner = SimpleFloorPlanner;
    type Params = Profile;

    fn without_witnesses(&self) -> Self {
        self.clone()
    }

    fn params(&self) -> Profile {
        self.0
    }

    fn configure(_: &mut ConstraintSystem<Fr>) -> Columns {
        unreachable!("the profile is given")
    }

    fn configure_with_params(cs: &mut ConstraintSystem<Fr>, profile: Profile) -> Columns {
        configure(cs, &profile)
    }

    fn synthesize(&self, columns: Columns, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        layouter.assign_region(
            || "rows that compute nothing",
            |mut region| {
                let p = self.0;
                for row in 0..8 {
                    let mut put = |i: usize, value: usize| {
                        let place = p.fixed_place(i);
                        let column = columns.fixed[place.column];
                        region.assign_fixed(
                            column,
                            row * p.fold + place.slot,
                            Fr::from(value as u64),
                        );
                    };
                    put(fixed::ACTIVE, 1);
                    for i in fixed::LANE0..p.hash_fixed(HashFixed::Op) {
                        put(i, 7 * (i - fixed::LANE0) + row + 1);
                    }
                    if let Some(base) = p.base() {
                        region.assign_fixed(columns.fixed[base], row * p.fold, Fr::ONE);
                    }
                }
                Ok(())
            },
        )
    }
}
