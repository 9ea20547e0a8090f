//! Keys that had another name in earlier versions. The old names are read as before; a note tells the new one.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::location::Location;

/// A path of tables (`*` is any key, or any entry of an array), the old name and the new one.
const RENAMED: [(&[&str], &str, &str); 5] = [
    (&[], "policy", "redaction"),
    (&["predict"], "policy", "system_prompt"),
    (&["contamination"], "policy", "action"),
    (&["accept", "rules", "*"], "sure", "significant"),
    (&["plugins", "*", "limits"], "lifted_mb", "result_mb"),
];

/// The old name of the last key of a path, where it has one.
pub(super) fn old_name(path: &[&str]) -> Option<&'static str> {
    let (last, tables) = path.split_last()?;
    let matches = |known: &[&str]| {
        known.len() == tables.len() && known.iter().zip(tables).all(|(known, own)| *known == "*" || known == own)
    };
    RENAMED.iter().find(|(known, _, new)| new == last && matches(known)).map(|(_, old, _)| *old)
}

/// A note for each old name in a manifest, with its line and column.
pub(super) fn notes(path: &std::path::Path, text: &str) -> Vec<String> {
    let Ok(document) = DeTable::parse(text) else { return Vec::new() };
    let mut notes = Vec::new();
    for (tables, old, new) in RENAMED {
        each(document.get_ref(), tables, &mut |table| {
            if let Some((key, _)) = table.get_key_value(old) {
                let place = Location::new(path, text, Some(key.span())).place();
                notes.push(format!("{place}: `{old}` is now called `{new}`; the old name still means the same"));
            }
        });
    }
    notes
}

/// Calls `visit` with every table at a path.
fn each<'t, 's>(table: &'t DeTable<'s>, path: &[&str], visit: &mut dyn FnMut(&'t DeTable<'s>)) {
    let Some((first, rest)) = path.split_first() else { return visit(table) };
    let chosen = table.iter().filter(|(key, _)| *first == "*" || key.get_ref() == first);
    for (_, value) in chosen {
        inside(value, rest, visit);
    }
}

fn inside<'t, 's>(value: &'t Spanned<DeValue<'s>>, path: &[&str], visit: &mut dyn FnMut(&'t DeTable<'s>)) {
    match (value.get_ref(), path.split_first()) {
        (DeValue::Table(table), _) => each(table, path, visit),
        (DeValue::Array(entries), Some((&"*", rest))) => {
            entries.iter().for_each(|entry| inside(entry, rest, visit));
        }
        _ => {}
    }
}
