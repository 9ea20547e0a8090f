// Cross-entropy with its gradient; its twin is loss.rs. One block a row.

// losses[first + row] = −log softmax(logits)[target]; the logits become (softmax(logits) − one_hot(target)) · weight.
KERNEL cross_entropy(float* logits, int vocabulary, const uint32* targets, const float* weights, float* losses,
                     int first) {
    __shared__ float greatest_of[WARP], total_of[WARP];
    float* row = logits + (int64)blockIdx.x * vocabulary;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    float greatest = NEGATIVE_INFINITY;
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) greatest = fmaxf(greatest, row[i]);
    greatest = warp_max(greatest);
    if (lane == 0) greatest_of[warp] = greatest;
    __syncthreads();
    greatest = warp_max(lane < warps ? greatest_of[lane] : NEGATIVE_INFINITY);
    float chosen = row[targets[blockIdx.x]], total = 0.0f;
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) total += expf(row[i] - greatest);
    // Behind this barrier nobody reads `chosen` any more.
    total = block_sum(total, total_of);
    float weight = weights[blockIdx.x], scale = weight / total;
    for (int i = threadIdx.x; i < vocabulary; i += blockDim.x) {
        float gradient = expf(row[i] - greatest) * scale;
        row[i] = i == (int)targets[blockIdx.x] ? gradient - weight : gradient;
    }
    if (threadIdx.x == 0) losses[first + blockIdx.x] = logf(total) + greatest - chosen;
}
