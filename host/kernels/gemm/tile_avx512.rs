//! Tile kernels for AVX-512: 8 × 48 sums in 24 registers, in f32 and in pairs of bf16.

#![allow(unsafe_code, reason = "vector instructions and raw pointers into packed blocks")]

use std::arch::x86_64::*;

use super::blocked::Tile;

/// Rows of a tile.
pub(super) const ROWS: usize = 8;
/// Columns of a tile; the last sliver of a block may have 16 or 32.
pub(super) const COLUMNS: usize = 48;
/// How many units ahead numbers are fetched from the second-level cache.
const AHEAD: usize = 16;

/// Generates a dispatching function and its kernel for one kind of multiplication.
macro_rules! kernels {
    ($(#[$doc:meta])* $dispatch:ident, $kernel:ident, $features:literal, |$sum:ident, $left:ident, $right:ident| $step:expr) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The tile's pointers are valid, and the processor has the instructions.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $dispatch(tile: &Tile) {
            // SAFETY: passed on; the constants are the layouts that the packing writes.
            unsafe {
                match (tile.by_units, tile.columns.div_ceil(16)) {
                    (false, 1) => $kernel::<1, false>(tile),
                    (false, 2) => $kernel::<2, false>(tile),
                    (false, _) => $kernel::<3, false>(tile),
                    (true, 1) => $kernel::<1, true>(tile),
                    (true, 2) => $kernel::<2, true>(tile),
                    (true, _) => $kernel::<3, true>(tile),
                }
            }
        }

        /// `V` vectors of columns.
        #[target_feature(enable = $features)]
        unsafe fn $kernel<const V: usize, const BY_UNITS: bool>(tile: &Tile) {
            let mut sums = [[_mm512_setzero_ps(); V]; ROWS];
            // SAFETY: the slivers hold `units` units for 8 rows and for at least 16 · V columns; rows and columns of `out` inside the
            // tile's extent exist, and masked lanes are not touched.
            unsafe {
                // The outputs come from far while the sums are formed; the addresses are only hints and may lie outside.
                for row in 0..ROWS {
                    for v in 0..V {
                        let out = tile.out.wrapping_add(row * tile.out_stride + v * 16);
                        _mm_prefetch::<_MM_HINT_ET0>(out.cast());
                    }
                }
                let lefts: [*const u32; ROWS] = std::array::from_fn(|row| tile.row(row));
                for unit in 0..tile.units {
                    for v in 0..V {
                        let next = tile.right.wrapping_add((unit + AHEAD) * tile.width + v * 16);
                        _mm_prefetch::<_MM_HINT_T0>(next.cast());
                    }
                    let columns: [__m512; V] =
                        std::array::from_fn(|v| _mm512_loadu_ps(tile.right.add(unit * tile.width + v * 16).cast()));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let $left = _mm512_set1_ps(match BY_UNITS {
                            true => tile.left.add(unit * ROWS + row).cast::<f32>().read(),
                            false => lefts[row].add(unit).cast::<f32>().read(),
                        });
                        for v in 0..V {
                            let ($sum, $right) = (sums[v], columns[v]);
                            sums[v] = $step;
                        }
                    }
                }

                // Written here and not in a function of its own, which would put the sums into memory first.
                let masks: [__mmask16; V] = std::array::from_fn(|v| mask16(tile.columns.saturating_sub(v * 16)));
                let whole = tile.rows == ROWS && tile.columns == 16 * V;
                if whole && tile.accumulate {
                    for (row, sums) in sums.iter().enumerate() {
                        for v in 0..V {
                            let out = tile.out.add(row * tile.out_stride + v * 16);
                            _mm512_storeu_ps(out, _mm512_add_ps(sums[v], _mm512_loadu_ps(out)));
                        }
                    }
                } else if whole {
                    for (row, sums) in sums.iter().enumerate() {
                        for v in 0..V {
                            let out = tile.out.add(row * tile.out_stride + v * 16);
                            _mm512_storeu_ps(out, sums[v]);
                        }
                    }
                } else {
                    for (row, sums) in sums.iter().enumerate() {
                        if row >= tile.rows {
                            break;
                        }
                        for v in 0..V {
                            let out = tile.out.wrapping_add(row * tile.out_stride + v * 16);
                            let mut value = sums[v];
                            if tile.accumulate {
                                value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(masks[v], out));
                            }
                            _mm512_mask_storeu_ps(out, masks[v], value);
                        }
                    }
                }
            }
        }
    };
}

kernels! {
    /// Multiplies and adds f32.
    single, single_kernel, "avx512f,avx512bw,avx512dq,avx512vl",
    |sum, left, right| _mm512_fmadd_ps(left, right, sum)
}

kernels! {
    /// Multiplies pairs of bf16 and adds them in f32.
    half, half_kernel, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16",
    |sum, left, right| _mm512_dpbf16_ps(sum, bf16(right), bf16(left))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn bf16(pairs: __m512) -> __m512bh {
    // SAFETY: both are 64 bytes without further meaning.
    unsafe { std::mem::transmute::<__m512, __m512bh>(pairs) }
}

/// The first `count` of 16 lanes.
#[inline]
fn mask16(count: usize) -> __mmask16 {
    if count >= 16 { u16::MAX } else { (1 << count) - 1 }
}
