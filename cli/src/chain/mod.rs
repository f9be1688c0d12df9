//! Deploying, registering and verifying: in the embedded EVM, or on a chain over JSON-RPC.
//!
//! | module | what it does |
//! |---|---|
//! | `account` | who signs |
//! | [`deployment`] | what stands where, as a file |
//! | `model` | a verifying key as the contract crate sees it |
//! | `target` | deploys, registers, verifies, or only says what it would do |

mod account;
pub mod deployment;
mod model;
mod target;

pub use deployment::{Deployment, Registration, Sent, Step};
pub use model::{calldata, check_uri, key_id, project, registered_uri, replay};
pub use target::{Planned, Target, Verdict, Wanted};
pub use tensorseal_verifier_contract::chain::GasPrice;
