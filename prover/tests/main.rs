//! Keys, proofs and verification from outside, against halo2's own.

#[path = "integration/hostile.rs"]
mod hostile;
#[path = "integration/odd.rs"]
mod odd;
#[path = "integration/random.rs"]
mod random;
#[path = "integration/toy.rs"]
mod toy;

use ff::Field;
use halo2_proofs::{
    halo2curves::bn256::{Bn256, Fr},
    plonk::{Circuit, create_proof, keygen_pk2, keygen_vk, verify_proof},
    poly::kzg::{
        commitment::KZGCommitmentScheme,
        multiopen::{ProverSHPLONK, VerifierSHPLONK},
        strategy::SingleStrategy,
    },
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use tensorseal_prover::{
    KeyError, KeygenError, ProveError, ProveOptions, ProvingKey, Srs, SynthesisError, VerifyError,
    VerifyingKey, fast,
    figures::Synthetic,
    keygen,
    keys::ShapeError,
    prove, prove_with, srs,
    transcript::{KeccakRead, KeccakWrite, POINT_BYTES, SCALAR_BYTES, TranscriptError},
    verify,
};

use odd::{Lookup, OldStyle, Steep, Wrapping};
use random::Random;
use toy::{INSTANCE_ROWS, ROWS, Toy};

const K: u32 = 5;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn setup(phases: usize) -> (Srs, ProvingKey, Toy) {
    let srs = Srs::dev(K).unwrap();
    let toy = Toy::new(phases);
    let pk = keygen(&srs, &toy, &INSTANCE_ROWS).unwrap();
    (srs, pk, toy)
}

/// halo2's own verifier with our transcript.
fn halo2_accepts<C: Circuit<Fr>>(
    srs: &Srs,
    circuit: &C,
    instances: &[Vec<Fr>],
    proof: &[u8],
) -> bool {
    let params = srs.params();
    let vk = keygen_vk(&params, circuit).unwrap();
    let columns: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
    let mut transcript = KeccakRead::new(proof);
    let result = verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<'_, Bn256>, _, _, _>(
        &params,
        &vk,
        SingleStrategy::new(&params),
        &[&columns],
        &mut transcript,
    );
    result.is_ok() && transcript.finish().is_ok()
}

#[test]
fn honest_proofs_are_accepted() {
    for phases in 1..=3 {
        let (srs, pk, toy) = setup(phases);
        let instances = toy.instances();
        let proof = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
        assert_eq!(proof.len(), pk.vk().proof_len());
        verify(pk.vk(), &instances, &proof).unwrap();
        assert!(
            halo2_accepts(&srs, &toy, &instances, &proof),
            "{phases} phases"
        );
        assert!(pk.vk().is_insecure());
    }
}

#[test]
fn the_fast_prover_gives_the_plain_provers_bytes() {
    for phases in 1..=3 {
        let (srs, pk, toy) = setup(phases);
        let instances = toy.instances();
        let plain = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
        // With and without anything kept between proofs.
        for memory in [0, 1 << 20] {
            let prover = fast::Prover::new(&srs, &pk, memory).unwrap();
            let options = ProveOptions::default();
            let proof = prover.prove(options, &toy, &instances, rng()).unwrap();
            assert_eq!(proof, plain, "{phases} phases");
        }
    }
}

/// snarkjs's own file, made by `fixtures/srs/make.sh`.
#[test]
fn proofs_under_an_imported_srs_are_accepted() {
    let file = include_bytes!("../../fixtures/srs/snarkjs_5.ptau");
    let imported = srs::import(file, Some(K), rng(), &mut |_| {}).unwrap().srs;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs.seal");
    imported.save(&path).unwrap();
    let srs = Srs::load_for(&path, K).unwrap();
    let toy = Toy::new(3);
    let instances = toy.instances();
    let pk = keygen(&srs, &toy, &INSTANCE_ROWS).unwrap();
    assert!(!pk.vk().is_insecure());
    let proof = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
    verify(pk.vk(), &instances, &proof).unwrap();
    assert!(halo2_accepts(&srs, &toy, &instances, &proof));
    let prover = fast::Prover::new(&imported, &pk, 0).unwrap();
    let options = ProveOptions::default();
    assert_eq!(
        prover.prove(options, &toy, &instances, rng()).unwrap(),
        proof
    );
    // Under the development SRS it is no proof, nor the other way round.
    let (_, dev_pk, _) = setup(3);
    assert_eq!(
        verify(dev_pk.vk(), &instances, &proof),
        Err(VerifyError::Rejected)
    );
}

/// Phases, rotations, copies, public values, narrow and wide columns, drawn from seeds: the fast prover gives the plain
/// one's bytes, halo2's own verifier accepts them, and where its prover works, that one's proof begins the same.
#[test]
fn random_circuits_are_proved_alike() {
    let srs = Srs::dev(6).unwrap();
    (0..12u64).into_par_iter().for_each(|seed| {
        let phases = 1 + seed as usize % 3;
        let circuit = Random { seed, phases };
        let pk = keygen(&srs, &circuit, &Random::INSTANCE_ROWS).unwrap();
        let instances = circuit.instances();
        let plain = prove(&srs, &pk, &circuit, &instances, rng()).unwrap();
        for memory in [0, 1 << 20] {
            let prover = fast::Prover::new(&srs, &pk, memory).unwrap();
            let options = ProveOptions::default();
            let fast = prover.prove(options, &circuit, &instances, rng()).unwrap();
            assert_eq!(fast, plain, "seed {seed}");
        }
        verify(pk.vk(), &instances, &plain).unwrap();
        assert!(
            halo2_accepts(&srs, &circuit, &instances, &plain),
            "seed {seed}"
        );
        if phases < 3 {
            let stock = stock_proof(&srs, &circuit, &instances);
            verify(pk.vk(), &instances, &stock).unwrap();
            let cs = pk.vk().halo2().cs();
            let copied = cs.permutation().get_columns().len();
            let products = copied.div_ceil(cs.degree() - 2);
            let common = POINT_BYTES * (cs.num_advice_columns() + products);
            assert_eq!(plain[..common], stock[..common], "seed {seed}");
        }
    });
}

/// The proof of halo2's own prover, with our transcript.
fn stock_proof<C: Circuit<Fr> + Clone>(srs: &Srs, circuit: &C, instances: &[Vec<Fr>]) -> Vec<u8> {
    let params = srs.params();
    let pk = keygen_pk2(&params, circuit, false).unwrap();
    let columns: Vec<&[Fr]> = instances.iter().map(Vec::as_slice).collect();
    let mut transcript = KeccakWrite::new();
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<'_, Bn256>, _, _, _, _>(
        &params,
        &pk,
        std::slice::from_ref(circuit),
        &[&columns],
        rng(),
        &mut transcript,
    )
    .unwrap();
    transcript.into_proof()
}

/// What provers are measured with is an ordinary circuit, which halo2 proves and verifies as well.
#[test]
fn the_synthetic_circuit_is_halo2s_too() {
    let (srs, circuit) = (Srs::dev(7).unwrap(), Synthetic::new(7, 1));
    let without = circuit.without_witnesses();
    let pk = keygen(&srs, &without, &Synthetic::INSTANCE_ROWS).unwrap();
    let instances = circuit.instances();
    let prover = fast::Prover::new(&srs, &pk, 0).unwrap();
    let options = ProveOptions::default();
    let proof = prover.prove(options, &circuit, &instances, rng()).unwrap();
    let stock = stock_proof(&srs, &circuit, &instances);
    for proof in [proof, stock] {
        verify(pk.vk(), &instances, &proof).unwrap();
        assert!(halo2_accepts(&srs, &circuit, &instances, &proof));
        let mut wrong = instances.clone();
        wrong[0][5] += Fr::ONE;
        assert!(!halo2_accepts(&srs, &circuit, &wrong, &proof));
    }
}

#[test]
fn the_fast_prover_names_what_fails() {
    let (srs, pk, honest) = setup(2);
    let prover = fast::Prover::new(&srs, &pk, 0).unwrap();
    let options = ProveOptions::default();
    let mut wrong = honest.instances();
    wrong[0][0] += Fr::ONE;
    assert!(prover.prove(options, &honest, &wrong, rng()).is_err());
    let gate = Toy {
        gate_fault: 1,
        ..Toy::new(2)
    };
    let result = prover.prove(options, &gate, &gate.instances(), rng());
    assert!(
        matches!(result, Err(ProveError::GateUnsatisfied { .. })),
        "{result:?}"
    );
    let copy = Toy {
        copy_fault: 1,
        ..Toy::new(2)
    };
    let result = prover.prove(options, &copy, &copy.instances(), rng());
    assert!(
        matches!(result, Err(ProveError::CopyUnsatisfied { .. })),
        "{result:?}"
    );
}

#[test]
fn keys_are_halo2s() {
    for phases in 1..=3 {
        let (srs, pk, toy) = setup(phases);
        let theirs = keygen_vk(&srs.params(), &toy).unwrap();
        let ours = pk.vk().halo2();
        assert_eq!(ours.transcript_repr(), theirs.transcript_repr());
        assert_eq!(ours.fixed_commitments(), theirs.fixed_commitments());
        assert_eq!(
            ours.permutation().commitments(),
            theirs.permutation().commitments()
        );
    }
}

/// Up to the random polynomial, which halo2 draws from the thread's generator whatever it is given,
/// proofs from the same seed have the same bytes: advice columns and permutation products. What follows
/// depends on that polynomial, so two of halo2's own proofs differ there too.
#[test]
fn proofs_begin_as_halo2s() {
    for phases in 1..=2 {
        let (srs, pk, toy) = setup(phases);
        let instances = toy.instances();
        let proof = prove(&srs, &pk, &toy, &instances, rng()).unwrap();

        let stock = stock_proof(&srs, &toy, &instances);
        assert_eq!(stock.len(), proof.len());
        verify(pk.vk(), &instances, &stock).unwrap();
        let (advice, columns, degree) = (1 + phases, 3 + usize::from(phases > 1), 3);
        let common = POINT_BYTES * (advice + columns / (degree - 2));
        assert_eq!(proof[..common], stock[..common]);
        assert_ne!(proof[common..], stock[common..]);
    }
}

#[test]
fn a_larger_srs_serves_a_smaller_circuit() {
    let (srs, pk, toy) = setup(3);
    let larger = Srs::dev(K + 2).unwrap();
    let instances = toy.instances();
    let proof = prove(&larger, &pk, &toy, &instances, rng()).unwrap();
    assert_eq!(proof, prove(&srs, &pk, &toy, &instances, rng()).unwrap());
    let smaller = Srs::dev(K - 1).unwrap();
    assert!(matches!(
        prove(&smaller, &pk, &toy, &instances, rng()),
        Err(ProveError::Srs(_))
    ));
}

#[test]
fn wrong_public_values_are_rejected() {
    let (srs, pk, toy) = setup(3);
    let good = toy.instances();
    let proof = prove(&srs, &pk, &toy, &good, rng()).unwrap();
    for column in 0..good.len() {
        for row in 0..good[column].len() {
            let mut bad = good.clone();
            bad[column][row] += Fr::ONE;
            assert_eq!(verify(pk.vk(), &bad, &proof), Err(VerifyError::Rejected));
            assert!(!halo2_accepts(&srs, &toy, &bad, &proof));
        }
    }
    // Zeros at the end change no polynomial, only the transcript; the length is checked before that.
    let mut long = good.clone();
    long[0].push(Fr::ZERO);
    let expected = VerifyError::InstanceRows {
        column: 0,
        expected: 2,
        got: 3,
    };
    assert_eq!(verify(pk.vk(), &long, &proof), Err(expected));
    let mut short = good.clone();
    short[1].pop();
    let expected = VerifyError::InstanceRows {
        column: 1,
        expected: ROWS,
        got: ROWS - 1,
    };
    assert_eq!(verify(pk.vk(), &short, &proof), Err(expected.clone()));
    assert!(matches!(
        prove(&srs, &pk, &toy, &short, rng()),
        Err(ProveError::Instances(error)) if error == expected
    ));
    let expected = VerifyError::InstanceColumns {
        expected: 2,
        got: 1,
    };
    assert_eq!(verify(pk.vk(), &good[..1], &proof), Err(expected));
    // A value moved from one column's end to the other's start.
    let mut moved = good.clone();
    let value = moved[0].pop().unwrap();
    moved[1].insert(0, value);
    assert!(verify(pk.vk(), &moved, &proof).is_err());
}

#[test]
fn every_changed_byte_is_rejected() {
    let (srs, pk, toy) = setup(3);
    let instances = toy.instances();
    let proof = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
    (0..proof.len()).into_par_iter().for_each(|at| {
        let mut bad = proof.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(verify(pk.vk(), &instances, &bad).is_err(), "byte {at}");
    });
}

#[test]
fn proofs_of_another_length_are_rejected() {
    let (srs, pk, toy) = setup(1);
    let instances = toy.instances();
    let proof = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
    for len in 0..proof.len() {
        let expected = VerifyError::ProofLength {
            expected: proof.len(),
            got: len,
        };
        assert_eq!(verify(pk.vk(), &instances, &proof[..len]), Err(expected));
    }
    for extra in [1, SCALAR_BYTES, POINT_BYTES] {
        let mut long = proof.clone();
        long.resize(proof.len() + extra, 0);
        let expected = VerifyError::ProofLength {
            expected: proof.len(),
            got: long.len(),
        };
        assert_eq!(verify(pk.vk(), &instances, &long), Err(expected));
    }
}

#[test]
fn other_encodings_are_rejected() {
    let (srs, pk, toy) = setup(1);
    let instances = toy.instances();
    let proof = prove(&srs, &pk, &toy, &instances, rng()).unwrap();
    // The first scalar follows the commitments; adding r keeps its value.
    let cs = pk.vk().halo2().cs();
    let points = cs.num_advice_columns() + 3 + 1 + (cs.degree() - 1);
    let at = POINT_BYTES * points;
    let mut bad = proof.clone();
    let r = "30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001";
    let mut carry = 0u16;
    for i in (0..32).rev() {
        let digit = u16::from_str_radix(&r[2 * i..2 * i + 2], 16).unwrap();
        let sum = u16::from(bad[at + i]) + digit + carry;
        (bad[at + i], carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0, "the sum fits 32 bytes");
    let expected = TranscriptError::ScalarNotCanonical { offset: at };
    assert_eq!(verify(pk.vk(), &instances, &bad), Err(expected.into()));

    let mut bad = proof.clone();
    bad[..POINT_BYTES].fill(0);
    let expected = TranscriptError::NotOnCurve { offset: 0 };
    assert_eq!(verify(pk.vk(), &instances, &bad), Err(expected.into()));

    let mut bad = proof;
    let last = bad.len() - POINT_BYTES;
    bad[last..last + 32].fill(0xff);
    let expected = TranscriptError::CoordinateNotCanonical { offset: last };
    assert_eq!(verify(pk.vk(), &instances, &bad), Err(expected.into()));
}

#[test]
fn bad_witnesses_give_no_proof_but_a_reason() {
    for phases in 1..=3 {
        let (srs, pk, toy) = setup(phases);
        let instances = toy.instances();
        let mut bad = toy.clone();
        bad.gate_fault = 1;
        match prove(&srs, &pk, &bad, &instances, rng()).unwrap_err() {
            ProveError::GateUnsatisfied {
                gate,
                constraint,
                row,
                ..
            } => {
                assert_eq!((&gate[..], &constraint[..], row), ("recurrence", "step", 4));
            }
            other => panic!("{other}"),
        }
        let mut bad = toy.clone();
        bad.copy_fault = 1;
        match prove(&srs, &pk, &bad, &instances, rng()).unwrap_err() {
            ProveError::CopyUnsatisfied {
                left_row,
                right_row,
                ..
            } => {
                assert!([left_row, right_row].contains(&8));
            }
            other => panic!("{other}"),
        }
        let mut wrong = instances.clone();
        wrong[0][1] += Fr::ONE;
        let error = prove(&srs, &pk, &toy, &wrong, rng()).unwrap_err();
        assert!(
            matches!(error, ProveError::CopyUnsatisfied { .. }),
            "{error}"
        );
        let mut wrong = instances.clone();
        wrong[1][2] += Fr::ONE;
        let error = prove(&srs, &pk, &toy, &wrong, rng()).unwrap_err();
        assert!(
            matches!(
                error,
                ProveError::GateUnsatisfied {
                    index: 1,
                    row: 3,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn reading_back_is_optional() {
    let (srs, pk, toy) = setup(1);
    let options = ProveOptions::default().read_back(false);
    let error = prove_with(options, &srs, &pk, &toy, &toy.instances(), rng()).unwrap_err();
    assert!(matches!(
        error,
        ProveError::Synthesis(SynthesisError::MissingWitness {
            column: 1,
            row: 8,
            phase: 0
        })
    ));
}

#[test]
fn circuits_that_do_not_fit_are_refused() {
    let srs = Srs::dev(4).unwrap();
    let error = keygen(&srs, &Toy::new(3), &INSTANCE_ROWS).unwrap_err();
    assert!(
        matches!(
            error,
            KeygenError::Synthesis(SynthesisError::NotEnoughRows {
                usable: 10,
                k: 4,
                ..
            })
        ),
        "{error}"
    );
    let error = keygen(&Srs::dev(2).unwrap(), &Toy::new(1), &INSTANCE_ROWS).unwrap_err();
    assert!(matches!(error, KeygenError::Shape(_)), "{error}");
    let srs = Srs::dev(K).unwrap();
    let error = keygen(&srs, &Toy::new(1), &[2]).unwrap_err();
    assert!(
        matches!(
            error,
            KeygenError::InstanceColumns {
                expected: 2,
                got: 1
            }
        ),
        "{error}"
    );
    let error = keygen(&srs, &Toy::new(1), &[2, 32]).unwrap_err();
    assert!(
        matches!(
            error,
            KeygenError::InstanceRows {
                column: 1,
                rows: 32,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn keys_survive_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (srs, pk, toy) = setup(3);
    let instances = toy.instances();
    pk.save(&path("pk")).unwrap();
    pk.vk().save(&path("vk")).unwrap();
    let read_pk = ProvingKey::load::<Toy>(3, &path("pk")).unwrap();
    let read_vk = VerifyingKey::load::<Toy>(3, &path("vk")).unwrap();
    assert_eq!(read_pk.to_bytes(), pk.to_bytes());
    assert_eq!(read_vk.to_bytes(), pk.vk().to_bytes());
    assert_eq!(read_vk.instance_rows(), INSTANCE_ROWS);
    assert_eq!(read_vk.srs_id(), srs.id());
    let proof = prove(&srs, &read_pk, &toy, &instances, rng()).unwrap();
    assert_eq!(proof, prove(&srs, &pk, &toy, &instances, rng()).unwrap());
    verify(&read_vk, &instances, &proof).unwrap();

    // The keys of another shape, or of the same shape with other weights.
    assert!(matches!(
        ProvingKey::load::<Toy>(2, &path("pk")),
        Err(KeyError::ForeignKey)
    ));
    assert!(matches!(
        VerifyingKey::load::<Toy>(1, &path("vk")),
        Err(KeyError::ForeignKey)
    ));
    let error = VerifyingKey::load::<Toy>(3, &path("pk")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("this is a proving key, where a verifying key is needed")
    );
    let mut other = toy.clone();
    other.weights[0] += 1;
    let other_pk = keygen(&srs, &other, &INSTANCE_ROWS).unwrap();
    assert_eq!(
        verify(other_pk.vk(), &instances, &proof),
        Err(VerifyError::Rejected)
    );
    assert!(matches!(
        prove(&srs, &pk, &Toy::new(2), &instances, rng()),
        Err(ProveError::ForeignKey)
    ));

    // Another SRS: the same points, of another secret.
    let g2 = srs.g2();
    let foreign = Srs::from_parts(
        K,
        srs.g().to_vec(),
        Some(srs.g_lagrange().to_vec()),
        g2,
        false,
    );
    let error = prove(&foreign.unwrap(), &pk, &toy, &instances, rng()).unwrap_err();
    assert!(matches!(error, ProveError::ForeignSrs { .. }), "{error}");
}

#[test]
fn damaged_keys_are_refused() {
    let (_, pk, _) = setup(3);
    let (pk_bytes, vk_bytes) = (pk.to_bytes(), pk.vk().to_bytes());
    let read_vk = |bytes: &[u8]| VerifyingKey::from_bytes::<Toy>(3, bytes).map(drop);
    let read_pk = |bytes: &[u8]| ProvingKey::from_bytes::<Toy>(3, &bytes.to_vec().into()).map(drop);
    for len in 0..vk_bytes.len() {
        assert!(
            matches!(read_vk(&vk_bytes[..len]), Err(KeyError::Payload(_))),
            "{len}"
        );
    }
    for len in 0..pk_bytes.len() {
        assert!(read_pk(&pk_bytes[..len]).is_err(), "{len}");
    }
    let mut long = vk_bytes.clone();
    long.push(0);
    assert!(matches!(read_vk(&long), Err(KeyError::Payload(_))));
    let mut long = pk_bytes.clone();
    long.push(0);
    assert!(matches!(read_pk(&long), Err(KeyError::Payload(_))));
    // The digest binds k, the columns' commitments and the circuit; the other fields have checks of
    // their own or are harmless (a length, the flag).
    (0..vk_bytes.len()).into_par_iter().for_each(|at| {
        let mut bad = vk_bytes.clone();
        bad[at] ^= 0x10;
        let bound = !(4..5 + 256 + 12).contains(&at);
        assert!(read_vk(&bad).is_err() || !bound, "byte {at}");
    });
    (0..pk_bytes.len()).into_par_iter().for_each(|at| {
        let mut bad = pk_bytes.clone();
        bad[at] ^= 0xff;
        drop(read_pk(&bad));
    });
}

#[test]
fn degrees_beyond_halo2s_cap_are_announced_or_refused() {
    let srs = Srs::dev(K).unwrap();
    // The cap is 5, unless the environment says otherwise.
    for (degree, announced) in [
        (3, None),
        (4, None),
        (5, None),
        (6, Some(6)),
        (7, Some(7)),
        (9, Some(9)),
    ] {
        let circuit = Steep { degree, announced };
        let pk = keygen(&srs, &circuit, &[]).unwrap();
        let proof = prove(&srs, &pk, &circuit, &[], rng()).unwrap();
        verify(pk.vk(), &[], &proof).unwrap();
        assert!(
            halo2_accepts(&srs, &circuit, &[], &proof),
            "degree {degree}"
        );
    }
    for announced in [None, Some(5)] {
        let error = keygen(
            &srs,
            &Steep {
                degree: 6,
                announced,
            },
            &[],
        )
        .unwrap_err();
        assert!(
            matches!(
                error,
                KeygenError::Shape(ShapeError::DegreeCapped {
                    degree: 6,
                    assumed: 5,
                    ..
                })
            ),
            "{error}"
        );
    }
    // Announced higher than it is: the upper quotient pieces are zero, and zero has no encoding.
    let circuit = Steep {
        degree: 3,
        announced: Some(5),
    };
    let pk = keygen(&srs, &circuit, &[]).unwrap();
    let error = prove(&srs, &pk, &circuit, &[], rng()).unwrap_err();
    assert!(matches!(error, ProveError::Identity { .. }), "{error}");
}

#[test]
fn older_circuits_are_proved_too() {
    let srs = Srs::dev(K).unwrap();
    let pk = keygen(&srs, &OldStyle, &[]).unwrap();
    let theirs = keygen_vk(&srs.params(), &OldStyle).unwrap();
    assert_eq!(pk.vk().halo2().transcript_repr(), theirs.transcript_repr());
    let proof = prove(&srs, &pk, &OldStyle, &[], rng()).unwrap();
    verify(pk.vk(), &[], &proof).unwrap();
    assert!(halo2_accepts(&srs, &OldStyle, &[], &proof));
    // The all-zero column's commitment is the identity; the file has a form for it.
    let vk = VerifyingKey::from_bytes::<OldStyle>((), &pk.vk().to_bytes()).unwrap();
    verify(&vk, &[], &proof).unwrap();
}

#[test]
fn shapes_that_cannot_be_proved_are_refused() {
    let srs = Srs::dev(K).unwrap();
    let error = keygen(&srs, &Lookup, &[]).unwrap_err();
    assert!(
        matches!(
            error,
            KeygenError::Shape(ShapeError::LegacyLookup { count: 1 })
        ),
        "{error}"
    );
    // Two openings of one polynomial at one point: halo2's verifier refuses these since 0.5.3, as
    // accepting two values there would be unsound.
    let error = keygen(&srs, &Wrapping, &[]).unwrap_err();
    assert!(
        matches!(error, KeygenError::Shape(ShapeError::SameRow { .. })),
        "{error}"
    );
}

/// The README's lines on the prover are those of the crate's documentation, which is compiled and run.
#[test]
fn the_readme_shows_the_documented_example() {
    let readme = include_str!("../../README.md");
    let section = readme.split("## The prover on its own").nth(1).unwrap();
    let example = section.split("```rust\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let documented: Vec<&str> = include_str!("../src/lib.rs")
        .lines()
        .map(|line| line.trim_start_matches("//!").trim())
        .collect();
    let lines: Vec<&str> = example.lines().map(str::trim).collect();
    assert!(lines.len() > 5);
    assert!(
        documented
            .windows(lines.len())
            .any(|window| window == lines)
    );
}
