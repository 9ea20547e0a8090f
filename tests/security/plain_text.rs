//! Every line on a terminal is plain: no name from a file moves the cursor, paints, or turns the direction of reading.

use so8t::plain;

use super::{place, so8t};
use crate::cli::write;

/// ESC with a title, a clear screen, a C1 control, right-to-left override, an isolate, a tag character, a line break.
const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{e0041}\u{61c}\nerror: forged";

fn check(text: &str, of: &str) {
    let hidden = text.chars().find(|c| plain::is_hidden(*c) && *c != '\n');
    assert!(hidden.is_none(), "{of}: {hidden:?} in {text:?}");
    assert!(!text.contains("\nerror: forged"), "{of}: {text}");
}

#[test]
fn hidden_characters_are_escaped_and_others_are_not() {
    let line = plain::line(&format!("`{HOSTILE}`\n  at wasm\ttext ÄÖ 日本語"));
    check(&line, "line");
    assert!(line.contains("\\u{1b}]0;x\\u{7}") && line.contains("\\nerror: forged") && line.contains("\n  at wasm"));
    assert!(line.ends_with("text ÄÖ 日本語"));
    assert_eq!(plain::lines("a\n\tb\u{202e}"), "a\n\tb\\u{202e}");
    let json = plain::json("{\n\"a\": \"\u{9b}\u{202e}\u{e0041}ä\"}");
    check(&json, "json");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["a"].as_str().unwrap(), "\u{9b}\u{202e}\u{e0041}ä");
}

#[test]
fn names_in_files_are_plain_wherever_they_are_shown() {
    let place = place("", "");
    let folder = place.path();
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let key = quoted(HOSTILE);
    write(folder, "key.jsonl", &format!("{{{key}: 1}}\n"));
    let row = |label: &str, id: &str, source: &str| {
        format!(
            "{{\"id\":{},\"source\":{},\"gold\":{l},\"predicted\":{l},\"scores\":{{{l}:1.0}}}}\n",
            quoted(id),
            quoted(source),
            l = quoted(label)
        )
    };
    write(folder, "label.jsonl", &row(HOSTILE, "1", "s").repeat(2));
    write(folder, "id.jsonl", &row("A", HOSTILE, "s").repeat(2));
    write(folder, "source.jsonl", &format!("{}{}", row("A", "1", HOSTILE), row("A", "2", "s")));
    let toml_key = "\\u001b]0;x\\u0007\\u202e\\nerror: forged";
    write(folder, "key.toml", &format!("[run]\nname = \"r\"\n\"{toml_key}\" = 1\n"));
    write(
        folder,
        "name.toml",
        &format!(
            "[run]\nname = \"r\"\n[[data]]\nname = \"s\"\npath = \"{toml_key}\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\n"
        ),
    );
    write(
        folder,
        "plugin.toml",
        &format!(
            "[run]\nname = \"r\"\n[plugins.\"{toml_key}\"]\ncomponent = \"builtin:jsonl\"\n[[data]]\nname = \"s\"\npath = \"data.jsonl\"\nconverter = \"{toml_key}x\"\nmapper = \"four-class\"\n"
        ),
    );
    let commands: [&[&str]; 10] = [
        &["evaluate", "key.jsonl"],
        &["evaluate", "label.jsonl", "--resamples", "5"],
        &["evaluate", "id.jsonl", "--resamples", "5"],
        &["evaluate", "source.jsonl", "--resamples", "5"],
        &["evaluate", "source.jsonl", "--resamples", "5", "--json"],
        &["prepare", "key.toml"],
        &["prepare", "name.toml"],
        &["prepare", "plugin.toml"],
        &["prepare", "no\u{1b}[2J\u{202e}such.toml"],
        &["no\u{1b}[2J\u{202e}such"],
    ];
    for arguments in commands {
        let (stdout, stderr, _) = so8t(folder, arguments, &[]);
        check(&stdout, &format!("{arguments:?}, standard output"));
        check(&stderr, &format!("{arguments:?}, standard error"));
    }
}

#[test]
fn values_of_the_environment_are_spelled() {
    plain::hide("/secret-folder-of-a-test/inner", "${A}");
    plain::hide("/s7", "${B}");
    plain::hide("word7", "${C}");
    assert_eq!(plain::spelled("`/secret-folder-of-a-test/inner/d.jsonl`:1"), "`${A}/d.jsonl`:1");
    assert_eq!(plain::spelled("x /s7/a /s77 b/s7"), "x ${B}/a /s77 b/s7");
    // A word may be any word: it is one of a path alone.
    assert_eq!(plain::spelled("word7 ./word7/x `word7` sword7"), "word7 ./${C}/x `${C}` sword7");
}
