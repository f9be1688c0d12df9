//! Linear algebra that is not an integer node yet: terms still take on bias, scale, residuals and an activation.

use super::value::{Dims, len};
use crate::{geometry::Window, graph::Activation, quantize::calibrate::Ranges};

/// A node under assembly.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) name: String,
    /// Dimensions of the tensor, after pooling.
    pub(super) dims: Dims,
    /// Summed terms.
    pub(super) terms: Vec<Term>,
    /// One a channel, or one an element of the accumulator where every term is placed freely.
    pub(super) bias: Vec<f64>,
    /// Function of the sum.
    pub(super) activation: Option<Activation>,
    /// Maximum over windows, before or after the activation: they commute.
    pub(super) pool: Option<Pool>,
    /// Range of every element of the tensor.
    pub(super) range: Ranges,
    /// Range of all sums, before the activation.
    pub(super) sums: (f64, f64),
}

/// A fused maximum: windows side by side over an accumulator of size `full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) kernel: (usize, usize),
    pub(super) full: (usize, usize),
}

/// One term, with real weights over real values of its source.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// Index of the tensor in the lowering's list.
    pub(super) source: usize,
    /// First channel read.
    pub(super) channel: usize,
    pub(super) op: Op,
}

/// The operators of [`crate::model::Op`], with real weights.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Conv {
        cin: usize,
        cout: usize,
        groups: usize,
        window: Window,
        weights: Vec<f64>,
    },
    Dense {
        out: usize,
        weights: Vec<f64>,
    },
    SumPool {
        channels: usize,
        window: Window,
        weight: f64,
    },
    Map {
        out: Dims,
        entries: Vec<(u32, u32, f64)>,
    },
}

impl Op {
    /// How many weights it has.
    pub(super) fn weights(&self) -> usize {
        match self {
            Op::Conv { weights, .. } | Op::Dense { weights, .. } => weights.len(),
            Op::SumPool { .. } => 1,
            Op::Map { entries, .. } => entries.len(),
        }
    }
}

impl Pending {
    /// A sum without activation or pool.
    pub(super) fn linear(name: &str, dims: Dims, terms: Vec<Term>, range: Ranges) -> Pending {
        let sums = range.overall();
        let bias = vec![0.0; dims.0];
        Pending {
            name: name.to_owned(),
            dims,
            terms,
            bias,
            activation: None,
            pool: None,
            range,
            sums,
        }
    }

    /// Sets the range of the tensor; without activation or pool that is the range of the sums, too.
    pub(super) fn set_range(&mut self, range: Ranges) {
        if self.is_linear() {
            self.sums = range.overall();
        }
        self.range = range;
    }

    /// True where nothing but sums happened yet.
    pub(super) fn is_linear(&self) -> bool {
        self.activation.is_none() && self.pool.is_none()
    }

    /// True where every term places its weights freely, so that each element may have its own scale and bias.
    pub(super) fn is_free(&self) -> bool {
        self.terms
            .iter()
            .all(|t| matches!(t.op, Op::Dense { .. } | Op::Map { .. }))
    }

    /// True where some element has a weight or bias of its own: then every term of the node must be free.
    pub(super) fn needs_freedom(&self) -> bool {
        self.bias.len() != self.dims.0 || self.terms.iter().any(|t| matches!(t.op, Op::Map { .. }))
    }

    /// One bias an element; only for free terms.
    pub(super) fn spread_bias(&mut self) {
        if self.bias.len() == self.dims.0 {
            let plane = self.dims.1 * self.dims.2;
            self.bias = self
                .bias
                .iter()
                .flat_map(|&b| std::iter::repeat_n(b, plane))
                .collect();
        }
    }

    /// Multiplies and shifts a linear sum, each channel by its own numbers.
    pub(super) fn scale_channels(&mut self, scale: &[f64], offset: &[f64]) {
        for term in &mut self.terms {
            term.scale_channels(scale);
        }
        let per_channel = self.bias.len() / self.dims.0;
        for (i, bias) in self.bias.iter_mut().enumerate() {
            *bias = *bias * scale[i / per_channel] + offset[i / per_channel];
        }
    }

    /// Multiplies and shifts a linear sum of free terms, each element by its own numbers.
    pub(super) fn scale_elements(&mut self, scale: &[f64], offset: &[f64]) {
        self.spread_bias();
        for term in &mut self.terms {
            match &mut term.op {
                Op::Map { entries, .. } => {
                    entries.iter_mut().for_each(|e| e.2 *= scale[e.0 as usize])
                }
                // A dense layer's elements are its channels.
                _ => term.scale_channels(scale),
            }
        }
        for ((bias, scale), offset) in self.bias.iter_mut().zip(scale).zip(offset) {
            *bias = *bias * scale + offset;
        }
    }
}

impl Term {
    /// Each channel of the source, times its own factor (one factor for all where there is one).
    pub(super) fn scaled_copy(
        source: usize,
        channel: usize,
        input: (usize, usize),
        factors: Vec<f64>,
    ) -> Term {
        let window = Window {
            input,
            kernel: (1, 1),
            stride: (1, 1),
            dilation: (1, 1),
            pads: (0, 0, 0, 0),
        };
        let channels = factors.len();
        Term {
            source,
            channel,
            op: Op::Conv {
                cin: channels,
                cout: channels,
                groups: channels,
                window,
                weights: factors,
            },
        }
    }

    pub(super) fn scale_channels(&mut self, scale: &[f64]) {
        match &mut self.op {
            Op::Conv { cout, weights, .. } => {
                let each = weights.len() / *cout;
                weights
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, w)| *w *= scale[i / each]);
            }
            Op::Dense { out, weights } => {
                let each = weights.len() / *out;
                weights
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, w)| *w *= scale[i / each]);
            }
            Op::SumPool { weight, .. } if scale.iter().all(|s| s == &scale[0]) => {
                *weight *= scale[0]
            }
            Op::SumPool { .. } => {
                self.unpack();
                self.scale_channels(scale);
            }
            Op::Map { out, entries } => {
                let plane = out.1 * out.2;
                entries
                    .iter_mut()
                    .for_each(|e| e.2 *= scale[e.0 as usize / plane]);
            }
        }
    }

    /// A sum pool as the depthwise convolution that it is, so that channels may have weights of their own.
    pub(super) fn unpack(&mut self) {
        if let Op::SumPool {
            channels,
            window,
            weight,
        } = self.op
        {
            let weights = vec![weight; channels * window.kernel.0 * window.kernel.1];
            self.op = Op::Conv {
                cin: channels,
                cout: channels,
                groups: channels,
                window,
                weights,
            };
        }
    }

    /// Calls `f` with each weight and its source channel, relative to the term's first.
    pub(super) fn each_weight(&mut self, source: Dims, mut f: impl FnMut(&mut f64, usize)) {
        let plane = source.1 * source.2;
        match &mut self.op {
            Op::Conv {
                cin,
                cout,
                groups,
                window,
                weights,
            } => {
                let (group_in, group_out) = (*cin / *groups, *cout / *groups);
                let taps = window.kernel.0 * window.kernel.1;
                for (i, w) in weights.iter_mut().enumerate() {
                    let oc = i / (group_in * taps);
                    f(w, oc / group_out * group_in + i / taps % group_in);
                }
            }
            Op::Dense { weights, .. } => {
                let item = len(source);
                weights
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, w)| f(w, i % item / plane));
            }
            Op::SumPool { weight, .. } => f(weight, 0),
            Op::Map { entries, .. } => entries
                .iter_mut()
                .for_each(|e| f(&mut e.2, e.1 as usize / plane)),
        }
    }
}
