//! From `θ` to a rotation, and from the gradient of the rotation to that of `θ`.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{BLOCK, SIDE};
use crate::simd::wide;

/// How a skew matrix `A` becomes a rotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Map {
    /// `exp(A)`: reaches every rotation.
    #[default]
    Exponential,
    /// `(I − A/2)⁻¹(I + A/2)` (Cayley 1846): equals `exp(A)` to second order; reaches every rotation without the angle π.
    Cayley,
}

type Matrix = [[f64; SIDE]; SIDE];

/// A matrix and its derivative in one direction. Products of such pairs are products of the block matrices
/// `[[value, slope], [0, value]]`, whose exponential holds the Fréchet derivative of exp (Mathias 1996).
#[derive(Clone, Copy)]
struct Pair {
    value: Matrix,
    slope: Matrix,
}

const ZERO: Matrix = [[0.0; SIDE]; SIDE];

/// `A` is halved until its norm is below this, and then the series below is exact to double precision.
const NEAR: f64 = 0.25;
/// 1 / k!, to the degree of the series.
const SERIES: [f64; 13] = {
    let mut out = [1.0; 13];
    let mut k = 1;
    while k < 13 {
        out[k] = out[k - 1] / k as f64;
        k += 1;
    }
    out
};

wide! {
    fn multiply_into(a: &Matrix, b: &Matrix, out: &mut Matrix) {
        for i in 0..SIDE {
            for k in 0..SIDE {
                for j in 0..SIDE {
                    out[i][j] += a[i][k] * b[k][j];
                }
            }
        }
    }
}

fn multiply(a: &Matrix, b: &Matrix) -> Matrix {
    let mut out = ZERO;
    multiply_into(a, b, &mut out);
    out
}

fn each(f: impl Fn(usize, usize) -> f64) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| f(i, j)))
}

fn transposed(a: &Matrix) -> Matrix {
    each(|i, j| a[j][i])
}

fn unit(i: usize, j: usize) -> f64 {
    f64::from(u8::from(i == j))
}

/// What the exponential needs of a ring: matrices alone, or pairs where the derivative is wanted too.
trait Ring: Copy {
    fn product(&self, other: &Self) -> Self;
    /// `self + factor · other`.
    fn plus(&self, factor: f64, other: &Self) -> Self;
    /// `factor` times the one.
    fn constant(factor: f64) -> Self;
}

impl Ring for Matrix {
    fn product(&self, other: &Self) -> Self {
        multiply(self, other)
    }

    fn plus(&self, factor: f64, other: &Self) -> Self {
        each(|i, j| self[i][j] + factor * other[i][j])
    }

    fn constant(factor: f64) -> Self {
        each(|i, j| factor * unit(i, j))
    }
}

impl Ring for Pair {
    fn product(&self, other: &Self) -> Self {
        let mut slope = multiply(&self.value, &other.slope);
        multiply_into(&self.slope, &other.value, &mut slope);
        Self { value: multiply(&self.value, &other.value), slope }
    }

    fn plus(&self, factor: f64, other: &Self) -> Self {
        Self { value: self.value.plus(factor, &other.value), slope: self.slope.plus(factor, &other.slope) }
    }

    fn constant(factor: f64) -> Self {
        Self { value: Matrix::constant(factor), slope: ZERO }
    }
}

/// exp by scaling and squaring: the series of degree 12 of `x / 2ⁿ`, in powers of its fourth power (Paterson & Stockmeyer 1973),
/// squared n times. `norm` is that of `x`.
fn exponential<R: Ring>(x: &R, norm: f64) -> R {
    let halvings = (norm / NEAR).log2().ceil().max(0.0) as i32;
    let x = R::constant(0.0).plus(0.5f64.powi(halvings), x);
    let square = x.product(&x);
    let (cube, fourth) = (square.product(&x), square.product(&square));
    let part = |k: usize| {
        R::constant(SERIES[k]).plus(SERIES[k + 1], &x).plus(SERIES[k + 2], &square).plus(SERIES[k + 3], &cube)
    };
    let mut out = part(8).plus(SERIES[12], &fourth);
    for k in [4, 0] {
        out = part(k).plus(1.0, &fourth.product(&out));
    }
    for _ in 0..halvings {
        out = out.product(&out);
    }
    out
}

/// The largest sum of a row's absolute values.
fn norm(a: &Matrix) -> f64 {
    a.iter().map(|row| row.iter().map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max)
}

/// The inverse of `I − A/2`. Gauss-Jordan without pivots: the symmetric part of the matrix is the identity, so no pivot is
/// below 1.
fn cayley_inverse(a: &Matrix) -> Matrix {
    let mut left = each(|i, j| unit(i, j) - 0.5 * a[i][j]);
    let mut right = each(unit);
    for pivot in 0..SIDE {
        let factor = 1.0 / left[pivot][pivot];
        for j in 0..SIDE {
            left[pivot][j] *= factor;
            right[pivot][j] *= factor;
        }
        for row in (0..SIDE).filter(|&row| row != pivot) {
            let factor = left[row][pivot];
            for j in 0..SIDE {
                left[row][j] -= factor * left[pivot][j];
                right[row][j] -= factor * right[pivot][j];
            }
        }
    }
    right
}

fn skew(theta: &[f32; BLOCK]) -> Matrix {
    each(|i, j| f64::from(theta[i * SIDE + j]) - f64::from(theta[j * SIDE + i]))
}

/// The rotation of one block, in double precision.
pub fn rotation(theta: &[f32; BLOCK], map: Map) -> [[f64; SIDE]; SIDE] {
    let a = skew(theta);
    match map {
        Map::Exponential => exponential(&a, norm(&a)),
        Map::Cayley => multiply(&cayley_inverse(&a), &each(|i, j| unit(i, j) + 0.5 * a[i][j])),
    }
}

/// The gradient of one block's `θ`, given that of its rotation.
///
/// exp: with `L(A, E)` the Fréchet derivative of exp at `A` in direction `E`, ⟨G, L(A, E)⟩ = ⟨L(Aᵀ, G), E⟩, so the gradient of `A`
/// is `L(Aᵀ, G)`. Cayley: with `M = I − A/2`, `dR = M⁻¹·(dA/2)·(I + R)`, so it is `M⁻ᵀ·G·(I + R)ᵀ / 2`. That of `θ` is that of `A` less its
/// transpose.
pub fn rotation_gradient(theta: &[f32; BLOCK], gradient: &[f32; BLOCK], map: Map) -> [[f64; SIDE]; SIDE] {
    let a = skew(theta);
    let given = each(|i, j| f64::from(gradient[i * SIDE + j]));
    let of_a = match map {
        Map::Exponential => exponential(&Pair { value: transposed(&a), slope: given }, norm(&a)).slope,
        Map::Cayley => {
            let inverse = cayley_inverse(&a);
            let rotation = multiply(&inverse, &each(|i, j| unit(i, j) + 0.5 * a[i][j]));
            let sum = each(|i, j| 0.5 * (unit(i, j) + rotation[j][i]));
            multiply(&multiply(&transposed(&inverse), &given), &sum)
        }
    };
    each(|i, j| of_a[i][j] - of_a[j][i])
}

fn flat(a: &Matrix) -> [f32; BLOCK] {
    std::array::from_fn(|at| a[at / SIDE][at % SIDE] as f32)
}

/// The rotation of every block: `theta` and `out` are [blocks, 8, 8].
pub fn rotations(theta: &[f32], map: Map, out: &mut [f32]) {
    let (theta, out) = (theta.as_chunks::<BLOCK>().0, out.as_chunks_mut::<BLOCK>().0);
    out.par_iter_mut().zip(theta).for_each(|(out, theta)| *out = flat(&rotation(theta, map)));
}

/// Adds to `out` the gradient of every block's `θ`, given those of the rotations; all are [blocks, 8, 8].
pub fn rotations_backward(theta: &[f32], gradient: &[f32], map: Map, out: &mut [f32]) {
    let (theta, gradient) = (theta.as_chunks::<BLOCK>().0, gradient.as_chunks::<BLOCK>().0);
    let out = out.as_chunks_mut::<BLOCK>().0;
    out.par_iter_mut().zip(theta).zip(gradient).for_each(|((out, theta), gradient)| {
        for (out, more) in out.iter_mut().zip(flat(&rotation_gradient(theta, gradient, map))) {
            *out += more;
        }
    });
}
