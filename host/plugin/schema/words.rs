//! What a schema's validation found, in the words of a manifest.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use super::super::log::printable;
use super::Mismatch;

/// The most characters of a value that a message shows.
const SHOWN: usize = 60;

pub(super) fn mismatch(schema: &Value, error: &ValidationError<'_>) -> Mismatch {
    if let Some(inner) = meant(error) {
        return mismatch(schema, inner);
    }
    let path: Vec<String> = error.instance_path().as_str().split('/').skip(1).map(unescaped).collect();
    let name = if path.is_empty() { "`config`".to_owned() } else { format!("`{}`", spelled(&path)) };
    let found = || printable(&error.instance().to_string(), SHOWN);
    let is = |expected: String| format!("{name} is `{}`: expected {expected}", found());
    let (mut key, mut known) = (None, Vec::new());
    let text = match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            key = unexpected.first().cloned();
            known = known_keys(schema, error.schema_path().as_str());
            let expected = match known.as_slice() {
                [] => "no keys".to_owned(),
                keys => one_of(keys.iter().map(String::as_str)),
            };
            let unexpected = unexpected.iter().map(|key| printable(key, SHOWN)).collect::<Vec<_>>().join("`, `");
            format!("{name} has no key `{unexpected}`: expected {expected}")
        }
        Kind::Required { property } => {
            format!("{name} lacks the key `{}`", printable(property.as_str().unwrap_or_default(), SHOWN))
        }
        Kind::Type { kind } => is(types(kind).join(" or ")),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => match alternatives(error, context) {
            Some(types) => is(types.join(" or ")),
            None => is("another value".to_owned()),
        },
        Kind::Enum { options } => match options.as_array() {
            Some(options) => {
                is(one_of(options.iter().map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned))))
            }
            None => is(options.to_string()),
        },
        Kind::Constant { expected_value } => is(format!("`{}`", printable(&expected_value.to_string(), SHOWN))),
        Kind::Minimum { limit } => is(format!("at least {limit}")),
        Kind::Maximum { limit } => is(format!("at most {limit}")),
        Kind::ExclusiveMinimum { limit } => is(format!("more than {limit}")),
        Kind::ExclusiveMaximum { limit } => is(format!("less than {limit}")),
        Kind::MultipleOf { multiple_of } => is(format!("a multiple of {multiple_of}")),
        Kind::MinLength { limit } => is(format!("at least {limit} {}", plural(*limit, "character"))),
        Kind::MaxLength { limit } => is(format!("at most {limit} {}", plural(*limit, "character"))),
        Kind::MinItems { limit } => is(format!("at least {limit} {}", plural(*limit, "item"))),
        Kind::MaxItems { limit } => is(format!("at most {limit} {}", plural(*limit, "item"))),
        Kind::MinProperties { limit } => is(format!("at least {limit} {}", plural(*limit, "key"))),
        Kind::MaxProperties { limit } => is(format!("at most {limit} {}", plural(*limit, "key"))),
        Kind::UniqueItems => is("distinct items".to_owned()),
        Kind::Pattern { pattern } => is(format!("a text that matches `{}`", printable(pattern, SHOWN))),
        _ => format!("{name}: {}", printable(&error.to_string(), 200)),
    };
    Mismatch { path, key, text, known }
}

/// Where a value fits none of several schemas, the error of the one that it was meant for: the first that takes its type.
fn meant<'e>(error: &'e ValidationError<'_>) -> Option<&'e ValidationError<'static>> {
    let (Kind::AnyOf { context } | Kind::OneOfNotValid { context }) = error.kind() else { return None };
    let own = error.instance_path().as_str();
    let is_type = |inner: &ValidationError<'static>| {
        matches!(inner.kind(), Kind::Type { .. }) && inner.instance_path().as_str() == own
    };
    context.iter().find(|errors| !errors.iter().any(is_type))?.first()
}

/// The types that any of several schemas takes, where that is what is wrong with all of them.
fn alternatives(error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) -> Option<Vec<&'static str>> {
    let own = error.instance_path().as_str();
    let mut out = Vec::new();
    for errors in context {
        let kind = errors.iter().find_map(|inner| match inner.kind() {
            Kind::Type { kind } if inner.instance_path().as_str() == own => Some(kind),
            _ => None,
        })?;
        out.extend(types(kind));
    }
    Some(out)
}

fn types(kind: &TypeKind) -> Vec<&'static str> {
    let word = |name: String| match name.as_str() {
        "object" => "a table",
        "array" => "a list",
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        _ => "nothing",
    };
    match kind {
        TypeKind::Single(one) => vec![word(one.to_string())],
        TypeKind::Multiple(several) => several.iter().map(|one| word(one.to_string())).collect(),
    }
}

/// The keys beside the keyword that refused one.
fn known_keys(schema: &Value, keyword: &str) -> Vec<String> {
    let beside = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties = schema.pointer(beside).and_then(|table| table.get("properties")).and_then(Value::as_object);
    properties.map(|keys| keys.keys().map(|key| printable(key, SHOWN)).collect()).unwrap_or_default()
}

fn one_of(options: impl ExactSizeIterator<Item = impl AsRef<str>>) -> String {
    let several = options.len() > 1;
    let all: Vec<String> = options.map(|option| printable(option.as_ref(), SHOWN)).collect();
    format!("{}`{}`", if several { "one of " } else { "" }, all.join("`, `"))
}

/// `rules[0].column`.
fn spelled(path: &[String]) -> String {
    let mut out = String::new();
    for part in path {
        match part.bytes().all(|byte| byte.is_ascii_digit()) && !out.is_empty() {
            true => out.push_str(&format!("[{part}]")),
            false if out.is_empty() => out.push_str(part),
            false => out.push_str(&format!(".{part}")),
        }
    }
    printable(&out, 200)
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
