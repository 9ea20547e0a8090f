//! `adapter_config.json`: what each field of PEFT's `LoraConfig` does, and which are read.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::one_name;
use so8t_base::{Error, Result};
use so8t_model::allowed::{Known, Says, check, short};
use so8t_model::modules::Pattern;
use so8t_model::network::AdapterSettings;

/// The fields of PEFT 0.21's `LoraConfig` and of the classes above it.
const FIELDS: Known = &[
    (
        Says::Read,
        &[
            "alpha_pattern",
            "exclude_modules",
            "init_lora_weights",
            "layers_pattern",
            "layers_to_transform",
            "lora_alpha",
            "peft_type",
            "r",
            "rank_pattern",
            "target_modules",
            "use_dora",
            "use_rslora",
        ],
    ),
    // Where the adapter comes from, and how it was trained.
    (
        Says::Nothing,
        &[
            "auto_mapping",
            "base_model_name_or_path",
            "inference_mode",
            "lora_dropout",
            "merge_weights",
            "peft_version",
            "revision",
            "runtime_config",
        ],
    ),
    // Details of ways to begin, of which `init_lora_weights` says whether one was gone.
    (Says::Nothing, &["corda_config", "eva_config", "loftq_config", "lora_ga_config"]),
    // PEFT sets it back for linears of this orientation.
    (Says::Nothing, &["fan_in_fan_out"]),
    // Details of what other fields turn on.
    (Says::Nothing, &["ensure_weight_tying", "megatron_core", "qalora_group_size"]),
    // The models that are read have no biases; one that the file holds is refused as a tensor that no module takes.
    (Says::NothingAt(&["\"none\"", "\"all\"", "\"lora_only\""]), &["bias"]),
    // Other tasks put a head of their own on the model.
    (Says::NothingAt(&["\"CAUSAL_LM\""]), &["task_type"]),
    (
        Says::NothingAt(&[]),
        &[
            // Applies behind some tokens alone.
            "alora_invocation_tokens",
            // Routes between several adapters.
            "arrow_config",
            // Takes the smallest singular values off the base.
            "kasa_config",
            // Puts layers several times.
            "layer_replication",
            // `B` adds a bias.
            "lora_bias",
            "megatron_config",
            // Whole modules of the base are replaced.
            "modules_to_save",
            "monteclora_config",
            "target_parameters",
            // Rows of the embedding are replaced.
            "trainable_token_indices",
            // `A` or `B` hold blocks.
            "use_bdlora",
            // `A` reads sums of inputs.
            "use_qalora",
            "velora_config",
        ],
    ),
];

/// What PEFT takes off the base when it loads an adapter, so that what was trained begins at the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// Nothing: `B` began at 0, or the base was left as it is.
    Plain,
    /// The projection on the first columns of each weight (OLoRA, Büyükakyüz 2024).
    Columns,
    /// The best approximation of each weight (PiSSA, Meng et al. 2024).
    Principal,
}

/// What an `adapter_config.json` says.
pub(super) struct Stated {
    pub settings: AdapterSettings,
    /// Whether `target_modules` is a text and not a list, so that layers are not looked at.
    pub one_target: bool,
    /// Under which names layers are counted; under any where empty.
    pub layers_pattern: Vec<String>,
    pub begun: Begun,
}

/// Reads the settings, and refuses what would change the result and is not implemented here.
pub(super) fn read(value: &Value) -> Result<Stated> {
    let Value::Object(fields) = value else {
        return Err(Error::model(format!("expected a JSON object, found {}", short(value))));
    };
    let expect = |field: &str, expected: &str| {
        Error::model(format!("field `{field}`: expected {expected}, found {}", short(&value[field])))
    };
    if value["peft_type"] != "LORA" {
        let error = expect("peft_type", "`LORA`");
        let is_mlx = ["lora_parameters", "fine_tune_type"].iter().any(|field| fields.contains_key(*field));
        return Err(match is_mlx {
            true => error.with_hint(
                "this is an adapter of MLX, whose tensors are laid out otherwise: convert it to PEFT's format",
            ),
            false => error,
        });
    }
    check(fields, "", &[FIELDS]).map_err(|error| match fields.get("modules_to_save") {
        Some(Value::Array(_)) if error.to_string().contains("modules_to_save") => error.with_hint(
            "merge the adapter into its base with PEFT (`merge_and_unload`), and give the merged model as `base`",
        ),
        _ => error,
    })?;
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
    let one_target = value["target_modules"].is_string();
    let layers = match &value["layers_to_transform"] {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Number(_) => Some(vec![value["layers_to_transform"].clone()]),
        Value::Array(items) => Some(items.clone()),
        _ => return Err(expect("layers_to_transform", "a list of layers")),
    };
    if layers.is_some() && one_target {
        return Err(expect("layers_to_transform", "nothing, since `target_modules` is a text"));
    }
    let layer = |item: &Value| item.as_u64().map(|x| x as usize).ok_or_else(|| expect("layers_to_transform", "layers"));
    let layers = layers.map(|items| items.iter().map(layer).collect::<Result<_>>()).transpose()?;
    let layers_pattern = match &value["layers_pattern"] {
        Value::String(text) if text.is_empty() => Vec::new(),
        Value::String(text) => vec![text.clone()],
        _ => names("layers_pattern")?,
    };
    let flag = |field: &str| match &value[field] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        _ => Err(expect(field, "`true` or `false`")),
    };
    let rank_pattern = pattern(&value["rank_pattern"]).ok_or_else(|| expect("rank_pattern", "ranks by module"))?;
    let alpha_pattern = pattern(&value["alpha_pattern"]).ok_or_else(|| expect("alpha_pattern", "numbers by module"))?;
    let rank = value["r"].as_u64().filter(|&r| r > 0).ok_or_else(|| expect("r", "a whole number above 0"))?;
    let alpha =
        value["lora_alpha"].as_f64().filter(|a| a.is_finite()).ok_or_else(|| expect("lora_alpha", "a number"))?;
    let settings = AdapterSettings {
        rank: rank as usize,
        alpha,
        rank_stabilised: flag("use_rslora")?,
        targets,
        exclude,
        layers,
        rank_pattern,
        alpha_pattern,
        dora: flag("use_dora")?,
        lora_plus_ratio: 1.0,
    };
    Ok(Stated { settings, one_target, layers_pattern, begun: begun(&value["init_lora_weights"])? })
}

/// What `init_lora_weights` means for the base.
fn begun(value: &Value) -> Result<Begun> {
    let name = match value {
        Value::Null | Value::Bool(_) => return Ok(Begun::Plain),
        Value::String(name) => name.to_lowercase(),
        _ => String::new(),
    };
    match name.as_str() {
        "gaussian" | "eva" | "orthogonal" => Ok(Begun::Plain),
        "olora" => Ok(Begun::Columns),
        "pissa" => Ok(Begun::Principal),
        _ => Err(Error::model(format!(
            "field `init_lora_weights`: expected `true`, `false`, `gaussian`, `eva`, `orthogonal`, `olora` or `pissa`, found {}",
            short(value)
        ))
        .with_hint(
            "other ways to begin change the base in a way that the files do not hold; PEFT's `save_pretrained` with \
             `path_initial_model_for_weight_conversion` writes a plain adapter",
        )),
    }
}

fn pattern<V: DeserializeOwned>(value: &Value) -> Option<Pattern<V>> {
    match value {
        Value::Null => Some(Pattern(Vec::new())),
        other => serde_json::from_value(other.clone()).ok(),
    }
}
