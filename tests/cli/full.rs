//! `[train] method = "full"` end to end: the quick start's model gets better, the run holds a model, and `verify` predicts with it again.

use std::path::Path;

use serde_json::Value;

use super::{outcome, so8t, write};

fn manifest(folder: &Path, model: &str, train: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    let text = format!(
        "[run]\nname = \"full\"\nseed = 8\n[model]\nbase = {:?}\n{model}\n[[data]]\nname = \"requests\"\npath = {:?}\n\
         converter = \"jsonl\"\nmapper = \"four-class\"\ngroup = \"group\"\n[split]\neval = 0.4\n[evaluate]\nresamples = 20\n\
         [predict]\nsystem_prompt = \"Judge the request.\"\nmax_length = 256\n[train]\nmax_length = 256\n{train}",
        root.join("model"),
        root.join("data/four_class_requests.jsonl")
    );
    write(folder, "so8t.toml", &text);
}

const MODEL: &str = "quantization = \"none\"";
const TRAIN: &str = "method = \"full\"\nlearning_rate = 2e-4\nepochs = 4\nbatch = 16\n";

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

#[test]
fn all_weights_are_trained_evaluated_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let validation = "[train.validation]\nshare = 0.25\n[[train.validation.guards]]\n\
                      metric = \"classification.unsafe_pass_rate\"\nmax_rise = 0.5\n";
    manifest(folder, MODEL, &format!("{TRAIN}{validation}"));
    let (_, stderr, code) = outcome(&so8t(folder, &["run", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("train    the model after step "), "{stderr}");
    let run = folder.join("run");
    let report = json(&run.join("report.json"));
    let f1 = |moment: &str| report[moment]["metrics"]["classification.f1_macro"]["value"].as_f64().unwrap();
    assert!(f1("after") >= f1("before") + 0.1, "from {} to {}", f1("before"), f1("after"));
    let training = &report["training"];
    assert_eq!(training["method"], "full");
    assert_eq!(training["trainable_parameters"], training["total_parameters"]);
    assert!(report["digests"]["trained_model"].is_string() && report["digests"]["adapter"].is_null());
    assert!(!run.join("adapter").exists() && !run.join("checkpoint").exists());

    // A model like any other, which predicts what the report says.
    let model = format!("base = {:?}\n{MODEL}", run.join("trained_model"));
    let text = std::fs::read_to_string(folder.join("so8t.toml")).unwrap();
    let base = text.lines().find(|line| line.starts_with("base = ")).unwrap();
    let data_only = text.split("[train]").next().unwrap().replace(&format!("{base}\n{MODEL}"), &model);
    std::fs::create_dir(folder.join("again")).unwrap();
    write(&folder.join("again"), "so8t.toml", &data_only);
    let (_, stderr, code) = outcome(&so8t(&folder.join("again"), &["eval", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 0, "{stderr}");
    let again = json(&folder.join("again/run/report.json"));
    let accuracy = |report: &Value, moment: &str| report[moment]["metrics"]["classification.accuracy"]["value"].clone();
    assert_eq!(accuracy(&again, "before"), accuracy(&report, "after"));

    let (stdout, stderr, code) = outcome(&so8t(folder, &["verify", "run", "--predictions", "--json"]));
    assert_eq!(code, 0, "{stderr} {stdout}");
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(found["predictions"]["predictions_after.parquet"]["largest_difference"], 0.0, "{found}");
    let (_, stderr, _) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "run"]));
    assert!(stderr.contains("trained before"), "{stderr}");

    // The base of a training is never what it replaces.
    let (text, base) = (std::fs::read_to_string(folder.join("so8t.toml")).unwrap(), base.to_owned());
    write(folder, "so8t.toml", &text.replace(&base, &format!("base = {:?}", run.join("trained_model"))));
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "run"]));
    assert!(code == 1 && stderr.contains("which this training would replace"), "{stderr}");
    assert!(run.join("trained_model/model.safetensors").is_file());
    // Another method in the same folder leaves nothing of the first.
    write(folder, "so8t.toml", &text.replace("method = \"full\"", "rank = 2").replace("epochs = 4", "epochs = 1"));
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(run.join("adapter").is_dir() && !run.join("trained_model").exists());
}

#[test]
fn nothing_better_than_the_base_keeps_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let validation = "[train.validation]\nshare = 0.25\nfallback = \"base\"\n[[train.validation.guards]]\n\
                      metric = \"classification.accuracy\"\nmax = 0.0\n";
    manifest(folder, MODEL, &format!("{}{validation}", TRAIN.replace("epochs = 4", "epochs = 1")));
    let (_, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--out", "run"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("warning: no model keeps to the guards"), "{stderr}");
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/model");
    let [base, kept] = [base, folder.join("run/trained_model")].map(|path| so8t::model::open_weights(&path).unwrap());
    for name in ["model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight", "model.norm.weight"] {
        assert!(base.load_f32(name).unwrap() == kept.load_f32(name).unwrap(), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let check = |model: &str, train: &str, line: usize, expected: &str| {
        manifest(folder, model, &format!("{TRAIN}{train}"));
        for command in ["train", "prepare"] {
            let (_, stderr, code) = outcome(&so8t(folder, &[command, "so8t.toml", "--out", "run"]));
            assert!(code == 1 && stderr.contains(expected), "{model} {train}: {stderr}");
            assert!(stderr.contains(&format!("so8t.toml:{line}:")), "{model} {train}: {stderr}");
        }
    };
    for (key, value) in [
        ("rank", "16"),
        ("alpha", "8"),
        ("targets", "[\"o_proj\"]"),
        ("use_dora", "false"),
        ("dropout", "0.0"),
        ("so8", "{}"),
        ("rank_pattern", "{}"),
    ] {
        check(
            MODEL,
            &format!("{key} = {value}"),
            26,
            &format!("`train.{key}` is of adapters: expected it to be left out"),
        );
    }
    let quantised =
        "expected `[model] quantization = \"none\"`, since `method = \"full\"` trains weights in f32, found";
    for kind in ["int8", "nf4"] {
        check(&format!("quantization = \"{kind}\""), "", 6, &format!("`model.quantization`: {quantised} `{kind}`"));
    }
    check("", "", 22, &format!("`train.method`: {quantised} `int8`"));
    check(&format!("{MODEL}\nembeddings = \"bf16\""), "", 7, "`model.embeddings`: expected `f32` or nothing");
}

#[test]
fn its_memory_is_planned() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    manifest(folder, MODEL, TRAIN);
    let (table, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--plan"]));
    assert_eq!(code, 0, "{stderr}");
    for expected in ["all weights trained", "the gradients of all weights", "the last good weights", "predicted peak"] {
        assert!(table.contains(expected), "{expected}: {table}");
    }
    let (stdout, stderr, code) = outcome(&so8t(folder, &["train", "so8t.toml", "--plan", "--json"]));
    assert_eq!(code, 0, "{stderr}");
    let plan = serde_json::from_str::<Value>(&stdout).unwrap();
    assert_eq!((&plan["plan"]["method"], &plan["plan"]["rank"]), (&"full".into(), &Value::Null));
}
