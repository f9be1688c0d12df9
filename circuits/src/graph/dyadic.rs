//! Exact arithmetic with the numbers that `f32` can express: `m · 2^-e`.

/// A float32 number as it is: `m · 2^-e` with `m` odd, or `m = 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dyadic {
    /// The odd factor.
    pub m: i64,
    /// The exponent, negated.
    pub e: i32,
}

/// An integer, and how far the number that was rounded to it lay from the nearest half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounded {
    /// The nearest integer.
    pub value: i64,
    /// The nearest integer on the other side of the number.
    pub other: i64,
    /// Distance from the nearest half-integer, in `0..=1/2`. 0 is a tie.
    pub margin: f64,
}

/// Which of the two nearest integers a tie goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// The even one.
    Even,
    /// The odd one: an odd zero point is added before rounding.
    Odd,
}

impl Ties {
    /// The rule for kernels that add the zero point before they round.
    pub fn with_zero_point(zero_point: i64) -> Ties {
        if zero_point % 2 == 0 {
            Ties::Even
        } else {
            Ties::Odd
        }
    }
}

impl Dyadic {
    /// A finite number; `None` for infinities and NaN.
    pub fn new(value: f32) -> Option<Dyadic> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let (exponent, fraction) = (((bits >> 23) & 0xff) as i32, i64::from(bits & 0x7f_ffff));
        let (m, exponent) = if exponent == 0 {
            (fraction, -149)
        } else {
            (fraction | (1 << 23), exponent - 150)
        };
        if m == 0 {
            return Some(Dyadic { m: 0, e: 0 });
        }
        let zeros = m.trailing_zeros();
        let m = m >> zeros;
        Some(Dyadic {
            m: if value < 0.0 { -m } else { m },
            e: -(exponent + zeros as i32),
        })
    }

    /// `self · n`, rounded.
    pub fn times(self, n: i64, ties: Ties) -> Rounded {
        round(i128::from(self.m) * i128::from(n), self.e, ties)
    }
}

/// `n / 2^e`, rounded to the nearest integer.
pub(super) fn round(n: i128, e: i32, ties: Ties) -> Rounded {
    if e > 120 {
        // Far below a half, whatever the sums of a layer.
        return Rounded::exact(0);
    }
    if e <= 0 {
        let shift = (-e).min(120) as u32;
        let value = n.saturating_mul(1 << shift);
        return Rounded::exact(saturated(value));
    }
    ratio(n, 1 << e, ties)
}

/// `n / d`, rounded to the nearest integer; `d` is positive.
pub(crate) fn ratio(n: i128, d: i128, ties: Ties) -> Rounded {
    let (floor, rest) = (n.div_euclid(d), n.rem_euclid(d));
    let up = match (2 * rest).cmp(&d) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => (floor % 2 == 0) == (ties == Ties::Odd),
    };
    Rounded {
        value: saturated(floor + i128::from(up)),
        other: saturated(floor + i128::from(!up)),
        margin: (rest as f64 / d as f64 - 0.5).abs(),
    }
}

fn saturated(value: i128) -> i64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

impl Rounded {
    /// An integer that nothing was rounded to.
    pub fn exact(value: i64) -> Rounded {
        Rounded {
            value,
            other: value,
            margin: 0.5,
        }
    }

    /// Both integers, clamped.
    pub fn clamped(self, lo: i64, hi: i64) -> Rounded {
        Rounded {
            value: self.value.clamp(lo, hi),
            other: self.other.clamp(lo, hi),
            margin: self.margin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_dyadic() {
        for v in [1.0f32, -0.75, 0.1, 3e-41, 1.5e30, 6.1e-5] {
            let Dyadic { m, e } = Dyadic::new(v).unwrap();
            assert!(m % 2 != 0 && m.abs() < 1 << 24);
            assert_eq!(m as f64 * 2f64.powi(-e), f64::from(v));
        }
        assert_eq!(Dyadic::new(0.0), Some(Dyadic { m: 0, e: 0 }));
        assert_eq!(Dyadic::new(f32::NAN), None);
    }

    #[test]
    fn halves_go_to_even_or_odd() {
        let half = Dyadic::new(0.5).unwrap();
        for (n, even, odd) in [(1, 0, 1), (3, 2, 1), (-1, 0, -1), (-3, -2, -1), (4, 2, 2)] {
            assert_eq!(half.times(n, Ties::Even).value, even);
            assert_eq!(half.times(n, Ties::Odd).value, odd);
        }
        assert_eq!(half.times(5, Ties::Even).margin, 0.0);
        assert_eq!(ratio(7, 3, Ties::Even).value, 2);
        assert_eq!(ratio(-8, 3, Ties::Even).value, -3);
        assert_eq!(Dyadic::new(0.0).unwrap().times(9, Ties::Even).value, 0);
    }
}
