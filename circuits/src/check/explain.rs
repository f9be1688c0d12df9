//! Every weight of every functional is one that the model's terms and biases demand, and none of those is missing.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use super::CheckError;
use super::cells::Cells;
use super::columns::Columns;
use super::contraction::{Functional, Lanes, Weights};
use super::links::{Link, LinkKind, channel_of};
use super::places::Counts;
use super::walk::Exponents;
use crate::model::{Kind, Linear, Op};
use crate::profile::fixed;

/// Rows of weights that are read together.
const BLOCK: usize = 64;

/// A tensor, a plane of it, and the displacement at which a functional enters it.
type Landing = (usize, usize, (i32, i32));

/// A functional whose values are all 1.
#[derive(Debug)]
pub(super) struct Constant {
    /// Exponent of `κ`.
    pub(super) k: i32,
    points: Vec<(i32, i32)>,
    counts: Counts,
}

/// The constant lanes, from the rows where one is 1: each enters one step of `κ` over its row's weight.
pub(super) fn constants(
    columns: &Columns<'_>,
    cons: &[Option<Exponents>],
) -> Result<Vec<Constant>, CheckError> {
    let mut points: HashMap<i32, Vec<(i32, i32)>> = HashMap::new();
    for (row, weight) in cons.iter().enumerate() {
        if columns.at(fixed::ONE, row) == 0 {
            continue;
        }
        let weight = weight.ok_or_else(|| CheckError::at(row, "a constant has no weight"))?;
        let points = points.entry(weight.k + 1).or_default();
        points.push((weight.y, weight.x));
    }
    let constant = |(k, points): (i32, Vec<(i32, i32)>)| {
        let counts = Counts::new(&points)?;
        if points.iter().any(|p| counts.at(*p) != 1) {
            return Err(CheckError::new("a constant counts twice"));
        }
        Ok(Constant { k, points, counts })
    };
    points.into_iter().map(constant).collect()
}

/// Whose functional one is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Channel {
        tensor: usize,
        plane: usize,
        channel: usize,
    },
    Constant(usize),
}

/// What the weights are compared with.
pub(super) struct Program<'a> {
    pub(super) columns: Columns<'a>,
    pub(super) cells: &'a [Cells<'a>],
    /// The terms that read each tensor.
    pub(super) links: &'a [Vec<Link<'a>>],
    pub(super) constants: &'a [Constant],
}

impl Program<'_> {
    /// Compares all functionals. Gives the tensors some of whose unused lanes have no functional: what such a lane looks up must be 0.
    pub(super) fn explain(&self, functionals: &[Functional]) -> Result<Vec<usize>, CheckError> {
        let (owners, silent) = self.owners(functionals)?;
        let targets = self.targets();
        let owned: Vec<(&Functional, Option<Owner>)> = functionals.iter().zip(owners).collect();
        let near: Vec<_> = owned
            .chunk_by(|a, b| a.0.row / BLOCK == b.0.row / BLOCK)
            .collect();
        let biased: Vec<Vec<(usize, usize)>> = near
            .into_par_iter()
            .map(|near| self.functionals(near, &targets))
            .collect::<Result<_, CheckError>>()?;
        let mut done = BTreeSet::new();
        for to in biased.into_iter().flatten() {
            if !done.insert(to) {
                return Err(self.fail(to.0, "a bias counts twice"));
            }
        }
        for (tensor, cells) in self.cells.iter().enumerate() {
            for plane in 0..cells.produced.planes.len() {
                let lacks = !done.contains(&(tensor, plane))
                    && !cells.produced.by_plane[plane].is_empty()
                    && (0..cells.node.shape.c).any(|c| self.bias(tensor, plane, c) != Some(0));
                if lacks {
                    return Err(self.fail(tensor, "its bias is missing"));
                }
            }
        }
        Ok(silent)
    }

    fn fail(&self, tensor: usize, what: &str) -> CheckError {
        CheckError::new(what).node(&self.cells[tensor].node.name)
    }

    fn owners(
        &self,
        functionals: &[Functional],
    ) -> Result<(Vec<Option<Owner>>, Vec<usize>), CheckError> {
        let lanes = self.columns.profile.lanes;
        let mut by_index: HashMap<i64, usize> = HashMap::new();
        for (i, functional) in functionals.iter().enumerate() {
            if by_index.insert(functional.index, i).is_some() {
                let what = "two functionals share an exponent";
                return Err(CheckError::at(functional.row, what));
            }
        }
        let mut owners = vec![None; functionals.len()];
        let mut silent = Vec::new();
        for (tensor, cells) in self.cells.iter().enumerate() {
            for plane in 0..cells.consumed.planes.len() {
                for channel in 0..cells.groups * lanes {
                    let index = cells.consumed.exponent(plane, channel, lanes);
                    match by_index.get(&index) {
                        Some(i) => {
                            owners[*i] = Some(Owner::Channel {
                                tensor,
                                plane,
                                channel,
                            });
                        }
                        None if channel < cells.node.shape.c => {
                            return Err(self.fail(tensor, "a channel is consumed by no functional"));
                        }
                        None if silent.last() != Some(&tensor) => silent.push(tensor),
                        None => {}
                    }
                }
            }
        }
        for (i, constant) in self.constants.iter().enumerate() {
            let index = i64::from(constant.k) * lanes as i64;
            let functional = by_index
                .get(&index)
                .ok_or_else(|| CheckError::new("a constant is consumed by no functional"))?;
            owners[*functional] = Some(Owner::Constant(i));
        }
        Ok((owners, silent))
    }

    /// Tensor and plane by exponent of `κ` where produced.
    fn targets(&self) -> HashMap<i64, (usize, usize)> {
        let mut out = HashMap::new();
        for (tensor, cells) in self.cells.iter().enumerate() {
            for (plane, groups) in cells.produced.planes.iter().enumerate() {
                out.extend(groups.iter().map(|k| (i64::from(*k), (tensor, plane))));
            }
        }
        out
    }

    /// Compares functionals whose rows follow one another; gives what [`Self::functional`] does.
    fn functionals(
        &self,
        near: &[(&Functional, Option<Owner>)],
        targets: &HashMap<i64, (usize, usize)>,
    ) -> Result<Vec<(usize, usize)>, CheckError> {
        let (Some((first, _)), Some((last, _))) = (near.first(), near.last()) else {
            return Ok(Vec::new());
        };
        let lanes = Lanes::read(&self.columns, first.start..last.row);
        let mut biased = Vec::new();
        for (functional, owner) in near {
            biased.extend(self.functional(&lanes, functional, *owner, targets)?);
        }
        Ok(biased)
    }

    /// Takes what the model has from a functional's weights; gives the planes that a constant puts the bias into.
    fn functional(
        &self,
        lanes: &Lanes,
        functional: &Functional,
        owner: Option<Owner>,
        targets: &HashMap<i64, (usize, usize)>,
    ) -> Result<Vec<(usize, usize)>, CheckError> {
        let mut weights = Weights::read(&self.columns, lanes, functional)?;
        let mut biased = Vec::new();
        let complete = match owner {
            Some(Owner::Channel {
                tensor,
                plane,
                channel,
            }) if channel < self.cells[tensor].node.shape.c => self.links[tensor]
                .iter()
                .all(|link| self.term(&mut weights, link, tensor, plane, channel)),
            Some(Owner::Constant(i)) => {
                biased = self.planes_of(&weights, &self.constants[i], functional, targets)?;
                biased
                    .iter()
                    .all(|(tensor, plane, by)| self.biases(&mut weights, *tensor, *plane, *by))
            }
            // Of a lane past the last channel, or of nothing.
            _ => true,
        };
        if !complete || !self.lands_on_spare(&weights, owner, targets) {
            let error = CheckError::at(
                functional.row,
                "the weights of a functional are not the model's",
            );
            return Err(match owner {
                Some(Owner::Channel {
                    tensor, channel, ..
                }) => error
                    .lane(channel % self.columns.profile.lanes)
                    .node(&self.cells[tensor].node.name),
                _ => error,
            });
        }
        Ok(biased
            .into_iter()
            .map(|(tensor, plane, _)| (tensor, plane))
            .collect())
    }

    /// Whether the weights that are left meet accumulators alone that nobody reads: taps that only see what a pool crops.
    fn lands_on_spare(
        &self,
        weights: &Weights,
        owner: Option<Owner>,
        targets: &HashMap<i64, (usize, usize)>,
    ) -> bool {
        if weights.is_empty() {
            return true;
        }
        let Some(Owner::Channel { tensor, plane, .. }) = owner else {
            return false;
        };
        let consumed = &self.cells[tensor].consumed;
        let lanes = self.columns.profile.lanes as i64;
        weights.left().into_iter().all(|(exponent, (dy, dx))| {
            let Some((to, target)) = targets.get(&exponent.div_euclid(lanes)) else {
                return false;
            };
            let to = &self.cells[*to].produced;
            consumed.by_plane[plane].iter().all(|position| {
                consumed.at[*position].is_none_or(|p| {
                    let at = (p.y + dy, p.x + dx);
                    to.counts[*target].at(at) == 1 && to.valid[*target].at(at) == 0
                })
            })
        })
    }

    /// Takes the weights with which one term reads a channel of a plane.
    fn term(
        &self,
        weights: &mut Weights,
        link: &Link<'_>,
        tensor: usize,
        plane: usize,
        channel: usize,
    ) -> bool {
        let lanes = self.columns.profile.lanes;
        let to = &self.cells[link.to].produced;
        let Some(channel) = channel_of(link.term, channel) else {
            return true;
        };
        match (&link.kind, &link.term.op) {
            (LinkKind::Windows(hits), Op::Conv(conv)) => {
                let (ins, outs) = (conv.cin / conv.groups, conv.cout / conv.groups);
                let taps = conv.kernel.0 * conv.kernel.1;
                let first = channel / ins * outs;
                hits[plane].iter().all(|hit| {
                    (first..first + outs).all(|o| {
                        let weight = conv.weights[(o * ins + channel % ins) * taps + hit.tap];
                        weights.take(hit.by, to.exponent(hit.plane, o, lanes), weight)
                    })
                })
            }
            (LinkKind::Windows(hits), Op::SumPool(pool)) => hits[plane].iter().all(|hit| {
                let exponent = to.exponent(hit.plane, channel, lanes);
                weights.take(hit.by, exponent, pool.multiplier)
            }),
            (
                LinkKind::Elements {
                    from,
                    to: places,
                    entries,
                },
                op,
            ) => {
                let shape = self.cells[tensor].node.shape;
                let (position, at) = from[plane];
                let element = channel * shape.h * shape.w + position;
                let by = |place: super::places::Place| (place.y - at.y, place.x - at.x);
                match op {
                    Op::Dense { out, weights: all } => {
                        let Some(place) = places[0] else { return true };
                        (0..*out).all(|o| {
                            let exponent = to.exponent(place.plane, o, lanes);
                            weights.take(by(place), exponent, all[o * shape.item() + element])
                        })
                    }
                    _ => entries
                        .get(&(element as u32))
                        .into_iter()
                        .flatten()
                        .all(|(o, weight)| {
                            let (o, size) = (*o as usize, places.len());
                            let Some(place) = places[o % size] else {
                                return true;
                            };
                            let exponent = to.exponent(place.plane, o / size, lanes);
                            weights.take(by(place), exponent, *weight)
                        }),
                }
            }
            // Windows are of convolutions and sums.
            (LinkKind::Windows(_), _) => false,
        }
    }

    /// The planes into which a constant goes, and by which displacement: every accumulator there must find it.
    fn planes_of(
        &self,
        weights: &Weights,
        constant: &Constant,
        functional: &Functional,
        targets: &HashMap<i64, (usize, usize)>,
    ) -> Result<Vec<Landing>, CheckError> {
        let lanes = self.columns.profile.lanes as i64;
        let mut found = BTreeSet::new();
        for (exponent, by) in weights.left() {
            let (tensor, plane) = targets.get(&exponent.div_euclid(lanes)).ok_or_else(|| {
                CheckError::at(functional.row, "a constant goes into no accumulator")
            })?;
            found.insert((*tensor, *plane, by));
        }
        for (tensor, plane, (dy, dx)) in &found {
            let produced = &self.cells[*tensor].produced;
            let finds = |position: &usize| {
                let place = produced.at[*position];
                place.is_none_or(|q| constant.counts.at((q.y - dy, q.x - dx)) == 1)
            };
            if !produced.by_plane[*plane].iter().all(finds) {
                return Err(self.fail(*tensor, "not all accumulators have the bias"));
            }
            let lands = |(y, x): &(i32, i32)| produced.counts[*plane].at((y + dy, x + dx)) == 1;
            if !constant.points.iter().all(lands) {
                return Err(self.fail(*tensor, "the full product lacks a row of the bias"));
            }
        }
        Ok(found.into_iter().collect())
    }

    fn biases(&self, weights: &mut Weights, tensor: usize, plane: usize, by: (i32, i32)) -> bool {
        let cells = &self.cells[tensor];
        let lanes = self.columns.profile.lanes;
        (0..cells.node.shape.c).all(|channel| {
            let exponent = cells.produced.exponent(plane, channel, lanes);
            self.bias(tensor, plane, channel)
                .is_some_and(|bias| weights.take(by, exponent, bias))
        })
    }

    /// The bias of a channel in a plane; `None` where the plane's positions have several.
    fn bias(&self, tensor: usize, plane: usize, channel: usize) -> Option<i64> {
        let cells = &self.cells[tensor];
        let Kind::Linear(Linear { bias, .. }) = &cells.node.kind else {
            return Some(0);
        };
        if bias.len() == cells.node.shape.c {
            return Some(bias[channel]);
        }
        let size = cells.grid.0 * cells.grid.1;
        let positions = &cells.produced.by_plane[plane];
        let position = positions.first()? % size;
        let same = positions.iter().all(|p| p % size == position);
        same.then(|| bias[channel * size + position])
    }
}
