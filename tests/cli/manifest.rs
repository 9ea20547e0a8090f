//! Every mistake in a manifest is answered with file, line, column and a hint.

use super::{lines, manifest, outcome, so8t, write};

/// What is wrong, the change to a good manifest, and what standard error must hold.
const CASES: &[(&str, &str, &str, &[&str])] = &[
    ("unknown key", "seed = 1", "sead = 1", &["so8t.toml:4:1: unknown field `sead`", "hint: did you mean `seed`?"]),
    (
        "unknown table",
        "[split]",
        "[splitt]",
        &["so8t.toml:15:2: unknown field `splitt`", "hint: did you mean `split`?"],
    ),
    (
        "wrong type",
        "seed = 1",
        "seed = \"one\"",
        &["so8t.toml:4:8: expected a whole number from 0 on, found the text `one`"],
    ),
    ("syntax", "seed = 1", "seed = ", &["so8t.toml:4:"]),
    ("missing key", "name = \"test\"\n", "", &["missing field `name`"]),
    ("bad run name", "\"test\"", "\"../test\"", &["so8t.toml:3:8: `../test` cannot name a run"]),
    (
        "missing file",
        "data.jsonl",
        "none.jsonl",
        &["so8t.toml:11:8: `", "none.jsonl` does not exist", "hint: paths are relative"],
    ),
    ("empty glob", "data.jsonl", "*.csv", &["so8t.toml:11:8: `", "*.csv` matches no file"]),
    (
        "folder without data",
        "\"data.jsonl\"",
        "\"empty\"",
        &["so8t.toml:11:8: the folder `", "empty` holds no data file", "hint: a data file's name ends with `.jsonl`"],
    ),
    (
        "unset variable",
        "data.jsonl",
        "${SO8T_TEST_UNSET}/a",
        &["so8t.toml:11:8: the environment variable `SO8T_TEST_UNSET` is not set"],
    ),
    (
        "unknown plugin",
        "\"jsonl\"",
        "\"jsonll\"",
        &["so8t.toml:12:13: there is no plugin `jsonll`", "hint: did you mean `jsonl`?"],
    ),
    (
        "wrong kind",
        "converter = \"jsonl\"",
        "converter = \"four-class\"",
        &["names plugin `four-class` as `converter`", "expected a converter"],
    ),
    (
        "wrong use",
        "mapper = \"four-class\"",
        "mapper = \"four-class\"\nuse = \"test\"",
        &["so8t.toml:14:7: unknown variant `test`, expected one of `train`, `eval`, `both`"],
    ),
    ("share", "eval = 0.5", "eval = 1.5", &["`[split] eval` is 1.5: expected a share between 0 and 1"]),
    (
        "two sources of one name",
        "[split]",
        "[[data]]\nname = \"requests\"\npath = \"data.jsonl\"\nconverter = \"jsonl\"\nmapper = \"four-class\"\n[split]",
        &["there are two sources named `requests`"],
    ),
    (
        "unknown builtin",
        "[split]",
        "[plugins.x]\ncomponent = \"builtin:nope\"\n[evaluate]\nmetrics = [\"x\"]\n[split]",
        &["so8t.toml:16:13: there is no builtin `nope`"],
    ),
    (
        "missing component",
        "[split]",
        "[plugins.x]\ncomponent = \"x.wasm\"\n[evaluate]\nmetrics = [\"x\"]\n[split]",
        &["so8t.toml:16:13: `", "x.wasm` does not exist"],
    ),
    (
        "bad digest",
        "[split]",
        "[plugins.classification]\ncomponent = \"builtin:classification\"\nsha256 = \"abc\"\n[split]",
        &["so8t.toml:17:10: `abc` is not a SHA-256"],
    ),
    (
        "other digest",
        "[split]",
        "[plugins.jsonl]\ncomponent = \"builtin:jsonl\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n[split]",
        &["plugin `jsonl`", "0000000000000000000000000000000000000000000000000000000000000000"],
    ),
    (
        "unknown limit",
        "[split]",
        "[plugins.jsonl]\ncomponent = \"builtin:jsonl\"\nlimits = { memory = 1 }\n[split]",
        &["so8t.toml:17:12: unknown field `memory`"],
    ),
    (
        "unknown acceptance key",
        "[split]",
        "[accept]\nrule = []\n[split]",
        &["so8t.toml:16:1: unknown field `rule`", "hint: did you mean `rules`?"],
    ),
    ("no acceptance rules", "[split]", "[accept]\n[split]", &["so8t.toml:15:1: missing field `rules`"]),
    (
        "empty acceptance rules",
        "[split]",
        "[accept]\nrules = []\n[split]",
        &["so8t.toml:16:9: `[accept] rules` is empty"],
    ),
    (
        "unknown rule key",
        "[split]",
        "[[accept.rules]]\nmetric = \"classification.accuracy\"\nat_least = 1\n[split]",
        &["so8t.toml:17:1: unknown field `at_least`"],
    ),
    (
        "rule without metric",
        "[split]",
        "[[accept.rules]]\nmin = 1\n[split]",
        &["so8t.toml:15:1: missing field `metric`"],
    ),
    (
        "rule of another plugin",
        "[split]",
        "[[accept.rules]]\nmetric = \"accuracy\"\nmin = 0.5\n[split]",
        &["so8t.toml:16:10: `accuracy` is no metric: expected `PLUGIN.METRIC`", "hint: for example `classification.…`"],
    ),
    (
        "rule without bound",
        "[split]",
        "[[accept.rules]]\nmetric = \"classification.accuracy\"\n[split]",
        &["the rule over `classification.accuracy` has no bound: expected one of `min`, `max`"],
    ),
    (
        "rule with two bounds",
        "[split]",
        "[[accept.rules]]\nmetric = \"classification.accuracy\"\nmin = 0.5\nrise = 0.1\n[split]",
        &[
            "so8t.toml:18:8: the rule over `classification.accuracy` has several bounds",
            "hint: give each bound a rule of its own",
        ],
    ),
    (
        "bound of a wrong type",
        "[split]",
        "[[accept.rules]]\nmetric = \"classification.accuracy\"\nmin = \"0.5\"\n[split]",
        &["so8t.toml:17:7: expected a number, found the text `0.5`"],
    ),
    (
        "negative rise",
        "[split]",
        "[[accept.rules]]\nmetric = \"classification.accuracy\"\nrise = -0.1\n[split]",
        &["so8t.toml:17:8: the bound is -0.1: expected a number from 0 on"],
    ),
    (
        "bound that is no number",
        "[split]",
        "[[accept.rules]]\nmetric = \"classification.accuracy\"\nmax = nan\n[split]",
        &["so8t.toml:17:7: the bound is NaN: expected a number"],
    ),
    (
        "rule of an unknown source",
        "[split]",
        "[[accept.rules]]\nmetric = \"classification.accuracy\"\nmin = 0.5\nsource = \"request\"\n[split]",
        &["so8t.toml:18:10: there is no source `request`", "hint: did you mean `requests`?"],
    ),
    (
        "unknown calibration key",
        "[split]",
        "[calibrate]\nshares = 0.2\n[split]",
        &["so8t.toml:16:1: unknown field `shares`", "hint: did you mean `share`?"],
    ),
    (
        "calibration share",
        "[split]",
        "[calibrate]\nshare = 1.0\n[split]",
        &["so8t.toml:16:9: `[calibrate] share` is 1: expected a share of the training part between 0 and 1"],
    ),
    (
        "calibration thresholds",
        "[split]",
        "[calibrate]\nthresholds = \"f1\"\n[split]",
        &["so8t.toml:16:14: unknown variant `f1`, expected `none` or `f1_macro`"],
    ),
    (
        "calibration of nothing",
        "[split]",
        "[calibrate]\ntemperature = false\n[split]",
        &["so8t.toml:16:15: `[calibrate]` fits nothing"],
    ),
    (
        "calibration of a wrong type",
        "[split]",
        "[calibrate]\ntemperature = 2\n[split]",
        &["so8t.toml:16:15: expected true or false, found `2`"],
    ),
    (
        "unknown contamination key",
        "[split]",
        "[contamination]\npolcy = \"warn\"\n[split]",
        &["so8t.toml:16:1: unknown field `polcy`", "hint: did you mean `policy`?"],
    ),
    (
        "contamination policy",
        "[split]",
        "[contamination]\naction = \"ignore\"\n[split]",
        &["so8t.toml:16:10: unknown variant `ignore`, expected one of `warn`, `drop`, `fail`"],
    ),
    (
        "contamination similarity",
        "[split]",
        "[contamination]\nsimilarity = 80\n[split]",
        &["so8t.toml:16:14: `[contamination] similarity` is 80: expected a number from 0.3 to 1"],
    ),
    ("unknown training key", "[split]", "[train]\nlr = 0.1\n[split]", &["so8t.toml:16:1: unknown field `lr`"]),
];

#[test]
fn every_mistake_is_named() {
    for (what, old, new, expected) in CASES {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "data.jsonl", &lines());
        write(folder.path(), "empty/README.md", "no data");
        write(folder.path(), "so8t.toml", &manifest(old, new));
        let (stdout, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
        assert_eq!((stdout.as_str(), code), ("", 1), "{what}: {stderr}");
        for part in *expected {
            assert!(stderr.contains(part), "{what}: expected `{part}` in:\n{stderr}");
        }
        assert!(!folder.path().join("runs").exists(), "{what}: nothing is written for a manifest that does not hold");
    }
}

#[test]
fn a_missing_manifest_and_a_folder_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["run", "none.toml"]));
    assert!(code == 1 && stderr.contains("cannot read `none.toml`"), "{stderr}");
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["run", "."]));
    assert!(code == 1 && stderr.contains("`.` is a folder: expected a manifest"), "{stderr}");
}

#[test]
fn the_help_names_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let (stdout, _, code) = outcome(&so8t(folder.path(), &["--help"]));
    assert_eq!(code, 0);
    for command in ["run", "eval", "prepare", "train", "compare", "model"] {
        assert!(stdout.contains(command), "{command}");
    }
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["runn"]));
    assert!(code == 1 && stderr.contains("runn"), "{stderr}");
}

/// Keys by the names that they had, which mean the same and are told with their place.
#[test]
fn earlier_names_of_keys_still_mean_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "data.jsonl", &lines());
    let tables = |names: [&str; 4]| {
        let [redaction, action, prompt, significant] = names;
        format!(
            "{}[{redaction}]\nmail = \"drop\"\n[contamination]\n{action} = \"drop\"\n[predict]\n{prompt} = \"Judge.\"\n\
             [[accept.rules]]\nmetric = \"classification.accuracy\"\nmin = 0.5\n{significant} = true\n",
            manifest("", "")
        )
    };
    write(folder.path(), "so8t.toml", &tables(["redaction", "action", "system_prompt", "significant"]));
    let (_, now, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--out", "now"]));
    assert!(code == 0 && !now.contains("now called"), "{now}");
    write(folder.path(), "so8t.toml", &tables(["policy", "policy", "policy", "sure"]));
    let (_, then, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml", "--out", "then"]));
    assert_eq!(code, 0, "{then}");
    let notes: Vec<&str> = then.lines().filter(|line| line.starts_with("note: so8t.toml:")).collect();
    assert_eq!(notes.len(), 4, "{then}");
    assert!(notes.iter().any(|note| note.contains("`sure` is now called `significant`")), "{then}");
    for file in ["dataset.jsonl", "evaluation.jsonl", "statistics.json"] {
        let read = |run: &str| std::fs::read(folder.path().join(run).join(file)).expect("a file");
        assert_eq!(read("now"), read("then"), "{file}");
    }
    // Both at once would leave open which one counts.
    let both = tables(["redaction", "action", "system_prompt", "significant"]) + "sure = false\n";
    write(folder.path(), "so8t.toml", &both);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &["prepare", "so8t.toml"]));
    assert!(code == 1 && stderr.contains("duplicate field"), "{stderr}");
}
