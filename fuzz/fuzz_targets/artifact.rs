//! The frame of every artifact.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorseal::pipeline::read_header;

// Shared with the other targets, which use more of it.
#[allow(dead_code)]
mod files;

fuzz_target!(|bytes: &[u8]| drop(read_header(&files::written(bytes))));
