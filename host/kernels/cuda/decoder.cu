// What some decoders have beside the operations of all: norms of parts of rows, gated activations with a GELU, and soft caps. The twins
// are part_norm.rs, geglu.rs and soft_cap.rs.

// Part `p` of a row is `width` columns from `first + p · width` on; one warp a part. out = x · weight / sqrt(mean(x²) + epsilon).
KERNEL part_norm(const float* x, const float* weight, int64 pieces, int first, int count, int width, int stride,
                 float epsilon, float* out, float* inverse) {
    int64 piece = (int64)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (piece >= pieces) return;
    int lane = threadIdx.x % WARP;
    int64 at = piece / count * stride + first + piece % count * width;
    float squares = 0.0f;
    for (int i = lane; i < width; i += WARP) squares += x[at + i] * x[at + i];
    float scale = 1.0f / sqrtf(warp_sum(squares) / width + epsilon);
    if (lane == 0) inverse[piece] = scale;
    for (int i = lane; i < width; i += WARP) out[at + i] = x[at + i] * scale * weight[i];
}

// Replaces the parts of `gradient` by w·g/r − x·(Σ w·g·x)/(r³·width).
KERNEL part_norm_backward(const float* x, const float* weight, const float* inverse, int64 pieces, int first, int count,
                          int width, int stride, float* gradient) {
    int64 piece = (int64)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (piece >= pieces) return;
    int lane = threadIdx.x % WARP;
    int64 at = piece / count * stride + first + piece % count * width;
    float dot = 0.0f, scale = inverse[piece];
    for (int i = lane; i < width; i += WARP) dot += gradient[at + i] * weight[i] * x[at + i];
    float shift = warp_sum(dot) * scale * scale * scale / width;
    for (int i = lane; i < width; i += WARP) gradient[at + i] = gradient[at + i] * weight[i] * scale - x[at + i] * shift;
}

// out[column] += Σ gradient·x·inverse over rows and parts, in their order. One thread a column of a part.
KERNEL part_norm_weight(const float* gradient, const float* x, const float* inverse, int64 pieces, int first, int count,
                        int width, int stride, float* out) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float sum = 0.0f;
    for (int64 piece = 0; piece < pieces; piece++) {
        int64 at = piece / count * stride + first + piece % count * width + column;
        sum += gradient[at] * x[at] * inverse[piece];
    }
    out[column] += sum;
}

// The factor of the gate, and the derivative of the whole.
__device__ __forceinline__ void gelu(float g, int exact, float& share, float& slope) {
    if (exact) {
        share = 0.5f * (1.0f + erff(g * 0.70710678f));
        slope = share + g * 0.39894228f * expf(-0.5f * g * g);
        return;
    }
    share = 1.0f / (1.0f + expf(-1.59576912f * (g + 0.044715f * g * g * g)));
    slope = share + 1.59576912f * g * (1.0f + 0.134145f * g * g) * share * (1.0f - share);
}

// out = gelu(gate) · up. The grid is (rows, columns).
KERNEL geglu(const float* gate_up, int width, int exact, float* out, bf16* half, int half_stride) {
    int64 row = blockIdx.x;
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= width) return;
    float gate = gate_up[2 * row * width + i], share, slope;
    gelu(gate, exact, share, slope);
    float h = gate * share * gate_up[(2 * row + 1) * width + i];
    out[row * width + i] = h;
    if (half) half[row * half_stride + i] = narrow(h);
}

// Replaces `gate_up` by the gradient with respect to it.
KERNEL geglu_backward(const float* gradient, int width, int exact, float* gate_up, bf16* half, int half_stride) {
    int64 row = blockIdx.x;
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= width) return;
    float g = gradient[row * width + i], share, slope;
    float *gate = gate_up + 2 * row * width + i, *up = gate + width;
    gelu(*gate, exact, share, slope);
    float of_gate = g * *up * slope, of_up = g * *gate * share;
    *gate = of_gate;
    *up = of_up;
    if (half) {
        half[row * half_stride + i] = narrow(of_gate);
        half[row * half_stride + width + i] = narrow(of_up);
    }
}

KERNEL soft_cap(float* values, float cap, int64 count) {
    int64 step = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) values[i] = cap * tanhf(values[i] / cap);
}

KERNEL soft_cap_backward(const float* capped, float cap, int64 count, float* gradient) {
    int64 step = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        float tanh = capped[i] / cap;
        gradient[i] *= 1.0f - tanh * tanh;
    }
}
