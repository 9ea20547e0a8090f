//! The rotations worked into the weight beside which they stand. With `y = x·R`, as a column `y = Rᵀ·x`:
//! before a linear `W·(Rᵀ·x) = (W·Rᵀ)·x`, after it `Rᵀ·(W·x) = (Rᵀ·W)·x`.

use super::map::{Map, rotation};
use super::{BLOCK, SIDE};

/// `W·Rᵀ`: a gate before the linear whose weight `w` [outputs, inputs] is. `theta` is [inputs / 8, 8, 8].
pub fn fold_before(w: &mut [f32], theta: &[f32], map: Map) {
    let rotations: Vec<_> = theta.as_chunks::<BLOCK>().0.iter().map(|theta| rotation(theta, map)).collect();
    for row in w.chunks_exact_mut(rotations.len() * SIDE) {
        for (block, rotation) in row.as_chunks_mut::<SIDE>().0.iter_mut().zip(&rotations) {
            *block = std::array::from_fn(|i| {
                block.iter().zip(&rotation[i]).map(|(&w, r)| f64::from(w) * r).sum::<f64>() as f32
            });
        }
    }
}

/// `Rᵀ·W`: a gate after the linear whose weight `w` [outputs, inputs] is. `theta` is [outputs / 8, 8, 8].
pub fn fold_after(w: &mut [f32], theta: &[f32], inputs: usize, map: Map) {
    for (rows, theta) in w.chunks_exact_mut(SIDE * inputs).zip(theta.as_chunks::<BLOCK>().0) {
        let rotation = rotation(theta, map);
        for column in 0..inputs {
            let old: [f64; SIDE] = std::array::from_fn(|i| f64::from(rows[i * inputs + column]));
            for j in 0..SIDE {
                rows[j * inputs + column] = (0..SIDE).map(|i| rotation[i][j] * old[i]).sum::<f64>() as f32;
            }
        }
    }
}
