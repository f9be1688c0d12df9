// Columns at the width they have, as the host describes them.
#pragma once
#include "field.cuh"

// Integers of `width` bytes in the first `head_rows` rows, zeros, and field elements in the last `tail_rows`.
// A dense column is all tail.
struct Column {
    const void* head;
    const Fr* tail;
    u32 width;
    u32 head_rows;
    u32 tail_rows;
    u32 reserved;
};

DEVICE i64 integer(const void* values, u32 width, u64 row) {
    switch (width) {
        case 1: return ((const signed char*)values)[row];
        case 2: return ((const short*)values)[row];
        case 4: return ((const int*)values)[row];
        default: return ((const i64*)values)[row];
    }
}

// The product of a column's value and a factor. `scaled` is the factor times 2^64, for integers.
DEVICE Fr value_times(const Column& column, u64 row, u64 n, const Fr& factor, const Fr& scaled) {
    if (row < column.head_rows) return short_product(scaled, integer(column.head, column.width, row));
    const u64 first = n - column.tail_rows;
    return row >= first ? factor * load(&column.tail[row - first]) : Fr::zero();
}
