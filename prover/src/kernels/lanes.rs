//! Eight field elements at a time, on processors with AVX-512 IFMA.
//!
//! An element is five limbs of 52 bits, the width of that extension's multipliers, and a vector holds one limb of eight
//! elements. Numbers are kept lazily: below `2^260`, some 84 times the modulus `p`, and reduced only on the way out.
//!
//! Multiplication divides by `2^260`, while the field types of `halo2curves` keep `a` as `2^256·a mod p`. So a product of
//! an element in their form and a factor as [`factor`] makes it (`2^260·b mod p`) is an element in their form again, and
//! products of two elements in their form lack a factor of 16, which the caller accounts for.

// The vectors come and go through memory, and a processor is asked once whether it has the instructions; that is all
// the unsafe code there is.

use std::{
    arch::x86_64::{
        __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi64, _mm512_and_si512,
        _mm512_cmpeq_epi64_mask, _mm512_cmplt_epi64_mask, _mm512_loadu_si512,
        _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_blend_epi64, _mm512_or_si512,
        _mm512_permutex2var_epi64, _mm512_set1_epi64, _mm512_setr_epi64, _mm512_setzero_si512,
        _mm512_slli_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_storeu_si512,
        _mm512_sub_epi64, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
    },
    marker::PhantomData,
    sync::LazyLock,
};

use ff::PrimeField;
use halo2_proofs::halo2curves::bn256::{Fq, Fr, G1Affine};

/// Elements in a vector.
pub(super) const LANES: usize = 8;

const LIMBS: usize = 5;
const LIMB_BITS: u32 = 52;
const MASK: u64 = (1 << LIMB_BITS) - 1;

/// Whether this processor has the instructions.
pub(super) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512ifma")
            && layout_is_known()
    });
    *AVAILABLE
}

/// Whether field elements and points lie in memory as this module takes them to: their limbs in Montgomery form, x before y.
fn layout_is_known() -> bool {
    let point = G1Affine {
        x: Fq::from(1),
        y: Fq::from(2),
    };
    let words = point_words(&point);
    raw(&[Fr::from(1)])[0] == Scalars::ONE
        && raw(&[Fq::from(1)])[0] == Base::ONE
        && words[..4] == Base::ONE
        && words[4..] == raw(&[Fq::from(2)])[0]
}

/// A prime field as the limbs of its modulus.
pub(super) trait Modulus: Copy {
    /// The field's type in the crate.
    type Element: Copy;
    /// The modulus in 64-bit limbs.
    const P: [u64; 4];
    /// `−1/p mod 2^64`.
    const INVERSE: u64;
    /// One in Montgomery form: `2^256 mod p`.
    const ONE: [u64; 4];
}

/// The scalar field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalars;

/// The field of coordinates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base;

impl Modulus for Scalars {
    type Element = Fr;
    const P: [u64; 4] = [
        0x43e1_f593_f000_0001,
        0x2833_e848_79b9_7091,
        0xb850_45b6_8181_585d,
        0x3064_4e72_e131_a029,
    ];
    const INVERSE: u64 = 0xc2e1_f593_efff_ffff;
    const ONE: [u64; 4] = [
        0xac96_341c_4fff_fffb,
        0x36fc_7695_9f60_cd29,
        0x666e_a36f_7879_462e,
        0x0e0a_77c1_9a07_df2f,
    ];
}

impl Modulus for Base {
    type Element = Fq;
    const P: [u64; 4] = [
        0x3c20_8c16_d87c_fd47,
        0x9781_6a91_6871_ca8d,
        0xb850_45b6_8181_585d,
        0x3064_4e72_e131_a029,
    ];
    const INVERSE: u64 = 0x87d2_0782_e486_6389;
    const ONE: [u64; 4] = [
        0xd35d_438d_c58f_0d9d,
        0x0a78_eb28_f5c7_0b3d,
        0x666e_a36f_7879_462c,
        0x0e0a_77c1_9a07_df2f,
    ];
}

/// Field elements as their limbs. What they mean is checked once, by [`layout_is_known`].
pub(super) fn raw<F: Copy>(elements: &[F]) -> &[[u64; 4]] {
    const { assert!(size_of::<F>() == 32 && align_of::<F>() == 8) };
    // SAFETY: same size and alignment; every bit pattern of the elements is one of four integers without padding,
    // since the field types consist of their four limbs alone.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) }
}

/// Field elements as their limbs, to be overwritten by reduced ones only.
pub(super) fn raw_mut<F: Copy>(elements: &mut [F]) -> &mut [[u64; 4]] {
    const { assert!(size_of::<F>() == 32 && align_of::<F>() == 8) };
    // SAFETY: as in `raw`; any four limbs are a valid value of the type, if not always a canonical one.
    unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), elements.len()) }
}

/// A point as its eight limbs, x before y.
#[inline(always)]
pub(super) fn point_words(point: &G1Affine) -> &[u64; 8] {
    const { assert!(size_of::<G1Affine>() == 64 && align_of::<G1Affine>() == 8) };
    // SAFETY: same size and alignment, and no padding: two field elements of 32 bytes each.
    unsafe { &*std::ptr::from_ref(point).cast() }
}

/// A point as its eight limbs, to be overwritten by reduced ones only.
#[inline(always)]
pub(super) fn point_words_mut(point: &mut G1Affine) -> &mut [u64; 8] {
    // SAFETY: as in `point_words`; any limbs are a valid value of the type.
    unsafe { &mut *std::ptr::from_mut(point).cast() }
}

/// Asks for a point to be brought into the cache.
#[inline(always)]
pub(super) fn prefetch(point: &G1Affine) {
    // SAFETY: every x86-64 processor has the instruction, and it changes nothing but the cache.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(point).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn load(words: &[u64; 8]) -> __m512i {
    // SAFETY: 64 readable bytes; the instruction needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn store(vector: __m512i, words: &mut [u64; 8]) {
    // SAFETY: 64 writable bytes; the instruction needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}

/// Four limbs of 64 bits as five of 52.
pub(super) const fn split(limbs: [u64; 4]) -> [u64; LIMBS] {
    let [a, b, c, d] = limbs;
    [
        a & MASK,
        (a >> 52 | b << 12) & MASK,
        (b >> 40 | c << 24) & MASK,
        (c >> 28 | d << 36) & MASK,
        d >> 16,
    ]
}

/// `factor·p` in five limbs.
const fn multiple(p: [u64; 4], factor: u64) -> [u64; LIMBS] {
    let limbs = split(p);
    let mut out = [0; LIMBS];
    let (mut i, mut carry) = (0, 0);
    while i < LIMBS {
        let sum = limbs[i] * factor + carry;
        out[i] = if i + 1 < LIMBS { sum & MASK } else { sum };
        carry = sum >> LIMB_BITS;
        i += 1;
    }
    out
}

/// A factor for [`Lanes::mul`] that keeps elements in the crate's form: `2^260·b mod p`.
pub(super) fn factor<F: PrimeField>(b: &F) -> [u64; LIMBS] {
    split(raw(&[*b * F::from(16)])[0])
}

/// Eight elements in memory, limb by limb.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Block([[u64; LANES]; LIMBS]);

impl Block {
    pub(super) const ZERO: Block = Block([[0; LANES]; LIMBS]);

    /// Eight factors as [`factor`] makes them.
    pub(super) fn of_factors(factors: &[[u64; LIMBS]; LANES]) -> Self {
        Block(std::array::from_fn(|limb| {
            std::array::from_fn(|lane| factors[lane][limb])
        }))
    }
}

/// Eight elements in registers. All limbs but the last are below `2^52` where nothing else is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes<M: Modulus>([__m512i; LIMBS], PhantomData<M>);

impl<M: Modulus> Lanes<M> {
    /// The modulus in the limbs of this module.
    const P: [u64; LIMBS] = split(M::P);

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(limbs: [__m512i; LIMBS]) -> Self {
        Lanes(limbs, PhantomData)
    }

    /// The same element in all lanes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn splat(limbs: &[u64; LIMBS]) -> Self {
        Self::new([
            _mm512_set1_epi64(limbs[0] as i64),
            _mm512_set1_epi64(limbs[1] as i64),
            _mm512_set1_epi64(limbs[2] as i64),
            _mm512_set1_epi64(limbs[3] as i64),
            _mm512_set1_epi64(limbs[4] as i64),
        ])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn load(block: &Block) -> Self {
        let b = &block.0;
        Self::new([
            load(&b[0]),
            load(&b[1]),
            load(&b[2]),
            load(&b[3]),
            load(&b[4]),
        ])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn store(&self, block: &mut Block) {
        let [a, b, c, d, e] = &mut block.0;
        store(self.0[0], a);
        store(self.0[1], b);
        store(self.0[2], c);
        store(self.0[3], d);
        store(self.0[4], e);
    }

    /// The Montgomery product `a·b/2^260`, below `2p` if `a·b < 84·p²`; its limbs still carry.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn mul_carrying(&self, rhs: &Self) -> Self {
        let zero = _mm512_setzero_si512();
        let inverse = _mm512_set1_epi64((M::INVERSE & MASK) as i64);
        let p = Self::splat(&Self::P).0;
        let a = &self.0;
        let mut t = [zero; LIMBS];
        for b in rhs.0 {
            for j in 0..LIMBS {
                t[j] = _mm512_madd52lo_epu64(t[j], a[j], b);
            }
            let m = _mm512_madd52lo_epu64(zero, t[0], inverse);
            for j in 0..LIMBS {
                t[j] = _mm512_madd52lo_epu64(t[j], m, p[j]);
            }
            // The lowest limb is a multiple of 2^52 now: only what it carries is left of it.
            t[1] = _mm512_add_epi64(t[1], _mm512_srli_epi64::<LIMB_BITS>(t[0]));
            for j in 0..LIMBS {
                let above = if j + 1 < LIMBS { t[j + 1] } else { zero };
                t[j] = _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(above, a[j], b), m, p[j]);
            }
        }
        Self::new(t)
    }

    /// Takes carries, of either sign, up.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn carried(self) -> Self {
        let mask = _mm512_set1_epi64(MASK as i64);
        let mut t = self.0;
        for j in 0..LIMBS - 1 {
            t[j + 1] = _mm512_add_epi64(t[j + 1], _mm512_srai_epi64::<LIMB_BITS>(t[j]));
            t[j] = _mm512_and_si512(t[j], mask);
        }
        Self::new(t)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add_carrying(&self, rhs: &Self) -> Self {
        let mut t = self.0;
        for (t, rhs) in t.iter_mut().zip(rhs.0) {
            *t = _mm512_add_epi64(*t, rhs);
        }
        Self::new(t)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn sub_carrying(&self, rhs: &Self) -> Self {
        let mut t = self.0;
        for (t, rhs) in t.iter_mut().zip(rhs.0) {
            *t = _mm512_sub_epi64(*t, rhs);
        }
        Self::new(t)
    }

    /// The Montgomery product `a·b/2^260`, below `2p` if `a·b < 84·p²`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn mul(&self, rhs: &Self) -> Self {
        self.mul_carrying(rhs).carried()
    }

    /// The sum, unreduced.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn add(&self, rhs: &Self) -> Self {
        self.add_carrying(rhs).carried()
    }

    /// `self − rhs + MULTIPLE·p`, for `rhs` of at most that multiple.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn sub<const MULTIPLE: u64>(&self, rhs: &Self) -> Self {
        let multiple = Self::splat(&const { multiple(M::P, MULTIPLE) });
        self.add_carrying(&multiple).sub_carrying(rhs).carried()
    }

    /// `(self + rhs·factor, self − rhs·factor)`, both larger than `self` by less than `2p`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn butterfly(&self, rhs: &Self, factor: &Self) -> (Self, Self) {
        let product = rhs.mul_carrying(factor);
        let two_p = Self::splat(&const { multiple(M::P, 2) });
        (
            self.add_carrying(&product).carried(),
            self.add_carrying(&two_p).sub_carrying(&product).carried(),
        )
    }

    /// The square of a number, and less than `2p` if it is below `9p`, divided by `2^260`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn square(&self) -> Self {
        self.mul(self)
    }

    /// Four times the number, unreduced.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn times_4(&self) -> Self {
        let mut t = self.0;
        for t in &mut t {
            *t = _mm512_slli_epi64::<2>(*t);
        }
        Self::new(t).carried()
    }

    /// The lanes in which all limbs are zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn zeros(&self) -> u8 {
        let mut any = self.0[0];
        for limb in &self.0[1..] {
            any = _mm512_or_si512(any, *limb);
        }
        _mm512_cmpeq_epi64_mask(any, _mm512_setzero_si512())
    }

    /// The lanes in which the limbs are the same.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn equal(&self, rhs: &Self) -> u8 {
        self.sub_carrying(rhs).zeros()
    }

    /// `rhs` in the lanes of the mask.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn or_where(&self, mask: u8, rhs: &Self) -> Self {
        let mut t = self.0;
        for (t, rhs) in t.iter_mut().zip(rhs.0) {
            *t = _mm512_mask_blend_epi64(mask, *t, rhs);
        }
        Self::new(t)
    }

    /// From anything below `2^260` to below `2p`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn partly_reduced(&self) -> Self {
        // A quotient from the uppermost limbs, never too large and too small by one at most.
        let reciprocal = _mm512_set1_epi64(
            const { ((1u128 << 97) / (split(M::P)[4] as u128 + 1)) as u64 } as i64,
        );
        let zero = _mm512_setzero_si512();
        let quotient = _mm512_srli_epi64::<45>(_mm512_madd52hi_epu64(zero, self.0[4], reciprocal));
        let p = Self::splat(&Self::P).0;
        let mut t = self.0;
        for j in 0..LIMBS {
            t[j] = _mm512_sub_epi64(t[j], _mm512_madd52lo_epu64(zero, quotient, p[j]));
            if j + 1 < LIMBS {
                t[j + 1] = _mm512_sub_epi64(t[j + 1], _mm512_madd52hi_epu64(zero, quotient, p[j]));
            }
        }
        Self::new(t).carried()
    }

    /// From below `2p` to below `p`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn reduced(&self) -> Self {
        let less = self.sub_carrying(&Self::splat(&Self::P)).carried();
        let negative = _mm512_cmplt_epi64_mask(less.0[4], _mm512_setzero_si512());
        let mut t = less.0;
        for (t, before) in t.iter_mut().zip(self.0) {
            *t = _mm512_mask_blend_epi64(negative, *t, before);
        }
        Self::new(t)
    }

    /// Eight elements that lie one after the other.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn gather(elements: &[[u64; 4]; LANES]) -> Self {
        let [v0, v1, v2, v3] = {
            let parts = elements.as_flattened().as_chunks::<8>().0;
            [
                load(&parts[0]),
                load(&parts[1]),
                load(&parts[2]),
                load(&parts[3]),
            ]
        };
        // v0 holds limbs 0-3 of elements 0 and 1, and so on.
        let even = _mm512_setr_epi64(0, 4, 8, 12, 2, 6, 10, 14);
        let odd = _mm512_setr_epi64(1, 5, 9, 13, 3, 7, 11, 15);
        // Limbs 0 of elements 0-3, then limbs 2 of them; and limbs 1, then 3.
        let (a02, a13) = (
            _mm512_permutex2var_epi64(v0, even, v1),
            _mm512_permutex2var_epi64(v0, odd, v1),
        );
        let (b02, b13) = (
            _mm512_permutex2var_epi64(v2, even, v3),
            _mm512_permutex2var_epi64(v2, odd, v3),
        );
        let first = _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11);
        let second = _mm512_setr_epi64(4, 5, 6, 7, 12, 13, 14, 15);
        Self::from_words([
            _mm512_permutex2var_epi64(a02, first, b02),
            _mm512_permutex2var_epi64(a13, first, b13),
            _mm512_permutex2var_epi64(a02, second, b02),
            _mm512_permutex2var_epi64(a13, second, b13),
        ])
    }

    /// Writes eight reduced elements one after the other.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn scatter(&self, elements: &mut [[u64; 4]; LANES]) {
        let [w0, w1, w2, w3] = self.words();
        let first = _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11);
        let second = _mm512_setr_epi64(4, 5, 6, 7, 12, 13, 14, 15);
        let (a02, a13) = (
            _mm512_permutex2var_epi64(w0, first, w2),
            _mm512_permutex2var_epi64(w1, first, w3),
        );
        let (b02, b13) = (
            _mm512_permutex2var_epi64(w0, second, w2),
            _mm512_permutex2var_epi64(w1, second, w3),
        );
        let low = _mm512_setr_epi64(0, 8, 4, 12, 1, 9, 5, 13);
        let high = _mm512_setr_epi64(2, 10, 6, 14, 3, 11, 7, 15);
        let flat = elements.as_flattened_mut();
        let vectors = [
            _mm512_permutex2var_epi64(a02, low, a13),
            _mm512_permutex2var_epi64(a02, high, a13),
            _mm512_permutex2var_epi64(b02, low, b13),
            _mm512_permutex2var_epi64(b02, high, b13),
        ];
        for (vector, part) in vectors.into_iter().zip(flat.as_chunks_mut::<8>().0) {
            store(vector, part);
        }
    }

    /// From vectors of 64-bit limbs.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn from_words([a, b, c, d]: [__m512i; 4]) -> Self {
        let mask = _mm512_set1_epi64(MASK as i64);
        Self::new([
            _mm512_and_si512(a, mask),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<52>(a), _mm512_slli_epi64::<12>(b)),
                mask,
            ),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<40>(b), _mm512_slli_epi64::<24>(c)),
                mask,
            ),
            _mm512_and_si512(
                _mm512_or_si512(_mm512_srli_epi64::<28>(c), _mm512_slli_epi64::<36>(d)),
                mask,
            ),
            _mm512_srli_epi64::<16>(d),
        ])
    }

    /// Reduced elements as vectors of 64-bit limbs.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn words(&self) -> [__m512i; 4] {
        let [a, b, c, d, e] = self.0;
        [
            _mm512_or_si512(a, _mm512_slli_epi64::<52>(b)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(b), _mm512_slli_epi64::<40>(c)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(c), _mm512_slli_epi64::<28>(d)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(d), _mm512_slli_epi64::<16>(e)),
        ]
    }
}

/// The coordinates of eight points given by their limbs.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn gather_points(points: [&[u64; 8]; LANES]) -> (Lanes<Base>, Lanes<Base>) {
    let [a, b, c, d, e, f, g, h] = points;
    let [x0, x1, x2, x3, y0, y1, y2, y3] = transpose_words([
        load(a),
        load(b),
        load(c),
        load(d),
        load(e),
        load(f),
        load(g),
        load(h),
    ]);
    (
        Lanes::from_words([x0, x1, x2, x3]),
        Lanes::from_words([y0, y1, y2, y3]),
    )
}

/// The first coordinates of eight points given by their limbs.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn gather_x(points: [&[u64; 8]; LANES]) -> Lanes<Base> {
    let [a, b, c, d, e, f, g, h] = points;
    let [x0, x1, x2, x3, ..] = transpose_words([
        load(a),
        load(b),
        load(c),
        load(d),
        load(e),
        load(f),
        load(g),
        load(h),
    ]);
    Lanes::from_words([x0, x1, x2, x3])
}

/// Eight points as limbs, from reduced coordinates.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn scatter_points(x: &Lanes<Base>, y: &Lanes<Base>) -> [[u64; 8]; LANES] {
    let ([x0, x1, x2, x3], [y0, y1, y2, y3]) = (x.words(), y.words());
    let rows = transpose_words([x0, x1, x2, x3, y0, y1, y2, y3]);
    let mut words = [[0; 8]; LANES];
    for (row, words) in rows.into_iter().zip(&mut words) {
        store(row, words);
    }
    words
}

/// Eight blocks as an 8×8 matrix of elements, transposed.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn transpose<M: Modulus>(rows: &mut [Lanes<M>; LANES]) {
    for limb in 0..LIMBS {
        let mut square = std::array::from_fn(|row| rows[row].0[limb]);
        square = transpose_words(square);
        for (row, vector) in rows.iter_mut().zip(square) {
            row.0[limb] = vector;
        }
    }
}

/// An 8×8 matrix of words, transposed.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn transpose_words(r: [__m512i; 8]) -> [__m512i; 8] {
    // Pairs of rows, then pairs of pairs, then halves.
    let pairs = [
        _mm512_unpacklo_epi64(r[0], r[1]),
        _mm512_unpackhi_epi64(r[0], r[1]),
        _mm512_unpacklo_epi64(r[2], r[3]),
        _mm512_unpackhi_epi64(r[2], r[3]),
        _mm512_unpacklo_epi64(r[4], r[5]),
        _mm512_unpackhi_epi64(r[4], r[5]),
        _mm512_unpacklo_epi64(r[6], r[7]),
        _mm512_unpackhi_epi64(r[6], r[7]),
    ];
    let low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    let high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    let mut out = pairs;
    for parity in 0..2 {
        let (a, b, c, d) = (
            pairs[parity],
            pairs[2 + parity],
            pairs[4 + parity],
            pairs[6 + parity],
        );
        let (ab04, ab26) = (
            _mm512_permutex2var_epi64(a, low, b),
            _mm512_permutex2var_epi64(a, high, b),
        );
        let (cd04, cd26) = (
            _mm512_permutex2var_epi64(c, low, d),
            _mm512_permutex2var_epi64(c, high, d),
        );
        let first = _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11);
        let second = _mm512_setr_epi64(4, 5, 6, 7, 12, 13, 14, 15);
        out[parity] = _mm512_permutex2var_epi64(ab04, first, cd04);
        out[2 + parity] = _mm512_permutex2var_epi64(ab26, first, cd26);
        out[4 + parity] = _mm512_permutex2var_epi64(ab04, second, cd04);
        out[6 + parity] = _mm512_permutex2var_epi64(ab26, second, cd26);
    }
    out
}
