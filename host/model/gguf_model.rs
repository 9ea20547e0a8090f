//! A model in a GGUF file: its configuration from the metadata, its tensors under their Hugging Face names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::config::{Architecture, ModelConfig};
use super::decoder::Features;
use super::gguf::{Header, Value};
use super::gguf_decoder::{self, architecture_name};
use super::gguf_fields;
use super::mapped::MappedFile;
use super::modules::is_norm;
use super::rope::{RopeScaling, yarn_attention_factor};
use super::weights::{Stored, Weights};
use so8t_base::{Error, Result};

/// The configuration. `file` is the whole file, for the frequency factors, which are tensors.
pub fn config(header: &Header, file: &[u8]) -> Result<ModelConfig> {
    gguf_fields::is_whole_model(header)?;
    let architecture =
        gguf_decoder::architecture(required(header.text("general.architecture")?, "general.architecture")?)?;
    gguf_fields::check(header, architecture)?;
    let own = |key: &str| format!("{}.{key}", architecture_name(architecture));
    if header.whole(&own("expert_count"))?.unwrap_or(0) > 0 {
        return Err(Error::model(format!(
            "field `{}`: expected none (mixtures of experts are not implemented)",
            own("expert_count")
        )));
    }
    let size = |key: &str| match required(header.whole(&own(key))?, &own(key))? {
        number @ 1..=0x100_0000 => Ok(number),
        other => Err(Error::model(format!(
            "field `{}`: expected a whole number from 1 to 16777216, found `{other}`",
            own(key)
        ))),
    };
    let hidden_size = size("embedding_length")?;
    let heads = size("attention.head_count")?;
    let head_dim = match header.whole(&own("attention.key_length"))? {
        Some(width @ 2..=65_536) => width,
        None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
        _ => {
            let key = own("attention.head_count");
            return Err(Error::model(format!("field `{key}`: the width is not a multiple of the heads")));
        }
    };
    let rotary_dim = match (header.whole(&own("rope.dimension_count"))?, architecture) {
        (Some(width @ 2..), Architecture::Phi3) if width <= head_dim => width,
        (Some(width), _) if width != head_dim => {
            return Err(Error::model(format!(
                "field `{}`: expected the width of a head ({head_dim}), found `{width}`",
                own("rope.dimension_count")
            )));
        }
        _ => head_dim,
    };
    if let Some(width) = header.whole(&own("attention.value_length"))?.filter(|&width| width != head_dim) {
        return Err(Error::model(format!(
            "field `{}`: expected the width of a key's head ({head_dim}), found `{width}`",
            own("attention.value_length")
        )));
    }
    let layers = match size("block_count")? {
        number @ 1..=4096 => number,
        other => {
            let key = own("block_count");
            return Err(Error::model(format!("field `{key}`: expected at most 4096 layers, found `{other}`")));
        }
    };
    let embedding = header.tensors.get("token_embd.weight");
    let embedding = embedding.ok_or_else(|| Error::model("tensor `token_embd.weight` is missing"))?;
    let max_position = size("context_length")?;
    let token = |name: &str| -> Result<Option<u32>> {
        Ok(header.whole(&format!("tokenizer.ggml.{name}_token_id"))?.and_then(|id| u32::try_from(id).ok()))
    };
    let mut eos: Vec<u32> = token("eos")?.into_iter().collect();
    eos.extend(token("eot")?.filter(|id| !eos.contains(id)));
    let mut config = ModelConfig {
        architecture,
        hidden_size,
        intermediate_size: size("feed_forward_length")?,
        layers,
        heads,
        kv_heads: header.whole(&own("attention.head_count_kv"))?.unwrap_or(heads).max(1),
        head_dim,
        rotary_dim,
        vocab_size: embedding.shape[0],
        rms_norm_eps: header.number(&own("attention.layer_norm_rms_epsilon"))?.unwrap_or(1e-6) as f32,
        tie_embeddings: !header.tensors.contains_key("output.weight"),
        rope_theta: header.number(&own("rope.freq_base"))?.unwrap_or(10_000.0),
        rope_scaling: rope_scaling(header, file, architecture, &own, max_position)?,
        max_position,
        sliding_window: None,
        bos: token("bos")?,
        eos,
        features: Features::default(),
    };
    gguf_decoder::read(header, &mut config)?;
    config.check()?;
    Ok(config)
}

fn rope_scaling(
    header: &Header,
    file: &[u8],
    architecture: Architecture,
    own: &impl Fn(&str) -> String,
    max_position: usize,
) -> Result<RopeScaling> {
    let factors = |name: &str| -> Result<Option<Vec<f64>>> {
        let Some(tensor) = header.tensors.get(name) else { return Ok(None) };
        if !gguf_decoder::takes_frequency_factors(architecture) {
            return Err(Error::model(format!(
                "tensor `{name}`: expected none in a `{}` model, of which no reader applies it",
                architecture_name(architecture)
            )));
        }
        let factors = tensor.encoding.decode(&file[tensor.bytes.clone()])?;
        Ok(Some(factors.into_iter().map(f64::from).collect()))
    };
    if let (Some(long), Some(short)) = (factors("rope_factors_long.weight")?, factors("rope_factors_short.weight")?) {
        let original = header.whole(&own("rope.scaling.original_context_length"))?.unwrap_or(max_position);
        let attention_factor = header.number(&own("rope.scaling.attn_factor"))?.unwrap_or(1.0);
        return Ok(RopeScaling::LongRope { short, long, original, attention_factor });
    }
    let factor = match header.number(&own("rope.scaling.factor"))? {
        Some(factor) => Some(factor),
        None => header.number(&own("rope.scale_linear"))?,
    };
    let kind = header.text(&own("rope.scaling.type"))?;
    let attention_factor = header.number(&own("rope.scaling.attn_factor"))?.unwrap_or(1.0);
    if kind != Some("yarn") && attention_factor != 1.0 {
        let key = own("rope.scaling.attn_factor");
        return Err(Error::model(format!("field `{key}`: expected `1` for this scaling, found `{attention_factor}`")));
    }
    // Llama 3.1 and later: the conversion has already turned the scaling into a divisor for each frequency.
    if let Some(factors) = factors("rope_freqs.weight")? {
        // A common divisor comes on top.
        let common = match (kind, factor) {
            (Some("none"), _) | (_, None) => 1.0,
            (None | Some("linear"), Some(factor)) => factor,
            (Some(other), _) => {
                let key = own("rope.scaling.type");
                return Err(Error::model(format!(
                    "field `{key}`: expected `none` or `linear` beside the tensor `rope_freqs.weight`, found `{other}`"
                )));
            }
        };
        let factors: Vec<f64> = factors.into_iter().map(|own| own * common).collect();
        return Ok(RopeScaling::LongRope {
            short: factors.clone(),
            long: factors,
            original: max_position,
            attention_factor: 1.0,
        });
    }
    match (kind, factor) {
        (Some("yarn"), Some(factor)) if !matches!(architecture, Architecture::Phi3 | Architecture::Gemma3) => {
            let number = |key: &str, default: f64| -> Result<f64> {
                Ok(header.number(&own(&format!("rope.scaling.{key}")))?.unwrap_or(default))
            };
            Ok(RopeScaling::Yarn {
                factor,
                original: header.whole(&own("rope.scaling.original_context_length"))?.unwrap_or(max_position),
                // llama.cpp multiplies by its own factor besides.
                attention_factor: attention_factor * yarn_attention_factor(factor, None),
                beta_fast: number("yarn_beta_fast", 32.0)?,
                beta_slow: number("yarn_beta_slow", 1.0)?,
                truncate: true,
            })
        }
        (Some("none"), _) | (None | Some("linear"), None) => Ok(RopeScaling::None),
        (None | Some("linear"), Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (Some(other), _) => {
            let key = own("rope.scaling.type");
            Err(Error::model(format!(
                "field `{key}`: expected `none`, `linear` or, with a factor, `yarn`, found `{other}`"
            )))
        }
    }
}

/// The tensors, renamed, with the interleaving of queries and keys noted so that reading undoes it.
///
/// Errors: a tensor that the architecture has not (it would change the results, so it is not ignored).
pub fn weights(header: &Header, config: &ModelConfig, path: PathBuf, file: MappedFile) -> Result<Weights> {
    let mut tensors = BTreeMap::new();
    for (name, tensor) in &header.tensors {
        if FREQUENCIES.contains(&name.as_str()) {
            continue;
        }
        let name = hugging_face_name(name, config.architecture).ok_or_else(|| {
            let architecture = architecture_name(config.architecture);
            Error::model(format!("tensor `{name}` does not belong to a `{architecture}` model"))
        })?;
        let interleaved = gguf_decoder::is_interleaved(config.architecture)
            && (name.contains(".q_proj.") || name.contains(".k_proj."));
        let shift = if is_norm(&name) { -config.features.norm_offset } else { 0.0 };
        let stored = Stored {
            file: 0,
            bytes: tensor.bytes.clone(),
            shape: tensor.shape.clone(),
            encoding: tensor.encoding,
            interleaved: interleaved.then_some(config.head_dim),
            shift,
        };
        tensors.insert(name, stored);
    }
    Ok(Weights::new(vec![(path, file)], tensors))
}

/// Tensors that are no weights: divisors of the rotary frequencies.
const FREQUENCIES: [&str; 3] = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"];

fn hugging_face_name(name: &str, architecture: Architecture) -> Option<String> {
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
    let (_, part) = gguf_decoder::parts(architecture).into_iter().find(|(gguf, _)| part == *gguf)?;
    Some(format!("model.layers.{layer}.{part}"))
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
