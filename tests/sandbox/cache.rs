//! Compiled components: kept, checked, and never trusted when they were changed.

use std::fs;
use std::path::{Path, PathBuf};

use so8t::plugin::Host;

use super::{guest, measure, spec, tight};

fn load(cache: Option<&Path>, guest_name: &str) -> so8t::plugin::Plugin {
    Host::new(cache).unwrap().load(&spec(guest_name, "honest", "", tight())).unwrap()
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(cache.join("components")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn the_second_load_comes_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path());
    assert!(!load(cache, "evil-metric").from_cache());
    let plugin = load(cache, "evil-metric");
    assert!(plugin.from_cache());
    measure(&plugin).unwrap();
    assert_eq!(entries(folder.path()).len(), 1);
    assert!(!load(cache, "evil-mapper").from_cache(), "another component is another entry");
    assert_eq!(entries(folder.path()).len(), 2);
    assert!(!load(None, "evil-metric").from_cache());
}

#[test]
fn a_changed_entry_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path());
    load(cache, "evil-metric");
    let [path] = entries(folder.path()).try_into().unwrap();
    let whole = fs::read(&path).unwrap();
    let at = |position: usize| {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        bytes
    };
    let changed = [
        Vec::new(),
        b"so8t compiled component 2\n".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        [whole.as_slice(), b"more"].concat(),
        at(0),
        at(30),
        at(whole.len() / 2),
        at(whole.len() - 1),
    ];
    for bytes in changed {
        fs::write(&path, &bytes).unwrap();
        let plugin = load(cache, "evil-metric");
        assert!(!plugin.from_cache(), "{} bytes", bytes.len());
        measure(&plugin).unwrap();
        assert!(fs::read(&path).unwrap().starts_with(b"so8t compiled component 2\n"), "it is mended");
        assert!(load(cache, "evil-metric").from_cache());
    }
}

#[test]
fn an_entry_serves_its_own_component_only() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path());
    load(cache, "evil-metric");
    let [metric] = entries(folder.path()).try_into().unwrap();
    load(cache, "evil-mapper");
    let mapper = entries(folder.path()).into_iter().find(|path| *path != metric).unwrap();
    fs::copy(&metric, &mapper).unwrap();
    assert!(!load(cache, "evil-mapper").from_cache());
}

#[cfg(unix)]
#[test]
fn the_folder_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let components = folder.path().join("components");
    load(Some(folder.path()), "evil-metric");
    assert_eq!(fs::metadata(&components).unwrap().permissions().mode() & 0o777, 0o700);

    fs::set_permissions(&components, fs::Permissions::from_mode(0o770)).unwrap();
    let error = Host::new(Some(folder.path())).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "the cache of compiled plugins `{}` is not private: expected a folder of this user with mode 700, found mode 770",
            components.display()
        )
    );
    assert!(error.hint().is_some());

    let other = tempfile::tempdir().unwrap();
    fs::set_permissions(&components, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&components, other.path().join("components")).unwrap();
    assert!(Host::new(Some(other.path())).is_err(), "a link may lead anywhere");
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_time() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new(Some(folder.path())).unwrap();
    fs::remove_dir(folder.path().join("components")).unwrap();
    fs::write(folder.path().join("components"), b"in the way").unwrap();
    let plugin = host.load(&spec("evil-metric", "honest", "", tight())).unwrap();
    measure(&plugin).unwrap();
}

#[test]
fn many_threads_share_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    assert!(guest("evil-metric").exists());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| measure(&load(Some(folder.path()), "evil-metric")).unwrap());
        }
    });
    assert!(load(Some(folder.path()), "evil-metric").from_cache());
    assert_eq!(entries(folder.path()).len(), 1, "no temporary file is left");
}

/// A cache with one entry, and where that is.
#[cfg(unix)]
fn one_entry() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    load(Some(folder.path()), "evil-metric");
    let [path] = entries(folder.path()).try_into().unwrap();
    assert!(load(Some(folder.path()), "evil-metric").from_cache());
    (folder, path)
}

#[cfg(unix)]
#[test]
fn an_entry_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = one_entry();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(!load(Some(folder.path()), "evil-metric").from_cache(), "mode {mode:o}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "it is written anew");
        assert!(load(Some(folder.path()), "evil-metric").from_cache());
    }
}

#[cfg(unix)]
#[test]
fn an_entry_that_is_a_link_is_not_followed() {
    let (folder, path) = one_entry();
    let elsewhere = folder.path().join("elsewhere");
    // The very bytes of the entry, but under a name that its owner may change at any time.
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(!load(Some(folder.path()), "evil-metric").from_cache());
    assert!(!fs::symlink_metadata(&path).unwrap().is_symlink(), "it is written anew");
    assert!(load(Some(folder.path()), "evil-metric").from_cache());

    fs::remove_file(&path).unwrap();
    fs::hard_link(&elsewhere, &path).unwrap();
    assert!(!load(Some(folder.path()), "evil-metric").from_cache(), "a file of two names");
    assert!(load(Some(folder.path()), "evil-metric").from_cache());

    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    assert!(!load(Some(folder.path()), "evil-metric").from_cache(), "a file without an end");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    measure(&load(Some(folder.path()), "evil-metric")).unwrap();
}

#[cfg(unix)]
#[test]
fn another_users_entry_is_not_loaded() {
    let (folder, path) = one_entry();
    if std::os::unix::fs::chown(&path, Some(65_534), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    assert!(!load(Some(folder.path()), "evil-metric").from_cache());
    assert!(load(Some(folder.path()), "evil-metric").from_cache(), "it is written anew");
}

#[test]
fn entries_that_changed_places_are_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path());
    load(cache, "evil-metric");
    load(cache, "evil-mapper");
    let [one, two] = entries(folder.path()).try_into().unwrap();
    let third = folder.path().join("third");
    fs::rename(&one, &third).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(&third, &two).unwrap();
    assert!(!load(cache, "evil-metric").from_cache());
    assert!(!load(cache, "evil-mapper").from_cache());
}
