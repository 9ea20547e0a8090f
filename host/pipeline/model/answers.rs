//! The second way to decide: an answer is generated, written down, and read.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use crate::data::{Example, INVALID, LabelSet, Prediction};
use crate::evaluate::{EvaluatedRow, Metric as _};
use crate::kernels::backend::Backend;
use crate::manifest::{Plan, PredictMode, PredictTable};
use crate::model::TextTokenizer;
use crate::model::network::Network;
use crate::pipeline::plugins::Plugins;
use crate::pipeline::report::metrics::metrics_of;
use crate::predict::{self, Generation, Prompter};
use crate::{Error, Result, files};

/// The file of generated answers, JSON lines of `id` and `answer`, in the run's folder.
pub(in crate::pipeline) fn file(moment: &str) -> String {
    format!("answers_{moment}.jsonl")
}

/// The text of an answer to every prompt.
pub(in crate::pipeline) fn generate<B: Backend>(
    network: &Network<B>,
    prompts: &[Vec<u32>],
    prompter: &Prompter,
    tokenizer: &TextTokenizer,
    predict: &PredictTable,
    progress: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<String>> {
    let generation = Generation { max_new_tokens: predict.max_new_tokens, batch_tokens: predict.batch };
    predict::generate(network, prompts, prompter.beginning(), prompter.end(), &prompter.ends(), generation, progress)?
        .iter()
        .map(|tokens| tokenizer.decode(tokens))
        .collect()
}

/// The decision of every answer.
pub(in crate::pipeline) fn decide(answers: &[String], labels: &LabelSet) -> Vec<Prediction> {
    answers
        .iter()
        .map(|answer| {
            let label = predict::decide(answer, labels);
            let score = |id: u8| if id == label && label != INVALID { 1.0 } else { 0.0 };
            Prediction { label, scores: (0..labels.len() as u8).map(score).collect() }
        })
        .collect()
}

/// What is wrong with stored decisions that were read from stored answers: a row whose answer decides otherwise, or that has
/// none.
pub(in crate::pipeline) fn fault(path: &Path, rows: &[EvaluatedRow], labels: &LabelSet) -> Result<Option<String>> {
    let text = files::read_text(path)?;
    let parse = |line: &str| -> Option<(String, u8)> {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        Some((value["id"].as_str()?.to_owned(), predict::decide(value["answer"].as_str()?, labels)))
    };
    let Some(decided) = text.lines().map(parse).collect::<Option<HashMap<String, u8>>>() else {
        return Ok(Some("holds a line that is no answer".to_owned()));
    };
    let other = rows.iter().find(|row| decided.get(&row.id) != Some(&row.prediction.label));
    Ok(other.map(|row| format!("does not decide `{}` as the predictions say", row.id)))
}

/// Writes the answers, whole or not at all.
pub(in crate::pipeline) fn write(path: &Path, examples: &[Example], answers: &[String]) -> Result<()> {
    files::write_with(path, |file| {
        for (example, answer) in examples.iter().zip(answers) {
            writeln!(file, "{}", json!({"id": example.id, "answer": answer}))?;
        }
        Ok(())
    })
}

/// Refuses metrics that read probabilities where answers are generated, which have none.
pub(in crate::pipeline) fn check_metrics(plan: &Plan, plugins: &Plugins, labels: &LabelSet) -> Result<()> {
    if plan.predict.mode == PredictMode::Score {
        return Ok(());
    }
    for metric in metrics_of(plan, plugins, labels)? {
        if metric.open()?.wants().scores {
            return Err(Error::manifest(format!(
                "metric `{}` reads probabilities, which generated answers do not have: expected metrics of decisions alone",
                metric.name()
            ))
            .with_hint("leave it out of `[evaluate] metrics`, or use `[predict] mode = \"score\"`"));
        }
    }
    Ok(())
}
