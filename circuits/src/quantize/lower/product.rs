//! Products of two tensors, by two squares.
//!
//! With `A`, `B` the greatest magnitudes of the factors:
//!
//! ```text
//! u = (a/2A + b/2B)²,  v = (a/2A - b/2B)²        tables over [-1, 1]
//! a·b = A·B·(u - v)                              a sum for the next operator to extend
//! ```
//!
//! `u` and `v` are squares of arguments in steps of at most `2^-B`, `B` the bits below, rounded to steps of at
//! most `2^-B`; the error against the exact product of the factors' integers is at most `3·2^-B·A·B`.
//!
//! The arguments are taken from one of four intervals, so that all products of a model share four tables.

use super::{
    Lowering, PartId,
    pending::{Pending, Term},
    value::{Value, len},
};
use crate::{
    graph::{Activation, NodeId},
    quantize::{QuantizeError, calibrate::Ranges},
};

/// Bits of the squares beyond the model's, within what a table may have.
const EXTRA_BITS: u32 = 2;

/// Most bits of a square.
pub(super) const MAX_BITS: u32 = 16;

impl Lowering<'_> {
    pub(super) fn product(&mut self, id: NodeId) -> Result<Value, QuantizeError> {
        let aligned = self.aligned(id)?;
        let pairs = aligned.pairs.clone();
        let parts = pairs
            .into_iter()
            .enumerate()
            .map(|(i, (a, b))| self.product_of(&format!("{}.{i}", self.name(id)), a, b))
            .collect();
        Ok(self.replace(id, aligned.view, parts))
    }

    fn product_of(&mut self, name: &str, a: PartId, b: PartId) -> Pending {
        let (ra, rb) = (self.reach(a), self.reach(b));
        let (fa, fb) = (0.5 / magnitude(ra), 0.5 / magnitude(rb));
        let sum = (ra.0 * fa + rb.0 * fb, ra.1 * fa + rb.1 * fb);
        let difference = (ra.0 * fa - rb.1 * fb, ra.1 * fa - rb.0 * fb);
        let plus = self.join((a, fa), (b, fb));
        let u = self.square(format!("{name}.plus"), plus, sum);
        let minus = self.join((a, fa), (b, -fb));
        let v = self.square(format!("{name}.minus"), minus, difference);
        let gain = magnitude(ra) * magnitude(rb);
        let dims = self.tensors[u].dims;
        let term = |source: usize, factor: f64| {
            Term::scaled_copy(source, 0, (dims.1, dims.2), vec![factor; dims.0])
        };
        let terms = vec![term(u, gain), term(v, -gain)];
        Pending::linear(name, dims, terms, Ranges::default())
    }

    /// The real values that a part's integers can express.
    fn reach(&mut self, part: PartId) -> (f64, f64) {
        let index = self.force(part);
        self.representable(index).overall()
    }

    /// The tensor of a sum's squares; the sum lies between -1 and 1.
    pub(super) fn square(&mut self, name: String, mut pending: Pending, sums: (f64, f64)) -> usize {
        // Factors over twice their magnitudes add up to 1 at most.
        let peak = if sums.0.abs().max(sums.1.abs()) > 0.5 {
            1.0
        } else {
            0.5
        };
        let sums = (if sums.0 < 0.0 { -peak } else { 0.0 }, peak);
        let elements = len(pending.dims);
        pending.name = name;
        pending.activation = Some(Activation::Power { exponent: 2.0 });
        pending.sums = sums;
        pending.range = Ranges {
            lo: vec![0.0; elements],
            hi: vec![(peak * peak) as f32; elements],
        };
        let bits = (self.options.bits + EXTRA_BITS).min(MAX_BITS);
        self.emit_with(pending, bits)
    }
}

pub(super) fn magnitude((lo, hi): (f64, f64)) -> f64 {
    let most = lo.abs().max(hi.abs());
    if most > 0.0 { most } else { 1.0 }
}
