//! The contract and the Rust verifier judge alike.

use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::{Fq, Fr};
use tensorseal_circuits::profile;
use tensorseal_verifier_contract::{
    calldata::{CalldataError, encode_verify},
    revert::Refusal,
};

use crate::{
    case::Case,
    circuits::{SHAPES, Shape},
};

/// Two phases, two instance columns, rotations both ways.
const MUTATED: Shape = SHAPES[2];

/// Start of the proof in the calldata, after `values` public values.
fn proof_offset(values: usize) -> u64 {
    (4 + 32 * (5 + values)) as u64
}

fn big_endian<F: PrimeField<Repr = [u8; 32]>>(f: F) -> [u8; 32] {
    let mut bytes = f.to_repr();
    bytes.reverse();
    bytes
}

/// `modulus + small`, below 2^256.
fn above_modulus<F: PrimeField<Repr = [u8; 32]>>(small: u8) -> [u8; 32] {
    let mut bytes = big_endian(-F::ONE);
    // The moduli are odd, so the last byte of modulus - 1 has room.
    bytes[31] += 1 + small;
    bytes
}

#[test]
fn honest_proofs_are_accepted() {
    for shape in SHAPES {
        for k in [5, 7] {
            let mut case = Case::shape_from(shape, 3, k);
            assert!(case.native(&case.instances, &case.proof), "{shape:?}");
            let calldata = case.calldata();
            let gas = case
                .call(&calldata)
                .unwrap_or_else(|e| panic!("{shape:?}: {e}"));
            println!("{} at k = {k}: {gas:?}", shape.name());
        }
    }
}

#[test]
fn every_profiles_contract_accepts() {
    for p in profile::ALL {
        let mut case = Case::profile(*p);
        assert!(case.native(&case.instances, &case.proof), "{}", p.name());
        let calldata = case.calldata();
        let gas = case
            .call(&calldata)
            .unwrap_or_else(|e| panic!("{}: {e}", p.name()));
        println!("{}: {} bytes, {gas:?}", p.name(), case.verifier.code_bytes);
        let mut wrong = case.instances.clone();
        wrong[0][0] += Fr::ONE;
        let proof = case.proof.clone();
        assert_eq!(
            case.both_refuse(&wrong, &proof, "wrong instance"),
            Refusal::PairingFailed
        );
    }
}

/// Rows between public values are no part of the calldata: the contract has zeros there, and Rust refuses others.
#[test]
fn rows_between_public_values_are_zero() {
    let folded = profile::ALL.iter().find(|p| p.fold > 1).unwrap();
    let case = Case::profile(*folded);
    let mut wrong = case.instances.clone();
    wrong[1][folded.fold + 1] = Fr::ONE;
    assert!(!case.native(&wrong, &case.proof));
    let refused = encode_verify(&case.layout, [0; 20], &wrong, &case.proof).unwrap_err();
    assert!(
        matches!(refused, CalldataError::Between { column: 1, row, .. } if row == folded.fold + 1)
    );
}

#[test]
fn wrong_instances_are_refused() {
    for shape in SHAPES.into_iter().filter(|s| s.public) {
        let mut case = Case::shape(shape);
        let (honest, proof) = (case.instances.clone(), case.proof.clone());
        for column in 0..honest.len() {
            for row in 0..honest[column].len() {
                let mut wrong = honest.clone();
                wrong[column][row] += Fr::ONE;
                let refusal = case.both_refuse(&wrong, &proof, "one value changed");
                assert_eq!(refusal, Refusal::PairingFailed);
            }
        }
        let mut swapped = honest.clone();
        swapped.reverse();
        case.both_refuse(&swapped, &proof, "columns swapped");
    }
}

#[test]
fn wrong_instance_counts_are_refused() {
    let mut case = Case::shape(MUTATED);
    let (honest, proof) = (case.instances.clone(), case.proof.clone());
    for rows in [0, 1, 3, 5, 100] {
        let mut wrong = honest.clone();
        wrong.iter_mut().for_each(|c| c.resize(rows, Fr::ZERO));
        let refusal = case.both_refuse(&wrong, &proof, "another number of rows");
        let expected = Refusal::BadInstanceCount {
            received: 2 * rows as u64,
            expected: 8,
        };
        assert_eq!(refusal, expected);
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    let mut case = Case::shape(MUTATED);
    let instances = case.instances.clone();
    for at in 0..case.proof.len() {
        for bit in [0, at % 7 + 1] {
            let mut wrong = case.proof.clone();
            wrong[at] ^= 1 << bit;
            case.both_refuse(
                &instances,
                &wrong,
                &format!("bit {bit} of byte {at} flipped"),
            );
        }
    }
}

#[test]
fn every_flipped_calldata_byte_is_refused() {
    let mut case = Case::shape(MUTATED);
    let calldata = case.calldata();
    let end = proof_offset(8) as usize;
    for at in 0..end {
        let mut wrong = calldata.clone();
        wrong[at] ^= 1 << (at % 8);
        assert!(case.call(&wrong).is_err(), "byte {at} of the calldata");
    }
}

#[test]
fn proofs_of_other_lengths_are_refused() {
    let mut case = Case::shape(MUTATED);
    let (instances, proof) = (case.instances.clone(), case.proof.clone());
    let longer = [&proof[..], &[0; 32]].concat();
    let shorter = &proof[..proof.len() - 32];
    for wrong in [&longer[..], shorter, &proof[..proof.len() - 1], &[]] {
        let refusal = case.both_refuse(&instances, wrong, "another length");
        let expected = Refusal::BadProofLength {
            received: wrong.len() as u64,
            expected: proof.len() as u64,
        };
        assert_eq!(refusal, expected);
        let error = encode_verify(&case.layout, [0; 20], &instances, wrong).unwrap_err();
        assert!(matches!(error, CalldataError::Proof { .. }));
    }
}

#[test]
fn calldata_has_one_encoding() {
    let mut case = Case::shape(MUTATED);
    let calldata = case.calldata();
    for length in (0..calldata.len()).step_by(13).chain([calldata.len() - 1]) {
        assert!(
            case.call(&calldata[..length]).is_err(),
            "cut to {length} bytes"
        );
    }
    for extra in [1, 31, 32, 64] {
        let longer = [&calldata[..], &vec![0; extra]].concat();
        let refusal = case.call(&longer).unwrap_err();
        let expected = Refusal::BadCalldata {
            received: longer.len() as u64,
            expected: calldata.len() as u64,
        };
        assert_eq!(refusal, expected);
    }
    // The proof once more at the end, its offset pointing there: valid ABI, another encoding.
    let mut moved = calldata.clone();
    let at = proof_offset(8) as usize - 32;
    moved.extend_from_within(at..);
    let offset = (calldata.len() - 4) as u64;
    moved[4 + 64 + 24..4 + 96].copy_from_slice(&offset.to_be_bytes());
    assert!(matches!(
        case.call(&moved),
        Err(Refusal::BadCalldata { .. })
    ));
    // A dirty address.
    let mut dirty = calldata.clone();
    dirty[4] = 1;
    assert_eq!(case.call(&dirty), Err(Refusal::NoReason));
    // Another function.
    let mut other = calldata.clone();
    other[0] ^= 1;
    assert_eq!(case.call(&other), Err(Refusal::NoReason));
}

#[test]
fn scalars_have_one_encoding() {
    let mut case = Case::shape(MUTATED);
    let proof = case.proof.clone();
    let scalars_start = proof.len() - 128 - 32 * evaluations(&case);
    for at in (scalars_start..proof.len() - 128).step_by(32) {
        let value: [u8; 32] = proof[at..at + 32].try_into().unwrap();
        let mut wrong = proof.clone();
        // value + r where that fits into a word, else r itself
        let congruent = add(&value, &above_modulus::<Fr>(0)).unwrap_or(above_modulus::<Fr>(0));
        wrong[at..at + 32].copy_from_slice(&congruent);
        let instances = case.instances.clone();
        let refusal = case.both_refuse(&instances, &wrong, "an evaluation of r or more");
        let offset = proof_offset(8) + at as u64;
        assert_eq!(refusal, Refusal::ScalarNotCanonical { offset });
    }
    // The same with a public value: encodings that the Rust verifier's type cannot even hold.
    let calldata = case.calldata();
    for value in 0..8 {
        let at = 4 + 32 * (4 + value);
        let honest: [u8; 32] = calldata[at..at + 32].try_into().unwrap();
        let mut wrong = calldata.clone();
        let congruent = add(&honest, &above_modulus::<Fr>(0)).unwrap();
        wrong[at..at + 32].copy_from_slice(&congruent);
        let offset = at as u64;
        assert_eq!(
            case.call(&wrong),
            Err(Refusal::ScalarNotCanonical { offset })
        );
    }
}

pub(crate) fn evaluations(case: &Case) -> usize {
    let cs = case.pk.vk().halo2().cs();
    cs.advice_queries().len() + cs.fixed_queries().len() + 1
}

/// Big-endian sum, if it fits.
fn add(a: &[u8; 32], b: &[u8; 32]) -> Option<[u8; 32]> {
    let (mut sum, mut carry) = ([0; 32], 0u16);
    for i in (0..32).rev() {
        let s = u16::from(a[i]) + u16::from(b[i]) + carry;
        (sum[i], carry) = (s as u8, s >> 8);
    }
    (carry == 0).then_some(sum)
}

#[test]
fn points_have_one_encoding_and_are_on_the_curve() {
    let mut case = Case::shape(MUTATED);
    let (instances, proof) = (case.instances.clone(), case.proof.clone());
    let commitments = proof.len() - 128 - 32 * evaluations(&case);
    let points = (0..commitments).step_by(64);
    for at in points.chain([proof.len() - 128, proof.len() - 64]) {
        let x: [u8; 32] = proof[at..at + 32].try_into().unwrap();
        let y: [u8; 32] = proof[at + 32..at + 64].try_into().unwrap();
        let one = big_endian(Fq::ONE);
        let q = above_modulus::<Fq>(0);
        let wrong_points: [(&str, [u8; 32], [u8; 32]); 6] = [
            ("the identity", [0; 32], [0; 32]),
            ("off the curve", one, one),
            ("x + q", add(&x, &q).unwrap_or(q), y),
            ("y + q", x, add(&y, &q).unwrap_or(q)),
            ("x = q, y = q", q, q),
            ("all ones", [0xff; 32], [0xff; 32]),
        ];
        for (what, x, y) in wrong_points {
            let mut wrong = proof.clone();
            wrong[at..at + 32].copy_from_slice(&x);
            wrong[at + 32..at + 64].copy_from_slice(&y);
            let refusal = case.both_refuse(&instances, &wrong, &format!("{what} at {at}"));
            let offset = proof_offset(8) + at as u64;
            assert_eq!(refusal, Refusal::PointNotOnCurve { offset }, "{what}");
        }
        // On the curve, but another point: the generator.
        let mut wrong = proof.clone();
        wrong[at..at + 32].copy_from_slice(&one);
        wrong[at + 32..at + 64].copy_from_slice(&big_endian(Fq::from(2)));
        let refusal = case.both_refuse(&instances, &wrong, &format!("the generator at {at}"));
        assert_eq!(refusal, Refusal::PairingFailed);
    }
}

#[test]
fn wrong_keys_are_refused() {
    let mut case = Case::shape(MUTATED);
    let (instances, proof) = (case.instances.clone(), case.proof.clone());
    let with_key = |case: &mut Case, address: [u8; 20]| {
        let calldata = encode_verify(&case.layout, address, &instances, &proof).unwrap();
        case.call(&calldata)
    };
    // No contract, the verifier itself, a key cut short, one too long.
    let code = case.key.to_code();
    let deploy = |case: &mut Case, code: &[u8]| case.evm.deploy(&initcode(code)).unwrap().address;
    let cut = deploy(&mut case, &code[..code.len() - 32]);
    let long = deploy(&mut case, &[&code[..], &[0; 32]].concat());
    let other_version = deploy(&mut case, &flipped(&code, 8));
    let other_system = deploy(&mut case, &flipped(&code, 20));
    let not_data = deploy(&mut case, &flipped(&code, 0));
    let verifier = case.verifier.address;
    for address in [
        [0; 20],
        [7; 20],
        verifier,
        cut,
        long,
        other_version,
        other_system,
        not_data,
    ] {
        let address_hex = hex::encode(address);
        let refused = with_key(&mut case, address).unwrap_err();
        assert_eq!(
            refused,
            Refusal::BadKey {
                address: address_hex
            }
        );
    }
    // Every word but the id and the instance rows: accepted as a key, and then the proof fails, at a
    // precompile where a point has left its curve.
    let words = (code.len() - 1) / 32;
    let commitments = words - 2 * case.pk.vk().halo2().cs().num_fixed_columns();
    for word in (1..words).filter(|w| *w != 2) {
        let address = deploy(&mut case, &flipped(&code, 32 + 32 * word));
        let expected = match word {
            6..14 => Refusal::PrecompileFailed { precompile: 8 },
            w if w >= commitments => Refusal::PrecompileFailed { precompile: 7 },
            _ => Refusal::PairingFailed,
        };
        let refused = with_key(&mut case, address).unwrap_err();
        assert_eq!(refused, expected, "word {word} of the key");
    }
    // A key of the same profile for another circuit: another k, so other commitments.
    let other = Case::shape_from(MUTATED, 3, 7);
    let address = deploy(&mut case, &other.key.to_code());
    assert_eq!(with_key(&mut case, address), Err(Refusal::PairingFailed));
    assert!(!other.native(&instances, &proof));
    // A key of a foreign profile.
    let foreign = Case::shape(SHAPES[0]);
    let address = deploy(&mut case, &foreign.key.to_code());
    let refused = with_key(&mut case, address);
    assert!(matches!(refused, Err(Refusal::BadKey { .. })));
    assert!(!foreign.native(&instances, &proof));
}

/// The code with the lowest bit of a byte flipped.
fn flipped(code: &[u8], at: usize) -> Vec<u8> {
    let mut code = code.to_vec();
    code[at] ^= 1;
    code
}

/// Creation code for any code that does not begin with 0xef.
fn initcode(code: &[u8]) -> Vec<u8> {
    let [high, low] = (code.len() as u16).to_be_bytes();
    let mut initcode = vec![0x61, high, low, 0x80, 0x60, 10, 0x3d, 0x39, 0x3d, 0xf3];
    initcode.extend_from_slice(code);
    initcode
}

#[test]
fn proofs_of_another_witness_do_not_fit() {
    let mut case = Case::shape(MUTATED);
    let other = Case::shape_from(MUTATED, 4, 6);
    let (instances, proof) = (case.instances.clone(), case.proof.clone());
    case.both_refuse(&instances, &other.proof, "another witness's proof");
    case.both_refuse(&other.instances, &proof, "another witness's instance");
    assert!(case.native(&other.instances, &other.proof));
    assert!(case.contract(&other.instances, &other.proof).is_ok());
}
