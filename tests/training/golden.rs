//! Logits, losses, gradients and optimiser steps against PyTorch, and adapters against PEFT; see
//! `tests/golden/README.md` for how the values were made.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use safetensors::SafeTensors;
use serde_json::Value;
use so8t::model::network::{Network, NetworkOptions, PerParameter, Quantization, Targets, Training, Workspace};
use so8t::model::{ModelConfig, open_weights};
use so8t::train::optimiser::{Optimiser, OptimiserSettings};
use so8t::train::{Sample, TrainConfig, TrainFiles, peft, train};

pub(super) const MODELS: [&str; 2] = ["tiny-llama", "tiny-phi3"];

pub(crate) struct Golden {
    pub(crate) folder: PathBuf,
    values: Value,
}

pub(crate) fn golden(model: &str) -> Golden {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/training/golden").join(model);
    let text = std::fs::read_to_string(folder.join("golden.json")).unwrap();
    Golden { folder, values: serde_json::from_str(&text).unwrap() }
}

impl Golden {
    pub(crate) fn config(&self) -> ModelConfig {
        ModelConfig::from_file(&self.folder.join("config.json")).unwrap()
    }

    pub(crate) fn network(&self, config: &ModelConfig, trainable: bool) -> Network {
        let options = NetworkOptions {
            quantization: Quantization::None,
            positions: config.max_position,
            trainable,
            ..Default::default()
        };
        Network::new(config, &open_weights(&self.folder).unwrap(), options).unwrap()
    }

    pub(crate) fn sequences(&self) -> Vec<(Vec<u32>, usize)> {
        let sequence = |value: &Value| {
            let tokens = value["tokens"].as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
            (tokens, value["completion_start"].as_u64().unwrap() as usize)
        };
        self.values["sequences"].as_array().unwrap().iter().map(sequence).collect()
    }

    /// What is predicted: the completions, or everything.
    pub(crate) fn targets(&self, everything: bool) -> Targets {
        let (mut targets, mut start) = (Targets::default(), 0);
        for (tokens, completion_start) in self.sequences() {
            let first = if everything { 1 } else { completion_start };
            for (at, &token) in tokens.iter().enumerate().skip(first) {
                targets.rows.push((start + at - 1) as u32);
                targets.tokens.push(token);
            }
            start += tokens.len();
        }
        targets.weights = vec![1.0 / targets.rows.len() as f32; targets.rows.len()];
        targets
    }

    /// How many tensors the adapter that PEFT wrote has.
    pub(crate) fn adapter_tensors(&self) -> usize {
        let bytes = std::fs::read(self.folder.join("adapter").join(peft::TENSORS)).unwrap();
        SafeTensors::deserialize(&bytes).unwrap().len()
    }

    /// Losses and gradient norms of optimiser steps.
    pub(crate) fn steps(&self, field: &str) -> (Vec<f64>, Vec<f64>) {
        (self.numbers(field, "losses"), self.numbers(field, "gradient_norms"))
    }

    fn numbers(&self, field: &str, name: &str) -> Vec<f64> {
        self.values[field][name].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }

    pub(crate) fn tensor(&self, file: &str, name: &str) -> Vec<f32> {
        let bytes = std::fs::read(self.folder.join(file)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let data = tensors.tensor(name).unwrap_or_else(|e| panic!("{file}: {name}: {e}")).data().to_vec();
        data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    }
}

/// The largest difference, as a share of the largest expected value.
pub(crate) fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let greatest = expected.iter().fold(1e-20f32, |greatest, x| greatest.max(x.abs()));
    found.iter().zip(expected).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs())) / greatest
}

pub(crate) fn all_logits(network: &Network, sequences: &[Vec<u32>]) -> Vec<f32> {
    let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
    let rows: Vec<u32> = (0..batch.rows() as u32).collect();
    network.logits(&batch, &rows, None, &mut Workspace::default()).unwrap()
}

/// One forward and backward pass: the mean loss.
fn pass(
    network: &Network,
    golden: &Golden,
    everything: bool,
    gradients: &mut PerParameter<so8t::kernels::cpu::Cpu>,
) -> f64 {
    let training = Training { recompute: if everything { 0 } else { usize::MAX }, ..Training::default() };
    pass_with(network, golden, everything, training, gradients)
}

/// As [`pass`], of the completions, with label smoothing.
pub(super) fn smoothed_pass(
    network: &Network,
    golden: &Golden,
    label_smoothing: f32,
    gradients: &mut PerParameter<so8t::kernels::cpu::Cpu>,
) -> f64 {
    pass_with(network, golden, false, Training { label_smoothing, ..Training::default() }, gradients)
}

fn pass_with(
    network: &Network,
    golden: &Golden,
    everything: bool,
    training: Training,
    gradients: &mut PerParameter<so8t::kernels::cpu::Cpu>,
) -> f64 {
    let sequences = golden.sequences();
    let batch = network.pack(sequences.iter().map(|(tokens, _)| tokens.as_slice())).unwrap();
    let targets = golden.targets(everything);
    gradients.clear(network).unwrap();
    let losses = network.loss_and_gradients(&batch, &targets, training, gradients, &mut Workspace::default()).unwrap();
    gradients.clear_idle(network).unwrap();
    losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64
}

/// Every stored gradient, piece by piece.
pub(super) fn check_gradients(
    network: &Network,
    gradients: &PerParameter<so8t::kernels::cpu::Cpu>,
    golden: &Golden,
    file: &str,
) {
    let mut checked = 0;
    for (parameter, gradient) in network.parameters().iter().zip(&gradients.buffers) {
        for piece in &parameter.pieces {
            let rows = piece.block.rows.clone();
            let row = |row: usize| &gradient[row * parameter.columns..(row + 1) * parameter.columns];
            let found: Vec<f32> = rows.flat_map(|at| row(at)[piece.block.columns.clone()].to_vec()).collect();
            let worst = difference(&found, &golden.tensor(file, &piece.name));
            assert!(worst < 1e-4, "{}: the gradient differs by {worst}", piece.name);
            checked += 1;
        }
    }
    let bytes = std::fs::read(golden.folder.join(file)).unwrap();
    assert_eq!(checked, SafeTensors::deserialize(&bytes).unwrap().len());
}

/// Optimiser steps from where the network stands: losses and gradient norms.
fn check_steps(network: &mut Network, golden: &Golden, field: &str, everything: bool) {
    for parameter in network.parameters_mut() {
        parameter.decay = true;
    }
    let settings = OptimiserSettings { weight_decay: 0.01, ..OptimiserSettings::default() };
    let mut optimiser = Optimiser::new(network, settings).unwrap();
    let mut gradients = PerParameter::zeros(network).unwrap();
    let (losses, norms) = golden.steps(field);
    for (step, (expected_loss, expected_norm)) in losses.iter().zip(&norms).enumerate() {
        let loss = pass(network, golden, everything, &mut gradients);
        let norm = optimiser.step(network, &mut gradients, 1e-2).unwrap();
        assert!((loss - expected_loss).abs() < 1e-4 * expected_loss, "step {step}: loss {loss}, not {expected_loss}");
        assert!((norm - expected_norm).abs() < 1e-3 * expected_norm, "step {step}: norm {norm}, not {expected_norm}");
    }
}

#[test]
fn logits_are_those_of_transformers() {
    for model in MODELS {
        let golden = golden(model);
        let mut network = golden.network(&golden.config(), false);
        let sequences: Vec<Vec<u32>> = golden.sequences().into_iter().map(|(tokens, _)| tokens).collect();
        let worst = difference(&all_logits(&network, &sequences), &golden.tensor("expected.safetensors", "logits"));
        assert!(worst < 1e-5, "{model}: the logits differ by {worst}");
        peft::load(&mut network, &golden.folder.join("adapter")).unwrap();
        let expected = golden.tensor("expected.safetensors", "adapter_logits");
        let worst = difference(&all_logits(&network, &sequences), &expected);
        assert!(worst < 1e-5, "{model}: the logits with PEFT's adapter differ by {worst}");
    }
}

#[test]
fn rotary_variants_and_windows_are_those_of_transformers() {
    for model in MODELS {
        let golden = golden(model);
        let tokens = golden.values["variant_tokens"].as_array().unwrap().iter();
        let tokens: Vec<u32> = tokens.map(|token| token.as_u64().unwrap() as u32).collect();
        for (name, changes) in golden.values["variants"].as_object().unwrap() {
            let text = std::fs::read_to_string(golden.folder.join("config.json")).unwrap();
            let mut config: Value = serde_json::from_str(&text).unwrap();
            // Transformers 5 writes `rope_parameters`; a variant replaces it.
            for (key, value) in changes.as_object().unwrap() {
                config[key] = value.clone();
            }
            let mut config = ModelConfig::from_json(&config.to_string()).unwrap();
            config.max_position = tokens.len();
            let network = golden.network(&config, false);
            let logits = all_logits(&network, std::slice::from_ref(&tokens));
            let worst = difference(&logits, &golden.tensor("expected.safetensors", &format!("variant.{name}")));
            assert!(worst < 1e-5, "{model}, {name}: the logits differ by {worst}");
        }
    }
}

#[test]
fn adapter_gradients_and_steps_are_those_of_pytorch() {
    for model in MODELS {
        let golden = golden(model);
        let mut network = golden.network(&golden.config(), false);
        peft::load(&mut network, &golden.folder.join("adapter")).unwrap();
        let mut gradients = PerParameter::zeros(&network).unwrap();
        let loss = pass(&network, &golden, false, &mut gradients);
        assert!((loss - golden.values["loss"].as_f64().unwrap()).abs() < 1e-5, "{model}: loss {loss}");
        check_gradients(&network, &gradients, &golden, "lora_gradients.safetensors");
        check_steps(&mut network, &golden, "lora_steps", false);
    }
}

#[test]
fn gradients_and_steps_of_all_weights_are_those_of_pytorch() {
    for model in MODELS {
        let golden = golden(model);
        let mut network = golden.network(&golden.config(), true);
        let mut gradients = PerParameter::zeros(&network).unwrap();
        let loss = pass(&network, &golden, true, &mut gradients);
        assert!((loss - golden.values["full_loss"].as_f64().unwrap()).abs() < 1e-5, "{model}: loss {loss}");
        check_gradients(&network, &gradients, &golden, "full_gradients.safetensors");
        check_steps(&mut network, &golden, "full_steps", true);
    }
}

fn roundtrip(model: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/training/golden/roundtrip").join(model)
}

#[test]
fn adapters_written_here_give_the_same_logits_in_peft() {
    let path = roundtrip("").with_file_name("peft_roundtrip.json");
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for model in MODELS {
        let golden = golden(model);
        let bytes = std::fs::read(roundtrip(model).join(peft::TENSORS)).unwrap();
        assert_eq!(stored[model]["sha256"], so8t::files::sha256(&bytes));
        let mut network = golden.network(&golden.config(), false);
        peft::load(&mut network, &roundtrip(model)).unwrap();
        let sequences: Vec<Vec<u32>> = golden.sequences().into_iter().map(|(tokens, _)| tokens).collect();
        let rows = stored[model]["logits"].as_array().unwrap().iter();
        let expected: Vec<f32> =
            rows.flat_map(|row| row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32)).collect();
        let worst = difference(&all_logits(&network, &sequences), &expected);
        assert!(worst < 1e-5, "{model}: the logits in PEFT differ by {worst}");
    }
}

/// Trains the adapters that `peft_roundtrip.py` reads: `cargo test --release --test main writes_adapters -- --ignored`.
#[test]
#[ignore = "writes into the source tree"]
fn writes_adapters_for_peft() {
    for model in MODELS {
        let golden = golden(model);
        let mut network = golden.network(&golden.config(), false);
        let sequences = golden.sequences().into_iter();
        let samples: Vec<Sample> =
            sequences.map(|(tokens, completion_start)| Sample { tokens, completion_start, weight: 1.0 }).collect();
        let config = TrainConfig { rank: 4, alpha: 8.0, learning_rate: 1e-2, epochs: 10, ..TrainConfig::default() };
        let folder = tempfile::tempdir().unwrap();
        let files = TrainFiles { folder: folder.path().to_path_buf(), resume: false };
        train(&mut network, &samples, &config, 1, &files, &AtomicBool::new(false), &mut |_| ()).unwrap();
        peft::save(&network, &roundtrip(model), model, &config).unwrap();
    }
}
