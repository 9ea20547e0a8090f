//! Root-mean-square normalisation of parts of rows: of every query and key head, or of all queries and all keys together, where they lie
//! beside values in fused rows `[queries | keys | values]`. The formula is that of [`norm`](super::norm).

use super::rows;
use super::simd::{sum, wide};

/// Equal parts of each row, beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The first part's first column.
    pub first: usize,
    /// Parts a row.
    pub count: usize,
    /// Columns a part.
    pub width: usize,
    /// Columns a row.
    pub stride: usize,
}

impl Parts {
    fn columns(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.count * self.width
    }
}

wide! {
    fn forward_rows(x: &[f32], weight: &[f32], epsilon: f32, parts: Parts, out: &mut [f32], inverse: &mut [f32]) {
        let rows = x.chunks_exact(parts.stride).zip(out.chunks_exact_mut(parts.stride));
        for ((x, out), inverse) in rows.zip(inverse.chunks_exact_mut(parts.count)) {
            let pairs = x[parts.columns()].chunks_exact(parts.width).zip(out[parts.columns()].chunks_exact_mut(parts.width));
            for ((x, out), inverse) in pairs.zip(inverse) {
                let scale = 1.0 / (sum(parts.width, |i| x[i] * x[i]) / parts.width as f32 + epsilon).sqrt();
                *inverse = scale;
                for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                    *out = x * scale * weight;
                }
            }
        }
    }

    fn backward_rows(x: &[f32], weight: &[f32], inverse: &[f32], parts: Parts, gradient: &mut [f32]) {
        let rows = x.chunks_exact(parts.stride).zip(gradient.chunks_exact_mut(parts.stride));
        for ((x, gradient), inverse) in rows.zip(inverse.chunks_exact(parts.count)) {
            let pairs =
                x[parts.columns()].chunks_exact(parts.width).zip(gradient[parts.columns()].chunks_exact_mut(parts.width));
            for ((x, gradient), &scale) in pairs.zip(inverse) {
                let dot = sum(parts.width, |i| gradient[i] * weight[i] * x[i]);
                let shift = dot * scale * scale * scale / parts.width as f32;
                for i in 0..parts.width {
                    gradient[i] = gradient[i] * weight[i] * scale - x[i] * shift;
                }
            }
        }
    }
}

/// Writes the parts of `out` [rows, stride] and leaves its other columns alone; `weight` [width] serves every part, and `inverse`
/// [rows, count] takes `1 / sqrt(mean(x²) + ε)` of each.
pub fn forward(x: &[f32], weight: &[f32], epsilon: f32, parts: Parts, out: &mut [f32], inverse: &mut [f32]) {
    rows::each2(out, parts.stride, inverse, parts.count, |row, out, inverse| {
        forward_rows(&x[row * parts.stride..][..out.len()], weight, epsilon, parts, out, inverse);
    });
}

/// Replaces the parts of `gradient` [rows, stride] by the gradient with respect to those of `x`.
pub fn backward(x: &[f32], weight: &[f32], inverse: &[f32], parts: Parts, gradient: &mut [f32]) {
    rows::each(gradient, parts.stride, |row, gradient| {
        let count = gradient.len() / parts.stride * parts.count;
        let inverse = &inverse[row * parts.count..][..count];
        backward_rows(&x[row * parts.stride..][..gradient.len()], weight, inverse, parts, gradient);
    });
}

/// Adds the gradient with respect to the weight to `out` [width], given that of the results, in the order of rows and parts.
pub fn backward_weight(gradient: &[f32], x: &[f32], inverse: &[f32], parts: Parts, out: &mut [f32]) {
    for (index, scale) in inverse.iter().enumerate() {
        let from = index / parts.count * parts.stride + parts.first + index % parts.count * parts.width;
        for (i, out) in out.iter_mut().enumerate() {
            *out += gradient[from + i] * x[from + i] * scale;
        }
    }
}
