//! The log: the hashes of RFC 6962, signed checkpoints, torn ends, tampering, proofs, and contents that are erased.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use so8t::audit::{
    Entry, Hash, Keys, Log, Signer, Tree, Verifier, canonical, find, leaf_hash, new_id, node_hash, open_sealed, prove,
    shred, timestamp, verify,
};

struct Place {
    #[expect(dead_code, reason = "removed when it is dropped")]
    temporary: tempfile::TempDir,
    log: PathBuf,
    keys: Keys,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let keys = Keys::open(&temporary.path().join("keys"), Duration::MAX).unwrap();
        Self { log: temporary.path().join("log"), temporary, keys }
    }

    fn open(&self) -> so8t::Result<Log> {
        Log::open(&self.log, self.keys.signer("so8t/test")?)
    }

    /// A log of so many entries, in groups of seven. Returns their ids.
    fn fill(&self, count: usize) -> Vec<String> {
        let mut log = self.open().unwrap();
        let ids: Vec<String> = (0..count).map(|_| new_id().unwrap()).collect();
        let entries: Vec<Vec<u8>> = ids.iter().map(|id| Entry::new("decision", id).bytes().unwrap()).collect();
        for group in entries.chunks(7) {
            log.append(group).unwrap();
        }
        ids
    }

    fn checkpoint(&self) -> String {
        std::fs::read_to_string(self.log.join("checkpoint")).unwrap()
    }
}

/// The root by the definition of RFC 6962, section 2.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        _ => {
            let split = (1..leaves.len()).rev().find(|size| size.is_power_of_two()).unwrap();
            node_hash(&root(&leaves[..split]), &root(&leaves[split..]))
        }
    }
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn hashes_are_those_of_rfc_6962() {
    assert_eq!(hex(&Tree::default().root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(hex(&leaf_hash(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    let place = Place::new();
    // Trees whose last tiles are full, and almost so, on two levels.
    for count in [1, 2, 3, 255, 256, 257, 600] {
        let place = Place::new();
        let ids = place.fill(count);
        let leaves: Vec<Hash> =
            super::entries(&place.log).iter().map(|entry| leaf_hash(canonical(entry).as_bytes())).collect();
        assert_eq!(leaves.len(), count);
        let stored = so8t::audit::Stored::read(&place.log, None).unwrap();
        assert_eq!((stored.published.size, stored.published.root), (count as u64, root(&leaves)));
        for index in [0, count / 2, count - 1] {
            let proof = prove(&place.log, None, &ids[index]).unwrap();
            proof.check(&stored.verifier).unwrap();
            let mut other = proof.clone();
            other.entry.push(' ');
            assert!(other.check(&stored.verifier).is_err());
            let other = so8t::audit::Proof { index: (index as u64 + 1) % (count as u64 + 1), ..proof };
            assert!(other.check(&stored.verifier).is_err());
        }
    }
    drop(place);
}

#[test]
fn a_large_log_is_tiles_and_goes_on_when_it_is_opened_again() {
    let place = Place::new();
    let first = place.fill(9000);
    let old = place.checkpoint();
    let second = place.fill(5000);
    let found = verify(&place.log, None, Some(&old)).unwrap();
    assert_eq!((found.entries, found.published, found.since, found.torn), (14_000, 14_000, Some(9000), 0));
    assert_eq!(found.tiles, 14_000 / 256);
    let ids: Vec<String> =
        super::entries(&place.log).iter().map(|entry| entry["audit_id"].as_str().unwrap().to_owned()).collect();
    assert!(ids.iter().eq(first.iter().chain(&second)));
    // As C2SP's tlog-tiles has them.
    for name in [
        "tile/0/000",
        "tile/0/053",
        "tile/1/000.p/54",
        "tile/entries/053",
        "tile/0/054.p/176",
        "tile/entries/054.p/176",
    ] {
        assert!(place.log.join(name).is_file(), "{name}");
    }
    let lines: Vec<String> = place.checkpoint().lines().map(str::to_owned).collect();
    assert_eq!((lines[0].as_str(), lines[1].as_str(), lines[3].as_str()), ("so8t/test", "14000", ""));
    assert!(lines[4].starts_with("— so8t/test "), "{}", lines[4]);
}

/// Changes one byte of a file.
fn change(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_was_changed_is_found() {
    let names =
        ["tile/entries/001", "tile/0/001", "tile/0/002.p/88", "tile/entries/002.p/88", "tile/1/000.p/2", "checkpoint"];
    for name in names {
        let place = Place::new();
        place.fill(600);
        verify(&place.log, None, None).unwrap();
        let path = place.log.join(name);
        let length = std::fs::metadata(&path).unwrap().len() as usize;
        change(&path, length / 2);
        assert!(verify(&place.log, None, None).is_err(), "{name}");
    }
    // A log that was written anew, with a key of its own, is another log.
    let (place, other) = (Place::new(), Place::new());
    place.fill(300);
    other.fill(400);
    let key = place.keys.signer("so8t/test").unwrap().verifier().clone();
    verify(&place.log, Some(&key), None).unwrap();
    assert!(verify(&other.log, Some(&key), None).unwrap_err().to_string().contains("not signed by"));
    // So is one whose end was cut off and that goes on otherwise, though the same key signed it.
    let old = place.checkpoint();
    std::fs::remove_dir_all(&place.log).unwrap();
    place.fill(200);
    assert!(verify(&place.log, None, Some(&old)).unwrap_err().to_string().contains("its end was cut off"));
    place.fill(200);
    assert!(verify(&place.log, None, Some(&old)).unwrap_err().to_string().contains("the log was rewritten"));
    assert!(other.open().is_ok());
    let stranger = Signer::new("so8t/test", &Signer::generate().unwrap()).unwrap();
    let Err(error) = Log::open(&other.log, stranger) else { panic!("another key opened the log") };
    assert!(error.to_string().contains("is signed by"), "{error}");
}

/// A log whose last groups are in the journal alone, as a killed process leaves it.
fn killed(place: &Place, groups: usize) -> PathBuf {
    let mut log = place.open().unwrap();
    for group in 0..groups {
        let entry = |index: usize| Entry::new("decision", &format!("{group:08x}{index:08x}")).bytes().unwrap();
        log.append(&[entry(0), entry(1)]).unwrap();
    }
    let copy = place.log.with_file_name("killed");
    copy_folder(&place.log, &copy);
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_torn_end_is_cut_and_a_changed_midst_is_refused() {
    let place = Place::new();
    let killed = killed(&place, 5);
    let journal = killed.join("journal").join(format!("{:020}", 0));
    let whole = std::fs::read(&journal).unwrap();
    let opened = |bytes: &[u8]| {
        std::fs::write(&journal, bytes).unwrap();
        let _ = std::fs::remove_dir_all(killed.join("cut"));
        Log::open(&killed, place.keys.signer("so8t/test").unwrap()).map(|log| (log.size(), log.cut()))
    };
    let clean = || {
        for name in ["tile", "checkpoint"] {
            let _ = std::fs::remove_dir_all(killed.join(name));
            let _ = std::fs::remove_file(killed.join(name));
        }
    };
    let mut sizes = std::collections::BTreeSet::new();
    for end in (0..whole.len()).step_by(37).chain([whole.len()]) {
        clean();
        std::fs::write(&journal, &whole[..end]).unwrap();
        let before = verify(&killed, None, None).unwrap();
        let (size, cut) = opened(&whole[..end]).unwrap();
        assert_eq!((before.entries, before.torn), (size, cut as u64));
        assert!(size % 2 == 0 && verify(&killed, None, None).unwrap().entries == size);
        sizes.insert(size);
    }
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [0, 2, 4, 6, 8, 10]);
    // Zeros at the end are what a loss of power may leave.
    clean();
    assert_eq!(opened(&[whole.as_slice(), &[0; 100]].concat()).unwrap(), (10, 100));
    for at in (0..whole.len() * 3 / 4).step_by(101) {
        clean();
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        assert!(opened(&bytes).is_err(), "byte {at}");
        assert!(verify(&killed, None, None).is_err(), "byte {at}");
    }
    // The last group, whole and changed, is no torn end.
    clean();
    let mut bytes = whole.clone();
    let near_end = whole.len() - 300;
    bytes[near_end] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();
    assert!(verify(&killed, None, None).unwrap_err().to_string().contains("not what was signed"));
}

#[test]
fn one_process_writes_a_log_and_none_writes_where_something_else_lies() {
    let place = Place::new();
    let log = place.open().unwrap();
    let Err(error) = place.open() else { panic!("two write one log") };
    assert!(error.to_string().contains("another process writes"), "{error}");
    drop(log);
    let other = place.log.with_file_name("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("thesis.txt"), "years of work").unwrap();
    let Err(error) = Log::open(&other, place.keys.signer("so8t/test").unwrap()) else {
        panic!("a folder of another was taken")
    };
    assert!(error.to_string().contains("is not empty, and is no audit log"), "{error}");
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn what_is_shredded_is_gone_and_the_log_is_whole() {
    let place = Place::new();
    let mut log = place.open().unwrap();
    let mut ids = Vec::new();
    for subject in ["anna", "anna", "bert"] {
        let id = new_id().unwrap();
        let (name, sealed) =
            place.keys.seal(&place.log, subject, &id, format!("what {subject} asked").as_bytes()).unwrap();
        let entry = Entry::new("decision", &id).with("subject", name).with("sealed", sealed);
        log.append(&[entry.bytes().unwrap()]).unwrap();
        ids.push(id);
    }
    drop(log);
    let entry = |id: &str| -> Value { serde_json::from_str(&find(&place.log, None, id).unwrap().1).unwrap() };
    let content = |id: &str| open_sealed(&place.log, &place.keys, &entry(id)).unwrap();
    assert_eq!(content(&ids[0]).as_deref(), Some(b"what anna asked".as_slice()));
    assert_eq!(verify(&place.log, None, None).unwrap().sealed, [3, 0]);
    let old = place.checkpoint();
    assert_eq!(shred(&place.log, &place.keys, "anna").unwrap(), Some(2));
    assert_eq!(shred(&place.log, &place.keys, "anna").unwrap(), None);
    assert_eq!((content(&ids[0]), content(&ids[1])), (None, None));
    assert_eq!(content(&ids[2]).as_deref(), Some(b"what bert asked".as_slice()));
    let found = verify(&place.log, None, Some(&old)).unwrap();
    assert_eq!((found.entries, found.sealed), (3, [1, 2]));
    // A sealed content that somebody changed is found, too.
    let sealed = place.log.join("sealed").join(entry(&ids[2])["subject"].as_str().unwrap()).join(&ids[2]);
    change(&sealed, 20);
    assert!(verify(&place.log, None, None).unwrap_err().to_string().contains("is not what was sealed"));
}

#[test]
fn hashing_keys_rotate_and_old_ones_still_confirm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let keys = Keys::open(&path, Duration::MAX).unwrap();
    let first = keys.mac(b"a short text").unwrap();
    assert_eq!(keys.mac(b"a short text").unwrap(), first);
    assert_ne!(first.hmac, so8t::files::sha256(b"a short text"));
    let subject = keys.subject("anna").unwrap();
    // The key of long ago is replaced.
    let file = path.join("hashing.json");
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    value["keys"][0]["created"] = json!(0);
    std::fs::write(&file, value.to_string()).unwrap();
    let keys = Keys::open(&path, Duration::from_secs(3600)).unwrap();
    let second = keys.mac(b"a short text").unwrap();
    assert!(second.key == first.key + 1 && second.hmac != first.hmac);
    assert_eq!(keys.matches(b"a short text", &first).unwrap(), Some(true));
    assert_eq!(keys.subject("anna").unwrap(), subject);
}

#[test]
fn entries_are_canonical_and_verifier_keys_are_read_back() {
    let entry = Entry::new("refusal", "ab")
        .with("b", json!({"z": 1, "a": [0.1f32, null]}))
        .with("time", "then")
        .bytes()
        .unwrap();
    let text = r#"{"audit_id":"ab","b":{"a":[0.10000000149011612,null],"z":1},"kind":"refusal","time":"then"}"#;
    assert_eq!(String::from_utf8(entry).unwrap(), text);
    assert!(Entry::new("decision", &"x".repeat(70_000)).bytes().is_err());
    let time = std::time::UNIX_EPOCH + Duration::from_millis(951_782_400_123);
    assert_eq!(timestamp(time), "2000-02-29T00:00:00.123Z");
    let signer = Signer::new("so8t/a", &Signer::generate().unwrap()).unwrap();
    let text = signer.verifier().to_string();
    assert_eq!(&Verifier::parse(&text).unwrap(), signer.verifier());
    assert!(Verifier::parse(&text.replace("so8t/a", "so8t/b")).is_err());
    let note = signer.sign(5, [7; 32]);
    assert_eq!(signer.verifier().open(&note).unwrap().size, 5);
    assert!(signer.verifier().open(&note.replace("\n5\n", "\n6\n")).is_err());
}
