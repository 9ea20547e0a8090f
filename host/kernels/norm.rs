//! Root-mean-square normalisation (Zhang & Sennrich 2019): `y = x · w / sqrt(mean(x²) + ε)`, row by row.

use super::rows;
use super::simd::{sum, wide};

wide! {
    fn forward_rows(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32], inverse: &mut [f32]) {
        let width = weight.len();
        for ((x, out), inverse) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(inverse) {
            let scale = 1.0 / (sum(width, |i| x[i] * x[i]) / width as f32 + epsilon).sqrt();
            *inverse = scale;
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        }
    }

    fn backward_rows(gradient: &[f32], x: &[f32], weight: &[f32], inverse: &[f32], out: &mut [f32]) {
        let width = weight.len();
        let rows = gradient.chunks_exact(width).zip(x.chunks_exact(width)).zip(out.chunks_exact_mut(width));
        for (((gradient, x), out), &scale) in rows.zip(inverse) {
            let dot = sum(width, |i| gradient[i] * weight[i] * x[i]);
            let shift = dot * scale * scale * scale / width as f32;
            for i in 0..width {
                out[i] += gradient[i] * weight[i] * scale - x[i] * shift;
            }
        }
    }

    fn weight_rows(gradient: &[f32], x: &[f32], inverse: &[f32], width: usize, first: usize, out: &mut [f32]) {
        let count = out.len();
        for (row, &scale) in inverse.iter().enumerate() {
            let from = row * width + first;
            let (gradient, x) = (&gradient[from..from + count], &x[from..from + count]);
            for i in 0..count {
                out[i] += gradient[i] * x[i] * scale;
            }
        }
    }
}

/// `out` and `x` are [rows, width] with `width = weight.len()`; `inverse` takes `1 / sqrt(mean(x²) + ε)` of each row.
pub fn forward(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32], inverse: &mut [f32]) {
    let width = weight.len();
    rows::each2(out, width, inverse, 1, |row, out, inverse| {
        forward_rows(&x[row * width..row * width + out.len()], weight, epsilon, out, inverse);
    });
}

/// Adds the gradient with respect to `x` to `out`: `w·g/r − x·(Σ w·g·x)/(r³·width)` with `r` the root mean square.
pub fn backward(gradient: &[f32], x: &[f32], weight: &[f32], inverse: &[f32], out: &mut [f32]) {
    let width = weight.len();
    rows::each(out, width, |row, out| {
        let range = row * width..row * width + out.len();
        let inverse = &inverse[row..row + out.len() / width];
        backward_rows(&gradient[range.clone()], &x[range], weight, inverse, out);
    });
}

/// Adds the gradient with respect to the weight to `out` [width]; every column sums its rows in order.
pub fn backward_weight(gradient: &[f32], x: &[f32], inverse: &[f32], out: &mut [f32]) {
    let width = out.len();
    weight_rows(gradient, x, inverse, width, 0, out);
}

/// The readable twin of [`forward`].
pub fn forward_plain(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32], inverse: &mut [f32]) {
    let width = weight.len();
    for row in 0..inverse.len() {
        let x = &x[row * width..(row + 1) * width];
        let mean: f32 = x.iter().map(|x| x * x).sum::<f32>() / width as f32;
        inverse[row] = 1.0 / (mean + epsilon).sqrt();
        for i in 0..width {
            out[row * width + i] = x[i] * inverse[row] * weight[i];
        }
    }
}

/// The readable twin of [`backward`].
pub fn backward_plain(gradient: &[f32], x: &[f32], weight: &[f32], inverse: &[f32], out: &mut [f32]) {
    let width = weight.len();
    for (row, &inverse) in inverse.iter().enumerate() {
        let at = |i: usize| row * width + i;
        let dot: f32 = (0..width).map(|i| gradient[at(i)] * weight[i] * x[at(i)]).sum();
        for i in 0..width {
            let direct = gradient[at(i)] * weight[i] * inverse;
            out[at(i)] += direct - x[at(i)] * inverse.powi(3) * dot / width as f32;
        }
    }
}
