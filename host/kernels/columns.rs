//! Operations on the columns of a row-major matrix: a factor for each, and sums over rows.

use rayon::prelude::*;

use super::rows;
use super::simd::wide;

wide! {
    fn multiply(values: &mut [f32], factors: &[f32]) {
        for row in values.chunks_exact_mut(factors.len()) {
            for (value, factor) in row.iter_mut().zip(factors) {
                *value *= factor;
            }
        }
    }

    fn add_products(a: &[f32], b: &[f32], sums: &mut [f32]) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }

    fn add_piece(source: &[f32], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(source) {
            *out += value;
        }
    }
}

/// Multiplies column `c` of `values` [rows, width] by `factors[c]`.
pub fn scale(values: &mut [f32], factors: &[f32]) {
    rows::each(values, factors.len(), |_, values| multiply(values, factors));
}

/// `out += source`.
pub fn add(source: &[f32], out: &mut [f32]) {
    rows::each(out, 1, |at, out| add_piece(&source[at..at + out.len()], out));
}

/// Columns of a task of [`add_dots`].
const COLUMNS: usize = 256;

/// `out[c] += factors[c] · Σᵢ a[i][c] · b[i][c]`, for `a` and `b` [rows, width].
pub fn add_dots(a: &[f32], b: &[f32], factors: &[f32], out: &mut [f32]) {
    let width = out.len();
    out.par_chunks_mut(COLUMNS).enumerate().for_each(|(task, out)| {
        let columns = task * COLUMNS..task * COLUMNS + out.len();
        let mut sums = [0.0; COLUMNS];
        let sums = &mut sums[..out.len()];
        for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
            add_products(&a[columns.clone()], &b[columns.clone()], sums);
        }
        for ((out, sum), factor) in out.iter_mut().zip(sums).zip(&factors[columns]) {
            // A factor of 0 stands for a column that is not asked for.
            *out += if *factor == 0.0 { 0.0 } else { factor * *sum };
        }
    });
}
