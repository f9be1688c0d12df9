//! Files of a ceremony, and edits of the payload of a reference string of our own; the first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorseal::pipeline::{dev_srs, import_srs, read_srs, write_srs};
use tensorseal_prover::artifact::Kind;

// Shared with the other targets, which use more of it.
#[allow(dead_code)]
mod files;

thread_local! {
    static HONEST: Vec<u8> = {
        let srs = dev_srs(6).expect("a small one");
        files::payload(Kind::Srs, |path| write_srs(path, &srs))
    };
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((b'p', bytes)) => drop(import_srs(&files::written(bytes), None, &mut |_| ())),
        Some((_, program)) => HONEST.with(|honest| {
            let path = files::sealed(Kind::Srs, &files::edited(honest, program));
            let _ = read_srs(&path, None);
        }),
        None => {}
    }
});
