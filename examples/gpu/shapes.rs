//! Shapes of models without their weights, and the work that they ask for.

use so8t::model::ModelConfig;
use so8t::{Error, Result};

/// A model's shape.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Its name on the command line.
    pub name: &'static str,
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    vocabulary: usize,
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "phi-3.5-mini",
        hidden: 3072,
        intermediate: 8192,
        layers: 32,
        heads: 32,
        kv_heads: 32,
        vocabulary: 32_064,
    },
    // To try the program where there is no GPU.
    Shape { name: "small", hidden: 128, intermediate: 192, layers: 2, heads: 2, kv_heads: 1, vocabulary: 300 },
];

impl Shape {
    /// The shape of this name.
    pub fn named(name: &str) -> Result<Self> {
        let known = SHAPES.map(|shape| shape.name).join(", ");
        let found = SHAPES.into_iter().find(|shape| shape.name == name);
        found.ok_or_else(|| Error::manifest(format!("`--shape`: expected one of {known}, found `{name}`")))
    }

    /// As a model's configuration, with so many positions.
    pub fn config(&self, positions: usize) -> Result<ModelConfig> {
        let Self { hidden, intermediate, layers, heads, kv_heads, vocabulary, .. } = self;
        ModelConfig::from_json(&format!(
            r#"{{"model_type": "phi3", "hidden_size": {hidden}, "intermediate_size": {intermediate},
            "num_hidden_layers": {layers}, "num_attention_heads": {heads}, "num_key_value_heads": {kv_heads},
            "vocab_size": {vocabulary}, "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
            "max_position_embeddings": {positions}}}"#
        ))
    }

    /// The linears of a layer, (outputs, inputs).
    pub fn linears(&self) -> [(usize, usize); 4] {
        let head_dim = self.hidden / self.heads;
        [
            (self.hidden + 2 * self.kv_heads * head_dim, self.hidden),
            (self.hidden, self.hidden),
            (2 * self.intermediate, self.hidden),
            (self.hidden, self.intermediate),
        ]
    }
}

/// Floating-point operations a token that are useful: those of recomputation are not counted.
pub struct Flops {
    /// Forward and backward, every token predicted.
    pub training: f64,
    /// Forward, the head at one token alone.
    pub scoring: f64,
}

impl Flops {
    /// Of one sequence of `length` tokens, with adapters of `rank` on all linears.
    pub fn of(config: &ModelConfig, length: usize, rank: usize) -> Self {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let query = config.heads * config.head_dim;
        let fused = query + 2 * config.kv_heads * config.head_dim;
        let linears = [(fused, hidden), (hidden, query), (2 * wide, hidden), (hidden, wide)];
        let base: usize = linears.iter().map(|(n, k)| n * k).sum();
        let adapter: usize = linears.iter().map(|(n, k)| rank * (n + k)).sum();
        let (base, adapter) = ((config.layers * base) as f64, (config.layers * adapter) as f64);
        let head = (config.vocab_size * hidden) as f64;
        // A product over half of the square of rows; two of them forward, five backward.
        let product = (config.layers * length * query) as f64;
        Self {
            // Of frozen weights and the head, the forward product and the gradient of the input; of adapters that of the weight too.
            training: 4.0 * (base + head) + 6.0 * adapter + 7.0 * product,
            scoring: 2.0 * (base + adapter) + 2.0 * product,
        }
    }
}

/// Numbers that are spread evenly about 0, of the given size.
pub fn random(len: usize, size: f32) -> Vec<f32> {
    let mut state = 0x9e37_79b9u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| 1.7 * size * next()).collect()
}

/// Tokens that differ.
pub fn tokens(length: usize, vocabulary: usize) -> Vec<u32> {
    (0..length).map(|at| (at * 7919 % vocabulary) as u32).collect()
}
