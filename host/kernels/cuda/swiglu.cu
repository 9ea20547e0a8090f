// The gated activation; its twin is swiglu.rs. Rows of `gate_up` are [gate | up], `width` values each.

__device__ __forceinline__ float sigmoid(float gate) { return 1.0f / (1.0f + expf(-gate)); }

// out = silu(gate) · up; `half` takes it rounded to bf16 where it is not null, rows `half_stride` apart. The grid is (rows, columns); a thread has four
// columns where the width allows it.
KERNEL swiglu(const float* gate_up, int width, float* out, bf16* half, int half_stride) {
    int64 row = blockIdx.x;
    if (half) half += row * half_stride;
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    const float* gate = gate_up + 2 * row * width;
    if (width % 4 == 0) {
        if (i >= width / 4) return;
        float4 g = ((const float4*)gate)[i], u = ((const float4*)(gate + width))[i];
        float4 h = make_float4(g.x * sigmoid(g.x) * u.x, g.y * sigmoid(g.y) * u.y, g.z * sigmoid(g.z) * u.z,
                               g.w * sigmoid(g.w) * u.w);
        ((float4*)(out + row * width))[i] = h;
        if (half) ((uint2*)half)[i] = make_uint2(narrow_pair(h.x, h.y), narrow_pair(h.z, h.w));
        return;
    }
    for (int at = 4 * i; at < 4 * i + 4 && at < width; at++) {
        float h = gate[at] * sigmoid(gate[at]) * gate[width + at];
        out[row * width + at] = h;
        if (half) half[at] = narrow(h);
    }
}

__device__ __forceinline__ void swiglu_gradient(float gradient, float& gate, float& up) {
    float g = gate, s = sigmoid(g);
    gate = gradient * up * s * (1.0f + g * (1.0f - s));
    up = gradient * g * s;
}

// Replaces `gate_up` by the gradient with respect to it.
KERNEL swiglu_backward(const float* gradient, int width, float* gate_up, bf16* half, int half_stride) {
    int64 row = blockIdx.x;
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    float* gate = gate_up + 2 * row * width;
    if (half) half += row * half_stride;
    if (width % 4 == 0) {
        if (i >= width / 4) return;
        float4 d = ((const float4*)(gradient + row * width))[i];
        float4 g = ((float4*)gate)[i], u = ((float4*)(gate + width))[i];
        swiglu_gradient(d.x, g.x, u.x);
        swiglu_gradient(d.y, g.y, u.y);
        swiglu_gradient(d.z, g.z, u.z);
        swiglu_gradient(d.w, g.w, u.w);
        ((float4*)gate)[i] = g;
        ((float4*)(gate + width))[i] = u;
        if (half) {
            ((uint2*)half)[i] = make_uint2(narrow_pair(g.x, g.y), narrow_pair(g.z, g.w));
            ((uint2*)(half + width))[i] = make_uint2(narrow_pair(u.x, u.y), narrow_pair(u.z, u.w));
        }
        return;
    }
    for (int at = 4 * i; at < 4 * i + 4 && at < width; at++) {
        float g = gate[at], u = gate[width + at];
        swiglu_gradient(gradient[row * width + at], g, u);
        gate[at] = g;
        gate[width + at] = u;
        if (half) {
            half[at] = narrow(g);
            half[width + at] = narrow(u);
        }
    }
}
