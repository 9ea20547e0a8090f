// What every kernel file begins with: bf16, reductions, and the few instructions that have no name in CUDA C.
// There is no library header here, so that the run-time compiler needs no toolkit. Each instruction has a second body,
// chosen by SO8T_EMULATED, with which the tests run the same files on the processor.

typedef unsigned short bf16;       // the upper half of a single-precision number
typedef unsigned short f16;        // IEEE half precision
typedef unsigned int uint32;
typedef long long int64;

#define WARP 32
#define ALL_LANES 0xffffffffu
// What INFINITY is of, a macro of a header that the run-time compiler does not have.
#define NEGATIVE_INFINITY __uint_as_float(0xff800000u)
#ifndef SO8T_EMULATED
#define KERNEL extern "C" __global__ void
#else
#define KERNEL static void
#endif

__device__ __forceinline__ float widen(bf16 x) { return __uint_as_float((uint32)x << 16); }
__device__ __forceinline__ float widen_low(uint32 pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float widen_high(uint32 pair) { return __uint_as_float(pair & 0xffff0000u); }

#ifndef SO8T_EMULATED

// Two numbers rounded to bf16, half to even; `low` in the lower half.
__device__ __forceinline__ uint32 narrow_pair(float low, float high) {
    uint32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

// Half precision widened.
__device__ __forceinline__ float widen_f16(f16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
    return y;
}

// 2 to the power of x.
__device__ __forceinline__ float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Four 8×8 matrices of bf16 out of shared memory; lane `l` names row `l % 8` of matrix `l / 8`.
__device__ __forceinline__ void load_matrices(uint32 out[4], const bf16* row) {
    uint32 address = (uint32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(address) : "memory");
}

// The same, each matrix transposed on its way.
__device__ __forceinline__ void load_matrices_turned(uint32 out[4], const bf16* row) {
    uint32 address = (uint32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3]) : "r"(address) : "memory");
}

// c [16, 8] += a [16, 16] · b [16, 8], all spread over a warp.
__device__ __forceinline__ void multiply_add(float c[4], const uint32 a[4], uint32 b0, uint32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Starts to copy 16 bytes from global to shared memory; zeros where not `present`.
__device__ __forceinline__ void copy_16(void* shared, const void* global, bool present) {
    uint32 address = (uint32)__cvta_generic_to_shared(shared);
    int bytes = present ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(bytes) : "memory");
}

// Ends a group of copies.
__device__ __forceinline__ void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most `Open` of this thread's groups are still under way.
template <int Open>
__device__ __forceinline__ void await_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(Open) : "memory");
}

#endif

__device__ __forceinline__ bf16 narrow(float x) { return (bf16)narrow_pair(x, 0.0f); }

template <class T>
__device__ __forceinline__ T warp_sum(T x) {
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int step = WARP / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, step));
    return x;
}

// The sum over a block of at most 1024 threads, a whole number of warps; `shared` has 32 places, and may be used again
// after the next barrier. Every thread gets it.
template <class T>
__device__ __forceinline__ T block_sum(T x, T* shared) {
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    x = warp_sum(x);
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    return warp_sum(lane < warps ? shared[lane] : (T)0);
}

// What a block of attention has: some rows, of a sequence.
struct Tile {
    int first, start, end;
};

__device__ __forceinline__ Tile tile_of_block(const uint32* tiles) {
    const uint32* tile = tiles + 3 * blockIdx.x;
    return {(int)tile[0], (int)tile[1], (int)tile[2]};
}

// The first row that `row` looks at.
__device__ __forceinline__ int first_key(int row, int start, int window) {
    return window > 0 ? max(start, row + 1 - window) : start;
}

// The dynamic shared memory of a block.
#ifndef SO8T_EMULATED
#define SHARED_MEMORY(type, name)                        \
    extern __shared__ __align__(16) unsigned char bytes_of_block[]; \
    type* name = (type*)bytes_of_block
#endif
