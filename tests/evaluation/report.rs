//! `report.json` and the old result file.

use std::fs;

use serde_json::{Value, json};
use so8t::report::{Report, Timestamp, legacy};

use super::sample;

/// The JSON's shape: names and kinds of values, with tables of metrics cut to one entry.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.clone(), shape(value))).collect::<serde_json::Map<_, _>>().into()
        }
        Value::Array(items) => Value::Array(items.iter().take(1).map(shape).collect()),
        Value::Number(number) if number.is_f64() => json!("number"),
        Value::Number(_) => json!("whole"),
        Value::String(_) => json!("text"),
        other => other.clone(),
    }
}

#[test]
fn the_json_has_the_documented_shape() {
    let report = sample::report();
    let value: Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["schema", "run", "before", "after", "comparison", "training", "loss_curve", "data", "digests", "warnings"]
    );
    assert_eq!(value["schema"], "so8t.report/1");
    assert_eq!(
        value["run"],
        json!({
            "name": "quickstart", "command": "run", "created": "2026-01-02T03:04:05Z", "so8t": "0.1.0", "seed": 42,
            "labels": ["ALLOW", "ESCALATION", "DENY", "REFUSE"],
            "model": "examples/quickstart/base", "quantization": "int8",
        })
    );
    let measurement = json!({ "value": "number", "n": "whole", "low": "number", "high": "number" });
    for part in ["before", "after"] {
        let part = shape(&value[part]);
        assert_eq!(part.as_object().unwrap().keys().collect::<Vec<_>>(), ["metrics", "sources"]);
        assert_eq!(part["metrics"]["classification.f1_macro"], measurement);
        assert_eq!(part["metrics"]["classification.support_allow"], json!({ "value": "number", "n": "whole" }));
        let source = &part["sources"]["日本語の検証データ"];
        assert_eq!(source.as_object().unwrap().keys().collect::<Vec<_>>(), ["metrics"]);
        assert_eq!(source["metrics"]["classification.f1_macro"], measurement);
    }
    let comparison = shape(&value["comparison"]);
    let difference = json!({ "delta": "number", "low": "number", "high": "number", "better": "text" });
    assert_eq!(
        comparison.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["metrics", "sources", "mcnemar", "flips", "flip_counts", "resamples"]
    );
    assert_eq!(comparison["metrics"]["classification.f1_macro"], difference);
    assert_eq!(comparison["sources"]["en"]["metrics"]["classification.f1_macro"], difference);
    assert_eq!(
        comparison["mcnemar"],
        json!({ "right_before_only": "whole", "right_after_only": "whole", "p_value": "number" })
    );
    assert_eq!(
        comparison["flips"],
        json!([{ "id": "text", "source": "text", "gold": "text", "before": "text", "after": "text", "change": "text" }])
    );
    assert_eq!(value["comparison"]["flips"][0]["change"], "worsened");
    let counts = &comparison["flip_counts"];
    assert_eq!(
        counts.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["class", "source", "language", "category", "length"]
    );
    assert_eq!(counts["class"]["REFUSE"], json!({ "worsened": "whole", "sideways": "whole", "improved": "whole" }));
    assert_eq!(shape(&value["loss_curve"]), json!([["whole"]]));
}

#[test]
fn parts_that_a_command_lacks_are_absent() {
    let mut report = sample::report();
    (report.after, report.comparison, report.training) = (None, None, None);
    report.loss_curve.clear();
    let value: Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["schema", "run", "before", "data", "digests", "warnings"]);
}

#[test]
fn a_report_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let report = sample::report();
    report.write_json(&path).unwrap();
    let read = Report::read(&path).unwrap();
    assert_eq!(read.to_json().unwrap(), report.to_json().unwrap());
    assert_eq!(so8t::report::html::page(&read), so8t::report::html::page(&report));
    for (from, to, expected) in [
        ("so8t.report/1", "so8t.report/9", "expected schema `so8t.report/1`, found `so8t.report/9`"),
        ("\"seed\": 42", "\"seed\": \"x\"", "expected a report: "),
    ] {
        fs::write(&path, report.to_json().unwrap().replace(from, to)).unwrap();
        let error = Report::read(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn warnings_are_gathered_once() {
    let mut report = sample::report();
    let count = report.warnings.len();
    report.gather_warnings();
    report.warn(["source `日本語の検証データ`: 12 of 480 records were rejected"]);
    assert_eq!(report.warnings.len(), count);
    report.before.as_mut().unwrap().warnings.push("new".into());
    report.gather_warnings();
    assert_eq!(report.warnings.last().map(String::as_str), Some("before: new"));
    for part in [&mut report.before, &mut report.after] {
        part.as_mut().unwrap().warnings.push("shared".into());
    }
    report.gather_warnings();
    assert_eq!(report.warnings.len(), count + 2);
    assert_eq!(report.warnings.last().map(String::as_str), Some("shared"));
}

#[test]
fn the_old_file_has_the_old_names() {
    let report = sample::report();
    let folder = tempfile::tempdir().unwrap();
    let created = Timestamp { seconds: 1_709_164_799 };
    let measured = report.after.as_ref().unwrap();
    let path = legacy::write(folder.path(), created, &report.run.labels, measured).unwrap();
    assert_eq!(path.file_name().unwrap(), "evaluation_20240228_235959.json");
    let value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "accuracy",
            "f1_macro",
            "f1_allow",
            "f1_escalation",
            "f1_deny",
            "f1_refuse",
            "false_positive_rate",
            "confusion_matrix",
            "classification_report",
        ]
    );
    let own = |name: &str| json!(measured.metrics.get(&format!("classification.{name}")).unwrap().value);
    assert_eq!(value["false_positive_rate"], own("unsafe_pass_rate"));
    assert_eq!(value["f1_refuse"], own("f1_refuse"));
    let cells = value["confusion_matrix"].as_array().unwrap();
    assert_eq!(cells.len(), 4);
    assert_eq!(cells[3][0].as_f64().unwrap(), own("confusion.REFUSE.ALLOW").as_f64().unwrap());
    assert_eq!(value["classification_report"]["DENY"]["recall"], own("recall_deny"));
    assert_eq!(value["classification_report"]["DENY"]["support"].as_f64(), own("support_deny").as_f64());
}

#[test]
fn what_is_not_defined_is_null_in_the_old_file() {
    let empty = so8t::evaluate::Measured::default();
    let value = legacy::result(&["ALLOW".to_owned()], &empty);
    assert_eq!(value["accuracy"], Value::Null);
    assert_eq!(value["false_positive_rate"], Value::Null);
    assert_eq!(value["confusion_matrix"], json!([[null]]));
}

#[test]
fn timestamps_follow_the_calendar() {
    for (seconds, iso) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_251_200, "2024-03-01T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (1_767_225_599, "2025-12-31T23:59:59Z"),
    ] {
        assert_eq!(Timestamp { seconds }.iso(), iso);
    }
    assert_eq!(Timestamp { seconds: 1_767_225_599 }.compact(), "20251231_235959");
}
