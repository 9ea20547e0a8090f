// Root-mean-square normalisation; its twin is norm.rs. One block a row.

// out = x · weight / sqrt(mean(x²) + epsilon); `half` takes it rounded to bf16 where it is not null, rows `half_stride` apart.
KERNEL rms_norm(const float* x, const float* weight, int width, float epsilon, float* out, float* inverse, bf16* half,
                int half_stride) {
    __shared__ float shared[WARP];
    int64 row = (int64)blockIdx.x * width;
    if (half) half += (int64)blockIdx.x * half_stride;
    float squares = 0.0f;
    if (width % 4 == 0) {
        const float4* x4 = (const float4*)(x + row);
        for (int i = threadIdx.x; i < width / 4; i += blockDim.x) {
            float4 v = x4[i];
            squares += v.x * v.x + v.y * v.y + (v.z * v.z + v.w * v.w);
        }
    } else {
        for (int i = threadIdx.x; i < width; i += blockDim.x) squares += x[row + i] * x[row + i];
    }
    float scale = 1.0f / sqrtf(block_sum(squares, shared) / width + epsilon);
    if (threadIdx.x == 0) inverse[blockIdx.x] = scale;
    if (width % 4 == 0) {
        const float4* x4 = (const float4*)(x + row);
        const float4* weight4 = (const float4*)weight;
        for (int i = threadIdx.x; i < width / 4; i += blockDim.x) {
            float4 v = x4[i], w = weight4[i];
            v.x = v.x * scale * w.x;
            v.y = v.y * scale * w.y;
            v.z = v.z * scale * w.z;
            v.w = v.w * scale * w.w;
            ((float4*)(out + row))[i] = v;
            if (half) ((uint2*)half)[i] = make_uint2(narrow_pair(v.x, v.y), narrow_pair(v.z, v.w));
        }
        return;
    }
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float y = x[row + i] * scale * weight[i];
        out[row + i] = y;
        if (half) half[i] = narrow(y);
    }
}

// out += w·g/r − x·(Σ w·g·x)/(r³·width) with r the root mean square.
KERNEL rms_norm_backward(const float* gradient, const float* x, const float* weight, const float* inverse, int width,
                         float* out) {
    __shared__ float shared[WARP];
    int64 row = (int64)blockIdx.x * width;
    float dot = 0.0f, scale = inverse[blockIdx.x];
    if (width % 4 == 0) {
        const float4 *x4 = (const float4*)(x + row), *g4 = (const float4*)(gradient + row), *w4 = (const float4*)weight;
        for (int i = threadIdx.x; i < width / 4; i += blockDim.x) {
            float4 v = x4[i], g = g4[i], w = w4[i];
            dot += g.x * w.x * v.x + g.y * w.y * v.y + (g.z * w.z * v.z + g.w * w.w * v.w);
        }
        float shift = block_sum(dot, shared) * scale * scale * scale / width;
        for (int i = threadIdx.x; i < width / 4; i += blockDim.x) {
            float4 v = x4[i], g = g4[i], w = w4[i], o = ((float4*)(out + row))[i];
            o.x += g.x * w.x * scale - v.x * shift;
            o.y += g.y * w.y * scale - v.y * shift;
            o.z += g.z * w.z * scale - v.z * shift;
            o.w += g.w * w.w * scale - v.w * shift;
            ((float4*)(out + row))[i] = o;
        }
        return;
    }
    for (int i = threadIdx.x; i < width; i += blockDim.x) dot += gradient[row + i] * weight[i] * x[row + i];
    float shift = block_sum(dot, shared) * scale * scale * scale / width;
    for (int i = threadIdx.x; i < width; i += blockDim.x)
        out[row + i] += gradient[row + i] * weight[i] * scale - x[row + i] * shift;
}

// out[column] += Σ gradient·x·inverse over the rows, in their order. One thread a column.
KERNEL rms_norm_weight(const float* gradient, const float* x, const float* inverse, int rows, int width, float* out) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width) return;
    float sum = 0.0f;
    for (int row = 0; row < rows; row++) {
        int64 at = (int64)row * width + column;
        sum += gradient[at] * x[at] * inverse[row];
    }
    out[column] += sum;
}
