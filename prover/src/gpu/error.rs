//! What can go wrong with a device.

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
    /// The proof that the device computed is wrong.
    #[error(
        "the proof that {device} computed does not verify ({why}); the hardware or the driver is at fault, prove again \
         or with --backend cpu"
    )]
    WrongProof {
        /// The device's name.
        device: String,
        /// What the verifier says.
        why: String,
    },
    /// The backend does not exist yet.
    #[error("there is no backend for {library} yet; use --backend cuda or cpu")]
    NoBackend {
        /// What it would use.
        library: &'static str,
    },
}

impl GpuError {
    /// What is to be said of ICICLE.
    pub(crate) fn icicle() -> Self {
        Self::NoBackend { library: "ICICLE" }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
