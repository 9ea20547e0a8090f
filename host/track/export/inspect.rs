//! A log of Inspect (`inspect view` shows it), format version 2 as JSON.

use serde_json::{Value as Json, json};
use so8t_base::Result;

use super::{About, File, created, json as bytes, model_name};
use crate::finished::{FinishedRun, Row};

pub(super) fn files(run: &FinishedRun, rows: &[Row], about: &About) -> Result<(Vec<File>, Vec<String>)> {
    let model = model_name(run, about);
    let values = run.latest_values();
    let metrics: serde_json::Map<String, Json> = values
        .iter()
        .map(|value| {
            let metadata = json!({
                "n": value.n, "low": value.interval.map(|ends| ends.0), "high": value.interval.map(|ends| ends.1), "method": value.method, "few": value.few,
            });
            (value.metric.clone(), json!({ "name": value.metric, "value": value.value, "params": {}, "metadata": metadata }))
        })
        .collect();
    let samples: Vec<Json> = rows.iter().map(|row| sample(run, row, &model)).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let log = json!({
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": &run.digest[..22], "run_id": &run.digest[..22], "created": offset(created(run)),
            "task": run.name, "task_id": &run.digest[..22], "task_version": 0,
            "dataset": { "name": run.name, "samples": rows.len(), "sample_ids": ids, "shuffled": false },
            "model": model, "config": { "epochs": 1 },
            "packages": { "so8t": run.report["run"]["so8t"] },
            "metadata": { "run_sha256": run.digest, "verdict": run.verdict().name(), "base": run.base() },
            "scorers": [{ "name": "decision" }],
        },
        "plan": { "name": "plan", "steps": [{ "solver": "label_score", "params": {} }], "config": {} },
        "results": {
            "total_samples": rows.len(), "completed_samples": rows.len(),
            "scores": [{
                "name": "decision", "scorer": "decision", "scored_samples": rows.len(), "unscored_samples": 0, "params": {}, "metrics": metrics,
            }],
        },
        "stats": { "started_at": offset(created(run)), "completed_at": offset(created(run)), "model_usage": {} },
        "samples": samples,
    });
    let stamp = created(run).replace(':', "-").replace('Z', "+00-00");
    Ok((vec![(format!("{stamp}_{}_{}.json", clean(&run.name), &run.digest[..22]), bytes(&log)?)], Vec::new()))
}

fn sample(run: &FinishedRun, row: &Row, model: &str) -> Json {
    let input = row.text.clone().unwrap_or_else(|| "[the request is not part of this export]".to_owned());
    let scores: serde_json::Map<String, Json> =
        run.labels().into_iter().zip(row.scores.iter().map(|score| Json::from(*score))).collect();
    let message = json!({ "role": "assistant", "content": row.decision, "source": "generate" });
    json!({
        "id": row.id, "epoch": 1, "input": input, "target": row.gold, "choices": run.labels(),
        "messages": [{ "role": "user", "content": input }, message],
        "output": { "model": model, "choices": [{ "message": message, "stop_reason": "stop" }] },
        "scores": { "decision": { "value": if row.gold == row.decision { "C" } else { "I" }, "answer": row.decision, "metadata": scores } },
        "metadata": { "source": row.source }, "store": {}, "events": [], "model_usage": {}, "attachments": {},
    })
}

/// Inspect writes times with an offset.
fn offset(iso: &str) -> String {
    iso.replace('Z', "+00:00")
}

fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect()
}
