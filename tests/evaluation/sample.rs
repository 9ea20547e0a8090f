//! Made-up evaluations and a made-up report. The numbers stand for nothing.

use serde_json::json;
use so8t::data::{INVALID, LabelSet, Prediction};
use so8t::evaluate::{EvaluatedRow, Evaluation, Options, Random, compare, measure};
use so8t::report::{Report, Run};

use super::counting::Counting;

/// A row of the four decisions with plausible scores.
pub fn row(id: &str, source: &str, group: &str, gold: u8, predicted: u8) -> EvaluatedRow {
    let mut scores = vec![0.1_f32; 4];
    if let Some(score) = scores.get_mut(usize::from(predicted)) {
        *score = 0.7;
    }
    let prediction = Prediction { label: predicted, scores };
    let (id, source, group) = (id.into(), source.into(), group.into());
    EvaluatedRow { id, source, group, gold, prediction, latency_ms: None, request: None }
}

/// `count` rows in three sources, some grouped in pairs, right with probability `skill`, else drawn at random.
pub fn rows(count: usize, skill: f64, seed: u64) -> Vec<EvaluatedRow> {
    let mut golds = Random::new(7, 0);
    let mut random = Random::new(seed, 1);
    let sources = ["en", "日本語の検証データ", "xstest"];
    (0..count)
        .map(|index| {
            let gold = [0, 0, 1, 2, 3, 3][golds.below(6) as usize];
            let source = sources[golds.below(3) as usize];
            let is_right = (random.below(1_000_000) as f64) < skill * 1e6;
            let other = [0, 0, 1, 2, 3, INVALID][random.below(6) as usize];
            let group = if index % 3 == 0 { String::new() } else { format!("pair-{}", index / 2) };
            row(&format!("{source}:{index:04}"), source, &group, gold, if is_right { gold } else { other })
        })
        .collect()
}

/// A whole report over 480 rows, before and after.
pub fn report() -> Report {
    let labels = LabelSet::four_decisions();
    let metric = Counting::new(&labels);
    let options = Options { seed: 42, ..Options::default() };
    let [first, second] = [rows(480, 0.15, 1), rows(480, 0.82, 2)];
    let before = measure(&[&metric], &labels, &first, &options).unwrap();
    let after = measure(&[&metric], &labels, &second, &options).unwrap();
    let comparison = compare(
        &labels,
        Evaluation { rows: &first, measured: &before },
        Evaluation { rows: &second, measured: &after },
    )
    .unwrap();
    let mut random = Random::new(3, 0);
    let loss = |step: u64| {
        let noise = random.below(1000) as f64 / 1000.0 - 0.5;
        (step, 0.08 + 2.1 / (1.0 + step as f64 / 25.0) + 0.25 * noise / (1.0 + step as f64 / 80.0))
    };
    let mut report = Report::new(Run {
        name: "quickstart".into(),
        command: "run".into(),
        created: "2026-01-02T03:04:05Z".into(),
        so8t: "0.1.0".into(),
        seed: 42,
        labels: labels.names.clone(),
        repeat: Vec::new(),
        details: json!({ "model": "examples/quickstart/base", "quantization": "int8" }).as_object().unwrap().clone(),
    });
    report.before = Some(before);
    report.after = Some(after);
    report.comparison = Some(comparison);
    report.loss_curve = (1..=240).map(loss).collect();
    report.training = Some(json!({
        "trainable_parameters": 1_179_648, "total_parameters": 3_856_731_136_u64, "steps": 240, "tokens": 184_320,
        "seconds": 71.25, "tokens_per_second": 2586.9, "final_loss": 0.2731,
    }));
    let class = json!({ "ALLOW": 160, "ESCALATION": 81, "DENY": 79, "REFUSE": 160 });
    report.data = json!({
        "train": class, "eval": class, "groups": [480, 240],
        "duplicates": { "exact": 3, "normalised": 2, "conflicts": 0 },
        "sources": [
            { "name": "en", "use": "both", "files": 1, "records": 512, "accepted": 500, "rejected": 12, "eval": class },
            { "name": "日本語の検証データ", "use": "both", "files": 2, "records": 480, "accepted": 480, "rejected": 0, "eval": class },
        ],
        "warnings": ["not shown here"],
    });
    report.digests = json!({
        "components": { "classification": "0".repeat(64), "jsonl": "1f".repeat(32) },
        "model": { "model.safetensors": "ab".repeat(32) },
        "data": { "データ.jsonl": "cd".repeat(32) },
    });
    report.warn(["source `日本語の検証データ`: 12 of 480 records were rejected"]);
    report.gather_warnings();
    report
}
