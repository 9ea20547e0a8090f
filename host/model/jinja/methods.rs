//! Python's methods of texts, lists, tuples and dictionaries.

use super::arguments::{Given, maybe_whole, mismatch, needed, text, whole};
use super::machine::Machine;
use super::pieces::{capitalized, is_plain, part, stripped, titled, words, words_from_right};
use super::syntax::Text;
use super::text::{is_decimal, is_letter, is_letter_or_number, is_space, is_titlecase, lines};
use super::value::{Value, View};
use super::{Fault, Result, format};

const OF_TEXTS: [&str; 43] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
    "encode",
];
/// What texts have besides, and templates here do not.
const OTHERS_OF_TEXTS: [&str; 4] = ["isidentifier", "isprintable", "maketrans", "translate"];
const OF_DICTS: [&str; 5] = ["copy", "get", "items", "keys", "values"];
/// What changes a value, which the sandbox refuses; and what is not done here.
const OTHERS_OF_DICTS: [&str; 6] = ["clear", "fromkeys", "pop", "popitem", "setdefault", "update"];
const OF_LISTS: [&str; 3] = ["copy", "count", "index"];
const OTHERS_OF_LISTS: [&str; 8] = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
const OF_TUPLES: [&str; 2] = ["count", "index"];
const OF_FLOATS: [&str; 1] = ["is_integer"];
const OTHERS_OF_NUMBERS: [&str; 15] = [
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "conjugate",
    "denominator",
    "from_bytes",
    "from_number",
    "fromhex",
    "hex",
    "imag",
    "is_integer",
    "numerator",
    "real",
    "to_bytes",
    "mro",
];

/// The method of a value by its name. Errors: one that Python has, but a template may not call.
pub(super) fn method(of: &Value, name: &str) -> Result<Option<Value>> {
    let (known, others): (&[&'static str], &[&str]) = match of {
        Value::Text(_) => (&OF_TEXTS, &OTHERS_OF_TEXTS),
        Value::Dict(_) => (&OF_DICTS, &OTHERS_OF_DICTS),
        Value::List(_) => (&OF_LISTS, &OTHERS_OF_LISTS),
        // The names that the pairs of `groupby` have.
        Value::Tuple(_) => (&OF_TUPLES, &["grouper", "list"]),
        Value::Range(..) => (&OF_TUPLES, &[]),
        Value::Float(_) => (&OF_FLOATS, &OTHERS_OF_NUMBERS),
        Value::Int(_) | Value::Bool(_) => (&[], &OTHERS_OF_NUMBERS),
        Value::View(..) => (&[], &["isdisjoint", "mapping"]),
        Value::Generator(_) => (&[], &["close", "gi_code", "gi_frame", "gi_running", "gi_yieldfrom", "send", "throw"]),
        Value::Macro(_) => (&[], &["arguments", "caller", "catch_kwargs", "catch_varargs", "explicit_caller"]),
        Value::Markup(_) => return Err(mismatch(of, "a text that is not marked as safe", name)),
        _ => (&[], &[]),
    };
    match known.iter().find(|own| **own == name) {
        Some(own) => Value::method(of.clone(), own).map(Some),
        None if others.contains(&name) => Err(Fault::new(format!("`.{name}` of {} is not supported", of.kind()))),
        None => Ok(None),
    }
}

impl Machine<'_> {
    pub(super) fn call_method(&mut self, of: &Value, name: &str, given: Given) -> Result<Value> {
        match of {
            Value::Text(text) => self.text_method(text, name, given),
            Value::Dict(dict) => match name {
                "get" => {
                    let [key, default] = given.unnamed(name)?;
                    let key = needed(key, name)?;
                    if !key.is_key() {
                        return Err(Fault::new(format!("{} cannot be a dictionary's key", key.kind())));
                    }
                    let mut steps = 0;
                    let found = dict.get(&key, &mut steps).cloned();
                    self.pay(steps)?;
                    Ok(found.or(default).unwrap_or(Value::None))
                }
                _ => {
                    let [] = given.unnamed::<0>(name)?;
                    Ok(match name {
                        "items" => Value::View(View::Items, dict.clone()),
                        "keys" => Value::View(View::Keys, dict.clone()),
                        "values" => Value::View(View::Values, dict.clone()),
                        _ => of.clone(),
                    })
                }
            },
            Value::List(_) | Value::Tuple(_) | Value::Range(..) => self.list_method(of, name, given),
            Value::Float(value) => {
                let [] = given.unnamed::<0>(name)?;
                Ok(Value::Bool(value.is_finite() && value.fract() == 0.0))
            }
            Value::Loop(number) => self.loop_method(*number, name, given),
            other => Err(Fault::new(format!("{} has no method `{name}`", other.kind()))),
        }
    }

    fn loop_method(&mut self, number: usize, name: &str, given: Given) -> Result<Value> {
        if let Some((name, _)) = given.named.first() {
            return Err(Fault::new(format!("a loop's method takes no argument `{name}`")));
        }
        let values = given.positional;
        if name == "cycle" {
            let turn = self.loops.get(number).map_or(0, |state| state.given - 1);
            return match usize::try_from(turn).ok().and_then(|turn| turn.checked_rem(values.len())) {
                Some(at) => Ok(values[at].clone()),
                None => Err(Fault::new("`cycle` needs one more argument")),
            };
        }
        let before = self.loops.get(number).and_then(|state| state.changed.clone());
        let mut steps = 0;
        let same = before.is_some_and(|before| {
            before.len() == values.len() && before.iter().zip(&values).all(|(a, b)| a.equals(b, &mut steps))
        });
        self.pay(steps)?;
        if let Some(state) = self.loops.get_mut(number).filter(|_| !same) {
            state.changed = Some(values);
        }
        Ok(Value::Bool(!same))
    }

    fn list_method(&mut self, of: &Value, name: &str, given: Given) -> Result<Value> {
        if name == "copy" {
            let [] = given.unnamed::<0>(name)?;
            return Ok(of.clone());
        }
        let items = self.items(of)?;
        let mut steps = 0;
        let found = if name == "count" {
            let [one] = given.unnamed(name)?;
            let one = needed(one, name)?;
            Ok(items.iter().filter(|item| item.equals(&one, &mut steps)).count())
        } else {
            let [one, start, stop] = given.unnamed(name)?;
            let one = needed(one, name)?;
            let bound = |value: Option<Value>, default: usize| -> Result<usize> {
                Ok(match maybe_whole(value.as_ref(), name)? {
                    None => default,
                    Some(at) if at < 0 => usize::try_from(at.saturating_add(items.len() as i64)).unwrap_or(0),
                    Some(at) => usize::try_from(at).unwrap_or(usize::MAX).min(items.len()),
                })
            };
            let (start, stop) = (bound(start, 0)?, bound(stop, items.len())?);
            (start..stop)
                .find(|&at| items[at].equals(&one, &mut steps))
                .ok_or_else(|| Fault::new("`index`: it is not in the list"))
        };
        self.pay(steps)?;
        Ok(Value::Int(found? as i64))
    }

    fn text_method(&mut self, own: &Text, name: &str, given: Given) -> Result<Value> {
        // Whatever is read is paid for, and whatever is no longer than what is read.
        self.pay_text(own.len().saturating_mul(3))?;
        let no_more = |given: Given| given.unnamed::<0>(name).map(|[]| ());
        let check = |given: Given, holds: bool| no_more(given).map(|()| Value::Bool(holds));
        let some = !own.is_empty();
        Ok(match name {
            "format" => return format::by_braces(self, own, &given.positional, &given.named),
            "format_map" => {
                let [names] = given.unnamed(name)?;
                match needed(names, name)? {
                    Value::Dict(dict) => {
                        let pair = |(key, value): &(Value, Value)| Ok((text(key, name)?, value.clone()));
                        let named: Vec<(Text, Value)> = dict.entries.iter().map(pair).collect::<Result<_>>()?;
                        return format::by_braces(self, own, &[], &named);
                    }
                    other => return Err(mismatch(&other, "a dictionary", name)),
                }
            }
            "encode" => return Err(Fault::new("`.encode` of a text is not supported")),
            "upper" => no_more(given).map(|()| Value::text(own.to_uppercase()))?,
            "lower" | "casefold" => {
                no_more(given)?;
                if name == "casefold" && !own.is_ascii() {
                    return Err(Fault::new("`casefold` of a text that is not ASCII is not supported"));
                }
                Value::text(own.to_lowercase())
            }
            "capitalize" => no_more(given).map(|()| Value::text(capitalized(own)))?,
            "title" => no_more(given).map(|()| Value::text(titled(own)))?,
            "swapcase" => {
                no_more(given)?;
                let swap = |c: char| -> String {
                    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
                };
                Value::text(own.chars().map(swap).collect::<String>())
            }
            "strip" | "lstrip" | "rstrip" => {
                let [chars] = given.unnamed(name)?;
                let chars = match chars {
                    None | Some(Value::None) => None,
                    Some(chars) => Some(text(&chars, name)?),
                };
                self.pay_text(own.len().saturating_mul(chars.as_ref().map_or(1, |chars| chars.len())))?;
                Value::text(stripped(own, name, chars.as_deref()))
            }
            "split" | "rsplit" => {
                let [separator, most] = given.bind(name, ["sep", "maxsplit"])?;
                let most = usize::try_from(maybe_whole(most.as_ref(), name)?.unwrap_or(-1)).ok();
                let parts = match separator {
                    None | Some(Value::None) if name == "split" => words(own, most),
                    None | Some(Value::None) => words_from_right(own, most),
                    Some(separator) => {
                        let separator = text(&separator, name)?;
                        if separator.is_empty() {
                            return Err(Fault::new(format!("`{name}`: the separator is empty")));
                        }
                        let most = most.map_or(usize::MAX, |most| most.saturating_add(1));
                        if name == "split" {
                            own.splitn(most, &*separator).collect()
                        } else {
                            let mut parts: Vec<&str> = own.rsplitn(most, &*separator).collect();
                            parts.reverse();
                            parts
                        }
                    }
                };
                self.pay_list(parts.len() as u64)?;
                Value::list(parts.into_iter().map(Value::text).collect())?
            }
            "splitlines" => {
                let [keep] = given.bind(name, ["keepends"])?;
                let parts = lines(own, keep.is_some_and(|keep| keep.is_true()));
                self.pay_list(parts.len() as u64)?;
                Value::list(parts.into_iter().map(Value::text).collect())?
            }
            "partition" | "rpartition" => {
                let [separator] = given.unnamed(name)?;
                let separator = text(&needed(separator, name)?, name)?;
                if separator.is_empty() {
                    return Err(Fault::new(format!("`{name}`: the separator is empty")));
                }
                let found =
                    if name == "partition" { own.split_once(&*separator) } else { own.rsplit_once(&*separator) };
                let parts = match found {
                    Some((before, after)) => [before, &separator, after],
                    None if name == "partition" => [own, "", ""],
                    None => ["", "", own],
                };
                Value::tuple(parts.into_iter().map(Value::text).collect())?
            }
            "join" => {
                let [items] = given.unnamed(name)?;
                let items = self.items(&needed(items, name)?)?;
                let texts = items.iter().map(|item| text(item, name)).collect::<Result<Vec<_>>>()?;
                self.joined(own, &texts)?
            }
            "replace" => {
                let [old, new, count] = given.bind(name, ["", "", "count"])?;
                let (old, new) = (text(&needed(old, name)?, name)?, text(&needed(new, name)?, name)?);
                let count = count.map_or(Ok(-1), |count| whole(&count, name))?;
                self.replaced(own, &old, &new, count)?
            }
            "startswith" | "endswith" => {
                let [ends, start, stop] = given.unnamed(name)?;
                let part = part(own, start.as_ref(), stop.as_ref(), name)?.map(|(_, part)| part);
                let ends = match needed(ends, name)? {
                    Value::Tuple(list) => list.items.iter().map(|end| text(end, name)).collect::<Result<Vec<_>>>()?,
                    one => vec![text(&one, name)?],
                };
                let has = |part: &str, end: &Text| {
                    if name == "startswith" { part.starts_with(&**end) } else { part.ends_with(&**end) }
                };
                Value::Bool(part.is_some_and(|part| ends.iter().any(|end| has(part, end))))
            }
            "find" | "rfind" | "index" | "rindex" | "count" => {
                let [what, start, stop] = given.unnamed(name)?;
                let what = text(&needed(what, name)?, name)?;
                let part = part(own, start.as_ref(), stop.as_ref(), name)?;
                if name == "count" {
                    let count = part.map_or(0, |(_, part)| {
                        if what.is_empty() { part.chars().count() + 1 } else { part.matches(&*what).count() }
                    });
                    return Ok(Value::Int(count as i64));
                }
                let found = part.and_then(|(from, part)| {
                    let at = if name.starts_with('r') { part.rfind(&*what) } else { part.find(&*what) };
                    at.map(|at| from + part[..at].chars().count())
                });
                match found {
                    Some(at) => Value::Int(at as i64),
                    None if name.ends_with("find") => Value::Int(-1),
                    None => return Err(Fault::new(format!("`{name}`: `{what}` is not in the text"))),
                }
            }
            "removeprefix" | "removesuffix" => {
                let [end] = given.unnamed(name)?;
                let end = text(&needed(end, name)?, name)?;
                let rest = if name == "removeprefix" { own.strip_prefix(&*end) } else { own.strip_suffix(&*end) };
                Value::text(rest.unwrap_or(own))
            }
            "center" | "ljust" | "rjust" | "zfill" => {
                let [width, fill] = given.unnamed(name)?;
                let width = usize::try_from(whole(&needed(width, name)?, name)?).unwrap_or(0);
                let fill = match fill {
                    None => " ".into(),
                    Some(fill) => text(&fill, name)?,
                };
                if fill.chars().count() != 1 {
                    return Err(Fault::new(format!("`{name}`: expected one character to fill with")));
                }
                let missing = width.saturating_sub(own.chars().count());
                self.pay_text(missing.saturating_mul(fill.len()).saturating_add(own.len()))?;
                let left = match name {
                    "center" => missing / 2 + (missing & width & 1),
                    "ljust" => 0,
                    _ => missing,
                };
                if name == "zfill" {
                    let (sign, rest) = own.split_at(usize::from(own.starts_with(['+', '-'])));
                    return Ok(Value::text(format!("{sign}{}{rest}", "0".repeat(missing))));
                }
                Value::text(format!("{}{own}{}", fill.repeat(left), fill.repeat(missing - left)))
            }
            "expandtabs" => {
                let [size] = given.bind(name, ["tabsize"])?;
                let size = usize::try_from(size.map_or(Ok(8), |size| whole(&size, name))?).unwrap_or(0);
                self.pay_text(own.len().saturating_add(own.matches('\t').count().saturating_mul(size)))?;
                let (mut out, mut column) = (String::new(), 0);
                for c in own.chars() {
                    match c {
                        '\t' => {
                            let spaces = if size == 0 { 0 } else { size - column % size };
                            out.push_str(&" ".repeat(spaces));
                            column += spaces;
                        }
                        _ => {
                            out.push(c);
                            column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
                        }
                    }
                }
                Value::text(out)
            }
            "isspace" => check(given, some && own.chars().all(is_space))?,
            "isalpha" => check(given, some && own.chars().all(is_letter))?,
            "isalnum" => check(given, some && own.chars().all(is_letter_or_number))?,
            "isdecimal" => check(given, some && own.chars().all(is_decimal))?,
            "isdigit" | "isnumeric" => {
                if own.chars().any(|c| !c.is_ascii() && !is_decimal(c) && !is_plain(c)) {
                    return Err(Fault::new(format!("`{name}` of such a text is not supported")));
                }
                check(given, some && own.chars().all(is_decimal))?
            }
            "isascii" => check(given, own.is_ascii())?,
            "islower" => {
                let holds =
                    own.chars().any(char::is_lowercase) && !own.chars().any(|c| c.is_uppercase() || is_titlecase(c));
                check(given, holds)?
            }
            "isupper" => {
                let holds =
                    own.chars().any(char::is_uppercase) && !own.chars().any(|c| c.is_lowercase() || is_titlecase(c));
                check(given, holds)?
            }
            "istitle" => {
                let (mut holds, mut any, mut within) = (true, false, false);
                for c in own.chars() {
                    let starts = c.is_uppercase() || is_titlecase(c);
                    let follows = c.is_lowercase();
                    holds &= !(starts && within) && (!follows || within);
                    any |= starts || follows;
                    within = starts || follows;
                }
                check(given, holds && any)?
            }
            _ => return Err(Fault::new(format!("a text has no method `{name}`"))),
        })
    }

    /// `join` of texts.
    pub(super) fn joined(&mut self, separator: &str, texts: &[Text]) -> Result<Value> {
        let length = texts.iter().map(|text| text.len()).sum::<usize>();
        self.pay_text(length.saturating_add(separator.len().saturating_mul(texts.len())))?;
        Ok(Value::text(texts.join(separator)))
    }

    /// `replace`, the first `count` times where that is not negative.
    pub(super) fn replaced(&mut self, own: &str, old: &str, new: &str, count: i64) -> Result<Value> {
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let found = if old.is_empty() { own.chars().count() + 1 } else { own.matches(old).count() };
        let grown = found.min(most).saturating_mul(new.len());
        self.pay_text(own.len().saturating_add(grown))?;
        if old.is_empty() {
            // Before every character, and at the end.
            let mut out = String::new();
            let mut left = most;
            for c in own.chars() {
                if left > 0 {
                    out.push_str(new);
                    left -= 1;
                }
                out.push(c);
            }
            if left > 0 {
                out.push_str(new);
            }
            return Ok(Value::text(out));
        }
        Ok(Value::text(own.replacen(old, new, most)))
    }
}
