// A stand-in for NVIDIA's driver and its run-time compiler, so that the code that calls them runs without a GPU: the
// functions of libcuda and libnvrtc that the prover uses, over this processor and the system's C++ compiler.
//
// It is lazy where a GPU is concurrent. What is put into a stream is kept there until somebody must wait; then the
// streams' heads are run in a random order that the events allow, so that a missing wait gives wrong bytes. Memory is
// never zero, is spoilt when it is freed, and is checked for writes beyond its ends. Every handle and range is checked
// as the driver does, with its codes; after a failed kernel everything fails, as on a device.
//
// Environment: STAND_IN_MEMORY, bytes; STAND_IN_SEED; STAND_IN_LOG, a file that gets the counts of calls at the end.
#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

typedef int Result;
enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_IMAGE = 200, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700 };

namespace {

// Checked at both ends of an allocation.
const size_t GUARD = 64;
const unsigned char FILL = 0xa5;

uint64_t environment(const char* name, uint64_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}

struct Event {
    // How often it was recorded, and up to which time that has been reached.
    uint64_t recorded = 0, reached = 0;
};

struct Operation {
    std::function<void()> run;
    // What must be reached before.
    Event* event = nullptr;
    uint64_t recorded = 0;
};

struct Stream {
    std::deque<Operation> operations;
};

struct Allocation {
    std::unique_ptr<unsigned char[]> memory;
    size_t bytes;
    bool freed = false;
};

struct Module {
    void* library;
    std::string path;
};

struct Function {
    void (*run)(void**);
    std::vector<uint32_t> parameters;
    void (*order)(uint64_t);
};

struct Driver {
    std::recursive_mutex mutex;
    std::map<uint64_t, Allocation> allocations;
    std::map<Stream*, std::unique_ptr<Stream>> streams;
    std::map<Event*, std::unique_ptr<Event>> events;
    std::map<char*, size_t> pinned;
    std::map<Module*, std::unique_ptr<Module>> modules;
    std::map<Function*, std::unique_ptr<Function>> functions;
    std::map<std::string, uint64_t> calls;
    uint64_t total = environment("STAND_IN_MEMORY", (uint64_t)4 << 30), used = 0, peak = 0;
    uint64_t random = 2 * environment("STAND_IN_SEED", 1) + 1, launches = 0, uploaded = 0, downloaded = 0;
    bool initialized = false;
    // Once an operation has failed.
    Result failed = OK;
    // The call that is to fail, after so many.
    std::string fault;
    uint64_t fault_after = 0;
    Result fault_code = OK;

    uint64_t draw(uint64_t below) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return random % below;
    }

    // Runs operations of any streams until a condition holds.
    void run_until(const std::function<bool()>& done) {
        while (!done()) {
            std::vector<Stream*> ready;
            for (auto& [stream, _] : streams) {
                if (stream->operations.empty()) continue;
                const Operation& head = stream->operations.front();
                if (!head.event || head.event->reached >= head.recorded) ready.push_back(stream);
            }
            if (ready.empty()) {
                fprintf(stderr, "stand-in: the streams wait for each other\n");
                abort();
            }
            Stream* stream = ready[draw(ready.size())];
            Operation operation = std::move(stream->operations.front());
            stream->operations.pop_front();
            if (operation.run && failed == OK) operation.run();
        }
    }

    void run_all() {
        for (auto& [stream, _] : streams) run_until([&, s = stream] { return s->operations.empty(); });
    }

    // The live allocation that holds a range.
    bool holds(uint64_t address, size_t bytes) {
        auto next = allocations.upper_bound(address);
        if (next == allocations.begin()) return false;
        auto& [start, allocation] = *std::prev(next);
        return !allocation.freed && address + bytes <= start + allocation.bytes;
    }

    bool is_pinned(const void* from, size_t bytes) {
        const char* start = (const char*)from;
        for (auto& [memory, size] : pinned)
            if (memory <= start && start + bytes <= memory + size) return true;
        return false;
    }

    ~Driver() {
        const char* log = getenv("STAND_IN_LOG");
        if (!log) return;
        std::ofstream out(log);
        for (auto& [name, count] : calls) out << name << " " << count << "\n";
        size_t live = 0;
        for (auto& [_, allocation] : allocations) live += !allocation.freed;
        out << "uploaded_bytes " << uploaded << "\ndownloaded_bytes " << downloaded << "\npeak_bytes " << peak
            << "\nlive_allocations " << live << "\nlive_streams " << streams.size() << "\nlive_events " << events.size()
            << "\nlive_modules " << modules.size() << "\nlive_pinned " << pinned.size() << "\n";
    }
};

Driver& driver() {
    static Driver driver;
    return driver;
}

thread_local void* context = nullptr;
int the_context;

// A call: counted, refused once something has failed or where a test wants it to fail.
struct Call {
    std::unique_lock<std::recursive_mutex> lock{driver().mutex};
    Result refusal = OK;

    explicit Call(const char* name, bool needs_context = true) {
        Driver& d = driver();
        d.calls[name]++;
        if (d.fault == name && d.fault_after-- == 0) {
            d.fault.clear();
            refusal = d.fault_code;
            if (refusal >= ILLEGAL_ADDRESS) d.failed = refusal;
        } else if (!d.initialized) {
            refusal = 3;
        } else if (needs_context && context != &the_context) {
            refusal = INVALID_CONTEXT;
        } else if (needs_context) {
            refusal = d.failed;
        }
    }
};

#define CALL(name)   \
    Call call(name); \
    if (call.refusal) return call.refusal
#define CALL_WITHOUT_CONTEXT(name) \
    Call call(name, false);        \
    if (call.refusal) return call.refusal

Result enqueue(Stream* stream, std::function<void()> run) {
    Driver& d = driver();
    if (!d.streams.count(stream)) return INVALID_HANDLE;
    d.streams[stream]->operations.push_back({std::move(run)});
    return OK;
}

}  // namespace

extern "C" {

// For tests: a function's call after so many fails with a code; none if the name is null. Clears what failed before.
void stand_in_fault(const char* name, uint64_t after, int code) {
    std::unique_lock<std::recursive_mutex> lock(driver().mutex);
    driver().run_all();
    driver().failed = OK;
    driver().fault = name ? name : "";
    driver().fault_after = after;
    driver().fault_code = code;
}

// How often a function has been called.
uint64_t stand_in_calls(const char* name) {
    std::unique_lock<std::recursive_mutex> lock(driver().mutex);
    return driver().calls[name];
}

Result cuInit(unsigned flags) {
    std::unique_lock<std::recursive_mutex> lock(driver().mutex);
    driver().initialized = true;
    CALL_WITHOUT_CONTEXT("cuInit");
    return flags ? INVALID_VALUE : OK;
}

Result cuDeviceGetCount(int* count) {
    CALL_WITHOUT_CONTEXT("cuDeviceGetCount");
    *count = 1;
    return OK;
}

Result cuDeviceGet(int* device, int ordinal) {
    CALL_WITHOUT_CONTEXT("cuDeviceGet");
    if (ordinal != 0) return 101;
    *device = 7;
    return OK;
}

Result cuDeviceGetName(char* name, int length, int device) {
    CALL_WITHOUT_CONTEXT("cuDeviceGetName");
    if (device != 7) return 101;
    snprintf(name, length, "stand-in");
    return OK;
}

Result cuDeviceGetAttribute(int* value, int attribute, int device) {
    CALL_WITHOUT_CONTEXT("cuDeviceGetAttribute");
    if (device != 7) return 101;
    // The architecture's two numbers, and whether there are memory pools.
    switch (attribute) {
        case 75: *value = 9; return OK;
        case 76: *value = 0; return OK;
        case 115: *value = 1; return OK;
        default: return INVALID_VALUE;
    }
}

Result cuDevicePrimaryCtxRetain(void** out, int device) {
    CALL_WITHOUT_CONTEXT("cuDevicePrimaryCtxRetain");
    if (device != 7) return 101;
    *out = &the_context;
    return OK;
}

Result cuDevicePrimaryCtxRelease_v2(int device) {
    CALL_WITHOUT_CONTEXT("cuDevicePrimaryCtxRelease");
    return device == 7 ? OK : 101;
}

Result cuCtxGetCurrent(void** out) {
    CALL_WITHOUT_CONTEXT("cuCtxGetCurrent");
    *out = context;
    return OK;
}

Result cuCtxSetCurrent(void* wanted) {
    CALL_WITHOUT_CONTEXT("cuCtxSetCurrent");
    if (wanted && wanted != &the_context) return INVALID_CONTEXT;
    context = wanted;
    return OK;
}

Result cuCtxSynchronize() {
    CALL("cuCtxSynchronize");
    driver().run_all();
    return driver().failed;
}

Result cuMemGetInfo_v2(size_t* free, size_t* total) {
    CALL("cuMemGetInfo");
    *free = driver().total - driver().used;
    *total = driver().total;
    return OK;
}

Result cuDeviceGetDefaultMemPool(void** pool, int device) {
    CALL("cuDeviceGetDefaultMemPool");
    if (device != 7) return 101;
    *pool = &driver();
    return OK;
}

Result cuMemPoolSetAttribute(void* pool, int attribute, void* value) {
    CALL("cuMemPoolSetAttribute");
    return pool == &driver() && attribute == 4 && *(uint64_t*)value == UINT64_MAX ? OK : INVALID_VALUE;
}

Result cuMemPoolTrimTo(void* pool, size_t) {
    CALL("cuMemPoolTrimTo");
    return pool == &driver() ? OK : INVALID_VALUE;
}

Result cuMemAllocAsync(uint64_t* out, size_t bytes, Stream* stream) {
    CALL("cuMemAllocAsync");
    Driver& d = driver();
    if (!d.streams.count(stream)) return INVALID_HANDLE;
    if (!bytes) return INVALID_VALUE;
    // A pool waits for what is being freed.
    if (d.used + bytes > d.total) d.run_all();
    if (d.used + bytes > d.total) return OUT_OF_MEMORY;
    // Aligned as a device's, and no more: kernels load 16 bytes at a time.
    std::unique_ptr<unsigned char[]> memory(new unsigned char[bytes + 3 * GUARD]);
    memset(memory.get(), FILL, bytes + 3 * GUARD);
    const uint64_t address = ((uint64_t)memory.get() + 2 * GUARD - 1) / GUARD * GUARD;
    d.allocations[address] = {std::move(memory), bytes};
    d.used += bytes;
    if (d.used > d.peak) d.peak = d.used;
    *out = address;
    return OK;
}

Result cuMemFreeAsync(uint64_t address, Stream* stream) {
    CALL("cuMemFreeAsync");
    if (!driver().holds(address, 1) || !driver().allocations.count(address)) return INVALID_VALUE;
    return enqueue(stream, [address] {
        Driver& d = driver();
        Allocation& allocation = d.allocations[address];
        const unsigned char* before = (const unsigned char*)address - GUARD;
        const unsigned char* after = (const unsigned char*)address + allocation.bytes;
        for (size_t i = 0; i < GUARD; i++) {
            if (before[i] != FILL || after[i] != FILL) {
                fprintf(stderr, "stand-in: a write outside an allocation\n");
                abort();
            }
        }
        d.used -= allocation.bytes;
        memset((void*)address, ~FILL, allocation.bytes);
        // Spoilt, but readable, so that a late reader reads what is wrong. Its successors lie elsewhere for a while.
        allocation.freed = true;
        static std::deque<uint64_t> late;
        late.push_back(address);
        while (late.size() > 64) {
            d.allocations.erase(late.front());
            late.pop_front();
        }
    });
}

Result cuMemHostAlloc(void** out, size_t bytes, unsigned flags) {
    CALL("cuMemHostAlloc");
    if (flags) return INVALID_VALUE;
    char* memory = (char*)malloc(bytes);
    memset(memory, FILL, bytes);
    driver().pinned[memory] = bytes;
    *out = memory;
    return OK;
}

Result cuMemFreeHost(void* memory) {
    CALL("cuMemFreeHost");
    if (!driver().pinned.erase((char*)memory)) return INVALID_VALUE;
    free(memory);
    return OK;
}

Result cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyHtoDAsync");
    Driver& d = driver();
    if (!d.holds(to, bytes)) return INVALID_VALUE;
    d.uploaded += bytes;
    // Page-locked memory is read when the copy's turn comes.
    if (d.is_pinned(from, bytes)) return enqueue(stream, [=] { memcpy((void*)to, from, bytes); });
    auto kept = std::make_shared<std::string>((const char*)from, bytes);
    return enqueue(stream, [=] { memcpy((void*)to, kept->data(), bytes); });
}

Result cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyDtoHAsync");
    Driver& d = driver();
    if (!d.holds(from, bytes)) return INVALID_VALUE;
    d.downloaded += bytes;
    return enqueue(stream, [=] { memcpy(to, (const void*)from, bytes); });
}

Result cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Stream* stream) {
    CALL("cuMemcpyDtoDAsync");
    if (!driver().holds(to, bytes) || !driver().holds(from, bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] { memcpy((void*)to, (const void*)from, bytes); });
}

Result cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, Stream* stream) {
    CALL("cuMemsetD8Async");
    if (!driver().holds(to, bytes)) return INVALID_VALUE;
    return enqueue(stream, [=] { memset((void*)to, value, bytes); });
}

Result cuStreamCreate(Stream** out, unsigned flags) {
    CALL("cuStreamCreate");
    // Non-blocking: the default stream, which nothing here uses, is not waited for.
    if (flags != 1) return INVALID_VALUE;
    std::unique_ptr<Stream> stream(new Stream);
    *out = stream.get();
    driver().streams[*out] = std::move(stream);
    return OK;
}

Result cuStreamDestroy_v2(Stream* stream) {
    CALL("cuStreamDestroy");
    driver().run_all();
    return driver().streams.erase(stream) ? OK : INVALID_HANDLE;
}

Result cuStreamSynchronize(Stream* stream) {
    CALL("cuStreamSynchronize");
    Driver& d = driver();
    if (!d.streams.count(stream)) return INVALID_HANDLE;
    d.run_until([=] { return stream->operations.empty(); });
    return d.failed;
}

Result cuStreamWaitEvent(Stream* stream, Event* event, unsigned flags) {
    CALL("cuStreamWaitEvent");
    Driver& d = driver();
    if (!d.streams.count(stream) || !d.events.count(event)) return INVALID_HANDLE;
    if (flags) return INVALID_VALUE;
    stream->operations.push_back({nullptr, event, event->recorded});
    return OK;
}

Result cuEventCreate(Event** out, unsigned flags) {
    CALL("cuEventCreate");
    // Without times.
    if (flags != 2) return INVALID_VALUE;
    std::unique_ptr<Event> event(new Event);
    *out = event.get();
    driver().events[*out] = std::move(event);
    return OK;
}

Result cuEventDestroy_v2(Event* event) {
    CALL("cuEventDestroy");
    driver().run_all();
    return driver().events.erase(event) ? OK : INVALID_HANDLE;
}

Result cuEventRecord(Event* event, Stream* stream) {
    CALL("cuEventRecord");
    if (!driver().events.count(event)) return INVALID_HANDLE;
    const uint64_t time = ++event->recorded;
    return enqueue(stream, [=] { event->reached = time; });
}

Result cuEventSynchronize(Event* event) {
    CALL("cuEventSynchronize");
    Driver& d = driver();
    if (!d.events.count(event)) return INVALID_HANDLE;
    d.run_until([&] { return d.failed || event->reached >= event->recorded; });
    return d.failed;
}

Result cuModuleLoadData(Module** out, const void* image) {
    CALL("cuModuleLoadData");
    if (memcmp(image, ELFMAG, SELFMAG)) return INVALID_IMAGE;
    // The sections' table is what a library ends with.
    const Elf64_Ehdr* header = (const Elf64_Ehdr*)image;
    const size_t bytes = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
    char path[] = "/tmp/stand-in-XXXXXX";
    const int file = mkstemp(path);
    if (file < 0 || write(file, image, bytes) != (ssize_t)bytes) return INVALID_IMAGE;
    close(file);
    std::unique_ptr<Module> module(new Module{dlopen(path, RTLD_NOW | RTLD_LOCAL), path});
    unlink(path);
    if (!module->library) return INVALID_IMAGE;
    *out = module.get();
    driver().modules[*out] = std::move(module);
    return OK;
}

Result cuModuleGetFunction(Function** out, Module* module, const char* name) {
    CALL("cuModuleGetFunction");
    Driver& d = driver();
    if (!d.modules.count(module)) return INVALID_HANDLE;
    auto symbol = [&](const std::string& name) { return dlsym(module->library, name.c_str()); };
    auto parameters = (uint32_t (*)(uint32_t*))symbol(std::string(name) + "_parameters");
    if (!parameters) return NOT_FOUND;
    std::unique_ptr<Function> function(new Function);
    function->run = (void (*)(void**))symbol(name);
    function->order = (void (*)(uint64_t))symbol("set_thread_order");
    function->parameters.resize(64);
    function->parameters.resize(parameters(function->parameters.data()));
    *out = function.get();
    d.functions[*out] = std::move(function);
    return OK;
}

Result cuModuleUnload(Module* module) {
    CALL("cuModuleUnload");
    driver().run_all();
    if (!driver().modules.count(module)) return INVALID_HANDLE;
    dlclose(module->library);
    driver().modules.erase(module);
    return OK;
}

Result cuLaunchKernel(Function* function, unsigned x, unsigned y, unsigned z, unsigned block_x, unsigned block_y,
                      unsigned block_z, unsigned shared, Stream* stream, void** arguments, void** extra) {
    CALL("cuLaunchKernel");
    Driver& d = driver();
    if (!d.functions.count(function)) return INVALID_HANDLE;
    if (!x || y != 1 || z != 1 || block_x != 128 || block_y != 1 || block_z != 1 || shared || extra) return INVALID_VALUE;
    // Read now: the caller's go away.
    auto values = std::make_shared<std::vector<std::string>>();
    for (size_t i = 0; i < function->parameters.size(); i++)
        values->emplace_back((const char*)arguments[i], function->parameters[i]);
    uint64_t threads;
    memcpy(&threads, (*values)[0].data(), sizeof threads);
    if ((uint64_t)x * block_x < threads || (uint64_t)(x - 1) * block_x >= threads) return INVALID_VALUE;
    const uint64_t order = d.launches++;
    return enqueue(stream, [=] {
        std::vector<void*> pointers;
        for (auto& value : *values) pointers.push_back((void*)value.data());
        function->order(order);
        function->run(pointers.data());
    });
}

// The compiler.

struct Program {
    std::string source, log, image;
};

const char* nvrtcGetErrorString(int code) { return code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }

int nvrtcCreateProgram(Program** out, const char* source, const char*, int headers, const char**, const char**) {
    if (headers) return 3;
    *out = new Program{source, {}, {}};
    return 0;
}

int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return 0;
}

int nvrtcCompileProgram(Program* program, int count, const char** options) {
    for (int i = 0; i < count; i++) {
        int arch = 0;
        if (sscanf(options[i], "--gpu-architecture=sm_%d", &arch) == 1 && arch < 75) {
            program->log = "nvrtc: error: invalid value for --gpu-architecture (-arch)\n";
            return 5;
        }
    }
    char folder[] = "/tmp/stand-in-XXXXXX";
    if (!mkdtemp(folder)) return 11;
    const std::string base = folder;
    std::ofstream(base + "/kernels.cpp") << program->source;
    const char* compiler = getenv("CXX") ? getenv("CXX") : "c++";
    const std::string command = std::string(compiler) + " -std=c++17 -O2 -shared -fPIC -o " + base + "/kernels.so " + base +
                                "/kernels.cpp 2>" + base + "/log";
    const int code = system(command.c_str());
    auto read = [&](const char* name) {
        std::ifstream file(base + name, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    program->log = read("/log");
    program->image = read("/kernels.so");
    for (const char* name : {"/kernels.cpp", "/kernels.so", "/log"}) unlink((base + name).c_str());
    rmdir(folder);
    return code ? 6 : 0;
}

int nvrtcGetProgramLogSize(Program* program, size_t* size) {
    *size = program->log.size() + 1;
    return 0;
}

int nvrtcGetProgramLog(Program* program, char* log) {
    memcpy(log, program->log.c_str(), program->log.size() + 1);
    return 0;
}

int nvrtcGetCUBINSize(Program* program, size_t* size) {
    *size = program->image.size();
    return 0;
}

int nvrtcGetCUBIN(Program* program, char* image) {
    memcpy(image, program->image.data(), program->image.size());
    return 0;
}
}
