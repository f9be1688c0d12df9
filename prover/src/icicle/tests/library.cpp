// ICICLE's C interface for bn254 on the processor, written against its headers' layouts and not for speed: what callers
// get wrong is an error here, where ICICLE would compute something else or end the process. The functions `control_*`
// are the tests' own.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "curve.cuh"

namespace {

enum Code { SUCCESS, INVALID_DEVICE, OUT_OF_MEMORY, INVALID_POINTER, NOT_IMPLEMENTED = 10, INVALID_ARGUMENT = 11 };

struct Device {
    char type[64];
    int id;
};

struct MsmConfig {
    void* stream;
    int precompute_factor, c, bitsize, batch_size;
    unsigned char points_shared, scalars_on_device, scalars_montgomery, points_on_device, points_montgomery,
        results_on_device, is_async;
    void* ext;
};

struct NttConfig {
    void* stream;
    u32 coset_gen[8];
    int batch_size;
    unsigned char columns_batch;
    int ordering;
    unsigned char inputs_on_device, outputs_on_device, is_async;
    void* ext;
};

struct DomainConfig {
    void* stream;
    unsigned char is_async;
    void* ext;
};

struct VectorConfig {
    void* stream;
    unsigned char a_on_device, b_on_device, result_on_device, is_async;
    int batch_size;
    unsigned char columns_batch;
    void* ext;
};

static_assert(sizeof(Device) == 68 && sizeof(MsmConfig) == 40 && sizeof(NttConfig) == 64, "layouts");
static_assert(sizeof(DomainConfig) == 24 && sizeof(VectorConfig) == 32, "layouts");

struct Allocation {
    std::size_t bytes;
    std::string device;
};

// One lock for everything, held by each call.
std::mutex calls;
std::map<std::uintptr_t, Allocation> allocations;
std::string known = "CPU,CUDA", usable = "CPU,CUDA";
thread_local std::string device;
std::size_t total = (std::size_t)1 << 32, used, peak;
// How many calls and results there have been; which of them fails, with what, or is damaged.
i64 called, results, failing = -1, damaged = -1;
int failure;
std::string failing_function;
// The domain: its size's logarithm, and the powers of its root.
int domain = -1;
std::vector<Fr> roots;

bool lists(const std::string& list, const char* name) {
    return ("," + list + ",").find("," + std::string(name) + ",") != std::string::npos;
}

#define CALL(function)                                                              \
    std::lock_guard<std::mutex> guard(calls);                                       \
    if (called++ == failing || failing_function == #function) return failure;       \
    if (device.empty()) return INVALID_DEVICE

// Whether the bytes belong to an allocation of the thread's device.
bool on_device(const void* at, std::size_t bytes) {
    auto after = allocations.upper_bound((std::uintptr_t)at);
    if (after == allocations.begin()) return false;
    const auto& [start, allocation] = *--after;
    const std::size_t offset = (std::uintptr_t)at - start;
    return offset <= allocation.bytes && bytes <= allocation.bytes - offset && allocation.device == device;
}

bool on_host(const void* at) {
    auto after = allocations.upper_bound((std::uintptr_t)at);
    if (after == allocations.begin()) return true;
    const auto& [start, allocation] = *--after;
    return (std::uintptr_t)at >= start + allocation.bytes;
}

void finish(void* result) {
    if (results++ == damaged) *(unsigned char*)result ^= 1;
}

template <class F>
bool below_order(const u32* limbs) {
    for (int i = 7; i >= 0; i--) {
        if (limbs[i] != F::order(i)) return limbs[i] < F::order(i);
    }
    return false;
}

template <class F>
Element<F> square_of_r() {
    Element<F> r = Element<F>::one();
    for (int i = 0; i < 256; i++) r = twice(r);
    return r;
}

template <class F>
Element<F> from_integer(const u32* limbs) {
    static const Element<F> factor = square_of_r<F>();
    Element<F> r;
    std::memcpy(r.limbs, limbs, sizeof(r.limbs));
    return r * factor;
}

bool is_one(const u32* limbs) {
    u32 any = limbs[0] ^ 1;
    for (int i = 1; i < 8; i++) any |= limbs[i];
    return any == 0;
}

u32 window(const u32* scalar, int from, int bits) {
    const int limb = from / 32;
    u64 two = scalar[limb];
    if (limb < 7) two |= (u64)scalar[limb + 1] << 32;
    return (u32)(two >> (from % 32)) & ((1u << bits) - 1);
}

// Buckets of small windows.
Point sum(const u32 (*scalars)[8], const std::vector<Affine>& points, int bits) {
    const int width = points.size() < 256 ? 4 : 8;
    Point all = Point::identity();
    for (int from = (bits - 1) / width * width; from >= 0; from -= width) {
        for (int i = 0; i < width; i++) all = all.is_identity() ? all : doubled(all);
        std::vector<Point> buckets(1 << width, Point::identity());
        for (std::size_t i = 0; i < points.size(); i++) {
            const u32 digit = window(scalars[i], from, width);
            if (digit) add(buckets[digit], points[i]);
        }
        Point running = Point::identity();
        for (std::size_t digit = buckets.size() - 1; digit > 0; digit--) {
            add(running, buckets[digit]);
            add(all, running);
        }
    }
    return all;
}

}  // namespace

extern "C" {

int icicle_load_backend_from_env_or_default() { return 12; }

int icicle_is_device_available(const Device* asked) {
    std::lock_guard<std::mutex> guard(calls);
    return lists(known, asked->type) ? SUCCESS : INVALID_DEVICE;
}

int icicle_set_device(const Device* asked) {
    std::lock_guard<std::mutex> guard(calls);
    if (failing_function == "icicle_set_device") return failure;
    if (!lists(known, asked->type)) {
        std::fprintf(stderr, "ICICLE throws here, which ends the process\n");
        std::abort();
    }
    if (!lists(usable, asked->type) || asked->id != 0) return INVALID_DEVICE;
    device = asked->type;
    return SUCCESS;
}

int icicle_get_available_memory(std::size_t* all, std::size_t* free) {
    CALL(icicle_get_available_memory);
    if (device == "CPU") return NOT_IMPLEMENTED;
    *all = total;
    *free = total - used;
    return SUCCESS;
}

int icicle_malloc(void** at, std::size_t bytes) {
    CALL(icicle_malloc);
    if (bytes > total - used) return OUT_OF_MEMORY;
    *at = std::malloc(bytes);
    // No element and no coordinate of a point: nothing may rely on what is there.
    std::memset(*at, 0xa5, bytes);
    allocations[(std::uintptr_t)*at] = {bytes, device};
    used += bytes;
    if (used > peak) peak = used;
    return SUCCESS;
}

int icicle_free(void* at) {
    // As ICICLE: whichever device the thread has.
    std::lock_guard<std::mutex> guard(calls);
    auto found = allocations.find((std::uintptr_t)at);
    if (found == allocations.end()) return INVALID_DEVICE;
    used -= found->second.bytes;
    allocations.erase(found);
    std::free(at);
    return SUCCESS;
}

int icicle_copy_to_host(void* to, const void* from, std::size_t bytes) {
    CALL(icicle_copy_to_host);
    if (!on_device(from, bytes) || !on_host(to)) return INVALID_POINTER;
    std::memcpy(to, from, bytes);
    finish(to);
    return SUCCESS;
}

int icicle_copy_to_device(void* to, const void* from, std::size_t bytes) {
    CALL(icicle_copy_to_device);
    if (!on_device(to, bytes) || !on_host(from)) return INVALID_POINTER;
    std::memcpy(to, from, bytes);
    return SUCCESS;
}

int bn254_ntt_init_domain(const u32* root, const DomainConfig* config) {
    CALL(bn254_ntt_init_domain);
    if (config->stream || config->is_async || config->ext || !below_order<ScalarField>(root)) return INVALID_ARGUMENT;
    // As ICICLE: a domain that is there stays.
    if (domain >= 0) return SUCCESS;
    const Fr omega = from_integer<ScalarField>(root);
    int size = 0;
    for (Fr power = omega; !(power == Fr::one()); power = square(power)) {
        if (++size > 28) return INVALID_ARGUMENT;
    }
    domain = size;
    roots.assign(1, Fr::one());
    while (roots.size() < (std::size_t)1 << size) roots.push_back(roots.back() * omega);
    return SUCCESS;
}

int bn254_ntt_release_domain() {
    CALL(bn254_ntt_release_domain);
    domain = -1;
    return SUCCESS;
}

int bn254_ntt(const Fr* from, int size, int direction, const NttConfig* config, Fr* to) {
    CALL(bn254_ntt);
    if (config->stream || config->ext || config->is_async || config->columns_batch || config->ordering != 0 ||
        config->batch_size < 1 || !is_one(config->coset_gen) || config->inputs_on_device != 1 ||
        config->outputs_on_device != 1 || (direction != 0 && direction != 1)) {
        return INVALID_ARGUMENT;
    }
    if (size < 1 || size & (size - 1) || domain < 0 || size > 1 << domain) return INVALID_ARGUMENT;
    const std::size_t n = size, bytes = n * config->batch_size * sizeof(Fr);
    if (!on_device(from, bytes) || !on_device(to, bytes)) return INVALID_POINTER;
    Fr scale = Fr::one();
    for (std::size_t m = 1; m < n; m *= 2) scale = twice(scale);
    scale = inverse(scale);
    for (int b = 0; b < config->batch_size; b++) {
        std::vector<Fr> values(from + b * n, from + (b + 1) * n);
        for (const Fr& value : values) {
            if (!below_order<ScalarField>(value.limbs)) return INVALID_ARGUMENT;
        }
        for (std::size_t i = 1, j = 0; i < n; i++) {
            std::size_t bit = n >> 1;
            for (; j & bit; bit >>= 1) j ^= bit;
            j ^= bit;
            if (i < j) std::swap(values[i], values[j]);
        }
        for (std::size_t half = 1; half < n; half *= 2) {
            const std::size_t stride = roots.size() / (2 * half);
            for (std::size_t start = 0; start < n; start += 2 * half) {
                for (std::size_t i = 0; i < half; i++) {
                    const Fr root = roots[(direction == 0 || i == 0 ? i : 2 * half - i) * stride];
                    const Fr a = values[start + i], b = values[start + half + i] * root;
                    values[start + i] = a + b;
                    values[start + half + i] = a - b;
                }
            }
        }
        for (std::size_t i = 0; i < n; i++) to[b * n + i] = direction == 0 ? values[i] : values[i] * scale;
    }
    return SUCCESS;
}

int bn254_vector_mul(const u32* a, const u32* b, u64 n, const VectorConfig* config, u32* to) {
    CALL(bn254_vector_mul);
    if (config->stream || config->ext || config->is_async || config->columns_batch || config->batch_size != 1 ||
        config->a_on_device != 1 || config->b_on_device != 1 || config->result_on_device != 1) {
        return INVALID_ARGUMENT;
    }
    const std::size_t bytes = n * sizeof(Fr);
    if (!on_device(a, bytes) || !on_device(b, bytes) || !on_device(to, bytes)) return INVALID_POINTER;
    for (u64 i = 0; i < 8 * n; i += 8) {
        if (!below_order<ScalarField>(a + i) || !below_order<ScalarField>(b + i)) return INVALID_ARGUMENT;
        Fr factor;
        std::memcpy(factor.limbs, b + i, sizeof(factor.limbs));
        const Fr product = from_integer<ScalarField>(a + i) * factor;
        std::memcpy(to + i, product.limbs, sizeof(product.limbs));
    }
    return SUCCESS;
}

int bn254_msm(const u32 (*scalars)[8], const u32 (*bases)[16], int size, const MsmConfig* config, u32 (*sums)[24]) {
    CALL(bn254_msm);
    if (config->stream || config->ext || config->is_async || config->precompute_factor != 1 || config->c != 0 ||
        config->bitsize < 0 || config->bitsize > 254 || config->batch_size < 1 || config->points_shared != 1 ||
        config->scalars_on_device || config->scalars_montgomery || config->points_on_device != 1 ||
        config->points_montgomery || config->results_on_device || size < 1) {
        return INVALID_ARGUMENT;
    }
    const std::size_t n = size;
    if (!on_device(bases, n * 64) || !on_host(scalars) || !on_host(sums)) return INVALID_POINTER;
    std::vector<Affine> points(n);
    const Fq three = Fq::one() + Fq::one() + Fq::one();
    for (std::size_t i = 0; i < n; i++) {
        if (!below_order<BaseField>(bases[i]) || !below_order<BaseField>(bases[i] + 8)) return INVALID_ARGUMENT;
        const Affine p = {from_integer<BaseField>(bases[i]), from_integer<BaseField>(bases[i] + 8)};
        if (!p.is_identity() && !(square(p.y) == square(p.x) * p.x + three)) return INVALID_ARGUMENT;
        points[i] = p;
    }
    const int bits = config->bitsize ? config->bitsize : 254;
    for (int b = 0; b < config->batch_size; b++, scalars += n) {
        for (std::size_t i = 0; i < n; i++) {
            if (!below_order<ScalarField>(scalars[i])) return INVALID_ARGUMENT;
            for (int bit = bits; bit < 256; bit++) {
                if (scalars[i][bit / 32] >> (bit % 32) & 1) return INVALID_ARGUMENT;
            }
        }
        const Point p = sum(scalars, points, bits);
        Fq coordinates[3] = {p.x * p.zzz, p.y * p.zz, p.zz * p.zzz};
        if (p.is_identity()) coordinates[1] = Fq::one();
        for (int i = 0; i < 3; i++) to_integer(coordinates[i], sums[b] + 8 * i);
    }
    finish(sums);
    return SUCCESS;
}

void control_devices(const char* all, const char* working) {
    known = all;
    usable = working;
}

void control_memory(std::size_t bytes) { total = bytes; }

// Has the call fail that comes after so many others, or none; those that choose the device do not count.
void control_fail(i64 after, int code) {
    called = 0;
    failing = after;
    failure = code;
}

// Has a function fail, or none.
void control_fail_function(const char* function, int code) {
    failing_function = function;
    failure = code;
}

// Flips a bit of the result that comes after so many others, or of none.
void control_damage(i64 after) {
    results = 0;
    damaged = after;
}

i64 control_called() { return called; }
i64 control_results() { return results; }
std::size_t control_allocated() { return allocations.size(); }
std::size_t control_peak() { return peak; }
int control_domain() { return domain; }
}
