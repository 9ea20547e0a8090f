// One new token in each of several sequences, over the keys and values that are kept of it; its twin is attention/next.rs.

// Keys and values of fused row `blockIdx.x` become row places[blockIdx.x] of `kept` [_, 2 · key width].
KERNEL keep(const float* fused, const uint32* places, int skipped, int width, float* kept) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= width) return;
    kept[(int64)places[blockIdx.x] * width + i] = fused[(int64)blockIdx.x * (skipped + width) + skipped + i];
}

#define WARPS 4
#define PARTS 8

// out[i, h] = Σ softmax(scale · q·k)·v over the rows bounds[2i]..bounds[2i + 1] of `kept`; a block has a head (x) of a sequence
// (y), and its warps share the rows. Heads have at most 256 values.
KERNEL attention_next(const float* fused, const float* kept, const uint32* bounds, int heads, int kv_heads, int dim,
                      float scale, int window, float cap, float* out) {
    __shared__ float greatest_of[WARPS], total_of[WARPS], sums_of[WARPS][PARTS * WARP];
    int head = blockIdx.x, lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, width = 2 * kv_heads * dim;
    int start = bounds[2 * blockIdx.y], end = bounds[2 * blockIdx.y + 1];
    int first = window > 0 ? max(start, end - window) : start;
    const float* query = fused + (int64)blockIdx.y * (heads + 2 * kv_heads) * dim + head * dim;
    float greatest = NEGATIVE_INFINITY, total = 0.0f, sums[PARTS] = {}, q[PARTS];
#pragma unroll
    for (int part = 0; part < PARTS; part++) q[part] = lane + part * WARP < dim ? query[lane + part * WARP] : 0.0f;
    for (int row = first + warp; row < end; row += WARPS) {
        const float* key = kept + (int64)row * width + head / (heads / kv_heads) * dim;
        float score = 0.0f;
#pragma unroll
        for (int part = 0; part < PARTS; part++)
            if (lane + part * WARP < dim) score += q[part] * key[lane + part * WARP];
        score = scale * warp_sum(score);
        if (cap > 0.0f) score = cap * tanhf(score / cap);
        float top = fmaxf(greatest, score), shrink = expf(greatest - top), weight = expf(score - top);
        greatest = top;
        total = total * shrink + weight;
#pragma unroll
        for (int part = 0; part < PARTS; part++)
            if (lane + part * WARP < dim) sums[part] = sums[part] * shrink + weight * key[kv_heads * dim + lane + part * WARP];
    }
    if (lane == 0) greatest_of[warp] = greatest, total_of[warp] = total;
#pragma unroll
    for (int part = 0; part < PARTS; part++) sums_of[warp][lane + part * WARP] = sums[part];
    __syncthreads();
    float top = NEGATIVE_INFINITY, whole = 0.0f;
    for (int other = 0; other < WARPS; other++) top = fmaxf(top, greatest_of[other]);
    for (int other = 0; other < WARPS; other++) whole += total_of[other] * expf(greatest_of[other] - top);
    for (int d = threadIdx.x; d < dim; d += blockDim.x) {
        float sum = 0.0f;
        for (int other = 0; other < WARPS; other++) sum += sums_of[other][d] * expf(greatest_of[other] - top);
        out[((int64)blockIdx.y * heads + head) * dim + d] = sum / whole;
    }
}
