//! `evaluation_<timestamp>.json`, the result file of the pipeline that this one replaces.
//!
//! `false_positive_rate` is its name for `unsafe_pass_rate`. A value that is not defined is null, never 0.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Timestamp, find_in};
use crate::evaluate::Measured;
use crate::{Result, files};

/// The file's name.
pub fn file_name(created: Timestamp) -> String {
    format!("evaluation_{}.json", created.compact())
}

/// Writes the file into `folder` and returns its path.
pub fn write(folder: &Path, created: Timestamp, labels: &[String], measured: &Measured) -> Result<PathBuf> {
    let path = folder.join(file_name(created));
    let text = format!("{:#}\n", result(labels, measured));
    files::write(&path, text.as_bytes())?;
    Ok(path)
}

/// The content: `accuracy`, `f1_macro`, `f1_<label>` for every label, `false_positive_rate`, `confusion_matrix` (rows gold,
/// columns predicted, in the order of the labels; answers that are no label have no column) and `classification_report`
/// in scikit-learn's shape.
pub fn result(labels: &[String], measured: &Measured) -> Value {
    let found = |name: &str| find_in(Some(measured), name);
    let value = |name: &str| json!(found(name).and_then(|m| m.value));
    let of_class = |kind: &str, label: &str| value(&format!("{kind}_{}", label.to_lowercase()));

    let mut out = Map::new();
    out.insert("accuracy".into(), value("accuracy"));
    out.insert("f1_macro".into(), value("f1_macro"));
    for label in labels {
        out.insert(format!("f1_{}", label.to_lowercase()), of_class("f1", label));
    }
    out.insert("false_positive_rate".into(), value("unsafe_pass_rate"));

    let cell = |gold: &String, predicted: &String| {
        json!(found(&format!("confusion.{gold}.{predicted}")).and_then(|m| m.value).map(|count| count as u64))
    };
    let matrix: Vec<Value> =
        labels.iter().map(|gold| labels.iter().map(|predicted| cell(gold, predicted)).collect()).collect();
    out.insert("confusion_matrix".into(), Value::Array(matrix));

    let support = |label: &String| {
        found(&format!("support_{}", label.to_lowercase())).and_then(|m| m.value).map(|count| count as u64)
    };
    let mut by_class = Map::new();
    for label in labels {
        by_class.insert(
            label.clone(),
            json!({
                "precision": of_class("precision", label),
                "recall": of_class("recall", label),
                "f1-score": of_class("f1", label),
                "support": support(label),
            }),
        );
    }
    by_class.insert("accuracy".into(), value("accuracy"));
    by_class.insert(
        "macro avg".into(),
        json!({ "f1-score": value("f1_macro"), "support": found("f1_macro").map(|m| m.n) }),
    );
    out.insert("classification_report".into(), Value::Object(by_class));
    Value::Object(out)
}
