//! A whole network on a device, beside the same network on the processor: losses, gradients, an optimiser step, scores.

use so8t::kernels::backend::Backend;
use so8t::kernels::cpu::Cpu;
use so8t::kernels::gemm::Compute;
use so8t::model::ModelConfig;
use so8t::model::network::{
    AdapterSettings, Dropout, Network, NetworkOptions, PerParameter, Quantization, Targets, Training, Workspace,
};
use so8t::train::optimiser::{Optimiser, OptimiserSettings};
use so8t::train::random::Random;

use super::distance;

/// Two layers with heads of the width that the tensor cores take, grouped, with a window.
fn network<B: Backend>(backend: B, quantization: Quantization, compute: Compute, trainable: bool) -> Network<B> {
    let config = ModelConfig::from_json(
        r#"{"model_type": "phi3", "hidden_size": 128, "intermediate_size": 72, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 50, "rms_norm_eps": 1e-5, "sliding_window": 9,
        "tie_word_embeddings": true, "max_position_embeddings": 64}"#,
    )
    .unwrap();
    let options = NetworkOptions { quantization, compute, positions: 32, trainable, ..Default::default() };
    Network::load(backend, &config, options, |name, shape| {
        let (mut random, norm) = (Random::new(7, name), shape.len() == 1);
        let count = shape.iter().product();
        Ok((0..count).map(|_| if norm { 1.0 + 0.2 * random.normal() } else { 0.1 * random.normal() }).collect())
    })
    .unwrap()
}

fn adapt<B: Backend>(network: &mut Network<B>, dora: bool) {
    let targets = ["qkv_proj", "o_proj", "down_proj"].map(str::to_string).to_vec();
    let settings = AdapterSettings { rank: 3, alpha: 6.0, targets, dora, ..AdapterSettings::default() };
    network
        .attach(settings, |name, shape| {
            let (mut random, middle) = (Random::new(3, name), if shape.len() == 1 { 1.0 } else { 0.0 });
            Ok((0..shape.iter().product()).map(|_| middle + 0.2 * random.normal()).collect())
        })
        .unwrap();
}

/// Sequences of which two begin alike, so that rows are shared.
fn sequences() -> Vec<Vec<u32>> {
    let mut random = Random::new(11, "sequences");
    let mut sequences: Vec<Vec<u32>> = [9, 4, 13].map(|length| (0..length).map(|_| random.below(50) as u32).collect()).to_vec();
    let first: Vec<u32> = sequences[0].clone();
    sequences[2][..6].copy_from_slice(&first[..6]);
    sequences
}

/// Losses, gradients, the gradient's norm, and the parameters after two steps.
struct Trained {
    losses: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    norm: f64,
    parameters: Vec<Vec<f32>>,
}

fn train<B: Backend>(mut network: Network<B>, recompute: bool, dropout: f32) -> Trained {
    let targets = Targets {
        rows: vec![0, 5, 7, 8, 10, 20, 25],
        tokens: vec![3, 1, 4, 1, 5, 9, 49],
        weights: vec![0.1, 0.2, 0.15, 0.05, 0.2, 0.1, 0.2],
    };
    let sequences = sequences();
    let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
    let training =
        Training { dropout: Some(Dropout { key: 5, probability: dropout }), recompute, label_smoothing: 0.1 };
    let mut gradients = PerParameter::zeros(&network).unwrap();
    let mut workspace = Workspace::default();
    let mut optimiser = Optimiser::new(&network, OptimiserSettings::default()).unwrap();
    let read = |network: &Network<B>, buffers: &[B::Buffer]| {
        let parameters = network.parameters().iter().zip(buffers);
        parameters.map(|(p, buffer)| network.backend().read(buffer, p.len()).unwrap()).collect::<Vec<_>>()
    };
    let losses = network.loss_and_gradients(&batch, &targets, training, &mut gradients, &mut workspace).unwrap();
    gradients.clear_idle(&network).unwrap();
    let first = read(&network, &gradients.buffers);
    let norm = optimiser.step(&mut network, &mut gradients, 1e-2).unwrap();
    gradients.clear(&network).unwrap();
    network.loss_and_gradients(&batch, &targets, training, &mut gradients, &mut workspace).unwrap();
    optimiser.step(&mut network, &mut gradients, 1e-2).unwrap();
    let parameters = network.parameters().iter();
    let parameters = parameters.map(|p| network.backend().read(&p.value, p.len()).unwrap()).collect();
    Trained { losses, gradients: first, norm, parameters }
}

fn compare(name: &str, found: &Trained, expected: &Trained, bound: f64) {
    let check = |what: &str, found: &[f32], expected: &[f32], bound: f64| {
        let distance = distance(found, expected);
        assert!(distance < bound, "{name}, {what}: {distance} from what the processor says");
    };
    check("losses", &found.losses, &expected.losses, bound);
    for (index, (found, expected)) in found.gradients.iter().zip(&expected.gradients).enumerate() {
        check(&format!("gradient {index}"), found, expected, bound);
    }
    check("norm", &[found.norm as f32], &[expected.norm as f32], bound);
    // A step's size is the rate, whatever the gradient's: where that is near 0, its sign may differ.
    for (index, (found, expected)) in found.parameters.iter().zip(&expected.parameters).enumerate() {
        check(&format!("parameter {index}"), found, expected, 10.0 * bound);
    }
}

fn compare_training<B: Backend + Clone>(backend: &B, compute: Compute, bound: f64) {
    for (quantization, trainable, dora, recompute, dropout) in [
        (Quantization::Int8, false, false, true, 0.0),
        (Quantization::Nf4, false, false, false, 0.1),
        (Quantization::Nf4, false, true, true, 0.0),
        (Quantization::None, true, false, true, 0.0),
    ] {
        let both = |trainable: bool| {
            let mut here = network(Cpu, quantization, Compute::F32, trainable);
            let mut there = network(backend.clone(), quantization, compute, trainable);
            if !trainable {
                adapt(&mut here, dora);
                adapt(&mut there, dora);
            }
            (train(here, recompute, dropout), train(there, recompute, dropout))
        };
        let (expected, found) = both(trainable);
        compare(&format!("{quantization:?} {trainable} {dora} {recompute} {dropout}"), &found, &expected, bound);
    }
}

pub fn training<B: Backend + Clone>(backend: &B) {
    compare_training(backend, Compute::F32, 2e-5);
}

/// Rounding to bf16, through two layers and back.
pub fn training_in_bf16<B: Backend + Clone>(backend: &B) {
    compare_training(backend, Compute::Bf16, 0.03);
}

/// Logits of the last rows, and those that follow token by token.
pub fn scores<B: Backend + Clone>(backend: &B) {
    fn logits<B: Backend>(mut network: Network<B>) -> Vec<f32> {
        adapt(&mut network, false);
        let (sequences, mut workspace) = (sequences(), Workspace::default());
        let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
        let rows = [8, 12, 25];
        let mut found = network.logits(&batch, &rows, None, &mut workspace).unwrap();
        found.extend(network.logits(&batch, &rows, Some(&[3, 7, 49]), &mut workspace).unwrap());
        let prompts: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
        let (mut kept, first) = network.begin(&prompts, 2, &mut workspace).unwrap();
        found.extend(first);
        found.extend(network.next(&mut kept, &[0, 2], &[5, 6], &mut workspace).unwrap());
        found.extend(network.next(&mut kept, &[2], &[7], &mut workspace).unwrap());
        found
    }
    let expected = logits(network(Cpu, Quantization::Int8, Compute::F32, false));
    for (compute, bound) in [(Compute::F32, 2e-5), (Compute::Bf16, 0.03)] {
        let found = logits(network(backend.clone(), Quantization::Int8, compute, false));
        let distance = distance(&found, &expected);
        assert!(distance < bound, "{compute:?}: {distance} from what the processor says");
    }
}
