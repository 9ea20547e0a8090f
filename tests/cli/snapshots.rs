//! What a user sees, word for word: standard output, standard error and exit code of command lines. A change here is looked at before it is taken:
//! `INSTA_UPDATE=always cargo test --release --test main -- cli::snapshots`, and `git diff tests/cli/snapshots`.

use std::path::Path;

use super::{lines, manifest, outcome, so8t, write};

/// Every command, and those of a command.
const COMMANDS: &[(&str, &[&str])] = &[
    ("", &[]),
    ("init", &[]),
    ("doctor", &[]),
    ("run", &[]),
    ("eval", &[]),
    ("prepare", &[]),
    ("train", &[]),
    ("predict", &[]),
    ("compare", &[]),
    ("evaluate", &[]),
    ("merge", &[]),
    ("verify", &[]),
    ("serve", &[]),
    ("bundle", &[]),
    ("key", &[]),
    ("audit", &["verify", "prove", "check", "show", "shred", "export"]),
    ("search", &[]),
    ("watch", &[]),
    ("track", &[]),
    ("export", &[]),
    ("release", &["keygen", "verify"]),
    ("plugin", &["new", "check", "inspect", "list", "bench", "keygen", "sign", "push", "pull"]),
    ("adapter", &["merge", "export"]),
    ("model", &["inspect", "params"]),
    ("data", &["inspect", "labels", "presets"]),
    ("schema", &["manifest", "reference"]),
];

/// Command lines that say something, or refuse something, at once.
const LINES: &[&str] = &[
    "--version",
    "runn so8t.toml",
    "run so8t.toml --outt x",
    "run nowhere.toml",
    "run .",
    "run bad.toml",
    "run bad.toml --json",
    "prepare old.toml --quiet --out old",
    "prepare so8t.toml --quiet --out new",
    "eval so8t.toml --adapter nowhere",
    "train so8t.toml",
    "predict nowhere data.jsonl",
    "predict so8t.toml data.jsonl --source none",
    "compare one",
    "compare one two",
    "compare one two --rule accuracy",
    "evaluate nowhere.parquet",
    "merge nowhere.state",
    "verify nowhere",
    "serve nowhere --audit log",
    "serve nowhere --audit log --listen 0.0.0.0:8080",
    "bundle nowhere --out a.so8t",
    "bundle nowhere --out data.jsonl",
    "audit verify nowhere",
    "search so8t.toml",
    "watch nowhere --once",
    "track nowhere --tensorboard board",
    "export nowhere --to eee",
    "release nowhere --key key",
    "plugin new metric right --lang cobol",
    "plugin inspect data.jsonl",
    "plugin check nowhere.wasm",
    "plugin sign nowhere.wasm --key nowhere.key",
    "model inspect nowhere",
    "model inspect data.jsonl",
    "data inspect data.jsonl",
    "data inspect nowhere.jsonl",
    "data labels",
    "init data.jsonl --out own.toml",
    "schema nothing",
];

/// Runs a command line in a folder of its own, and holds what it says against what is stored.
fn check(name: &str, line: &str) {
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path();
    write(folder, "data.jsonl", &lines());
    write(folder, "so8t.toml", &manifest("", ""));
    write(folder, "bad.toml", &manifest("seed = 1", "sead = 1"));
    write(folder, "old.toml", &manifest("[split]", "[predict]\npolicy = \"Judge.\"\n[split]"));
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let (stdout, stderr, code) = outcome(&so8t(folder, &arguments));
    let text = format!("$ so8t {line}\n{stdout}--- standard error\n{stderr}--- exit {code}\n");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // Where the temporary folder lies says nothing.
    let shown = [folder.to_owned(), folder.canonicalize().expect("a folder")];
    let text = shown.iter().fold(text, |text, path| text.replace(&path.display().to_string(), "FOLDER"));
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn name_of(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect::<String>()
        .trim_matches('-')
        .to_owned()
}

#[test]
fn the_help_of_every_command() {
    for (command, inner) in COMMANDS {
        let whole = format!("{command} --help");
        check(&format!("help-{}", if command.is_empty() { "so8t" } else { command }), whole.trim());
        for own in *inner {
            check(&format!("help-{command}-{own}"), &format!("{command} {own} --help"));
        }
    }
}

#[test]
fn every_command_has_its_help_here() {
    let listed = |text: &str| -> Vec<String> {
        let commands = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        names
            .filter_map(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(str::to_owned)
            .collect()
    };
    let help = |arguments: &[&str]| outcome(&so8t(Path::new("."), &[arguments, &["--help"]].concat())).0;
    let known: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
    assert_eq!(listed(&help(&[])), known);
    for (name, inner) in COMMANDS.iter().filter(|(name, _)| !name.is_empty()) {
        assert_eq!(listed(&help(&[name])), *inner, "{name}");
    }
}

#[test]
fn what_command_lines_say() {
    for line in LINES {
        check(&name_of(line), line);
    }
}
