//! ConvTranspose with constant weights: a convolution with turned weights over the input with zeros between its
//! elements.

use super::spatial::images;
use crate::{
    geometry::Window,
    graph::{Conv, Op},
    onnx::{
        ImportError,
        attributes::NodeView,
        build::{Builder, finite},
    },
};

/// One spatial axis.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    stride: usize,
    dilation: usize,
    /// Zeros (or, where negative, crops) before and after the stuffed input.
    before: i64,
    after: i64,
}

impl Axis {
    fn stuffed(self) -> i64 {
        (self.input as i64 - 1) * self.stride as i64 + 1
    }

    /// Elements left after cropping.
    fn cropped(self) -> i64 {
        self.stuffed() + self.before.min(0) + self.after.min(0)
    }
}

pub(super) fn conv_transpose(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let images = images(ctx, node)?;
    let rank = images.rank;
    let weights = ctx.constant(node, 1, "the weights")?;
    let (cin, group_out, kernel) = match (weights.shape(), rank) {
        (&[i, o, w], 1) => (i, o, (1, w)),
        (&[i, o, h, w], 2) => (i, o, (h, w)),
        (shape, _) => {
            return Err(node.form(format!("weights of shape {shape:?} do not fit its input")));
        }
    };
    let groups = node.int("group").unwrap_or(1);
    let fits = |&g: &usize| g > 0 && cin == images.channels && cin % g == 0 && group_out > 0;
    let Some(groups) = usize::try_from(groups).ok().filter(fits) else {
        return Err(node.form(format!(
            "{} channels in, weights {:?} and {groups} groups do not fit together",
            images.channels,
            weights.shape()
        )));
    };
    let cout = group_out * groups;
    let axes = axes(ctx, node, images.size, kernel, rank)?;
    let values = finite(node, &weights)?;
    let taps = kernel.0 * kernel.1;
    let group_in = cin / groups;
    // [cin][cout / groups][tap] becomes [cout][cin / groups][tap turned round].
    let turned = (0..cout * group_in * taps)
        .map(|i| {
            let (out, input, tap) = (i / (group_in * taps), i / taps % group_in, i % taps);
            let input = out / group_out * group_in + input;
            values[(input * group_out + out % group_out) * taps + taps - 1 - tap]
        })
        .collect();
    let bias = match ctx.optional(node, 2, "the bias")? {
        None => Vec::new(),
        Some(bias) => finite(node, &bias)?,
    };
    if !bias.is_empty() && bias.len() != cout {
        return Err(node.form(format!("{} bias values for {cout} channels", bias.len())));
    }
    let [y, x] = axes;
    let size = (y.cropped(), x.cropped());
    if size.0 < 1 || size.1 < 1 || size.0.max(size.1) > 1 << 20 {
        return Err(node.form("its padding leaves nothing of the input, or too much"));
    }
    let size = (size.0 as usize, size.1 as usize);
    let stuffed = images.shape(ctx, cin, size);
    let crop = |axis: Axis| (-axis.before).max(0) as usize;
    let (h, w) = images.size;
    let total = ctx.batch() * cin * size.0 * size.1;
    let cells = (0..total)
        .map(|i| {
            let (oy, ox) = (i / size.1 % size.0 + crop(y), i % size.1 + crop(x));
            let inside = oy % y.stride == 0 && ox % x.stride == 0;
            let plane = i / (size.0 * size.1);
            let element = (plane * h + oy / y.stride) * w + ox / x.stride;
            inside.then_some((0, element as u32))
        })
        .collect();
    let input = ctx.rearrange(node, vec![images.node], stuffed, cells)?;
    let pad = |p: i64| p.max(0) as usize;
    let window = Window {
        input: size,
        kernel,
        stride: (1, 1),
        dilation: (y.dilation, x.dilation),
        pads: (pad(y.before), pad(x.before), pad(y.after), pad(x.after)),
    };
    let out = window
        .output()
        .ok_or_else(|| node.form("its kernel is larger than the padded input"))?;
    let shape = images.shape(ctx, cout, out);
    if shape != ctx.output_shape(node, 0)? {
        return Err(node.form(format!(
            "its output shape {shape:?} contradicts the inferred one"
        )));
    }
    let op = Op::Conv(Conv {
        cin,
        cout,
        groups,
        window,
        weights: turned,
        bias,
    });
    ctx.define(node, input, shape, op)
}

/// Both spatial axes; the first is trivial where ONNX has only one.
fn axes(
    ctx: &Builder,
    node: &NodeView,
    size: (usize, usize),
    kernel: (usize, usize),
    rank: usize,
) -> Result<[Axis; 2], ImportError> {
    let strides = node.sizes("strides", rank, 1)?;
    let dilations = node.sizes("dilations", rank, 1)?;
    let extra = node.sizes("output_padding", rank, 0)?;
    let pads = node.sizes("pads", 2 * rank, 0)?;
    let auto = node.string("auto_pad").unwrap_or_else(|| "NOTSET".into());
    let shape = ctx.output_shape(node, 0)?;
    let fixed = node.ints("output_shape").is_some();
    let mut out = [Axis {
        input: 1,
        stride: 1,
        dilation: 1,
        before: 0,
        after: 0,
    }; 2];
    for i in 0..rank {
        let (input, kernel, slot) = match (rank, i) {
            (1, _) => (size.1, kernel.1, 1),
            (_, 0) => (size.0, kernel.0, 0),
            _ => (size.1, kernel.1, 1),
        };
        let (stride, dilation) = (strides[i], dilations[i]);
        if kernel == 0 || stride == 0 || dilation == 0 {
            return Err(node.form("kernel, strides and dilations must be positive"));
        }
        let reach = dilation as i64 * (kernel as i64 - 1);
        let full = (input as i64 - 1) * stride as i64 + extra[i] as i64 + reach + 1;
        let (begin, end) = match auto.as_str() {
            "VALID" => (0, 0),
            "NOTSET" | "" if !fixed => (pads[i] as i64, pads[rank + i] as i64),
            "NOTSET" | "" | "SAME_UPPER" | "SAME_LOWER" => {
                let to = match shape.get(2 + i) {
                    Some(&to) => to as i64,
                    None => return Err(node.form("its output has another rank than its input")),
                };
                let total = full - to;
                if total < 0 {
                    // More than there is: zeros at the end.
                    (0, total)
                } else if auto == "SAME_UPPER" {
                    (total / 2, total - total / 2)
                } else {
                    (total - total / 2, total / 2)
                }
            }
            other => return Err(node.form(format!("auto_pad {other} is not known"))),
        };
        out[slot] = Axis {
            input,
            stride,
            dilation,
            before: reach - begin,
            after: reach - end + extra[i] as i64,
        };
    }
    Ok(out)
}
