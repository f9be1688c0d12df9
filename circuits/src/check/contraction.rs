//! The functionals `u`: the exponent of `η` that each is folded with, and the polynomial that it is multiplied by.

use std::ops::Range;

use super::CheckError;
use super::columns::Columns;
use super::walk::{Exponents, Step};
use crate::profile::fixed;

/// A functional and its rows of weights.
#[derive(Clone, Debug)]
pub(super) struct Functional {
    /// First row of weights.
    pub(super) start: usize,
    /// Row of `u`, after the last row of weights.
    pub(super) row: usize,
    /// Exponent of `η` in `ub`.
    pub(super) index: i64,
    /// Exponent of `η^f` in `dot`, over that of the weights.
    base: i32,
}

/// All functionals, by row.
pub(super) fn functionals(columns: &Columns<'_>) -> Result<Vec<Functional>, CheckError> {
    let lanes = columns.profile.lanes as i64;
    let (mut index, mut base) = (0i64, 0i32);
    let mut out: Vec<Functional> = Vec::new();
    let mut moved = None;
    for row in (0..columns.last).rev() {
        // `dot'·{1, 1, η^f} = dot·{1, η^f, 1} + u·z`.
        let (over, under) = match columns.at(fixed::DOT_OP, row) {
            0 => (0, 0),
            1 => (1, 0),
            2 => (0, 1),
            _ => return Err(CheckError::at(row, "an unknown step of `dot`")),
        };
        // `ub' = {1, η, η^w, η}·ub + {0, u, 0, 0}`.
        let gain = match columns.at(fixed::U_OP, row) {
            0 => 0,
            1 => {
                out.push(Functional {
                    start: 0,
                    row,
                    index,
                    base: base - under,
                });
                1
            }
            2 => lanes,
            3 => 1,
            _ => return Err(CheckError::at(row, "an unknown step of `ub`")),
        };
        let ends = out.last().is_some_and(|f| f.row == row);
        if ends {
            moved = None;
        } else if gain != 0 || over + under != 0 {
            moved = Some(row);
        }
        index += gain;
        base += over - under;
    }
    out.reverse();
    // Before the first functional `dot` and `ub` are 0, whatever they are multiplied by.
    let first = out.first().map(|f| f.row);
    let idle = first.filter(|row| columns.at(fixed::DOT_OP, *row) == 1);
    if let Some(row) = moved.or(idle) {
        return Err(CheckError::at(row, "a step before the first functional"));
    }
    for i in 1..out.len() {
        out[i].start = out[i - 1].row;
    }
    let after = out.last().map_or(0, |f| f.row);
    rest_is_empty(columns, after)?;
    Ok(out)
}

/// No weights stand after the last functional.
fn rest_is_empty(columns: &Columns<'_>, after: usize) -> Result<(), CheckError> {
    let lanes = fixed::LANE0..fixed::LANE0 + columns.profile.fixed_lanes;
    for column in lanes.chain([fixed::Z_NUM, fixed::Z_DEN]) {
        let rest = columns.column(column).iter().enumerate().skip(after);
        if let Some((row, _)) = rest.into_iter().find(|(_, v)| **v != 0) {
            return Err(CheckError::at(row, "weights after the last functional"));
        }
    }
    Ok(())
}

/// The lanes of weights of some rows, row after row: functionals are short, columns long, and a cell from each of a hundred columns
/// is a hundred accesses to memory.
#[derive(Debug)]
pub(super) struct Lanes {
    first: usize,
    width: usize,
    values: Vec<i64>,
}

impl Lanes {
    pub(super) fn read(columns: &Columns<'_>, rows: Range<usize>) -> Self {
        let width = columns.profile.fixed_lanes;
        let mut values = vec![0; rows.len() * width];
        for (tile, first) in values.chunks_mut(8 * width).zip(rows.clone().step_by(8)) {
            for lane in 0..width {
                let column = columns.column(fixed::LANE0 + lane);
                let weights = column.get(first..).unwrap_or_default();
                for (row, weight) in tile.chunks_exact_mut(width).zip(weights) {
                    row[lane] = *weight;
                }
            }
        }
        Lanes {
            first: rows.start,
            width,
            values,
        }
    }

    fn row(&self, row: usize) -> &[i64] {
        &self.values[(row - self.first) * self.width..][..self.width]
    }
}

/// Adds weights lane by lane; false where a sum leaves 64 bits. In the circuit it does not wrap: it would be another weight.
fn add(sums: &mut [i64], weights: &[i64]) -> bool {
    // Negative once a sum has a sign that neither of its parts has.
    let mut beyond = 0;
    for (sum, weight) in sums.iter_mut().zip(weights) {
        let next = sum.wrapping_add(*weight);
        beyond |= (next ^ *sum) & (next ^ *weight);
        *sum = next;
    }
    beyond >= 0
}

/// The weights of a functional by monomial, from which those that the model explains are taken.
#[derive(Debug)]
pub(super) struct Weights {
    width: usize,
    /// The monomials, in order: the exponent of `η^f` and those of the coordinates.
    slots: Vec<Exponents>,
    /// `width` weights for each monomial.
    values: Vec<i64>,
    last: Option<(Exponents, usize)>,
}

impl Weights {
    /// Reads the weights of a functional, whose rows `lanes` holds.
    pub(super) fn read(
        columns: &Columns<'_>,
        lanes: &Lanes,
        functional: &Functional,
    ) -> Result<Self, CheckError> {
        let width = columns.profile.fixed_lanes;
        let (start, end) = (functional.start, functional.row);
        let mut monomials = vec![Exponents::default(); end - start];
        let mut at = Some(Exponents {
            k: functional.base,
            ..Exponents::default()
        });
        for row in (start..end).rev() {
            let Some(monomial) = at else {
                return Err(CheckError::at(
                    row,
                    "a functional forgets its first weights",
                ));
            };
            monomials[row - start] = monomial;
            let step = Step::read(columns, fixed::Z_NUM, fixed::Z_DEN, row)?;
            if step.starts() && !step.stays() {
                return Err(CheckError::at(row, "a functional starts with a step"));
            }
            at = step.before(monomial);
        }
        if at.is_some() {
            return Err(CheckError::at(
                start,
                "a functional's weights do not start anew",
            ));
        }
        let mut slots = monomials.clone();
        slots.sort_unstable();
        slots.dedup();
        let place =
            |monomial: &Exponents| slots.binary_search(monomial).expect("it is one of them");
        let mut values = vec![0i64; slots.len() * width];
        for (row, monomial) in (start..end).zip(monomials) {
            let sums = &mut values[place(&monomial) * width..][..width];
            if !add(sums, lanes.row(row)) {
                return Err(CheckError::at(row, "weights beyond 64 bits"));
            }
        }
        Ok(Weights {
            width,
            slots,
            values,
            last: None,
        })
    }

    /// Takes away what the model has at `βy^y·βx^x·η^exponent`.
    pub(super) fn take(&mut self, (y, x): (i32, i32), exponent: i64, weight: i64) -> bool {
        if weight == 0 {
            return true;
        }
        let width = self.width as i64;
        let key = Exponents {
            k: (exponent / width) as i32,
            y,
            x,
        };
        let slot = match self.last {
            Some((last, slot)) if last == key => slot,
            _ => {
                let Ok(slot) = self.slots.binary_search(&key) else {
                    return false;
                };
                self.last = Some((key, slot));
                slot
            }
        };
        let value = &mut self.values[slot * self.width + (exponent % width) as usize];
        match value.checked_sub(weight) {
            Some(rest) => *value = rest,
            None => return false,
        }
        true
    }

    /// The monomials that have weights left, with the exponent of `η` in full.
    pub(super) fn left(&self) -> Vec<(i64, (i32, i32))> {
        let left = self.values().filter(|(_, _, weight)| *weight != 0);
        left.map(|(exponent, by, _)| (exponent, by)).collect()
    }

    /// All weights with the exponents of `η` and of the coordinates.
    fn values(&self) -> impl Iterator<Item = (i64, (i32, i32), i64)> {
        self.values.iter().enumerate().map(|(i, weight)| {
            let (lane, monomial) = (i % self.width, &self.slots[i / self.width]);
            let exponent = i64::from(monomial.k) * self.width as i64 + lane as i64;
            (exponent, (monomial.y, monomial.x), *weight)
        })
    }

    /// All weights with their monomials, in order.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<(i64, (i32, i32), i64)> {
        let mut out: Vec<_> = self.values().filter(|entry| entry.2 != 0).collect();
        out.sort_unstable();
        out
    }

    /// Whether no weights are left.
    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(|v| *v == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::add;

    #[test]
    fn sums_of_weights_do_not_wrap() {
        let fits = |a: i64, b: i64| add(&mut [0, a, 0], &[1, b, -1]);
        assert!(fits(i64::MAX, 0) && fits(i64::MAX, i64::MIN) && fits(i64::MIN, 0));
        assert!(fits(i64::MAX - 1, 1) && fits(i64::MIN + 1, -1));
        assert!(!fits(i64::MAX, 1) && !fits(i64::MIN, -1) && !fits(i64::MIN, i64::MIN));
    }
}
