//! Expressions: operators, attributes, items, slices, calls.

use super::arguments::{Given, mismatch, needed, text, whole};
use super::machine::Machine;
use super::syntax::{Arguments, Comparison, Expr, ExprKind, Operator, Text};
use super::value::{Function, Value, View, range_length};
use super::{Fault, Result, format, methods, numbers};

/// The longest range that Jinja's sandbox allows.
const LONGEST_RANGE: u64 = 100_000;

/// What Jinja2 defines besides.
const OTHERS: [&str; 4] = ["cycler", "joiner", "lipsum", "self"];

impl<'a> Machine<'a> {
    pub(super) fn evaluate(&mut self, expr: &'a Expr) -> Result<Value> {
        self.deeper(|machine| machine.value_of(expr))
    }

    fn value_of(&mut self, expr: &'a Expr) -> Result<Value> {
        Ok(match &expr.kind {
            ExprKind::None => Value::None,
            ExprKind::Bool(value) => Value::Bool(*value),
            ExprKind::Int(value) => Value::Int(*value),
            ExprKind::Float(value) => Value::Float(*value),
            ExprKind::Text(text) => Value::Text(text.clone()),
            ExprKind::Name(name) => {
                if &**name == "strftime_now" && self.clock.is_none() {
                    self.missed_date = true;
                }
                let value = self.lookup(name);
                if value.is_undefined() && OTHERS.contains(&&**name) {
                    return Err(Fault::new(format!("`{name}` is not supported")));
                }
                value
            }
            ExprKind::List(list) => {
                let items = self.evaluate_all(list)?;
                Value::list(items)?
            }
            ExprKind::Tuple(list) => {
                let items = self.evaluate_all(list)?;
                Value::tuple(items)?
            }
            ExprKind::Dict(pairs) => {
                let mut entries = Vec::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let key = self.evaluate(key)?;
                    let value = self.evaluate(value)?;
                    self.insert(&mut entries, key, value)?;
                }
                Value::dict(entries)?
            }
            ExprKind::Attribute(of, name) => {
                let of = self.evaluate(of)?;
                self.attribute(&of, name)?
            }
            ExprKind::Item(of, by) => {
                let of = self.evaluate(of)?;
                if let ExprKind::Slice(parts) = &by.kind {
                    let mut bounds = [None; 3];
                    for (bound, part) in bounds.iter_mut().zip(parts.iter()) {
                        *bound = match part {
                            None => None,
                            Some(part) => match self.evaluate(part)? {
                                Value::None => None,
                                value => Some(whole(&value, "[:]")?),
                            },
                        };
                    }
                    return self.slice(&of, bounds);
                }
                let by = self.evaluate(by)?;
                self.item(&of, &by)?
            }
            ExprKind::Slice(_) => return Err(Fault::new("a slice stands only inside of `[…]`")),
            ExprKind::Call(..) => self.evaluate_call(expr, None)?,
            ExprKind::Filter(of, name, arguments) => {
                let of = self.evaluate(of)?;
                let arguments = self.evaluate_arguments(arguments)?;
                self.filter(name, of, arguments)?
            }
            ExprKind::Test(of, name, arguments) => {
                let of = self.evaluate(of)?;
                let arguments = self.evaluate_arguments(arguments)?;
                Value::Bool(self.test(name, &of, arguments)?)
            }
            ExprKind::Not(of) => Value::Bool(!self.evaluate(of)?.is_true()),
            ExprKind::Negative(of) => numbers::negative(&self.evaluate(of)?)?,
            ExprKind::Positive(of) => numbers::positive(&self.evaluate(of)?)?,
            ExprKind::And(left, right) => {
                let left = self.evaluate(left)?;
                if left.is_true() { self.evaluate(right)? } else { left }
            }
            ExprKind::Or(left, right) => {
                let left = self.evaluate(left)?;
                if left.is_true() { left } else { self.evaluate(right)? }
            }
            ExprKind::Binary(operator, left, right) => {
                let left = self.evaluate(left)?;
                let right = self.evaluate(right)?;
                self.binary(*operator, &left, &right)?
            }
            ExprKind::Concat(parts) => {
                let mut texts = Vec::with_capacity(parts.len());
                for part in parts {
                    let value = self.evaluate(part)?;
                    texts.push(self.printed(&value)?);
                }
                self.pay_text(texts.iter().map(|text| text.len()).sum())?;
                Value::text(texts.concat())
            }
            ExprKind::Compare(first, rest) => {
                let mut left = self.evaluate(first)?;
                for (i, (comparison, right)) in rest.iter().enumerate() {
                    let right = self.evaluate(right)?;
                    let holds = self.compare(*comparison, &left, &right)?;
                    if !holds || i + 1 == rest.len() {
                        return Ok(Value::Bool(holds));
                    }
                    left = right;
                }
                left
            }
            ExprKind::Choice(condition, value, other) => {
                if self.evaluate(condition)?.is_true() {
                    self.evaluate(value)?
                } else {
                    match other {
                        Some(other) => self.evaluate(other)?,
                        None => Value::undefined("the inline if-expression has no `else`, and its condition is false"),
                    }
                }
            }
        })
    }

    fn evaluate_all(&mut self, list: &'a [Expr]) -> Result<Vec<Value>> {
        self.pay_list(list.len() as u64)?;
        list.iter().map(|expr| self.evaluate(expr)).collect()
    }

    pub(super) fn evaluate_arguments(&mut self, arguments: &'a Arguments) -> Result<Given> {
        let mut given = Given { positional: self.evaluate_all(&arguments.positional)?, named: Vec::new() };
        for (name, value) in &arguments.named {
            let value = self.evaluate(value)?;
            given.named.push((name.clone(), value));
        }
        if let Some(more) = &arguments.more {
            let more = self.evaluate(more)?;
            given.positional.extend(self.items(&more)?);
        }
        if let Some(more) = &arguments.more_named {
            match self.evaluate(more)? {
                Value::Dict(dict) => {
                    self.pay_list(dict.entries.len() as u64)?;
                    for (key, value) in &dict.entries {
                        let name = text(key, "**")?;
                        if given.named.iter().any(|(own, _)| *own == name) {
                            return Err(Fault::new(format!("argument `{name}` was given twice")));
                        }
                        given.named.push((name, value.clone()));
                    }
                }
                other => return Err(mismatch(&other, "a dictionary", "**")),
            }
        }
        Ok(given)
    }

    /// Puts a pair into a dictionary that is being made.
    pub(super) fn insert(&mut self, entries: &mut Vec<(Value, Value)>, key: Value, value: Value) -> Result<()> {
        if !key.is_key() {
            return Err(Fault::new(format!("{} cannot be a dictionary's key", key.kind())));
        }
        let mut steps = 0;
        let at = entries.iter().position(|(own, _)| own.equals(&key, &mut steps));
        self.pay(steps)?;
        self.pay_list(2)?;
        match at.and_then(|at| entries.get_mut(at)) {
            Some((_, own)) => *own = value,
            None => entries.push((key, value)),
        }
        Ok(())
    }

    // Calls

    pub(super) fn evaluate_call(&mut self, call: &'a Expr, caller: Option<Value>) -> Result<Value> {
        let ExprKind::Call(of, arguments) = &call.kind else { return Err(Fault::new("expected a call")) };
        if self.clock.is_none()
            && matches!(&of.kind, ExprKind::Name(name) if &**name == "strftime_now")
            && self.lookup("strftime_now").is_undefined()
        {
            return Err(Fault::new("it asks for the date (`strftime_now`), and none is given").hint(
                "give one in the manifest, such as `[predict] date = \"2025-01-31\"`: it makes runs repeatable",
            ));
        }
        let of = self.evaluate(of)?;
        let mut given = self.evaluate_arguments(arguments)?;
        given.named.extend(caller.map(|caller| ("caller".into(), caller)));
        self.call(&of, given)
    }

    fn call(&mut self, of: &Value, given: Given) -> Result<Value> {
        match of {
            Value::Undefined(message) => Err(Fault::new(message.to_string())),
            Value::Macro(number) => self.call_macro(*number, given),
            Value::Loop(number) => {
                let [values] = given.unnamed("loop")?;
                self.recurse(*number, &needed(values, "loop")?)
            }
            Value::Method(method) => {
                let (of, name) = (method.0.clone(), method.1);
                self.call_method(&of, name, given)
            }
            Value::Function(function) => self.call_function(*function, given),
            other => Err(Fault::new(format!("{} cannot be called", other.kind()))),
        }
    }

    fn call_function(&mut self, function: Function, given: Given) -> Result<Value> {
        match function {
            Function::Range => {
                let [a, b, c] = given.unnamed("range")?;
                let a = whole(&needed(a, "range")?, "range")?;
                let b = b.map(|b| whole(&b, "range")).transpose()?;
                let step = c.map_or(Ok(1), |c| whole(&c, "range"))?;
                let (start, stop) = b.map_or((0, a), |b| (a, b));
                if step == 0 {
                    return Err(Fault::new("`range`: the step is 0"));
                }
                if range_length(start, stop, step) > LONGEST_RANGE {
                    return Err(Fault::new(format!("`range`: expected at most {LONGEST_RANGE} numbers")));
                }
                Ok(Value::Range(start, stop, step))
            }
            Function::Dict => {
                let entries = self.entries(given, "dict")?;
                Value::dict(entries)
            }
            Function::Namespace => {
                let entries = self.entries(given, "namespace")?;
                self.pay_list(4 + entries.len() as u64)?;
                let number = self.namespaces.len();
                self.namespaces.push(Vec::new());
                for (key, value) in entries {
                    self.set_in_namespace(number, &text(&key, "namespace")?, value)?;
                }
                Ok(Value::Namespace(number))
            }
            Function::RaiseException => {
                let [message] = given.bind("raise_exception", ["message"])?;
                let message = self.printed(&needed(message, "raise_exception")?)?;
                Err(Fault::new(format!("it says: {message}")))
            }
            Function::StrftimeNow => {
                let [format] = given.bind("strftime_now", ["format"])?;
                let format = text(&needed(format, "strftime_now")?, "strftime_now")?;
                let Some(clock) = self.clock else { return Ok(Value::None) };
                // No directive of two characters becomes more than a few dozen.
                self.pay_text(format.len().saturating_mul(16))?;
                Ok(Value::text(clock.format(&format)?))
            }
        }
    }

    /// The pairs of `dict(…)`: a dictionary or pairs, and names.
    fn entries(&mut self, given: Given, of: &str) -> Result<Vec<(Value, Value)>> {
        let mut entries = Vec::new();
        let mut positional = given.positional.into_iter();
        match positional.next() {
            None => {}
            Some(Value::Dict(dict)) => {
                self.pay_list(2 * dict.entries.len() as u64)?;
                entries.extend(dict.entries.iter().cloned());
            }
            Some(pairs) => {
                for pair in self.items(&pairs)? {
                    let mut pair = self.items(&pair)?.into_iter();
                    match (pair.next(), pair.next(), pair.next()) {
                        (Some(key), Some(value), None) => self.insert(&mut entries, key, value)?,
                        _ => return Err(Fault::new(format!("`{of}`: expected pairs"))),
                    }
                }
            }
        }
        if positional.next().is_some() {
            return Err(Fault::new(format!("`{of}` takes at most one argument without a name")));
        }
        for (name, value) in given.named {
            self.insert(&mut entries, Value::Text(name), value)?;
        }
        Ok(entries)
    }

    // Attributes and items

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

    fn slice(&mut self, of: &Value, [start, stop, step]: [Option<i64>; 3]) -> Result<Value> {
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

    fn binary(&mut self, operator: Operator, left: &Value, right: &Value) -> Result<Value> {
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
