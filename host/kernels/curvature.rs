//! How far a sequence of rows is from a straight line: Σ (h[t+2] − 2·h[t+1] + h[t])² over a pack of sequences.

use rayon::prelude::*;

use super::simd::{sum, wide};

wide! {
    /// One sequence: its sum, and `2·factor` times the gradient of it.
    fn sequence(h: &[f32], width: usize, factor: f32, gradient: &mut [f32]) -> f64 {
        gradient.fill(0.0);
        let mut total = 0.0;
        for at in (0..h.len().saturating_sub(2 * width)).step_by(width) {
            let (a, b, c) = (&h[at..at + width], &h[at + width..at + 2 * width], &h[at + 2 * width..at + 3 * width]);
            let (first, rest) = gradient[at..at + 3 * width].split_at_mut(width);
            let (second, third) = rest.split_at_mut(width);
            for i in 0..width {
                let push = 2.0 * factor * (c[i] - 2.0 * b[i] + a[i]);
                first[i] += push;
                second[i] -= 2.0 * push;
                third[i] += push;
            }
            total += f64::from(sum(width, |i| {
                let bend = c[i] - 2.0 * b[i] + a[i];
                bend * bend
            }));
        }
        total
    }
}

/// Σ (h[t+2] − 2·h[t+1] + h[t])² within each of the sequences `starts[i]..starts[i + 1]` of the rows `h` [rows, width]. `gradient`
/// [rows, width] becomes `factor` times its gradient. Sequences of fewer than three rows add nothing.
pub fn curvature(h: &[f32], starts: &[usize], width: usize, factor: f32, gradient: &mut [f32]) -> f64 {
    let mut pieces = Vec::with_capacity(starts.len());
    let mut rest = gradient;
    for range in starts.windows(2) {
        let (piece, after) = rest.split_at_mut((range[1] - range[0]) * width);
        pieces.push((&h[range[0] * width..range[1] * width], piece));
        rest = after;
    }
    let sums: Vec<f64> = pieces.into_par_iter().map(|(h, gradient)| sequence(h, width, factor, gradient)).collect();
    sums.iter().sum()
}

/// The readable twin of [`curvature`], of one sequence, in double precision and without the gradient.
pub fn curvature_plain(h: &[f64], width: usize) -> f64 {
    let rows = h.len() / width;
    let bend = |t: usize, i: usize| h[(t + 2) * width + i] - 2.0 * h[(t + 1) * width + i] + h[t * width + i];
    (2..rows).map(|t| (0..width).map(|i| bend(t - 2, i).powi(2)).sum::<f64>()).sum()
}
