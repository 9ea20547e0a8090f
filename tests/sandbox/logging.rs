//! What guests log: whose it is, on one line each, and not too much.

use std::sync::{Arc, Mutex};

use so8t::evaluate::Measure;
use so8t::plugin::{ComponentSource, Host, Limits, LogLevel, LogLine, PluginSpec};

use super::handmade::Handmade;
use super::{labels, rows, spec, tight};

/// A host that keeps what guests log.
fn listening() -> (Host, Arc<Mutex<Vec<LogLine>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let host = Host::new(None).unwrap().with_log(move |line| kept.lock().unwrap().push(line.clone()));
    (host, lines)
}

#[test]
fn a_line_cannot_be_forged() {
    let (host, lines) = listening();
    let plugin = host.load(&spec("evil-metric", "log-escape", "update", tight())).unwrap();
    plugin.open_metric(&labels()).unwrap().update(&rows()).unwrap();
    let shown: Vec<String> = lines.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(shown, [r"[guest] info: \u{1b}[2J\u{1b}[31mred\u{7}\nso8t: error: a forged line\r"]);
}

#[test]
fn a_flood_is_cut_and_counted() {
    let (host, lines) = listening();
    let plugin =
        host.load(&spec("evil-metric", "log-flood", "update", Limits { fuel: 20_000_000, ..tight() })).unwrap();
    plugin.open_metric(&labels()).unwrap().update(&rows()).unwrap_err();
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 101);
    assert_eq!(lines[99].text, "message 99 of a flood");
    assert_eq!(lines[100].level, LogLevel::Warn);
    let left_out: u32 = lines[100].text.split(' ').next().unwrap().parse().unwrap();
    assert!(left_out > 1000, "{left_out}");
    assert_eq!(lines[100].text, format!("{left_out} more lines of this call were left out"));
}

#[test]
fn the_last_words_of_a_guest_are_part_of_the_error() {
    let handmade = Handmade {
        fields: r#"(data (i32.const 1024) "the table has no row\n7")"#,
        describe: "(call $log (i32.const 3) (i32.const 1024) (i32.const 22)) unreachable",
        ..Handmade::default()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), handmade.build()).unwrap();
    let (host, lines) = listening();
    let error = host.load(&PluginSpec::new("guest", ComponentSource::Path(file.path().into()))).err().unwrap();
    assert_eq!(
        error.to_string(),
        "plugin `guest`: `describe`: trapped: wasm `unreachable` instruction executed; the last error that it logged: \
         the table has no row\\n7"
    );
    assert_eq!(lines.lock().unwrap()[0].to_string(), r"[guest] error: the table has no row\n7");
}

#[test]
fn a_long_line_is_cut() {
    let handmade = Handmade {
        pages: 20,
        describe: "(memory.fill (i32.const 65536) (i32.const 97) (i32.const 1000000)) \
                   (call $log (i32.const 0) (i32.const 65536) (i32.const 1000000))",
        ..Handmade::default()
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), handmade.build()).unwrap();
    let (host, lines) = listening();
    host.load(&PluginSpec::new("guest", ComponentSource::Path(file.path().into()))).unwrap();
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].level, LogLevel::Debug);
    assert_eq!(lines[0].text.chars().count(), 2001);
    assert!(lines[0].text.ends_with("a…"));
}
