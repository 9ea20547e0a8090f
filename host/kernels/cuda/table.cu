// Rows added back to a matrix; its twin is table.rs.

// The rows order[bounds[g]..bounds[g + 1]] are added to row `targets[g]` of `out`, in their order: one group a grid row, so that
// no two blocks add to the same place. The grid is (groups, columns / threads).
KERNEL scatter_add(const float* rows, const uint32* targets, const uint32* bounds, const uint32* order, int width,
                   float* out) {
    int i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= width) return;
    int64 at = (int64)targets[blockIdx.x] * width + i;
    float sum = out[at];
    for (uint32 row = bounds[blockIdx.x]; row < bounds[blockIdx.x + 1]; row++) sum += rows[(int64)order[row] * width + i];
    out[at] = sum;
}
