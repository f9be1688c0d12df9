//! Edits of a proof's payload, and the native verifier: none is accepted but the honest one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorseal::pipeline::{Vk, prove, read_proof, read_vk, verify, write_proof, write_vk};
use tensorseal_prover::artifact::Kind;

// Shared with the other targets, which use more of it.
#[allow(dead_code)]
mod files;

thread_local! {
    static STATE: (Vk, Vec<u8>) = {
        let (model, srs, keys) = files::honest();
        let item: Vec<Vec<f32>> = model
            .model
            .inputs
            .iter()
            .map(|port| vec![1.0; port.shape.iter().product()])
            .collect();
        let proof = prove(&model, &keys.pk, &srs, &item).expect("a proof");
        let honest = files::payload(Kind::Proof, |path| write_proof(path, &proof));
        let vk = files::payload(Kind::VerifyingKey, |path| write_vk(path, &keys));
        (read_vk(&files::sealed(Kind::VerifyingKey, &vk), None).expect("honest"), honest)
    };
}

fuzz_target!(|program: &[u8]| {
    STATE.with(|(vk, honest)| {
        let payload = files::edited(honest, program);
        if let Ok(proof) = read_proof(&files::sealed(Kind::Proof, &payload)) {
            let accepted = verify(vk, &proof).is_ok();
            assert!(!accepted || payload == *honest, "another proof is accepted");
        }
    });
});
