//! The constraints of a circuit as programs, and what a proof evaluates of them.

pub(crate) mod linear;
pub(crate) mod numerator;
pub(crate) mod plan;
pub(crate) mod queries;
