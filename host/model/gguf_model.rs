//! A Llama model in a GGUF file: its configuration from the metadata, its tensors under their Hugging Face names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::config::{Architecture, ModelConfig};
use super::gguf::{Header, Value};
use super::mapped::MappedFile;
use super::rope::RopeScaling;
use super::weights::{Stored, Weights};
use crate::{Error, Result};

/// The configuration. `file` is the whole file, for the frequency factors, which are a tensor.
pub fn config(header: &Header, file: &[u8]) -> Result<ModelConfig> {
    match required(header.text("general.architecture")?, "general.architecture")? {
        "llama" => {}
        other => {
            return Err(Error::model(format!("field `general.architecture`: expected `llama`, found `{other}`"))
                .with_hint("other architectures are read from a Hugging Face folder only"));
        }
    }
    if header.whole("llama.expert_count")?.unwrap_or(0) > 0 {
        return Err(Error::model(
            "field `llama.expert_count`: expected none (mixtures of experts are not implemented)",
        ));
    }
    let size = |key: &str| match required(header.whole(key)?, key)? {
        number @ 1..=0x100_0000 => Ok(number),
        other => {
            Err(Error::model(format!("field `{key}`: expected a whole number from 1 to 16777216, found `{other}`")))
        }
    };
    let hidden_size = size("llama.embedding_length")?;
    let heads = size("llama.attention.head_count")?;
    let head_dim = match header.whole("llama.attention.key_length")? {
        Some(width @ 2..=65_536) => width,
        None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
        _ => return Err(Error::model("field `llama.attention.head_count`: the width is not a multiple of the heads")),
    };
    match header.whole("llama.rope.dimension_count")? {
        Some(width) if width != head_dim => {
            return Err(Error::model(format!(
                "field `llama.rope.dimension_count`: expected the width of a head ({head_dim}), found `{width}`"
            )));
        }
        _ => {}
    }
    let embedding = header.tensors.get("token_embd.weight");
    let embedding = embedding.ok_or_else(|| Error::model("tensor `token_embd.weight` is missing"))?;
    let max_position = size("llama.context_length")?;
    let token = |name: &str| -> Result<Option<u32>> {
        Ok(header.whole(&format!("tokenizer.ggml.{name}_token_id"))?.and_then(|id| u32::try_from(id).ok()))
    };
    let mut eos: Vec<u32> = token("eos")?.into_iter().collect();
    eos.extend(token("eot")?.filter(|id| !eos.contains(id)));
    let config = ModelConfig {
        architecture: Architecture::Llama,
        hidden_size,
        intermediate_size: size("llama.feed_forward_length")?,
        layers: size("llama.block_count")?,
        heads,
        kv_heads: header.whole("llama.attention.head_count_kv")?.unwrap_or(heads).max(1),
        head_dim,
        vocab_size: embedding.shape[0],
        rms_norm_eps: header.number("llama.attention.layer_norm_rms_epsilon")?.unwrap_or(1e-6) as f32,
        tie_embeddings: !header.tensors.contains_key("output.weight"),
        rope_theta: header.number("llama.rope.freq_base")?.unwrap_or(10_000.0),
        rope_scaling: rope_scaling(header, file, max_position)?,
        max_position,
        sliding_window: header.whole("llama.attention.sliding_window")?.filter(|&window| window > 0),
        bos: token("bos")?,
        eos,
    };
    config.check()?;
    Ok(config)
}

fn rope_scaling(header: &Header, file: &[u8], max_position: usize) -> Result<RopeScaling> {
    // Llama 3.1 and later: the conversion has already turned the scaling into a divisor for each frequency.
    if let Some(tensor) = header.tensors.get("rope_freqs.weight") {
        let factors = tensor.encoding.decode(&file[tensor.bytes.clone()])?;
        let factors: Vec<f64> = factors.into_iter().map(f64::from).collect();
        return Ok(RopeScaling::LongRope {
            short: factors.clone(),
            long: factors,
            original: max_position,
            attention_factor: 1.0,
        });
    }
    let factor = match header.number("llama.rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => header.number("llama.rope.scale_linear")?,
    };
    match (header.text("llama.rope.scaling.type")?, factor) {
        (Some("none"), _) | (None | Some("linear"), None) => Ok(RopeScaling::None),
        (None | Some("linear"), Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (Some(other), _) => {
            let message = format!("field `llama.rope.scaling.type`: expected `none` or `linear`, found `{other}`");
            Err(Error::model(message))
        }
    }
}

/// The tensors, renamed, with the interleaving of queries and keys noted so that reading undoes it.
///
/// Errors: a tensor that no Llama has (it would change the results, so it is not ignored).
pub fn weights(header: &Header, config: &ModelConfig, path: PathBuf, file: MappedFile) -> Result<Weights> {
    let mut tensors = BTreeMap::new();
    for (name, tensor) in &header.tensors {
        if name == "rope_freqs.weight" {
            continue;
        }
        let name = hugging_face_name(name)
            .ok_or_else(|| Error::model(format!("tensor `{name}` does not belong to a Llama model without biases")))?;
        let interleaved = name.ends_with(".q_proj.weight") || name.ends_with(".k_proj.weight");
        let stored = Stored {
            file: 0,
            bytes: tensor.bytes.clone(),
            shape: tensor.shape.clone(),
            encoding: tensor.encoding,
            interleaved: interleaved.then_some(config.head_dim),
        };
        tensors.insert(name, stored);
    }
    Ok(Weights::new(vec![(path, file)], tensors))
}

fn hugging_face_name(name: &str) -> Option<String> {
    let whole = match name {
        "token_embd.weight" => "model.embed_tokens.weight",
        "output_norm.weight" => "model.norm.weight",
        "output.weight" => "lm_head.weight",
        _ => "",
    };
    if !whole.is_empty() {
        return Some(whole.to_string());
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let part = match part {
        "attn_norm.weight" => "input_layernorm",
        "ffn_norm.weight" => "post_attention_layernorm",
        "attn_q.weight" => "self_attn.q_proj",
        "attn_k.weight" => "self_attn.k_proj",
        "attn_v.weight" => "self_attn.v_proj",
        "attn_output.weight" => "self_attn.o_proj",
        "ffn_gate.weight" => "mlp.gate_proj",
        "ffn_up.weight" => "mlp.up_proj",
        "ffn_down.weight" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.weight"))
}

/// A field that must be there.
pub fn required<T>(value: Option<T>, key: &str) -> Result<T> {
    value.ok_or_else(|| Error::model(format!("field `{key}` is missing")))
}

/// The chat template that the file holds.
pub fn chat_template(header: &Header) -> Result<Option<String>> {
    match header.metadata.get("tokenizer.chat_template") {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::model("field `tokenizer.chat_template`: expected a string")),
    }
}
