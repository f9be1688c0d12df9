//! Solidity verifiers for halo2 proofs (KZG on BN254, SHPLONK, Keccak-256 transcript).
//!
//! One contract serves every circuit of a *profile*, that is, of one constraint system. What differs from
//! model to model (`k`, fixed commitments, SRS) is the model's *key*, stored as contract code and read by the
//! verifier. A proof is accepted by the contract exactly where `halo2_proofs::plonk::verify_proof` accepts it.
//!
//! | module | what it does |
//! |---|---|
//! | [`codegen`] | reads a constraint system's layout and writes its contract |
//! | [`profiles`] | the contracts of the known profiles, with their bytecode |
//! | [`key`] | a verifying key as a data contract, and back |
//! | [`calldata`] | the call `verify(address,uint256[],bytes)` |
//! | [`registry`] | the model registry: its contract, model ids, calldata |
//! | [`project`] | a Foundry project around a model |
//! | [`evm`] | runs contracts in process |
//! | [`chain`] | deploys and verifies over JSON-RPC |
//! | [`revert`] | the contract's reasons for refusing |
//!
//! The life of a model: [`codegen::VerifierLayout::new`] from the verifying key's constraint system,
//! [`profiles::for_layout`] for the contract, [`key::KeyData::new`] for the key; deploy both; then for each
//! proof [`calldata::encode_verify`] and [`evm::EmbeddedEvm::verify`] or [`chain::Chain::verify`].

pub mod calldata;
pub mod chain;
pub mod codegen;
pub mod evm;
pub mod key;
pub mod packed;
pub mod profiles;
pub mod project;
pub mod registry;
pub mod revert;
