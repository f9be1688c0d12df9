// The constraints' straight-line program, run over the rows of a coset.
#include "field.cuh"

// An operand is an index below a kind: a constant, a query, or a register.
#define OPERAND_CONSTANT 0u
#define OPERAND_QUERY 1u

struct ALIGNED(16) Step {
    // 0 adds, 1 subtracts, 2 multiplies.
    u32 operation;
    u32 a, b;
    u32 target;
};

struct Query {
    const Fr* values;
    u64 offset;
};

// Each thread runs the program for every `threads`-th row, with registers of its own: register r of thread t at
// registers[r·threads + t], so that neighbours touch neighbours. The result is multiplied by `factor`.
KERNEL(run_plan, const Step* steps, u32 count, u32 root, const Fr* constants, const Query* queries, Fr* registers, u64 n,
       Fr factor, Fr* out) {
    THREAD(index);
    for (u64 row = index; row < n; row += threads) {
        auto value = [&](u32 operand) -> Fr {
            const u32 at = operand & 0x3fffffff;
            switch (operand >> 30) {
                case OPERAND_CONSTANT: return load(&constants[at]);
                case OPERAND_QUERY: return load(&queries[at].values[(row + queries[at].offset) & (n - 1)]);
                default: return load(&registers[at * threads + index]);
            }
        };
        for (u32 i = 0; i < count; i++) {
            const Step step = load(&steps[i]);
            const Fr a = value(step.a), b = value(step.b);
            Fr r;
            if (step.operation == 0) {
                r = a + b;
            } else if (step.operation == 1) {
                r = a - b;
            } else {
                r = a * b;
            }
            store(&registers[step.target * threads + index], r);
        }
        store(&out[row], value(root) * factor);
    }
}
