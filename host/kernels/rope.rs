//! Rotary position embedding (Su et al. 2021), rotate-half convention: element `i` of a head turns with element
//! `i + rotary/2` by the angle of its row's position. All of a head turns but in partial rotary embeddings, where its first `rotary`
//! elements do.

use super::rows;
use super::simd::wide;

/// Which way to turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// By the angle: the forward pass.
    Forward,
    /// Against it: the transpose, and therefore the backward pass.
    Backward,
}

/// The rotated part of a row: `heads` heads from the row's first element on.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Query heads and key heads together; they lie side by side.
    pub heads: usize,
    /// Elements a head.
    pub head_dim: usize,
    /// How many of them turn, the first ones; the others stay as they are.
    pub rotary: usize,
    /// Elements a row, rotated or not.
    pub stride: usize,
}

wide! {
    fn turn_rows(values: &mut [f32], positions: &[u32], cos: &[f32], sin: &[f32], sign: f32, shape: Heads) {
        let half = shape.rotary / 2;
        for (row, &position) in values.chunks_exact_mut(shape.stride).zip(positions) {
            let at = position as usize * half;
            let (cos, sin) = (&cos[at..at + half], &sin[at..at + half]);
            for head in row[..shape.heads * shape.head_dim].chunks_exact_mut(shape.head_dim) {
                let (low, high) = head[..shape.rotary].split_at_mut(half);
                for i in 0..half {
                    let (a, b) = (low[i], high[i]);
                    low[i] = a * cos[i] - b * sin[i] * sign;
                    high[i] = b * cos[i] + a * sin[i] * sign;
                }
            }
        }
    }
}

/// Turns the heads of every row in place. `positions` has one entry a row; `cos` and `sin` are [positions, rotary/2].
pub fn turn(values: &mut [f32], positions: &[u32], cos: &[f32], sin: &[f32], shape: Heads, turn: Turn) {
    let sign = if turn == Turn::Forward { 1.0 } else { -1.0 };
    rows::each(values, shape.stride, |row, values| {
        let positions = &positions[row..row + values.len() / shape.stride];
        turn_rows(values, positions, cos, sin, sign, shape);
    });
}

/// The readable twin of [`turn`].
pub fn turn_plain(values: &mut [f32], positions: &[u32], cos: &[f32], sin: &[f32], shape: Heads, turn: Turn) {
    let half = shape.rotary / 2;
    for (row, &position) in positions.iter().enumerate() {
        for head in 0..shape.heads {
            for i in 0..half {
                let low = row * shape.stride + head * shape.head_dim + i;
                let (a, b) = (values[low], values[low + half]);
                let (c, mut s) = (cos[position as usize * half + i], sin[position as usize * half + i]);
                if turn == Turn::Backward {
                    s = -s;
                }
                values[low] = a * c - b * s;
                values[low + half] = b * c + a * s;
            }
        }
    }
}
