//! The gates on the rows of a witness, from the columns that provers take. Faster than `MockProver`: gate by gate over all
//! rows, in an expression's own order.

use ff::Field;
use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{ConstraintSystem, Expression},
    poly::Rotation,
};

use crate::circuit::configure;
use crate::layout::Layout;
use crate::profile::HashFixed;
use crate::witness::{Phases, Witness, field};

/// A planned circuit with the challenges of one proof.
pub(super) struct Gates<'a> {
    layout: &'a Layout,
    gates: Vec<(String, Expression<Fr>)>,
    /// Columns of halo2.
    fixed: Vec<Vec<Fr>>,
    challenges: [Fr; 6],
}

/// The same for all rows, or row by row.
enum Value {
    All(Fr),
    Rows(Vec<Fr>),
}

impl Value {
    fn map(self, f: impl Fn(Fr) -> Fr) -> Value {
        match self {
            Value::All(v) => Value::All(f(v)),
            Value::Rows(mut rows) => {
                rows.iter_mut().for_each(|v| *v = f(*v));
                Value::Rows(rows)
            }
        }
    }

    fn join(self, other: Value, f: impl Fn(Fr, Fr) -> Fr) -> Value {
        match (self, other) {
            (Value::All(a), b) => b.map(|b| f(a, b)),
            (a, Value::All(b)) => a.map(|a| f(a, b)),
            (Value::Rows(mut a), Value::Rows(b)) => {
                a.iter_mut().zip(b).for_each(|(a, b)| *a = f(*a, b));
                Value::Rows(a)
            }
        }
    }
}

/// The values of a column of halo2 that a rotation reads from the first row of each row of the circuit.
fn read(column: &[Fr], fold: usize, rows: usize, rotation: Rotation) -> Value {
    let at = |row: usize| column.get(row * fold + rotation.0 as usize);
    Value::Rows(
        (0..rows)
            .map(|r| at(r).copied().unwrap_or(Fr::ZERO))
            .collect(),
    )
}

impl<'a> Gates<'a> {
    pub(super) fn new(layout: &'a Layout, challenges: [Fr; 6]) -> Self {
        let p = &layout.profile;
        let mut cs = ConstraintSystem::default();
        configure(&mut cs, p);
        let gates = cs.gates().iter().flat_map(|gate| {
            let polynomials = gate.polynomials().iter().enumerate();
            polynomials.map(|(i, p)| (format!("{} {i}", gate.name()), p.clone()))
        });
        let dense = |column: &Vec<i64>| column.iter().map(|v| field(*v)).collect();
        let mut fixed: Vec<Vec<Fr>> = layout.fixed.iter().map(dense).collect();
        if p.hash {
            fixed[p.hash_fixed(HashFixed::Constant)] = layout.hash.constants.clone();
        }
        let mut fixed = p.fold_columns(fixed, Fr::ZERO);
        if p.base().is_some() {
            fixed.push(vec![Fr::ONE; (layout.last_row() + 1) * p.fold]);
        }
        Gates {
            layout,
            gates: gates.collect(),
            fixed,
            challenges,
        }
    }

    /// Names of the gates that fail somewhere.
    pub(super) fn broken(&self, witness: &Witness) -> Vec<String> {
        let mut phases = Phases::new(self.layout, witness);
        let advice: Vec<Vec<Fr>> = [0, 4, 6]
            .into_iter()
            .enumerate()
            .flat_map(|(phase, drawn)| {
                let columns = phases.next(phase, &self.challenges[..drawn]);
                columns.expect("phases come in order")
            })
            .map(|column| column.into_dense())
            .collect();
        let instance = witness.scalars(&self.layout.profile);
        let fails = |gate: &Expression<Fr>| match self.value(gate, &advice, &instance) {
            Value::All(v) => v != Fr::ZERO,
            Value::Rows(rows) => rows.iter().any(|v| *v != Fr::ZERO),
        };
        let broken = self.gates.iter().filter(|(_, gate)| fails(gate));
        broken.map(|(name, _)| name.clone()).collect()
    }

    fn value(&self, gate: &Expression<Fr>, advice: &[Vec<Fr>], instance: &[Vec<Fr>]) -> Value {
        let (fold, rows) = (self.layout.profile.fold, self.layout.last_row() + 1);
        gate.evaluate(
            &Value::All,
            &|_| unreachable!("no selectors"),
            &|q| read(&self.fixed[q.column_index()], fold, rows, q.rotation()),
            &|q| read(&advice[q.column_index()], fold, rows, q.rotation()),
            &|q| read(&instance[q.column_index()], fold, rows, q.rotation()),
            &|c| Value::All(self.challenges[c.index()]),
            &|a| a.map(|a| -a),
            &|a, b| a.join(b, |a, b| a + b),
            &|a, b| a.join(b, |a, b| a * b),
            &|a, s| a.map(|a| a * s),
        )
    }
}
