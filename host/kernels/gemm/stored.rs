//! How the numbers of a factor are stored, for packing loops that know their kind.

#![allow(unsafe_code, reason = "reads the steps of blocks through pointers")]

use crate::nf4::{self, Nf4Matrix};
use crate::quantise::{BLOCK, Step};

/// How numbers are stored: constants, so that each packing loop knows its kind.
pub(super) const F32: u8 = 0;
pub(super) const BF16: u8 = 1;
pub(super) const INT8: u8 = 2;
pub(super) const F16: u8 = 3;
pub(super) const NF4: u8 = 4;

/// The bytes of `count` numbers; of NF4, an even count.
#[inline]
pub(super) const fn bytes<const KIND: u8>(count: usize) -> usize {
    match KIND {
        F32 => 4 * count,
        BF16 | F16 => 2 * count,
        NF4 => count / 2,
        _ => count,
    }
}

/// What quantised numbers are multiplied by.
#[derive(Clone, Copy)]
pub(super) enum Steps<'a> {
    /// Numbers stand for themselves.
    None,
    /// Steps of int8, and how many a stored row has.
    Int8(*const Step, usize),
    /// A matrix in NF4, and the length of a stored row.
    Nf4(&'a Nf4Matrix, usize),
}

/// The step of a number: that of its block; of numbers that stand for themselves 1, which is not used.
///
/// # Safety
/// The steps hold the row and the place.
#[inline(always)]
pub(super) unsafe fn step<const KIND: u8>(steps: Steps<'_>, row: usize, place: usize) -> Step {
    match steps {
        // SAFETY: passed on.
        Steps::Int8(steps, blocks) if KIND == INT8 => unsafe { *steps.add(row * blocks + place / BLOCK) },
        Steps::Nf4(matrix, stride) if KIND == NF4 => {
            Step { scale: matrix.absmax((row * stride + place) / nf4::BLOCK), offset: 0.0 }
        }
        _ => Step::ONE,
    }
}
