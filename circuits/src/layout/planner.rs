//! Where the cells of every tensor lie: schemes, full products, the order of rows, lookup tags.

use std::collections::{HashMap, HashSet};

use super::copies::{accumulator_grid, bias_source, is_flat, requested};
use super::order::{Production, Rows};
use super::plan::LayoutError;
use super::scheme::{self, Scheme};
use super::sequence;
use super::tables::{Function, Tables};
use super::{Shown, Tensor, Visibility};
use crate::model::{Kind, Linear, Model, NodeId, Op, Table};
use crate::profile::Profile;
use crate::quantize::Bounds;

/// What every step of the planning reads.
pub(super) struct Planner<'a> {
    pub(super) model: &'a Model,
    pub(super) profile: Profile,
    /// Distance of batch items where windows could overlap.
    pitch: i64,
    /// `(node, term index)` of the terms that read a node.
    pub(super) readers: HashMap<NodeId, Vec<(NodeId, usize)>>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(model: &'a Model, profile: Profile) -> Self {
        let mut readers: HashMap<NodeId, Vec<(NodeId, usize)>> = HashMap::new();
        let (mut reach, mut height, mut batch) = (1, 1, 1);
        for (id, node) in model.nodes.iter().enumerate() {
            (height, batch) = (height.max(node.shape.h), batch.max(node.shape.n));
            let Kind::Linear(linear) = &node.kind else {
                continue;
            };
            height = height.max(accumulator_grid(node.shape, linear).0);
            for (i, term) in linear.terms.iter().enumerate() {
                readers.entry(term.source).or_default().push((id, i));
                if let Op::Conv(c) = &term.op {
                    reach = reach.max(c.kernel.0 * c.dilation.0);
                } else if let Op::SumPool(p) = &term.op {
                    reach = reach.max(p.kernel.0);
                }
            }
        }
        let pitch = if batch > 1 {
            (height + 2 * reach) as i64
        } else {
            1
        };
        Planner {
            model,
            profile,
            pitch,
            readers,
        }
    }

    pub(super) fn linear(&self, node: NodeId) -> Option<&'a Linear> {
        match &self.model.nodes[node].kind {
            Kind::Linear(linear) => Some(linear),
            Kind::Input { .. } => None,
        }
    }

    /// The one scheme in which a node's tensor is read.
    fn scheme(&self, node: NodeId) -> Option<Scheme> {
        let &(reader, term) = self.readers.get(&node)?.first()?;
        let linear = self.linear(reader)?;
        requested(self.model, &self.model.nodes[reader], &linear.terms[term])
    }

    /// The clip of the one reader of a pool node, if that is all the reader does. Where the reader clamps to `0..=hi`,
    /// growth may saturate at `hi` too, since a maximum of `hi` or more ends as `hi` all the same: one table serves both.
    fn clamped_by_reader(&self, node: NodeId) -> Option<Table> {
        let [(reader, _)] = self.readers.get(&node)?.as_slice() else {
            return None;
        };
        let linear = self.linear(*reader)?;
        let Op::Conv(identity) = &linear.terms[0].op else {
            return None;
        };
        let copies = linear.terms.len() == 1
            && !linear.requantize
            && linear.pool.is_none()
            && identity.kernel == (1, 1)
            && identity.groups == identity.cin
            && identity.cout == identity.cin
            && identity.weights.iter().all(|w| *w == 1)
            && linear.bias.iter().all(|b| *b == 0);
        (copies && matches!(linear.table, Table::Clip { lo: 0, .. })).then(|| linear.table.clone())
    }

    fn scheme_pitch(&self, node: NodeId) -> i64 {
        let shape = self.model.nodes[node].shape;
        // One item has no neighbour to keep apart from, whatever the batch of other parts of the model.
        if shape.n == 1 {
            return 1;
        }
        let single = self
            .readers
            .get(&node)
            .into_iter()
            .flatten()
            .all(|&(reader, _)| {
                let shape = self.model.nodes[reader].shape;
                self.linear(reader)
                    .is_some_and(|l| self.is_flat(reader) || accumulator_grid(shape, l) == (1, 1))
            });
        self.scheme(node)
            .map_or(1, |s| s.pitch(shape, single, self.pitch))
    }

    pub(super) fn is_flat(&self, node: NodeId) -> bool {
        is_flat(&self.model.nodes[node])
    }

    pub(super) fn taps(&self, reader: NodeId, term: usize) -> Vec<scheme::Tap> {
        let Some(linear) = self.linear(reader) else {
            return Vec::new();
        };
        let term = &linear.terms[term];
        let out = accumulator_grid(self.model.nodes[reader].shape, linear);
        scheme::taps(&term.op, self.model.nodes[term.source].shape, out)
    }

    /// Production coordinates: the origin makes every shift of a term non-negative.
    fn production(&self, node: NodeId, visibility: Visibility) -> Result<Production, LayoutError> {
        let Some(linear) = self.linear(node) else {
            // Any injective coordinates serve a public or hashed input; those of its grid need no bridging rows.
            let pitch = if self.model.nodes[node].shape.n > 1 {
                self.model.nodes[node].shape.h as i64
            } else {
                1
            };
            return Ok(if visibility.input != Shown::Private {
                Production::Grid {
                    pitch,
                    oy: 0,
                    ox: 0,
                }
            } else {
                Production::None
            });
        };
        if self.is_flat(node) {
            if linear
                .terms
                .iter()
                .any(|t| self.scheme_pitch(t.source) != 1)
            {
                return Err(LayoutError::Broken {
                    node: self.model.nodes[node].name.clone(),
                    what: "it is laid out flat, and the items of a batch that it reads are not",
                });
            }
            return Ok(Production::Flat);
        }
        let (mut oy, mut ox) = (0, 0);
        let mut pitches = HashSet::new();
        for (i, term) in linear.terms.iter().enumerate() {
            pitches.insert(self.scheme_pitch(term.source));
            for tap in self.taps(node, i) {
                (oy, ox) = (oy.max(tap.qy), ox.max(tap.qx));
            }
        }
        let name = &self.model.nodes[node].name;
        if self.model.nodes[node].shape.n > 1 && pitches.len() > 1 {
            let what = "sums a pooled and a convolved tensor in one batch; compile with --batch 1";
            return Err(LayoutError::Unsupported {
                node: name.clone(),
                what,
            });
        }
        let pitch = pitches.into_iter().max().unwrap_or(1);
        Ok(Production::Grid { pitch, oy, ox })
    }

    /// Coordinates where the readers of `node` need its constant lane.
    fn ones(&self, node: NodeId) -> HashSet<(i64, i64)> {
        let mut out = HashSet::new();
        let pitch = self.scheme_pitch(node);
        for &(reader, _) in self.readers.get(&node).into_iter().flatten() {
            let Some(linear) = self.linear(reader).filter(|l| bias_source(l) == Some(node)) else {
                continue;
            };
            let shape = self.model.nodes[reader].shape;
            let (h, w) = if self.is_flat(reader) {
                (1, 1)
            } else {
                accumulator_grid(shape, linear)
            };
            for n in 0..shape.n as i64 {
                out.extend(
                    (0..h as i64).flat_map(|y| (0..w as i64).map(move |x| (n * pitch + y, x))),
                );
            }
        }
        out
    }

    /// All `(y, x)` that the full product of `node` reaches, with all its valid coordinates.
    fn support(
        &self,
        node: NodeId,
        production: Production,
        done: &HashMap<NodeId, Tensor>,
    ) -> HashSet<(i64, i64)> {
        let mut out = HashSet::new();
        let (Some(linear), Production::Grid { pitch, oy, ox }) = (self.linear(node), production)
        else {
            return out;
        };
        let shape = self.model.nodes[node].shape;
        let (h, w) = accumulator_grid(shape, linear);
        for n in 0..shape.n as i64 {
            out.extend(
                (0..h as i64)
                    .flat_map(|y| (0..w as i64).map(move |x| (n * pitch + y + oy, x + ox))),
            );
        }
        for (i, term) in linear.terms.iter().enumerate() {
            let Some(source) = done.get(&term.source) else {
                continue;
            };
            let mut by_plane: HashMap<usize, Vec<(i64, i64)>> = HashMap::new();
            for tap in self.taps(node, i) {
                by_plane
                    .entry(tap.plane)
                    .or_default()
                    .push((oy - tap.qy, ox - tap.qx));
            }
            for row in source.order.iter().filter(|r| r.at.is_some()) {
                let Some(c) = row.cons else { continue };
                for (dy, dx) in by_plane
                    .get(&source.plane_ids[c.plane])
                    .into_iter()
                    .flatten()
                {
                    out.insert((c.y + dy, c.x + dx));
                }
            }
        }
        if let Some(source) = bias_source(linear).and_then(|s| done.get(&s)) {
            out.extend(
                source
                    .order
                    .iter()
                    .filter(|r| r.one)
                    .filter_map(|r| r.cons)
                    .map(|c| (c.y + oy, c.x + ox)),
            );
        }
        out
    }

    /// Every tensor in the order of rows, bases still open.
    pub(super) fn tensors(
        &self,
        visibility: Visibility,
        bounds: &[Bounds],
        tables: &mut Tables,
    ) -> Result<Vec<Tensor>, LayoutError> {
        let mut done: HashMap<NodeId, Tensor> = HashMap::new();
        for (id, node) in self.model.nodes.iter().enumerate() {
            let production = self.production(id, visibility)?;
            let scheme = self.scheme(id);
            let planes = self.readers.get(&id).into_iter().flatten();
            let planes: HashSet<usize> = planes
                .flat_map(|&(r, t)| self.taps(r, t))
                .map(|tap| tap.plane)
                .collect();
            let (full, kernel) = match self.linear(id) {
                Some(l) => (
                    accumulator_grid(node.shape, l),
                    l.pool.map_or((1, 1), |p| p.kernel),
                ),
                None => ((node.shape.h, node.shape.w), (1, 1)),
            };
            // Its rows would be looked up, hence enter `cons`, where it has no place of its own.
            if scheme.is_none() && matches!(node.kind, Kind::Input { .. }) {
                return Err(LayoutError::Unsupported {
                    node: node.name.clone(),
                    what: "is an input that no output depends on; remove it from the model",
                });
            }
            let ones = self.ones(id);
            let rows = Rows {
                shape: node.shape,
                full,
                kernel,
                consumed: scheme.map(|s| (s, self.scheme_pitch(id))),
                planes: &planes,
                produced: production,
                support: self.support(id, production, &done),
                ones,
            };
            let (order, prod_planes, plane_ids) = rows.order();
            let cons_planes = plane_ids.len().max(1);
            let (tag, first_tag) = tags(
                &self.model.nodes[id].kind,
                self.clamped_by_reader(id),
                &bounds[id],
                tables,
            );
            let origin = match production {
                Production::Grid { oy, ox, .. } => (oy, ox),
                _ => (0, 0),
            };
            let tensor = Tensor {
                node: id,
                channels: node.shape.c,
                groups: node.shape.c.div_ceil(self.profile.lanes),
                alternate: prod_planes == 1 && cons_planes == 1,
                has_one: order.iter().any(|r| r.one),
                consumed: scheme.is_some(),
                order,
                plane_ids,
                prod_planes,
                cons_planes,
                base_p: 0,
                base_c: 0,
                tag,
                first_tag,
                origin,
            };
            done.insert(id, tensor);
        }
        let order = sequence::of(self.model, &self.profile, visibility, &done);
        let mut out = Vec::with_capacity(order.len());
        for id in &order {
            let tensor = done.remove(id).ok_or_else(|| LayoutError::Unsupported {
                node: self.model.nodes[*id].name.clone(),
                what: "is an input and an output at once; add an operator between them",
            })?;
            out.push(tensor);
        }
        Ok(out)
    }
}

/// Registers a tensor's functions: the tag of its rows and of the first row of a window.
fn tags(kind: &Kind, clamp: Option<Table>, bounds: &Bounds, tables: &mut Tables) -> (i32, i32) {
    match kind {
        Kind::Input { lo, hi } => {
            let tag = tables.tag(Function::Input(*lo, *hi), (*lo, *hi));
            (tag, tag)
        }
        Kind::Linear(l) if l.table == Table::Raw => (0, 0),
        Kind::Linear(l) => match l.pool {
            None => {
                let tag = tables.tag(Function::Node(l.table.clone()), bounds.a);
                (tag, tag)
            }
            Some(pool) => {
                let growth = clamp
                    .filter(|_| pool.from_zero)
                    .map_or(Function::Growth, Function::Node);
                let tag = tables.tag(growth.clone(), bounds.a);
                let first = if pool.from_zero {
                    tables.tag(growth, bounds.x)
                } else {
                    tables.tag(Function::Node(Table::Identity), bounds.x)
                };
                // A window of one row is only a first row.
                (if pool.kernel == (1, 1) { first } else { tag }, first)
            }
        },
    }
}
