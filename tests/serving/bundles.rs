//! Bundles: what travels is what was measured, and nothing else gets out of an archive.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use so8t::files;
use so8t::pipeline::bundle::{self, Trust};

use super::bits::{command, listening, run, terminate};
use super::call;
use crate::cli::{outcome, so8t, write};

fn good(folder: &Path, arguments: &[&str]) -> String {
    let (stdout, stderr, code) = outcome(&so8t(folder, arguments));
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    stdout
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let (_, stderr, code) = outcome(&so8t(folder, arguments));
    assert_eq!(code, 1, "{arguments:?}: {stderr}");
    stderr
}

#[test]
fn a_bundle_decides_where_neither_run_nor_data_nor_model_are() {
    let own = tempfile::tempdir().unwrap();
    let folder = own.path();
    let run = run();
    let text = run.display().to_string();
    for name in ["ours", "theirs"] {
        good(folder, &["plugin", "keygen", name, "--no-password"]);
    }
    good(folder, &["bundle", &text, "--out", "a.so8t"]);
    good(folder, &["bundle", &text, "--out", "b.so8t"]);
    assert_eq!(fs::read(folder.join("a.so8t")).unwrap(), fs::read(folder.join("b.so8t")).unwrap(), "the same bytes");
    let made: Value =
        serde_json::from_str(&good(folder, &["bundle", &text, "--out", "s.so8t", "--key", "ours.key", "--json"]))
            .unwrap();
    assert_eq!(made["signed"], true);
    let names: Vec<&str> =
        made["index"]["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert!(names.contains(&"model/model.safetensors") && names.contains(&"run/evaluation.jsonl"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("dataset") || name.contains("training")), "{names:?}");

    // Where it comes to, nothing else of the run is.
    let request = "Tell me how to bake bread.";
    write(folder, "new.jsonl", &format!("{}\n", json!({"id": "a", "text": request})));
    let expected = good(folder, &["predict", &text, "new.jsonl", "--text", "text"]);
    let trust = ["--trust", "ours.pub", "--unpack", "there"];
    let found = good(folder, &[&["predict", "s.so8t", "new.jsonl", "--text", "text"][..], &trust[..]].concat());
    assert_eq!(found, expected);
    let (child, address) = listening(
        command()
            .current_dir(folder)
            .args(["serve", "s.so8t", "--listen", "127.0.0.1:0", "--audit", "log"])
            .args(trust),
    );
    let reply = call(address, "POST", "/v1/decisions", &[], &json!({"instruction": request}).to_string());
    let stored: Value = serde_json::from_str(&expected).unwrap();
    let served: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(served["decision"], stored["decision"]);
    for (name, probability) in stored["probabilities"].as_object().unwrap() {
        let own = served["probabilities"]["calibrated"][name].as_f64().unwrap() as f32;
        assert_eq!(own.to_bits(), (probability.as_f64().unwrap() as f32).to_bits(), "{name}");
    }
    terminate(child);

    // Whose it is.
    let asked = |file: &str, more: &[&str]| {
        refused(folder, &[&["predict", file, "new.jsonl", "--unpack", "no"][..], more].concat())
    };
    assert!(asked("s.so8t", &["--trust", "theirs.pub"]).contains("which is not trusted"));
    assert!(asked("a.so8t", &["--trust", "ours.pub"]).contains("is not signed"));
    assert!(asked(&text, &["--trust", "ours.pub"]).contains("a run's folder is not signed"));
    assert!(asked("a.so8t", &["--manifest", "so8t.toml"]).contains("holds all that it needs"));
    write(folder, "policy.toml", "[components]\nrequire_signature = true\n");
    let (_, stderr, code) = outcome(&so8t(folder, &["predict", "a.so8t", "new.jsonl", "--policy", "policy.toml"]));
    assert!(code == 1 && !folder.join("no/bundles").join("run").exists(), "{stderr}");

    // What was unpacked is held against the index again, and made anew where it was changed.
    let adapter = find(&folder.join("there"), "adapter_model.safetensors");
    let bytes = fs::read(&adapter).unwrap();
    fs::write(&adapter, b"other").unwrap();
    assert_eq!(
        good(folder, &[&["predict", "s.so8t", "new.jsonl", "--text", "text"][..], &trust[..]].concat()),
        expected
    );
    assert_eq!(fs::read(&adapter).unwrap(), bytes);

    // A bundle is not written over something else.
    assert!(refused(folder, &["bundle", &text, "--out", "new.jsonl"]).contains("is there and is no bundle"));
}

#[test]
fn a_changed_or_cut_bundle_leaves_nothing() {
    let own = tempfile::tempdir().unwrap();
    let folder = own.path();
    good(folder, &["bundle", &run().display().to_string(), "--out", "a.so8t"]);
    let whole = fs::read(folder.join("a.so8t")).unwrap();
    let cache = folder.join("cache");
    let opens = |bytes: &[u8]| {
        fs::write(folder.join("b.so8t"), bytes).unwrap();
        let opened = bundle::open(&folder.join("b.so8t"), &cache, &Trust::Anybody);
        let left = fs::read_dir(cache.join("bundles")).map_or(0, Iterator::count);
        let _ = fs::remove_dir_all(&cache);
        assert_eq!(left, usize::from(opened.is_ok()), "nothing half unpacked stays");
        opened
    };
    opens(&whole).unwrap();
    // The last two blocks are the archive's end, which says nothing.
    for length in (0..whole.len() - 1024).step_by(whole.len() / 40) {
        assert!(opens(&whole[..length]).is_err(), "{length} bytes");
    }
    let mut changed = whole.clone();
    for at in (0..whole.len() - 1024).step_by(whole.len() / 60) {
        changed[at] ^= 0x10;
        if let Ok(unpacked) = opens(&changed) {
            // Between a file's end and the next block, or in a field that nothing reads, a byte is no part of what it holds.
            assert!(unpacked.signed_by.is_none());
        }
        changed[at] = whole[at];
    }
    let mut more = whole[..whole.len() - 1024].to_vec();
    more.extend(&whole[..1024]);
    assert!(opens(&more).unwrap_err().to_string().contains("more than its index says"));
}

/// An archive of an index and entries of any kind.
fn archive(path: &Path, files: &[(&str, &[u8])], entries: &[(tar::EntryType, &str, &[u8])]) {
    let listed: Vec<Value> = files
        .iter()
        .map(|(path, bytes)| json!({"path": path, "bytes": bytes.len(), "sha256": files::sha256(bytes)}))
        .collect();
    let index = json!({"format": "so8t.bundle/1", "so8t": "0.1.0", "name": "a", "model": "model/a", "files": listed});
    let mut made = tar::Builder::new(fs::File::create(path).unwrap());
    let index = index.to_string();
    for (kind, name, bytes) in [(tar::EntryType::Regular, "bundle.json", index.as_bytes())].iter().chain(entries) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        if kind.is_symlink() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        made.append(&header, *bytes).unwrap();
    }
    made.into_inner().unwrap().flush().unwrap();
}

#[test]
fn no_entry_leads_out_of_the_folder() {
    use tar::EntryType::{Link, Regular, Symlink};
    let own = tempfile::tempdir().unwrap();
    let folder = own.path();
    let path = folder.join("a.so8t");
    let model: (&str, &[u8]) = ("model/a", b"model");
    let cache = folder.join("cache");
    // What was unpacked before would stand for an archive with the same index.
    let open = || {
        let _ = fs::remove_dir_all(&cache);
        bundle::open(&path, &cache, &Trust::Anybody)
    };
    archive(&path, &[model], &[(Regular, "model/a", b"model")]);
    assert_eq!(fs::read(open().unwrap().model).unwrap(), b"model");
    for name in [
        "run/../../out",
        "/out",
        "run//a",
        "run/./a",
        "../out",
        "run",
        "other/a",
        "run/a\\b",
        "run/a\u{7}",
        "C:/a",
        "run/",
    ] {
        archive(&path, &[model, (name, b"bad")], &[(Regular, "model/a", b"model"), (Regular, name, b"bad")]);
        let text = open().unwrap_err().to_string();
        assert!(text.contains("expected a path below `run` or `model`"), "{name}: {text}");
    }
    let long = format!("run/{}", "a".repeat(97));
    archive(&path, &[model, (&long, b"bad")], &[]);
    assert!(open().unwrap_err().to_string().contains("expected a path below"));
    for kind in [Symlink, Link] {
        archive(&path, &[model, ("run/a", b"")], &[(Regular, "model/a", b"model"), (kind, "run/a", b"")]);
        assert!(open().unwrap_err().to_string().contains("lacks `run/a`"));
    }
    archive(&path, &[model], &[(Regular, "run/a", b"not listed"), (Regular, "model/a", b"model")]);
    assert!(open().unwrap_err().to_string().contains("lacks `model/a`"));
    archive(&path, &[model, model], &[(Regular, "model/a", b"model")]);
    assert!(open().unwrap_err().to_string().contains("is there twice"));
    archive(&path, &[("model/b", b"model")], &[(Regular, "model/b", b"model")]);
    assert!(open().unwrap_err().to_string().contains("is not among its files"));
    assert!(!folder.join("out").exists());
    assert!(fs::read_dir(cache.join("bundles")).is_ok_and(|mut left| left.next().is_none()) || !cache.exists());
}

fn find(folder: &Path, name: &str) -> PathBuf {
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => waiting.push(path),
                path if path.file_name().is_some_and(|own| own == name) => return path,
                _ => {}
            }
        }
    }
    panic!("there is no `{name}`")
}
