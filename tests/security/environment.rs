//! Variables of the environment: where a manifest may use them, and that no value is shown or stored.

use super::{contents, place, so8t};
use crate::cli::write;

const SECRET: &str = "token-4f1c9e";

#[test]
fn no_variable_goes_into_an_address_a_name_or_a_component() {
    for component in ["oci://127.0.0.1:9/x/y:${SECRET}", "oci://${SECRET}/x:1", "${SECRET}/x.wasm", "builtin:${SECRET}"]
    {
        let folder = place("[split]", &format!("[plugins.p]\ncomponent = \"{component}\"\n[split]"));
        let folder = folder.path();
        let text = std::fs::read_to_string(folder.join("so8t.toml")).unwrap();
        write(folder, "so8t.toml", &text.replace("converter = \"jsonl\"", "converter = \"p\""));
        let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--env", "SECRET"], &[("SECRET", SECRET)]);
        assert!(code == 1 && stderr.contains("expected no `${`"), "{component}: {stderr}");
        assert!(!stderr.contains(SECRET), "{stderr}");
    }
    let folder = place("[split]", "[model]\nbase = \"hf:team/${SECRET}\"\n[split]");
    let (_, stderr, code) = so8t(folder.path(), &["eval", "so8t.toml", "--env", "SECRET"], &[("SECRET", SECRET)]);
    assert!(code == 1 && stderr.contains("so8t.toml:") && !stderr.contains(SECRET), "{stderr}");
    // Nor does a value make an address of what looks like a path.
    let folder = place("[split]", "[model]\nbase = \"${BASE}\"\n[split]");
    let (_, stderr, code) =
        so8t(folder.path(), &["eval", "so8t.toml", "--env", "BASE"], &[("BASE", "hf:team/private")]);
    assert!(code == 1 && stderr.contains("another machine") && !stderr.contains("team/private"), "{stderr}");
    // A name is a name.
    let folder = place("name = \"requests\"", "name = \"${SECRET}\"");
    let (_, _, code) = so8t(folder.path(), &["prepare", "so8t.toml"], &[("SECRET", SECRET)]);
    assert_eq!(code, 0);
    let all = contents(folder.path());
    let held = all.iter().find(|(_, bytes)| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    assert!(held.is_none(), "{:?}", held.map(|(name, _)| name));
}

#[test]
fn what_is_no_place_on_this_machine_needs_a_grant_and_is_never_shown() {
    let folder = place("path = \"data.jsonl\"", "path = \"${SECRET}\"");
    let (_, stderr, code) = so8t(folder.path(), &["prepare", "so8t.toml"], &[("SECRET", SECRET)]);
    assert!(code == 1 && stderr.contains("so8t.toml:") && stderr.contains("`SECRET`"), "{stderr}");
    assert!(!stderr.contains(SECRET) && stderr.contains("hint: `--env SECRET`"), "{stderr}");
    // Granted, it is a path that does not exist; the message speaks the manifest's spelling.
    let (_, stderr, code) = so8t(folder.path(), &["prepare", "so8t.toml", "--env", "SECRET"], &[("SECRET", SECRET)]);
    assert!(code == 1 && stderr.contains("${SECRET}` does not exist") && !stderr.contains(SECRET), "{stderr}");
    let (_, stderr, code) = so8t(folder.path(), &["prepare", "so8t.toml"], &[]);
    assert!(code == 1 && stderr.contains("`SECRET` is not set"), "{stderr}");
}

#[test]
fn a_folder_may_be_named_by_a_variable_and_is_stored_nowhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    write(elsewhere.path(), "d.jsonl", &crate::cli::lines());
    let value = elsewhere.path().to_str().unwrap();
    let folder = place("path = \"data.jsonl\"", "path = \"${DIR}/d.jsonl\"");
    let (stdout, stderr, code) = so8t(folder.path(), &["prepare", "so8t.toml"], &[("DIR", value)]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains(value) && !stderr.contains(value), "{stdout}{stderr}");
    for (name, bytes) in contents(folder.path()) {
        assert!(!String::from_utf8_lossy(&bytes).contains(value), "{name} holds the value");
    }
    // A file that breaks off is named by its spelling too.
    write(elsewhere.path(), "d.jsonl", "{\"instruction\": 1}\n");
    let (_, stderr, code) = so8t(folder.path(), &["prepare", "so8t.toml"], &[("DIR", value)]);
    assert!(code == 1 && stderr.contains("${DIR}/d.jsonl") && !stderr.contains(value), "{stderr}");
}

#[test]
fn the_output_may_be_named_by_a_variable() {
    let elsewhere = tempfile::tempdir().unwrap();
    let value = elsewhere.path().to_str().unwrap();
    let folder = place("seed = 1", "seed = 1\noutput = \"${OUT}/run\"");
    let (_, stderr, code) = so8t(folder.path(), &["prepare", "so8t.toml"], &[("OUT", value)]);
    assert!(code == 0 && stderr.contains("written to ${OUT}/run"), "{stderr}");
    assert!(elsewhere.path().join("run/dataset.jsonl").is_file());
    let (_, stderr, code) = so8t(folder.path(), &["verify", &format!("{value}/run")], &[("OUT", value)]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_policy_that_lists_names_grants_those_alone() {
    let elsewhere = tempfile::tempdir().unwrap();
    write(elsewhere.path(), "d.jsonl", &crate::cli::lines());
    let value = elsewhere.path().to_str().unwrap();
    let folder = place("path = \"data.jsonl\"", "path = \"${DIR}/d.jsonl\"");
    let run = |policy: &str, more: &[&str]| {
        write(folder.path(), "policy.toml", policy);
        let arguments = [&["prepare", "so8t.toml", "--policy", "policy.toml"], more].concat();
        so8t(folder.path(), &arguments, &[("DIR", value)])
    };
    let (_, stderr, code) = run("[environment]\nnames = [\"OTHER\"]\n", &[]);
    assert!(code == 1 && stderr.contains("neither listed by the host's policy") && !stderr.contains(value), "{stderr}");
    assert_eq!(run("[environment]\nnames = [\"DIR\"]\n", &[]).2, 0);
    assert_eq!(run("[environment]\nnames = []\n", &["--env", "DIR"]).2, 0);
    let (_, stderr, code) = run("[environment]\nnames = [\"A=B\"]\n", &[]);
    assert!(code == 1 && stderr.contains("policy.toml:2:"), "{stderr}");
}
