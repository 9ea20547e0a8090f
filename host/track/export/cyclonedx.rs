//! An ML-BOM, CycloneDX 1.7: the model, what it was made of, and how well it does, with intervals.

use serde_json::{Value as Json, json};

use super::{About, created, model_name, uuid};
use crate::finished::FinishedRun;

pub(super) fn bom(run: &FinishedRun, about: &About) -> Json {
    let model = model_name(run, about);
    let (group, name) = model.split_once('/').unwrap_or(("so8t", &model));
    let version = run.report["run"]["so8t"].as_str().unwrap_or("unknown");
    let data: Vec<(String, &crate::finished::Entry)> = run
        .entries
        .iter()
        .filter(|entry| entry.kind == "data")
        .map(|entry| (format!("data:{}:{}", entry.name, entry.path), entry))
        .collect();
    let base: Vec<(String, &crate::finished::Entry)> = run
        .entries
        .iter()
        .filter(|entry| entry.kind == "model")
        .map(|entry| (format!("base:{}", entry.path), entry))
        .collect();
    let plugins: Vec<(String, &crate::finished::Entry)> = run
        .entries
        .iter()
        .filter(|entry| entry.kind == "component")
        .map(|entry| (format!("plugin:{}", entry.name), entry))
        .collect();

    let hashes = |digest: &str| json!([{ "alg": "SHA-256", "content": digest }]);
    let mut components: Vec<Json> = Vec::new();
    for (reference, entry) in &data {
        components.push(json!({
            "type": "data", "bom-ref": reference, "name": entry.path, "hashes": hashes(&entry.sha256),
            "data": [{ "type": "dataset", "name": entry.name }],
        }));
    }
    for (reference, entry) in &base {
        components
            .push(json!({ "type": "file", "bom-ref": reference, "name": entry.path, "hashes": hashes(&entry.sha256) }));
    }
    for (reference, entry) in &plugins {
        components.push(
            json!({ "type": "library", "bom-ref": reference, "name": entry.name, "hashes": hashes(&entry.sha256) }),
        );
    }
    for name in run.trained_files() {
        components.push(json!({ "type": "file", "bom-ref": format!("trained:{name}"), "name": name, "hashes": hashes(&run.files[name]) }));
    }
    let parts: Vec<Json> = components.iter().map(|component| component["bom-ref"].clone()).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": format!("urn:uuid:{}", uuid(&run.digest)),
        "version": 1,
        "metadata": {
            "timestamp": created(run),
            "tools": { "components": [{ "type": "application", "name": "so8t", "version": version }] },
            "component": {
                "type": "machine-learning-model", "bom-ref": "model", "group": group, "name": name, "version": &run.digest[..12],
                "modelCard": card(run, &data),
                "properties": [
                    { "name": "so8t:run_sha256", "value": run.digest },
                    { "name": "so8t:verdict", "value": run.verdict().name() },
                    { "name": "so8t:base", "value": run.base() },
                ],
            },
        },
        "components": components,
        "dependencies": [{ "ref": "model", "dependsOn": parts }],
    })
}

fn card(run: &FinishedRun, data: &[(String, &crate::finished::Entry)]) -> Json {
    let metric = |value: crate::finished::Value| {
        let mut own = json!({ "type": value.metric, "value": value.value.to_string() });
        if let Some(source) = value.source {
            own["slice"] = source.into();
        }
        if let Some((low, high)) = value.interval {
            own["confidenceInterval"] = json!({ "lowerBound": low.to_string(), "upperBound": high.to_string() });
        }
        own
    };
    let latest = run.latest();
    let metrics: Vec<Json> = run.values().into_iter().filter(|value| value.moment == latest).map(metric).collect();
    let datasets: Vec<Json> = data.iter().map(|(reference, _)| json!({ "ref": reference })).collect();
    let mut limits: Vec<Json> = run.report["warnings"].as_array().cloned().unwrap_or_default();
    limits.push("Nothing was measured of requests unlike those of the datasets".into());
    json!({
        "modelParameters": {
            "approach": { "type": "supervised" },
            "task": "text-classification",
            "datasets": datasets,
            "inputs": [{ "format": "text" }],
            "outputs": [{ "format": run.labels().join(", ") }],
        },
        "quantitativeAnalysis": { "performanceMetrics": metrics },
        "considerations": { "technicalLimitations": limits },
    })
}
