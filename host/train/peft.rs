//! Adapters as PEFT's files: `adapter_model.safetensors` and `adapter_config.json`.

use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use super::adapter_file::AdapterFile;
use super::config::TrainConfig;
use super::gate_files;
use super::pieces::write_pieces;
use super::random::Random;
use so8t_base::{Error, Result, files};
use so8t_kernels::backend::Backend;
use so8t_model::modules::linears;
use so8t_model::network::{AdapterSettings, Network, is_gate};
use so8t_model::{ModelConfig, Precision, Weights};

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
/// Errors: settings of a kind of LoRA that is not implemented; tensors that the settings do not speak of; a tensor that is missing, has another
/// shape or type, holds a number that is not finite, or that no module takes; an adapter that did not begin at 0 (see [`load_beside`]).
pub fn load<B: Backend>(network: &mut Network<B>, folder: &Path) -> Result<()> {
    put_on(network, AdapterFile::read(folder, network.config(), None)?, folder)
}

/// As [`load`], with the weights of the network's base, which an adapter needs that began with a part of them (PiSSA, OLoRA). Returns what the user
/// should know.
pub fn load_beside<B: Backend>(network: &mut Network<B>, folder: &Path, base: &Weights) -> Result<Vec<String>> {
    let mut file = AdapterFile::read(folder, network.config(), Some(base))?;
    let warnings = std::mem::take(&mut file.warnings);
    put_on(network, file, folder)?;
    Ok(warnings)
}

fn put_on<B: Backend>(network: &mut Network<B>, file: AdapterFile, folder: &Path) -> Result<()> {
    let AdapterFile { settings, mut tensors, .. } = file;
    network.attach(settings, |name, _| {
        tensors.remove(name).ok_or_else(|| Error::internal(format!("tensor `{name}` was not read")))
    })?;
    gate_files::load(network, folder).inspect_err(|_| network.detach())
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
