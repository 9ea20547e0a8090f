//! What one request looks like to the model, and what the model says of it.

use std::fmt::Write as _;

use super::Decider;
use crate::Result;
use crate::data::Request;

/// The rendered prompt, its tokens, the tokens of each label, and the scores.
pub(super) fn text(decider: &mut Decider, id: &str, request: &Request) -> Result<String> {
    let asked = decider.asking().redacted(request).0;
    let (tokens, cut) = decider.asking().prompt(&asked)?;
    let decision = decider.decide(std::slice::from_ref(request))?.remove(0);
    let opened = decider.opened();
    let tokenizer = &opened.learner.files.tokenizer;
    let spelled = |token: u32| {
        let text = tokenizer.token_text(token).unwrap_or_default();
        format!("{token} {}", serde_json::Value::from(text))
    };
    let mut out = format!("request  {id}\nmeasured {}\n", decider.measured());
    let _ = writeln!(out, "\nprompt, {} tokens{}", tokens.len(), if cut { ", the request's end was cut" } else { "" });
    for line in whole(tokenizer, &tokens).lines() {
        let _ = writeln!(out, "  | {line}");
    }
    out.push_str("\ntokens\n");
    for line in tokens.chunks(6) {
        let line: Vec<String> = line.iter().map(|token| spelled(*token)).collect();
        let _ = writeln!(out, "  {}", line.join("  "));
    }
    let labels = decider.labels();
    let width = labels.names.iter().map(|name| crate::report::width(name)).max().unwrap_or(0).max(5);
    let _ = writeln!(out, "\n{:<width$}  {:>10}  {:>10}  tokens of the answer", "label", "raw", "judged");
    for (at, name) in labels.names.iter().enumerate() {
        let answer: Vec<String> =
            decider.asking().prompter().label_tokens(at as u8).iter().map(|token| spelled(*token)).collect();
        let gap = " ".repeat(width - crate::report::width(name));
        let (raw, judged) = (decision.raw.scores[at], decision.judged.scores[at]);
        let _ = writeln!(out, "{name}{gap}  {raw:>10.6}  {judged:>10.6}  {}", answer.join("  "));
    }
    if let Some(calibration) = &opened.calibration {
        let _ = writeln!(out, "\ntemperature {:.4}", calibration.temperature);
        for (label, threshold) in calibration.thresholds.iter() {
            let _ = writeln!(out, "added to the log score of {label}: {threshold:.4}");
        }
    }
    if let Some(answer) = &decision.answer {
        let _ = writeln!(out, "\nanswer\n  {}", serde_json::Value::from(answer.as_str()));
    }
    let _ = writeln!(out, "\ndecision {}", labels.name(decision.judged.label));
    Ok(out)
}

/// The prompt as text, control tokens too.
fn whole(tokenizer: &crate::model::TextTokenizer, tokens: &[u32]) -> String {
    let mut out = String::new();
    let mut plain = Vec::new();
    for &token in tokens {
        if tokenizer.is_control(token) {
            out.push_str(&tokenizer.decode(&plain).unwrap_or_default());
            plain.clear();
            out.push_str(&tokenizer.token_text(token).unwrap_or_default());
        } else {
            plain.push(token);
        }
    }
    out + &tokenizer.decode(&plain).unwrap_or_default()
}
