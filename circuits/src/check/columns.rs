//! The fixed columns, and what holds of them row by row whatever the model is.

use super::CheckError;
use crate::layout::Layout;
use crate::profile::{HashFixed, Profile, boundary, fixed};

/// The fixed columns of a layout, before folding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<'a> {
    pub(super) profile: Profile,
    /// Last row of the circuit, where the totals are compared.
    pub(super) last: usize,
    columns: &'a [Vec<i64>],
}

impl<'a> Columns<'a> {
    /// Checks the number of columns, what stands in the last row and after it, and the rows' common selectors.
    pub(super) fn new(layout: &'a Layout) -> Result<Self, CheckError> {
        let profile = layout.profile;
        let powers = [profile.lanes, profile.fixed_lanes, profile.fold];
        if !powers.iter().all(|n| n.is_power_of_two()) || profile.fixed_lanes < profile.lanes {
            return Err(CheckError::new(
                "the profile has lanes that no power of two counts",
            ));
        }
        if layout.fixed.len() != profile.fixed_columns() {
            return Err(CheckError::new(
                "it has other fixed columns than its profile",
            ));
        }
        let columns = Columns {
            profile,
            last: layout.last_row(),
            columns: &layout.fixed,
        };
        columns.ends()?;
        columns.boundaries()?;
        if profile.hash {
            let constants = columns.column(profile.hash_fixed(HashFixed::Constant));
            if constants.iter().any(|v| *v != 0) || layout.hash.constants.len() > columns.last {
                return Err(CheckError::new(
                    "the constants of the hash are in two places",
                ));
            }
        } else if !layout.hash.constants.is_empty() {
            return Err(CheckError::new(
                "there are constants of a hash, but no hash",
            ));
        }
        Ok(columns)
    }

    /// A cell; what no row holds is 0.
    pub(super) fn at(&self, column: usize, row: usize) -> i64 {
        self.columns[column].get(row).copied().unwrap_or(0)
    }

    /// A column up to the last row that holds anything.
    pub(super) fn column(&self, column: usize) -> &'a [i64] {
        &self.columns[column]
    }

    /// Nothing stands in the last row or after it, but the mark of the last row.
    fn ends(&self) -> Result<(), CheckError> {
        for (i, column) in self.columns.iter().enumerate() {
            let mark = |row: usize| i == fixed::BOUNDARY && row == self.last;
            let rest = column.iter().enumerate().skip(self.last);
            if let Some((row, _)) = rest.into_iter().find(|(row, v)| **v != 0 && !mark(*row)) {
                return Err(CheckError::at(
                    row,
                    format!("fixed column {i} goes on past the last row"),
                ));
            }
        }
        Ok(())
    }

    fn boundaries(&self) -> Result<(), CheckError> {
        if let Some(row) = (0..self.last).find(|row| self.at(fixed::ACTIVE, *row) != 1) {
            return Err(CheckError::at(row, "the row is not active"));
        }
        for row in 0..=self.last {
            let allowed: &[i64] = match row {
                0 => &[boundary::FIRST],
                row if row == self.last => &[boundary::LAST],
                _ if self.profile.hash => &[0, boundary::LOAD, boundary::DIGEST],
                _ => &[0],
            };
            if !allowed.contains(&self.at(fixed::BOUNDARY, row)) {
                return Err(CheckError::at(row, "a boundary that does not belong there"));
            }
        }
        Ok(())
    }
}
