//! Releases: what is refused, what is signed, what is found of a changed one. The reference tool verifies one in `examples/peers/tracking.sh`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use so8t_track::export::About;
use so8t_track::release::{PrivateKey, PublicKey, SIGNATURE, make, verify};

use crate::runs;

fn made(folder: &Path) -> (PublicKey, Vec<String>) {
    let (_run, run) = runs::run(Some(true));
    let (key, _) = PrivateKey::new().expect("a key");
    let names = make(&run, &[], &About::default(), &key, &folder.join("release")).expect("a release");
    (key.public(), names)
}

#[test]
fn a_release_holds_what_was_trained_with_its_evidence_and_verifies() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, names) = made(folder.path());
    for name in [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "bom.cdx.json",
        "provenance.json",
        "report.json",
        "so8t.lock",
        SIGNATURE,
    ] {
        assert!(names.iter().any(|own| own == name), "{name} in {names:?}");
    }
    assert!(
        !names.iter().any(|name| name.contains("evaluation") || name == "so8t.toml"),
        "no requests and no policy: {names:?}"
    );
    let found = verify(&folder.path().join("release"), &key).expect("as it was signed");
    assert_eq!((found.name.as_str(), found.files), ("small", names.len() - 1));
    let statement: Value =
        serde_json::from_slice(&fs::read(folder.path().join("release/provenance.json")).expect("a file"))
            .expect("JSON");
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["subject"].as_array().map(Vec::len), Some(2));
    assert_eq!(statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_run_that_does_not_meet_its_rules_is_not_released() {
    let (key, _) = PrivateKey::new().expect("a key");
    for (accepted, expected) in [
        (Some(false), "does not meet its rules, and is not released: `classification.f1_macro` rises"),
        (None, "has no rules to meet"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_run, run) = runs::run(accepted);
        let error =
            make(&run, &[], &About::default(), &key, &folder.path().join("release")).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing half-written is left");
    }
}

#[test]
fn a_changed_run_and_a_full_folder_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, _) = PrivateKey::new().expect("a key");
    let (source, run) = runs::run(Some(true));
    fs::write(source.path().join("adapter/adapter_model.safetensors"), "other").expect("written");
    let error =
        make(&run, &[], &About::default(), &key, &folder.path().join("release")).expect_err("refused").to_string();
    assert!(error.contains("`adapter/adapter_model.safetensors` is not as the run left it"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    fs::create_dir(folder.path().join("release")).expect("a folder");
    fs::write(folder.path().join("release/mine"), "").expect("written");
    let (_source, run) = runs::run(Some(true));
    let error =
        make(&run, &[], &About::default(), &key, &folder.path().join("release")).expect_err("refused").to_string();
    assert!(error.contains("is not empty"), "{error}");
}

#[test]
fn every_change_of_a_release_is_found() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 7] = [
        ("`adapter_model.safetensors` is not what was signed", |own| {
            fs::write(own.join("adapter_model.safetensors"), "other").expect("written")
        }),
        ("`README.md` is lacking", |own| fs::remove_file(own.join("README.md")).expect("removed")),
        ("`extra.bin` was added", |own| fs::write(own.join("extra.bin"), "").expect("written")),
        ("the signature does not fit", |own| {
            // The list of files is changed to fit a changed file: the signature no longer does.
            let path = own.join(SIGNATURE);
            let mut bundle: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
            let payload = bundle["dsseEnvelope"]["payload"].as_str().expect("a payload");
            let changed =
                if payload.starts_with("eyJ") { payload.replacen("eyJ", "eyK", 1) } else { payload.to_owned() };
            bundle["dsseEnvelope"]["payload"] = changed.into();
            fs::write(&path, bundle.to_string()).expect("written");
        }),
        ("has not one signature", |own| {
            let path = own.join(SIGNATURE);
            let mut bundle: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
            bundle["dsseEnvelope"]["signatures"] = json!([]);
            fs::write(&path, bundle.to_string()).expect("written");
        }),
        ("expected a model signature", |own| fs::write(own.join(SIGNATURE), "{").expect("written")),
        ("model.sig", |own| fs::remove_file(own.join(SIGNATURE)).expect("removed")),
    ];
    for (expected, change) in changes {
        let folder = tempfile::tempdir().expect("a folder");
        let (key, _) = made(folder.path());
        let release = folder.path().join("release");
        change(&release);
        let error = verify(&release, &key).expect_err(expected).to_string();
        assert!(error.contains(expected), "expected {expected}, found {error}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    made(folder.path());
    let other = PrivateKey::new().expect("a key").0.public();
    let error = verify(&folder.path().join("release"), &other).expect_err("another key").to_string();
    assert!(error.contains("signed with another key"), "{error}");
}

#[test]
fn keys_are_read_as_they_are_written_and_others_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, text) = PrivateKey::new().expect("a key");
    assert_eq!(PrivateKey::parse(&text).expect("a key").public(), key.public());
    let path = folder.path().join("key.pub");
    fs::write(&path, key.public().pem()).expect("written");
    assert_eq!(PublicKey::read(&path).expect("a key"), key.public());
    for (text, expected) in [
        ("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n", "the older form"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n", "an encrypted one"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a key of another kind"),
        ("minisign", "something else"),
    ] {
        let error = PrivateKey::parse(text).err().expect("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::write(&path, "minisign").expect("written");
    assert!(PublicKey::read(&path).is_err());
}
