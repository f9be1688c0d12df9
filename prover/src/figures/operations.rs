//! Single operations of a backend, timed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::Synthetic;
use crate::{
    ProveError,
    backend::{Backend, Column, Division, Sum},
    constraints::plan::Source,
    fast::{Prover, Values, columns::Columns, describe::placeholder_plan},
    gpu::GpuError,
};

/// How long an operation took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was done.
    pub name: &'static str,
    /// How many values it was done to.
    pub values: u64,
    /// The median of the runs.
    pub median: Duration,
}

/// Times what a prover's backend does for proofs of a [`Synthetic`] circuit: the median of `runs` runs, at least one,
/// after one that does not count. Columns and polynomials are where the backend keeps them, which on a device is its
/// memory; results are waited for.
///
/// # Errors
/// [`ProveError::ForeignKey`] where the key is another circuit's, and those of a device.
pub fn operations(
    prover: &Prover<'_>,
    circuit: &Synthetic,
    runs: usize,
) -> Result<Vec<Operation>, ProveError> {
    let (vk, backend) = (prover.pk().vk(), prover.backend());
    let cs = vk.halo2().cs();
    if vk.k() != circuit.k() || cs.num_advice_columns() != Synthetic::ADVICE {
        return Err(ProveError::ForeignKey);
    }
    let n = 1usize << circuit.k();
    let columns = columns(prover, circuit, n);
    let (small, dense) = (
        &columns.advice[Synthetic::SMALL],
        &columns.advice[Synthetic::DENSE],
    );
    let sum = Sum {
        members: vec![(dense, Fr::from(3))],
        constant: Fr::ZERO,
    };
    // No root of unity: those are of order 2^28.
    let x = Fr::from(5);
    let polynomial = backend.combine(&sum, &[])?;
    let division = [Division {
        low: backend.evaluate_polynomials(&[&polynomial], x)?,
        polynomial: &polynomial,
        points: vec![x],
    }];
    let queries: Vec<(&Column<'_>, i32)> = columns.advice.iter().map(|c| (c, 0)).collect();
    let (plan, combinations) = placeholder_plan(cs);
    let sources = plan.sources().into_iter().filter(|s| *s != Source::X);
    let sums: HashMap<Source, Sum<'_>> = sources
        .map(|source| (source, columns.sum(source, &combinations)))
        .collect();

    let all = n * Synthetic::ADVICE;
    let mut timed = Timed {
        backend,
        runs,
        operations: vec![],
    };
    timed.run("MSM, dense scalars", n, || backend.commit(&[dense]))?;
    timed.run("MSM, 8-bit scalars", n, || backend.commit(&[small]))?;
    timed.run("sum of one column, inverse NTT", n, || {
        backend.combine(&sum, &[])
    })?;
    timed.run("quotient of 60 columns, with NTTs", all, || {
        backend.quotient(&plan, &sums)
    })?;
    timed.run("evaluation of 60 columns", all, || {
        backend.evaluate(&queries, x)
    })?;
    timed.run("division by X - z", n, || backend.divide(&division))?;
    Ok(timed.operations)
}

fn columns<'a>(prover: &'a Prover<'_>, circuit: &Synthetic, n: usize) -> Columns<'a> {
    let advice = circuit.columns().into_iter().map(|values| match values {
        Values::Small(head) => Column::small(head, vec![]),
        dense @ Values::Dense(_) => Column::dense(dense.into_dense(n)),
    });
    let instance = circuit.instances().into_iter().map(|mut values| {
        values.resize(n, Fr::ZERO);
        Column::detect(values, 0)
    });
    Columns {
        n,
        advice: advice.collect(),
        fixed: prover.fixed(),
        instance: instance.collect(),
        products: vec![],
        sigma: vec![],
        indicators: None,
    }
}

struct Timed<'a> {
    backend: &'a dyn Backend,
    runs: usize,
    operations: Vec<Operation>,
}

impl Timed<'_> {
    fn run<T>(
        &mut self,
        name: &'static str,
        values: usize,
        operation: impl Fn() -> Result<T, GpuError>,
    ) -> Result<(), ProveError> {
        let once = || -> Result<Duration, GpuError> {
            let start = Instant::now();
            let result = operation()?;
            self.backend.wait()?;
            let took = start.elapsed();
            drop(result);
            Ok(took)
        };
        once()?;
        let times = (0..self.runs.max(1)).map(|_| once());
        let mut times: Vec<Duration> = times.collect::<Result<_, _>>()?;
        times.sort();
        self.operations.push(Operation {
            name,
            values: values as u64,
            median: times[times.len() / 2],
        });
        Ok(())
    }
}
