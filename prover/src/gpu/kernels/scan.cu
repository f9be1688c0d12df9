// Sums, running sums and products, inverses.
#include "field.cuh"
#include "curve.cuh"

DEVICE u32 joined(u32 a, u32 b) { return a + b; }
DEVICE Fr joined(const Fr& a, const Fr& b) { return a * b; }

// The first half of a scan: what each run of `run` values comes to, the values joined by addition for counts, by
// multiplication for field elements.
template <class T>
DEVICE void scan_total(u64 index, const T* values, u64 count, u32 run, T* totals) {
    const u64 start = index * run, end = start + run < count ? start + run : count;
    T total = values[start];
    for (u64 i = start + 1; i < end; i++) total = joined(total, values[i]);
    totals[index] = total;
}

// The second half: replaces each value by all those before it, joined to what comes before its run.
template <class T>
DEVICE void scan_apply(u64 index, T* values, u64 count, u32 run, T before) {
    const u64 start = index * run, end = start + run < count ? start + run : count;
    for (u64 i = start; i < end; i++) {
        const T value = values[i];
        values[i] = before;
        before = joined(before, value);
    }
}

KERNEL(count_scan_total, const u32* values, u64 count, u32 run, u32* totals) {
    THREAD(index);
    scan_total(index, values, count, run, totals);
}

KERNEL(count_scan_apply, u32* values, u64 count, u32 run, const u32* before) {
    THREAD(index);
    scan_apply(index, values, count, run, before ? before[index] : 0);
}

KERNEL(product_scan_total, const Fr* values, u64 count, u32 run, Fr* totals) {
    THREAD(index);
    scan_total(index, values, count, run, totals);
}

KERNEL(product_scan_apply, Fr* values, u64 count, u32 run, const Fr* before, Fr first) {
    THREAD(index);
    scan_apply(index, values, count, run, before ? before[index] : first);
}

// out[i] = Σ_j in[i·group + j].
KERNEL(field_sums, const Fr* in, u32 group, Fr* out) {
    THREAD(index);
    Fr sum = load(&in[index * group]);
    for (u32 j = 1; j < group; j++) sum = sum + load(&in[index * group + j]);
    store(&out[index], sum);
}

KERNEL(point_sums, const Point* in, u32 group, Point* out) {
    THREAD(index);
    Point sum = load(&in[index * group]);
    for (u32 j = 1; j < group; j++) add(sum, load(&in[index * group + j]));
    store(&out[index], sum);
}

// The inverses of values that are not zero, and zeros for the others: one inversion for all values of a thread.
KERNEL(invert, const Fr* in, u64 count, Fr* out) {
    THREAD(index);
    Fr product = Fr::one();
    u64 i = index;
    for (; i < count; i += threads) {
        store(&out[i], product);
        const Fr value = load(&in[i]);
        if (!value.is_zero()) product = product * value;
    }
    Fr remaining = inverse(product);
    while (i > index) {
        i -= threads;
        const Fr value = load(&in[i]);
        if (value.is_zero()) {
            store(&out[i], Fr::zero());
        } else {
            store(&out[i], load(&out[i]) * remaining);
            remaining = remaining * value;
        }
    }
}
