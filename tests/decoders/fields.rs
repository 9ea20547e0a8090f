//! The fields of each class: defaults of Transformers, and what is refused by name.

use serde_json::{Value, json};
use so8t::model::ModelConfig;
use so8t::model::decoder::{Activation, Biases, HeadNorms, Norms};

use crate::model::small::{failure, says};

fn read(kind: &str, more: Value) -> so8t::Result<ModelConfig> {
    let mut fields = json!({
        "model_type": kind, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 8, "num_attention_heads": 4,
        "vocab_size": 100
    });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ModelConfig::from_json(&fields.to_string())
}

/// What Transformers' classes say where a file says nothing.
#[test]
fn missing_fields_have_the_defaults_of_the_class() {
    let heads = json!({"num_key_value_heads": 4});
    // (class, key heads where none are named, head_dim, positions, eps, theta, tied)
    for (kind, head_dim, positions, epsilon, theta, tied) in [
        ("qwen2", 16, 32_768, 1e-6, 1e4, false),
        ("qwen3", 128, 32_768, 1e-6, 1e4, false),
        ("gemma", 256, 8192, 1e-6, 1e4, true),
        ("gemma2", 256, 8192, 1e-6, 1e4, true),
        ("gemma3_text", 256, 131_072, 1e-6, 1e6, true),
        ("granite", 16, 2048, 1e-6, 1e4, false),
        ("smollm3", 16, 32_768, 1e-6, 2e6, true),
        ("olmo2", 16, 2048, 1e-5, 1e4, false),
    ] {
        let config = read(kind, heads.clone()).unwrap();
        let found = (config.head_dim, config.max_position, config.rope_theta, config.tie_embeddings);
        assert_eq!(found, (head_dim, positions, theta, tied), "{kind}");
        assert_eq!(config.rms_norm_eps, epsilon, "{kind}");
        let null = read(kind, json!({"num_key_value_heads": null})).unwrap();
        assert_eq!(null.kv_heads, 4, "{kind}");
    }
    for (kind, kv_heads) in [("gemma2", 4), ("gemma3_text", 4), ("smollm3", 4), ("granite", 4), ("olmo2", 4)] {
        assert_eq!(read(kind, json!({})).unwrap().kv_heads, kv_heads, "{kind}");
    }
    // More than the 4 query heads: as in Transformers, such a file is none.
    says(&failure(read("qwen2", json!({}))), &["`num_key_value_heads`", "`32`"]);
}

#[test]
fn features_are_those_of_the_class() {
    let heads = json!({"num_key_value_heads": 4});
    let features = |kind| read(kind, heads.clone()).unwrap().features;
    let gemma2 = features("gemma2");
    assert_eq!((gemma2.norms, gemma2.norm_offset, gemma2.embedding_scale), (Norms::Around, 1.0, 8.0));
    assert_eq!((gemma2.score_cap, gemma2.logit_cap, gemma2.score_scale), (Some(50.0), Some(30.0), Some(0.0625)));
    assert_eq!(gemma2.activation, Activation::GeluTanh);
    let gemma3 = features("gemma3_text");
    assert_eq!((gemma3.head_norms, gemma3.local_theta), (HeadNorms::PerHead, Some(10_000.0)));
    assert_eq!((gemma3.score_cap, gemma3.logit_cap), (None, None));
    assert_eq!(features("olmo2").head_norms, HeadNorms::Whole);
    let granite = features("granite");
    assert_eq!((granite.score_scale, granite.residual_scale, granite.logit_divisor), (Some(1.0), 1.0, 1.0));
    assert_eq!(features("qwen2").biases, Biases { queries: true, output: false, feed_forward: false });
    assert_eq!(features("qwen3").biases, Biases::default());
    let windows = |kind, more| {
        let config = read(kind, more).unwrap();
        (0..8).map(|layer| config.window(layer)).collect::<Vec<_>>()
    };
    let (near, far) = (Some(4096), None);
    assert_eq!(windows("gemma2", json!({})), [near, far, near, far, near, far, near, far]);
    assert_eq!(windows("gemma3_text", json!({})), [near, near, near, near, near, far, near, near]);
    let qwen = json!({"num_key_value_heads": 4, "use_sliding_window": true, "max_window_layers": 5});
    assert_eq!(windows("qwen2", qwen), [far, far, far, far, far, near, near, near]);
    assert_eq!(windows("qwen2", json!({"num_key_value_heads": 4, "sliding_window": 7})), [far; 8]);
    let positions = |more| {
        let config = read("smollm3", more).unwrap();
        (0..8).map(|layer| u8::from(config.features.positioned.contains(layer))).collect::<Vec<_>>()
    };
    assert_eq!(positions(json!({})), [1, 1, 1, 0, 1, 1, 1, 0]);
    assert_eq!(positions(json!({"no_rope_layer_interval": 2})), [1, 0, 1, 0, 1, 0, 1, 0]);
}

#[test]
fn what_changes_the_function_and_is_not_built_is_refused_by_name() {
    for (kind, more, parts) in [
        ("gemma3_text", json!({"use_bidirectional_attention": true}), &["`use_bidirectional_attention`"][..]),
        ("gemma3_text", json!({"attn_logit_softcapping": 50.0}), &["`attn_logit_softcapping`"]),
        ("gemma2", json!({"use_bidirectional_attention": true}), &["`use_bidirectional_attention`"]),
        ("gemma2", json!({"sliding_window": null}), &["`sliding_window`"]),
        ("gemma2", json!({"hidden_activation": "relu"}), &["`hidden_activation`", "relu"]),
        ("gemma", json!({"hidden_act": "silu"}), &["`hidden_act`", "gelu_pytorch_tanh"]),
        ("gemma", json!({"hidden_activation": "gelu"}), &["`hidden_activation`"]),
        ("qwen3", json!({"num_key_value_heads": 4, "layer_types": ["sliding_attention"]}), &["`layer_types`", "8"]),
        (
            "qwen3",
            json!({"num_key_value_heads": 4, "layer_types": vec!["sliding_attention"; 8]}),
            &["`sliding_window`"],
        ),
        ("qwen3", json!({"num_key_value_heads": 4, "layer_types": vec!["chunked_attention"; 8]}), &["`layer_types`"]),
        ("qwen3", json!({"num_key_value_heads": 4, "mlp_bias": true}), &["`mlp_bias`"]),
        ("qwen2", json!({"num_key_value_heads": 4, "num_experts": 8}), &["`num_experts`"]),
        ("qwen2", json!({"num_key_value_heads": 4, "use_mrope": true}), &["`use_mrope`"]),
        ("granite", json!({"residual_multiplier": 0.0}), &["`residual_multiplier`", "positive"]),
        ("granite", json!({"position_embedding_type": "nope"}), &["`position_embedding_type`"]),
        ("smollm3", json!({"no_rope_layers": [1, 0]}), &["`no_rope_layers`", "8"]),
        ("smollm3", json!({"no_rope_layers": vec![2; 8]}), &["`no_rope_layers`"]),
        ("olmo2", json!({"layer_types": vec!["full_attention"; 8]}), &["`layer_types`"]),
        ("mistral", json!({"num_key_value_heads": 4, "attention_bias": true}), &["`attention_bias`"]),
        ("phi3", json!({"attention_bias": true}), &["`attention_bias`"]),
        ("gemma3", json!({}), &["`model_type`", "hint", "images"]),
        ("qwen3_moe", json!({}), &["`model_type`", "`qwen3`"]),
        (
            "gemma3_text",
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
            &["`rope_parameters.rope_theta`"],
        ),
        (
            "gemma3_text",
            json!({"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}}),
            &["rope_parameters.sliding_attention"],
        ),
        (
            "gemma3_text",
            json!({"rope_local_base_freq": 5.0, "rope_parameters": {"sliding_attention": {"rope_theta": 6.0}}}),
            &["`rope_local_base_freq`", "`6`"],
        ),
        ("gemma3_text", json!({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}), &["`rope_scaling`"]),
    ] {
        let message = failure(read(kind, more.clone()).map(|_| ()));
        says(&message, parts);
    }
}

/// Fields that real files hold and no class reads.
#[test]
fn what_changes_nothing_is_taken() {
    for (kind, more) in [
        ("qwen2", json!({"num_key_value_heads": 4, "use_mrope": false, "attention_bias": true})),
        ("gemma2", json!({"sliding_window_size": 4096, "cache_implementation": "hybrid", "hidden_act": "gelu"})),
        ("gemma3_text", json!({"_sliding_window_pattern": 6, "cache_implementation": "hybrid"})),
        ("smollm3", json!({"max_window_layers": 28, "pretraining_tp": 2})),
        ("granite", json!({"attention_dropout": 0.1})),
        ("olmo2", json!({"attention_dropout": 0.0, "use_cache": false})),
    ] {
        read(kind, more).unwrap();
    }
}
