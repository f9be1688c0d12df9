//! What can go wrong while a circuit assigns its cells.

use halo2_proofs::plonk;

/// Why a circuit could not be laid out, or its witness not be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthesisError {
    /// A cell lies below the last usable row.
    #[error(
        "row {row} is used, but a circuit of 2^{k} rows has {usable} usable ones (the last are for \
         blinding); use a larger k"
    )]
    NotEnoughRows {
        /// The row that was assigned, copied or queried.
        row: usize,
        /// How many rows may be used.
        usable: usize,
        /// Base-2 logarithm of the number of rows.
        k: u32,
    },
    /// An advice cell has no value although its phase has come.
    #[error(
        "advice column {column} has no value in row {row}, though phase {phase} is being proved; the \
         witness is incomplete, or is computed from a challenge before `next_phase`"
    )]
    MissingWitness {
        /// Index of the advice column.
        column: usize,
        /// The row.
        row: usize,
        /// The phase, counted from 0.
        phase: usize,
    },
    /// A fixed cell was given an unknown value.
    #[error(
        "fixed column {column} is filled with an unknown value; fixed cells cannot depend on the witness"
    )]
    UnknownFixed {
        /// Index of the fixed column.
        column: usize,
    },
    /// A copy constraint names a column without `enable_equality`.
    #[error("{column} takes part in a copy constraint; call `enable_equality` on it")]
    NoEquality {
        /// The column.
        column: String,
    },
    /// The column is not one of the circuit's.
    #[error("{column} was not allocated when the circuit was configured")]
    NoSuchColumn {
        /// The column.
        column: String,
    },
    /// The circuit's own error.
    #[error("the circuit's synthesis failed: {0}")]
    Circuit(#[source] plonk::Error),
}

/// Keeps the first error: halo2's `Assignment` has no way to return one from most of its methods.
#[derive(Debug, Default)]
pub(crate) struct FirstError<E>(Option<E>);

impl<E> FirstError<E> {
    pub(crate) fn new() -> Self {
        Self(None)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn set(&mut self, error: impl Into<E>) {
        if self.0.is_none() {
            self.0 = Some(error.into());
        }
    }

    /// Records an error and drops it.
    pub(crate) fn catch<T>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.set(error)).ok()
    }

    pub(crate) fn check(&mut self) -> Result<(), E> {
        self.0.take().map_or(Ok(()), Err)
    }
}
