//! The linear terms of a node, for one batch item. Sums wrap: the bounds of a model show that they never do.

use crate::{
    geometry::Window,
    model::{Conv, Linear, Node, Op, Shape, SumPool, Term},
};

/// `(h, w)` of the accumulator: the node's own, times the pooling window.
pub(super) fn accumulator_size(node: &Node, linear: &Linear) -> (usize, usize) {
    linear
        .pool
        .map_or((node.shape.h, node.shape.w), |pool| pool.full)
}

/// The accumulator before any term.
pub(super) fn bias(linear: &Linear, channels: usize, (h, w): (usize, usize)) -> Vec<i64> {
    if linear.bias.len() == channels {
        linear
            .bias
            .iter()
            .flat_map(|&b| std::iter::repeat_n(b, h * w))
            .collect()
    } else {
        linear.bias.clone()
    }
}

/// Adds one term to the accumulator.
pub(super) fn add(term: &Term, shape: &Shape, source: &[i64], y: &mut [i64]) {
    let plane = shape.h * shape.w;
    let source = &source[term.channel * plane..];
    match &term.op {
        Op::Conv(conv) => add_conv(conv, (shape.h, shape.w), source, y),
        Op::Dense { weights, .. } => {
            for (y, row) in y.iter_mut().zip(weights.chunks_exact(source.len())) {
                let dot = row
                    .iter()
                    .zip(source)
                    .fold(0i64, |sum, (&w, &x)| sum.wrapping_add(w.wrapping_mul(x)));
                *y = y.wrapping_add(dot);
            }
        }
        Op::SumPool(pool) => add_sum_pool(pool, (shape.h, shape.w), source, y),
        Op::Map { entries, .. } => {
            for &(out, input, weight) in entries {
                let y = &mut y[out as usize];
                *y = y.wrapping_add(weight.wrapping_mul(source[input as usize]));
            }
        }
    }
}

/// The window of a convolution over planes of this size.
fn conv_window(conv: &Conv, input: (usize, usize)) -> Window {
    Window {
        input,
        kernel: conv.kernel,
        stride: conv.stride,
        dilation: conv.dilation,
        pads: conv.pads,
    }
}

/// The window of a sum pool over planes of this size.
fn pool_window(pool: &SumPool, input: (usize, usize)) -> Window {
    Window {
        input,
        kernel: pool.kernel,
        stride: pool.stride,
        dilation: (1, 1),
        pads: pool.pads,
    }
}

fn add_conv(conv: &Conv, size: (usize, usize), source: &[i64], y: &mut [i64]) {
    let window = conv_window(conv, size);
    let out = window.output().expect("`validate` found the window to fit");
    let (group_in, group_out) = (conv.cin / conv.groups, conv.cout / conv.groups);
    let taps = conv.kernel.0 * conv.kernel.1;
    for (oc, y) in y.chunks_exact_mut(out.0 * out.1).enumerate() {
        for ic in 0..group_in {
            let plane =
                &source[(oc / group_out * group_in + ic) * size.0 * size.1..][..size.0 * size.1];
            let weights = &conv.weights[(oc * group_in + ic) * taps..][..taps];
            add_plane(&window, out, weights, plane, y);
        }
    }
}

fn add_sum_pool(pool: &SumPool, size: (usize, usize), source: &[i64], y: &mut [i64]) {
    let window = pool_window(pool, size);
    let out = window.output().expect("`validate` found the window to fit");
    let weights = vec![pool.multiplier; pool.kernel.0 * pool.kernel.1];
    for (plane, y) in source
        .chunks_exact(size.0 * size.1)
        .zip(y.chunks_exact_mut(out.0 * out.1))
    {
        add_plane(&window, out, &weights, plane, y);
    }
}

/// Slides one channel's weights over one plane.
fn add_plane(window: &Window, out: (usize, usize), weights: &[i64], plane: &[i64], y: &mut [i64]) {
    let (width, stride) = (window.input.1, window.stride.1);
    for (tap, &weight) in weights.iter().enumerate() {
        if weight == 0 {
            continue;
        }
        let (ky, kx) = (tap / window.kernel.1, tap % window.kernel.1);
        let columns = window.columns(out.1, kx);
        if columns.is_empty() {
            continue;
        }
        let first = window
            .column(columns.start, kx)
            .expect("the range holds columns inside the input");
        for oy in 0..out.0 {
            let Some(iy) = window.row(oy, ky) else {
                continue;
            };
            let y = &mut y[oy * out.1..][columns.clone()];
            let row = &plane[iy * width + first..(iy + 1) * width];
            for (y, &x) in y.iter_mut().zip(row.iter().step_by(stride)) {
                *y = y.wrapping_add(weight.wrapping_mul(x));
            }
        }
    }
}
