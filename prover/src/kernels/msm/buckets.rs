//! Sorting digits by bucket, summing each bucket, and the weighted sum of the buckets.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, Ordering},
};

use group::{Group, prime::PrimeCurveAffine};
use halo2_proofs::halo2curves::bn256::{G1, G1Affine};
use rayon::prelude::*;

use super::affine::{IDENTITY, Pair, Scratch, Source, add_pairs, is_identity};

/// Points that one task sums together: many enough to share an inversion, few enough for the second-level cache.
const CHUNK_POINTS: usize = 4096;

/// Pairs below which a chunk leaves the rest to be done together with that of others: an inversion costs as much as
/// some 60 additions.
const FEW_PAIRS: usize = 64;

/// Buckets from which their weighted sum is taken by rows and columns.
pub(super) const ROWS_FROM: usize = 48;

thread_local! {
    /// The buffers of the last chunk on this thread, for the next one.
    static CHUNK: Cell<Chunk> = Cell::default();
}

/// A digit: its bucket, and its base's position in the table with the sign as lowest bit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digit {
    pub(super) bucket: u32,
    pub(super) entry: u32,
}

/// Consecutive points that belong to one bucket, up to position `end`.
#[derive(Clone, Copy, Debug)]
struct Run {
    bucket: u32,
    end: usize,
}

/// Digits in the order of their buckets.
#[derive(Debug)]
pub(super) struct Sorted {
    entries: Vec<AtomicU32>,
    runs: Vec<Run>,
}

impl Sorted {
    /// Sorts the digits of all parts by bucket; parts are counted and placed in parallel.
    pub(super) fn new(parts: &[Vec<Digit>], buckets: usize) -> Self {
        let mut cursors: Vec<Vec<u32>> = parts
            .par_iter()
            .map(|part| {
                let mut counts = vec![0u32; buckets];
                for digit in part {
                    counts[digit.bucket as usize] += 1;
                }
                counts
            })
            .collect();
        let mut runs = vec![];
        let mut end = 0;
        for bucket in 0..buckets {
            let start = end;
            for counts in &mut cursors {
                let count = std::mem::replace(&mut counts[bucket], end);
                end += count;
            }
            if end > start {
                runs.push(Run {
                    bucket: bucket as u32,
                    end: end as usize,
                });
            }
        }
        let entries: Vec<AtomicU32> = (0..end).map(|_| AtomicU32::new(0)).collect();
        parts
            .par_iter()
            .zip(&mut cursors)
            .for_each(|(part, cursors)| {
                for digit in part {
                    let cursor = &mut cursors[digit.bucket as usize];
                    // Each position is written once; the end of the parallel section orders it before any read.
                    entries[*cursor as usize].store(digit.entry, Ordering::Relaxed);
                    *cursor += 1;
                }
            });
        Sorted { entries, runs }
    }

    /// Whether there are no digits at all.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds each bucket's points up; buckets without points stay the identity.
    pub(super) fn sum(&self, table: &[G1Affine], buckets: usize) -> Vec<G1Affine> {
        let mut sums = vec![IDENTITY; buckets];
        for (bucket, point) in sum_runs(
            &self.runs,
            &Entries {
                entries: &self.entries,
                table,
            },
        ) {
            sums[bucket as usize] = point;
        }
        sums
    }
}

/// Points of a table in the order of sorted digits, with the digits' signs.
struct Entries<'a> {
    entries: &'a [AtomicU32],
    table: &'a [G1Affine],
}

impl Source for Entries<'_> {
    const SCATTERED: bool = true;

    #[inline(always)]
    fn signed(&self, position: u32) -> (&G1Affine, bool) {
        let entry = self.entries[position as usize].load(Ordering::Relaxed);
        (&self.table[(entry >> 1) as usize], entry & 1 == 1)
    }
}

/// The sum of each run, in order.
fn sum_runs<S: Source + ?Sized>(runs: &[Run], source: &S) -> Vec<(u32, G1Affine)> {
    let total = runs.last().map_or(0, |run| run.end);
    let chunks = total.div_ceil(CHUNK_POINTS);
    let partial: Vec<Vec<(u32, G1Affine)>> = (0..chunks)
        .into_par_iter()
        .map(|i| {
            let range = i * CHUNK_POINTS..total.min((i + 1) * CHUNK_POINTS);
            let mut chunk = CHUNK.take();
            let sums = chunk.sum(runs, range, source, if chunks == 1 { 1 } else { FEW_PAIRS });
            CHUNK.set(chunk);
            sums
        })
        .collect();
    let mut sums: Vec<(u32, G1Affine)> = Vec::with_capacity(runs.len() + chunks);
    // What is left of runs that cross chunks or were not finished in theirs is summed the same way.
    let mut crossing: Vec<G1Affine> = vec![];
    let mut crossing_runs: Vec<Run> = vec![];
    for (bucket, point) in partial.into_iter().flatten() {
        match sums.last() {
            Some((last, first)) if *last == bucket => {
                if crossing_runs.last().is_none_or(|run| run.bucket != bucket) {
                    crossing.push(*first);
                    crossing_runs.push(Run { bucket, end: 0 });
                }
                crossing.push(point);
                if let Some(run) = crossing_runs.last_mut() {
                    run.end = crossing.len();
                }
            }
            _ => sums.push((bucket, point)),
        }
    }
    if !crossing_runs.is_empty() {
        let mut summed = sum_points(&crossing_runs, &crossing).into_iter().peekable();
        for (bucket, point) in &mut sums {
            if let Some((_, sum)) = summed.next_if(|(summed, _)| summed == bucket) {
                *point = sum;
            }
        }
    }
    sums
}

/// [`sum_runs`] of points that lie in order.
fn sum_points(runs: &[Run], points: &[G1Affine]) -> Vec<(u32, G1Affine)> {
    sum_runs(runs, points)
}

/// A run within a chunk: its bucket, first point, and how many points are left.
#[derive(Clone, Copy)]
struct Segment {
    bucket: u32,
    start: u32,
    left: u32,
}

/// Buffers for one chunk of points.
#[derive(Default)]
struct Chunk {
    points: Vec<G1Affine>,
    sums: Vec<G1Affine>,
    segments: Vec<Segment>,
    pairs: Vec<Pair>,
    scratch: Scratch,
}

impl Chunk {
    /// The sums of the parts of `runs` within `range`: rounds of additions of pairs, each halving every run.
    ///
    /// It stops at less than `few` pairs; then there are several points of some buckets, one after the other.
    fn sum<S: Source + ?Sized>(
        &mut self,
        runs: &[Run],
        range: std::ops::Range<usize>,
        source: &S,
        few: usize,
    ) -> Vec<(u32, G1Affine)> {
        self.segments.clear();
        let mut position = range.start;
        let first = runs.partition_point(|run| run.end <= position);
        for run in &runs[first..] {
            let end = run.end.min(range.end);
            self.segments.push(Segment {
                bucket: run.bucket,
                start: position as u32,
                left: (end - position) as u32,
            });
            position = end;
            if position == range.end {
                break;
            }
        }
        self.halve(source);
        while self.pairs_left() >= few {
            let points = std::mem::take(&mut self.points);
            self.halve(points.as_slice());
            // What held the points before will hold the next sums.
            self.sums = points;
        }
        let buckets = self
            .segments
            .iter()
            .flat_map(|segment| (0..segment.left).map(|_| segment.bucket));
        buckets.zip(self.points.iter().copied()).collect()
    }

    fn pairs_left(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| (segment.left / 2) as usize)
            .sum()
    }

    /// Adds the points of each segment in pairs, into `points`.
    fn halve<S: Source + ?Sized>(&mut self, source: &S) {
        self.pairs.clear();
        let mut sums = std::mem::take(&mut self.sums);
        sums.resize(
            self.segments
                .iter()
                .map(|segment| segment.left.div_ceil(2) as usize)
                .sum(),
            IDENTITY,
        );
        let mut out = 0;
        for segment in &mut self.segments {
            let Segment { start, left, .. } = *segment;
            segment.start = out;
            segment.left = left.div_ceil(2);
            self.pairs.extend((0..left / 2).map(|i| Pair {
                a: start + 2 * i,
                b: start + 2 * i + 1,
                out: out + i,
            }));
            if left % 2 == 1 {
                sums[(out + left / 2) as usize] = source.point(start + left - 1);
            }
            out += segment.left;
        }
        if !self.pairs.is_empty() {
            add_pairs(source, &self.pairs, &mut sums, &mut self.scratch);
        }
        self.points = sums;
    }
}

/// `Σ_t 2^(window_bits·t)·Σ_b (b+1)·buckets[t][b]` for bucket sets of `per_set` buckets.
pub(super) fn weighted_sum(buckets: &[G1Affine], per_set: usize, window_bits: u32) -> G1 {
    let sets: Vec<G1> = if per_set < ROWS_FROM {
        buckets.par_chunks(per_set).map(running_sum).collect()
    } else {
        by_rows_and_columns(buckets, per_set)
    };
    let mut sum = G1::identity();
    for set in sets.iter().rev() {
        for _ in 0..window_bits {
            sum = sum.double();
        }
        sum += set;
    }
    sum
}

/// `Σ_b (b+1)·buckets[b]`, two projective additions a bucket.
fn running_sum(buckets: &[G1Affine]) -> G1 {
    let (mut running, mut sum) = (G1::identity(), G1::identity());
    for bucket in buckets.iter().rev() {
        if !is_identity(bucket) {
            running += bucket;
        }
        sum += running;
    }
    sum
}

/// The weighted sum of each set with two affine additions a bucket: with bucket `b = i·2^h + j` in row `i` and column `j`
/// it is `2^h·Σ_i i·row_i + Σ_j (j+1)·column_j`.
fn by_rows_and_columns(buckets: &[G1Affine], per_set: usize) -> Vec<G1> {
    let log_columns = per_set.ilog2().div_ceil(2);
    let columns = 1 << log_columns;
    let rows = per_set.div_ceil(columns);
    let sets = buckets.len() / per_set;
    // The rows of all sets, then the columns.
    let mut groups = Grouped::default();
    for (set, buckets) in buckets.chunks(per_set).enumerate() {
        for row in 0..rows {
            let cells = &buckets[row * columns..buckets.len().min((row + 1) * columns)];
            groups.push(set * rows + row, cells.iter());
        }
    }
    for (set, buckets) in buckets.chunks(per_set).enumerate() {
        for column in 0..columns {
            groups.push(
                (sets * rows) + set * columns + column,
                buckets[column..].iter().step_by(columns),
            );
        }
    }
    let sums = groups.sum(sets * (rows + columns));
    let (row_sums, column_sums) = sums.split_at(sets * rows);
    row_sums
        .par_chunks(rows)
        .zip(column_sums.par_chunks(columns))
        .map(|(rows, columns)| {
            let mut sum = running_sum(&rows[1..]);
            for _ in 0..log_columns {
                sum = sum.double();
            }
            sum + running_sum(columns)
        })
        .collect()
}

/// Points other than the identity, in groups.
#[derive(Default)]
struct Grouped {
    points: Vec<G1Affine>,
    runs: Vec<Run>,
}

impl Grouped {
    fn push<'a>(&mut self, group: usize, points: impl Iterator<Item = &'a G1Affine>) {
        let start = self.points.len();
        self.points
            .extend(points.filter(|point| !is_identity(point)));
        if self.points.len() > start {
            self.runs.push(Run {
                bucket: group as u32,
                end: self.points.len(),
            });
        }
    }

    fn sum(&self, groups: usize) -> Vec<G1Affine> {
        let mut sums = vec![G1Affine::identity(); groups];
        for (group, point) in sum_points(&self.runs, &self.points) {
            sums[group as usize] = point;
        }
        sums
    }
}
