//! A lock file of any bytes: read or refused with its line, and what was read comes out the same when it is written again.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use so8t_plugin::Lock;

/// A file of this process, in memory where the system has such a folder.
fn file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        folder.join(format!("so8t-fuzz-{}.lock", std::process::id()))
    })
}

fuzz_target!(|data: &[u8]| {
    std::fs::write(file(), data).expect("the file can be written");
    let lock = match Lock::read(file()) {
        Ok(lock) => lock,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let text = lock.to_toml().expect("what was read can be written");
    std::fs::write(file(), &text).expect("the file can be written");
    let again = Lock::read(file()).expect("what was written can be read");
    assert_eq!(again.to_toml().expect("and written again"), text);
    // A key that occurs twice, with two digests, is no lock of anything.
    let mut keys: Vec<_> = again.entries.iter().map(|entry| (entry.kind, &entry.name, &entry.path)).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    if keys.len() == count {
        again.verify(&lock).expect("a lock holds for itself");
    }
});
