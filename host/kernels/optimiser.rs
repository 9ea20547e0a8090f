//! AdamW (Loshchilov & Hutter 2019), in the order of operations of the PyTorch optimiser.

use super::rows;
use super::simd::wide;

/// The numbers of one step, the same for every tensor but for the decay.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate of this step.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// What the gradient is multiplied by first (clipping).
    pub gradient_scale: f32,
    /// Steps taken, this one included: 1 on the first.
    pub step: u32,
}

/// The constants of one step, worked out once.
#[derive(Clone, Copy)]
pub(crate) struct Constants {
    pub(crate) keep: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) epsilon: f32,
    pub(crate) gradient_scale: f32,
    pub(crate) size: f32,
    pub(crate) root: f32,
}

impl AdamW {
    pub(crate) fn constants(&self) -> Constants {
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(self.step));
        Constants {
            keep: 1.0 - self.learning_rate * self.weight_decay,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            gradient_scale: self.gradient_scale,
            size: (f64::from(self.learning_rate) / correction(self.beta1)) as f32,
            root: (1.0 / correction(self.beta2).sqrt()) as f32,
        }
    }
}

wide! {
    pub(super) fn piece(c: Constants, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            let g = gradient * c.gradient_scale;
            *first = *first * c.beta1 + g * (1.0 - c.beta1);
            *second = *second * c.beta2 + g * g * (1.0 - c.beta2);
            *value = *value * c.keep - c.size * *first / (second.sqrt() * c.root + c.epsilon);
        }
    }

    fn squares(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let (whole, rest) = x.as_chunks::<8>();
        for chunk in whole {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(x) * f64::from(x);
            }
        }
        let mut total = 0.0;
        for lane in lanes {
            total += lane;
        }
        for &x in rest {
            total += f64::from(x) * f64::from(x);
        }
        total
    }
}

/// One step: moments and values change in place. All four have the same length.
pub fn adamw(step: &AdamW, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    let constants = step.constants();
    rows::each3(values, first, second, |at, values, first, second| {
        piece(constants, values, &gradient[at..at + values.len()], first, second);
    });
}

/// The readable twin of [`adamw`].
pub fn adamw_plain(step: &AdamW, values: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    for i in 0..values.len() {
        let g = gradient[i] * step.gradient_scale;
        first[i] = step.beta1 * first[i] + (1.0 - step.beta1) * g;
        second[i] = step.beta2 * second[i] + (1.0 - step.beta2) * g * g;
        let mean = first[i] / (1.0 - step.beta1.powi(step.step as i32));
        let variance = second[i] / (1.0 - step.beta2.powi(step.step as i32));
        values[i] -= step.learning_rate * step.weight_decay * values[i];
        values[i] -= step.learning_rate * mean / (variance.sqrt() + step.epsilon);
    }
}

/// Σ x², in double precision; not finite where an element is not.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    squares(x)
}
