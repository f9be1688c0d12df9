//! How much of a proof's time its backend takes.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use halo2_proofs::halo2curves::bn256::{Fr, G1};
use tracing::debug_span;

use super::Prover;
use crate::{
    backend::{Backend, Column, Division, Polynomial, Sum},
    constraints::plan::{Plan, Source},
    gpu::GpuError,
    plain::permutation::Factor,
};

/// The time that a prover's backend has taken so far.
#[derive(Clone, Debug, Default)]
pub struct BackendClock(Arc<AtomicU64>);

impl BackendClock {
    /// In all calls together.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn time<T>(&self, call: impl FnOnce() -> Result<T, GpuError>) -> Result<T, GpuError> {
        let start = Instant::now();
        let result = call();
        self.0
            .fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        result
    }
}

impl Prover<'_> {
    /// A prover for measurements: its backend's time is counted, and after each of its calls the backend is waited
    /// for, so that what a device still computes is not taken for the next stage's.
    #[must_use]
    pub fn clocked(mut self) -> (Self, BackendClock) {
        let clock = BackendClock::default();
        self.backend = Box::new(Clocked {
            backend: self.backend,
            clock: clock.clone(),
        });
        (self, clock)
    }
}

/// Another backend, with a clock.
#[derive(Debug)]
struct Clocked {
    backend: Box<dyn Backend>,
    clock: BackendClock,
}

impl Clocked {
    fn call<T>(
        &self,
        call: impl FnOnce(&dyn Backend) -> Result<T, GpuError>,
    ) -> Result<T, GpuError> {
        self.clock.time(|| {
            let result = call(&*self.backend)?;
            self.backend.wait()?;
            Ok(result)
        })
    }
}

impl Backend for Clocked {
    fn name(&self) -> String {
        self.backend.name()
    }

    fn wait(&self) -> Result<(), GpuError> {
        self.backend.wait()
    }

    fn polynomial(&self, coefficients: Vec<Fr>) -> Result<Polynomial, GpuError> {
        self.call(|backend| backend.polynomial(coefficients))
    }

    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError> {
        self.call(|backend| backend.commit(columns))
    }

    fn commit_polynomials(&self, polynomials: &[&Polynomial]) -> Result<Vec<G1>, GpuError> {
        self.call(|backend| backend.commit_polynomials(polynomials))
    }

    fn combine(
        &self,
        sum: &Sum<'_>,
        polynomials: &[(&Polynomial, Fr)],
    ) -> Result<Polynomial, GpuError> {
        self.call(|backend| backend.combine(sum, polynomials))
    }

    fn divide(&self, divisions: &[Division<'_>]) -> Result<Vec<Polynomial>, GpuError> {
        self.call(|backend| backend.divide(divisions))
    }

    fn evaluate(&self, queries: &[(&Column<'_>, i32)], x: Fr) -> Result<Vec<Fr>, GpuError> {
        self.call(|backend| backend.evaluate(queries, x))
    }

    fn evaluate_polynomials(
        &self,
        polynomials: &[&Polynomial],
        x: Fr,
    ) -> Result<Vec<Fr>, GpuError> {
        self.call(|backend| backend.evaluate_polynomials(polynomials, x))
    }

    fn running_product(
        &self,
        factors: &[Factor<'_>],
        first: Fr,
        rows: usize,
    ) -> Result<Vec<Fr>, GpuError> {
        self.call(|backend| backend.running_product(factors, first, rows))
    }

    /// The backend's own spans end before a device is done; the rest belongs to the quotient too.
    fn quotient(
        &self,
        plan: &Plan,
        sums: &HashMap<Source, Sum<'_>>,
    ) -> Result<Vec<Polynomial>, GpuError> {
        self.clock.time(|| {
            let pieces = self.backend.quotient(plan, sums)?;
            let _span = debug_span!("quotient").entered();
            self.backend.wait()?;
            Ok(pieces)
        })
    }
}
