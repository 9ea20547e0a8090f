//! How the model was asked: the system prompt, a rendered prompt, and the tokens of each label.

use std::fmt::Write as _;

use super::super::Report;
use super::super::dictionary as words;
use super::super::format::{escape, escape_lines};
use super::language::html;
use super::{Section, folded};

/// Nothing where the report does not say.
pub(super) fn section(report: &Report) -> Option<Section> {
    let prompt = report.run.details.get("prompt")?;
    let mut content = String::new();
    let _ = match prompt.get("system").and_then(|text| text.as_str()).filter(|text| !text.is_empty()) {
        Some(text) => writeln!(content, "<h3>{}</h3>\n<pre>{}</pre>", html(&words::SYSTEM_PROMPT), escape_lines(text)),
        None => writeln!(content, "<p>{}</p>", html(&words::NO_SYSTEM_PROMPT)),
    };
    let rendered = prompt.get("rendered").and_then(|text| text.as_str()).unwrap_or_default();
    let mut more = format!("<pre>{}</pre>\n<ul>\n", escape_lines(rendered));
    for (label, tokens) in prompt.get("label_tokens").and_then(|tokens| tokens.as_object()).into_iter().flatten() {
        let tokens: Vec<String> = tokens
            .as_array()
            .into_iter()
            .flatten()
            .map(|token| format!("<code>{}</code>", escape(token.as_str().unwrap_or_default())))
            .collect();
        let _ = writeln!(more, "<li>{}: {}</li>", escape(label), tokens.join(" "));
    }
    more.push_str("</ul>\n");
    content.push_str(&folded(&words::RENDERED_PROMPT, &more));
    Some(Section { id: "prompt", title: words::PROMPT, content })
}
