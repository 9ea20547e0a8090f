//! `so8t train MANIFEST --plan`: from a model's `config.json` alone.

use std::path::Path;

use serde_json::Value;

use super::{outcome, so8t, write};

/// A manifest over Phi-3.5-mini, of which there is nothing but the configuration.
fn manifest(folder: &Path, train: &str) {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model/phi-3.5-mini-config.json");
    std::fs::create_dir_all(folder.join("phi")).unwrap();
    std::fs::copy(config, folder.join("phi/config.json")).unwrap();
    write(folder, "data.jsonl", "{\"instruction\":\"a\",\"label\":\"ALLOW\"}\n");
    let text = format!(
        "[run]\nname = \"planned\"\n[model]\nbase = \"phi\"\n[[data]]\nname = \"d\"\npath = \"data.jsonl\"\nconverter = \"jsonl\"\n\
         mapper = \"four-class\"\n[train]\nrank = 16\nbatch = 4\nmax_length = 512\n{train}"
    );
    write(folder, "so8t.toml", &text);
}

fn planned(folder: &Path, arguments: &[&str]) -> Value {
    let all = [&["train", "so8t.toml", "--plan", "--json"], arguments].concat();
    let (stdout, stderr, code) = outcome(&so8t(folder, &all));
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).expect(&stdout)
}

#[test]
fn memory_and_speed_are_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    manifest(folder, "");
    let plan = planned(folder, &["--card", "RTX 3060"]);
    assert_eq!(plan["schema"], "so8t.forecast/1");
    let forecast = &plan["plan"]["forecast"];
    let parts: u64 = forecast["parts"].as_array().unwrap().iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
    assert_eq!(Some(parts), forecast["step"].as_u64());
    assert_eq!(forecast["tokens"], 4 * 512);
    assert!(plan["tokens_per_second"].as_f64().unwrap() > 0.0);
    assert!(plan["basis"].as_str().unwrap().contains("no run on a card was measured"));
    assert_eq!(plan["fits"], plan["peak_bytes"].as_u64() <= plan["card_bytes"].as_u64());
    // Twice the speed, half the time.
    let speed = |tflops: &str| planned(folder, &["--memory-gb", "6", "--tflops", tflops])["tokens_per_second"].as_f64();
    assert!((speed("20").unwrap() / speed("10").unwrap() - 2.0).abs() < 1e-9);

    let (table, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--plan", "--card", "h100"]));
    assert_eq!(code, 0, "{stderr}");
    for expected in ["weights of linears", "the optimiser's moments", "predicted peak", "h100: fits", "tokens a second"]
    {
        assert!(table.contains(expected), "{expected}: {table}");
    }
    assert!(!folder.join("runs").exists(), "nothing is written");
}

#[test]
fn a_budget_decides_how_many_layers_are_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let layers = |train: &str| {
        manifest(folder, train);
        let plan = planned(folder, &["--card", "a100-80"]);
        let forecast = plan["plan"]["forecast"].clone();
        (forecast["recomputed_layers"].as_u64().unwrap(), forecast["peak"].as_u64().unwrap())
    };
    let (none, most) = layers("recompute = false");
    let (all, least) = layers("recompute = true");
    assert!(none == 0 && all == 32 && least < most, "{least} {most}");
    let between = u64::midpoint(least, most) >> 20;
    let (some, peak) = layers(&format!("recompute = \"auto\"\nmemory_mb = {between}"));
    assert!((1..32).contains(&some) && peak <= between << 20, "{some} layers, {peak} bytes of {between} MB");
    manifest(folder, &format!("recompute = \"auto\"\nmemory_mb = {}", (least >> 20) - 1));
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--plan"]));
    assert!(code == 1 && stderr.contains("`train.memory_mb`: training takes at least"), "{stderr}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    manifest(folder, "");
    let check = |arguments: &[&str], expected: &str| {
        let (_, stderr, code) = outcome(&so8t(folder, &[&["train", "so8t.toml"], arguments].concat()));
        assert!(code == 1 && stderr.contains(expected), "{stderr}");
    };
    check(&["--plan", "--card", "rtx-9000"], "expected one of `rtx-3060`");
    check(&["--plan", "--length", "513"], "`--length`: expected 2 to `max_length` (512), found `513`");
    check(&["--plan", "--memory-gb", "6"], "--tflops");
    check(&["--card", "h100"], "--plan");
}
