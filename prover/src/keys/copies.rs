//! Copy constraints as a permutation of cells.

use std::collections::HashMap;

use ff::PrimeField;
use halo2_proofs::{
    halo2curves::bn256::Fr,
    plonk::{Any, Column, ConstraintSystem},
};
use rayon::prelude::*;

use crate::{
    bytes::{PayloadError, Reader, push_u32},
    srs::{powers, root_of_unity},
    synthesis::SynthesisError,
};

/// The cycles of cells that must be equal, while they grow.
///
/// Cells are numbered `column·n + row`, columns in the order of the permutation argument. `σ` maps each
/// cell to the next of its cycle. Which of the many cycles over the same cells arises is decided by the
/// order of merging; this is the order of halo2's own key generation, or the commitments would differ.
pub(crate) struct Cycles {
    n: usize,
    position: HashMap<Column<Any>, usize>,
    next: Vec<u32>,
    /// A distinguished cell of each cell's cycle.
    leader: Vec<u32>,
    /// The cycle's length, right for leaders alone.
    length: Vec<u32>,
}

impl Cycles {
    /// Every cell alone. The caller has checked that the cells can be numbered in 32 bits.
    pub(crate) fn new(cs: &ConstraintSystem<Fr>, n: usize) -> Self {
        let columns = cs.permutation().get_columns();
        let cells = u32::try_from(columns.len() * n).expect("checked by the caller");
        Self {
            n,
            position: columns
                .into_iter()
                .enumerate()
                .map(|(i, column)| (column, i))
                .collect(),
            next: (0..cells).collect(),
            leader: (0..cells).collect(),
            length: vec![1; cells as usize],
        }
    }

    fn cell(&self, column: Column<Any>, row: usize) -> Result<usize, SynthesisError> {
        let position = self
            .position
            .get(&column)
            .ok_or_else(|| SynthesisError::NoEquality {
                column: match column.column_type() {
                    Any::Advice(_) => format!("advice column {}", column.index()),
                    Any::Fixed => format!("fixed column {}", column.index()),
                    Any::Instance => format!("instance column {}", column.index()),
                },
            })?;
        Ok(position * self.n + row)
    }

    /// Makes two cells equal; `row < n` is the caller's to check.
    pub(crate) fn copy(
        &mut self,
        left: (Column<Any>, usize),
        right: (Column<Any>, usize),
    ) -> Result<(), SynthesisError> {
        let (left, right) = (self.cell(left.0, left.1)?, self.cell(right.0, right.1)?);
        let (mut kept, mut merged) = (self.leader[left] as usize, self.leader[right] as usize);
        if kept == merged {
            return Ok(());
        }
        if self.length[kept] < self.length[merged] {
            std::mem::swap(&mut kept, &mut merged);
        }
        self.length[kept] += self.length[merged];
        let mut cell = merged;
        loop {
            self.leader[cell] = kept as u32;
            cell = self.next[cell] as usize;
            if cell == merged {
                break;
            }
        }
        // Swapping the successors of one cell in each of two cycles joins the cycles.
        self.next.swap(left, right);
        Ok(())
    }

    pub(crate) fn finish(self) -> CopyMap {
        let moved = self
            .next
            .iter()
            .zip(0u32..)
            .filter(|(next, cell)| *next != cell);
        CopyMap {
            moved: moved.map(|(next, cell)| (cell, *next)).collect(),
        }
    }
}

/// The permutation `σ`, stored where it moves a cell: `(cell, σ(cell))`, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CopyMap {
    moved: Vec<(u32, u32)>,
}

impl CopyMap {
    /// The cells that are moved, each with its image.
    pub(crate) fn moved(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.moved
            .iter()
            .map(|(cell, next)| (*cell as usize, *next as usize))
    }

    /// The columns `s_j` of the argument: `s_j(ω^i) = δ^j'·ω^i'` where `σ(j, i) = (j', i')`.
    pub(crate) fn expand(&self, columns: usize, k: u32) -> Vec<Vec<Fr>> {
        let n = 1usize << k;
        let roots = powers(root_of_unity(k), n);
        let deltas = powers(Fr::DELTA, columns);
        let mut sigma: Vec<Vec<Fr>> = deltas
            .par_iter()
            .map(|delta| roots.iter().map(|root| *delta * root).collect())
            .collect();
        for (cell, next) in self.moved() {
            sigma[cell / n][cell % n] = deltas[next / n] * roots[next % n];
        }
        sigma
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        push_u32(out, self.moved.len());
        for (cell, next) in &self.moved {
            out.extend_from_slice(&cell.to_le_bytes());
            out.extend_from_slice(&next.to_le_bytes());
        }
    }

    /// Reads a permutation of `cells` cells.
    pub(crate) fn read(reader: &mut Reader<'_>, cells: usize) -> Result<Self, PayloadError> {
        const WHAT: &str = "copy constraint";
        let count = reader.count(8, WHAT)?;
        let mut moved: Vec<(u32, u32)> = Vec::with_capacity(count);
        let mut reached = vec![false; cells];
        for _ in 0..count {
            let (cell, next) = (reader.u32(WHAT)?, reader.u32(WHAT)?);
            let ascending = moved.last().is_none_or(|(last, _)| *last < cell);
            let exist = (cell as usize) < cells && (next as usize) < cells;
            if !ascending || cell == next || !exist || reached[next as usize] {
                return Err(reader.invalid(8, WHAT));
            }
            reached[next as usize] = true;
            moved.push((cell, next));
        }
        // As many cells are reached as are moved, each once: it is a permutation if they are the same ones.
        match moved.iter().all(|(cell, _)| reached[*cell as usize]) {
            true => Ok(Self { moved }),
            false => Err(reader.invalid(8 * count, "permutation of copied cells")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_permutations_are_read() {
        let read = |moved: &[(u32, u32)]| {
            let mut bytes = vec![];
            let map = CopyMap {
                moved: moved.to_vec(),
            };
            map.write(&mut bytes);
            CopyMap::read(&mut Reader::new(&bytes), 8).map(|read| assert_eq!(read, map))
        };
        for moved in [
            &[][..],
            &[(0, 7), (7, 0)],
            &[(1, 2), (2, 3), (3, 1), (5, 6), (6, 5)],
        ] {
            read(moved).unwrap();
        }
        for moved in [
            &[(1, 1)][..],
            &[(1, 2)],
            &[(1, 2), (2, 2)],
            &[(1, 2), (3, 2)],
            &[(2, 1), (1, 2)],
            &[(1, 2), (2, 3)],
            &[(1, 2), (1, 2), (2, 1)],
            &[(7, 8), (8, 7)],
        ] {
            assert!(read(moved).is_err(), "{moved:?}");
        }
    }
}
