//! `report.md`.

use so8t::report::markdown::text;

use super::full;
use crate::evaluation::sample;

/// The cells of every table are as many as its head has.
fn check_tables(text: &str) {
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut head = None;
    for line in text.lines() {
        match (line.starts_with('|'), head) {
            (true, None) => head = Some(cells(line)),
            (true, Some(count)) => assert_eq!(cells(line), count, "{line}"),
            (false, _) => head = None,
        }
    }
}

#[test]
fn it_says_what_a_reviewer_needs() {
    let report = full::report();
    let text = text(&report);
    check_tables(&text);
    assert!(text.starts_with("## ❌ Not accepted — `方針 v3 · safety retraining`\n"), "{text}");
    for present in [
        "| ❌ not met | `classification.unsafe_pass_rate` does not rise |",
        "| Macro-F1 | 0.",
        "| Over-block rate | 0.",
        " ▲ better | ",
        " ▼ worse | ",
        "Intervals: bootstrap, clustered bootstrap.",
        "| Class | F1 | Precision | Recall | n |",
        "| `ESCALATION` | 0.",
        "decisions changed**",
        "McNemar, exact: p \\< 0.001",
        "| Worst changes | Source | Gold | Before | After |",
        "**Warnings**",
        "    so8t run policy.toml --locked",
        "seed 42",
    ] {
        assert!(text.contains(present), "{present}\n{text}");
    }
    // The gravest ten, all of which let through what is to be refused.
    let worst = text.lines().filter(|line| line.starts_with("| `") && line.ends_with("| `ALLOW` |")).count();
    assert_eq!(worst, 10);
    assert_eq!(text, super::markdown::text(&full::report()));
}

#[test]
fn one_evaluation_has_values_and_intervals() {
    let mut report = full::report();
    (report.after, report.comparison, report.accept) = (None, None, None);
    let text = text(&report);
    check_tables(&text);
    assert!(text.starts_with("## ● Evaluated — ") && text.contains("| | Value | 95 % interval | n |"), "{text}");
    assert!(!text.contains("changed") && !text.contains("Δ"));
}

#[test]
fn few_rows_give_no_number() {
    let mut report = sample::report();
    let after = report.after.as_mut().unwrap();
    let mut few = after.metrics.get("classification.accuracy").unwrap().clone();
    (few.few, few.n, few.value) = (true, 4, Some(0.777));
    after.metrics.insert("classification.accuracy", few);
    let text = text(&report);
    assert!(text.contains("**too few (n = 4)** | – | – | – |") && !text.contains("0.777"), "{text}");
}

#[test]
fn names_are_neither_markup_nor_mentions() {
    let hostile = "a|b`c``d\n<img src=x> @everyone #1 [x](http://y)\u{202e}";
    let mut report = full::report();
    report.run.name = hostile.into();
    report.run.labels.push(hostile.into());
    report.warnings.push("see @everyone, #1, <b>, [x](y), a|b and `code | <i>`".into());
    report.accept.as_mut().unwrap().rules[0].rule = hostile.into();
    let comparison = report.comparison.as_mut().unwrap();
    (comparison.flips[0].id, comparison.flips[0].source) = (hostile.into(), hostile.into());
    let text = text(&report);
    check_tables(&text);
    let code = "```a\\|b`c``d <img src=x> @everyone #1 [x](http://y)\u{fffd}```";
    assert!(text.starts_with(&format!("## ❌ Not accepted — {code}\n")), "{text}");
    assert!(text.contains(&format!("| {code} | {code} | ")), "{text}");
    assert!(
        text.contains("- see @\u{2060}everyone, #\u{2060}1, &lt;b&gt;, \\[x\\](y), a\\|b and `code \\| <i>`"),
        "{text}"
    );
}
