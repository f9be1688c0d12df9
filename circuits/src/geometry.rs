//! Sliding windows: how output positions of convolutions and pools meet input positions.

use std::ops::Range;

/// Top, left, bottom and right padding.
pub type Pads = (usize, usize, usize, usize);

/// A two-dimensional sliding window with ONNX meaning. One-dimensional ones have height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Input `(height, width)`.
    pub input: (usize, usize),
    /// Kernel `(kh, kw)`.
    pub kernel: (usize, usize),
    /// Stride.
    pub stride: (usize, usize),
    /// Dilation.
    pub dilation: (usize, usize),
    /// Padding.
    pub pads: Pads,
}

impl Window {
    /// Output `(height, width)`, rounded down; `None` where the window does not fit, or a stride, dilation or
    /// kernel side is zero.
    pub fn output(&self) -> Option<(usize, usize)> {
        let (top, left, bottom, right) = self.pads;
        Some((
            output_len(
                self.input.0,
                self.kernel.0,
                self.stride.0,
                self.dilation.0,
                top,
                bottom,
            )?,
            output_len(
                self.input.1,
                self.kernel.1,
                self.stride.1,
                self.dilation.1,
                left,
                right,
            )?,
        ))
    }

    /// True where any side is padded.
    pub fn is_padded(&self) -> bool {
        self.pads != (0, 0, 0, 0)
    }

    /// The input row that tap `ky` of output row `oy` reads; `None` in the padding.
    pub fn row(&self, oy: usize, ky: usize) -> Option<usize> {
        cell(
            self.input.0,
            oy * self.stride.0 + ky * self.dilation.0,
            self.pads.0,
        )
    }

    /// The input column that tap `kx` of output column `ox` reads; `None` in the padding.
    pub fn column(&self, ox: usize, kx: usize) -> Option<usize> {
        cell(
            self.input.1,
            ox * self.stride.1 + kx * self.dilation.1,
            self.pads.1,
        )
    }

    /// The output columns below `width` whose tap `kx` lies inside the input.
    pub fn columns(&self, width: usize, kx: usize) -> Range<usize> {
        let offset = kx * self.dilation.1;
        let (pad, stride) = (self.pads.1, self.stride.1);
        let first = pad.saturating_sub(offset).div_ceil(stride);
        let end = (self.input.1 + pad)
            .saturating_sub(offset)
            .div_ceil(stride)
            .min(width);
        first.min(end)..end
    }
}

fn cell(input: usize, padded: usize, pad: usize) -> Option<usize> {
    padded.checked_sub(pad).filter(|&i| i < input)
}

fn output_len(
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    after: usize,
) -> Option<usize> {
    if kernel == 0 || stride == 0 || dilation == 0 {
        return None;
    }
    let reach = dilation.checked_mul(kernel - 1)?.checked_add(1)?;
    let padded = input.checked_add(before)?.checked_add(after)?;
    Some(padded.checked_sub(reach)? / stride + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_range_agrees_with_the_cell_by_cell_definition() {
        for (input, kernel, stride, dilation, left, right) in [
            (7, 3, 1, 1, 1, 1),
            (7, 3, 2, 1, 1, 0),
            (9, 2, 3, 4, 3, 2),
            (4, 5, 1, 1, 2, 2),
            (1, 3, 1, 1, 2, 2),
            (3, 1, 2, 1, 4, 4),
        ] {
            let window = Window {
                input: (1, input),
                kernel: (1, kernel),
                stride: (1, stride),
                dilation: (1, dilation),
                pads: (0, left, 0, right),
            };
            let width = window.output().unwrap().1;
            for kx in 0..kernel {
                let inside: Vec<usize> = (0..width)
                    .filter(|&ox| window.column(ox, kx).is_some())
                    .collect();
                assert_eq!(inside, window.columns(width, kx).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn windows_that_do_not_fit_have_no_output() {
        let window = Window {
            input: (2, 2),
            kernel: (3, 3),
            stride: (1, 1),
            dilation: (1, 1),
            pads: (0, 0, 0, 0),
        };
        assert_eq!(window.output(), None);
        assert_eq!(
            Window {
                stride: (0, 1),
                kernel: (1, 1),
                ..window
            }
            .output(),
            None
        );
    }
}
