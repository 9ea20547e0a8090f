//! Tokenizers as GGUF's metadata: what was exported tokenises as before.

use std::path::Path;

use serde_json::{Value, json};
use so8t::model::{ModelConfig, ModelFiles, TensorKind, export_gguf, open};

use super::shared::shared;
use super::small;
use super::tokenizer::phi_vectors;

/// A small folder whose `tokenizer.json` is `tokenizer`.
fn with_tokenizer(tokenizer: &Value, vocabulary: usize, architecture: &str, folder: &Path) -> ModelFiles {
    small::write_folder(&folder.join("base"));
    let mut config = small::config();
    config["architectures"] = json!([architecture]);
    config["model_type"] = if architecture.starts_with("Phi3") { "phi3".into() } else { "llama".into() };
    config["vocab_size"] = vocabulary.into();
    config["num_hidden_layers"] = 1.into();
    std::fs::write(folder.join("base/config.json"), config.to_string()).unwrap();
    let config = ModelConfig::from_json(&config.to_string()).unwrap();
    small::write_safetensors(&folder.join("base/model.safetensors"), &small::tensors(&config));
    std::fs::write(folder.join("base/tokenizer.json"), tokenizer.to_string()).unwrap();
    open("base", folder).unwrap()
}

fn exported(base: &ModelFiles, folder: &Path) -> so8t::Result<ModelFiles> {
    let (_, fallen) =
        export_gguf(base, &folder.join("out.gguf"), TensorKind::Q8_0, |name| base.weights.load_f32(name))?;
    // Rows of 8 and 12 are no whole blocks of 32.
    assert!(fallen.contains(&"model.embed_tokens.weight".to_string()));
    open("out.gguf", folder)
}

#[test]
fn byte_level_tokenizers_keep_their_splitting() {
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let split = |pattern: &str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    let gpt2 = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let sequence = |steps: Value| json!({"type": "Sequence", "pretokenizers": steps});
    let plain = || -> Value { serde_json::from_str(&small::tokenizer().to_string(false).unwrap()).unwrap() };
    for pre_tokenizer in [
        gpt2.clone(),
        sequence(json!([{"type": "Digits", "individual_digits": true}, gpt2])),
        sequence(json!([split(r"\p{N}"), gpt2])),
        sequence(json!([split(llama3), bytes])),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut tokenizer = plain();
        tokenizer["pre_tokenizer"] = pre_tokenizer.clone();
        let base = with_tokenizer(&tokenizer, 267, "LlamaForCausalLM", folder.path());
        let out = exported(&base, folder.path()).unwrap();
        for text in ["hello world  he'll", "ALLO 1234 DE\n\nh", "<|im_start|>x<|im_end|>", "日本 12", ""] {
            assert_eq!(out.tokenizer.encode(text).unwrap(), base.tokenizer.encode(text).unwrap(), "{text:?}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = plain();
    tokenizer["pre_tokenizer"] = sequence(json!([split("[a-z]"), bytes]));
    let base = with_tokenizer(&tokenizer, 267, "LlamaForCausalLM", folder.path());
    small::says(&small::failure(exported(&base, folder.path())), &["`pre_tokenizer`", "hint: "]);
}

#[test]
fn phi_3_vectors_after_an_export() {
    let (Some(path), Some(vectors)) = (shared("tokenizers/phi-3-mini/tokenizer.json"), phi_vectors()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let tokenizer: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let base = with_tokenizer(&tokenizer, 32_064, "Phi3ForCausalLM", folder.path());
    let out = exported(&base, folder.path()).unwrap();
    assert_eq!(vectors.len(), 47);
    for (text, expected) in vectors {
        assert_eq!(out.tokenizer.encode(&text).unwrap(), expected, "{text:?}");
    }
    let frame = "<|user|>\nHello<|end|>\n<|assistant|>\n";
    assert_eq!(out.tokenizer.encode(frame).unwrap(), base.tokenizer.encode(frame).unwrap());
}

/// `prepend_scheme: first` (the newer files of Mistral) marks the first word of a text, and none behind a control token: in GGUF exact where prompts begin with one.
#[test]
fn a_tokenizer_that_marks_the_first_word_alone() {
    let characters = ('a'..='e').chain(['▁', ' ', ',']).map(String::from);
    let tokens = small::CONTROL.map(String::from).into_iter().chain(["<unk>".to_owned()]).chain(characters);
    let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
    let vocabulary: serde_json::Map<String, Value> =
        tokens.chain(bytes).zip(0..).map(|(token, id)| (token, id.into())).collect();
    let count = vocabulary.len();
    let added = |(id, token): (usize, &&str)| json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": small::CONTROL.iter().enumerate().map(added).collect::<Vec<_>>(),
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocabulary, "merges": []}
    });
    let folder = tempfile::tempdir().unwrap();
    let base = with_tokenizer(&tokenizer, count, "LlamaForCausalLM", folder.path());
    let out = exported(&base, folder.path()).unwrap();
    for text in ["<|im_start|>a b<|im_end|> c", "<|im_start|> a", "<|im_start|><|im_end|>e<|im_start|>"] {
        assert_eq!(out.tokenizer.encode(text).unwrap(), base.tokenizer.encode(text).unwrap(), "{text:?}");
    }
    // Prompts that begin with a word would lose its mark.
    std::fs::write(folder.path().join("base/chat_template.jinja"), "a {{ messages[0].content }}<|im_end|>").unwrap();
    let base = open("base", folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("out.gguf")).unwrap();
    small::says(&small::failure(exported(&base, folder.path())), &["first word of a text alone"]);
    assert!(!folder.path().join("out.gguf").exists());
}

/// llama.cpp looks for Phi-3's tokens in a file whose name holds it.
#[test]
fn the_folders_name_makes_no_phi_3() {
    let folder = tempfile::tempdir().unwrap();
    small::write_folder(&folder.path().join("my-PHI3-and-phi-3-base"));
    let base = open("my-PHI3-and-phi-3-base", folder.path()).unwrap();
    export_gguf(&base, &folder.path().join("out.gguf"), TensorKind::F32, |name| base.weights.load_f32(name)).unwrap();
    let bytes = std::fs::read(folder.path().join("out.gguf")).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()));
    assert!(has("my-phi_3-and-phi_3-base") && !has("phi3") && !has("phi-3"));
}
