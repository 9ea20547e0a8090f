//! Cross-entropy with its gradient in one pass over the logits.

use rayon::prelude::*;

use super::simd::{LANES, exp, sum, wide};

wide! {
    fn row(logits: &mut [f32], target: usize, weight: f32) -> f32 {
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
        let chosen = logits[target];
        for x in logits.iter_mut() {
            *x = exp(*x - greatest);
        }
        let total = sum(logits.len(), |i| logits[i]);
        let scale = weight / total;
        for x in logits.iter_mut() {
            *x *= scale;
        }
        logits[target] -= weight;
        total.ln() + greatest - chosen
    }
}

/// For every row of `logits` [rows, vocabulary]: writes `−log softmax(logits)[target]` to `losses`, and replaces the
/// logits by `(softmax(logits) − one_hot(target)) · weight`, the gradient of the weighted sum of losses.
pub fn cross_entropy(logits: &mut [f32], vocabulary: usize, targets: &[u32], weights: &[f32], losses: &mut [f32]) {
    logits
        .par_chunks_exact_mut(vocabulary)
        .zip(losses)
        .zip(targets.par_iter().zip(weights))
        .for_each(|((logits, loss), (&target, &weight))| *loss = row(logits, target as usize, weight));
}

/// The readable twin of [`cross_entropy`].
pub fn cross_entropy_plain(
    logits: &mut [f32],
    vocabulary: usize,
    targets: &[u32],
    weights: &[f32],
    losses: &mut [f32],
) {
    for (row, logits) in logits.chunks_exact_mut(vocabulary).enumerate() {
        let target = targets[row] as usize;
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total = logits.iter().map(|x| f64::from((x - greatest).exp())).sum::<f64>() as f32;
        losses[row] = total.ln() + greatest - logits[target];
        for (i, x) in logits.iter_mut().enumerate() {
            let probability = (*x - greatest).exp() / total;
            *x = (probability - f32::from(u8::from(i == target))) * weights[row];
        }
    }
}
