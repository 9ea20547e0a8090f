//! The classes of Transformers whose files are read: their names, and what holds where a field is missing.

use serde_json::Value;

use super::allowed::Known;
use super::config::{Architecture, Fields};
use super::config_fields;
use so8t_base::{Error, Result};

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Llama,
    Mistral,
    Phi3,
    Qwen2,
    Qwen3,
    Gemma,
    Gemma2,
    Gemma3,
    Granite,
    SmolLm3,
    Olmo2,
}

/// What a class says of itself.
pub(super) struct Description {
    class: Class,
    /// Its `model_type`.
    pub model_type: &'static str,
    /// Its name in `architectures`.
    pub name: &'static str,
    pub architecture: Architecture,
    /// Fields of its own.
    pub fields: Known,
    /// Where `num_key_value_heads` is missing; as many as query heads where absent.
    pub kv_heads: Option<usize>,
    /// Where `head_dim` is missing; the model's width divided by the heads where absent.
    pub head_dim: Option<usize>,
    pub max_position: usize,
    pub rms_norm_eps: f64,
    pub rope_theta: f64,
    pub tied: bool,
}

const COMMON: Description = Description {
    class: Class::Llama,
    model_type: "llama",
    name: "LlamaForCausalLM",
    architecture: Architecture::Llama,
    fields: config_fields::LLAMA,
    kv_heads: None,
    head_dim: None,
    max_position: 2048,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000.0,
    tied: false,
};

const CLASSES: &[Description] = &[
    COMMON,
    Description {
        class: Class::Mistral,
        model_type: "mistral",
        name: "MistralForCausalLM",
        kv_heads: Some(8),
        max_position: 131_072,
        ..COMMON
    },
    Description {
        class: Class::Phi3,
        model_type: "phi3",
        name: "Phi3ForCausalLM",
        architecture: Architecture::Phi3,
        fields: config_fields::PHI3,
        max_position: 4096,
        rms_norm_eps: 1e-5,
        ..COMMON
    },
    Description {
        class: Class::Qwen2,
        model_type: "qwen2",
        name: "Qwen2ForCausalLM",
        architecture: Architecture::Qwen2,
        fields: config_fields::QWEN,
        kv_heads: Some(32),
        max_position: 32_768,
        ..COMMON
    },
    Description {
        class: Class::Qwen3,
        model_type: "qwen3",
        name: "Qwen3ForCausalLM",
        architecture: Architecture::Qwen3,
        fields: config_fields::QWEN,
        kv_heads: Some(32),
        head_dim: Some(128),
        max_position: 32_768,
        ..COMMON
    },
    Description {
        class: Class::Gemma,
        model_type: "gemma",
        name: "GemmaForCausalLM",
        architecture: Architecture::Gemma,
        fields: config_fields::GEMMA,
        kv_heads: Some(16),
        head_dim: Some(256),
        max_position: 8192,
        tied: true,
        ..COMMON
    },
    Description {
        class: Class::Gemma2,
        model_type: "gemma2",
        name: "Gemma2ForCausalLM",
        architecture: Architecture::Gemma2,
        fields: config_fields::GEMMA2,
        kv_heads: Some(4),
        head_dim: Some(256),
        max_position: 8192,
        tied: true,
        ..COMMON
    },
    Description {
        class: Class::Gemma3,
        model_type: "gemma3_text",
        name: "Gemma3ForCausalLM",
        architecture: Architecture::Gemma3,
        fields: config_fields::GEMMA3,
        kv_heads: Some(4),
        head_dim: Some(256),
        max_position: 131_072,
        rope_theta: 1_000_000.0,
        tied: true,
        ..COMMON
    },
    Description {
        class: Class::Granite,
        model_type: "granite",
        name: "GraniteForCausalLM",
        architecture: Architecture::Granite,
        fields: config_fields::GRANITE,
        ..COMMON
    },
    Description {
        class: Class::SmolLm3,
        model_type: "smollm3",
        name: "SmolLM3ForCausalLM",
        architecture: Architecture::SmolLm3,
        fields: config_fields::SMOLLM3,
        kv_heads: Some(4),
        max_position: 32_768,
        rope_theta: 2_000_000.0,
        tied: true,
        ..COMMON
    },
    Description {
        class: Class::Olmo2,
        model_type: "olmo2",
        name: "Olmo2ForCausalLM",
        architecture: Architecture::Olmo2,
        fields: config_fields::OLMO2,
        rms_norm_eps: 1e-5,
        ..COMMON
    },
];

impl Class {
    fn named(name: &str) -> Option<Self> {
        CLASSES.iter().find(|class| name == class.model_type || name == class.name).map(|class| class.class)
    }

    /// What it says of itself.
    pub fn description(self) -> &'static Description {
        CLASSES.iter().find(|class| class.class == self).unwrap_or(&COMMON)
    }

    /// The class whose files hold an architecture; Mistral's where every layer of Llama's network has a window.
    pub fn of_architecture(architecture: Architecture, windowed: bool) -> Self {
        match CLASSES.iter().find(|class| class.architecture == architecture) {
            Some(found) if found.class == Self::Llama && windowed => Self::Mistral,
            Some(found) => found.class,
            None => Self::Llama,
        }
    }

    /// The class that `architectures` and `model_type` name; both the same where both are there.
    pub fn of(fields: &Fields<'_>) -> Result<Self> {
        let list = |of: fn(&Description) -> &str| CLASSES.iter().map(of).collect::<Vec<_>>().join("`, `");
        let named = |field: &str, name: &str| {
            Self::named(name).ok_or_else(|| {
                let error = Error::model(format!(
                    "field `{field}`: expected one of `{}`, found `{name}`",
                    list(if field == "architectures" { |class| class.name } else { |class| class.model_type })
                ));
                error.with_hint(match name {
                    "gemma3" | "Gemma3ForConditionalGeneration" => {
                        "this model reads images too; of Gemma 3, the models of text alone are read"
                    }
                    _ => "other architectures are not implemented",
                })
            })
        };
        let class = fields.0.get("architectures").and_then(|v| v.get(0)).and_then(Value::as_str);
        let class = class.map(|name| named("architectures", name)).transpose()?;
        let model_type = fields.0.get("model_type").and_then(Value::as_str);
        match (class, model_type.map(|name| Ok((named("model_type", name)?, name))).transpose()?) {
            (Some(class), Some((other, name))) if class != other => Err(Error::model(format!(
                "field `model_type`: expected that of `architectures`, `{}`, found `{name}`",
                fields.0["architectures"][0].as_str().unwrap_or_default()
            ))),
            (Some(class), _) | (None, Some((class, _))) => Ok(class),
            (None, None) => Err(Error::model(format!(
                "field `model_type`: expected one of `{}`, found nothing",
                list(|class| class.model_type)
            ))),
        }
    }
}
