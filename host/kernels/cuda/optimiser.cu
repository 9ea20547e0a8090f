// AdamW and the gradient's norm; their twin is optimiser.rs.

// One step; the constants are those that optimiser.rs works out.
KERNEL adamw(float* values, const float* gradient, float* first, float* second, int64 count, float keep, float beta1,
             float beta2, float epsilon, float gradient_scale, float size, float root) {
    int64 step = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        float g = gradient[i] * gradient_scale;
        float mean = first[i] * beta1 + g * (1.0f - beta1);
        float square = second[i] * beta2 + g * g * (1.0f - beta2);
        first[i] = mean;
        second[i] = square;
        values[i] = values[i] * keep - size * mean / (sqrtf(square) * root + epsilon);
    }
}

// sums[block] = Σ x² over the block's share, in double precision. The order depends on the sizes alone.
KERNEL sum_of_squares(const float* x, int64 count, double* sums) {
    __shared__ double shared[WARP];
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    int64 step = (int64)gridDim.x * blockDim.x;
    double sum = 0.0;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) sum += (double)x[i] * (double)x[i];
    for (int distance = WARP / 2; distance > 0; distance /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, distance);
    if (lane == 0) shared[warp] = sum;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int other = 1; other < warps; other++) sum += shared[other];
    sums[blockIdx.x] = sum;
}
