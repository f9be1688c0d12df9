//! Many thousands of mutated calls: the contracts and the Rust verifier judge alike, and accept none.

use std::collections::BTreeMap;

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use tensorseal_verifier_contract::evm::EvmError;

use crate::mutations::{Subject, contract};

/// Mutated calls that the test makes.
const MUTANTS: u64 = 20_000;

#[test]
fn mutated_calls_are_judged_alike_and_refused() {
    let subject = Subject::new();
    for (model, registry) in [(0, false), (1, false), (0, true), (1, true)] {
        let call = subject.honest(model, registry);
        assert!(subject.native(&call), "Rust refuses the honest call");
        assert!(
            contract(&mut subject.evm.clone(), &call),
            "refused honest call"
        );
    }
    let seed = 20_261_126;
    println!("seed {seed}");
    // Why the contracts refuse, to see that all their checks are reached.
    let reasons = (0..MUTANTS)
        .into_par_iter()
        .map_init(
            || subject.evm.clone(),
            |evm, index| {
                let mut rng = ChaCha20Rng::seed_from_u64(seed);
                rng.set_stream(index);
                // Edits can undo each other; then the next program is taken.
                let call = loop {
                    let mut program = [0; 32];
                    rng.fill_bytes(&mut program);
                    if let Some(call) = subject.mutant(&program) {
                        break call;
                    }
                };
                assert!(
                    !subject.native(&call),
                    "Rust accepts mutant {index}: {call:02x?}"
                );
                match evm.verify(call.to, &call.calldata) {
                    Err(EvmError::Refused(refusal)) => {
                        let text = format!("{refusal:?}");
                        let name = text.split([' ', '{']).next().expect("a first part");
                        BTreeMap::from([(name.to_owned(), 1)])
                    }
                    other => panic!("the contract says {other:?} to mutant {index}: {call:02x?}"),
                }
            },
        )
        .reduce(BTreeMap::new, |mut all, some| {
            for (name, count) in some {
                *all.entry(name).or_insert(0) += count;
            }
            all
        });
    println!("{reasons:#?}");
    assert_eq!(reasons.values().sum::<u64>(), MUTANTS);
    for name in [
        "BadKey",
        "BadInstanceCount",
        "BadProofLength",
        "BadCalldata",
        "ScalarNotCanonical",
        "PointNotOnCurve",
        "PrecompileFailed",
        "PairingFailed",
        "NoReason",
        "UnknownModel",
    ] {
        let count = reasons.get(name).copied().unwrap_or(0);
        assert!(
            count >= 20,
            "{name} is the reason for {count} refusals only"
        );
    }
}
