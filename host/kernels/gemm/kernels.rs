//! The tile kernels behind one trait: how large a tile is, how its factors are packed, and how it is multiplied.

#![allow(unsafe_code, reason = "raw pointers into matrices and packed blocks")]

use std::ops::Range;

use super::blocked::{Left, Right, Tile};
use super::{pack, tile};

#[cfg(target_arch = "x86_64")]
use super::blocked::Elements;
#[cfg(target_arch = "x86_64")]
use super::{pack_avx2, pack_avx512, tile_avx2, tile_avx512};

/// One way of multiplying.
pub(super) trait Kernel {
    /// Rows of a tile.
    const ROWS: usize;
    /// Columns of a tile, a multiple of 16.
    const COLUMNS: usize;
    /// Whether a unit holds two bf16 instead of one f32.
    const HALF: bool;
    /// Units of a packed block of `right` at most, so many that they stay in the second-level cache.
    const RIGHT_UNITS: usize;

    /// Packs rows of `left`: as `[ROWS][PITCH]` where its rows are contiguous, as `[units][ROWS]` where its columns are.
    ///
    /// # Safety
    /// `left` holds the ranges, `packed` a sliver of `ROWS · PITCH` units for each `ROWS` rows, and the processor has the instructions.
    unsafe fn left(left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32);

    /// Packs columns of `right` in slivers of `COLUMNS`, the last one of as many multiples of 16 as are needed, each `[units][width]`.
    ///
    /// # Safety
    /// `right` holds the ranges, `packed` the units times the columns rounded up to 16, and the processor has the instructions.
    unsafe fn right(right: &Right, terms: &Range<usize>, columns: &Range<usize>, packed: *mut u32);

    /// Multiplies one tile.
    ///
    /// # Safety
    /// The tile's pointers are valid, and the processor has the instructions.
    unsafe fn tile(tile: &Tile);
}

/// Without vector instructions of its own.
pub(super) struct Plain;

impl Kernel for Plain {
    const ROWS: usize = tile::ROWS;
    const COLUMNS: usize = tile::COLUMNS;
    const HALF: bool = false;
    const RIGHT_UNITS: usize = 64_000;

    unsafe fn left(left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32) {
        // SAFETY: passed on.
        unsafe { pack::left::<{ Self::ROWS }>(left, terms, rows, packed) }
    }

    unsafe fn right(right: &Right, terms: &Range<usize>, columns: &Range<usize>, packed: *mut u32) {
        // SAFETY: passed on.
        unsafe { pack::right::<{ Self::COLUMNS }>(right, terms, columns, packed) }
    }

    unsafe fn tile(tile: &Tile) {
        // SAFETY: passed on.
        unsafe { tile::single(tile) }
    }
}

/// 6 × 16 sums in 12 of the 16 registers of AVX2.
#[cfg(target_arch = "x86_64")]
pub(super) struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Kernel for Avx2 {
    const ROWS: usize = tile_avx2::ROWS;
    const COLUMNS: usize = tile_avx2::COLUMNS;
    const HALF: bool = false;
    // 300 kB: many processors of this level have 512 kB.
    const RIGHT_UNITS: usize = 75_000;

    unsafe fn left(left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32) {
        // SAFETY: passed on.
        unsafe { pack_avx2::left(left, terms, rows, packed) }
    }

    unsafe fn right(right: &Right, terms: &Range<usize>, columns: &Range<usize>, packed: *mut u32) {
        // SAFETY: passed on.
        unsafe {
            match right.elements {
                Elements::Nf4(_, false) => pack::right::<{ Self::COLUMNS }>(right, terms, columns, packed),
                _ => pack_avx2::right(right, terms, columns, packed),
            }
        }
    }

    unsafe fn tile(tile: &Tile) {
        // SAFETY: passed on.
        unsafe { tile_avx2::single(tile) }
    }
}

/// 8 × 48 sums in 24 of the 32 registers of AVX-512.
#[cfg(target_arch = "x86_64")]
pub(super) struct Avx512;

/// As [`Avx512`], with pairs of bf16.
#[cfg(target_arch = "x86_64")]
pub(super) struct Avx512Half;

/// Both kernels of AVX-512, which differ in what a unit holds.
#[cfg(target_arch = "x86_64")]
macro_rules! avx512 {
    ($name:ident, $half:literal, $unit:ident) => {
        impl Kernel for $name {
            const ROWS: usize = tile_avx512::ROWS;
            const COLUMNS: usize = tile_avx512::COLUMNS;
            const HALF: bool = $half;
            // 680 kB: processors of this level have at least 1 MB, with few exceptions.
            const RIGHT_UNITS: usize = 170_000;

            unsafe fn left(left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32) {
                // SAFETY: passed on.
                unsafe { pack_avx512::$unit::left(left, terms, rows, packed) }
            }

            unsafe fn right(right: &Right, terms: &Range<usize>, columns: &Range<usize>, packed: *mut u32) {
                // SAFETY: passed on.
                unsafe {
                    match right.elements {
                        Elements::Nf4(_, false) => pack::right::<{ Self::COLUMNS }>(right, terms, columns, packed),
                        _ => pack_avx512::$unit::right(right, terms, columns, packed),
                    }
                }
            }

            unsafe fn tile(tile: &Tile) {
                // SAFETY: passed on.
                unsafe { tile_avx512::$unit(tile) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
avx512!(Avx512, false, single);
#[cfg(target_arch = "x86_64")]
avx512!(Avx512Half, true, half);
