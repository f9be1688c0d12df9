//! What ICICLE's functions return.

/// Why a function of ICICLE's failed, as its interface has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IcicleCode {
    /// 1.
    #[error("invalid device")]
    InvalidDevice,
    /// 2.
    #[error("out of memory")]
    OutOfMemory,
    /// 3.
    #[error("invalid pointer")]
    InvalidPointer,
    /// 4.
    #[error("allocation failed")]
    AllocationFailed,
    /// 5.
    #[error("deallocation failed")]
    DeallocationFailed,
    /// 6.
    #[error("copy failed")]
    CopyFailed,
    /// 7.
    #[error("synchronization failed")]
    SynchronizationFailed,
    /// 8.
    #[error("stream creation failed")]
    StreamCreationFailed,
    /// 9.
    #[error("stream destruction failed")]
    StreamDestructionFailed,
    /// 10.
    #[error("not implemented by this backend of ICICLE's")]
    NotImplemented,
    /// 11.
    #[error("invalid argument")]
    InvalidArgument,
    /// 12.
    #[error("the backend could not be loaded")]
    BackendLoadFailed,
    /// 13.
    #[error("the licence of the backend is missing or invalid")]
    License,
    /// Any other.
    #[error("unknown error {0}")]
    Unknown(i32),
}

impl IcicleCode {
    /// What is not success.
    pub(super) fn new(code: i32) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::InvalidDevice,
            2 => Self::OutOfMemory,
            3 => Self::InvalidPointer,
            4 => Self::AllocationFailed,
            5 => Self::DeallocationFailed,
            6 => Self::CopyFailed,
            7 => Self::SynchronizationFailed,
            8 => Self::StreamCreationFailed,
            9 => Self::StreamDestructionFailed,
            10 => Self::NotImplemented,
            11 => Self::InvalidArgument,
            12 => Self::BackendLoadFailed,
            13 => Self::License,
            other => Self::Unknown(other),
        })
    }
}
