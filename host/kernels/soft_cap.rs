//! Soft caps (Gemma 2): `y = cap · tanh(x / cap)`, which no value exceeds.

use super::rows;
use super::simd::{exp, wide};

/// `tanh(x)` to about one unit in the last place of 1.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

wide! {
    fn cap_all(values: &mut [f32], cap: f32) {
        for value in values {
            *value = cap * tanh(*value / cap);
        }
    }

    fn slope_all(gradient: &mut [f32], capped: &[f32], cap: f32) {
        for (gradient, capped) in gradient.iter_mut().zip(capped) {
            let tanh = capped / cap;
            *gradient *= 1.0 - tanh * tanh;
        }
    }

    /// Replaces scores by their capped multiples, `cap · tanh(scale · score / cap)`.
    pub fn scores(values: &mut [f32], scale: f32, cap: f32) {
        for value in values {
            *value = cap * tanh(scale * *value / cap);
        }
    }

    /// As [`scores`]; `slopes` takes the derivative of each result with respect to its score.
    pub fn scores_and_slopes(values: &mut [f32], scale: f32, cap: f32, slopes: &mut [f32]) {
        for (value, slope) in values.iter_mut().zip(slopes) {
            let tanh = tanh(scale * *value / cap);
            *value = cap * tanh;
            *slope = scale * (1.0 - tanh * tanh);
        }
    }

    /// Multiplies element by element.
    pub fn multiply(values: &mut [f32], factors: &[f32]) {
        for (value, factor) in values.iter_mut().zip(factors) {
            *value *= factor;
        }
    }
}

/// Caps values in place.
pub fn forward(values: &mut [f32], cap: f32) {
    rows::each(values, 1, |_, values| cap_all(values, cap));
}

/// Turns the gradient of capped values into that of the values, in place.
pub fn backward(gradient: &mut [f32], capped: &[f32], cap: f32) {
    rows::each(gradient, 1, |first, gradient| slope_all(gradient, &capped[first..first + gradient.len()], cap));
}
