//! Products of two computed matrices, each product by squares.
//!
//! With `a: [groups, rows, inner]` and `b: [groups, columns, inner]`, `A` and `B` their greatest magnitudes, `p = a/2A`,
//! `q = b/2B`:
//!
//! ```text
//! u   (p + q)², a channel for each pair of group and column, a position for each pair of row and inner index:
//!     a 1×1 convolution repeats p's group for each of its columns, and a kernel of as many rows as `a` has, over
//!     zeros above and below, repeats q's row
//! v   (p - q)², likewise
//! y   A·B·Σ_inner (u - v)                             a linear sum for the next operator to extend
//!   = 2AB·(Σ_inner u - Σ_inner p² - Σ_inner q²)
//! ```
//!
//! Where products are few, or a factor has whole numbers, `y` is the former: a product with 0 is 0, whatever the rounding, and
//! one of picking by a computed condition is exact. Else it is the latter, which halves the rows: `products / lanes` of them
//! hold `u`, `2 · groups · columns · rows` contract `b` and the sums of its squares, and what is left is small.
//! Sums of `p²` and `q²` are rounded to [`SUM_BITS`] bits beyond the model's.

use super::{
    Lowering, Part,
    pending::{Op, Pending, Term},
    product::{MAX_BITS, magnitude},
    value::{Run, Value, len},
};
use crate::{
    geometry::Window,
    graph::{Contract, NodeId},
    quantize::{QuantizeError, calibrate::Ranges},
};

/// Bits of a sum of squares beyond the model's.
const SUM_BITS: u32 = 4;

/// Products that are few: their rows are not what a circuit's size depends on.
const FEW_PRODUCTS: usize = 1 << 12;

/// Products that one node may have: a hundred thousand rows of squares, and more.
const MAX_PRODUCTS: usize = 1 << 18;

impl Lowering<'_> {
    pub(super) fn contract(&mut self, id: NodeId, sizes: Contract) -> Result<Value, QuantizeError> {
        let Contract {
            groups,
            rows,
            columns,
            inner,
        } = sizes;
        let channels = groups * columns;
        let products = channels * rows * inner;
        if products > MAX_PRODUCTS {
            return Err(QuantizeError::TooManyProducts {
                node: self.name(id).to_owned(),
                products,
                limit: MAX_PRODUCTS,
            });
        }
        let (a, a_run) = self.factor(id, 0, (groups, rows, inner))?;
        let (b, b_run) = self.factor(id, 1, (channels, 1, inner))?;
        let factors = Factors {
            sizes,
            a: (a, a_run.channel),
            b: (b, b_run.channel),
            reach: (
                self.representable(a).overall(),
                self.representable(b).overall(),
            ),
        };
        let name = self.name(id).to_owned();
        let whole = |tensor: usize| self.tensors[tensor].scales.iter().all(|s| *s == 1.0);
        let terms = if products < FEW_PRODUCTS || whole(a) || whole(b) {
            self.two_large_squares(&name, &factors)
        } else {
            self.one_large_square(&name, &factors)
        };
        let pending = Pending::linear(&name, (channels, rows, 1), terms, Ranges::default());
        let elements = len(pending.dims);
        let part = self.pend(pending);
        let value = Value::whole(part, elements).reordered(elements, |i| {
            let (group, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
            (group * columns + column) * rows + row
        });
        let range = self.part_ranges(id, &value).swap_remove(0);
        if let Part::Pending(pending) = &mut self.parts[part] {
            pending.set_range(range);
        }
        Ok(value)
    }

    /// `A·B·Σ (u - v)`.
    fn two_large_squares(&mut self, name: &str, factors: &Factors) -> Vec<Term> {
        let u = self.large_square(format!("{name}.plus"), factors, 1.0);
        let v = self.large_square(format!("{name}.minus"), factors, -1.0);
        let gain = factors.magnitudes();
        vec![self.over_inner(u, gain), self.over_inner(v, -gain)]
    }

    /// `2AB·(Σ u - Σ p² - Σ q²)`.
    fn one_large_square(&mut self, name: &str, factors: &Factors) -> Vec<Term> {
        let Factors {
            sizes,
            a,
            b,
            reach: (ra, rb),
        } = *factors;
        let (groups, rows, inner) = (sizes.groups, sizes.rows, sizes.inner);
        let channels = groups * sizes.columns;
        let (fa, fb) = factors.scales();
        let u = self.large_square(format!("{name}.plus"), factors, 1.0);
        let left = Term::scaled_copy(a.0, a.1, (rows, inner), vec![fa; groups]);
        let left = Pending::linear(name, (groups, rows, inner), vec![left], Ranges::default());
        let p = self.square(format!("{name}.left"), left, (ra.0 * fa, ra.1 * fa));
        let left = self.sums_of_squares(format!("{name}.left.sum"), p);
        let right = Term::scaled_copy(b.0, b.1, (1, inner), vec![fb; channels]);
        let right = Pending::linear(name, (channels, 1, inner), vec![right], Ranges::default());
        let q = self.square(format!("{name}.right"), right, (rb.0 * fb, rb.1 * fb));
        let right = self.sums_of_squares(format!("{name}.right.sum"), q);
        let gain = 2.0 * factors.magnitudes();
        vec![
            self.over_inner(u, gain),
            factors.repeat((left, 0), 1, -gain),
            factors.spread((right, 0), 1, -gain),
        ]
    }

    /// The squares of `p + sign·q`.
    fn large_square(&mut self, name: String, factors: &Factors, sign: f64) -> usize {
        let Factors {
            sizes,
            reach: (ra, rb),
            ..
        } = *factors;
        let (fa, fb) = factors.scales();
        let terms = vec![
            factors.repeat(factors.a, sizes.inner, fa),
            factors.spread(factors.b, sizes.inner, sign * fb),
        ];
        let dims = (sizes.groups * sizes.columns, sizes.rows, sizes.inner);
        let pending = Pending::linear(&name, dims, terms, Ranges::default());
        let (low, high) = if sign > 0.0 { rb } else { (-rb.1, -rb.0) };
        let sums = (ra.0 * fa + low * fb, ra.1 * fa + high * fb);
        self.square(name, pending, sums)
    }

    /// A tensor's sums over its last axis, times a weight.
    fn over_inner(&self, source: usize, weight: f64) -> Term {
        let (channels, rows, inner) = self.tensors[source].dims;
        let window = Window {
            stride: (1, inner),
            ..window((rows, inner), (1, inner))
        };
        Term {
            source,
            channel: 0,
            op: Op::SumPool {
                channels,
                window,
                weight,
            },
        }
    }

    /// A tensor of these sums.
    fn sums_of_squares(&mut self, name: String, squares: usize) -> usize {
        let (channels, rows, inner) = self.tensors[squares].dims;
        let (_, most) = self.representable(squares).overall();
        let range = Ranges {
            lo: vec![0.0; channels * rows],
            hi: vec![(most * inner as f64) as f32; channels * rows],
        };
        let terms = vec![self.over_inner(squares, 1.0)];
        let pending = Pending::linear(&name, (channels, rows, 1), terms, range);
        self.emit_with(pending, (self.options.bits + SUM_BITS).min(MAX_BITS))
    }

    /// An operand as one run of channels, and its tensor.
    fn factor(
        &mut self,
        id: NodeId,
        i: usize,
        dims: (usize, usize, usize),
    ) -> Result<(usize, Run), QuantizeError> {
        let operand = self.operand(id, i);
        let (mut value, mut runs) = self.planes(id, operand, dims)?;
        if runs.len() > 1 {
            (value, runs) = self.one_run(id, &value, dims)?;
        }
        Ok((self.force(value.parts[runs[0].part]), runs[0]))
    }
}

/// The factors of a node's products.
struct Factors {
    sizes: Contract,
    /// Tensors and their first channels.
    a: (usize, usize),
    b: (usize, usize),
    /// What their integers can express.
    reach: ((f64, f64), (f64, f64)),
}

impl Factors {
    /// `A·B`.
    fn magnitudes(&self) -> f64 {
        magnitude(self.reach.0) * magnitude(self.reach.1)
    }

    /// `1/2A` and `1/2B`.
    fn scales(&self) -> (f64, f64) {
        (0.5 / magnitude(self.reach.0), 0.5 / magnitude(self.reach.1))
    }

    /// Each group of a tensor `[groups, rows, inner]` for each of its columns.
    fn repeat(&self, (source, channel): (usize, usize), inner: usize, factor: f64) -> Term {
        let Contract {
            groups,
            rows,
            columns,
            ..
        } = self.sizes;
        let op = Op::Conv {
            cin: groups,
            cout: groups * columns,
            groups,
            window: window((rows, inner), (1, 1)),
            weights: vec![factor; groups * columns],
        };
        Term {
            source,
            channel,
            op,
        }
    }

    /// Each row of a tensor `[groups · columns, 1, inner]` for all rows.
    fn spread(&self, (source, channel): (usize, usize), inner: usize, factor: f64) -> Term {
        let (channels, rows) = (self.sizes.groups * self.sizes.columns, self.sizes.rows);
        let op = Op::Conv {
            cin: channels,
            cout: channels,
            groups: channels,
            window: Window {
                pads: (rows - 1, 0, rows - 1, 0),
                ..window((1, inner), (rows, 1))
            },
            weights: vec![factor; channels * rows],
        };
        Term {
            source,
            channel,
            op,
        }
    }
}

fn window(input: (usize, usize), kernel: (usize, usize)) -> Window {
    Window {
        input,
        kernel,
        stride: (1, 1),
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
    }
}
