//! What a plugin in Python or JavaScript throws reaches its author: type, text, file and line, from every export.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::{outcome, so8t, write};

/// Whether a program can be found.
fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A project of one kind with its source changed, built; `None`, with the reason said, where it cannot be built here.
fn built(folder: &Path, kind: &str, language: &str, change: &dyn Fn(&Path)) -> Option<PathBuf> {
    let arguments = ["plugin", "new", kind, "mine", "--lang", language];
    assert_eq!(outcome(&so8t(folder, &arguments)).2, 0);
    let project = folder.join("mine");
    change(&project);
    let output = Command::new("./build.sh").current_dir(&project).output().unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // The build fetches its compiler; where no registry answers there is none.
        let offline =
            ["Could not find a version", "network", "ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ensurepip"];
        assert!(offline.iter().any(|word| said.contains(word)), "{said}");
        eprintln!("skipped: the compiler of plugins in {language} cannot be fetched here");
        return None;
    }
    Some(project)
}

/// Puts a line before the first line of each method whose definition is named.
fn insert(path: &Path, lines: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(path).unwrap();
    for (definition, line) in lines {
        assert_eq!(text.matches(definition).count(), 1, "{definition}: {text}");
        text = text.replace(definition, &format!("{definition}\n{line}"));
    }
    std::fs::write(path, text).unwrap();
}

/// The number of the first line that holds a text.
fn line_of(path: &Path, text: &str) -> usize {
    1 + std::fs::read_to_string(path).unwrap().lines().position(|line| line.contains(text)).unwrap()
}

/// The error of a metric over the sample with a configuration.
fn metric_error(project: &Path, config: &str) -> String {
    let sample = std::fs::read_to_string(project.join("sample/so8t.toml")).unwrap();
    let own = sample.lines().find(|line| line.starts_with("config = ")).unwrap();
    let manifest = sample.replace(own, &format!("config = {config}"));
    write(project, "sample/failing.toml", &manifest);
    let arguments = ["evaluate", "sample/predictions.jsonl", "--manifest", "sample/failing.toml"];
    let (stdout, stderr, code) = outcome(&so8t(project, &arguments));
    assert_eq!(code, 1, "{config}: {stdout} {stderr}");
    // Line breaks are shown as such.
    assert!(!stdout.contains('\u{fffd}') && !stderr.contains('\u{fffd}'), "{stdout} {stderr}");
    stderr
}

#[test]
fn an_exception_in_python_reaches_its_author() {
    if !has("python3") {
        eprintln!("skipped: there is no python3");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let change = |project: &Path| {
        let path = project.join("measurement.py");
        let fail = |name: &str| format!("        fail(self.failing, {name:?})");
        let lines =
            ["metrics", "wants", "state", "finalize"].map(|name| (format!("    def {name}(self):"), fail(name)));
        let lines: Vec<(&str, &str)> = lines.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        insert(&path, &lines);
        insert(
            &path,
            &[
                ("        self = cls()", "        self.failing = failing"),
                ("    def update(self, rows):", "        fail(self.failing, \"update\")"),
                ("    def merge(self, state):", "        fail(self.failing, \"merge\")"),
            ],
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(
            "        ignore_invalid = so8t.read_config(config, [\"ignore_invalid\"]).get(\"ignore_invalid\", False)",
            "        failing = so8t.read_config(config, [\"failing\"])[\"failing\"]\n        fail(failing, \"open\")\n        ignore_invalid = False",
        );
        let helper = "\n\ndef fail(failing, name):\n    if failing == name:\n        raise_it(name)\n    if failing == \"deep\" and name == \"update\":\n        deep()\n    if failing == \"exit\" and name == \"update\":\n        raise SystemExit(\"leaving\")\n    if failing == \"caused\" and name == \"update\":\n        try:\n            {}[\"key\"]\n        except KeyError as error:\n            raise ValueError(\"a bad row\") from error\n\n\ndef raise_it(name):\n    raise ZeroDivisionError(f\"broken in {name}\")  # here\n\n\ndef deep():\n    deep()\n";
        std::fs::write(&path, text + helper).unwrap();
        let plugin = std::fs::read_to_string(project.join("plugin.py")).unwrap();
        let from = plugin.find("    \"properties\"").unwrap();
        let to = plugin.find("}\n\n\n").unwrap();
        let properties = "    \"properties\": {\"failing\": {\"type\": \"string\"}},\n";
        std::fs::write(project.join("plugin.py"), format!("{}{properties}{}", &plugin[..from], &plugin[to..])).unwrap();
    };
    let Some(project) = built(folder.path(), "metric", "python", &change) else { return };
    let line = line_of(&project.join("measurement.py"), "# here");
    for export in ["open", "update", "merge", "finalize", "metrics", "wants", "state"] {
        let error = metric_error(&project, &format!("{{ failing = {export:?} }}"));
        assert!(error.contains(&format!("ZeroDivisionError: broken in {export}")), "{export}: {error}");
        assert!(
            error.contains("at raise_it (") && error.contains(&format!("measurement.py:{line})")),
            "{export}: {error}"
        );
    }
    let error = metric_error(&project, "{ failing = \"exit\" }");
    assert!(error.contains("SystemExit: leaving"), "{error}");
    let error = metric_error(&project, "{ failing = \"caused\" }");
    assert!(error.contains("ValueError: a bad row") && error.contains("because of KeyError: 'key'"), "{error}");
    let error = metric_error(&project, "{ failing = \"deep\" }");
    assert!(error.contains("RecursionError") || error.contains("stack"), "{error}");
}

#[test]
fn an_exception_in_javascript_reaches_its_author() {
    if !(has("node") && has("npm")) {
        eprintln!("skipped: there is no node with npm");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let change = |project: &Path| {
        let path = project.join("plugin.js");
        let fail = |name: &str| format!("    fail(this.failing, {name:?});");
        let lines = ["metrics", "wants", "state", "finalize"].map(|name| (format!("  {name}() {{"), fail(name)));
        let lines: Vec<(&str, &str)> = lines.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        insert(&path, &lines);
        insert(
            &path,
            &[
                (
                    "    const accumulator = new Accumulator();",
                    "    accumulator.failing = failing;\n    fail(failing, \"open\");",
                ),
                ("  update({ gold, predicted, weights }) {", "    fail(this.failing, \"update\");"),
                ("  merge(state) {", "    fail(this.failing, \"merge\");"),
            ],
        );
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text
            .replace(
                "{ ignore_invalid: ignoreInvalid = false } = readConfig(config, [\"ignore_invalid\"])",
                "{ ignoreInvalid = false, failing } = readConfig(config, [\"failing\"])",
            )
            .replace("ignore_invalid: { type: \"boolean\"", "failing: { type: \"string\"");
        let helper = "\nfunction fail(failing, name) {\n  if (failing === name) throw new RangeError(`broken in ${name}`); // here\n  if (failing === \"odd\" && name === \"update\") throw undefined;\n}\n";
        std::fs::write(&path, text + helper).unwrap();
    };
    let Some(project) = built(folder.path(), "metric", "js", &change) else { return };
    let line = line_of(&project.join("plugin.js"), "// here");
    for export in ["open", "update", "merge", "finalize", "metrics", "wants", "state"] {
        let error = metric_error(&project, &format!("{{ failing = {export:?} }}"));
        assert!(error.contains(&format!("RangeError: broken in {export}")), "{export}: {error}");
        assert!(error.contains(&format!("plugin.js:{line}:")), "{export}: {error}");
    }
    let error = metric_error(&project, "{ failing = \"odd\" }");
    assert!(error.contains("`update`, batch 1: failed: undefined"), "{error}");
}
