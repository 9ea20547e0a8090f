//! One so8t at a time writes in a run's folder, and what it seals is what it wrote.
#![cfg(unix)]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{lines, manifest, outcome, so8t, write};

#[test]
fn a_folder_in_which_another_so8t_works_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    write(folder.path(), "so8t.toml", &manifest("", ""));
    std::fs::create_dir(folder.path().join("run")).unwrap();
    let held = File::open(folder.path().join("run")).unwrap();
    held.try_lock().unwrap();
    let arguments = ["prepare", "so8t.toml", "--out", "run"];
    let (_, stderr, code) = outcome(&so8t(folder.path(), &arguments));
    assert!(code == 1 && stderr.contains("error: another so8t is at work in `run`"), "{stderr}");
    assert!(stderr.contains("hint: wait until it ends"), "{stderr}");
    assert_eq!(std::fs::read_dir(folder.path().join("run")).unwrap().count(), 0, "nothing was written");
    drop(held);
    let (_, stderr, code) = outcome(&so8t(folder.path(), &arguments));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn several_at_once_leave_a_folder_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.jsonl", &lines());
    write(folder.path(), "so8t.toml", &manifest("", ""));
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_so8t"))
            .args(["prepare", "so8t.toml", "--out", "run", "--fresh"])
            .current_dir(folder.path())
            .env("XDG_CONFIG_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-configuration"))
            .env_remove("SO8T_POLICY")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    for _ in 0..4 {
        let all: Vec<_> = (0..3).map(|_| start()).collect();
        let mut done = 0;
        for child in all {
            let (_, stderr, code) = outcome(&child.wait_with_output().unwrap());
            done += usize::from(code == 0);
            assert!(code == 0 || (code == 1 && stderr.contains("another so8t is at work in `run`")), "{stderr}");
        }
        assert!(done >= 1);
        check_sums(&folder.path().join("run"));
    }
}

/// Every file that is sealed is there, and is as it was sealed.
fn check_sums(run: &Path) {
    let sums = std::fs::read_to_string(run.join("SHA256SUMS")).unwrap();
    let mut files = 0;
    for (digest, name) in sums.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once("  ")) {
        assert!(!name.ends_with(".tmp"), "{name}");
        assert_eq!(so8t::files::sha256_file(&run.join(name)).unwrap(), digest, "{name}");
        files += 1;
    }
    assert!(files >= 5, "{sums}");
}
