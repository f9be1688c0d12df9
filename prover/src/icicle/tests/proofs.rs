//! Whole proofs with ICICLE: the same bytes as the plain prover's.

use halo2_proofs::halo2curves::bn256::Fr;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::{Imitation, devices};
use crate::{
    ProveError, ProveOptions, ProvingKey, Srs,
    fast::{Prover, describe::placeholder_plan},
    gpu::{GpuError, tests::random::Random},
    icicle::Need,
    keygen, prove,
    toy::{INSTANCE_ROWS, Toy},
    verify,
};

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

pub(super) fn setup(k: u32, phases: usize) -> (Srs, ProvingKey, Toy) {
    let srs = Srs::dev(k).unwrap();
    let toy = Toy::new(phases);
    let pk = keygen(&srs, &toy, &INSTANCE_ROWS).unwrap();
    (srs, pk, toy)
}

pub(super) fn proof(prover: &Prover<'_>, toy: &Toy) -> Result<Vec<u8>, ProveError> {
    prover.prove(ProveOptions::default(), toy, &toy.instances(), rng())
}

#[test]
fn proofs_are_the_plain_provers_byte_for_byte() {
    for device in devices() {
        // The domain grows from the one size to the other, and stays for the smaller ones after it.
        for (k, phases) in [(5, 1), (9, 3), (5, 2), (5, 3)] {
            let (srs, pk, toy) = setup(k, phases);
            let instances: Vec<Vec<Fr>> = toy.instances();
            let plain = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
            for memory in [0, 1 << 24] {
                let prover = Prover::prepare_icicle(&srs, &pk, memory, &device).unwrap();
                assert_eq!(prover.processor(), device.name());
                let proof = proof(&prover, &toy).unwrap();
                assert_eq!(proof, plain, "k = {k}, {phases} phases, {device:?}");
            }
            verify(pk.vk(), &instances, &plain).unwrap();
        }
    }
}

#[test]
fn random_circuits_give_the_plain_provers_bytes() {
    for device in devices() {
        for seed in 0..4u64 {
            let srs = Srs::dev(6).unwrap();
            let circuit = Random {
                seed,
                phases: 1 + seed as usize % 3,
            };
            let pk = keygen(&srs, &circuit, &Random::INSTANCE_ROWS).unwrap();
            let instances = circuit.instances();
            let plain = prove(&srs, &pk, &circuit, &instances, rng()).unwrap();
            let prover = Prover::prepare_icicle(&srs, &pk, 0, &device).unwrap();
            let options = ProveOptions::default();
            let proof = prover.prove(options, &circuit, &instances, rng()).unwrap();
            assert_eq!(proof, plain, "seed {seed}, {device:?}");
        }
    }
}

#[test]
fn threads_share_a_device() {
    let (srs, pk, toy) = setup(5, 2);
    let (larger_srs, larger, _) = setup(8, 2);
    for device in devices() {
        let prover = Prover::prepare_icicle(&srs, &pk, 0, &device).unwrap();
        let expected = proof(&prover, &toy).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| assert_eq!(proof(&prover, &toy).unwrap(), expected));
            }
            scope.spawn(|| {
                let prover = Prover::prepare_icicle(&larger_srs, &larger, 0, &device).unwrap();
                proof(&prover, &toy).unwrap();
            });
        });
    }
}

#[test]
fn faults_are_named_as_on_the_processor() {
    let (srs, pk, toy) = setup(5, 2);
    let device = Imitation::new().open();
    let prover = Prover::prepare_icicle(&srs, &pk, 0, &device).unwrap();
    let wrong = Toy {
        gate_fault: 1,
        ..toy.clone()
    };
    let refused = proof(&prover, &wrong).unwrap_err();
    assert!(
        matches!(refused, ProveError::GateUnsatisfied { .. }),
        "{refused}"
    );
    let wrong = Toy {
        copy_fault: 1,
        ..toy
    };
    let refused = proof(&prover, &wrong).unwrap_err();
    assert!(
        matches!(refused, ProveError::CopyUnsatisfied { .. }),
        "{refused}"
    );
}

#[test]
fn memory_stays_within_what_was_planned() {
    for (k, phases) in [(5, 3), (8, 2)] {
        let (srs, pk, toy) = setup(k, phases);
        let cs = pk.vk().halo2().cs();
        let Need { own, icicle, .. } = Need::new(k, cs.degree(), &placeholder_plan(cs).0);
        let imitation = Imitation::new();
        let device = imitation.open();
        imitation.memory((own + icicle) as usize - 1);
        let refused = Prover::prepare_icicle(&srs, &pk, 0, &device).unwrap_err();
        let ProveError::Gpu(GpuError::Memory { needed, free, .. }) = refused else {
            panic!("{refused}");
        };
        assert_eq!((needed, free), (own + icicle, own + icicle - 1));
        assert_eq!(imitation.count("peak"), 0);

        imitation.memory((own + icicle) as usize);
        for memory in [0, 1 << 24] {
            let prover = Prover::prepare_icicle(&srs, &pk, memory, &device).unwrap();
            // What ICICLE would take is taken away.
            imitation.memory(own as usize);
            proof(&prover, &toy).unwrap();
            imitation.memory((own + icicle) as usize);
            drop(prover);
            assert_eq!(imitation.count("allocated"), 0);
        }
        let peak = imitation.count("peak") as u64;
        assert!(own / 2 < peak && peak <= own, "{peak} of {own} bytes");
    }
}

#[test]
fn damage_never_gives_a_proof() {
    let (srs, pk, toy) = setup(5, 1);
    let imitation = Imitation::new();
    let prover = Prover::prepare_icicle(&srs, &pk, 0, &imitation.open()).unwrap();
    imitation.damage(None);
    let honest = proof(&prover, &toy).unwrap();
    let results = imitation.count("results");
    assert!(results > 5, "{results}");
    for after in 0..results {
        imitation.damage(Some(after));
        match proof(&prover, &toy) {
            // What no other result depends on.
            Ok(proof) => assert_eq!(proof, honest, "result {after}"),
            Err(
                ProveError::Gpu(GpuError::OffCurve { .. })
                | ProveError::Rejected { .. }
                | ProveError::Inconsistent
                | ProveError::CopyUnsatisfied { .. },
            ) => {}
            // A coefficient that became no element, where it is read again.
            Err(ProveError::Gpu(GpuError::Icicle { .. })) => {}
            Err(other) => panic!("result {after}: {other}"),
        }
    }
    imitation.damage(None);
    assert_eq!(proof(&prover, &toy).unwrap(), honest);
}
