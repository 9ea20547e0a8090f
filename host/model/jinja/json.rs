//! `tojson` as `json.dumps(ensure_ascii=False)`, and what a template is given.

use serde_json::Value as Json;

use super::arguments::{Given, mismatch};
use super::machine::Machine;
use super::text::{escape, float};
use super::value::Value;
use super::{Fault, LONGEST, Result, too_much};

/// What a template is given, as a value.
pub(super) fn read(json: &Json) -> Result<Value> {
    Ok(match json {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(float)) if number.is_f64() => Value::Float(float),
            _ => return Err(Fault::new(format!("`{number}` is not supported: expected at most 63 bits"))),
        },
        Json::String(text) => Value::text(text.as_str()),
        Json::Array(list) => Value::list(list.iter().map(read).collect::<Result<_>>()?)?,
        Json::Object(map) => {
            let pair = |(key, value): (&String, &Json)| Ok((Value::text(key.as_str()), read(value)?));
            Value::dict(map.iter().map(pair).collect::<Result<_>>()?)?
        }
    })
}

struct Writer {
    out: String,
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sorted: bool,
}

impl Machine<'_> {
    pub(super) fn as_json(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [ascii, indent, separators, sorted] =
            given.bind("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])?;
        let indent = match indent {
            None | Some(Value::None) => None,
            Some(Value::Text(text)) => Some(text.to_string()),
            Some(other) => {
                let width = usize::try_from(super::arguments::whole(&other, "tojson")?).unwrap_or(0);
                self.pay_text(width)?;
                Some(" ".repeat(width))
            }
        };
        let (item, key) = match separators {
            None | Some(Value::None) => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
            Some(pair) => match &self.items(&pair)?[..] {
                [Value::Text(item), Value::Text(key)] => (item.to_string(), key.to_string()),
                _ => return Err(Fault::new("`tojson`: expected two texts as `separators`")),
            },
        };
        let is = |value: Option<Value>| value.is_some_and(|value| value.is_true());
        let mut writer = Writer { out: String::new(), ascii: is(ascii), indent, item, key, sorted: is(sorted) };
        writer.write(value, 0)?;
        self.pay_text(writer.out.len())?;
        Ok(Value::text(writer.out))
    }
}

impl Writer {
    fn write(&mut self, value: &Value, depth: usize) -> Result<()> {
        if self.out.len() > LONGEST {
            return Err(too_much());
        }
        match value {
            Value::None => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => self.out.push_str(&value.to_string()),
            Value::Float(value) => self.out.push_str(&number(*value)),
            Value::Text(text) => self.text(text),
            Value::List(list) | Value::Tuple(list) => {
                self.out.push('[');
                for (i, item) in list.items.iter().enumerate() {
                    self.between(i, depth + 1);
                    self.write(item, depth + 1)?;
                }
                self.close(list.items.is_empty(), depth, ']');
            }
            Value::Dict(dict) => {
                let mut entries: Vec<&(Value, Value)> = dict.entries.iter().collect();
                if self.sorted {
                    let mut steps = 0;
                    entries = super::lists::sorted(entries, |a, b| a.0.order(&b.0, &mut steps))?;
                }
                self.out.push('{');
                for (i, (key, value)) in entries.into_iter().enumerate() {
                    self.between(i, depth + 1);
                    match key {
                        Value::Text(text) => self.text(text),
                        Value::None => self.out.push_str("\"null\""),
                        Value::Bool(true) => self.out.push_str("\"true\""),
                        Value::Bool(false) => self.out.push_str("\"false\""),
                        Value::Int(value) => self.out.push_str(&format!("\"{value}\"")),
                        Value::Float(value) => self.out.push_str(&format!("\"{}\"", number(*value))),
                        other => return Err(mismatch(other, "a text or a number as key", "tojson")),
                    }
                    self.out.push_str(&self.key);
                    self.write(value, depth + 1)?;
                }
                self.close(dict.entries.is_empty(), depth, '}');
            }
            other => return Err(mismatch(other, "what JSON has", "tojson")),
        }
        Ok(())
    }

    fn between(&mut self, i: usize, depth: usize) {
        if i > 0 {
            self.out.push_str(&self.item);
        }
        self.line(depth);
    }

    fn close(&mut self, is_empty: bool, depth: usize, end: char) {
        if !is_empty {
            self.line(depth);
        }
        self.out.push(end);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            // Bounded by what a template may make: depth is at most a hundred.
            (0..depth).take_while(|i| i * indent.len() < LONGEST).for_each(|_| self.out.push_str(indent));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\0'..='\u{1f}' => self.out.push_str(&format!("\\u{:04x}", c as u32)),
                c if self.ascii && !c.is_ascii() => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                // DEL is written as it is, unless all must be ASCII, which it is.
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else {
        float(value)
    }
}

/// Python's `ascii` of a printed value.
pub(super) fn only_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() { out.push(c) } else { escape(&mut out, c) }
    }
    out
}
