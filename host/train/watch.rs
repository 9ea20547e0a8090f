//! Who watches a training.

use super::run::Progress;
use super::validation::{Judgement, Validated};
use so8t_base::{Error, Result};
use so8t_kernels::backend::Backend;
use so8t_model::network::Network;

/// What the loop tells whoever started it, and asks of them.
pub trait Watcher<B: Backend> {
    /// A step was taken.
    fn progress(&mut self, progress: &Progress);

    /// Something worth knowing.
    fn note(&mut self, _text: &str) {}

    /// Something that must not be missed.
    fn warn(&mut self, _text: &str) {}

    /// What a sample is called in messages.
    fn sample_name(&self, index: usize) -> String {
        index.to_string()
    }

    /// Measures the network as it is; `base` is what was found before the first step, absent where this is it. Asked only where the
    /// configuration has a validation. The same network must give the same judgement, or a resumed run would end otherwise.
    ///
    /// Errors end the training; [`so8t_base::Kind::Interrupted`] saves a checkpoint, and the measurement is made again when it goes on.
    fn validate(&mut self, _network: &Network<B>, _base: Option<&Validated>) -> Result<Judgement> {
        Err(Error::internal("`[train.validation]` is asked for, and nobody measures"))
    }

    /// Puts the base's weights back into a network all of whose weights were trained. Asked only where all weights are trained, nothing may be kept, and
    /// the configuration falls back to the base.
    fn restore(&mut self, _network: &mut Network<B>) -> Result<()> {
        Err(Error::internal("the base's weights are to be put back, and nobody has them"))
    }

    /// What became of a measurement.
    fn validated(&mut self, _validated: &Validated) {}
}
