//! A program of edits makes a call of an honest one: the contracts and the Rust verifier must judge it alike, and accept it
//! only where the edits undo each other. The quick form is `verifier-contract/tests/differential.rs`.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use tensorseal_verifier_contract::evm::EmbeddedEvm;

// Shared with the tests, which use more of them.
#[allow(dead_code)]
#[path = "../../verifier-contract/tests/case.rs"]
mod case;
#[path = "../../verifier-contract/tests/circuits.rs"]
mod circuits;
#[path = "../../verifier-contract/tests/mutations.rs"]
mod mutations;
#[allow(dead_code)]
#[path = "../../verifier-contract/tests/registered.rs"]
mod registered;

use mutations::{Subject, contract};

thread_local! {
    static STATE: RefCell<(Subject, EmbeddedEvm)> = RefCell::new({
        let subject = Subject::new();
        let evm = subject.evm.clone();
        (subject, evm)
    });
}

fuzz_target!(|program: &[u8]| {
    STATE.with_borrow_mut(|(subject, evm)| {
        if let Some(call) = subject.mutant(program) {
            let verdicts = (subject.native(&call), contract(evm, &call));
            assert_eq!(verdicts, (false, false), "Rust, contract: {call:02x?}");
        }
    });
});
