//! Adapters as PEFT's files: `adapter_model.safetensors` and `adapter_config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::config::{TrainConfig, one_name};
use super::gate_files;
use super::pieces::write_pieces;
use super::random::Random;
use so8t_base::{Error, Result, files};
use so8t_kernels::backend::Backend;
use so8t_model::modules::{Pattern, linears, matched};
use so8t_model::network::{AdapterSettings, Network, is_gate};
use so8t_model::{ModelConfig, Precision};

/// The file of tensors.
pub const TENSORS: &str = "adapter_model.safetensors";
/// The file of settings.
pub const SETTINGS: &str = "adapter_config.json";

/// Puts fresh adapters on a network: `A` uniform in ±1/√inputs (PEFT's Kaiming-uniform with a = √5), `B` 0, and DoRA's
/// magnitudes the norms of the base's rows, so that the network's output is that of its base. The same seed gives the same adapters.
pub fn attach_fresh<B: Backend>(network: &mut Network<B>, settings: AdapterSettings, seed: u64) -> Result<()> {
    network.attach_reset(settings, |name, shape| {
        let count = shape.iter().product();
        if !name.ends_with("lora_A.weight") {
            return Ok(vec![0.0; count]);
        }
        let bound = 1.0 / (shape[1] as f32).sqrt();
        let mut random = Random::new(seed, name);
        Ok((0..count).map(|_| bound * (2.0 * random.uniform() - 1.0)).collect())
    })
}

/// Writes the network's adapters in f32, and its rotation gates beside them ([`gate_files`]); `base` is what `base_model_name_or_path` names (null where it is empty), `config` that
/// of the training.
///
/// Errors: a network without adapters; an adapter that is not finite.
pub fn save<B: Backend>(network: &Network<B>, folder: &Path, base: &str, config: &TrainConfig) -> Result<()> {
    let settings = network.adapters().ok_or_else(|| Error::internal("there are no adapters to save"))?;
    let settings = settings_json(network.config(), settings, base, config.dropout)?;
    write_pieces(network, &folder.join(TENSORS), "pt", Precision::F32, "adapters", |name| !is_gate(name))?;
    gate_files::save(network, folder)?;
    files::write(&folder.join(SETTINGS), format!("{settings:#}\n").as_bytes())
}

fn settings_json(config: &ModelConfig, settings: &AdapterSettings, base: &str, dropout: f32) -> Result<Value> {
    // As PEFT knows the model's linears.
    let settings = &settings.stored(config)?;
    let modules = settings.modules(config)?;
    let mut names: Vec<&str> = modules.iter().map(|adapted| adapted.module.name).collect();
    names.sort_unstable();
    names.dedup();
    // PEFT reads `all-linear` only as a string of its own; names are understood everywhere, unless they say too much.
    let meant = linears(config).iter().filter(|module| names.contains(&module.name)).count();
    let target_modules: Vec<&str> = match meant == modules.len() {
        true => names,
        false => modules.iter().map(|adapted| adapted.module.path.as_str()).collect(),
    };
    let dropout = dropout.to_string().parse::<f64>().unwrap_or(f64::from(dropout));
    let number = |x: f64| if x.fract() == 0.0 { json!(x as i64) } else { json!(x) };
    let alphas: serde_json::Map<String, Value> =
        settings.alpha_pattern.0.iter().map(|(key, alpha)| (key.clone(), number(*alpha))).collect();
    Ok(json!({
        "alpha_pattern": alphas,
        "auto_mapping": null,
        "base_model_name_or_path": if base.is_empty() { Value::Null } else { base.into() },
        "bias": "none",
        "exclude_modules": null,
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": null,
        "lora_alpha": number(settings.alpha),
        "lora_dropout": dropout,
        "modules_to_save": null,
        "peft_type": "LORA",
        "peft_version": "0.17.0",
        "r": settings.rank,
        "rank_pattern": settings.rank_pattern,
        "revision": null,
        "target_modules": target_modules,
        "task_type": "CAUSAL_LM",
        "use_dora": settings.dora,
        "use_rslora": settings.rank_stabilised,
    }))
}

/// Puts the adapters of a folder on a network, and the rotation gates beside them, in place of those that it carries.
///
/// Errors: settings of a kind of LoRA that is not implemented; a target that matches no module; a tensor that is missing, has another
/// shape or type, holds a number that is not finite, or that no module takes.
pub fn load<B: Backend>(network: &mut Network<B>, folder: &Path) -> Result<()> {
    let (settings, mut tensors) = read(folder, network.config())?;
    network.attach(settings, |name, _| {
        tensors.remove(name).ok_or_else(|| Error::internal(format!("tensor `{name}` was not read")))
    })?;
    gate_files::load(network, folder).inspect_err(|_| network.detach())
}

/// The settings and the tensors of an adapter's folder, held against a model.
///
/// Errors: those of [`load`].
pub(super) fn read(folder: &Path, config: &ModelConfig) -> Result<(AdapterSettings, BTreeMap<String, Vec<f32>>)> {
    let path = folder.join(SETTINGS);
    let text = files::read_text(&path)?;
    let named = |e: Error| e.context(format!("`{}`", path.display()));
    let value = serde_json::from_str(&text).map_err(|e| named(Error::model(format!("not valid JSON: {e}"))))?;
    let mut settings = read_settings(&value).map_err(named)?;
    // A file may except what is no linear of a layer, an output head for example.
    settings.exclude.retain(|name| matched(config, std::slice::from_ref(name)).is_ok());
    let modules = settings.modules(config).map_err(named)?;
    // A file speaks of the model's own linears.
    if let Some(part) = modules.iter().map(|adapted| &adapted.module).find(|module| module.fused.is_some()) {
        let (name, (_, whole)) = (part.name, part.stored());
        return Err(named(Error::model(format!(
            "target `{name}` matches no module of this model, which has `{whole}`"
        ))));
    }

    let path = folder.join(TENSORS);
    let bytes = files::read(&path)?;
    let named = |e: Error| e.context(format!("`{}`", path.display()));
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| named(Error::model(e.to_string())))?;
    let mut out = BTreeMap::new();
    for adapted in &modules {
        for (name, shape) in adapted.tensors(settings.dora) {
            let values = read_tensor(&tensors, &name, &shape).map_err(named)?;
            out.insert(name, values);
        }
    }
    let mut names: Vec<&str> = tensors.names();
    names.sort_unstable();
    if let Some(name) = names.into_iter().find(|name| !out.contains_key(*name)) {
        return Err(named(Error::model(format!("no module of this model takes the tensor `{name}`"))));
    }
    Ok((settings, out))
}

pub(super) fn read_tensor(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let tensor = tensors.tensor(name).map_err(|_| Error::model(format!("tensor `{name}` is missing")))?;
    if tensor.shape() != shape {
        let found = tensor.shape();
        return Err(Error::model(format!("tensor `{name}`: expected shape {shape:?}, found {found:?}")));
    }
    let data = tensor.data();
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => data.as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => data.as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => {
            return Err(Error::model(format!("tensor `{name}`: expected `F32`, `F16` or `BF16`, found `{other:?}`")));
        }
    };
    match values.iter().find(|x| !x.is_finite()) {
        Some(found) => Err(Error::model(format!("tensor `{name}`: holds `{found}`, not a finite number"))),
        None => Ok(values),
    }
}

/// Refuses what would change the result and is not implemented here.
fn read_settings(value: &Value) -> Result<AdapterSettings> {
    let expect = |field: &str, expected: &str| {
        Error::model(format!("field `{field}`: expected {expected}, found `{}`", value[field]))
    };
    let empty = |field: &str| match &value[field] {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        other => other == &Value::Bool(false) || other == &json!("none") || other == &json!(0),
    };
    if value["peft_type"] != "LORA" {
        return Err(expect("peft_type", "`LORA`"));
    }
    let unsupported = [
        "bias",
        "fan_in_fan_out",
        "layers_pattern",
        "lora_bias",
        "modules_to_save",
        "target_parameters",
        "trainable_token_indices",
    ];
    if let Some(field) = unsupported.into_iter().find(|field| !empty(field)) {
        return Err(expect(field, "nothing: that kind of LoRA is not implemented"));
    }
    let names = |field: &str| -> Result<Vec<String>> {
        match &value[field] {
            Value::Null => Ok(Vec::new()),
            Value::String(text) => Ok(vec![one_name(text.clone())]),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(String::from).ok_or_else(|| expect(field, "a list of names")))
                .collect(),
            _ => Err(expect(field, "a list of names, `all-linear` or a regular expression")),
        }
    };
    let (targets, exclude) = (names("target_modules")?, names("exclude_modules")?);
    if targets.is_empty() {
        return Err(expect("target_modules", "a list of names, `all-linear` or a regular expression"));
    }
    let layers = match &value["layers_to_transform"] {
        Value::Null => None,
        Value::Number(_) => Some(vec![value["layers_to_transform"].clone()]),
        Value::Array(items) => Some(items.clone()),
        _ => return Err(expect("layers_to_transform", "a list of layers")),
    };
    let layer = |item: &Value| item.as_u64().map(|x| x as usize).ok_or_else(|| expect("layers_to_transform", "layers"));
    let layers = layers.map(|items| items.iter().map(layer).collect::<Result<_>>()).transpose()?;
    let rank_pattern = pattern(&value["rank_pattern"]).ok_or_else(|| expect("rank_pattern", "ranks by module"))?;
    let alpha_pattern = pattern(&value["alpha_pattern"]).ok_or_else(|| expect("alpha_pattern", "numbers by module"))?;
    let dora = value["use_dora"].as_bool().unwrap_or(false);
    let rank = value["r"].as_u64().filter(|&r| r > 0).ok_or_else(|| expect("r", "a whole number above 0"))?;
    let alpha =
        value["lora_alpha"].as_f64().filter(|a| a.is_finite()).ok_or_else(|| expect("lora_alpha", "a number"))?;
    let rank_stabilised = value["use_rslora"].as_bool().unwrap_or(false);
    let rank = rank as usize;
    Ok(AdapterSettings {
        rank,
        alpha,
        rank_stabilised,
        targets,
        exclude,
        layers,
        rank_pattern,
        alpha_pattern,
        dora,
        lora_plus_ratio: 1.0,
    })
}

fn pattern<V: DeserializeOwned>(value: &Value) -> Option<Pattern<V>> {
    match value {
        Value::Null => Some(Pattern(Vec::new())),
        other => serde_json::from_value(other.clone()).ok(),
    }
}
