//! The readable twins of the matrix products: row operations in single precision on one thread.
//!
//! Shapes and meaning are those of the functions of the same name in [`gemm`](super).

use half::f16;

use super::Weight;
use crate::quantise::{BLOCK, blocks};

/// One row of a weight `[n, k]`, expanded to f32.
fn row(w: Weight<'_>, index: usize, k: usize) -> Vec<f32> {
    let range = index * k..(index + 1) * k;
    match w {
        Weight::F32(values) => values[range].to_vec(),
        Weight::Bf16(values) => values[range].iter().map(|&bits| f32::from_bits(u32::from(bits) << 16)).collect(),
        Weight::F16(values) => values[range].iter().map(|&bits| f16::from_bits(bits).to_f32()).collect(),
        Weight::Nf4(matrix) => range.map(|index| matrix.value(index)).collect(),
        Weight::Int8 { values, steps } => {
            let steps = &steps[index * blocks(k)..];
            values[range].iter().enumerate().map(|(i, &value)| steps[i / BLOCK].value(value)).collect()
        }
    }
}

/// `out (+)= x·wᵀ`.
pub fn matmul_nt(x: &[f32], w: Weight<'_>, out: &mut [f32], m: usize, k: usize, n: usize, accumulate: bool) {
    clear_unless(accumulate, out);
    for j in 0..n {
        let row = row(w, j, k);
        for i in 0..m {
            out[i * n + j] += x[i * k..(i + 1) * k].iter().zip(&row).map(|(x, w)| x * w).sum::<f32>();
        }
    }
}

/// `dx (+)= dy·w`.
pub fn matmul_nn(dy: &[f32], w: Weight<'_>, dx: &mut [f32], m: usize, n: usize, k: usize, accumulate: bool) {
    clear_unless(accumulate, dx);
    for j in 0..n {
        let row = row(w, j, k);
        for i in 0..m {
            add_scaled(&mut dx[i * k..(i + 1) * k], dy[i * n + j], &row);
        }
    }
}

/// `dw (+)= dyᵀ·x`.
pub fn matmul_tn(dy: &[f32], x: &[f32], dw: &mut [f32], m: usize, n: usize, k: usize, accumulate: bool) {
    clear_unless(accumulate, dw);
    for i in 0..m {
        for j in 0..n {
            add_scaled(&mut dw[j * k..(j + 1) * k], dy[i * n + j], &x[i * k..(i + 1) * k]);
        }
    }
}

fn add_scaled(out: &mut [f32], factor: f32, row: &[f32]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out += factor * value;
    }
}

fn clear_unless(accumulate: bool, out: &mut [f32]) {
    if !accumulate {
        out.fill(0.0);
    }
}
