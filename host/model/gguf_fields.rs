//! The metadata of a GGUF file that the model hangs on: which keys are read, and which change nothing.

use super::allowed::{Known, Says, says};
use super::config::Architecture;
use super::gguf::{Header, Value};
use super::gguf_decoder::architecture_name;
use so8t_base::{Error, Result};

/// Keys behind the architecture's name.
const MODEL: Known = &[
    (
        Says::Read,
        &[
            "attention.head_count",
            "attention.head_count_kv",
            "attention.key_length",
            "attention.layer_norm_rms_epsilon",
            "attention.sliding_window",
            "attention.value_length",
            "block_count",
            "context_length",
            "embedding_length",
            "expert_count",
            "feed_forward_length",
            "rope.dimension_count",
            "rope.freq_base",
            "rope.scale_linear",
            "rope.scaling.attn_factor",
            "rope.scaling.factor",
            "rope.scaling.original_context_length",
            "rope.scaling.type",
            "rope.scaling.yarn_beta_fast",
            "rope.scaling.yarn_beta_slow",
        ],
    ),
    // The embedding's rows are those of its tensor; the others are notes, or read for other architectures alone.
    (
        Says::Nothing,
        &[
            "attention.layer_norm_epsilon",
            "expert_used_count",
            "rope.scaling.finetuned",
            "tensor_data_layout",
            "vocab_size",
        ],
    ),
    (Says::NothingAt(&["true"]), &["attention.causal"]),
];

/// Keys of one architecture behind its name.
fn own(architecture: Architecture) -> Known {
    match architecture {
        Architecture::Gemma2 => &[(Says::Read, &["attn_logit_softcapping", "final_logit_softcapping"])],
        Architecture::Gemma3 => &[(Says::Read, &["final_logit_softcapping", "rope.freq_base_swa"])],
        Architecture::Granite => {
            &[(Says::Read, &["attention.scale", "embedding_scale", "logit_scale", "residual_scale"])]
        }
        _ => &[],
    }
}

/// Keys behind `tokenizer.`.
const TOKENIZER: Known = &[
    (
        Says::Read,
        &[
            "chat_template",
            "ggml.add_space_prefix",
            "ggml.bos_token_id",
            "ggml.eos_token_id",
            "ggml.eot_token_id",
            "ggml.merges",
            "ggml.model",
            "ggml.padding_token_id",
            "ggml.pre",
            "ggml.scores",
            "ggml.seperator_token_id",
            "ggml.separator_token_id",
            "ggml.token_type",
            "ggml.tokens",
            "ggml.unknown_token_id",
        ],
    ),
    // Templates put the tokens in front and behind themselves; other named templates are for other uses.
    (
        Says::Nothing,
        &[
            "chat_template.*",
            "chat_templates",
            "ggml.*_token_id",
            "ggml.add_bos_token",
            "ggml.add_eos_token",
            "ggml.add_sep_token",
            "ggml.cls_token_id",
            "ggml.eog_token_ids",
            "ggml.eom_token_id",
            "ggml.fim_*",
            "ggml.mask_token_id",
            "ggml.middle_token_id",
            "ggml.prefix_token_id",
            "ggml.suffix_token_id",
            "ggml.token_type_count",
            "huggingface.json",
            "rwkv.world",
        ],
    ),
    // Spaces are taken as they are by both kinds of tokenizers that are read.
    (Says::Nothing, &["ggml.remove_extra_whitespaces"]),
];

/// Holds the keys of the model and of the tokenizer against what is known.
///
/// Errors: a file that is no model, or one part of several; the first key that is not known and neither 0, false nor empty.
pub fn check(header: &Header, architecture: Architecture) -> Result<()> {
    let (architecture, own) = (architecture_name(architecture), own(architecture));
    for (key, value) in &header.metadata {
        let known = match (key.strip_prefix("tokenizer."), key.strip_prefix(architecture)) {
            (Some(name), _) => says(name, &[TOKENIZER]),
            (None, Some(name)) if name.starts_with('.') => says(&name[1..], &[MODEL, own]),
            // Notes, and what belongs to another architecture.
            _ => continue,
        };
        let found = match value {
            Value::Whole(0) => continue,
            Value::Float(number) if *number == 0.0 => continue,
            Value::Bool(false) => continue,
            Value::Text(text) if text.is_empty() => continue,
            Value::List(list) if list.is_empty() => continue,
            Value::Whole(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Text(text) if text.len() <= 60 => text.clone(),
            Value::Text(_) => "a text".to_owned(),
            Value::List(_) => "a list".to_owned(),
        };
        match known {
            Some(Says::Read | Says::Nothing) => {}
            Some(Says::NothingAt(texts)) if texts.contains(&found.as_str()) => {}
            Some(Says::NothingAt(_)) | None => {
                return Err(Error::model(format!(
                    "field `{key}`: expected a field that is known, since what it does to the result is not, found `{found}`"
                )));
            }
        }
    }
    Ok(())
}

/// Errors: a GGUF file that holds something else than a whole model.
pub fn is_whole_model(header: &Header) -> Result<()> {
    if let Some(count @ 2..) = header.whole("split.count")? {
        let part = header.whole("split.no")?.map_or(1, |number| number + 1);
        return Err(Error::model(format!("the file is part {part} of {count} of a split model, which is not read"))
            .with_hint("join the parts with `llama-gguf-split --merge`"));
    }
    match header.text("general.type")? {
        None | Some("model" | "") => Ok(()),
        Some("adapter") => Err(Error::model("the file holds an adapter (`general.type` is `adapter`), no model")
            .with_hint("adapters are read as PEFT's folders")),
        Some(other) => Err(Error::model(format!("field `general.type`: expected `model`, found `{other}`"))),
    }
}
