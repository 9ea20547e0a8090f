//! Packing without vector instructions: always to f32.

#![allow(unsafe_code, reason = "raw pointers into matrices and packed blocks")]

use std::ops::Range;

use half::f16;

use super::blocked::{Elements, Left, PITCH, Right};
use crate::quantise::BLOCK;

/// Packs rows of `left`: as `[ROWS][PITCH]` where its rows are contiguous, as `[units][ROWS]` where its columns are.
///
/// # Safety
/// `left` holds the ranges, and `packed` a sliver for each `ROWS` rows.
pub(super) unsafe fn left<const ROWS: usize>(left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32) {
    for (index, row) in rows.clone().enumerate() {
        let (sliver, row_in_sliver) = (index / ROWS * ROWS * PITCH, index % ROWS);
        for (unit, term) in terms.clone().enumerate() {
            // SAFETY: row and term lie in the matrix, row and unit in the sliver.
            unsafe {
                if left.transposed {
                    let value = *left.values.add(term * left.stride + row);
                    packed.add(sliver + unit * ROWS + row_in_sliver).write(value.to_bits());
                } else {
                    let value = *left.values.add(row * left.stride + term);
                    packed.add(sliver + row_in_sliver * PITCH + unit).write(value.to_bits());
                }
            }
        }
    }
}

/// Packs columns of `right` in slivers of `COLUMNS`, the last one of as many multiples of 16 as are needed, each `[units][width]`.
///
/// # Safety
/// `right` holds the ranges, and `packed` the units times the columns rounded up to 16.
pub(super) unsafe fn right<const COLUMNS: usize>(
    right: &Right,
    terms: &Range<usize>,
    columns: &Range<usize>,
    packed: *mut u32,
) {
    // SAFETY: passed on; `cut` calls with indices of the matrix.
    unsafe {
        let stride = right.stride;
        match right.elements {
            Elements::F32(from) => {
                cut::<COLUMNS>(right, terms, columns, packed, |row, at| *from.add(row * stride + at))
            }
            Elements::Bf16(from) => cut::<COLUMNS>(right, terms, columns, packed, |row, at| {
                f32::from_bits(u32::from(*from.add(row * stride + at)) << 16)
            }),
            Elements::F16(from) => cut::<COLUMNS>(right, terms, columns, packed, |row, at| {
                f16::from_bits(*from.add(row * stride + at)).to_f32()
            }),
            Elements::Nf4(matrix, _) => {
                let matrix = &*matrix;
                cut::<COLUMNS>(right, terms, columns, packed, |row, at| matrix.value(row * stride + at));
            }
            Elements::Int8(from, steps, blocks) => cut::<COLUMNS>(right, terms, columns, packed, |row, at| {
                (*steps.add(row * blocks + at / BLOCK)).value(*from.add(row * stride + at))
            }),
        }
    }
}

/// # Safety
/// As for `right`.
unsafe fn cut<const COLUMNS: usize>(
    right: &Right,
    terms: &Range<usize>,
    columns: &Range<usize>,
    packed: *mut u32,
    value: impl Fn(usize, usize) -> f32,
) {
    let units = terms.len();
    for sliver in (0..columns.len()).step_by(COLUMNS) {
        let valid = COLUMNS.min(columns.len() - sliver);
        let width = valid.next_multiple_of(16);
        for (unit, term) in terms.clone().enumerate() {
            for column in 0..valid {
                let place = columns.start + sliver + column;
                let (row, at) = if right.transposed { (place, term) } else { (term, place) };
                // SAFETY: unit and column lie in the sliver.
                unsafe { packed.add(sliver * units + unit * width + column).write(value(row, at).to_bits()) };
            }
        }
    }
}
