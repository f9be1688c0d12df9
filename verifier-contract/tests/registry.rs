//! The model registry.

use halo2_proofs::halo2curves::bn256::Fr;
use sha3::{Digest, Keccak256};
use tensorseal_circuits::profile;
use tensorseal_verifier_contract::{
    calldata::{encode_verify, encode_verify_batch},
    profiles,
    project::{Project, PublicTensor, Side, registry_address},
    registry::{Ask, encode_model, encode_register, model_id, through_registry},
    revert::Refusal,
};

use crate::{
    case::Case,
    circuits::{SHAPES, Shape},
    registered::{Registered, URI},
};

const SHAPE: Shape = SHAPES[1];
/// A project whose model has a public input and a public output.
pub(crate) fn project() -> Project {
    let case = Case::profile(profile::ALL[0]);
    let tensor = |name: &str, side, places: &[u32]| PublicTensor {
        name: name.to_owned(),
        side,
        shape: vec![1, places.len()],
        scale: Some(0.125),
        places: places.to_vec(),
    };
    Project {
        name: "idle */ \n".to_owned(),
        verifier: profiles::for_layout(&case.layout).unwrap(),
        key: case.key,
        metadata_uri: URI.to_owned(),
        statement_id: [7; 32],
        tensors: vec![
            tensor("y", Side::Output, &[0, 2]),
            tensor("x", Side::Input, &[1, 3, 5]),
            tensor("z", Side::Input, &[4]),
        ],
        hashed: vec![],
        registry: registry_address(),
    }
}

#[test]
fn a_model_is_registered_once() {
    let mut registered = Registered::new(Case::shape(SHAPE));
    let (verifier, key) = (
        registered.case.verifier.address,
        registered.case.registered.address,
    );
    let runtime = &registered.case.initcode
        [registered.case.initcode.len() - registered.case.verifier.code_bytes..];
    let verifier_hash: [u8; 32] = Keccak256::digest(runtime).into();
    let id = model_id(verifier_hash, registered.case.key.code_hash(), URI);
    assert_eq!(registered.id, id);

    // A copy of the key elsewhere: the same id, and the first addresses stay.
    let copy = registered
        .case
        .evm
        .deploy_key(&registered.case.key)
        .unwrap()
        .address;
    assert_ne!(copy, key);
    assert_eq!(registered.register(copy, URI).unwrap(), id);
    let again = registered
        .case
        .evm
        .send(registered.registry, &encode_register(verifier, copy, URI))
        .unwrap();
    assert!(again.events.is_empty());
    let model = registered.send(&encode_model(id)).unwrap();
    // A dynamic struct: its offset, then verifier, key, offset and length of the URI, the URI.
    assert_eq!((&model[44..64], &model[76..96]), (&verifier[..], &key[..]));
    assert_eq!(&model[160..160 + URI.len()], URI.as_bytes());

    // Another URI is another model, and an event says so.
    let other = registered
        .case
        .evm
        .send(registered.registry, &encode_register(verifier, key, ""))
        .unwrap();
    let topics = &other.events[0].topics;
    let signature = Keccak256::digest("ModelRegistered(bytes32,address,address,string)");
    assert_eq!(topics[0][..], signature[..]);
    assert_eq!(topics[1][..], other.output[..]);
    assert_eq!(
        (&topics[2][12..], &topics[3][12..]),
        (&verifier[..], &key[..])
    );
    assert_ne!(other.output, id);
}

#[test]
fn what_is_no_model_is_refused() {
    let mut registered = Registered::new(Case::shape(SHAPE));
    let key = registered.case.registered.address;
    let verifier = registered.case.verifier.address;
    let foreign = Case::shape(SHAPES[2]);
    let foreign = registered
        .case
        .evm
        .deploy_key(&foreign.key)
        .unwrap()
        .address;
    for (verifier, key) in [
        (key, verifier),
        (verifier, foreign),
        (verifier, verifier),
        ([7; 20], key),
        (verifier, [7; 20]),
        (registered.registry, key),
    ] {
        let refused = registered.send(&encode_register(verifier, key, URI));
        let expected = Refusal::NotAModel {
            verifier: hex::encode(verifier),
            key: hex::encode(key),
        };
        assert_eq!(refused, Err(expected));
    }
    let unknown = Refusal::UnknownModel {
        model_id: hex::encode([7; 32]),
    };
    let calldata = registered.case.calldata();
    assert_eq!(registered.verify([7; 32], &calldata), Err(unknown.clone()));
    assert_eq!(
        registered.send(&encode_model([7; 32])),
        Err(unknown.clone())
    );
    let log = through_registry(&calldata, [7; 32], Ask::Log);
    assert_eq!(registered.send(&log), Err(unknown));
}

#[test]
fn batches_are_verified_by_model_id() {
    let mut registered = Registered::new(Case::shape(SHAPE));
    let (id, key) = (registered.id, registered.case.registered.address);
    let honest = [20, 21].map(|start| registered.case.another(SHAPE, start));
    let ask = |registered: &mut Registered, batch: &[(Vec<Vec<Fr>>, Vec<u8>)]| {
        let direct = encode_verify_batch(&registered.case.layout, key, batch).unwrap();
        registered.send(&through_registry(&direct, id, Ask::Batch))
    };
    ask(&mut registered, &honest).unwrap();
    let mut lie = honest.clone();
    lie[1].0[0][1] += Fr::from(1);
    assert_eq!(ask(&mut registered, &lie), Err(Refusal::PairingFailed));
}

#[test]
fn proofs_are_verified_by_model_id() {
    let mut registered = Registered::new(Case::shape(SHAPE));
    let (id, calldata) = (registered.id, registered.case.calldata());
    registered.verify(id, &calldata).unwrap();
    let direct = registered.case.call(&calldata).unwrap();
    let view = through_registry(&calldata, id, Ask::View);
    let through = registered
        .case
        .evm
        .verify(registered.registry, &view)
        .unwrap();
    println!(
        "execution: {} gas by the verifier, {} more through the registry",
        direct.execution,
        through.execution - direct.execution
    );

    let log = through_registry(&calldata, id, Ask::Log);
    let sent = registered.case.evm.send(registered.registry, &log).unwrap();
    let [event] = &sent.events[..] else {
        panic!("one event, not {}", sent.events.len())
    };
    let signature = Keccak256::digest("InferenceVerified(bytes32,address,bytes32)");
    let words = &calldata[4 + 32 * 4..4 + 32 * (4 + 8)];
    assert_eq!(event.topics[0][..], signature[..]);
    assert_eq!(event.topics[1], id);
    assert_eq!(event.topics[3][..], Keccak256::digest(words)[..]);

    // The verifier's reasons come through, with offsets into the caller's calldata.
    let mut wrong = registered.case.instances.clone();
    wrong[1][2] += Fr::from(5);
    let key = registered.case.registered.address;
    let wrong =
        encode_verify(&registered.case.layout, key, &wrong, &registered.case.proof).unwrap();
    assert_eq!(registered.verify(id, &wrong), Err(Refusal::PairingFailed));
    let log = through_registry(&wrong, id, Ask::Log);
    assert_eq!(registered.send(&log), Err(Refusal::PairingFailed));
    let mut large = calldata.clone();
    large[4 + 32 * 5..4 + 32 * 6].fill(0xff);
    let refusal = Refusal::ScalarNotCanonical { offset: 4 + 32 * 5 };
    assert_eq!(registered.verify(id, &large), Err(refusal));
    let longer = [&calldata[..], &[0; 32]].concat();
    let refusal = registered.verify(id, &longer).unwrap_err();
    assert!(matches!(refusal, Refusal::BadCalldata { .. }), "{refusal}");

    // Another model of the profile has other proofs.
    let other = Case::shape_from(SHAPE, 3, 7);
    let other_key = registered.case.evm.deploy_key(&other.key).unwrap().address;
    let other_id = registered.register(other_key, URI).unwrap();
    assert_eq!(
        registered.verify(other_id, &calldata),
        Err(Refusal::PairingFailed)
    );
    registered.verify(other_id, &other.calldata()).unwrap();
}

#[test]
fn a_verifier_without_a_verdict_accepts_nothing() {
    let mut registered = Registered::new(Case::shape(SHAPE));
    // Reverts with BadProofLength on the empty proof of `register`, and else stops without an answer.
    let selector = &Keccak256::digest("BadProofLength(uint256,uint256)")[..4];
    let runtime = [
        &[0x60, 0xa4, 0x36, 0x11, 0x60, 0x13, 0x57, 0x63][..],
        selector,
        &[0x5f, 0x52, 0x60, 0x04, 0x60, 0x1c, 0xfd, 0x5b, 0x00],
    ]
    .concat();
    let initcode = [
        &[
            0x60,
            runtime.len() as u8,
            0x80,
            0x60,
            0x09,
            0x3d,
            0x39,
            0x3d,
            0xf3,
        ][..],
        &runtime,
    ]
    .concat();
    let fake = registered.case.evm.deploy(&initcode).unwrap().address;
    let key = registered.case.registered.address;
    let id: [u8; 32] = registered
        .send(&encode_register(fake, key, URI))
        .unwrap()
        .try_into()
        .unwrap();
    let calldata = registered.case.calldata();
    let refusal = Refusal::NotAVerdict {
        verifier: hex::encode(fake),
    };
    assert_eq!(registered.verify(id, &calldata), Err(refusal));
}
