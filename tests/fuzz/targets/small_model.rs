//! A model's folder of a few hundred bytes, of which a target replaces one file.

use std::path::{Path, PathBuf};

/// The files that a folder has, in the order in which the first byte of an input chooses one.
pub const FILES: [&str; 6] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "model.safetensors",
];

/// A folder of this process, in memory where the system has such a place.
pub fn scratch(name: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = folder.join(format!("so8t-fuzz-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// Writes the whole folder.
pub fn write(folder: &Path) {
    for name in FILES {
        std::fs::write(folder.join(name), file(name)).expect("the file can be written");
    }
}

/// What a file holds where nothing is replaced.
pub fn file(name: &str) -> Vec<u8> {
    match name {
        "config.json" => CONFIG.into(),
        "tokenizer.json" => TOKENIZER.into(),
        "tokenizer_config.json" => SETTINGS.into(),
        "generation_config.json" => r#"{"eos_token_id": [1], "temperature": 0.7}"#.into(),
        "special_tokens_map.json" => r#"{"bos_token": "<s>", "eos_token": "</s>"}"#.into(),
        _ => tensors(),
    }
}

const CONFIG: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 8,
"intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 12,
"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "tie_word_embeddings": true,
"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32}, "bos_token_id": 0, "eos_token_id": 1}"#;

const TOKENIZER: &str = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
{"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
{"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"String": " "}, "content": "_"}]},
"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[a-z]+|_"}, "behavior": "Isolated", "invert": false},
"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
"pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
"special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
"decoder": {"type": "Replace", "pattern": {"String": "_"}, "content": " "},
"model": {"type": "BPE", "dropout": null, "unk_token": "?", "continuing_subword_prefix": null, "end_of_word_suffix": null,
"fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
"vocab": {"<s>": 0, "</s>": 1, "?": 2, "a": 3, "b": 4, "c": 5, "_": 6, "ab": 7, "abc": 8, "d": 9, "e": 10, "de": 11},
"merges": [["a", "b"], ["ab", "c"], ["d", "e"]]}}"#;

const SETTINGS: &str = r#"{"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true, "clean_up_tokenization_spaces": false,
"chat_template": "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}a {{ m.content | trim }} b{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}c{% endif %}"}"#;

/// The weights of [`CONFIG`], small numbers.
fn tensors() -> Vec<u8> {
    let layer = "model.layers.0.";
    let shapes: [(&str, Vec<usize>); 11] = [
        ("model.embed_tokens.weight", vec![12, 8]),
        ("model.norm.weight", vec![8]),
        ("input_layernorm.weight", vec![8]),
        ("post_attention_layernorm.weight", vec![8]),
        ("self_attn.q_proj.weight", vec![8, 8]),
        ("self_attn.k_proj.weight", vec![4, 8]),
        ("self_attn.v_proj.weight", vec![4, 8]),
        ("self_attn.o_proj.weight", vec![8, 8]),
        ("mlp.gate_proj.weight", vec![12, 8]),
        ("mlp.up_proj.weight", vec![12, 8]),
        ("mlp.down_proj.weight", vec![8, 12]),
    ];
    let named = shapes.map(|(name, shape)| {
        let name = if name.starts_with("model.") { name.to_owned() } else { format!("{layer}{name}") };
        (name, shape)
    });
    safetensors(&named)
}

/// A safetensors file of small numbers in single precision.
pub fn safetensors(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape) in tensors {
        let begin = data.len();
        for i in 0..shape.iter().product::<usize>() {
            data.extend_from_slice(&(((i * 37) % 255) as f32 / 256.0 - 0.5).to_le_bytes());
        }
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert(name.clone(), entry);
    }
    let header = serde_json::Value::from(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// Writes a seed for each file, where `SO8T_SEEDS` names a folder for them: the file's place, then what it holds.
pub fn seeds(target: &str, files: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("SO8T_SEEDS") else { return };
    let folder = PathBuf::from(folder).join(target);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    for (place, bytes) in files.iter().enumerate() {
        let seed = [&[place as u8], &bytes[..]].concat();
        std::fs::write(folder.join(format!("{place}.bin")), seed).expect("the seed can be written");
    }
}
