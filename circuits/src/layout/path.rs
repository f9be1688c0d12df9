//! Monomials and the steps between them.
//!
//! A cell's weight in a functional is a monomial `βx^x βy^y κ^k`. The chains walk from one monomial to the next by
//! ratios of two constants a row, a numerator out of `1, βx², βy, κ` and a denominator out of `1, βx, βx², βy·κ`
//! (fixed columns select them by the numbers 1 to 4), so that one row moves by ±1 or ±2 in `x`, ±1 in `y`, ±1 in `k`.

/// Exponents of `βx`, `βy` and of the lane-group power `κ`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Monomial {
    /// Exponent of `κ`.
    pub(crate) k: i64,
    /// Exponent of `βy`.
    pub(crate) y: i64,
    /// Exponent of `βx`.
    pub(crate) x: i64,
}

/// A numerator and a denominator, as the fixed columns number them.
pub(crate) type Step = (u8, u8);

/// The step that stays where it is.
pub(crate) const HOLD: Step = (1, 1);

/// Numbers of numerators and denominators that `from / to` needs.
fn counts(from: Monomial, to: Monomial) -> (Monomial, usize, usize) {
    let d = Monomial {
        k: from.k - to.k,
        y: from.y - to.y,
        x: from.x - to.x,
    };
    let down = 0.max(-d.y).max(-d.k);
    let (x2, x1) = (d.x.unsigned_abs() / 2, d.x.unsigned_abs() % 2);
    let nums = (d.y + down) as u64 + (d.k + down) as u64 + if d.x > 0 { x2 + x1 } else { 0 };
    let dens = down as u64 + x1 + if d.x < 0 { x2 } else { 0 };
    (d, nums as usize, dens as usize)
}

/// Rows that a walk from `from` to `to` takes, at least one.
pub(crate) fn cost(from: Monomial, to: Monomial) -> usize {
    let (_, nums, dens) = counts(from, to);
    nums.max(dens).max(1)
}

/// Steps whose product is `from / to`, padded with [`HOLD`] to `rows`; `None` where these are less than [`cost`].
pub(crate) fn steps(from: Monomial, to: Monomial, rows: usize) -> Option<Vec<Step>> {
    let (d, n, m) = counts(from, to);
    if n.max(m) > rows {
        return None;
    }
    let down = 0.max(-d.y).max(-d.k);
    let (x2, x1) = (
        d.x.unsigned_abs() as usize / 2,
        d.x.unsigned_abs() as usize % 2,
    );
    let mut out = vec![HOLD; rows];
    let mut nums = vec![3u8; (d.y + down) as usize];
    nums.extend(vec![4; (d.k + down) as usize]);
    nums.extend(vec![2; if d.x > 0 { x2 + x1 } else { 0 }]);
    let mut dens = vec![4u8; down as usize];
    dens.extend(vec![2; x1]);
    dens.extend(vec![3; if d.x < 0 { x2 } else { 0 }]);
    out.iter_mut().zip(nums).for_each(|(s, v)| s.0 = v);
    out.iter_mut().zip(dens).for_each(|(s, v)| s.1 = v);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_multiply_to_the_ratio() {
        const NUM: [(i64, i64, i64); 5] = [(9, 9, 9), (0, 0, 0), (2, 0, 0), (0, 1, 0), (0, 0, 1)];
        const DEN: [(i64, i64, i64); 5] = [(9, 9, 9), (0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 1)];
        for x in -5..=5 {
            for y in -3..=3 {
                for k in -3..=3 {
                    let (from, to) = (Monomial { k, y, x }, Monomial::default());
                    let rows = cost(from, to);
                    let mut sum = (0, 0, 0);
                    assert_eq!(steps(from, to, rows - 1).is_some(), rows == 1 && from == to);
                    for (n, d) in steps(from, to, rows + 1).expect("one more than enough") {
                        let (n, d) = (NUM[n as usize], DEN[d as usize]);
                        sum = (sum.0 + n.0 - d.0, sum.1 + n.1 - d.1, sum.2 + n.2 - d.2);
                    }
                    assert_eq!(sum, (x, y, k));
                }
            }
        }
        assert_eq!(cost(Monomial { k: 0, y: -1, x: 1 }, Monomial::default()), 2);
        assert_eq!(cost(Monomial { k: 0, y: 0, x: -2 }, Monomial::default()), 1);
    }
}
