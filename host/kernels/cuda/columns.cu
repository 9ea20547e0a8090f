// Factors of columns and sums over rows, and the norms of DoRA's rows; their twins are columns.rs and row_norms.rs.

KERNEL add(const float* source, float* out, int64 count) {
    int64 step = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) out[i] += source[i];
}

KERNEL scale_columns(float* values, const float* factors, int width, int64 count) {
    int64 step = (int64)gridDim.x * blockDim.x;
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) values[i] *= factors[i % width];
}

// out[c] += factors[c] · Σ a·b over the rows, in their order. One thread a column; a factor of 0 stands for one that is not
// asked for.
KERNEL add_column_dots(const float* a, const float* b, const float* factors, int rows, int width, float* out) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= width || factors[column] == 0.0f) return;
    float sum = 0.0f;
    for (int row = 0; row < rows; row++) sum += a[(int64)row * width + column] * b[(int64)row * width + column];
    out[column] += factors[column] * sum;
}

// out[row] += Σ values². One block a row.
KERNEL add_row_squares(const float* values, int width, float* out) {
    __shared__ double shared[WARP];
    double sum = 0.0;
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        double x = values[(int64)blockIdx.x * width + i];
        sum += x * x;
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) out[blockIdx.x] += (float)sum;
}

// scale[j] = m_j / ‖V_j‖ and inverse[j] = 1 / ‖V_j‖ for V = W + s·B·A; one warp a row, whose lanes share the terms.
KERNEL row_scales(const float* squares, const float* projected, const float* gram, const float* up, const float* scales,
                  const float* magnitude, int rows, int width, float* scale, float* inverse) {
    int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    double square = 0.0;
    for (int r = lane; r < width; r += WARP) {
        double among = 0.0;
        for (int s = 0; s < width; s++)
            among += (double)up[(int64)row * width + s] * (double)scales[s] * (double)gram[r * width + s];
        double factor = (double)up[(int64)row * width + r] * (double)scales[r];
        square += factor * (2.0 * (double)projected[(int64)r * rows + row] + among);
    }
    square = warp_sum(square) + (double)squares[row];
    if (lane != 0) return;
    // A row that is not asked for has infinite squares.
    if (squares[row] > 3.0e38f) {
        scale[row] = 1.0f;
        inverse[row] = 0.0f;
        return;
    }
    double found = square > 0.0 ? 1.0 / sqrt(square) : 0.0;
    scale[row] = (float)((double)magnitude[row] * found);
    inverse[row] = (float)found;
}
