//! Folders and GGUF files of every decoder: opened, merged, exported, opened again.

use std::path::Path;

use serde_json::{Value, json};
use so8t::kernels::cpu::Cpu;
use so8t::model::network::{Network, NetworkOptions, Quantization};
use so8t::model::{
    ModelConfig, ModelFiles, Precision, TensorKind, export_folder, export_gguf, export_warnings, modules, open,
    parameters_report,
};
use so8t::train::merge::Merged;

use super::{adapt, cases, config, float, largest_difference, list, network_of, pass, scores, weights, whole};
use crate::model::small::{self, failure, says};

/// A Hugging Face folder of a configuration.
fn write(folder: &Path, fields: &Value) -> ModelFiles {
    small::write_folder(folder);
    std::fs::write(folder.join("config.json"), fields.to_string()).unwrap();
    let config = ModelConfig::from_json(&fields.to_string()).unwrap();
    let offset = config.features.norm_offset;
    let tensors: Vec<_> = modules::tensors(&config)
        .into_iter()
        .map(|(name, shape)| {
            let values = weights(&name, &shape, offset);
            (name, shape, values)
        })
        .collect();
    small::write_safetensors(&folder.join("model.safetensors"), &tensors);
    open(&folder.display().to_string(), Path::new("")).unwrap()
}

fn network(model: &ModelFiles) -> Network<Cpu> {
    let options = NetworkOptions { quantization: Quantization::None, positions: 64, ..NetworkOptions::default() };
    Network::new(&model.config, &model.weights, options).unwrap()
}

#[test]
fn configurations_read_back_as_they_were_written() {
    for (name, case) in cases() {
        let config = config(case);
        assert_eq!(ModelConfig::from_json(&config.to_json().to_string()).unwrap(), config, "{name}");
    }
}

/// Of every linear.
fn write_adapter(folder: &Path, config: &ModelConfig) {
    let mut network = network_of(Cpu, config, false);
    adapt(&mut network);
    std::fs::create_dir_all(folder).unwrap();
    let names: std::collections::BTreeSet<&str> = modules::linears(config).iter().map(|module| module.name).collect();
    let settings =
        json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": names, "task_type": "CAUSAL_LM"});
    std::fs::write(folder.join("adapter_config.json"), settings.to_string()).unwrap();
    small::write_safetensors(&folder.join("adapter_model.safetensors"), &network.read_pieces().unwrap());
}

#[test]
fn merged_folders_are_the_base_with_its_adapter() {
    for (name, case) in cases() {
        let (folder, tokens) = (tempfile::tempdir().unwrap(), list(&case["tokens"], whole));
        let base = write(&folder.path().join("base"), &case["config"]);
        write_adapter(&folder.path().join("adapter"), &base.config);
        let merged = Merged::open(&base, &folder.path().join("adapter")).unwrap();
        let load = |tensor: &str| merged.load_f32(tensor);
        export_folder(&base, &folder.path().join("merged"), Precision::F32, 1 << 30, load).unwrap();
        let merged = open("merged", folder.path()).unwrap();
        assert_eq!(merged.config, base.config, "{name}");
        let network = network(&merged);
        let rows = scores(&network, &tokens);
        let loss = rows.iter().zip(&tokens[1..]).map(|(row, token)| -row[*token as usize]).sum::<f64>();
        let (loss, expected) = (loss / (tokens.len() - 1) as f64, float(&case["losses"][0]));
        assert!((loss - expected).abs() < 2e-5, "{name}: loss {loss}, not PEFT's {expected}");
    }
}

/// What GGUF has a place for.
const EXPORTED: [&str; 9] =
    ["qwen2-plain", "qwen3-5", "gemma", "gemma2", "gemma3", "granite", "granite-5", "smollm3", "olmo2"];
/// What it has not, by the reason.
const REFUSED: [(&str, &str); 9] = [
    ("llama-biases", "activation"),
    ("qwen3", "biases"),
    ("gemma2-5", "biases"),
    ("gemma3-pattern", "query_pre_attn_scalar"),
    ("gemma3-5", "window"),
    ("smollm3-5", "biases"),
    ("olmo2-5", "biases"),
    ("qwen3 llama3", "rope_scaling"),
    ("smollm3 all", "without positions"),
];

fn exported(fields: &Value, folder: &Path) -> so8t::Result<(ModelFiles, ModelFiles)> {
    let base = write(&folder.join("base"), fields);
    export_gguf(&base, &folder.join("out.gguf"), TensorKind::F32, |name| base.weights.load_f32(name))?;
    Ok((base, open("out.gguf", folder).unwrap()))
}

/// The configuration of a case with some fields changed.
fn with(name: &str, changes: Value) -> Value {
    let mut fields = cases().into_iter().find(|(own, _)| *own == name).unwrap().1["config"].clone();
    fields.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    fields
}

#[test]
fn gguf_files_score_as_the_folders_that_they_were_made_of() {
    let mut tried: Vec<(String, Value)> =
        EXPORTED.iter().map(|name| (name.to_string(), with(name, json!({})))).collect();
    tried.push(("llama with biases".into(), with("llama-biases", json!({"hidden_act": "silu"}))));
    tried.push(("qwen3 with yarn".into(), with("qwen3", json!({"attention_bias": false}))));
    tried.push(("phi-4-mini".into(), with("phi-4-mini", json!({"sliding_window": null}))));
    for (name, fields) in tried {
        let folder = tempfile::tempdir().unwrap();
        let (base, file) = exported(&fields, folder.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(export_warnings(&base).is_empty(), "{name}: {:?}", export_warnings(&base));
        let tokens: Vec<u32> = (0..26).map(|i| (i * 41 + 7) % 267).collect();
        let expected = scores(&network(&base), &tokens);
        let difference = largest_difference(&scores(&network(&file), &tokens), &expected);
        eprintln!("{name}: {difference:.1e}");
        assert!(difference < 1e-4, "{name}: {difference} nats between folder and file");
        // And from the file to a folder.
        let load = |tensor: &str| file.weights.load_f32(tensor);
        export_folder(&file, &folder.path().join("again"), Precision::F32, 1 << 30, load).unwrap();
        let again = open("again", folder.path()).unwrap();
        let difference = largest_difference(&scores(&network(&again), &tokens), &expected);
        assert!(difference < 1e-4, "{name}: {difference} nats between folder and folder");
    }
}

#[test]
fn what_gguf_cannot_say_is_refused() {
    let rotary = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16});
    for (name, reason) in REFUSED {
        let fields = match name {
            "qwen3 llama3" => with("qwen3-5", json!({"rope_parameters": rotary})),
            "smollm3 all" => with("smollm3", json!({"no_rope_layers": [1, 1, 1, 1, 1]})),
            "gemma2-5" | "gemma3-5" => with(name, json!({})),
            _ => with(name, json!({})),
        };
        let folder = tempfile::tempdir().unwrap();
        says(&failure(exported(&fields, folder.path()).map(|_| ())), &[reason]);
        assert!(!folder.path().join("out.gguf").exists(), "{name}");
    }
}

/// A window that no reader applies is told.
#[test]
fn windows_that_gguf_has_not_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let base = write(&folder.path().join("base"), &with("qwen2", json!({})));
    says(&export_warnings(&base)[0], &["`qwen2`", "5 tokens"]);
}

#[test]
fn parameters_are_counted() {
    for (name, case) in cases() {
        let config = config(case);
        let total: usize = modules::tensors(&config).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let report = parameters_report(&config, 2, &["all-linear".to_string()]).unwrap();
        assert_eq!(report["base"], total, "{name}");
        let mut network = network_of(Cpu, &config, false);
        adapt(&mut network);
        assert_eq!(report["trainable"], network.trainable_count(), "{name}");
        let mut gradients = so8t::model::network::PerParameter::zeros(&network).unwrap();
        assert!(pass(&network, &[1, 2, 3], 0, &mut gradients).is_finite());
    }
}
