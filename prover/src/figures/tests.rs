use std::{sync::Arc, time::Duration};

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;
use crate::{
    ProveError, ProvingKey, Srs,
    fast::{ColumnWitness, Prover, Values},
    gpu::{device::Device, tests::devices},
    keygen, prove, verify,
};
use halo2_proofs::{halo2curves::bn256::Fr, plonk::Circuit};

const K: u32 = 7;

struct Columns(Vec<Values>);

impl ColumnWitness for Columns {
    fn phase(&mut self, _: usize, _: &[Fr]) -> Vec<Values> {
        std::mem::take(&mut self.0)
    }
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

/// This processor, and all devices that there are.
fn backends() -> impl Iterator<Item = Option<Arc<dyn Device>>> {
    std::iter::once(None).chain(devices().into_iter().map(Some))
}

fn setup() -> (Srs, ProvingKey, Synthetic) {
    let (srs, circuit) = (Srs::dev(K).unwrap(), Synthetic::new(K, 1));
    let without = circuit.without_witnesses();
    let pk = keygen(&srs, &without, &Synthetic::INSTANCE_ROWS).unwrap();
    (srs, pk, circuit)
}

#[test]
fn the_circuit_holds_and_every_column_is_constrained() {
    let (srs, pk, circuit) = setup();
    let instances = circuit.instances();
    let prover = Prover::new(&srs, &pk, 0).unwrap();
    let prove_with = |columns| prover.prove_columns(&mut Columns(columns), &instances, rng());
    let proof = prove_with(circuit.columns()).unwrap();
    verify(pk.vk(), &instances, &proof).unwrap();
    // By cells, as halo2 has it.
    assert_eq!(
        prove(&srs, &pk, &circuit, &instances, rng()).unwrap(),
        proof
    );
    assert_eq!(pk.vk().halo2().cs().degree(), 5);

    let row = 23;
    for column in 0..Synthetic::ADVICE {
        let mut columns = circuit.columns();
        match &mut columns[column] {
            Values::Small(values) => values[row] += 1,
            Values::Dense(values) => values[row] += Fr::one(),
        }
        let refused = prove_with(columns).unwrap_err();
        assert!(
            matches!(refused, ProveError::GateUnsatisfied { .. }),
            "column {column}: {refused}"
        );
    }
    let mut wrong = instances.clone();
    wrong[0][3] += Fr::one();
    let refused = prover.prove_columns(&mut Columns(circuit.columns()), &wrong, rng());
    assert!(matches!(refused, Err(ProveError::GateUnsatisfied { .. })));
}

#[test]
fn columns_have_the_widths_that_are_said() {
    let circuit = Synthetic::new(10, 3);
    let columns = circuit.columns();
    assert_eq!(columns.len(), Synthetic::ADVICE);
    let Values::Small(small) = &columns[Synthetic::SMALL] else {
        panic!("not small")
    };
    assert!(small.iter().all(|v| (-128..128).contains(v)));
    let distinct: std::collections::HashSet<_> = small.iter().collect();
    assert!(distinct.len() > 200, "{}", distinct.len());
    for (i, column) in columns.iter().enumerate() {
        assert_eq!(matches!(column, Values::Dense(_)), i >= Synthetic::DENSE);
        assert_eq!(column.len(), (1 << 10) - 16);
    }
    assert_ne!(Synthetic::new(10, 4).columns(), columns);
}

#[test]
fn operations_are_timed_on_every_backend() {
    let (srs, pk, circuit) = setup();
    let mut names = vec![];
    for device in backends() {
        let prover = Prover::prepare(&srs, &pk, 0, device).unwrap();
        let figures = operations(&prover, &circuit, 3).unwrap();
        assert!(
            figures
                .iter()
                .all(|f| f.median > Duration::ZERO && f.values >= 1 << K)
        );
        let own: Vec<&str> = figures.iter().map(|f| f.name).collect();
        assert_eq!(own.len(), 6);
        names.push(own);
    }
    assert!(names.len() > 1 && names.iter().all(|own| *own == names[0]));

    let prover = Prover::new(&srs, &pk, 0).unwrap();
    let other = operations(&prover, &Synthetic::new(K + 1, 1), 1);
    assert!(matches!(other, Err(ProveError::ForeignKey)));
}

#[test]
fn a_clocked_prover_gives_the_same_proofs() {
    let (srs, pk, circuit) = setup();
    let instances = circuit.instances();
    for device in backends() {
        let prove = |prover: &Prover<'_>| {
            let mut columns = Columns(circuit.columns());
            prover.prove_columns(&mut columns, &instances, rng())
        };
        let prover = Prover::prepare(&srs, &pk, 0, device).unwrap();
        let (processor, proof) = (prover.processor(), prove(&prover).unwrap());
        let (prover, clock) = prover.clocked();
        assert_eq!(clock.elapsed(), Duration::ZERO);
        let start = std::time::Instant::now();
        assert_eq!(prove(&prover).unwrap(), proof);
        assert!(clock.elapsed() > Duration::ZERO && clock.elapsed() <= start.elapsed());
        assert_eq!(prover.processor(), processor);
    }
}

#[test]
fn memory_is_told() {
    let bytes = |k, on_device| Synthetic::host_bytes(k, on_device).unwrap();
    assert!(bytes(20, true) < bytes(20, false));
    // All columns as elements, coefficients and on a coset are in it.
    assert!(bytes(20, false) > (1 << 20) * 32 * 60 * 2);
    assert!(bytes(24, false) > 15 * bytes(20, false));
    assert!(bytes(u32::MAX, false) > bytes(28, false));
}
