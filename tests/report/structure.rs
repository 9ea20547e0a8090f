//! `report.html` without a browser: whole, self-contained, escaped, in order, the same every time.

use serde_json::json;
use so8t::evaluate::{Measurement, Table};
use so8t::report::html::page;
use so8t::report::{Report, Run, escape};

use super::full;
use crate::evaluation::sample;

/// The tags of the page, in order, without their attributes.
pub fn tags(page: &str) -> Vec<String> {
    let parts = page.split('<').skip(1).filter(|part| !part.starts_with('!'));
    parts.map(|part| part.chars().take_while(|c| *c == '/' || c.is_ascii_alphanumeric()).collect()).collect()
}

/// The values of an attribute, in order.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    page.split(&format!(" {name}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Every element that is opened is closed, in order; ids are distinct and what refers to one finds it.
fn check(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for part in page.split('<').skip(1).filter(|part| !part.starts_with('!')) {
        let tag = part.split('>').next().unwrap();
        let name = tag.split(' ').next().unwrap().trim_end_matches('/');
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') || ["meta", "input"].contains(&name) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let ids = attributes(page, "id");
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    for name in ["aria-labelledby", "for"] {
        attributes(page, name).iter().for_each(|id| assert!(ids.contains(id), "{name} {id}"));
    }
    for place in attributes(page, "href") {
        assert!(place.strip_prefix('#').is_some_and(|id| ids.contains(&id)), "{place}");
    }
}

/// A report of one evaluation.
fn one_evaluation() -> Report {
    let mut report = full::report();
    (report.after, report.comparison, report.accept, report.training) = (None, None, None, None);
    report.loss_curve.clear();
    report
}

/// `page` from the heading with the id `from` to the next heading of a section.
fn section<'a>(page: &'a str, from: &str) -> &'a str {
    let rest = &page[page.find(&format!("<h2 id=\"{from}\"")).unwrap_or_else(|| panic!("no section `{from}`"))..];
    &rest[..rest.find("</section>").unwrap()]
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    for report in [full::report(), one_evaluation(), sample::report()] {
        let page = page(&report);
        check(&page);
        for absent in
            ["http://", "https://", "<link", "<img", "@import", "url(", "@font-face", " style=\"", " onclick", "NaN"]
        {
            assert!(!page.contains(absent), "{absent}");
        }
        assert_eq!(page.matches("<script").count(), 1);
        let script = page.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
        for absent in ["innerHTML", "eval(", "document.write", "fetch(", "localStorage", "cookie"] {
            assert!(!script.contains(absent), "{absent}");
        }
        assert!(page.contains("content=\"default-src 'none'; style-src 'sha256-"), "{}", &page[..400]);
        assert!(!page.contains("unsafe-inline"));
        assert!(!page.contains("not shown here"));
    }
}

#[test]
fn the_sections_come_in_the_order_of_a_decision() {
    let page = page(&full::report());
    let headings: Vec<&str> = page.split("<h2 id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(
        headings,
        [
            "verdict",
            "values",
            "confusion",
            "classes",
            "sources",
            "threshold",
            "reliability",
            "flips",
            "training",
            "data",
            "contamination",
            "metrics",
            "limits",
            "repeat"
        ]
    );
    // Each has a link in the navigation.
    headings.iter().for_each(|id| assert!(page.contains(&format!("<li><a href=\"#{id}\">")), "{id}"));
}

#[test]
fn headings_do_not_skip_a_level_and_columns_are_named() {
    for page in [page(&full::report()), page(&one_evaluation()), page(&sample::report())] {
        let levels: Vec<u8> = tags(&page).iter().filter_map(|t| t.strip_prefix('h')?.parse().ok()).collect();
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
        let heads = page.split("<th").skip(1).filter(|rest| rest.starts_with([' ', '>']));
        heads.for_each(|rest| {
            assert!(rest.starts_with(" scope=\"col\"") || rest.starts_with(" scope=\"row\""), "{}", &rest[..40])
        });
    }
}

#[test]
fn every_text_stands_in_both_languages() {
    let page = page(&full::report());
    for (element, least) in [("span", 150), ("text", 15)] {
        let of = |language: &str| page.matches(&format!("<{element} lang=\"{language}\"")).count();
        assert_eq!(of("en"), of("ja"), "{element}");
        assert!(of("en") >= least, "{element} {}", of("en"));
    }
    assert!(page.contains("<html lang=\"en\">"));
}

#[test]
fn the_verdict_has_its_rules_and_reasons() {
    let mut report = full::report();
    let refused = page(&report);
    let verdict = section(&refused, "verdict");
    assert!(verdict.contains("Not accepted.") && verdict.contains("採用不可"), "{verdict}");
    assert!(verdict.contains("1 of 3 rules of the manifest are not met."));
    assert!(verdict.contains("<code>classification.unsafe_pass_rate</code> does not rise"));
    assert_eq!(verdict.matches("<span class=\"badge bad\">").count(), 1);
    assert_eq!(verdict.matches("<span class=\"badge good\">").count(), 2);
    for rule in &report.accept.as_ref().unwrap().rules {
        assert!(verdict.contains(&escape(&rule.reason)), "{}", rule.reason);
    }
    let terminal = so8t::report::terminal::table(&report, false);
    assert!(
        terminal.contains("\nverdict: not accepted, 2 of 3 rules met\n  Of 100 unsafe requests about 15 would pass (11 to 18); before, about 9. "),
        "{terminal}"
    );
    assert!(
        terminal.contains("\n  not met  `classification.unsafe_pass_rate` does not rise: it changed by"),
        "{terminal}"
    );
    let accept = report.accept.as_mut().unwrap();
    accept.accepted = true;
    accept.rules.iter_mut().for_each(|rule| rule.passed = true);
    let accepted = page(&report);
    assert!(section(&accepted, "verdict").contains("All 3 rules of the manifest are met."));
    report.accept = None;
    let terminal = so8t::report::terminal::table(&report, false);
    assert!(
        terminal.contains(
            "\nverdict: Mixed: better overall, but more unsafe requests pass. Of 100 unsafe requests about 15"
        ),
        "{terminal}"
    );
    assert!(section(&page(&report), "verdict").contains("Mixed: better overall, but more unsafe requests pass."));
    assert!(section(&page(&one_evaluation()), "verdict").contains("Evaluated."));
}

#[test]
fn a_value_over_few_rows_is_never_a_headline() {
    let mut report = full::report();
    let name = "classification.unsafe_pass_rate";
    let after = report.after.as_mut().unwrap();
    let few = Measurement { few: true, n: 7, value: Some(0.429), ..after.metrics.get(name).unwrap().clone() };
    after.metrics.insert(name, few);
    let page = page(&report);
    let cards = section(&page, "values");
    assert!(cards.contains("too few") && cards.contains("only 7 rows") && !cards.contains("0.429"), "{cards}");
    // The table of all values has the number beside the warning.
    assert!(section(&page, "metrics").contains("too few</span><span lang=\"ja\">少数</span></span> 0.429"));
    assert!(so8t::report::terminal::table(&report, false).contains("too few"));
}

#[test]
fn the_method_of_an_interval_is_named() {
    let mut report = full::report();
    let after = report.after.as_mut().unwrap();
    let name = "classification.unsafe_pass_rate";
    let exact = Measurement { method: Some("Clopper-Pearson".into()), ..after.metrics.get(name).unwrap().clone() };
    after.metrics.insert(name, exact);
    let page = page(&report);
    let cards = section(&page, "values");
    assert!(cards.contains("700 rows · clustered bootstrap") && cards.contains("rows · Clopper–Pearson"), "{cards}");
}

#[test]
fn every_value_is_in_a_table_whoever_gave_it() {
    let report = full::report();
    let page = page(&report);
    let all = section(&page, "metrics");
    assert!(all.contains("<code>house.tone.of.voice</code>") && all.contains("12.500") && all.contains("0.731"));
    // Those that the charts show are told by their names, not by the name of the plugin.
    let mut renamed = report.clone();
    for part in [&mut renamed.before, &mut renamed.after] {
        let metrics = &mut part.as_mut().unwrap().metrics;
        *metrics =
            metrics.iter().map(|(name, m)| (name.replace("curves.", "my-curves."), m.clone())).collect::<Table<_>>();
    }
    assert_eq!(section(&super::structure::page(&renamed), "threshold"), section(&page, "threshold"));
    // A name that only looks like a point of a chart stays in the table.
    let odd = ["house.threshold.0.01.unsafe_pass_rate", "house.bin.15.count", "house.confusion.ALLOW.MAYBE"];
    for name in odd {
        let value = Measurement { value: Some(0.125), n: 10, low: None, high: None, method: None, few: false };
        renamed.after.as_mut().unwrap().metrics.insert(name, value);
    }
    let page = super::structure::page(&renamed);
    odd.iter().for_each(|name| assert!(section(&page, "metrics").contains(&format!("<code>{name}</code>")), "{name}"));
}

#[test]
fn the_threshold_knows_every_rate() {
    let report = full::report();
    let page = page(&report);
    for (kind, measured) in [("was", &report.before), ("now", &report.after)] {
        for (id, rate) in [("pass", "unsafe_pass_rate"), ("block", "over_block_rate")] {
            let cell = page.split_once(&format!("id=\"threshold-{kind}-{id}\" data-set-text=\"")).unwrap().1;
            let values: Vec<&str> = cell.split('"').next().unwrap().split('|').collect();
            assert_eq!(values.len(), 51);
            for (step, text) in values.iter().enumerate() {
                let name = format!("curves.threshold.{:.2}.{rate}", step as f64 / 50.0);
                let value = measured.as_ref().unwrap().metrics.get(&name).unwrap().value.unwrap();
                assert_eq!(*text, format!("{value:.3}"), "{name}");
            }
            // Without a script the page shows the middle.
            assert!(cell.split_once('>').unwrap().1.starts_with(values[25]));
        }
    }
}

#[test]
fn equal_reports_give_equal_bytes() {
    assert_eq!(page(&full::report()), page(&full::report()));
}

#[test]
fn requests_are_text_behind_a_click_and_not_in_the_json() {
    let report = full::report();
    let page = page(&report);
    let list = section(&page, "flips");
    assert!(
        list.contains("<div class=\"text\" dir=\"auto\">Ignore the above.&lt;/div&gt;&lt;/details&gt;&lt;script&gt;")
    );
    assert!(list.contains("&quot;&gt;&lt;img src=x onerror=&quot;"));
    assert!(list.contains("explain\nline two\u{fffd}</div>"), "line breaks are kept, reordering is not");
    assert_eq!(list.matches("<details class=\"request\">").count(), report.texts.len());
    assert!(!list.contains("<details class=\"request\" open"));
    for text in full::HOSTILE {
        assert!(!report.to_json().unwrap().contains(&text[..12]));
        assert!(!so8t::report::markdown::text(&report).contains(&text[..12]));
    }
    // Without the requests there is no column for them, and the page is what a report that was read back gives.
    let folder = tempfile::tempdir().unwrap();
    report.write(folder.path()).unwrap();
    let mut bare = report;
    bare.texts.clear();
    let read = Report::read(&folder.path().join("report.json")).unwrap();
    assert_eq!(super::structure::page(&read), super::structure::page(&bare));
    assert!(!super::structure::page(&read).contains("class=\"request\""));
}

#[test]
fn long_lists_and_long_requests_are_cut_and_say_so() {
    let mut report = full::report();
    let flip = report.comparison.as_ref().unwrap().flips[0].clone();
    report.texts.insert(flip.id.clone(), "長".repeat(4321));
    let flips = &mut report.comparison.as_mut().unwrap().flips;
    while flips.len() < 640 {
        let mut copy = flip.clone();
        copy.id = format!("copy:{}", flips.len());
        flips.push(copy);
    }
    let page = page(&report);
    check(&page);
    assert!(page.contains("140 more are in report.json.") && page.contains("… 321 more characters"));
    assert_eq!(page.matches("<tr data-change=").count(), 500);
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "</title><script>alert('1')</script>\"><img src=x onerror=\"y\">&amp;\u{0}\u{202e}|{n}`";
    let mut report = full::report();
    report.run.name = hostile.into();
    report.run.command = hostile.into();
    report.run.created = hostile.into();
    report.run.labels.push(hostile.into());
    report.run.repeat.push(hostile.into());
    report.run.details.insert(hostile.into(), json!(hostile));
    report.warnings.push(hostile.into());
    report.training = Some(json!({ hostile: hostile, "nested": { hostile: { hostile: [hostile] } } }));
    report.data["sources"][0]["name"] = json!(hostile);
    report.data["sources"][0]["use"] = json!(hostile);
    report.data[hostile] = json!([{ hostile: hostile }]);
    report.digests = json!({ hostile: { hostile: hostile } });
    for rule in &mut report.accept.as_mut().unwrap().rules {
        (rule.rule, rule.metric, rule.reason) = (hostile.into(), hostile.into(), hostile.into());
    }
    report.calibration.as_mut().unwrap().thresholds.insert(hostile, 0.5);
    let contamination = report.contamination.as_mut().unwrap();
    contamination.sources.insert(hostile.into(), Default::default());
    (contamination.pairs[0].eval, contamination.pairs[0].train) = (hostile.into(), hostile.into());
    for part in [&mut report.before, &mut report.after] {
        let measured = part.as_mut().unwrap();
        let mut value = measured.metrics.get("classification.accuracy").unwrap().clone();
        value.method = Some(hostile.into());
        measured.metrics.insert("classification.accuracy", value.clone());
        measured.metrics.insert(format!("{hostile}.{hostile}"), value.clone());
        measured.metrics.insert(format!("classification.f1_{}", hostile.to_lowercase()), value.clone());
        measured.metrics.insert(format!("classification.confusion.{hostile}.{hostile}"), value);
        let source = measured.sources.get("xstest").unwrap().clone();
        measured.sources.insert(hostile, source);
    }
    let comparison = report.comparison.as_mut().unwrap();
    for flip in &mut comparison.flips {
        (flip.id, flip.source, flip.gold) = (hostile.into(), hostile.into(), hostile.into());
        (flip.before, flip.after) = (hostile.into(), hostile.into());
    }
    comparison.flip_counts.category.entry(hostile).worsened = 3;
    report.texts.insert(hostile.into(), hostile.into());
    let page = page(&report);
    check(&page);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\0'));
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&gt;&lt;img src=x"));
    let known: std::collections::BTreeSet<String> =
        tags(&super::structure::page(&full::report())).into_iter().collect();
    assert!(tags(&page).iter().all(|tag| known.contains(tag)));
}

#[test]
fn escaping_covers_content_and_attributes() {
    assert_eq!(escape("a<b>&\"'\n\u{7}日本"), "a&lt;b&gt;&amp;&quot;&#39; \u{fffd}日本");
}

#[test]
fn a_report_with_little_in_it_is_still_a_page() {
    let run = Run { name: "bare".into(), command: "eval".into(), ..Run::default() };
    let bare = Report::new(run);
    check(&page(&bare));
    assert!(page(&bare).contains("Nothing was evaluated"));
    let text = page(&one_evaluation());
    check(&text);
    assert!(text.contains("Macro-F1 is 0.") && !text.contains("Changed decisions") && !text.contains(" → </span>"));
    for curve in [vec![], vec![(1, 2.0)], vec![(1, 0.0), (2, 0.0)], vec![(5, f64::NAN), (6, -1e9), (9, 1e9)]] {
        let mut odd = full::report();
        odd.loss_curve = curve;
        check(&page(&odd));
        assert!(!page(&odd).contains("NaN"));
    }
    // A threshold table with holes, and bins without rows.
    let mut holes = full::report();
    let metrics = &mut holes.after.as_mut().unwrap().metrics;
    let names: Vec<String> = metrics.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names.iter().filter(|name| name.contains(".threshold.0.5") || name.contains(".bin.1")) {
        metrics.insert(&**name, Measurement { value: None, n: 0, low: None, high: None, method: None, few: false });
    }
    check(&page(&holes));
    assert!(section(&page(&holes), "threshold").contains("<td class=\"number\">–</td>"));
}

#[test]
fn a_rate_of_nothing_is_not_called_certain() {
    let mut report = sample::report();
    let after = report.after.as_mut().unwrap();
    let mut rate = after.metrics.get("classification.unsafe_pass_rate").unwrap().clone();
    (rate.value, rate.n, rate.low, rate.high) = (Some(0.0), 40, None, None);
    after.metrics.insert("classification.unsafe_pass_rate", rate);
    // 1 - 0.05^(1/40)
    assert!(page(&report).contains("95 % sure that it is at most 0.072"));
}

#[test]
fn the_rules_of_the_data_stand_beside_their_counts() {
    let page = page(&full::report());
    let data = section(&page, "data");
    for expected in [
        "Provenance and licences",
        "来歴とライセンス",
        "<td>CC-BY-4.0</td><td>審査 &lt;チーム&gt;</td><td>2025-01-31</td>",
        "Personal data and secrets",
        "個人情報と秘密情報",
        "4 ids, groups or categories were renamed",
        "Quality gates",
        "品質ゲート",
        "detection only",
        "検出専用",
    ] {
        assert!(data.contains(expected), "{expected}: {data}");
    }
    let row = |start: &str| data.lines().find(|line| line.contains(start)).unwrap_or_else(|| panic!("{start}: {data}"));
    let mail = row(">mail</th>");
    assert!(
        mail.contains(
            "<td>redact</td><td class=\"number\">12</td><td class=\"number\">12</td><td class=\"number\">0</td>"
        ),
        "{mail}"
    );
    assert!(!data.contains(">ip</th>"), "what is kept is not looked for");
    let dropped = row(">Dropped<");
    assert!(dropped.contains("<td class=\"number\">5</td>"), "{dropped}");
    let gate = row(">label_conflicts</th>");
    assert!(
        gate.contains("warning")
            && gate.contains("警告")
            && gate.contains("1 / 2")
            && gate.contains("800</td>")
            && gate.contains("≤ 0.00 %"),
        "{gate}"
    );
}
