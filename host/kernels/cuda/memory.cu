// Parts of matrices: set to 0, scaled, rounded.

// Sets the columns first..first + count of `rows` rows to 0; the grid is (rows, columns), and `out` begins at the first row.
KERNEL zero_block(float* out, int width, int first, int count) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i < count) out[(int64)blockIdx.x * width + first + i] = 0.0f;
}

KERNEL scale(float* out, int64 count, float factor) {
    int64 step = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) out[i] *= factor;
}

// Row `blockIdx.x` of x [rows, width] rounded to bf16 becomes the columns first..first + width of the same row of
// out [rows, stride].
KERNEL narrow_rows(const float* x, int width, bf16* out, int stride, int first) {
    int64 row = blockIdx.x;
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    const float* from = x + row * width;
    bf16* to = out + row * stride + first;
    if (width % 4 == 0 && stride % 4 == 0 && first % 4 == 0) {
        if (i >= width / 4) return;
        float4 v = ((const float4*)from)[i];
        ((uint2*)to)[i] = make_uint2(narrow_pair(v.x, v.y), narrow_pair(v.z, v.w));
        return;
    }
    for (int at = 4 * i; at < 4 * i + 4 && at < width; at++) to[at] = narrow(from[at]);
}
