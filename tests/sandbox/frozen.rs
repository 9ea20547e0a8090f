//! Components of interface `0.1.0` as they were built when it was new: every later host must load and run them, with the same
//! results to the last bit. `tests/guests/frozen/README.md` says where they come from.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use so8t::data::{ConvertedBatch, ExampleColumns, Texts};
use so8t::evaluate::{Measure, MetricBatch, MetricValue};
use so8t::plugin::{ComponentSource, Host, Plugin, PluginKind, PluginSpec};

use super::labels;

/// The components, and what they are.
const FROZEN: [(&str, PluginKind); 3] =
    [("converter", PluginKind::Converter), ("mapper", PluginKind::LabelMapper), ("metric", PluginKind::Metric)];

/// The digest of a component, as `sha256sum` wrote it when the component was frozen.
fn digest(name: &str) -> String {
    let text = std::fs::read_to_string(folder().join("DIGESTS.sha256")).unwrap();
    let line = text.lines().find(|line| line.ends_with(&format!("  {name}.wasm"))).unwrap();
    line[..64].to_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/frozen")
}

fn load(name: &str, config: Value) -> (Plugin, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("frozen");
    let host = Host::new(Some(&cache)).unwrap().with_log(move |line| kept.lock().unwrap().push(line.to_string()));
    let (_, kind) = FROZEN.into_iter().find(|own| own.0 == name).unwrap();
    let path = folder().join(format!("{name}.wasm"));
    let spec = PluginSpec { config, sha256: Some(digest(name)), ..PluginSpec::new(name, ComponentSource::Path(path)) };
    let plugin = host.load(&spec).unwrap();
    assert_eq!((plugin.kind(), plugin.version()), (kind, "0.1.0"));
    (plugin, lines)
}

#[test]
fn the_frozen_components_are_those_of_old() {
    for (name, _) in FROZEN {
        let found = so8t::files::sha256_file(&folder().join(format!("{name}.wasm"))).unwrap();
        assert_eq!(found, digest(name), "{name}: a frozen component is never built again");
    }
}

#[test]
fn the_frozen_components_run_as_ever() {
    let found = json!({ "converter": converter(), "mapper": mapper(), "metric": metric() });
    let expected = std::fs::read(folder().join("results.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    if found != expected {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("frozen-results.json");
        std::fs::write(&path, format!("{found:#}\n")).unwrap();
        panic!("the results differ: those found are in {}", path.display());
    }
}

fn texts(column: &Texts) -> Value {
    match column.is_lacking() {
        true => Value::Null,
        false => (0..column.rows()).map(|row| column.get(row).unwrap()).collect(),
    }
}

fn columns(columns: &ExampleColumns) -> Value {
    let ExampleColumns { id, instruction, input, output, label, group, extra_json } = columns;
    json!({
        "id": texts(id), "instruction": texts(instruction), "input": texts(input), "output": texts(output),
        "label": texts(label), "group": texts(group), "extra_json": texts(extra_json),
    })
}

const CONFIG: &str = r#"{"id": "name", "instruction": "question", "input": "context", "output": ["answer", "reply"], "label": "verdict", "group": "thread.0"}"#;

/// Every column, numbers and nested fields among the others, and all that is refused of a record.
const SOURCE: &str = concat!(
    "{\"name\": \"a1\", \"question\": \"How tall is Mt. Fuji?\", \"context\": \"A mountain\", \"answer\": \"3776 m\", ",
    "\"verdict\": \"ALLOW\", \"thread\": [\"t1\"], \"lang\": \"en\", \"n\": [1, 2.5, null, true]}\n",
    "{\"name\": \"a2\", \"question\": \"富士山の高さは？\", \"reply\": \"\\ud83d\\uddfb\", \"verdict\": 3, \"thread\": [\"t1\"]}\r\n",
    "\n",
    "{\"question\": \"No label\", \"category\": \"odd\"}\n",
    "{\"name\": \"a4\", \"question\": \"\"}\n",
    "{\"name\": \"a5\", \"context\": \"no question\"}\n",
    "{\"name\": \"a6\", \"question\": \"cut",
);

fn converter() -> Value {
    let (plugin, lines) = load("converter", serde_json::from_str(CONFIG).unwrap());
    let mut converter = plugin.open_converter().unwrap();
    let shown = |batch: ConvertedBatch| {
        let rejected: Vec<Value> = batch.rejected.iter().map(|r| json!([r.line, r.reason])).collect();
        json!({ "examples": columns(&batch.examples), "lines": batch.lines, "rejected": rejected })
    };
    let bytes = [SOURCE.as_bytes(), b"\xff\xfe\"}\n"].concat();
    let (first, second) = bytes.split_at(300);
    let batches = [converter.push(first).unwrap(), converter.push(second).unwrap(), converter.finish().unwrap()];
    json!({
        "batches": batches.map(shown),
        "log": *lines.lock().unwrap(),
        "schema": plugin.metadata().config_schema,
        "licence": plugin.metadata().licence,
        "refused": load("converter", json!({ "nonsense": 1 })).0.open_converter().err().unwrap().to_string(),
    })
}

fn mapper() -> Value {
    let config = json!({
        "labels": ["GREEN", "AMBER", "RED"],
        "severity": [0, 5, 9],
        "rules": [
            { "column": "label", "equals": ["ok", 0], "label": "GREEN" },
            { "column": "extra.score", "min": 0.8, "label": "RED" },
            { "column": ["id", "input"], "prefix": "x", "label": "AMBER" },
            { "column": "output", "contains": "NEVER", "ignore_case": true, "exclude": "not of this study" },
            { "column": "group", "missing": true, "exclude": "without a group" },
        ],
    });
    let (plugin, lines) = load("mapper", config);
    let mut mapper = plugin.open_mapper().unwrap();
    let column = |rows: [&str; 6]| -> Texts { rows.into_iter().collect() };
    let rows = ExampleColumns {
        id: column(["1", "2", "x3", "4", "5", "6"]),
        instruction: column(["a", "b", "c", "d", "e", "あ"]),
        input: column(["", "", "xyz", "", "", ""]),
        output: column(["", "", "", "it is Never so", "", ""]),
        label: column(["ok", "bad", "bad", "bad", "", "bad"]),
        group: column(["g", "g", "g", "g", "", "g"]),
        extra_json: column(["", "{\"score\": 0.9}", "{}", "{\"score\": 0.1}", "", "{\"score\": \"high\"}"]),
    };
    let decisions: Vec<Value> = mapper
        .assign(&rows)
        .unwrap()
        .into_iter()
        .map(|decision| match decision {
            Ok(id) => json!(id),
            Err(reason) => json!(reason),
        })
        .collect();
    json!({
        "names": mapper.labels().names, "severity": mapper.labels().severity, "decisions": decisions, "log": *lines.lock().unwrap(),
        "refused": load("mapper", json!({ "rules": [{ "column": "label" }] })).0.open_mapper().err().unwrap().to_string(),
    })
}

fn values(values: Vec<MetricValue>) -> Value {
    // As bits: the same to the last one.
    let bits = |value: Option<f64>| value.map(|value| format!("{:016x}", value.to_bits()));
    values.into_iter().map(|own| json!([own.name, bits(own.value), own.value, own.support])).collect()
}

fn metric() -> Value {
    let (plugin, lines) = load("metric", json!({ "word": "山" }));
    let open = || plugin.open_metric(&labels()).unwrap().grant_texts();
    let rows = |first: usize| MetricBatch {
        gold: vec![0, 1, 2, 3, 0],
        predicted: vec![0, 1, 2, 0, 254],
        scores: (0..20).map(|i| ((first + 7 * i) % 11) as f32 / 13.0).collect(),
        weights: vec![1, 2, 0, 3, 1],
        groups: vec![4, 4, 7, 1, 0],
        texts: ["山", "富士山", "海", "川と山", ""].into_iter().collect(),
    };
    let mut measurement = open();
    let information: Vec<Value> = measurement
        .metrics()
        .iter()
        .map(|info| json!([info.name, format!("{:?}", info.direction), info.low, info.high]))
        .collect();
    let wants = measurement.wants();
    let empty = values(measurement.finalize().unwrap());
    measurement.update(&rows(0)).unwrap();
    let state = measurement.state().unwrap();
    let mut other = open();
    other.update(&rows(3)).unwrap();
    other.merge(&state).unwrap();
    let hexadecimal: String = state.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut wrong = rows(0);
    wrong.scores[0] = 2.0;
    json!({
        "information": information,
        "wants": [wants.scores, wants.weights, wants.groups, wants.texts],
        "empty": empty,
        "one": values(measurement.finalize().unwrap()),
        "state": hexadecimal,
        "merged": values(other.finalize().unwrap()),
        "log": *lines.lock().unwrap(),
        "refused": [
            load("metric", json!({ "word": "" })).0.open_metric(&labels()).err().unwrap().to_string(),
            open().update(&wrong).unwrap_err().to_string(),
            open().merge(b"no state").unwrap_err().to_string(),
        ],
    })
}
