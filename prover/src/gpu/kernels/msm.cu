// Multi-scalar multiplication: signed digits, sorted into buckets; sums of buckets; their weighted sums.
#include "column.cuh"
#include "curve.cuh"

// One sum Σ s_i·G_{first_base + i}. Scalars are integers of `width` bytes, or field elements for width 32.
struct Job {
    const void* scalars;
    u32 width;
    u32 count;
    u32 first_base;
    // Windows of this job, and how many windows the jobs before it have.
    u32 windows;
    u32 first_window;
    u32 reserved;
};

// No bucket.
#define NONE 0xffffffffu

// A scalar as an unsigned integer and a sign.
struct Scalar {
    u32 limbs[9];
    bool negative;
};

DEVICE Scalar load_scalar(const Job& job, u64 i) {
    Scalar s;
    s.limbs[8] = 0;
    s.negative = false;
    if (job.width == 32) {
        to_integer(load(&((const Fr*)job.scalars)[i]), s.limbs);
    } else {
        const i64 v = integer(job.scalars, job.width, i);
        const u64 magnitude = v < 0 ? 0 - (u64)v : (u64)v;
        s.negative = v < 0;
        s.limbs[0] = (u32)magnitude;
        s.limbs[1] = (u32)(magnitude >> 32);
        UNROLL for (int l = 2; l < 8; l++) s.limbs[l] = 0;
    }
    return s;
}

// Calls visit(key, negated) for each digit that is not zero. Window w of digit d, 0 < |d| <= 2^(bits-1), has the bucket
// w·2^(bits-1) + |d| - 1. The host takes a window more where the highest digit could leave a carry.
template <class Visit>
DEVICE void each_digit(const Job& job, const Scalar& s, u32 bits, Visit visit) {
    const u32 half = 1u << (bits - 1);
    u32 carry = 0;
    for (u32 w = 0; w < job.windows; w++) {
        const u32 at = w * bits, limb = at >> 5;
        if (limb >= 8 && !carry) break;
        const u64 two = limb >= 8 ? 0 : (u64)s.limbs[limb + 1] << 32 | s.limbs[limb];
        const u32 raw = ((u32)(two >> (at & 31)) & (2 * half - 1)) + carry;
        carry = raw > half;
        const u32 magnitude = carry ? 2 * half - raw : raw;
        if (magnitude) visit((job.first_window + w) * half + magnitude - 1, s.negative != (bool)carry);
    }
}

// How many digits fall into each bucket. Job j has the threads from j·rows on.
KERNEL(msm_count, const Job* jobs, u64 rows, u32 bits, u32* counts) {
    THREAD(index);
    const Job job = jobs[index / rows];
    const u64 i = index % rows;
    if (i >= job.count) return;
    each_digit(job, load_scalar(job, i), bits, [&](u32 key, bool) { fetch_add(&counts[key], 1); });
}

// Writes each digit's bucket and base to its place; `cursors` are where each bucket's entries begin, and then end.
KERNEL(msm_sort, const Job* jobs, u64 rows, u32 bits, u32* cursors, u32* keys, u32* bases) {
    THREAD(index);
    const Job job = jobs[index / rows];
    const u64 i = index % rows;
    if (i >= job.count) return;
    const u32 base = job.first_base + (u32)i;
    each_digit(job, load_scalar(job, i), bits, [&](u32 key, bool negated) {
        const u32 at = fetch_add(&cursors[key], 1);
        keys[at] = key;
        bases[at] = base | (negated ? 0x80000000u : 0);
    });
}

// Sums what lies in one bucket, over a list sorted by bucket, of which each thread has a run. All buckets that lie
// within the run are done; those of its first and of its last entry may go on beside it, and their sums become entries
// of a list of two a thread, sorted again. With a single thread all are done. So however the digits are spread, all
// threads do the same work.
template <class Summand>
DEVICE void sum_run(u64 index, u64 threads, const u32* keys, u64 count, u32 run, Summand summand, Point* buckets, u32* next_keys,
                    Point* next_points) {
    const u64 start = index * run, end = start + run < count ? start + run : count;
    const bool last_level = threads == 1;
    u32 key = NONE;
    bool first = true;
    Point sum = Point::identity();
    if (!last_level) next_keys[2 * index] = next_keys[2 * index + 1] = NONE;
    for (u64 i = start; i < end; i++) {
        if (keys[i] == NONE) continue;
        if (keys[i] != key) {
            if (key != NONE && (!first || last_level)) store(&buckets[key], sum);
            if (key != NONE && first && !last_level) {
                next_keys[2 * index] = key;
                store(&next_points[2 * index], sum);
            }
            first = first && key == NONE;
            key = keys[i];
            sum = Point::identity();
        }
        summand(sum, i);
    }
    if (key == NONE) return;
    if (last_level) {
        store(&buckets[key], sum);
    } else {
        next_keys[2 * index + !first] = key;
        store(&next_points[2 * index + !first], sum);
    }
}

// `count` is the number of entries, on the device.
KERNEL(msm_sum_bases, const u32* keys, const u32* bases, const u32* count, u32 run, const Affine* table, Point* buckets,
       u32* next_keys, Point* next_points) {
    THREAD(index);
    sum_run(index, threads, keys, *count, run, [&](Point& sum, u64 i) {
        Affine base = load(&table[bases[i] & 0x7fffffff]);
        if (bases[i] >> 31) base.y = -base.y;
        add(sum, base);
    }, buckets, next_keys, next_points);
}

KERNEL(msm_sum_points, const u32* keys, const Point* points, u64 count, u32 run, Point* buckets, u32* next_keys,
       Point* next_points) {
    THREAD(index);
    sum_run(index, threads, keys, count, run, [&](Point& sum, u64 i) { add(sum, load(&points[i])); }, buckets, next_keys,
            next_points);
}

// Σ (b + 1)·bucket_b over `run` buckets of one window, `half` of them in a window.
KERNEL(msm_weigh, const Point* buckets, u32 half, u32 run, Point* out) {
    THREAD(index);
    const u64 start = index * run;
    Point running = Point::identity(), sum = Point::identity();
    for (u32 b = run; b-- > 0;) {
        add(running, load(&buckets[start + b]));
        add(sum, running);
    }
    const u32 below = (u32)(start & (half - 1));
    if (below) add(sum, multiple(running, below));
    store(&out[index], sum);
}
