// Rows picked out of a matrix, and added back to it; their twin is table.rs. The grid is (rows, columns).

KERNEL gather_single(const float* table, const uint32* indices, int width, float* out) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < width) out[(int64)blockIdx.x * width + i] = table[(int64)indices[blockIdx.x] * width + i];
}

KERNEL gather_bf16(const bf16* table, const uint32* indices, int width, float* out) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < width) out[(int64)blockIdx.x * width + i] = widen(table[(int64)indices[blockIdx.x] * width + i]);
}

KERNEL gather_int8(const signed char* values, const float* scales, const float* offsets, const uint32* indices, int width,
                   float* out) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= width) return;
    int64 row = indices[blockIdx.x], block = row * ((width + 31) / 32) + i / 32;
    float offset = offsets ? offsets[block] : 0.0f;
    out[(int64)blockIdx.x * width + i] = (float)values[row * width + i] * scales[block] + offset;
}

// The rows order[bounds[g]..bounds[g + 1]] are added to row `targets[g]` of `out`, in their order: one group a grid row, so that
// no two blocks add to the same place.
KERNEL scatter_add(const float* rows, const uint32* targets, const uint32* bounds, const uint32* order, int width,
                   float* out) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= width) return;
    int64 at = (int64)targets[blockIdx.x] * width + i;
    float sum = out[at];
    for (uint32 row = bounds[blockIdx.x]; row < bounds[blockIdx.x + 1]; row++) sum += rows[(int64)order[row] * width + i];
    out[at] = sum;
}
