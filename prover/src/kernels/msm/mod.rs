//! Multi-scalar multiplication over bases that are known in advance.
//!
//! `Σ s_i·G_i` is one sorting of signed digits into buckets, one summation of each bucket by batches of affine additions
//! (six field multiplications each), and one weighted sum of the buckets by rows and columns. Multiples
//! `2^(level_bits·j)·G_i` of the bases, where memory allows for them, let all digits of a scalar share the same few buckets.
//!
//! In units of one affine addition, for `n` scalars of `W` windows of `c` bits, of which every `m`-th starts a precomputed
//! level: `n·W` for the buckets and `m·2^c` for their weighted sum. A level costs `m·c·n` doublings once.
//!
//! | module | purpose |
//! |---|---|
//! | `plan` | which windows are cheapest |
//! | `digits` | scalars as signed digits |
//! | `buckets` | sorting, sums of buckets, their weighted sum |
//! | `affine` | additions behind a shared inversion |

mod affine;
mod buckets;
mod digits;
mod plan;
#[cfg(test)]
mod tests;

use group::Group;
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine};
use rayon::prelude::*;

use affine::{Scratch, double_all};
use buckets::{Digit, Sorted, weighted_sum};
use digits::{SCALAR_BITS, limbs};
use plan::{Plan, level_bits};

/// Digits from which sorting them is worth splitting between threads.
const PARALLEL_DIGITS: usize = 1 << 13;

/// How many of the last bases have levels of their own: more than any circuit has blinding rows.
const LAST_BASES: usize = 32;

/// Bits from one of these levels to the next.
const LAST_LEVEL_BITS: u32 = 8;

/// Points whose doublings share an inversion during precomputation.
const DOUBLING_POINTS: usize = 512;

/// Bases of multi-scalar multiplications, with as many precomputed multiples as memory allows.
///
/// All sums take the first bases when there are fewer scalars than bases.
#[derive(Clone)]
pub struct FixedBase {
    table: Vec<G1Affine>,
    bases: usize,
    /// All bases, with what levels there are memory for.
    all: Levels,
    /// The last bases, with levels close enough for a handful of scalars to cost nothing to speak of.
    last: Levels,
}

impl std::fmt::Debug for FixedBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FixedBase")
            .field("bases", &self.bases)
            .field("level_bits", &self.all.level_bits)
            .finish_non_exhaustive()
    }
}

/// Where multiples of bases lie: `2^(level_bits·j)·G_i` at `offset + j·stride + i − first`.
#[derive(Clone, Copy, Debug)]
struct Levels {
    level_bits: u32,
    offset: usize,
    stride: usize,
    first: usize,
}

impl Levels {
    fn count(&self) -> usize {
        SCALAR_BITS.div_ceil(self.level_bits) as usize
    }

    #[inline(always)]
    fn position(&self, level: u32, base: usize) -> u32 {
        (self.offset + level as usize * self.stride + base - self.first) as u32
    }

    /// Appends the levels above the first, which is at the end of the table.
    fn extend(&self, table: &mut Vec<G1Affine>) {
        for _ in 1..self.count() {
            let start = table.len();
            table.extend_from_within(start - self.stride..);
            table[start..]
                .par_chunks_mut(DOUBLING_POINTS)
                .for_each_init(Scratch::default, |scratch, points| {
                    for _ in 0..self.level_bits {
                        double_all(points, scratch);
                    }
                });
        }
    }
}

impl FixedBase {
    /// Takes the bases and precomputes multiples of them in at most `memory_bytes`, the bases included.
    ///
    /// With too little memory for a second level there is none, which costs nothing now. A full table costs as much as some
    /// eight dense sums and saves at most a fifth of each, less where it is too large for the cache: it pays for provers that
    /// live long and for few bases.
    #[must_use]
    pub fn new(bases: &[G1Affine], memory_bytes: usize) -> Self {
        let count = bases.len();
        let level_bits = level_bits(count, size_of_val(bases), memory_bytes);
        let all = Levels {
            level_bits,
            offset: 0,
            stride: count,
            first: 0,
        };
        let first = count.saturating_sub(LAST_BASES);
        let last = Levels {
            level_bits: LAST_LEVEL_BITS,
            offset: count * all.count(),
            stride: count - first,
            first,
        };
        let mut table = Vec::with_capacity(count * all.count() + last.stride * last.count());
        table.extend_from_slice(bases);
        all.extend(&mut table);
        table.extend_from_slice(&bases[first..]);
        last.extend(&mut table);
        FixedBase {
            table,
            bases: count,
            all,
            last,
        }
    }

    /// How many bases there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bases
    }

    /// Whether there are no bases.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bases == 0
    }

    /// The bases themselves.
    #[must_use]
    pub fn bases(&self) -> &[G1Affine] {
        &self.table[..self.bases]
    }

    /// `Σ scalars[i]·G_i` for scalars of any size.
    ///
    /// # Panics
    /// If there are more scalars than bases.
    #[must_use]
    pub fn msm_dense(&self, scalars: &[Fr]) -> G1 {
        self.sum(
            &[],
            0,
            scalars,
            self.all,
            &Plan::dense(scalars.len(), self.all.level_bits),
        )
    }

    /// `Σ values[i]·G_i` for signed integers: the cost grows with the largest magnitude, and zeros are free.
    ///
    /// # Panics
    /// If there are more values than bases.
    #[must_use]
    pub fn msm_small(&self, values: &[i64]) -> G1 {
        self.msm_small_with_tail(values, 0, &[])
    }

    /// [`msm_small`](Self::msm_small) plus `Σ tail[i]·G_(tail_start + i)`: a column of small integers and its blinding rows.
    ///
    /// The ranges may overlap; then both terms count.
    ///
    /// # Panics
    /// If values or tail reach past the last base.
    #[must_use]
    pub fn msm_small_with_tail(&self, values: &[i64], tail_start: usize, tail: &[Fr]) -> G1 {
        let levels = if tail_start >= self.last.first {
            self.last
        } else {
            self.all
        };
        let max = values.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
        let terms = values.iter().filter(|v| **v != 0).count();
        let apart = Plan::dense(tail.len(), levels.level_bits);
        if terms == 0 {
            return self.sum(&[], tail_start, tail, levels, &apart);
        }
        let alone = Plan::small(terms, max, 0, levels.level_bits);
        let together = Plan::small(terms, max, tail.len(), levels.level_bits);
        if together.cost <= alone.cost + apart.cost {
            self.sum(values, tail_start, tail, levels, &together)
        } else {
            self.sum(values, 0, &[], levels, &alone)
                + self.sum(&[], tail_start, tail, levels, &apart)
        }
    }

    /// [`msm_dense`](Self::msm_dense) of many columns, in parallel over the columns and within each.
    #[must_use]
    pub fn msm_dense_many<S: AsRef<[Fr]> + Sync>(&self, columns: &[S]) -> Vec<G1> {
        columns
            .par_iter()
            .map(|column| self.msm_dense(column.as_ref()))
            .collect()
    }

    /// [`msm_small`](Self::msm_small) of many columns, in parallel over the columns and within each.
    #[must_use]
    pub fn msm_small_many<V: AsRef<[i64]> + Sync>(&self, columns: &[V]) -> Vec<G1> {
        columns
            .par_iter()
            .map(|column| self.msm_small(column.as_ref()))
            .collect()
    }

    /// [`msm_small_with_tail`](Self::msm_small_with_tail) of many columns of (values, tail), all with the same `tail_start`.
    #[must_use]
    pub fn msm_small_with_tail_many<V, S>(&self, columns: &[(V, S)], tail_start: usize) -> Vec<G1>
    where
        V: AsRef<[i64]> + Sync,
        S: AsRef<[Fr]> + Sync,
    {
        columns
            .par_iter()
            .map(|(values, tail)| {
                self.msm_small_with_tail(values.as_ref(), tail_start, tail.as_ref())
            })
            .collect()
    }

    /// `Σ values[i]·G_i + Σ tail[i]·G_(tail_start + i)` by a plan made for them and for these multiples of the tail's bases.
    fn sum(
        &self,
        values: &[i64],
        tail_start: usize,
        tail: &[Fr],
        levels: Levels,
        plan: &Plan,
    ) -> G1 {
        assert!(
            values.len() <= self.bases && tail_start + tail.len() <= self.bases,
            "more scalars than bases: {} and {} from {tail_start} on, {} bases",
            values.len(),
            tail.len(),
            self.bases
        );
        let digits_at_most = values.len() * plan.small.len() + tail.len() * plan.dense.len();
        let parts = if digits_at_most < PARALLEL_DIGITS {
            1
        } else {
            rayon::current_num_threads()
        };
        let per_set = plan.per_set as u32;
        let digits: Vec<Vec<Digit>> = (0..parts)
            .into_par_iter()
            .map(|part| {
                let part_of = |len: usize| part * len / parts..(part + 1) * len / parts;
                let (values_part, tail_part) = (part_of(values.len()), part_of(tail.len()));
                let most =
                    values_part.len() * plan.small.len() + tail_part.len() * plan.dense.len();
                let mut digits = Vec::with_capacity(most);
                let mut push = |set: u32, magnitude: u32, position: u32, negative: bool| {
                    digits.push(Digit {
                        bucket: set * per_set + magnitude - 1,
                        entry: (position << 1) | u32::from(negative),
                    });
                };
                for i in values_part {
                    let value = values[i];
                    if value != 0 {
                        plan.small.digits(
                            &[value.unsigned_abs(), 0, 0, 0],
                            |_, set, magnitude, negative| {
                                push(set, magnitude, i as u32, negative != (value < 0));
                            },
                        );
                    }
                }
                for i in tail_part {
                    plan.dense
                        .digits(&limbs(&tail[i]), |level, set, magnitude, negative| {
                            push(
                                set,
                                magnitude,
                                levels.position(level, tail_start + i),
                                negative,
                            );
                        });
                }
                digits
            })
            .collect();
        let sorted = Sorted::new(&digits, plan.buckets());
        drop(digits);
        if sorted.is_empty() {
            return G1::identity();
        }
        weighted_sum(
            &sorted.sum(&self.table, plan.buckets()),
            plan.per_set,
            plan.window_bits,
        )
    }
}
