// In tests only: single operations, to be compared with the host's.
#include "curve.cuh"

// a+b, a-b, a·b, -a, 1/a, a·v/2^64, and the integer that a stands for.
template <class F>
DEVICE void field_operations(const Element<F>& a, const Element<F>& b, i64 v, Element<F>* out) {
    out[0] = a + b;
    out[1] = a - b;
    out[2] = a * b;
    out[3] = -a;
    out[4] = inverse(a);
    out[5] = short_product(a, v);
    to_integer(a, out[6].limbs);
}

KERNEL(check_scalar_field, const Fr* a, const Fr* b, const i64* v, Fr* out) {
    THREAD(i);
    field_operations(load(&a[i]), load(&b[i]), v[i], out + 7 * i);
}

KERNEL(check_base_field, const Fq* a, const Fq* b, const i64* v, Fq* out) {
    THREAD(i);
    field_operations(load(&a[i]), load(&b[i]), v[i], out + 7 * i);
}

// p+q by both additions, 2p, and f·p.
KERNEL(check_curve, const Affine* p, const Affine* q, const u32* f, Point* out) {
    THREAD(i);
    const Point wide = Point::from(p[i]);
    out[4 * i] = wide;
    add(out[4 * i], q[i]);
    // The other summand with another representation: 2q - q.
    Affine minus = q[i];
    minus.y = -minus.y;
    Point other = doubled(Point::from(q[i]));
    add(other, minus);
    out[4 * i + 1] = wide;
    add(out[4 * i + 1], other);
    out[4 * i + 2] = doubled(wide);
    out[4 * i + 3] = multiple(wide, f[i]);
}
