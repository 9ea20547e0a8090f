//! What `.name` and `[key]` give of a value.

use super::arguments::mismatch;
use super::machine::Machine;
use super::methods;
use super::syntax::Text;
use super::value::{Value, range_length};
use super::{Fault, Result};

impl Machine<'_> {
    /// `of.name`: an attribute of Python's, else an item.
    pub(super) fn attribute(&mut self, of: &Value, name: &Text) -> Result<Value> {
        if let Value::Undefined(message) = of {
            return Err(Fault::new(message.to_string()));
        }
        if let Some(value) = self.own_attribute(of, name)? {
            return Ok(value);
        }
        if let Value::Dict(dict) = of {
            let mut steps = 0;
            let found = dict.get(&Value::Text(name.clone()), &mut steps).cloned();
            self.pay(steps)?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Ok(Value::undefined(format!("{} has no attribute `{name}`", of.kind())))
    }

    /// What Python itself gives a value: methods, a namespace's names, a loop's properties.
    fn own_attribute(&mut self, of: &Value, name: &Text) -> Result<Option<Value>> {
        if name.starts_with("__") {
            return Err(Fault::new(format!("access to attribute `{name}` is unsafe")));
        }
        match of {
            Value::Namespace(number) => {
                let names = self.namespaces.get(*number);
                return Ok(names.and_then(|names| names.iter().find(|(own, _)| own == name)).map(|(_, v)| v.clone()));
            }
            Value::Loop(number) => return self.loop_attribute(*number, name).map(Some),
            Value::Macro(number) if &**name == "name" => return Ok(Some(Value::Text(self.macro_name(*number)))),
            Value::Range(start, stop, step) => {
                let value = match &**name {
                    "start" => start,
                    "stop" => stop,
                    "step" => step,
                    _ => return methods::method(of, name),
                };
                return Ok(Some(Value::Int(*value)));
            }
            _ => {}
        }
        methods::method(of, name)
    }

    fn loop_attribute(&mut self, number: usize, name: &str) -> Result<Value> {
        let Some(state) = self.loops.get(number) else { return Ok(Value::None) };
        let (given, depth) = (state.given, state.depth);
        Ok(match name {
            "index" => Value::Int(given),
            "index0" => Value::Int(given - 1),
            "first" => Value::Bool(given == 1),
            "depth" => Value::Int(depth + 1),
            "depth0" => Value::Int(depth),
            "previtem" => state.before.clone().unwrap_or_else(|| Value::undefined("there is no previous item")),
            "last" => Value::Bool(self.peek(number)?.is_none()),
            "nextitem" => self.peek(number)?.unwrap_or_else(|| Value::undefined("there is no next item")),
            "length" => Value::Int(self.length_of(number)?),
            "revindex" => Value::Int(self.length_of(number)? - given + 1),
            "revindex0" => Value::Int(self.length_of(number)? - given),
            "cycle" => Value::method(Value::Loop(number), "cycle")?,
            "changed" => Value::method(Value::Loop(number), "changed")?,
            _ => return Ok(Value::undefined(format!("a loop has no attribute `{name}`"))),
        })
    }

    /// `of[by]`: an item, else an attribute where it is a name.
    pub(super) fn item(&mut self, of: &Value, by: &Value) -> Result<Value> {
        let mut steps = 0;
        let found = match (of, by.whole()) {
            (Value::Undefined(message), _) => return Err(Fault::new(message.to_string())),
            (Value::Dict(dict), _) if by.is_key() => dict.get(by, &mut steps).cloned(),
            (Value::List(list) | Value::Tuple(list), Some(at)) => {
                position(at, list.items.len()).map(|at| list.items[at].clone())
            }
            (Value::Text(text), Some(at)) => {
                steps = text.len() as u64 / 8;
                char_at(text, at).map(|c| Value::text(c.to_string()))
            }
            (Value::Range(start, stop, step), Some(at)) => {
                let length = range_length(*start, *stop, *step) as usize;
                position(at, length).map(|at| Value::Int(start + at as i64 * step))
            }
            (Value::Markup(_), _) => return Err(mismatch(of, "a text that is not marked as safe", "[]")),
            _ => None,
        };
        self.pay(steps)?;
        if let Some(found) = found {
            return Ok(found);
        }
        if let Value::Text(name) = by
            && let Some(found) = self.own_attribute(of, name)?
        {
            return Ok(found);
        }
        let by = self.printed(by)?;
        Ok(Value::undefined(format!("{} has no item `{by}`", of.kind())))
    }

    pub(super) fn slice(&mut self, of: &Value, [start, stop, step]: [Option<i64>; 3]) -> Result<Value> {
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(Fault::new("the step of a slice is 0"));
        }
        let places = |length: usize| -> Vec<usize> {
            let length = length as i64;
            let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
            let bound = |value: Option<i64>, default: i64| match value {
                None => default,
                Some(value) if value < 0 => value.saturating_add(length).max(low),
                Some(value) => value.min(high),
            };
            let (start, stop) =
                if step > 0 { (bound(start, 0), bound(stop, length)) } else { (bound(start, high), bound(stop, -1)) };
            let count = range_length(start, stop, step);
            (0..count).filter_map(|i| usize::try_from(start + i as i64 * step).ok()).collect()
        };
        match of {
            Value::List(list) | Value::Tuple(list) => {
                self.pay_list(list.items.len() as u64)?;
                let items = places(list.items.len()).into_iter().filter_map(|at| list.items.get(at).cloned()).collect();
                if matches!(of, Value::List(_)) { Value::list(items) } else { Value::tuple(items) }
            }
            Value::Text(text) => {
                // A place for each character, and the characters.
                self.pay_text(text.len().saturating_mul(12))?;
                let chars: Vec<char> = text.chars().collect();
                Ok(Value::text(places(chars.len()).into_iter().filter_map(|at| chars.get(at)).collect::<String>()))
            }
            other => Err(mismatch(other, "a text or a list", "[:]")),
        }
    }

    // Operators
}

/// Where index `at` lies in `length` elements, counted from the end where negative.
pub(super) fn position(at: i64, length: usize) -> Option<usize> {
    let at = if at < 0 { at.checked_add(length as i64)? } else { at };
    usize::try_from(at).ok().filter(|&at| at < length)
}

fn char_at(text: &str, at: i64) -> Option<char> {
    match at {
        0.. => text.chars().nth(usize::try_from(at).ok()?),
        _ => text.chars().rev().nth(usize::try_from(at.checked_neg()? - 1).ok()?),
    }
}
