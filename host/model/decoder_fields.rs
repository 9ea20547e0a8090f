//! A decoder's features as a `config.json` states them, class by class, with each class's defaults.

use serde_json::{Map, Value, json};

use super::classes::Class;
use super::config::{Architecture, Fields, ModelConfig};
use super::decoder::{Activation, Biases, Features, HeadNorms, Layers, Norms};
use so8t_base::{Error, Result};

/// The features, and the sliding window, where a layer has one.
pub(super) fn features(
    fields: &Fields<'_>,
    class: Class,
    layers: usize,
    hidden_size: usize,
) -> Result<(Features, Option<usize>)> {
    let (window, windowed) = window(fields, class, layers)?;
    let is_gemma = matches!(class, Class::Gemma | Class::Gemma2 | Class::Gemma3);
    let mut features = Features {
        activation: activation(fields, class)?,
        biases: biases(fields, class)?,
        windowed,
        ..Features::default()
    };
    if is_gemma {
        features.norm_offset = 1.0;
        features.embedding_scale = (hidden_size as f64).sqrt() as f32;
    }
    match class {
        Class::Gemma2 | Class::Gemma3 => {
            features.norms = Norms::Around;
            let scalar = fields.optional_size("query_pre_attn_scalar")?.unwrap_or(256);
            features.score_scale = Some((scalar as f64).powf(-0.5));
        }
        Class::Olmo2 => (features.norms, features.head_norms) = (Norms::After, HeadNorms::Whole),
        Class::Granite => {
            features.score_scale = Some(multiplier(fields, "attention_multiplier")?);
            features.embedding_scale = multiplier(fields, "embedding_multiplier")? as f32;
            features.residual_scale = multiplier(fields, "residual_multiplier")? as f32;
            features.logit_divisor = multiplier(fields, "logits_scaling")? as f32;
        }
        Class::SmolLm3 => features.positioned = positioned(fields, layers)?,
        _ => {}
    }
    if matches!(class, Class::Qwen3 | Class::Gemma3) {
        features.head_norms = HeadNorms::PerHead;
    }
    match class {
        Class::Gemma2 => {
            features.score_cap = cap(fields, "attn_logit_softcapping", Some(50.0))?;
            features.logit_cap = cap(fields, "final_logit_softcapping", Some(30.0))?;
        }
        Class::Gemma3 => features.logit_cap = cap(fields, "final_logit_softcapping", None)?,
        _ => {}
    }
    Ok((features, window))
}

fn multiplier(fields: &Fields<'_>, name: &str) -> Result<f64> {
    match fields.optional_number(name)?.unwrap_or(1.0) {
        number if number > 0.0 && (number as f32).is_normal() => Ok(number),
        number => Err(fields.wrong(name, "a positive number", &json!(number))),
    }
}

/// A soft cap; `null` says that there is none, and a missing field the class's own.
fn cap(fields: &Fields<'_>, name: &str, default: Option<f32>) -> Result<Option<f32>> {
    if !fields.0.contains_key(name) {
        return Ok(default);
    }
    match fields.optional_number(name)? {
        None => Ok(None),
        Some(number) if number > 0.0 && (number as f32).is_normal() => Ok(Some(number as f32)),
        Some(number) => Err(fields.wrong(name, "a positive number, or null", &json!(number))),
    }
}

fn activation(fields: &Fields<'_>, class: Class) -> Result<Activation> {
    let (name, default) = match class {
        Class::Gemma2 | Class::Gemma3 => ("hidden_activation", "gelu_pytorch_tanh"),
        Class::Gemma => ("hidden_act", "gelu_pytorch_tanh"),
        _ => ("hidden_act", "silu"),
    };
    match (fields.optional_text(name)?.unwrap_or(default), class) {
        // The first files say `gelu` and mean the approximation; what else they may say, versions of Transformers read differently.
        ("gelu" | "gelu_pytorch_tanh", Class::Gemma) => Ok(Activation::GeluTanh),
        (other, Class::Gemma) => Err(fields.wrong(name, "`gelu_pytorch_tanh`", &json!(other))),
        ("silu" | "swish", _) => Ok(Activation::Silu),
        ("gelu_pytorch_tanh" | "gelu_new", _) => Ok(Activation::GeluTanh),
        ("gelu", _) => Ok(Activation::Gelu),
        (other, _) => Err(fields.wrong(name, "`silu`, `gelu` or `gelu_pytorch_tanh`", &json!(other))),
    }
}

fn biases(fields: &Fields<'_>, class: Class) -> Result<Biases> {
    let refused = |name: &str| -> Result<bool> {
        match fields.optional_bool(name)? {
            Some(true) => {
                Err(Error::model(format!("field `{name}`: expected `false` (this class has none), found `true`")))
            }
            _ => Ok(false),
        }
    };
    let attention = match class {
        Class::Mistral | Class::Phi3 => refused("attention_bias")?,
        Class::Qwen2 => false,
        _ => fields.optional_bool("attention_bias")?.unwrap_or(false),
    };
    let feed_forward = match class {
        Class::Llama | Class::Granite | Class::SmolLm3 => fields.optional_bool("mlp_bias")?.unwrap_or(false),
        _ => refused("mlp_bias")?,
    };
    // Qwen2's first three always have one, and its output never.
    Ok(Biases { queries: attention || class == Class::Qwen2, output: attention, feed_forward })
}

/// The window, and the layers that have it.
fn window(fields: &Fields<'_>, class: Class, layers: usize) -> Result<(Option<usize>, Layers)> {
    let lacks = |name: &str| !fields.0.contains_key(name);
    let size = |default: usize| match lacks("sliding_window") {
        true => Ok(Some(default)),
        false => fields.optional_size("sliding_window"),
    };
    let used = || Ok::<_, Error>(fields.optional_bool("use_sliding_window")?.unwrap_or(false));
    let (window, is_windowed): (Option<usize>, Box<dyn Fn(usize) -> bool>) = match class {
        // These classes have none, whatever the file says.
        Class::Llama | Class::Gemma | Class::Granite | Class::Olmo2 => return Ok((None, Layers::All)),
        Class::Mistral => return Ok((size(4096)?, Layers::All)),
        Class::Phi3 => return Ok((fields.optional_size("sliding_window")?, Layers::All)),
        Class::Qwen2 | Class::Qwen3 => {
            let window = if used()? { size(4096)? } else { None };
            let first = match fields.0.get("max_window_layers").and_then(Value::as_u64) {
                Some(0) => 0,
                _ => fields.optional_size("max_window_layers")?.unwrap_or(28),
            };
            (window, Box::new(move |layer| window.is_some() && layer >= first))
        }
        Class::Gemma2 => (size(4096)?, Box::new(|layer| layer % 2 == 0)),
        Class::Gemma3 => {
            let every = fields.optional_size("sliding_window_pattern")?.unwrap_or(6);
            (size(4096)?, Box::new(move |layer| (layer + 1) % every != 0))
        }
        Class::SmolLm3 => {
            let window = if used()? { fields.optional_size("sliding_window")? } else { None };
            let positioned = positioned(fields, layers)?;
            (window, Box::new(move |layer| window.is_some() && !positioned.contains(layer)))
        }
    };
    let windowed = match layer_types(fields, layers)? {
        Some(list) => list,
        None => (0..layers).map(is_windowed).collect(),
    };
    match (window, windowed.contains(&true)) {
        (_, false) => Ok((None, Layers::All)),
        (Some(window), true) => Ok((Some(window), Layers::those(layers, |layer| windowed[layer]))),
        (None, true) => Err(Error::model(
            "field `sliding_window`: expected the window of the layers that have one, found nothing (or `use_sliding_window` is false)",
        )),
    }
}

/// Which layers `layer_types` says have a window.
fn layer_types(fields: &Fields<'_>, layers: usize) -> Result<Option<Vec<bool>>> {
    const NAME: &str = "layer_types";
    let Some(value) = fields.0.get(NAME).filter(|value| !value.is_null()) else { return Ok(None) };
    let kinds = value.as_array().filter(|list| list.len() == layers);
    let kinds = kinds.ok_or_else(|| fields.wrong(NAME, &format!("a list of {layers} kinds, one a layer"), value))?;
    let windowed = kinds.iter().map(|kind| match kind.as_str() {
        Some("sliding_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(fields.wrong(NAME, "`full_attention` and `sliding_attention`", kind)),
    });
    windowed.collect::<Result<_>>().map(Some)
}

/// The layers whose queries and keys turn: those with a 1 in `no_rope_layers`, all but every fourth where it is missing.
fn positioned(fields: &Fields<'_>, layers: usize) -> Result<Layers> {
    const NAME: &str = "no_rope_layers";
    let every = fields.optional_size("no_rope_layer_interval")?.unwrap_or(4);
    let Some(value) = fields.0.get(NAME).filter(|value| !value.is_null()) else {
        return Ok(Layers::those(layers, |layer| (layer + 1) % every != 0));
    };
    let flags: Option<Vec<bool>> = value.as_array().filter(|list| list.len() >= layers).and_then(|list| {
        list.iter().map(|flag| flag.as_u64().filter(|&flag| flag < 2).map(|flag| flag == 1)).collect()
    });
    match flags {
        Some(flags) => Ok(Layers::those(layers, |layer| flags[layer])),
        None => Err(fields.wrong(NAME, &format!("a list of at least {layers} numbers, 0 or 1"), value)),
    }
}

/// Writes the fields that say the features, as the class reads them.
pub(super) fn write(config: &ModelConfig, out: &mut Map<String, Value>) {
    let features = &config.features;
    let activation = match features.activation {
        Activation::Silu => "silu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
        Activation::Gelu => "gelu",
    };
    let mut set = |name: &str, value: Value| {
        out.insert(name.to_string(), value);
    };
    let by_activation = matches!(config.architecture, Architecture::Gemma2 | Architecture::Gemma3);
    set(if by_activation { "hidden_activation" } else { "hidden_act" }, json!(activation));
    set("attention_bias", json!(features.biases.output));
    set("mlp_bias", json!(features.biases.feed_forward));
    let kinds: Vec<&str> = (0..config.layers)
        .map(|layer| if config.window(layer).is_some() { "sliding_attention" } else { "full_attention" })
        .collect();
    match config.architecture {
        Architecture::Qwen2 | Architecture::Qwen3 | Architecture::SmolLm3 => {
            set("use_sliding_window", json!(config.sliding_window.is_some()));
            set("layer_types", json!(kinds));
        }
        Architecture::Gemma2 | Architecture::Gemma3 => {
            set("layer_types", json!(kinds));
            let scalar = features.score_scale.map_or(config.head_dim as f64, |scale| scale.powi(-2)).round();
            set("query_pre_attn_scalar", json!(scalar as u64));
            set("final_logit_softcapping", json!(features.logit_cap));
        }
        _ => {}
    }
    match config.architecture {
        Architecture::Gemma2 => set("attn_logit_softcapping", json!(features.score_cap)),
        Architecture::Gemma3 => set("rope_local_base_freq", json!(features.local_theta)),
        Architecture::Granite => {
            let plain = 1.0 / (config.head_dim as f64).sqrt();
            set("attention_multiplier", json!(features.score_scale.unwrap_or(plain)));
            set("embedding_multiplier", decimal(features.embedding_scale));
            set("residual_multiplier", decimal(features.residual_scale));
            set("logits_scaling", decimal(features.logit_divisor));
        }
        Architecture::SmolLm3 => {
            let flags: Vec<u8> =
                (0..config.layers).map(|layer| u8::from(features.positioned.contains(layer))).collect();
            set("no_rope_layers", json!(flags));
        }
        _ => {}
    }
}

/// A number of single precision as short as it is meant.
pub(super) fn decimal(value: f32) -> Value {
    json!(value.to_string().parse::<f64>().unwrap_or(f64::from(value)))
}
