//! Small random networks and batches.

use so8t::kernels::cpu::Cpu;
use so8t::model::ModelConfig;
use so8t::model::network::{AdapterSettings, Network, NetworkOptions, Quantization, Targets};
use so8t::train::random::Random;

/// The longest sequence of the small networks.
pub const POSITIONS: usize = 32;

/// Two layers with grouped heads; Phi-3 with a tied head and a sliding window, Llama without.
pub fn config(architecture: &str) -> ModelConfig {
    let tied = architecture == "phi3";
    let window = if tied { "\"sliding_window\": 5," } else { "" };
    ModelConfig::from_json(&format!(
        r#"{{"model_type": "{architecture}", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50, "rms_norm_eps": 1e-5, {window}
        "tie_word_embeddings": {tied}, "max_position_embeddings": 64}}"#
    ))
    .unwrap()
}

/// A network with random weights; norms near 1.
pub fn network(architecture: &str, quantization: Quantization, trainable: bool) -> Network {
    let options = NetworkOptions { quantization, positions: POSITIONS, trainable, ..Default::default() };
    Network::load(Cpu, &config(architecture), options, |name, shape| {
        let mut random = Random::new(7, name);
        let count = shape.iter().product();
        let norm = shape.len() == 1;
        Ok((0..count).map(|_| if norm { 1.0 + 0.2 * random.normal() } else { 0.15 * random.normal() }).collect())
    })
    .unwrap()
}

/// Puts adapters on all linears, with random `B` too, so that every gradient is at work.
pub fn adapt(network: &mut Network, targets: &[&str]) {
    let targets = targets.iter().map(|t| t.to_string()).collect();
    adapt_with(network, AdapterSettings { rank: 4, alpha: 8.0, targets, ..AdapterSettings::default() });
}

/// Puts random adapters of any kind on a network: `B` is not 0, and magnitudes are near 1.
pub fn adapt_with(network: &mut Network, settings: AdapterSettings) {
    network
        .attach(settings, |name, shape| {
            let mut random = Random::new(3, name);
            let middle = if shape.len() == 1 { 1.0 } else { 0.0 };
            Ok((0..shape.iter().product()).map(|_| middle + 0.2 * random.normal()).collect())
        })
        .unwrap();
}

/// Three sequences of different lengths.
pub fn sequences() -> Vec<Vec<u32>> {
    let mut random = Random::new(11, "sequences");
    [9, 4, 13].map(|length| (0..length).map(|_| random.below(50) as u32).collect()).to_vec()
}

/// Some rows of [`sequences`], with weights that sum to about 1.
pub fn targets() -> Targets {
    Targets {
        rows: vec![0, 5, 7, 8, 10, 20, 25],
        tokens: vec![3, 1, 4, 1, 5, 9, 49],
        weights: vec![0.1, 0.2, 0.15, 0.05, 0.2, 0.1, 0.2],
    }
}
