//! What `deploy --out` writes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorseal::chain::deployment::Deployment;

// Shared with the other targets, which use more of it.
#[allow(dead_code)]
mod files;

fuzz_target!(|bytes: &[u8]| drop(Deployment::read(&files::written(bytes))));
