//! Filters: what stands behind `|`. Those of lists are in `lists.rs`.

use super::arguments::{Given, maybe_whole, mismatch, needed, text, whole};
use super::machine::Machine;
use super::numbers::{read_float, read_whole, truncated};
use super::pieces::{capitalized, length, stripped};
use super::text::{is_letter_or_number, is_space, lines};
use super::value::{Value, View};
use super::{Fault, Result, format};

const NAMES: [&str; 47] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "forceescape",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "wordcount",
    "urlencode",
];
/// What Jinja2 has besides.
const OTHERS: [&str; 7] = ["filesizeformat", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"];

/// Whether Jinja2 has a filter of this name.
pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || OTHERS.contains(&name)
}

impl Machine<'_> {
    pub(super) fn filter(&mut self, name: &str, value: Value, given: Given) -> Result<Value> {
        if matches!(value, Value::Markup(_))
            && !matches!(name, "safe" | "string" | "length" | "count" | "default" | "d" | "e" | "escape")
        {
            return Err(mismatch(&value, "a text that is not marked as safe", name));
        }
        match name {
            "batch" => return self.batch(&value, given),
            "slice" => return self.slices(&value, given),
            "sort" => return self.sort(&value, given),
            "dictsort" => return self.dictsort(&value, given),
            "unique" => return self.unique(&value, given),
            "min" | "max" => return self.extreme(name, &value, given),
            "sum" => return self.sum(&value, given),
            "groupby" => return self.groupby(&value, given),
            "map" => return self.map(&value, given),
            "select" | "reject" | "selectattr" | "rejectattr" => return self.select(name, &value, given),
            "tojson" => return self.as_json(&value, given),
            "format" => {
                let pattern = self.printed(&value)?;
                let arguments = match (given.positional.is_empty(), given.named.is_empty()) {
                    (false, false) => {
                        return Err(Fault::new("`format` takes arguments with names, or without, not both"));
                    }
                    (true, false) => {
                        Value::dict(given.named.into_iter().map(|(name, value)| (Value::Text(name), value)).collect())?
                    }
                    _ => Value::tuple(given.positional)?,
                };
                return format::percent(self, &pattern, &arguments);
            }
            "default" | "d" => {
                let [default, boolean] = given.bind(name, ["default_value", "boolean"])?;
                let replaces = value.is_undefined() || (boolean.is_some_and(|b| b.is_true()) && !value.is_true());
                return Ok(if replaces { default.unwrap_or_else(|| Value::text("")) } else { value });
            }
            "attr" => {
                let [attribute] = given.bind(name, ["name"])?;
                let attribute = text(&needed(attribute, name)?, name)?;
                return match &value {
                    // Attributes alone, and no items.
                    Value::Dict(dict) if dict.get(&Value::Text(attribute.clone()), &mut 0).is_some() => {
                        Ok(super::methods::method(&value, &attribute)?.unwrap_or_else(|| {
                            Value::undefined(format!("a dictionary has no attribute `{attribute}`"))
                        }))
                    }
                    _ => self.attribute(&value, &attribute),
                };
            }
            "join" => {
                let [separator, attribute] = given.bind(name, ["d", "attribute"])?;
                let separator = match separator {
                    None => "".into(),
                    Some(separator) => self.printed(&separator)?,
                };
                let items = match attribute {
                    None | Some(Value::None) => self.items(&value)?,
                    Some(attribute) => {
                        let given = Given { positional: Vec::new(), named: vec![("attribute".into(), attribute)] };
                        let mapped = self.map(&value, given)?;
                        self.items(&mapped)?
                    }
                };
                let texts = items.iter().map(|item| self.printed(item)).collect::<Result<Vec<_>>>()?;
                return self.joined(&separator, &texts);
            }
            "round" => return round(&value, given),
            _ => {}
        }
        self.plain_filter(name, value, given)
    }

    /// Filters of one value, most of them texts.
    fn plain_filter(&mut self, name: &str, value: Value, given: Given) -> Result<Value> {
        match name {
            "replace" => {
                let [old, new, count] = given.bind(name, ["old", "new", "count"])?;
                let own = self.printed(&value)?;
                let (old, new) = (self.printed(&needed(old, name)?)?, self.printed(&needed(new, name)?)?);
                let count = maybe_whole(count.as_ref(), name)?.unwrap_or(-1);
                return self.replaced(&own, &old, &new, count);
            }
            "trim" => {
                let [chars] = given.bind(name, ["chars"])?;
                let own = self.printed(&value)?;
                let chars = match chars {
                    None | Some(Value::None) => None,
                    Some(chars) => Some(text(&chars, name)?),
                };
                self.pay_text(own.len().saturating_mul(chars.as_ref().map_or(1, |chars| chars.len())))?;
                return Ok(Value::text(stripped(&own, "strip", chars.as_deref())));
            }
            "indent" => return self.indent(&value, given),
            "truncate" => return self.truncate(&value, given),
            "center" => {
                let [width] = given.bind(name, ["width"])?;
                let own = self.printed(&value)?;
                let given = Given { positional: vec![width.unwrap_or(Value::Int(80))], named: Vec::new() };
                return self.call_method(&Value::Text(own), "center", given);
            }
            "int" => {
                let [default, base] = given.bind(name, ["default", "base"])?;
                let base = base.map_or(Ok(10), |base| whole(&base, name))?;
                let base = u32::try_from(base).ok().filter(|&base| base == 0 || (2..=36).contains(&base));
                return int(&value, default, base.ok_or_else(|| Fault::new("`int`: expected a base of 2 to 36"))?);
            }
            "float" => {
                let [default] = given.bind(name, ["default"])?;
                let number = match &value {
                    Value::Text(text) => read_float(text),
                    Value::Undefined(message) => return Err(Fault::new(message.to_string())),
                    other => other.number(),
                };
                return Ok(number.map(Value::Float).or(default).unwrap_or(Value::Float(0.0)));
            }
            _ => {
                let [] = given.bind::<0>(name, [])?;
            }
        }
        Ok(match name {
            "abs" => match (value.whole(), &value) {
                (Some(whole), _) => {
                    Value::Int(whole.checked_abs().ok_or_else(|| Fault::new("`abs`: the number is too large"))?)
                }
                (None, Value::Float(value)) => Value::Float(value.abs()),
                _ => return Err(mismatch(&value, "a number", name)),
            },
            "length" | "count" => Value::Int(length(&value)?),
            "string" => match value {
                Value::Markup(_) => value,
                other => Value::Text(self.printed(&other)?),
            },
            "safe" => Value::Markup(self.printed(&value)?),
            "e" | "escape" if matches!(value, Value::Markup(_)) => value,
            "e" | "escape" | "forceescape" => {
                let own = self.printed(&value)?;
                self.pay_text(own.len().saturating_mul(5))?;
                let mut out = String::with_capacity(own.len());
                for c in own.chars() {
                    match c {
                        '&' => out.push_str("&amp;"),
                        '<' => out.push_str("&lt;"),
                        '>' => out.push_str("&gt;"),
                        '\'' => out.push_str("&#39;"),
                        '"' => out.push_str("&#34;"),
                        c => out.push(c),
                    }
                }
                Value::Markup(out.into())
            }
            "upper" | "lower" | "capitalize" | "title" | "wordcount" => {
                let own = self.printed(&value)?;
                self.pay_text(own.len().saturating_mul(3))?;
                match name {
                    "upper" => Value::text(own.to_uppercase()),
                    "lower" => Value::text(own.to_lowercase()),
                    "capitalize" => Value::text(capitalized(&own)),
                    "title" => Value::text(title(&own)),
                    _ => Value::Int(words(&own)),
                }
            }
            "first" => {
                let first = match &value {
                    Value::Generator(generator) => generator.items.borrow_mut().pop_front(),
                    other => self.items(other)?.into_iter().next(),
                };
                first.unwrap_or_else(|| Value::undefined("no first item, the sequence was empty"))
            }
            "last" => match &value {
                Value::Generator(_) => return Err(mismatch(&value, "what can be read from its end", name)),
                other => {
                    self.items(other)?.pop().unwrap_or_else(|| Value::undefined("no last item, the sequence was empty"))
                }
            },
            "list" => {
                let items = self.items(&value)?;
                Value::list(items)?
            }
            "items" => match &value {
                Value::Undefined(_) => Value::generator(Vec::new())?,
                Value::Dict(dict) => {
                    let items = self.items(&Value::View(View::Items, dict.clone()))?;
                    Value::generator(items)?
                }
                other => return Err(mismatch(other, "a dictionary", name)),
            },
            "reverse" => match &value {
                Value::Text(text) => {
                    self.pay_text(text.len())?;
                    Value::text(text.chars().rev().collect::<String>())
                }
                other => {
                    let mut items = self.items(other)?;
                    items.reverse();
                    Value::generator(items)?
                }
            },
            "urlencode" => {
                let Value::Text(own) = &value else { return Err(mismatch(&value, "a text", name)) };
                self.pay_text(own.len().saturating_mul(3))?;
                let mut out = String::new();
                for byte in own.bytes() {
                    if byte.is_ascii_alphanumeric() || b"_.-~/".contains(&byte) {
                        out.push(char::from(byte));
                    } else {
                        out.push_str(&format!("%{byte:02X}"));
                    }
                }
                Value::text(out)
            }
            _ if OTHERS.contains(&name) => return Err(Fault::new(format!("filter `{name}` is not supported"))),
            _ => return Err(Fault::new(format!("filter `{name}` is not known"))),
        })
    }

    fn indent(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [width, first, blank] = given.bind("indent", ["width", "first", "blank"])?;
        let own = text(value, "indent")?;
        let is = |value: Option<Value>| value.is_some_and(|value| value.is_true());
        let (first, blank) = (is(first), is(blank));
        let parts = lines(&own, false);
        let (unit, count) = match width {
            Some(Value::Text(unit)) => (unit, 1),
            width => (" ".into(), usize::try_from(width.map_or(Ok(4), |width| whole(&width, "indent"))?).unwrap_or(0)),
        };
        let each = unit.len().saturating_mul(count);
        self.pay_text(own.len().saturating_add(each.saturating_mul(parts.len() + 2)))?;
        let indent = unit.repeat(count);
        // A newline is added before the text is parted, so that one which ends it keeps an empty line behind it.
        let with_end = format!("{own}\n");
        let mut out = String::new();
        for (i, line) in lines(&with_end, false).into_iter().enumerate() {
            if i > 0 {
                out.push('\n');
            }
            if if i == 0 { first } else { blank || !line.is_empty() } {
                out.push_str(&indent);
            }
            out.push_str(line);
        }
        Ok(Value::text(out))
    }

    fn truncate(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [length, kill, end, leeway] = given.bind("truncate", ["length", "killwords", "end", "leeway"])?;
        let own = text(value, "truncate")?;
        let length = length.map_or(Ok(255), |length| whole(&length, "truncate"))?;
        let end = end.map_or(Ok("...".into()), |end| text(&end, "truncate"))?;
        let leeway = maybe_whole(leeway.as_ref(), "truncate")?.unwrap_or(5);
        let dots = end.chars().count() as i64;
        if length < dots || leeway < 0 {
            return Err(Fault::new(format!(
                "`truncate`: expected a length of at least {dots}, and no negative leeway"
            )));
        }
        self.pay_text(own.len().saturating_add(end.len()))?;
        if own.chars().count() as i64 <= length.saturating_add(leeway) {
            return Ok(Value::Text(own));
        }
        let kept: String = own.chars().take(usize::try_from(length - dots).unwrap_or(0)).collect();
        if kill.is_some_and(|kill| kill.is_true()) {
            return Ok(Value::text(format!("{kept}{end}")));
        }
        Ok(Value::text(format!("{}{end}", kept.rsplit_once(' ').map_or(&*kept, |(before, _)| before))))
    }
}

fn int(value: &Value, default: Option<Value>, base: u32) -> Result<Value> {
    let number = match value {
        Value::Undefined(message) => return Err(Fault::new(message.to_string())),
        Value::Text(text) => match read_whole(text, base)? {
            Some(whole) => return Ok(Value::Int(whole)),
            None => read_float(text),
        },
        other => match other.whole() {
            Some(whole) => return Ok(Value::Int(whole)),
            None => other.number(),
        },
    };
    match number.filter(|number| number.is_finite()) {
        Some(number) => truncated(number).map(Value::Int),
        None => Ok(default.unwrap_or(Value::Int(0))),
    }
}

fn round(value: &Value, given: Given) -> Result<Value> {
    let [precision, method] = given.bind("round", ["precision", "method"])?;
    let precision = precision.map_or(Ok(0), |precision| whole(&precision, "round"))?;
    let method = method.map_or(Ok("common".into()), |method| text(&method, "round"))?;
    if !(0..=300).contains(&precision) {
        return Err(Fault::new("`round`: expected a precision of 0 to 300"));
    }
    let number = value.number().ok_or_else(|| mismatch(value, "a number", "round"))?;
    let places = usize::try_from(precision).unwrap_or(0);
    match &*method {
        "common" => match value.whole() {
            Some(whole) => Ok(Value::Int(whole)),
            // The decimal number that lies nearest to the exact value of the float, the even one of two.
            None if number.is_finite() => {
                let text = format!("{number:.places$}");
                Ok(Value::Float(text.parse().unwrap_or(number)))
            }
            None => Ok(value.clone()),
        },
        "ceil" | "floor" => {
            let scale = 10_f64.powi(precision as i32);
            let scaled = number * scale;
            let scaled = if &*method == "ceil" { scaled.ceil() } else { scaled.floor() };
            Ok(Value::Float(scaled / scale))
        }
        _ => Err(Fault::new("`round`: expected `common`, `ceil` or `floor`")),
    }
}

/// Jinja's own way: a word begins behind white space, a hyphen or an opening bracket.
fn title(own: &str) -> String {
    let mut out = String::with_capacity(own.len());
    let is_break = |c: char| is_space(c) || "-({[<".contains(c);
    let mut rest = own;
    while let Some(first) = rest.chars().next() {
        let breaks = is_break(first);
        let end = rest.find(|c: char| is_break(c) != breaks).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let (head, tail) = word.split_at(first.len_utf8());
        out.push_str(&head.to_uppercase());
        out.push_str(&tail.to_lowercase());
        rest = after;
    }
    out
}

/// The number of runs of letters, numbers and underscores.
fn words(own: &str) -> i64 {
    let mut count = 0;
    let mut within = false;
    for c in own.chars() {
        let belongs = c == '_' || if c.is_ascii() { c.is_ascii_alphanumeric() } else { is_letter_or_number(c) };
        count += i64::from(belongs && !within);
        within = belongs;
    }
    count
}
