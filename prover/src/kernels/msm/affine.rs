//! Additions of affine points, many at a time behind one field inversion.
//!
//! Six multiplications an addition: with `d = x_b − x_a` inverted, `λ = (y_b − y_a)/d`, `x = λ² − x_a − x_b`,
//! `y = λ(x_a − x) − y_a`. Equal points are doubled, opposite ones cancel, and the identity is neutral.

use halo2_proofs::halo2curves::bn256::{Fq, G1Affine};

#[cfg(target_arch = "x86_64")]
use crate::kernels::lanes;

/// The identity as an affine point: (0, 0), which is not on the curve.
pub(super) const IDENTITY: G1Affine = G1Affine {
    x: Fq::zero(),
    y: Fq::zero(),
};

/// Pairs from which vectors of eight pay.
#[cfg(target_arch = "x86_64")]
const VECTORS_FROM: usize = 16;

/// Whether a point is the identity. No point of the curve has y = 0, since its order is odd.
#[inline(always)]
pub(super) fn is_identity(point: &G1Affine) -> bool {
    point.y == Fq::zero()
}

/// An addition to be done: the positions of both points, and where the sum goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) a: u32,
    pub(super) b: u32,
    pub(super) out: u32,
}

/// Where points come from: a position gives a point and whether to negate it.
pub(super) trait Source: Sync {
    /// Whether the points lie about, so that asking for them ahead of time pays.
    const SCATTERED: bool;

    /// The point at a position, and whether its negative is meant.
    fn signed(&self, position: u32) -> (&G1Affine, bool);

    /// The point at a position, with its sign.
    #[inline(always)]
    fn point(&self, position: u32) -> G1Affine {
        let (point, negative) = self.signed(position);
        // Both are at hand, so that the sign, which no processor can foresee, costs no branch.
        G1Affine {
            x: point.x,
            y: [point.y, -point.y][usize::from(negative)],
        }
    }
}

impl Source for [G1Affine] {
    const SCATTERED: bool = false;

    #[inline(always)]
    fn signed(&self, position: u32) -> (&G1Affine, bool) {
        (&self[position as usize], false)
    }
}

/// Buffers kept between calls.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Per pair: the denominator of its slope.
    denominators: Vec<Fq>,
    /// Per pair: the product of all denominators before it.
    prefixes: Vec<Fq>,
    #[cfg(target_arch = "x86_64")]
    vectors: vector::Scratch,
}

/// `out[pair.out] = source[pair.a] + source[pair.b]` for each pair.
pub(super) fn add_pairs<S: Source + ?Sized>(
    source: &S,
    pairs: &[Pair],
    out: &mut [G1Affine],
    scratch: &mut Scratch,
) {
    #[cfg(target_arch = "x86_64")]
    if pairs.len() >= VECTORS_FROM && lanes::available() {
        let mut exceptions = std::mem::take(&mut scratch.vectors.exceptions);
        exceptions.clear();
        // SAFETY: the processor has the instructions.
        unsafe { vector::add_pairs(source, pairs, out, &mut scratch.vectors, &mut exceptions) };
        if !exceptions.is_empty() {
            add_single(source, &exceptions, out, scratch);
        }
        scratch.vectors.exceptions = exceptions;
        return;
    }
    add_single(source, pairs, out, scratch);
}

/// [`add_pairs`] one pair after the other, and the one that knows all cases.
fn add_single<S: Source + ?Sized>(
    source: &S,
    pairs: &[Pair],
    out: &mut [G1Affine],
    scratch: &mut Scratch,
) {
    let Scratch {
        denominators,
        prefixes,
        ..
    } = scratch;
    denominators.clear();
    prefixes.clear();
    let mut product = Fq::one();
    for pair in pairs {
        let (p, q) = (source.point(pair.a), source.point(pair.b));
        let mut d = q.x - p.x;
        if d == Fq::zero() || is_identity(&p) || is_identity(&q) {
            // Only a doubling needs an inverse here; a one in its place keeps the product invertible.
            d = if p == q && !is_identity(&p) {
                p.y.double()
            } else {
                Fq::one()
            };
        }
        denominators.push(d);
        prefixes.push(product);
        product *= d;
    }
    let mut inverse = product.invert().unwrap_or(Fq::one());
    for (i, pair) in pairs.iter().enumerate().rev() {
        let (p, q) = (source.point(pair.a), source.point(pair.b));
        let reciprocal = inverse * prefixes[i];
        inverse *= denominators[i];
        let sum = &mut out[pair.out as usize];
        let numerator = if p.x == q.x || is_identity(&p) || is_identity(&q) {
            if is_identity(&q) {
                *sum = p;
                continue;
            }
            if is_identity(&p) {
                *sum = q;
                continue;
            }
            if p.y != q.y {
                *sum = IDENTITY;
                continue;
            }
            let square = p.x.square();
            square.double() + square
        } else {
            q.y - p.y
        };
        let slope = numerator * reciprocal;
        let x = slope.square() - p.x - q.x;
        sum.y = slope * (p.x - x) - p.y;
        sum.x = x;
    }
}

/// `points[i] = 2·points[i]`, seven multiplications each and one inversion for all.
pub(super) fn double_all(points: &mut [G1Affine], scratch: &mut Scratch) {
    #[cfg(target_arch = "x86_64")]
    if points.len() >= VECTORS_FROM && lanes::available() {
        let (eights, rest) = points.as_chunks_mut();
        // SAFETY: the processor has the instructions.
        unsafe { vector::double_all(eights, &mut scratch.vectors) };
        if !rest.is_empty() {
            double_single(rest, scratch);
        }
        return;
    }
    double_single(points, scratch);
}

/// [`double_all`] one point after the other.
fn double_single(points: &mut [G1Affine], scratch: &mut Scratch) {
    let Scratch { prefixes, .. } = scratch;
    prefixes.clear();
    let mut product = Fq::one();
    for point in points.iter() {
        prefixes.push(product);
        if !is_identity(point) {
            product *= point.y.double();
        }
    }
    let mut inverse = product.invert().unwrap_or(Fq::one());
    for (point, prefix) in points.iter_mut().zip(prefixes.iter()).rev() {
        if is_identity(point) {
            continue;
        }
        let reciprocal = inverse * prefix;
        inverse *= point.y.double();
        let square = point.x.square();
        let slope = (square.double() + square) * reciprocal;
        let x = slope.square() - point.x.double();
        point.y = slope * (point.x - x) - point.y;
        point.x = x;
    }
}

/// Additions in vectors of eight pairs.
#[cfg(target_arch = "x86_64")]
mod vector {
    use halo2_proofs::halo2curves::bn256::{Fq, G1Affine};

    use super::{Pair, Source};
    use crate::kernels::lanes::{
        Base, Block, LANES, Lanes, factor, gather_points, gather_x, point_words, point_words_mut,
        prefetch, raw, raw_mut, scatter_points,
    };

    type Vector = Lanes<Base>;

    /// Groups of pairs between asking for points and using them.
    const AHEAD: usize = 3;

    #[derive(Debug, Default)]
    pub(in super::super) struct Scratch {
        /// Per eight pairs: denominators, and the products of those before them in each lane.
        groups: Vec<[Block; 2]>,
        /// Per eight pairs: the lanes that are not to be written.
        masked: Vec<u8>,
        /// Pairs of equal x, or with an x of zero as the identity has.
        pub(super) exceptions: Vec<Pair>,
    }

    /// All sums but those of `exceptions`, which are put there.
    ///
    /// A product of two elements in the crate's form lacks a factor of 16 here. So with `64/Π` as the inverse of the product
    /// of all denominators each slope comes out as `4λ`: its square is `λ²`, and `λ(x_a − x)` takes `4(x_a − x)`.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn add_pairs<S: Source + ?Sized>(
        source: &S,
        pairs: &[Pair],
        out: &mut [G1Affine],
        scratch: &mut Scratch,
        exceptions: &mut Vec<Pair>,
    ) {
        let Scratch { groups, masked, .. } = scratch;
        let count = pairs.len().div_ceil(LANES);
        if groups.len() < count {
            groups.resize(count, [Block::ZERO; 2]);
            masked.resize(count, 0);
        }
        let one = Vector::splat(&factor(&Fq::one()));
        let mut product = one;
        for (i, ([d_block, prefix_block], masked)) in groups
            .iter_mut()
            .zip(masked.iter_mut())
            .take(count)
            .enumerate()
        {
            ask_for(source, pairs, i + AHEAD);
            let group = Group::new(pairs, i);
            let (ax, bx) = (
                gather_x(group.words(source, |pair| pair.a)),
                gather_x(group.words(source, |pair| pair.b)),
            );
            let special = ax.equal(&bx) | ax.zeros() | bx.zeros();
            let mut d = bx.sub::<1>(&ax);
            *masked = special | group.absent();
            if *masked != 0 {
                d = d.or_where(*masked, &one);
                exceptions.extend(
                    group
                        .0
                        .iter()
                        .enumerate()
                        .filter(|(lane, _)| special >> lane & 1 == 1)
                        .map(|(_, pair)| *pair),
                );
            }
            d.store(d_block);
            product.store(prefix_block);
            product = product.mul(&d);
        }
        let mut inverse = inverses(&product, 64);
        for i in (0..count).rev() {
            ask_for(source, pairs, i.wrapping_sub(AHEAD));
            let [d, prefix] = &groups[i];
            let reciprocal = inverse.mul(&Vector::load(prefix));
            inverse = inverse.mul(&Vector::load(d));
            let group = Group::new(pairs, i);
            let (ax, ay) = gather_points(group.words(source, |pair| pair.a));
            let (bx, by) = gather_points(group.words(source, |pair| pair.b));
            let (ay, by) = if S::SCATTERED {
                let zero = Vector::splat(&[0; 5]);
                let (a_signs, b_signs) = (
                    group.signs(source, |pair| pair.a),
                    group.signs(source, |pair| pair.b),
                );
                (
                    ay.or_where(a_signs, &zero.sub::<1>(&ay)),
                    by.or_where(b_signs, &zero.sub::<1>(&by)),
                )
            } else {
                (ay, by)
            };
            let slope = by.sub::<1>(&ay).mul(&reciprocal);
            let x = slope
                .square()
                .sub::<2>(&ax.add(&bx))
                .partly_reduced()
                .reduced();
            let y = slope
                .mul(&ax.sub::<1>(&x).times_4())
                .sub::<1>(&ay)
                .partly_reduced()
                .reduced();
            let sums = scatter_points(&x, &y);
            let mask = masked[i];
            for (lane, (pair, sum)) in group.0.iter().zip(&sums).enumerate() {
                if mask >> lane & 1 == 0 {
                    *point_words_mut(&mut out[pair.out as usize]) = *sum;
                }
            }
        }
    }

    /// Asks for the points of the `i`-th eight pairs, if there are any.
    #[inline(always)]
    fn ask_for<S: Source + ?Sized>(source: &S, pairs: &[Pair], i: usize) {
        if S::SCATTERED && i < pairs.len() / LANES {
            for pair in &pairs[i * LANES..(i + 1) * LANES] {
                prefetch(source.signed(pair.a).0);
                prefetch(source.signed(pair.b).0);
            }
        }
    }

    /// One to eight pairs.
    struct Group<'a>(&'a [Pair]);

    impl<'a> Group<'a> {
        #[inline(always)]
        fn new(pairs: &'a [Pair], i: usize) -> Self {
            Group(&pairs[i * LANES..pairs.len().min((i + 1) * LANES)])
        }

        /// The lanes without a pair.
        #[inline(always)]
        fn absent(&self) -> u8 {
            !((1u32 << self.0.len()) - 1) as u8
        }

        /// The limbs of one point of each pair; absent ones are as in the first pair.
        #[inline(always)]
        fn words<'s, S: Source + ?Sized>(
            &self,
            source: &'s S,
            of: impl Fn(&Pair) -> u32,
        ) -> [&'s [u64; 8]; LANES] {
            std::array::from_fn(|lane| {
                point_words(source.signed(of(self.0.get(lane).unwrap_or(&self.0[0]))).0)
            })
        }

        /// The lanes in which one point of each pair is to be negated.
        #[inline(always)]
        fn signs<S: Source + ?Sized>(&self, source: &S, of: impl Fn(&Pair) -> u32) -> u8 {
            self.0.iter().enumerate().fold(0, |signs, (lane, pair)| {
                signs | u8::from(source.signed(of(pair)).1) << lane
            })
        }
    }

    /// `2·points`. With `d = 2y` and `1024/Π` as the inverse of their product, `3·x·x`, which lacks a factor of 16 here, over
    /// `d` is four times the slope again.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn double_all(points: &mut [[G1Affine; LANES]], scratch: &mut Scratch) {
        let Scratch { groups, masked, .. } = scratch;
        if groups.len() < points.len() {
            groups.resize(points.len(), [Block::ZERO; 2]);
            masked.resize(points.len(), 0);
        }
        let one = Vector::splat(&factor(&Fq::one()));
        let mut product = one;
        for (([d_block, prefix_block], masked), group) in
            groups.iter_mut().zip(masked.iter_mut()).zip(points.iter())
        {
            let (_, y) = gather_points(group.each_ref().map(point_words));
            *masked = y.zeros();
            let d = y.add(&y).or_where(*masked, &one);
            d.store(d_block);
            product.store(prefix_block);
            product = product.mul(&d);
        }
        let mut inverse = inverses(&product, 1024);
        for (([d, prefix], masked), group) in groups.iter().zip(masked.iter()).zip(points).rev() {
            let reciprocal = inverse.mul(&Vector::load(prefix));
            inverse = inverse.mul(&Vector::load(d));
            let (x, y) = gather_points(group.each_ref().map(point_words));
            let square = x.square();
            let slope = square.add(&square).add(&square).mul(&reciprocal);
            let double_x = slope
                .square()
                .sub::<2>(&x.add(&x))
                .partly_reduced()
                .reduced();
            let double_y = slope
                .mul(&x.sub::<1>(&double_x).times_4())
                .sub::<1>(&y)
                .partly_reduced()
                .reduced();
            let doubles = scatter_points(&double_x, &double_y);
            for (lane, (point, double)) in group.iter_mut().zip(&doubles).enumerate() {
                if masked >> lane & 1 == 0 {
                    *point_words_mut(point) = *double;
                }
            }
        }
    }

    /// `numerator` over each lane.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn inverses(product: &Vector, numerator: u64) -> Vector {
        let mut elements = [Fq::zero(); LANES];
        if let Some(words) = raw_mut(&mut elements).first_chunk_mut() {
            product.partly_reduced().reduced().scatter(words);
        }
        let mut prefixes = [Fq::one(); LANES];
        for lane in 1..LANES {
            prefixes[lane] = prefixes[lane - 1] * elements[lane - 1];
        }
        let all: Option<Fq> = (prefixes[LANES - 1] * elements[LANES - 1]).invert().into();
        let mut inverse = all.unwrap_or(Fq::one()) * Fq::from(numerator);
        for lane in (0..LANES).rev() {
            let element = std::mem::replace(&mut elements[lane], inverse * prefixes[lane]);
            inverse *= element;
        }
        match raw(&elements).first_chunk() {
            Some(words) => Vector::gather(words),
            None => *product,
        }
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use group::{Curve, Group};
    use halo2_proofs::halo2curves::bn256::{Fr, G1};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn points(count: usize) -> Vec<G1Affine> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        (0..count)
            .map(|_| (G1::generator() * Fr::random(&mut rng)).to_affine())
            .collect()
    }

    #[test]
    fn every_case_of_an_addition() {
        let p = points(44);
        let mut cases = vec![
            (p[0], p[1]),
            (p[0], p[0]),
            (p[0], -p[0]),
            (IDENTITY, p[1]),
            (p[2], IDENTITY),
            (IDENTITY, IDENTITY),
            (p[2], p[3]),
        ];
        cases.extend((0..20).map(|i| (p[2 * i + 4], p[2 * i + 5])));
        let all: Vec<G1Affine> = cases.iter().flat_map(|(a, b)| [*a, *b]).collect();
        let pairs: Vec<Pair> = (0..cases.len() as u32)
            .map(|i| Pair {
                a: 2 * i,
                b: 2 * i + 1,
                out: i,
            })
            .collect();
        for count in [1, 7, 8, 15, 16, 17, 27] {
            let mut sums = vec![p[43]; count];
            add_pairs(
                all.as_slice(),
                &pairs[..count],
                &mut sums,
                &mut Scratch::default(),
            );
            for (i, ((a, b), sum)) in cases.iter().zip(&sums).enumerate() {
                assert_eq!(*sum, (G1::from(*a) + b).to_affine(), "case {i} of {count}");
            }
        }
    }

    #[test]
    fn doublings() {
        let mut doubled = points(43);
        doubled[5] = IDENTITY;
        doubled[42] = IDENTITY;
        let expected: Vec<G1Affine> = doubled
            .iter()
            .map(|p| G1::from(*p).double().to_affine())
            .collect();
        double_all(&mut doubled, &mut Scratch::default());
        assert_eq!(doubled, expected);
    }
}
