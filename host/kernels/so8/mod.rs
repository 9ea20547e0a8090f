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
use super::simd::wide;

/// The width of a block.
pub const SIDE: usize = 8;
/// Elements of a block's matrix.
pub const BLOCK: usize = SIDE * SIDE;

/// Rows that are worked on together, so that a block's matrix is loaded once for all of them. Few, since rows of a width that is
/// a multiple of 1024 fall into the same places of the first cache.
const GROUP: usize = 4;
/// Rows of a task of [`rotate`].
const ROWS: usize = 32;
/// Blocks whose gradients a task of [`rotate_gradient`] sums.
const TOGETHER: usize = 16;

type Row = [f32; SIDE];

/// The blocks of `G` rows that lie at `x`, `width` apart.
#[inline(always)]
fn blocks_of<const G: usize>(x: &[f32], width: usize) -> [&[Row]; G] {
    std::array::from_fn(|row| x[row * width..(row + 1) * width].as_chunks::<SIDE>().0)
}

#[inline(always)]
fn rotate_group<const G: usize>(x: &[f32], matrices: &[[f32; BLOCK]], width: usize, add: bool, out: &mut [f32]) {
    let x = blocks_of::<G>(x, width);
    for (block, matrix) in matrices.iter().enumerate() {
        let matrix = matrix.as_chunks::<SIDE>().0;
        let mut y = [[0.0f32; SIDE]; G];
        for (i, from) in matrix.iter().enumerate() {
            for (y, x) in y.iter_mut().zip(&x) {
                let x = x[block][i];
                for (y, r) in y.iter_mut().zip(from) {
                    *y += x * r;
                }
            }
        }
        for (row, y) in y.iter().enumerate() {
            let at = row * width + block * SIDE;
            let out = &mut out[at..at + SIDE];
            for (out, y) in out.iter_mut().zip(y) {
                *out = if add { *out + y } else { *y };
            }
        }
    }
}

#[inline(always)]
fn sum_group<const G: usize>(x: &[f32], gradient: &[f32], width: usize, first: usize, out: &mut [[f32; BLOCK]]) {
    let (x, gradient) = (blocks_of::<G>(x, width), blocks_of::<G>(gradient, width));
    for (block, out) in out.iter_mut().enumerate() {
        let out = out.as_chunks_mut::<SIDE>().0;
        let mut sum: [Row; SIDE] = std::array::from_fn(|i| out[i]);
        for (x, gradient) in x.iter().zip(&gradient) {
            let (x, gradient): (Row, Row) = (x[first + block], gradient[first + block]);
            for (sum, x) in sum.iter_mut().zip(x) {
                for (sum, gradient) in sum.iter_mut().zip(gradient) {
                    *sum += x * gradient;
                }
            }
        }
        out.copy_from_slice(&sum);
    }
}

wide! {
    fn rotate_rows(x: &[f32], matrices: &[[f32; BLOCK]], width: usize, add: bool, out: &mut [f32]) {
        let (x, out) = (x.chunks(GROUP * width), out.chunks_mut(GROUP * width));
        for (x, out) in x.zip(out) {
            if out.len() == GROUP * width {
                rotate_group::<GROUP>(x, matrices, width, add, out);
                continue;
            }
            for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                rotate_group::<1>(x, matrices, width, add, out);
            }
        }
    }

    fn sum_rows(x: &[f32], gradient: &[f32], width: usize, first: usize, out: &mut [[f32; BLOCK]]) {
        for (x, gradient) in x.chunks(GROUP * width).zip(gradient.chunks(GROUP * width)) {
            if x.len() == GROUP * width {
                sum_group::<GROUP>(x, gradient, width, first, out);
                continue;
            }
            for (x, gradient) in x.chunks_exact(width).zip(gradient.chunks_exact(width)) {
                sum_group::<1>(x, gradient, width, first, out);
            }
        }
    }
}

/// `out (+)= x·R` for every row, or `x·Rᵀ` with [`Turn::Backward`], which is both the inverse and the backward pass. `x` and
/// `out` are [rows, width] with `width` a multiple of [`SIDE`]; `rotations` is [width / 8, 8, 8].
pub fn rotate(x: &[f32], rotations: &[f32], width: usize, turn: Turn, add: bool, out: &mut [f32]) {
    let transposed: Vec<f32>;
    let rotations = match turn {
        Turn::Forward => rotations,
        Turn::Backward => {
            let element = |at: usize| rotations[at / BLOCK * BLOCK + at % SIDE * SIDE + at % BLOCK / SIDE];
            transposed = (0..rotations.len()).map(element).collect();
            &transposed
        }
    };
    let matrices = rotations.as_chunks::<BLOCK>().0;
    let tasks = out.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width));
    tasks.for_each(|(out, x)| rotate_rows(x, matrices, width, add, out));
}

/// The gradient of the rotations, Σ over rows of `xᵀ·gradient` for every block, with `gradient` that of `x·R`. Overwrites `out`
/// [width / 8, 8, 8]. The sum's order is that of the rows.
pub fn rotate_gradient(x: &[f32], gradient: &[f32], width: usize, out: &mut [f32]) {
    let blocks = out.as_chunks_mut::<BLOCK>().0;
    blocks.par_chunks_mut(TOGETHER).enumerate().for_each(|(task, out)| {
        out.fill([0.0; BLOCK]);
        sum_rows(x, gradient, width, task * TOGETHER, out);
    });
}
