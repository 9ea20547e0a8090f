//! The tile kernel without vector instructions of its own.

#![allow(unsafe_code, reason = "raw pointers into packed blocks")]

use super::blocked::Tile;

/// Rows of a tile.
pub(super) const ROWS: usize = 8;
/// Columns of a tile.
pub(super) const COLUMNS: usize = 48;

/// Multiplies and adds f32.
///
/// # Safety
/// The tile's pointers are valid.
pub(super) unsafe fn single(tile: &Tile) {
    let (row_step, unit_step) = if tile.by_units { (1, ROWS) } else { (tile.row_step, 1) };
    for row in 0..tile.rows {
        let mut sums = [0f32; COLUMNS];
        // SAFETY: the slivers hold `units` units for eight rows and for `width` columns.
        unsafe {
            for unit in 0..tile.units {
                let left = f32::from_bits(*tile.left.add(row * row_step + unit * unit_step));
                let right = tile.right.add(unit * tile.width);
                for (column, sum) in sums[..tile.columns].iter_mut().enumerate() {
                    *sum += left * f32::from_bits(*right.add(column));
                }
            }
            store(tile, row, &sums);
        }
    }
}

/// Writes or adds one row of sums, times their column's scale.
///
/// # Safety
/// As for `single`.
#[inline]
pub(super) unsafe fn store(tile: &Tile, row: usize, sums: &[f32]) {
    for (column, sum) in sums.iter().enumerate().take(tile.columns) {
        // SAFETY: row and column lie in the tile's extent.
        unsafe {
            let out = tile.out.add(row * tile.out_stride + column);
            *out = sum + if tile.accumulate { *out } else { 0.0 };
        }
    }
}
