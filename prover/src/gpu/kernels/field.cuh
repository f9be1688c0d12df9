// The scalar and the base field of BN254: eight 32-bit limbs, least first, in Montgomery form with R = 2^256, always
// reduced. In memory this is the host's form.
#pragma once
#include "platform.cuh"

// Multi-word arithmetic, one carry flag. On the device the flag is the hardware's, and `Carry` is nothing.
#ifdef __CUDA_ARCH__

struct Carry {};

#define TERNARY(name, instruction)                                                              \
    DEVICE u32 name(u32 a, u32 b, Carry&) {                                                     \
        u32 r;                                                                                  \
        asm volatile(instruction " %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));                    \
        return r;                                                                               \
    }
#define QUATERNARY(name, instruction)                                                           \
    DEVICE u32 name(u32 a, u32 b, u32 c, Carry&) {                                              \
        u32 r;                                                                                  \
        asm volatile(instruction " %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));        \
        return r;                                                                               \
    }
TERNARY(add_cc, "add.cc.u32")
TERNARY(addc_cc, "addc.cc.u32")
TERNARY(addc, "addc.u32")
TERNARY(sub_cc, "sub.cc.u32")
TERNARY(subc_cc, "subc.cc.u32")
TERNARY(subc, "subc.u32")
QUATERNARY(mad_lo_cc, "mad.lo.cc.u32")
QUATERNARY(madc_lo_cc, "madc.lo.cc.u32")
QUATERNARY(madc_hi_cc, "madc.hi.cc.u32")
QUATERNARY(madc_hi, "madc.hi.u32")
#undef TERNARY
#undef QUATERNARY

#else

struct Carry {
    u32 flag = 0;

    u32 put(u64 sum) {
        flag = (u32)(sum >> 32) & 1;
        return (u32)sum;
    }
};

DEVICE u32 add_cc(u32 a, u32 b, Carry& c) { return c.put((u64)a + b); }
DEVICE u32 addc_cc(u32 a, u32 b, Carry& c) { return c.put((u64)a + b + c.flag); }
DEVICE u32 addc(u32 a, u32 b, Carry& c) { return a + b + c.flag; }
DEVICE u32 sub_cc(u32 a, u32 b, Carry& c) { return c.put((u64)a - b); }
DEVICE u32 subc_cc(u32 a, u32 b, Carry& c) { return c.put((u64)a - b - c.flag); }
DEVICE u32 subc(u32 a, u32 b, Carry& c) { return a - b - c.flag; }
DEVICE u32 low(u32 a, u32 b) { return a * b; }
DEVICE u32 high(u32 a, u32 b) { return (u32)((u64)a * b >> 32); }
DEVICE u32 mad_lo_cc(u32 a, u32 b, u32 d, Carry& c) { return c.put((u64)low(a, b) + d); }
DEVICE u32 madc_lo_cc(u32 a, u32 b, u32 d, Carry& c) { return c.put((u64)low(a, b) + d + c.flag); }
DEVICE u32 madc_hi_cc(u32 a, u32 b, u32 d, Carry& c) { return c.put((u64)high(a, b) + d + c.flag); }
DEVICE u32 madc_hi(u32 a, u32 b, u32 d, Carry& c) { return high(a, b) + d + c.flag; }

#endif

struct ScalarField {
    // The order, and -1/order mod 2^32.
    static DEVICE u32 order(int i) {
        const u32 limbs[8] = {0xf0000001, 0x43e1f593, 0x79b97091, 0x2833e848,
                              0x8181585d, 0xb85045b6, 0xe131a029, 0x30644e72};
        return limbs[i];
    }
    static const u32 inverse = 0xefffffff;
    // R mod the order.
    static DEVICE u32 one(int i) {
        const u32 limbs[8] = {0x4ffffffb, 0xac96341c, 0x9f60cd29, 0x36fc7695,
                              0x7879462e, 0x666ea36f, 0x9a07df2f, 0x0e0a77c1};
        return limbs[i];
    }
};

struct BaseField {
    static DEVICE u32 order(int i) {
        const u32 limbs[8] = {0xd87cfd47, 0x3c208c16, 0x6871ca8d, 0x97816a91,
                              0x8181585d, 0xb85045b6, 0xe131a029, 0x30644e72};
        return limbs[i];
    }
    static const u32 inverse = 0xe4866389;
    static DEVICE u32 one(int i) {
        const u32 limbs[8] = {0xc58f0d9d, 0xd35d438d, 0xf5c70b3d, 0x0a78eb28,
                              0x7879462c, 0x666ea36f, 0x9a07df2f, 0x0e0a77c1};
        return limbs[i];
    }
};

template <class F>
struct ALIGNED(16) Element {
    u32 limbs[8];

    static DEVICE Element zero() {
        Element r;
        UNROLL for (int i = 0; i < 8; i++) r.limbs[i] = 0;
        return r;
    }

    static DEVICE Element one() {
        Element r;
        UNROLL for (int i = 0; i < 8; i++) r.limbs[i] = F::one(i);
        return r;
    }

    DEVICE bool is_zero() const {
        u32 any = 0;
        UNROLL for (int i = 0; i < 8; i++) any |= limbs[i];
        return any == 0;
    }
};

typedef Element<ScalarField> Fr;
typedef Element<BaseField> Fq;

// The value below the order that is congruent to one below twice the order.
template <class F>
DEVICE Element<F> reduced(const u32* a) {
    Carry c;
    Element<F> r;
    r.limbs[0] = sub_cc(a[0], F::order(0), c);
    UNROLL for (int i = 1; i < 8; i++) r.limbs[i] = subc_cc(a[i], F::order(i), c);
    const u32 borrow = subc(0, 0, c);
    UNROLL for (int i = 0; i < 8; i++) r.limbs[i] = borrow ? a[i] : r.limbs[i];
    return r;
}

template <class F>
DEVICE Element<F> operator+(const Element<F>& a, const Element<F>& b) {
    Carry c;
    u32 sum[8];
    sum[0] = add_cc(a.limbs[0], b.limbs[0], c);
    UNROLL for (int i = 1; i < 7; i++) sum[i] = addc_cc(a.limbs[i], b.limbs[i], c);
    sum[7] = addc(a.limbs[7], b.limbs[7], c);
    return reduced<F>(sum);
}

template <class F>
DEVICE Element<F> operator-(const Element<F>& a, const Element<F>& b) {
    Carry c;
    Element<F> r;
    r.limbs[0] = sub_cc(a.limbs[0], b.limbs[0], c);
    UNROLL for (int i = 1; i < 8; i++) r.limbs[i] = subc_cc(a.limbs[i], b.limbs[i], c);
    const u32 mask = subc(0, 0, c);
    r.limbs[0] = add_cc(r.limbs[0], F::order(0) & mask, c);
    UNROLL for (int i = 1; i < 7; i++) r.limbs[i] = addc_cc(r.limbs[i], F::order(i) & mask, c);
    r.limbs[7] = addc(r.limbs[7], F::order(7) & mask, c);
    return r;
}

template <class F>
DEVICE Element<F> operator-(const Element<F>& a) {
    return Element<F>::zero() - a;
}

template <class F>
DEVICE bool operator==(const Element<F>& a, const Element<F>& b) {
    u32 differing = 0;
    UNROLL for (int i = 0; i < 8; i++) differing |= a.limbs[i] ^ b.limbs[i];
    return differing == 0;
}

// One step of a Montgomery product, T := (T + a·b + m·order)/2^32 with the m that makes it whole.
//
// T is held as even + 2^32·odd, so that the halves of each product of limbs go to two neighbouring limbs of one of the
// two, and a chain of carries runs through all of them. The division is left to the next step: what was odd is even
// then, and the limbs of what was even count two places less. T < 2·order between steps, below 2^288 within.
template <class F>
DEVICE void product_step(u32* before_even, u32* before_odd, const u32* a, u32 b) {
    u32 *even = before_odd, *odd = before_even;
    Carry c;
    even[0] = add_cc(even[0], before_even[1], c);
    UNROLL for (int j = 0; j < 6; j += 2) {
        odd[j] = madc_lo_cc(a[j + 1], b, before_even[j + 2], c);
        odd[j + 1] = madc_hi_cc(a[j + 1], b, before_even[j + 3], c);
    }
    odd[6] = madc_lo_cc(a[7], b, 0, c);
    odd[7] = madc_hi(a[7], b, 0, c);

    even[0] = mad_lo_cc(a[0], b, even[0], c);
    even[1] = madc_hi_cc(a[0], b, even[1], c);
    UNROLL for (int j = 2; j < 8; j += 2) {
        even[j] = madc_lo_cc(a[j], b, even[j], c);
        even[j + 1] = madc_hi_cc(a[j], b, even[j + 1], c);
    }
    odd[7] = addc(odd[7], 0, c);

    const u32 m = even[0] * F::inverse;
    odd[0] = mad_lo_cc(F::order(1), m, odd[0], c);
    odd[1] = madc_hi_cc(F::order(1), m, odd[1], c);
    UNROLL for (int j = 2; j < 6; j += 2) {
        odd[j] = madc_lo_cc(F::order(j + 1), m, odd[j], c);
        odd[j + 1] = madc_hi_cc(F::order(j + 1), m, odd[j + 1], c);
    }
    odd[6] = madc_lo_cc(F::order(7), m, odd[6], c);
    odd[7] = madc_hi(F::order(7), m, odd[7], c);

    even[0] = mad_lo_cc(F::order(0), m, even[0], c);
    even[1] = madc_hi_cc(F::order(0), m, even[1], c);
    UNROLL for (int j = 2; j < 8; j += 2) {
        even[j] = madc_lo_cc(F::order(j), m, even[j], c);
        even[j + 1] = madc_hi_cc(F::order(j), m, even[j + 1], c);
    }
    odd[7] = addc(odd[7], 0, c);
}

// a·b/2^(32·WORDS), for an even number of words of b.
template <class F, int WORDS>
DEVICE Element<F> product(const u32* a, const u32* b) {
    u32 even[8], odd[8];
    UNROLL for (int i = 0; i < 8; i++) even[i] = odd[i] = 0;
    UNROLL for (int i = 0; i < WORDS; i += 2) {
        product_step<F>(even, odd, a, b[i]);
        product_step<F>(odd, even, a, b[i + 1]);
    }
    Carry c;
    u32 t[8];
    t[0] = add_cc(odd[0], even[1], c);
    UNROLL for (int i = 1; i < 7; i++) t[i] = addc_cc(odd[i], even[i + 1], c);
    t[7] = addc(odd[7], 0, c);
    return reduced<F>(t);
}

template <class F>
DEVICE Element<F> operator*(const Element<F>& a, const Element<F>& b) {
    return product<F, 8>(a.limbs, b.limbs);
}

template <class F>
DEVICE Element<F> square(const Element<F>& a) {
    return a * a;
}

template <class F>
DEVICE Element<F> twice(const Element<F>& a) {
    return a + a;
}

// a·v/2^64: a quarter of a product's work.
template <class F>
DEVICE Element<F> short_product(const Element<F>& a, u64 v) {
    const u32 words[2] = {(u32)v, (u32)(v >> 32)};
    return product<F, 2>(a.limbs, words);
}

// The same for a signed integer.
template <class F>
DEVICE Element<F> short_product(const Element<F>& a, i64 v) {
    const Element<F> r = short_product(a, v < 0 ? 0 - (u64)v : (u64)v);
    return v < 0 ? -r : r;
}

// The integer below the order that the element stands for.
template <class F>
DEVICE void to_integer(const Element<F>& a, u32* limbs) {
    const u32 one[8] = {1, 0, 0, 0, 0, 0, 0, 0};
    const Element<F> r = product<F, 8>(a.limbs, one);
    UNROLL for (int i = 0; i < 8; i++) limbs[i] = r.limbs[i];
}

template <class F>
DEVICE Element<F> power(Element<F> base, u64 exponent) {
    Element<F> r = Element<F>::one();
    for (; exponent; exponent >>= 1) {
        if (exponent & 1) r = r * base;
        base = square(base);
    }
    return r;
}

// 1/a, and 0 for 0: a^(order - 2).
template <class F>
DEVICE Element<F> inverse(const Element<F>& a) {
    Element<F> r = Element<F>::one();
    for (int bit = 253; bit >= 0; bit--) {
        // The lowest limb is at least 2.
        const u32 limb = F::order(bit >> 5) - (bit < 32 ? 2 : 0);
        r = square(r);
        if (limb >> (bit & 31) & 1) r = r * a;
    }
    return r;
}
