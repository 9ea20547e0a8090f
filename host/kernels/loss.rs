//! Cross-entropy with its gradient in one pass over the logits.

use rayon::prelude::*;

use super::simd::{LANES, exp, sum, wide};

wide! {
    fn row(logits: &mut [f32], target: usize, weight: f32, smoothing: f32) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        let (whole, rest) = logits.as_chunks::<LANES>();
        for chunk in whole {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane = if x > *lane { x } else { *lane };
            }
        }
        let mut greatest = f32::NEG_INFINITY;
        for &x in lanes.iter().chain(rest) {
            greatest = if x > greatest { x } else { greatest };
        }
        let chosen = logits[target] - greatest;
        let spread = smoothing / logits.len() as f32;
        let rest = if smoothing > 0.0 { sum(logits.len(), |i| logits[i] - greatest) } else { 0.0 };
        for x in logits.iter_mut() {
            *x = exp(*x - greatest);
        }
        let total = sum(logits.len(), |i| logits[i]);
        let scale = weight / total;
        for x in logits.iter_mut() {
            *x = *x * scale - spread * weight;
        }
        logits[target] -= (1.0 - smoothing) * weight;
        total.ln() - (1.0 - smoothing) * chosen - spread * rest
    }
}

/// For every row of `logits` [rows, vocabulary]: writes the cross-entropy of `softmax(logits)` with `(1 − smoothing) ·
/// one_hot(target) + smoothing / vocabulary` to `losses` (label smoothing as PyTorch defines it; with 0 that is
/// `−log softmax(logits)[target]`), and replaces the logits by the gradient of the weighted sum of losses: softmax less that mixture,
/// times the row's weight.
pub fn cross_entropy(
    logits: &mut [f32],
    vocabulary: usize,
    targets: &[u32],
    weights: &[f32],
    smoothing: f32,
    losses: &mut [f32],
) {
    logits
        .par_chunks_exact_mut(vocabulary)
        .zip(losses)
        .zip(targets.par_iter().zip(weights))
        .for_each(|((logits, loss), (&target, &weight))| *loss = row(logits, target as usize, weight, smoothing));
}

/// The readable twin of [`cross_entropy`].
pub fn cross_entropy_plain(
    logits: &mut [f32],
    vocabulary: usize,
    targets: &[u32],
    weights: &[f32],
    smoothing: f32,
    losses: &mut [f32],
) {
    for (row, logits) in logits.chunks_exact_mut(vocabulary).enumerate() {
        let target = targets[row] as usize;
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total = logits.iter().map(|x| f64::from((x - greatest).exp())).sum::<f64>() as f32;
        losses[row] = 0.0;
        for (i, x) in logits.iter_mut().enumerate() {
            let share = (1.0 - smoothing) * f32::from(u8::from(i == target)) + smoothing / vocabulary as f32;
            let log_probability = *x - greatest - total.ln();
            losses[row] -= if share > 0.0 { share * log_probability } else { 0.0 };
            *x = (log_probability.exp() - share) * weights[row];
        }
    }
}
