//! What can go wrong with a device.

use crate::icicle::IcicleCode;

/// Why a GPU cannot be used, or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// A library of the vendor is not installed.
    #[error("{library} is not found; {mend}")]
    NoLibrary {
        /// The library.
        library: &'static str,
        /// What installs it.
        mend: &'static str,
    },
    /// The driver works, but knows no device.
    #[error(
        "the driver finds no device; see that one is installed and visible (`nvidia-smi`, CUDA_VISIBLE_DEVICES)"
    )]
    NoDevice,
    /// The device lacks something that is needed.
    #[error("{device} cannot be used: {why}")]
    Unsuitable {
        /// The device's name.
        device: String,
        /// What it lacks.
        why: String,
    },
    /// A call of the driver failed.
    #[error("{device}: {what} failed: {code}")]
    Driver {
        /// The device's name.
        device: String,
        /// What was asked for.
        what: &'static str,
        /// The driver's answer.
        code: String,
    },
    /// The kernels do not compile here.
    #[error("compiling the kernels for {arch}: {log}")]
    Compile {
        /// The architecture.
        arch: String,
        /// The compiler's answer.
        log: String,
    },
    /// A key and its proofs need more memory than there is.
    #[error(
        "proofs of this circuit (k = {k}) need {} on {device}, of which {} are free; use a device with more memory, or --backend cpu",
        megabytes(*needed), megabytes(*free)
    )]
    Memory {
        /// The device's name.
        device: String,
        /// The size of the circuit.
        k: u32,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Memory ran out although it had been planned for: somebody else took it.
    #[error("{device} has no {} left for {}; another process may use it", megabytes(*free), megabytes(*bytes))]
    OutOfMemory {
        /// The device's name.
        device: String,
        /// Bytes asked for.
        bytes: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The device computed something impossible.
    #[error(
        "{device} gave a point that is not on the curve; the hardware or the driver is at fault, prove again"
    )]
    OffCurve {
        /// The device's name.
        device: String,
    },
    /// One of ICICLE's libraries is not there, or does not load.
    #[error(
        "ICICLE's library {library} does not load: {why}; install ICICLE 4 for bn254, and name the folder of its \
         libraries in ICICLE_LIB_DIR"
    )]
    IcicleLibrary {
        /// The library.
        library: &'static str,
        /// What the system says.
        why: String,
    },
    /// One of ICICLE's libraries is of another version, or built without what is needed.
    #[error(
        "ICICLE's library {library} has no function {function}; install ICICLE 4, built for bn254 with MSM and NTT"
    )]
    IcicleFunction {
        /// The library.
        library: &'static str,
        /// The function.
        function: &'static str,
    },
    /// ICICLE is there, but no device for it.
    #[error(
        "ICICLE has no device ({why}); name the folder of its backends in ICICLE_BACKEND_INSTALL_DIR, or a kind of \
         device, which may be CPU, in ICICLE_DEVICE"
    )]
    NoIcicleDevice {
        /// Which were tried, and how they failed.
        why: String,
    },
    /// A function of ICICLE's failed.
    #[error("{device}: {call} failed: {code}")]
    Icicle {
        /// The device's name.
        device: String,
        /// The function.
        call: &'static str,
        /// What it returned.
        code: IcicleCode,
    },
}

fn megabytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
