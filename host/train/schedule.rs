//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// What the learning rate does after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Stays.
    Constant,
    /// Falls in a straight line to nearly 0.
    Linear,
    /// Falls along half a cosine to nearly 0.
    #[default]
    Cosine,
}

impl Schedule {
    /// What the learning rate is multiplied by at `step` (1 on the first) of `steps`, the first `warmup` of which rise in
    /// a straight line. Never 0: the first step learns, and so does the last.
    ///
    /// ```
    /// use so8t_train::Schedule;
    /// assert_eq!(Schedule::Cosine.factor(1, 100, 4), 0.25);
    /// assert_eq!(Schedule::Cosine.factor(5, 100, 4), 1.0);
    /// assert_eq!(Schedule::Linear.factor(6, 10, 0), 0.5);
    /// ```
    pub fn factor(self, step: usize, steps: usize, warmup: usize) -> f64 {
        if step <= warmup {
            return step as f64 / warmup as f64;
        }
        let progress = (step - warmup - 1) as f64 / steps.saturating_sub(warmup).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - progress,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        }
    }
}
