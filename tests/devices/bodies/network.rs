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
///
/// With `rounded`, weights and adapters are bf16 numbers.
fn network<B: Backend>(
    backend: B,
    quantization: Quantization,
    compute: Compute,
    trainable: bool,
    rounded: bool,
) -> Network<B> {
    let config = ModelConfig::from_json(
        r#"{"model_type": "phi3", "hidden_size": 128, "intermediate_size": 72, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 50, "rms_norm_eps": 1e-5, "sliding_window": 9,
        "tie_word_embeddings": true, "max_position_embeddings": 64}"#,
    )
    .unwrap();
    let options = NetworkOptions { quantization, compute, positions: 32, trainable, ..Default::default() };
    Network::load(backend, &config, options, |name, shape| {
        let (mut random, norm) = (Random::new(7, name), shape.len() == 1);
        let (count, round) = (shape.iter().product(), rounded && !norm);
        let mut value = || if norm { 1.0 + 0.2 * random.normal() } else { 0.1 * random.normal() };
        Ok((0..count).map(|_| to_bf16(value(), round)).collect())
    })
    .unwrap()
}

fn to_bf16(value: f32, round: bool) -> f32 {
    if round { half::bf16::from_f32(value).to_f32() } else { value }
}

fn adapt<B: Backend>(network: &mut Network<B>, dora: bool, rounded: bool) {
    let targets = ["qkv_proj", "o_proj", "down_proj"].map(str::to_string).to_vec();
    let settings = AdapterSettings { rank: 3, alpha: 6.0, targets, dora, ..AdapterSettings::default() };
    network
        .attach(settings, |name, shape| {
            let (mut random, norm) = (Random::new(3, name), shape.len() == 1);
            let (middle, round) = (f32::from(u8::from(norm)), rounded && !norm);
            Ok((0..shape.iter().product()).map(|_| to_bf16(middle + 0.2 * random.normal(), round)).collect())
        })
        .unwrap();
}

/// Sequences of which two begin alike, so that rows are shared.
fn sequences() -> Vec<Vec<u32>> {
    let mut random = Random::new(11, "sequences");
    let mut sequences: Vec<Vec<u32>> =
        [9, 4, 13].map(|length| (0..length).map(|_| random.below(50) as u32).collect()).to_vec();
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
    let recompute = if recompute { usize::MAX } else { 0 };
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

/// How far two runs are from each other: losses, every gradient, every parameter.
fn distances(found: &Trained, expected: &Trained) -> Vec<(String, f64)> {
    let each = |what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]| -> Vec<(String, f64)> {
        let pairs = found.iter().zip(expected).enumerate();
        pairs.map(|(index, (found, expected))| (format!("{what} {index}"), distance(found, expected))).collect()
    };
    let mut out = vec![("losses".to_string(), distance(&found.losses, &expected.losses))];
    out.extend(each("gradient", &found.gradients, &expected.gradients));
    out.extend(each("parameter", &found.parameters, &expected.parameters));
    out
}

/// (quantization, all weights trained, DoRA, recompute, dropout)
const TRAININGS: [(Quantization, bool, bool, bool, f32); 4] = [
    (Quantization::Int8, false, false, true, 0.0),
    (Quantization::Nf4, false, false, false, 0.1),
    (Quantization::Nf4, false, true, true, 0.0),
    (Quantization::None, true, false, true, 0.0),
];

/// A run on a device; `rounded` as of [`network`].
fn run<B: Backend>(
    backend: B,
    compute: Compute,
    (quantization, trainable, dora, recompute, dropout): (Quantization, bool, bool, bool, f32),
    rounded: bool,
) -> Trained {
    let mut network = network(backend, quantization, compute, trainable, rounded);
    if !trainable {
        adapt(&mut network, dora, rounded);
    }
    train(network, recompute, dropout)
}

pub fn training<B: Backend + Clone>(backend: &B) {
    for case in TRAININGS {
        let expected = run(Cpu, Compute::F32, case, false);
        let found = run(backend.clone(), Compute::F32, case, false);
        for (what, distance) in distances(&found, &expected) {
            // A step's size is the rate, whatever the gradient's: where that is near 0, it may point elsewhere.
            let bound = if what.starts_with("parameter") { 2e-4 } else { 2e-5 };
            assert!(distance < bound, "{case:?}, {what}: {distance} from what the processor says");
        }
        let norm = (found.norm - expected.norm).abs() / expected.norm;
        assert!(norm < 2e-5, "{case:?}: the norm differs by {norm}");
    }
}

/// How much larger the error of products in bf16 may be than what comes of rounding the weights alone, in single precision. There are
/// about five such roundings on the way: weights, activations, gradients, and within attention keys and probabilities. The root of
/// five is 2.2; a row or column in the wrong place is dozens of times as much.
const ROUNDINGS: f64 = 3.0;

/// Losses and gradients. A step of the optimiser turns the sign of a gradient near 0 into a step of full size, so that what rounding
/// does to parameters is chance; the body in single precision compares them.
pub fn training_in_bf16<B: Backend + Clone>(backend: &B) {
    for case in TRAININGS {
        // What rounding does to this network is measured without quantisation, whose codes would change too.
        let plain = (Quantization::None, case.1, case.2, case.3, case.4);
        let noise = distances(&run(Cpu, Compute::F32, plain, true), &run(Cpu, Compute::F32, plain, false));
        let expected = run(Cpu, Compute::F32, case, false);
        let found = run(backend.clone(), Compute::Bf16, case, false);
        let distances = distances(&found, &expected).into_iter().zip(noise);
        for ((what, distance), (_, noise)) in distances.filter(|((what, _), _)| !what.starts_with("parameter")) {
            assert!(
                distance < ROUNDINGS * noise,
                "{case:?}, {what}: {distance} from what the processor says; rounded weights alone: {noise}"
            );
        }
    }
}

/// Logits of the last rows, and those that follow token by token.
pub fn scores<B: Backend + Clone>(backend: &B) {
    fn logits<B: Backend>(mut network: Network<B>) -> Vec<f32> {
        adapt(&mut network, false, false);
        let (sequences, mut workspace) = (sequences(), Workspace::default());
        let batch = network.pack(sequences.iter().map(Vec::as_slice)).unwrap();
        let rows = [8, 12, 25];
        let mut found = network.logits(&batch, &rows, None, &mut workspace).unwrap();
        found.extend(network.logits(&batch, &rows, Some(&[3, 7, 49]), &mut workspace).unwrap());
        let prompts: Vec<&[u32]> = sequences.iter().map(Vec::as_slice).collect();
        let (mut kept, first) = network.begin(&prompts, &[], 2, &mut workspace).unwrap();
        found.extend(first);
        found.extend(network.next(&mut kept, &[0, 2], &[5, 6], &mut workspace).unwrap());
        found.extend(network.next(&mut kept, &[2], &[7], &mut workspace).unwrap());
        // Behind what all begin with, computed before.
        let behind: Vec<Vec<u32>> = sequences.iter().map(|own| [&[9, 4, 2][..], own].concat()).collect();
        let prompts: Vec<&[u32]> = behind.iter().map(Vec::as_slice).collect();
        for beginning in [&[9, 4, 2][..], &[9, 4, 2, 40]] {
            let batch = network.pack_behind(beginning, 3, &prompts, &mut workspace).unwrap();
            assert_eq!(batch.distinct() + 3, network.pack(prompts.iter().copied()).unwrap().distinct());
            found.extend(network.logits(&batch, &[11, 18, 34], None, &mut workspace).unwrap());
            let (mut kept, first) = network.begin(&prompts, beginning, 2, &mut workspace).unwrap();
            found.extend(first);
            found.extend(network.next(&mut kept, &[1], &[7], &mut workspace).unwrap());
        }
        found
    }
    let expected = logits(network(Cpu, Quantization::Int8, Compute::F32, false, false));
    for (compute, bound) in [(Compute::F32, 2e-5), (Compute::Bf16, 0.03)] {
        let found = logits(network(backend.clone(), Quantization::Int8, compute, false, false));
        let distance = distance(&found, &expected);
        assert!(distance < bound, "{compute:?}: {distance} from what the processor says");
    }
}
