// Points of BN254's first group, y^2 = x^3 + 3.
#pragma once
#include "field.cuh"

// (0, 0) is the identity.
struct Affine {
    Fq x, y;

    DEVICE bool is_identity() const { return x.is_zero() && y.is_zero(); }
};

// x = X/ZZ, y = Y/ZZZ with ZZ^3 = ZZZ^2; ZZ = 0 is the identity, so zeroed memory is identities.
struct Point {
    Fq x, y, zz, zzz;

    static DEVICE Point identity() { return {Fq::zero(), Fq::zero(), Fq::zero(), Fq::zero()}; }

    static DEVICE Point from(const Affine& p) {
        if (p.is_identity()) return identity();
        return {p.x, p.y, Fq::one(), Fq::one()};
    }

    DEVICE bool is_identity() const { return zz.is_zero(); }
};

// dbl-2008-s-1 of the Explicit-Formulas Database, for a = 0. There are no points of order two.
OUTLINED Point doubled(const Point& p) {
    const Fq u = twice(p.y), v = square(u), w = u * v, s = p.x * v, xx = square(p.x);
    const Fq m = twice(xx) + xx;
    Point r;
    r.x = square(m) - twice(s);
    r.y = m * (s - r.x) - w * p.y;
    r.zz = v * p.zz;
    r.zzz = w * p.zzz;
    return r;
}

// madd-2008-s, with the cases that it leaves out.
DEVICE void add(Point& p, const Affine& q) {
    if (q.is_identity()) return;
    if (p.is_identity()) {
        p = Point::from(q);
        return;
    }
    const Fq h = q.x * p.zz - p.x, r = q.y * p.zzz - p.y;
    if (h.is_zero()) {
        p = r.is_zero() ? doubled(p) : Point::identity();
        return;
    }
    const Fq hh = square(h), hhh = h * hh, v = p.x * hh;
    p.x = square(r) - hhh - twice(v);
    p.y = r * (v - p.x) - p.y * hhh;
    p.zz = p.zz * hh;
    p.zzz = p.zzz * hhh;
}

// add-2008-s, with the cases that it leaves out.
OUTLINED void add(Point& p, const Point& q) {
    if (q.is_identity()) return;
    if (p.is_identity()) {
        p = q;
        return;
    }
    const Fq u = p.x * q.zz, s = p.y * q.zzz;
    const Fq h = q.x * p.zz - u, r = q.y * p.zzz - s;
    if (h.is_zero()) {
        p = r.is_zero() ? doubled(p) : Point::identity();
        return;
    }
    const Fq hh = square(h), hhh = h * hh, v = u * hh;
    p.x = square(r) - hhh - twice(v);
    p.y = r * (v - p.x) - s * hhh;
    p.zz = p.zz * q.zz * hh;
    p.zzz = p.zzz * q.zzz * hhh;
}

DEVICE Point multiple(const Point& p, u32 factor) {
    Point r = Point::identity();
    for (int bit = 31; bit >= 0; bit--) {
        if (!r.is_identity()) r = doubled(r);
        if (factor >> bit & 1) add(r, p);
    }
    return r;
}
