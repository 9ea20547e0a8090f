//! The tile kernel for AVX2: 6 × 16 sums in 12 registers; two hold columns, one a number of the left factor.

#![allow(unsafe_code, reason = "vector instructions and raw pointers into packed blocks")]

use std::arch::x86_64::*;

use super::blocked::Tile;

/// Rows of a tile.
pub(super) const ROWS: usize = 6;
/// Columns of a tile.
pub(super) const COLUMNS: usize = 16;
/// Units multiplied between two tests of the loop's end.
const UNROLLED: usize = 4;
/// How many units ahead numbers are fetched from the second-level cache.
const AHEAD: usize = 24;

/// Multiplies and adds f32.
///
/// # Safety
/// The tile's pointers are valid, and the processor has the instructions.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn single(tile: &Tile) {
    // SAFETY: passed on; the constants are the layouts that the packing writes.
    unsafe {
        match tile.by_units {
            false => by_shape::<false>(tile),
            true => by_shape::<true>(tile),
        }
    }
}

/// Tiles at the edges have fewer rows, and perhaps a single vector of columns.
///
/// # Safety
/// As for `single`.
#[target_feature(enable = "avx2,fma")]
unsafe fn by_shape<const BY_UNITS: bool>(tile: &Tile) {
    // SAFETY: passed on.
    unsafe {
        match (tile.rows, tile.columns > 8) {
            (5.., true) => kernel::<6, 2, BY_UNITS>(tile),
            (3.., true) => kernel::<4, 2, BY_UNITS>(tile),
            (_, true) => kernel::<2, 2, BY_UNITS>(tile),
            (5.., false) => kernel::<6, 1, BY_UNITS>(tile),
            (_, false) => kernel::<4, 1, BY_UNITS>(tile),
        }
    }
}

/// `R` rows times `V` vectors of columns.
///
/// # Safety
/// As for `single`.
#[target_feature(enable = "avx2,fma")]
unsafe fn kernel<const R: usize, const V: usize, const BY_UNITS: bool>(tile: &Tile) {
    let mut sums = [[_mm256_setzero_ps(); V]; R];
    // SAFETY: the slivers hold `units` units for 6 rows and for 16 columns; rows and columns of `out` inside the tile's extent exist,
    // and masked lanes are not touched.
    unsafe {
        // The outputs come from far while the sums are formed; the addresses are only hints and may lie outside.
        for row in 0..R {
            let out = tile.out.wrapping_add(row * tile.out_stride);
            _mm_prefetch::<_MM_HINT_T0>(out.cast());
            _mm_prefetch::<_MM_HINT_T0>(out.wrapping_add(COLUMNS - 1).cast());
        }
        let mut lefts: [*const f32; R] = std::array::from_fn(|row| match BY_UNITS {
            true => tile.left.add(row).cast(),
            false => tile.row(row).cast(),
        });
        let mut right = tile.right.cast::<f32>();
        let pace = if BY_UNITS { ROWS } else { 1 };
        let mut step = |lefts: &[*const f32; R], right: *const f32, unit: usize| {
            let columns: [__m256; V] = std::array::from_fn(|v| _mm256_loadu_ps(right.add(v * 8)));
            for (sums, left) in sums.iter_mut().zip(lefts) {
                let left = _mm256_broadcast_ss(&*left.add(unit * pace));
                for v in 0..V {
                    sums[v] = _mm256_fmadd_ps(left, columns[v], sums[v]);
                }
            }
        };
        for _ in 0..tile.units / UNROLLED {
            for unit in 0..UNROLLED {
                _mm_prefetch::<_MM_HINT_T0>(right.wrapping_add((unit + AHEAD) * COLUMNS).cast());
                step(&lefts, right.add(unit * COLUMNS), unit);
            }
            lefts = lefts.map(|left| left.add(UNROLLED * pace));
            right = right.add(UNROLLED * COLUMNS);
        }
        for unit in 0..tile.units % UNROLLED {
            step(&lefts, right.add(unit * COLUMNS), unit);
        }

        // Written here and not in a function of its own, which would put the sums into memory first.
        if tile.rows >= R && tile.columns == 8 * V {
            for (row, sums) in sums.iter().enumerate() {
                for (v, &sum) in sums.iter().enumerate() {
                    let out = tile.out.add(row * tile.out_stride + v * 8);
                    let value = if tile.accumulate { _mm256_add_ps(sum, _mm256_loadu_ps(out)) } else { sum };
                    _mm256_storeu_ps(out, value);
                }
            }
            return;
        }
        let masks: [__m256i; V] = std::array::from_fn(|v| mask8(tile.columns.saturating_sub(v * 8)));
        for (row, sums) in sums.iter().enumerate() {
            if row >= tile.rows {
                break;
            }
            for v in 0..V {
                let out = tile.out.wrapping_add(row * tile.out_stride + v * 8);
                let mut value = sums[v];
                if tile.accumulate {
                    value = _mm256_add_ps(value, _mm256_maskload_ps(out, masks[v]));
                }
                _mm256_maskstore_ps(out, masks[v], value);
            }
        }
    }
}

/// The first `count` of 8 lanes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn mask8(count: usize) -> __m256i {
    let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lanes)
}
