//! `dataset_card.md`: what a prepared set holds, for whoever meets it on a model hub. It says nothing of when and where it was made, so
//! that the same input gives the same card.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::prepared::{DATASET_CARD, Prepared};
use crate::data::{Contamination, ContaminationPolicy, GateAction, Profile, RebalanceMethod, Statistics, Usage};
use crate::manifest::Plan;
use crate::pipeline::lock;
use crate::plugin::lock::{EntryKind, Lock};
use crate::{Result, files};

/// Writes the card.
pub(in crate::pipeline) fn write(plan: &Plan, lock: &Lock, prepared: &Prepared, folder: &Path) -> Result<()> {
    files::write(&folder.join(DATASET_CARD), text(plan, lock, prepared).as_bytes())
}

fn text(plan: &Plan, lock: &Lock, prepared: &Prepared) -> String {
    let statistics = &prepared.statistics;
    let sections = [
        head(plan, prepared),
        contents(prepared),
        sources(statistics),
        languages(statistics),
        provenance(statistics),
        policy(statistics),
        quality(statistics),
        split(plan, prepared),
        limits(statistics),
        repeat(plan, lock),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The front matter that model hubs read, and the title.
fn head(plan: &Plan, prepared: &Prepared) -> String {
    let statistics = &prepared.statistics;
    let mut out = String::from("---\n");
    let licences: BTreeSet<&str> =
        statistics.sources.iter().map(|source| source.provenance.licence.as_deref().unwrap_or_default()).collect();
    let is_stated =
        |licence: &&str| !licence.is_empty() && licence.chars().all(|c| c.is_ascii_alphanumeric() || "-.+".contains(c));
    let licence = match licences.iter().next() {
        Some(licence) if licences.len() == 1 && is_stated(licence) => licence.to_lowercase(),
        _ => "other".to_owned(),
    };
    let _ = writeln!(out, "license: {licence}");
    let found: Vec<&str> = ["ja", "en"]
        .into_iter()
        .filter(|name| {
            [&statistics.train_profile, &statistics.eval_profile]
                .iter()
                .any(|p| p.languages.get(*name).is_some_and(|n| *n > 0))
        })
        .collect();
    if !found.is_empty() {
        let _ = writeln!(
            out,
            "language:\n{}",
            found.iter().map(|name| format!("- {name}\n")).collect::<String>().trim_end()
        );
    }
    let parts = &prepared.parts;
    let total = parts.train.len() + parts.eval.len() + parts.calibration.len() + parts.validation.len();
    let size = match total {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        _ => "n>1M",
    };
    let _ = writeln!(out, "task_categories:\n- text-classification\nsize_categories:\n- {size}");
    out.push_str("configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: dataset.jsonl\n");
    if !prepared.parts.calibration.is_empty() {
        let name = if prepared.parts.validation.is_empty() { "validation" } else { "calibration" };
        let _ = writeln!(out, "  - split: {name}\n    path: calibration_set.jsonl");
    }
    if !prepared.parts.validation.is_empty() {
        out.push_str("  - split: validation\n    path: validation_set.jsonl\n");
    }
    out.push_str("  - split: test\n    path: evaluation.jsonl\n---\n\n");
    let _ = writeln!(out, "# {}\n", plain(&plan.name));
    let _ = writeln!(
        out,
        "Requests with the decision that a safety classifier must reach: {}. One JSON object a line: `id`, `source`, `instruction`, \
         `input`, `output` (the answer that the source holds), `label`, `group` (what must not be parted), and `category` and `training` \
         (weight; whether the text is there to be judged alone) where there is something to say.",
        prepared.labels.names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ")
    );
    out
}

/// Which file holds how many examples of each class.
fn contents(prepared: &Prepared) -> String {
    let (parts, statistics) = (&prepared.parts, &prepared.statistics);
    let names = &prepared.labels.names;
    let mut rows = vec![titles(&["File", "Serves", "Examples"], names)];
    let train = statistics.rebalanced.as_ref().map_or(&statistics.train, |rebalanced| &rebalanced.after);
    let mut row = |file: &str, serves: &str, total: usize, counts: &BTreeMap<String, usize>| {
        let mut cells = vec![code(file), serves.to_owned(), total.to_string()];
        cells.extend(names.iter().map(|name| counts.get(name).copied().unwrap_or(0).to_string()));
        rows.push(cells);
    };
    row("dataset.jsonl", "training", parts.train.len(), train);
    if !parts.calibration.is_empty() {
        row("calibration_set.jsonl", "calibration", parts.calibration.len(), &statistics.calibration);
    }
    if !parts.validation.is_empty() {
        row("validation_set.jsonl", "validation", parts.validation.len(), &statistics.validation);
    }
    row("evaluation.jsonl", "evaluation", parts.eval.len(), &statistics.eval);
    format!("## Contents\n\n{}", table(&rows, 2))
}

/// What became of the records of each source.
fn sources(statistics: &Statistics) -> String {
    let columns = [
        "Source",
        "Use",
        "Records",
        "Rejected",
        "Excluded",
        "Duplicates",
        "Straddling",
        "Contaminated",
        "Dropped by policy",
        "Train",
        "Calibration",
        "Validation",
        "Evaluation",
    ];
    let mut rows = vec![titles(&columns, &[])];
    for source in &statistics.sources {
        let usage = match source.usage {
            Usage::Train => "train",
            Usage::Eval => "eval",
            Usage::Both => "both",
        };
        let usage = if source.detection_only { format!("{usage}, detection only") } else { usage.to_owned() };
        let sum = |counts: &BTreeMap<String, usize>| counts.values().sum::<usize>();
        let counts = [
            source.records,
            source.rejected,
            source.excluded,
            source.duplicates,
            source.straddling,
            source.contaminated,
            source.dropped,
            sum(&source.train),
            sum(&source.calibration),
            sum(&source.validation),
            sum(&source.eval),
        ];
        rows.push([code(&source.name), usage].into_iter().chain(counts.map(|n| n.to_string())).collect());
    }
    let note = "Records = rejected + excluded + all that follow. Straddling: training examples whose group is evaluated. \
                Contaminated: evaluation examples that training holds too, and that were left out.";
    let mut out = format!("## Sources\n\n{}\n{note}\n", table(&rows, 2));
    if let Some(rebalanced) = &statistics.rebalanced {
        let counts: Vec<String> = rebalanced
            .before
            .iter()
            .map(|(name, before)| match rebalanced.weights.get(name) {
                Some(weight) => format!("{} {before}, weight {weight:.4}", code(name)),
                None => format!("{} {before} → {}", code(name), rebalanced.after.get(name).copied().unwrap_or(0)),
            })
            .collect();
        let how = match rebalanced.method {
            RebalanceMethod::Weights => "The loss of each class is weighted",
            RebalanceMethod::Over => "Examples of rarer classes stand several times (their ids end in `#2`, `#3`, …)",
            RebalanceMethod::Under => "Examples of more frequent classes were left out",
        };
        let _ = write!(out, "\nThe training part was rebalanced after these counts. {how}: {}.\n", counts.join("; "));
    }
    out
}

fn languages(statistics: &Statistics) -> String {
    let parts = [("training", &statistics.train_profile), ("evaluation", &statistics.eval_profile)];
    let mut rows = vec![titles(&["Part", "ja", "en", "other", "Median length", "Longest", "Thinking aloud"], &[])];
    rows[0].extend(parts[0].1.lengths.iter().map(|(span, _)| span.clone()));
    for (name, profile) in parts {
        let Profile { languages, lengths, median_length, longest, thinking } = profile;
        let mut cells = vec![name.to_owned()];
        cells.extend(["ja", "en", "other"].map(|name| languages.get(name).copied().unwrap_or(0).to_string()));
        cells.extend([median_length, longest, thinking].map(|n| n.to_string()));
        cells.extend(lengths.iter().map(|(_, count)| count.to_string()));
        rows.push(cells);
    }
    let note =
        "Languages are told by scripts alone, before rebalancing; lengths are in characters of instruction and input.";
    format!("## Languages and lengths\n\n{}\n{note}\n", table(&rows, 1))
}

fn provenance(statistics: &Statistics) -> String {
    let mut rows = vec![titles(&["Source", "Licence", "Origin", "Collected", "Terms"], &[])];
    for source in &statistics.sources {
        let own = &source.provenance;
        let cell = |text: &Option<String>| text.as_deref().map_or_else(|| "not stated".to_owned(), plain);
        rows.push(vec![
            code(&source.name),
            cell(&own.licence),
            cell(&own.origin),
            cell(&own.collected_at),
            cell(&own.terms),
        ]);
    }
    format!("## Provenance and licences\n\nAs the manifest states them.\n\n{}", table(&rows, 5))
}

fn policy(statistics: &Statistics) -> String {
    let mut out = String::from("## Personal data and secrets\n\n");
    match &statistics.policy {
        None => out.push_str("Nothing was looked for: the manifest has no `[redaction]`.\n"),
        Some(policy) => {
            let mut rows = vec![titles(&["Kind", "Action", "Found"], &[])];
            for (kind, action) in &policy.actions {
                let action = format!("{action:?}").to_lowercase();
                let found = policy.found.get(kind).copied().unwrap_or(0);
                rows.push(vec![
                    code(kind),
                    action.clone(),
                    if action == "keep" { "–".to_owned() } else { found.to_string() },
                ]);
            }
            out.push_str(&table(&rows, 2));
            let mut rows = vec![titles(&["Source", "Kind", "Found"], &[])];
            for source in &statistics.sources {
                rows.extend(source.found.iter().map(|(kind, n)| vec![code(&source.name), code(kind), n.to_string()]));
            }
            if rows.len() > 1 {
                let _ = write!(out, "\n{}", table(&rows, 2));
            }
            let _ = write!(
                out,
                "\nCounted in requests and outputs. What was redacted is a placeholder such as `[MAIL]`. {} ids, groups or categories held \
                 something and were renamed. Found by patterns and check digits: names of people, and forms that no pattern knows, are \
                 not found.\n",
                policy.renamed
            );
        }
    }
    if let Some(withheld) = &statistics.withheld {
        let names: Vec<String> =
            statistics.sources.iter().filter(|s| s.detection_only).map(|s| code(&s.name)).collect();
        let _ = write!(
            out,
            "\nDetection only: {}. Their texts are there to be judged; none is a target of training. {} outputs of theirs were withheld, and \
             {} of other sources that repeat their texts.\n",
            names.join(", "),
            withheld.own,
            withheld.repeated
        );
    }
    out
}

fn quality(statistics: &Statistics) -> String {
    let mut rows = vec![titles(&["Gate", "Measured", "Expected", "Outcome"], &[])];
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    for gate in &statistics.quality {
        let expected = match (gate.min, gate.max) {
            (Some(min), Some(max)) => format!("{} to {}", percent(min), percent(max)),
            (Some(min), None) => format!("at least {}", percent(min)),
            (None, Some(max)) => format!("at most {}", percent(max)),
            (None, None) => "any".to_owned(),
        };
        let outcome = match (gate.passed, gate.action) {
            (true, _) => "passed",
            (false, GateAction::Fail) => "failed",
            (false, _) => "warning",
        };
        let share = gate.share.map_or_else(|| "–".to_owned(), percent);
        let measured = format!("{share} ({} of {}) {}", gate.count, gate.of, plain(&gate.meaning));
        rows.push(vec![code(&gate.gate), measured, expected, outcome.to_owned()]);
    }
    format!("## Quality gates\n\n{}", table(&rows, 4))
}

fn split(plan: &Plan, prepared: &Prepared) -> String {
    let (train, eval) = prepared.statistics.groups;
    let mut out = format!(
        "## Split and contamination\n\nSources that serve both parts are parted with seed {}: {} of each source and class is held out, in \
         whole groups. Training has {train} groups, evaluation {eval}; none is in both. Exact and normalised duplicates were removed before: \
         {} and {}.\n",
        plan.seed, plan.eval_share, prepared.statistics.duplicates.exact, prepared.statistics.duplicates.normalised
    );
    match &prepared.contamination {
        None => out.push_str(
            "\nNear duplicates between the parts were not looked for: the manifest has no `[contamination]`.\n",
        ),
        Some(found) => out.push_str(&contamination(found)),
    }
    out
}

fn contamination(found: &Contamination) -> String {
    let what = match found.policy {
        ContaminationPolicy::Drop => "they were taken out of the evaluation",
        ContaminationPolicy::Warn | ContaminationPolicy::Fail => "they are still in the evaluation",
    };
    if found.rows() == 0 {
        return "\nNo evaluation request stands in the training part, to the letter, after normalisation or nearly.\n"
            .to_owned();
    }
    format!(
        "\n{} evaluation requests stand in the training part too ({} to the letter, {} after normalisation, {} nearly); {what}.\n",
        found.rows(),
        found.exact,
        found.normalised,
        found.near
    )
}

fn limits(statistics: &Statistics) -> String {
    let mut out = String::from(
        "## Limits\n\n- Labels are those of the sources, mapped by the manifest's rules: where these are wrong or one-sided, so is the set.\n\
         - Requests may be hostile or distressing. They serve to detect and to refuse, never to generate.\n",
    );
    for warning in &statistics.warnings {
        let _ = writeln!(out, "- {}", plain(warning));
    }
    out
}

/// The command, and the digests of what it reads.
fn repeat(plan: &Plan, lock: &Lock) -> String {
    let manifest = plan.manifest.file_name().unwrap_or_default().to_string_lossy();
    let mut out = format!(
        "## Repeat\n\n    so8t prepare {} --locked --fresh\n\nwrites the same bytes from\n\n",
        plain(&manifest)
    );
    let mut rows = vec![titles(&["File", "SHA-256"], &[])];
    for kind in [EntryKind::Data, EntryKind::Component] {
        rows.extend(lock::digests(lock, kind).into_iter().map(|(file, digest)| vec![code(&file), code(&digest)]));
    }
    let _ = write!(out, "{}\nMade by so8t {}.\n", table(&rows, 2), env!("CARGO_PKG_VERSION"));
    out
}

fn titles(names: &[&str], more: &[String]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).chain(more.iter().map(|name| code(name))).collect()
}

/// Rows as a Markdown table; the first `left` columns are text, the others numbers.
fn table(rows: &[Vec<String>], left: usize) -> String {
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let _ = writeln!(out, "| {} |", row.join(" | "));
        if index == 0 {
            let rules: Vec<&str> = (0..row.len()).map(|column| if column < left { "---" } else { "--:" }).collect();
            let _ = writeln!(out, "|{}|", rules.join("|"));
        }
    }
    out
}

/// Text from outside that means nothing but itself.
fn plain(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let parts: Vec<&str> = line.split('`').collect();
    let escape = |part: &str| {
        part.chars().fold(String::new(), |mut out, c| {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '|' | '*' | '_' | '[' | ']' | '\\' | '#' => out.extend(['\\', c]),
                c => out.push(c),
            }
            out
        })
    };
    if parts.len().is_multiple_of(2) {
        return escape(&line.replace('`', "'"));
    }
    parts.iter().enumerate().map(|(i, part)| if i % 2 == 0 { escape(part) } else { code(part) }).collect()
}

/// Text from outside as a code span in a table's cell.
fn code(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() || c == '`' { ' ' } else { c }).collect();
    format!("`{}`", line.replace('|', "\\|"))
}
