//! What the readers of all formats give.

/// Values that a compressed array may always have, a quarter of a gibibyte of `f32`; beyond, no more than four for each
/// byte of its file, so that a small file cannot unfold into all memory.
pub(super) const FREE_VALUES: u64 = 1 << 26;

/// An array of a file, row-major.
#[derive(Debug, Default)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// Why an array was not read.
#[derive(Debug)]
pub(super) enum Refused {
    /// What is wrong with the bytes.
    Format(String),
    /// It has more values than it may.
    TooLarge { values: u64, limit: u64 },
}

impl From<String> for Refused {
    fn from(reason: String) -> Self {
        Refused::Format(reason)
    }
}
