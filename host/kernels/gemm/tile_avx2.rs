//! The tile kernel for AVX2: parts of 4 × 24 (or 4 × 16) sums in registers.

#![allow(unsafe_code, reason = "vector instructions and raw pointers into packed blocks")]

use std::arch::x86_64::*;

use super::blocked::{PITCH, TILE_COLUMNS, TILE_ROWS, Tile};
use super::tile::store;

/// Rows of a part.
const ROWS: usize = 4;

/// Multiplies and adds f32.
///
/// # Safety
/// The tile's pointers are valid, and the processor has the instructions.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn single(tile: &Tile) {
    let mut sums = [[0f32; TILE_COLUMNS]; TILE_ROWS];
    // SAFETY: the parts lie within the slivers, which hold eight rows and `width` columns.
    unsafe {
        for row in (0..tile.rows).step_by(ROWS) {
            match tile.width {
                16 => part::<2>(tile, row, 0, &mut sums),
                32 => {
                    part::<2>(tile, row, 0, &mut sums);
                    part::<2>(tile, row, 16, &mut sums);
                }
                _ => {
                    part::<3>(tile, row, 0, &mut sums);
                    part::<3>(tile, row, 24, &mut sums);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate().take(tile.rows) {
            store(tile, row, sums);
        }
    }
}

/// Four rows times `V` vectors of columns.
///
/// # Safety
/// As for `single`.
#[target_feature(enable = "avx2,fma")]
unsafe fn part<const V: usize>(tile: &Tile, row: usize, column: usize, out: &mut [[f32; TILE_COLUMNS]; TILE_ROWS]) {
    let (row_step, unit_step) = if tile.by_units { (1, TILE_ROWS) } else { (PITCH, 1) };
    let mut sums = [[_mm256_setzero_ps(); V]; ROWS];
    // SAFETY: rows, units and columns lie within the slivers and within `out`.
    unsafe {
        for unit in 0..tile.units {
            let from = tile.right.add(unit * tile.width + column);
            let columns: [__m256; V] = std::array::from_fn(|v| _mm256_loadu_ps(from.add(v * 8).cast()));
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = _mm256_set1_ps(tile.left.add((row + i) * row_step + unit * unit_step).cast::<f32>().read());
                for v in 0..V {
                    sums[v] = _mm256_fmadd_ps(left, columns[v], sums[v]);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (v, sums) in sums.iter().enumerate() {
                _mm256_storeu_ps(out[row + i].as_mut_ptr().add(column + v * 8), *sums);
            }
        }
    }
}
