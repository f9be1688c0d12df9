//! Reference strings and keys made by somebody who wants the prover's secrets: no proof is given out under them.

use ff::{Field, PrimeField};
use group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine, G2Affine};
use rayon::prelude::*;
use sha3::{Digest, Keccak256};
use tensorseal_prover::{
    KeyError, ProveError, ProveOptions, ProvingKey, Srs, SrsError, VerifyingKey,
    artifact::{self, ArtifactError, Flags, Kind},
    fast, keygen, prove,
};

use super::{
    K, rng, setup,
    toy::{INSTANCE_ROWS, Toy},
};

/// `k`, the mark, `s·G2`.
const HEAD_BYTES: usize = 4 + 1 + 128;
const POINT_BYTES: usize = 64;

/// The payload of an SRS file with other points, all its hashes right. One chunk holds a basis.
fn with_points(srs: &Srs, change: impl FnOnce(&mut [u8], &mut [u8])) -> Vec<u8> {
    let mut bytes = srs.to_bytes();
    let (head, points) = bytes.split_at_mut(HEAD_BYTES + 3 * 32);
    let (monomial, lagrange) = points.split_at_mut(POINT_BYTES << srs.k());
    change(monomial, lagrange);
    let (head, hashes) = head.split_at_mut(HEAD_BYTES);
    hashes[..32].copy_from_slice(&Keccak256::digest(monomial));
    hashes[32..64].copy_from_slice(&Keccak256::digest(lagrange));
    let hash = Keccak256::new()
        .chain_update(head)
        .chain_update(&hashes[..64])
        .finalize();
    hashes[64..].copy_from_slice(&hash);
    bytes
}

/// As files have a point; the identity is all zeros.
fn encoded(point: G1) -> [u8; POINT_BYTES] {
    let mut bytes = [0; POINT_BYTES];
    if bool::from(point.is_identity()) {
        return bytes;
    }
    let point = point.to_affine();
    for (word, coordinate) in bytes.chunks_exact_mut(32).zip([point.x, point.y]) {
        word.copy_from_slice(coordinate.to_repr().as_ref());
        word.reverse();
    }
    bytes
}

fn set(basis: &mut [u8], row: usize, point: G1) {
    basis[POINT_BYTES * row..][..POINT_BYTES].copy_from_slice(&encoded(point));
}

/// What both provers say.
fn proved(srs: &Srs, pk: &ProvingKey, toy: &Toy) -> [Result<Vec<u8>, ProveError>; 2] {
    let instances = toy.instances();
    let fast = || {
        let prover = fast::Prover::new(srs, pk, 0)?;
        prover.prove(ProveOptions::default(), toy, &instances, rng())
    };
    [fast(), prove(srs, pk, toy, &instances, rng())]
}

/// Under this basis the first commitment would be to three cells of the witness, packed, and nothing would blind it.
#[test]
fn a_basis_of_chosen_rows_is_refused() {
    let (srs, pk, toy) = setup(2);
    let n = 1 << K;
    let cells = |lagrange: &mut [u8]| {
        for (row, packed) in [1u64, 1 << 8, 1 << 16].into_iter().enumerate() {
            set(lagrange, row, G1::generator() * Fr::from(packed));
        }
    };
    let hostile = with_points(&srs, |_, lagrange| {
        lagrange.fill(0);
        cells(lagrange);
        for row in n / 2..n {
            set(lagrange, row, G1::generator() * Fr::from(77));
        }
    });
    let refused = Srs::from_bytes(&hostile).unwrap_err();
    assert!(
        matches!(
            refused,
            SrsError::Identity {
                basis: "Lagrange basis",
                index: 3
            }
        ),
        "{refused}"
    );
    let refused = Srs::from_bytes(&with_points(&srs, |powers, _| {
        set(powers, 9, G1::identity())
    }));
    assert!(
        matches!(
            refused,
            Err(SrsError::Identity {
                basis: "powers",
                index: 9
            })
        ),
        "{refused:?}"
    );

    // Without the identity it is read, and found out before a witness is made.
    let hostile = with_points(&srs, |_, lagrange| {
        for row in 0..n {
            set(lagrange, row, G1::generator() * Fr::from(1 << 40));
        }
        cells(lagrange);
    });
    let hostile = Srs::from_bytes(&hostile).unwrap();
    for refused in proved(&hostile, &pk, &toy) {
        assert!(
            matches!(refused, Err(ProveError::Srs(SrsError::Inconsistent { .. }))),
            "{refused:?}"
        );
    }
    assert!(hostile.check(rng()).is_err());
}

/// A consistent SRS whose secret is in the domain: each commitment is to one cell.
#[test]
fn a_secret_in_the_domain_is_refused() {
    let n = 1usize << K;
    let omega = (K..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
    for row in [1, 8, n / 2, n - 1] {
        let s = omega.pow_vartime([row as u64]);
        let power = |i| (G1::generator() * s.pow_vartime([i as u64])).to_affine();
        let powers: Vec<G1Affine> = (0..n).map(power).collect();
        let s_g2 = (G2Affine::generator() * s).to_affine();
        let mut basis = vec![G1Affine::identity(); n];
        basis[row] = G1Affine::generator();
        for given in [Some(basis), None] {
            let refused = Srs::from_parts(K, powers.clone(), given, s_g2, false).unwrap_err();
            let SrsError::Identity { basis, index } = refused else {
                panic!("{refused}");
            };
            assert_eq!((basis, index), ("Lagrange basis", 0));
        }
    }
}

/// One wrong row among many, where the witness is zero: the sample before proving may miss it, the proof shows it.
#[test]
fn one_wrong_row_gives_no_proof() {
    const LARGE: u32 = 10;
    let srs = Srs::dev(LARGE).unwrap();
    let toy = Toy::new(2);
    let pk = keygen(&srs, &toy, &INSTANCE_ROWS).unwrap();
    for proof in proved(&srs, &pk, &toy) {
        proof.unwrap();
    }
    let wrong_rows = [200, 300, 400, 500, 600, 700];
    let found: Vec<bool> = wrong_rows
        .into_par_iter()
        .map(|row| {
            let hostile = with_points(&srs, |_, lagrange| {
                set(lagrange, row, G1::generator() * Fr::from(3));
            });
            let hostile = Srs::from_bytes(&hostile).unwrap();
            let [fast, plain] = proved(&hostile, &pk, &toy);
            let sampled = matches!(fast, Err(ProveError::Srs(SrsError::Inconsistent { .. })));
            let rejected = matches!(fast, Err(ProveError::Rejected { .. }));
            assert!(sampled || rejected, "row {row}: {fast:?}");
            assert!(
                matches!(plain, Err(ProveError::Srs(SrsError::Inconsistent { .. }))),
                "row {row}: {plain:?}"
            );
            rejected
        })
        .collect();
    // A sample finds one with a chance of 1 in 20.
    assert!(found.contains(&true));

    // The fast prover commits by the Lagrange basis alone; the plain one's random polynomial tells of the powers.
    let hostile = with_points(&srs, |powers, _| set(powers, 900, G1::generator()));
    let hostile = Srs::from_bytes(&hostile).unwrap();
    let [fast, plain] = proved(&hostile, &pk, &toy);
    fast.unwrap();
    assert!(plain.is_err());
}

#[test]
fn a_changed_key_gives_no_proof() {
    let (srs, pk, toy) = setup(2);
    let honest = pk.to_bytes();
    let vk_end = 4 + pk.vk().to_bytes().len();
    let outcomes: Vec<bool> = (vk_end..honest.len())
        .into_par_iter()
        .step_by(3)
        .filter_map(|at| {
            let mut bytes = honest.clone();
            bytes[at] ^= 1 << (at % 8);
            let key = ProvingKey::from_bytes::<Toy>(2, &bytes.into()).ok()?;
            let outcomes = proved(&srs, &key, &toy);
            for outcome in &outcomes {
                assert!(outcome.is_err(), "byte {at}");
            }
            let rejected =
                |outcome: &Result<_, _>| matches!(outcome, Err(ProveError::Rejected { .. }));
            Some(outcomes.iter().all(rejected))
        })
        .collect();
    let rejected = outcomes.iter().filter(|rejected| **rejected).count();
    // The witness holds under some of these keys, and the proof does not verify.
    assert!(rejected > 0, "of {}", outcomes.len());
}

#[test]
fn the_development_srs_is_known_by_its_point() {
    let (srs, pk, _) = setup(1);
    let points = |s_g2| {
        Srs::from_parts(
            K,
            srs.g().to_vec(),
            Some(srs.g_lagrange().to_vec()),
            s_g2,
            false,
        )
    };
    assert!(points(srs.s_g2()).unwrap().is_insecure());
    assert!(!points(srs.g2()).unwrap().is_insecure());

    let (mut vk_bytes, mut pk_bytes) = (pk.vk().to_bytes(), pk.to_bytes());
    // Behind k, and in the proving key behind a length too.
    (vk_bytes[4], pk_bytes[8]) = (0, 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let read = |kind, insecure, payload: &[u8]| {
        artifact::write(&path, kind, Flags { insecure }, payload).unwrap();
        match kind {
            Kind::ProvingKey => ProvingKey::load::<Toy>(1, &path).map(|pk| pk.vk().clone()),
            _ => VerifyingKey::load::<Toy>(1, &path),
        }
    };
    for (kind, unmarked, marked) in [
        (Kind::VerifyingKey, vk_bytes, pk.vk().to_bytes()),
        (Kind::ProvingKey, pk_bytes, pk.to_bytes()),
    ] {
        assert!(read(kind, false, &unmarked).unwrap().is_insecure());
        assert!(read(kind, true, &marked).unwrap().is_insecure());
        for (flag, payload) in [(true, &unmarked), (false, &marked)] {
            let refused = read(kind, flag, payload);
            assert!(
                matches!(
                    refused,
                    Err(KeyError::Artifact(ArtifactError::DamagedHeader { .. }))
                ),
                "{refused:?}"
            );
        }
    }
}
