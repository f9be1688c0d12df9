//! What provers are measured with: a circuit of any size, and the operations that its proofs are made of.
//!
//! A [`Synthetic`] circuit is proved on any processor, and what [`operations()`] times is what that proof's stages call, by
//! the same code. Nothing here is needed to prove.
//!
//! | module | purpose |
//! |---|---|
//! | `circuit` | the circuit and its witness |
//! | `memory` | what measuring it takes, told in advance |
//! | `operations` | single operations of a backend |

mod circuit;
mod memory;
mod operations;
#[cfg(test)]
mod tests;

pub use circuit::Synthetic;
pub use operations::{Operation, operations};
