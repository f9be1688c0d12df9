//! The transform on vectors of eight elements.
//!
//! With `X = x_0, x_8, …`, element `8t + l` of the input is lane `l` of block `t`. All lanes are transformed alike, as
//! polynomials `f_l` with `f(X) = Σ_l X^l·f_l(X^8)`. Then at each point `x = shift·ω^k` the eight values `f_l(x^8)` are
//! multiplied by `x^l` and, by a transform of size eight, give `f` at the points `x·ω_8^j`, of which the `j`-th is the
//! `(k + j·n/8)`-th of the coset. Before it, blocks of eight consecutive `k` are transposed, so that lanes run over `k`.
//!
//! Bounds, in multiples of the modulus: 1 at first, 2 more for each of the `k − 3` layers, and 14 more at the end;
//! at most 65 of 84.

use std::cell::Cell;

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;

use super::Threads;
use crate::kernels::lanes::{Block, LANES, Lanes, Scalars, factor, raw, raw_mut, transpose};

type Vector = Lanes<Scalars>;

/// The smallest transform done this way: eight blocks.
pub(super) const MIN_K: u32 = 6;

/// Blocks whose layers all run within the cache.
const CACHED: usize = 1 << 10;

/// Blocks that one task joins at least.
const TASK: usize = 1 << 7;

thread_local! {
    /// The blocks of the last transform on this thread, for the next one.
    static BLOCKS: Cell<Vec<Block>> = const { Cell::new(vec![]) };
}

/// Twiddle factors of every layer.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    /// At `h + j` for the layer that joins halves of `h` blocks: `shift^(n/2h)·ω_(2h)^j`, for all lanes.
    layers: Vec<[u64; 5]>,
    /// For each eight points `x`: the vectors of their powers `x, x², …, x⁷`.
    powers: Vec<[Block; LANES - 1]>,
    /// `ω_8, ω_8², ω_8³`.
    eighth: [[u64; 5]; 3],
}

impl Tables {
    pub(super) fn new(k: u32, omega: Fr, shift: Fr) -> Self {
        let size = 1usize << k;
        let blocks = size / LANES;
        let power = |base: Fr, exponent: usize| base.pow_vartime([exponent as u64]);
        let mut layers = vec![[0; 5]; blocks];
        let (mut half, mut root, mut layer_shift) = (blocks / 2, power(omega, 8), power(shift, 8));
        while half > 0 {
            layers[half..2 * half]
                .par_chunks_mut(1 << 10)
                .enumerate()
                .for_each(|(i, layer)| {
                    let mut current = layer_shift * power(root, i << 10);
                    for entry in layer {
                        *entry = factor(&current);
                        current *= root;
                    }
                });
            half /= 2;
            root = root.square();
            layer_shift = layer_shift.square();
        }
        let mut powers = vec![[Block::ZERO; LANES - 1]; blocks / LANES];
        powers.par_iter_mut().enumerate().for_each(|(i, powers)| {
            let mut points = [shift * power(omega, i * LANES); LANES];
            for lane in 1..LANES {
                points[lane] = points[lane - 1] * omega;
            }
            let mut current = points;
            for block in powers {
                *block = Block::of_factors(&current.map(|point| factor(&point)));
                for (current, point) in current.iter_mut().zip(points) {
                    *current *= point;
                }
            }
        });
        let eighth_root = power(omega, blocks);
        let eighth = [1, 2, 3].map(|i| factor(&power(eighth_root, i)));
        Tables {
            layers,
            powers,
            eighth,
        }
    }

    pub(super) fn transform(&self, coeffs: &[Fr], out: &mut [Fr], threads: Threads) {
        self.with_blocks(|blocks| {
            let input = Input {
                coeffs: raw(coeffs),
                reversed: false,
                unused_bits: usize::BITS - blocks.len().ilog2(),
            };
            self.join_quarters(&input, blocks, 0, threads);
            self.join_lanes(blocks, raw_mut(out), None, threads);
        });
    }

    pub(super) fn transform_in_place(&self, values: &mut [Fr], threads: Threads) {
        self.in_place(values, None, threads);
    }

    /// The inverse, for tables with the shift 1: the transform of the values taken backwards, over the size, since
    /// `Σ_j v_j·ω^(−ij) = Σ_j v_(−j)·ω^(ij)`.
    pub(super) fn invert_in_place(&self, values: &mut [Fr], size_inverse: Fr, threads: Threads) {
        self.in_place(values, Some(factor(&size_inverse)), threads);
    }

    fn in_place(&self, values: &mut [Fr], scale: Option<[u64; 5]>, threads: Threads) {
        self.with_blocks(|blocks| {
            let unused_bits = usize::BITS - blocks.len().ilog2();
            let input = Input {
                coeffs: raw(values),
                reversed: scale.is_some(),
                unused_bits,
            };
            self.join_quarters(&input, blocks, 0, threads);
            self.join_lanes(blocks, raw_mut(values), scale, threads);
        });
    }

    fn with_blocks(&self, body: impl FnOnce(&mut [Block])) {
        // Another transform may run on this thread while this one waits for its tasks: it finds no blocks and makes its own.
        let mut blocks = BLOCKS.take();
        if blocks.len() < self.layers.len() {
            blocks.resize(self.layers.len(), Block::ZERO);
        }
        body(&mut blocks[..self.layers.len()]);
        BLOCKS.set(blocks);
    }

    /// The transforms of all lanes, over the blocks from `first` on in bit-reversed order: depth first, two layers at once.
    fn join_quarters(
        &self,
        input: &Input<'_>,
        blocks: &mut [Block],
        first: usize,
        threads: Threads,
    ) {
        if blocks.len() <= CACHED {
            // SAFETY: these tables exist only where the processor was found to have the instructions.
            unsafe {
                input.load(blocks, first);
                layers_in_cache(blocks, &self.layers);
            }
            return;
        }
        let quarter = blocks.len() / 4;
        let (low, high) = blocks.split_at_mut(2 * quarter);
        let ((a, b), (c, d)) = (low.split_at_mut(quarter), high.split_at_mut(quarter));
        let run = |blocks: &mut [Block], i: usize| {
            self.join_quarters(input, blocks, first + i * quarter, threads)
        };
        threads.join(
            || threads.join(|| run(a, 0), || run(b, 1)),
            || threads.join(|| run(c, 2), || run(d, 3)),
        );
        let (inner, outer) = (
            &self.layers[quarter..2 * quarter],
            &self.layers[2 * quarter..4 * quarter],
        );
        let (low, high) = outer.split_at(quarter);
        let size = if threads == Threads::One {
            quarter
        } else {
            TASK
        };
        let tasks = a
            .chunks_mut(size)
            .zip(b.chunks_mut(size))
            .zip(c.chunks_mut(size).zip(d.chunks_mut(size)));
        let factors = inner
            .chunks(size)
            .zip(low.chunks(size).zip(high.chunks(size)));
        let join = |(((a, b), (c, d)), (inner, (low, high))): FourWithFactors<'_>| {
            // SAFETY: as above.
            unsafe { join_four([a, b, c, d], inner, low, high) };
        };
        if threads == Threads::One {
            tasks.zip(factors).for_each(join);
        } else {
            tasks
                .zip(factors)
                .collect::<Vec<_>>()
                .into_par_iter()
                .for_each(join);
        }
    }

    /// The transforms of size eight across lanes, written in natural order and, if `scale` is given, multiplied by it.
    fn join_lanes(
        &self,
        blocks: &[Block],
        out: &mut [[u64; 4]],
        scale: Option<[u64; 5]>,
        threads: Threads,
    ) {
        let mut rest = out.chunks_exact_mut(blocks.len());
        let parts = std::array::from_fn(|_| rest.next().unwrap_or_default());
        self.join_lanes_of(blocks, &self.powers, parts, scale, threads);
    }

    /// Part `j` of the output takes the points from `j·n/8` on.
    fn join_lanes_of(
        &self,
        blocks: &[Block],
        powers: &[[Block; LANES - 1]],
        parts: [&mut [[u64; 4]]; LANES],
        scale: Option<[u64; 5]>,
        threads: Threads,
    ) {
        if threads == Threads::One || blocks.len() <= TASK {
            // SAFETY: as in `join_quarters`.
            unsafe { join_lanes(blocks, powers, &self.eighth, parts, scale) };
            return;
        }
        let half = blocks.len() / 2;
        let ((blocks, other_blocks), (powers, other_powers)) =
            (blocks.split_at(half), powers.split_at(half / LANES));
        let mut other_parts: [&mut [[u64; 4]]; LANES] = Default::default();
        let mut rest = other_parts.iter_mut();
        let parts = parts.map(|part| {
            let (part, other) = part.split_at_mut(half);
            if let Some(place) = rest.next() {
                *place = other;
            }
            part
        });
        threads.join(
            || self.join_lanes_of(blocks, powers, parts, scale, threads),
            || self.join_lanes_of(other_blocks, other_powers, other_parts, scale, threads),
        );
    }
}

/// Four slices of blocks, and the factors of the layer that joins them in pairs and of the one after it.
type FourWithFactors<'a> = (
    (
        (&'a mut [Block], &'a mut [Block]),
        (&'a mut [Block], &'a mut [Block]),
    ),
    (&'a [[u64; 5]], (&'a [[u64; 5]], &'a [[u64; 5]])),
);

/// What is transformed.
struct Input<'a> {
    /// Zeros follow them, unless they are reversed.
    coeffs: &'a [[u64; 4]],
    /// Whether index `i` stands for `−i`.
    reversed: bool,
    /// Bits of an integer that a block's number does not take.
    unused_bits: u32,
}

impl Input<'_> {
    /// Blocks of eight consecutive coefficients, from the `first` in bit-reversed order on.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn load(&self, blocks: &mut [Block], first: usize) {
        for (i, block) in blocks.iter_mut().enumerate() {
            let at = LANES * ((first + i).reverse_bits() >> self.unused_bits);
            let vector = if self.reversed {
                let size = self.coeffs.len();
                Vector::gather(&std::array::from_fn(|lane| {
                    self.coeffs[(size - at - lane) % size]
                }))
            } else if let Some(elements) = self
                .coeffs
                .get(at..at + LANES)
                .and_then(|elements| elements.first_chunk())
            {
                Vector::gather(elements)
            } else {
                let given = self.coeffs.get(at..).unwrap_or_default();
                Vector::gather(&std::array::from_fn(|lane| {
                    given.get(lane).copied().unwrap_or_default()
                }))
            };
            vector.store(block);
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn join_lanes(
    blocks: &[Block],
    powers: &[[Block; LANES - 1]],
    eighth: &[[u64; 5]; 3],
    mut parts: [&mut [[u64; 4]]; LANES],
    scale: Option<[u64; 5]>,
) {
    let roots = [
        Vector::splat(&eighth[0]),
        Vector::splat(&eighth[1]),
        Vector::splat(&eighth[2]),
    ];
    for (i, (group, powers)) in blocks.as_chunks::<LANES>().0.iter().zip(powers).enumerate() {
        let mut rows = [Vector::load(&group[0]); LANES];
        for (row, block) in rows.iter_mut().zip(group) {
            *row = Vector::load(block);
        }
        transpose(&mut rows);
        for (row, powers) in rows[1..].iter_mut().zip(powers) {
            *row = row.mul(&Vector::load(powers));
        }
        // Everything but the first row is below 2 moduli here.
        let (a0, a4) = (rows[0].add(&rows[4]), rows[0].sub::<2>(&rows[4]));
        let (a2, a6) = (rows[2].add(&rows[6]), rows[2].sub::<2>(&rows[6]));
        let (a1, a5) = (rows[1].add(&rows[5]), rows[1].sub::<2>(&rows[5]));
        let (a3, a7) = (rows[3].add(&rows[7]), rows[3].sub::<2>(&rows[7]));
        let (b0, b2) = (a0.add(&a2), a0.sub::<4>(&a2));
        let (b1, b3) = (a1.add(&a3), a1.sub::<4>(&a3));
        let (b4, b6) = a4.butterfly(&a6, &roots[1]);
        let (b5, b7) = a5.butterfly(&a7, &roots[1]);
        let (c0, c4) = (b0.add(&b1), b0.sub::<8>(&b1));
        let (c1, c5) = b4.butterfly(&b5, &roots[0]);
        let (c2, c6) = b2.butterfly(&b3, &roots[1]);
        let (c3, c7) = b6.butterfly(&b7, &roots[2]);
        for (part, result) in parts.iter_mut().zip([c0, c1, c2, c3, c4, c5, c6, c7]) {
            let result = match &scale {
                None => result.partly_reduced(),
                Some(scale) => result.mul(&Vector::splat(scale)),
            };
            if let Some(place) = part
                .get_mut(i * LANES..)
                .and_then(|part| part.first_chunk_mut())
            {
                result.reduced().scatter(place);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn layers_in_cache(blocks: &mut [Block], layers: &[[u64; 5]]) {
    let mut half = 1;
    if blocks.len().ilog2() % 2 == 1 {
        let one = Vector::splat(&layers[1]);
        for pair in blocks.as_chunks_mut::<2>().0 {
            let (a, b) = Vector::load(&pair[0]).butterfly(&Vector::load(&pair[1]), &one);
            a.store(&mut pair[0]);
            b.store(&mut pair[1]);
        }
        half = 2;
    }
    while half < blocks.len() {
        let outer = &layers[2 * half..4 * half];
        for four in blocks.chunks_exact_mut(4 * half) {
            let (low, high) = four.split_at_mut(2 * half);
            let ((a, b), (c, d)) = (low.split_at_mut(half), high.split_at_mut(half));
            join_four(
                [a, b, c, d],
                &layers[half..2 * half],
                &outer[..half],
                &outer[half..],
            );
        }
        half *= 4;
    }
}

/// Two layers: `a` with `b` and `c` with `d`, then `a` with `c` and `b` with `d`.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn join_four(
    [a, b, c, d]: [&mut [Block]; 4],
    inner: &[[u64; 5]],
    outer_low: &[[u64; 5]],
    outer_high: &[[u64; 5]],
) {
    let blocks = a.iter_mut().zip(b).zip(c.iter_mut().zip(d));
    let factors = inner.iter().zip(outer_low.iter().zip(outer_high));
    for (((a, b), (c, d)), (inner, (low, high))) in blocks.zip(factors) {
        let inner = Vector::splat(inner);
        let (c0, c1) = Vector::load(c).butterfly(&Vector::load(d), &inner);
        let (a0, a1) = Vector::load(a).butterfly(&Vector::load(b), &inner);
        let (x, y) = a0.butterfly(&c0, &Vector::splat(low));
        x.store(a);
        y.store(c);
        let (x, y) = a1.butterfly(&c1, &Vector::splat(high));
        x.store(b);
        y.store(d);
    }
}
