//! Solidity for a profile: from a constraint system to one verifier contract.
//!
//! [`VerifierLayout`] reads off the constraint system what proofs, keys and openings look like;
//! [`generate`] writes the contract. The contract checks what `halo2_proofs::plonk::verify_proof` checks
//! with KZG, SHPLONK and the Keccak transcript, for one circuit and one proof.
//!
//! Compile the source with the settings of `compile.mjs`; other settings can run out of stack.

mod dag;
mod layout;
mod memory;
mod openings;
mod points;
mod source;
mod text;
mod transcript;
mod yul;

pub use layout::{KEY_MAGIC, KEY_VERSION, VerifierLayout};

pub(crate) use layout::KEY_FIXED_WORDS;
pub use source::generate;
pub use text::ERRORS;

/// Why no contract can be written for a constraint system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodegenError {
    /// The profile's name is no part of a Solidity name.
    #[error(
        "profile name `{profile}` must be letters, digits and `_`; it becomes part of the contract's name"
    )]
    ProfileName {
        /// The name.
        profile: String,
    },
    /// The circuit uses halo2's own lookup argument.
    #[error(
        "the circuit has {count} halo2 lookup arguments, which the contract does not check; express them as gates (logUp)"
    )]
    Lookups {
        /// How many.
        count: usize,
    },
    /// The circuit uses copy constraints.
    #[error(
        "the circuit enables equality on {columns} columns, and the contract checks no copy constraints; express them as gates"
    )]
    CopyConstraints {
        /// Columns in the permutation argument.
        columns: usize,
    },
    /// A selector has not been replaced by a fixed column.
    #[error(
        "selector {index} is virtual; take the constraint system from a verifying key, or use fixed columns for selectors"
    )]
    VirtualSelector {
        /// The selector.
        index: usize,
    },
    /// Public values stand at a distance that the contract cannot step over.
    #[error("an instance stride must be a power of two, and {stride} is none")]
    Stride {
        /// The stride.
        stride: usize,
    },
    /// The circuit constrains nothing.
    #[error("the circuit queries no advice and no fixed column, so there is nothing to verify")]
    NoQueries,
}
