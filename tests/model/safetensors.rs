//! Weights in safetensors files.

use std::fs;

use half::{bf16, f16};
use serde_json::json;
use so8t::model::{ModelConfig, open_weights};

use super::small::{self, failure, says};

fn config() -> ModelConfig {
    ModelConfig::from_json(&small::config().to_string()).unwrap()
}

#[test]
fn one_file() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = small::tensors(&config());
    small::write_safetensors(&folder.path().join("model.safetensors"), &tensors);
    let weights = open_weights(folder.path()).unwrap();
    weights.check(&config()).unwrap();
    assert_eq!(weights.names().count(), tensors.len());
    for (name, shape, values) in &tensors {
        assert_eq!(weights.load_f32(name).unwrap(), (shape.clone(), values.clone()), "{name}");
    }
}

#[test]
fn sixteen_bit_elements_are_widened() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than a piece that one task widens, and not a multiple of it.
    let values = small::elements(70_001, 0);
    let half: Vec<u8> = values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
    let brain: Vec<u8> = values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
    let header = json!({
        "half.weight": {"dtype": "F16", "shape": [70_001], "data_offsets": [0, 140_002]},
        "brain.weight": {"dtype": "BF16", "shape": [70_001, 1], "data_offsets": [140_002, 280_004]},
    });
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes().chain(half).chain(brain));
    fs::write(folder.path().join("model.safetensors"), file).unwrap();
    let weights = open_weights(folder.path()).unwrap();
    assert_eq!(weights.load_f32("half.weight").unwrap(), (vec![70_001], values.clone()));
    assert_eq!(weights.load_f32("brain.weight").unwrap(), (vec![70_001, 1], values));
}

#[test]
fn several_files_with_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = small::tensors(&config());
    let (first, second) = tensors.split_at(5);
    small::write_safetensors(&folder.path().join("model-00001-of-00002.safetensors"), first);
    small::write_safetensors(&folder.path().join("model-00002-of-00002.safetensors"), second);
    let mut map = serde_json::Map::new();
    for (shard, tensors) in [(1, first), (2, second)] {
        for (name, ..) in tensors {
            map.insert(name.clone(), json!(format!("model-0000{shard}-of-00002.safetensors")));
        }
    }
    let index = folder.path().join("model.safetensors.index.json");
    fs::write(&index, json!({"metadata": {}, "weight_map": map}).to_string()).unwrap();
    let weights = open_weights(folder.path()).unwrap();
    weights.check(&config()).unwrap();
    assert_eq!(weights.files().count(), 2);
    for (name, _, values) in &tensors {
        assert_eq!(&weights.load_f32(name).unwrap().1, values, "{name}");
    }

    map.insert("model.extra.weight".into(), json!("model-00001-of-00002.safetensors"));
    fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
    says(&failure(open_weights(folder.path())), &["index.json", "`model.extra.weight`", "model-00001"]);
    map.insert("model.extra.weight".into(), json!("../elsewhere.safetensors"));
    fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
    says(&failure(open_weights(folder.path())), &["weight_map.model.extra.weight", "../elsewhere"]);
    fs::write(&index, "{}").unwrap();
    says(&failure(open_weights(folder.path())), &["field `weight_map`"]);
    fs::write(&index, json!({"weight_map": {"a.weight": "gone.safetensors"}}).to_string()).unwrap();
    says(&failure(open_weights(folder.path())), &["gone.safetensors"]);
}

#[test]
fn broken_files() {
    let folder = tempfile::tempdir().unwrap();
    says(&failure(open_weights(folder.path())), &["`model.safetensors`", "found neither"]);
    fs::write(folder.path().join("pytorch_model.bin"), "x").unwrap();
    says(&failure(open_weights(folder.path())), &["convert it to safetensors"]);

    let path = folder.path().join("model.safetensors");
    small::write_safetensors(&path, &small::tensors(&config()));
    let whole = fs::read(&path).unwrap();
    for length in [4, 100, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        says(&failure(open_weights(folder.path())), &["model.safetensors", "truncated or damaged"]);
    }
    fs::write(&path, "").unwrap();
    says(&failure(open_weights(folder.path())), &["model.safetensors", "is empty"]);
    let header = json!({"a.weight": {"dtype": "I8", "shape": [1], "data_offsets": [0, 1]}}).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes().chain([0]));
    fs::write(&path, file).unwrap();
    says(&failure(open_weights(folder.path())), &["tensor `a.weight`", "F32, F16 or BF16", "I8"]);
}

#[test]
fn missing_misshapen_and_infinite_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let all = small::tensors(&config());
    let check = || failure(open_weights(folder.path()).and_then(|weights| weights.check(&config())));

    let mut tensors = all.clone();
    tensors.retain(|(name, ..)| name != "model.norm.weight");
    small::write_safetensors(&path, &tensors);
    says(&check(), &["model.safetensors", "tensor `model.norm.weight` is missing"]);

    let mut tensors = all.clone();
    tensors[0].1.swap(0, 1);
    small::write_safetensors(&path, &tensors);
    says(&check(), &["tensor `model.embed_tokens.weight`", "`[267, 8]`", "`[8, 267]`"]);

    let mut tensors = all;
    tensors[0].2[3] = f32::NAN;
    small::write_safetensors(&path, &tensors);
    let weights = open_weights(folder.path()).unwrap();
    says(
        &failure(weights.load_f32("model.embed_tokens.weight")),
        &["tensor `model.embed_tokens.weight`", "element 3", "NaN"],
    );
    says(&failure(weights.load_f32("lm_head.weight")), &["tensor `lm_head.weight` is missing"]);
}
