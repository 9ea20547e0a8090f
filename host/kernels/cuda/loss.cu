// Cross-entropy with its gradient; its twin is loss.rs. One block a row.

// losses[first + row] = the cross-entropy of softmax(logits) with (1 − smoothing) · one_hot(target) + smoothing / vocabulary; the
// logits become softmax less that mixture, times the row's weight.
KERNEL cross_entropy(float* logits, int vocabulary, const uint32* targets, const float* weights, float smoothing, float* losses,
                     int first) {
    __shared__ float greatest_of[WARP], total_of[WARP], rest_of[WARP];
    float* row = logits + (int64)blockIdx.x * vocabulary;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    float greatest = NEGATIVE_INFINITY;
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) greatest = fmaxf(greatest, row[i]);
    greatest = warp_max(greatest);
    if (lane == 0) greatest_of[warp] = greatest;
    __syncthreads();
    greatest = warp_max(lane < warps ? greatest_of[lane] : NEGATIVE_INFINITY);
    float chosen = row[targets[blockIdx.x]] - greatest, total = 0.0f, rest = 0.0f;
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
        float x = row[i] - greatest;
        total += expf(x);
        rest += x;
    }
    // Behind these barriers nobody reads `chosen` any more.
    total = block_sum(total, total_of);
    rest = smoothing > 0.0f ? block_sum(rest, rest_of) : 0.0f;
    float weight = weights[blockIdx.x], scale = weight / total, spread = smoothing / vocabulary;
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
        float gradient = expf(row[i] - greatest) * scale - spread * weight;
        row[i] = i == (int)targets[blockIdx.x] ? gradient - (1.0f - smoothing) * weight : gradient;
    }
    if (threadIdx.x == 0) losses[first + blockIdx.x] = logf(total) - (1.0f - smoothing) * chosen - spread * rest;
}
