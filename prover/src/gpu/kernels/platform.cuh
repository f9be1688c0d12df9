// One source for two machines: a CUDA device, and a processor core that runs a kernel's threads one after another.
//
// A kernel is a function of independent threads. Nothing here uses shared memory, barriers or warp operations; where
// threads must wait for each other, there is another launch. So the emulation is a loop.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed long long i64;

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
// For what is long and called from many places or rarely: kept out of line, kernels stay small and quick to compile.
#define OUTLINED __device__ __noinline__
#define UNROLL _Pragma("unroll")
#define ALIGNED(bytes) __align__(bytes)

// Threads of a block, in all launches.
#define BLOCK 128

// Every kernel's first parameter is how many threads have work; its body begins with THREAD(index).
#define KERNEL(name, ...) extern "C" __global__ void __launch_bounds__(BLOCK) name(u64 threads, __VA_ARGS__)
#define THREAD(index)                                          \
    const u64 index = (u64)blockIdx.x * blockDim.x + threadIdx.x; \
    if (index >= threads) return

DEVICE u32 fetch_add(u32* counter, u32 value) { return atomicAdd(counter, value); }

// What is aligned to 16 bytes, in as few accesses: compilers take its limbs one by one.
template <class T>
DEVICE T load(const T* from) {
    T value;
    UNROLL for (int i = 0; i < sizeof(T) / 16; i++) ((uint4*)&value)[i] = ((const uint4*)from)[i];
    return value;
}

template <class T>
DEVICE void store(T* to, const T& value) {
    UNROLL for (int i = 0; i < sizeof(T) / 16; i++) ((uint4*)to)[i] = ((const uint4*)&value)[i];
}

#else

#include <cstring>
#include <numeric>
#include <tuple>
#include <utility>

#define DEVICE inline
#define OUTLINED inline
#define UNROLL
#define ALIGNED(bytes) alignas(bytes)

// The running thread's index, where the device computes it from its block's.
static thread_local u64 current_thread;

// Which order a launch's threads take: none may rely on one.
static thread_local u64 thread_order;
extern "C" void set_thread_order(u64 order) { thread_order = order; }

// Also, as a device's modules know them, how many parameters there are, and the bytes of each.
#define KERNEL(name, ...)                                                                                  \
    static void name##_thread(u64 threads, __VA_ARGS__);                                                   \
    extern "C" void name(void** arguments) { run(name##_thread, arguments); }                              \
    extern "C" u32 name##_parameters(u32* bytes) { return parameters(name##_thread, bytes); }              \
    static void name##_thread(u64 threads, __VA_ARGS__)
#define THREAD(index)                 \
    const u64 index = current_thread; \
    if (index >= threads) return

// Arguments come as on the device: a pointer to each.
template <class... Arguments, std::size_t... I>
static void run_with(void (*kernel)(Arguments...), void** arguments, std::index_sequence<I...>) {
    std::tuple<Arguments...> values;
    (std::memcpy(static_cast<void*>(&std::get<I>(values)), arguments[I], sizeof(Arguments)), ...);
    // A few too many, as on the device, where blocks are whole.
    const u64 threads = std::get<0>(values) + 3;
    u64 stride = 2 * thread_order + 1;
    while (std::gcd(stride, threads) > 1) stride += 2;
    current_thread = thread_order % threads;
    for (u64 i = 0; i < threads; i++) {
        std::apply(kernel, values);
        current_thread = (current_thread + stride) % threads;
    }
}

template <class... Arguments>
static void run(void (*kernel)(Arguments...), void** arguments) {
    run_with(kernel, arguments, std::index_sequence_for<Arguments...>{});
}

template <class... Arguments>
static u32 parameters(void (*)(Arguments...), u32* bytes) {
    ((*bytes++ = sizeof(Arguments)), ...);
    return sizeof...(Arguments);
}

DEVICE u32 fetch_add(u32* counter, u32 value) {
    const u32 before = *counter;
    *counter += value;
    return before;
}

template <class T>
DEVICE T load(const T* from) {
    return *from;
}

template <class T>
DEVICE void store(T* to, const T& value) {
    *to = value;
}

#endif
