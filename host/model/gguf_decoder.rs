//! What GGUF says of a decoder's features, and what llama.cpp takes for granted of an architecture: the keys and the names of tensors.

use super::config::{Architecture, ModelConfig};
use super::decoder::{Activation, Biases, Features, HeadNorms, Layers, Norms};
use super::gguf::Header;
use super::gguf_writer::Field;
use so8t_base::{Error, Result};

/// Architectures by GGUF's names.
const NAMES: [(Architecture, &str); 10] = [
    (Architecture::Llama, "llama"),
    (Architecture::Phi3, "phi3"),
    (Architecture::Qwen2, "qwen2"),
    (Architecture::Qwen3, "qwen3"),
    (Architecture::Gemma, "gemma"),
    (Architecture::Gemma2, "gemma2"),
    (Architecture::Gemma3, "gemma3"),
    (Architecture::Granite, "granite"),
    (Architecture::SmolLm3, "smollm3"),
    (Architecture::Olmo2, "olmo2"),
];

/// The base of the rotary frequencies of Gemma 3's windowed layers, where the file names none.
const LOCAL_THETA: f64 = 10_000.0;
/// Every so many of SmolLM 3's layers has no positions; no key says so.
const WITHOUT_POSITIONS: usize = 4;

/// What GGUF calls an architecture.
pub fn architecture_name(architecture: Architecture) -> &'static str {
    NAMES.iter().find(|(own, _)| *own == architecture).map_or("llama", |(_, name)| name)
}

/// The architecture of a name.
pub fn architecture(name: &str) -> Result<Architecture> {
    NAMES.iter().find(|(_, own)| *own == name).map(|(architecture, _)| *architecture).ok_or_else(|| {
        let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
        Error::model(format!("field `general.architecture`: expected one of `{}`, found `{name}`", names.join("`, `")))
            .with_hint("other architectures are not implemented")
    })
}

/// Whether the rows of query and key heads are stored with their two halves interleaved.
pub fn is_interleaved(architecture: Architecture) -> bool {
    matches!(architecture, Architecture::Llama | Architecture::Granite | Architecture::SmolLm3)
}

/// Whether readers apply divisors of the rotary frequencies.
pub fn takes_frequency_factors(architecture: Architecture) -> bool {
    matches!(architecture, Architecture::Llama | Architecture::Phi3 | Architecture::Granite)
}

fn is_gemma(architecture: Architecture) -> bool {
    matches!(architecture, Architecture::Gemma | Architecture::Gemma2 | Architecture::Gemma3)
}

fn norms(architecture: Architecture) -> Norms {
    match architecture {
        Architecture::Gemma2 | Architecture::Gemma3 => Norms::Around,
        Architecture::Olmo2 => Norms::After,
        _ => Norms::Before,
    }
}

fn head_norms(architecture: Architecture) -> HeadNorms {
    match architecture {
        Architecture::Qwen3 | Architecture::Gemma3 => HeadNorms::PerHead,
        Architecture::Olmo2 => HeadNorms::Whole,
        _ => HeadNorms::None,
    }
}

/// The biases that readers take of an architecture at most.
fn biases(architecture: Architecture) -> Biases {
    match architecture {
        Architecture::Llama | Architecture::Granite => Biases { queries: true, output: true, feed_forward: true },
        Architecture::Qwen2 => Biases { queries: true, ..Biases::default() },
        _ => Biases::default(),
    }
}

/// The weights of a layer: GGUF's names, and those of Hugging Face.
pub fn parts(architecture: Architecture) -> Vec<(&'static str, &'static str)> {
    let mut parts = match norms(architecture) {
        Norms::Before => {
            vec![("attn_norm.weight", "input_layernorm.weight"), ("ffn_norm.weight", "post_attention_layernorm.weight")]
        }
        Norms::After => vec![
            ("post_attention_norm.weight", "post_attention_layernorm.weight"),
            ("post_ffw_norm.weight", "post_feedforward_layernorm.weight"),
        ],
        Norms::Around => vec![
            ("attn_norm.weight", "input_layernorm.weight"),
            ("post_attention_norm.weight", "post_attention_layernorm.weight"),
            ("ffn_norm.weight", "pre_feedforward_layernorm.weight"),
            ("post_ffw_norm.weight", "post_feedforward_layernorm.weight"),
        ],
    };
    if head_norms(architecture) != HeadNorms::None {
        parts.push(("attn_q_norm.weight", "self_attn.q_norm.weight"));
        parts.push(("attn_k_norm.weight", "self_attn.k_norm.weight"));
    }
    parts.push(("attn_output.weight", "self_attn.o_proj.weight"));
    parts.push(("ffn_down.weight", "mlp.down_proj.weight"));
    if architecture == Architecture::Phi3 {
        parts.push(("attn_qkv.weight", "self_attn.qkv_proj.weight"));
        // Both halves in one, the gate first.
        parts.push(("ffn_up.weight", "mlp.gate_up_proj.weight"));
    } else {
        parts.push(("attn_q.weight", "self_attn.q_proj.weight"));
        parts.push(("attn_k.weight", "self_attn.k_proj.weight"));
        parts.push(("attn_v.weight", "self_attn.v_proj.weight"));
        parts.push(("ffn_gate.weight", "mlp.gate_proj.weight"));
        parts.push(("ffn_up.weight", "mlp.up_proj.weight"));
    }
    let Biases { queries, output, feed_forward } = biases(architecture);
    if queries {
        parts.push(("attn_q.bias", "self_attn.q_proj.bias"));
        parts.push(("attn_k.bias", "self_attn.k_proj.bias"));
        parts.push(("attn_v.bias", "self_attn.v_proj.bias"));
    }
    if output {
        parts.push(("attn_output.bias", "self_attn.o_proj.bias"));
    }
    if feed_forward {
        parts.push(("ffn_gate.bias", "mlp.gate_proj.bias"));
        parts.push(("ffn_up.bias", "mlp.up_proj.bias"));
        parts.push(("ffn_down.bias", "mlp.down_proj.bias"));
    }
    parts
}

/// The scale of Gemma's scores, which readers take from the model's size.
fn gemma_scale(config: &ModelConfig) -> f64 {
    let largest = if config.architecture == Architecture::Gemma2 { 46 } else { 62 };
    let width = if config.layers == largest { config.hidden_size / config.heads } else { config.head_dim };
    (width as f64).powf(-0.5)
}

/// The layers that have a window, which readers take from the architecture.
fn windowed(config: &ModelConfig) -> Layers {
    match config.architecture {
        Architecture::Gemma2 => Layers::those(config.layers, |layer| layer % 2 == 0),
        Architecture::Gemma3 => Layers::those(config.layers, |layer| (layer + 1) % 6 != 0),
        _ => Layers::All,
    }
}

/// Puts into a configuration what the file and its architecture say of the features and of the window.
///
/// Errors: a key of another type, or out of range.
pub fn read(header: &Header, config: &mut ModelConfig) -> Result<()> {
    let architecture = config.architecture;
    let own = |key: &str| format!("{}.{key}", architecture_name(architecture));
    let number = |key: &str| -> Result<Option<f64>> {
        match header.number(&own(key))?.filter(|number| *number != 0.0) {
            Some(number) if !(number > 0.0 && (number as f32).is_normal()) => {
                Err(Error::model(format!("field `{}`: expected a positive number, found `{number}`", own(key))))
            }
            found => Ok(found),
        }
    };
    let has = |name: &str| header.tensors.contains_key(&format!("blk.0.{name}.bias"));
    let most = biases(architecture);
    let mut features = Features {
        norms: norms(architecture),
        head_norms: head_norms(architecture),
        biases: Biases {
            queries: architecture == Architecture::Qwen2 || most.queries && has("attn_q"),
            output: most.output && has("attn_output"),
            feed_forward: most.feed_forward && has("ffn_up"),
        },
        ..Features::default()
    };
    if is_gemma(architecture) {
        features.activation = Activation::GeluTanh;
        features.norm_offset = 1.0;
        features.embedding_scale = (config.hidden_size as f64).sqrt() as f32;
    }
    let window = header.whole(&own("attention.sliding_window"))?.filter(|&window| window > 0);
    match architecture {
        Architecture::Phi3 => config.sliding_window = window,
        Architecture::Gemma2 | Architecture::Gemma3 => {
            config.sliding_window =
                if architecture == Architecture::Gemma2 { Some(window.unwrap_or(4096)) } else { window };
            features.windowed = windowed(config);
            features.score_scale = Some(gemma_scale(config));
            features.logit_cap = number("final_logit_softcapping")?.map(|cap| cap as f32);
        }
        // No reader applies one.
        _ => {}
    }
    match architecture {
        // The default where a file does not say it.
        Architecture::Gemma2 => {
            features.score_cap = Some(number("attn_logit_softcapping")?.unwrap_or(50.0) as f32);
            features.logit_cap = features.logit_cap.or(Some(30.0));
        }
        Architecture::Gemma3 => {
            features.local_theta = Some(number("rope.freq_base_swa")?.unwrap_or(LOCAL_THETA));
        }
        Architecture::Granite => {
            if header.boolean(&own("rope.scaling.finetuned"))? == Some(false) {
                return Err(Error::model(format!(
                    "field `{}`: expected `true` (a model without positions is not implemented), found `false`",
                    own("rope.scaling.finetuned")
                )));
            }
            features.score_scale = number("attention.scale")?;
            features.embedding_scale = number("embedding_scale")?.unwrap_or(1.0) as f32;
            features.residual_scale = number("residual_scale")?.unwrap_or(1.0) as f32;
            features.logit_divisor = number("logit_scale")?.unwrap_or(1.0) as f32;
        }
        Architecture::SmolLm3 => {
            features.positioned = Layers::those(config.layers, |layer| (layer + 1) % WITHOUT_POSITIONS != 0);
        }
        _ => {}
    }
    config.features = features;
    Ok(())
}

/// The keys of a model's features, behind the architecture's name.
///
/// Errors: a model that is not what readers take for granted of its architecture.
pub fn fields(config: &ModelConfig) -> Result<Vec<(&'static str, Field)>> {
    let (architecture, features) = (config.architecture, &config.features);
    let name = architecture_name(architecture);
    let beyond = |what: &str| Err(Error::model(format!("GGUF's `{name}` cannot say {what}; this model has it")));
    let most = biases(architecture);
    let Biases { queries, output, feed_forward } = features.biases;
    if queries && !most.queries || output && !most.output || feed_forward && !most.feed_forward {
        return beyond("biases on these linears");
    }
    let gated = if is_gemma(architecture) { Activation::GeluTanh } else { Activation::Silu };
    if features.activation != gated {
        return beyond("another activation than its own");
    }
    if !config.tie_embeddings && matches!(architecture, Architecture::Gemma | Architecture::Gemma2) {
        return beyond("a head that is not the embedding");
    }
    let mut out = Vec::new();
    let float = |value: f64| Field::number(value as f32);
    match architecture {
        Architecture::Phi3 => {
            // It is always there: 0 says that there is none.
            out.push(("attention.sliding_window", Field::whole(config.sliding_window.unwrap_or(0) as u32)));
        }
        Architecture::Gemma2 | Architecture::Gemma3 => {
            let scale = features.score_scale.unwrap_or_else(|| (config.head_dim as f64).powf(-0.5));
            if (scale / gemma_scale(config) - 1.0).abs() > 1e-9 {
                return beyond("a `query_pre_attn_scalar` that is not the width of a head");
            }
            let is_plain = config.sliding_window.is_none() && architecture == Architecture::Gemma3;
            if !is_plain && (config.sliding_window.is_none() || features.windowed != windowed(config)) {
                return beyond("other layers with a window than every second (Gemma 2) or five of six (Gemma 3)");
            }
            if architecture == Architecture::Gemma3 && features.local_theta.is_some_and(|theta| theta != LOCAL_THETA) {
                return beyond("a `rope_local_base_freq` that is not 10000");
            }
            if let Some(window) = config.sliding_window {
                out.push(("attention.sliding_window", Field::whole(window as u32)));
            }
            match (architecture, features.score_cap, features.logit_cap) {
                (Architecture::Gemma2, Some(scores), Some(logits)) => {
                    out.push(("attn_logit_softcapping", Field::number(scores)));
                    out.push(("final_logit_softcapping", Field::number(logits)));
                }
                (Architecture::Gemma2, ..) => return beyond("that there is no soft cap"),
                (_, _, Some(logits)) => out.push(("final_logit_softcapping", Field::number(logits))),
                _ => {}
            }
        }
        Architecture::Granite => {
            if config.heads * config.head_dim != config.hidden_size {
                return beyond("heads that are not as wide together as the model");
            }
            let plain = (config.head_dim as f64).powf(-0.5);
            out.push(("attention.scale", float(features.score_scale.unwrap_or(plain))));
            out.push(("embedding_scale", Field::number(features.embedding_scale)));
            out.push(("residual_scale", Field::number(features.residual_scale)));
            out.push(("logit_scale", Field::number(features.logit_divisor)));
        }
        Architecture::SmolLm3 => {
            let fourth = Layers::those(config.layers, |layer| (layer + 1) % WITHOUT_POSITIONS != 0);
            if features.positioned != fourth {
                return beyond("other layers without positions than every fourth");
            }
        }
        _ => {}
    }
    Ok(out)
}
