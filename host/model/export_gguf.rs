//! A model written as a GGUF file that llama.cpp runs: its names, its order of rows, its metadata.

use std::path::Path;

use super::config::{Architecture, ModelConfig};
use super::export_check;
use super::export_folder::Written;
use super::gguf_decoder::{self, architecture_name};
use super::gguf_vocabulary;
use super::gguf_writer::{self, Field, Planned, TensorKind};
use super::modules;
use super::open::ModelFiles;
use super::rope::{RopeScaling, yarn_attention_factor};
use so8t_base::{Error, Result};

/// Where the elements of a planned tensor come from.
enum Source {
    /// A tensor of the model, by its Hugging Face name.
    Model(String),
    /// One that is made here.
    Made(Vec<f32>),
}

/// Writes a model of the base's shape whose tensors `load(name)` returns. Matrices are written as `kind` (those whose rows are
/// no whole blocks as F16), vectors as F32. The tokenizer's metadata are those of a GGUF base, or made from the tokenizer.
/// Returns what was written, and the names of the matrices that `kind` could not hold.
///
/// Errors: a model or a tokenizer that llama.cpp has no name for; a tokenizer that does not read back as the same; a number that the type cannot hold; what `load` returns.
pub fn export_gguf(
    base: &ModelFiles,
    path: &Path,
    kind: TensorKind,
    load: impl Fn(&str) -> Result<(Vec<usize>, Vec<f32>)>,
) -> Result<(Written, Vec<String>)> {
    let config = &base.config;
    export_check::check_first_word(base)?;
    let mut fields = model_fields(base, kind)?;
    fields.extend(gguf_vocabulary::fields(base)?);
    let (mut planned, mut sources, mut fallen) = (Vec::new(), Vec::new(), Vec::new());
    for (name, values) in frequency_factors(config) {
        planned.push(Planned { name: name.to_string(), shape: vec![values.len()], kind: TensorKind::F32 });
        sources.push(Source::Made(values));
    }
    for (name, shape) in modules::tensors(config) {
        let gguf = gguf_name(&name, config.architecture)
            .ok_or_else(|| Error::internal(format!("tensor `{name}` has no name in GGUF")))?;
        let width = shape.last().copied().unwrap_or(1);
        let kind = match shape.len() {
            1 => TensorKind::F32,
            _ if kind.fits(width) => kind,
            _ => {
                fallen.push(name.clone());
                TensorKind::F16
            }
        };
        planned.push(Planned { name: gguf, shape, kind });
        sources.push(Source::Model(name));
    }
    let bytes = gguf_writer::write(path, &fields, &planned, |index| match &sources[index] {
        Source::Made(values) => Ok(values.clone()),
        Source::Model(name) => {
            let (shape, values) = load(name)?;
            let rotated = gguf_decoder::is_interleaved(config.architecture)
                && (name.contains(".q_proj.") || name.contains(".k_proj."));
            Ok(match rotated {
                true => interleave_halves(&values, shape[1..].iter().product(), config.head_dim),
                false if modules::is_norm(name) => {
                    values.into_iter().map(|value| value + config.features.norm_offset).collect()
                }
                false => values,
            })
        }
    })?;
    export_check::check_tokens(base, path)?;
    Ok((Written { path: path.to_path_buf(), tensors: planned.len(), bytes, files: 1 }, fallen))
}

/// Puts the rows of each head, `h·d + j·d/2 + i` in Hugging Face's layout (j: which half), to `h·d + 2i + j`: Llama's rotary
/// positions turn neighbours in llama.cpp.
fn interleave_halves(values: &[f32], columns: usize, head_dim: usize) -> Vec<f32> {
    let half = head_dim / 2;
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_dim * columns) {
        for i in 0..half {
            for j in 0..2 {
                let row = j * half + i;
                out.extend_from_slice(&head[row * columns..(row + 1) * columns]);
            }
        }
    }
    out
}

fn gguf_name(name: &str, architecture: Architecture) -> Option<String> {
    let whole = match name {
        "model.embed_tokens.weight" => "token_embd.weight",
        "model.norm.weight" => "output_norm.weight",
        "lm_head.weight" => "output.weight",
        _ => "",
    };
    if !whole.is_empty() {
        return Some(whole.to_string());
    }
    let (layer, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, _) = gguf_decoder::parts(architecture).into_iter().find(|(_, hugging_face)| part == *hugging_face)?;
    Some(format!("blk.{layer}.{part}"))
}

/// The metadata of the model itself.
fn model_fields(base: &ModelFiles, kind: TensorKind) -> Result<Vec<(String, Field)>> {
    let config = &base.config;
    let architecture = architecture_name(config.architecture);
    if config.architecture == Architecture::Phi3 && config.heads * config.head_dim != config.hidden_size {
        return Err(Error::model(format!(
            "field `head_dim`: expected heads as wide together as the model ({}), found `{}`; GGUF's `phi3` has no other",
            config.hidden_size, config.head_dim
        )));
    }
    let file_type = match kind {
        TensorKind::F32 => 0,
        TensorKind::F16 => 1,
        TensorKind::Q8_0 => 7,
    };
    let mut out = vec![
        ("general.architecture".to_string(), Field::text(architecture)),
        ("general.type".to_string(), Field::text("model")),
        ("general.name".to_string(), Field::text(&gguf_vocabulary::name(base)?)),
        ("general.file_type".to_string(), Field::whole(file_type)),
        ("general.quantization_version".to_string(), Field::whole(2)),
    ];
    let whole = |value: usize| Field::whole(value as u32);
    let mut set = |key: &str, field: Field| out.push((format!("{architecture}.{key}"), field));
    set("vocab_size", whole(config.vocab_size));
    set("context_length", whole(config.max_position));
    set("embedding_length", whole(config.hidden_size));
    set("block_count", whole(config.layers));
    set("feed_forward_length", whole(config.intermediate_size));
    set("attention.head_count", whole(config.heads));
    set("attention.head_count_kv", whole(config.kv_heads));
    set("attention.key_length", whole(config.head_dim));
    set("attention.value_length", whole(config.head_dim));
    set("attention.layer_norm_rms_epsilon", Field::number(config.rms_norm_eps));
    set("rope.dimension_count", whole(config.rotary_dim));
    set("rope.freq_base", Field::number(config.rope_theta as f32));
    for (key, field) in gguf_decoder::fields(config)? {
        set(key, field);
    }
    let plain =
        matches!(config.rope_scaling, RopeScaling::None | RopeScaling::Linear { .. } | RopeScaling::Dynamic { .. });
    let is_yarn = matches!(config.rope_scaling, RopeScaling::Yarn { .. });
    if !plain
        && (config.architecture == Architecture::Gemma3
            || !is_yarn && !gguf_decoder::takes_frequency_factors(config.architecture))
    {
        return Err(Error::model(format!(
            "field `rope_scaling`: expected none or `linear`; GGUF's readers apply no other to `{architecture}`"
        )));
    }
    match &config.rope_scaling {
        RopeScaling::Linear { factor } => {
            set("rope.scaling.type", Field::text("linear"));
            set("rope.scaling.factor", Field::number(*factor as f32));
        }
        // Up to the model's own positions, which stand in the file, nothing is stretched.
        RopeScaling::Dynamic { .. } => {}
        RopeScaling::Yarn { factor, original, attention_factor, beta_fast, beta_slow, truncate } => {
            if !truncate || (*beta_fast, *beta_slow) != (32.0, 1.0) {
                return Err(Error::model(
                    "field `rope_scaling`: expected YaRN with `beta_fast` 32, `beta_slow` 1 and `truncate`; GGUF's readers know no other",
                ));
            }
            set("rope.scaling.type", Field::text("yarn"));
            set("rope.scaling.factor", Field::number(*factor as f32));
            set("rope.scaling.original_context_length", whole(*original));
            let own = attention_factor / yarn_attention_factor(*factor, None);
            set("rope.scaling.attn_factor", Field::number(own as f32));
        }
        RopeScaling::LongRope { original, attention_factor, .. } if !plain_factors(&config.rope_scaling) => {
            set("rope.scaling.original_context_length", whole(*original));
            set("rope.scaling.attn_factor", Field::number(*attention_factor as f32));
            if config.architecture != Architecture::Phi3 {
                set("rope.scaling.type", Field::text("longrope"));
            }
        }
        RopeScaling::None if config.architecture == Architecture::Phi3 => {
            set("rope.scaling.original_context_length", whole(config.max_position));
        }
        _ => {}
    }
    Ok(out)
}

/// Whether a frequency is divided by the same number whatever the length: what a tensor of divisors says whole.
fn plain_factors(scaling: &RopeScaling) -> bool {
    matches!(scaling, RopeScaling::LongRope { short, long, attention_factor, .. } if short == long && *attention_factor == 1.0)
}

/// The tensors of divisors of the rotary frequencies.
fn frequency_factors(config: &ModelConfig) -> Vec<(&'static str, Vec<f32>)> {
    let single = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    match &config.rope_scaling {
        RopeScaling::None | RopeScaling::Linear { .. } | RopeScaling::Dynamic { .. } | RopeScaling::Yarn { .. } => {
            Vec::new()
        }
        RopeScaling::Llama3 { .. } => {
            let plain = ModelConfig { rope_scaling: RopeScaling::None, ..config.clone() };
            let pairs = plain.rope_frequencies(1).into_iter().zip(config.rope_frequencies(1));
            vec![("rope_freqs.weight", pairs.map(|(plain, stretched)| plain / stretched).collect())]
        }
        RopeScaling::LongRope { short, .. }
            if config.architecture != Architecture::Phi3 && plain_factors(&config.rope_scaling) =>
        {
            vec![("rope_freqs.weight", single(short))]
        }
        RopeScaling::LongRope { short, long, .. } => {
            vec![("rope_factors_long.weight", single(long)), ("rope_factors_short.weight", single(short))]
        }
    }
}
