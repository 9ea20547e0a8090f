// Frozen weights [rows, columns] expanded for a product; the formats are those of quantise.rs.

#define BLOCK 32

// An int8 weight becomes bf16, rows `stride` apart. A block of 32 values has one scale, and one offset where `offsets` is not
// null. The grid is (rows, columns / 16 / threads); a thread has 16 values.
KERNEL expand_int8(const signed char* values, const float* scales, const float* offsets, int columns, bf16* out,
                   int stride) {
    int64 row = blockIdx.x;
    int first = (blockIdx.y * blockDim.x + threadIdx.x) * 16;
    if (first >= columns) return;
    int64 block = row * ((columns + BLOCK - 1) / BLOCK) + first / BLOCK;
    float scale = scales[block], offset = offsets ? offsets[block] : 0.0f;
    const signed char* from = values + row * columns + first;
    bf16* to = out + row * stride + first;
    if (columns % 16 == 0 && stride % 8 == 0) {
        uint4 packed = *(const uint4*)from;
        uint32 words[4] = {packed.x, packed.y, packed.z, packed.w}, halves[8];
        for (int i = 0; i < 8; i++) {
            uint32 pair = words[i / 2] >> (i % 2 * 16);
            float low = (float)(signed char)(pair & 0xff), high = (float)(signed char)(pair >> 8 & 0xff);
            halves[i] = narrow_pair(low * scale + offset, high * scale + offset);
        }
        ((uint4*)to)[0] = make_uint4(halves[0], halves[1], halves[2], halves[3]);
        ((uint4*)to)[1] = make_uint4(halves[4], halves[5], halves[6], halves[7]);
        return;
    }
    for (int i = 0; i < 16 && first + i < columns; i++) to[i] = narrow((float)from[i] * scale + offset);
}

// The same to single precision, without gaps; the grid is (rows, columns).
KERNEL expand_int8_single(const signed char* values, const float* scales, const float* offsets, int columns, float* out) {
    int64 row = blockIdx.x;
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= columns) return;
    int64 block = row * ((columns + BLOCK - 1) / BLOCK) + i / BLOCK;
    float offset = offsets ? offsets[block] : 0.0f;
    out[row * columns + i] = (float)values[row * columns + i] * scales[block] + offset;
}

// bf16 widened.
KERNEL expand_bf16_single(const bf16* values, int64 count, float* out) {
    int64 step = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) out[i] = widen(values[i]);
}

// Rows of a bf16 weight, moved to rows `stride` apart; the grid is (rows, columns).
KERNEL copy_bf16(const bf16* values, int columns, bf16* out, int stride) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < columns) out[(int64)blockIdx.x * stride + i] = values[(int64)blockIdx.x * columns + i];
}
