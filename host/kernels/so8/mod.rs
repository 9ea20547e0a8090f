//! Rotations of blocks of eight: a width `D` falls into `D / 8` blocks, and each of them is turned by a rotation of its own,
//! `y = x·R` with `x` a row of eight and `R` in SO(8).
//!
//! A block's parameter is any `θ` [8, 8]. `A = θ − θᵀ` is skew, and either map ([`Map`]) takes it to a rotation, so that
//! whatever training does to `θ` the block stays orthogonal; `θ = 0` is the identity. Rotations are worked out in double
//! precision and rounded once.
//!
//! | file | what it holds |
//! |---|---|
//! | `map.rs` | `θ → R`, and the gradient back |
//! | `fold.rs` | the rotations worked into a weight |
//! | `plain.rs` | the readable twins |

mod fold;
mod map;
pub mod plain;

use rayon::prelude::*;

pub use fold::{fold_after, fold_before};
pub use map::{Map, rotation, rotation_gradient, rotations, rotations_backward};

use super::rope::Turn;
use super::rows;
use super::simd::wide;

/// The width of a block.
pub const SIDE: usize = 8;
/// Elements of a block's matrix.
pub const BLOCK: usize = SIDE * SIDE;

/// Blocks whose gradients one task sums: their accumulators and a row's part of them stay in the first cache.
const TOGETHER: usize = 8;

type Matrix = [[f32; SIDE]; SIDE];

fn matrix(values: &[f32], turn: Turn) -> Matrix {
    let mut out = [[0.0; SIDE]; SIDE];
    for (i, row) in values.as_chunks::<SIDE>().0.iter().enumerate() {
        for (j, &value) in row.iter().enumerate() {
            match turn {
                Turn::Forward => out[i][j] = value,
                Turn::Backward => out[j][i] = value,
            }
        }
    }
    out
}

wide! {
    /// One block of every row. Inside a task the block is the outer loop: its matrix stays in registers.
    fn rotate_block(x: &[f32], matrix: &Matrix, width: usize, block: usize, add: bool, out: &mut [f32]) {
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let x = &x.as_chunks::<SIDE>().0[block];
            let out = &mut out.as_chunks_mut::<SIDE>().0[block];
            let mut y = [0.0f32; SIDE];
            for i in 0..SIDE {
                for j in 0..SIDE {
                    y[j] += x[i] * matrix[i][j];
                }
            }
            for j in 0..SIDE {
                out[j] = if add { out[j] + y[j] } else { y[j] };
            }
        }
    }

    /// The gradients of the blocks `first..` that `out` has room for.
    fn sum_blocks(x: &[f32], gradient: &[f32], width: usize, first: usize, out: &mut [[f32; BLOCK]]) {
        for (x, gradient) in x.chunks_exact(width).zip(gradient.chunks_exact(width)) {
            let (x, gradient) = (&x.as_chunks::<SIDE>().0[first..], &gradient.as_chunks::<SIDE>().0[first..]);
            for ((x, gradient), out) in x.iter().zip(gradient).zip(out.iter_mut()) {
                let out = out.as_chunks_mut::<SIDE>().0;
                for i in 0..SIDE {
                    for j in 0..SIDE {
                        out[i][j] += x[i] * gradient[j];
                    }
                }
            }
        }
    }
}

/// `out (+)= x·R` for every row, or `x·Rᵀ` with [`Turn::Backward`], which is both the inverse and the backward pass. `x` and
/// `out` are [rows, width] with `width` a multiple of [`SIDE`]; `rotations` is [width / 8, 8, 8].
pub fn rotate(x: &[f32], rotations: &[f32], width: usize, turn: Turn, add: bool, out: &mut [f32]) {
    rows::each(out, width, |row, out| {
        let x = &x[row * width..row * width + out.len()];
        for (block, values) in rotations.as_chunks::<BLOCK>().0.iter().enumerate() {
            rotate_block(x, &matrix(values, turn), width, block, add, out);
        }
    });
}

/// The gradient of the rotations, Σ over rows of `xᵀ·gradient` for every block, with `gradient` that of `x·R`. Overwrites `out`
/// [width / 8, 8, 8]. The sum's order is that of the rows.
pub fn rotate_gradient(x: &[f32], gradient: &[f32], width: usize, out: &mut [f32]) {
    let blocks = out.as_chunks_mut::<BLOCK>().0;
    blocks.par_chunks_mut(TOGETHER).enumerate().for_each(|(task, out)| {
        out.fill([0.0; BLOCK]);
        sum_blocks(x, gradient, width, task * TOGETHER, out);
    });
}
