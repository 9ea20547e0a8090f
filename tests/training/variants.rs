//! What settings say beside the plainest: fields of `config.json` against Transformers, adapters that did not begin at 0 against PEFT; see
//! `tests/golden/variants.py`.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use so8t::model::network::{Network, NetworkOptions, Quantization, Workspace};
use so8t::model::{ModelConfig, Weights, open_weights};
use so8t::train::peft;

use super::golden::{difference, golden};

struct Variants {
    values: Value,
    bytes: Vec<u8>,
}

impl Variants {
    fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/training/golden");
        let text = std::fs::read_to_string(folder.join("variants.json")).unwrap();
        let bytes = std::fs::read(folder.join("variants.safetensors")).unwrap();
        Self { values: serde_json::from_str(&text).unwrap(), bytes }
    }

    fn sequences(&self) -> Vec<Vec<u32>> {
        serde_json::from_value(self.values["sequences"].clone()).unwrap()
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    /// The logits after the last token of each sequence.
    fn logits(&self, name: &str) -> Vec<Vec<f32>> {
        let tensors = self.tensors();
        let data = tensors.tensor(name).unwrap().data().to_vec();
        let values: Vec<f32> =
            data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        values.chunks(64).map(<[f32]>::to_vec).collect()
    }

    fn with(&self, field: &str) -> Vec<(&str, &str, &Value)> {
        let variants = self.values["variants"].as_array().unwrap().iter();
        variants
            .filter(|variant| !variant[field].is_null())
            .map(|v| (v["name"].as_str().unwrap(), v["model"].as_str().unwrap(), &v[field]))
            .collect()
    }
}

fn weights(model: &str) -> Weights {
    open_weights(&golden(model).folder).unwrap()
}

fn network(config: &ModelConfig, weights: &Weights, positions: usize) -> Network {
    let options = NetworkOptions { quantization: Quantization::None, positions, ..Default::default() };
    Network::new(config, weights, options).unwrap()
}

fn last_logits(network: &Network, sequence: &[u32]) -> Vec<f32> {
    let batch = network.pack([sequence]).unwrap();
    network.logits(&batch, &[sequence.len() as u32 - 1], None, &mut Workspace::default()).unwrap()
}

/// Every variant, whatever length the network is made for: a sequence's numbers hang on its own length.
#[test]
fn fields_of_configurations_mean_what_transformers_read() {
    let variants = Variants::read();
    let cases = variants.with("config");
    assert!(cases.len() >= 13);
    for (name, model, config) in cases {
        let config = ModelConfig::from_json(&config.to_string()).unwrap();
        let again = ModelConfig::from_json(&config.to_json().to_string()).unwrap();
        assert_eq!(again, config, "{name}");
        let (weights, expected) = (weights(model), variants.logits(name));
        for positions in [5, 16, 17, 40, 64, 300] {
            let network = network(&config, &weights, positions);
            let rows = variants.sequences().into_iter().zip(&expected).filter(|(row, _)| row.len() <= positions);
            for (sequence, expected) in rows {
                let off = difference(&last_logits(&network, &sequence), expected);
                assert!(off < 2e-5, "{name}, {} tokens, {positions} positions: {off}", sequence.len());
            }
        }
        // All in one pass: those of other lengths change nothing, though they begin alike.
        let longest = variants.sequences().pop().unwrap();
        let (network, short) = (network(&config, &weights, 64), &longest[..9]);
        let alone = last_logits(&network, short);
        let batch = network.pack([longest.as_slice(), short]).unwrap();
        let both = network.logits(&batch, &[39, 48], None, &mut Workspace::default()).unwrap();
        assert!(difference(&both[64..], &alone) < 1e-6, "{name}: a longer sequence beside it changes a short one");
        assert!(difference(&both[..64], &expected[3]) < 2e-5, "{name}");
    }
}

#[test]
fn variants_differ_from_the_plain_model() {
    let variants = Variants::read();
    for (name, model, _) in variants.with("config") {
        let plain = network(&golden(model).config(), &weights(model), 64);
        let longest = variants.sequences().pop().unwrap();
        let off = difference(&last_logits(&plain, &longest), &variants.logits(name)[3]);
        let same = ["window of llama", "no window of mistral", "dynamic"].contains(&name);
        assert_eq!(off < 1e-4, same, "{name}: {off}");
    }
}

/// Token by token over the length at which the long list is taken, as if each were a sequence of its own.
#[test]
fn generation_changes_the_list_where_the_sequence_does() {
    let variants = Variants::read();
    for name in ["longrope", "partial longrope", "longrope of llama"] {
        let (_, model, config) = variants.with("config").into_iter().find(|case| case.0 == name).unwrap();
        let config = ModelConfig::from_json(&config.to_string()).unwrap();
        let network = network(&config, &weights(model), 64);
        let prompts: Vec<Vec<u32>> =
            [9, 12, 15, 16, 17].map(|length| variants.sequences()[3][..length].to_vec()).into();
        let rows: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let mut workspace = Workspace::default();
        let (mut kept, mut logits) = network.begin(&rows, &[], 12, &mut workspace).unwrap();
        let (mut sequences, all) = (prompts.clone(), [0, 1, 2, 3, 4]);
        for step in 0..12 {
            let mut tokens = Vec::new();
            for (sequence, logits) in sequences.iter_mut().zip(logits.chunks(64)) {
                let off = difference(logits, &last_logits(&network, sequence));
                assert!(off < 1e-5, "{name}: step {step}, {} tokens: {off}", sequence.len());
                tokens.push(3 + (step * 7 + sequence.len() as u32) % 60);
                sequence.extend(tokens.last());
            }
            logits = network.next(&mut kept, &all, &tokens, &mut workspace).unwrap();
        }
    }
}

fn write_adapter(folder: &Path, settings: &Value, tensors: &[(String, Vec<usize>, Vec<u8>)]) {
    std::fs::create_dir_all(folder).unwrap();
    let views = tensors
        .iter()
        .map(|(name, shape, data)| (name, TensorView::new(safetensors::Dtype::F32, shape.clone(), data).unwrap()));
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(folder.join(peft::TENSORS), bytes).unwrap();
    std::fs::write(folder.join(peft::SETTINGS), settings.to_string()).unwrap();
}

fn adapter_of(variants: &Variants, name: &str) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let tensors = variants.tensors();
    let own = tensors.tensors().into_iter();
    own.filter_map(|(key, view)| {
        Some((key.strip_prefix(&format!("{name}/"))?.to_owned(), view.shape().to_vec(), view.data().to_vec()))
    })
    .collect()
}

#[test]
fn adapters_that_did_not_begin_at_zero_are_those_of_peft() {
    let variants = Variants::read();
    let cases = variants.with("adapter");
    assert_eq!(cases.len(), 8);
    for (name, model, settings) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_adapter(folder.path(), settings, &adapter_of(&variants, name));
        let (config, weights) = (golden(model).config(), weights(model));
        let mut network = network(&config, &weights, 64);
        let plain = last_logits(&network, &variants.sequences()[0]);
        let warnings = peft::load_beside(&mut network, folder.path(), &weights).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        for (sequence, expected) in variants.sequences().iter().zip(variants.logits(name)) {
            let off = difference(&last_logits(&network, sequence), &expected);
            assert!(off < 2e-5, "{name}: {off}");
        }
        assert!(difference(&plain, &variants.logits(name)[0]) > 1e-3, "{name} changes little");
        // Written again, it is a plain adapter.
        let again = folder.path().join("again");
        peft::save(&network, &again, "", &so8t::train::TrainConfig::default()).unwrap();
        let mut other = self::network(&config, &weights, 64);
        peft::load(&mut other, &again).unwrap();
        assert!(difference(&last_logits(&other, &variants.sequences()[3]), &variants.logits(name)[3]) < 2e-5);
    }
}

/// The plain adapter that PEFT wrote, with settings that say the same in other words, or more.
fn golden_adapter(change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let source: PathBuf = golden("tiny-llama").folder.join("adapter");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(source.join(peft::TENSORS), folder.path().join(peft::TENSORS)).unwrap();
    let mut settings: Value = serde_json::from_slice(&std::fs::read(source.join(peft::SETTINGS)).unwrap()).unwrap();
    change(&mut settings);
    std::fs::write(folder.path().join(peft::SETTINGS), settings.to_string()).unwrap();
    folder
}

fn loaded(folder: &Path) -> so8t::Result<(Vec<f32>, Vec<String>)> {
    let (config, weights) = (golden("tiny-llama").config(), weights("tiny-llama"));
    let mut network = network(&config, &weights, 64);
    let warnings = peft::load_beside(&mut network, folder, &weights)?;
    Ok((last_logits(&network, &[5, 6, 7, 8]), warnings))
}

#[test]
fn what_peft_loads_is_loaded_with_a_warning() {
    let (expected, _) = loaded(golden_adapter(|_| ()).path()).unwrap();
    let all = "q|k|v|o|gate|up|down";
    let cases: Vec<(Value, Option<&str>)> = vec![
        (
            json!({"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "c_attn"]}),
            Some("`c_attn` matches no module"),
        ),
        (json!({"target_modules": format!(r"^(?!.*vision).*\.(?:{all})_proj$")}), None),
        (json!({"target_modules": format!(r"model\.layers\.\d+\.(self_attn|mlp)\.(?P<name>{all})_proj")}), None),
        (json!({"rank_pattern": {"fc1": 2}}), Some("`rank_pattern`: key `fc1` matches no module")),
        (json!({"alpha_pattern": {r"fc\d(?=x)": 2}}), Some("`alpha_pattern`: key")),
        (json!({"exclude_modules": ["vision_tower", "lm_head"]}), None),
        (json!({"exclude_modules": r"(?!model).*"}), None),
        (json!({"layers_to_transform": [0, 1], "layers_pattern": "layers"}), None),
        (json!({"layers_to_transform": [0, 1], "layers_pattern": ["h", "layers"]}), None),
        // What changes nothing.
        (json!({"bias": "all"}), None),
        (json!({"fan_in_fan_out": true}), None),
        (json!({"init_lora_weights": "gaussian"}), None),
        (json!({"init_lora_weights": "eva", "eva_config": {"rho": 2.0}}), None),
        (json!({"init_lora_weights": "orthogonal"}), None),
        (json!({"init_lora_weights": false, "lora_dropout": 0.5, "peft_version": "9.9"}), None),
        (json!({"loftq_config": {"loftq_bits": 4}, "runtime_config": {"ephemeral_gpu_offload": true}}), None),
        (json!({"auto_mapping": {"base_model_class": "X"}, "revision": "main", "a_field_to_come": null}), None),
        (json!({"another_to_come": [], "one_more": {}, "and_one": false, "and_text": ""}), None),
    ];
    for (change, warning) in cases {
        let folder = golden_adapter(|settings| {
            change.as_object().unwrap().iter().for_each(|(name, value)| settings[name] = value.clone());
        });
        let (logits, warnings) = loaded(folder.path()).unwrap_or_else(|e| panic!("{change}: {e}"));
        assert_eq!(logits, expected, "{change}");
        match warning {
            None => assert!(warnings.is_empty(), "{change}: {warnings:?}"),
            Some(text) => assert!(warnings.len() == 1 && warnings[0].contains(text), "{change}: {warnings:?}"),
        }
    }
}

#[test]
fn what_changes_the_function_is_refused_by_name() {
    let cases: Vec<(&str, Value)> = vec![
        ("init_lora_weights", json!("pissa_niter_4")),
        ("init_lora_weights", json!("corda")),
        ("init_lora_weights", json!("loftq")),
        ("init_lora_weights", json!("lora_ga")),
        ("init_lora_weights", json!("of next year")),
        ("init_lora_weights", json!(3)),
        ("alora_invocation_tokens", json!([3, 5])),
        ("modules_to_save", json!(["lm_head"])),
        ("trainable_token_indices", json!([1])),
        ("target_parameters", json!(["x"])),
        ("layer_replication", json!([[0, 1], [0, 2]])),
        ("lora_bias", json!(true)),
        ("use_qalora", json!(true)),
        ("use_bdlora", json!({"nblocks": 2})),
        ("arrow_config", json!({"top_k": 3})),
        ("kasa_config", json!({"beta": 0.1})),
        ("monteclora_config", json!({"num_samples": 8})),
        ("megatron_config", json!({"x": 1})),
        ("task_type", json!("SEQ_CLS")),
        ("a_field_to_come", json!(true)),
        ("a_field_to_come", json!({"x": 1})),
        ("a_field_to_come", json!("x")),
        ("a_field_to_come", json!(0.5)),
        ("use_dora", json!("yes")),
        ("target_modules", json!(["q_proj"])),
        ("target_modules", json!(["no_such"])),
        ("layers_to_transform", json!([0])),
    ];
    for (field, value) in cases {
        let folder = golden_adapter(|settings| settings[field] = value.clone());
        let error = loaded(folder.path()).unwrap_err().to_string();
        let named = if field == "layers_to_transform" { "target_modules" } else { field };
        assert!(error.contains(named) && error.contains("adapter_config.json"), "{field} {value}: {error}");
    }
}

/// Divided by the rank it overflows in single precision, or vanishes.
#[test]
fn an_alpha_beyond_single_precision_is_refused() {
    for alpha in [1e308, 1e40, 1e-50] {
        let folder = golden_adapter(|settings| settings["lora_alpha"] = json!(alpha));
        let error = loaded(folder.path()).unwrap_err().to_string();
        assert!(error.contains("alpha") && error.contains("adapter_config.json"), "{alpha}: {error}");
    }
}

#[test]
fn what_a_folder_is_stands_in_the_message() {
    for (files, parts) in [
        (&[][..], &["found no `adapter_config.json`"][..]),
        (&["config.json"], &["found no `adapter_config.json`"]),
        (&["adapter_config.json", "adapter_model.bin"], &["expected `adapter_model.safetensors`, found none"]),
        (&["adapter_config.json", "adapters.safetensors"], &["expected `adapter_model.safetensors`, found none"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|file| std::fs::write(folder.path().join(file), "{}").unwrap());
        let error = loaded(folder.path()).unwrap_err();
        parts.iter().for_each(|part| assert!(error.to_string().contains(part), "{error}"));
        assert_eq!(error.hint().is_some(), !files.is_empty(), "{error}");
    }
    let folder = golden_adapter(|settings| {
        settings.as_object_mut().unwrap().remove("peft_type");
        settings["fine_tune_type"] = json!("lora");
    });
    let error = loaded(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("`peft_type`") && error.hint().is_some_and(|hint| hint.contains("MLX")),
        "{error}"
    );
    let folder = golden_adapter(|_| ());
    std::fs::write(folder.path().join(peft::TENSORS), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let error = loaded(folder.path()).unwrap_err().to_string();
    assert!(error.contains(peft::TENSORS) && error.contains("Git LFS"), "{error}");
}
