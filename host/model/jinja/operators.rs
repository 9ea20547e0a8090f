//! Operators of two values, and what a loop goes through.

use super::arguments::mismatch;
use super::machine::Machine;
use super::syntax::{Comparison, Operator};
use super::value::{Value, View, range_length};
use super::{Fault, Result, format, numbers};

impl Machine<'_> {
    pub(super) fn binary(&mut self, operator: Operator, left: &Value, right: &Value) -> Result<Value> {
        if let Some(value) = numbers::binary(operator, left, right)? {
            return Ok(value);
        }
        match (operator, left, right) {
            (Operator::Add, Value::Text(a), Value::Text(b)) => {
                self.pay_text(a.len() + b.len())?;
                Ok(Value::text(format!("{a}{b}")))
            }
            (Operator::Add, Value::List(a), Value::List(b)) => {
                self.pay_list((a.items.len() + b.items.len()) as u64)?;
                Value::list([&a.items[..], &b.items].concat())
            }
            (Operator::Add, Value::Tuple(a), Value::Tuple(b)) => {
                self.pay_list((a.items.len() + b.items.len()) as u64)?;
                Value::tuple([&a.items[..], &b.items].concat())
            }
            (Operator::Modulo, Value::Text(pattern), _) => format::percent(self, pattern, right),
            (Operator::Multiply, Value::Text(text), times) | (Operator::Multiply, times, Value::Text(text))
                if times.whole().is_some() =>
            {
                let times = usize::try_from(times.whole().unwrap_or(0)).unwrap_or(0);
                self.pay_text(text.len().saturating_mul(times))?;
                Ok(Value::text(text.repeat(times)))
            }
            (Operator::Multiply, list @ (Value::List(items) | Value::Tuple(items)), times)
            | (Operator::Multiply, times, list @ (Value::List(items) | Value::Tuple(items)))
                if times.whole().is_some() =>
            {
                let times = usize::try_from(times.whole().unwrap_or(0)).unwrap_or(0);
                self.pay_list((items.items.len() as u64).saturating_mul(times as u64))?;
                let own = &items.items;
                let items = if own.is_empty() {
                    Vec::new()
                } else {
                    own.iter().cycle().take(own.len() * times).cloned().collect()
                };
                if matches!(list, Value::List(_)) { Value::list(items) } else { Value::tuple(items) }
            }
            _ => Err(match (left, right) {
                (Value::Undefined(message), _) | (_, Value::Undefined(message)) => Fault::new(message.to_string()),
                _ => Fault::new(format!("`{}` does not work on {} and {}", operator.sign(), left.kind(), right.kind())),
            }),
        }
    }

    pub(super) fn compare(&mut self, comparison: Comparison, left: &Value, right: &Value) -> Result<bool> {
        let mut steps = 0;
        let holds = match comparison {
            Comparison::Equal => left.equals(right, &mut steps),
            Comparison::NotEqual => !left.equals(right, &mut steps),
            Comparison::Less => left.order(right, &mut steps)?.is_lt(),
            Comparison::LessOrEqual => left.order(right, &mut steps)?.is_le(),
            Comparison::Greater => left.order(right, &mut steps)?.is_gt(),
            Comparison::GreaterOrEqual => left.order(right, &mut steps)?.is_ge(),
            Comparison::In => return self.contains(right, left),
            Comparison::NotIn => return Ok(!self.contains(right, left)?),
        };
        self.pay(steps)?;
        Ok(holds)
    }

    pub(super) fn contains(&mut self, all: &Value, one: &Value) -> Result<bool> {
        let mut steps = 0;
        let found = match all {
            Value::Text(all) | Value::Markup(all) => match one {
                Value::Text(one) | Value::Markup(one) => {
                    steps = all.len() as u64 / 8;
                    all.contains(&**one)
                }
                other => return Err(mismatch(other, "a text", "in")),
            },
            Value::List(list) | Value::Tuple(list) => list.items.iter().any(|item| item.equals(one, &mut steps)),
            Value::Dict(dict) | Value::View(View::Keys, dict) => {
                if !one.is_key() {
                    return Err(Fault::new(format!("{} cannot be a dictionary's key", one.kind())));
                }
                dict.get(one, &mut steps).is_some()
            }
            Value::Generator(generator) => loop {
                match generator.items.borrow_mut().pop_front() {
                    None => break false,
                    Some(item) if item.equals(one, &mut steps) => break true,
                    Some(_) => {}
                }
            },
            Value::Undefined(_) => false,
            Value::View(..) | Value::Range(..) => self.items(all)?.iter().any(|item| item.equals(one, &mut steps)),
            other => return Err(mismatch(other, "a text, a list or a dictionary", "in")),
        };
        self.pay(steps)?;
        Ok(found)
    }

    /// What iterating over a value gives. Errors: what cannot be iterated over.
    pub(super) fn items(&mut self, of: &Value) -> Result<Vec<Value>> {
        match of {
            Value::Undefined(_) => Ok(Vec::new()),
            Value::Text(text) | Value::Markup(text) => {
                self.pay_list(text.chars().count() as u64)?;
                Ok(text.chars().map(|c| Value::text(c.to_string())).collect())
            }
            Value::List(list) | Value::Tuple(list) => {
                self.pay_list(list.items.len() as u64)?;
                Ok(list.items.clone())
            }
            Value::Dict(dict) => {
                self.pay_list(dict.entries.len() as u64)?;
                View::Keys.items(dict)
            }
            Value::View(view, dict) => {
                self.pay_list(3 * dict.entries.len() as u64)?;
                view.items(dict)
            }
            Value::Range(start, stop, step) => {
                let length = range_length(*start, *stop, *step);
                self.pay_list(length)?;
                Ok((0..length).map(|i| Value::Int(start + i as i64 * step)).collect())
            }
            Value::Generator(generator) => Ok(generator.items.borrow_mut().drain(..).collect()),
            other => Err(mismatch(other, "what can be iterated over", "for")),
        }
    }
}
