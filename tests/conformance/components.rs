//! Laws of the component itself, broken by components that were written by hand.

use serde_json::Value;
use so8t::plugin::conformance::{Conformance, Outcome, Trials};
use so8t::plugin::{ComponentSource, Limits};

use super::{broken, laws};
use crate::sandbox::handmade::Handmade;

/// The laws that are broken here.
pub(super) const LAWS: [&str; 5] =
    ["component.imports", "component.interface", "component.metadata", "component.metadata-constant", "config.schema"];

fn try_bytes(bytes: &[u8]) -> Conformance {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    std::fs::write(&path, bytes).unwrap();
    laws(ComponentSource::Path(path), Value::Null, Limits::default(), &Trials::default())
}

fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn check(bytes: &[u8], law: &str, found: &str, input: &str) {
    let all = try_bytes(bytes);
    let broken = broken(&all, law);
    // The file lies in a folder of a random name.
    let words = match broken.found.split_once("guest.wasm") {
        Some((folder, rest)) if folder.starts_with('`') => format!("`guest.wasm{rest}"),
        _ => broken.found.clone(),
    };
    assert_eq!((words.as_str(), broken.input.as_str()), (found, input));
}

#[test]
fn a_foreign_import_is_named() {
    check(
        &text(
            r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)) (import "so8t:plugin/log@0.1.0" (instance)))"#,
        ),
        "component.imports",
        "it imports what no plugin gets",
        "`wasi:clocks/wall-clock@0.2.0`",
    );
    check(
        &text(r#"(component (import "so8t:plugin/log@9.0.0" (instance)))"#),
        "component.imports",
        "it imports what no plugin gets",
        "`so8t:plugin/log@9.0.0`",
    );
}

#[test]
fn a_component_without_the_interface_is_named() {
    check(
        &text(r#"(component (instance) (export "so8t:plugin/measurement@0.2.0" (instance 0)))"#),
        "component.interface",
        "`guest.wasm` exports `so8t:plugin/measurement@0.2.0`: this host knows version `0.1.0` of the interface",
        "`so8t:plugin/measurement@0.2.0`",
    );
    check(
        b"no component",
        "component.interface",
        "is not a WebAssembly component: expected the bytes `\\0asm` at its start",
        "the file",
    );
    check(&text("(module)"), "component.interface", "is a core module: expected a component", "the file");
}

#[test]
fn metadata_are_held_to_their_formats() {
    check(
        &Handmade { version: "1.02.3", ..Handmade::default() }.build(),
        "component.metadata",
        "expected a semantic version such as `1.0.0` or `1.0.0-beta.1`",
        r#"{"version":"1.02.3"}"#,
    );
    check(
        &Handmade { name: "has spaces", ..Handmade::default() }.build(),
        "component.metadata",
        "`describe`: returned malformed data: name `has spaces`: expected 1 to 64 printable ASCII characters without spaces",
        "`describe`",
    );
}

#[test]
fn metadata_are_the_same_at_every_call() {
    // The first letter of the name is the next one at every call.
    let describe = "(i32.store8 (i32.const 128) (i32.add (i32.load8_u (i32.const 128)) (i32.const 1)))";
    check(
        &Handmade { describe, ..Handmade::default() }.build(),
        "component.metadata-constant",
        "name: first `iandmade`, then `jandmade`",
        "two calls of `describe`",
    );
}

#[test]
fn a_schema_is_a_json_schema() {
    check(
        &Handmade { schema: r#"{"type": "objet"}"#, ..Handmade::default() }.build(),
        "config.schema",
        "the schema is not a valid schema: `/type`: \"objet\" is not valid under any of the schemas listed in the 'anyOf' keyword",
        "the schema itself",
    );
}

#[test]
fn what_cannot_be_opened_ends_with_the_other_laws_not_applicable() {
    let all = try_bytes(&Handmade::default().build());
    assert_eq!(all.broken(), ["config.accepted", "config.hostile"]);
    let left = all.law("converter.chunking").unwrap();
    assert!(
        matches!(&left.outcome, Outcome::NotApplicable { reason } if reason == "it does not open with the configuration given")
    );
    assert!(all.law("metric.batches").is_none(), "laws of other kinds are not listed");
}
