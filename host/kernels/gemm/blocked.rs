//! The blocked matrix product `out (+)= left · right`, which all three layouts come down to.
//!
//! The output is cut into rectangles, one task each (never the sum over the terms, so that no result depends on the number of
//! threads). A task walks over blocks of terms: it packs a block of `left` into slivers of a tile's rows, then blocks of `right`, which stay
//! in the second-level cache, into slivers of a tile's columns, and hands both to a tile kernel that keeps all sums of a tile in
//! registers. Packing also converts: to f32, or to pairs of bf16, and quantised weights are only ever expanded there.
//!
//! A packed *unit* has 32 bits: one f32, or the bf16 values of two consecutive terms.
//!
//! How large a tile is, how it is packed and multiplied is a [`Kernel`]'s. Where blocks of terms begin and in which order a block's terms are
//! added is the same for all of them, so that kernels with fused multiply-add give the same bits.

#![allow(unsafe_code, reason = "tasks write disjoint rectangles of one matrix through a pointer")]

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::instructions::Instructions;
#[cfg(target_arch = "x86_64")]
use super::kernels::{Avx2, Avx512, Avx512Half};
use super::kernels::{Kernel, Plain};
use crate::nf4::Nf4Matrix;
use crate::quantise::{BLOCK, Step};

/// Units of a block of terms at most.
const BLOCK_UNITS: usize = 576;
/// Distance between the rows of a packed sliver of `left` in units; no power of two, which would crowd a few cache sets.
pub(super) const PITCH: usize = BLOCK_UNITS + 16;
/// Rows of `left` packed at a time, about: 1.2 MB, which is read once for each block of `right`.
const BLOCK_ROWS: usize = 512;
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

impl Left {
    /// The number at a row and a term, of a factor whose rows are contiguous.
    ///
    /// # Safety
    /// The factor holds it.
    unsafe fn at(&self, row: usize, term: usize) -> *const u32 {
        // SAFETY: passed on.
        unsafe { self.values.add(row * self.stride + term).cast() }
    }
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
    /// What of the product is asked for, if not all of it.
    pub reach: Option<Reach>,
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
    /// Packed sliver of `left`, or the rows of `left` themselves.
    pub left: *const u32,
    /// Whether that sliver is `[units][rows]` instead of rows of units.
    pub by_units: bool,
    /// Distance between rows in units, where it is not `[units][rows]`.
    pub row_step: usize,
    /// Packed sliver of `right`, `[units][width]`.
    pub right: *const u32,
    /// The tile's columns; of the last sliver of a block, only as many multiples of 16 as are needed.
    pub width: usize,
    pub units: usize,
    pub out: *mut f32,
    pub out_stride: usize,
    /// Rows and columns of the tile that exist in `out` and are asked for.
    pub rows: usize,
    pub columns: usize,
    pub accumulate: bool,
}

impl Tile {
    /// Where a row of `left` begins; rows that do not exist are the last one again.
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> *const u32 {
        self.left.wrapping_add(row.min(self.rows - 1) * self.row_step)
    }
}

/// What of a product is asked for where later rows see more: of row `i`, so many of the columns, or of the terms, as [`Reach::of`] says.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    /// Rows whose indices differ by a multiple of this see the same.
    pub period: usize,
    /// What the first row sees; each further one sees one more.
    pub first: usize,
    /// Whether the terms are meant, and those beyond are zeros of `left`; else the columns, and what lies beyond is not computed.
    pub terms: bool,
}

impl Reach {
    /// What the rows from `row` up to `end` see together.
    fn of(&self, row: usize, end: usize) -> usize {
        let (first, last) = (row % self.period, (end - 1) % self.period);
        // Where they begin anew, they hold the last row of a period.
        self.first + 1 + if last < first || end - row >= self.period { self.period - 1 } else { last }
    }
}

/// `right` packed once for many products, by [`pack`](super::pack).
#[derive(Default)]
pub(crate) struct Packed {
    lines: Vec<Line>,
    /// Units of a sliver.
    units: usize,
    terms: usize,
    columns: usize,
    /// For which instructions it was packed, and whether its units are pairs of bf16.
    kind: Option<(Instructions, bool)>,
}

impl Packed {
    /// # Panics
    /// When it lacks terms or columns, or was packed for other products.
    pub(super) fn check(&self, terms: usize, columns: usize, product: &Product) {
        assert!(self.terms >= terms && self.columns >= columns, "the packed factor is too small");
        assert_eq!(self.kind, Some((product.instructions, product.half)), "the factor was packed for other products");
    }
}

impl Product {
    /// Computes the product, in parallel when it is large enough.
    ///
    /// # Safety
    /// The pointers are valid for the shapes and strides given, nothing else touches `out` meanwhile, and the processor has
    /// `instructions`.
    pub(super) unsafe fn run(&self) {
        // SAFETY: passed on; the instructions are those of the kernel.
        unsafe {
            match self.instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 if self.half => self.run_by::<Avx512Half>(),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 | Instructions::Avx512 => self.run_by::<Avx512>(),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => self.run_by::<Avx2>(),
                _ => self.run_by::<Plain>(),
            }
        }
    }

    /// Computes the product on this thread, from a `right` that is packed already where one is given.
    ///
    /// # Safety
    /// As for `run`; the packed factor has the terms and columns of this product, and was packed for the same instructions and precision.
    pub(super) unsafe fn run_serially(&self, packed: Option<&Packed>) {
        // SAFETY: passed on; the instructions are those of the kernel.
        unsafe {
            match self.instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 if self.half => self.run_serially_by::<Avx512Half>(packed),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 | Instructions::Avx512 => self.run_serially_by::<Avx512>(packed),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => self.run_serially_by::<Avx2>(packed),
                _ => self.run_serially_by::<Plain>(packed),
            }
        }
    }

    /// # Safety
    /// As for `run_serially`; the processor has the kernel's instructions.
    unsafe fn run_serially_by<K: Kernel>(&self, packed: Option<&Packed>) {
        // SAFETY: passed on.
        unsafe {
            match packed {
                None => self.block::<K>(0..self.rows, 0..self.columns),
                Some(packed) => self.by_packed::<K>(packed),
            }
        }
    }

    /// Packs all of `right`, and nothing else.
    ///
    /// # Safety
    /// As for `run`; `out` and `left` are not touched.
    pub(super) unsafe fn pack_serially(&self, packed: &mut Packed) {
        // SAFETY: passed on; the instructions are those of the kernel.
        unsafe {
            match self.instructions {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 if self.half => self.pack_serially_by::<Avx512Half>(packed),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512Bf16 | Instructions::Avx512 => self.pack_serially_by::<Avx512>(packed),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => self.pack_serially_by::<Avx2>(packed),
                _ => self.pack_serially_by::<Plain>(packed),
            }
        }
    }

    /// # Safety
    /// As for `pack_serially`; the processor has the kernel's instructions.
    unsafe fn pack_serially_by<K: Kernel>(&self, packed: &mut Packed) {
        packed.units = self.terms.div_ceil(if K::HALF { 2 } else { 1 });
        (packed.terms, packed.columns) = (self.terms, self.columns);
        packed.kind = Some((self.instructions, self.half));
        let lines = (packed.units * self.columns.next_multiple_of(16)).div_ceil(16);
        if packed.lines.len() < lines {
            packed.lines.resize(lines, Line([0; 16]));
        }
        // SAFETY: passed on; there is room for all units and columns.
        unsafe { K::right(&self.right, &(0..self.terms), &(0..self.columns), packed.lines.as_mut_ptr().cast()) };
    }

    /// The product with a packed `right`, whose first terms and columns may be all that are asked for: blocks of terms are those of
    /// [`Product::block`].
    ///
    /// # Safety
    /// As for `run_serially`; the processor has the kernel's instructions.
    unsafe fn by_packed<K: Kernel>(&self, packed: &Packed) {
        let per_unit = if K::HALF { 2 } else { 1 };
        let (blocks, term_step) = self.cut::<K>();
        let (rows, columns) = (0..self.rows, 0..self.columns);
        let straight = !K::HALF && !self.left.transposed;
        let left_units = if straight { 0 } else { self.rows.next_multiple_of(K::ROWS) * PITCH };
        with_scratch(left_units, 0, |left, _| {
            for block in 0..blocks {
                let terms = self.terms.min(block * term_step)..self.terms.min((block + 1) * term_step);
                // SAFETY: passed on; the scratch holds the rows, the packed factor all terms and columns.
                unsafe {
                    let mut sides = Sides {
                        left,
                        row_step: PITCH,
                        right: packed.lines.as_ptr().cast(),
                        right_units: packed.units,
                        first_unit: 0,
                        packed_end: packed.columns,
                    };
                    match straight {
                        true => (sides.left, sides.row_step) = (self.left.at(0, terms.start), self.left.stride),
                        false => K::left(&self.left, &terms, &rows, left),
                    }
                    sides.first_unit = terms.start / per_unit;
                    self.tiles::<K>(&terms, &rows, &columns, &sides, self.accumulate || block > 0);
                }
            }
        });
    }

    /// How many blocks of terms there are, and how many terms each of them has.
    fn cut<K: Kernel>(&self) -> (usize, usize) {
        let per_unit = if K::HALF { 2 } else { 1 };
        let blocks = self.terms.div_ceil(BLOCK_UNITS * per_unit).max(1);
        (blocks, self.terms.div_ceil(blocks).next_multiple_of(BLOCK).max(BLOCK))
    }

    /// # Safety
    /// As for `run`; the processor has the kernel's instructions.
    unsafe fn run_by<K: Kernel>(&self) {
        let threads = rayon::current_num_threads();
        if threads == 1 || self.rows * self.columns * self.terms.max(1) < SERIAL {
            // SAFETY: passed on.
            return unsafe { self.block::<K>(0..self.rows, 0..self.columns) };
        }
        // Columns are cut first: what a task must pack again is then only `left`, the cheaper side.
        let tasks = 2 * threads;
        let column_step = step(self.columns, tasks, K::COLUMNS, 96);
        let column_tasks = self.columns.div_ceil(column_step);
        let row_step = step(self.rows, tasks.div_ceil(column_tasks), K::ROWS, 4 * K::ROWS);
        let row_tasks = self.rows.div_ceil(row_step);
        (0..row_tasks * column_tasks).into_par_iter().with_max_len(1).for_each(|task| {
            let (row, column) = (task / column_tasks * row_step, task % column_tasks * column_step);
            let rows = row..self.rows.min(row + row_step);
            // SAFETY: passed on; the tasks' rectangles are disjoint.
            unsafe { self.block::<K>(rows, column..self.columns.min(column + column_step)) }
        });
    }

    /// Computes one rectangle of the output on this thread.
    ///
    /// # Safety
    /// As for `run_by`.
    unsafe fn block<K: Kernel>(&self, rows: Range<usize>, columns: Range<usize>) {
        let per_unit = if K::HALF { 2 } else { 1 };
        let (blocks, term_step) = self.cut::<K>();
        // Where hardly any column shares it, packing `left` costs more than it brings.
        let straight = !K::HALF && !self.left.transposed && columns.len() <= 64;
        let units = term_step.min(self.terms).div_ceil(per_unit);
        let widest = (K::RIGHT_UNITS / units.max(1) / K::COLUMNS).max(1) * K::COLUMNS;
        let column_step = step(columns.len(), columns.len().div_ceil(widest), K::COLUMNS, K::COLUMNS);
        let row_step = step(rows.len(), rows.len().div_ceil(BLOCK_ROWS), K::ROWS, K::ROWS);
        let left_units = if straight { 0 } else { row_step.min(rows.len().next_multiple_of(K::ROWS)) * PITCH };
        let right_units = columns.len().min(column_step).next_multiple_of(16) * units;
        with_scratch(left_units, right_units, |left, right| {
            for block in 0..blocks {
                let terms = self.terms.min(block * term_step)..self.terms.min((block + 1) * term_step);
                for row in rows.clone().step_by(row_step) {
                    let rows = row..rows.end.min(row + row_step);
                    let mut sides =
                        Sides { left, row_step: PITCH, right, right_units: 0, first_unit: 0, packed_end: 0 };
                    // SAFETY: passed on; the scratch holds the rows.
                    unsafe {
                        match straight {
                            true => {
                                (sides.left, sides.row_step) =
                                    (self.left.at(rows.start, terms.start), self.left.stride);
                            }
                            false => K::left(&self.left, &terms, &rows, left),
                        }
                    }
                    sides.right_units = terms.len().div_ceil(per_unit);
                    for column in columns.clone().step_by(column_step) {
                        let columns = column..columns.end.min(column + column_step);
                        sides.packed_end = columns.end;
                        // SAFETY: passed on; the scratch holds a block of `right`.
                        unsafe {
                            K::right(&self.right, &terms, &columns, right);
                            self.tiles::<K>(&terms, &rows, &columns, &sides, self.accumulate || block > 0);
                        }
                    }
                }
            }
        });
    }

    /// Multiplies `left` by the packed `right`.
    ///
    /// # Safety
    /// As for `run_by`; the sides hold these ranges.
    unsafe fn tiles<K: Kernel>(
        &self,
        terms: &Range<usize>,
        rows: &Range<usize>,
        columns: &Range<usize>,
        sides: &Sides,
        accumulate: bool,
    ) {
        let per_unit = if K::HALF { 2 } else { 1 };
        for (sliver, row) in rows.clone().step_by(K::ROWS).enumerate() {
            let row_end = rows.end.min(row + K::ROWS);
            let (mut units, mut end) = (terms.len().div_ceil(per_unit), columns.end);
            match &self.reach {
                Some(reach) if reach.terms => {
                    units = units.min(reach.of(row, row_end).saturating_sub(terms.start).div_ceil(per_unit));
                }
                Some(reach) => end = end.min(reach.of(row, row_end)),
                None => {}
            }
            for column in (columns.start..end).step_by(K::COLUMNS) {
                let valid = K::COLUMNS.min(end - column);
                // A sliver may be wider than what is asked for of it.
                let width = K::COLUMNS.min((sides.packed_end - column).next_multiple_of(16));
                // SAFETY: all offsets lie within the packed blocks and within `out`.
                unsafe {
                    K::tile(&Tile {
                        left: sides.left.add(sliver * K::ROWS * sides.row_step),
                        by_units: self.left.transposed,
                        row_step: sides.row_step,
                        right: sides.right.add((column - columns.start) * sides.right_units + sides.first_unit * width),
                        width,
                        units,
                        out: self.out.add(row * self.out_stride + column),
                        out_stride: self.out_stride,
                        rows: row_end - row,
                        columns: valid,
                        accumulate,
                    });
                }
            }
        }
    }
}

/// Where the factors of tiles lie.
struct Sides {
    left: *const u32,
    row_step: usize,
    right: *const u32,
    /// Units of a sliver of `right`, of which the first is `first_unit`.
    right_units: usize,
    first_unit: usize,
    /// Where the packed columns end.
    packed_end: usize,
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

/// Calls `run` with room for `left_units` units of `left` and for `right_units` of `right`, and some beyond for whole vectors.
fn with_scratch(left_units: usize, right_units: usize, run: impl FnOnce(*mut u32, *mut u32)) {
    SCRATCH.with_borrow_mut(|(left, right)| {
        for (side, units) in [(&mut *left, left_units), (&mut *right, right_units)] {
            let lines = units.div_ceil(16) + 1;
            if side.len() < lines {
                side.resize(lines, Line([0; 16]));
            }
        }
        run(left.as_mut_ptr().cast(), right.as_mut_ptr().cast());
    });
}
