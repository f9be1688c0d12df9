//! The payload of a compiled model, and its layout.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorseal_circuits::compiled::CompiledModel;

fuzz_target!(|payload: &[u8]| {
    if let Ok(compiled) = CompiledModel::from_bytes(payload) {
        let _ = compiled.layout();
    }
});
