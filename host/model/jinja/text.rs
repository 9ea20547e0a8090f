//! Texts as Python sees them: what is white space, how values are printed.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use super::value::{Value, View};
use super::{Fault, Result};

/// White space by Python's `str.isspace`: Unicode's, and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// What `str.splitlines` takes for the end of a line, besides `\r\n`.
fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Python's `str.splitlines`.
pub(super) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find(ends_line) else {
            out.push(rest);
            break;
        };
        let length =
            if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        out.push(&rest[..if keep_ends { at + length } else { at }]);
        rest = &rest[at + length..];
    }
    out
}

/// Whether a text is made of characters of one class; such a pattern always compiles.
macro_rules! class {
    ($name:ident, $pattern:literal, $doc:literal) => {
        #[doc = $doc]
        pub(super) fn $name(c: char) -> bool {
            static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
            let mut buffer = [0; 4];
            PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(c.encode_utf8(&mut buffer)))
        }
    };
}

class!(is_letter, r"^\p{L}$", "Python's `str.isalpha` of one character.");
class!(is_letter_or_number, r"^[\p{L}\p{N}]$", "Python's `str.isalnum` of one character.");
class!(is_decimal, r"^\p{Nd}$", "Python's `str.isdecimal` of one character.");
class!(is_unprintable, r"^[\p{C}\p{Zl}\p{Zp}\p{Zs}]$", "What `repr` escapes, and the space.");
class!(is_titlecase, r"^\p{Lt}$", "A character of title case.");

/// Python's `repr` of a text.
pub(super) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if c.is_ascii() || is_unprintable(c) => escape(&mut out, c),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// `\x7f`, `\u200b` or `\U0001f600`.
pub(super) fn escape(out: &mut String, c: char) {
    let code = c as u32;
    let written = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "writing to a String does not fail");
}

/// Python's `repr` of a float: the shortest digits that read back as the same number.
pub(super) fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let fixed = format!("{value}");
        return if fixed.contains('.') { fixed } else { fixed + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Python's `str`, which a template prints. Errors: what prints as an address.
pub(super) fn printed(value: &Value) -> Result<String> {
    let mut out = String::new();
    print(&mut out, value)?;
    Ok(out)
}

pub(super) fn print(out: &mut String, value: &Value) -> Result<()> {
    match value {
        Value::Undefined(_) => Ok(()),
        Value::Text(text) | Value::Markup(text) => {
            out.push_str(text);
            Ok(())
        }
        other => represent(out, other),
    }
}

/// Python's `repr`. Errors: what prints as an address, or more than a template may make.
pub(super) fn represent(out: &mut String, value: &Value) -> Result<()> {
    if out.len() > super::LONGEST {
        return Err(super::too_much());
    }
    match value {
        Value::Undefined(_) => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&float(*value)),
        Value::Text(text) => out.push_str(&quoted(text)),
        Value::Markup(text) => {
            out.push_str("Markup(");
            out.push_str(&quoted(text));
            out.push(')');
        }
        Value::List(list) => items(out, '[', &list.items, "]")?,
        Value::Tuple(list) => items(out, '(', &list.items, if list.items.len() == 1 { ",)" } else { ")" })?,
        Value::Dict(dict) => {
            out.push('{');
            for (i, (key, value)) in dict.entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                represent(out, key)?;
                out.push_str(": ");
                represent(out, value)?;
            }
            out.push('}');
        }
        Value::View(view, dict) => {
            out.push_str(View::name(*view));
            out.push('(');
            items(out, '[', &view.items(dict)?, "]")?;
            out.push(')');
        }
        Value::Range(start, stop, 1) => out.push_str(&format!("range({start}, {stop})")),
        Value::Range(start, stop, step) => out.push_str(&format!("range({start}, {stop}, {step})")),
        Value::Generator(_)
        | Value::Namespace(_)
        | Value::Macro(_)
        | Value::Loop(_)
        | Value::Method(_)
        | Value::Function(_) => {
            return Err(Fault::new(format!(
                "{} cannot be printed: its text is different in each process",
                value.kind()
            )));
        }
    }
    Ok(())
}

fn items(out: &mut String, open: char, items: &[Value], close: &str) -> Result<()> {
    out.push(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        represent(out, item)?;
    }
    out.push_str(close);
    Ok(())
}

/// A character's title case: where a character's upper case is several, the first of them alone.
pub(super) fn titlecase(out: &mut String, c: char) {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => out.push('ǅ'),
        'Ǉ' | 'ǈ' | 'ǉ' => out.push('ǈ'),
        'Ǌ' | 'ǋ' | 'ǌ' => out.push('ǋ'),
        'Ǳ' | 'ǲ' | 'ǳ' => out.push('ǲ'),
        _ => {
            let mut upper = c.to_uppercase();
            out.extend(upper.next());
            upper.for_each(|c| out.extend(c.to_lowercase()));
        }
    }
}
