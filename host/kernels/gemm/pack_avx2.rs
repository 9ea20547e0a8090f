//! Packing for AVX2: converts to f32 and lays the numbers down as the tile kernel reads them.
//!
//! Numbers are converted by the same operations as with AVX-512, so that they have the same bits.

#![allow(unsafe_code, reason = "vector instructions and raw pointers into matrices and packed blocks")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::blocked::{Elements, Left, PITCH, Right};
use super::stored::{BF16, F16, F32, INT8, NF4, Steps, bytes, step};
use super::tile_avx2::{COLUMNS, ROWS, mask8};
use crate::nf4::LEVELS;
use crate::quantise::{BLOCK, Step};

/// Stored rows that are walked along together.
const AT_ONCE: usize = 16;

/// See [`Kernel::left`](super::kernels::Kernel::left).
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn left(left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32) {
    let packed = packed.cast::<f32>();
    if !left.transposed {
        for (index, row) in rows.clone().enumerate() {
            // SAFETY: the row's terms exist, and a row of a sliver has room for them.
            unsafe {
                let from = left.values.add(row * left.stride + terms.start);
                let to = packed.add((index / ROWS * ROWS + index % ROWS) * PITCH);
                std::ptr::copy_nonoverlapping(from, to, terms.len());
            }
        }
        return;
    }
    for first in terms.clone().step_by(AT_ONCE) {
        for (sliver, row) in rows.clone().step_by(ROWS).enumerate() {
            let mask = mask8(ROWS.min(rows.end - row));
            for term in first..terms.end.min(first + AT_ONCE) {
                // SAFETY: masked lanes are not read; what is written beyond a unit's rows is overwritten by the next unit, or lies in the
                // rest of the sliver.
                unsafe {
                    let values = _mm256_maskload_ps(left.values.add(term * left.stride + row), mask);
                    _mm256_storeu_ps(packed.add(sliver * ROWS * PITCH + (term - terms.start) * ROWS), values);
                }
            }
        }
    }
}

/// See [`Kernel::right`](super::kernels::Kernel::right).
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn right(right: &Right, terms: &Range<usize>, columns: &Range<usize>, packed: *mut u32) {
    let (Right { elements, stride, transposed }, packed) = (*right, packed.cast::<f32>());
    // SAFETY: passed on; the constant is the elements' kind.
    unsafe {
        macro_rules! packed {
            ($kind:ident, $from:expr, $steps:expr) => {
                match transposed {
                    true => by_columns::<$kind>($from.cast(), $steps, stride, terms, columns, packed),
                    false => by_terms::<$kind>($from.cast(), $steps, stride, terms, columns, packed),
                }
            };
        }
        match elements {
            Elements::F32(from) => packed!(F32, from, Steps::None),
            Elements::Bf16(from) => packed!(BF16, from, Steps::None),
            Elements::F16(from) => packed!(F16, from, Steps::None),
            Elements::Int8(from, steps, blocks) => packed!(INT8, from, Steps::Int8(steps, blocks)),
            Elements::Nf4(matrix, _) => {
                let matrix = &*matrix;
                packed!(NF4, matrix.codes.as_ptr(), Steps::Nf4(matrix, stride))
            }
        }
    }
}

/// `right` is stored as `[columns, terms]`: 8 columns × 8 units at a time are turned round in registers.
///
/// # Safety
/// As for `right`.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn by_columns<const KIND: u8>(
    from: *const u8,
    steps: Steps<'_>,
    stride: usize,
    terms: &Range<usize>,
    columns: &Range<usize>,
    packed: *mut f32,
) {
    let units = terms.len();
    for column in (0..columns.len()).step_by(8) {
        // SAFETY: columns beyond the last one repeat it; lanes beyond the last term are not read; only existing units are written.
        unsafe {
            let to = packed.add(column / COLUMNS * COLUMNS * units + column % COLUMNS);
            let rows: [usize; 8] = std::array::from_fn(|i| (columns.start + column + i).min(columns.end - 1));
            // Blocks of terms begin where blocks of int8 do, so that all terms of one have one step.
            for block in (0..units).step_by(BLOCK) {
                let at = rows.map(|row| from.add(bytes::<KIND>(row * stride + terms.start + block)));
                let steps = rows.map(|row| step::<KIND>(steps, row, terms.start + block));
                for unit in (block..units.min(block + BLOCK)).step_by(8) {
                    let count = units - unit;
                    let offset = bytes::<KIND>(unit - block);
                    let turned = if count >= 8 {
                        transpose(std::array::from_fn(|i| load::<KIND>(at[i].add(offset), steps[i])))
                    } else {
                        transpose(std::array::from_fn(|i| load_part::<KIND>(at[i].add(offset), count, steps[i])))
                    };
                    for (i, units) in turned.into_iter().enumerate().take(count) {
                        _mm256_storeu_ps(to.add((unit + i) * COLUMNS), units);
                    }
                }
            }
        }
    }
}

/// `right` is stored as `[terms, columns]`: a few rows at a time, so that both sides are walked along.
///
/// # Safety
/// As for `right`.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn by_terms<const KIND: u8>(
    from: *const u8,
    steps: Steps<'_>,
    stride: usize,
    terms: &Range<usize>,
    columns: &Range<usize>,
    packed: *mut f32,
) {
    let units = terms.len();
    for first in (0..units).step_by(AT_ONCE) {
        // Two slivers are a block of int8 wide where the first begins one.
        for pair in (0..columns.len()).step_by(2 * COLUMNS) {
            for unit in first..units.min(first + AT_ONCE) {
                let term = terms.start + unit;
                let place = columns.start + pair;
                // SAFETY: the term and the columns exist; lanes beyond the last column are not read; slivers have room for whole vectors.
                unsafe {
                    let row = from.add(bytes::<KIND>(term * stride + place));
                    let mut one = step::<KIND>(steps, term, place);
                    for column in (0..(columns.len() - pair).min(2 * COLUMNS)).step_by(8) {
                        // Vectors begin at multiples of 8, so that all lanes have one step.
                        if column > 0 && (place + column).is_multiple_of(BLOCK) {
                            one = step::<KIND>(steps, term, place + column);
                        }
                        let count = columns.len() - pair - column;
                        let at = row.add(bytes::<KIND>(column));
                        let values = if count >= 8 { load::<KIND>(at, one) } else { load_part::<KIND>(at, count, one) };
                        let sliver = pair + column / COLUMNS * COLUMNS;
                        _mm256_storeu_ps(packed.add(sliver * units + unit * COLUMNS + column % COLUMNS), values);
                    }
                }
            }
        }
    }
}

/// Eight numbers as f32.
///
/// # Safety
/// `from` holds eight elements of the kind.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load<const KIND: u8>(from: *const u8, step: Step) -> __m256 {
    // SAFETY: the elements exist.
    unsafe {
        match KIND {
            F32 => _mm256_loadu_ps(from.cast()),
            BF16 => {
                let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits))
            }
            F16 => _mm256_cvtph_ps(_mm_loadu_si128(from.cast())),
            NF4 => {
                // The earlier of two codes stands in the upper half of its byte.
                let codes = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
                let codes = _mm256_srlv_epi32(codes, _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24));
                // The permutation reads three bits of a lane, the choice of a table the fourth.
                let low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(LEVELS.as_ptr()), codes);
                let high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(LEVELS.as_ptr().add(8)), codes);
                let fourth = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(codes));
                _mm256_mul_ps(_mm256_blendv_ps(low, high, fourth), _mm256_set1_ps(step.scale))
            }
            _ => {
                let values = _mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()));
                let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(values), _mm256_set1_ps(step.scale));
                _mm256_add_ps(scaled, _mm256_set1_ps(step.offset))
            }
        }
    }
}

/// Fewer than eight numbers as f32; what the lanes beyond hold is not used.
///
/// # Safety
/// `from` holds `count` elements of the kind. (Rows of NF4 are cut into whole vectors.)
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn load_part<const KIND: u8>(from: *const u8, count: usize, step: Step) -> __m256 {
    let mut copy = [0u8; 32];
    // SAFETY: as many bytes as the elements have are read.
    unsafe {
        std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), bytes::<KIND>(count));
        load::<KIND>(copy.as_ptr(), step)
    }
}

/// Turns a block of 8 × 8 round its diagonal.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: [__m256; 8]) -> [__m256; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let pairs = |x, y| (_mm256_unpacklo_ps(x, y), _mm256_unpackhi_ps(x, y));
    let ((ab, ab_high), (cd, cd_high)) = (pairs(a, b), pairs(c, d));
    let ((ef, ef_high), (gh, gh_high)) = (pairs(e, f), pairs(g, h));
    // Columns c and 4 + c of four rows each.
    let fours = |x, y| (_mm256_shuffle_ps::<0x44>(x, y), _mm256_shuffle_ps::<0xee>(x, y));
    let ((top0, top1), (top2, top3)) = (fours(ab, cd), fours(ab_high, cd_high));
    let ((low0, low1), (low2, low3)) = (fours(ef, gh), fours(ef_high, gh_high));
    let first = |top, low| _mm256_permute2f128_ps::<0x20>(top, low);
    let second = |top, low| _mm256_permute2f128_ps::<0x31>(top, low);
    [
        first(top0, low0),
        first(top1, low1),
        first(top2, low2),
        first(top3, low3),
        second(top0, low0),
        second(top1, low1),
        second(top2, low2),
        second(top3, low3),
    ]
}
