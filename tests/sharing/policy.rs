//! The host's policy: what it says is what is loaded, with which limits, and with which sight of the requests.

use std::process::Command;

use super::{Place, first_line, prebuilt};
use crate::cli::{outcome, write};

const TABLES: &str = "[plugins.quality]\ncomponent = \"classification.wasm\"\n[evaluate]\nmetrics = [\"quality\"]";

const PREPARE: [&str; 5] = ["prepare", "so8t.toml", "--quiet", "--policy", "policy.toml"];

fn place(tables: &str, policy: &str) -> Place {
    let place = Place::new(tables);
    place.component("classification");
    write(place.path(), "policy.toml", policy);
    place
}

/// What is wrong with a policy, and the message.
const MISTAKES: &[(&str, &str)] = &[
    (
        "[plugin]\n",
        "policy.toml:1:2: unknown field `plugin`, expected one of `plugins`, `limits`, `compile`, `registries`",
    ),
    ("[plugins]\nalow = []\n", "policy.toml:2:1: unknown field `alow`"),
    ("[plugins]\nallow = \"builtin:*\"\n", "policy.toml:2:9: invalid type: string \"builtin:*\", expected a sequence"),
    (
        "[plugins]\nallow = [\"builtin:*\", \"quality\"]\n",
        "policy.toml:2:23: `quality`: expected `builtin:…`, `path:…`, `oci://…` or `sha256:…`",
    ),
    (
        "[plugins]\nallow = [\"oci://ghcr.io*\"]\n",
        "policy.toml:2:10: `oci://ghcr.io*`: expected a whole registry before the first `*`",
    ),
    ("[plugins]\nallow = [\"sha256:abc\"]\n", "policy.toml:2:10: `sha256:abc`: expected `sha256:` and 64 lower-case"),
    (
        "[plugins]\ntrusted_keys = [\"abc\"]\n",
        "policy.toml:2:17: `trusted_keys`: `abc` is no key: expected a minisign public key",
    ),
    ("[plugins]\nrequire_signature = true\n", "policy.toml: `[plugins] require_signature` without `trusted_keys`"),
    ("[limits]\nmemory = 1\n", "policy.toml:2:1: unknown field `memory`"),
    ("[limits]\nfuel = -1\n", "policy.toml:2:8: invalid value: integer `-1`, expected u64"),
    (
        "[compile]\nsecond = 1\n",
        "policy.toml:2:1: unknown field `second`, expected one of `seconds`, `memory_mb`, `code_mb`",
    ),
    (
        "[compile]\nmemory_mb = 64\nseconds = 0\n",
        "policy.toml:3:11: `[compile] seconds`: expected a number above 0 and up to 86400, found `0`",
    ),
    ("[compile]\nseconds = nan\n", "policy.toml:2:11: `[compile] seconds`: expected a number above 0"),
    (
        "[compile]\nmemory_mb = 0\n",
        "policy.toml:2:13: `[compile] memory_mb`: expected MiB from 1 to 1073741824, found `0`",
    ),
    ("[compile]\ncode_mb = 1073741825\n", "policy.toml:2:11: `[compile] code_mb`: expected MiB from 1 to 1073741824"),
    ("[compile]\nmemory_mb = \"4\"\n", "policy.toml:2:13: invalid type: string \"4\", expected u64"),
    ("[registries]\nplain_http = [\"a/b\"]\n", "policy.toml:2:15: `a/b` is no registry"),
];

#[test]
fn every_mistake_in_a_policy_is_named() {
    let place = place(TABLES, "");
    for (text, expected) in MISTAKES {
        write(place.path(), "policy.toml", text);
        let stderr = place.refused(&PREPARE);
        assert!(first_line(&stderr).starts_with(&format!("error: {expected}")), "expected `{expected}` in: {stderr}");
    }
    let stderr = place.refused(&["prepare", "so8t.toml", "--policy", "none.toml"]);
    assert!(stderr.contains("cannot read `none.toml`"), "{stderr}");
}

#[test]
fn what_is_not_allowed_is_not_loaded() {
    let place = place(TABLES, "[plugins]\nallow = [\"builtin:*\"]\n");
    let stderr = place.refused(&PREPARE);
    let expected =
        "error: so8t.toml:16:13: plugin `quality`: the policy `policy.toml` does not allow `path:classification.wasm`";
    assert_eq!(first_line(&stderr), expected);
    assert!(
        stderr.contains("this line would allow it: `allow = [\"builtin:*\", \"path:classification.wasm\"]`"),
        "{stderr}"
    );

    let folder = place.path().canonicalize().unwrap();
    let allow = |patterns: &str| write(place.path(), "policy.toml", &format!("[plugins]\nallow = [{patterns}]\n"));
    allow(&format!("\"builtin:*\", \"path:{}/*\"", folder.display()));
    place.done(&PREPARE);
    allow(&format!("\"builtin:*\", \"path:{}/*.wasm\"", folder.display()));
    place.done(&PREPARE);
    // By the digest, and by no other.
    let digest = so8t::files::sha256(&std::fs::read(prebuilt("classification")).unwrap());
    allow(&format!("\"builtin:*\", \"sha256:{digest}\""));
    place.done(&PREPARE);
    allow(&format!("\"builtin:*\", \"sha256:{}\"", "0".repeat(64)));
    let stderr = place.refused(&PREPARE);
    assert!(first_line(&stderr).ends_with(&format!("`path:classification.wasm` (sha256 `{digest}`)")), "{stderr}");
    // A way round over `..` or a link is the file that it leads to.
    std::fs::create_dir(place.file("elsewhere")).unwrap();
    allow(&format!("\"builtin:*\", \"path:{}/elsewhere/*\"", folder.display()));
    place.manifest(&TABLES.replace("classification.wasm", "elsewhere/../classification.wasm"));
    assert!(place.refused(&PREPARE).contains("does not allow `path:classification.wasm`"));
    // Builtins too are only loaded where they are allowed.
    place.manifest("");
    allow("\"builtin:jsonl\", \"builtin:four-class\"");
    assert!(
        place
            .refused(&PREPARE)
            .contains("plugin `classification`: the policy `policy.toml` does not allow `builtin:classification`")
    );
    allow("\"builtin:jsonl\", \"builtin:*-class\", \"builtin:classi*\"");
    place.done(&PREPARE);
}

#[test]
fn a_registry_that_is_not_allowed_is_not_asked() {
    // Nothing listens at this port: a question would be answered with another message.
    let place = place(
        &TABLES.replace("classification.wasm", "oci://127.0.0.1:9/quality:1"),
        "[plugins]\nallow = [\"builtin:*\"]\n",
    );
    let stderr = place.refused(&PREPARE);
    assert!(
        stderr.contains("plugin `quality`: the policy `policy.toml` does not allow `oci://127.0.0.1:9/quality:1`"),
        "{stderr}"
    );
    write(place.path(), "policy.toml", "[plugins]\nallow = [\"builtin:*\", \"oci://127.0.0.1:9/*\"]\n");
    let stderr = place.refused(&PREPARE);
    assert!(stderr.contains("so8t.toml:16:13: plugin `quality`: `oci://127.0.0.1:9/quality:1`: "), "{stderr}");
}

#[test]
fn compiling_has_the_bounds_of_the_policy() {
    let place = place(TABLES, "");
    for (key, value, expected) in [
        ("seconds", "0.001", "takes longer than 0.001 seconds to compile"),
        ("memory_mb", "1", "takes more than 1 MiB of memory to compile"),
        ("memory_mb", "64", "takes more than 64 MiB of memory to compile"),
    ] {
        if key == "memory_mb" && !cfg!(target_os = "linux") {
            continue;
        }
        write(place.path(), "policy.toml", &format!("[compile]\n{key} = {value}\n"));
        let stderr = place.refused(&PREPARE);
        let mut lines = stderr.lines();
        let error = format!(
            "error: so8t.toml:16:13: plugin `quality`: `./classification.wasm` {expected}, the most that the compilation of a plugin may"
        );
        assert_eq!(lines.next(), Some(&*error), "{stderr}");
        let hint = format!("hint: whoever runs this host bounds it: `[compile] {key}` in the policy of so8t");
        assert_eq!(lines.next(), Some(&*hint), "{stderr}");
    }
    write(place.path(), "policy.toml", "[compile]\nseconds = 60\nmemory_mb = 4096\ncode_mb = 64\n");
    place.done(&PREPARE);
}

#[test]
fn limits_beyond_the_policy_are_refused_and_defaults_are_lowered() {
    let tables = "[plugins.quality]\ncomponent = \"classification.wasm\"\nlimits = { memory_mb = 64, seconds = 20 }\n[evaluate]\nmetrics = [\"quality\"]";
    let place = place(tables, "[limits]\nmemory_mb = 64\nfuel = 1_000_000_000\n");
    // The fuel's default is beyond; the manifest does not ask for it.
    place.done(&PREPARE);
    write(place.path(), "policy.toml", "[limits]\nmemory_mb = 32\n");
    let stderr = place.refused(&PREPARE);
    let expected = "error: so8t.toml:17:24: plugin `quality` asks for `memory_mb = 64`: the policy `policy.toml` allows at most `memory_mb = 32`";
    assert_eq!(first_line(&stderr), expected);
    write(place.path(), "policy.toml", "[limits]\nseconds = 10.5\n");
    let stderr = place.refused(&PREPARE);
    assert!(
        first_line(&stderr)
            .ends_with("asks for `seconds = 20`: the policy `policy.toml` allows at most `seconds = 10.5`")
    );
    // What was lowered holds: a plugin gets no further than it.
    write(place.path(), "policy.toml", "[limits]\nfuel = 10\n");
    let stderr = place.refused(&PREPARE);
    assert!(stderr.contains("fuel"), "{stderr}");
}

#[test]
fn text_is_seen_by_those_to_whom_it_is_granted() {
    let tables =
        "[plugins.quality]\ncomponent = \"classification.wasm\"\ntexts = true\n[evaluate]\nmetrics = [\"quality\"]";
    let place = place(tables, "");
    let stderr = place.refused(&PREPARE);
    let expected = "error: so8t.toml:16:13: plugin `quality`: asks for the requests' text (`texts = true`), which the policy `policy.toml` \
                    does not grant to `path:classification.wasm`";
    assert_eq!(first_line(&stderr), expected);
    let hint =
        "hint: under `[plugins]` in `policy.toml`, this line would allow it: `text = [\"path:classification.wasm\"]`";
    assert!(stderr.contains(hint), "{stderr}");
    let stderr = place.refused(&["prepare", "so8t.toml", "--quiet"]);
    assert!(
        stderr.contains("which the default policy does not grant") && stderr.contains("home/.config/so8t/policy.toml"),
        "{stderr}"
    );
    let digest = so8t::files::sha256(&std::fs::read(prebuilt("classification")).unwrap());
    write(place.path(), "policy.toml", &format!("[plugins]\ntext = [\"sha256:{digest}\"]\n"));
    place.done(&PREPARE);
    // Converters and mappers see requests as they are; the key says nothing there.
    place.manifest("[plugins.jsonl]\ncomponent = \"builtin:jsonl\"\ntexts = true");
    write(place.path(), "policy.toml", "[plugins]\ntext = [\"builtin:*\"]\n");
    assert!(
        place
            .refused(&PREPARE)
            .contains("so8t.toml:16:13: plugin `jsonl`: `texts` is for metrics, and this is a converter")
    );
}

#[test]
fn the_policy_is_that_of_the_user_never_that_of_the_manifests_folder() {
    let place = place(TABLES, "[plugins]\nallow = []\n");
    // Beside the manifest it says nothing, whatever its name.
    for name in ["so8t.policy.toml", "policy.toml"] {
        write(place.path(), name, "[plugins]\nallow = []\n");
    }
    place.done(&["prepare", "so8t.toml", "--quiet"]);
    let named = |variable: &str, value: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_so8t"))
            .args(["prepare", "so8t.toml", "--quiet"])
            .current_dir(place.path())
            .env("XDG_CACHE_HOME", place.file("cache"))
            .env("XDG_CONFIG_HOME", place.file("home/.config"))
            .env(variable, value)
            .output();
        outcome(&output.unwrap())
    };
    let (_, stderr, code) = named("SO8T_POLICY", "policy.toml");
    assert!(code == 1 && stderr.contains("the policy `policy.toml` does not allow"), "{stderr}");
    write(place.path(), "other/so8t/policy.toml", "[plugins]\nallow = []\n");
    let other = place.file("other").display().to_string();
    let (_, stderr, code) = named("XDG_CONFIG_HOME", &other);
    assert!(code == 1 && stderr.contains("other/so8t/policy.toml` does not allow"), "{stderr}");
}

#[test]
fn a_limit_by_its_earlier_name_is_held_against_the_policy_too() {
    let tables = "[plugins.quality]\ncomponent = \"classification.wasm\"\nlimits = { lifted_mb = 64 }\n[evaluate]\nmetrics = [\"quality\"]";
    let place = place(tables, "[limits]\nresult_mb = 32\n");
    let text = place.refused(&PREPARE);
    assert!(text.contains("asks for `result_mb = 64`") && text.contains("allows at most `result_mb = 32`"), "{text}");
}
