//! A run owns its folder: what somebody else put anywhere is not overwritten, removed, followed or waited for.

use std::path::Path;

use super::{contents, place, so8t};
use crate::cli::write;

/// Every name that so8t uses in a run's folder, and some that look like them.
const FOREIGN: [&str; 12] = [
    "SHA256SUMS",
    "so8t.lock",
    "so8t.toml",
    "dataset.jsonl",
    "statistics.json",
    "conflicts.jsonl",
    "contamination.jsonl",
    "report.html",
    "adapter/weights.bin",
    "adapter.mine.tmp/x",
    "evaluation_mine.json",
    "notes/mine.txt",
];

fn foreign(folder: &Path) {
    FOREIGN.iter().for_each(|name| write(folder, name, "mine\n"));
}

#[test]
fn a_folder_that_is_no_run_is_refused_and_nothing_in_it_changes() {
    let place = place("seed = 1", "seed = 1\noutput = \"mine\"");
    let folder = place.path();
    foreign(&folder.join("mine"));
    let before = contents(&folder.join("mine"));
    for arguments in [&["prepare", "so8t.toml"][..], &["prepare", "so8t.toml", "--out", "mine", "--fresh"]] {
        let (_, stderr, code) = so8t(folder, arguments, &[]);
        assert!(code == 1 && stderr.contains("`./mine`") | stderr.contains("`mine`"), "{stderr}");
        assert!(stderr.contains("is no folder of a run") && stderr.contains("hint: "), "{stderr}");
        assert_eq!(contents(&folder.join("mine")), before);
    }
    // The manifest's own folder is none either.
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "."], &[]);
    assert!(code == 1 && stderr.contains("is no folder of a run"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("data.jsonl")).unwrap(), crate::cli::lines());
}

#[test]
fn an_empty_folder_a_run_and_a_run_of_an_earlier_version_are_taken() {
    let place = place("", "");
    let folder = place.path();
    std::fs::create_dir(folder.join("empty")).unwrap();
    for _ in 0..2 {
        let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "empty", "--fresh"], &[]);
        assert_eq!(code, 0, "{stderr}");
    }
    // An earlier version left no marker: its seal says what it wrote.
    std::fs::remove_file(folder.join("empty/.so8t-run")).unwrap();
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "empty", "--fresh"], &[]);
    assert_eq!(code, 0, "{stderr}");
    // And where it was interrupted, its lock file.
    std::fs::remove_file(folder.join("empty/.so8t-run")).unwrap();
    std::fs::remove_file(folder.join("empty/SHA256SUMS")).unwrap();
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "empty"], &[]);
    assert_eq!(code, 0, "{stderr}");
    let (_, stderr, code) = so8t(folder, &["verify", "empty"], &[]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn what_a_user_keeps_in_a_run_stays() {
    let place = place("", "");
    let folder = place.path();
    assert_eq!(so8t(folder, &["prepare", "so8t.toml", "--out", "run"], &[]).2, 0);
    let own = ["notes.txt", "adapter.mine.tmp/x", "evaluation_mine.json", "dataset.jsonl.mine.tmp"];
    own.iter().for_each(|name| write(&folder.join("run"), name, "mine\n"));
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "run", "--fresh"], &[]);
    assert_eq!(code, 0, "{stderr}");
    for name in own {
        assert_eq!(std::fs::read_to_string(folder.join("run").join(name)).unwrap(), "mine\n", "{name}");
    }
    // A name that so8t would write later, and did not: it is the user's.
    write(&folder.join("run"), "report.html", "mine\n");
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "run"], &[]);
    assert!(code == 1 && stderr.contains("report.html` was not written by so8t"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("run/report.html")).unwrap(), "mine\n");
}

#[test]
fn a_report_replaces_reports_alone() {
    let place = place("", "");
    let folder = place.path();
    let row = |id: usize| {
        let label = ["A", "B"][id % 2];
        format!(
            "{{\"id\":\"{id}\",\"source\":\"s\",\"gold\":\"{label}\",\"predicted\":\"A\",\"scores\":{{\"A\":0.6,\"B\":0.4}}}}\n"
        )
    };
    write(folder, "p.jsonl", &(0..8).map(row).collect::<String>());
    write(folder, "site/report.html", "mine\n");
    let evaluate = ["evaluate", "p.jsonl", "--resamples", "5", "--out", "site"];
    let (_, stderr, code) = so8t(folder, &evaluate, &[]);
    assert!(code == 1 && stderr.contains("is no report of so8t"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("site/report.html")).unwrap(), "mine\n");
    std::fs::remove_file(folder.join("site/report.html")).unwrap();
    for _ in 0..2 {
        let (_, stderr, code) = so8t(folder, &evaluate, &[]);
        assert_eq!(code, 0, "{stderr}");
    }
    // A state goes into a file of its name that is a state.
    write(folder, "states/shard_1_of_1.state", "mine\n");
    let shard = ["evaluate", "p.jsonl", "--resamples", "5", "--shard", "1/1", "--out", "states"];
    let (_, stderr, code) = so8t(folder, &shard, &[]);
    assert!(code == 1 && stderr.contains("is no state of so8t"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("states/shard_1_of_1.state")).unwrap(), "mine\n");
}

#[test]
fn a_lock_file_of_another_program_is_left_alone() {
    let place = place("", "");
    let folder = place.path();
    std::fs::rename(folder.join("so8t.toml"), folder.join("Cargo.toml")).unwrap();
    write(folder, "Cargo.lock", "version = 4\n");
    let (_, stderr, code) = so8t(folder, &["prepare", "Cargo.toml"], &[]);
    assert!(code == 0 && stderr.contains("`Cargo.lock` is none of so8t's"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("Cargo.lock")).unwrap(), "version = 4\n");
}

#[cfg(unix)]
#[test]
fn what_is_no_plain_file_is_named_and_left_alone() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = place("", "");
    let folder = place.path();
    assert_eq!(so8t(folder, &["prepare", "so8t.toml", "--out", "run"], &[]).2, 0);
    let run = folder.join("run");
    std::os::unix::fs::symlink("/dev/zero", run.join("zero")).unwrap();
    std::os::unix::fs::symlink("/nowhere", run.join("dangling")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(run.join("pipe")).status();
    let has_pipe = made.is_ok_and(|status| status.success());
    std::fs::write(run.join(std::ffi::OsStr::from_bytes(b"not-\xff-utf8")), "x").unwrap();
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "run", "--fresh"], &[]);
    assert_eq!(code, 0, "{stderr}");
    for expected in ["`zero` in the run's folder is a link", "`dangling`", "of a name that is not UTF-8"] {
        assert!(stderr.contains(expected), "expected `{expected}` in:\n{stderr}");
    }
    assert!(!has_pipe || stderr.contains("`pipe` in the run's folder is a named pipe"), "{stderr}");
    let (_, stderr, code) = so8t(folder, &["verify", "run"], &[]);
    assert!(code == 0 && stderr.contains("`zero`"), "{stderr}");
    // A sealed file that was exchanged for an endless one is a fault, and is not read.
    std::fs::remove_file(run.join("dataset.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", run.join("dataset.jsonl")).unwrap();
    let (stdout, stderr, code) = so8t(folder, &["verify", "run"], &[]);
    let said = format!("{stdout}{stderr}");
    assert!(code == 1 && said.contains("dataset.jsonl") && said.contains("is a link"), "{said}");
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    let place = place("", "");
    let folder = place.path();
    assert_eq!(so8t(folder, &["prepare", "so8t.toml", "--out", "run"], &[]).2, 0);
    write(folder, "elsewhere/kept", "mine\n");
    // The name itself may be a link: it is replaced, and not followed.
    std::fs::remove_file(folder.join("run/dataset.jsonl")).unwrap();
    std::os::unix::fs::symlink(folder.join("elsewhere/kept"), folder.join("run/dataset.jsonl")).unwrap();
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "run", "--fresh"], &[]);
    assert!(code == 1 && stderr.contains("is a link"), "{stderr}");
    assert_eq!(std::fs::read_to_string(folder.join("elsewhere/kept")).unwrap(), "mine\n");
}

#[test]
fn temporary_names_cannot_be_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.json");
    let names: std::collections::BTreeSet<_> = (0..64).map(|_| so8t::files::temporary_beside(&path)).collect();
    assert_eq!(names.len(), 64);
    for name in &names {
        let name = name.file_name().unwrap().to_str().unwrap();
        assert!(
            so8t::files::is_temporary(name, "file.json") && !so8t::files::is_temporary(name, "other.json"),
            "{name}"
        );
        assert!(!name.contains(&format!(".{}.", std::process::id())), "{name}");
    }
    for other in ["file.json.tmp", "file.json.123.tmp", "file.json.mine.tmp", "file.json.0123456789ABCDEF.tmp"] {
        assert!(!so8t::files::is_temporary(other, "file.json"), "{other}");
    }
    so8t::files::write(&path, b"{}").unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn endless_files_are_cut() {
    let place = place("", "");
    let folder = place.path();
    std::os::unix::fs::symlink("/dev/zero", folder.join("endless.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("endless.parquet")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("endless.state")).unwrap();
    // A plain file without a line break.
    std::fs::File::create(folder.join("long.jsonl")).unwrap().set_len(1 << 34).unwrap();
    let commands: [&[&str]; 11] = [
        &["prepare", "/dev/zero"],
        &["data", "inspect", "/dev/zero"],
        &["evaluate", "long.jsonl"],
        &["evaluate", "endless.jsonl"],
        &["evaluate", "endless.parquet"],
        &["merge", "endless.state"],
        &["plugin", "inspect", "/dev/zero"],
        &["plugin", "check", "/dev/zero"],
        &["plugin", "check", "builtin:jsonl", "--config-file", "/dev/zero"],
        &["prepare", "so8t.toml", "--policy", "/dev/zero"],
        &["plugin", "sign", "/dev/zero", "--key", "/dev/zero"],
    ];
    for arguments in commands {
        let (_, stderr, code) = so8t(folder, arguments, &[]);
        assert!(code == 1 && stderr.starts_with("error: "), "{arguments:?}: {code} {stderr}");
    }
}
