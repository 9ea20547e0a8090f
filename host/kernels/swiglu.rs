//! The gated activation (Shazeer 2020): `h = silu(gate) · up` with `silu(g) = g / (1 + e^−g)`.
//!
//! `gate_up` is [rows, 2·width], the gate first, as Phi-3's fused projection lays it out.

use super::rows;
use super::simd::{exp, wide};

wide! {
    fn forward_rows(gate_up: &[f32], width: usize, out: &mut [f32]) {
        for (gate_up, out) in gate_up.chunks_exact(2 * width).zip(out.chunks_exact_mut(width)) {
            let (gate, up) = gate_up.split_at(width);
            for i in 0..width {
                out[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
            }
        }
    }

    fn backward_rows(gradient: &[f32], width: usize, gate_up: &mut [f32]) {
        for (gradient, gate_up) in gradient.chunks_exact(width).zip(gate_up.chunks_exact_mut(2 * width)) {
            let (gate, up) = gate_up.split_at_mut(width);
            for i in 0..width {
                let g = gate[i];
                let sigmoid = 1.0 / (1.0 + exp(-g));
                gate[i] = gradient[i] * up[i] * sigmoid * (1.0 + g * (1.0 - sigmoid));
                up[i] = gradient[i] * g * sigmoid;
            }
        }
    }
}

/// Writes `h` to `out` [rows, width].
pub fn forward(gate_up: &[f32], width: usize, out: &mut [f32]) {
    rows::each(out, width, |row, out| {
        forward_rows(&gate_up[2 * row * width..2 * (row * width + out.len())], width, out);
    });
}

/// Replaces `gate_up` by the gradient with respect to it, given the gradient with respect to `h` [rows, width].
pub fn backward(gradient: &[f32], width: usize, gate_up: &mut [f32]) {
    rows::each(gate_up, 2 * width, |row, gate_up| {
        backward_rows(&gradient[row * width..row * width + gate_up.len() / 2], width, gate_up);
    });
}

/// The readable twin of [`forward`].
pub fn forward_plain(gate_up: &[f32], width: usize, out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        let at = i / width * 2 * width + i % width;
        let (gate, up) = (gate_up[at], gate_up[at + width]);
        *out = gate / (1.0 + (-gate).exp()) * up;
    }
}

/// The readable twin of [`backward`].
pub fn backward_plain(gradient: &[f32], width: usize, gate_up: &mut [f32]) {
    for (i, &gradient) in gradient.iter().enumerate() {
        let at = i / width * 2 * width + i % width;
        let (gate, up) = (gate_up[at], gate_up[at + width]);
        let sigmoid = 1.0 / (1.0 + (-gate).exp());
        gate_up[at] = gradient * up * (sigmoid + gate * sigmoid * (1.0 - sigmoid));
        gate_up[at + width] = gradient * gate * sigmoid;
    }
}
