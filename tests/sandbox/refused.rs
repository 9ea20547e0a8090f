//! What is refused at load, before a guest runs or while it says what it is.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use so8t::Kind;
use so8t::plugin::{ComponentSource, PluginKind, PluginSpec};

use super::handmade::Handmade;
use super::{guest, host, labels, load, tight};

/// Writes a component into a folder of its own, so that errors name a path that is known.
fn file(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("guest.wasm");
    fs::write(&path, bytes).unwrap();
    path
}

/// The error with which a component is refused; the folder's path in it is cut.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = PluginSpec::new("guest", ComponentSource::Path(file(&folder, bytes)));
    spec.limits = tight();
    let error = host().load(&spec).err().map_or_else(String::new, |e| e.to_string());
    error.replace(&format!("{}/", folder.path().display()), "")
}

fn refusal_of_text(text: &str) -> String {
    refusal(&wat::parse_str(text).unwrap_or_else(|e| panic!("{e}")))
}

#[test]
fn imports_other_than_the_log_are_refused_by_name() {
    let only = "the only import is `so8t:plugin/log@0.1.0`";
    for (import, name) in [
        (
            r#""wasi:cli/environment@0.2.0" (instance (export "get-arguments" (func (result (list string)))))"#,
            "wasi:cli/environment@0.2.0",
        ),
        (
            r#""wasi:filesystem/preopens@0.2.3" (instance (export "get-directories" (func)))"#,
            "wasi:filesystem/preopens@0.2.3",
        ),
        (
            r#""wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64))))"#,
            "wasi:clocks/monotonic-clock@0.2.0",
        ),
        (r#""wasi:io/error@0.2.0" (instance (export "error" (type (sub resource))))"#, "wasi:io/error@0.2.0"),
        (r#""wasi:random/random@0.2.0" (instance)"#, "wasi:random/random@0.2.0"),
        (r#""steal" (func (param "text" string))"#, "steal"),
        (
            r#""so8t:plugin/conversion@0.1.0" (instance (export "converter" (type (sub resource))))"#,
            "so8t:plugin/conversion@0.1.0",
        ),
        (
            r#""so8t:plugin/secrets@0.1.0" (instance (export "weights" (func (result (list u8)))))"#,
            "so8t:plugin/secrets@0.1.0",
        ),
        (r#""logger" (component)"#, "logger"),
    ] {
        let bytes = Handmade { imports: leak(format!("(import {import})")), ..Handmade::default() }.build();
        assert_eq!(
            refusal(&bytes),
            format!("plugin `guest`: `guest.wasm` imports `{name}`, which no plugin gets: {only}")
        );
    }
}

#[test]
fn allowed_interfaces_bring_nothing_but_what_they_declare() {
    let only = "the only import is `so8t:plugin/log@0.1.0`";
    let text = |interface: &str, items: &str| {
        format!(
            r#"(component (import "{interface}" (instance {items})) (instance $i) (export "so8t:plugin/mapping@0.1.0" (instance $i)))"#
        )
    };
    assert_eq!(
        refusal_of_text(&text("so8t:plugin/log@0.1.0", r#"(export "erase" (func))"#)),
        format!(
            "plugin `guest`: `guest.wasm` imports `erase` of `so8t:plugin/log@0.1.0`, which no plugin gets: {only}"
        )
    );
    assert_eq!(
        refusal_of_text(&text("so8t:plugin/types@0.1.0", r#"(export "log" (func))"#)),
        format!(
            "plugin `guest`: `guest.wasm` imports `log` of `so8t:plugin/types@0.1.0`, which no plugin gets: {only}"
        )
    );
    assert_eq!(
        refusal_of_text(&text("so8t:plugin/types@0.1.0", r#"(export "converter" (type (sub resource)))"#)),
        format!(
            "plugin `guest`: `guest.wasm` imports `converter` of `so8t:plugin/types@0.1.0`, which no plugin gets: {only}"
        )
    );
    let error = refusal_of_text(&text("so8t:plugin/log@0.1.0", r#"(export "log" (func (param "message" string)))"#));
    assert!(
        error.starts_with("plugin `guest`: `guest.wasm` does not fit the interface of a label mapper: "),
        "{error}"
    );
}

#[test]
fn versions_of_the_interface_are_checked() {
    let known = "this host knows version `0.1.0` of the interface";
    assert_eq!(
        refusal_of_text(r#"(component (instance $i) (export "so8t:plugin/measurement@0.2.0" (instance $i)))"#),
        format!("plugin `guest`: `guest.wasm` exports `so8t:plugin/measurement@0.2.0`: {known}")
    );
    assert_eq!(
        refusal_of_text(r#"(component (instance $i) (export "so8t:plugin/measurement" (instance $i)))"#),
        format!("plugin `guest`: `guest.wasm` exports `so8t:plugin/measurement`: {known}")
    );
    assert_eq!(
        refusal_of_text(r#"(component (import "so8t:plugin/log@0.1.1" (instance)))"#),
        format!("plugin `guest`: `guest.wasm` imports `so8t:plugin/log@0.1.1`: {known}")
    );
}

#[test]
fn exports_tell_the_kind() {
    let expected = "expected one export of `so8t:plugin/conversion@0.1.0`, `so8t:plugin/mapping@0.1.0`, `so8t:plugin/measurement@0.1.0`";
    assert_eq!(
        refusal_of_text("(component)"),
        format!("plugin `guest`: `guest.wasm` is no plugin: {expected}, found no export")
    );
    assert_eq!(
        refusal_of_text(r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#),
        format!("plugin `guest`: `guest.wasm` is no plugin: {expected}, found `wasi:cli/run@0.2.0`")
    );
    assert_eq!(
        refusal_of_text(
            r#"(component (instance $i) (export "so8t:plugin/mapping@0.1.0" (instance $i))
                (instance $j) (export "so8t:plugin/measurement@0.1.0" (instance $j)))"#
        ),
        "plugin `guest`: `guest.wasm` exports several kinds of plugin (label mapper, metric): expected one"
    );
    assert_eq!(
        refusal_of_text(r#"(component (instance $i) (export "so8t:plugin/measurement@0.1.0" (instance $i)))"#),
        "plugin `guest`: `guest.wasm` does not fit the interface of a metric: instance export \
         `so8t:plugin/measurement@0.1.0` does not have export `describe`"
    );
}

#[test]
fn what_is_no_component_is_refused() {
    let whole = Handmade::default().build();
    let prefix = "plugin `guest`: `guest.wasm`";
    let no_wasm = format!("{prefix} is not a WebAssembly component: expected the bytes `\\0asm` at its start");
    assert_eq!(refusal(b""), no_wasm);
    assert_eq!(refusal(b"#!/bin/sh\n"), no_wasm);
    assert_eq!(
        refusal(&wat::parse_str("(module)").unwrap()),
        format!("{prefix} is a core module: expected a component")
    );
    for end in [8, 9, 40, whole.len() / 2, whole.len() - 1] {
        let error = refusal(&whole[..end]);
        let known = error.starts_with(&format!("{prefix} is not a valid component: "));
        assert!(known || error.starts_with(&format!("{prefix} is no plugin: ")), "cut at {end}: {error}");
    }
    // Every byte changed once: refused, or harmless, and never a panic.
    for at in 0..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        let _ = refusal(&broken);
    }
}

#[test]
fn what_a_guest_says_of_itself_is_checked() {
    let with = |change: fn(&mut Handmade)| {
        let mut handmade = Handmade::default();
        change(&mut handmade);
        refusal(&handmade.build())
    };
    let prefix = "plugin `guest`: `describe`: returned malformed data:";
    assert_eq!(with(|_| {}), "");
    assert_eq!(
        with(|it| it.name = "two\nlines"),
        format!(r"{prefix} name `two\nlines`: expected 1 to 64 printable ASCII characters without spaces")
    );
    assert_eq!(
        with(|it| it.version = "latest"),
        format!("{prefix} version `latest`: expected a semantic version such as `1.0.0`")
    );
    assert_eq!(with(|it| it.schema = "[]"), format!("{prefix} config-schema: expected a JSON object"));
    assert_eq!(
        with(|it| it.schema = "{"),
        format!("{prefix} config-schema is not JSON: EOF while parsing an object at line 1 column 1")
    );
    assert_eq!(
        with(|it| it.describe = "i32.const 0x7fffffff return"),
        "plugin `guest`: `describe`: broke the interface: return pointer not aligned"
    );
    assert_eq!(
        with(|it| it.describe = "i32.const 0x7ffffff0 return"),
        "plugin `guest`: `describe`: broke the interface: pointer out of bounds of memory"
    );
    assert_eq!(
        with(|it| {
            it.pages = 40;
            it.describe = "(i32.store (i32.const 68) (i32.const 2000000))";
        }),
        "plugin `guest`: `describe`: gave the host more than 1048576 bytes, the most that this call may"
    );
    assert_eq!(
        with(|it| it.describe = "(i32.store (i32.const 64) (i32.const 0x7fffffff))"),
        "plugin `guest`: `describe`: broke the interface: string pointer/length out of bounds of memory"
    );
}

#[test]
fn a_guest_that_never_says_what_it_is_is_ended() {
    let mut spec = PluginSpec::new("guest", ComponentSource::Path(guest("evil-describe")));
    spec.limits = tight();
    let error = host().load(&spec).err().expect("it never answers").to_string();
    assert_eq!(error, "plugin `guest`: `describe`: did more work than `fuel = 300000000`");
}

#[test]
fn digests_are_checked() {
    let mut spec = PluginSpec::new("guest", ComponentSource::Path(guest("evil-metric")));
    let digest = host().load(&spec).unwrap().digest().to_owned();
    spec.sha256 = Some(digest.clone());
    assert_eq!(host().load(&spec).unwrap().digest(), digest);

    let other = "0".repeat(64);
    spec.sha256 = Some(other.clone());
    let error = host().load(&spec).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("plugin `guest`: `{}` has sha256 `{digest}`: expected `{other}`", spec.component)
    );
    assert_eq!((error.kind(), error.exit_code()), (Kind::Plugin, 1));
    assert!(error.hint().is_some());

    spec.sha256 = Some("ABC".into());
    let error = host().load(&spec).err().unwrap();
    assert_eq!(error.to_string(), "plugin `guest`: sha256: expected 64 lower-case hexadecimal digits, found `ABC`");
}

#[test]
fn specifications_are_checked() {
    let mut spec = PluginSpec::new("guest", ComponentSource::Builtin("clasification".into()));
    let error = |spec: &PluginSpec| host().load(spec).err().unwrap().to_string();
    assert_eq!(
        error(&spec),
        "plugin `guest`: `builtin:clasification` does not exist: expected one of `agreement`, `alpaca`, `calibration`, \
         `chat`, `classification`, `cost`, `csv`, `curves`, `four-class`, `hh-rlhf`, `json-array`, `jsonl`, \
         `quadruple-thinking`, `table`"
    );
    spec.component = ComponentSource::Path(Path::new("/nowhere/guest.wasm").into());
    assert_eq!(
        error(&spec),
        "plugin `guest`: cannot read `/nowhere/guest.wasm`: No such file or directory (os error 2)"
    );
    spec.component = ComponentSource::Path(guest("evil-metric"));
    spec.config = json!(["a", "list"]);
    assert_eq!(error(&spec), r#"plugin `guest`: config: expected a table, found `["a","list"]`"#);
    spec.config = json!({});
    spec.limits.seconds = f64::NAN;
    assert_eq!(error(&spec), "plugin `guest`: limits: expected `seconds` between 0 and 86400, found `NaN`");

    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, b"");
    fs::File::options().write(true).open(&path).unwrap().set_len((64 << 20) + 1).unwrap();
    let error = error(&PluginSpec::new("guest", ComponentSource::Path(path.clone())));
    assert_eq!(error, format!("plugin `guest`: `{}` has 67108865 bytes: expected at most 67108864", path.display()));
}

#[test]
fn a_plugin_of_another_kind_is_not_opened() {
    let metric = load("evil-metric", "honest", "", tight());
    assert_eq!(metric.kind(), PluginKind::Metric);
    let error = metric.open_converter().err().unwrap().to_string();
    assert_eq!(error, "plugin `guest` 0.1.0 is a metric: expected a converter");
    let mapper = load("evil-mapper", "honest", "", tight());
    assert_eq!(mapper.kind(), PluginKind::LabelMapper);
    let error = mapper.open_metric(&labels()).err().unwrap().to_string();
    assert_eq!(error, "plugin `guest` 0.1.0 is a label mapper: expected a metric");
    assert!(mapper.open_mapper().is_ok());
    let converter = load("evil-converter", "honest", "", tight());
    assert_eq!(converter.kind(), PluginKind::Converter);
    assert!(converter.open_mapper().is_err());
}

#[test]
fn a_configuration_that_the_guest_refuses_comes_with_a_hint() {
    let mut spec = PluginSpec::new("guest", ComponentSource::Path(guest("evil-metric")));
    spec.config = json!({ "behavior": "honest" });
    let error = host().load(&spec).unwrap().open_metric(&labels()).err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with("plugin `guest` 0.1.0: `open`: refuses its configuration: "), "{text}");
    assert!(text.contains("`behavior`"), "{text}");
    assert_eq!(error.hint(), Some("see `[plugins.guest.config]` in the manifest"));
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
