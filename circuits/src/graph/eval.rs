//! Evaluation in `f32`, one batch item at a time: what calibration measures.

use std::ops::{AddAssign, Mul};

use super::{Contract, Conv, Graph, NodeId, Op, Pool, PoolKind, Rounded};

/// The integers of every quantized operator's tensor, by node.
pub type Integers = Vec<(NodeId, Vec<Rounded>)>;

/// The item of every node's tensor for one item of every input.
///
/// # Panics
/// Where `inputs` does not hold one item of the right length for each input of the graph.
pub fn evaluate(graph: &Graph, inputs: &[&[f32]]) -> Vec<Vec<f32>> {
    trace(graph, inputs, &[]).0
}

/// [`evaluate`], and the integers of every quantized operator. `flipped` elements of nodes are rounded to the other side.
///
/// # Panics
/// As [`evaluate`] does.
pub fn trace(
    graph: &Graph,
    inputs: &[&[f32]],
    flipped: &[(NodeId, usize)],
) -> (Vec<Vec<f32>>, Integers) {
    let mut integers = Integers::new();
    assert_eq!(
        inputs.len(),
        graph.inputs.len(),
        "one array for each graph input"
    );
    let mut values: Vec<Vec<f32>> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let arg = |i: usize| values[node.inputs[i]].as_slice();
        let value = match &node.op {
            Op::Input | Op::Whole { .. } => {
                let at = graph
                    .inputs
                    .iter()
                    .position(|&i| i == id)
                    .expect("input nodes are listed in `inputs`");
                assert_eq!(
                    inputs[at].len(),
                    graph.item_len(id),
                    "length of input `{}`",
                    node.name
                );
                inputs[at].to_vec()
            }
            Op::Conv(conv) => convolve(conv, &conv.weights, &conv.bias, arg(0)),
            Op::MatMul {
                rows,
                k,
                n,
                weights,
            } => matmul(*rows, *k, *n, weights, arg(0)),
            Op::Affine { scale, offset } => arg(0)
                .iter()
                .zip(scale)
                .zip(offset)
                .map(|((x, scale), offset)| x * scale + offset)
                .collect(),
            Op::Activation(f) => arg(0)
                .iter()
                .map(|&x| f.eval(f64::from(x)) as f32)
                .collect(),
            Op::Pool(p) => pool(p, arg(0)),
            Op::Add { subtract } => {
                let sign = if *subtract { -1.0 } else { 1.0 };
                arg(0)
                    .iter()
                    .zip(arg(1))
                    .map(|(a, b)| a + sign * b)
                    .collect()
            }
            Op::Mul => arg(0).iter().zip(arg(1)).map(|(a, b)| a * b).collect(),
            Op::Contract(sizes) => contract(*sizes, arg(0), arg(1)),
            Op::Map(entries) => {
                let mut out = vec![0.0; graph.item_len(id)];
                for &(o, i, weight) in entries {
                    out[o as usize] += weight * arg(0)[i as usize];
                }
                out
            }
            Op::Rearrange(cells) => cells
                .iter()
                .map(|cell| {
                    cell.map_or(0.0, |(input, element)| {
                        arg(input as usize)[element as usize]
                    })
                })
                .collect(),
            Op::ArgMax { last } => vec![argmax(arg(0), *last) as f32],
            Op::AtMost(thresholds) => arg(0)
                .iter()
                .zip(thresholds)
                .map(|(x, threshold)| f32::from(x <= threshold))
                .collect(),
            Op::Gate(gate) => {
                let mut sums: Vec<f32> = gate.bias.iter().map(|&b| b as f32).collect();
                for &(o, i, weight) in &gate.entries {
                    sums[o as usize] += weight as f32 * arg(0)[i as usize];
                }
                sums.into_iter().map(|sum| sum.clamp(0.0, 1.0)).collect()
            }
            Op::Label(labels) => vec![labels[argmax(arg(0), false)] as f32],
            Op::SquaredDistance { points } => {
                let x = arg(0);
                let distance = |point: &[f32]| {
                    let square = |(x, p): (&f32, &f32)| f64::from(x - p).powi(2);
                    x.iter().zip(point).map(square).sum::<f64>() as f32
                };
                points.chunks_exact(x.len()).map(distance).collect()
            }
            Op::Quantized(quantized) => {
                let operands: Vec<&[f32]> = (0..node.inputs.len()).map(arg).collect();
                let mut rounded = quantized.integers(&operands);
                for (_, element) in flipped.iter().filter(|flip| flip.0 == id) {
                    let rounded = &mut rounded[*element];
                    std::mem::swap(&mut rounded.value, &mut rounded.other);
                }
                let real = |r: &Rounded| quantized.to.real(r.value);
                let values = rounded.iter().map(real).collect();
                integers.push((id, rounded));
                values
            }
        };
        values.push(value);
    }
    (values, integers)
}

/// The outputs for whole batches of inputs.
///
/// # Panics
/// Where `inputs` does not hold one batch of the right length for each input of the graph.
pub fn run(graph: &Graph, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut outputs = vec![Vec::new(); graph.outputs.len()];
    for item in 0..graph.batch {
        let items: Vec<&[f32]> = inputs
            .iter()
            .map(|values| {
                let len = values.len() / graph.batch;
                &values[item * len..(item + 1) * len]
            })
            .collect();
        let values = evaluate(graph, &items);
        for (all, output) in outputs.iter_mut().zip(&graph.outputs) {
            all.extend(&values[output.node]);
        }
    }
    outputs
}

fn argmax(values: &[f32], last: bool) -> usize {
    let mut best = 0;
    for (i, &v) in values.iter().enumerate() {
        if v > values[best] || (last && v == values[best]) {
            best = i;
        }
    }
    best
}

fn contract(sizes: Contract, a: &[f32], b: &[f32]) -> Vec<f32> {
    let Contract {
        groups,
        rows,
        columns,
        inner,
    } = sizes;
    let mut out = Vec::with_capacity(groups * rows * columns);
    for g in 0..groups {
        for row in a[g * rows * inner..(g + 1) * rows * inner].chunks_exact(inner) {
            let others = b[g * columns * inner..(g + 1) * columns * inner].chunks_exact(inner);
            out.extend(others.map(|other| row.iter().zip(other).map(|(a, b)| a * b).sum::<f32>()));
        }
    }
    out
}

/// Numbers that layers are computed in.
pub(super) trait Number: Copy + Default + AddAssign + Mul<Output = Self> {}
impl Number for f32 {}
impl Number for i64 {}

pub(super) fn matmul<T: Number>(rows: usize, k: usize, n: usize, weights: &[T], x: &[T]) -> Vec<T> {
    let mut out = vec![T::default(); rows * n];
    for (row, out) in x.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        for (&v, weights) in row.iter().zip(weights.chunks_exact(n)) {
            for (o, &w) in out.iter_mut().zip(weights) {
                *o += v * w;
            }
        }
    }
    out
}

/// A convolution with these weights and bias.
pub(super) fn convolve<T: Number>(conv: &Conv, weights: &[T], bias: &[T], x: &[T]) -> Vec<T> {
    let window = &conv.window;
    let (oh, ow) = window.output().expect("the importer checked the window");
    let ((h, w), (kh, kw)) = (window.input, window.kernel);
    let (group_in, group_out) = (conv.cin / conv.groups, conv.cout / conv.groups);
    let mut out = vec![T::default(); conv.cout * oh * ow];
    for (oc, plane) in out.chunks_exact_mut(oh * ow).enumerate() {
        plane.fill(bias.get(oc).copied().unwrap_or_default());
        for ic in 0..group_in {
            let source = &x[(oc / group_out * group_in + ic) * h * w..][..h * w];
            let taps = &weights[(oc * group_in + ic) * kh * kw..][..kh * kw];
            for (tap, &weight) in taps.iter().enumerate() {
                let (ky, kx) = (tap / kw, tap % kw);
                let columns = window.columns(ow, kx);
                for oy in 0..oh {
                    let Some(iy) = window.row(oy, ky) else {
                        continue;
                    };
                    for ox in columns.clone() {
                        let ix = ox * window.stride.1 + kx * window.dilation.1 - window.pads.1;
                        plane[oy * ow + ox] += weight * source[iy * w + ix];
                    }
                }
            }
        }
    }
    out
}

/// Sums over a pool's windows.
pub(super) fn window_sums(pool: &Pool, x: &[i64]) -> Vec<i64> {
    let ((h, w), (oh, ow)) = (pool.window.input, pool.output);
    let window = &pool.window;
    let mut out = Vec::with_capacity(pool.channels * oh * ow);
    for source in x.chunks_exact(h * w) {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            let rows = (0..window.kernel.0).filter_map(|ky| window.row(oy, ky));
            let sum = rows.flat_map(|y| {
                let columns = (0..window.kernel.1).filter_map(|kx| window.column(ox, kx));
                columns.map(move |x| source[y * w + x])
            });
            out.push(sum.sum());
        }
    }
    out
}

fn pool(pool: &Pool, x: &[f32]) -> Vec<f32> {
    let window = &pool.window;
    let ((h, w), (oh, ow)) = (window.input, pool.output);
    let divisors = pool.divisors();
    let mut out = Vec::with_capacity(pool.channels * oh * ow);
    for source in x.chunks_exact(h * w) {
        for oy in 0..oh {
            for ox in 0..ow {
                let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0);
                for ky in 0..window.kernel.0 {
                    let Some(iy) = window.row(oy, ky) else {
                        continue;
                    };
                    for kx in 0..window.kernel.1 {
                        let Some(ix) = window.column(ox, kx) else {
                            continue;
                        };
                        max = max.max(source[iy * w + ix]);
                        sum += source[iy * w + ix];
                    }
                }
                out.push(match pool.kind {
                    PoolKind::Max => max,
                    PoolKind::Average { .. } => sum / divisors[oy * ow + ox] as f32,
                });
            }
        }
    }
    out
}
