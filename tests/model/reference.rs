//! The plainest forward pass that can be written: what the weights mean, apart from the program's own network.

use so8t::model::{ModelConfig, Weights};

/// x · weightᵀ for rows of `x`.
fn linear(x: &[f32], weight: &[f32], inputs: usize) -> Vec<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    x.chunks(inputs).flat_map(|row| weight.chunks(inputs).map(move |w| dot(row, w))).collect()
}

fn norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let one = |row: &[f32]| -> Vec<f32> {
        let mean = row.iter().map(|v| v * v).sum::<f32>() / row.len() as f32;
        row.iter().zip(weight).map(|(v, w)| v / (mean + epsilon).sqrt() * w).collect()
    };
    x.chunks(weight.len()).flat_map(one).collect()
}

/// Turns the two halves of each head against each other.
fn rotate(x: &mut [f32], heads: usize, config: &ModelConfig, tables: &(Vec<f32>, Vec<f32>)) {
    let half = config.head_dim / 2;
    for (at, head) in x.chunks_mut(config.head_dim).enumerate() {
        let (left, right) = head.split_at_mut(half);
        for i in 0..half {
            let (cosine, sine) = (tables.0[at / heads * half + i], tables.1[at / heads * half + i]);
            (left[i], right[i]) = (left[i] * cosine - right[i] * sine, right[i] * cosine + left[i] * sine);
        }
    }
}

/// Logits of every position of a Llama model, `[tokens, vocabulary]`.
pub fn logits(config: &ModelConfig, weights: &Weights, tokens: &[u32]) -> Vec<f32> {
    let (width, d) = (config.hidden_size, config.head_dim);
    let load = |name: &str| weights.load_f32(name).unwrap().1;
    let tables = config.rope_tables(tokens.len());
    let embedding = load("model.embed_tokens.weight");
    let row = |&token: &u32| embedding[token as usize * width..][..width].to_vec();
    let mut x: Vec<f32> = tokens.iter().flat_map(row).collect();
    for layer in 0..config.layers {
        let load = |part: &str| load(&format!("model.layers.{layer}.{part}.weight"));
        let h = norm(&x, &load("input_layernorm"), config.rms_norm_eps);
        let [mut q, mut k, v] = ["q", "k", "v"].map(|p| linear(&h, &load(&format!("self_attn.{p}_proj")), width));
        rotate(&mut q, config.heads, config, &tables);
        rotate(&mut k, config.kv_heads, config, &tables);
        let mut mixed = vec![0.0; q.len()];
        for t in 0..tokens.len() {
            for head in 0..config.heads {
                let shared = head / (config.heads / config.kv_heads);
                let at = |s: usize| (s * config.kv_heads + shared) * d;
                let query = &q[(t * config.heads + head) * d..][..d];
                let score = |s| query.iter().zip(&k[at(s)..]).map(|(a, b)| a * b).sum::<f32>() / (d as f32).sqrt();
                let scores: Vec<f32> = (0..=t).map(|s| f32::exp(score(s))).collect();
                let total: f32 = scores.iter().sum();
                for (s, weight) in scores.iter().enumerate() {
                    for i in 0..d {
                        mixed[(t * config.heads + head) * d + i] += weight / total * v[at(s) + i];
                    }
                }
            }
        }
        let attended = linear(&mixed, &load("self_attn.o_proj"), config.heads * d);
        x.iter_mut().zip(attended).for_each(|(x, a)| *x += a);
        let h = norm(&x, &load("post_attention_layernorm"), config.rms_norm_eps);
        let gate = linear(&h, &load("mlp.gate_proj"), width);
        let up = linear(&h, &load("mlp.up_proj"), width);
        let inner: Vec<f32> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
        let fed = linear(&inner, &load("mlp.down_proj"), config.intermediate_size);
        x.iter_mut().zip(fed).for_each(|(x, a)| *x += a);
    }
    let x = norm(&x, &load("model.norm.weight"), config.rms_norm_eps);
    let head = if config.tie_embeddings { embedding } else { load("lm_head.weight") };
    linear(&x, &head, width)
}
