//! What is checked is what is used: components and policies.

use super::{place, so8t};
use crate::cli::write;

fn component(folder: &std::path::Path, name: &str) {
    let prebuilt = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/prebuilt/jsonl.wasm");
    std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
    std::fs::copy(prebuilt, folder.join(name)).unwrap();
}

/// A place whose converter is the component at a path.
fn with_component(path: &str) -> tempfile::TempDir {
    let folder = place("[split]", &format!("[plugins.p]\ncomponent = \"{path}\"\n[split]"));
    let text = std::fs::read_to_string(folder.path().join("so8t.toml")).unwrap();
    write(folder.path(), "so8t.toml", &text.replace("converter = \"jsonl\"", "converter = \"p\""));
    folder
}

#[cfg(unix)]
#[test]
fn a_link_that_flips_never_lets_in_what_the_policy_forbids() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let place = with_component("link.wasm");
    let folder = place.path().canonicalize().unwrap();
    component(&folder, "good/jsonl.wasm");
    // The same plugin with other bytes: what loads tells which it was by its digest.
    component(&folder, "bad/jsonl.wasm");
    let mut bytes = std::fs::read(folder.join("bad/jsonl.wasm")).unwrap();
    bytes.extend_from_slice(b"\0\x05\x04evil");
    std::fs::write(folder.join("bad/jsonl.wasm"), &bytes).unwrap();
    let bad = so8t::files::sha256(&bytes);
    let policy = format!("[plugins]\nallow = [\"builtin:*\", \"path:{}/good/*\"]\n", folder.display());
    write(&folder, "policy.toml", &policy);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flipping = scope.spawn(|| {
            let mut which = 0;
            while !stop.load(Ordering::Relaxed) {
                let _ =
                    std::os::unix::fs::symlink(["good/jsonl.wasm", "bad/jsonl.wasm"][which % 2], folder.join("next"));
                let _ = std::fs::rename(folder.join("next"), folder.join("link.wasm"));
                which += 1;
            }
        });
        let policy = so8t::plugin::Policy::read(&folder.join("policy.toml")).unwrap();
        let admission = so8t::plugin::Admission::new(policy);
        let source = so8t::plugin::ComponentSource::Path(folder.join("link.wasm"));
        let spec = so8t::plugin::PluginSpec::new("p", source);
        for _ in 0..2000 {
            // Whether it is let in depends on where the link leads at that moment.
            if let Ok(found) = admission.fetch(&spec) {
                assert_ne!(found.digest, bad, "a component was let in that the policy forbids");
            }
        }
        stop.store(true, Ordering::Relaxed);
        flipping.join().unwrap();
        let _ = std::fs::remove_file(folder.join("link.wasm"));
        std::os::unix::fs::symlink("good/jsonl.wasm", folder.join("link.wasm")).unwrap();
        assert_ne!(admission.fetch(&spec).unwrap().digest, bad);
    });
}

#[test]
fn components_in_place_of_carried_ones_count_as_paths() {
    let place = place("", "");
    let folder = place.path().canonicalize().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().canonicalize().unwrap();
    for name in ["jsonl", "four-class", "classification"] {
        let prebuilt = format!("{}/plugins/prebuilt/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(prebuilt, elsewhere.join(format!("{name}.wasm"))).unwrap();
    }
    let run = |policy: &str| {
        write(&folder, "policy.toml", policy);
        let variables = [("SO8T_COMPONENTS", elsewhere.to_str().unwrap())];
        so8t(&folder, &["prepare", "so8t.toml", "--policy", "policy.toml"], &variables)
    };
    let (_, stderr, code) = run("[plugins]\nallow = [\"builtin:*\"]\n");
    let expected = format!("does not allow `path:{}/", elsewhere.display());
    assert!(code == 1 && stderr.contains(&expected), "{stderr}");
    let (_, stderr, code) = run(&format!("[plugins]\nallow = [\"path:{}/*\"]\n", elsewhere.display()));
    assert_eq!(code, 0, "{stderr}");
    // Without the variable they are this program's own.
    write(&folder, "policy.toml", "[plugins]\nallow = [\"builtin:*\"]\n");
    let (_, stderr, code) = so8t(&folder, &["prepare", "so8t.toml", "--policy", "policy.toml"], &[]);
    assert_eq!(code, 0, "{stderr}");
}

#[cfg(unix)]
#[test]
fn a_policy_that_is_there_and_cannot_be_read_fails_closed() {
    let place = place("", "");
    let folder = place.path();
    let home = folder.join("home");
    let run = || {
        let variables = [("XDG_CONFIG_HOME", home.to_str().unwrap())];
        so8t(folder, &["prepare", "so8t.toml"], &variables)
    };
    // Absent is absent.
    assert_eq!(run().2, 0);
    std::fs::create_dir_all(home.join("so8t")).unwrap();
    assert_eq!(run().2, 0);
    let path = home.join("so8t/policy.toml");
    std::os::unix::fs::symlink("/nowhere/policy.toml", &path).unwrap();
    let (_, stderr, code) = run();
    assert!(code == 1 && stderr.contains("policy.toml"), "{stderr}");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let (_, stderr, code) = run();
    assert!(code == 1 && stderr.contains("is no plain file"), "{stderr}");
    std::fs::remove_dir_all(home.join("so8t")).unwrap();
    std::os::unix::fs::symlink("/nowhere", home.join("so8t")).unwrap();
    let (_, stderr, code) = run();
    assert!(code == 1 && stderr.contains("policy.toml"), "{stderr}");
}
