//! What leaves so8t with a run: how the model was asked, and a program that decides as the run does with other libraries.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::model::session::Learner;
use super::model::version::Judged;
use crate::Result;
use crate::data::{Example, LabelSet, Request};
use crate::evaluate::EvaluatedRow;
use crate::manifest::{Day, Plan, PredictMode};

/// The program's name in a run's folder.
pub(in crate::pipeline) const FILE: &str = "use_with_peft.py";

/// How many stored decisions the program reproduces.
const STORED: usize = 3;

/// How the model is asked: the system prompt, the user's turn, a prompt around a stand-in for a request as it is rendered, and the tokens of each label.
pub(in crate::pipeline) fn prompt(learner: &Learner, plan: &Plan, labels: &LabelSet) -> Result<Value> {
    let prompter = learner.prompter(plan, labels, plan.predict.max_length)?;
    let tokenizer = &learner.files.tokenizer;
    let spelled = |token: &u32| tokenizer.token_text(*token).unwrap_or_default();
    let request = Request { instruction: "(the request)".into(), input: "".into() };
    let prompt = prompter.prompt_and_truncation(&request)?.0;
    let mut rendered = String::new();
    let mut plain = Vec::new();
    for token in prompt {
        match tokenizer.is_control(token) {
            true => {
                rendered.push_str(&tokenizer.decode(&plain)?);
                plain.clear();
                rendered.push_str(&spelled(&token));
            }
            false => plain.push(token),
        }
    }
    rendered.push_str(&tokenizer.decode(&plain)?);
    let names = labels.names.iter().zip(prompter.labels());
    let tokens: Map<String, Value> =
        names.map(|(name, tokens)| (name.clone(), tokens.iter().map(spelled).collect::<Vec<_>>().into())).collect();
    Ok(json!({
        "system": plan.predict.system_prompt.as_deref().map(str::trim),
        "turn": plan.predict.template,
        "rendered": rendered,
        "label_tokens": tokens,
    }))
}

/// The program that decides as a run does; `None` where the base lies in no files that Transformers reads, or answers are generated.
pub(in crate::pipeline) fn with_peft(
    learner: &Learner,
    plan: &Plan,
    labels: &LabelSet,
    examples: &[Example],
    judged: &Judged,
) -> Result<Option<String>> {
    let Some(folder) = learner.files.folder().filter(|_| plan.predict.mode == PredictMode::Score) else {
        return Ok(None);
    };
    let named = plan.base.as_deref().and_then(|base| base.strip_prefix("hf:"));
    let (base, revision) =
        match named.map(|name| name.split_once('@').map_or((name, None), |(name, at)| (name, Some(at)))) {
            Some((name, revision)) => (name.to_owned(), revision),
            None => {
                let path = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
                (path.display().to_string(), None)
            }
        };
    let prompter = learner.prompter(plan, labels, plan.predict.max_length)?;
    let calibrated = match &judged.calibration {
        Some(calibration) => calibration.apply(labels, &judged.rows)?.into_owned(),
        None => judged.rows.clone(),
    };
    let mut stored = Vec::new();
    for (raw, own) in chosen(&judged.rows, &calibrated) {
        let Some(example) = examples.iter().find(|example| example.id.as_str() == raw.id) else { continue };
        let (tokens, is_cut) = prompter.prompt_and_truncation(&example.request)?;
        if is_cut {
            continue;
        }
        let scores: Map<String, Value> =
            labels.names.iter().zip(&raw.prediction.scores).map(|(name, score)| (name.clone(), json!(score))).collect();
        stored.push(json!({
            "id": raw.id, "instruction": example.request.instruction, "input": example.request.input, "tokens": tokens,
            "decision": labels.name(own.prediction.label), "raw": scores,
        }));
        if stored.len() == STORED {
            break;
        }
    }
    let tokens: Map<String, Value> =
        labels.names.iter().zip(prompter.labels()).map(|(name, tokens)| (name.clone(), json!(tokens))).collect();
    let mut variables = plan.predict.template_variables.clone();
    if let Some(date) = plan.predict.date.as_ref().map(Day::text) {
        variables.insert("date_string".to_owned(), date.into());
    }
    let calibration = judged.calibration.as_ref();
    let thresholds: Map<String, Value> = calibration
        .iter()
        .flat_map(|own| own.thresholds.iter())
        .map(|(name, threshold)| (name.to_owned(), json!(threshold)))
        .collect();
    let settings = json!({
        "base": base,
        "revision": revision,
        "policy": plan.predict.system_prompt.as_deref().map(str::trim).unwrap_or_default(),
        "policy_with_request": prompter.policy_with_request(),
        "turn": plan.predict.template.as_deref().unwrap_or("{instruction}\n{input}"),
        "lead": prompter.lead(),
        "variables": variables,
        "labels": tokens,
        "temperature": calibration.map_or(1.0, |own| own.temperature),
        "thresholds": thresholds,
        "stored": stored,
    });
    Ok(Some(include_str!("use_with_peft.py").replace("@SETTINGS@", &ascii(&settings.to_string()))))
}

/// JSON as a raw string of Python in three quotes can hold it: in ASCII, and without a quote inside a string.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut characters = json.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('"') | None => out.push_str("\\u0022"),
                Some(escaped) => out.extend(['\\', escaped]),
            },
            c if c.is_ascii() => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

/// Rows in an order in which the first differ in their decisions.
fn chosen<'a>(raw: &'a [EvaluatedRow], judged: &'a [EvaluatedRow]) -> Vec<(&'a EvaluatedRow, &'a EvaluatedRow)> {
    let mut seen = BTreeSet::new();
    let (mut first, rest): (Vec<_>, Vec<_>) =
        raw.iter().zip(judged).partition(|(_, own)| seen.insert(own.prediction.label));
    first.extend(rest);
    first
}
