//! What a model consists of: its tensors, its linears, and how many parameters they hold.

use serde_json::{Value, json};

use super::config::{Architecture, ModelConfig};
use super::decoder::{HeadNorms, norm_names};
pub use super::selection::{EXPRESSION, Pattern, Selection, matched};
use so8t_base::{Error, Result};

/// One linear of one layer: `y = x · weightᵀ`, weight `[outputs, inputs]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearModule {
    /// The layer, from 0.
    pub layer: usize,
    /// Its Hugging Face path, for example `model.layers.0.self_attn.qkv_proj`.
    pub path: String,
    /// The path's last part, which targets name.
    pub name: &'static str,
    /// Width of what comes in.
    pub inputs: usize,
    /// Width of what comes out.
    pub outputs: usize,
    /// Where it lies, if it is but a part of a linear that the model stores as one.
    pub fused: Option<Fused>,
}

/// The linear of which a module is a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fused {
    /// Its Hugging Face path.
    pub path: String,
    /// The path's last part.
    pub name: &'static str,
    /// Its outputs.
    pub outputs: usize,
    /// The first of them that is the part's.
    pub first: usize,
}

impl LinearModule {
    /// The path and the name under which files hold the module: those of the fused linear, where it is a part of one.
    pub fn stored(&self) -> (&str, &'static str) {
        self.fused.as_ref().map_or((self.path.as_str(), self.name), |fused| (fused.path.as_str(), fused.name))
    }
}

/// The linears of a layer in the order of the forward pass: path within the layer, name, inputs, outputs.
fn layer_linears(config: &ModelConfig) -> Vec<(&'static str, &'static str, usize, usize)> {
    let (hidden, wide) = (config.hidden_size, config.intermediate_size);
    let queries = config.heads * config.head_dim;
    let keys = config.kv_heads * config.head_dim;
    match config.architecture {
        Architecture::Phi3 => vec![
            ("self_attn", "qkv_proj", hidden, queries + 2 * keys),
            ("self_attn", "o_proj", queries, hidden),
            ("mlp", "gate_up_proj", hidden, 2 * wide),
            ("mlp", "down_proj", wide, hidden),
        ],
        _ => vec![
            ("self_attn", "q_proj", hidden, queries),
            ("self_attn", "k_proj", hidden, keys),
            ("self_attn", "v_proj", hidden, keys),
            ("self_attn", "o_proj", queries, hidden),
            ("mlp", "gate_proj", hidden, wide),
            ("mlp", "up_proj", hidden, wide),
            ("mlp", "down_proj", wide, hidden),
        ],
    }
}

/// Every linear that can carry an adapter, layer by layer; the output head is not among them.
pub fn linears(config: &ModelConfig) -> Vec<LinearModule> {
    let one_layer = layer_linears(config);
    let of_layer = |layer: usize| {
        one_layer.iter().map(move |&(part, name, inputs, outputs)| LinearModule {
            layer,
            path: format!("model.layers.{layer}.{part}.{name}"),
            name,
            inputs,
            outputs,
            fused: None,
        })
    };
    (0..config.layers).flat_map(of_layer).collect()
}

/// The projections that `module` is the fusion of, by the names that unfused models give them; none where it is no fusion.
pub fn parts(config: &ModelConfig, module: &LinearModule) -> Vec<LinearModule> {
    let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let parts: &[(&'static str, usize)] = match module.name {
        "qkv_proj" => &[("q_proj", queries), ("k_proj", keys), ("v_proj", keys)],
        "gate_up_proj" => &[("gate_proj", config.intermediate_size), ("up_proj", config.intermediate_size)],
        _ => &[],
    };
    let mut first = 0;
    let part = |&(name, outputs): &(&'static str, usize)| {
        let fused = Fused { path: module.path.clone(), name: module.name, outputs: module.outputs, first };
        first += outputs;
        let path = module.path.replace(module.name, name);
        LinearModule { layer: module.layer, path, name, inputs: module.inputs, outputs, fused: Some(fused) }
    };
    parts.iter().map(part).collect()
}

/// Whether the linears of a name add a bias.
pub fn has_bias(config: &ModelConfig, name: &str) -> bool {
    let biases = config.features.biases;
    match name {
        "q_proj" | "k_proj" | "v_proj" | "qkv_proj" => biases.queries,
        "o_proj" => biases.output,
        _ => biases.feed_forward,
    }
}

/// The widths of the weights of the norms of queries and of keys, where there are such norms.
pub fn head_norm_widths(config: &ModelConfig) -> Option<[usize; 2]> {
    match config.features.head_norms {
        HeadNorms::None => None,
        HeadNorms::PerHead => Some([config.head_dim; 2]),
        HeadNorms::Whole => Some([config.heads * config.head_dim, config.kv_heads * config.head_dim]),
    }
}

/// Whether a tensor is a norm's weight.
pub fn is_norm(name: &str) -> bool {
    name.ends_with("norm.weight")
}

/// Every tensor of the model with its shape, by Hugging Face name; `lm_head.weight` only where it is its own.
pub fn tensors(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let hidden = config.hidden_size;
    let mut out = vec![("model.embed_tokens.weight".to_string(), vec![config.vocab_size, hidden])];
    for layer in 0..config.layers {
        for norm in norm_names(config.features.norms).into_iter().flatten() {
            out.push((format!("model.layers.{layer}.{norm}.weight"), vec![hidden]));
        }
        for (norm, width) in ["q_norm", "k_norm"].into_iter().zip(head_norm_widths(config).into_iter().flatten()) {
            out.push((format!("model.layers.{layer}.self_attn.{norm}.weight"), vec![width]));
        }
    }
    for module in linears(config) {
        out.push((format!("{}.weight", module.path), vec![module.outputs, module.inputs]));
        if has_bias(config, module.name) {
            out.push((format!("{}.bias", module.path), vec![module.outputs]));
        }
    }
    out.push(("model.norm.weight".to_string(), vec![hidden]));
    if !config.tie_embeddings {
        out.push(("lm_head.weight".to_string(), vec![config.vocab_size, hidden]));
    }
    out
}

/// The number of parameters; a tied output head counts once.
pub fn parameter_count(config: &ModelConfig) -> u64 {
    let product = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
    tensors(config).iter().map(|(_, shape)| product(shape)).sum()
}

/// The parameters of adapters of the given rank on `modules`: rank · (inputs + outputs) each.
pub fn lora_parameter_count(modules: &[LinearModule], rank: usize) -> u64 {
    modules.iter().map(|m| rank as u64 * (m.inputs + m.outputs) as u64).sum()
}

/// What `so8t model params --json` prints: `trainable`, `total` (base and adapters), `base`, `percent`, `rank`,
/// `targets` and `modules` (for each target's name: how many, inputs, outputs, parameters).
///
/// Errors as [`matched`], and a rank of 0 or above 65536.
pub fn parameters_report(config: &ModelConfig, rank: usize, targets: &[String]) -> Result<Value> {
    if !(1..=65_536).contains(&rank) {
        return Err(Error::manifest(format!("`rank`: expected a whole number from 1 to 65536, found `{rank}`")));
    }
    let modules = matched(config, targets)?;
    let base = parameter_count(config);
    let trainable = lora_parameter_count(&modules, rank);
    let total = base + trainable;
    let mut by_name = serde_json::Map::new();
    for LinearModule { name, inputs, outputs, .. } in &modules {
        let of_name: Vec<LinearModule> = modules.iter().filter(|m| m.name == *name).cloned().collect();
        let parameters = lora_parameter_count(&of_name, rank);
        let entry = json!({"count": of_name.len(), "inputs": inputs, "outputs": outputs, "parameters": parameters});
        by_name.insert(name.to_string(), entry);
    }
    Ok(json!({
        "trainable": trainable,
        "total": total,
        "base": base,
        "percent": (trainable as f64 / total as f64 * 1e6).round() / 1e4,
        "rank": rank,
        "targets": targets,
        "modules": by_name,
    }))
}
