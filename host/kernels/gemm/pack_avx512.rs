//! Packing for AVX-512: converts to f32 or to pairs of bf16 and lays the numbers down as the tile kernels read them.

#![allow(unsafe_code, reason = "vector instructions and raw pointers into matrices and packed blocks")]

/// Units of a sliver of `left`.
const SLIVER: usize = super::tile_avx512::ROWS * super::blocked::PITCH;
/// Rows of `right` that are walked along together.
const UNITS_AT_ONCE: usize = 8;

/// Generates the packing functions of one kind of unit: with `$half`, two bf16; without, one f32.
macro_rules! packing {
    ($(#[$doc:meta])* $name:ident, $features:literal, $half:literal, |$even:ident, $odd:ident| $pair:expr,
     |$first:ident, $second:ident| $consecutive:expr $(,)?) => {
        $(#[$doc])*
        pub(super) mod $name {
            use std::arch::x86_64::*;
            use std::ops::Range;

            use super::super::blocked::{Elements, Left, PITCH, Right};
            use super::super::tile_avx512::{COLUMNS as TILE_COLUMNS, ROWS as TILE_ROWS};
            use super::super::stored::{BF16, F16, F32, INT8, NF4, Steps, bytes, step};
            use super::{SLIVER, UNITS_AT_ONCE, mask16, transpose};
            use crate::nf4::LEVELS;
            use crate::quantise::Step;

            /// Terms of a unit.
            const TERMS: usize = if $half { 2 } else { 1 };

            /// Packs rows of `left`: as `[8][PITCH]` where its rows are contiguous, as `[units][8]` where its columns are.
            ///
            /// # Safety
            /// `left` holds the ranges, `packed` a sliver for each eight rows, and the processor has the instructions.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn left(
                left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32,
            ) {
                // SAFETY: passed on.
                unsafe {
                    match left.transposed {
                        true => left_by_units(left, terms, rows, packed),
                        false => left_by_rows(left, terms, rows, packed),
                    }
                }
            }

            /// # Safety
            /// As for `left`.
            #[target_feature(enable = $features)]
            unsafe fn left_by_rows(
                left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32,
            ) {
                for (index, row) in rows.clone().enumerate() {
                    // SAFETY: the row exists; masked lanes are not read; a row of a sliver has room for whole vectors.
                    unsafe {
                        let from = left.values.add(row * left.stride + terms.start);
                        let to = packed.add(index / TILE_ROWS * SLIVER + index % TILE_ROWS * PITCH);
                        for (step, term) in (0..terms.len()).step_by(16 * TERMS).enumerate() {
                            let lanes = terms.len() - term;
                            let units = load_units::<F32>(from.add(term).cast(), lanes, Step::ONE);
                            _mm512_storeu_si512(to.add(step * 16).cast(), units);
                        }
                    }
                }
            }

            /// # Safety
            /// As for `left`.
            #[target_feature(enable = $features)]
            unsafe fn left_by_units(left: &Left, terms: &Range<usize>, rows: &Range<usize>, packed: *mut u32) {
                for (unit, term) in terms.clone().step_by(TERMS).enumerate() {
                    for first in (0..rows.len()).step_by(16) {
                        let mask = mask16(rows.len() - first);
                        // SAFETY: masked lanes are not read; the second half of 16 rows is written only where it has a sliver.
                        unsafe {
                            let from = left.values.add(term * left.stride + rows.start + first);
                            let values = _mm512_maskz_loadu_ps(mask, from);
                            let next = if $half && term + 1 < terms.end {
                                _mm512_maskz_loadu_ps(mask, from.add(left.stride))
                            } else {
                                _mm512_setzero_ps()
                            };
                            let units = pair(values, next);
                            let to = packed.add(first / TILE_ROWS * SLIVER + unit * TILE_ROWS);
                            _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(units));
                            if rows.len() - first > TILE_ROWS {
                                _mm256_storeu_si256(to.add(SLIVER).cast(), _mm512_extracti64x4_epi64::<1>(units));
                            }
                        }
                    }
                }
            }

            /// Packs columns of `right` in slivers of 48, 32 or 16, each `[units][width]`.
            ///
            /// # Safety
            /// `right` holds the ranges, `packed` the units times the columns rounded up to 16, and the processor has the
            /// instructions.
            #[target_feature(enable = $features)]
            pub(in super::super) unsafe fn right(
                right: &Right, terms: &Range<usize>, columns: &Range<usize>, packed: *mut u32,
            ) {
                // SAFETY: passed on; the constant is the elements' kind.
                unsafe {
                    let Right { elements, stride, transposed } = *right;
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

            /// `right` is stored as `[columns, terms]`: 16 columns × 16 units at a time are turned round in registers.
            ///
            /// # Safety
            /// As for `right`.
            #[target_feature(enable = $features)]
            unsafe fn by_columns<const KIND: u8>(
                from: *const u8, steps: Steps<'_>, stride: usize, terms: &Range<usize>, columns: &Range<usize>, packed: *mut u32,
            ) {
                let unit_count = terms.len().div_ceil(TERMS);
                for column in (0..columns.len()).step_by(16) {
                    let (sliver, group) = (column / TILE_COLUMNS, column % TILE_COLUMNS);
                    let width = TILE_COLUMNS.min((columns.len() - sliver * TILE_COLUMNS).next_multiple_of(16));
                    // SAFETY: columns beyond the last one repeat it; masked lanes are not read; only existing units are written.
                    unsafe {
                        let to = packed.add(sliver * TILE_COLUMNS * unit_count + group);
                        let row = |i: usize| (columns.start + column + i).min(columns.end - 1);
                        for unit in (0..unit_count).step_by(16) {
                            let lanes = terms.len() - unit * TERMS;
                            let mut block = [_mm512_setzero_si512(); 16];
                            for (i, units) in block.iter_mut().enumerate() {
                                // Blocks of terms begin where blocks of int8 do, so that all lanes have one step.
                                let (row, term) = (row(i), terms.start + unit * TERMS);
                                let step = step::<KIND>(steps, row, term);
                                *units = load_units::<KIND>(from.add(bytes::<KIND>(row * stride + term)), lanes, step);
                            }
                            let block = transpose(block);
                            let count = unit_count - unit;
                            for i in 0..16 {
                                if count >= 16 || i < count {
                                    _mm512_storeu_si512(to.add((unit + i) * width).cast(), block[i]);
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
            #[target_feature(enable = $features)]
            unsafe fn by_terms<const KIND: u8>(
                from: *const u8,
                steps: Steps<'_>,
                stride: usize,
                terms: &Range<usize>,
                columns: &Range<usize>,
                packed: *mut u32,
            ) {
                let unit_count = terms.len().div_ceil(TERMS);
                for first in (0..unit_count).step_by(UNITS_AT_ONCE) {
                    for column in (0..columns.len()).step_by(TILE_COLUMNS) {
                        let valid = TILE_COLUMNS.min(columns.len() - column);
                        let width = valid.next_multiple_of(16);
                        for unit in first..unit_count.min(first + UNITS_AT_ONCE) {
                            let term = terms.start + unit * TERMS;
                            // SAFETY: the term and the columns exist; the sliver has room for whole vectors.
                            unsafe {
                                let row = from.add(bytes::<KIND>(term * stride + columns.start + column));
                                let paired = $half && term + 1 < terms.end;
                                let next = row.wrapping_add(bytes::<KIND>(stride));
                                let to = packed.add(column * unit_count + unit * width);
                                let group = |index: usize| {
                                    let mask = mask16(valid.saturating_sub(index * 16));
                                    let offset = bytes::<KIND>(index * 16);
                                    // Groups of 16 columns begin at multiples of 16, so that all lanes have one step.
                                    let place = columns.start + column + index * 16;
                                    let even = load::<KIND>(row.wrapping_add(offset), mask, step::<KIND>(steps, term, place));
                                    let odd = if paired {
                                        let step = step::<KIND>(steps, term + 1, place);
                                        load::<KIND>(next.wrapping_add(offset), mask, step)
                                    } else {
                                        _mm512_setzero_ps()
                                    };
                                    _mm512_storeu_si512(to.wrapping_add(index * 16).cast(), pair(even, odd));
                                };
                                group(0);
                                if width > 16 {
                                    group(1);
                                }
                                if width > 32 {
                                    group(2);
                                }
                            }
                        }
                    }
                }
            }

            /// One unit a lane from the numbers of two consecutive terms.
            #[inline]
            #[target_feature(enable = $features)]
            fn pair($even: __m512, $odd: __m512) -> __m512i {
                $pair
            }

            /// 16 units from `lanes` consecutive terms, which have one step; what lies beyond is zero.
            ///
            /// # Safety
            /// `from` holds `lanes` elements of the kind.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn load_units<const KIND: u8>(from: *const u8, lanes: usize, step: Step) -> __m512i {
                // SAFETY: masked lanes are not read.
                unsafe {
                    if !$half {
                        return _mm512_castps_si512(load::<KIND>(from, mask16(lanes), step));
                    }
                    if KIND == BF16 {
                        let mask = if lanes >= 32 { u32::MAX } else { (1u32 << lanes) - 1 };
                        return _mm512_maskz_loadu_epi16(mask, from.cast());
                    }
                    let first = load::<KIND>(from, mask16(lanes), step);
                    let second = load::<KIND>(from.wrapping_add(bytes::<KIND>(16)), mask16(lanes.saturating_sub(16)), step);
                    consecutive(first, second)
                }
            }

            /// 16 numbers as f32; lanes beyond the mask are zero. (Of NF4, whose rows are cut into whole vectors, the mask names all or none.)
            ///
            /// # Safety
            /// `from` holds the elements that the mask names.
            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn load<const KIND: u8>(from: *const u8, mask: __mmask16, step: Step) -> __m512 {
                // SAFETY: masked lanes are not read.
                unsafe {
                    match KIND {
                        F32 => _mm512_maskz_loadu_ps(mask, from.cast()),
                        BF16 => {
                            let bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from.cast()));
                            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
                        }
                        F16 => _mm512_maskz_cvtph_ps(mask, _mm256_maskz_loadu_epi16(mask, from.cast())),
                        NF4 => {
                            // Eight bytes in lanes of 64 bits: the upper half of each goes to the even lane of 32 bits, the lower one
                            // to the odd lane; the permutation reads the last four bits of a lane.
                            let pairs = _mm512_cvtepu8_epi64(_mm_maskz_loadu_epi8(mask & 0xff, from.cast()));
                            let codes = _mm512_or_si512(_mm512_srli_epi64::<4>(pairs), _mm512_slli_epi64::<32>(pairs));
                            let levels = _mm512_permutexvar_ps(codes, _mm512_loadu_ps(LEVELS.as_ptr()));
                            _mm512_maskz_mul_ps(mask, levels, _mm512_set1_ps(step.scale))
                        }
                        _ => {
                            let values = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, from.cast()));
                            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(values), _mm512_set1_ps(step.scale));
                            _mm512_maskz_add_ps(mask, scaled, _mm512_set1_ps(step.offset))
                        }
                    }
                }
            }

            /// 32 consecutive numbers as 16 pairs.
            #[inline]
            #[target_feature(enable = $features)]
            fn consecutive($first: __m512, $second: __m512) -> __m512i {
                $consecutive
            }
        }
    };
}

use std::arch::x86_64::*;

packing! {
    /// Units of one f32.
    single, "avx512f,avx512bw,avx512dq,avx512vl", false,
    |even, _odd| _mm512_castps_si512(even),
    |first, _second| _mm512_castps_si512(first),
}

packing! {
    /// Units of two bf16, rounded half to even.
    half, "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16", true,
    |even, odd| _mm512_permutexvar_epi16(super::interleaving(), super::rounded(even, odd)),
    |first, second| super::rounded(first, second),
}

/// 32 numbers as bf16: 16 from `first`, then 16 from `second`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(first: __m512, second: __m512) -> __m512i {
    // SAFETY: both are 64 bytes without further meaning.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first)) }
}

/// The order that puts element `i` of the first half beside element `i` of the second.
#[inline]
#[target_feature(enable = "avx512f")]
fn interleaving() -> __m512i {
    const ORDER: [u16; 32] = {
        let mut order = [0; 32];
        let mut i = 0;
        while i < 16 {
            order[2 * i] = i as u16;
            order[2 * i + 1] = i as u16 + 16;
            i += 1;
        }
        order
    };
    // SAFETY: the constant has 64 bytes.
    unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) }
}

/// Turns a block of 16 × 16 units round its diagonal.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(mut rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut pairs = [_mm512_setzero_si512(); 16];
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // Within each quarter of a register: column c of four rows.
    let mut fours = [_mm512_setzero_si512(); 16];
    for i in 0..4 {
        fours[4 * i] = _mm512_unpacklo_epi64(pairs[4 * i], pairs[4 * i + 2]);
        fours[4 * i + 1] = _mm512_unpackhi_epi64(pairs[4 * i], pairs[4 * i + 2]);
        fours[4 * i + 2] = _mm512_unpacklo_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
        fours[4 * i + 3] = _mm512_unpackhi_epi64(pairs[4 * i + 1], pairs[4 * i + 3]);
    }
    for c in 0..4 {
        // Quarters q of rows 0–3, 4–7, 8–11, 12–15 hold column 4q + c.
        let low = _mm512_shuffle_i32x4::<0x44>(fours[c], fours[4 + c]);
        let high = _mm512_shuffle_i32x4::<0xee>(fours[c], fours[4 + c]);
        let low_rest = _mm512_shuffle_i32x4::<0x44>(fours[8 + c], fours[12 + c]);
        let high_rest = _mm512_shuffle_i32x4::<0xee>(fours[8 + c], fours[12 + c]);
        rows[c] = _mm512_shuffle_i32x4::<0x88>(low, low_rest);
        rows[4 + c] = _mm512_shuffle_i32x4::<0xdd>(low, low_rest);
        rows[8 + c] = _mm512_shuffle_i32x4::<0x88>(high, high_rest);
        rows[12 + c] = _mm512_shuffle_i32x4::<0xdd>(high, high_rest);
    }
    rows
}

/// The first `count` of 16 lanes.
#[inline]
fn mask16(count: usize) -> __mmask16 {
    if count >= 16 { u16::MAX } else { (1 << count) - 1 }
}
