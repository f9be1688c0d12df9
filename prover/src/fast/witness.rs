//! Where the fast prover's advice columns come from.

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

/// One advice column, rows from 0; rows that are not given are zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// Small signed integers, of at most 40 bits.
    Small(Vec<i64>),
    /// Field elements.
    Dense(Vec<Fr>),
}

impl Values {
    /// Rows that are given.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Small(values) => values.len(),
            Self::Dense(values) => values.len(),
        }
    }

    /// True where no row is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same values as field elements, `rows` of them.
    #[must_use]
    pub fn into_dense(self, rows: usize) -> Vec<Fr> {
        let mut values = match self {
            Self::Small(values) => values.into_iter().map(crate::small::from_i64).collect(),
            Self::Dense(values) => values,
        };
        values.resize(rows, Fr::ZERO);
        values
    }
}

/// A witness that fills whole columns, a phase at a time, with no call a cell.
///
/// It must fill what the circuit's `synthesize` assigns.
pub trait ColumnWitness {
    /// The advice columns of `phase` (0, 1, 2), in the order of the constraint system. `challenges` are those drawn
    /// so far, in the order of their allocation.
    fn phase(&mut self, phase: usize, challenges: &[Fr]) -> Vec<Values>;
}
