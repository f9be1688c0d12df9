//! Where the positions of a tensor stand in a functional: planes, each with its exponents of `η`, and coordinates in them.

use std::collections::HashMap;

use super::CheckError;
use super::walk::Exponents;

/// A position's plane and its coordinates there, the exponents of `βy` and `βx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) plane: usize,
    pub(super) y: i32,
    pub(super) x: i32,
}

/// The positions of a tensor in one of the two functionals, the same for all lane groups.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Exponent of `κ` by plane and group.
    pub(super) planes: Vec<Vec<i32>>,
    /// Place of each position that the model has, item by item.
    pub(super) at: Vec<Option<Place>>,
    /// Places of rows that only complete a full product.
    pub(super) spare: Vec<Place>,
    /// What stands at the coordinates of each plane.
    pub(super) counts: Vec<Counts>,
    /// What the model has there.
    pub(super) valid: Vec<Counts>,
    /// Indices of the model's positions in each plane.
    pub(super) by_plane: Vec<Vec<usize>>,
    /// Planes by the first group's exponent.
    index: HashMap<i32, usize>,
}

impl Places {
    pub(super) fn new(positions: usize) -> Self {
        Places {
            at: vec![None; positions],
            ..Places::default()
        }
    }

    /// The place of a row whose weights by group are these; a plane is a set of positions that share the exponents of `κ`.
    pub(super) fn place(&mut self, weights: &[Exponents]) -> Result<Place, CheckError> {
        let Exponents { k, y, x } = weights[0];
        let all = || weights.iter().map(|w| w.k);
        let plane = *self.index.entry(k).or_insert_with(|| {
            self.planes.push(all().collect());
            self.planes.len() - 1
        });
        let alike = weights.iter().all(|w| (w.y, w.x) == (y, x));
        if !alike || !all().eq(self.planes[plane].iter().copied()) {
            return Err(CheckError::new("lane groups place their rows differently"));
        }
        Ok(Place { plane, y, x })
    }

    /// Exponent of `η` of a channel.
    pub(super) fn exponent(&self, plane: usize, channel: usize, lanes: usize) -> i64 {
        i64::from(self.planes[plane][channel / lanes]) * lanes as i64 + (channel % lanes) as i64
    }

    /// Counts what stands where; with `distinct` no two positions may share a place.
    pub(super) fn count(&mut self, distinct: bool) -> Result<(), CheckError> {
        let mut points: Vec<Vec<(i32, i32)>> = vec![Vec::new(); self.planes.len()];
        for place in self.at.iter().flatten() {
            points[place.plane].push((place.y, place.x));
        }
        let counts = |points: &[Vec<(i32, i32)>]| -> Result<Vec<Counts>, CheckError> {
            points.iter().map(|points| Counts::new(points)).collect()
        };
        self.valid = counts(&points)?;
        for place in &self.spare {
            points[place.plane].push((place.y, place.x));
        }
        self.counts = counts(&points)?;
        self.by_plane = vec![Vec::new(); self.planes.len()];
        for (position, place) in self.at.iter().enumerate() {
            if let Some(place) = place {
                self.by_plane[place.plane].push(position);
            }
        }
        if distinct && self.counts.iter().any(|c| c.counts.iter().any(|n| *n > 1)) {
            return Err(CheckError::new("two accumulators have one weight"));
        }
        Ok(())
    }
}

/// How many positions stand at each coordinate.
#[derive(Debug, Default)]
pub(super) struct Counts {
    first: (i32, i32),
    width: usize,
    counts: Vec<u32>,
}

impl Counts {
    /// The largest box of coordinates: a plane of a model within its limits is far smaller.
    const LIMIT: usize = 1 << 27;

    pub(super) fn new(points: &[(i32, i32)]) -> Result<Self, CheckError> {
        let span = |f: fn(&(i32, i32)) -> i32| {
            let all = points.iter().map(f);
            all.clone().min().zip(all.max())
        };
        let (Some((y0, y1)), Some((x0, x1))) = (span(|p| p.0), span(|p| p.1)) else {
            return Ok(Counts::default());
        };
        let (height, width) = (y1.abs_diff(y0) as usize + 1, x1.abs_diff(x0) as usize + 1);
        if height.saturating_mul(width) > Counts::LIMIT {
            return Err(CheckError::new("coordinates lie too far apart to compare"));
        }
        let mut counts = vec![0; height * width];
        for (y, x) in points {
            counts[(y - y0) as usize * width + (x - x0) as usize] += 1;
        }
        Ok(Counts {
            first: (y0, x0),
            width,
            counts,
        })
    }

    /// How many positions stand there.
    pub(super) fn at(&self, (y, x): (i32, i32)) -> u32 {
        let inside = |v: i32, first: i32| usize::try_from(i64::from(v) - i64::from(first)).ok();
        let (Some(y), Some(x)) = (inside(y, self.first.0), inside(x, self.first.1)) else {
            return 0;
        };
        if x >= self.width {
            return 0;
        }
        self.counts.get(y * self.width + x).copied().unwrap_or(0)
    }
}
