//! The row operations of attention and a vectorised exponential: one body each, compiled for every instruction set.

#![allow(unsafe_code, reason = "calls the bodies compiled for instructions that were detected")]

use crate::gemm::instructions::{Instructions, for_all_instructions};

/// Numbers handled side by side; sums and maxima keep one partial result a lane, the same for every instruction set.
const LANES: usize = 16;

for_all_instructions! {
    /// Replaces each score by `exp(scale · (score − largest))`; returns `scale · largest` and the sum of what was written.
    /// `scale` is not negative.
    pub fn exponentials(row: &mut [f32], scale: f32) -> (f32, f32) = exponentials_body
}

for_all_instructions! {
    /// Replaces each score by `exp(scale · score − lse)`.
    pub fn probabilities(row: &mut [f32], scale: f32, lse: f32) = probabilities_body
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
fn exponentials_body<const FUSED: bool>(row: &mut [f32], scale: f32) -> (f32, f32) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let mut raise = |chunk: &[f32; LANES]| {
        for (largest, &score) in largest.iter_mut().zip(chunk) {
            *largest = if score > *largest { score } else { *largest };
        }
    };
    let (chunks, rest) = row.as_chunks::<LANES>();
    chunks.iter().for_each(&mut raise);
    raise(&padded(rest, f32::NEG_INFINITY));
    let largest = greatest(largest);
    let mut sums = [0f32; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *score = exponential::<FUSED>(scale * (*score - largest));
            *sum += *score;
        }
    }
    // A whole vector here too; what stands for no score adds nothing.
    let mut last = padded(rest, largest);
    for (lane, (sum, score)) in sums.iter_mut().zip(&mut last).enumerate() {
        *score = exponential::<FUSED>(scale * (*score - largest));
        *sum += if lane < rest.len() { *score } else { 0.0 };
    }
    rest.copy_from_slice(&last[..rest.len()]);
    (scale * largest, sums.iter().sum())
}

#[inline(always)]
fn probabilities_body<const FUSED: bool>(row: &mut [f32], scale: f32, lse: f32) {
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for score in chunks.as_flattened_mut() {
        *score = exponential::<FUSED>(scale * *score - lse);
    }
    let mut last = padded(rest, 0.0);
    for score in &mut last {
        *score = exponential::<FUSED>(scale * *score - lse);
    }
    rest.copy_from_slice(&last[..rest.len()]);
}

#[inline(always)]
fn score_gradients_body<const FUSED: bool>(gradients: &mut [f32], row: &[f32], delta: f32, scale: f32) {
    for (gradient, probability) in gradients.iter_mut().zip(row) {
        *gradient = probability * (*gradient - delta) * scale;
    }
}

/// Fewer numbers than lanes, and `other` in the lanes that are left.
#[inline(always)]
fn padded(rest: &[f32], other: f32) -> [f32; LANES] {
    let mut lanes = [other; LANES];
    lanes[..rest.len()].copy_from_slice(rest);
    lanes
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
