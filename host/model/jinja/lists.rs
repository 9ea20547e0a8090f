//! Filters of lists: sorting, selecting, grouping, parting.

use std::cmp::Ordering;

use super::arguments::{Given, mismatch, needed, text, whole};
use super::machine::Machine;
use super::syntax::Text;
use super::value::Value;
use super::{Fault, Result};

/// A stable sort that may fail, and that no order can break.
pub(super) fn sorted<T>(items: Vec<T>, mut order: impl FnMut(&T, &T) -> Result<Ordering>) -> Result<Vec<T>> {
    merge(items, &mut order)
}

fn merge<T>(mut left: Vec<T>, order: &mut impl FnMut(&T, &T) -> Result<Ordering>) -> Result<Vec<T>> {
    if left.len() < 2 {
        return Ok(left);
    }
    let right = left.split_off(left.len() / 2);
    let (left, right) = (merge(left, order)?, merge(right, order)?);
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    loop {
        let takes_right = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => order(b, a)?.is_lt(),
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => return Ok(out),
        };
        out.extend(if takes_right { right.next() } else { left.next() });
    }
}

fn folded(value: Value, sensitive: bool) -> Value {
    match value {
        Value::Text(text) if !sensitive => Value::text(text.to_lowercase()),
        other => other,
    }
}

impl Machine<'_> {
    /// The path of an attribute, such as `a.b` or 0.
    fn path(&mut self, attribute: &Value) -> Result<Vec<Value>> {
        Ok(match attribute {
            Value::None => Vec::new(),
            Value::Text(text) => {
                self.pay_list(text.len() as u64)?;
                let part = |part: &str| match part.parse() {
                    Ok(number) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(number),
                    _ => Value::text(part),
                };
                text.split('.').map(part).collect()
            }
            other => vec![other.clone()],
        })
    }

    fn get(&mut self, item: &Value, path: &[Value], default: Option<&Value>) -> Result<Value> {
        let mut value = item.clone();
        for part in path {
            value = self.item(&value, part)?;
            if let (true, Some(default)) = (value.is_undefined(), default) {
                value = default.clone();
            }
        }
        Ok(value)
    }

    fn keyed(&mut self, items: Vec<Value>, paths: &[Vec<Value>], sensitive: bool) -> Result<Vec<(Vec<Value>, Value)>> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let mut key = Vec::with_capacity(paths.len());
            for path in paths {
                key.push(folded(self.get(&item, path, None)?, sensitive));
            }
            self.pay_list(paths.len() as u64)?;
            out.push((key, item));
        }
        Ok(out)
    }

    fn in_order(&mut self, keyed: Vec<(Vec<Value>, Value)>, reverse: bool) -> Result<Vec<(Vec<Value>, Value)>> {
        let mut steps = 0;
        let sorted = sorted(keyed, |(a, _), (b, _)| {
            for (a, b) in a.iter().zip(b) {
                if !a.equals(b, &mut steps) {
                    let order = a.order(b, &mut steps)?;
                    return Ok(if reverse { order.reverse() } else { order });
                }
            }
            Ok(Ordering::Equal)
        })?;
        self.pay(steps)?;
        Ok(sorted)
    }

    pub(super) fn sort(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [reverse, sensitive, attribute] = given.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
        let is = |value: Option<Value>| value.is_some_and(|value| value.is_true());
        let paths = match attribute {
            Some(Value::Text(names)) => {
                let names: Vec<Value> = names.split(',').map(Value::text).collect();
                names.iter().map(|name| self.path(name)).collect::<Result<Vec<_>>>()?
            }
            other => vec![self.path(&other.unwrap_or(Value::None))?],
        };
        let items = self.items(value)?;
        let keyed = self.keyed(items, &paths, is(sensitive))?;
        let sorted = self.in_order(keyed, is(reverse))?;
        Value::list(sorted.into_iter().map(|(_, item)| item).collect())
    }

    pub(super) fn dictsort(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [sensitive, by, reverse] = given.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
        let Value::Dict(dict) = value else { return Err(mismatch(value, "a dictionary", "dictsort")) };
        let by = by.map_or(Ok("key".into()), |by| text(&by, "dictsort"))?;
        let is = |value: Option<Value>| value.is_some_and(|value| value.is_true());
        let (sensitive, reverse) = (is(sensitive), is(reverse));
        let place = match &*by {
            "key" => 0,
            "value" => 1,
            _ => return Err(Fault::new("`dictsort`: expected `key` or `value` for `by`")),
        };
        let items = self.items(&Value::View(super::value::View::Items, dict.clone()))?;
        let keyed = self.keyed(items, &[vec![Value::Int(place)]], sensitive)?;
        let sorted = self.in_order(keyed, reverse)?;
        Value::list(sorted.into_iter().map(|(_, item)| item).collect())
    }

    pub(super) fn unique(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [sensitive, attribute] = given.bind("unique", ["case_sensitive", "attribute"])?;
        let path = self.path(&attribute.unwrap_or(Value::None))?;
        let items = self.items(value)?;
        let keyed = self.keyed(items, &[path], sensitive.is_some_and(|value| value.is_true()))?;
        let (mut seen, mut out): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        for (key, item) in keyed {
            let key = Value::tuple(key)?;
            if !key.is_key() {
                return Err(Fault::new("`unique`: a list or a dictionary cannot be told from others"));
            }
            let mut steps = 0;
            let known = seen.iter().any(|own| own.equals(&key, &mut steps));
            self.pay(steps)?;
            if !known {
                seen.push(key);
                out.push(item);
            }
        }
        Value::generator(out)
    }

    /// `min` and `max`.
    pub(super) fn extreme(&mut self, name: &str, value: &Value, given: Given) -> Result<Value> {
        let [sensitive, attribute] = given.bind(name, ["case_sensitive", "attribute"])?;
        let path = self.path(&attribute.unwrap_or(Value::None))?;
        let items = self.items(value)?;
        let keyed = self.keyed(items, &[path], sensitive.is_some_and(|value| value.is_true()))?;
        let mut best: Option<(Vec<Value>, Value)> = None;
        let mut steps = 0;
        for (key, item) in keyed {
            let better = match &best {
                None => true,
                Some((own, _)) => {
                    let order = key[0].order(&own[0], &mut steps)?;
                    if name == "min" { order.is_lt() } else { order.is_gt() }
                }
            };
            if better {
                best = Some((key, item));
            }
        }
        self.pay(steps)?;
        Ok(best.map_or_else(|| Value::undefined("no item was there, the sequence was empty"), |(_, item)| item))
    }

    pub(super) fn sum(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [attribute, start] = given.bind("sum", ["attribute", "start"])?;
        let path = self.path(&attribute.unwrap_or(Value::None))?;
        let mut total = start.unwrap_or(Value::Int(0));
        for item in self.items(value)? {
            let item = self.get(&item, &path, None)?;
            if matches!(item, Value::Text(_)) {
                return Err(Fault::new("`sum`: expected numbers, found a text"));
            }
            total = match super::numbers::binary(super::syntax::Operator::Add, &total, &item)? {
                Some(total) => total,
                None => return Err(mismatch(&item, "numbers", "sum")),
            };
        }
        Ok(total)
    }

    pub(super) fn groupby(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [attribute, default, sensitive] = given.bind("groupby", ["attribute", "default", "case_sensitive"])?;
        let sensitive = sensitive.is_some_and(|value| value.is_true());
        let path = self.path(&needed(attribute, "groupby")?)?;
        let mut keyed = Vec::new();
        for item in self.items(value)? {
            let key = self.get(&item, &path, default.as_ref())?;
            keyed.push((vec![folded(key, sensitive)], item));
        }
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        let mut steps = 0;
        for (mut key, item) in self.in_order(keyed, false)? {
            let key = key.pop().unwrap_or(Value::None);
            match groups.last_mut() {
                Some((own, items)) if own.equals(&key, &mut steps) => items.push(item),
                _ => groups.push((key, vec![item])),
            }
        }
        self.pay(steps)?;
        let mut out = Vec::with_capacity(groups.len());
        for (key, items) in groups {
            // The first item's own spelling.
            let key = match items.first().filter(|_| !sensitive) {
                Some(first) => self.get(&first.clone(), &path, default.as_ref())?,
                None => key,
            };
            out.push(Value::tuple(vec![key, Value::list(items)?])?);
        }
        Value::list(out)
    }

    pub(super) fn map(&mut self, value: &Value, mut given: Given) -> Result<Value> {
        // Nothing, none included, is nothing, whatever the arguments.
        if !value.is_true() {
            return Value::generator(Vec::new());
        }
        let items = self.items(value)?;
        let mut out = Vec::with_capacity(items.len());
        if given.positional.is_empty() && given.named.iter().any(|(name, _)| &**name == "attribute") {
            let [attribute, default] = given.bind("map", ["attribute", "default"])?;
            let path = self.path(&needed(attribute, "map")?)?;
            for item in items {
                out.push(self.get(&item, &path, default.as_ref())?);
            }
        } else {
            if given.positional.is_empty() {
                return Err(Fault::new("`map` needs a filter's name"));
            }
            let name = text(&given.positional.remove(0), "map")?;
            for item in items {
                let again = self.again(&given)?;
                out.push(self.deeper(|machine| machine.filter(&name, item, again))?);
            }
        }
        Value::generator(out)
    }

    /// The same arguments once more.
    fn again(&mut self, given: &Given) -> Result<Given> {
        self.pay_list((given.positional.len() + given.named.len()) as u64)?;
        Ok(Given { positional: given.positional.clone(), named: given.named.clone() })
    }

    /// `select`, `reject`, `selectattr` and `rejectattr`.
    pub(super) fn select(&mut self, name: &str, value: &Value, mut given: Given) -> Result<Value> {
        if !value.is_true() {
            return Value::generator(Vec::new());
        }
        let items = self.items(value)?;
        let path = if name.ends_with("attr") {
            if given.positional.is_empty() {
                return Err(Fault::new(format!("`{name}` needs an attribute")));
            }
            let attribute = given.positional.remove(0);
            self.path(&attribute)?
        } else {
            Vec::new()
        };
        let test: Option<Text> = match given.positional.first() {
            None => None,
            Some(test) => Some(text(test, name)?),
        };
        if test.is_some() {
            given.positional.remove(0);
        }
        let wanted = name.starts_with("select");
        let mut out = Vec::new();
        for item in items {
            let tested = self.get(&item, &path, None)?;
            let holds = match &test {
                None => tested.is_true(),
                Some(test) => {
                    let again = self.again(&given)?;
                    self.deeper(|machine| machine.test(test, &tested, again))?
                }
            };
            if holds == wanted {
                out.push(item);
            }
        }
        Value::generator(out)
    }

    pub(super) fn batch(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [count, fill] = given.bind("batch", ["linecount", "fill_with"])?;
        let count = usize::try_from(whole(&needed(count, "batch")?, "batch")?).unwrap_or(0);
        let items = self.items(value)?;
        if count == 0 {
            return Err(Fault::new("`batch`: expected a positive number"));
        }
        let mut out = Vec::new();
        for chunk in items.chunks(count) {
            let mut chunk = chunk.to_vec();
            if let Some(fill) = fill.as_ref().filter(|fill| !matches!(fill, Value::None)) {
                self.pay_list((count - chunk.len()) as u64)?;
                chunk.resize(count, fill.clone());
            }
            self.pay_list(1)?;
            out.push(Value::list(chunk)?);
        }
        Value::generator(out)
    }

    pub(super) fn slices(&mut self, value: &Value, given: Given) -> Result<Value> {
        let [count, fill] = given.bind("slice", ["slices", "fill_with"])?;
        let items = self.items(value)?;
        let count = whole(&needed(count, "slice")?, "slice")?;
        if count == 0 {
            return Err(Fault::new("`slice`: expected a number that is not 0"));
        }
        let count = usize::try_from(count).unwrap_or(0);
        self.pay_list((count as u64).saturating_mul(4))?;
        let fill = fill.filter(|fill| !matches!(fill, Value::None));
        let (each, more) = (items.len().checked_div(count).unwrap_or(0), items.len().checked_rem(count).unwrap_or(0));
        let mut out = Vec::with_capacity(count);
        let mut start = 0;
        for slice in 0..count {
            let end = start + each + usize::from(slice < more);
            let mut part = items[start..end].to_vec();
            if let Some(fill) = fill.as_ref().filter(|_| slice >= more) {
                part.push(fill.clone());
            }
            out.push(Value::list(part)?);
            start = end;
        }
        Value::generator(out)
    }
}
