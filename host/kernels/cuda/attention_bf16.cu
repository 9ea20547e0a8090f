// Attention with products in bf16 on the tensor cores; sums and softmax are f32. Its twin is attention/plain.rs. HEAD, the values of
// a head, is defined before this text: 64, 96 or 128.
// No matrix of scores exists: a block has a tile of rows of one head, and walks over the tiles of the
// other side (Dao et al. 2022). Queries and keys have a backward pass each, which computes the scores once more but adds to
// nothing that another block adds to: the same numbers come out each time.
//
// `tiles` has three numbers a tile: its first row, and where its sequence starts and ends. `window` is 0 where there is none;
// `width` is the distance of two rows of `fused`, `gradient_width` that of two rows of `gradient`.
// The fragments of a warp lie as PTX says of mma.m16n8k16: lane l holds, of a result, the rows l / 4 and l / 4 + 8 and the
// columns 2 · (l % 4) and the next.

// Forward, a warp has STRIPS times 16 queries and walks over KEYS keys at a time; backward, over OTHERS rows: as many as the
// registers allow (see check.sh). attention.rs knows these numbers too.
#define THREADS 128
#define LOG2_E 1.4426950408889634f
#define LN_2 0.6931471805599453f

// Rows in shared memory are 16 bytes longer than they need be, so that the rows of a matrix lie in different banks.
template <int Dim>
struct Shape {
    static constexpr int stride = Dim + 8;
    static constexpr int steps = Dim / 16;
    static constexpr int columns = Dim / 8;
};

// Starts to copy `Rows` rows of a head from row `first` on; those from `end` on become zeros.
template <int Dim, int Rows>
__device__ __forceinline__ void copy_tile(bf16* to, const bf16* from, int width, int first, int end) {
    constexpr int pieces = Dim / 8;
#pragma unroll
    for (int i = 0; i < Rows * pieces / THREADS; i++) {
        int piece = i * THREADS + threadIdx.x, row = piece / pieces, column = piece % pieces * 8;
        bool present = first + row < end;
        const bf16* source = from + (int64)(present ? first + row : first) * width + column;
        copy_16(to + row * Shape<Dim>::stride + column, source, present);
    }
}

// A 16×16 piece of row-major rows as the left factor.
__device__ __forceinline__ void load_left(uint32 out[4], const bf16* piece, int stride) {
    int lane = threadIdx.x % WARP;
    load_matrices(out, piece + (lane / 8 % 2 * 8 + lane % 8) * stride + lane / 16 * 8);
}

// Sixteen rows of 16 values as the right factor whose columns they are: out[0], out[1] for the first eight.
__device__ __forceinline__ void load_columns(uint32 out[4], const bf16* piece, int stride) {
    int lane = threadIdx.x % WARP;
    load_matrices(out, piece + (lane / 16 * 8 + lane % 8) * stride + lane / 8 % 2 * 8);
}

// A 16×16 piece of row-major rows as the right factor itself: out[0], out[1] for the first eight columns.
__device__ __forceinline__ void load_right(uint32 out[4], const bf16* piece, int stride) {
    int lane = threadIdx.x % WARP;
    load_matrices_turned(out, piece + (lane / 8 % 2 * 8 + lane % 8) * stride + lane / 16 * 8);
}

// Two neighbouring results as the left factor of the next product.
__device__ __forceinline__ void as_left(uint32 out[4], const float a[4], const float b[4]) {
    out[0] = narrow_pair(a[0], a[1]);
    out[1] = narrow_pair(a[2], a[3]);
    out[2] = narrow_pair(b[0], b[1]);
    out[3] = narrow_pair(b[2], b[3]);
}

// out [16, 8 · Columns] = left [16, Dim] · rightᵀ, both rows of heads in shared memory.
template <int Dim, int Columns>
__device__ __forceinline__ void multiply_rows(float out[Columns][4], const bf16* left, const bf16* right) {
    constexpr int stride = Shape<Dim>::stride;
#pragma unroll
    for (int column = 0; column < Columns; column++) out[column][0] = out[column][1] = out[column][2] = out[column][3] = 0.0f;
#pragma unroll
    for (int step = 0; step < Shape<Dim>::steps; step++) {
        uint32 a[4], b[4];
        load_left(a, left + step * 16, stride);
#pragma unroll
        for (int column = 0; column < Columns; column += 2) {
            load_columns(b, right + column * 8 * stride + step * 16, stride);
            multiply_add(out[column], a, b[0], b[1]);
            multiply_add(out[column + 1], a, b[2], b[3]);
        }
    }
}

// out [16, Dim] += left [16, 8 · Columns] · right, the left factor being results of this warp, the right one rows of a head.
template <int Dim, int Columns>
__device__ __forceinline__ void add_product(float out[Dim / 8][4], const float left[Columns][4], const bf16* right) {
    constexpr int stride = Shape<Dim>::stride;
#pragma unroll
    for (int step = 0; step < Columns / 2; step++) {
        uint32 a[4], b[4];
        as_left(a, left[2 * step], left[2 * step + 1]);
#pragma unroll
        for (int column = 0; column < Shape<Dim>::columns; column += 2) {
            load_right(b, right + step * 16 * stride + column * 8, stride);
            multiply_add(out[column], a, b[0], b[1]);
            multiply_add(out[column + 1], a, b[2], b[3]);
        }
    }
}

// Queries of a warp: `Strips` times 16. With two, each piece of keys and values that is read serves twice as many products.
template <int Dim, int Strips, int Keys>
__device__ __forceinline__ void forward(const bf16* fused, const uint32* tiles, int width, int heads, int kv_heads,
                                        float scale, int window, float* out, float* lse, bf16* half, int half_stride) {
    constexpr int queries_of_tile = 64 * Strips, stride = Shape<Dim>::stride, columns = Shape<Dim>::columns;
    constexpr int results = Keys / 8;
    SHARED_MEMORY(bf16, memory);
    bf16 *queries = memory, *keys = queries + queries_of_tile * stride, *values = keys + Keys * stride;
    Tile tile = tile_of_block(tiles);
    int head = blockIdx.y, lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const bf16* key_rows = fused + (heads + head / (heads / kv_heads)) * Dim;
    const bf16* value_rows = key_rows + kv_heads * Dim;
    int first = first_key(tile.first, tile.start, window), last = min(tile.end, tile.first + queries_of_tile);
    float base = scale * LOG2_E;
    copy_tile<Dim, queries_of_tile>(queries, fused + head * Dim, width, tile.first, tile.end);
    copy_tile<Dim, Keys>(keys, key_rows, width, first, last);
    close_copies();
    copy_tile<Dim, Keys>(values, value_rows, width, first, last);
    close_copies();
    float sums[Strips][columns][4] = {}, greatest[Strips][2], total[Strips][2];
#pragma unroll
    for (int strip = 0; strip < Strips; strip++) {
        greatest[strip][0] = greatest[strip][1] = NEGATIVE_INFINITY;
        total[strip][0] = total[strip][1] = 0.0f;
    }
    int own = warp * 16 * Strips;
    for (int key = first; key < last; key += Keys) {
        await_copies<1>();
        __syncthreads();
        float scores[Strips][results][4] = {};
#pragma unroll
        for (int step = 0; step < Shape<Dim>::steps; step++) {
            uint32 a[Strips][4], b[4];
#pragma unroll
            for (int strip = 0; strip < Strips; strip++)
                load_left(a[strip], queries + (own + strip * 16) * stride + step * 16, stride);
#pragma unroll
            for (int column = 0; column < results; column += 2) {
                load_columns(b, keys + column * 8 * stride + step * 16, stride);
#pragma unroll
                for (int strip = 0; strip < Strips; strip++) {
                    multiply_add(scores[strip][column], a[strip], b[0], b[1]);
                    multiply_add(scores[strip][column + 1], a[strip], b[2], b[3]);
                }
            }
        }
        __syncthreads();
        if (key + Keys < last) copy_tile<Dim, Keys>(keys, key_rows, width, key + Keys, last);
        close_copies();
        // Only tiles at the diagonal or at the window's edge hide anything.
        bool edge = key + Keys - 1 > tile.first + own ||
                    (window > 0 && key < first_key(tile.first + own + 16 * Strips - 1, tile.start, window));
#pragma unroll
        for (int strip = 0; strip < Strips; strip++) {
#pragma unroll
            for (int side = 0; side < 2; side++) {
                int row = tile.first + own + strip * 16 + side * 8 + lane / 4;
                int least = first_key(row, tile.start, window);
                float top = greatest[strip][side];
#pragma unroll
                for (int column = 0; column < results; column++) {
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        int other = key + column * 8 + lane % 4 * 2 + i;
                        float score = scores[strip][column][2 * side + i] * base;
                        if (edge && (other > row || other < least)) score = NEGATIVE_INFINITY;
                        scores[strip][column][2 * side + i] = score;
                        top = fmaxf(top, score);
                    }
                }
                top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 1));
                top = fmaxf(top, __shfl_xor_sync(ALL_LANES, top, 2));
                float origin = top == NEGATIVE_INFINITY ? 0.0f : top;
                float shrink = power_of_two(greatest[strip][side] - origin), sum = 0.0f;
                greatest[strip][side] = top;
#pragma unroll
                for (int column = 0; column < results; column++) {
#pragma unroll
                    for (int i = 0; i < 2; i++) {
                        float weight = power_of_two(scores[strip][column][2 * side + i] - origin);
                        scores[strip][column][2 * side + i] = weight;
                        sum += weight;
                    }
                }
                total[strip][side] = total[strip][side] * shrink + sum;
#pragma unroll
                for (int column = 0; column < columns; column++) {
                    sums[strip][column][2 * side] *= shrink;
                    sums[strip][column][2 * side + 1] *= shrink;
                }
            }
        }
        await_copies<1>();
        __syncthreads();
#pragma unroll
        for (int step = 0; step < results / 2; step++) {
            uint32 a[Strips][4], b[4];
#pragma unroll
            for (int strip = 0; strip < Strips; strip++)
                as_left(a[strip], scores[strip][2 * step], scores[strip][2 * step + 1]);
#pragma unroll
            for (int column = 0; column < columns; column += 2) {
                load_right(b, values + step * 16 * stride + column * 8, stride);
#pragma unroll
                for (int strip = 0; strip < Strips; strip++) {
                    multiply_add(sums[strip][column], a[strip], b[0], b[1]);
                    multiply_add(sums[strip][column + 1], a[strip], b[2], b[3]);
                }
            }
        }
        __syncthreads();
        if (key + Keys < last) copy_tile<Dim, Keys>(values, value_rows, width, key + Keys, last);
        close_copies();
    }
#pragma unroll
    for (int strip = 0; strip < Strips; strip++) {
#pragma unroll
        for (int side = 0; side < 2; side++) {
            float whole = total[strip][side];
            whole += __shfl_xor_sync(ALL_LANES, whole, 1);
            whole += __shfl_xor_sync(ALL_LANES, whole, 2);
            int row = tile.first + own + strip * 16 + side * 8 + lane / 4;
            if (row >= tile.end) continue;
            if (lane % 4 == 0) lse[(int64)row * heads + head] = greatest[strip][side] * LN_2 + logf(whole);
            int64 at = ((int64)row * heads + head) * Dim + lane % 4 * 2;
            int64 half_at = (int64)row * half_stride + head * Dim + lane % 4 * 2;
#pragma unroll
            for (int column = 0; column < columns; column++) {
                float low = sums[strip][column][2 * side] / whole, high = sums[strip][column][2 * side + 1] / whole;
                *(float2*)(out + at + column * 8) = make_float2(low, high);
                if (half) *(uint32*)(half + half_at + column * 8) = narrow_pair(low, high);
            }
        }
    }
}

// The gradient of the queries: Σ ds·k with ds = p·(dout·v − delta)·scale.
template <int Dim, int Keys>
__device__ __forceinline__ void backward_queries(const bf16* fused, const bf16* gradient, const float* lse, const float* delta,
                                                 const uint32* tiles, int width, int gradient_width, int heads,
                                                 int kv_heads, float scale, int window, float* out) {
    constexpr int rows = 64, stride = Shape<Dim>::stride, columns = Shape<Dim>::columns, results = Keys / 8;
    SHARED_MEMORY(bf16, memory);
    bf16 *queries = memory, *arriving = queries + rows * stride, *keys = arriving + rows * stride;
    bf16* values = keys + Keys * stride;
    Tile tile = tile_of_block(tiles);
    int head = blockIdx.y, lane = threadIdx.x % WARP, own = threadIdx.x / WARP * 16;
    const bf16* key_rows = fused + (heads + head / (heads / kv_heads)) * Dim;
    int first = first_key(tile.first, tile.start, window), last = min(tile.end, tile.first + rows);
    copy_tile<Dim, rows>(queries, fused + head * Dim, width, tile.first, tile.end);
    copy_tile<Dim, rows>(arriving, gradient + head * Dim, gradient_width, tile.first, tile.end);
    float sums[columns][4] = {}, log_sum[2], shift[2];
#pragma unroll
    for (int side = 0; side < 2; side++) {
        int64 at = (int64)min(tile.first + own + side * 8 + lane / 4, tile.end - 1) * heads + head;
        log_sum[side] = lse[at] * LOG2_E;
        shift[side] = delta[at];
    }
    for (int key = first; key < last; key += Keys) {
        copy_tile<Dim, Keys>(keys, key_rows, width, key, last);
        copy_tile<Dim, Keys>(values, key_rows + kv_heads * Dim, width, key, last);
        close_copies();
        await_copies<0>();
        __syncthreads();
        float scores[results][4], change[results][4];
        multiply_rows<Dim, results>(scores, queries + own * stride, keys);
        multiply_rows<Dim, results>(change, arriving + own * stride, values);
#pragma unroll
        for (int column = 0; column < results; column++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int row = tile.first + own + i / 2 * 8 + lane / 4, other = key + column * 8 + lane % 4 * 2 + i % 2;
                bool seen = other <= row && other >= first_key(row, tile.start, window) && row < tile.end;
                float p = seen ? power_of_two(scores[column][i] * (scale * LOG2_E) - log_sum[i / 2]) : 0.0f;
                change[column][i] = p * (change[column][i] - shift[i / 2]) * scale;
            }
        }
        add_product<Dim, results>(sums, change, keys);
        __syncthreads();
    }
#pragma unroll
    for (int side = 0; side < 2; side++) {
        int row = tile.first + own + side * 8 + lane / 4;
        if (row >= tile.end) continue;
        float* to = out + (int64)row * (heads + 2 * kv_heads) * Dim + head * Dim + lane % 4 * 2;
#pragma unroll
        for (int column = 0; column < columns; column++)
            *(float2*)(to + column * 8) = make_float2(sums[column][2 * side], sums[column][2 * side + 1]);
    }
}

// The gradients of keys and values: Σ ds·q and Σ p·dout over the queries that look at them, of all heads of the group. The tile is
// one of keys, `blockIdx.y` a head of them; scores are computed transposed, a row a key.
template <int Dim, int Queries>
__device__ __forceinline__ void backward_keys(const bf16* fused, const bf16* gradient, const float* lse, const float* delta,
                                              const uint32* tiles, int width, int gradient_width, int heads,
                                              int kv_heads, float scale, int window, float* out) {
    constexpr int rows = 64, stride = Shape<Dim>::stride, columns = Shape<Dim>::columns, results = Queries / 8;
    SHARED_MEMORY(bf16, memory);
    bf16 *keys = memory, *values = keys + rows * stride, *queries = values + rows * stride;
    bf16* arriving = queries + Queries * stride;
    float *log_sums = (float*)(arriving + Queries * stride), *shifts = log_sums + Queries;
    Tile tile = tile_of_block(tiles);
    int kv_head = blockIdx.y, group = heads / kv_heads;
    int lane = threadIdx.x % WARP, own = threadIdx.x / WARP * 16;
    const bf16* key_rows = fused + (heads + kv_head) * Dim;
    copy_tile<Dim, rows>(keys, key_rows, width, tile.first, tile.end);
    copy_tile<Dim, rows>(values, key_rows + kv_heads * Dim, width, tile.first, tile.end);
    float key_sums[columns][4] = {}, value_sums[columns][4] = {};
    // The last row of the tile is seen by `window` rows, itself included.
    int last = window > 0 ? min(tile.end, tile.first + rows - 1 + window) : tile.end;
    for (int head = kv_head * group; head < (kv_head + 1) * group; head++) {
        for (int query = tile.first; query < last; query += Queries) {
            copy_tile<Dim, Queries>(queries, fused + head * Dim, width, query, tile.end);
            copy_tile<Dim, Queries>(arriving, gradient + head * Dim, gradient_width, query, tile.end);
            close_copies();
            if (threadIdx.x < Queries) {
                int64 at = (int64)min(query + (int)threadIdx.x, tile.end - 1) * heads + head;
                log_sums[threadIdx.x] = lse[at] * LOG2_E;
                shifts[threadIdx.x] = delta[at];
            }
            await_copies<0>();
            __syncthreads();
            float scores[results][4], change[results][4];
            multiply_rows<Dim, results>(scores, keys + own * stride, queries);
            multiply_rows<Dim, results>(change, values + own * stride, arriving);
#pragma unroll
            for (int column = 0; column < results; column++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    int row = tile.first + own + i / 2 * 8 + lane / 4, at = column * 8 + lane % 4 * 2 + i % 2;
                    int other = query + at;
                    bool seen = row <= other && row >= first_key(other, tile.start, window) && other < tile.end;
                    float p = seen ? power_of_two(scores[column][i] * (scale * LOG2_E) - log_sums[at]) : 0.0f;
                    scores[column][i] = p;
                    change[column][i] = p * (change[column][i] - shifts[at]) * scale;
                }
            }
            add_product<Dim, results>(value_sums, scores, arriving);
            add_product<Dim, results>(key_sums, change, queries);
            __syncthreads();
        }
    }
#pragma unroll
    for (int side = 0; side < 2; side++) {
        int row = tile.first + own + side * 8 + lane / 4;
        if (row >= tile.end) continue;
        float* to = out + (int64)row * (heads + 2 * kv_heads) * Dim + (heads + kv_head) * Dim + lane % 4 * 2;
#pragma unroll
        for (int column = 0; column < columns; column++) {
            *(float2*)(to + column * 8) = make_float2(key_sums[column][2 * side], key_sums[column][2 * side + 1]);
            *(float2*)(to + kv_heads * Dim + column * 8) =
                make_float2(value_sums[column][2 * side], value_sums[column][2 * side + 1]);
        }
    }
}

#if HEAD == 64
#define STRIPS 2
#define KEYS 64
#elif HEAD == 96
#define STRIPS 2
#define KEYS 32
#elif HEAD == 128
#define STRIPS 1
#define KEYS 64
#endif
#define OTHERS 32

KERNEL __launch_bounds__(THREADS) attention_bf16(const bf16* fused, const uint32* tiles, int width, int heads, int kv_heads,
                                                 float scale, int window, float* out, float* lse, bf16* half,
                                                 int half_stride) {
    forward<HEAD, STRIPS, KEYS>(fused, tiles, width, heads, kv_heads, scale, window, out, lse, half, half_stride);
}

KERNEL __launch_bounds__(THREADS) attention_queries_bf16(const bf16* fused, const bf16* gradient, const float* lse,
                                                         const float* delta, const uint32* tiles, int width,
                                                         int gradient_width, int heads, int kv_heads, float scale,
                                                         int window, float* out) {
    backward_queries<HEAD, OTHERS>(fused, gradient, lse, delta, tiles, width, gradient_width, heads, kv_heads, scale, window,
                                   out);
}

KERNEL __launch_bounds__(THREADS) attention_keys_bf16(const bf16* fused, const bf16* gradient, const float* lse,
                                                      const float* delta, const uint32* tiles, int width,
                                                      int gradient_width, int heads, int kv_heads, float scale, int window,
                                                      float* out) {
    backward_keys<HEAD, OTHERS>(fused, gradient, lse, delta, tiles, width, gradient_width, heads, kv_heads, scale, window, out);
}
