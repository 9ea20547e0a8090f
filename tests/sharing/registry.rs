//! Pushing to and pulling from a real registry, and the lock file's part in it.

use serde_json::{Value, json};
use so8t::files::sha256;

use super::registry_server::Registry;
use super::{Place, first_line, prebuilt};
use crate::cli::{outcome, write};

fn table(reference: &str) -> String {
    format!("[plugins.quality]\ncomponent = \"{reference}\"\n[evaluate]\nmetrics = [\"quality\"]")
}

/// What a command that prints JSON says.
fn said(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&place.done(arguments)).unwrap()
}

fn entry(lock: &str, key: &str) -> Option<String> {
    let lock: toml::Table = toml::from_str(lock).unwrap();
    let entries = lock["entry"].as_array().unwrap();
    let own = entries.iter().find(|entry| entry["name"].as_str() == Some("quality")).unwrap();
    own.get(key).map(|value| value.as_str().unwrap().to_owned())
}

#[test]
fn what_is_pushed_is_pulled_byte_by_byte() {
    let Some(registry) = Registry::start(false) else { return };
    let place = Place::new("");
    place.component("classification");
    let reference = registry.reference("team/classification:0.1.0");
    let pushed = said(&place, &["plugin", "push", "classification.wasm", &reference, "--json"]);
    assert_eq!((pushed["schema"].as_str(), pushed["signer"].as_str()), (Some("so8t.push/1"), None));
    let again = said(&place, &["plugin", "push", "classification.wasm", &reference, "--json"]);
    assert_eq!(pushed, again, "the same component is the same artefact");

    let pulled = said(&place, &["plugin", "pull", &reference, "--out", "copy.wasm", "--json"]);
    assert_eq!((&pulled["digest"], &pulled["pinned"]), (&pushed["digest"], &pushed["pinned"]));
    let bytes = std::fs::read(prebuilt("classification")).unwrap();
    assert_eq!(std::fs::read(place.file("copy.wasm")).unwrap(), bytes);
    assert_eq!(pulled["sha256"].as_str().unwrap(), sha256(&bytes));

    // By digest, from the cache: the registry is gone.
    let pinned = pushed["pinned"].as_str().unwrap().to_owned();
    let unknown = place.refused(&["plugin", "pull", &registry.reference("team/classification:2")]);
    let expected = format!("`{}` is not in the registry", registry.reference("team/classification:2"));
    assert!(unknown.contains(&expected), "{unknown}");
    drop(registry);
    assert_eq!(said(&place, &["plugin", "pull", &pinned, "--json"])["sha256"], pulled["sha256"]);
    let stderr = place.refused(&["plugin", "pull", &reference]);
    assert!(stderr.contains(&format!("`{reference}`: ")), "{stderr}");
}

#[test]
fn the_manifest_is_what_the_layout_demands() {
    let Some(registry) = Registry::start(false) else { return };
    let place = Place::new("");
    place.component("classification");
    let reference = registry.reference("classification:1");
    let pushed = said(&place, &["plugin", "push", "classification.wasm", &reference, "--json"]);
    let component = std::fs::read(prebuilt("classification")).unwrap();
    let layer = format!("sha256:{}", sha256(&component));
    let manifest = std::fs::read(registry.blob(pushed["digest"].as_str().unwrap())).unwrap();
    let found: Value = serde_json::from_slice(&manifest).unwrap();
    let config_digest = found["config"]["digest"].as_str().unwrap();
    let config = std::fs::read(registry.blob(config_digest)).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"config\":{{\"mediaType\":\"application/vnd.wasm.config.v0+json\",\"digest\":\"{config_digest}\",\"size\":{}}},\
         \"layers\":[{{\"mediaType\":\"application/wasm\",\"digest\":\"{layer}\",\"size\":{}}}],\
         \"annotations\":{{\"org.opencontainers.image.licenses\":\"Apache-2.0\",\
         \"org.opencontainers.image.title\":\"classification\",\"org.opencontainers.image.version\":\"{version}\"}}}}",
        config.len(),
        component.len()
    );
    assert_eq!(String::from_utf8(manifest).unwrap(), expected);
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(
        config,
        json!({
            "created": "1970-01-01T00:00:00Z", "author": null, "architecture": "wasm", "os": "wasip2",
            "layerDigests": [layer],
            "component": {
                "exports": [format!("so8t:plugin/measurement@{version}")],
                "imports": config["component"]["imports"],
                "target": null,
            },
        })
    );
    assert!(config["component"]["imports"].as_array().unwrap().contains(&json!(format!("so8t:plugin/log@{version}"))));
}

#[test]
fn a_remote_plugin_is_locked_and_runs_without_the_network() {
    let Some(registry) = Registry::start(false) else { return };
    let reference = registry.reference("team/quality:1");
    let place = Place::new(&table(&reference));
    place.component("classification");
    place.component("agreement");

    let stderr = place.refused(&["prepare", "so8t.toml", "--quiet"]);
    assert!(
        stderr.contains(&format!("so8t.toml:16:13: plugin `quality`: `{reference}` is not in the registry")),
        "{stderr}"
    );
    let first = said(&place, &["plugin", "push", "classification.wasm", &reference, "--json"]);
    write(place.path(), "so8t.lock", "");
    let stderr = place.refused(&["prepare", "so8t.toml", "--quiet", "--locked"]);
    let expected = format!("error: so8t.toml:16:13: plugin `quality`: `{reference}` is not in `so8t.lock`");
    assert_eq!(first_line(&stderr), expected);

    place.done(&["prepare", "so8t.toml", "--quiet"]);
    let lock = std::fs::read_to_string(place.file("so8t.lock")).unwrap();
    assert_eq!(entry(&lock, "path"), Some(reference.clone()));
    assert_eq!(entry(&lock, "resolved").as_deref(), first["digest"].as_str());
    assert_eq!(entry(&lock, "sha256").as_deref(), first["sha256"].as_str());

    // The tag moves: what is locked is what runs, from the cache and from the registry.
    let second = said(&place, &["plugin", "push", "agreement.wasm", &reference, "--json"]);
    assert_ne!(first["digest"], second["digest"]);
    place.done(&["prepare", "so8t.toml", "--quiet", "--locked"]);
    std::fs::remove_dir_all(place.file("cache")).unwrap();
    let (_, stderr, code) = outcome(&place.so8t(&["prepare", "so8t.toml", "--quiet"]));
    let moved = |what: &str| {
        let [before, now] = [&first, &second].map(|pushed| pushed["digest"].as_str().unwrap());
        format!("the tag of `{reference}` has moved since it was locked, from `{before}` to `{now}`, {what}")
    };
    assert!(code == 0 && stderr.contains(&moved("which is not used")), "{stderr}");
    assert_eq!(std::fs::read_to_string(place.file("so8t.lock")).unwrap(), lock);

    // Until it is asked for.
    let (_, stderr, code) = outcome(&place.so8t(&["prepare", "so8t.toml", "--quiet", "--update"]));
    assert!(code == 0 && stderr.contains(&moved("which is used from now on")), "{stderr}");
    let lock = std::fs::read_to_string(place.file("so8t.lock")).unwrap();
    assert_eq!(entry(&lock, "sha256").as_deref(), second["sha256"].as_str());

    // Without the network, from the cache; without both, not at all.
    drop(registry);
    place.done(&["prepare", "so8t.toml", "--quiet", "--locked"]);
    std::fs::remove_dir_all(place.file("cache")).unwrap();
    let stderr = place.refused(&["prepare", "so8t.toml", "--quiet", "--locked"]);
    assert!(stderr.contains("so8t.toml:16:13: plugin `quality`: `oci://"), "{stderr}");
}

#[test]
fn what_was_changed_in_the_registry_or_the_cache_is_not_used() {
    let Some(registry) = Registry::start(false) else { return };
    let reference = registry.reference("quality:1");
    let place = Place::new(&table(&reference));
    place.component("classification");
    let pushed = said(&place, &["plugin", "push", "classification.wasm", &reference, "--json"]);
    place.done(&["prepare", "so8t.toml", "--quiet"]);

    // A cache that was written to is fetched anew.
    let digest = format!("sha256:{}", pushed["sha256"].as_str().unwrap());
    let cached = place.file("cache/so8t/artefacts").join(digest.replace(':', "-"));
    std::fs::write(&cached, b"\0asm other").unwrap();
    place.done(&["prepare", "so8t.toml", "--quiet", "--locked"]);
    assert_eq!(std::fs::read(&cached).unwrap(), std::fs::read(prebuilt("classification")).unwrap());

    // A registry that gives other bytes is not believed.
    let blob = registry.blob(&digest);
    let mut bytes = std::fs::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    std::fs::remove_dir_all(place.file("cache")).unwrap();
    let stderr = place.refused(&["prepare", "so8t.toml", "--quiet", "--locked"]);
    assert!(
        stderr.contains("so8t.toml:16:13: plugin `quality`: ") && stderr.to_lowercase().contains("digest"),
        "{stderr}"
    );
}

#[test]
fn credentials_are_those_of_docker() {
    let Some(registry) = Registry::start(true) else { return };
    let place = Place::new("");
    place.component("classification");
    let reference = registry.reference("quality:1");
    let stderr = place.refused(&["plugin", "push", "classification.wasm", &reference]);
    assert!(stderr.contains(&format!("`{reference}`: the registry refuses these credentials")), "{stderr}");
    assert!(stderr.contains(&format!("hint: `docker login {}`", registry.name)), "{stderr}");
    // `user:secret` in base64.
    let config = json!({"auths": {&registry.name: {"auth": "dXNlcjpzZWNyZXQ="}}});
    write(place.path(), "docker/config.json", &config.to_string());
    place.done(&["plugin", "push", "classification.wasm", &reference]);
    place.done(&["plugin", "pull", &reference]);
}

#[test]
fn an_artefact_that_is_no_component_is_refused() {
    use so8t::plugin::registry::layout::Manifest;
    let refused = |manifest: Value, expected: &str| {
        let error = Manifest::parse(manifest.to_string().as_bytes()).unwrap_err();
        assert!(error.contains(expected), "expected `{expected}` in `{error}`");
    };
    let blob = |kind: &str| json!({"mediaType": kind, "digest": format!("sha256:{}", "0".repeat(64)), "size": 1});
    let (config, layer) = (blob("application/vnd.wasm.config.v0+json"), blob("application/wasm"));
    let good = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    assert!(Manifest::parse(good.to_string().as_bytes()).is_ok());
    refused(json!({"schemaVersion": 2, "manifests": []}), "has no image manifest");
    refused(json!({"schemaVersion": 1, "config": config, "layers": [layer]}), "has a manifest of type");
    refused(
        json!({"schemaVersion": 2, "config": blob("application/vnd.oci.image.config.v1+json"), "layers": [layer]}),
        "is no WebAssembly component: its config is of type `application/vnd.oci.image.config.v1+json`",
    );
    refused(json!({"schemaVersion": 2, "config": config, "layers": [layer, layer]}), "has 2 layers: expected one");
    refused(json!({"schemaVersion": 2, "config": config, "layers": []}), "has 0 layers: expected one");
    refused(
        json!({"schemaVersion": 2, "config": config, "layers": [blob("text/plain")]}),
        "has a layer of type `text/plain`",
    );
}

#[test]
fn wkg_pulls_what_we_push_and_we_pull_what_wkg_pushes() {
    let wkg = std::env::var_os("SO8T_WKG").map_or_else(|| "wkg".into(), std::path::PathBuf::from);
    let run = |place: &Place, arguments: &[&str]| {
        std::process::Command::new(&wkg)
            .args(arguments)
            .current_dir(place.path())
            .env("HOME", place.file("home"))
            .output()
    };
    let place = Place::new("");
    if run(&place, &["--version"]).is_err() {
        eprintln!("skipped: there is no `wkg`; `cargo install wkg`, or name it with SO8T_WKG");
        return;
    }
    let Some(registry) = Registry::start(false) else { return };
    let bytes = std::fs::read(place.component("classification")).unwrap();
    let plain = |name: &str| format!("{}/{name}", registry.name);

    place.done(&["plugin", "push", "classification.wasm", &registry.reference("ours:1")]);
    let output =
        run(&place, &["oci", "pull", "--insecure", &registry.name, "-o", "theirs.wasm", &plain("ours:1")]).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read(place.file("theirs.wasm")).unwrap(), bytes);

    let output =
        run(&place, &["oci", "push", "--insecure", &registry.name, &plain("theirs:1"), "classification.wasm"]).unwrap();
    assert!(output.status.success(), "{output:?}");
    place.done(&["plugin", "pull", &registry.reference("theirs:1"), "--out", "ours.wasm"]);
    assert_eq!(std::fs::read(place.file("ours.wasm")).unwrap(), bytes);
}
