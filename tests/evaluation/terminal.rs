//! The table for the terminal.

use so8t::report::terminal::table;
use so8t::report::width;

use super::sample;

#[test]
fn columns_line_up_whatever_the_script() {
    let report = sample::report();
    let text = table(&report, false);
    assert!(!text.contains('\u{1b}'));
    let lines: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
    assert!(lines[0].contains("before") && lines[0].contains("95 % interval of Δ"), "{text}");
    assert!(lines.contains(&"日本語の検証データ"), "{text}");
    // The end of each "before" number, in columns.
    let head = width(&lines[0][..lines[0].find("before").unwrap() + "before".len()]);
    let rows: Vec<&&str> = lines.iter().filter(|line| line.starts_with("  classification.")).collect();
    assert_eq!(rows.len(), 20, "{text}");
    for row in rows {
        let wide: Vec<char> = row.chars().collect();
        assert!(wide[head - 1].is_ascii_digit() && wide[head] == ' ' && wide[head - 4] == '.', "{row}");
    }
    assert!(text.contains("better") && text.contains("McNemar, exact: p < 0.001"), "{text}");
    assert!(text.contains("warning: source `日本語の検証データ`"), "{text}");
}

#[test]
fn colours_add_nothing_but_colour() {
    let report = sample::report();
    let coloured = table(&report, true);
    assert!(coloured.contains("\u{1b}[32mbetter\u{1b}[0m"));
    let mut bare = coloured;
    for code in ["\u{1b}[32m", "\u{1b}[1;31m", "\u{1b}[2m", "\u{1b}[0m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, table(&report, false));
}

#[test]
fn one_evaluation_shows_values_and_intervals() {
    let mut report = sample::report();
    (report.after, report.comparison, report.training) = (None, None, None);
    let text = table(&report, false);
    assert!(text.lines().next().is_some_and(|head| head.ends_with("95 % interval")), "{text}");
    assert!(!text.contains("McNemar") && text.contains(" … "), "{text}");
}

#[test]
fn names_cannot_steer_the_terminal() {
    let mut report = sample::report();
    report.warnings.push("\u{1b}[2Jgone\r\u{202e}".into());
    let value = report.after.as_ref().unwrap().sources.get("en").unwrap().clone();
    report.after.as_mut().unwrap().sources.insert("\u{1b}]0;title\u{7}", value);
    let text = table(&report, false);
    assert!(!text.contains(['\u{1b}', '\r', '\u{7}', '\u{202e}']), "{text:?}");
}

#[test]
fn widths_are_those_of_a_terminal() {
    for (text, columns) in [
        ("abc", 3),
        ("日本語", 6),
        ("ｶﾅ", 2),
        ("が", 2),
        ("か\u{3099}", 2),
        ("é", 1),
        ("e\u{301}", 1),
        ("한글", 4),
        ("ＡＢ", 4),
        ("…–Δ−", 4),
        ("😀", 2),
    ] {
        assert_eq!(width(text), columns, "{text}");
    }
}
