//! The weights of every consumed functional, from the operations that read it.

use std::collections::{HashMap, HashSet};

use super::copies::{accumulator_grid, bias_source};
use super::planner::Planner;
use super::{Chunk, Tensor, Weights, scheme};
use crate::model::{Kind, NodeId, Op};

/// Index of each node's tensor.
type Place = HashMap<NodeId, usize>;

impl Planner<'_> {
    /// The chunks in the order of the consumed functionals.
    pub(super) fn chunks(&self, tensors: &[Tensor]) -> Vec<Chunk> {
        let place: Place = tensors
            .iter()
            .enumerate()
            .map(|(i, t)| (t.node, i))
            .collect();
        let mut out = Vec::new();
        for (index, tensor) in tensors.iter().enumerate().filter(|(_, t)| t.consumed) {
            if tensor.has_one {
                let taps = self.bias_taps(tensor.node, tensors, &place);
                out.push(Chunk {
                    tensor: index,
                    source: None,
                    taps,
                    row: 0,
                });
            }
            let readers: Vec<Reader> = self.readers[&tensor.node]
                .iter()
                .map(|&(node, term)| Reader::new(self, tensors, &place, (node, term)))
                .collect();
            let at_zero = value_at_zero(&self.model.nodes[tensor.node].kind);
            let lanes = self.profile.lanes;
            for group in 0..tensor.groups {
                for plane in 0..tensor.cons_planes {
                    for lane in (0..lanes).rev() {
                        let channel = group * lanes + lane;
                        if channel >= tensor.channels && at_zero == 0 {
                            continue;
                        }
                        let id = tensor.plane_ids.get(plane).copied().unwrap_or(0);
                        let live = channel < tensor.channels;
                        let taps = readers
                            .iter()
                            .filter(|_| live)
                            .flat_map(|r| r.weights(id, channel))
                            .collect();
                        out.push(Chunk {
                            tensor: index,
                            source: Some((plane, channel)),
                            taps,
                            row: 0,
                        });
                    }
                }
            }
        }
        out
    }

    fn bias_taps(&self, source: NodeId, tensors: &[Tensor], place: &Place) -> Vec<Weights> {
        let mut readers: Vec<NodeId> = self.readers[&source].iter().map(|r| r.0).collect();
        readers.dedup();
        let mut seen = HashSet::new();
        readers
            .into_iter()
            .filter(|r| seen.insert(*r))
            .filter_map(|reader| {
                let linear = self
                    .linear(reader)
                    .filter(|l| bias_source(l) == Some(source))?;
                let to = place[&reader];
                let target = Target::new(self, &tensors[to]);
                let c = tensors[to].channels;
                let item = linear.bias.len() / c;
                let weights = (0..linear.bias.len().max(c * target.positions())).filter_map(|e| {
                    let (channel, position) = (e / target.positions(), e % target.positions());
                    let bias = if item == 1 {
                        linear.bias[channel]
                    } else {
                        linear.bias[e]
                    };
                    Some((target.offset(channel, position)? as u32, bias))
                });
                Some(Weights {
                    to,
                    shift: tensors[to].origin,
                    weights: weights.filter(|w| w.1 != 0).collect(),
                })
            })
            // A reader whose elements nobody reads has no rows.
            .filter(|tap| !tap.weights.is_empty())
            .collect()
    }
}

/// What an unused lane's table lookup gives.
fn value_at_zero(kind: &Kind) -> i64 {
    match kind {
        Kind::Linear(l) if l.pool.is_none() => l.table.eval(0),
        _ => 0,
    }
}

/// Exponents of the elements of a produced tensor.
struct Target<'a> {
    tensor: &'a Tensor,
    lanes: usize,
    /// Plane rank of a position of an item, where production is flat.
    ranks: Vec<Option<usize>>,
}

impl<'a> Target<'a> {
    fn new(planner: &Planner<'_>, tensor: &'a Tensor) -> Self {
        let mut ranks = Vec::new();
        if planner.is_flat(tensor.node) {
            let shape = planner.model.nodes[tensor.node].shape;
            let (h, w) = planner
                .linear(tensor.node)
                .map_or((1, 1), |l| accumulator_grid(shape, l));
            ranks = vec![None; h * w];
            for row in &tensor.order {
                if let (Some((_, y, x)), Some(c)) = (row.at, row.prod) {
                    ranks[y * w + x] = Some(c.plane);
                }
            }
        }
        Target {
            tensor,
            lanes: planner.profile.lanes,
            ranks,
        }
    }

    /// Positions that have exponents of their own.
    fn positions(&self) -> usize {
        self.ranks.len().max(1)
    }

    /// `None` for a position that nobody reads: it has no row.
    fn offset(&self, channel: usize, position: usize) -> Option<usize> {
        let plane = if self.ranks.is_empty() {
            0
        } else {
            self.ranks[position]?
        };
        Some(
            self.tensor
                .offset_p(channel / self.lanes, plane, self.lanes)
                + channel % self.lanes,
        )
    }
}

/// A term that reads a tensor, with what its weights need.
struct Reader<'a> {
    op: &'a Op,
    first_channel: usize,
    to: usize,
    target: Target<'a>,
    taps: HashMap<usize, Vec<scheme::Tap>>,
    /// `(output element, weight)` by input element, for sparse maps.
    by_input: HashMap<u32, Vec<(u32, i64)>>,
    positions_in: usize,
}

impl<'a> Reader<'a> {
    fn new(
        planner: &Planner<'a>,
        tensors: &'a [Tensor],
        place: &Place,
        (node, term): (NodeId, usize),
    ) -> Self {
        let to = place[&node];
        let linear = planner.linear(node).expect("only linear nodes read");
        let mut taps: HashMap<usize, Vec<scheme::Tap>> = HashMap::new();
        for tap in planner.taps(node, term) {
            taps.entry(tap.plane).or_default().push(tap);
        }
        let term = &linear.terms[term];
        let mut by_input: HashMap<u32, Vec<(u32, i64)>> = HashMap::new();
        if let Op::Map { entries, .. } = &term.op {
            for (output, input, weight) in entries {
                by_input.entry(*input).or_default().push((*output, *weight));
            }
        }
        let source = planner.model.nodes[term.source].shape;
        Reader {
            op: &term.op,
            first_channel: term.channel,
            to,
            target: Target::new(planner, &tensors[to]),
            taps,
            by_input,
            positions_in: source.h * source.w,
        }
    }

    /// What channel `channel` of plane `plane` contributes.
    fn weights(&self, plane: usize, channel: usize) -> Vec<Weights> {
        let Some(channel) = channel.checked_sub(self.first_channel) else {
            return Vec::new();
        };
        let (oy, ox) = self.target.tensor.origin;
        let taps = self.taps.get(&plane).into_iter().flatten();
        taps.map(|tap| Weights {
            to: self.to,
            shift: (oy - tap.qy, ox - tap.qx),
            weights: self.tap_weights(tap.kernel, plane, channel),
        })
        .filter(|w| !w.weights.is_empty())
        .collect()
    }

    fn tap_weights(&self, kernel: usize, plane: usize, channel: usize) -> Vec<(u32, i64)> {
        let at = |output: usize, weight: i64| {
            (self.target.offset(output, 0).unwrap_or(0) as u32, weight)
        };
        match self.op {
            Op::Conv(c) => {
                if channel >= c.cin {
                    return Vec::new();
                }
                let (ins, outs) = (c.cin / c.groups, c.cout / c.groups);
                let taps = c.kernel.0 * c.kernel.1;
                let first = channel / ins * outs;
                let weight = |o: usize| c.weights[(o * ins + channel % ins) * taps + kernel];
                (first..first + outs)
                    .map(|o| at(o, weight(o)))
                    .filter(|w| w.1 != 0)
                    .collect()
            }
            Op::SumPool(p) => {
                if channel >= p.channels {
                    Vec::new()
                } else {
                    vec![at(channel, p.multiplier)]
                }
            }
            Op::Dense { out, weights } => {
                let item = weights.len() / out;
                let element = channel * self.positions_in + plane;
                (0..*out)
                    .map(|o| at(o, weights[o * item + element]))
                    .filter(|w| w.1 != 0)
                    .collect()
            }
            Op::Map { .. } => {
                let element = (channel * self.positions_in + plane) as u32;
                let positions = self.target.positions();
                let entries = self.by_input.get(&element).into_iter().flatten();
                entries
                    .filter_map(|(o, w)| {
                        let (channel, position) =
                            (*o as usize / positions, *o as usize % positions);
                        Some((self.target.offset(channel, position)? as u32, *w))
                    })
                    .collect()
            }
        }
    }
}
