//! AdamW over a network's parameters, with clipping by the global norm.

use serde::{Deserialize, Serialize};

use so8t_base::{Error, Result};
use so8t_kernels::backend::Backend;
use so8t_kernels::moments::MomentStorage;
use so8t_kernels::optimiser::AdamW;
use so8t_model::network::{Network, PerParameter};

/// The numbers of the optimiser that do not change during a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimiserSettings {
    /// How the moments are kept.
    pub kind: OptimiserKind,
    /// Decoupled weight decay; norms are exempt.
    pub weight_decay: f32,
    /// The gradient's global norm is brought down to this; 0: never.
    pub max_grad_norm: f64,
    /// Decays of the two moments.
    pub betas: [f32; 2],
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

impl Default for OptimiserSettings {
    fn default() -> Self {
        let kind = OptimiserKind::AdamW;
        let betas = [0.9, 0.999];
        Self { kind, weight_decay: 0.0, max_grad_norm: 1.0, betas, epsilon: 1e-8 }
    }
}

/// Which optimiser, by its name in a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimiserKind {
    /// AdamW with moments in single precision.
    #[default]
    AdamW,
    /// AdamW with moments in 8 bits, but those of tensors below 4096 elements, as in bitsandbytes.
    AdamW8bit,
}

impl OptimiserKind {
    /// How the moments of a tensor of `len` elements are kept.
    fn storage(self, len: usize) -> MomentStorage {
        match self {
            Self::AdamW8bit if len >= 4096 => MomentStorage::Eight,
            Self::AdamW | Self::AdamW8bit => MomentStorage::F32,
        }
    }
}

/// AdamW's state: two moments for every parameter, and the number of steps taken.
pub struct Optimiser<B: Backend> {
    /// Those of each parameter, in the order of [`Network::parameters`].
    pub moments: Vec<B::Moments>,
    /// Steps taken.
    pub step: u32,
    settings: OptimiserSettings,
}

impl<B: Backend> Optimiser<B> {
    /// A fresh state.
    pub fn new(network: &Network<B>, settings: OptimiserSettings) -> Result<Self> {
        let zeros = |len: usize| network.backend().moments(len, settings.kind.storage(len));
        let moments = network.parameters().iter().map(|parameter| zeros(parameter.len())).collect::<Result<_>>()?;
        Ok(Self { moments, step: 0, settings })
    }

    /// How the moments of a parameter of `len` elements are kept.
    pub fn storage(&self, len: usize) -> MomentStorage {
        self.settings.kind.storage(len)
    }

    /// Changes the network's parameters by one step, and returns the gradient's norm before clipping.
    ///
    /// Errors: a gradient that is not finite, naming its tensor; nothing is changed then.
    pub fn step(
        &mut self,
        network: &mut Network<B>,
        gradients: &mut PerParameter<B>,
        learning_rate: f64,
    ) -> Result<f64> {
        gradients.clear_idle(network)?;
        let mut squares = 0.0;
        let lengths = network.parameters().iter().map(|parameter| parameter.len());
        let measured: Vec<_> = gradients.buffers.iter().zip(lengths).collect();
        let sums = network.backend().sums_of_squares(&measured)?;
        for (parameter, sum) in network.parameters().iter().zip(sums) {
            if !sum.is_finite() {
                return Err(Error::train(format!("the gradient of `{}` is not finite", parameter.name)));
            }
            squares += sum;
        }
        let norm = f64::sqrt(squares);
        let limit = self.settings.max_grad_norm;
        let clip = if limit > 0.0 && norm > limit { limit / (norm + 1e-6) } else { 1.0 };
        self.step += 1;
        let mut step = AdamW {
            learning_rate: learning_rate as f32,
            beta1: self.settings.betas[0],
            beta2: self.settings.betas[1],
            epsilon: self.settings.epsilon,
            weight_decay: 0.0,
            gradient_scale: clip as f32,
            step: self.step,
        };
        for index in 0..network.parameters().len() {
            let parameter = &network.parameters()[index];
            let len = parameter.len();
            step.learning_rate = (learning_rate * parameter.learning_rate_factor) as f32;
            step.weight_decay = if parameter.decay { self.settings.weight_decay } else { 0.0 };
            let moments = &mut self.moments[index];
            network.update(index, |backend, values| {
                backend.adamw(&step, values, &gradients.buffers[index], moments, len)
            })?;
        }
        network.measure_rows()?;
        Ok(norm)
    }
}
