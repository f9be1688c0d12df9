//! Scales and tables from calibrated ranges.

use crate::{graph::Activation, model::Table};

/// The integers a tensor may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) lo: i64,
    pub(super) hi: i64,
}

impl Grid {
    /// All of `bits` for values that are never negative, a symmetric range for others.
    pub(super) fn new(bits: u32, lo: f64) -> Grid {
        if lo >= 0.0 {
            Grid {
                lo: 0,
                hi: (1 << bits) - 1,
            }
        } else {
            let hi = (1 << (bits - 1)) - 1;
            Grid { lo: -hi, hi }
        }
    }

    /// The integers of an element type where `bits` can tell them apart, else powers of two around a range: wide
    /// enough for inputs like those seen, and no wider, for the sake of products.
    pub(super) fn whole(bits: u32, (least, most): (i64, i64), (lo, hi): (f64, f64)) -> Grid {
        if most - least < 1 << bits {
            return Grid {
                lo: least,
                hi: most,
            };
        }
        // The casts saturate; a range too wide does not hold.
        let up = |v: f64| {
            (v.max(0.0) as u32)
                .checked_next_power_of_two()
                .unwrap_or(1 << 31)
        };
        let signed = lo < 0.0;
        let limit = 1i64 << (bits - u32::from(signed));
        let reach = i64::from(up((hi + 1.0).max(-lo))).min(limit);
        Grid {
            lo: if signed { -reach } else { 0 }.max(least),
            hi: (reach - 1).min(most),
        }
    }

    /// True where a range lies within the grid at scale 1.
    pub(super) fn holds(self, (lo, hi): (f64, f64)) -> bool {
        self.lo as f64 <= lo && hi <= self.hi as f64
    }

    /// The scale at which a range just fits; 1 for a range of zeros.
    pub(super) fn scale(self, (lo, hi): (f64, f64)) -> f64 {
        let reach = (hi / self.hi as f64).max(if self.lo < 0 {
            lo / self.lo as f64
        } else {
            0.0
        });
        if reach > 0.0 && reach.is_normal() {
            reach
        } else {
            1.0
        }
    }
}

/// The part of `range` in which a function varies by more than half an output step at either end.
pub(super) fn active(f: &Activation, (lo, hi): (f64, f64), step: f64) -> (f64, f64) {
    if !f.is_monotone() || f.is_step() || hi <= lo {
        return (lo, hi.max(lo));
    }
    let bisect = |inside: &dyn Fn(f64) -> bool, mut out: f64, mut within: f64| {
        for _ in 0..60 {
            let middle = 0.5 * (out + within);
            if inside(middle) {
                within = middle
            } else {
                out = middle
            }
        }
        out
    };
    let (bottom, top) = (f.extended(lo) + step / 2.0, f.extended(hi) - step / 2.0);
    if bottom >= top {
        return (lo, hi);
    }
    (
        bisect(&|x| f.extended(x) > bottom, lo, hi),
        bisect(&|x| f.extended(x) < top, hi, lo),
    )
}

/// `round(f(x · scale_in) / scale_out)`, clamped to the grid, for the `x` that cover `range`. `f` is taken at the
/// nearest point of its domain.
pub(super) fn lut(
    f: &Activation,
    range: (f64, f64),
    scale_in: f64,
    scale_out: f64,
    grid: Grid,
) -> Table {
    let (lo, hi) = (
        (range.0 / scale_in).floor() as i64,
        (range.1 / scale_in).ceil() as i64,
    );
    let value = |x: i64| {
        let mut argument = x as f64 * scale_in;
        if f.is_step() {
            // 25 times 0.04 is 1 in the float model, and must not fall short of it here.
            argument = f64::from(argument as f32);
        }
        let real = f.extended(argument) / scale_out;
        (real.round() as i64).clamp(grid.lo, grid.hi) as i32
    };
    Table::Lut {
        lo,
        values: (lo..=hi.max(lo)).map(value).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigmoid_is_tabulated_only_where_it_varies() {
        let step = 1.0 / 255.0;
        let (lo, hi) = active(&Activation::Sigmoid, (-100.0, 100.0), step);
        assert!(
            (-7.0..-5.5).contains(&lo) && (5.5..7.0).contains(&hi),
            "{lo} {hi}"
        );
        let grid = Grid::new(8, 0.0);
        let table = lut(
            &Activation::Sigmoid,
            (lo, hi),
            (hi - lo) / 512.0,
            step,
            grid,
        );
        assert_eq!((table.eval(-100_000), table.eval(100_000)), (0, 255));
        assert_eq!(table.eval(0), 128);
    }

    #[test]
    fn grids_fit_ranges() {
        assert_eq!(Grid::new(8, 0.0), Grid { lo: 0, hi: 255 });
        assert_eq!(Grid::new(8, -0.5), Grid { lo: -127, hi: 127 });
        assert_eq!(Grid::new(8, -0.5).scale((-2.54, 1.0)), 0.02);
        assert_eq!(Grid::new(8, 0.0).scale((0.0, 0.0)), 1.0);
    }

    #[test]
    fn whole_numbers_keep_scale_1_where_they_fit() {
        let grid = |lo, hi| Grid { lo, hi };
        assert_eq!(Grid::whole(8, (0, 1), (0.0, 0.0)), grid(0, 1));
        assert_eq!(Grid::whole(8, (0, 255), (0.0, 7.0)), grid(0, 255));
        assert_eq!(Grid::whole(8, (-128, 127), (-3.0, 5.0)), grid(-128, 127));
        let int32 = (i64::from(i32::MIN), i64::from(i32::MAX));
        assert_eq!(Grid::whole(8, int32, (0.0, 7.0)), grid(0, 7));
        assert_eq!(Grid::whole(8, int32, (-8.0, 2.0)), grid(-8, 7));
        assert!(Grid::whole(8, int32, (-127.0, 127.0)).holds((-127.0, 127.0)));
        assert!(!Grid::whole(8, int32, (0.0, 300.0)).holds((0.0, 300.0)));
        assert!(!Grid::whole(16, int32, (0.0, 1e30)).holds((0.0, 1e30)));
    }
}
