// Attention in single precision, for heads of at most 256 values; its twin, and the meaning of the numbers, is
// attention/plain.rs. A block of 8 warps has a tile of 16 rows of one head; each warp has two of them, and its lanes
// stand for 32 rows of the other side, then for the values of a head.
//
// `tiles` has three numbers a tile: its first row, and where its sequence starts and ends. `window` is 0 where there is none.

// A score under a soft cap, where there is one (`cap` above 0), and the derivative.
__device__ __forceinline__ float capped(float score, float cap) { return cap > 0.0f ? cap * tanhf(score / cap) : score; }
__device__ __forceinline__ float slope(float capped, float cap) {
    return cap > 0.0f ? 1.0f - capped / cap * (capped / cap) : 1.0f;
}

#define WARPS 8
#define OWN 2
#define OTHERS 32
#define PARTS 8

// Copies rows first..first + count of a head to rows `stride` apart in shared memory; rows from `end` on are zeros.
__device__ void copy_rows(float* to, int stride, const float* from, int width, int first, int count, int end, int dim) {
    for (int i = threadIdx.x; i < count * dim; i += blockDim.x) {
        int row = first + i / dim;
        to[i / dim * stride + i % dim] = row < end ? from[(int64)row * width + i % dim] : 0.0f;
    }
}

__device__ __forceinline__ float dot(const float* a, const float* b, int dim) {
    float sum = 0.0f;
    for (int d = 0; d < dim; d++) sum += a[d] * b[d];
    return sum;
}

// sums[d / 32] += Σ weights of lane j · rows[j][d], for this lane's values d.
__device__ __forceinline__ void add_rows(float sums[PARTS], float weight, const float* rows, int stride, int dim) {
    int lane = threadIdx.x % WARP;
    for (int j = 0; j < OTHERS; j++) {
        float w = __shfl_sync(ALL_LANES, weight, j);
#pragma unroll
        for (int part = 0; part < PARTS; part++)
            if (lane + part * WARP < dim) sums[part] += w * rows[j * stride + lane + part * WARP];
    }
}

// out[t, h] = Σ softmax(scale · q·k)·v, and lse[t, h], the logarithm of the softmax's denominator.
KERNEL attention(const float* fused, const uint32* tiles, int heads, int kv_heads, int dim, float scale, int window, float cap,
                 float* out, float* lse) {
    SHARED_MEMORY(float, memory);
    Tile tile = tile_of_block(tiles);
    int head = blockIdx.y, width = (heads + 2 * kv_heads) * dim, stride = dim + 1;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const float* key_rows = fused + (heads + head / (heads / kv_heads)) * dim;
    float *queries = memory, *keys = queries + WARPS * OWN * dim, *values = keys + OTHERS * stride;
    copy_rows(queries, dim, fused + head * dim, width, tile.first, WARPS * OWN, tile.end, dim);
    float sums[OWN][PARTS] = {}, greatest[OWN], total[OWN];
    for (int own = 0; own < OWN; own++) greatest[own] = NEGATIVE_INFINITY, total[own] = 0.0f;
    int last = min(tile.end, tile.first + WARPS * OWN);
    for (int key = first_key(tile.first, tile.start, window); key < last; key += OTHERS) {
        __syncthreads();
        copy_rows(keys, stride, key_rows, width, key, OTHERS, last, dim);
        copy_rows(values, stride, key_rows + kv_heads * dim, width, key, OTHERS, last, dim);
        __syncthreads();
#pragma unroll
        for (int own = 0; own < OWN; own++) {
            int row = tile.first + warp * OWN + own, other = key + lane;
            bool seen = other <= row && other >= first_key(row, tile.start, window) && other < last;
            float score = seen ? capped(scale * dot(queries + (warp * OWN + own) * dim, keys + lane * stride, dim), cap) : NEGATIVE_INFINITY;
            float top = fmaxf(greatest[own], warp_max(score));
            if (top == NEGATIVE_INFINITY) continue;  // the whole warp: nothing is seen yet
            float shrink = expf(greatest[own] - top), weight = expf(score - top);
            greatest[own] = top;
            total[own] = total[own] * shrink + warp_sum(weight);
#pragma unroll
            for (int part = 0; part < PARTS; part++) sums[own][part] *= shrink;
            add_rows(sums[own], weight, values, stride, dim);
        }
    }
#pragma unroll
    for (int own = 0; own < OWN; own++) {
        int row = tile.first + warp * OWN + own;
        if (row >= tile.end) continue;
        if (lane == 0) lse[(int64)row * heads + head] = greatest[own] + logf(total[own]);
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
            int d = lane + part * WARP;
            if (d < dim) out[((int64)row * heads + head) * dim + d] = sums[own][part] / total[own];
        }
    }
}

// delta[t, h] = gradient · out, one warp a row and head.
KERNEL attention_delta(const float* gradient, const float* out, int64 count, int dim, float* delta) {
    int64 at = (int64)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (at >= count) return;
    float sum = 0.0f;
    for (int d = threadIdx.x % WARP; d < dim; d += WARP) sum += gradient[at * dim + d] * out[at * dim + d];
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) delta[at] = sum;
}

// The gradient of the queries: Σ ds·k with ds = p·(dout·v − delta)·scale.
KERNEL attention_queries(const float* fused, const float* gradient, const float* lse, const float* delta,
                         const uint32* tiles, int heads, int kv_heads, int dim, float scale, int window, float cap, float* out) {
    SHARED_MEMORY(float, memory);
    Tile tile = tile_of_block(tiles);
    int head = blockIdx.y, width = (heads + 2 * kv_heads) * dim, stride = dim + 1;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const float* key_rows = fused + (heads + head / (heads / kv_heads)) * dim;
    float *queries = memory, *arriving = queries + WARPS * OWN * dim, *keys = arriving + WARPS * OWN * dim;
    float* values = keys + OTHERS * stride;
    copy_rows(queries, dim, fused + head * dim, width, tile.first, WARPS * OWN, tile.end, dim);
    copy_rows(arriving, dim, gradient + head * dim, heads * dim, tile.first, WARPS * OWN, tile.end, dim);
    float sums[OWN][PARTS] = {};
    int last = min(tile.end, tile.first + WARPS * OWN);
    for (int key = first_key(tile.first, tile.start, window); key < last; key += OTHERS) {
        __syncthreads();
        copy_rows(keys, stride, key_rows, width, key, OTHERS, last, dim);
        copy_rows(values, stride, key_rows + kv_heads * dim, width, key, OTHERS, last, dim);
        __syncthreads();
#pragma unroll
        for (int own = 0; own < OWN; own++) {
            int row = tile.first + warp * OWN + own, other = key + lane;
            float change = 0.0f;
            if (row < tile.end && other <= row && other >= first_key(row, tile.start, window)) {
                int64 at = (int64)row * heads + head;
                float score = capped(scale * dot(queries + (warp * OWN + own) * dim, keys + lane * stride, dim), cap);
                float p = expf(score - lse[at]);
                float dp = dot(arriving + (warp * OWN + own) * dim, values + lane * stride, dim);
                change = p * (dp - delta[at]) * scale * slope(score, cap);
            }
            add_rows(sums[own], change, keys, stride, dim);
        }
    }
#pragma unroll
    for (int own = 0; own < OWN; own++) {
        int row = tile.first + warp * OWN + own;
        if (row >= tile.end) continue;
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
            int d = lane + part * WARP;
            if (d < dim) out[(int64)row * width + head * dim + d] = sums[own][part];
        }
    }
}

// The gradients of keys and values: Σ ds·q and Σ p·dout over the queries that look at them, of all heads of the group. The tile
// is one of keys, `blockIdx.y` a head of them.
KERNEL attention_keys(const float* fused, const float* gradient, const float* lse, const float* delta, const uint32* tiles,
                      int heads, int kv_heads, int dim, float scale, int window, float cap, float* out) {
    SHARED_MEMORY(float, memory);
    Tile tile = tile_of_block(tiles);
    int kv_head = blockIdx.y, group = heads / kv_heads, width = (heads + 2 * kv_heads) * dim, stride = dim + 1;
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    float *keys = memory, *values = keys + WARPS * OWN * dim, *queries = values + WARPS * OWN * dim;
    float* arriving = queries + OTHERS * stride;
    const float* key_rows = fused + (heads + kv_head) * dim;
    copy_rows(keys, dim, key_rows, width, tile.first, WARPS * OWN, tile.end, dim);
    copy_rows(values, dim, key_rows + kv_heads * dim, width, tile.first, WARPS * OWN, tile.end, dim);
    float key_sums[OWN][PARTS] = {}, value_sums[OWN][PARTS] = {};
    // The last row of the tile is seen by `window` rows, itself included.
    int last = window > 0 ? min(tile.end, tile.first + WARPS * OWN - 1 + window) : tile.end;
    for (int head = kv_head * group; head < (kv_head + 1) * group; head++) {
        for (int query = tile.first; query < last; query += OTHERS) {
            __syncthreads();
            copy_rows(queries, stride, fused + head * dim, width, query, OTHERS, tile.end, dim);
            copy_rows(arriving, stride, gradient + head * dim, heads * dim, query, OTHERS, tile.end, dim);
            __syncthreads();
#pragma unroll
            for (int own = 0; own < OWN; own++) {
                int row = tile.first + warp * OWN + own, other = query + lane;
                float p = 0.0f, change = 0.0f;
                if (other < tile.end && row <= other && row >= first_key(other, tile.start, window)) {
                    int64 at = (int64)other * heads + head;
                    float score = capped(scale * dot(keys + (warp * OWN + own) * dim, queries + lane * stride, dim), cap);
                    p = expf(score - lse[at]);
                    float dp = dot(values + (warp * OWN + own) * dim, arriving + lane * stride, dim);
                    change = p * (dp - delta[at]) * scale * slope(score, cap);
                }
                add_rows(key_sums[own], change, queries, stride, dim);
                add_rows(value_sums[own], p, arriving, stride, dim);
            }
        }
    }
#pragma unroll
    for (int own = 0; own < OWN; own++) {
        int row = tile.first + warp * OWN + own;
        if (row >= tile.end) continue;
        float* to = out + (int64)row * width + (heads + kv_head) * dim;
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
            int d = lane + part * WARP;
            if (d >= dim) continue;
            to[d] = key_sums[own][part];
            to[kv_heads * dim + d] = value_sums[own][part];
        }
    }
}
