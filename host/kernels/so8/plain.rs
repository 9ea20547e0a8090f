//! The readable twins, in double precision.

use super::{BLOCK, Map, SIDE};

/// A square matrix, row-major.
type Square = Vec<Vec<f64>>;

fn product(a: &Square, b: &Square) -> Square {
    let n = a.len();
    (0..n).map(|i| (0..n).map(|j| (0..n).map(|k| a[i][k] * b[k][j]).sum()).collect()).collect()
}

fn identity(n: usize) -> Square {
    (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect()
}

fn combined(a: &Square, factor: f64, b: &Square) -> Square {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + factor * b).collect()).collect()
}

/// Σ aᵏ / k!, of a matrix of any size; for norms up to about 5.
pub fn exponential(a: &Square) -> Square {
    let (mut sum, mut term) = (identity(a.len()), identity(a.len()));
    for k in 1..60 {
        term = product(&term, a).iter().map(|row| row.iter().map(|x| x / f64::from(k)).collect()).collect();
        sum = combined(&sum, 1.0, &term);
    }
    sum
}

/// `θ − θᵀ`.
pub fn skew(theta: &[f64]) -> Square {
    (0..SIDE).map(|i| (0..SIDE).map(|j| theta[i * SIDE + j] - theta[j * SIDE + i]).collect()).collect()
}

/// The rotation of one `θ` [8, 8]. Cayley's is the sum of the geometric series of `A/2`, for norms below 2.
pub fn rotation(theta: &[f64], map: Map) -> Square {
    let a = skew(theta);
    match map {
        Map::Exponential => exponential(&a),
        Map::Cayley => {
            let half = combined(&combined(&a, -1.0, &a), 0.5, &a);
            let mut inverse = identity(SIDE);
            for _ in 0..300 {
                inverse = combined(&identity(SIDE), 1.0, &product(&half, &inverse));
            }
            product(&inverse, &combined(&identity(SIDE), 1.0, &half))
        }
    }
}

/// The twin of [`rotate`](super::rotate), forward.
pub fn rotate(x: &[f64], rotations: &[Square], width: usize) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    for (at, out) in out.iter_mut().enumerate() {
        let (row, block, j) = (at / width * width, at % width / SIDE, at % SIDE);
        for i in 0..SIDE {
            *out += x[row + block * SIDE + i] * rotations[block][i][j];
        }
    }
    out
}

/// `rotate` from `θ` on: `theta` is [width / 8, 8, 8].
pub fn gate(x: &[f64], theta: &[f64], width: usize, map: Map) -> Vec<f64> {
    let rotations: Vec<Square> = theta.chunks_exact(BLOCK).map(|theta| rotation(theta, map)).collect();
    rotate(x, &rotations, width)
}
