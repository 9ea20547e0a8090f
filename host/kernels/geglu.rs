//! The gated activation with the Gaussian error linear unit (Hendrycks & Gimpel 2016; Shazeer 2020): `h = gelu(gate) · up`.
//!
//! `gate_up` is laid out as in [`swiglu`](super::swiglu). With the tanh, `gelu(g) = g · (1 + tanh u) / 2 = g / (1 + e^(−2u))` with
//! `u = √(2/π) · (g + 0.044715 · g³)`; exactly, `gelu(g) = g · Φ(g)` with the normal distribution's Φ.

use super::rows;
use super::simd::{exp, wide};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// The approximation by a tanh.
    Tanh,
    /// By the error function.
    Exact,
}

/// √(2/π).
const ROOT: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// The factor of the gate, and its derivative times the gate.
#[inline(always)]
fn tanh_parts(g: f32) -> (f32, f32) {
    let share = 1.0 / (1.0 + exp(-2.0 * ROOT * (g + CUBIC * g * g * g)));
    (share, share + 2.0 * ROOT * g * (1.0 + 3.0 * CUBIC * g * g) * share * (1.0 - share))
}

fn exact_parts(g: f32) -> (f32, f32) {
    let g = f64::from(g);
    let share = 0.5 * (1.0 + erf(g / std::f64::consts::SQRT_2));
    let density = (-0.5 * g * g).exp() / std::f64::consts::TAU.sqrt();
    (share as f32, (share + g * density) as f32)
}

/// The error function, by a series whose terms are all of one sign: `2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1))`.
fn erf(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut total, mut n) = (x, x, 0.0);
    while term.abs() > 1e-17 * total.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        total += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * total
}

wide! {
    fn forward_rows(gate_up: &[f32], width: usize, out: &mut [f32]) {
        for (gate_up, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = gate_up.split_at(width);
            for i in 0..width {
                out[i] = gate[i] * tanh_parts(gate[i]).0 * up[i];
            }
        }
    }

    fn backward_rows(gradient: &[f32], width: usize, gate_up: &mut [f32]) {
        for (gradient, gate_up) in gradient.chunks_exact(width).zip(gate_up.chunks_exact_mut(2 * width)) {
            let (gate, up) = gate_up.split_at_mut(width);
            for i in 0..width {
                let (share, slope) = tanh_parts(gate[i]);
                let value = gate[i] * share;
                gate[i] = gradient[i] * up[i] * slope;
                up[i] = gradient[i] * value;
            }
        }
    }
}

/// Writes `h` to `out` [rows, width].
pub fn forward(gate_up: &[f32], width: usize, gelu: Gelu, out: &mut [f32]) {
    rows::each(out, width, |row, out| {
        let gate_up = &gate_up[2 * row * width..2 * (row * width + out.len())];
        match gelu {
            Gelu::Tanh => forward_rows(gate_up, width, out),
            Gelu::Exact => forward_plain(gate_up, width, gelu, out),
        }
    });
}

/// Replaces `gate_up` by the gradient with respect to it, given the gradient with respect to `h` [rows, width].
pub fn backward(gradient: &[f32], width: usize, gelu: Gelu, gate_up: &mut [f32]) {
    rows::each(gate_up, 2 * width, |row, gate_up| {
        let gradient = &gradient[row * width..row * width + gate_up.len() / 2];
        match gelu {
            Gelu::Tanh => backward_rows(gradient, width, gate_up),
            Gelu::Exact => backward_plain(gradient, width, gelu, gate_up),
        }
    });
}

fn parts_of(gelu: Gelu, g: f32) -> (f32, f32) {
    match gelu {
        Gelu::Exact => exact_parts(g),
        Gelu::Tanh => {
            let u = (2.0 / std::f32::consts::PI).sqrt() * (g + CUBIC * g.powi(3));
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (1.0 + 3.0 * CUBIC * g * g);
            let tanh = u.tanh();
            (0.5 * (1.0 + tanh), 0.5 * (1.0 + tanh) + 0.5 * g * (1.0 - tanh * tanh) * inner)
        }
    }
}

/// The readable twin of [`forward`].
pub fn forward_plain(gate_up: &[f32], width: usize, gelu: Gelu, out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        let at = i / width * 2 * width + i % width;
        *out = gate_up[at] * parts_of(gelu, gate_up[at]).0 * gate_up[at + width];
    }
}

/// The readable twin of [`backward`].
pub fn backward_plain(gradient: &[f32], width: usize, gelu: Gelu, gate_up: &mut [f32]) {
    for (i, &gradient) in gradient.iter().enumerate() {
        let at = i / width * 2 * width + i % width;
        let (gate, up) = (gate_up[at], gate_up[at + width]);
        let (share, slope) = parts_of(gelu, gate);
        gate_up[at] = gradient * up * slope;
        gate_up[at + width] = gradient * gate * share;
    }
}
