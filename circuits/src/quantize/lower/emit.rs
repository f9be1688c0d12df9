//! From a pending sum with real weights to integer nodes.

use std::sync::Arc;

use super::{
    Lowering, Tensor,
    pending::{Op, Pending, Pool, Term},
    product::MAX_BITS,
    scales::{self, Grid},
    value::{Dims, len},
};
use crate::{
    graph::{Activation, Function},
    model::{self, Kind, Linear, MaxPool, Node, NodeId, Shape, Table},
    quantize::QuantizeError,
};

/// Bits of the magnitude of integer weights and biases, up to a shift of 24 bits; beyond it that much over the shift.
const WEIGHT_BITS: u32 = 30;
const WEIGHT_BITS_OVER_SHIFT: u32 = 12;

/// Bits that a tensor of whole numbers may have beyond the model's.
const WHOLE_BITS: u32 = 4;

/// Steps that a table over whole numbers may have, whatever the bits.
const LATTICE: f64 = 4096.0;

/// By how much steps may grow for the sake of weights before a clamp is tabulated instead.
const COARSE: f64 = 2.0;

/// An argument at which functions that saturate have done so.
const FAR: f64 = 64.0;

/// Points at which a composed function's sign is looked at.
const SAMPLES: u32 = 1 << 10;

/// Fractional bits that the weights of an output have at least.
const RAW_FRACTION: u32 = 16;

impl Lowering<'_> {
    /// Appends a node to the model, unless it has one that computes the same. Inputs and outputs are their own.
    pub(super) fn push(&mut self, name: String, dims: Dims, kind: Kind) -> NodeId {
        let shape = Shape {
            n: self.graph.batch,
            c: dims.0,
            h: dims.1,
            w: dims.2,
        };
        let shared = matches!(&kind, Kind::Linear(linear) if linear.table != Table::Raw);
        let same = |node: &Node| node.shape == shape && node.kind == kind;
        if let Some(id) = self.model.nodes.iter().position(same).filter(|_| shared) {
            return id;
        }
        self.model.nodes.push(Node { name, shape, kind });
        self.model.nodes.len() - 1
    }

    /// Turns a sum into a quantized tensor. Returns its index in the list of tensors.
    pub(super) fn emit(&mut self, pending: Pending) -> usize {
        let (name, bits) = (pending.name.clone(), self.width(&pending.name));
        let tensor = self.emit_with(pending, bits);
        self.adjustable.push((name, self.tensors[tensor].node));
        tensor
    }

    /// [`Self::emit`] with other bits than the model's.
    pub(super) fn emit_with(&mut self, mut pending: Pending, bits: u32) -> usize {
        let seen = pending.range.overall();
        let possible = pending
            .activation
            .as_ref()
            .map_or((f64::NEG_INFINITY, f64::INFINITY), Activation::codomain);
        let range = (seen.0.max(possible.0), seen.1.min(possible.1));
        let least = range.0.min(least(&pending));
        let mut grid = Grid::new(bits, least);
        let mut out = grid.scale(range);
        if matches!(pending.activation, Some(Activation::Indicator { .. })) {
            (grid, out) = (Grid { lo: 0, hi: 1 }, 1.0);
        } else if self.is_whole(&mut pending) {
            // Whole numbers stay so, with some bits more where it takes that.
            let mut grids = (bits..=(bits + WHOLE_BITS).min(MAX_BITS)).map(|b| Grid::new(b, least));
            if let Some(wide) = grids.find(|grid| grid.holds(range)) {
                (grid, out) = (wide, 1.0);
            }
        }
        // A table that goes on further than what was seen has twice the steps.
        let more = u32::from(saturate(&mut pending, grid, out));
        self.tabulate_clamp(&mut pending, out);
        self.emit_grid(pending, bits + more, grid, out).0
    }

    /// Turns a sum into a tensor on a grid that is given.
    ///
    /// # Errors
    /// [`QuantizeError::Exact`] where the weights do not allow that scale.
    pub(super) fn emit_on(
        &mut self,
        pending: Pending,
        grid: Grid,
        scale: f64,
    ) -> Result<usize, QuantizeError> {
        let node = pending.name.clone();
        let (tensor, out) = self.emit_grid(pending, self.options.bits, grid, scale);
        if out == scale {
            Ok(tensor)
        } else {
            Err(QuantizeError::Exact { node })
        }
    }

    /// A tensor on a grid, and its scale: coarser than `out` where the weights ask for that.
    fn emit_grid(
        &mut self,
        mut pending: Pending,
        bits: u32,
        grid: Grid,
        mut out: f64,
    ) -> (usize, f64) {
        let channels = pending.dims.0;
        let function = pending
            .activation
            .clone()
            .filter(|f| !matches!(f, Activation::Clip { .. }));
        // The sums' own scale: the output's, or a finer one where a table stands between.
        let active = function
            .as_ref()
            .map(|f| scales::active(f, pending.sums, out));
        let mut sums = match active {
            Some((lo, hi)) if hi > lo => {
                let steps = f64::from(1u32 << (bits + 1));
                match self.lattice(&mut pending) {
                    // Arguments that lie on a lattice are looked up as they are.
                    Some(unit) if (hi - lo) / unit <= steps.max(LATTICE) => unit,
                    _ => (hi - lo) / steps,
                }
            }
            Some(_) => 1.0,
            None => out,
        };
        let gain = (1u64 << self.options.shift) as f64;
        let coarser = self.coarsening(&mut pending, sums, gain);
        sums *= coarser;
        if function.is_none() {
            out *= coarser;
        }
        let table = match (&pending.activation, active) {
            (Some(f), Some(active)) => scales::lut(f, active, sums, out, grid),
            (Some(Activation::Clip { lo, hi }), None) => clip(*lo, *hi, out, grid),
            _ => Table::Clip {
                lo: grid.lo,
                hi: grid.hi,
            },
        };
        let terms = self.integer_terms(&mut pending, sums, gain);
        let half = 1i64 << (self.options.shift - 1);
        let bias = integer_bias(&pending, sums, gain)
            .into_iter()
            .map(|b| b.saturating_add(half))
            .collect();
        let node = match pending.pool {
            None => {
                let linear = Linear {
                    terms,
                    bias,
                    requantize: true,
                    pool: None,
                    table,
                };
                self.push(pending.name, pending.dims, Kind::Linear(linear))
            }
            Some(Pool { kernel, full }) => {
                let from_zero = matches!(table, Table::Clip { lo: 0, .. });
                let pool = Some(MaxPool {
                    kernel,
                    from_zero,
                    full,
                });
                let linear = Linear {
                    terms,
                    bias,
                    requantize: true,
                    pool,
                    table: Table::Identity,
                };
                let max = self.push(
                    format!("{}.max", pending.name),
                    pending.dims,
                    Kind::Linear(linear),
                );
                let terms = vec![copy(max, 0, channels, 1)];
                let linear = Linear {
                    terms,
                    bias: vec![0; channels],
                    requantize: false,
                    pool: None,
                    table,
                };
                self.push(pending.name, pending.dims, Kind::Linear(linear))
            }
        };
        let tensor = self.tensor(Tensor {
            node,
            dims: pending.dims,
            scales: vec![out; channels],
            least: grid.lo,
        });
        (tensor, out)
    }

    /// Turns a sum into public accumulators; returns the node and the scale of its integers.
    pub(super) fn emit_raw(&mut self, mut pending: Pending) -> (NodeId, f64) {
        // Nothing shifts these sums, so that they can be finer than the model's shift.
        let mut gain = (1u64 << self.options.shift.max(RAW_FRACTION)) as f64;
        let mut step = Grid::new(self.options.bits.max(8), -1.0).scale(pending.range.overall());
        if self.is_whole(&mut pending) {
            (gain, step) = (1.0, 1.0);
        }
        let step = step * self.coarsening(&mut pending, step, gain);
        let terms = self.integer_terms(&mut pending, step, gain);
        let bias = integer_bias(&pending, step, gain);
        let linear = Linear {
            terms,
            bias,
            requantize: false,
            pool: None,
            table: Table::Raw,
        };
        (
            self.push(pending.name, pending.dims, Kind::Linear(linear)),
            step / gain,
        )
    }

    /// A clamp of sums whose weights ask for much coarser steps becomes a table: what a mask of -1e9 is clamped to then keeps
    /// its steps.
    fn tabulate_clamp(&self, pending: &mut Pending, scale: f64) {
        let (lo, hi) = match pending.activation {
            None => (f32::NEG_INFINITY, f32::INFINITY),
            Some(Activation::Clip { lo, hi }) => (lo, hi),
            Some(_) => return,
        };
        let gain = (1u64 << self.options.shift) as f64;
        if pending.pool.is_some() || self.coarsening(pending, scale, gain) < COARSE {
            return;
        }
        let lo = lo.max(pending.sums.0 as f32);
        let hi = hi.min(pending.sums.1 as f32).max(lo);
        let clamp = Function::Of(Activation::Clip { lo, hi }, Arc::new(Function::Argument));
        pending.activation = Some(Activation::Composed(Arc::new(clamp)));
    }

    /// True where a tensor's values are whole numbers: those of a function that has no others, or of whole sums.
    fn is_whole(&self, pending: &mut Pending) -> bool {
        match &pending.activation {
            None => {}
            Some(Activation::Clip { lo, hi }) => {
                let whole = |v: &f32| v.is_infinite() || v.fract() == 0.0;
                if !whole(lo) || !whole(hi) {
                    return false;
                }
            }
            Some(f) if f.is_whole() => return true,
            Some(f) if f.keeps_whole() => {}
            Some(_) => return false,
        }
        let mut whole = pending.bias.iter().all(|b| b.fract() == 0.0);
        for term in &mut pending.terms {
            let source = &self.tensors[term.source];
            let first = term.channel;
            term.each_weight(source.dims, |w, input| {
                whole &= *w == 0.0 || (w.fract() == 0.0 && source.scales[first + input] == 1.0);
            });
        }
        whole
    }

    /// The number that a sum's values are whole multiples of: sums of whole numbers over a common divisor.
    fn lattice(&self, pending: &mut Pending) -> Option<f64> {
        let mut unit = f64::INFINITY;
        let mut whole = true;
        for term in &mut pending.terms {
            let source = &self.tensors[term.source];
            let first = term.channel;
            term.each_weight(source.dims, |w, input| {
                if *w != 0.0 {
                    unit = unit.min(w.abs());
                    whole &= source.scales[first + input] == 1.0;
                }
            });
        }
        if !whole || !unit.is_finite() {
            return None;
        }
        let on = |v: f64, unit: f64| (v / unit).fract() == 0.0;
        // Quotients are rounded in the middle between two.
        if !pending.bias.iter().all(|&b| on(b, unit)) {
            unit *= 0.5;
        }
        whole = pending.bias.iter().all(|&b| on(b, unit));
        for term in &mut pending.terms {
            let dims = self.tensors[term.source].dims;
            term.each_weight(dims, |w, _| whole &= on(*w, unit));
        }
        whole.then_some(unit)
    }

    /// By how much the scale of sums must grow so that no integer weight or bias leaves its range.
    fn coarsening(&self, pending: &mut Pending, scale: f64, gain: f64) -> f64 {
        let mut peak = pending
            .bias
            .iter()
            .map(|b| (b / scale * gain).abs())
            .fold(0.0, f64::max);
        for term in &mut pending.terms {
            let source = &self.tensors[term.source];
            let first = term.channel;
            term.each_weight(source.dims, |w, input| {
                peak = peak.max((*w * source.scales[first + input] / scale * gain).abs());
            });
        }
        let bits = match self.options.shift {
            ..=24 => WEIGHT_BITS,
            shift => shift + WEIGHT_BITS_OVER_SHIFT,
        };
        (peak / (1u64 << bits) as f64).max(1.0)
    }

    pub(super) fn integer_terms(
        &self,
        pending: &mut Pending,
        scale: f64,
        gain: f64,
    ) -> Vec<model::Term> {
        let convert = |term: &mut Term| {
            let source = &self.tensors[term.source];
            let first = term.channel;
            if let Op::SumPool { channels, .. } = term.op {
                let scales = &source.scales[first..first + channels];
                if scales.iter().any(|s| s != &scales[0]) {
                    term.unpack();
                }
            }
            term.each_weight(source.dims, |w, input| {
                *w = (*w * source.scales[first + input] / scale * gain).round();
            });
            model::Term {
                source: source.node,
                channel: first,
                op: integer_op(&term.op),
            }
        };
        pending.terms.iter_mut().map(convert).collect()
    }

    /// A node that copies tensors without rounding: for views that no term can express.
    pub(super) fn push_exact(
        &mut self,
        name: String,
        dims: Dims,
        linear: Linear,
        scales: Vec<f64>,
        least: i64,
    ) -> usize {
        let node = self.push(name, dims, Kind::Linear(linear));
        self.tensor(Tensor {
            node,
            dims,
            scales,
            least,
        })
    }
}

/// An identity over `count` channels from `channel`, times a weight.
pub(super) fn copy(source: NodeId, channel: usize, count: usize, weight: i64) -> model::Term {
    let op = model::Op::Conv(model::Conv {
        cin: count,
        cout: count,
        kernel: (1, 1),
        stride: (1, 1),
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
        groups: count,
        weights: vec![weight; count],
    });
    model::Term {
        source,
        channel,
        op,
    }
}

/// A function that reaches an end of its codomain that the grid holds is tabulated until there, not only where calibration
/// saw it: arguments beyond are not clamped on the way. True where that is further.
fn saturate(pending: &mut Pending, grid: Grid, scale: f64) -> bool {
    let seen = pending.sums;
    let Some(f) = pending.activation.as_ref().filter(|f| f.saturates()) else {
        return false;
    };
    let (lo, hi) = f.codomain();
    if lo.is_finite() && grid.lo as f64 * scale <= lo {
        pending.sums.0 = seen.0.min(-FAR);
    }
    if hi.is_finite() && grid.hi as f64 * scale >= hi * (1.0 - 1e-6) {
        pending.sums.1 = seen.1.max(FAR);
    }
    scales::active(f, pending.sums, scale) != scales::active(f, seen, scale)
}

/// The least value of a function, where that matters for the sign of its range: calibration may have seen no
/// negative value of a function that has them.
fn least(pending: &Pending) -> f64 {
    match &pending.activation {
        None | Some(Activation::Clip { .. }) => 0.0,
        Some(f @ Activation::Composed(_)) => {
            let (lo, hi) = pending.sums;
            (0..=SAMPLES)
                .map(|i| f.eval(lo + (hi - lo) * f64::from(i) / f64::from(SAMPLES)))
                .fold(0.0, f64::min)
        }
        Some(f) => f.codomain().0,
    }
}

fn clip(lo: f32, hi: f32, scale: f64, grid: Grid) -> Table {
    // The cast saturates infinities to the grid's ends.
    let bound = |v: f32| ((f64::from(v) / scale).round() as i64).clamp(grid.lo, grid.hi);
    Table::Clip {
        lo: bound(lo),
        hi: bound(hi),
    }
}

fn integer_bias(pending: &Pending, scale: f64, gain: f64) -> Vec<i64> {
    pending
        .bias
        .iter()
        .map(|b| (b / scale * gain).round() as i64)
        .collect()
}

/// Weights are integers within range by now.
pub(super) fn integer_op(op: &Op) -> model::Op {
    let integers = |weights: &[f64]| weights.iter().map(|&w| w as i64).collect();
    match op {
        Op::Conv {
            cin,
            cout,
            groups,
            window,
            weights,
        } => model::Op::Conv(model::Conv {
            cin: *cin,
            cout: *cout,
            kernel: window.kernel,
            stride: window.stride,
            dilation: window.dilation,
            pads: window.pads,
            groups: *groups,
            weights: integers(weights),
        }),
        Op::Dense { out, weights } => model::Op::Dense {
            out: *out,
            weights: integers(weights),
        },
        Op::SumPool {
            channels,
            window,
            weight,
        } => model::Op::SumPool(model::SumPool {
            channels: *channels,
            kernel: window.kernel,
            stride: window.stride,
            pads: window.pads,
            multiplier: *weight as i64,
        }),
        Op::Map { out, entries } => {
            debug_assert!(entries.iter().all(|e| (e.0 as usize) < len(*out)));
            let entries = entries
                .iter()
                .map(|&(o, i, w)| (o, i, w as i64))
                .filter(|e| e.2 != 0)
                .collect();
            model::Op::Map { out: *out, entries }
        }
    }
}
