// Frozen weights as they are stored, brought to what an operation needs: bf16 or single precision for products, rows for
// embeddings, squares for norms. A source knows one format and gives the value at a row and column.

struct Single {
    const float* values;
    __device__ float at(int64 row, int column, int columns) const { return values[row * columns + column]; }
};

struct Bf16 {
    const bf16* values;
    __device__ float at(int64 row, int column, int columns) const { return widen(values[row * columns + column]); }
};

struct F16 {
    const f16* values;
    __device__ float at(int64 row, int column, int columns) const { return widen_f16(values[row * columns + column]); }
};

// Blocks of 32 values of a row with a scale each, and an offset each where `offsets` is not null: quantise.rs.
struct Int8 {
    const signed char* values;
    const float *scales, *offsets;
    __device__ float at(int64 row, int column, int columns) const {
        int64 block = row * ((columns + 31) / 32) + column / 32;
        return (float)values[row * columns + column] * scales[block] + (offsets ? offsets[block] : 0.0f);
    }
};

__device__ const float LEVELS[16] = {
    -1.0f,        -0.6961928f, -0.52507305f, -0.3949175f, -0.28444138f, -0.18477343f, -0.091050036f, 0.0f,
    0.0795803f,   0.1609302f,  0.2461123f,   0.33791524f, 0.44070983f,  0.562617f,    0.72295684f,   1.0f,
};

// Blocks of 64 values of the rows laid end to end; the block's largest magnitude is in 8 bits itself: nf4.rs. Row 0 begins at
// value `first`.
struct Nf4 {
    const unsigned char *codes, *absmax;
    const float *nested, *map;
    float offset;
    int64 first;
    __device__ float largest(int64 index) const {
        int64 block = index / 64;
        return map[absmax[block]] * nested[block / 256] + offset;
    }
    __device__ float at(int64 row, int column, int columns) const {
        int64 index = first + row * columns + column;
        int pair = codes[index / 2];
        return LEVELS[index % 2 == 0 ? pair >> 4 : pair & 15] * largest(index);
    }
};

// Sixteen columns of row `blockIdx.x` to bf16; the grid is (rows, columns / 16 / threads).
template <class Source>
__device__ __forceinline__ void expand_columns(Source source, int columns, bf16* out, int stride) {
    int first = (blockIdx.y * blockDim.x + threadIdx.x) * 16;
    bf16* to = out + (int64)blockIdx.x * stride;
    for (int i = first; i < first + 16 && i < columns; i++) to[i] = narrow(source.at(blockIdx.x, i, columns));
}

// One column of row `blockIdx.x` to single precision; the grid is (rows, columns / threads).
template <class Source>
__device__ __forceinline__ void expand_column_single(Source source, int columns, float* out) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < columns) out[(int64)blockIdx.x * columns + i] = source.at(blockIdx.x, i, columns);
}

// Row indices[blockIdx.x] becomes row `blockIdx.x` of `out`; the grid is (rows, columns / threads).
template <class Source>
__device__ __forceinline__ void gather_column(Source source, const uint32* indices, int columns, float* out) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < columns) out[(int64)blockIdx.x * columns + i] = source.at(indices[blockIdx.x], i, columns);
}

__device__ __forceinline__ void store_16(bf16* to, const uint32 halves[8]) {
    ((uint4*)to)[0] = make_uint4(halves[0], halves[1], halves[2], halves[3]);
    ((uint4*)to)[1] = make_uint4(halves[4], halves[5], halves[6], halves[7]);
}

KERNEL expand_bf16(const bf16* values, int columns, bf16* out, int stride) {
    expand_columns(Bf16{values}, columns, out, stride);
}

KERNEL expand_f16(const f16* values, int columns, bf16* out, int stride) {
    expand_columns(F16{values}, columns, out, stride);
}

KERNEL expand_int8(const signed char* values, const float* scales, const float* offsets, int columns, bf16* out, int stride) {
    if (columns % 16 != 0 || stride % 8 != 0) return expand_columns(Int8{values, scales, offsets}, columns, out, stride);
    int first = (blockIdx.y * blockDim.x + threadIdx.x) * 16;
    if (first >= columns) return;
    int64 row = blockIdx.x, block = row * ((columns + 31) / 32) + first / 32;
    float scale = scales[block], offset = offsets ? offsets[block] : 0.0f;
    uint4 packed = *(const uint4*)(values + row * columns + first);
    uint32 words[4] = {packed.x, packed.y, packed.z, packed.w}, halves[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        uint32 pair = words[i / 2] >> (i % 2 * 16);
        float low = (float)(signed char)(pair & 0xff), high = (float)(signed char)(pair >> 8 & 0xff);
        halves[i] = narrow_pair(low * scale + offset, high * scale + offset);
    }
    store_16(out + row * stride + first, halves);
}

KERNEL expand_nf4(const unsigned char* codes, const unsigned char* absmax, const float* nested, const float* map, float offset,
                  int64 first, int columns, bf16* out, int stride) {
    Nf4 source{codes, absmax, nested, map, offset, first};
    if (columns % 16 != 0 || stride % 8 != 0 || first % 16 != 0) return expand_columns(source, columns, out, stride);
    // Different places lie in different banks, and the same place is read once for all.
    __shared__ float levels[16];
    if (threadIdx.x < 16) levels[threadIdx.x] = LEVELS[threadIdx.x];
    __syncthreads();
    int column = (blockIdx.y * blockDim.x + threadIdx.x) * 16;
    if (column >= columns) return;
    int64 row = blockIdx.x, index = first + row * columns + column;
    float largest = source.largest(index);
    uint2 packed = *(const uint2*)(codes + index / 2);
    uint32 halves[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        uint32 pair = (i < 4 ? packed.x : packed.y) >> (i % 4 * 8);
        halves[i] = narrow_pair(levels[pair >> 4 & 15] * largest, levels[pair & 15] * largest);
    }
    store_16(out + row * stride + column, halves);
}

KERNEL expand_single_bf16(const bf16* values, int columns, float* out) { expand_column_single(Bf16{values}, columns, out); }

KERNEL expand_single_f16(const f16* values, int columns, float* out) { expand_column_single(F16{values}, columns, out); }

KERNEL expand_single_int8(const signed char* values, const float* scales, const float* offsets, int columns, float* out) {
    expand_column_single(Int8{values, scales, offsets}, columns, out);
}

KERNEL expand_single_nf4(const unsigned char* codes, const unsigned char* absmax, const float* nested, const float* map,
                         float offset, int64 first, int columns, float* out) {
    expand_column_single(Nf4{codes, absmax, nested, map, offset, first}, columns, out);
}

KERNEL gather_single(const float* values, const uint32* indices, int columns, float* out) {
    gather_column(Single{values}, indices, columns, out);
}

KERNEL gather_bf16(const bf16* values, const uint32* indices, int columns, float* out) {
    gather_column(Bf16{values}, indices, columns, out);
}

KERNEL gather_f16(const f16* values, const uint32* indices, int columns, float* out) {
    gather_column(F16{values}, indices, columns, out);
}

KERNEL gather_int8(const signed char* values, const float* scales, const float* offsets, const uint32* indices, int columns,
                   float* out) {
    gather_column(Int8{values, scales, offsets}, indices, columns, out);
}

KERNEL gather_nf4(const unsigned char* codes, const unsigned char* absmax, const float* nested, const float* map, float offset,
                  int64 first, const uint32* indices, int columns, float* out) {
    gather_column(Nf4{codes, absmax, nested, map, offset, first}, indices, columns, out);
}
