//! On the emulated device, and on a real one where there is one.

#[cfg(target_os = "linux")]
mod driver;
mod kernels;
mod proofs;
#[path = "../../../tests/integration/random.rs"]
pub(crate) mod random;

use std::sync::Arc;

use super::device::{Device, cuda::Cuda, emulated::Emulated};

/// The emulated device, and the first CUDA device if there is one.
pub(crate) fn devices() -> Vec<Arc<dyn Device>> {
    let mut devices: Vec<Arc<dyn Device>> = vec![Emulated::new(1 << 32)];
    match Cuda::open(0) {
        Ok(cuda) => devices.push(cuda),
        Err(why) => eprintln!("not on a CUDA device: {why}"),
    }
    devices
}
