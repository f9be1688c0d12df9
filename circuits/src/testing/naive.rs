//! The equations of [`crate::model`] once more, element by element over `i128`: what the executor is compared with.

use crate::model::{Kind, Linear, Model, NodeId, Op, Shape, Table, Term};

/// The tensors of all nodes so far.
struct Tensors<'a> {
    model: &'a Model,
    values: Vec<Vec<i128>>,
}

/// The tensor of every node (NCHW).
pub(crate) fn run(model: &Model, inputs: &[Vec<i64>]) -> Vec<Vec<i128>> {
    let mut tensors = Tensors {
        model,
        values: Vec::new(),
    };
    for (id, node) in model.nodes.iter().enumerate() {
        let value = match &node.kind {
            Kind::Input { .. } => {
                let port = model.inputs.iter().position(|p| p.node == id);
                let given = &inputs[port.expect("an input has a port")];
                given.iter().map(|v| i128::from(*v)).collect()
            }
            Kind::Linear(linear) => elements(node.shape)
                .map(|at| tensors.value(linear, node.shape, at))
                .collect(),
        };
        tensors.values.push(value);
    }
    tensors.values
}

type At = [usize; 4];

fn elements(s: Shape) -> impl Iterator<Item = At> {
    let at = move |i: usize| [i / s.item(), i / (s.h * s.w) % s.c, i / s.w % s.h, i % s.w];
    (0..s.len()).map(at)
}

impl Tensors<'_> {
    /// A source's value; 0 in the padding.
    fn get(&self, node: NodeId, n: usize, c: usize, y: i128, x: i128) -> i128 {
        let s = self.model.nodes[node].shape;
        assert!(n < s.n && c < s.c, "padding is spatial");
        if y < 0 || x < 0 || y >= s.h as i128 || x >= s.w as i128 {
            return 0;
        }
        self.values[node][((n * s.c + c) * s.h + y as usize) * s.w + x as usize]
    }

    /// An element of a node that is no input.
    fn value(&self, linear: &Linear, shape: Shape, [n, c, y, x]: At) -> i128 {
        let Some(pool) = linear.pool else {
            let grid = (shape.h, shape.w);
            return table(
                &linear.table,
                self.shifted(linear, shape.c, grid, [n, c, y, x]),
            );
        };
        let (kh, kw) = pool.kernel;
        let window = (0..kh * kw).map(|i| {
            let at = [n, c, y * kh + i / kw, x * kw + i % kw];
            self.shifted(linear, shape.c, pool.full, at)
        });
        let least = if pool.from_zero { 0 } else { i128::MIN };
        table(&linear.table, window.fold(least, i128::max))
    }

    fn shifted(&self, linear: &Linear, channels: usize, (h, w): (usize, usize), at: At) -> i128 {
        let [_, c, y, x] = at;
        let bias = if linear.bias.len() == channels {
            linear.bias[c]
        } else {
            linear.bias[(c * h + y) * w + x]
        };
        let terms = linear.terms.iter().map(|t| self.term(t, (h, w), at));
        let sum = i128::from(bias) + terms.sum::<i128>();
        if linear.requantize {
            sum.div_euclid(1 << self.model.shift)
        } else {
            sum
        }
    }

    fn term(&self, term: &Term, (h, w): (usize, usize), [n, c, y, x]: At) -> i128 {
        let source = self.model.nodes[term.source].shape;
        let window = |o: usize, stride: usize, k: usize, dilation: usize, pad: usize| {
            (o * stride + k * dilation) as i128 - pad as i128
        };
        let element = |e: usize| {
            let at = (e / source.w % source.h, e % source.w);
            let channel = e / (source.h * source.w);
            self.get(term.source, n, channel, at.0 as i128, at.1 as i128)
        };
        match &term.op {
            Op::Conv(v) => {
                let (ins, outs) = (v.cin / v.groups, v.cout / v.groups);
                let (kh, kw) = v.kernel;
                let mut sum = 0;
                for i in 0..ins {
                    for k in 0..kh * kw {
                        let weight = v.weights[(c * ins + i) * kh * kw + k];
                        let row = window(y, v.stride.0, k / kw, v.dilation.0, v.pads.0);
                        let column = window(x, v.stride.1, k % kw, v.dilation.1, v.pads.1);
                        let channel = term.channel + c / outs * ins + i;
                        sum += i128::from(weight) * self.get(term.source, n, channel, row, column);
                    }
                }
                sum
            }
            Op::SumPool(v) => {
                let (kh, kw) = v.kernel;
                let cells = (0..kh * kw).map(|k| {
                    let row = window(y, v.stride.0, k / kw, 1, v.pads.0);
                    let column = window(x, v.stride.1, k % kw, 1, v.pads.1);
                    self.get(term.source, n, term.channel + c, row, column)
                });
                i128::from(v.multiplier) * cells.sum::<i128>()
            }
            Op::Dense { weights, .. } => {
                let item = source.item();
                let products = (0..item).map(|e| i128::from(weights[c * item + e]) * element(e));
                products.sum()
            }
            Op::Map { entries, .. } => {
                let output = (c * h + y) * w + x;
                let mine = entries.iter().filter(|e| e.0 as usize == output);
                mine.map(|(_, input, weight)| i128::from(*weight) * element(*input as usize))
                    .sum()
            }
        }
    }
}

fn table(table: &Table, x: i128) -> i128 {
    match table {
        Table::Raw | Table::Identity => x,
        Table::Clip { lo, hi } => x.max((*lo).into()).min((*hi).into()),
        Table::Lut { lo, values } => {
            let index = (x - i128::from(*lo)).max(0).min(values.len() as i128 - 1);
            values[index as usize].into()
        }
    }
}
