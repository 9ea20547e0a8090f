//! The largest singular values of a matrix with their vectors: Golub and Kahan's bidiagonalisation, in double precision and with every vector
//! made orthogonal to all before it, until the wanted triples stand still.

use super::random::Random;
use so8t_base::{Error, Result};

/// A singular value and its vectors.
pub(super) struct Triple {
    pub value: f64,
    /// Of `outputs` numbers.
    pub left: Vec<f64>,
    /// Of `inputs` numbers.
    pub right: Vec<f64>,
}

/// Steps before the first look at the small matrix, beyond twice the wanted number; the next ones come after a third more.
const ROUND: usize = 32;
/// By how much, as a part of the largest value, a triple may miss `W·v = s·u`.
const TOLERANCE: f64 = 1e-10;
/// The most steps: beyond, the small matrix takes longer than it is worth.
const MOST: usize = 768;

/// The `count` largest singular triples of `weight` [outputs, inputs], row-major, the largest first.
///
/// Errors: values so near to each other that they cannot be told apart in a reasonable number of steps.
pub(super) fn largest(weight: &[f32], outputs: usize, inputs: usize, count: usize) -> Result<Vec<Triple>> {
    if inputs > outputs {
        let turned: Vec<f32> = (0..inputs).flat_map(|i| (0..outputs).map(move |o| weight[o * inputs + i])).collect();
        let found = largest(&turned, inputs, outputs, count)?;
        let swapped = |Triple { value, left, right }| Triple { value, left: right, right: left };
        return Ok(found.into_iter().map(swapped).collect());
    }
    let mut look = 2 * count + ROUND;
    let mut random = Random::new(0, "singular vectors");
    let start: Vec<f64> = (0..inputs).map(|_| f64::from(random.normal())).collect();
    let (mut right, mut left): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (vec![unit(start)], Vec::new());
    // W·V = U·B with B upper bidiagonal: `diagonal` and `above`.
    let (mut diagonal, mut above): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    loop {
        let steps = left.len();
        let v = &right[steps];
        let mut u = times(weight, inputs, v);
        if let Some(beta) = above.last() {
            u.iter_mut().zip(&left[steps - 1]).for_each(|(u, before)| *u -= beta * before);
        }
        orthogonalise(&mut u, &left);
        diagonal.push(norm(&u));
        left.push(unit(u));
        let mut next = transposed(weight, inputs, &left[steps]);
        next.iter_mut().zip(&right[steps]).for_each(|(next, v)| *next -= diagonal[steps] * v);
        orthogonalise(&mut next, &right);
        let beta = norm(&next);
        let done = left.len() == inputs;
        if done || left.len() >= look.min(MOST) {
            look += look / 3;
            let small = bidiagonal(&diagonal, &above);
            let greatest = small.first().map_or(0.0, |(value, ..)| *value);
            let misses = |(_, u, _): &(f64, Vec<f64>, Vec<f64>)| beta * u.last().copied().unwrap_or(0.0).abs();
            if done || small.iter().take(count).all(|triple| misses(triple) <= TOLERANCE * greatest) {
                return Ok(small.into_iter().take(count).map(|small| whole(small, &left, &right)).collect());
            }
            if left.len() >= MOST {
                return Err(Error::model(
                    "the largest singular values are too many or too near to each other to be computed",
                )
                .with_hint(
                    "PEFT's `save_pretrained` with `path_initial_model_for_weight_conversion` writes a plain adapter",
                ));
            }
        }
        above.push(beta);
        // Where the space is exhausted, it goes on with any direction that is left.
        right.push(if beta > 1e-300 {
            unit(next)
        } else {
            let mut other: Vec<f64> = (0..inputs).map(|_| f64::from(random.normal())).collect();
            orthogonalise(&mut other, &right);
            unit(other)
        });
    }
}

/// The triple of the matrix from that of the small one.
fn whole((value, u, v): (f64, Vec<f64>, Vec<f64>), left: &[Vec<f64>], right: &[Vec<f64>]) -> Triple {
    let sum = |weights: &[f64], vectors: &[Vec<f64>]| {
        let mut out = vec![0.0; vectors.first().map_or(0, Vec::len)];
        for (weight, vector) in weights.iter().zip(vectors) {
            out.iter_mut().zip(vector).for_each(|(sum, x)| *sum += weight * x);
        }
        out
    };
    Triple { value, left: sum(&u, left), right: sum(&v, right) }
}

/// Singular triples (value, left, right) of an upper bidiagonal matrix, the largest first: its columns are turned against each other until all
/// are orthogonal (one-sided Jacobi).
fn bidiagonal(diagonal: &[f64], above: &[f64]) -> Vec<(f64, Vec<f64>, Vec<f64>)> {
    let n = diagonal.len();
    let basis = |at: usize| -> Vec<f64> { (0..n).map(|i| f64::from(u8::from(i == at))).collect() };
    let mut v: Vec<Vec<f64>> = (0..n).map(basis).collect();
    let mut columns: Vec<Vec<f64>> = (0..n)
        .map(|at| {
            let mut column = vec![0.0; n];
            column[at] = diagonal[at];
            if at > 0 {
                column[at - 1] = above[at - 1];
            }
            column
        })
        .collect();
    for _ in 0..60 {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                let (a, b) = (dot(&columns[p], &columns[p]), dot(&columns[q], &columns[q]));
                let c = dot(&columns[p], &columns[q]);
                if c.abs() <= 1e-15 * (a * b).sqrt() || c == 0.0 {
                    continue;
                }
                turned = true;
                let zeta = (b - a) / (2.0 * c);
                let t = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
                let cos = 1.0 / (1.0 + t * t).sqrt();
                let sin = cos * t;
                for vectors in [&mut columns, &mut v] {
                    let (low, high) = vectors.split_at_mut(q);
                    for (x, y) in low[p].iter_mut().zip(&mut high[0]) {
                        (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                    }
                }
            }
        }
        if !turned {
            break;
        }
    }
    let mut triples: Vec<(f64, Vec<f64>, Vec<f64>)> =
        columns.into_iter().zip(v).map(|(column, v)| (norm(&column), unit(column), v)).collect();
    triples.sort_by(|a, b| b.0.total_cmp(&a.0));
    triples
}

/// `W·v`.
fn times(weight: &[f32], inputs: usize, v: &[f64]) -> Vec<f64> {
    weight.chunks_exact(inputs).map(|row| row.iter().zip(v).map(|(x, v)| f64::from(*x) * v).sum()).collect()
}

/// `Wᵀ·u`.
fn transposed(weight: &[f32], inputs: usize, u: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; inputs];
    for (row, u) in weight.chunks_exact(inputs).zip(u) {
        out.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x) * u);
    }
    out
}

/// Takes from `vector` what it has of each of `others`, which are orthogonal and of length 1; twice, against rounding.
pub(super) fn orthogonalise(vector: &mut [f64], others: &[Vec<f64>]) {
    for _ in 0..2 {
        for other in others {
            let part = dot(vector, other);
            vector.iter_mut().zip(other).for_each(|(x, other)| *x -= part * other);
        }
    }
}

pub(super) fn norm(vector: &[f64]) -> f64 {
    dot(vector, vector).sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(mut vector: Vec<f64>) -> Vec<f64> {
    let norm = norm(&vector);
    if norm > 0.0 {
        vector.iter_mut().for_each(|x| *x /= norm);
    }
    vector
}
