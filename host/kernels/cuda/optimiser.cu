// AdamW and the gradient's norm; their twins are optimiser.rs and moments.rs.

// The constants are those that optimiser.rs works out.
struct Constants {
    float keep, beta1, beta2, epsilon, gradient_scale, size, root;
};

__device__ __forceinline__ void step(const Constants& c, float& value, float gradient, float& mean, float& square) {
    float g = gradient * c.gradient_scale;
    mean = mean * c.beta1 + g * (1.0f - c.beta1);
    square = square * c.beta2 + g * g * (1.0f - c.beta2);
    value = value * c.keep - c.size * mean / (sqrtf(square) * c.root + c.epsilon);
}

KERNEL adamw(float* values, const float* gradient, float* first, float* second, int64 count, float keep, float beta1,
             float beta2, float epsilon, float gradient_scale, float size, float root) {
    Constants c{keep, beta1, beta2, epsilon, gradient_scale, size, root};
    int64 stride = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride)
        step(c, values[i], gradient[i], first[i], second[i]);
}

// The entry of an ascending map that is nearest to x; of two that are equally near, the lesser; of a NaN, entry 0.
__device__ __forceinline__ unsigned char nearest(const float* map, float x) {
    int index = 0;
    for (int width = 128; width > 0; width /= 2)
        if (index + width < 256 && map[index + width] <= x) index += width;
    if (index < 255 && fabsf(x - map[index + 1]) < fabsf(x - map[index])) index++;
    return (unsigned char)index;
}

// One step with moments in 8 bits: a block has 256 values, which share a scale for each moment.
KERNEL adamw_8bit(float* values, const float* gradient, unsigned char* first, float* first_scales, unsigned char* second,
                  float* second_scales, const float* signed_map, const float* unsigned_map, int64 count, float keep,
                  float beta1, float beta2, float epsilon, float gradient_scale, float size, float root) {
    __shared__ float signs[256], magnitudes[256], greatest_mean[WARP], greatest_square[WARP];
    Constants c{keep, beta1, beta2, epsilon, gradient_scale, size, root};
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int64 i = (int64)blockIdx.x * 256 + threadIdx.x;
    signs[threadIdx.x] = signed_map[threadIdx.x];
    magnitudes[threadIdx.x] = unsigned_map[threadIdx.x];
    __syncthreads();
    float mean = 0.0f, square = 0.0f;
    if (i < count) {
        mean = signs[first[i]] * first_scales[blockIdx.x];
        square = magnitudes[second[i]] * second_scales[blockIdx.x];
        step(c, values[i], gradient[i], mean, square);
    }
    float most_mean = warp_max(fabsf(mean)), most_square = warp_max(fabsf(square));
    if (lane == 0) {
        greatest_mean[warp] = most_mean;
        greatest_square[warp] = most_square;
    }
    // Behind this barrier nobody reads the old scales any more.
    __syncthreads();
    most_mean = warp_max(lane < 8 ? greatest_mean[lane] : 0.0f);
    most_square = warp_max(lane < 8 ? greatest_square[lane] : 0.0f);
    if (i < count) {
        first[i] = nearest(signs, most_mean > 0.0f ? mean / most_mean : 0.0f);
        second[i] = nearest(magnitudes, most_square > 0.0f ? square / most_square : 0.0f);
    }
    if (threadIdx.x == 0) {
        first_scales[blockIdx.x] = most_mean;
        second_scales[blockIdx.x] = most_square;
    }
}

// sums[block] = Σ x² over the block's share, in double precision. The order depends on the sizes alone.
KERNEL sum_of_squares(const float* x, int64 count, double* sums) {
    __shared__ double shared[WARP];
    int64 stride = (int64)gridDim.x * blockDim.x;
    double sum = 0.0;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) sum += (double)x[i] * (double)x[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
