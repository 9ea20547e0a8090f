//! `[predict] date` and `[predict.template_variables]`: what a chat template reads, and what the report says of it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{outcome, so8t, write};

/// The quick start's model with another chat template, and four requests.
fn project(folder: &Path, template: &str, predict: &str) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart/model");
    fs::create_dir_all(folder.join("model")).unwrap();
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        fs::copy(model.join(name), folder.join("model").join(name)).unwrap();
    }
    let path = folder.join("model/tokenizer_config.json");
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    settings["chat_template"] = template.into();
    fs::write(&path, settings.to_string()).unwrap();
    let row = |label: &str| {
        format!("{{\"id\": \"{label}\", \"instruction\": \"What is {label}?\", \"label\": \"{label}\"}}\n")
    };
    write(folder, "d.jsonl", &["ALLOW", "ESCALATION", "DENY", "REFUSE"].map(row).concat());
    let text = format!(
        "[run]\nname = \"r\"\n[model]\nbase = \"model\"\ndevice = \"cpu\"\n[[data]]\nname = \"s\"\npath = \"d.jsonl\"\nconverter = \"jsonl\"\n\
         mapper = \"four-class\"\nuse = \"eval\"\n[evaluate]\nresamples = 10\n[predict]\nmax_length = 200\n{predict}\n"
    );
    write(folder, "so8t.toml", &text);
}

const BODY: &str = "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}{{ '<|assistant|>\\n' }}";

fn eval(folder: &Path, template: &str, predict: &str) -> (String, String, i32) {
    project(folder, template, predict);
    outcome(&so8t(folder, &["eval", "so8t.toml", "--json", "--fresh"]))
}

#[test]
fn the_date_and_the_variables_are_read_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let dated = format!("{{{{ strftime_now('%d %B %Y') }}}}{BODY}");
    let (_, stderr, code) = eval(folder.path(), &dated, "");
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("strftime_now") && stderr.contains("hint") && stderr.contains("`[predict] date"),
        "{stderr}"
    );
    let variables = "[predict.template_variables]\nthinking = false\ncategories = { S1 = \"Violence\" }";
    let template =
        format!("{{% if thinking or not categories.S1 %}}{{{{ raise_exception('no') }}}}{{% endif %}}{dated}");
    let (stdout, stderr, code) = eval(folder.path(), &template, &format!("date = 2026-11-30\n{variables}"));
    assert_eq!(code, 0, "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let text = report.to_string();
    assert!(text.contains("2026-11-30") && text.contains("Violence"), "{text}");
    // Where a template only asks whether there is a date, its own is taken, which is said.
    let guarded =
        format!("{{% if strftime_now is defined %}}{{{{ strftime_now('%Y') }}}}{{% else %}}2024{{% endif %}}{BODY}");
    let (_, stderr, code) = eval(folder.path(), &guarded, "");
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("asks whether there is a date") && stderr.contains("`[predict] date`"), "{stderr}");
    let (_, stderr, code) = eval(folder.path(), &guarded, "date = \"2026-11-30\"");
    assert!(code == 0 && !stderr.contains("asks whether there is a date"), "{stderr}");
}

#[test]
fn what_is_no_date_and_no_variable_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (predict, expected) in [
        ("date = \"2026-02-30\"", "`[predict] date` is `2026-02-30`: expected a day that exists"),
        ("date = 2026-11-30T10:00:00", "expected a day that exists"),
        ("date = 5", "expected a date such as 2025-01-31"),
        ("[predict.template_variables]\nmessages = []", "`messages` is no variable of a chat template"),
        ("[predict.template_variables]\nday = 2026-11-30", "expected a text where a template needs a date"),
    ] {
        let (_, stderr, code) = eval(folder.path(), BODY, predict);
        assert!(code == 1 && stderr.contains(expected), "{predict}: {stderr}");
    }
}

/// A hostile template is an error that names the file.
#[test]
fn a_template_without_bounds_names_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let nested = format!("{{{{ {}1 }}}}", "-".repeat(100_000));
    for template in [nested.as_str(), "{{ '%2000000000d' | format(1) }}", "{{ ([1] * 100000000) | sort | length }}"] {
        let (_, stderr, code) = eval(folder.path(), template, "");
        assert!(code == 1 && stderr.contains("tokenizer_config.json"), "{stderr}");
    }
}
