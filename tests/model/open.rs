//! Opening a folder.

use std::fs;

use serde_json::json;
use so8t::model::{Message, open};

use super::small::{self, failure, says};

#[test]
fn a_folder() {
    let root = tempfile::tempdir().unwrap();
    small::write_folder(&root.path().join("small"));
    let model = open("small", root.path()).unwrap();
    assert_eq!(model.name, "small");
    let names: Vec<String> =
        model.paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    assert_eq!((model.template.bos_token(), model.template.eos_token()), ("<|im_start|>", "<|im_end|>"));
    assert!(model.warnings.is_empty());
    assert_eq!(model.weights.load_f32("model.norm.weight").unwrap().0, [8]);
}

#[test]
fn a_template_file_wins() {
    let root = tempfile::tempdir().unwrap();
    small::write_folder(root.path());
    fs::write(root.path().join("chat_template.jinja"), "{{ messages[0].content }}{{ eos_token }}").unwrap();
    let model = open(".", root.path()).unwrap();
    assert_eq!(model.template.render(&[Message::new("user", "a")], true).unwrap(), "a<|im_end|>");
    assert!(model.paths.iter().any(|path| path.ends_with("chat_template.jinja")));
}

#[test]
fn a_missing_template_is_assumed_aloud_or_refused() {
    let root = tempfile::tempdir().unwrap();
    small::write_folder(root.path());
    fs::remove_file(root.path().join("tokenizer_config.json")).unwrap();
    let model = open(".", root.path()).unwrap();
    assert!(model.warnings[0].contains("no chat template: ChatML's is assumed"), "{:?}", model.warnings);
    let rendered = model.template.render(&[Message::new("user", "a")], true).unwrap();
    assert_eq!(rendered, "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n");
    // The spelling comes from the id in `config.json`.
    assert_eq!(model.template.eos_token(), "<|im_end|>");

    let text = fs::read_to_string(root.path().join("tokenizer.json")).unwrap();
    fs::write(root.path().join("tokenizer.json"), text.replace("<|im_end|>", "<|other|>")).unwrap();
    says(&failure(open(".", root.path())), &["no chat template", "chat_template.jinja"]);
}

#[test]
fn what_is_missing_is_named() {
    let root = tempfile::tempdir().unwrap();
    says(&failure(open("absent", root.path())), &["absent`", "found nothing"]);
    says(&failure(open("organisation/model", root.path())), &["hint: ", "`hf:organisation/model`"]);
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        small::write_folder(root.path());
        fs::remove_file(root.path().join(file)).unwrap();
        says(&failure(open(".", root.path())), &[file]);
    }
    small::write_folder(root.path());
    fs::remove_file(root.path().join("tokenizer.json")).unwrap();
    fs::write(root.path().join("tokenizer.model"), "x").unwrap();
    says(&failure(open(".", root.path())), &["tokenizer.json", "`tokenizer.model` alone cannot be read"]);
}

#[test]
fn what_is_broken_is_named() {
    let root = tempfile::tempdir().unwrap();
    let with = |file: &str, text: &str| {
        small::write_folder(root.path());
        fs::write(root.path().join(file), text).unwrap();
        failure(open(".", root.path()))
    };
    says(&with("config.json", "{}"), &["config.json", "field `model_type`"]);
    says(&with("tokenizer.json", "{}"), &["tokenizer.json", "not a tokenizer"]);
    says(&with("tokenizer_config.json", "{"), &["tokenizer_config.json", "not valid JSON"]);
    says(
        &with("tokenizer_config.json", r#"{"chat_template": 3}"#),
        &["tokenizer_config.json", "field `chat_template`"],
    );
    says(&with("chat_template.jinja", "{% if %}"), &["chat_template.jinja", "does not parse"]);
    let mut config = small::config();
    config["vocab_size"] = json!(200);
    config["eos_token_id"] = json!(2);
    says(&with("config.json", &config.to_string()), &["model.embed_tokens.weight", "`[200, 8]`", "`[267, 8]`"]);
    let (mut tokens, merges) = small::vocabulary();
    tokens.push("zz".into());
    let ids: tokenizers::models::bpe::Vocab = tokens.into_iter().zip(0..).collect();
    let model = tokenizers::models::bpe::BPE::builder().vocab_and_merges(ids, merges).build().unwrap();
    let tokenizer = tokenizers::Tokenizer::new(model).to_string(false).unwrap();
    says(&with("tokenizer.json", &tokenizer), &["ids up to 267", "only 267 rows"]);
}
