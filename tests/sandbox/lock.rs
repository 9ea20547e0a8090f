//! The lock file.

use so8t::plugin::Lock;
use so8t::plugin::lock::{Entry, EntryKind};

fn entry(kind: EntryKind, name: &str, path: &str, sha256: &str) -> Entry {
    Entry::new(kind, name, path, sha256)
}

fn lock() -> Lock {
    Lock {
        entries: vec![
            entry(EntryKind::Data, "chats", "data/b.jsonl", "bb"),
            entry(EntryKind::Model, "base", "model/model.safetensors", "cc"),
            entry(EntryKind::Data, "chats", "data/a.jsonl", "aa"),
            entry(EntryKind::Component, "quality", "builtin:classification", "dd"),
        ],
    }
}

#[test]
fn it_is_sorted_toml_that_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Lock::FILE);
    lock().write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().filter(|line| line.starts_with("path")).collect::<Vec<_>>(),
        [
            r#"path = "builtin:classification""#,
            r#"path = "model/model.safetensors""#,
            r#"path = "data/a.jsonl""#,
            r#"path = "data/b.jsonl""#
        ]
    );
    assert!(text.starts_with("# "));
    let read = Lock::read(&path).unwrap();
    read.verify(&lock()).unwrap();
    assert_eq!(read.to_toml().unwrap(), text, "written again, it is the same");
    let mut reversed = lock();
    reversed.entries.reverse();
    assert_eq!(reversed.to_toml().unwrap(), text);
    assert_eq!(Lock::default().to_toml().unwrap().lines().count(), 1);
}

#[test]
fn what_differs_is_named() {
    let mut used = lock();
    used.entries[0].sha256 = "00".into();
    used.entries[1].path = "other/model.safetensors".into();
    let error = lock().verify(&used).unwrap_err();
    assert_eq!(
        error.to_string(),
        "what the run uses differs from `so8t.lock`: model `base`: `other/model.safetensors` is not locked; data `chats`: \
         `data/b.jsonl` has sha256 `00`, locked is `bb`; model `base`: `model/model.safetensors` is locked and not used"
    );
    assert_eq!(error.exit_code(), 1);
    assert_eq!(error.hint(), Some("run without `--locked` to record what is used now"));
}

#[test]
fn a_broken_file_is_an_error_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Lock::FILE);
    let error = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Lock::read(&path).unwrap_err().to_string()
    };
    let begin = format!("`{}`, line 4: ", path.display());
    let found = error("[[entry]]\nkind = \"data\"\nname = \"a\"\ncolour = \"red\"\n");
    assert!(found.starts_with(&begin) && found.contains("unknown field `colour`"), "{found}");
    let found = error("\n\n\nentry = 3\n");
    assert!(found.starts_with(&begin), "{found}");
    let found = error("[[entry]]\nkind = \"secret\"\nname = \"a\"\npath = \"b\"\nsha256 = \"c\"\n");
    assert!(found.contains("line 2") && found.contains("unknown variant `secret`"), "{found}");
    std::fs::remove_file(&path).unwrap();
    assert!(Lock::read(&path).unwrap_err().to_string().starts_with("cannot read `"));
}
