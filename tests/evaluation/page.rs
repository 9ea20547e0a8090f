//! `report.html`: one page, self-contained, escaped, the same every time.

use std::path::Path;

use serde_json::json;
use so8t::report::html::page;
use so8t::report::{Report, Run, escape};

use super::sample;

/// The tags of the page, in order, without their attributes.
fn tags(page: &str) -> Vec<String> {
    let parts = page.split('<').skip(1).filter(|part| !part.starts_with('!'));
    parts.map(|part| part.chars().take_while(|c| *c == '/' || c.is_ascii_alphanumeric()).collect()).collect()
}

/// Every element that is opened is closed, in order.
fn check_balance(page: &str) {
    let void = ["meta", "circle", "path", "rect", "polyline"];
    let mut open: Vec<String> = Vec::new();
    for tag in tags(page) {
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None if void.contains(&tag.as_str()) => {}
            None => open.push(tag),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    let report = sample::report();
    let page = page(&report);
    check_balance(&page);
    for absent in ["http://", "https://", "<script", "<link", "<img", "@import", "url(", "@font-face", "onclick", "NaN"]
    {
        assert!(!page.contains(absent), "{absent}");
    }
    for present in [
        "<html lang=\"en\">",
        "prefers-color-scheme: dark",
        "@media print",
        "Better than before",
        "Unsafe pass rate",
        "Over-block rate",
        "Accuracy",
        "By class",
        "Confusion",
        "INVALID",
        "Training loss from step 1 to step 240",
        "By source",
        "日本語の検証データ",
        "Changed decisions",
        "McNemar",
        "3\u{202f}856\u{202f}731\u{202f}136",
        "Digests",
        "Warnings (",
        "tabindex=\"0\"",
    ] {
        assert!(page.contains(present), "{present}");
    }
    assert!(!page.contains("not shown here"));
}

#[test]
fn headings_do_not_skip_a_level_and_ids_are_distinct() {
    let page = page(&sample::report());
    let levels: Vec<u8> = tags(&page).iter().filter_map(|t| t.strip_prefix('h')?.parse().ok()).collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    for id in page.split("aria-labelledby=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.contains(&id), "{id}");
    }
}

#[test]
fn equal_reports_give_equal_bytes() {
    assert_eq!(page(&sample::report()), page(&sample::report()));
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "</title><script>alert('1')</script>\"><img src=x onerror=\"y\">&amp;\u{0}\u{202e}";
    let mut report = sample::report();
    report.run.name = hostile.into();
    report.run.command = hostile.into();
    report.run.created = hostile.into();
    report.run.labels.push(hostile.into());
    report.run.details.insert(hostile.into(), json!(hostile));
    report.warnings.push(hostile.into());
    report.training = Some(json!({ hostile: hostile, "nested": { hostile: { hostile: [hostile] } } }));
    report.data = json!({ hostile: [{ hostile: hostile }], "list": [hostile] });
    report.digests = json!({ hostile: { hostile: hostile } });
    for part in [&mut report.before, &mut report.after] {
        let measured = part.as_mut().unwrap();
        let value = measured.metrics.get("classification.accuracy").unwrap().clone();
        measured.metrics.insert(format!("{hostile}.{hostile}"), value.clone());
        measured.metrics.insert(format!("classification.f1_{}", hostile.to_lowercase()), value.clone());
        measured.metrics.insert(format!("classification.confusion.{hostile}.{hostile}"), value);
        let source = measured.sources.get("en").unwrap().clone();
        measured.sources.insert(hostile, source);
    }
    for flip in &mut report.comparison.as_mut().unwrap().flips {
        (flip.id, flip.source, flip.gold) = (hostile.into(), hostile.into(), hostile.into());
        (flip.before, flip.after) = (hostile.into(), hostile.into());
    }
    let page = page(&report);
    check_balance(&page);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\0'));
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&gt;&lt;img src=x"));
    let known: std::collections::BTreeSet<String> = tags(&super::page::page(&sample::report())).into_iter().collect();
    assert!(tags(&page).iter().all(|tag| known.contains(tag) || tag == "h3" || tag == "/h3"));
}

#[test]
fn escaping_covers_content_and_attributes() {
    assert_eq!(escape("a<b>&\"'\n\u{7}日本"), "a&lt;b&gt;&amp;&quot;&#39; \u{fffd}日本");
}

#[test]
fn a_report_with_little_in_it_is_still_a_page() {
    let run = Run { name: "bare".into(), command: "eval".into(), ..Run::default() };
    let bare = Report::new(run);
    check_balance(&page(&bare));
    assert!(page(&bare).contains("Nothing was evaluated"));
    let mut only_before = sample::report();
    (only_before.after, only_before.comparison, only_before.training) = (None, None, None);
    only_before.loss_curve.clear();
    let text = page(&only_before);
    check_balance(&text);
    assert!(text.contains("Macro-F1 is 0.") && !text.contains("Changed decisions") && !text.contains(" → "));
    for curve in [vec![], vec![(1, 2.0)], vec![(1, 0.0), (2, 0.0)], vec![(5, f64::NAN), (6, -1e9), (9, 1e9)]] {
        let mut odd = sample::report();
        odd.loss_curve = curve;
        check_balance(&page(&odd));
    }
}

#[test]
fn a_rate_of_nothing_is_not_called_certain() {
    let mut report = sample::report();
    let after = report.after.as_mut().unwrap();
    let mut rate = after.metrics.get("classification.unsafe_pass_rate").unwrap().clone();
    (rate.value, rate.n, rate.low, rate.high) = (Some(0.0), 40, None, None);
    after.metrics.insert("classification.unsafe_pass_rate", rate);
    // 1 - 0.05^(1/40)
    assert!(page(&report).contains("With n = 40, 95 % sure that it is at most 0.072."));
}

/// Writes the made-up report where it can be looked at: `SO8T_SAMPLE_REPORT=/some/folder cargo test …`.
#[test]
fn a_sample_can_be_looked_at() {
    let Some(folder) = std::env::var_os("SO8T_SAMPLE_REPORT") else { return };
    let folder = Path::new(&folder);
    let report = sample::report();
    report.write_html(&folder.join("report.html")).unwrap();
    report.write_json(&folder.join("report.json")).unwrap();
    let mut only_before = report.clone();
    (only_before.after, only_before.comparison, only_before.training) = (None, None, None);
    only_before.write_html(&folder.join("eval.html")).unwrap();
    println!("{}", so8t::report::terminal::table(&report, false));
    println!("{}", so8t::report::terminal::table(&only_before, false));
}
