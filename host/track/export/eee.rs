//! Every Eval Ever, schema 0.3.0: the values with their intervals, and one record a row.

use serde_json::{Value as Json, json};
use so8t_base::{Error, Result, files as base};

use super::{About, File, created, higher_is_better, json as bytes, model_name, uuid};
use crate::finished::{FinishedRun, Row};

pub(super) fn files(run: &FinishedRun, rows: &[Row], about: &About) -> Result<(Vec<File>, Vec<String>)> {
    let model = model_name(run, about);
    let name = uuid(&run.digest);
    let seconds = (run.ended / 1000).to_string();
    let evaluation = format!("{}/{model}/{seconds}", run.name);
    let folder = format!("data/{}/{}", clean(&run.name), clean_model(&model));
    let resamples = run.manifest.get("evaluate").and_then(|table| table.get("resamples")?.as_integer()).unwrap_or(1000);

    let (mut results, mut left_out) = (Vec::new(), Vec::new());
    for value in run.values().into_iter().filter(|value| value.moment == run.latest()) {
        let Some(higher) = higher_is_better(run, &value.metric) else {
            if value.source.is_none() {
                left_out.push(value.metric.clone());
            }
            continue;
        };
        let source = value.source.clone().unwrap_or_else(|| "all".to_owned());
        let mut score = json!({ "score": value.value, "details": { "n": value.n.to_string() } });
        if let Some((low, high)) = value.interval {
            let method = value.method.clone().unwrap_or_else(|| "unknown".to_owned());
            let mut uncertainty = json!({
                "confidence_interval": { "lower": low, "upper": high, "confidence_level": 0.95, "method": method },
                "num_samples": value.n,
            });
            if method.contains("bootstrap") {
                uncertainty["num_bootstrap_samples"] = resamples.into();
            }
            score["uncertainty"] = uncertainty;
        }
        if value.few {
            score["details"]["few"] = "it rests on too few rows to be believed".into();
        }
        results.push(json!({
            "evaluation_result_id": format!("{name}:{source}:{}", value.metric),
            "evaluation_name": format!("{}/{source}", run.name),
            "source_data": source_data(run, value.source.as_deref()),
            "evaluation_timestamp": created(run),
            "metric_config": {
                "metric_id": value.metric, "metric_name": value.metric, "lower_is_better": !higher,
            },
            "score_details": score,
        }));
    }
    if results.is_empty() {
        return Err(Error::data(format!(
            "run `{}` does not say of any value whether more of it is better, as Every Eval Ever asks: expected a run that compares before and after",
            run.name
        ))
        .with_hint("`so8t run` with `[train]` compares; `so8t compare` does so for two runs"));
    }
    let samples: Vec<Json> = rows.iter().map(|row| sample(run, row, &evaluation, &model)).collect();
    let mut text = Vec::new();
    for sample in &samples {
        text.extend(serde_json::to_vec(sample).map_err(|e| Error::internal(e.to_string()))?);
        text.push(b'\n');
    }
    let path = format!("{folder}/{name}_samples.jsonl");
    let mut log = json!({
        "schema_version": "0.3.0",
        "evaluation_id": evaluation,
        "evaluation_timestamp": created(run),
        "retrieved_timestamp": seconds,
        "source_metadata": {
            "source_name": run.name,
            "source_type": "evaluation_run",
            "source_organization_name": model.split('/').next().unwrap_or_default(),
            "evaluator_relationship": "first_party",
            "additional_details": { "run_sha256": run.digest, "verdict": run.verdict().name() },
        },
        "model_info": {
            "name": model.rsplit('/').next().unwrap_or_default(),
            "id": model,
            "developer": model.split('/').next().unwrap_or_default(),
            "inference_engine": { "name": "so8t", "version": version(run) },
            "additional_details": {
                "deployment_type": "self_deployed", "model_availability": "unknown", "base_model": run.base(),
            },
        },
        "eval_library": { "name": "so8t", "version": version(run) },
        "evaluation_results": results,
    });
    let mut out = Vec::new();
    if !samples.is_empty() {
        log["detailed_evaluation_results"] = json!({
            "format": "jsonl", "file_path": path, "hash_algorithm": "sha256", "checksum": base::sha256(&text), "total_rows": samples.len(),
        });
        out.push((path, text));
    }
    out.insert(0, (format!("{folder}/{name}.json"), bytes(&log)?));
    let notes = match left_out.as_slice() {
        [] => Vec::new(),
        names => {
            let more = names.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let first = names[..names.len().min(3)].join("`, `");
            vec![format!("left out, since the run does not say whether more of it is better: `{first}`{more}")]
        }
    };
    Ok((out, notes))
}

fn version(run: &FinishedRun) -> &str {
    run.report["run"]["so8t"].as_str().unwrap_or("unknown")
}

/// Where the rows came from: the files with their digests.
fn source_data(run: &FinishedRun, source: Option<&str>) -> Json {
    let mut details = serde_json::Map::new();
    for entry in run.entries.iter().filter(|entry| entry.kind == "data" && source.is_none_or(|name| entry.name == name))
    {
        details.insert(format!("sha256 of {}", entry.path), entry.sha256.clone().into());
    }
    if let Some(digest) = run.files.get("evaluation.jsonl") {
        details.insert("sha256 of the evaluation part".to_owned(), digest.clone().into());
    }
    json!({ "dataset_name": source.unwrap_or(&run.name), "source_type": "other", "additional_details": details })
}

fn sample(run: &FinishedRun, row: &Row, evaluation: &str, model: &str) -> Json {
    let is_correct = row.gold == row.decision;
    let scores: serde_json::Map<String, Json> = run
        .labels()
        .into_iter()
        .zip(&row.scores)
        .map(|(label, score)| (format!("probability of {label}"), score.to_string().into()))
        .collect();
    let raw = row.text.clone().unwrap_or_else(|| "[the request is not part of this export]".to_owned());
    let hash = row.request.clone().unwrap_or_else(|| base::sha256(row.id.as_bytes()));
    json!({
        "schema_version": "0.3.0",
        "evaluation_id": evaluation,
        "model_id": model,
        "evaluation_name": format!("{}/{}", run.name, "all"),
        "sample_id": row.id,
        "sample_hash": hash,
        "interaction_type": "single_turn",
        "input": { "raw": raw, "reference": [row.gold], "choices": run.labels() },
        "output": { "raw": [row.decision] },
        "answer_attribution": [{
            "turn_idx": 0, "source": "output.raw", "extracted_value": row.decision, "extraction_method": "label_score", "is_terminal": true,
        }],
        "evaluation": { "score": if is_correct { 1.0 } else { 0.0 }, "is_correct": is_correct },
        "metadata": scores,
    })
}

/// A name as a part of a path.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' }).collect()
}

/// `ORGANISATION/NAME` as two folders.
fn clean_model(model: &str) -> String {
    let (organisation, name) = model.split_once('/').unwrap_or(("so8t", model));
    format!("{}/{}", clean(organisation), clean(name))
}
