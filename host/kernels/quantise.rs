//! Block-wise int8 quantisation: each row is cut into blocks of 32 values, each with a [`Step`] of its own.
//!
//! A block is symmetric: a value `v` becomes `q = round(v / scale)` (half to even), in −127..=127, with `scale = absmax / 127`, and stands for
//! `q · scale`. The error of one value is at most half a step, `absmax / 254`. A block of zeros has scale 0.
//!
//! Weights that were quantised before lie on a grid of their own, and come back as they were: blocks of eight bits (GGUF's Q8_0) are
//! symmetric already, and a block whose values lie on at most 32 equal steps (Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K) keeps that grid, `q · scale + offset`
//! with `offset` its least value. Other weights never lie on so coarse a grid by chance. (A single scale a row would be
//! 18 % smaller, but one large weight then coarsens its whole row: on SmolLM2 twice the error of a decision's
//! probabilities.)

#![allow(unsafe_code, reason = "calls a body compiled for instructions that were detected")]

use rayon::prelude::*;

use super::gemm::instructions::{Instructions, for_all_instructions};

/// Values of a block; the last block of a row may have fewer.
pub const BLOCK: usize = 32;

/// Blocks of a row.
pub fn blocks(columns: usize) -> usize {
    columns.div_ceil(BLOCK)
}

/// What the numbers of a block stand for: `q · scale + offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The distance of two neighbours.
    pub scale: f32,
    /// What 0 stands for.
    pub offset: f32,
}

impl Step {
    /// Every number stands for itself.
    pub const ONE: Self = Self { scale: 1.0, offset: 0.0 };

    /// What `q` stands for.
    #[inline(always)]
    pub fn value(self, q: i8) -> f32 {
        f32::from(q) * self.scale + self.offset
    }
}

/// An int8 matrix `[rows, columns]` with one step a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantisedMatrix {
    /// `[rows, columns]`, row-major.
    pub values: Vec<i8>,
    /// `[rows, blocks(columns)]`, row-major.
    pub steps: Vec<Step>,
}

/// Quantises `matrix` `[rows, columns]`; rows are independent and run in parallel.
///
/// Values that are not finite are the caller's to reject: a NaN becomes 0, and an infinity makes its block's scale infinite.
///
/// # Panics
/// When `columns` does not divide the length of `matrix`.
///
/// ```
/// let quantised = so8t_kernels::quantise::quantise(&[1.0, -127.0, 0.5, 0.0], 2);
/// assert_eq!(quantised.values, [1, -127, 127, 0]);
/// assert_eq!(quantised.steps[0].scale, 1.0);
/// ```
pub fn quantise(matrix: &[f32], columns: usize) -> QuantisedMatrix {
    let rows = row_count(matrix.len(), columns);
    let mut values = vec![0i8; matrix.len()];
    let mut steps = vec![Step::default(); rows * blocks(columns)];
    let instructions = Instructions::current();
    if columns > 0 {
        values
            .par_chunks_mut(columns)
            .zip(matrix.par_chunks(columns))
            .zip(steps.par_chunks_mut(blocks(columns)))
            .with_min_len(1 + 65_536 / columns)
            .for_each(|((values, row), steps)| quantise_row(instructions, row, values, steps));
    }
    QuantisedMatrix { values, steps }
}

/// Whether every block of `matrix` `[rows, columns]` comes back as it was.
///
/// # Panics
/// When `columns` does not divide the length of `matrix`.
pub fn is_lossless(matrix: &[f32], columns: usize) -> bool {
    row_count(matrix.len(), columns);
    columns == 0
        || matrix.par_chunks(columns).all(|row| {
            row.chunks(BLOCK).all(|block| {
                let (least, most) = range(block);
                meets(block, choose(block), most.max(-least) / TOLERANCE) || (least == 0.0 && most == 0.0)
            })
        })
}

/// Expands `values` `[rows, columns]` to `out` of the same shape.
///
/// # Panics
/// When the lengths do not fit together.
pub fn dequantise(values: &[i8], steps: &[Step], columns: usize, out: &mut [f32]) {
    assert_eq!(row_count(values.len(), columns) * blocks(columns), steps.len(), "one step a block is expected");
    assert_eq!(values.len(), out.len(), "as many outputs as values are expected");
    if columns > 0 {
        out.par_chunks_mut(columns)
            .zip(values.par_chunks(columns))
            .zip(steps.par_chunks(blocks(columns)))
            .with_min_len(1 + 65_536 / columns)
            .for_each(|((out, values), steps)| {
                for (i, (out, &value)) in out.iter_mut().zip(values).enumerate() {
                    *out = steps[i / BLOCK].value(value);
                }
            });
    }
}

for_all_instructions! {
    /// Quantises one row into `values` and `steps`.
    fn quantise_row(row: &[f32], values: &mut [i8], steps: &mut [Step]) = quantise_row_body
}

#[inline(always)]
fn quantise_row_body<const FUSED: bool>(row: &[f32], values: &mut [i8], steps: &mut [Step]) {
    for ((block, values), step) in row.chunks(BLOCK).zip(values.chunks_mut(BLOCK)).zip(steps) {
        *step = choose(block);
        if step.scale == 0.0 {
            values.fill(0);
            continue;
        }
        for (q, &value) in values.iter_mut().zip(block) {
            *q = rounded((value - step.offset) / step.scale) as i8;
        }
    }
}

/// The step of a block.
#[inline(always)]
fn choose(block: &[f32]) -> Step {
    let (least, most) = range(block);
    let absmax = most.max(-least);
    let symmetric = Step { scale: absmax / 127.0, offset: 0.0 };
    let tolerance = absmax / TOLERANCE;
    if absmax == 0.0 || meets(block, symmetric, tolerance) {
        return symmetric;
    }
    let grids = (1..STEPS).map(|steps| Step { scale: (most - least) / steps as f32, offset: least });
    grids.into_iter().find(|&grid| meets(block, grid, tolerance)).unwrap_or(symmetric)
}

/// Equal steps of the finest grid that is looked for: those of five bits.
const STEPS: usize = 32;

/// The part of its block's largest value by which a value on a grid may miss it: far above the rounding of a sum in f32, far below the
/// distance of two steps.
const TOLERANCE: f32 = (1 << 20) as f32;

/// The least and the greatest value.
#[inline(always)]
fn range(block: &[f32]) -> (f32, f32) {
    let (mut least, mut most) = ([f32::INFINITY; 16], [f32::NEG_INFINITY; 16]);
    for chunk in block.chunks(16) {
        for ((least, most), &value) in least.iter_mut().zip(&mut most).zip(chunk) {
            *least = if value < *least { value } else { *least };
            *most = if value > *most { value } else { *most };
        }
    }
    (least.into_iter().fold(f32::INFINITY, f32::min), most.into_iter().fold(f32::NEG_INFINITY, f32::max))
}

/// Whether no value moves by more than `tolerance` when it is put on a grid.
#[inline(always)]
fn meets(block: &[f32], grid: Step, tolerance: f32) -> bool {
    block.iter().all(|&value| {
        let q = rounded((value - grid.offset) / grid.scale);
        (q * grid.scale + grid.offset - value).abs() <= tolerance
    })
}

/// Half to even: adding and subtracting 1.5 · 2²³ leaves no bits for the rest.
#[inline(always)]
fn rounded(value: f32) -> f32 {
    const ROUNDING: f32 = 12_582_912.0;
    (value + ROUNDING) - ROUNDING
}

fn row_count(length: usize, columns: usize) -> usize {
    let rows = length.checked_div(columns).unwrap_or(0);
    assert_eq!(rows * columns, length, "the length {length} is no multiple of {columns} columns");
    rows
}
