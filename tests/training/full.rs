//! Training of all weights: PyTorch's losses, the same bits after a stop, what is kept, and what is refused.

use std::sync::atomic::AtomicBool;

use so8t::kernels::cpu::Cpu;
use so8t::model::network::{NamedTensor, Network, NetworkOptions, Quantization};
use so8t::model::{ModelConfig, Weights, open_weights};
use so8t::train::optimiser::OptimiserKind;
use so8t::train::{
    Fallback, Judgement, Method, Progress, Recompute, Sample, Schedule, So8Config, TrainConfig, Validated,
    ValidationConfig, Watcher, train, train_watched,
};
use so8t::{Kind, Result};

use super::golden::{MODELS, golden};
use super::running::{files, losses, run, samples};
use super::small;

fn config() -> TrainConfig {
    let adapters = TrainConfig::default();
    let config = super::running::config();
    TrainConfig {
        method: Method::Full,
        rank: adapters.rank,
        alpha: adapters.alpha,
        dropout: adapters.dropout,
        learning_rate: 3e-3,
        weight_decay: 0.01,
        ..config
    }
}

fn base() -> Network {
    small::network("llama", Quantization::None, true)
}

fn pieces(network: &Network) -> Vec<NamedTensor> {
    network.read_pieces().unwrap()
}

#[test]
fn losses_are_those_of_pytorch() {
    for model in MODELS {
        let golden = golden(model);
        let mut network = golden.network(&golden.config(), true);
        // PyTorch's steps decay norms too.
        network.parameters_mut().iter_mut().for_each(|parameter| parameter.decay = true);
        let sample = |(tokens, _): (Vec<u32>, usize)| Sample { tokens, completion_start: 1, weight: 1.0 };
        let samples: Vec<Sample> = golden.sequences().into_iter().map(sample).collect();
        let config = TrainConfig {
            method: Method::Full,
            learning_rate: 1e-2,
            weight_decay: 0.01,
            schedule: Schedule::Constant,
            warmup: 0.0,
            epochs: 20,
            ..TrainConfig::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path(), false);
        train(&mut network, &samples, &config, 1, &files, &AtomicBool::new(false), &mut |_| ()).unwrap();
        let found = losses(folder.path());
        let (expected, norms) = golden.steps("full_steps");
        assert_eq!(found.len(), expected.len());
        for ((step, loss, norm), (expected, expected_norm)) in found.into_iter().zip(expected.into_iter().zip(norms)) {
            let off = (f64::from(loss) - expected).abs();
            assert!(off < 1e-4 * expected, "{model}, step {step}: loss {loss}, not {expected}");
            let off = (norm - expected_norm).abs();
            assert!(off < 1e-3 * expected_norm, "{model}, step {step}: norm {norm}, not {expected_norm}");
        }
    }
}

#[test]
fn a_stopped_run_goes_on_with_the_same_bits() {
    let eight = TrainConfig { optimizer: OptimiserKind::AdamW8bit, ..config() };
    for config in [config(), eight] {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut at_once, mut resumed) = (base(), base());
        let summary = run(&mut at_once, &config, whole.path(), false, 0).unwrap();
        assert!(summary.final_loss < 0.5 * summary.first_loss, "{summary:?}");
        assert_eq!(summary.trainable_parameters, summary.total_parameters);
        assert_eq!(summary.method, Method::Full);
        for stop_after in [3, 11] {
            let error = run(&mut base(), &config, parts.path(), true, stop_after).unwrap_err();
            assert_eq!(error.kind(), Kind::Interrupted);
        }
        run(&mut resumed, &config, parts.path(), true, 0).unwrap();
        assert_eq!(losses(whole.path()), losses(parts.path()));
        assert!(pieces(&at_once) == pieces(&resumed));
        let start = pieces(&base());
        let changed = pieces(&at_once).into_iter().zip(start).filter(|(a, b)| a.2 != b.2).count();
        assert_eq!(changed, pieces(&at_once).len(), "every tensor is trained, norms and embedding too");
        // What is computed again changes no bit.
        let (folder, mut kept) = (tempfile::tempdir().unwrap(), base());
        run(&mut kept, &TrainConfig { recompute: Recompute::None, ..config }, folder.path(), false, 0).unwrap();
        assert!(pieces(&kept) == pieces(&at_once));
    }
}

#[test]
fn a_loss_that_is_not_finite_keeps_the_last_good_weights() {
    let folder = tempfile::tempdir().unwrap();
    let wild = TrainConfig { learning_rate: 1e38, max_grad_norm: 0.0, warmup: 0.0, ..config() };
    let error = run(&mut base(), &wild, folder.path(), false, 0).unwrap_err();
    assert!(error.to_string().starts_with("step 2, samples `"), "{error}");
    assert!(error.hint().unwrap().contains("the model after step 0, the last whose losses were finite"), "{error:?}");
    let saved = files(folder.path(), false).checkpoint();
    let (read, weights) = (ModelConfig::from_file(&saved.join("config.json")).unwrap(), open_weights(&saved).unwrap());
    assert_eq!(read, small::config("llama"));
    for (name, _, expected) in pieces(&base()) {
        assert!(weights.load_f32(&name).unwrap().1 == expected, "{name}");
    }
}

/// Gives each validation the next value, and refuses all of them where nothing may be kept; has the base's weights.
struct Judge {
    values: Vec<f64>,
    seen: Vec<Vec<NamedTensor>>,
}

impl Watcher<Cpu> for Judge {
    fn progress(&mut self, _: &Progress) {}

    fn validate(&mut self, network: &Network, _: Option<&Validated>) -> Result<Judgement> {
        let value = self.values.get(self.seen.len()).copied();
        self.seen.push(pieces(network));
        Ok(Judgement { value, higher_is_better: true, guards: Vec::new() })
    }

    fn restore(&mut self, network: &mut Network) -> Result<()> {
        let base = self.seen[0].iter();
        let base: Vec<_> = base.map(|(name, _, values)| (name.clone(), values.clone())).collect();
        network.write_pieces(|name, _| Ok(base.iter().find(|(own, _)| own == name).unwrap().1.clone()))
    }
}

#[test]
fn the_best_or_the_base_is_kept() {
    // Validated before the first step and after each of five epochs.
    for (values, kept) in [(vec![0.5, 0.1, 0.7, 0.3, 0.2, 0.1], 2), (vec![0.5], 0)] {
        let folder = tempfile::tempdir().unwrap();
        let validation =
            ValidationConfig { metric: "m.v".into(), fallback: Fallback::Base, ..ValidationConfig::default() };
        let config = TrainConfig { validation: Some(validation), ..config() };
        let (stop, mut network) = (AtomicBool::new(false), base());
        let mut judge = Judge { values, seen: Vec::new() };
        let places = files(folder.path(), false);
        let summary =
            train_watched(&mut network, &samples(), &config, 1, &places, &stop, &mut judge).unwrap().validation;
        assert_eq!((judge.seen.len(), summary.unwrap().kept_step), (6, 6 * kept));
        assert!(pieces(&network) == judge.seen[kept], "the network carries other weights");
        assert!(judge.seen[0] != judge.seen[5]);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let check = |network: &mut Network, config: &TrainConfig, expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        let error = run(network, config, folder.path(), false, 0).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    for (key, wrong) in [
        ("rank", TrainConfig { rank: 4, ..config() }),
        ("dropout", TrainConfig { dropout: 0.1, ..config() }),
        ("dora", TrainConfig { dora: true, ..config() }),
        ("so8", TrainConfig { so8: Some(So8Config::default()), ..config() }),
    ] {
        check(&mut base(), &wrong, &format!("`train.{key}`: expected nothing, since `method = \"full\"` trains no"));
    }
    check(&mut small::network("llama", Quantization::None, false), &config(), "this network's are frozen");
    check(&mut small::network("llama", Quantization::Int8, true), &config(), "this network's are frozen");
    check(&mut base(), &TrainConfig { method: Method::Lora, ..config() }, "this network's own weights are trained");
}

/// A folder of weights that a trained network predicts with as it did.
#[test]
fn saved_weights_are_those_of_the_network() {
    let (folder, mut network) = (tempfile::tempdir().unwrap(), base());
    run(&mut network, &config(), folder.path(), false, 0).unwrap();
    so8t::train::save_weights(&network, folder.path(), so8t::model::Precision::F32).unwrap();
    let weights: Weights = open_weights(folder.path()).unwrap();
    weights.check(network.config()).unwrap();
    let options =
        NetworkOptions { quantization: Quantization::None, positions: small::POSITIONS, ..NetworkOptions::default() };
    let frozen = Network::new(network.config(), &weights, options).unwrap();
    let logits = |network: &Network| super::golden::all_logits(network, &small::sequences());
    assert!(logits(&frozen) == logits(&network));
}
