//! Keys, signatures, and components that are not what was signed.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::registry_server::Registry;
use super::{Place, first_line};
use crate::cli::{outcome, write};

const TABLES: &str = "[plugins.quality]\ncomponent = \"classification.wasm\"\n[evaluate]\nmetrics = [\"quality\"]";

/// A key without a password: its id and its public half.
fn key(place: &Place, name: &str) -> (String, String) {
    let made: Value =
        serde_json::from_str(&place.done(&["plugin", "keygen", name, "--no-password", "--json"])).unwrap();
    (made["id"].as_str().unwrap().to_owned(), made["public_key"].as_str().unwrap().to_owned())
}

fn policy(place: &Place, keys: &[&str]) {
    let text = format!("[plugins]\nrequire_signature = true\ntrusted_keys = [\"{}\"]\n", keys.join("\", \""));
    write(place.path(), "policy.toml", &text);
}

#[test]
fn unsigned_wrongly_signed_and_changed_components_are_refused() {
    let place = Place::new(TABLES);
    let component = place.component("classification");
    let (trusted, public) = key(&place, "trusted");
    let (other, _) = key(&place, "other");
    policy(&place, &[&public]);
    let prepare = ["prepare", "so8t.toml", "--quiet", "--policy", "policy.toml"];
    let refused = |expected: &str| {
        let stderr = place.refused(&prepare);
        let start = "error: so8t.toml:16:13: plugin `quality`: `./classification.wasm` ";
        assert_eq!(first_line(&stderr), format!("{start}{expected}"));
    };
    refused(&format!("is not signed: the policy `policy.toml` wants a signature by one of `{trusted}`"));

    place.done(&["plugin", "sign", "classification.wasm", "--key", "other.key"]);
    refused(&format!(
        "is signed by key `{other}`, which the policy `policy.toml` does not trust: expected one of `{trusted}`"
    ));

    let signed = place.done(&["plugin", "sign", "classification.wasm", "--key", "trusted.key"]);
    assert_eq!(signed, format!("signed by key {trusted}: `classification.wasm.minisig`\n"));
    place.done(&prepare);
    let lock = std::fs::read_to_string(place.file("so8t.lock")).unwrap();
    assert_eq!(lock.matches(&format!("signer = \"{trusted}\"")).count(), 1, "{lock}");

    // One byte of a custom section at the end would still load.
    let good = std::fs::read(&component).unwrap();
    std::fs::write(&component, [&good[..], b"\0\x02\x01x"].concat()).unwrap();
    refused(&format!(
        "has a signature of key `{trusted}` that does not fit its bytes: they were changed, or the signature is another file's"
    ));
    std::fs::write(&component, &good).unwrap();
    place.done(&prepare);
    // The id of a trusted key on the signature of another.
    place.done(&["plugin", "sign", "classification.wasm", "--key", "other.key"]);
    let forged = forge(&std::fs::read_to_string(place.file("classification.wasm.minisig")).unwrap(), &public);
    write(place.path(), "classification.wasm.minisig", &forged);
    refused(&format!(
        "has a signature of key `{trusted}` that does not fit its bytes: they were changed, or the signature is another file's"
    ));
    write(place.path(), "classification.wasm.minisig", "nonsense");
    refused("has a signature that is not in minisign's format");
    write(place.path(), "classification.wasm.minisig", &"x".repeat(10_000));
    refused("has a signature that is not in minisign's format");

    // What the program carries itself needs no signature, and where none is required none is asked for.
    place.manifest("");
    place.done(&prepare);
    place.manifest(TABLES);
    std::fs::remove_file(place.file("classification.wasm.minisig")).unwrap();
    place.done(&["prepare", "so8t.toml", "--quiet"]);
}

/// The key id of `public` in the place of that of a signature: bytes 2 to 9 of the second line.
fn forge(signature: &str, public: &str) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    let mut lines: Vec<String> = signature.lines().map(str::to_owned).collect();
    let mut bytes = base64.decode(&lines[1]).unwrap();
    bytes[2..10].copy_from_slice(&base64.decode(public).unwrap()[2..10]);
    lines[1] = base64.encode(bytes);
    lines.join("\n") + "\n"
}

#[test]
fn a_signature_travels_with_its_component() {
    let Some(registry) = Registry::start(false) else { return };
    let reference = registry.reference("quality:1");
    let place = Place::new(&TABLES.replace("classification.wasm", &reference));
    place.component("classification");
    let (trusted, public) = key(&place, "trusted");
    let (other, _) = key(&place, "other");
    policy(&place, &[&public]);
    let prepare = ["prepare", "so8t.toml", "--quiet", "--update", "--policy", "policy.toml"];
    let start = format!("error: so8t.toml:16:13: plugin `quality`: `{reference}` ");

    place.done(&["plugin", "push", "classification.wasm", &reference]);
    let expected = format!("is not signed: the policy `policy.toml` wants a signature by one of `{trusted}`");
    assert_eq!(first_line(&place.refused(&prepare)), format!("{start}{expected}"));

    place.done(&["plugin", "sign", "classification.wasm", "--key", "other.key"]);
    place.done(&["plugin", "push", "classification.wasm", &reference]);
    assert!(first_line(&place.refused(&prepare)).starts_with(&format!("{start}is signed by key `{other}`, which")));

    place.done(&["plugin", "sign", "classification.wasm", "--key", "trusted.key"]);
    let pushed = place.done(&["plugin", "push", "classification.wasm", &reference]);
    assert!(pushed.contains(&format!("signed by key {trusted}")), "{pushed}");
    place.done(&prepare);
    let lock = std::fs::read_to_string(place.file("so8t.lock")).unwrap();
    assert!(lock.contains(&format!("signer = \"{trusted}\"")), "{lock}");

    // From the cache the signature is checked again.
    let signature = std::fs::read(place.file("classification.wasm.minisig")).unwrap();
    drop(registry);
    place.done(&["prepare", "so8t.toml", "--quiet", "--locked", "--policy", "policy.toml"]);
    let pinned = toml::from_str::<toml::Table>(&lock).unwrap()["entry"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|entry| entry.get("resolved").map(|digest| digest.as_str().unwrap().to_owned()))
        .unwrap();
    let pinned = format!("{}@{pinned}", reference.strip_suffix(":1").unwrap());
    let pulled = place.done(&["plugin", "pull", &pinned, "--out", "again.wasm", "--policy", "policy.toml"]);
    assert!(pulled.contains(&format!("signed by the trusted key {trusted}")), "{pulled}");
    assert_eq!(std::fs::read(place.file("again.wasm.minisig")).unwrap(), signature);
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let place = Place::new("");
    key(&place, "mine");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(place.file("mine.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let stderr = place.refused(&["plugin", "keygen", "mine", "--no-password"]);
    assert!(stderr.contains("`mine.key` is there already: a key is never overwritten"), "{stderr}");
}

#[test]
fn a_key_with_a_password_needs_it() {
    let place = Place::new("");
    place.component("classification");
    let with = |password: &str, arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_so8t"))
            .args(arguments)
            .current_dir(place.path())
            .env("SO8T_KEY_PASSWORD", password)
            .env("XDG_CONFIG_HOME", place.file("home"))
            .output();
        outcome(&output.unwrap())
    };
    let (_, stderr, code) = with("correct horse", &["plugin", "keygen", "mine"]);
    assert_eq!(code, 0, "{stderr}");
    let sign = ["plugin", "sign", "classification.wasm", "--key", "mine.key"];
    let (_, stderr, code) = with("wrong", &sign);
    assert!(code == 1 && stderr.contains("`mine.key` cannot sign: "), "{stderr}");
    assert!(!place.file("classification.wasm.minisig").exists());
    let (_, stderr, code) = with("correct horse", &sign);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn minisign_itself_checks_our_signatures_and_we_check_its() {
    let minisign =
        |folder: &Path, arguments: &[&str]| Command::new("minisign").args(arguments).current_dir(folder).output();
    let place = Place::new(TABLES);
    if minisign(place.path(), &["-v"]).is_err() {
        eprintln!("skipped: there is no `minisign`; on Debian: apt-get install minisign");
        return;
    }
    place.component("classification");
    let (_, public) = key(&place, "mine");
    place.done(&["plugin", "sign", "classification.wasm", "--key", "mine.key"]);
    let output = minisign(place.path(), &["-V", "-m", "classification.wasm", "-p", "mine.pub"]).unwrap();
    assert!(output.status.success(), "{output:?}");

    let output = minisign(place.path(), &["-S", "-s", "mine.key", "-m", "classification.wasm"]).unwrap();
    assert!(output.status.success(), "{output:?}");
    policy(&place, &[&public]);
    place.done(&["prepare", "so8t.toml", "--quiet", "--policy", "policy.toml"]);
}
