//! A model card: metadata that the hub reads, and what a person must know, every value with its interval.

use std::fmt::Write as _;

use so8t_base::Result;

use super::hub::quoted;
use super::{About, created, headline, model_name, short};
use crate::finished::{FinishedRun, Value, Verdict};

pub(super) fn text(run: &FinishedRun, about: &About) -> Result<String> {
    let head = headline(run, about)?;
    let mut out = front(run, about, &head);
    let _ = writeln!(out, "\n# {}\n", run.name);
    let trained = run.report["training"]["method"].as_str();
    let what = match trained {
        Some("full") => format!("All weights of `{}`, trained", run.base()),
        Some(_) => format!("An adapter of `{}`, trained", run.base()),
        None => format!("`{}`, evaluated", run.base()),
    };
    let labels = run.labels().join(", ");
    let _ = writeln!(
        out,
        "{what} by so8t {} on {} to sort requests into {labels}.\n",
        run.report["run"]["so8t"].as_str().unwrap_or("?"),
        created(run)
    );
    let verdict = match run.verdict() {
        Verdict::Accepted => "Every rule that was set for it is met.",
        Verdict::Refused => "**It does not meet the rules that were set for it.**",
        Verdict::NoRules => "No rules were set for it.",
    };
    let _ = writeln!(out, "## Verdict\n\n{verdict}\n");
    for rule in run.report["accept"]["rules"].as_array().into_iter().flatten() {
        let met = if rule["passed"] == true { "met" } else { "**not met**" };
        let _ = writeln!(out, "- {met}: {}; {}", line(rule["rule"].as_str()), line(rule["reason"].as_str()));
    }
    let _ = writeln!(
        out,
        "\n## Values\n\nOn the held-out part, which nothing was chosen by. Intervals are of 95 %.\n\n| value | | interval | rows |\n|---|---|---|---|"
    );
    for value in run.latest_values().iter().filter(|value| value.interval.is_some()) {
        let interval =
            value.interval.map_or_else(String::new, |(low, high)| format!("{} to {}", short(low), short(high)));
        let few = if value.few { " (too few)" } else { "" };
        let _ = writeln!(out, "| `{}` | {} | {interval} | {}{few} |", value.metric, short(value.value), value.n);
    }
    let _ = writeln!(out, "\n## Data\n\n| source | file | SHA-256 |\n|---|---|---|");
    for entry in run.entries.iter().filter(|entry| entry.kind == "data") {
        let _ = writeln!(out, "| {} | `{}` | `{}` |", cell(&entry.name), cell(&entry.path), entry.sha256);
    }
    let _ = writeln!(out, "\n## Limits\n");
    let warnings: Vec<&str> =
        run.report["warnings"].as_array().into_iter().flatten().filter_map(|text| text.as_str()).collect();
    for warning in &warnings {
        let _ = writeln!(out, "- {}", line(Some(warning)));
    }
    let few = run.latest_values().iter().filter(|value| value.few).count();
    if few > 0 {
        let _ = writeln!(out, "- {few} values rest on too few rows to be believed.");
    }
    let _ = writeln!(
        out,
        "- The values hold for requests like those of the sources above, judged as those label them; nothing was measured of others, of other languages, or of \
         attacks that were made for this model.\n- A classifier that lets {} of unsafe requests pass is one part of a defence.\n",
        unsafe_share(run)
    );
    let _ = writeln!(
        out,
        "## Where it comes from\n\nRun `{}` (SHA-256 of its list of digests). The same numbers come of:\n",
        run.digest
    );
    for command in run.report["run"]["repeat"].as_array().into_iter().flatten().filter_map(|text| text.as_str()) {
        let _ = writeln!(out, "    {}", line(Some(command)));
    }
    Ok(out)
}

/// The metadata in YAML; JSON's strings are YAML's.
fn front(run: &FinishedRun, about: &About, head: &Value) -> String {
    let base = run.base();
    let mut out = String::from("---\nlibrary_name: peft\npipeline_tag: text-classification\ntags:\n- so8t\n- safety\n");
    if let Some(licence) = &about.licence {
        let _ = writeln!(out, "license: {}", quoted(licence));
    }
    if let Some(name) = base.strip_prefix("hf:") {
        let _ = writeln!(out, "base_model: {}", quoted(name.split('@').next().unwrap_or_default()));
    }
    let _ = writeln!(out, "model-index:\n- name: {}\n  results:", quoted(&model_name(run, about)));
    let _ = writeln!(
        out,
        "  - task:\n      type: text-classification\n    dataset:\n      name: {}\n      type: {}",
        quoted(&run.name),
        quoted(about.dataset.as_deref().unwrap_or(&run.name))
    );
    let _ = writeln!(out, "    metrics:");
    let values = run.latest_values();
    let named = ["classification.accuracy", "classification.unsafe_pass_rate", "classification.over_block_rate"];
    let others = named
        .into_iter()
        .filter(|name| *name != head.metric)
        .filter_map(|name| values.iter().find(|value| value.metric == name));
    for value in std::iter::once(head).chain(others) {
        let _ = writeln!(
            out,
            "    - type: {}\n      name: {}\n      value: {}\n      verified: false",
            quoted(&value.metric),
            quoted(&value.metric),
            value.value
        );
    }
    out.push_str("---\n");
    out
}

/// How many unsafe requests pass, in words.
fn unsafe_share(run: &FinishedRun) -> String {
    let values = run.latest_values();
    let found = values.iter().find(|value| value.metric == "classification.unsafe_pass_rate");
    match found {
        Some(Value { value, interval: Some((_, high)), .. }) => {
            format!("{} (at the most {} by its interval)", short(*value), short(*high))
        }
        Some(Value { value, .. }) => short(*value),
        None => "an unknown share".to_owned(),
    }
}

/// A text on one line.
fn line(text: Option<&str>) -> String {
    text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ").replace('<', "&lt;")
}

/// A text in a table's cell.
fn cell(text: &str) -> String {
    line(Some(text)).replace('|', "\\|").replace('`', "'")
}
