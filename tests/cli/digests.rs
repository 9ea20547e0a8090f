//! Digests of large files that are kept between starts.

use std::fs::{self, FileTimes};
use std::time::{Duration, Instant, SystemTime};

use so8t::files::{sha256, sha256_file_cached};

#[test]
#[cfg(unix)]
fn a_digest_is_kept_until_the_file_changes() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let (file, cache) = (folder.path().join("model"), folder.path().join("cache"));
    let digest = || sha256_file_cached(&file, Some(&cache)).unwrap();
    let kept = || fs::read_dir(cache.join("digests")).map_or(0, Iterator::count);
    let written = Instant::now();
    fs::write(&file, "one").unwrap();
    assert_eq!(digest(), sha256(b"one"));
    if written.elapsed() < Duration::from_secs(2) {
        assert_eq!(kept(), 0, "a file that has just been written may still change within the clock's step");
    }

    std::thread::sleep(Duration::from_secs(4));
    assert_eq!((digest(), kept()), (sha256(b"one"), 1));
    // What is kept is used: a false entry would be believed, which is why nobody else may write there.
    let entry = fs::read_dir(cache.join("digests")).unwrap().next().unwrap().unwrap().path();
    fs::write(&entry, "0".repeat(64)).unwrap();
    assert_eq!(digest(), "0".repeat(64));
    fs::write(&entry, "cut").unwrap();
    assert_eq!(digest(), sha256(b"one"));
    assert_eq!(fs::metadata(cache.join("digests")).unwrap().permissions().mode() & 0o777, 0o700);

    // The same length, and the time of the last change set back to what it was.
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, "two").unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_times(FileTimes::new().set_modified(modified)).unwrap();
    assert!(SystemTime::now() > modified);
    assert_eq!(digest(), sha256(b"two"));

    fs::set_permissions(cache.join("digests"), fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(&entry, "0".repeat(64)).unwrap();
    assert_eq!((digest(), sha256_file_cached(&file, None).unwrap()), (sha256(b"two"), sha256(b"two")));
}
