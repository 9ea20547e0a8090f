//! Laws of the component itself: what it imports and exports, and what it says about itself.

use serde_json::{Value, json};

use super::kit::Kit;
use super::law::{IMPORTS, INTERFACE, METADATA, METADATA_CONSTANT};
use super::shrink::{Broke, Kept};
use crate::anatomy::Anatomy;
use crate::{Host, Metadata, Plugin, PluginSpec};
use so8t_base::{Kind, Result};

/// Loads a plugin, trying the laws that come before it can be opened. `None` where it cannot be loaded: the laws say why.
///
/// # Errors
/// A file that cannot be read; limits or a configuration that are none.
pub(super) fn load(kit: &mut Kit<'_>, host: &Host, spec: &PluginSpec, bytes: &[u8]) -> Result<Option<Plugin>> {
    let anatomy = match Anatomy::read(bytes) {
        Ok(anatomy) => anatomy,
        Err(text) => {
            kit.skip(IMPORTS, "it is no component");
            failed(kit, INTERFACE, text, Value::Null);
            return Ok(None);
        }
    };
    let foreign = anatomy.foreign_imports();
    let names = foreign.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let allowed = match foreign.is_empty() {
        true => Ok(()),
        false => Err((Broke("it imports what no plugin gets".into()), names, json!(foreign))),
    };
    let refused = allowed.is_err();
    kit.hold_once(IMPORTS, allowed);
    if refused {
        kit.skip(INTERFACE, "it is not compiled, for what it imports");
        return Ok(None);
    }
    match host.load(spec) {
        Ok(plugin) => {
            kit.hold_once(INTERFACE, Ok(()));
            metadata(kit, &plugin);
            Ok(Some(plugin))
        }
        Err(error) if error.kind() != Kind::Plugin => Err(error),
        // What went wrong in a call is `describe`.
        Err(error) if error.fault().is_some() => {
            kit.hold_once(INTERFACE, Ok(()));
            failed(kit, METADATA, Broke::from(error).0, json!("describe"));
            Ok(None)
        }
        Err(error) => {
            failed(kit, INTERFACE, Broke::from(error).0, json!(anatomy.exports));
            Ok(None)
        }
    }
}

fn failed(kit: &mut Kit<'_>, law: super::Law, found: String, value: Value) {
    let input = match &value {
        Value::Null => "the file".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(names) if names.is_empty() => "no export".to_owned(),
        Value::Array(names) => {
            names.iter().map(|name| format!("`{}`", name.as_str().unwrap_or_default())).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    kit.hold_once(law, Err((Broke(found), input, value)));
}

fn metadata(kit: &mut Kit<'_>, plugin: &Plugin) {
    let Metadata { version, licence, .. } = plugin.metadata();
    match (is_semantic(version), is_licence(licence)) {
        (false, _) => {
            let found = "expected a semantic version such as `1.0.0` or `1.0.0-beta.1`".to_owned();
            failed(kit, METADATA, found, json!({ "version": version }));
        }
        (_, false) => {
            let found = "expected an SPDX expression such as `Apache-2.0` or `MIT OR Apache-2.0`".to_owned();
            failed(kit, METADATA, found, json!({ "licence": licence }));
        }
        _ => kit.hold_once(METADATA, Ok(())),
    }
    let kept = constant(plugin);
    let value = json!("describe");
    kit.hold_once(METADATA_CONSTANT, kept.map_err(|broke| (broke, "two calls of `describe`".into(), value)));
}

fn constant(plugin: &Plugin) -> Kept {
    for found in plugin.describe_twice()? {
        let first = plugin.metadata();
        for (what, first, again) in [
            ("name", &first.name, &found.name),
            ("version", &first.version, &found.version),
            ("licence", &first.licence, &found.licence),
            ("config-schema", &first.config_schema, &found.config_schema),
        ] {
            if first != again {
                return Err(Broke(format!("{what}: first `{first}`, then `{again}`")));
            }
        }
    }
    Ok(())
}

/// Whether a text is a version by <https://semver.org>: three numbers without needless zeros, then words after `-` and `+`.
fn is_semantic(version: &str) -> bool {
    let (rest, build) = version.split_once('+').map_or((version, None), |(rest, build)| (rest, Some(build)));
    let (core, before) = rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
    let number = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
    };
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let counted = |text: &str| word(text) && (number(text) || !text.bytes().all(|b| b.is_ascii_digit()));
    core.split('.').count() == 3
        && core.split('.').all(number)
        && before.is_none_or(|before| before.split('.').all(counted))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// Whether a text has the shape of an SPDX expression: identifiers joined by `AND`, `OR` and `WITH`, in matched brackets.
/// Whether an identifier is one of SPDX's list is not asked.
fn is_licence(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut open = 0_usize;
    let mut operand = false;
    for token in spaced.split_whitespace() {
        match token {
            "(" if !operand => open += 1,
            ")" if operand && open > 0 => open -= 1,
            "AND" | "OR" | "WITH" if operand => operand = false,
            "AND" | "OR" | "WITH" | "(" | ")" => return false,
            name => {
                let name = name.strip_suffix('+').unwrap_or(name);
                let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':'));
                if operand || name.is_empty() || !plain {
                    return false;
                }
                operand = true;
            }
        }
    }
    operand && open == 0
}
