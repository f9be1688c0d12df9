//! SRS, keys, a prover and a verifier for halo2-axiom circuits of up to three phases.
//!
//! Nothing here knows of neural networks: any `halo2_proofs::plonk::Circuit<Fr>` over BN254 with KZG and
//! SHPLONK will do, except one that uses halo2's own lookup argument. Verifying keys are halo2's, and its
//! `verify_proof` accepts the proofs; but where its prover panics on a third phase, this one does not.
//!
//! ```
//! use ff::Field;
//! use halo2_proofs::{
//!     circuit::{Layouter, SimpleFloorPlanner, Value},
//!     halo2curves::bn256::Fr,
//!     plonk::{Advice, Circuit, Column, ConstraintSystem, Error, Instance, Selector},
//!     poly::Rotation,
//! };
//!
//! /// "I know a square root of the public value."
//! struct Root(Fr);
//!
//! impl Circuit<Fr> for Root {
//!     type Config = (Column<Advice>, Column<Instance>, Selector);
//!     type FloorPlanner = SimpleFloorPlanner;
//!     type Params = ();
//!
//!     fn without_witnesses(&self) -> Self {
//!         Root(Fr::ZERO)
//!     }
//!
//!     fn configure(cs: &mut ConstraintSystem<Fr>) -> Self::Config {
//!         let (root, square, s) = (cs.advice_column(), cs.instance_column(), cs.selector());
//!         cs.create_gate("square", |cells| {
//!             let s = cells.query_selector(s);
//!             let root = cells.query_advice(root, Rotation::cur());
//!             let square = cells.query_instance(square, Rotation::cur());
//!             vec![s * (root.clone() * root - square)]
//!         });
//!         (root, square, s)
//!     }
//!
//!     fn synthesize(&self, (root, _, s): Self::Config, mut l: impl Layouter<Fr>) -> Result<(), Error> {
//!         l.assign_region(|| "", |mut region| {
//!             region.assign_advice(root, 0, Value::known(self.0));
//!             s.enable(&mut region, 0)
//!         })
//!     }
//! }
//!
//! let circuit = Root(Fr::from(12));
//! let public = vec![Fr::from(144)];
//!
//! use rand::rngs::OsRng;
//! use tensorseal_prover::{ProveOptions, Srs, fast, keygen, verify};
//!
//! let srs = Srs::dev(4)?;                                        // insecure; or one of a ceremony
//! let pk = keygen(&srs, &circuit, &[public.len()])?;             // rows of each instance column
//! let prover = fast::Prover::new(&srs, &pk, fast::DEFAULT_MEMORY)?;
//! let instances = [public];
//! let proof = prover.prove(ProveOptions::default(), &circuit, &instances, OsRng)?;
//! verify(pk.vk(), &instances, &proof)?;
//! assert!(verify(pk.vk(), &[vec![Fr::from(145)]], &proof).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | [`srs`] | the structured reference string: development, import, checks, files |
//! | [`keys`] | proving and verifying keys, their files |
//! | [`plain`] | the reference prover: the protocol as written |
//! | [`fast`] | the prover: the same proofs, several times faster; its work is done by a backend: `cpu`, `cuda` or `icicle` |
//! | [`gpu`] | the backend `cuda`, and which devices there are, ICICLE's too |
//! | [`verify`](mod@verify) | the verifier |
//! | [`figures`] | what provers are measured with |
//! | [`transcript`] | Keccak-256 Fiat-Shamir, shared with the EVM |
//! | [`artifact`] | the container of every file |
//! | [`mapped`] | files as slices |
//! | [`output`] | writing files |

pub mod artifact;
mod backend;
mod bytes;
mod constraints;
pub mod fast;
pub mod figures;
pub mod gpu;
mod icicle;
#[doc(hidden)]
pub mod kernels;
pub mod keys;
pub mod mapped;
mod msm;
pub mod output;
pub mod plain;
mod small;
pub mod srs;
mod synthesis;
// A circuit that the tests from outside have too.
#[cfg(test)]
#[path = "../tests/integration/toy.rs"]
mod toy;
pub mod transcript;
pub mod verify;

pub use bytes::PayloadError;
pub use keys::{KeyError, KeygenError, ProvingKey, VerifyingKey, check_environment, keygen};
pub use plain::{ProveError, ProveOptions, prove, prove_with};
pub use srs::{Srs, SrsError};
pub use synthesis::SynthesisError;
pub use verify::{VerifyError, verify};
