//! Blinding: what a proof's columns hold in the rows past the circuit's, which no verifier sees and no equation needs.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use ff::PrimeField;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1},
    plonk::{Circuit, ConstraintSystem},
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::{ColumnWitness, Prover, Values};
use crate::{
    ProveOptions, ProvingKey, Srs,
    backend::{Backend, Column, Division, Polynomial, Sum},
    constraints::plan::{Plan, Source},
    figures::Synthetic,
    gpu::GpuError,
    keygen,
    keys::{Slot, proof_slots, usable_rows},
    plain::permutation::Factor,
    prove,
    toy::{INSTANCE_ROWS, Toy},
    verify,
};

/// Another backend, and what it was given to commit to.
#[derive(Debug)]
struct Recorded {
    backend: Box<dyn Backend>,
    n: usize,
    seen: Arc<Mutex<Seen>>,
}

/// Columns by their values, polynomials that came as coefficients.
#[derive(Debug, Default)]
struct Seen {
    columns: Vec<Vec<Fr>>,
    polynomials: Vec<Vec<Fr>>,
}

impl Backend for Recorded {
    fn name(&self) -> String {
        self.backend.name()
    }
    fn polynomial(&self, coefficients: Vec<Fr>) -> Result<Polynomial, GpuError> {
        let seen = &mut self.seen.lock().unwrap().polynomials;
        seen.push(coefficients.clone());
        self.backend.polynomial(coefficients)
    }
    fn commit(&self, columns: &[&Column<'_>]) -> Result<Vec<G1>, GpuError> {
        let seen = &mut self.seen.lock().unwrap().columns;
        seen.extend(columns.iter().map(|column| column.expand(self.n)));
        self.backend.commit(columns)
    }
    fn commit_polynomials(&self, polynomials: &[&Polynomial]) -> Result<Vec<G1>, GpuError> {
        self.backend.commit_polynomials(polynomials)
    }
    fn combine(
        &self,
        sum: &Sum<'_>,
        polynomials: &[(&Polynomial, Fr)],
    ) -> Result<Polynomial, GpuError> {
        self.backend.combine(sum, polynomials)
    }
    fn divide(&self, divisions: &[Division<'_>]) -> Result<Vec<Polynomial>, GpuError> {
        self.backend.divide(divisions)
    }
    fn evaluate(&self, queries: &[(&Column<'_>, i32)], x: Fr) -> Result<Vec<Fr>, GpuError> {
        self.backend.evaluate(queries, x)
    }
    fn evaluate_polynomials(
        &self,
        polynomials: &[&Polynomial],
        x: Fr,
    ) -> Result<Vec<Fr>, GpuError> {
        self.backend.evaluate_polynomials(polynomials, x)
    }
    fn running_product(
        &self,
        factors: &[Factor<'_>],
        first: Fr,
        rows: usize,
    ) -> Result<Vec<Fr>, GpuError> {
        self.backend.running_product(factors, first, rows)
    }
    fn quotient(
        &self,
        plan: &Plan,
        sums: &HashMap<Source, Sum<'_>>,
    ) -> Result<Vec<Polynomial>, GpuError> {
        self.backend.quotient(plan, sums)
    }
}

/// Two proofs of one witness, with what was committed to for each.
fn two_proofs(
    srs: &Srs,
    pk: &ProvingKey,
    prove: &dyn Fn(&Prover<'_>, ChaCha20Rng) -> Vec<u8>,
) -> [(Vec<u8>, Seen); 2] {
    [1, 2].map(|seed| {
        let mut prover = Prover::new(srs, pk, 0).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        prover.backend = Box::new(Recorded {
            backend: prover.backend,
            n: 1 << pk.vk().k(),
            seen: seen.clone(),
        });
        let proof = prove(&prover, ChaCha20Rng::seed_from_u64(seed));
        drop(prover);
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        (proof, seen)
    })
}

/// The most openings of one advice column.
fn openings(cs: &ConstraintSystem<Fr>) -> usize {
    let of = |column| {
        let queries = cs.advice_queries().iter();
        queries.filter(|(c, _)| c.index() == column).count()
    };
    (0..cs.num_advice_columns()).map(of).max().unwrap_or(0)
}

/// As good as drawn from the whole field: neither small nor the negative of something small.
fn is_wide(v: &Fr) -> bool {
    [*v, -v]
        .iter()
        .all(|v| v.to_repr()[16..].iter().any(|byte| *byte != 0))
}

/// Every column that was committed to ends in random elements of its own, more than it has openings.
fn all_are_blinded(pk: &ProvingKey, proofs: &[(Vec<u8>, Seen); 2]) {
    let cs = pk.vk().halo2().cs();
    let n = 1usize << pk.vk().k();
    let mut tail = n - usable_rows(cs, pk.vk().k());
    assert!(tail > openings(cs).max(3) + 2, "{tail} rows");
    // The first of them ends the usable rows: a permutation's product has its total there.
    tail -= 1;
    let mut drawn = HashSet::new();
    for (proof, seen) in proofs {
        assert!(seen.columns.len() >= cs.num_advice_columns());
        for (i, column) in seen.columns.iter().enumerate() {
            for v in &column[n - tail..] {
                assert!(
                    is_wide(v) && drawn.insert(*v),
                    "column {i} of {} bytes",
                    proof.len()
                );
            }
        }
        // The random polynomial hides the sum of all others.
        let [random] = &seen.polynomials[..] else {
            panic!("one polynomial is drawn")
        };
        assert_eq!(random.len(), n);
        assert!(random.iter().all(|v| is_wide(v) && drawn.insert(*v)));
    }
    // Of one witness, and yet no point is in both proofs, and no value but those of the key.
    let [(one, _), (other, _)] = proofs;
    let mut at = 0;
    for (i, slot) in proof_slots(cs).enumerate() {
        let range = at..at + slot.bytes();
        at = range.end;
        if slot == Slot::Point {
            assert_ne!(one[range.clone()], other[range], "point {i}");
        }
    }
}

/// A witness in whole columns.
struct Whole(Vec<Values>);

impl ColumnWitness for Whole {
    fn phase(&mut self, _: usize, _: &[Fr]) -> Vec<Values> {
        self.0.clone()
    }
}

#[test]
fn every_column_is_blinded() {
    for phases in 1..=3 {
        let srs = Srs::dev(6).unwrap();
        let toy = Toy::new(phases);
        let pk = keygen(&srs, &toy, &INSTANCE_ROWS).unwrap();
        let instances = toy.instances();
        let proofs = two_proofs(&srs, &pk, &|prover, rng| {
            let options = ProveOptions::default();
            prover.prove(options, &toy, &instances, rng).unwrap()
        });
        all_are_blinded(&pk, &proofs);
        for (seed, (proof, _)) in (1..).zip(&proofs) {
            verify(pk.vk(), &instances, proof).unwrap();
            let rng = ChaCha20Rng::seed_from_u64(seed);
            assert_eq!(prove(&srs, &pk, &toy, &instances, rng).unwrap(), *proof);
        }
    }
}

#[test]
fn every_whole_column_is_blinded() {
    let srs = Srs::dev(7).unwrap();
    let circuit = Synthetic::new(7, 1);
    let rows = Synthetic::INSTANCE_ROWS;
    let pk = keygen(&srs, &circuit.without_witnesses(), &rows).unwrap();
    let instances = circuit.instances();
    let n = 1 << 7;
    // Narrow and wide ones, full and empty ones.
    let columns = circuit.columns();
    assert!(columns.iter().any(|c| matches!(c, Values::Small(_))));
    assert!(columns.iter().any(|c| matches!(c, Values::Dense(_))));
    let proofs = two_proofs(&srs, &pk, &|prover, rng| {
        let mut witness = Whole(columns.clone());
        prover.prove_columns(&mut witness, &instances, rng).unwrap()
    });
    all_are_blinded(&pk, &proofs);
    for (proof, seen) in &proofs {
        verify(pk.vk(), &instances, proof).unwrap();
        let usable = usable_rows(pk.vk().halo2().cs(), 7);
        for (column, values) in seen.columns.iter().zip(&columns) {
            let mut expected = values.clone().into_dense(n);
            expected.truncate(usable);
            assert_eq!(column[..usable], expected, "what was given stands in front");
        }
    }
}
