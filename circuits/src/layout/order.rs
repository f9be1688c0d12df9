//! The order of a tensor's rows: walks of unit steps, so that the chains rarely need a row of their own.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::scheme::{Coordinate, Scheme};
use crate::model::Shape;

/// `(n, y, x)` of a grid.
type At = (usize, usize, usize);

/// Where a walk meets a position: line and place in it.
type Key = (i64, i64);

/// One activation row of a tensor (for each group of lanes).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// `(n, y, x)` in the accumulator's grid; `None` for a row that only completes a convolution's full product.
    pub(crate) at: Option<At>,
    /// Production coordinates; the plane is a rank in the order of rows.
    pub(crate) prod: Option<Coordinate>,
    /// Consumption coordinates; the plane is a rank in the order of rows. `None`: nothing reads the row.
    pub(crate) cons: Option<Coordinate>,
    /// Index in its pooling window and the window's length.
    pub(crate) window: Option<(usize, usize)>,
    /// The constant lane is 1 here (first group only).
    pub(crate) one: bool,
}

/// What decides the order of a tensor's rows.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// The pooled shape.
    pub(crate) shape: Shape,
    /// The accumulator's grid `(H, W)`.
    pub(crate) full: (usize, usize),
    /// Pool window, `(1, 1)` without.
    pub(crate) kernel: (usize, usize),
    /// How it is consumed, with the pitch of batch items; `None` for outputs.
    pub(crate) consumed: Option<(Scheme, i64)>,
    /// Planes that some consumer reads.
    pub(crate) planes: &'a HashSet<usize>,
    /// How it is produced.
    pub(crate) produced: Production,
    /// All coordinates `(y, x)` that the full product reaches; empty for inputs.
    pub(crate) support: HashSet<(i64, i64)>,
    /// Coordinates of the first plane where consumers need the constant lane.
    pub(crate) ones: HashSet<(i64, i64)>,
}

/// Production coordinates of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Production {
    /// None: a private input.
    None,
    /// `(n · pitch + y + oy, x + ox)`.
    Grid {
        /// Distance between batch items.
        pitch: i64,
        /// Origin.
        oy: i64,
        /// Origin.
        ox: i64,
    },
    /// Every position of an item is a plane, coordinates `(n, 0)`.
    Flat,
}

impl Production {
    /// Coordinates of a grid position.
    pub(crate) fn grid(self, (n, y, x): At) -> Option<(i64, i64)> {
        match self {
            Production::None => None,
            Production::Grid { pitch, oy, ox } => {
                Some((n as i64 * pitch + y as i64 + oy, x as i64 + ox))
            }
            Production::Flat => Some((n as i64, 0)),
        }
    }
}

/// Lines of descending `y`, `x` alternating, ending at the smallest `x` of the smallest `y`.
pub(crate) fn snake<T>(items: Vec<((i64, i64), T)>) -> Vec<T> {
    let mut lines: BTreeMap<i64, Vec<(i64, T)>> = BTreeMap::new();
    for ((y, x), t) in items {
        lines.entry(y).or_default().push((x, t));
    }
    let mut out: Vec<Vec<(i64, T)>> = Vec::new();
    for (i, (_, mut line)) in lines.into_iter().enumerate() {
        line.sort_by_key(|(x, _)| *x);
        if i % 2 == 0 {
            line.reverse();
        }
        out.push(line);
    }
    out.into_iter().rev().flatten().map(|(_, t)| t).collect()
}

/// The coordinates around a rectangle, in four bands that a walk visits in turn.
fn frame(cells: Vec<(i64, i64)>, inner: Option<((i64, i64), (i64, i64))>) -> Vec<(i64, i64)> {
    let Some(((y0, y1), (x0, x1))) = inner else {
        return snake(cells.into_iter().map(|c| (c, c)).collect());
    };
    let mut bands: [Vec<(i64, i64)>; 4] = Default::default();
    for (y, x) in cells {
        let band = if y > y1 {
            0
        } else if y < y0 {
            2
        } else if x < x0 {
            1
        } else if x > x1 {
            3
        } else {
            2
        };
        bands[band].push((y, x));
    }
    bands
        .into_iter()
        .flat_map(|band| snake(band.into_iter().map(|c| (c, c)).collect()))
        .collect()
}

impl Rows<'_> {
    /// The rows in order, the number of production planes, and the consumption planes by rank.
    pub(crate) fn order(self) -> (Vec<Position>, usize, Vec<usize>) {
        let used = self.used();
        let taken: HashSet<At> = used.iter().flatten().copied().collect();
        let single = self.kernel == (1, 1) && used.len() <= 1 && self.produced != Production::Flat;
        let mut out = if let (true, Some(_)) = (single, self.consumed) {
            self.whole_walk(&taken)
        } else {
            self.frame_then_planes(used, &taken)
        };
        let prod_planes = self.rank_production(&mut out);
        let cons_planes = rank_consumption(&mut out);
        self.mark_ones(&mut out);
        (out, prod_planes, cons_planes)
    }

    /// Positions that are read, by plane, each plane a walk; pooled positions expand to their windows.
    fn used(&self) -> Vec<Vec<At>> {
        let Shape { n, h, w, .. } = self.shape;
        let (kh, kw) = self.kernel;
        let (scheme, pitch) = self.consumed.unwrap_or((Scheme::UNIT, self.pitch()));
        let width = match scheme {
            Scheme::Strided(_, sx) => sx,
            _ => w,
        };
        let mut planes: HashMap<usize, Vec<(Key, At)>> = HashMap::new();
        for at in (0..n).flat_map(|n| (0..h).flat_map(move |y| (0..w).map(move |x| (n, y, x)))) {
            // Windows that are summed stay together: walk over the fine grid.
            if let Some(c) = scheme.coordinate(self.shape, pitch, at)
                && (self.consumed.is_none() || self.planes.contains(&c.plane))
            {
                let key = match scheme {
                    Scheme::Collapse(..) => (
                        at.0 as i64 * self.pitch().max(h as i64) + at.1 as i64,
                        at.2 as i64,
                    ),
                    _ => (c.y, c.x),
                };
                planes.entry(c.plane).or_default().push((key, at));
            }
        }
        let mut ids: Vec<usize> = planes.keys().copied().collect();
        ids.sort_by_key(|p| {
            let (y, x) = (p / width, p % width);
            (y, if y % 2 == 0 { x } else { width - 1 - x })
        });
        let mut walks = Vec::new();
        for (rank, id) in ids.into_iter().enumerate() {
            let mut walk = snake(planes.remove(&id).unwrap_or_default());
            if rank % 2 == 1 {
                walk.reverse();
            }
            let mut down = true;
            let mut cells = Vec::with_capacity(walk.len() * kh * kw);
            for (i, &(n, y, x)) in walk.iter().enumerate() {
                let left = walk
                    .get(i + 1)
                    .or(walk.get(i.wrapping_sub(1)))
                    .is_none_or(|next| {
                        if i + 1 < walk.len() {
                            next.2 <= x
                        } else {
                            x <= next.2
                        }
                    });
                for column in 0..kw {
                    let cx = if left { kw - 1 - column } else { column };
                    for row in 0..kh {
                        let cy = if down { kh - 1 - row } else { row };
                        cells.push((n, y * kh + cy, x * kw + cx));
                    }
                    down = !down;
                }
            }
            walks.push(cells);
        }
        walks
    }

    fn pitch(&self) -> i64 {
        match self.produced {
            Production::Grid { pitch, .. } => pitch,
            _ => 1,
        }
    }

    fn row(&self, at: At, window: Option<(usize, usize)>) -> Position {
        let pooled = (at.0, at.1 / self.kernel.0, at.2 / self.kernel.1);
        let cons = self
            .consumed
            .and_then(|(scheme, pitch)| scheme.coordinate(self.shape, pitch, pooled));
        let prod = self
            .produced
            .grid(at)
            .map(|(y, x)| Coordinate { plane: 0, y, x });
        Position {
            at: Some(at),
            prod,
            cons,
            window,
            one: false,
        }
    }

    fn junk(&self, (y, x): (i64, i64)) -> Position {
        let by_coordinate = self.unread(y, x);
        Position {
            at: by_coordinate,
            prod: Some(Coordinate { plane: 0, y, x }),
            cons: None,
            window: None,
            one: false,
        }
    }

    /// The grid position at a production coordinate.
    fn unread(&self, y: i64, x: i64) -> Option<At> {
        let Production::Grid { pitch, oy, ox } = self.produced else {
            return None;
        };
        let (y, x) = (y - oy, x - ox);
        let n = if self.shape.n > 1 {
            y.div_euclid(pitch)
        } else {
            0
        };
        let y = y - n * pitch;
        let inside = (0..self.shape.n as i64).contains(&n)
            && (0..self.full.0 as i64).contains(&y)
            && (0..self.full.1 as i64).contains(&x);
        inside.then_some((n as usize, y as usize, x as usize))
    }

    /// Valid and other rows of the full product in one walk.
    fn whole_walk(&self, taken: &HashSet<At>) -> Vec<Position> {
        if self.support.is_empty() {
            return snake(
                taken
                    .iter()
                    .map(|at| {
                        let row = self.row(*at, None);
                        let fine = (
                            at.0 as i64 * (self.full.0 as i64 + 1) + at.1 as i64,
                            at.2 as i64,
                        );
                        let key = match self.consumed {
                            Some((Scheme::Collapse(..), _)) | None => fine,
                            Some(_) => row.cons.map_or(fine, |c| (c.y, c.x)),
                        };
                        (key, row)
                    })
                    .collect(),
            );
        }
        let cells = self.support.iter().map(|&(y, x)| {
            let row = match self.unread(y, x) {
                Some(at) if taken.contains(&at) => self.row(at, None),
                _ => self.junk((y, x)),
            };
            ((y, x), row)
        });
        snake(cells.collect())
    }

    /// First the rows that nobody reads, then the planes; for outputs the other way round.
    fn frame_then_planes(&self, used: Vec<Vec<At>>, taken: &HashSet<At>) -> Vec<Position> {
        let (kh, kw) = self.kernel;
        let mut live: Vec<Position> = Vec::new();
        for walk in &used {
            live.extend(walk.iter().enumerate().map(|(i, at)| {
                let window = (kh * kw > 1).then_some((i % (kh * kw), kh * kw));
                self.row(*at, window)
            }));
        }
        if self.produced == Production::Flat {
            return self.item_by_item(&used);
        }
        if self.produced == Production::None {
            return live;
        }
        let coordinates = |at: &At| self.produced.grid(*at);
        let inner: Vec<(i64, i64)> = taken.iter().filter_map(coordinates).collect();
        let live_cells: HashSet<(i64, i64)> = inner.iter().copied().collect();
        let rest: Vec<(i64, i64)> = self
            .support
            .iter()
            .copied()
            .filter(|c| !live_cells.contains(c))
            .collect();
        let bounds =
            |f: fn(&(i64, i64)) -> i64| inner.iter().map(f).min().zip(inner.iter().map(f).max());
        let rectangle = if self.shape.n == 1 {
            bounds(|c| c.0).zip(bounds(|c| c.1))
        } else {
            None
        };
        let junk = frame(rest, rectangle).into_iter().map(|c| self.junk(c));
        if self.consumed.is_none() {
            live.extend(junk);
            live
        } else {
            junk.chain(live).collect()
        }
    }

    /// Every window (or position) once for each batch item, so that plane ranks fall by one along a window: between its
    /// rows no other may stand.
    fn item_by_item(&self, used: &[Vec<At>]) -> Vec<Position> {
        let len = self.kernel.0 * self.kernel.1;
        let mut cells = used.iter().flatten();
        let Some(first) = cells.clone().next() else {
            return Vec::new();
        };
        let cells: Vec<(usize, usize)> = cells
            .by_ref()
            .filter(|at| at.0 == first.0)
            .map(|(_, y, x)| (*y, *x))
            .collect();
        let mut out = Vec::with_capacity(cells.len() * self.shape.n);
        for window in cells.chunks(len) {
            for n in (0..self.shape.n).rev() {
                out.extend(
                    window
                        .iter()
                        .enumerate()
                        .map(|(i, (y, x))| self.row((n, *y, *x), (len > 1).then_some((i, len)))),
                );
            }
        }
        out
    }

    fn rank_production(&self, rows: &mut [Position]) -> usize {
        if self.produced != Production::Flat {
            return 1;
        }
        let mut ranks: HashMap<(usize, usize), usize> = HashMap::new();
        for row in rows {
            let Some((_, y, x)) = row.at else { continue };
            let next = ranks.len();
            let rank = *ranks.entry((y, x)).or_insert(next);
            if let Some(c) = &mut row.prod {
                c.plane = rank;
            }
        }
        ranks.len()
    }

    /// Marks the rows of the constant lane; coordinates that no row has get rows of their own in front.
    fn mark_ones(self, rows: &mut Vec<Position>) {
        let mut missing = self.ones;
        for row in rows.iter_mut() {
            if let Some(c) = row.cons
                && c.plane == 0
                && missing.remove(&(c.y, c.x))
            {
                row.one = true;
            }
        }
        let extra = snake(missing.into_iter().map(|c| (c, c)).collect())
            .into_iter()
            .map(|(y, x)| Position {
                at: None,
                prod: None,
                cons: Some(Coordinate { plane: 0, y, x }),
                window: None,
                one: true,
            });
        rows.splice(0..0, extra);
    }
}

/// Replaces plane numbers by their rank along the rows.
fn rank_consumption(rows: &mut [Position]) -> Vec<usize> {
    let mut ids: Vec<usize> = Vec::new();
    let mut ranks: HashMap<usize, usize> = HashMap::new();
    for c in rows.iter_mut().filter_map(|r| r.cons.as_mut()) {
        c.plane = *ranks.entry(c.plane).or_insert_with_key(|plane| {
            ids.push(*plane);
            ids.len() - 1
        });
    }
    ids
}
