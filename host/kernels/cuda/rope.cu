// Rotary positions; their twin is rope.rs. One block a row.

// Turns the first `rotary` elements of the first `heads` heads of each row in place by the angles of its position (`sign` 1) or against
// them (−1); `half` takes the whole row rounded to bf16 where it is not null, rows `half_stride` apart.
KERNEL rope(float* values, const uint32* positions, const float* cos, const float* sin, int heads, int head_dim,
            int rotary, int stride, float sign, bf16* half, int half_stride) {
    int64 row = (int64)blockIdx.x * stride;
    if (half) half += (int64)blockIdx.x * half_stride;
    int width = rotary / 2, rest = head_dim - rotary, turned = heads * head_dim;
    int64 angles = (int64)positions[blockIdx.x] * width;
    for (int i = threadIdx.x; i < heads * width; i += blockDim.x) {
        int64 low = row + i / width * head_dim + i % width, high = low + width;
        float a = values[low], b = values[high];
        float c = cos[angles + i % width], s = sin[angles + i % width] * sign;
        float turned_low = a * c - b * s, turned_high = b * c + a * s;
        values[low] = turned_low;
        values[high] = turned_high;
        if (half) {
            half[low - row] = narrow(turned_low);
            half[high - row] = narrow(turned_high);
        }
    }
    if (half)
        for (int i = threadIdx.x; i < heads * rest; i += blockDim.x) {
            int at = i / rest * head_dim + rotary + i % rest;
            half[at] = narrow(values[row + at]);
        }
    if (half)
        for (int i = turned + threadIdx.x; i < stride; i += blockDim.x) half[i] = narrow(values[row + i]);
}
