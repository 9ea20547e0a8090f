//! A Gaussian process with a Matérn-5/2 kernel and a length scale for each parameter (C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine
//! Learning", 2006, sections 2.2, 4.2 and 5.4), fitted to the largest posterior of its own parameters.

use crate::matrix::{backward, cholesky, forward, inverse};
use crate::space::Space;

/// How different two values of a parameter are where one of them is not active.
const INACTIVE: f64 = 0.25;
/// Steps of the fit.
const STEPS: usize = 60;

/// A fitted process.
pub(crate) struct Process {
    points: Vec<Vec<f64>>,
    choices: Vec<bool>,
    /// exp(−2 ln ℓ), one a parameter.
    weights: Vec<f64>,
    signal: f64,
    lower: Vec<f64>,
    alpha: Vec<f64>,
}

/// The squared difference of two values of a parameter.
fn square(a: f64, b: f64, is_choice: bool) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if is_choice => f64::from(u8::from((a - b).abs() > 1e-9)),
        (false, false) => (a - b) * (a - b),
        _ => INACTIVE,
    }
}

const ROOT_5: f64 = 2.236_067_977_499_79;

fn matern(squared: f64) -> f64 {
    let r = ROOT_5 * libm::sqrt(squared);
    (1.0 + r + r * r / 3.0) * libm::exp(-r)
}

/// The derivative of [`matern`] by the squared distance.
fn matern_slope(squared: f64) -> f64 {
    let r = ROOT_5 * libm::sqrt(squared);
    -5.0 / 6.0 * (1.0 + r) * libm::exp(-r)
}

/// What the parameters are believed to be before anything is seen: mean and standard deviation of their logarithms.
struct Prior {
    scale: (f64, f64),
    signal: (f64, f64),
    noise: (f64, f64),
}

const LEAST_NOISE: f64 = 1e-6;

impl Process {
    /// Fits a process to `values` (mean about 0, variance about 1) at `points`.
    pub(crate) fn fit(space: &Space, points: &[Vec<f64>], values: &[f64]) -> Option<Self> {
        let (n, d) = (points.len(), space.len());
        let choices: Vec<bool> = (0..d).map(|index| space.is_choice(index)).collect();
        // Squared differences are computed once: pair by pair, a row of parameters each.
        let mut squares = vec![0.0; n * n * d];
        for i in 0..n {
            for j in 0..i {
                for k in 0..d {
                    squares[(i * n + j) * d + k] = square(points[i][k], points[j][k], choices[k]);
                }
            }
        }
        // Longer scales where there are more parameters, since differences add up (C. Hvarfner et al., "Vanilla Bayesian Optimization Performs Great in High
        // Dimensions", 2024).
        let prior = Prior { scale: (-0.7 + 0.5 * libm::log(d as f64), 1.0), signal: (0.0, 1.0), noise: (-10.0, 3.0) };
        let starts = [(prior.scale.0, -10.0), (prior.scale.0 - 1.0, -4.0)];
        let mut best: Option<(f64, Vec<f64>)> = None;
        for (scale, noise) in starts {
            let mut parameters = vec![scale; d];
            parameters.extend([0.0, noise]);
            let found = ascend(parameters, |at| posterior(at, &squares, values, n, d, &prior));
            if let Some(found) = found
                && best.as_ref().is_none_or(|(height, _)| found.0 > *height)
            {
                best = Some(found);
            }
        }
        let (_, parameters) = best?;
        let weights: Vec<f64> = parameters[..d].iter().map(|scale| libm::exp(-2.0 * scale)).collect();
        let (signal, noise) = (libm::exp(parameters[d]), libm::exp(parameters[d + 1]) + LEAST_NOISE);
        let lower = cholesky(&covariance(&squares, &weights, signal, noise, n, d), n)?;
        let mut alpha = values.to_vec();
        forward(&lower, n, &mut alpha);
        backward(&lower, n, &mut alpha);
        Some(Self { points: points.to_vec(), choices, weights, signal, lower, alpha })
    }

    /// The mean and the standard deviation of what is expected at a point, noise left out.
    pub(crate) fn predict(&self, point: &[f64]) -> (f64, f64) {
        let n = self.points.len();
        let mut row: Vec<f64> =
            self.points.iter().map(|other| self.signal * matern(self.distance(point, other))).collect();
        let mean = row.iter().zip(&self.alpha).map(|(k, a)| k * a).sum();
        forward(&self.lower, n, &mut row);
        let explained: f64 = row.iter().map(|value| value * value).sum();
        (mean, libm::sqrt((self.signal - explained).max(1e-12)))
    }

    fn distance(&self, a: &[f64], b: &[f64]) -> f64 {
        let term = |k: usize| self.weights[k] * square(a[k], b[k], self.choices[k]);
        (0..self.weights.len()).map(term).sum()
    }

    /// How much each parameter matters: the weights of its differences, as shares of all.
    pub(crate) fn shares(&self) -> Vec<f64> {
        let sum: f64 = self.weights.iter().sum();
        self.weights.iter().map(|weight| weight / sum).collect()
    }
}

fn covariance(squares: &[f64], weights: &[f64], signal: f64, noise: f64, n: usize, d: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        out[i * n + i] = signal + noise;
        for j in 0..i {
            let squared = squares[(i * n + j) * d..(i * n + j + 1) * d].iter().zip(weights).map(|(s, w)| s * w).sum();
            let value = signal * matern(squared);
            out[i * n + j] = value;
            out[j * n + i] = value;
        }
    }
    out
}

/// The logarithm of the posterior density of the parameters (ln ℓ of each, ln signal, ln noise), up to a constant, and its gradient.
fn posterior(
    at: &[f64],
    squares: &[f64],
    values: &[f64],
    n: usize,
    d: usize,
    prior: &Prior,
) -> Option<(f64, Vec<f64>)> {
    let weights: Vec<f64> = at[..d].iter().map(|scale| libm::exp(-2.0 * scale)).collect();
    let (signal, own_noise) = (libm::exp(at[d]), libm::exp(at[d + 1]));
    let lower = cholesky(&covariance(squares, &weights, signal, own_noise + LEAST_NOISE, n, d), n)?;
    let mut alpha = values.to_vec();
    forward(&lower, n, &mut alpha);
    let fit: f64 = alpha.iter().map(|value| value * value).sum();
    backward(&lower, n, &mut alpha);
    let determinant: f64 = (0..n).map(|i| libm::log(lower[i * n + i])).sum();
    let mut height = -0.5 * fit - determinant;

    let inverse = inverse(&lower, n);
    let mut gradient = vec![0.0; d + 2];
    for i in 0..n {
        let trace = alpha[i] * alpha[i] - inverse[i * n + i];
        gradient[d] += 0.5 * trace * signal;
        gradient[d + 1] += 0.5 * trace * own_noise;
        for j in 0..i {
            let pair = &squares[(i * n + j) * d..(i * n + j + 1) * d];
            let squared: f64 = pair.iter().zip(&weights).map(|(s, w)| s * w).sum();
            // Both halves of the matrix.
            let factor = alpha[i] * alpha[j] - inverse[i * n + j];
            gradient[d] += factor * signal * matern(squared);
            let slope = factor * signal * matern_slope(squared);
            for k in 0..d {
                gradient[k] -= 2.0 * slope * weights[k] * pair[k];
            }
        }
    }
    for (k, gradient) in gradient.iter_mut().enumerate() {
        let (mean, deviation) = match k {
            k if k < d => prior.scale,
            k if k == d => prior.signal,
            _ => prior.noise,
        };
        let off = (at[k] - mean) / deviation;
        height -= 0.5 * off * off;
        *gradient -= off / deviation;
    }
    height.is_finite().then_some((height, gradient))
}

/// Climbs by the signs of the gradient, with a step of its own for each parameter (C. Igel and M. Hüsken, "Empirical evaluation of the improved Rprop learning
/// algorithms", 2003). Returns the highest that was seen.
fn ascend(mut at: Vec<f64>, mut height: impl FnMut(&[f64]) -> Option<(f64, Vec<f64>)>) -> Option<(f64, Vec<f64>)> {
    let mut steps = vec![0.2; at.len()];
    let mut last = vec![0.0; at.len()];
    let mut best: Option<(f64, Vec<f64>)> = None;
    for _ in 0..STEPS {
        let Some((found, gradient)) = height(&at) else {
            // Too far: half of the way back to the best.
            let (_, from) = best.as_ref()?;
            at.iter_mut().zip(from).for_each(|(own, best)| *own = 0.5 * (*own + best));
            steps.iter_mut().for_each(|step| *step *= 0.3);
            continue;
        };
        if best.as_ref().is_none_or(|(highest, _)| found > *highest) {
            best = Some((found, at.clone()));
        }
        for k in 0..at.len() {
            let agreement = gradient[k] * last[k];
            if agreement > 0.0 {
                steps[k] = (steps[k] * 1.3_f64).min(0.8);
            } else if agreement < 0.0 {
                steps[k] = (steps[k] * 0.5_f64).max(1e-4);
            }
            last[k] = if agreement < 0.0 { 0.0 } else { gradient[k] };
            if last[k] != 0.0 {
                at[k] = (at[k] + steps[k] * last[k].signum()).clamp(-14.0, 8.0);
            }
        }
        if steps.iter().all(|step| *step <= 1e-3) {
            break;
        }
    }
    best
}
