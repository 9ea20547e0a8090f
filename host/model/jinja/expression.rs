//! The value of an expression: literals, calls, and the functions that Jinja defines.

use super::arguments::{Given, mismatch, needed, text, whole};
use super::machine::Machine;
use super::syntax::{Arguments, Expr, ExprKind};
use super::value::{Function, Value, range_length};
use super::{Fault, Result, numbers};

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
}
