//! What a report says first: safety in plain words, and never that nothing changed where more unsafe requests pass.

use serde_json::{Value, json};
use so8t::report::{Report, Run, html, markdown, terminal};

/// A value with an interval.
fn rate(value: f64, low: f64, high: f64, n: u32) -> Value {
    json!({ "value": value, "n": n, "low": low, "high": high, "method": "Clopper-Pearson" })
}

/// An evaluation with these macro-F1, unsafe pass rate and escalations that passed (of 40).
fn measured(f1: Value, passes: Value, escalations: u32) -> Value {
    json!({ "metrics": {
        "classification.f1_macro": f1,
        "classification.unsafe_pass_rate": passes,
        "classification.over_block_rate": rate(0.1, 0.05, 0.2, 100),
        "classification.recall_escalation": rate(0.5, 0.3, 0.7, 40),
        "classification.support_escalation": { "value": 40, "n": 200 },
        "classification.confusion.ESCALATION.ALLOW": { "value": escalations, "n": 40 },
    }, "sources": {} })
}

/// A difference with its interval.
fn difference(delta: f64, low: f64, high: f64, better: &str) -> Value {
    json!({ "delta": delta, "low": low, "high": high, "better": better })
}

fn report(before: Value, after: Value, differences: Value) -> Report {
    let run = Run { name: "told".into(), command: "run".into(), ..Run::default() };
    let mut report = serde_json::to_value(Report::new(run)).unwrap();
    report["before"] = before;
    report["after"] = after;
    report["comparison"] = json!({
        "metrics": differences, "sources": {}, "flips": [], "resamples": 1000,
        "mcnemar": { "right_before_only": 0, "right_after_only": 0, "p_value": 1.0 },
    });
    serde_json::from_value(report).unwrap()
}

/// Terminal, Markdown, page.
fn forms(report: &Report) -> [String; 3] {
    [terminal::table(report, false), markdown::text(report), html::page(report)]
}

#[test]
fn safety_stands_before_f1_and_in_words() {
    let f1 = rate(0.8, 0.75, 0.85, 200);
    let differences = json!({
        "classification.f1_macro": difference(0.2, 0.1, 0.3, "higher"),
        "classification.unsafe_pass_rate": difference(-0.07, -0.12, -0.02, "lower"),
    });
    let (was, is) = (rate(0.2, 0.13, 0.28, 100), rate(0.13, 0.07, 0.19, 100));
    let told = report(measured(f1.clone(), was, 8), measured(f1, is, 4), differences);
    for text in forms(&told) {
        assert!(text.contains("Of 100 unsafe requests about 13 would pass (7 to 19); before, about 20."), "{text}");
        assert!(
            text.contains("Of 100 requests for a person about 10 would be answered without one (3 to 24)"),
            "{text}"
        );
    }
    let [terminal, markdown, page] = forms(&told);
    let order = |text: &str, names: [&str; 3]| {
        let places = names.map(|name| text.find(name).unwrap_or_else(|| panic!("{name}: {text}")));
        assert!(places.is_sorted(), "{names:?}: {text}");
    };
    order(
        &terminal,
        ["classification.unsafe_pass_rate", "classification.escalation_pass_rate", "classification.f1_macro"],
    );
    order(&markdown, ["| Unsafe pass rate |", "| Escalation pass rate |", "| Macro-F1 |"]);
    let cards = page.split_once("id=\"values\"").unwrap().1;
    order(cards, ["unsafe_pass_rate", "escalation_pass_rate", "f1_macro"]);
    assert!(page.contains("危険な依頼 100 件のうち約 13 件が通過します（7 〜 19 件）。以前は約 20 件。"), "{page}");
}

#[test]
fn nothing_changed_is_never_said_where_more_unsafe_requests_pass() {
    let f1 = |few: bool| json!({ "value": 0.5, "n": 200, "low": 0.4, "high": 0.6, "few": few });
    let unsure = difference(0.0, -0.1, 0.1, "higher");
    let passes = |value: f64, few: bool| json!({ "value": value, "n": 4, "few": few });
    for (few, low, lead) in [
        (false, 0.1, "Worse: more unsafe requests pass."),
        (false, -0.1, "Perhaps worse: more unsafe requests passed than before."),
        (true, -0.1, "Too few examples for a verdict; of these, more unsafe ones passed than before."),
    ] {
        let differences = json!({
            "classification.f1_macro": unsure, "classification.unsafe_pass_rate": difference(0.5, low, 0.9, "lower"),
        });
        let (was, is) = (passes(0.0, few), passes(0.5, few));
        let told = report(measured(f1(false), was, 0), measured(f1(false), is, 0), differences);
        for text in forms(&told) {
            assert!(text.contains(lead.trim_end_matches('.')) && !text.contains("No clear change"), "{lead}: {text}");
        }
    }
    // The control: where it fell or stayed, and nothing else is clear, that is what is said.
    let differences = json!({
        "classification.f1_macro": unsure, "classification.unsafe_pass_rate": difference(0.0, -0.1, 0.1, "lower"),
    });
    let same = || measured(f1(false), passes(0.25, false), 2);
    let told = report(same(), same(), differences);
    forms(&told).iter().for_each(|text| assert!(text.contains("No clear change"), "{text}"));
}

#[test]
fn accepted_carries_its_warnings_and_what_no_rule_is_about() {
    let f1 = rate(0.5, 0.4, 0.6, 200);
    let differences = json!({
        "classification.f1_macro": difference(0.0, -0.1, 0.1, "higher"),
        "classification.unsafe_pass_rate": difference(0.2, 0.1, 0.3, "lower"),
    });
    let (was, is) = (rate(0.1, 0.05, 0.2, 100), rate(0.3, 0.2, 0.4, 100));
    let mut told = report(measured(f1.clone(), was, 2), measured(f1, is, 2), differences);
    told.accept = serde_json::from_value(json!({ "accepted": true, "rules": [{
        "rule": "`classification.f1_macro` does not drop", "metric": "classification.f1_macro", "passed": true, "reason": "it is",
    }] }))
    .unwrap();
    told.warn(["the calibration rests on 12 rows only"]);
    let [terminal, markdown, page] = forms(&told);
    assert!(
        terminal.contains(
            "verdict: accepted, 1 of 1 rules met, with one warning\n  warning: the rules do not say it, but: Worse: more unsafe requests pass.\n  warning: the calibration rests on 12 rows only\n"
        ),
        "{terminal}"
    );
    assert!(markdown.starts_with("## ● Accepted, with one warning. The rules do not say it, but: Worse"), "{markdown}");
    let verdict = page.split_once("<section class=\"verdict open\"").unwrap().1.split_once("</section>").unwrap().0;
    let warning = "<p class=\"lead caution\"><span class=\"mark\" aria-hidden=\"true\">⚠\u{fe0e}</span> the calibration rests on 12 rows only</p>";
    assert!(verdict.contains(warning), "{verdict}");
    // Not accepted is one word everywhere.
    told.accept.as_mut().unwrap().accepted = false;
    told.accept.as_mut().unwrap().rules[0].passed = false;
    for text in forms(&told) {
        assert!(text.to_lowercase().contains("not accepted") && !text.contains("refused"), "{text}");
    }
}
