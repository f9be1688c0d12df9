//! Value ranges of every tensor, measured on sample inputs.

use thiserror::Error;

use super::{Method, QuantizeError, QuantizeOptions, entropy, inputs::Sample};
use crate::graph::{Graph, Op, evaluate};

/// Values kept of each tensor for percentiles.
const KEPT: usize = 1 << 16;

/// Items of deterministic noise that stand in for missing calibration data.
const RANDOM_ITEMS: usize = 8;

/// Ranges grow by this share of themselves over the square root of the items measured: the fewer were seen, the
/// more the next one may exceed them.
const HEADROOM: f32 = 0.3;

/// Features have no format that limits them: their ranges grow by this share of their width at either end.
const FEATURE_HEADROOM: f32 = 0.5;

/// What the calibration inputs did to every tensor of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    nodes: Vec<Seen>,
    items: usize,
    random: bool,
}

/// Least and greatest value of each element, and some of the values.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    range: Ranges,
    values: Vec<f32>,
}

/// The range of each element of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ranges {
    pub(super) lo: Vec<f32>,
    pub(super) hi: Vec<f32>,
}

/// Why calibration inputs do not fit.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CalibrationError {
    /// No sample at all.
    #[error("there are no calibration inputs; pass at least one, or calibrate with random inputs")]
    Empty,
    /// A sample with another number of inputs.
    #[error("calibration sample {sample} has {got} inputs, the model has {expected}")]
    Inputs {
        /// Which sample, from 0.
        sample: usize,
        /// Inputs of the model.
        expected: usize,
        /// Inputs of the sample.
        got: usize,
    },
    /// An array that does not hold a whole number of items.
    #[error(
        "calibration sample {sample}: input `{input}` has {got} values, expected a multiple of {expected} and as many items as the other inputs"
    )]
    Length {
        /// Which sample, from 0.
        sample: usize,
        /// Input name.
        input: String,
        /// Values of one item.
        expected: usize,
        /// Values given.
        got: usize,
    },
}

impl Calibration {
    /// Measures every tensor on samples; each array holds one or more items.
    ///
    /// # Errors
    /// [`CalibrationError`], for no samples or samples of another shape than the inputs.
    pub fn measure(graph: &Graph, samples: &[Sample]) -> Result<Calibration, CalibrationError> {
        let mut calibration = Calibration {
            nodes: vec![Seen::default(); graph.nodes.len()],
            items: 0,
            random: false,
        };
        for (at, sample) in samples.iter().enumerate() {
            if sample.len() != graph.inputs.len() {
                return Err(CalibrationError::Inputs {
                    sample: at,
                    expected: graph.inputs.len(),
                    got: sample.len(),
                });
            }
            let items = sample
                .first()
                .map_or(0, |values| values.len() / graph.item_len(graph.inputs[0]));
            for (values, &id) in sample.iter().zip(&graph.inputs) {
                let expected = graph.item_len(id);
                if items == 0 || values.len() != items * expected {
                    let input = graph.nodes[id].name.clone();
                    return Err(CalibrationError::Length {
                        sample: at,
                        input,
                        expected,
                        got: values.len(),
                    });
                }
            }
            for item in 0..items {
                let inputs: Vec<&[f32]> = sample
                    .iter()
                    .map(|values| item_of(values, item, items))
                    .collect();
                calibration.add(graph, &inputs);
            }
        }
        if calibration.items == 0 {
            return Err(CalibrationError::Empty);
        }
        Ok(calibration)
    }

    /// Measures on deterministic noise, uniform in `[-1, 1]` (whole numbers: of one digit): a stand-in that [`Calibration::is_random`] tells
    /// of, for a model without calibration data.
    pub fn random(graph: &Graph) -> Calibration {
        let mut calibration = Calibration {
            nodes: vec![Seen::default(); graph.nodes.len()],
            items: 0,
            random: true,
        };
        let mut state = 0x5ea1_u64;
        for _ in 0..RANDOM_ITEMS {
            let inputs: Vec<Vec<f32>> = graph
                .inputs
                .iter()
                .map(|&id| {
                    let mut draw = || match graph.nodes[id].op {
                        Op::Whole { lo, hi } => (uniform(&mut state) * 9.0)
                            .round()
                            .clamp(lo as f32, hi as f32),
                        _ => uniform(&mut state),
                    };
                    (0..graph.item_len(id)).map(|_| draw()).collect()
                })
                .collect();
            let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
            calibration.add(graph, &inputs);
        }
        calibration
    }

    /// For a graph of integers from its inputs on, where there is nothing to calibrate; `None` for others.
    pub fn exact(graph: &Graph) -> Option<Calibration> {
        let seen = |id| Seen {
            range: Ranges {
                lo: vec![0.0; graph.item_len(id)],
                hi: vec![0.0; graph.item_len(id)],
            },
            values: vec![0.0],
        };
        graph.is_exact().then(|| Calibration {
            nodes: (0..graph.nodes.len()).map(seen).collect(),
            items: 1,
            random: false,
        })
    }

    /// True where the inputs were noise: scales then say little about real inputs.
    pub fn is_random(&self) -> bool {
        self.random
    }

    /// Items measured.
    pub fn items(&self) -> usize {
        self.items
    }

    fn add(&mut self, graph: &Graph, inputs: &[&[f32]]) {
        // Later items thin out what is kept, so that early ones do not fill the store alone.
        let share = (KEPT / (self.items + 1)).max(64);
        for (seen, values) in self.nodes.iter_mut().zip(evaluate(graph, inputs)) {
            if self.items == 0 {
                seen.range = Ranges {
                    lo: values.clone(),
                    hi: values.clone(),
                };
            }
            for ((lo, hi), &v) in seen
                .range
                .lo
                .iter_mut()
                .zip(&mut seen.range.hi)
                .zip(&values)
            {
                // NaN must survive, for the error that names the node.
                if v < *lo || v.is_nan() {
                    *lo = v;
                }
                if v > *hi || v.is_nan() {
                    *hi = v;
                }
            }
            let step = values.len().div_ceil(share).max(1);
            seen.values.extend(values.into_iter().step_by(step));
            if seen.values.len() > 2 * KEPT {
                let mut keep = false;
                seen.values.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
        }
        self.items += 1;
    }

    /// The ranges to quantize for, one entry a graph node.
    pub(super) fn ranges(
        &self,
        graph: &Graph,
        options: &QuantizeOptions,
    ) -> Result<Vec<Ranges>, QuantizeError> {
        let method = options.method;
        match method {
            Method::Percentile(percentile) if !(percentile > 50.0 && percentile <= 100.0) => {
                return Err(QuantizeError::Percentile { percentile });
            }
            Method::Percentile(_) | Method::MinMax | Method::Entropy => {}
        }
        if self.nodes.len() != graph.nodes.len() {
            return Err(QuantizeError::Calibration {
                node: graph.name.clone(),
            });
        }
        let features = graph.features();
        let clip = |(id, seen): (usize, &Seen)| {
            let node = &graph.nodes[id];
            if seen.range.lo.len() != graph.item_len(id) {
                return Err(QuantizeError::Calibration {
                    node: node.name.clone(),
                });
            }
            if seen
                .range
                .lo
                .iter()
                .chain(&seen.range.hi)
                .any(|v| !v.is_finite())
            {
                return Err(QuantizeError::NotFinite {
                    node: node.name.clone(),
                });
            }
            let mut range = seen.range.clone();
            match method {
                Method::Percentile(percentile) => {
                    let (lo, hi) = percentiles(&seen.values, percentile);
                    range.clip(lo, hi);
                }
                Method::MinMax if features[id] => range.spread(FEATURE_HEADROOM),
                // An input's range is what its format says: images end at 1 in every sample.
                Method::MinMax | Method::Entropy
                    if matches!(node.op, Op::Input | Op::Whole { .. }) => {}
                Method::Entropy => {
                    let signed = range.overall().0 < 0.0;
                    let end = entropy::clip(&seen.values, 1 << (options.bits - u32::from(signed)));
                    range.clip(-end, end);
                }
                Method::MinMax => range.widen(1.0 + HEADROOM / (self.items as f32).sqrt()),
            }
            Ok(range)
        };
        self.nodes.iter().enumerate().map(clip).collect()
    }
}

impl Ranges {
    /// The range of all elements together; `(0, 0)` where there are none.
    pub(super) fn overall(&self) -> (f64, f64) {
        self.of(0..self.lo.len())
    }

    /// The range of some elements together.
    pub(super) fn of(&self, elements: std::ops::Range<usize>) -> (f64, f64) {
        let lo = self.lo[elements.clone()]
            .iter()
            .copied()
            .fold(f32::INFINITY, f32::min);
        let hi = self.hi[elements]
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
        if lo > hi {
            (0.0, 0.0)
        } else {
            (f64::from(lo), f64::from(hi))
        }
    }

    /// Leaves no element a range beyond `lo..=hi`.
    pub(super) fn clip(&mut self, lo: f32, hi: f32) {
        let ends = self.lo.iter_mut().chain(&mut self.hi);
        ends.for_each(|v| *v = v.clamp(lo, hi));
    }

    /// Every element's range also holds `lo` and `hi`.
    pub(super) fn hull(&mut self, (lo, hi): (f32, f32)) {
        self.lo.iter_mut().for_each(|v| *v = v.min(lo));
        self.hi.iter_mut().for_each(|v| *v = v.max(hi));
    }

    /// Moves both ends outward by a factor. What is never negative stays so.
    fn widen(&mut self, factor: f32) {
        let outward = |v: &mut f32, grows: bool| *v = if grows { *v * factor } else { *v / factor };
        self.lo.iter_mut().for_each(|lo| outward(lo, *lo < 0.0));
        self.hi.iter_mut().for_each(|hi| outward(hi, *hi > 0.0));
    }

    /// Moves both ends outward by a share of the width. What is never negative stays so.
    fn spread(&mut self, share: f32) {
        for (lo, hi) in self.lo.iter_mut().zip(&mut self.hi) {
            let more = share * (*hi - *lo);
            *lo = if *lo < 0.0 {
                *lo - more
            } else {
                (*lo - more).max(0.0)
            };
            *hi = if *hi > 0.0 {
                *hi + more
            } else {
                (*hi + more).min(0.0)
            };
        }
    }

    /// Ranges that hold nothing yet.
    pub(super) fn empty(len: usize) -> Ranges {
        Ranges {
            lo: vec![f32::INFINITY; len],
            hi: vec![f32::NEG_INFINITY; len],
        }
    }

    /// Widens element `i` by element `j` of another.
    pub(super) fn include(&mut self, i: usize, other: &Ranges, j: usize) {
        self.lo[i] = self.lo[i].min(other.lo[j]);
        self.hi[i] = self.hi[i].max(other.hi[j]);
    }
}

/// Item `at` of an array of `items`.
fn item_of(values: &[f32], at: usize, items: usize) -> &[f32] {
    let len = values.len() / items;
    &values[at * len..(at + 1) * len]
}

fn percentiles(values: &[f32], percentile: f64) -> (f32, f32) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |p: f64| {
        sorted[((p / 100.0 * (sorted.len() - 1) as f64).round() as usize).min(sorted.len() - 1)]
    };
    (at(100.0 - percentile), at(percentile))
}

/// SplitMix64, mapped to `[-1, 1]`.
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}
