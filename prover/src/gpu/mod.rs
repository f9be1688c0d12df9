//! Proving on a GPU.
//!
//! The kernels are CUDA C++ (`kernels/`), compiled at run time by NVIDIA's library for the device that is found, and in
//! tests by the system's compiler for this processor: the same sources, launched by the same code.
//!
//! | module | purpose |
//! |---|---|
//! | `device` | memory, copies, launches; all unsafe code |
//! | `source` | the kernels' text |
//! | `error` | what can go wrong |
//! | `scan` | running sums and products, sums, quotients by `X - z` |
//! | `ntt` | Fourier transforms |
//! | `msm` | multi-scalar multiplication |
//! | `column` | columns and polynomials on the device |
//! | `need` | how much memory a key's proofs take |
//! | `backend` | the backend proper |

mod backend;
mod column;
pub(crate) mod device;
mod error;
mod msm;
mod need;
mod ntt;
mod scan;
mod source;
#[cfg(test)]
pub(crate) mod tests;

pub use crate::icicle::IcicleCode;
pub(crate) use backend::Gpu;
pub(crate) use column::{DeviceColumn, DevicePolynomial};
pub use error::GpuError;

use std::sync::Arc;

use device::{
    Device,
    cuda::{self, Cuda},
};

/// Opens the first CUDA device.
pub(crate) fn open() -> Result<Arc<dyn Device>, GpuError> {
    let device = Cuda::open(0)?;
    Ok(device)
}

/// A device that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDevice {
    /// The backend that it belongs to: `cuda` or `icicle`.
    pub backend: &'static str,
    /// Its number and name.
    pub device: Option<(usize, String)>,
    /// Its architecture, as the vendor names it.
    pub arch: Option<String>,
    /// Bytes that are free, and all its bytes.
    pub memory: Option<(u64, u64)>,
    /// Whether the kernels have been compiled for it already.
    pub kernels_ready: bool,
    /// Why it cannot be used.
    pub problem: Option<GpuError>,
}

/// All devices that are found, or why none is.
#[must_use]
pub fn devices() -> Vec<FoundDevice> {
    let missing = |backend, device, problem| FoundDevice {
        backend,
        device,
        arch: None,
        memory: None,
        kernels_ready: false,
        problem: Some(problem),
    };
    let icicle = crate::icicle::found();
    let count = match cuda::count() {
        Ok(count) => count,
        Err(why) => return vec![missing("cuda", None, why), icicle],
    };
    let found = |ordinal| match cuda::properties(ordinal) {
        Err(why) => missing("cuda", Some((ordinal, String::new())), why),
        Ok(properties) => {
            let kernels_ready = cuda::is_compiled(&properties.arch);
            FoundDevice {
                backend: "cuda",
                device: Some((ordinal, properties.name)),
                memory: Some((properties.memory.free, properties.memory.total)),
                kernels_ready,
                problem: (!kernels_ready).then(cuda::compiler).and_then(Result::err),
                arch: Some(properties.arch),
            }
        }
    };
    (0..count).map(found).chain([icicle]).collect()
}
pub(crate) use need::Need;
