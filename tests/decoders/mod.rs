//! Every decoder against Transformers and PEFT; see `tests/golden/decoders.py` for how the values were made.

mod fields;
mod files;

use std::sync::OnceLock;

use serde_json::Value;
use so8t::kernels::backend::Backend;
use so8t::kernels::cpu::Cpu;
use so8t::model::ModelConfig;
use so8t::model::modules::is_norm;
use so8t::model::network::{
    AdapterSettings, Network, NetworkOptions, PerParameter, Quantization, Targets, Training, Workspace,
};
use so8t::train::optimiser::{Optimiser, OptimiserSettings};

use crate::training::gradients;

fn golden() -> &'static Value {
    static GOLDEN: OnceLock<Value> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model/golden/decoders.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    })
}

fn cases() -> Vec<(&'static str, &'static Value)> {
    golden()["cases"].as_object().unwrap().iter().map(|(name, case)| (name.as_str(), case)).collect()
}

fn config(case: &Value) -> ModelConfig {
    ModelConfig::from_json(&case["config"].to_string()).unwrap()
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(of).collect()
}

fn whole(value: &Value) -> u32 {
    value.as_u64().unwrap() as u32
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// As the script's function of the same name.
fn numbers(name: &str, count: usize) -> Vec<f32> {
    let seed = name.bytes().fold(2_166_136_261u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(16_777_619));
    let number = |i: usize| {
        let mut x = seed.wrapping_add((i as u32).wrapping_mul(0x9e37_79b9));
        x = (x ^ x >> 16).wrapping_mul(0x85eb_ca6b);
        x = (x ^ x >> 13).wrapping_mul(0xc2b2_ae35);
        x ^= x >> 16;
        (x >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..count).map(number).collect()
}

/// The weights of a tensor, as the script makes them.
fn weights(name: &str, shape: &[usize], offset: f32) -> Vec<f32> {
    let mut values = numbers(name, shape.iter().product());
    let (middle, width) = match name {
        name if is_norm(name) => (1.0 - offset, 0.5),
        name if name.ends_with(".weight") && !name.contains("lora") => (0.0, 0.25),
        _ => (0.0, 0.5),
    };
    values.iter_mut().for_each(|value| *value = middle + width * *value);
    values
}

fn network_of<B: Backend>(backend: B, config: &ModelConfig, trainable: bool) -> Network<B> {
    let options = NetworkOptions {
        quantization: Quantization::None,
        positions: config.max_position,
        trainable,
        ..NetworkOptions::default()
    };
    let offset = config.features.norm_offset;
    Network::load(backend, config, options, |name, shape| Ok(weights(name, shape, offset))).unwrap()
}

fn adapt<B: Backend>(network: &mut Network<B>) {
    let golden = golden();
    let settings = AdapterSettings {
        rank: whole(&golden["rank"]) as usize,
        alpha: float(&golden["alpha"]),
        ..AdapterSettings::default()
    };
    network.attach(settings, |name, shape| Ok(weights(name, shape, 0.0))).unwrap();
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|x| f64::from(x - greatest).exp()).sum();
    logits.iter().map(|x| f64::from(x - greatest) - total.ln()).collect()
}

/// The log-probabilities of every row of a sequence.
fn scores<B: Backend>(network: &Network<B>, tokens: &[u32]) -> Vec<Vec<f64>> {
    let batch = network.pack([tokens]).unwrap();
    let rows: Vec<u32> = (0..tokens.len() as u32).collect();
    let logits = network.logits(&batch, &rows, None, &mut Workspace::default()).unwrap();
    logits.chunks_exact(network.config().vocab_size).map(log_softmax).collect()
}

fn largest_difference(found: &[Vec<f64>], expected: &[Vec<f64>]) -> f64 {
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    pairs.fold(0.0, |worst: f64, (a, b)| worst.max((a - b).abs()))
}

fn expected_scores(case: &Value) -> Vec<Vec<f64>> {
    list(&case["log_probabilities"], |row| list(row, float))
}

/// Those rows and columns of `scores` that are stored.
fn stored(scores: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let columns = list(&golden()["columns"], whole);
    let row = |row: &Value| columns.iter().map(|&column| scores[whole(row) as usize][column as usize]).collect();
    list(&golden()["rows"], row)
}

#[test]
fn log_probabilities_are_those_of_transformers() {
    for (name, case) in cases() {
        let network = network_of(Cpu, &config(case), false);
        let found = scores(&network, &list(&case["tokens"], whole));
        let difference = largest_difference(&stored(&found), &expected_scores(case));
        eprintln!("{name}: {difference:.1e}");
        assert!(difference < 1e-4, "{name}: {difference} nats from Transformers");
    }
}

fn targets(tokens: &[u32]) -> Targets {
    let count = tokens.len() - 1;
    Targets {
        rows: (0..count as u32).collect(),
        tokens: tokens[1..].to_vec(),
        weights: vec![1.0 / count as f32; count],
    }
}

/// The mean loss, and its gradients.
fn pass<B: Backend>(network: &Network<B>, tokens: &[u32], recompute: usize, into: &mut PerParameter<B>) -> f64 {
    let batch = network.pack([tokens]).unwrap();
    into.clear(network).unwrap();
    let training = Training { recompute, ..Training::default() };
    let losses =
        network.loss_and_gradients(&batch, &targets(tokens), training, into, &mut Workspace::default()).unwrap();
    into.clear_idle(network).unwrap();
    losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64
}

fn adapters_are_those_of_peft<B: Backend + Clone>(backend: &B, chosen: impl Fn(&str) -> bool) {
    for (name, case) in cases().into_iter().filter(|(name, _)| chosen(name)) {
        let tokens = list(&case["tokens"], whole);
        let mut network = network_of(backend.clone(), &config(case), false);
        adapt(&mut network);
        for parameter in network.parameters_mut() {
            parameter.decay = true;
        }
        let losses = list(&case["losses"], float);
        let mut gradients = PerParameter::zeros(&network).unwrap();
        // Kept, and computed again.
        for recompute in [0, usize::MAX] {
            let loss = pass(&network, &tokens, recompute, &mut gradients);
            assert!((loss - losses[0]).abs() < 1e-5, "{name}: loss {loss}, not {}", losses[0]);
            let expected = case["gradients"].as_object().unwrap();
            let mut seen = 0;
            for (parameter, buffer) in network.parameters().iter().zip(&gradients.buffers) {
                let values = backend.read(buffer, parameter.len()).unwrap();
                for piece in &parameter.pieces {
                    let [rows, columns] = [piece.block.rows.clone(), piece.block.columns.clone()];
                    let found: Vec<f32> =
                        rows.flat_map(|row| values[row * parameter.columns..][columns.clone()].to_vec()).collect();
                    let pair = list(&expected[&piece.name], float);
                    let direction = numbers(&format!("{}.direction", piece.name), found.len());
                    let dot: f64 = found.iter().zip(&direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    let norm = found.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                    let close = |found: f64, expected: f64| (found - expected).abs() < 2e-4 * pair[1] + 1e-7;
                    let what = format!("{name}, {}: {dot} and {norm}, not {pair:?}", piece.name);
                    assert!(close(dot, pair[0]) && close(norm, pair[1]), "{what}");
                    seen += 1;
                }
            }
            assert_eq!(seen, expected.len(), "{name}: every adapter has its gradient");
        }
        let settings = OptimiserSettings { weight_decay: 0.01, ..OptimiserSettings::default() };
        let mut optimiser = Optimiser::new(&network, settings).unwrap();
        optimiser.step(&mut network, &mut gradients, float(&golden()["learning_rate"])).unwrap();
        let loss = pass(&network, &tokens, 0, &mut gradients);
        assert!((loss - losses[1]).abs() < 2e-4, "{name}: loss {loss} after a step, not {}", losses[1]);
    }
}

#[test]
fn adapter_gradients_and_a_step_are_those_of_peft() {
    adapters_are_those_of_peft(&Cpu, |_| true);
}

/// The kernels of a GPU, run on the processor.
#[test]
fn adapters_on_an_emulated_gpu_are_those_of_peft() {
    use crate::devices::emulated::{Emulated, Order};
    let Some(driver) = Emulated::new(Order::Ascending) else { return };
    let device = so8t::kernels::cuda::Device::new(driver);
    let chosen = ["llama-biases", "qwen3", "gemma2", "gemma3-5", "granite-5", "smollm3-5", "olmo2-5"];
    adapters_are_those_of_peft(&device, |name| chosen.contains(&name));
    for (name, case) in cases().into_iter().filter(|(name, _)| chosen.contains(name)) {
        new_tokens(name, case, &network_of(device.clone(), &config(case), false));
    }
}

/// All weights: norms, biases and tables among them.
#[test]
fn gradients_of_all_weights_are_those_of_differences() {
    for (name, case) in cases() {
        if ["llama-biases", "qwen2", "qwen3", "gemma2", "gemma3-5", "granite-5", "smollm3-5", "olmo2-5"].contains(&name)
        {
            eprintln!("{name}");
            let mut config = config(case);
            config.vocab_size = 50;
            // Norms of heads change the loss little, beside the rounding of a loss of about 5.
            gradients::check_stepping(&mut network_of(Cpu, &config, true), Training::default(), 1e-2, 1e-6);
        }
    }
}

/// What a trained network's pieces say is what files hold: less what norms add.
#[test]
fn trained_norms_are_stored_as_files_have_them() {
    for (name, case) in cases().into_iter().filter(|(name, _)| ["gemma", "qwen3"].contains(name)) {
        let config = config(case);
        let offset = config.features.norm_offset;
        for (piece, shape, values) in network_of(Cpu, &config, true).read_pieces().unwrap() {
            let expected = weights(&piece, &shape, offset);
            let worst = values.iter().zip(&expected).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
            assert!(worst < 1e-6, "{name}, {piece}: {worst}");
        }
    }
}

/// Token by token, as in one pass.
fn new_tokens<B: Backend>(name: &str, case: &Value, network: &Network<B>) {
    let tokens = list(&case["tokens"], whole);
    let (expected, mut workspace) = (scores(network, &tokens), Workspace::default());
    let first = tokens.len() - 4;
    let (mut kept, logits) = network.begin(&[&tokens[..first]], &[], 4, &mut workspace).unwrap();
    let mut found = vec![log_softmax(&logits)];
    for token in &tokens[first..] {
        found.push(log_softmax(&network.next(&mut kept, &[0], &[*token], &mut workspace).unwrap()));
    }
    let difference = largest_difference(&found, &expected[first - 1..]);
    assert!(difference < 1e-5, "{name}: {difference} nats between both ways");
}

#[test]
fn new_tokens_follow_as_in_one_pass() {
    for (name, case) in cases() {
        new_tokens(name, case, &network_of(Cpu, &config(case), false));
    }
}

/// What is known of a beginning gives the same bits as computing it again, in every decoder: in one pass, and token by token.
#[test]
fn a_known_beginning_changes_no_bit() {
    for (name, case) in cases() {
        let network = network_of(Cpu, &config(case), false);
        let tokens = list(&case["tokens"], whole);
        let turned: Vec<u32> = tokens[..5].iter().chain(tokens[5..].iter().rev()).copied().collect();
        let sequences = [tokens.as_slice(), &turned, &tokens[..7]];
        let rows: Vec<u32> =
            [tokens.len(), 2 * tokens.len(), 2 * tokens.len() + 7].iter().map(|end| *end as u32 - 1).collect();
        let mut workspace = Workspace::default();
        let bits = |logits: Vec<f32>| logits.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let whole = network.pack(sequences).unwrap();
        let expected = bits(network.logits(&whole, &rows, None, &mut workspace).unwrap());
        let step = |beginning: &[u32], workspace: &mut Workspace<Cpu>| {
            let (mut kept, first) = network.begin(&sequences, beginning, 1, workspace).unwrap();
            (bits(first), bits(network.next(&mut kept, &[0, 2], &[3, 4], workspace).unwrap()))
        };
        let stepped = step(&[], &mut workspace);
        // As much as all share, less, and more than all share.
        for beginning in [&tokens[..5], &tokens[..1], &tokens[..6], &tokens[..]] {
            let batch = network.pack_behind(beginning, 6, &sequences, &mut workspace).unwrap();
            // Long sequences, as those of this one are, turn by other tables and share nothing that is known.
            assert!(batch.distinct() < whole.distinct() || name == "phi-4-mini", "{name}");
            let found = bits(network.logits(&batch, &rows, None, &mut workspace).unwrap());
            assert_eq!(found, expected, "{name}, {} tokens", beginning.len());
            assert_eq!(step(beginning, &mut workspace), stepped, "{name}, {} tokens", beginning.len());
        }
    }
}

/// Int8 and NF4 lie near the weights; dropping, doubling or moving something of a decoder does not.
#[test]
fn quantised_decoders_are_near() {
    for (name, case) in cases() {
        let (config, tokens) = (config(case), list(&case["tokens"], whole));
        let expected = scores(&network_of(Cpu, &config, false), &tokens);
        let options = NetworkOptions { quantization: Quantization::Int8, positions: 64, ..NetworkOptions::default() };
        let offset = config.features.norm_offset;
        let network = Network::load(Cpu, &config, options, |name, shape| Ok(weights(name, shape, offset))).unwrap();
        let difference = largest_difference(&scores(&network, &tokens), &expected);
        assert!(difference > 0.0 && difference < 0.5, "{name}: {difference}");
    }
}
