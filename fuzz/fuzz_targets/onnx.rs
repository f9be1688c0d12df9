//! ONNX models: import, and the float reference of what is imported.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorseal_circuits::onnx::{ImportOptions, Reference, import};

fuzz_target!(|bytes: &[u8]| {
    let options = ImportOptions::default();
    if import(bytes, &options).is_ok() {
        let _ = Reference::new(bytes, &options);
    }
});
