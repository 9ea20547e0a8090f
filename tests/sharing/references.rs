//! How remote components are written.

use so8t::plugin::Reference;

use super::{Place, first_line};

#[test]
fn references_are_read_and_written() {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    for text in [
        "oci://ghcr.io/team/metric:1.0".to_owned(),
        "oci://localhost:5000/a:latest".to_owned(),
        format!("oci://127.0.0.1:5000/a/b_c/d.e-f@{digest}"),
        format!("oci://registry.example.org/a:v1@{digest}"),
    ] {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
    }
    let refused = |text: &str, expected: &str| {
        let error = text.parse::<Reference>().unwrap_err();
        assert!(error.contains(expected), "expected `{expected}` in `{error}`");
    };
    refused("oci://ghcr.io/a", "expected a tag or a digest");
    refused("oci://ghcr.io", "names no artefact");
    refused("oci:///a:1", "`` is no registry");
    refused("oci://user@ghcr.io/a:1", "is no digest");
    refused("oci://ghcr.io:port/a:1", "`ghcr.io:port` is no registry");
    refused("oci://ghcr.io/A:1", "`A` is no name");
    refused("oci://ghcr.io/../etc:1", "is no name");
    refused("oci://ghcr.io/a//b:1", "is no name");
    refused("oci://ghcr.io/a:b c", "`b c` is no tag");
    refused("oci://ghcr.io/a:1?x=y", "is no tag");
    refused("oci://ghcr.io/a@sha256:12", "`sha256:12` is no digest");
}

#[test]
fn only_registries_on_this_machine_are_spoken_to_without_encryption() {
    let loopback = |text: &str| text.parse::<Reference>().unwrap().is_loopback();
    assert!(loopback("oci://localhost/a:1") && loopback("oci://localhost:5000/a:1") && loopback("oci://127.3.2.1/a:1"));
    assert!(!loopback("oci://localhost.example.org/a:1") && !loopback("oci://127.0.0.1.example.org/a:1"));
    assert!(!loopback("oci://10.0.0.1:5000/a:1"));
}

#[test]
fn a_reference_that_is_wrong_has_its_place_in_the_manifest() {
    let place = Place::new("[plugins.x]\ncomponent = \"oci://ghcr.io/team/metric\"\n[evaluate]\nmetrics = [\"x\"]");
    let stderr = place.refused(&["prepare", "so8t.toml"]);
    let expected =
        "error: so8t.toml:16:13: `oci://ghcr.io/team/metric`: expected a tag or a digest, for example `:1.0`";
    assert_eq!(first_line(&stderr), expected);
}
