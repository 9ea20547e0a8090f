//! The group of an example: a column, a field of the record, or a text made of them; and its category.

use std::borrow::Cow;
use std::path::Path;

use crate::data::ExampleRows;
use crate::manifest::GroupRule;

/// The group of row `index`; `record` counts the file's records from 1. A lacking field is an error, since an example
/// that loses its group could straddle the split.
pub(in crate::pipeline) fn value<'a>(
    rule: &GroupRule,
    columns: &ExampleRows<'a>,
    index: usize,
    record: u64,
    line: u32,
    path: &'a Path,
) -> Result<Cow<'a, str>, String> {
    let field = |name: &str| match name {
        "row" => Some(record.to_string().into()),
        "line" => Some(line.to_string().into()),
        "file" => path.file_stem().map(|s| s.to_string_lossy()),
        _ => column(columns, index, name),
    };
    let required =
        |name: &str| field(name).ok_or_else(|| format!("`group`: the record has no column or field `{name}`"));
    match rule {
        GroupRule::Converter => Ok(columns.group.get(index).unwrap_or_default().into()),
        GroupRule::Field(name) => required(name),
        GroupRule::Template(pieces) => {
            let mut out = String::new();
            for (text, name) in pieces {
                out.push_str(text);
                if let Some(name) = name {
                    out.push_str(&required(name)?);
                }
            }
            Ok(out.into())
        }
    }
}

/// The category of row `index`; empty where the record has no such column or field.
pub(in crate::pipeline) fn category<'a>(name: &str, columns: &ExampleRows<'a>, index: usize) -> Cow<'a, str> {
    // Most records have no field `category`, and need not be parsed to know it.
    if name == "category"
        && columns.extra_json.get(index).is_none_or(|text| !text.contains(name) && !text.contains('\\'))
    {
        return Cow::default();
    }
    column(columns, index, name).unwrap_or_default()
}

/// A column by its name, or a field of `extra_json` by its dotted path.
fn column<'a>(columns: &ExampleRows<'a>, index: usize, name: &str) -> Option<Cow<'a, str>> {
    let column = match name {
        "id" => &columns.id,
        "instruction" => &columns.instruction,
        "input" => &columns.input,
        "output" => &columns.output,
        "label" => &columns.label,
        "group" => &columns.group,
        _ => {
            let record: serde_json::Value = serde_json::from_str(columns.extra_json.get(index)?).ok()?;
            let value = name.split('.').try_fold(&record, |value, key| match value {
                serde_json::Value::Array(items) => items.get(key.parse::<usize>().ok()?),
                other => other.get(key),
            })?;
            return match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some(text.clone().into()),
                other => Some(other.to_string().into()),
            };
        }
    };
    column.get(index).filter(|text| !text.is_empty()).map(Cow::Borrowed)
}
