//! Edits of the payloads of a verifying and a proving key; the first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorseal::pipeline::{CompiledModel, read_pk, read_vk, write_pk, write_vk};
use tensorseal_prover::artifact::Kind;

// Shared with the other targets, which use more of it.
#[allow(dead_code)]
mod files;

thread_local! {
    static STATE: (CompiledModel, Vec<u8>, Vec<u8>) = {
        let (model, _, keys) = files::honest();
        let vk = files::payload(Kind::VerifyingKey, |path| write_vk(path, &keys));
        let pk = files::payload(Kind::ProvingKey, |path| write_pk(path, &keys));
        (model, vk, pk)
    };
}

fuzz_target!(|data: &[u8]| {
    let Some((which, program)) = data.split_first() else {
        return;
    };
    STATE.with(|(model, vk, pk)| {
        if which % 2 == 0 {
            let path = files::sealed(Kind::VerifyingKey, &files::edited(vk, program));
            let _ = read_vk(&path, None);
        } else {
            let path = files::sealed(Kind::ProvingKey, &files::edited(pk, program));
            let _ = read_pk(&path, model);
        }
    });
});
