// Linear combinations, evaluations, division: what is done to columns and polynomials as wholes.
#include "column.cuh"

// A column in a sum; `scaled` is its factor times 2^64.
struct Member {
    Column column;
    Fr factor, scaled;
};

// Σ factor·column + constant in each row.
KERNEL(combine, const Member* members, u32 count, Fr constant, u64 n, Fr* out) {
    THREAD(row);
    Fr sum = constant;
    for (u32 m = 0; m < count; m++)
        sum = sum + value_times(members[m].column, row, n, members[m].factor, members[m].scaled);
    store(&out[row], sum);
}

// out += factor·in, with `scale`, where given, multiplied in.
KERNEL(add_scaled, const Fr* in, Fr factor, const Fr* scale, Fr* out) {
    THREAD(i);
    Fr value = load(&in[i]);
    if (scale) value = value * load(&scale[i]);
    store(&out[i], load(&out[i]) + factor * value);
}

// x - root for each root, to be inverted.
KERNEL(differences, const Fr* roots, Fr x, Fr* out) {
    THREAD(i);
    store(&out[i], x - load(&roots[i]));
}

// values := values·factors·factor
KERNEL(multiply, Fr* values, const Fr* factors, Fr factor) {
    THREAD(i);
    store(&values[i], load(&values[i]) * load(&factors[i]) * factor);
}

// Sums of a column's values times weights, the weights moved by a rotation: `parts` sums for each query, each over
// every `parts`-th row.
struct Dot {
    Column column;
    // Row r meets the weight of index (r + shift) mod n.
    u64 shift;
    u64 reserved;
};

KERNEL(dot_parts, const Dot* dots, const Fr* weights, u64 n, u32 parts, Fr two_64, Fr* out) {
    THREAD(index);
    const Dot dot = dots[index / parts];
    const u64 part = index % parts, mask = n - 1, first = n - dot.column.tail_rows;
    Fr small = Fr::zero(), wide = Fr::zero();
    for (u64 row = part; row < dot.column.head_rows; row += parts)
        small = small + short_product(load(&weights[(row + dot.shift) & mask]), integer(dot.column.head, dot.column.width, row));
    for (u64 row = first + part; row < n; row += parts)
        wide = wide + load(&weights[(row + dot.shift) & mask]) * load(&dot.column.tail[row - first]);
    store(&out[index], wide + small * two_64);
}

// The quotient of p by X - z is q_{i-1} = p_i + z·q_i, from the top. In runs: this is the value of each run at z, ...
KERNEL(division_total, const Fr* p, u64 count, u32 run, Fr z, Fr* totals) {
    THREAD(index);
    const u64 start = index * run, end = start + run < count ? start + run : count;
    Fr value = Fr::zero();
    for (u64 i = end; i-- > start;) value = value * z + load(&p[i]);
    store(&totals[index], value);
}

// ... whose quotient by X - z^run is what comes down into each run from those above it. Entry i of `p` is replaced by
// the quotient's coefficient q_i, so the last one is zero; q_{-1}, the remainder, is the value at z.
KERNEL(division_apply, Fr* p, u64 count, u32 run, Fr z, const Fr* above, Fr* remainder) {
    THREAD(index);
    const u64 start = index * run, end = start + run < count ? start + run : count;
    Fr value = above ? load(&above[index]) : Fr::zero();
    for (u64 i = end; i-- > start;) {
        const Fr coefficient = load(&p[i]);
        store(&p[i], value);
        value = value * z + coefficient;
    }
    if (index == 0) *remainder = value;
}

// The factors of the permutation argument's ratio: numerators Π (p + β·δ·ω^i + γ), denominators Π (p + β·s + γ).
KERNEL(permutation_terms, const Fr* values, const Fr* sigma, Fr beta, Fr beta_delta, Fr gamma, const Fr* roots, u32 first,
       Fr* numerators, Fr* denominators) {
    THREAD(i);
    const Fr sum = load(&values[i]) + gamma;
    const Fr numerator = sum + beta_delta * load(&roots[i]), denominator = sum + beta * load(&sigma[i]);
    store(&numerators[i], first ? numerator : load(&numerators[i]) * numerator);
    store(&denominators[i], first ? denominator : load(&denominators[i]) * denominator);
}
