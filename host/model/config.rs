//! A model's shape, as its `config.json` states it.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::classes::Class;
use super::decoder::Features;
use super::rope::{self, RopeScaling};
use super::rope_fields::Rope;
use super::{allowed, config_fields, decoder_fields, recognise};
use so8t_base::{Error, Result};

/// Which network a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Llama and what shares its layout (Mistral): separate `q_proj`, `k_proj`, `v_proj`, `gate_proj`, `up_proj`.
    Llama,
    /// Phi-3: fused `qkv_proj` and `gate_up_proj`.
    Phi3,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: norms of query and key heads.
    Qwen3,
    /// Gemma 1.
    Gemma,
    /// Gemma 2: norms on both sides, soft caps, windows on every second layer.
    Gemma2,
    /// Gemma 3, the text models: as Gemma 2, with norms of heads in place of the cap of scores, and two rotary bases.
    Gemma3,
    /// Granite 3: four multipliers.
    Granite,
    /// SmolLM 3: no positions on every fourth layer.
    SmolLm3,
    /// OLMo 2: norms behind the branches, and over all query and all key heads.
    Olmo2,
}

/// The shape of a decoder-only network with RMS norms, rotary positions and a gated feed-forward layer.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which network.
    pub architecture: Architecture,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// How many of a head's elements, the first of them, positions turn; even, all of them but in Phi-4-mini.
    pub rotary_dim: usize,
    /// Rows of the embedding, and of the output head.
    pub vocab_size: usize,
    /// What the RMS norms add to the mean square.
    pub rms_norm_eps: f32,
    /// Whether the output head is the embedding.
    pub tie_embeddings: bool,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched.
    pub rope_scaling: RopeScaling,
    /// The longest sequence that the model was made for, in tokens.
    pub max_position: usize,
    /// A token sees this many tokens, itself included, in the layers that are windowed; `None`: all before it.
    pub sliding_window: Option<usize>,
    /// The token that begins a sequence, if the file names one.
    pub bos: Option<u32>,
    /// The tokens that end an answer; may be empty.
    pub eos: Vec<u32>,
    /// What else makes the decoder.
    pub features: Features,
}

impl ModelConfig {
    /// Reads a `config.json`. Errors name the file and the field.
    pub fn from_file(path: &Path) -> Result<Self> {
        Self::from_value(&recognise::json(path)?).map_err(|e| e.context(format!("`{}`", path.display())))
    }

    /// Reads the text of a `config.json` of Hugging Face's Transformers. Errors name the field.
    ///
    /// ```
    /// let config = so8t_model::ModelConfig::from_json(r#"{
    ///     "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    ///     "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256, "rms_norm_eps": 1e-5}"#)?;
    /// assert_eq!((config.head_dim, config.kv_heads), (16, 2));
    /// # Ok::<(), so8t_base::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Self> {
        Self::from_value(&serde_json::from_str(text).map_err(|e| Error::model(format!("not valid JSON: {e}")))?)
    }

    fn from_value(value: &Value) -> Result<Self> {
        let fields = Fields::of(value)?;
        let class = Class::of(&fields)?;
        let description = class.description();
        allowed::check(fields.0, "", &[config_fields::COMMON, description.fields])?;

        // A key that is there and null means something else than one that is not.
        let lacks = |name: &str| !fields.0.contains_key(name);
        let hidden_size = fields.size("hidden_size")?;
        let heads =
            fields.bounded("num_attention_heads", MOST_HEADS)?.ok_or_else(|| fields.missing("num_attention_heads"))?;
        let head_dim = match fields.bounded("head_dim", MOST_HEADS)? {
            Some(width) => width,
            None if description.head_dim.is_some() && lacks("head_dim") => description.head_dim.unwrap_or(0),
            None if hidden_size % heads == 0 => hidden_size / heads,
            None => {
                return Err(Error::model(format!(
                    "field `hidden_size`: expected a multiple of `num_attention_heads` ({heads}), found `{hidden_size}`"
                )));
            }
        };
        let max_position = fields.optional_size("max_position_embeddings")?.unwrap_or(description.max_position);
        let kv_heads = match (fields.bounded("num_key_value_heads", MOST_HEADS)?, description.kv_heads) {
            (None, Some(own)) if lacks("num_key_value_heads") => own,
            (found, _) => found.unwrap_or(heads),
        };
        let layers =
            fields.bounded("num_hidden_layers", MOST_LAYERS)?.ok_or_else(|| fields.missing("num_hidden_layers"))?;
        let (mut features, sliding_window) = decoder_fields::features(&fields, class, layers, hidden_size)?;
        let rope = Rope::read(&fields, class, max_position, head_dim)?;
        features.local_theta = rope.local_theta;
        let config = Self {
            architecture: description.architecture,
            hidden_size,
            intermediate_size: fields.size("intermediate_size")?,
            layers,
            heads,
            kv_heads,
            head_dim,
            rotary_dim: rope.rotary_dim,
            vocab_size: fields.size("vocab_size")?,
            rms_norm_eps: fields.optional_number("rms_norm_eps")?.unwrap_or(description.rms_norm_eps) as f32,
            tie_embeddings: fields.optional_bool("tie_word_embeddings")?.unwrap_or(description.tied),
            rope_theta: rope.theta,
            rope_scaling: rope.scaling,
            max_position,
            sliding_window,
            bos: fields.tokens("bos_token_id")?.first().copied(),
            eos: fields.tokens("eos_token_id")?,
            features,
        };
        config.check()?;
        Ok(config)
    }

    /// The `config.json` that [`ModelConfig::from_json`] reads back to the same value, and that Transformers reads.
    pub fn to_json(&self) -> Value {
        let class = Class::of_architecture(self.architecture, self.sliding_window.is_some()).description();
        let mut out = json!({
            "architectures": [class.name],
            "model_type": class.model_type,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "rms_norm_eps": decoder_fields::decimal(self.rms_norm_eps),
            "tie_word_embeddings": self.tie_embeddings,
            "rope_theta": self.rope_theta,
            "max_position_embeddings": self.max_position,
            "sliding_window": self.sliding_window,
            "bos_token_id": self.bos,
            "eos_token_id": match self.eos.as_slice() { [] => Value::Null, [one] => json!(one), many => json!(many) },
            // Phi-3's class has one by default, beyond small vocabularies.
            "pad_token_id": null,
            "torch_dtype": "float32",
        });
        if let Value::Object(fields) = &mut out {
            decoder_fields::write(self, fields);
            self.rope_scaling.write(fields);
            if self.rotary_dim != self.head_dim {
                fields.insert(
                    "partial_rotary_factor".into(),
                    json!(rope::partial_factor(self.rotary_dim, self.head_dim)),
                );
            }
        }
        out
    }

    /// How many tokens a token of a layer sees, itself included; `None`: all before it.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.features.windowed.contains(layer))
    }

    /// What must hold between the numbers.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |field: &str, expected: String, found: String| {
            Err(Error::model(format!("field `{field}`: expected {expected}, found `{found}`")))
        };
        if !self.heads.is_multiple_of(self.kv_heads) {
            let expected = format!("a divisor of `num_attention_heads` ({})", self.heads);
            return wrong("num_key_value_heads", expected, self.kv_heads.to_string());
        }
        if !self.head_dim.is_multiple_of(2) {
            return wrong("head_dim", "an even number".into(), self.head_dim.to_string());
        }
        if !self.rotary_dim.is_multiple_of(2) || !(2..=self.head_dim).contains(&self.rotary_dim) {
            let expected = format!("an even number of a head's {} elements to turn", self.head_dim);
            return wrong("partial_rotary_factor", expected, self.rotary_dim.to_string());
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return wrong("rms_norm_eps", "a number between 0 and 1".into(), self.rms_norm_eps.to_string());
        }
        if !(self.rope_theta >= 1.0 && self.rope_theta.is_finite()) {
            return wrong("rope_theta", "a finite number of at least 1".into(), self.rope_theta.to_string());
        }
        if let Some(theta) = self.features.local_theta.filter(|theta| !(*theta >= 1.0 && theta.is_finite())) {
            return wrong("rope_local_base_freq", "a finite number of at least 1".into(), theta.to_string());
        }
        self.rope_scaling.check(self.rotary_dim / 2)?;
        for (field, token) in
            self.bos.iter().map(|t| ("bos_token_id", t)).chain(self.eos.iter().map(|t| ("eos_token_id", t)))
        {
            if *token as usize >= self.vocab_size {
                return wrong(field, format!("an id below `vocab_size` ({})", self.vocab_size), token.to_string());
            }
        }
        Ok(())
    }
}

/// A JSON object, read field by field with errors that name the field.
pub(super) struct Fields<'a>(pub &'a Map<String, Value>, String);

/// No dimension of a real model is larger; products of three stay within 64 bits.
const LARGEST: u64 = 1 << 24;
/// No real model has more layers: lists that are made of a configuration alone stay small.
const MOST_LAYERS: u64 = 4096;
/// No real model has more heads, or wider ones.
const MOST_HEADS: u64 = 1 << 16;

impl<'a> Fields<'a> {
    pub fn of(value: &'a Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self(map, String::new())),
            other => Err(Error::model(format!("expected a JSON object, found {}", kind(other)))),
        }
    }

    /// An object without fields, of the name that `prefix` holds with its dot.
    pub fn empty(nothing: &'a Map<String, Value>, prefix: &str) -> Self {
        Self(nothing, prefix.to_owned())
    }

    pub fn wrong(&self, name: &str, expected: &str, found: &Value) -> Error {
        let text = found.to_string();
        let found = if text.len() > 60 { kind(found).to_string() } else { format!("`{text}`") };
        Error::model(format!("field `{}{name}`: expected {expected}, found {found}", self.1))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|v| !v.is_null())
    }

    pub fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| self.missing(name))
    }

    pub fn missing(&self, name: &str) -> Error {
        Error::model(format!("field `{}{name}` is missing", self.1))
    }

    pub fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        self.bounded(name, LARGEST)
    }

    /// A whole number from 1 to `most`.
    fn bounded(&self, name: &str, most: u64) -> Result<Option<usize>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_u64() {
            Some(number) if (1..=most).contains(&number) => Ok(Some(number as usize)),
            _ => Err(self.wrong(name, &format!("a whole number from 1 to {most}"), value)),
        }
    }

    pub fn number(&self, name: &str) -> Result<f64> {
        self.optional_number(name)?.ok_or_else(|| self.missing(name))
    }

    pub fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(name, "a number", value))
    }

    pub fn optional_bool(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, "`true` or `false`", value))
    }

    pub fn optional_text(&self, name: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, "a string", value))
    }

    pub fn optional_object(&self, name: &str) -> Result<Option<Fields<'a>>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields(map, format!("{}{name}.", self.1)))),
            Some(other) => Err(self.wrong(name, "an object", other)),
        }
    }

    /// The object's own name, with a dot behind it.
    pub fn prefix(&self) -> &str {
        &self.1
    }

    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let value = self.get(name).ok_or_else(|| self.missing(name))?;
        let numbers: Option<Vec<f64>> = value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        numbers.ok_or_else(|| self.wrong(name, "a list of numbers", value))
    }

    /// Token ids: one number or a list of them; none where the field is absent or null.
    fn tokens(&self, name: &str) -> Result<Vec<u32>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let id = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
        let ids: Option<Vec<u32>> = match value {
            Value::Array(list) => list.iter().map(id).collect(),
            one => id(one).map(|token| vec![token]),
        };
        ids.ok_or_else(|| self.wrong(name, "a token id or a list of them", value))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
