//! The row operations of attention and a vectorised exponential: one body each, compiled for every instruction set.

#![allow(unsafe_code, reason = "calls the bodies compiled for instructions that were detected")]

use crate::gemm::instructions::{Instructions, for_all_instructions};

/// Numbers handled side by side; sums and maxima keep one partial result a lane, the same for every instruction set.
pub const LANES: usize = 16;

for_all_instructions! {
    /// Replaces each of the first `count` scores of a row by `exp(scale · (score − largest))`; returns `scale · largest` and the sum of what
    /// was written. `scale` is not negative. The row is as long as whole vectors of [`LANES`] that hold them; the rest of it is left alone.
    pub fn exponentials(row: &mut [f32], count: usize, scale: f32) -> (f32, f32) = exponentials_body
}

for_all_instructions! {
    /// Replaces each of the first `count` scores by `exp(scale · score − lse)`; the row is as for [`exponentials`].
    pub fn probabilities(row: &mut [f32], count: usize, scale: f32, lse: f32) = probabilities_body
}

for_all_instructions! {
    /// Replaces each `gradient` of a probability by that of its score: `probability · (gradient − delta) · scale`.
    pub fn score_gradients(gradients: &mut [f32], row: &[f32], delta: f32, scale: f32) = score_gradients_body
}

for_all_instructions! {
    /// `Σ a·b`.
    pub fn dot(a: &[f32], b: &[f32]) -> f32 = dot_body
}

#[inline(always)]
fn dot_body<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum = multiply_add::<FUSED>(*a, *b, *sum);
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *sum = multiply_add::<FUSED>(*a, *b, *sum);
    }
    sums.iter().sum()
}

#[inline(always)]
fn exponentials_body<const FUSED: bool>(row: &mut [f32], count: usize, scale: f32) -> (f32, f32) {
    let (chunks, last) = parts(row, count);
    let mut largest = [f32::NEG_INFINITY; LANES];
    for chunk in &*chunks {
        for (largest, &score) in largest.iter_mut().zip(chunk) {
            *largest = if score > *largest { score } else { *largest };
        }
    }
    for (lane, (largest, &score)) in largest.iter_mut().zip(&*last).enumerate() {
        *largest = if (lane as u32) < (count % LANES) as u32 && score > *largest { score } else { *largest };
    }
    let largest = greatest(largest);
    let mut sums = [0f32; LANES];
    for chunk in chunks {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *score = exponential::<FUSED>(scale * (*score - largest));
            *sum += *score;
        }
    }
    // A whole vector here too; what lies beyond the scores adds nothing.
    for (lane, (sum, score)) in sums.iter_mut().zip(last).enumerate() {
        let value = exponential::<FUSED>(scale * (*score - largest));
        let is_score = (lane as u32) < (count % LANES) as u32;
        *sum += if is_score { value } else { 0.0 };
        *score = if is_score { value } else { *score };
    }
    (scale * largest, sums.iter().sum())
}

#[inline(always)]
fn probabilities_body<const FUSED: bool>(row: &mut [f32], count: usize, scale: f32, lse: f32) {
    let (chunks, last) = parts(row, count);
    for score in chunks.as_flattened_mut() {
        *score = exponential::<FUSED>(scale * *score - lse);
    }
    for (lane, score) in last.iter_mut().enumerate() {
        let value = exponential::<FUSED>(scale * *score - lse);
        *score = if (lane as u32) < (count % LANES) as u32 { value } else { *score };
    }
}

/// The whole vectors of the first `count` numbers, and the vector that holds the others.
#[inline(always)]
fn parts(row: &mut [f32], count: usize) -> (&mut [[f32; LANES]], &mut [f32]) {
    assert_eq!(row.len(), count.next_multiple_of(LANES), "whole vectors are expected");
    let (whole, last) = row.split_at_mut(count / LANES * LANES);
    (whole.as_chunks_mut().0, last)
}

#[inline(always)]
fn score_gradients_body<const FUSED: bool>(gradients: &mut [f32], row: &[f32], delta: f32, scale: f32) {
    for (gradient, probability) in gradients.iter_mut().zip(row) {
        *gradient = probability * (*gradient - delta) * scale;
    }
}

/// The greatest of all lanes.
#[inline(always)]
fn greatest(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = if lanes[lane + width] > lanes[lane] { lanes[lane + width] } else { lanes[lane] };
        }
        width /= 2;
    }
    lanes[0]
}

/// `exp(x)` to about one unit in the last place; x below −87 counts as −87, above 88 as 88.
///
/// With `n = round(x / ln 2)` and `r = x − n·ln 2`, `exp(x) = 2ⁿ·exp(r)`, and exp(r), |r| ≤ 0.347, is its Taylor polynomial of
/// degree 7, whose remainder is below 6·10⁻⁹.
#[inline(always)]
pub fn exponential<const FUSED: bool>(x: f32) -> f32 {
    /// Adding and subtracting 1.5 · 2²³ rounds to a whole number, which the lowest bits of the sum then hold.
    const ROUNDING: f32 = 12_582_912.0;
    /// The upper bits of ln 2, so few that `n` times them is exact, and what they lack.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 { x } else { -87.0 };
    let x = if x < 88.0 { x } else { 88.0 };
    let rounded = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUNDING);
    let n = rounded - ROUNDING;
    let r = multiply_add::<FUSED>(n, -LN_2_LOW, multiply_add::<FUSED>(n, -LN_2_HIGH, x));
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = multiply_add::<FUSED>(sum, r, coefficient);
    }
    let power = rounded.to_bits().wrapping_sub(ROUNDING.to_bits()).wrapping_shl(23);
    f32::from_bits(sum.to_bits().wrapping_add(power))
}

/// `a·b + c`, in one rounding where the instructions have it (in software that would be slow).
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
