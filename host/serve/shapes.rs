//! What clients send and get, each shape a pair: from JSON to requests, and from answers to JSON.

use serde_json::{Map, Value, json};

use crate::answer::{Answer, by_label, numbers};
use crate::engine::{About, Ask};
use crate::failure::Failure;
use crate::options::Options;

type Read<T> = std::result::Result<T, Failure>;

/// What a body asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) asks: Vec<Ask>,
    pub(crate) subject: Option<String>,
    /// Whether there was a list of requests, rather than one.
    pub(crate) is_batch: bool,
    pub(crate) logprobs: bool,
    pub(crate) top_logprobs: usize,
    pub(crate) stream: bool,
}

fn object(value: &Value) -> Read<&Map<String, Value>> {
    value.as_object().ok_or_else(|| Failure::body("expected a JSON object"))
}

/// A text that is not empty, without what a prompt drops at its ends.
fn text(value: &Value, name: &str) -> Read<String> {
    match value.as_str() {
        Some(text) if !text.trim().is_empty() => Ok(text.to_owned()),
        Some(_) => Err(Failure::body(format!("`{name}`: expected a text that is not empty"))),
        None => Err(Failure::body(format!("`{name}`: expected a text"))),
    }
}

fn ask(text: String) -> Ask {
    Ask { instruction: text, input: String::new() }
}

/// Refuses keys that this server does not know; their names are not repeated, since they are text of the request.
fn only(fields: &Map<String, Value>, known: &[&str]) -> Read<()> {
    match fields.keys().all(|key| known.contains(&key.as_str())) {
        true => Ok(()),
        false => Err(Failure::body(format!("expected no other keys than `{}`", known.join("`, `")))),
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Read<bool> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(Failure::body(format!("`{name}`: expected true or false"))),
    }
}

/// A name of a model is for clients' bookkeeping; it must be a text.
fn model(fields: &Map<String, Value>) -> Read<()> {
    match fields.get("model") {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(_) => Err(Failure::body("`model`: expected a text")),
    }
}

fn own(fields: &Map<String, Value>) -> Read<Ask> {
    let instruction = text(fields.get("instruction").unwrap_or(&Value::Null), "instruction")?;
    let input = match fields.get("input") {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(_) => return Err(Failure::body("`input`: expected a text")),
    };
    Ok(Ask { instruction, input })
}

/// `/v1/decisions` and `/think`.
pub(crate) fn read_decisions(value: &Value, is_single: bool) -> Read<Asked> {
    let fields = object(value)?;
    let subject = fields.get("subject").map(|value| text(value, "subject")).transpose()?;
    let Some(requests) = fields.get("requests").filter(|_| !is_single) else {
        only(fields, &["instruction", "input", "subject"])?;
        return Ok(Asked { asks: vec![own(fields)?], subject, ..Asked::default() });
    };
    only(fields, &["requests", "subject"])?;
    let requests = requests.as_array().ok_or_else(|| Failure::body("`requests`: expected a list"))?;
    let one = |value: &Value| {
        let fields = object(value)?;
        only(fields, &["instruction", "input"])?;
        own(fields)
    };
    let asks = requests.iter().map(one).collect::<Read<_>>()?;
    Ok(Asked { asks, subject, is_batch: true, ..Asked::default() })
}

fn decision(about: &About, answer: &Answer) -> Value {
    let probabilities = answer.decided.as_ref().map(|decided| {
        json!({
            "raw": by_label(about, &decided.raw),
            "calibrated": decided.calibrated.as_ref().map(|values| by_label(about, values)),
        })
    });
    json!({
        "decision": answer.decision,
        "allowed": answer.allowed,
        "timed_out": answer.kind == crate::Kind::TimeOut,
        "probabilities": probabilities,
        "margin": answer.margin().map(f64::from),
        "cut": answer.prepared.is_cut,
        "redacted": answer.prepared.found,
        "audit_id": answer.audit_id,
    })
}

pub(crate) fn write_decisions(about: &About, asked: &Asked, answers: &[Answer]) -> Value {
    let model = json!({"name": about.name, "digests": about.digests});
    if asked.is_batch {
        let decisions: Vec<Value> = answers.iter().map(|answer| decision(about, answer)).collect();
        return json!({"decisions": decisions, "model": model});
    }
    let mut value = answers.first().map(|answer| decision(about, answer)).unwrap_or_default();
    value["model"] = model;
    value
}

/// `/think`: the final part of the answer, and nothing of what is before it.
pub(crate) fn write_think(answers: &[Answer]) -> Value {
    let answer = answers.first();
    json!({
        "final": answer.and_then(|answer| answer.decided.as_ref()?.shown.clone()),
        "decision": answer.map(|answer| &answer.decision),
        "allowed": answer.is_some_and(|answer| answer.allowed),
        "timed_out": answer.is_some_and(|answer| answer.kind == crate::Kind::TimeOut),
        "audit_id": answer.map(|answer| &answer.audit_id),
    })
}

/// A text, a list of texts, or a list of OpenAI's parts.
fn texts(value: &Value, name: &str) -> Read<Vec<Ask>> {
    match value {
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::Object(part) if part.get("type") == Some(&Value::from("text")) => {
                    text(part.get("text").unwrap_or(&Value::Null), name).map(ask)
                }
                Value::Object(_) => Err(Failure::unmeasured(format!("`{name}`: this run judges texts alone"))),
                item => text(item, name).map(ask),
            })
            .collect(),
        value => Ok(vec![ask(text(value, name)?)]),
    }
}

/// OpenAI's `/v1/moderations`.
pub(crate) fn read_moderations(value: &Value) -> Read<Asked> {
    let fields = object(value)?;
    only(fields, &["input", "model"])?;
    model(fields)?;
    Ok(Asked { asks: texts(fields.get("input").unwrap_or(&Value::Null), "input")?, ..Asked::default() })
}

pub(crate) fn write_moderations(about: &About, options: &Options, answers: &[Answer]) -> Value {
    let result = |answer: &Answer| {
        let (mut categories, mut scores, mut types) = (Map::new(), Map::new(), Map::new());
        for (category, labels) in &options.categories {
            let is_there = answer.decision.as_ref().is_some_and(|decision| labels.contains(decision));
            categories.insert(category.clone(), is_there.into());
            types.insert(category.clone(), json!(["text"]));
            // Absent where the model said nothing, since 0 would be a claim.
            if let Some(probabilities) = answer.probabilities() {
                let own = about.labels.iter().zip(probabilities).filter(|(label, _)| labels.contains(label));
                let sum: f64 = own.map(|(_, value)| f64::from(*value)).sum();
                scores.insert(category.clone(), sum.min(1.0).into());
            }
        }
        json!({
            "flagged": !answer.allowed,
            "categories": categories,
            "category_scores": scores,
            "category_applied_input_types": types,
            "decision": answer.decision,
            "audit_id": answer.audit_id,
        })
    };
    let id = answers.first().map_or("", |answer| &answer.audit_id);
    json!({"id": format!("modr-{id}"), "model": about.name, "results": answers.iter().map(result).collect::<Vec<_>>()})
}

/// The one user's message that a run judges: it was measured on single requests.
fn message(value: Option<&Value>) -> Read<Ask> {
    let messages = value.and_then(Value::as_array).ok_or_else(|| Failure::body("`messages`: expected a list"))?;
    let [only] = messages.as_slice() else {
        return Err(Failure::unmeasured(format!(
            "`messages`: this run was measured on single requests: expected one message, found {}",
            messages.len()
        )));
    };
    if only["role"] != "user" {
        return Err(Failure::unmeasured("`messages`: this run judges requests: expected the role `user`"));
    }
    match &only["content"] {
        Value::Array(parts) => {
            let mut parts = texts(&Value::Array(parts.clone()), "content")?;
            match (parts.pop(), parts.is_empty()) {
                (Some(part), true) => Ok(part),
                _ => Err(Failure::unmeasured("`content`: expected one part")),
            }
        }
        content => text(content, "content").map(ask),
    }
}

/// OpenAI's `/v1/chat/completions`.
pub(crate) fn read_chat(value: &Value) -> Read<Asked> {
    let fields = object(value)?;
    model(fields)?;
    let is_set = |name: &&str| fields.get(*name).is_some_and(|value| !value.is_null() && *value != json!([]));
    if let Some(name) =
        ["tools", "functions", "response_format", "logit_bias", "audio", "prediction"].iter().find(|name| is_set(name))
    {
        return Err(Failure::body(format!("`{name}`: a guard answers with a label alone")));
    }
    if fields.get("n").is_some_and(|n| !n.is_null() && n.as_f64() != Some(1.0)) {
        return Err(Failure::body("`n`: expected 1, since a request has one decision"));
    }
    let top_logprobs = match fields.get("top_logprobs") {
        None | Some(Value::Null) => 0,
        Some(value) => value
            // 2.0 is a whole number too.
            .as_f64()
            .filter(|count| count.fract() == 0.0 && (0.0..=20.0).contains(count))
            .ok_or_else(|| Failure::body("`top_logprobs`: expected 0 to 20"))? as usize,
    };
    Ok(Asked {
        asks: vec![message(fields.get("messages"))?],
        logprobs: flag(fields, "logprobs")?,
        top_logprobs,
        stream: flag(fields, "stream")?,
        ..Asked::default()
    })
}

fn logprobs(about: &About, asked: &Asked, answer: &Answer) -> Value {
    let (Some(decision), Some(probabilities)) = (&answer.decision, answer.probabilities()) else { return Value::Null };
    let one = |label: &str, probability: f32| {
        let value = f64::from(probability).max(f64::MIN_POSITIVE).ln();
        json!({"token": label, "logprob": value, "bytes": label.as_bytes()})
    };
    let mut pairs: Vec<(&String, f32)> = about.labels.iter().zip(probabilities.iter().copied()).collect();
    let Some(own) = pairs.iter().find(|(label, _)| *label == decision) else { return Value::Null };
    let mut token = one(own.0, own.1);
    pairs.sort_by(|a, b| b.1.total_cmp(&a.1));
    token["top_logprobs"] = pairs.iter().take(asked.top_logprobs).map(|(label, p)| one(label, *p)).collect();
    json!({"content": [token], "refusal": null})
}

/// A completion, or the text of a stream of one.
pub(crate) fn write_chat(about: &About, asked: &Asked, answers: &[Answer], created: u64) -> (Value, Option<String>) {
    let Some(answer) = answers.first() else { return (Value::Null, None) };
    let logprobs = if asked.logprobs { logprobs(about, asked, answer) } else { Value::Null };
    let id = format!("chatcmpl-{}", answer.audit_id);
    let head = |object: &str, choice: Value| json!({"id": id, "object": object, "created": created, "model": about.name, "choices": [choice]});
    let content = answer.decision.as_deref();
    if asked.stream {
        let delta = json!({"role": "assistant", "content": content});
        let first = json!({"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": null});
        let last = json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"});
        let chunks = [first, last].map(|choice| format!("data: {}\n\n", head("chat.completion.chunk", choice)));
        return (Value::Null, Some(format!("{}data: [DONE]\n\n", chunks.concat())));
    }
    let message = json!({"role": "assistant", "content": content, "refusal": null});
    let choice = json!({"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"});
    let mut value = head("chat.completion", choice);
    let prompt = answer.prepared_tokens();
    value["usage"] = json!({"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1});
    (value, None)
}

/// vLLM's `/classify`.
pub(crate) fn read_classify(value: &Value) -> Read<Asked> {
    let fields = object(value)?;
    only(fields, &["input", "model", "user", "priority"])?;
    model(fields)?;
    Ok(Asked { asks: texts(fields.get("input").unwrap_or(&Value::Null), "input")?, ..Asked::default() })
}

/// Probabilities where the model said something; a decision of the clock has none.
fn said(answers: &[Answer]) -> Read<Vec<&[f32]>> {
    let late = || {
        Failure::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "deadline",
            "the deadline passed: there are no probabilities",
        )
        .retry(1)
    };
    answers.iter().map(|answer| answer.probabilities().ok_or_else(late)).collect()
}

pub(crate) fn write_classify(about: &About, answers: &[Answer], created: u64) -> Read<Value> {
    let probabilities = said(answers)?;
    let one = |(index, (answer, probabilities)): (usize, (&Answer, &[f32]))| json!({"index": index, "label": answer.decision, "probs": numbers(probabilities), "num_classes": about.labels.len()});
    let data: Vec<Value> = answers.iter().zip(probabilities).enumerate().map(one).collect();
    let id = answers.first().map_or("", |answer| &answer.audit_id);
    let tokens: usize = answers.iter().map(Answer::prepared_tokens).sum();
    let usage = json!({"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens});
    Ok(
        json!({"id": format!("classify-{id}"), "object": "list", "created": created, "model": about.name, "data": data, "usage": usage}),
    )
}

/// SGLang's `/v1/score`: the query is the instruction, each item the text that it is about.
pub(crate) fn read_score(value: &Value, about: &About) -> Read<Asked> {
    let fields = object(value)?;
    only(fields, &["query", "items", "label_token_ids", "apply_softmax", "item_first", "model"])?;
    model(fields)?;
    let query = text(fields.get("query").unwrap_or(&Value::Null), "query")?;
    let items = match fields.get("items") {
        Some(Value::Array(items)) => items.iter().map(|item| text(item, "items")).collect::<Read<Vec<_>>>()?,
        Some(item @ Value::String(_)) => vec![text(item, "items")?],
        None | Some(Value::Null) => vec![String::new()],
        Some(_) => return Err(Failure::body("`items`: expected a text or a list of texts")),
    };
    if flag(fields, "item_first")? {
        return Err(Failure::unmeasured("`item_first`: this run was measured with the instruction in its place"));
    }
    match fields.get("apply_softmax") {
        None | Some(Value::Null | Value::Bool(true)) => {}
        Some(Value::Bool(false)) => {
            return Err(Failure::unmeasured("`apply_softmax`: this server gives probabilities: expected true"));
        }
        Some(_) => return Err(Failure::body("`apply_softmax`: expected true or false")),
    }
    let own: Value = about.label_tokens.iter().copied().collect();
    match fields.get("label_token_ids") {
        None | Some(Value::Null) => {}
        Some(ids) if *ids == own => {}
        Some(_) => {
            return Err(Failure::unmeasured(format!("`label_token_ids`: expected those of the run's labels, `{own}`")));
        }
    }
    let asks = items.into_iter().map(|input| Ask { instruction: query.clone(), input }).collect();
    Ok(Asked { asks, ..Asked::default() })
}

pub(crate) fn write_score(about: &About, answers: &[Answer], created: u64) -> Read<Value> {
    let scores: Vec<Value> = said(answers)?.into_iter().map(numbers).collect();
    let tokens: usize = answers.iter().map(Answer::prepared_tokens).sum();
    let usage = json!({"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens});
    Ok(
        json!({"object": "scoring", "created": created, "model": about.name, "scores": scores, "labels": about.labels, "usage": usage}),
    )
}

/// LiteLLM's generic guardrail.
pub(crate) fn read_guardrail(value: &Value) -> Read<Asked> {
    let fields = object(value)?;
    if fields.get("images").is_some_and(|images| !images.is_null() && *images != json!([])) {
        return Err(Failure::unmeasured("`images`: this run judges texts alone"));
    }
    if fields.get("input_type").is_some_and(|kind| !kind.is_null() && *kind != "request") {
        return Err(Failure::unmeasured("`input_type`: this run judges requests: expected `request`"));
    }
    let Some(Value::Array(items)) = fields.get("texts") else {
        return Err(Failure::body("`texts`: expected a list of texts"));
    };
    let asks = items.iter().map(|item| text(item, "texts").map(ask)).collect::<Read<_>>()?;
    Ok(Asked { asks, ..Asked::default() })
}

pub(crate) fn write_guardrail(answers: &[Answer]) -> Value {
    let held: Vec<String> = answers.iter().filter(|answer| !answer.allowed).map(reason).collect();
    match held.is_empty() {
        true => json!({"action": "NONE"}),
        false => json!({"action": "BLOCKED", "blocked_reason": held.join(", ")}),
    }
}

fn reason(answer: &Answer) -> String {
    format!("{} (audit id {})", answer.decision.as_deref().unwrap_or("none"), answer.audit_id)
}

/// NeMo Guardrails' checks.
pub(crate) fn read_checks(value: &Value) -> Read<Asked> {
    let fields = object(value)?;
    model(fields)?;
    Ok(Asked { asks: vec![message(fields.get("messages"))?], ..Asked::default() })
}

pub(crate) fn write_checks(about: &About, answers: &[Answer]) -> Value {
    let is_allowed = answers.iter().all(|answer| answer.allowed);
    let status = if is_allowed { "success" } else { "blocked" };
    let rail = json!({"status": status, "decision": answers.first().map(|answer| &answer.decision)});
    let audit_id = answers.first().map(|answer| &answer.audit_id);
    json!({"status": status, "rails_status": {about.name.clone(): rail}, "audit_id": audit_id})
}

/// `/v1/models`.
pub(crate) fn models(about: &About) -> Value {
    json!({"object": "list", "data": [{
        "id": about.name,
        "object": "model",
        "created": about.created,
        "owned_by": "so8t",
        "labels": about.labels,
        "label_token_ids": about.label_tokens,
        "mode": if about.generates { "generate" } else { "score" },
        "digests": about.digests,
    }]})
}
