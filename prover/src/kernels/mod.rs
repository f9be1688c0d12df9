//! The two transforms a prover spends its time in: sums of multiples of curve points, and Fourier transforms.
//!
//! | module | purpose |
//! |---|---|
//! | [`msm`] | `Σ s_i·G_i` over bases known in advance, with dense or small signed scalars |
//! | [`ntt`] | coefficients to evaluations and back, over a subgroup or a coset of it |
//! | `lanes` | eight field elements at a time, for both |

#[cfg(target_arch = "x86_64")]
mod lanes;
pub mod msm;
pub mod ntt;

pub use msm::FixedBase;
pub use ntt::{Coset, Domain};
