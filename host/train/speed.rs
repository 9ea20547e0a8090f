//! How fast a training is on this processor, measured before it begins: real steps of a model of the same shape with fewer layers.
//!
//! What a step takes is what there is once (embedding, head, loss) and what each layer takes. Steps with one layer and with a few tell the two
//! apart; no share of the time is assumed. Adapters are taken to be alike in all layers.

use std::collections::BTreeSet;

use super::config::TrainConfig;
use super::optimiser::Optimiser;
use super::random::Random;
use super::so8::{Layers, So8Config};
use super::trained::{self, Method};
use so8t_base::Result;
use so8t_kernels::backend::Backend;
use so8t_kernels::cpu::Cpu;
use so8t_model::ModelConfig;
use so8t_model::modules::Pattern;
use so8t_model::network::{Dropout, Network, NetworkOptions, PerParameter, Targets, Training, Workspace};

/// What a step takes, in seconds of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// A forward and backward pass.
    pub pass: f64,
    /// What is done once a step, after its passes: the optimiser and what goes with it.
    pub once: f64,
}

/// Layers of the deeper of the two models.
const DEEP: usize = 4;
/// How often steps are measured, after one that warms up; and the seconds after which no more are.
const TIMES: usize = 5;
const SECONDS: f64 = 10.0;

/// Measures a step of the training of a model on this processor: a pass over `sequences`, of which `targets` are predicted, with the first
/// `recompute` layers computed again. `clock` gives seconds: on the wall, or of the process.
///
/// Errors: a target that matches no module.
pub fn measure_step(
    model: &ModelConfig,
    options: NetworkOptions,
    config: &TrainConfig,
    (sequences, targets): (&[&[u32]], &Targets),
    recompute: usize,
    clock: &dyn Fn() -> f64,
) -> Result<StepTime> {
    let config = everywhere(model, config)?;
    let deep = model.layers.min(DEEP);
    let mut one = Rig::new(model, options, &config, 1)?;
    let mut many = Rig::new(model, options, &config, deep)?;
    let mut fastest = [StepTime { pass: f64::INFINITY, once: f64::INFINITY }; 3];
    let started = clock();
    for time in 0..=TIMES {
        let again = if recompute > 0 { many.step(sequences, targets, deep, clock)? } else { StepTime::default() };
        let found = [one.step(sequences, targets, 0, clock)?, many.step(sequences, targets, 0, clock)?, again];
        let is_late = clock() - started > SECONDS;
        // A model whose first steps are that slow needs no warm-up.
        if time > 0 || is_late {
            for (fastest, found) in fastest.iter_mut().zip(found) {
                *fastest = StepTime { pass: fastest.pass.min(found.pass), once: fastest.once.min(found.once) };
            }
        }
        if is_late {
            break;
        }
    }
    let [one, many, again] = fastest;
    let layers = model.layers as f64;
    let all = |one: f64, many: f64| match deep {
        1 => one,
        _ => one + (layers - 1.0) * ((many - one) / (deep - 1) as f64).max(0.0),
    };
    let extra = if recompute > 0 { ((again.pass - many.pass) / deep as f64).max(0.0) * recompute as f64 } else { 0.0 };
    Ok(StepTime { pass: all(one.pass, many.pass) + extra, once: all(one.once, many.once) })
}

/// The same training with what is adapted anywhere adapted in every layer, so that it fits a model with fewer.
fn everywhere(model: &ModelConfig, config: &TrainConfig) -> Result<TrainConfig> {
    if config.method == Method::Full {
        return Ok(config.clone());
    }
    let adapted = config.adapters().modules(model)?;
    let names: BTreeSet<&str> = adapted.iter().map(|adapted| adapted.module.name).collect();
    let ranks: usize = adapted.iter().map(|adapted| adapted.rank).sum();
    Ok(TrainConfig {
        targets: names.into_iter().map(str::to_owned).collect(),
        rank: (ranks / adapted.len().max(1)).max(1),
        exclude_modules: Vec::new(),
        layers_to_transform: None,
        rank_pattern: Pattern::default(),
        alpha_pattern: Pattern::default(),
        so8: config.so8.clone().map(|so8| So8Config { layers: Layers::default(), ..so8 }),
        ..config.clone()
    })
}

/// A model with random weights, and what its training holds.
struct Rig {
    network: Network<Cpu>,
    gradients: PerParameter<Cpu>,
    good: PerParameter<Cpu>,
    optimiser: Optimiser<Cpu>,
    workspace: Workspace<Cpu>,
    dropout: f32,
}

impl Rig {
    fn new(model: &ModelConfig, options: NetworkOptions, config: &TrainConfig, layers: usize) -> Result<Self> {
        let model = ModelConfig { layers, ..model.clone() };
        let mut network = Network::load(Cpu, &model, options, |name, shape| {
            let mut random = Random::new(1, name);
            let is_norm = shape.len() == 1;
            let value = |_| if is_norm { 1.0 } else { 0.04 * random.uniform() - 0.02 };
            Ok((0..shape.iter().product::<usize>()).map(value).collect())
        })?;
        trained::begin(&mut network, config, 1)?;
        let [gradients, good] = [PerParameter::zeros(&network)?, PerParameter::zeros(&network)?];
        let optimiser = Optimiser::new(&network, config.optimiser())?;
        Ok(Self { network, gradients, good, optimiser, workspace: Workspace::default(), dropout: config.dropout })
    }

    /// One step of one pass, as the training takes it.
    fn step(
        &mut self,
        sequences: &[&[u32]],
        targets: &Targets,
        recompute: usize,
        clock: &dyn Fn() -> f64,
    ) -> Result<StepTime> {
        let Self { network, gradients, good, optimiser, workspace, dropout } = self;
        let begin = clock();
        gradients.clear(network)?;
        let cleared = clock();
        let batch = network.pack(sequences.iter().copied())?;
        let dropout = Some(Dropout { key: 0, probability: *dropout });
        let training = Training { dropout, recompute, ..Training::default() };
        network.loss_and_gradients(&batch, targets, training, gradients, workspace)?;
        let passed = clock();
        for (parameter, good) in network.parameters().iter().zip(&mut good.buffers) {
            network.backend().copy(&parameter.value, good, parameter.len())?;
        }
        optimiser.step(network, gradients, 1e-6)?;
        Ok(StepTime { pass: passed - cleared, once: clock() - passed + cleared - begin })
    }
}
