//! The blocked matrix product `out (+)= left · right`, which all three layouts come down to.
//!
//! The output is cut into rectangles, one task each (never the sum over the terms, so that no result depends on the number of
//! threads). A task walks over blocks of terms and columns: it packs a block of `right` into slivers of 48 columns that stay in
//! the second-level cache, then packs `left` in slivers of 8 rows and hands both to a tile kernel that keeps 8 × 48 sums in
//! registers. Packing also converts: to f32, or to pairs of bf16, and quantised weights are only ever expanded there.
//!
//! A packed *unit* has 32 bits: one f32, or the bf16 values of two consecutive terms.

#![allow(unsafe_code, reason = "tasks write disjoint rectangles of one matrix through a pointer")]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::instructions::Instructions;
use super::{pack, tile};
#[cfg(target_arch = "x86_64")]
use super::{pack_avx512, tile_avx2, tile_avx512};
use crate::nf4::Nf4Matrix;
use crate::quantise::{BLOCK, Step};

/// Rows of a tile.
pub(super) const TILE_ROWS: usize = 8;
/// Columns of a tile; the last sliver of a block may have 16 or 32.
pub(super) const TILE_COLUMNS: usize = 48;
/// Units of a block of terms at most.
const BLOCK_UNITS: usize = 576;
/// Distance between the rows of a packed sliver of `left` in units; no power of two, which would crowd a few cache sets.
pub(super) const PITCH: usize = BLOCK_UNITS + 16;
/// Units of a sliver of `left`.
pub(super) const SLIVER: usize = TILE_ROWS * PITCH;
/// Rows of `left` packed at a time.
const BLOCK_ROWS: usize = 64;
/// Units of a packed block of `right` at most: 680 kB, the greater part of a second-level cache.
const RIGHT_UNITS: usize = 170_000;
/// Products with fewer multiplications than this run on the calling thread.
const SERIAL: usize = 1 << 20;

/// Where a matrix begins and how its numbers are stored.
#[derive(Clone, Copy)]
pub(super) enum Elements {
    F32(*const f32),
    Bf16(*const u16),
    F16(*const u16),
    /// Numbers, one step for each [`BLOCK`] of a stored row, and the steps of a row.
    Int8(*const i8, *const Step, usize),
    /// A matrix, and whether no vector of 16 or 32 values that begins at a multiple of its length straddles two blocks.
    Nf4(*const Nf4Matrix, bool),
}

/// The left factor, `[rows, terms]`.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub values: *const f32,
    pub stride: usize,
    /// Whether it is stored as `[terms, rows]`.
    pub transposed: bool,
}

/// The right factor, `[terms, columns]`.
#[derive(Clone, Copy)]
pub(super) struct Right {
    pub elements: Elements,
    pub stride: usize,
    /// Whether it is stored as `[columns, terms]`.
    pub transposed: bool,
}

/// `out (+)= left · right`.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub rows: usize,
    pub columns: usize,
    pub terms: usize,
    pub left: Left,
    pub right: Right,
    pub out: *mut f32,
    pub out_stride: usize,
    pub accumulate: bool,
    /// Whether factors are rounded to bf16; only with [`Instructions::Avx512Bf16`].
    pub half: bool,
    pub instructions: Instructions,
}

// SAFETY: the pointers stand for borrows that outlive the call, and tasks write disjoint rectangles of `out`.
unsafe impl Send for Product {}
// SAFETY: as above.
unsafe impl Sync for Product {}

/// One tile: where its factors are packed and where its sums go.
pub(super) struct Tile {
    /// Packed sliver of `left`.
    pub left: *const u32,
    /// Whether that sliver is `[units][8]` instead of `[8][PITCH]`.
    pub by_units: bool,
    /// Packed sliver of `right`, `[units][width]`.
    pub right: *const u32,
    /// 16, 32 or 48.
    pub width: usize,
    pub units: usize,
    pub out: *mut f32,
    pub out_stride: usize,
    /// Rows and columns of the tile that exist in `out`.
    pub rows: usize,
    pub columns: usize,
    pub accumulate: bool,
}

impl Product {
    /// Computes the product, in parallel when it is large enough.
    ///
    /// # Safety
    /// The pointers are valid for the shapes and strides given, nothing else touches `out` meanwhile, and the processor has
    /// `instructions`.
    pub(super) unsafe fn run(&self) {
        let threads = rayon::current_num_threads();
        if threads == 1 || self.rows * self.columns * self.terms.max(1) < SERIAL {
            // SAFETY: passed on.
            return unsafe { self.block(0..self.rows, 0..self.columns) };
        }
        // Columns are cut first: what a task must pack again is then only `left`, the cheaper side.
        let tasks = 2 * threads;
        let column_step = step(self.columns, tasks, TILE_COLUMNS, 2 * TILE_COLUMNS);
        let column_tasks = self.columns.div_ceil(column_step);
        let row_step = step(self.rows, tasks.div_ceil(column_tasks), TILE_ROWS, 4 * TILE_ROWS);
        let row_tasks = self.rows.div_ceil(row_step);
        (0..row_tasks * column_tasks).into_par_iter().with_max_len(1).for_each(|task| {
            let (row, column) = (task / column_tasks * row_step, task % column_tasks * column_step);
            let rows = row..self.rows.min(row + row_step);
            // SAFETY: passed on; the tasks' rectangles are disjoint.
            unsafe { self.block(rows, column..self.columns.min(column + column_step)) }
        });
    }

    /// Computes one rectangle of the output on this thread.
    ///
    /// # Safety
    /// As for `run`.
    pub(super) unsafe fn block(&self, rows: Range<usize>, columns: Range<usize>) {
        let per_unit = if self.half { 2 } else { 1 };
        let blocks = self.terms.div_ceil(BLOCK_UNITS * per_unit).max(1);
        let term_step = self.terms.div_ceil(blocks).next_multiple_of(BLOCK).max(BLOCK);
        let units = term_step.min(self.terms).div_ceil(per_unit);
        let widest = (RIGHT_UNITS / units.max(1) / TILE_COLUMNS).max(1) * TILE_COLUMNS;
        let column_step = step(columns.len(), columns.len().div_ceil(widest), TILE_COLUMNS, TILE_COLUMNS);
        with_scratch(columns.len().min(column_step).next_multiple_of(16) * units, |left, right| {
            for block in 0..blocks {
                let terms = self.terms.min(block * term_step)..self.terms.min((block + 1) * term_step);
                for column in columns.clone().step_by(column_step) {
                    let columns = column..columns.end.min(column + column_step);
                    // SAFETY: passed on; the scratch holds a block of `right`.
                    unsafe { self.pack_right(&terms, &columns, right) };
                    for row in rows.clone().step_by(BLOCK_ROWS) {
                        let rows = row..rows.end.min(row + BLOCK_ROWS);
                        // SAFETY: passed on; the scratch holds `BLOCK_ROWS / TILE_ROWS` slivers.
                        unsafe {
                            self.pack_left(&terms, &rows, left);
                            self.tiles(&terms, rows, &columns, left, right, self.accumulate || block > 0);
                        }
                    }
                }
            }
        });
    }

    /// Multiplies the packed `left` by the packed `right`.
    ///
    /// # Safety
    /// As for `run`; both are packed for these ranges.
    unsafe fn tiles(
        &self,
        terms: &Range<usize>,
        rows: Range<usize>,
        columns: &Range<usize>,
        left: *const u32,
        right: *const u32,
        accumulate: bool,
    ) {
        let units = terms.len().div_ceil(if self.half { 2 } else { 1 });
        for (sliver, row) in rows.clone().step_by(TILE_ROWS).enumerate() {
            for column in columns.clone().step_by(TILE_COLUMNS) {
                let valid = TILE_COLUMNS.min(columns.end - column);
                // SAFETY: all offsets lie within the packed blocks and within `out`.
                unsafe {
                    self.tile(&Tile {
                        left: left.add(sliver * SLIVER),
                        by_units: self.left.transposed,
                        right: right.add((column - columns.start) * units),
                        width: valid.next_multiple_of(16),
                        units,
                        out: self.out.add(row * self.out_stride + column),
                        out_stride: self.out_stride,
                        rows: TILE_ROWS.min(rows.end - row),
                        columns: valid,
                        accumulate,
                    });
                }
            }
        }
    }

    /// # Safety
    /// As for `run`; the tile describes packed slivers and a part of `out`.
    #[inline]
    unsafe fn tile(&self, tile: &Tile) {
        // SAFETY: passed on; the instructions were detected.
        unsafe {
            match self.instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 if self.half => tile_avx512::half(tile),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 | Instructions::Avx512 => tile_avx512::single(tile),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => tile_avx2::single(tile),
                _ => tile::single(tile),
            }
        }
    }

    /// # Safety
    /// As for `run`; `packed` holds 8 × `PITCH` units for each eight rows.
    unsafe fn pack_left(&self, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32) {
        // SAFETY: passed on; the instructions were detected.
        unsafe {
            match self.instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 if self.half => pack_avx512::half::left(&self.left, terms, rows, packed),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 | Instructions::Avx512 => {
                    pack_avx512::single::left(&self.left, terms, rows, packed);
                }
                _ => pack::left(&self.left, terms, rows, packed),
            }
        }
    }

    /// # Safety
    /// As for `run`; `packed` holds the units times the columns, rounded up to 16.
    unsafe fn pack_right(&self, terms: &Range<usize>, columns: &Range<usize>, packed: *mut u32) {
        // SAFETY: passed on; the instructions were detected.
        unsafe {
            match self.instructions {
                _ if matches!(self.right.elements, Elements::Nf4(_, false)) => {
                    pack::right(&self.right, terms, columns, packed);
                }
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 if self.half => pack_avx512::half::right(&self.right, terms, columns, packed),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 | Instructions::Avx512 => {
                    pack_avx512::single::right(&self.right, terms, columns, packed);
                }
                _ => pack::right(&self.right, terms, columns, packed),
            }
        }
    }
}

/// The length of each of about `parts` parts of `length`: a multiple of `quantum`, at least `least`.
fn step(length: usize, parts: usize, quantum: usize, least: usize) -> usize {
    length.div_ceil(parts.max(1)).next_multiple_of(quantum).max(least)
}

/// 64 bytes on a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "read through a pointer")] [u32; 16]);

thread_local! {
    /// The packed blocks of left and right, kept from call to call.
    static SCRATCH: RefCell<(Vec<Line>, Vec<Line>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Calls `run` with room for a block of `left` and for `right_units` units of `right`.
fn with_scratch(right_units: usize, run: impl FnOnce(*mut u32, *mut u32)) {
    SCRATCH.with_borrow_mut(|(left, right)| {
        left.resize((BLOCK_ROWS / TILE_ROWS * SLIVER).div_ceil(16), Line([0; 16]));
        let lines = right_units.div_ceil(16);
        if right.len() < lines {
            right.resize(lines, Line([0; 16]));
        }
        run(left.as_mut_ptr().cast(), right.as_mut_ptr().cast());
    });
}
