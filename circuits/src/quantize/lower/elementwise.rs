//! Activations, scaling, and sums of two tensors.

use super::{
    Lowering, Part, PartId,
    pending::{Op, Pending},
    value::{Value, len},
};
use crate::{
    graph::{Activation, NodeId},
    quantize::QuantizeError,
};

/// Two operands of the same layout.
pub(super) struct Aligned {
    /// How the elements of the first parts make up the tensor.
    pub(super) view: Value,
    /// Parts that belong together.
    pub(super) pairs: Vec<(PartId, PartId)>,
    /// The second operand's part stands first in each pair.
    pub(super) swapped: bool,
}

impl Lowering<'_> {
    pub(super) fn activation(
        &mut self,
        id: NodeId,
        f: &Activation,
    ) -> Result<Value, QuantizeError> {
        let mut value = self.operand(id, 0);
        if f.eval(0.0) != 0.0 && value.cells.contains(&None) {
            value = self.own_layout(id, &value)?;
        }
        let mut parts = Vec::new();
        for &part in &value.parts {
            let mut pending = match &self.parts[part] {
                Part::Pending(pending) => pending.as_ref().clone(),
                Part::Tensor(_) => self.identity(part),
            };
            let fits = pending.pool.is_none() || f.is_monotone();
            pending.activation = match &pending.activation {
                None if fits => Some(f.clone()),
                Some(g) if fits && g.then(f).is_some() => g.then(f),
                _ => {
                    pending = self.identity(part);
                    Some(f.clone())
                }
            };
            parts.push(pending);
        }
        // `replace` gives the function's range; the sums keep their own.
        Ok(self.replace(id, value, parts))
    }

    pub(super) fn affine(
        &mut self,
        id: NodeId,
        scale: &[f32],
        offset: &[f32],
    ) -> Result<Value, QuantizeError> {
        let mut value = self.operand(id, 0);
        if !self.has_one_factor_each(&value, scale, offset) {
            value = self.own_layout(id, &value)?;
        }
        let mut parts = Vec::new();
        for (at, &part) in value.parts.iter().enumerate() {
            let dims = self.dims(part);
            let (mut factors, mut summands) =
                (vec![f64::NAN; len(dims)], vec![f64::NAN; len(dims)]);
            for (i, cell) in value.cells.iter().enumerate() {
                if let Some((_, e)) = cell.filter(|&(part, _)| part as usize == at) {
                    factors[e as usize] = f64::from(scale[i]);
                    summands[e as usize] = self.summand(id, i, (scale[i], offset[i]));
                }
            }
            let plane = dims.1 * dims.2;
            let mut pending = self.sum(part);
            match (per_channel(&factors, plane), per_channel(&summands, plane)) {
                (Some(factors), Some(summands)) => pending.scale_channels(&factors, &summands),
                _ => {
                    factors
                        .iter_mut()
                        .filter(|f| f.is_nan())
                        .for_each(|f| *f = 1.0);
                    summands
                        .iter_mut()
                        .filter(|s| s.is_nan())
                        .for_each(|s| *s = 0.0);
                    if !pending.is_free() {
                        pending = self.mapped(part);
                    }
                    pending.scale_elements(&factors, &summands);
                }
            }
            parts.push(pending);
        }
        Ok(self.replace(id, value, parts))
    }

    /// The offset of an element; of a tensor that stops at a floor, none that goes far below it.
    fn summand(&self, id: NodeId, element: usize, (scale, offset): (f32, f32)) -> f64 {
        let offset = f64::from(offset);
        let Some(floor) = self.floors.get(&id) else {
            return offset;
        };
        let source = &self.ranges[self.graph.nodes[id].inputs[0]];
        let ends = [source.lo[element], source.hi[element]];
        let most = ends.map(|v| f64::from(v) * f64::from(scale));
        // Twice as far as values seen reach: those beyond stop there, too.
        let reach = most[0].abs().max(most[1].abs());
        if scale == 1.0 {
            offset.max(floor - 2.0 * reach)
        } else {
            offset
        }
    }

    /// True where no zero is shifted and no element is read with two different factors.
    fn has_one_factor_each(&self, value: &Value, scale: &[f32], offset: &[f32]) -> bool {
        let mut seen: Vec<Vec<Option<(f32, f32)>>> = value
            .parts
            .iter()
            .map(|&p| vec![None; len(self.dims(p))])
            .collect();
        value.cells.iter().zip(scale.iter().zip(offset)).all(
            |(cell, (&scale, &offset))| match *cell {
                None => offset == 0.0,
                Some((part, element)) => {
                    *seen[part as usize][element as usize].get_or_insert((scale, offset))
                        == (scale, offset)
                }
            },
        )
    }

    /// The part's integers, placed one by one.
    pub(super) fn mapped(&mut self, part: PartId) -> Pending {
        let mut pending = self.identity(part);
        let dims = pending.dims;
        for term in &mut pending.terms {
            term.op = Op::Map {
                out: dims,
                entries: (0..len(dims) as u32).map(|e| (e, e, 1.0)).collect(),
            };
        }
        pending
    }

    /// The value as one tensor in the natural layout of the node's operand.
    pub(super) fn own_layout(&mut self, id: NodeId, value: &Value) -> Result<Value, QuantizeError> {
        let source = self.graph.nodes[id].inputs[0];
        let dims = self.natural(source);
        let name = self.name(id).to_owned();
        self.laid_out(&name, value, dims)
    }

    pub(super) fn add(&mut self, id: NodeId, subtract: bool) -> Result<Value, QuantizeError> {
        let sign = if subtract { -1.0 } else { 1.0 };
        let aligned = self.aligned(id)?;
        let signs = if aligned.swapped {
            (sign, 1.0)
        } else {
            (1.0, sign)
        };
        let parts = aligned
            .pairs
            .iter()
            .map(|&(a, b)| self.join((a, signs.0), (b, signs.1)))
            .collect();
        Ok(self.replace(id, aligned.view, parts))
    }

    /// Lays one operand of a node of two out like the other, where they are not so already.
    pub(super) fn aligned(&mut self, id: NodeId) -> Result<Aligned, QuantizeError> {
        let (a, b) = (self.operand(id, 0), self.operand(id, 1));
        if a.cells == b.cells && self.all_dims(&a) == self.all_dims(&b) {
            let pairs = a.parts.iter().copied().zip(b.parts).collect();
            return Ok(Aligned {
                view: a,
                pairs,
                swapped: false,
            });
        }
        let first = a
            .parts
            .first()
            .is_some_and(|&p| a.is_bijective(len(self.dims(p))));
        let second = b
            .parts
            .first()
            .is_some_and(|&p| b.is_bijective(len(self.dims(p))));
        let swapped = second && !first;
        let (view, other) = match (first, second) {
            (true, _) => (a, b),
            (_, true) => (b, a),
            _ => (self.own_layout(id, &a)?, b),
        };
        let part = view.parts[0];
        let dims = self.dims(part);
        // The other operand's elements, in the order of the target's part.
        let mut placed = vec![None; len(dims)];
        for (t, o) in view.cells.iter().zip(&other.cells) {
            if let Some((_, element)) = t {
                placed[*element as usize] = *o;
            }
        }
        let name = self.name(id).to_owned();
        let other = self.laid_out(
            &name,
            &Value {
                parts: other.parts,
                cells: placed,
            },
            dims,
        )?;
        Ok(Aligned {
            pairs: vec![(part, other.parts[0])],
            view,
            swapped,
        })
    }

    /// The sum of two parts of the same dimensions, each times its factor.
    pub(super) fn join(&mut self, a: (PartId, f64), b: (PartId, f64)) -> Pending {
        let (mut x, mut y) = (self.sum(a.0), self.sum(b.0));
        if x.needs_freedom() && !y.is_free() {
            x = self.identity(a.0);
        }
        if y.needs_freedom() && !x.is_free() {
            y = self.identity(b.0);
        }
        scale(&mut x, a.1);
        scale(&mut y, b.1);
        if x.bias.len() != y.bias.len() {
            x.spread_bias();
            y.spread_bias();
        }
        x.terms.append(&mut y.terms);
        x.bias.iter_mut().zip(y.bias).for_each(|(x, y)| *x += y);
        x
    }
}

fn scale(pending: &mut Pending, factor: f64) {
    if factor != 1.0 {
        let channels = pending.dims.0;
        pending.scale_channels(&vec![factor; channels], &vec![0.0; channels]);
    }
}

/// The one number of each channel, where all its elements (NaN: any) agree.
fn per_channel(elements: &[f64], plane: usize) -> Option<Vec<f64>> {
    let channel = |elements: &[f64]| {
        let mut known = elements.iter().copied().filter(|e| !e.is_nan());
        let first = known.next().unwrap_or(0.0);
        known.all(|e| e == first).then_some(first)
    };
    elements.chunks_exact(plane).map(channel).collect()
}
