//! The contracts: as generated, as compiled, and as judges of proofs.
//!
//! `TENSORSEAL_REGENERATE=1 cargo test -p tensorseal-verifier-contract --test main regenerate` writes sources,
//! bytecode and the golden file.

mod anvil;
mod batch;
mod case;
mod circuits;
mod differential;
mod digest;
mod gas;
mod generated;
mod harness;
mod keys;
mod mutations;
mod packed;
mod precompiles;
mod registered;
mod registry;
mod verdicts;

#[test]
fn regenerate_and_gas() {
    if generated::regenerating() {
        generated::regenerate();
        digest::regenerate();
        packed::HARNESS.regenerate();
    }
    gas::check();
}
