//! Parameter counts and targets.

use serde_json::json;
use so8t::model::modules::{linears, lora_parameter_count, matched, parameter_count};
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
fn a_target_that_matches_nothing_lists_what_does() {
    let config = ModelConfig::from_json(PHI).unwrap();
    let message = failure(matched(&config, &targets(&["o_proj", "q_proj"])));
    says(&message, &["target `q_proj`", "`qkv_proj`, `o_proj`, `gate_up_proj`, `down_proj`"]);
    // Not a whole part of a path.
    says(&failure(matched(&config, &targets(&["proj"]))), &["target `proj`"]);
    says(&failure(matched(&config, &targets(&[""]))), &["target ``"]);
    says(&failure(matched(&config, &[])), &["`targets` is empty"]);
    says(&failure(parameters_report(&config, 0, &targets(&["o_proj"]))), &["`rank`", "`0`"]);
}
