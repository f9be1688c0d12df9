//! The chains backwards: `den_i·s_(i+1) = num_i·s_i + L_i` gives `L_i` the weight `1/den_i·Π_(j>i) num_j/den_j` in the last row's total.

use super::CheckError;
use super::columns::Columns;

/// Exponents of a monomial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Exponents {
    /// Of the power of `η` that the chain moves by.
    pub(super) k: i32,
    /// Of `βy`.
    pub(super) y: i32,
    /// Of `βx`.
    pub(super) x: i32,
}

impl Exponents {
    pub(super) fn is_power(self) -> bool {
        self.k >= 0 && self.y >= 0 && self.x >= 0
    }
    fn minus(self, other: Exponents) -> Exponents {
        Exponents {
            k: self.k - other.k,
            y: self.y - other.y,
            x: self.x - other.x,
        }
    }
    fn plus(self, other: Exponents) -> Exponents {
        Exponents {
            k: self.k + other.k,
            y: self.y + other.y,
            x: self.x + other.x,
        }
    }
}

const fn of(k: i32, y: i32, x: i32) -> Exponents {
    Exponents { k, y, x }
}

/// What the numbers 1 to 4 select as numerator: 1, βx², βy, κ.
const NUM: [Exponents; 4] = [of(0, 0, 0), of(0, 0, 2), of(0, 1, 0), of(1, 0, 0)];
/// And as denominator: 1, βx, βx², βy·κ.
const DEN: [Exponents; 4] = [of(0, 0, 0), of(0, 0, 1), of(0, 0, 2), of(1, 1, 0)];

fn selected(of: &[Exponents; 4], number: i64) -> Option<Exponents> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    of.get(at).copied()
}

/// One row's step: the quotient `num/den`, `None` as numerator where it resets.
pub(super) struct Step {
    num: Option<Exponents>,
    den: Exponents,
}

impl Step {
    /// What a row's two columns say.
    pub(super) fn read(
        columns: &Columns<'_>,
        num: usize,
        den: usize,
        row: usize,
    ) -> Result<Step, CheckError> {
        let (n, d) = (columns.at(num, row), columns.at(den, row));
        let den = selected(&DEN, d)
            .ok_or_else(|| CheckError::at(row, format!("{d} is no denominator inside a chain")))?;
        let num = match n {
            0 => None,
            n => Some(
                selected(&NUM, n)
                    .ok_or_else(|| CheckError::at(row, format!("{n} is no numerator")))?,
            ),
        };
        Ok(Step { num, den })
    }

    pub(super) fn starts(&self) -> bool {
        self.num.is_none()
    }

    pub(super) fn stays(&self) -> bool {
        self.den == Exponents::default()
    }

    /// What the step leaves of a weight that stands after it; `None` where it resets.
    pub(super) fn before(&self, after: Exponents) -> Option<Exponents> {
        Some(after.plus(self.num?).minus(self.den))
    }

    /// The weight of what enters in this row, where `after` stands after it.
    fn entering(&self, after: Exponents) -> Exponents {
        after.minus(self.den)
    }
}

/// The weight of what enters a chain in each row; `None` before the chain starts, where nothing may.
pub(super) fn weights(
    columns: &Columns<'_>,
    (num, den): (usize, usize),
    enters: impl Fn(usize) -> bool,
) -> Result<Vec<Option<Exponents>>, CheckError> {
    let mut out = vec![None; columns.last];
    let mut after = Some(Exponents::default());
    for row in (0..columns.last).rev() {
        let Some(weight) = after else {
            let idle = columns.at(num, row) == 0 && columns.at(den, row) == 0;
            if !idle || enters(row) {
                return Err(CheckError::at(
                    row,
                    "something stands before the start of a chain",
                ));
            }
            continue;
        };
        let step = Step::read(columns, num, den, row)?;
        let entering = step.entering(weight);
        if enters(row) && !entering.is_power() {
            return Err(CheckError::at(row, "a weight with a negative exponent"));
        }
        out[row] = Some(entering);
        after = step.before(weight);
    }
    if after.is_some() {
        return Err(CheckError::new("a chain never starts"));
    }
    Ok(out)
}
