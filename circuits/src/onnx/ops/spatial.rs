//! What convolutions and pools share: the item's `[c, h, w]` and the sliding window's attributes.

use crate::{
    geometry::Window,
    graph::NodeId,
    onnx::{ImportError, attributes::NodeView, build::Builder},
};

/// An input seen as images.
#[derive(Clone, Copy, Debug)]
pub(in crate::onnx) struct Images {
    pub(in crate::onnx) node: NodeId,
    pub(in crate::onnx) channels: usize,
    pub(in crate::onnx) size: (usize, usize),
    /// Spatial axes in ONNX: 1 or 2.
    pub(in crate::onnx) rank: usize,
}

/// Operand 0 as images: `[batch, c, w]` or `[batch, c, h, w]`.
pub(in crate::onnx) fn images(ctx: &Builder, node: &NodeView) -> Result<Images, ImportError> {
    let id = ctx.node(node, 0)?;
    let (batch, channels, size, rank) = match *ctx.shape(id) {
        [n, c, w] => (n, c, (1, w), 1),
        [n, c, h, w] => (n, c, (h, w), 2),
        ref shape => {
            return Err(node.form(format!(
                "input of shape {shape:?}: only one and two spatial axes are supported"
            )));
        }
    };
    if batch != ctx.batch() {
        return Err(node.form(format!(
            "its input holds {batch} images for a batch of {}; pass --batch {batch}",
            ctx.batch()
        )));
    }
    Ok(Images {
        node: id,
        channels,
        size,
        rank,
    })
}

impl Images {
    /// `[batch, channels, spatial..]` for an output.
    pub(in crate::onnx) fn shape(
        &self,
        ctx: &Builder,
        channels: usize,
        size: (usize, usize),
    ) -> Vec<usize> {
        match self.rank {
            1 => vec![ctx.batch(), channels, size.1],
            _ => vec![ctx.batch(), channels, size.0, size.1],
        }
    }

    /// The window of a node with this kernel, `auto_pad` resolved.
    pub(in crate::onnx) fn window(
        &self,
        node: &NodeView,
        kernel: (usize, usize),
    ) -> Result<Window, ImportError> {
        let pair = |v: Vec<usize>, default: usize| {
            if self.rank == 1 {
                (default, v[0])
            } else {
                (v[0], v[1])
            }
        };
        let stride = pair(node.sizes("strides", self.rank, 1)?, 1);
        let dilation = pair(node.sizes("dilations", self.rank, 1)?, 1);
        let mut window = Window {
            input: self.size,
            kernel,
            stride,
            dilation,
            pads: (0, 0, 0, 0),
        };
        if [
            kernel.0, kernel.1, stride.0, stride.1, dilation.0, dilation.1,
        ]
        .contains(&0)
        {
            return Err(node.form("kernel, strides and dilations must be positive"));
        }
        window.pads = match node.string("auto_pad").as_deref().unwrap_or("NOTSET") {
            "VALID" => (0, 0, 0, 0),
            "NOTSET" | "" => {
                let pads = node.sizes("pads", 2 * self.rank, 0)?;
                if self.rank == 1 {
                    (0, pads[0], 0, pads[1])
                } else {
                    (pads[0], pads[1], pads[2], pads[3])
                }
            }
            mode @ ("SAME_UPPER" | "SAME_LOWER") => {
                let vertical = same(
                    self.size.0,
                    kernel.0,
                    stride.0,
                    dilation.0,
                    mode == "SAME_UPPER",
                );
                let horizontal = same(
                    self.size.1,
                    kernel.1,
                    stride.1,
                    dilation.1,
                    mode == "SAME_UPPER",
                );
                (vertical.0, horizontal.0, vertical.1, horizontal.1)
            }
            other => return Err(node.form(format!("auto_pad {other} is not known"))),
        };
        Ok(window)
    }
}

/// Padding before and after one axis that makes the output `⌈input / stride⌉` long.
fn same(
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    upper: bool,
) -> (usize, usize) {
    let output = input.div_ceil(stride);
    let total = ((output - 1) * stride + (kernel - 1) * dilation + 1).saturating_sub(input);
    let (less, more) = (total / 2, total - total / 2);
    if upper { (less, more) } else { (more, less) }
}
