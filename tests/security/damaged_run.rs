//! The folder of a run in which something is cut, changed, linked, exchanged or put besides: `verify` names it, and no command
//! ends otherwise than by an answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use so8t::train::random::Random;

use super::{contents, place, so8t};

/// What is done to a file.
const DEEDS: [&str; 8] = ["cut", "bit", "empty", "grown", "removed", "link", "folder", "exchanged"];

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in contents(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn damage(deed: &str, run: &Path, names: &[String], random: &mut Random) -> String {
    let name = &names[random.below(names.len())];
    let path = run.join(name);
    let bytes = fs::read(&path).unwrap();
    match deed {
        "cut" => fs::write(&path, &bytes[..random.below(bytes.len().max(1))]).unwrap(),
        "bit" if !bytes.is_empty() => {
            let mut bytes = bytes;
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            fs::write(&path, bytes).unwrap();
        }
        "empty" => fs::write(&path, b"").unwrap(),
        "grown" | "bit" => fs::write(&path, [&bytes[..], b"\n\0\xff more"].concat()).unwrap(),
        "exchanged" => {
            let other = &names[random.below(names.len())];
            fs::write(&path, fs::read(run.join(other)).unwrap()).unwrap();
        }
        _ => {
            fs::remove_file(&path).unwrap();
            match deed {
                "link" => std::os::unix::fs::symlink("/etc/hostname", &path).unwrap(),
                "folder" => fs::create_dir(&path).unwrap(),
                _ => {}
            }
        }
    }
    name.clone()
}

#[test]
fn what_was_done_to_a_run_is_named_and_nothing_else_is_touched() {
    let place = place("eval = 0.5", "eval = 0.5");
    let folder = place.path();
    let (_, stderr, code) = so8t(folder, &["prepare", "so8t.toml", "--out", "whole", "--quiet"], &[]);
    assert_eq!(code, 0, "{stderr}");
    let whole = contents(&folder.join("whole"));
    let names: Vec<String> = whole.keys().cloned().collect();
    let mut random = Random::new(3, "damage");
    let mut told = BTreeMap::<(&str, i32), usize>::new();
    for round in 0..64 {
        let deed = DEEDS[round % DEEDS.len()];
        let run = folder.join("run");
        copy(&folder.join("whole"), &run);
        let name = damage(deed, &run, &names, &mut random);
        // A folder that holds nothing is no file, and a file that is what it was is whole.
        let same = contents(&run) == whole && deed != "link" && deed != "folder";
        let (stdout, stderr, code) = so8t(folder, &["verify", "run"], &[]);
        assert!(code == 0 || code == 1, "{deed} `{name}`: exit code {code}: {stdout}{stderr}");
        assert_eq!(code == 0, same, "{deed} `{name}`: {stdout}{stderr}");
        assert!(same || format!("{stdout}{stderr}").contains(&name), "{deed} `{name}`: {stdout}{stderr}");
        // The command that made it makes it again, or says why not.
        let (stdout, stderr, again) = so8t(folder, &["prepare", "so8t.toml", "--out", "run", "--quiet"], &[]);
        assert!(again == 0 || again == 1, "{deed} `{name}`: exit code {again}: {stdout}{stderr}");
        if again == 0 {
            let (stdout, stderr, code) = so8t(folder, &["verify", "run"], &[]);
            assert_eq!(code, 0, "{deed} `{name}`: {stdout}{stderr}");
        } else {
            assert!(stderr.contains("error: "), "{deed} `{name}`: {stderr}");
        }
        *told.entry((deed, again)).or_default() += 1;
        fs::remove_dir_all(&run).unwrap();
    }
    eprintln!("what was done, the exit code of the same command after it, how often: {told:?}");
}
