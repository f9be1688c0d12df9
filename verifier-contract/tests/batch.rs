//! Several proofs of one key in one call.

use ff::Field;
use halo2_proofs::halo2curves::bn256::{Fr, G1Affine};
use halo2_proofs::halo2curves::group::{Curve, prime::PrimeCurveAffine};
use tensorseal_verifier_contract::{
    calldata::{CalldataError, encode_verify_batch},
    revert::Refusal,
};

use crate::{
    case::Case,
    circuits::{SHAPES, Shape},
};

const SHAPE: Shape = SHAPES[2];

type Batch = Vec<(Vec<Vec<Fr>>, Vec<u8>)>;

/// Proofs of different witnesses under one key.
fn batch(case: &Case, proofs: u64) -> Batch {
    (0..proofs).map(|i| case.another(SHAPE, 20 + i)).collect()
}

fn judge(case: &mut Case, batch: &Batch) -> Result<u64, Refusal> {
    let key = case.registered.address;
    let calldata = encode_verify_batch(&case.layout, key, batch).unwrap();
    case.call(&calldata).map(|gas| gas.execution)
}

#[test]
fn batches_are_judged_as_their_proofs_are() {
    let mut case = Case::shape(SHAPE);
    let honest = batch(&case, 3);
    for (instances, proof) in &honest {
        assert!(case.native(instances, proof));
    }
    for length in 1..=honest.len() {
        judge(&mut case, &honest[..length].to_vec()).unwrap();
    }
    for i in 0..honest.len() {
        let mut wrong = honest.clone();
        wrong[i].0[0][0] += Fr::ONE;
        assert_eq!(
            judge(&mut case, &wrong),
            Err(Refusal::PairingFailed),
            "value of {i}"
        );
        let mut wrong = honest.clone();
        wrong[i].1[64] ^= 1;
        assert!(
            matches!(
                judge(&mut case, &wrong),
                Err(Refusal::PointNotOnCurve { .. })
            ),
            "point of {i}"
        );
        let mut wrong = honest.clone();
        wrong[i].0 = honest[(i + 1) % honest.len()].0.clone();
        assert_eq!(
            judge(&mut case, &wrong),
            Err(Refusal::PairingFailed),
            "values of {i}"
        );
    }
}

/// Errors that add up to nothing: `H2` enters its proof's equation linearly, and weights that a prover knew in
/// advance would let `+D` in one proof hide `-D` in another.
#[test]
fn errors_do_not_cancel() {
    let mut case = Case::shape(SHAPE);
    let honest = batch(&case, 2);
    let (of_one, of_other) = (honest[0].1.clone(), honest[1].1.clone());
    let shifted = |proof: &[u8], by: G1Affine| {
        let at = proof.len() - 64;
        let point = Case::point(&proof[at..]);
        let moved = (point.to_curve() + by).to_affine();
        [&proof[..at], &Case::point_bytes(moved)].concat()
    };
    let d = G1Affine::generator();
    let mut lies = honest.clone();
    lies[0].1 = shifted(&of_one, d);
    lies[1].1 = shifted(&of_other, -d);
    assert_eq!(judge(&mut case, &lies), Err(Refusal::PairingFailed));
    // The same proof twice, moved both ways.
    let mut lies = vec![honest[0].clone(), honest[0].clone()];
    lies[0].1 = shifted(&of_one, d);
    lies[1].1 = shifted(&of_one, -d);
    assert_eq!(judge(&mut case, &lies), Err(Refusal::PairingFailed));
}

#[test]
fn lengths_of_batches_are_checked() {
    let mut case = Case::shape(SHAPE);
    let honest = batch(&case, 2);
    let key = case.registered.address;
    let empty = encode_verify_batch(&case.layout, key, &[]);
    assert_eq!(empty, Err(CalldataError::EmptyBatch));
    let calldata = encode_verify_batch(&case.layout, key, &honest).unwrap();
    let (values, proof) = (
        honest[0].0.iter().map(Vec::len).sum::<usize>(),
        honest[0].1.len(),
    );
    let word = |at: usize, value: usize| {
        let mut changed = calldata.clone();
        changed[at..at + 32].fill(0);
        changed[at + 24..at + 32].copy_from_slice(&(value as u64).to_be_bytes());
        changed
    };
    let head = 4 + 32;
    // No proofs, one proof too few for the values, a value too few, another offset.
    let length_at = 4 + 32 * (4 + 2 * values);
    for (at, value) in [
        (length_at, 0),
        (length_at, proof),
        (length_at, 2 * proof - 32),
        (head + 64, 2 * values - 1),
        (head, 0x80),
    ] {
        let changed = word(at, value);
        assert!(case.call(&changed).is_err(), "{value} at {at}");
    }
    let mut longer = calldata.clone();
    longer.push(0);
    assert!(matches!(
        case.call(&longer),
        Err(Refusal::BadCalldata { .. })
    ));
    case.call(&calldata).unwrap();
}
