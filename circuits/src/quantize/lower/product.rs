//! Products of two tensors, by squares of the sum and the difference of their integers.
//!
//! ```text
//! u = round((p + q)² / 2^(2+r)),  v = round((p - q)² / 2^(2+r))   p, q the factors' integers: tables
//! a·b = s·t·2^r·(u - v)                                           s, t their scales: a sum for the next operator to extend
//! ```
//!
//! `p + q` and `p - q` are even or odd together, so that with `r = 0` and quarters rounded down the product is exact. `r` is
//! greater only where the weights that follow would be too small to be right themselves (see [`Lowering::halvings`]). A factor that is 0, or whose grid is
//! wider than its values, costs nothing: no error grows with the grid.
//!
//! Tables go to a power of two, so that products of factors of like grids share them. Factors of more than
//! [`MOST`] steps together have squares of their shares of the greatest magnitudes `A` and `B` instead:
//!
//! ```text
//! u = (a/2A + b/2B)²,  v = (a/2A - b/2B)²        tables over [-1, 1]
//! a·b = A·B·(u - v)
//! ```
//!
//! There `u` and `v` are squares of arguments in steps of at most `2^-B`, `B` the bits below, rounded to steps of at
//! most `2^-B`; the error against the exact product of the factors' integers is at most `3·2^-B·A·B`.

use super::{
    Lowering, PartId, Tensor,
    emit::copy,
    pending::{Pending, Term},
    scales::Grid,
    value::{Value, len},
};
use crate::{
    graph::{Activation, NodeId},
    model::{Kind, Linear, Table},
    quantize::{QuantizeError, calibrate::Ranges},
};

/// Bits of the squares beyond the model's, within what a table may have.
const EXTRA_BITS: u32 = 2;

/// Most bits of a square.
pub(super) const MAX_BITS: u32 = 16;

/// Most bits that squares are shortened by.
const MAX_HALVINGS: u32 = 16;

/// Greatest magnitude of a sum of two factors' integers that has a table of squares.
const MOST: i64 = 1 << 15;

impl Lowering<'_> {
    pub(super) fn product(&mut self, id: NodeId) -> Result<Value, QuantizeError> {
        let aligned = self.aligned(id)?;
        let pairs = aligned.pairs.clone();
        let range = self.ranges[id].overall();
        let parts = pairs
            .into_iter()
            .enumerate()
            .map(|(i, (a, b))| self.product_of(&format!("{}.{i}", self.name(id)), a, b, range))
            .collect();
        Ok(self.replace(id, aligned.view, parts))
    }

    /// `range` is the products'.
    fn product_of(&mut self, name: &str, a: PartId, b: PartId, range: (f64, f64)) -> Pending {
        let (p, q) = (self.force(a), self.force(b));
        let (rp, rq) = (
            self.integers(self.tensors[p].node),
            self.integers(self.tensors[q].node),
        );
        let most = rp.0.abs().max(rp.1.abs()) + rq.0.abs().max(rq.1.abs());
        if most > MOST {
            return self.product_of_shares(name, a, b);
        }
        let ends = (
            rp.0 + rq.0,
            rp.0 - rq.1,
            most.unsigned_abs().max(2).next_power_of_two(),
        );
        let r = self.halvings(p, q, range);
        let u = self.quarter_square(format!("{name}.plus"), (p, q, 1), (ends.0, ends.2), r);
        let v = self.quarter_square(format!("{name}.minus"), (p, q, -1), (ends.1, ends.2), r);
        let dims = self.tensors[u].dims;
        let term = |source: usize, sign: f64| {
            Term::scaled_copy(source, 0, (dims.1, dims.2), vec![sign; dims.0])
        };
        let terms = vec![term(u, 1.0), term(v, -1.0)];
        Pending::linear(name, dims, terms, Ranges::default())
    }

    /// By how many bits squares of two tensors are shortened, for products in `range`.
    ///
    /// A weight `w` after the squares is off by up to a half, which moves a product by up to `2^(b-2)/w` steps of `b` bits;
    /// the squares' own rounding by `w/2^shift`. Both are the same at `w = 2^((b + shift)/2 - 1)`. Products of whole numbers
    /// stay whole.
    fn halvings(&self, p: usize, q: usize, range: (f64, f64)) -> u32 {
        let (p, q) = (&self.tensors[p].scales, &self.tensors[q].scales);
        if p.iter().chain(q).all(|s| *s == 1.0) {
            return 0;
        }
        let unit = p.iter().zip(q).map(|(s, t)| s * t).fold(0.0, f64::max);
        let step = Grid::new(self.options.bits, range.0).scale(range);
        let wanted = f64::from(self.options.bits + self.options.shift) / 2.0 - 1.0;
        let has = f64::from(self.options.shift) + (unit / step).log2();
        (wanted - has).ceil().clamp(0.0, f64::from(MAX_HALVINGS)) as u32
    }

    /// `(p ± q)² / 4` of two tensors of the same dimensions, in steps of `2^r` times their scales. The sums are at least
    /// `least` and at most `most` in magnitude, a power of two.
    fn quarter_square(
        &mut self,
        name: String,
        (p, q, sign): (usize, usize, i64),
        (least, most): (i64, u64),
        r: u32,
    ) -> usize {
        let (p, q) = (self.tensors[p].clone(), self.tensors[q].clone());
        let scales = p.scales.iter().zip(&q.scales).map(|(s, t)| s * t);
        let half = 1i64 << (r + 2) >> 1;
        let rounding = if r == 0 { 0 } else { half };
        let most = most as i64;
        let lo = if least < 0 { -most } else { 0 };
        let channels = p.dims.0;
        let linear = Linear {
            terms: vec![
                copy(p.node, 0, channels, 1),
                copy(q.node, 0, channels, sign),
            ],
            bias: vec![0; channels],
            requantize: false,
            pool: None,
            table: Table::Lut {
                lo,
                values: (lo..=most)
                    .map(|x| ((x * x + rounding) >> (r + 2)) as i32)
                    .collect(),
            },
        };
        let scales = scales.map(|s| s * f64::from(r).exp2()).collect();
        let node = self.push(name, p.dims, Kind::Linear(linear));
        self.tensor(Tensor {
            node,
            dims: p.dims,
            scales,
            least: 0,
        })
    }

    fn product_of_shares(&mut self, name: &str, a: PartId, b: PartId) -> Pending {
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
