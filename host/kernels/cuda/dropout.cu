// Dropout; its twin, and the meaning of the mask, is dropout.rs. The same bits as there.

__device__ __forceinline__ float mask_factor(uint32 index, uint32 key0, uint32 key1, uint32 threshold, float scale) {
    uint32 x = index ^ key0;
    x = (x ^ (x >> 16)) * 0x21f0aaadu;
    x = (x ^ (x >> 15)) * 0x735a2d97u;
    x = (x ^ (x >> 15)) + key1;
    x = (x ^ (x >> 16)) * 0x21f0aaadu;
    x = (x ^ (x >> 15)) * 0x735a2d97u;
    x ^= x >> 15;
    return x < threshold ? 0.0f : scale;
}

// out = x · mask, or out += x · mask; `half` takes it rounded to bf16 where it is not null, rows `half_stride` apart.
KERNEL dropout(const float* x, uint32 key0, uint32 key1, uint32 threshold, float scale, int width, int64 count,
               float* out, int add, bf16* half, int half_stride) {
    int64 step = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        float kept = x[i] * mask_factor((uint32)i, key0, key1, threshold, scale);
        if (add) kept += out[i];
        out[i] = kept;
        if (half) half[i / width * half_stride + i % width] = narrow(kept);
    }
}
