//! Block-wise symmetric int8 quantisation: each row is cut into blocks of 32 values, with one scale each, `absmax / 127`.
//!
//! A value `v` of a block becomes `q = round(v / scale)` (half to even), in −127..=127, and stands for `q · scale`: the error of
//! one value is at most half a step, `absmax / 254`. A block of zeros has scale 0.
//!
//! Weights that were quantised before lie on a grid of their own. Where one of the scales `absmax / 126` … `absmax / 64` meets that grid, so
//! that the block's squared error falls below a quarter, it is taken: the four-bit weights of SmolLM2 then lose less than half as
//! much. Blocks of other weights never meet it by chance. (A single scale a row would be 11 % smaller, but one
//! large weight then coarsens its whole row: on SmolLM2 twice the error of a decision's probabilities.)

#![allow(unsafe_code, reason = "calls a body compiled for instructions that were detected")]

use rayon::prelude::*;

use super::gemm::instructions::{Instructions, for_all_instructions};

/// Values of a block; the last block of a row may have fewer.
pub const BLOCK: usize = 32;

/// Blocks of a row.
pub fn blocks(columns: usize) -> usize {
    columns.div_ceil(BLOCK)
}

/// An int8 matrix `[rows, columns]` with one scale a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuantisedMatrix {
    /// `[rows, columns]`, row-major.
    pub values: Vec<i8>,
    /// `[rows, blocks(columns)]`, row-major.
    pub scales: Vec<f32>,
}

/// Quantises `matrix` `[rows, columns]`; rows are independent and run in parallel.
///
/// Values that are not finite are the caller's to reject: a NaN becomes 0, and an infinity makes its block's scale infinite.
///
/// # Panics
/// When `columns` does not divide the length of `matrix`.
///
/// ```
/// let quantised = so8t::kernels::quantise::quantise(&[1.0, -127.0, 0.5, 0.0], 2);
/// assert_eq!(quantised.values, [1, -127, 127, 0]);
/// assert_eq!(quantised.scales[0], 1.0);
/// ```
pub fn quantise(matrix: &[f32], columns: usize) -> QuantisedMatrix {
    let rows = row_count(matrix.len(), columns);
    let mut values = vec![0i8; matrix.len()];
    let mut scales = vec![0f32; rows * blocks(columns)];
    let instructions = Instructions::current();
    if columns > 0 {
        values
            .par_chunks_mut(columns)
            .zip(matrix.par_chunks(columns))
            .zip(scales.par_chunks_mut(blocks(columns)))
            .with_min_len(1 + 65_536 / columns)
            .for_each(|((values, row), scales)| quantise_row(instructions, row, values, scales));
    }
    QuantisedMatrix { values, scales }
}

/// Expands `values` `[rows, columns]` to `out` of the same shape.
///
/// # Panics
/// When the lengths do not fit together.
pub fn dequantise(values: &[i8], scales: &[f32], columns: usize, out: &mut [f32]) {
    assert_eq!(row_count(values.len(), columns) * blocks(columns), scales.len(), "one scale a block is expected");
    assert_eq!(values.len(), out.len(), "as many outputs as values are expected");
    if columns > 0 {
        out.par_chunks_mut(columns)
            .zip(values.par_chunks(columns))
            .zip(scales.par_chunks(blocks(columns)))
            .with_min_len(1 + 65_536 / columns)
            .for_each(|((out, values), scales)| {
                for (i, (out, &value)) in out.iter_mut().zip(values).enumerate() {
                    *out = f32::from(value) * scales[i / BLOCK];
                }
            });
    }
}

for_all_instructions! {
    /// Quantises one row into `values` and `scales`.
    fn quantise_row(row: &[f32], values: &mut [i8], scales: &mut [f32]) = quantise_row_body
}

#[inline(always)]
fn quantise_row_body<const FUSED: bool>(row: &[f32], values: &mut [i8], scales: &mut [f32]) {
    for ((row, values), scale) in row.chunks(BLOCK).zip(values.chunks_mut(BLOCK)).zip(scales) {
        *scale = quantise_block(row, values);
    }
}

#[inline(always)]
fn quantise_block(row: &[f32], values: &mut [i8]) -> f32 {
    let mut largest = [0f32; 16];
    let (chunks, rest) = row.as_chunks::<16>();
    for chunk in chunks {
        for (largest, value) in largest.iter_mut().zip(chunk) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
    let absmax = largest.into_iter().chain(rest.iter().map(|value| value.abs())).fold(0f32, f32::max);
    let mut scale = absmax / 127.0;
    if scale == 0.0 {
        values.fill(0);
        return 0.0;
    }
    let (scales, errors) = candidates(row, absmax);
    let mut least = 0.25 * errors[CANDIDATES - 1];
    for (&other, &error) in scales.iter().zip(&errors).rev().skip(1) {
        if error < least {
            (scale, least) = (other, error);
        }
    }
    for (quantised, &value) in values.iter_mut().zip(row) {
        *quantised = rounded(value / scale) as i8;
    }
    scale
}

/// Half to even: adding and subtracting 1.5 · 2²³ leaves no bits for the rest.
#[inline(always)]
fn rounded(value: f32) -> f32 {
    const ROUNDING: f32 = 12_582_912.0;
    (value + ROUNDING) - ROUNDING
}

/// Scales from `absmax / 64` to `absmax / 127`.
const CANDIDATES: usize = 64;

/// Every candidate's scale and squared error, Σ (value − rounded · scale)²: one candidate a lane, summed in the order of the
/// values and without fused operations, so that all processors choose alike.
#[inline(always)]
fn candidates(row: &[f32], absmax: f32) -> ([f32; CANDIDATES], [f32; CANDIDATES]) {
    let scales: [f32; CANDIDATES] = std::array::from_fn(|i| absmax / (64 + i) as f32);
    let inverses = scales.map(|scale| 1.0 / scale);
    let mut errors = [0f32; CANDIDATES];
    for &value in row {
        for ((error, &scale), &inverse) in errors.iter_mut().zip(&scales).zip(&inverses) {
            let lost = value - rounded(value * inverse) * scale;
            *error += lost * lost;
        }
    }
    (scales, errors)
}

fn row_count(length: usize, columns: usize) -> usize {
    let rows = length.checked_div(columns).unwrap_or(0);
    assert_eq!(rows * columns, length, "the length {length} is no multiple of {columns} columns");
    rows
}
