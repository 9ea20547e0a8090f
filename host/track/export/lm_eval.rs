//! The files of lm-evaluation-harness: `results_TIME.json`, and `samples_TASK_TIME.jsonl`.

use serde_json::{Value as Json, json};
use so8t_base::{Error, Result, files as base};

use super::{About, File, created, higher_is_better, json as bytes, model_name};
use crate::finished::{FinishedRun, Row, Value};

pub(super) fn files(run: &FinishedRun, rows: &[Row], about: &About) -> Result<(Vec<File>, Vec<String>)> {
    let model = model_name(run, about);
    let task = task(&run.name);
    let stamp = created(run).replace(':', "-").replace('Z', ".000000");
    let mut results = serde_json::Map::from_iter([(task.clone(), values(&task, &run.latest_values()))]);
    let mut samples =
        serde_json::Map::from_iter([(task.clone(), json!({ "original": rows.len(), "effective": rows.len() }))]);
    let mut configs = serde_json::Map::from_iter([(task.clone(), config(run, &task, None))]);
    let mut higher = serde_json::Map::new();
    let mut directions = serde_json::Map::new();
    for value in run.latest_values() {
        if let Some(better) = higher_is_better(run, &value.metric) {
            directions.insert(value.metric, better.into());
        }
    }
    higher.insert(task.clone(), directions.clone().into());
    let all = run.values();
    let mut sources: Vec<&String> = all.iter().filter_map(|value| value.source.as_ref()).collect();
    sources.sort();
    sources.dedup();
    for source in sources {
        let name = format!("{task}_{}", self::task(source));
        let own: Vec<Value> = all
            .iter()
            .filter(|value| value.moment == run.latest() && value.source.as_ref() == Some(source))
            .cloned()
            .collect();
        let count = rows.iter().filter(|row| row.source == *source).count();
        results.insert(name.clone(), values(&name, &own));
        samples.insert(name.clone(), json!({ "original": count, "effective": count }));
        configs.insert(name.clone(), config(run, &name, Some(source)));
        higher.insert(name, directions.clone().into());
    }
    let versions: serde_json::Map<String, Json> = results.keys().map(|name| (name.clone(), 0.into())).collect();
    let shots: serde_json::Map<String, Json> = versions.clone();
    let report = json!({
        "results": results,
        "group_subtasks": versions.keys().map(|name| (name.clone(), json!([]))).collect::<serde_json::Map<_, _>>(),
        "configs": configs,
        "versions": versions,
        "n-shot": shots,
        "higher_is_better": higher,
        "n-samples": samples,
        "config": { "model": "so8t", "model_args": format!("pretrained={model}"), "batch_size": 1, "limit": null, "random_seed": run.report["run"]["seed"] },
        "git_hash": null,
        "date": run.ended as f64 / 1000.0,
        "model_source": "so8t",
        "model_name": model,
        "model_name_sanitized": model.replace('/', "__"),
        "lm_eval_version": "0.4.9",
        "so8t": { "run_sha256": run.digest, "verdict": run.verdict().name(), "version": run.report["run"]["so8t"] },
        "total_evaluation_time_seconds": "0",
    });
    let folder = model.replace('/', "__");
    let mut out = vec![(format!("{folder}/results_{stamp}.json"), bytes(&report)?)];
    if !rows.is_empty() {
        let mut text = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            text.extend(serde_json::to_vec(&sample(run, index, row)).map_err(|e| Error::internal(e.to_string()))?);
            text.push(b'\n');
        }
        out.push((format!("{folder}/samples_{task}_{stamp}.jsonl"), text));
    }
    Ok((out, Vec::new()))
}

/// `metric,none` and, where there is an interval, a quarter of its width as the standard error.
fn values(task: &str, values: &[Value]) -> Json {
    let mut out = serde_json::Map::from_iter([("alias".to_owned(), Json::from(task))]);
    for value in values {
        out.insert(format!("{},none", value.metric), value.value.into());
        let error = value.interval.map(|(low, high)| (high - low) / (2.0 * 1.959_963_984_540_054));
        out.insert(format!("{}_stderr,none", value.metric), error.map_or_else(|| "N/A".into(), Json::from));
    }
    out.into()
}

fn config(run: &FinishedRun, task: &str, source: Option<&str>) -> Json {
    json!({
        "task": task, "dataset_path": source.unwrap_or(&run.name), "output_type": "multiple_choice", "doc_to_choice": run.labels(),
        "num_fewshot": 0, "metric_list": [], "metadata": { "version": 0 },
    })
}

fn sample(run: &FinishedRun, index: usize, row: &Row) -> Json {
    let labels = run.labels();
    let scores: Vec<Json> =
        row.scores.iter().map(|score| json!([f64::from(*score).ln().max(-1e30), "False"])).collect();
    let doc = json!({ "id": row.id, "source": row.source, "text": row.text, "label": row.gold });
    let hash = base::sha256(doc.to_string().as_bytes());
    json!({
        "doc_id": index,
        "doc": doc,
        "target": row.gold,
        "arguments": labels.iter().map(|label| json!([row.text.clone().unwrap_or_default(), label])).collect::<Vec<_>>(),
        "resps": scores.iter().map(|score| json!([score])).collect::<Vec<_>>(),
        "filtered_resps": scores,
        "filter": "none",
        "metrics": ["classification.accuracy"],
        "doc_hash": hash, "prompt_hash": row.request.clone().unwrap_or_else(|| hash.clone()), "target_hash": base::sha256(row.gold.as_bytes()),
        "classification.accuracy": if row.gold == row.decision { 1.0 } else { 0.0 },
    })
}

fn task(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect()
}
