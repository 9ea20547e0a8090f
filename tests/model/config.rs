//! `config.json`.

use serde_json::{Value, json};
use so8t::model::{Architecture, ModelConfig, RopeScaling};

use super::small::{self, failure, says};

pub const PHI: &str = include_str!("phi-3.5-mini-config.json");

fn with(field: &str, value: Value) -> String {
    let mut config = small::config();
    config[field] = value;
    config.to_string()
}

fn without(field: &str) -> String {
    let mut config = small::config();
    config.as_object_mut().unwrap().remove(field);
    config.to_string()
}

#[test]
fn llama_is_read() {
    let config = ModelConfig::from_json(&small::config().to_string()).unwrap();
    assert_eq!(config.architecture, Architecture::Llama);
    assert_eq!((config.heads, config.kv_heads, config.head_dim), (2, 1, 4));
    assert_eq!((config.bos, config.eos), (Some(1), vec![2]));
    assert_eq!(config.rms_norm_eps, 1e-5);
    assert!(config.tie_embeddings);
}

#[test]
fn phi_is_read() {
    let config = ModelConfig::from_json(PHI).unwrap();
    assert_eq!(config.architecture, Architecture::Phi3);
    assert_eq!((config.heads, config.kv_heads, config.head_dim), (32, 32, 96));
    assert_eq!(config.sliding_window, Some(262_144));
    assert!(matches!(&config.rope_scaling, RopeScaling::LongRope { original: 4096, short, .. } if short.len() == 48));
}

#[test]
fn what_is_written_reads_back() {
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192});
    let longrope =
        json!({"type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [3.0, 4.0], "attention_factor": 1.5});
    for text in [
        small::config().to_string(),
        PHI.to_string(),
        with("rope_scaling", llama3),
        with("rope_scaling", json!({"type": "linear", "factor": 2})),
        with("rope_scaling", longrope),
        with("eos_token_id", json!([2, 0])),
        with("head_dim", json!(6)),
    ] {
        let config = ModelConfig::from_json(&text).unwrap();
        let written = config.to_json().to_string();
        assert_eq!(ModelConfig::from_json(&written).unwrap(), config, "{written}");
    }
}

#[test]
fn transformers_5_keeps_rope_in_one_object() {
    let mut config = small::config();
    config.as_object_mut().unwrap().remove("rope_theta");
    config["rope_parameters"] = json!({"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0});
    let config = ModelConfig::from_json(&config.to_string()).unwrap();
    assert_eq!(config.rope_theta, 500.0);
    assert_eq!(config.rope_scaling, RopeScaling::Linear { factor: 4.0 });
}

#[test]
fn errors_name_the_field() {
    let cases: &[(String, &[&str])] = &[
        ("{".into(), &["not valid JSON"]),
        ("[]".into(), &["expected a JSON object, found a list"]),
        (without("hidden_size"), &["field `hidden_size` is missing"]),
        (with("hidden_size", json!("8")), &["field `hidden_size`", "whole number", "`\"8\"`"]),
        (with("hidden_size", json!(0)), &["field `hidden_size`", "`0`"]),
        (with("num_hidden_layers", json!(-1)), &["field `num_hidden_layers`", "`-1`"]),
        (with("vocab_size", json!(1u64 << 40)), &["field `vocab_size`", "16777216"]),
        (with("num_attention_heads", json!(3)), &["field `hidden_size`", "multiple of `num_attention_heads` (3)"]),
        (with("num_key_value_heads", json!(3)), &["field `num_key_value_heads`", "divisor"]),
        (with("head_dim", json!(3)), &["field `head_dim`", "even"]),
        (with("architectures", json!(["GPT2LMHeadModel"])), &["field `architectures`", "`GPT2LMHeadModel`", "hint"]),
        (with("hidden_act", json!("relu")), &["field `hidden_act`", "silu", "relu"]),
        (with("attention_bias", json!(1)), &["field `attention_bias`"]),
        (with("partial_rotary_factor", json!(0.5)), &["field `partial_rotary_factor`"]),
        (with("rms_norm_eps", json!(-1.0)), &["field `rms_norm_eps`"]),
        (with("rope_theta", json!("x")), &["field `rope_theta`", "a number"]),
        (with("eos_token_id", json!(267)), &["field `eos_token_id`", "below `vocab_size` (267)"]),
        (with("bos_token_id", json!("a")), &["field `bos_token_id`", "token id"]),
        (with("rope_scaling", json!({"rope_type": "ntk"})), &["field `rope_scaling`", "`ntk`"]),
        (with("rope_scaling", json!({"rope_type": "linear"})), &["field `rope_scaling.factor` is missing"]),
        (with("rope_scaling", json!(3)), &["field `rope_scaling`", "an object"]),
        (
            with("rope_scaling", json!({"type": "longrope", "short_factor": [1.0], "long_factor": [1.0, 1.0]})),
            &["field `rope_scaling.short_factor`", "expected 2 numbers", "found 1"],
        ),
        (
            with("rope_scaling", json!({"type": "longrope", "short_factor": [1.0, 0.0], "long_factor": [1.0, 1.0]})),
            &["field `rope_scaling.short_factor`", "positive"],
        ),
    ];
    for (text, parts) in cases {
        says(&failure(ModelConfig::from_json(text)), parts);
    }
}
