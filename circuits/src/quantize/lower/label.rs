//! The label of the greatest score, by comparing each pair of them.
//!
//! ```text
//! Y_j                                            the scores' integer sums, never rounded
//! beats_ij = [Y_j - Y_i - 1 < 0],   i < j        signs of sums: 1 where i wins against the later j
//! hit_i = clamp(Σ_(j>i) beats_ij + Σ_(j<i) (1 - beats_ji) - (C-2), 0, 1)
//! label = Σ_i label_i · hit_i                    the raw output
//! ```
//!
//! All `Y` are sums with the same integer weights wherever they stand, so that the order is total: exactly one wins.

use std::collections::BTreeMap;

use super::{
    Lowering, Part, Tensor,
    decisions::sign_table,
    value::{Dims, Value, len},
};
use crate::{
    geometry::Window,
    graph::NodeId,
    model::{self, Kind, Linear, Op, Table, Term},
    quantize::QuantizeError,
};

/// Weights of all differences, beyond which scores are rounded first.
const MAX_DIFFERENCES: usize = 1 << 20;

impl Lowering<'_> {
    pub(super) fn label(&mut self, id: NodeId, labels: &[i32]) -> Result<Value, QuantizeError> {
        let classes = labels.len();
        let name = self.name(id).to_owned();
        let mut value = self.operand(id, 0);
        let direct = matches!(value.parts[..], [part] if {
            let dims = self.dims(part);
            dims.1 * dims.2 == 1 && value.is_bijective(len(dims))
        });
        if !direct {
            value = self.laid_out(&name, &value, (classes, 1, 1))?;
        }
        let mut scores = self.sum(value.parts[0]);
        let row: usize = scores.terms.iter().map(|t| t.op.weights()).sum();
        if (classes - 1).saturating_mul(row) > MAX_DIFFERENCES {
            self.compared(value.parts[0]);
            scores = self.identity(value.parts[0]);
        }
        // Differences reach twice as far.
        let (terms, bias) = self.fine_sum(&mut scores, 2.0);
        let place = |class: usize| value.cells[class].map_or(0, |(_, e)| e as usize);
        let pairs: Vec<(usize, usize)> = (0..classes)
            .flat_map(|i| (i + 1..classes).map(move |j| (i, j)))
            .collect();
        let differences = terms
            .iter()
            .map(|term| {
                let rows = rows(term, classes, self.source_dims(term.source));
                let entries = pairs.iter().enumerate().flat_map(|(p, &(i, j))| {
                    let difference = subtract(&rows[place(j)], &rows[place(i)]);
                    difference.into_iter().map(move |(e, w)| (p as u32, e, w))
                });
                let op = Op::Map {
                    out: (pairs.len(), 1, 1),
                    entries: entries.collect(),
                };
                Term {
                    source: term.source,
                    channel: 0,
                    op,
                }
            })
            .collect();
        let ahead = |&(i, j): &(usize, usize)| bias[place(j)] - bias[place(i)] - 1;
        let offsets = pairs.iter().map(ahead).collect();
        let beats = self.push_bits(
            format!("{name}.beats"),
            differences,
            offsets,
            Some(sign_table()),
        );

        let mut entries = Vec::new();
        for class in 0..classes {
            for (p, &(i, j)) in pairs.iter().enumerate() {
                if i == class {
                    entries.push((class as u32, p as u32, 1));
                } else if j == class {
                    entries.push((class as u32, p as u32, -1));
                }
            }
        }
        let wins = Term {
            source: beats,
            channel: 0,
            op: Op::Map {
                out: (classes, 1, 1),
                entries,
            },
        };
        let least = |class: usize| class as i64 - (classes as i64 - 2);
        let hit = self.push_bits(
            format!("{name}.hit"),
            vec![wins],
            (0..classes).map(least).collect(),
            None,
        );
        let op = Op::Dense {
            out: 1,
            weights: labels.iter().map(|&label| i64::from(label)).collect(),
        };
        let linear = Linear {
            terms: vec![Term {
                source: hit,
                channel: 0,
                op,
            }],
            bias: vec![0],
            requantize: false,
            pool: None,
            table: Table::Raw,
        };
        let node = self.push(name, (1, 1, 1), Kind::Linear(linear));
        let tensor = self.tensor(Tensor {
            node,
            dims: (1, 1, 1),
            scales: vec![1.0],
            least: 0,
        });
        let part = self.part(Part::Tensor(tensor));
        Ok(Value::whole(part, 1))
    }

    fn source_dims(&self, node: model::NodeId) -> Dims {
        let shape = self.model.nodes[node].shape;
        (shape.c, shape.h, shape.w)
    }
}

/// The weights of a term that gives a vector, one row an output, by element of the source.
fn rows(term: &Term, outputs: usize, source: Dims) -> Vec<BTreeMap<u32, i64>> {
    let mut rows = vec![BTreeMap::new(); outputs];
    let plane = source.1 * source.2;
    match &term.op {
        Op::Dense { weights, .. } => {
            for (i, &weight) in weights.iter().enumerate() {
                rows[i / len(source)].insert((i % len(source)) as u32, weight);
            }
        }
        Op::Map { entries, .. } => {
            for &(out, input, weight) in entries {
                *rows[out as usize].entry(input).or_insert(0) += weight;
            }
        }
        Op::Conv(conv) => {
            let window = Window {
                input: (source.1, source.2),
                kernel: conv.kernel,
                stride: conv.stride,
                dilation: conv.dilation,
                pads: conv.pads,
            };
            let (ins, outs) = (conv.cin / conv.groups, conv.cout / conv.groups);
            let places = places(&window);
            for (out, row) in rows.iter_mut().enumerate() {
                let weights = &conv.weights[out * ins * places.len()..][..ins * places.len()];
                for (i, weights) in weights.chunks_exact(places.len()).enumerate() {
                    let channel = term.channel + out / outs * ins + i;
                    for (&weight, place) in weights.iter().zip(&places) {
                        if let Some(place) = place {
                            row.insert((channel * plane + place) as u32, weight);
                        }
                    }
                }
            }
        }
        Op::SumPool(pool) => {
            let window = Window {
                input: (source.1, source.2),
                kernel: pool.kernel,
                stride: pool.stride,
                dilation: (1, 1),
                pads: pool.pads,
            };
            for (channel, row) in rows.iter_mut().enumerate() {
                for place in places(&window).into_iter().flatten() {
                    let element = (term.channel + channel) * plane + place;
                    row.insert(element as u32, pool.multiplier);
                }
            }
        }
    }
    rows
}

/// Where in the plane each tap of a window's only position lies, if inside.
fn places(window: &Window) -> Vec<Option<usize>> {
    let mut places = Vec::new();
    for ky in 0..window.kernel.0 {
        for kx in 0..window.kernel.1 {
            let (y, x) = (window.row(0, ky), window.column(0, kx));
            places.push(y.zip(x).map(|(y, x)| y * window.input.1 + x));
        }
    }
    places
}

/// `a - b`, zeros left out.
fn subtract(a: &BTreeMap<u32, i64>, b: &BTreeMap<u32, i64>) -> BTreeMap<u32, i64> {
    let mut difference = a.clone();
    for (&element, &weight) in b {
        *difference.entry(element).or_insert(0) -= weight;
    }
    difference.retain(|_, weight| *weight != 0);
    difference
}
