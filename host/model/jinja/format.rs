//! `%` and `str.format` of texts.

use super::arguments::mismatch;
use super::json::only_ascii;
use super::machine::Machine;
use super::numbers::truncated;
use super::syntax::Text;
use super::text::{float, represent};
use super::value::Value;
use super::{Fault, Result};

/// The most digits behind the point: as many as the standard library can write.
const MOST_DIGITS: usize = 60_000;

/// How a value is put into a text.
#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    /// A sign for positive numbers too: `+` or a space.
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

fn invalid(text: &str) -> Fault {
    Fault::new(format!("`{text}` is no format that is supported"))
}

/// `pattern % arguments`.
pub(super) fn percent(machine: &mut Machine<'_>, pattern: &str, arguments: &Value) -> Result<Value> {
    machine.pay_text(pattern.len())?;
    let all: Vec<Value> = match arguments {
        Value::Tuple(list) => list.items.clone(),
        one => vec![one.clone()],
    };
    let mut rest = all.iter();
    let mut out = String::new();
    let mut took_by_name = false;
    let mut chars = pattern.chars().peekable();
    let few = || Fault::new("`%`: not enough arguments for the format");
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec { align: Some('>'), ..Spec::default() };
        let mut by_name = None;
        if chars.next_if_eq(&'(').is_some() {
            let (mut name, mut open) = (String::new(), 1);
            loop {
                let c = chars.next().ok_or_else(|| invalid(pattern))?;
                match c {
                    '(' => open += 1,
                    ')' if open == 1 => break,
                    ')' => open -= 1,
                    _ => {}
                }
                name.push(c);
            }
            by_name = Some(name);
        }
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | ' ' | '#' | '0')) {
            match flag {
                '-' => spec.align = Some('<'),
                '+' => spec.sign = Some('+'),
                ' ' => spec.sign = spec.sign.or(Some(' ')),
                '#' => spec.alternate = true,
                _ => spec.zero = true,
            }
        }
        let mut number = |rest: &mut std::slice::Iter<'_, Value>| -> Result<Option<i64>> {
            if chars.next_if_eq(&'*').is_some() {
                return super::arguments::whole(rest.next().ok_or_else(few)?, "%").map(Some);
            }
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            if digits.is_empty() { Ok(None) } else { digits.parse().map(Some).map_err(|_| invalid(pattern)) }
        };
        let width = number(&mut rest)?.unwrap_or(0);
        if width < 0 {
            spec.align = Some('<');
        }
        spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        if chars.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            if chars.next_if_eq(&'*').is_some() {
                digits = super::arguments::whole(rest.next().ok_or_else(few)?, "%")?.max(0).to_string();
            }
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            spec.precision = Some(if digits.is_empty() { 0 } else { digits.parse().map_err(|_| invalid(pattern))? });
        }
        chars.next_if(|c| matches!(c, 'h' | 'l' | 'L'));
        let kind = chars.next().ok_or_else(|| invalid(pattern))?;
        if kind == '%' {
            out.push('%');
            continue;
        }
        let value = match by_name {
            Some(name) => {
                took_by_name = true;
                let Value::Dict(dict) = arguments else { return Err(mismatch(arguments, "a dictionary", "%")) };
                let found = dict.get(&Value::text(name.as_str()), &mut 0).cloned();
                found.ok_or_else(|| Fault::new(format!("`%`: nothing is named `{name}`")))?
            }
            None => rest.next().cloned().ok_or_else(few)?,
        };
        let text = by_percent(machine, &value, kind, &mut spec)?;
        out.push_str(&padded(machine, &text, &spec)?);
        machine.pay_text(out.len())?;
    }
    // What can be asked by names need not be used up.
    let asked =
        matches!(arguments, Value::Dict(_) | Value::List(_) | Value::Undefined(_) | Value::Range(..)) || took_by_name;
    if rest.next().is_some() && !asked {
        return Err(Fault::new("`%`: not all arguments are in the format"));
    }
    Ok(Value::text(out))
}

fn by_percent(machine: &mut Machine<'_>, value: &Value, kind: char, spec: &mut Spec) -> Result<String> {
    spec.kind = Some(kind);
    match kind {
        's' | 'r' | 'a' => {
            spec.zero = false;
            let text = shown(machine, value, kind)?;
            Ok(match spec.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text,
            })
        }
        'c' => {
            spec.zero = false;
            match value {
                Value::Text(text) if text.chars().count() == 1 => Ok(text.to_string()),
                other => {
                    let code = other.whole().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
                    code.map(String::from).ok_or_else(|| mismatch(other, "a character", "%c"))
                }
            }
        }
        'd' | 'i' | 'u' => {
            let whole = match (value.whole(), value) {
                (Some(whole), _) => whole,
                (None, Value::Float(value)) => truncated(*value)?,
                _ => return Err(mismatch(value, "a number", "%d")),
            };
            let digits = at_least(whole.unsigned_abs().to_string(), spec)?;
            Ok(signed(whole < 0, spec) + &digits)
        }
        'x' | 'X' | 'o' => {
            let whole = value.whole().ok_or_else(|| mismatch(value, "a whole number", "%x"))?;
            let (prefix, digits) = based(whole, kind);
            let digits = at_least(digits, spec)?;
            Ok(signed(whole < 0, spec) + if spec.alternate { prefix } else { "" } + &digits)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let number = value.number().ok_or_else(|| mismatch(value, "a number", "%f"))?;
            if !number.is_finite() {
                spec.zero = false;
            }
            Ok(signed(number.is_sign_negative() && !number.is_nan(), spec) + &decimal(number.abs(), kind, spec)?)
        }
        other => Err(invalid(&format!("%{other}"))),
    }
}

/// As `str`, `repr` or `ascii` shows a value.
fn shown(machine: &mut Machine<'_>, value: &Value, kind: char) -> Result<String> {
    if kind == 's' {
        return Ok(machine.printed(value)?.to_string());
    }
    let mut out = String::new();
    represent(&mut out, value)?;
    machine.pay_text(out.len())?;
    Ok(if kind == 'a' { only_ascii(&out) } else { out })
}

fn at_least(digits: String, spec: &Spec) -> Result<String> {
    let width = spec.precision.unwrap_or(0);
    if width > MOST_DIGITS {
        return Err(Fault::new(format!("a format asks for more than {MOST_DIGITS} digits")));
    }
    Ok(format!("{digits:0>width$}"))
}

fn based(whole: i64, kind: char) -> (&'static str, String) {
    let size = whole.unsigned_abs();
    match kind {
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        'o' => ("0o", format!("{size:o}")),
        _ => ("0b", format!("{size:b}")),
    }
}

fn signed(is_negative: bool, spec: &Spec) -> String {
    if is_negative { "-".into() } else { spec.sign.map(String::from).unwrap_or_default() }
}

/// A number that is not negative, as `e`, `f` or `g` writes it.
fn decimal(number: f64, kind: char, spec: &Spec) -> Result<String> {
    let precision = spec.precision.unwrap_or(6);
    if precision > MOST_DIGITS {
        return Err(Fault::new(format!("a format asks for more than {MOST_DIGITS} digits")));
    }
    if !number.is_finite() {
        let text = if number.is_nan() { "nan" } else { "inf" };
        return Ok(if kind.is_uppercase() { text.to_uppercase() } else { text.into() });
    }
    let scientific = |precision: usize| {
        let text = format!("{number:.precision$e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        (digits.to_string(), exponent)
    };
    let with_exponent =
        |digits: &str, exponent: i32| format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    let text = match kind.to_ascii_lowercase() {
        'e' => {
            let (digits, exponent) = scientific(precision);
            with_exponent(&digits, exponent)
        }
        'f' => format!("{number:.precision$}"),
        _ => {
            let precision = precision.max(1);
            let (digits, exponent) = scientific(precision - 1);
            let trimmed = |text: String| {
                if spec.alternate || !text.contains('.') {
                    return text;
                }
                text.trim_end_matches('0').trim_end_matches('.').to_string()
            };
            if exponent < -4 || exponent >= precision as i32 {
                with_exponent(&trimmed(digits), exponent)
            } else {
                let places = (precision as i32 - 1 - exponent).max(0) as usize;
                trimmed(format!("{number:.places$}"))
            }
        }
    };
    if spec.alternate && spec.precision == Some(0) {
        return Err(invalid("#.0"));
    }
    Ok(if kind.is_uppercase() { text.to_uppercase() } else { text })
}

/// A text in its width.
fn padded(machine: &mut Machine<'_>, text: &str, spec: &Spec) -> Result<String> {
    let missing = spec.width.saturating_sub(text.chars().count());
    let fill = spec.fill.unwrap_or(' ');
    machine.pay_text(missing.saturating_mul(fill.len_utf8()).saturating_add(text.len()))?;
    let fills = |count: usize, fill: char| fill.to_string().repeat(count);
    let align = spec.align.unwrap_or('<');
    if align == '=' || (spec.zero && align == '>') {
        let sign = usize::from(text.starts_with(['-', '+', ' ']));
        let prefix = text[sign..].get(..2).filter(|p| matches!(*p, "0x" | "0X" | "0o" | "0b") && spec.alternate);
        let at = sign + prefix.map_or(0, str::len);
        let fill = if spec.zero { '0' } else { fill };
        return Ok(format!("{}{}{}", &text[..at], fills(missing, fill), &text[at..]));
    }
    Ok(match align {
        '>' => fills(missing, fill) + text,
        '^' => fills(missing / 2, fill) + text + &fills(missing - missing / 2, fill),
        _ => text.to_string() + &fills(missing, fill),
    })
}

/// `pattern.format(…)`.
pub(super) fn by_braces(
    machine: &mut Machine<'_>,
    pattern: &str,
    positional: &[Value],
    named: &[(Text, Value)],
) -> Result<Value> {
    machine.pay_text(pattern.len())?;
    let mut out = String::new();
    let mut counted = 0;
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if after.starts_with(brace) {
            out.push_str(brace);
            rest = &after[1..];
            continue;
        }
        let end = after.find('}').filter(|_| brace == "{").ok_or_else(|| invalid(pattern))?;
        let field = &after[..end];
        if field.contains('{') {
            return Err(Fault::new("a format inside of a format is not supported"));
        }
        rest = &after[end + 1..];
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (path, conversion) = match field.split_once('!') {
            Some((path, conversion)) => (path, Some(conversion)),
            None => (field, None),
        };
        let value = field_of(machine, path, positional, named, &mut counted)?;
        let value = match conversion {
            None => value,
            Some("s") => Value::Text(machine.printed(&value)?),
            Some("r") => Value::text(shown(machine, &value, 'r')?),
            Some("a") => Value::text(shown(machine, &value, 'a')?),
            Some(_) => return Err(invalid(pattern)),
        };
        let text = by_spec(machine, &value, spec)?;
        out.push_str(&text);
        machine.pay_text(out.len())?;
    }
    out.push_str(rest);
    machine.pay_text(out.len())?;
    Ok(Value::text(out))
}

/// The value of a field such as `0`, `name`, `name.attribute` or `name[item]`.
fn field_of(
    machine: &mut Machine<'_>,
    path: &str,
    positional: &[Value],
    named: &[(Text, Value)],
    counted: &mut usize,
) -> Result<Value> {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (first, mut rest) = path.split_at(end);
    let mut value = if first.is_empty() {
        *counted += 1;
        positional.get(*counted - 1).cloned()
    } else if let Ok(number) = first.parse::<usize>() {
        positional.get(number).cloned()
    } else {
        named.iter().find(|(name, _)| **name == *first).map(|(_, value)| value.clone())
    }
    .ok_or_else(|| Fault::new(format!("`format`: nothing is given for `{{{path}}}`")))?;
    while !rest.is_empty() {
        let (by, after, is_item) = if let Some(item) = rest.strip_prefix('[') {
            let (item, after) = item.split_once(']').ok_or_else(|| invalid(path))?;
            (item, after, true)
        } else {
            let name = &rest[1..];
            let end = name.find(['.', '[']).unwrap_or(name.len());
            (&name[..end], &name[end..], false)
        };
        value = match by.parse::<i64>() {
            Ok(number) if is_item => machine.item(&value, &Value::Int(number))?,
            _ if is_item => machine.item(&value, &Value::text(by))?,
            _ => machine.attribute(&value, &by.into())?,
        };
        rest = after;
    }
    Ok(value)
}

fn by_spec(machine: &mut Machine<'_>, value: &Value, text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(machine.printed(value)?.to_string());
    }
    let mut spec = read_spec(text)?;
    let is_number = value.number().is_some() && !matches!(value, Value::Bool(_));
    let shown = match (value, spec.kind) {
        (Value::Text(own), None | Some('s')) => {
            if spec.sign.is_some() || spec.grouping.is_some() || spec.alternate || spec.align == Some('=') {
                return Err(invalid(text));
            }
            if spec.zero {
                (spec.fill, spec.zero) = (spec.fill.or(Some('0')), false);
            }
            match spec.precision {
                Some(most) => own.chars().take(most).collect(),
                None => own.to_string(),
            }
        }
        (_, kind) if is_number => {
            spec.align = spec.align.or(Some('>'));
            let whole = value.whole();
            match (kind, whole) {
                (None | Some('d'), Some(whole)) if spec.precision.is_none() => {
                    signed(whole < 0, &spec) + &grouped(&whole.unsigned_abs().to_string(), &spec)?
                }
                (Some(kind @ ('x' | 'X' | 'o' | 'b')), Some(whole))
                    if spec.grouping.is_none() && spec.precision.is_none() =>
                {
                    let (prefix, digits) = based(whole, kind);
                    signed(whole < 0, &spec) + if spec.alternate { prefix } else { "" } + &digits
                }
                (None, None) if spec.precision.is_none() && spec.grouping.is_none() => {
                    let number = value.number().unwrap_or(0.0);
                    signed(number.is_sign_negative() && !number.is_nan(), &spec) + &float(number.abs())
                }
                (Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G')), _) => {
                    let number = value.number().unwrap_or(0.0);
                    let digits = grouped(&decimal(number.abs(), kind, &spec)?, &spec)?;
                    signed(number.is_sign_negative() && !number.is_nan(), &spec) + &digits
                }
                (Some('%'), _) => {
                    let number = value.number().unwrap_or(0.0) * 100.0;
                    signed(number.is_sign_negative(), &spec) + &decimal(number.abs(), 'f', &spec)? + "%"
                }
                _ => return Err(invalid(text)),
            }
        }
        _ => return Err(invalid(text)),
    };
    padded(machine, &shown, &spec)
}

fn grouped(digits: &str, spec: &Spec) -> Result<String> {
    let Some(mark) = spec.grouping else { return Ok(digits.to_string()) };
    if spec.zero || digits.contains('e') {
        return Err(invalid(","));
    }
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(mark);
        }
        out.push(digit);
    }
    Ok(out + fraction)
}

fn read_spec(text: &str) -> Result<Spec> {
    let mut spec = Spec::default();
    let mut chars = text.chars().peekable();
    let is_align = |c: char| matches!(c, '<' | '>' | '^' | '=');
    let mut first = text.chars();
    match (first.next(), first.next()) {
        (Some(fill), Some(align)) if is_align(align) => {
            (spec.fill, spec.align) = (Some(fill), Some(align));
            chars.next();
            chars.next();
        }
        (Some(align), _) if is_align(align) => {
            spec.align = Some(align);
            chars.next();
        }
        _ => {}
    }
    spec.sign = chars.next_if(|c| matches!(c, '+' | '-' | ' ')).filter(|c| *c != '-');
    spec.alternate = chars.next_if_eq(&'#').is_some();
    spec.zero = chars.next_if_eq(&'0').is_some() && spec.align.is_none();
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    spec.width = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| invalid(text))? };
    spec.grouping = chars.next_if(|c| matches!(c, ',' | '_'));
    if chars.next_if_eq(&'.').is_some() {
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        spec.precision = Some(digits.parse().map_err(|_| invalid(text))?);
    }
    spec.kind = chars.next();
    if chars.next().is_some() { Err(invalid(text)) } else { Ok(spec) }
}
