//! Products of two computed matrices, each product by two squares as in `product.rs`.
//!
//! With `a: [groups, rows, inner]` and `b: [groups, columns, inner]`, the squares `u` and `v` have a channel for
//! each pair of group and column, and a position for each pair of row and inner index:
//!
//! ```text
//! a   a 1×1 convolution repeats a group for each of its columns
//! b   a kernel of as many rows as `a` has, over zeros above and below, repeats each column's row
//! y   A·B·Σ_inner (u - v): sums over windows, a linear sum for the next operator to extend
//! ```
//!
//! So `2 · products / lanes` rows hold the squares, `2 · groups · columns · rows` rows contract `b`, and what is
//! left is small. The error against the exact product of the factors' integers is at most `3·2^-B·A·B·inner`.

use super::{
    Lowering, Part,
    pending::{Op, Pending, Term},
    value::{Run, Value, len},
};
use crate::{
    geometry::Window,
    graph::{Contract, NodeId},
    quantize::{QuantizeError, calibrate::Ranges},
};

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
        let repeat = |factor: f64| Term {
            source: a,
            channel: a_run.channel,
            op: Op::Conv {
                cin: groups,
                cout: channels,
                groups,
                window: window((rows, inner), (1, 1)),
                weights: vec![factor; channels],
            },
        };
        let spread = |factor: f64| Term {
            source: b,
            channel: b_run.channel,
            op: Op::Conv {
                cin: channels,
                cout: channels,
                groups: channels,
                window: Window {
                    pads: (rows - 1, 0, rows - 1, 0),
                    ..window((1, inner), (rows, 1))
                },
                weights: vec![factor; channels * rows],
            },
        };
        let name = self.name(id).to_owned();
        let (ra, rb) = (
            self.representable(a).overall(),
            self.representable(b).overall(),
        );
        let (u, v, gain) = self.squares(&name, ra, rb, |_, fa, fb| {
            let terms = vec![repeat(fa), spread(fb)];
            Pending::linear(&name, (channels, rows, inner), terms, Ranges::default())
        });
        let sum = |source: usize, weight: f64| Term {
            source,
            channel: 0,
            op: Op::SumPool {
                channels,
                window: Window {
                    stride: (1, inner),
                    ..window((rows, inner), (1, inner))
                },
                weight,
            },
        };
        let terms = vec![sum(u, gain), sum(v, -gain)];
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

fn window(input: (usize, usize), kernel: (usize, usize)) -> Window {
    Window {
        input,
        kernel,
        stride: (1, 1),
        dilation: (1, 1),
        pads: (0, 0, 0, 0),
    }
}
