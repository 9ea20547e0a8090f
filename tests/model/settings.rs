//! What a model's files may say: fields that are known, refused, or of another class; and files that are not what they should be.

use std::fs;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value as Metadata;
use serde_json::{Value, json};
use so8t::model::{
    Architecture, ModelConfig, RopeScaling, TensorKind, export_folder, export_gguf, export_warnings, open,
};

use super::small::{self, failure, says};

fn config(changes: Value) -> so8t::Result<ModelConfig> {
    let mut config = small::config();
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    ModelConfig::from_json(&config.to_string())
}

fn mistral(changes: Value) -> so8t::Result<ModelConfig> {
    let mut all = json!({"architectures": ["MistralForCausalLM"], "model_type": "mistral"});
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config(all)
}

fn phi3(changes: Value) -> so8t::Result<ModelConfig> {
    let mut all = json!({"architectures": ["Phi3ForCausalLM"], "model_type": "phi3"});
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    config(all)
}

/// A field that is not known is refused by name, unless it says nothing.
#[test]
fn unknown_fields_are_refused_by_name() {
    for value in [json!(true), json!(0.5), json!("x"), json!([1]), json!({"x": 1})] {
        says(&failure(config(json!({"a_field_to_come": value}))), &["field `a_field_to_come`", "hint: "]);
    }
    for value in [json!(null), json!(false), json!(""), json!([]), json!({})] {
        config(json!({"a_field_to_come": value})).unwrap();
    }
    for (field, value) in [
        ("quantization_config", json!({"quant_method": "bitsandbytes"})),
        ("is_encoder_decoder", json!(true)),
        ("attention_multiplier", json!(0.2)),
        ("final_logit_softcapping", json!(30.0)),
        ("layer_types", json!(["sliding_attention", "full_attention"])),
        ("lm_head_bias", json!(true)),
        ("num_local_experts", json!(8)),
        ("clip_qkv", json!(8.0)),
        ("quantization", json!({"bits": 4})),
    ] {
        let message = failure(config(json!({field: value})));
        says(&message, &[&format!("field `{field}`")]);
    }
    for (changes, field) in [
        (json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "alpha": 3.0}}), "`rope_scaling.alpha`"),
        (json!({"rope_parameters": {"rope_type": "default", "factor": 2.0}}), "`rope_parameters.factor`"),
        (json!({"rope_scaling": {"rope_type": "dynamic"}}), "`rope_scaling.factor` is missing"),
        (json!({"rope_scaling": {"type": "yarn", "factor": 2.0, "beta": 1}}), "`rope_scaling.beta`"),
    ] {
        says(&failure(config(changes)), &[field]);
    }
}

/// Fields of public configurations that change nothing, all at once.
#[test]
fn real_configurations_are_read() {
    let harmless = json!({
        "_name_or_path": "x/y", "transformers_version": "4.40.0", "torch_dtype": "bfloat16", "dtype": "bfloat16", "use_cache": true,
        "attention_dropout": 0.1, "pretraining_tp": 2, "initializer_range": 0.02, "auto_map": {"AutoModel": "x.Y"}, "pad_token_id": 0,
        "_attn_implementation_autoset": true, "is_llama_config": true, "rope_interleaved": false, "transformers.js_config": {"x": 1},
        "unsloth_version": "2025.1", "unsloth_fixed": true, "id2label": {"0": "A"}, "label2id": {"A": 0}, "max_length": 4096,
        "temperature": 0.7, "do_sample": true, "top_p": 0.9, "neftune_noise_alpha": 5, "max_sequence_length": 2048, "tie_word_embeddings": true,
        "output_attentions": true, "use_sliding_window": false, "max_window_layers": 28, "quantization_config": null, "mlp_bias": false
    });
    assert_eq!(config(harmless).unwrap(), config(json!({})).unwrap());
    // Phi-4-mini's file, but for its size.
    let phi4 = json!({
        "attention_bias": false, "embd_pdrop": 0.1, "resid_pdrop": 0.1, "full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": false,
        "original_max_position_embeddings": 32, "partial_rotary_factor": 0.75, "head_dim": 8, "sliding_window": 262144,
        "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.0, 1.0], "long_factor": [2.0, 2.0, 2.0]}
    });
    let config = phi3(phi4).unwrap();
    assert_eq!((config.head_dim, config.rotary_dim, config.sliding_window), (8, 6, Some(262_144)));
    assert_eq!(config.rope_frequencies(10).len(), 3);
}

/// Defaults are the class's, and what it does not read is passed over.
#[test]
fn each_class_has_its_own_fields() {
    let keyless = json!({"num_attention_heads": 8, "hidden_size": 64, "num_key_value_heads": null});
    assert_eq!(config(json!({"sliding_window": 8})).unwrap().sliding_window, None);
    assert_eq!(mistral(json!({})).unwrap().sliding_window, Some(4096));
    assert_eq!(mistral(json!({"sliding_window": null})).unwrap().sliding_window, None);
    assert_eq!(mistral(json!({"sliding_window": 8, "use_sliding_window": false})).unwrap().sliding_window, Some(8));
    assert_eq!(phi3(json!({})).unwrap().sliding_window, None);
    assert_eq!(phi3(json!({"sliding_window": 7})).unwrap().sliding_window, Some(7));
    assert_eq!(mistral(keyless).unwrap().kv_heads, 8);
    let without = |architecture: &str, class: &str, field: &str| {
        let mut config = small::config();
        (config["model_type"], config["architectures"]) = (json!(architecture), json!([class]));
        (config["num_attention_heads"], config["hidden_size"]) = (json!(16), json!(64));
        config.as_object_mut().unwrap().remove(field);
        ModelConfig::from_json(&config.to_string()).unwrap()
    };
    for (architecture, class, kv_heads, positions, epsilon) in [
        ("llama", "LlamaForCausalLM", 16, 2048, 1e-6),
        ("mistral", "MistralForCausalLM", 8, 131_072, 1e-6),
        ("phi3", "Phi3ForCausalLM", 16, 4096, 1e-5),
    ] {
        assert_eq!(without(architecture, class, "num_key_value_heads").kv_heads, kv_heads, "{class}");
        assert_eq!(without(architecture, class, "max_position_embeddings").max_position, positions, "{class}");
        assert_eq!(without(architecture, class, "rms_norm_eps").rms_norm_eps, epsilon as f32, "{class}");
    }
    // Phi-3 has the field beside, with a default that goes before the object's.
    let long = json!({"type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [3.0, 4.0], "original_max_position_embeddings": 32});
    let original = |config: ModelConfig| match config.rope_scaling {
        RopeScaling::LongRope { original, .. } => original,
        other => panic!("{other:?}"),
    };
    assert_eq!(original(phi3(json!({"rope_scaling": long})).unwrap()), 4096);
    assert_eq!(original(config(json!({"rope_scaling": long})).unwrap()), 32);
    says(
        &failure(phi3(json!({"rope_scaling": {"type": "linear", "factor": 2.0}}))),
        &["`default`, `longrope`", "`linear`"],
    );
    says(&failure(mistral(json!({"partial_rotary_factor": 0.5}))), &["field `partial_rotary_factor`"]);
    says(
        &failure(config(json!({"rope_parameters": {"partial_rotary_factor": 0.5}}))),
        &["field `partial_rotary_factor`"],
    );
}

#[test]
fn places_that_disagree_are_told() {
    for (changes, parts) in [
        (json!({"model_type": "mistral"}), &["field `model_type`", "`LlamaForCausalLM`", "`mistral`"][..]),
        (json!({"rope_parameters": {"rope_theta": 5.0}}), &["field `rope_theta`", "`rope_parameters.rope_theta`, `5`"]),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_type": "linear", "factor": 3.0}}),
            &["field `rope_scaling.factor`", "`3.0`", "`2.0`"],
        ),
        (
            json!({"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 2.0}}),
            &["field `rope_scaling.type`", "`dynamic`"],
        ),
        (
            json!({"original_max_position_embeddings": 8,
                   "rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 16}}),
            &["field `original_max_position_embeddings`", "`16`", "`8`"],
        ),
    ] {
        says(&failure(config(changes)), parts);
    }
    // The same twice is no disagreement.
    let twice = json!({"rope_scaling": {"type": "linear", "rope_type": "linear", "factor": 2},
        "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}});
    assert_eq!(config(twice).unwrap().rope_scaling, RopeScaling::Linear { factor: 2.0 });
}

#[test]
fn numbers_that_only_a_file_backs_are_bounded() {
    says(&failure(config(json!({"num_hidden_layers": 16_777_216}))), &["field `num_hidden_layers`", "from 1 to 4096"]);
    says(&failure(config(json!({"num_attention_heads": 16_777_216}))), &["field `num_attention_heads`", "65536"]);
    says(&failure(config(json!({"head_dim": 1_000_000}))), &["field `head_dim`", "65536"]);
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn with_tokenizer(change: impl Fn(&mut Value)) -> so8t::Result<so8t::model::ModelFiles> {
    let folder = tempfile::tempdir().unwrap();
    small::write_folder(folder.path());
    edit(&folder.path().join("tokenizer.json"), change);
    open(".", folder.path())
}

#[test]
fn tokens_depend_on_the_text_alone() {
    says(
        &failure(with_tokenizer(|json| json["model"]["dropout"] = json!(0.1))),
        &["tokenizer.json", "field `model.dropout`", "chance"],
    );
    says(
        &failure(with_tokenizer(|json| json["model"]["a_field_to_come"] = json!(3))),
        &["field `model.a_field_to_come`"],
    );
    with_tokenizer(|json| json["model"]["dropout"] = json!(null)).unwrap();
    with_tokenizer(|json| json["model"]["dropout"] = json!(0.0)).unwrap();
    // They are for batches, and switched off.
    let padded = with_tokenizer(|json| {
        json["truncation"] = json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
        json["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "<|endoftext|>"});
    });
    assert_eq!(padded.unwrap().tokenizer.encode("hello hello").unwrap(), small_tokens("hello hello"));
}

fn small_tokens(text: &str) -> Vec<u32> {
    small::tokenizer().encode(text, false).unwrap().get_ids().to_vec()
}

#[test]
fn a_text_outgrows_no_bound() {
    let replace = |from: &str, to: String| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
    let eight: Vec<Value> = (0..8).map(|_| replace("a", "a".repeat(100))).collect();
    for normalizer in [
        json!({"type": "Sequence", "normalizers": eight}),
        json!({"type": "Replace", "pattern": {"Regex": "."}, "content": "x".repeat(1000)}),
        json!({"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [replace("a", "b".repeat(100)), replace("b", "a".repeat(100))]}]}),
        json!({"type": "Prepend", "prepend": "x".repeat(10_000)}),
    ] {
        let error = failure(with_tokenizer(|json| json["normalizer"] = normalizer.clone()));
        says(&error, &["tokenizer.json", "field `normalizer`", "times as long"]);
    }
    let of_llama =
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace(" ", "▁".into())]});
    with_tokenizer(|json| json["normalizer"] = of_llama.clone()).unwrap();
}

/// The library that reads tokenizers panics on some of them.
#[test]
fn a_panic_of_the_library_is_an_error_of_the_file() {
    let broken = ["CAAAAP////////9/YWJj", "AAAA", "//////8=", "BAAAAAAAAAAAAAAA", "/////w=="];
    let mut refused = 0;
    for charsmap in broken {
        let found = with_tokenizer(|json| {
            json["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": charsmap});
        });
        if let Err(error) = found {
            refused += 1;
            assert!(error.to_string().contains("tokenizer.json"), "{error}");
        }
    }
    assert!(refused > 0, "none of them is broken");
}

#[test]
fn settings_beside_the_tokenizer() {
    let opened = |change: &dyn Fn(&mut Value)| {
        let folder = tempfile::tempdir().unwrap();
        small::write_folder(folder.path());
        edit(&folder.path().join("tokenizer_config.json"), change);
        open(".", folder.path())
    };
    let real = |json: &mut Value| {
        let more = json!({"add_bos_token": true, "legacy": false, "model_max_length": 4096, "tokenizer_class": "LlamaTokenizer", "unk_token": "x",
            "additional_special_tokens": ["<|im_start|>"], "clean_up_tokenization_spaces": false, "sp_model_kwargs": {}, "padding_side": "left",
            "added_tokens_decoder": {"1": {"content": "<|im_start|>", "special": true}}, "pad_token": null, "use_default_system_prompt": true});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    };
    assert!(opened(&real).unwrap().warnings.is_empty());
    says(
        &failure(opened(&|json| json["split_special_tokens"] = json!(true))),
        &["tokenizer_config.json", "field `split_special_tokens`"],
    );
    let other = |json: &mut Value| json["added_tokens_decoder"] = json!({"1": {"content": "<s>"}});
    says(&failure(opened(&other)), &["field `added_tokens_decoder.1`", "`<|im_start|>`", "`<s>`"]);
    let unknown = opened(&|json| json["a_field_to_come"] = json!(true)).unwrap();
    assert!(unknown.warnings[0].contains("field `a_field_to_come` is not read"), "{:?}", unknown.warnings);
}

#[test]
fn generation_that_is_not_greedy_is_told() {
    let folder = tempfile::tempdir().unwrap();
    small::write_folder(folder.path());
    let opened = |settings: Value| {
        fs::write(folder.path().join("generation_config.json"), settings.to_string()).unwrap();
        open(".", folder.path()).unwrap().not_generated
    };
    let usual = json!({"_from_model_config": true, "bos_token_id": 1, "eos_token_id": [2, 0], "do_sample": true, "temperature": 0.6, "top_p": 0.9,
        "max_length": 4096, "transformers_version": "4.40.0", "repetition_penalty": 1.0, "pad_token_id": 0});
    assert_eq!(opened(usual), None);
    for (field, value) in [
        ("repetition_penalty", json!(1.1)),
        ("suppress_tokens", json!([5])),
        ("num_beams", json!(4)),
        ("a_field_to_come", json!(1)),
    ] {
        let told = opened(json!({field: value})).unwrap();
        says(&told, &["generation_config.json", &format!("field `{field}`")]);
    }
}

/// A head of its own, though the configuration ties it; and one that is the embedding again.
#[test]
fn the_head_of_the_file_is_taken() {
    for same in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        small::write_folder(folder.path());
        let config = ModelConfig::from_file(&folder.path().join("config.json")).unwrap();
        let mut tensors = small::tensors(&config);
        let (_, shape, values) = tensors.iter().find(|tensor| tensor.0 == "model.embed_tokens.weight").unwrap().clone();
        let head = if same { values } else { values.iter().rev().copied().collect() };
        tensors.push(("lm_head.weight".into(), shape, head.clone()));
        tensors.push(("model.layers.0.self_attn.rotary_emb.inv_freq".into(), vec![2], vec![1.0, 0.01]));
        small::write_safetensors(&folder.path().join("model.safetensors"), &tensors);
        let model = open(".", folder.path()).unwrap();
        assert_eq!(model.config.tie_embeddings, same);
        assert!(model.warnings.is_empty(), "{:?}", model.warnings);
        if same {
            continue;
        }
        assert_eq!(model.weights.load_f32("lm_head.weight").unwrap().1, head);
        // What is written of it ties nothing either.
        let out = folder.path().join("written");
        export_folder(&model, &out, so8t::model::Precision::F32, 1 << 20, |name| model.weights.load_f32(name)).unwrap();
        let again = open("written", folder.path()).unwrap();
        assert!(!again.config.tie_embeddings);
        assert_eq!(again.weights.load_f32("lm_head.weight").unwrap().1, head);
    }
}

#[test]
fn tensors_without_a_place_are_told() {
    let folder = tempfile::tempdir().unwrap();
    small::write_folder(folder.path());
    let config = ModelConfig::from_file(&folder.path().join("config.json")).unwrap();
    let mut tensors = small::tensors(&config);
    tensors.push(("model.layers.0.self_attn.q_norm.weight".into(), vec![4], vec![1.0; 4]));
    small::write_safetensors(&folder.path().join("model.safetensors"), &tensors);
    let warnings = open(".", folder.path()).unwrap().warnings;
    assert!(
        warnings[0].contains("1 tensors are not part of the model") && warnings[0].contains("q_norm"),
        "{warnings:?}"
    );
}

/// An added token that no row of the embedding stands for.
#[test]
fn one_added_token_beyond_the_embedding() {
    let model = with_tokenizer(|json| {
        let token = json!({"id": 267, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
        json["added_tokens"].as_array_mut().unwrap().push(token);
    })
    .unwrap();
    assert!(model.warnings[0].contains("no rows for the added tokens `[PAD]`"), "{:?}", model.warnings);
    assert_eq!(model.tokenizer.encode("hello").unwrap(), small_tokens("hello"));
}

/// What is written is opened by Transformers: Phi-3's class has a padding token by default, beyond small vocabularies.
#[test]
fn a_written_phi3_names_no_padding_beyond_its_vocabulary() {
    assert_eq!(phi3(json!({})).unwrap().to_json().get("pad_token_id"), Some(&Value::Null));
    let folder = tempfile::tempdir().unwrap();
    small::write_folder(folder.path());
    let text = phi3(json!({})).unwrap().to_json();
    edit(&folder.path().join("config.json"), |json| {
        *json = text.clone();
        json.as_object_mut().unwrap().remove("pad_token_id");
    });
    let config = ModelConfig::from_file(&folder.path().join("config.json")).unwrap();
    small::write_safetensors(&folder.path().join("model.safetensors"), &small::tensors(&config));
    let model = open(".", folder.path()).unwrap();
    let out = folder.path().join("written");
    export_folder(&model, &out, so8t::model::Precision::F32, 1 << 20, |name| model.weights.load_f32(name)).unwrap();
    let written: Value = serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!(written.get("pad_token_id"), Some(&Value::Null));
    // A large one keeps what its file says.
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/model/config.json");
    let quickstart: Value = serde_json::from_slice(&fs::read(quickstart).unwrap()).unwrap();
    assert_eq!(quickstart.get("pad_token_id"), Some(&Value::Null));
}

#[test]
fn windows_that_no_reader_applies_are_told() {
    let folder = tempfile::tempdir().unwrap();
    small::write_folder(folder.path());
    let path = folder.path().join("config.json");
    let model = open(".", folder.path()).unwrap();
    assert!(export_warnings(&model).is_empty());
    edit(&path, |json| *json = mistral(json!({"sliding_window": 8})).unwrap().to_json());
    let model = open(".", folder.path()).unwrap();
    assert_eq!((model.config.architecture, model.config.sliding_window), (Architecture::Llama, Some(8)));
    says(&export_warnings(&model)[0], &["8 tokens back", "`llama`"]);
    export_gguf(&model, &folder.path().join("a.gguf"), TensorKind::F32, |name| model.weights.load_f32(name)).unwrap();
    assert_eq!(open("a.gguf", folder.path()).unwrap().config.sliding_window, None);
}

fn gguf(changes: &[(&str, Metadata)]) -> so8t::Result<so8t::model::ModelFiles> {
    let folder = tempfile::tempdir().unwrap();
    let mut metadata = small::gguf_metadata();
    for (key, value) in changes {
        metadata.retain(|(name, _)| name != key);
        metadata.push((key.to_string(), value.clone()));
    }
    small::write_gguf(&folder.path().join("small.gguf"), GgmlDType::F16, &metadata);
    open("small.gguf", folder.path())
}

#[test]
fn metadata_of_gguf_files() {
    let text = |text: &str| Metadata::String(text.to_owned());
    for (changes, parts) in [
        (
            vec![("split.count", Metadata::U16(2)), ("split.no", Metadata::U16(0))],
            &["part 1 of 2", "llama-gguf-split --merge"][..],
        ),
        (vec![("general.type", text("adapter"))], &["holds an adapter"]),
        (vec![("llama.attention.scale", Metadata::F32(0.2))], &["field `llama.attention.scale`"]),
        (vec![("llama.logit_scale", Metadata::F32(4.0))], &["field `llama.logit_scale`"]),
        (vec![("llama.attention.value_length", Metadata::U32(32))], &["field `llama.attention.value_length`"]),
        (vec![("llama.rope.scaling.attn_factor", Metadata::F32(1.2))], &["field `llama.rope.scaling.attn_factor`"]),
        (vec![("llama.block_count", Metadata::U32(1 << 24))], &["field `llama.block_count`", "4096"]),
        (
            vec![("tokenizer.ggml.precompiled_charsmap", Metadata::Array(vec![Metadata::U8(1)]))],
            &["precompiled_charsmap"],
        ),
    ] {
        says(&failure(gguf(&changes)), parts);
    }
    let usual = gguf(&[
        ("general.name", text("x")),
        ("general.license", text("mit")),
        ("llama.vocab_size", Metadata::U32(267)),
        ("llama.expert_count", Metadata::U32(0)),
        ("llama.rope.scaling.finetuned", Metadata::Bool(true)),
        ("phi3.logit_scale", Metadata::F32(4.0)),
        ("tokenizer.ggml.add_bos_token", Metadata::Bool(true)),
        ("tokenizer.ggml.padding_token_id", Metadata::U32(0)),
        ("tokenizer.ggml.fim_pre_token_id", Metadata::U32(5)),
        ("quantize.imatrix.file", text("y")),
    ]);
    assert!(usual.unwrap().warnings.is_empty());
    let window = gguf(&[("llama.attention.sliding_window", Metadata::U32(8))]).unwrap();
    assert_eq!(window.config.sliding_window, None);
    says(&window.warnings[0], &["`llama.attention.sliding_window` is not applied"]);
    let yarn = [
        ("llama.rope.scaling.type", text("yarn")),
        ("llama.rope.scaling.factor", Metadata::F32(4.0)),
        ("llama.rope.scaling.original_context_length", Metadata::U32(32)),
    ];
    let RopeScaling::Yarn { factor, original, attention_factor, .. } = gguf(&yarn).unwrap().config.rope_scaling else {
        panic!("no YaRN")
    };
    assert_eq!((factor, original), (4.0, 32));
    assert!((attention_factor - (0.1 * 4f64.ln() + 1.0)).abs() < 1e-12);
}

/// A list of many bytes costs no memory: it is refused before it is read.
#[test]
fn lists_of_gguf_files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.gguf");
    let mut header = b"GGUF".to_vec();
    header.extend(3u32.to_le_bytes());
    header.extend(0u64.to_le_bytes());
    header.extend(1u64.to_le_bytes());
    header.extend(1u64.to_le_bytes());
    header.push(b'x');
    header.extend(9u32.to_le_bytes());
    header.extend(0u32.to_le_bytes());
    header.extend((1u64 << 30).to_le_bytes());
    fs::write(&path, &header).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len((1 << 30) + 100).unwrap();
    says(&failure(open("list.gguf", folder.path())), &["list.gguf", "field `x`", "8388608 elements"]);
}

/// A block of each of the non-linear types by its definition in GGML's sources, worked out apart.
#[test]
fn non_linear_blocks_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.gguf");
    let levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    for (number, size) in [(20u32, 18usize), (23, 136)] {
        small::write_gguf(&path, GgmlDType::F32, &small::gguf_metadata());
        let mut bytes = fs::read(&path).unwrap();
        let content = candle_core::quantized::gguf_file::Content::read(&mut std::io::Cursor::new(&bytes)).unwrap();
        let at = (content.tensor_data_offset + content.tensor_infos["blk.0.ffn_up.weight"].offset) as usize;
        let name = b"blk.0.ffn_up.weight";
        let kind = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4 + 16;
        bytes[kind..kind + 4].copy_from_slice(&number.to_le_bytes());
        let block = &mut bytes[at..at + size];
        block.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 41 + 7) as u8);
        block[..2].copy_from_slice(&half::f16::from_f32(0.5).to_le_bytes());
        let block = block.to_vec();
        // The other blocks are of finite scales too.
        let rest = 512 * 256 / if number == 20 { 32 } else { 256 };
        for other in 1..rest {
            bytes[at + other * size..at + (other + 1) * size].copy_from_slice(&block);
        }
        fs::write(&path, &bytes).unwrap();
        let (_, values) =
            open("small.gguf", folder.path()).unwrap().weights.load_f32("model.layers.0.mlp.up_proj.weight").unwrap();
        for (i, found) in values[..size.min(256) / 18 * 32].iter().enumerate().take(if number == 20 { 32 } else { 256 })
        {
            let (part, within) = (i / 32, i % 32);
            let (packed, step) = match number {
                20 => (&block[2..18], 1),
                _ => {
                    let low = if part % 2 == 0 { block[4 + part / 2] & 15 } else { block[4 + part / 2] >> 4 };
                    let high = (u16::from_le_bytes([block[2], block[3]]) >> (2 * part)) & 3;
                    (&block[8 + 16 * part..24 + 16 * part], i32::from(low) + 16 * i32::from(high) - 32)
                }
            };
            let byte = packed[within % 16];
            let level = levels[usize::from(if within < 16 { byte & 15 } else { byte >> 4 })];
            assert_eq!(*found, 0.5 * step as f32 * level as f32, "type {number}, element {i}");
        }
    }
}

#[test]
fn what_a_file_is_stands_in_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    for (name, bytes, parts) in [
        ("model.safetensors", &pointer[..], &["model.safetensors", "Git LFS"][..]),
        ("model.safetensors", b"PK\x03\x04rest", &["ZIP archive", "safetensors"]),
        ("model.safetensors", b"<!DOCTYPE html><html>", &["HTML page"]),
        ("model.safetensors", b"", &["is empty"]),
        ("model.safetensors", b"GGUF\x03\0\0\0", &["GGUF file"]),
        ("config.json", pointer, &["config.json", "Git LFS"]),
        ("tokenizer.json", pointer, &["tokenizer.json", "Git LFS"]),
    ] {
        small::write_folder(&root.join("model"));
        fs::write(root.join("model").join(name), bytes).unwrap();
        says(&failure(open("model", root)), parts);
    }
    for (bytes, parts) in [
        (&b"\x80\x02}q\0."[..], &["pickle"][..]),
        (b"PK\x03\x04", &["ZIP archive"]),
        (b"lmgg0000", &["before GGUF"]),
        (b"{\"model_type\": \"llama\"}", &["JSON document"]),
        (pointer, &["Git LFS"]),
    ] {
        fs::write(root.join("file"), bytes).unwrap();
        says(&failure(open("file", root)), &[&["expected a GGUF file"], parts].concat());
    }
    for (file, hint) in [
        ("adapter_config.json", "holds an adapter"),
        ("params.json", "makers' own format"),
        ("model_index.json", "Diffusers"),
        ("x.gguf", "x.gguf"),
    ] {
        let of = root.join(file.replace('.', "-"));
        fs::create_dir_all(&of).unwrap();
        fs::write(of.join(file), "{}").unwrap();
        says(&failure(open(of.to_str().unwrap(), root)), &["config.json` is missing", hint]);
    }
}
