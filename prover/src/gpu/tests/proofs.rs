//! Whole proofs on a device: the same bytes as the plain prover's.

use std::sync::Arc;

use halo2_proofs::halo2curves::bn256::Fr;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::{devices, random::Random};
use crate::{
    ProveError, ProveOptions, ProvingKey, Srs,
    constraints::plan::Source,
    fast::{Prover, describe::placeholder_plan},
    gpu::{
        GpuError, Need,
        device::{Device, emulated::Emulated},
    },
    keygen, prove,
    toy::{INSTANCE_ROWS, Toy},
    verify,
};

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn setup(k: u32, phases: usize) -> (Srs, ProvingKey, Toy) {
    let srs = Srs::dev(k).unwrap();
    let toy = Toy::new(phases);
    let pk = keygen(&srs, &toy, &INSTANCE_ROWS).unwrap();
    (srs, pk, toy)
}

fn need(pk: &ProvingKey, prover: &Prover<'_>) -> Need {
    let cs = pk.vk().halo2().cs();
    let (plan, _) = placeholder_plan(cs);
    assert!(plan.sources().iter().any(|s| matches!(s, Source::Fixed(_))));
    Need::new(pk.vk().k(), cs, &plan, prover.fixed())
}

fn proof(prover: &Prover<'_>, toy: &Toy, instances: &[Vec<Fr>]) -> Result<Vec<u8>, ProveError> {
    prover.prove(ProveOptions::default(), toy, instances, rng())
}

#[test]
fn proofs_are_the_plain_provers_byte_for_byte() {
    for device in devices() {
        for (k, phases) in [(5, 1), (5, 2), (5, 3), (10, 3)] {
            let (srs, pk, toy) = setup(k, phases);
            let instances = toy.instances();
            let plain = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
            let prover = Prover::prepare(&srs, &pk, 0, Some(device.clone())).unwrap();
            assert_eq!(prover.processor(), device.name());
            for _ in 0..2 {
                let proof = proof(&prover, &toy, &instances).unwrap();
                assert_eq!(proof, plain, "k = {k}, {phases} phases, {device:?}");
            }
            verify(pk.vk(), &instances, &plain).unwrap();
        }
    }
}

#[test]
fn random_circuits_give_the_plain_provers_bytes() {
    for device in devices() {
        for seed in 0..6u64 {
            let k = 6 + seed as u32 % 2;
            let srs = Srs::dev(k).unwrap();
            let circuit = Random {
                seed,
                phases: 1 + seed as usize % 3,
            };
            let pk = keygen(&srs, &circuit, &Random::INSTANCE_ROWS).unwrap();
            let instances = circuit.instances();
            let plain = prove(&srs, &pk, &circuit, &instances, rng()).unwrap();
            let prover = Prover::prepare(&srs, &pk, 0, Some(device.clone())).unwrap();
            let options = ProveOptions::default();
            let proof = prover.prove(options, &circuit, &instances, rng()).unwrap();
            assert_eq!(proof, plain, "seed {seed}, {device:?}");
        }
    }
}

#[test]
fn memory_stays_within_what_was_planned() {
    for (k, phases) in [(5, 3), (8, 2), (11, 1)] {
        let (srs, pk, toy) = setup(k, phases);
        let instances = toy.instances();
        let cpu = Prover::new(&srs, &pk, 0).unwrap();
        let Need { key, proof: beside } = need(&pk, &cpu);

        // Exactly enough: nothing is kept for reuse, and proofs are made.
        let emulated = Emulated::new(key + beside);
        let device: Arc<dyn Device> = emulated.clone();
        let prover = Prover::prepare(&srs, &pk, 0, Some(device.clone())).unwrap();
        let expected = proof(&cpu, &toy, &instances).unwrap();
        for _ in 0..2 {
            assert_eq!(proof(&prover, &toy, &instances).unwrap(), expected);
        }
        let (peak, used) = (emulated.peak(), key + beside);
        assert!(peak <= used, "k = {k}: {peak} of {used} bytes");
        eprintln!("k = {k}: {peak} bytes of {used} planned");
        drop(prover);
        assert_eq!(emulated.allocated(), 0, "k = {k}");

        // A byte too few: said before any work.
        let small: Arc<dyn Device> = Emulated::new(key + beside - 1);
        let refused = Prover::prepare(&srs, &pk, 0, Some(small)).unwrap_err();
        let ProveError::Gpu(GpuError::Memory {
            k: named,
            needed,
            free,
            ..
        }) = refused
        else {
            panic!("{refused}");
        };
        assert_eq!((named, needed, free), (k, key + beside, key + beside - 1));
    }
}

#[test]
fn faults_are_named_as_on_the_processor() {
    let (srs, pk, toy) = setup(5, 2);
    let device: Arc<dyn Device> = Emulated::new(1 << 30);
    let prover = Prover::prepare(&srs, &pk, 0, Some(device)).unwrap();
    let wrong = Toy {
        gate_fault: 1,
        ..toy.clone()
    };
    let refused = proof(&prover, &wrong, &wrong.instances()).unwrap_err();
    assert!(
        matches!(refused, ProveError::GateUnsatisfied { .. }),
        "{refused}"
    );
    let wrong = Toy {
        copy_fault: 1,
        ..toy
    };
    let refused = proof(&prover, &wrong, &wrong.instances()).unwrap_err();
    assert!(
        matches!(refused, ProveError::CopyUnsatisfied { .. }),
        "{refused}"
    );
}

#[test]
fn memory_that_runs_out_is_an_error() {
    let (srs, pk, toy) = setup(5, 1);
    let emulated = Emulated::new(1 << 30);
    let device: Arc<dyn Device> = emulated.clone();
    let prover = Prover::prepare(&srs, &pk, 0, Some(device)).unwrap();
    emulated.take_away(1 << 30);
    let refused = proof(&prover, &toy, &toy.instances()).unwrap_err();
    assert!(
        matches!(refused, ProveError::Gpu(GpuError::OutOfMemory { .. })),
        "{refused}"
    );
}

#[test]
fn damage_never_gives_a_proof() {
    let (srs, pk, toy) = setup(5, 1);
    let instances = toy.instances();
    let emulated = Emulated::new(1 << 30);
    let device: Arc<dyn Device> = emulated.clone();
    let prover = Prover::prepare(&srs, &pk, 0, Some(device)).unwrap();
    const MANY: u64 = 1 << 40;
    emulated.damage(MANY);
    let honest = proof(&prover, &toy, &instances).unwrap();
    let downloads = MANY - emulated.damage(u64::MAX);
    assert!(downloads > 5, "{downloads}");
    for after in 0..downloads {
        emulated.damage(after);
        let refused = match proof(&prover, &toy, &instances) {
            // The coordinate of an identity.
            Ok(proof) => {
                assert_eq!(proof, honest, "download {after}");
                continue;
            }
            Err(why) => why,
        };
        let told = matches!(
            refused,
            ProveError::Gpu(GpuError::OffCurve { .. })
                | ProveError::Rejected { .. }
                | ProveError::Inconsistent
                | ProveError::CopyUnsatisfied { .. }
        );
        assert!(told, "download {after}: {refused}");
    }
    assert_eq!(proof(&prover, &toy, &instances).unwrap(), honest);
}
