//! Parameter counts and targets.

use serde_json::json;
use so8t::model::modules::{Pattern, Selection, linears, lora_parameter_count, matched, parameter_count};
use so8t::model::{ModelConfig, parameters_report};

use super::config::PHI;
use super::small::{self, failure, says};

fn targets(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn phi_numbers() {
    let config = ModelConfig::from_json(PHI).unwrap();
    assert_eq!(parameter_count(&config), 3_821_079_552);
    let report = parameters_report(&config, 64, &targets(&["o_proj", "down_proj"])).unwrap();
    assert_eq!(report["trainable"], 35_651_584);
    assert_eq!(report["total"], 3_856_731_136u64);
    assert_eq!(report["base"], 3_821_079_552u64);
    assert_eq!(report["percent"], 0.9244);
    assert_eq!(
        report["modules"]["o_proj"],
        json!({"count": 32, "inputs": 3072, "outputs": 3072, "parameters": 12_582_912})
    );
    assert!(report.to_string().starts_with(r#"{"trainable":35651584,"total":3856731136,"#));
    let all = matched(&config, &targets(&["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])).unwrap();
    assert_eq!(lora_parameter_count(&all, 64), 100_663_296);
    assert_eq!(all, matched(&config, &targets(&["all-linear"])).unwrap());
}

#[test]
fn llama_modules_in_order() {
    let config = ModelConfig::from_json(&small::config().to_string()).unwrap();
    let modules = linears(&config);
    assert_eq!(modules.len(), 14);
    let names: Vec<&str> = modules[..7].iter().map(|m| m.name).collect();
    assert_eq!(names, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]);
    assert_eq!((modules[1].inputs, modules[1].outputs), (8, 4));
    assert_eq!(modules[13].path, "model.layers.1.mlp.down_proj");
    // A tied head counts once: 267·8 + 2·(8·8 + 2·8·4 + 8·8 + 3·8·12 + 16) + 8.
    assert_eq!(parameter_count(&config), 2136 + 2 * (64 + 64 + 64 + 288 + 16) + 8);
}

#[test]
fn a_target_may_be_a_path() {
    let config = ModelConfig::from_json(&small::config().to_string()).unwrap();
    let paths = |names: &[&str]| -> Vec<String> {
        matched(&config, &targets(names)).unwrap().into_iter().map(|m| m.path).collect()
    };
    assert_eq!(paths(&["layers.1.mlp.up_proj"]), ["model.layers.1.mlp.up_proj"]);
    assert_eq!(paths(&["self_attn.q_proj"]).len(), 2);
    assert_eq!(
        paths(&["o_proj", "q_proj"])[..2],
        ["model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj"]
    );
}

#[test]
fn a_target_may_be_a_regular_expression_and_modules_may_be_left_out() {
    let config = ModelConfig::from_json(&small::config().to_string()).unwrap();
    let (all, expression) = (targets(&["all-linear"]), targets(&[r"re:model\.layers\.\d\.mlp\.(up|gate)_proj"]));
    let count = |selection: Selection<'_>| selection.modules(&config).map(|modules| modules.len());
    assert_eq!(count(Selection { targets: &expression, ..Default::default() }).unwrap(), 4);
    let exclude = targets(&["k_proj", "layers.1.self_attn.o_proj"]);
    assert_eq!(count(Selection { targets: &all, exclude: &exclude, layers: None }).unwrap(), 11);
    assert_eq!(count(Selection { targets: &all, exclude: &exclude, layers: Some(&[1]) }).unwrap(), 5);
    // Whole paths: a part of one is not enough.
    let part = targets(&["re:mlp"]);
    says(&failure(count(Selection { targets: &part, ..Default::default() })), &["target `re:mlp` matches no module"]);
    let none = failure(count(Selection { targets: &all, exclude: &all, layers: None }));
    says(&none, &["no linear is left"]);
}

#[test]
fn names_of_unfused_models_mean_parts_of_fused_linears() {
    let config = ModelConfig::from_json(PHI).unwrap();
    let found = matched(&config, &targets(&["k_proj", "layers.3.mlp.up_proj"])).unwrap();
    assert_eq!(found.len(), 33);
    let key = &found[0];
    assert_eq!((key.path.as_str(), key.outputs), ("model.layers.0.self_attn.k_proj", 3072));
    let fused = key.fused.as_ref().unwrap();
    assert_eq!((fused.path.as_str(), fused.first, fused.outputs), ("model.layers.0.self_attn.qkv_proj", 3072, 9216));
    // The whole says more than a part, and what is left of it without a part is the other parts.
    assert_eq!(matched(&config, &targets(&["qkv_proj", "k_proj"])).unwrap().len(), 32);
    let (all, exclude) = (targets(&["qkv_proj"]), targets(&["q_proj"]));
    let left = Selection { targets: &all, exclude: &exclude, layers: Some(&[5]) }.modules(&config).unwrap();
    assert_eq!(left.iter().map(|module| module.name).collect::<Vec<_>>(), ["k_proj", "v_proj"]);
    let report = parameters_report(&config, 8, &targets(&["k_proj"])).unwrap();
    assert_eq!(report["trainable"], 32 * 8 * (3072 + 3072));
}

#[test]
fn the_first_key_of_a_pattern_decides() {
    let config = ModelConfig::from_json(&small::config().to_string()).unwrap();
    let modules = matched(&config, &targets(&["o_proj", "down_proj"])).unwrap();
    let pattern = |keys: &[(&str, usize)]| Pattern(keys.iter().map(|(key, rank)| (key.to_string(), *rank)).collect());
    let ranks = |keys: &[(&str, usize)]| pattern(keys).values(&modules, "rank_pattern", 8);
    assert_eq!(ranks(&[("layers.1.self_attn.o_proj", 2), ("o_proj", 3)]).unwrap(), [3, 8, 2, 8]);
    assert_eq!(ranks(&[("o_proj", 3), ("layers.1.self_attn.o_proj", 2)]).unwrap(), [3, 8, 3, 8]);
    assert_eq!(ranks(&[(r"layers\.[01]\.mlp\..*", 1)]).unwrap(), [8, 1, 8, 1]);
    // Not at a dot; a module that gets no adapter.
    says(&failure(ranks(&[("proj", 3)])), &["`rank_pattern`: key `proj` matches no module that gets an adapter"]);
    says(&failure(ranks(&[("q_proj", 3)])), &["`rank_pattern`: key `q_proj` matches no module"]);
}

#[test]
fn a_target_that_matches_nothing_lists_what_does() {
    let config = ModelConfig::from_json(PHI).unwrap();
    let message = failure(matched(&config, &targets(&["o_proj", "w_proj"])));
    says(&message, &["target `w_proj`", "`qkv_proj`, `o_proj`, `gate_up_proj`, `down_proj`"]);
    // Not a whole part of a path.
    says(&failure(matched(&config, &targets(&["proj"]))), &["target `proj`"]);
    says(&failure(matched(&config, &targets(&[""]))), &["target ``"]);
    says(&failure(matched(&config, &[])), &["`targets` is empty"]);
    says(&failure(parameters_report(&config, 0, &targets(&["o_proj"]))), &["`rank`", "`0`"]);
}
