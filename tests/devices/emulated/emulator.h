// The execution model of CUDA on the processor, as far as the kernels of host/kernels/cuda need it: enough to run the very same
// files without a GPU, and strict where a GPU would only be wrong now and then.
//
// Every thread of a block is a fiber; blocks run one after the other. A fiber gives way where a real thread would wait: at a
// barrier of the block, or of its warp. If all wait and no barrier is complete, the kernel is at fault and the program ends
// with its name. Fibers run in ascending or descending order, as the caller says: a kernel whose results depend on that has
// forgotten a barrier. Shared memory begins as NaN, and copies to it arrive when they are awaited, not before.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

#define SO8T_EMULATED

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __restrict__

struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline float __uint_as_float(unsigned bits) { float x; std::memcpy(&x, &bits, 4); return x; }
inline unsigned __float_as_uint(float x) { unsigned bits; std::memcpy(&bits, &x, 4); return bits; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

namespace emulator {

struct Index { unsigned x = 0, y = 0, z = 0; };

struct Copy { void* to; const void* from; bool present; };

enum State { Ready, AtBlock, AtWarp, Done };

// A thread of the block.
struct Fiber {
    void* stack_pointer = nullptr;
    State state = Ready;
    Index thread;
    std::vector<std::vector<Copy>> groups;  // closed ones, the oldest first
    std::vector<Copy> open;
    alignas(16) unsigned char offered[64];  // to the other lanes
};

extern Index block, thread_of[1];
extern Index block_size, grid_size;
extern std::vector<Fiber> fibers;
extern int current;
extern std::vector<unsigned char> dynamic_shared;

void wait(State state);

inline int lane() { return current % 32; }
inline Fiber& peer(int lane) { return fibers[current / 32 * 32 + lane]; }

// Puts a value where the other lanes see it, and comes back when all have done so.
template <class T>
inline void offer(const T& value) {
    static_assert(sizeof(T) <= 64);
    std::memcpy(fibers[current].offered, &value, sizeof(T));
    wait(AtWarp);
}

template <class T>
inline T offered(int lane) {
    T value;
    std::memcpy(&value, peer(lane).offered, sizeof(T));
    return value;
}

// A parameter's type as the host names it.
template <class T> struct Letter;
template <class T> struct Letter<T*> { static constexpr char value = 'p'; };
template <> struct Letter<int> { static constexpr char value = 'i'; };
template <> struct Letter<unsigned> { static constexpr char value = 'u'; };
template <> struct Letter<float> { static constexpr char value = 'f'; };
template <> struct Letter<long long> { static constexpr char value = 'l'; };

struct Kernel {
    const char* name;
    const char* parameters;
    void (*call)(const uint64_t* arguments);
};

struct Family {
    const char* name;
    const Kernel* kernels;
};

template <auto Function> struct Wrapped;
template <class... Parameters, void (*Function)(Parameters...)>
struct Wrapped<Function> {
    static constexpr char parameters[] = {Letter<Parameters>::value..., 0};
    template <std::size_t... I>
    static void spread(const uint64_t* arguments, std::index_sequence<I...>) {
        Function(take<Parameters>(arguments[I])...);
    }
    template <class T> static T take(uint64_t cell) { T value; std::memcpy(&value, &cell, sizeof(T)); return value; }
    static void call(const uint64_t* arguments) { spread(arguments, std::index_sequence_for<Parameters...>{}); }
};

}  // namespace emulator

#define threadIdx (emulator::fibers[emulator::current].thread)
#define blockIdx emulator::block
#define blockDim emulator::block_size
#define gridDim emulator::grid_size
#define SHARED_MEMORY(type, name) type* name = (type*)emulator::dynamic_shared.data()

inline void __syncthreads() { emulator::wait(emulator::AtBlock); }

// Between the two barriers every lane reads what the others offered; the second keeps the next offer from coming too early.
template <class T>
inline T __shfl_xor_sync(unsigned, T value, int distance) {
    emulator::offer(value);
    T result = emulator::offered<T>(emulator::lane() ^ distance);
    emulator::wait(emulator::AtWarp);
    return result;
}

template <class T>
inline T __shfl_sync(unsigned, T value, int source) {
    emulator::offer(value);
    T result = emulator::offered<T>(source);
    emulator::wait(emulator::AtWarp);
    return result;
}

inline unsigned narrow_bits(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) return bits >> 16 | 0x40;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
inline unsigned narrow_pair(float low, float high) { return narrow_bits(low) | narrow_bits(high) << 16; }
inline float widen_f16(unsigned short x) {
    int exponent = x >> 10 & 31, fraction = x & 1023;
    float y = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? std::ldexp(1024.0f + fraction, exponent - 25) : std::ldexp((float)fraction, -24);
    return x >> 15 ? -y : y;
}
inline float power_of_two(float x) { return std::exp2(x); }

// PTX, ldmatrix .x4: lane l names row l % 8 of matrix l / 8, and gets of each matrix the elements 2·(l % 4) and the next of row
// l / 4; with .trans, of column l / 4.
inline void load_matrices_of(unsigned out[4], const unsigned short* row, bool turned) {
    if ((uintptr_t)row % 16 != 0) { std::fprintf(stderr, "ldmatrix: a row is not aligned to 16 bytes\n"); std::abort(); }
    emulator::offer(row);
    int group = emulator::lane() / 4, pair = emulator::lane() % 4 * 2;
    for (int matrix = 0; matrix < 4; matrix++) {
        auto element = [&](int i) {
            int r = turned ? pair + i : group, c = turned ? group : pair + i;
            return (unsigned)emulator::offered<const unsigned short*>(matrix * 8 + r)[c];
        };
        out[matrix] = element(0) | element(1) << 16;
    }
    emulator::wait(emulator::AtWarp);
}
inline void load_matrices(unsigned out[4], const unsigned short* row) { load_matrices_of(out, row, false); }
inline void load_matrices_turned(unsigned out[4], const unsigned short* row) { load_matrices_of(out, row, true); }

// PTX, mma.m16n8k16 with bf16 factors. With g = lane / 4 and t = lane % 4: a0..a3 hold rows g, g + 8, g, g + 8 and columns 2t, 2t,
// 2t + 8, 2t + 8 (and the next); b0, b1 hold rows 2t, 2t + 8 (and the next) of column g; c holds rows g, g, g + 8, g + 8 and
// columns 2t, 2t + 1, 2t, 2t + 1.
inline void multiply_add(float c[4], const unsigned a[4], unsigned b0, unsigned b1) {
    struct Factors { unsigned a[4], b[2]; } mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
    emulator::offer(mine);
    int g = emulator::lane() / 4, t = emulator::lane() % 4;
    const Factors* lanes[32];
    for (int lane = 0; lane < 32; lane++) lanes[lane] = (const Factors*)emulator::peer(lane).offered;
    for (int i = 0; i < 4; i++) {
        int row = g + i / 2 * 8, column = 2 * t + i % 2;
        float sum = c[i];
        for (int k = 0; k < 16; k += 2) {
            unsigned left = lanes[row % 8 * 4 + k % 8 / 2]->a[row / 8 + k / 8 * 2];
            unsigned right = lanes[column * 4 + k % 8 / 2]->b[k / 8];
            sum += __uint_as_float(left << 16) * __uint_as_float(right << 16);
            sum += __uint_as_float(left & 0xffff0000u) * __uint_as_float(right & 0xffff0000u);
        }
        c[i] = sum;
    }
    emulator::wait(emulator::AtWarp);
}

inline void copy_16(void* shared, const void* global, bool present) {
    if ((uintptr_t)shared % 16 != 0 || (uintptr_t)global % 16 != 0) {
        std::fprintf(stderr, "cp.async: an address is not aligned to 16 bytes\n");
        std::abort();
    }
    emulator::fibers[emulator::current].open.push_back({shared, global, present});
}
inline void close_copies() {
    auto& fiber = emulator::fibers[emulator::current];
    fiber.groups.push_back(std::move(fiber.open));
    fiber.open.clear();
}
template <int Open>
inline void await_copies() {
    auto& groups = emulator::fibers[emulator::current].groups;
    while ((int)groups.size() > Open) {
        for (auto& copy : groups.front()) {
            if (copy.present) std::memcpy(copy.to, copy.from, 16);
            else std::memset(copy.to, 0, 16);
        }
        groups.erase(groups.begin());
    }
}
