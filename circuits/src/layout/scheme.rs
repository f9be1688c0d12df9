//! How a tensor's positions are weighted where it is consumed, and the taps of the operations that read it.
//!
//! A consumer sees the tensor through functionals `u = Σ_p βy^ey(p) βx^ex(p) c_p`, one for each plane and channel. A
//! convolution of stride `s` reads `s × s` planes with coarse coordinates, a non-overlapping mean one plane whose
//! coordinates are those of the windows, a dense layer every position as a plane of its own.

use crate::model::{Conv, Op, Shape};

/// Coordinates of the consumed positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scheme {
    /// Plane `(y mod sy, x mod sx)`, coordinates `(y / sy, x / sx)`.
    Strided(usize, usize),
    /// One plane, coordinates `(y / ky, x / kx)`: windows are summed. The last two are the windows in each direction.
    Collapse(usize, usize, usize, usize),
    /// Every position is a plane.
    Flatten,
}

/// Plane and coordinates of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Coordinate {
    pub(crate) plane: usize,
    pub(crate) y: i64,
    pub(crate) x: i64,
}

impl Scheme {
    /// One plane of unit steps.
    pub(crate) const UNIT: Scheme = Scheme::Strided(1, 1);

    /// The scheme in which `op` reads a tensor of `shape` to give `out`.
    pub(crate) fn of(op: &Op, shape: Shape, out: (usize, usize)) -> Scheme {
        let single = shape.h == 1 && shape.w == 1;
        match op {
            Op::Conv(_) if single && out == (1, 1) => Scheme::UNIT,
            Op::Conv(c) => Scheme::Strided(c.stride.0, c.stride.1),
            Op::SumPool(p) if p.kernel == p.stride && p.pads == (0, 0, 0, 0) => {
                if p.kernel == (1, 1) {
                    Scheme::UNIT
                } else {
                    Scheme::Collapse(p.kernel.0, p.kernel.1, out.0, out.1)
                }
            }
            Op::SumPool(p) => Scheme::Strided(p.stride.0, p.stride.1),
            Op::Dense { .. } | Op::Map { .. } => {
                if single {
                    Scheme::UNIT
                } else {
                    Scheme::Flatten
                }
            }
        }
    }

    /// Distance in `y` between the items of a tensor of `shape`: `pitch` where full products of neighbouring items could
    /// overlap, 1 where the scheme has one coordinate and every reader gives a `single` position.
    pub(crate) fn pitch(self, shape: Shape, single: bool, pitch: i64) -> i64 {
        match self {
            Scheme::Flatten => 1,
            Scheme::Strided(1, 1) if single && shape.h == 1 && shape.w == 1 => 1,
            Scheme::Collapse(_, _, 1, 1) if single => 1,
            Scheme::Strided(..) | Scheme::Collapse(..) => pitch,
        }
    }

    /// Where position `(n, y, x)` lies; `None` where nothing reads it. `pitch` is [`Scheme::pitch`]'s.
    pub(crate) fn coordinate(
        self,
        shape: Shape,
        pitch: i64,
        (n, y, x): (usize, usize, usize),
    ) -> Option<Coordinate> {
        let item = n as i64 * pitch;
        match self {
            Scheme::Strided(sy, sx) => Some(Coordinate {
                plane: (y % sy) * sx + x % sx,
                y: item + (y / sy) as i64,
                x: (x / sx) as i64,
            }),
            Scheme::Collapse(ky, kx, oy, ox) => {
                let (wy, wx) = (y / ky, x / kx);
                (wy < oy && wx < ox).then_some(Coordinate {
                    plane: 0,
                    y: item + wy as i64,
                    x: wx as i64,
                })
            }
            Scheme::Flatten => Some(Coordinate {
                plane: y * shape.w + x,
                y: item,
                x: 0,
            }),
        }
    }
}

/// One spatial tap of an operation: it reads `plane` at the output's coordinate plus `(qy, qx)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tap {
    /// Kernel index `ky · kw + kx`.
    pub(crate) kernel: usize,
    pub(crate) plane: usize,
    pub(crate) qy: i64,
    pub(crate) qx: i64,
}

/// Window geometry shared by convolution and overlapping sums.
struct Window {
    kernel: (usize, usize),
    stride: (usize, usize),
    dilation: (usize, usize),
    pads: (usize, usize),
}

/// Taps in one direction as `(kernel index, plane, q)`, those left out that no output element reads.
fn axis(
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    size: usize,
    out: usize,
) -> Vec<(usize, usize, i64)> {
    let s = stride as i64;
    (0..kernel)
        .filter_map(|k| {
            let offset = (k * dilation) as i64 - pad as i64;
            let hit = (0..out as i64).any(|o| (0..size as i64).contains(&(o * s + offset)));
            hit.then(|| (k, offset.rem_euclid(s) as usize, offset.div_euclid(s)))
        })
        .collect()
}

/// The taps with which `op` reads a tensor of `shape` to give an `out` grid, under [`Scheme::of`].
pub(crate) fn taps(op: &Op, shape: Shape, out: (usize, usize)) -> Vec<Tap> {
    let origin = Tap {
        kernel: 0,
        plane: 0,
        qy: 0,
        qx: 0,
    };
    let window = match (op, Scheme::of(op, shape, out)) {
        (
            Op::Conv(Conv {
                kernel,
                dilation,
                pads,
                ..
            }),
            scheme,
        ) => {
            let Scheme::Strided(sy, sx) = scheme else {
                unreachable!("convolutions are strided")
            };
            Window {
                kernel: *kernel,
                stride: (sy, sx),
                dilation: *dilation,
                pads: (pads.0, pads.1),
            }
        }
        (Op::SumPool(p), Scheme::Strided(sy, sx)) => Window {
            kernel: p.kernel,
            stride: (sy, sx),
            dilation: (1, 1),
            pads: (p.pads.0, p.pads.1),
        },
        (_, Scheme::Flatten) => {
            return (0..shape.h * shape.w)
                .map(|plane| Tap { plane, ..origin })
                .collect();
        }
        _ => return vec![origin],
    };
    let ys = axis(
        window.kernel.0,
        window.stride.0,
        window.dilation.0,
        window.pads.0,
        shape.h,
        out.0,
    );
    let xs = axis(
        window.kernel.1,
        window.stride.1,
        window.dilation.1,
        window.pads.1,
        shape.w,
        out.1,
    );
    let mut all = Vec::with_capacity(ys.len() * xs.len());
    for &(ky, py, qy) in &ys {
        for &(kx, px, qx) in &xs {
            all.push(Tap {
                kernel: ky * window.kernel.1 + kx,
                plane: py * window.stride.1 + px,
                qy,
                qx,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_taps_read_what_the_convolution_reads() {
        for (size, kernel, stride, dilation, pad) in [
            (7, 3, 2, 1, 1),
            (9, 2, 3, 2, 0),
            (5, 3, 1, 1, 1),
            (8, 4, 2, 1, 3),
        ] {
            let out = (size + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
            for (k, plane, q) in axis(kernel, stride, dilation, pad, size, out) {
                for o in 0..out as i64 {
                    let read = (o + q) * stride as i64 + plane as i64;
                    assert_eq!(read, o * stride as i64 + (k * dilation) as i64 - pad as i64);
                }
            }
        }
    }
}
