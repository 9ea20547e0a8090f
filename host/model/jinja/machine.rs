//! Statements: text, conditions, loops, assignments, macros; and the scopes that they see.

use std::collections::VecDeque;

use super::clock::Clock;
use super::syntax::{Body, For, MacroDefinition, Statement, StatementKind, Step, Target, Text};
use super::text::print;
use super::value::{Function, Value};
use super::{Fault, LONGEST, Rendered, Result, WORK, json, too_much};

/// What a step costs, and an element of a list.
const STEP: u64 = 10;
pub(super) const ELEMENT: u64 = 32;
/// How deep evaluation may go, macros that call themselves included.
const DEEPEST: usize = 2000;

/// How a body was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

/// A template that is being evaluated. Values refer to what must be shared by number, so that nothing holds itself.
pub(super) struct Machine<'a> {
    scopes: Vec<Scope>,
    scope: usize,
    /// How many macros have kept a scope so far.
    kept: usize,
    pub(super) namespaces: Vec<Vec<(Text, Value)>>,
    macros: Vec<Macro<'a>>,
    pub(super) loops: Vec<Loop<'a>>,
    pub(super) clock: Option<&'a Clock>,
    pub(super) missed_date: bool,
    work: u64,
    depth: usize,
}

/// Where a scope was opened.
struct Left {
    scope: usize,
    kept: usize,
    scopes: usize,
}

struct Scope {
    parent: Option<usize>,
    names: Vec<(Text, Value)>,
}

#[derive(Clone, Copy)]
struct Macro<'a> {
    definition: &'a MacroDefinition,
    scope: usize,
}

/// A loop: what it has given, and what it will.
pub(super) struct Loop<'a> {
    definition: &'a For,
    scope: usize,
    pending: VecDeque<Value>,
    /// Whether those have passed the condition already.
    passed: bool,
    /// The next value, where it was looked at already.
    after: Option<Value>,
    pub(super) before: Option<Value>,
    pub(super) current: Option<Value>,
    /// How many values were given.
    pub(super) given: i64,
    pub(super) depth: i64,
    pub(super) changed: Option<Vec<Value>>,
}

pub(super) fn render(body: &Body, names: &[(&str, &serde_json::Value)], clock: Option<&Clock>) -> Result<Rendered> {
    let mut machine = Machine {
        scopes: vec![Scope { parent: None, names: Vec::new() }],
        scope: 0,
        kept: 0,
        namespaces: Vec::new(),
        macros: Vec::new(),
        loops: Vec::new(),
        clock,
        missed_date: false,
        work: WORK,
        depth: 0,
    };
    for (name, value) in names {
        let value = json::read(value)?;
        machine.assign((*name).into(), value);
    }
    machine.enter(0)?;
    let mut text = String::new();
    machine.run(body, &mut text)?;
    Ok(Rendered { text, missed_date: machine.missed_date })
}

impl<'a> Machine<'a> {
    /// Pays for work before it is done.
    pub(super) fn pay(&mut self, work: u64) -> Result<()> {
        self.work = self.work.checked_sub(work).ok_or_else(too_much)?;
        Ok(())
    }

    /// Pays for a text of so many bytes.
    pub(super) fn pay_text(&mut self, bytes: usize) -> Result<()> {
        if bytes > LONGEST {
            return Err(too_much());
        }
        self.pay(bytes as u64)
    }

    /// Pays for a list of so many elements.
    pub(super) fn pay_list(&mut self, elements: u64) -> Result<()> {
        self.pay(elements.saturating_mul(ELEMENT))
    }

    /// Pays for a step, and goes one deeper.
    pub(super) fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.pay(STEP)?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Fault::new(format!("macros, loops and expressions call each other more than {DEEPEST} deep")));
        }
        let done = work(self)?;
        self.depth -= 1;
        Ok(done)
    }

    // Scopes

    /// Opens a scope inside of `parent`.
    fn enter(&mut self, parent: usize) -> Result<Left> {
        self.pay(ELEMENT)?;
        let left = Left { scope: self.scope, kept: self.kept, scopes: self.scopes.len() };
        self.scopes.push(Scope { parent: Some(parent), names: Vec::new() });
        self.scope = left.scopes;
        Ok(left)
    }

    /// Goes back to where the scope was opened; what no macro needs is let go.
    fn leave(&mut self, left: Left) {
        if self.kept == left.kept {
            self.scopes.truncate(left.scopes);
        }
        self.scope = left.scope;
    }

    pub(super) fn assign(&mut self, name: Text, value: Value) {
        if let Some(scope) = self.scopes.get_mut(self.scope) {
            match scope.names.iter_mut().find(|(own, _)| *own == name) {
                Some((_, own)) => *own = value,
                None => scope.names.push((name, value)),
            }
        }
    }

    pub(super) fn lookup(&mut self, name: &str) -> Value {
        let mut scope = self.scopes.get(self.scope);
        while let Some(here) = scope {
            if let Some((_, value)) = here.names.iter().find(|(own, _)| &**own == name) {
                return value.clone();
            }
            scope = here.parent.and_then(|parent| self.scopes.get(parent));
        }
        match name {
            "range" => Value::Function(Function::Range),
            "dict" => Value::Function(Function::Dict),
            "namespace" => Value::Function(Function::Namespace),
            "raise_exception" => Value::Function(Function::RaiseException),
            "strftime_now" if self.clock.is_some() => Value::Function(Function::StrftimeNow),
            _ => Value::undefined(format!("`{name}` is undefined")),
        }
    }

    fn assign_to(&mut self, target: &Target, value: Value) -> Result<()> {
        match target {
            Target::Name(name) => {
                self.assign(name.clone(), value);
                Ok(())
            }
            Target::Attribute(name, attribute) => match self.lookup(name) {
                Value::Namespace(number) => self.set_in_namespace(number, attribute, value),
                _ => {
                    Err(Fault::new(format!("`{name}.{attribute}`: expected a namespace, and only then an assignment")))
                }
            },
            Target::Tuple(targets) => {
                let values = self.items(&value)?;
                if values.len() != targets.len() {
                    let (expected, found) = (targets.len(), values.len());
                    return Err(Fault::new(format!("expected {expected} values to assign, found {found}")));
                }
                targets.iter().zip(values).try_for_each(|(target, value)| self.assign_to(target, value))
            }
        }
    }

    pub(super) fn set_in_namespace(&mut self, number: usize, name: &Text, value: Value) -> Result<()> {
        if name.starts_with('_') {
            return Err(Fault::new(format!("`{name}`: a name in a namespace begins with no underscore")));
        }
        if let Some(namespace) = self.namespaces.get_mut(number) {
            match namespace.iter_mut().find(|(own, _)| own == name) {
                Some((_, own)) => *own = value,
                None => namespace.push((name.clone(), value)),
            }
        }
        Ok(())
    }

    // Statements

    pub(super) fn run(&mut self, body: &'a Body, out: &mut String) -> Result<Flow> {
        for statement in body {
            let flow = self.deeper(|machine| machine.statement(statement, out)).map_err(|mut fault| {
                fault.line.get_or_insert(statement.line);
                fault
            })?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'a Statement, out: &mut String) -> Result<Flow> {
        match &statement.kind {
            StatementKind::Text(text) => self.put(out, text)?,
            StatementKind::Print(value) => {
                let value = self.evaluate(value)?;
                let printed = self.printed(&value)?;
                self.put(out, &printed)?;
            }
            StatementKind::If(cases, otherwise) => {
                for (condition, body) in cases {
                    if self.evaluate(condition)?.is_true() {
                        return self.run(body, out);
                    }
                }
                return self.run(otherwise, out);
            }
            StatementKind::For(definition) => {
                let values = self.evaluate(&definition.values)?;
                self.repeat(definition, &values, 0, out)?;
            }
            StatementKind::Set(target, value) => {
                let value = self.evaluate(value)?;
                self.assign_to(target, value)?;
            }
            StatementKind::SetBlock(target, steps, body) => {
                let text = self.block(steps, body)?;
                self.assign_to(target, text)?;
            }
            StatementKind::With(values, body) => {
                // All values are those outside.
                let mut evaluated = Vec::with_capacity(values.len());
                for (target, value) in values {
                    evaluated.push((target, self.evaluate(value)?));
                }
                let left = self.enter(self.scope)?;
                evaluated.into_iter().try_for_each(|(target, value)| self.assign_to(target, value))?;
                let flow = self.run(body, out)?;
                self.leave(left);
                return Ok(flow);
            }
            StatementKind::Macro(definition) => {
                let value = self.new_macro(definition)?;
                self.assign(definition.name.clone(), value);
            }
            StatementKind::Call(definition, call) => {
                let caller = self.new_macro(definition)?;
                let value = self.evaluate_call(call, Some(caller))?;
                let printed = self.printed(&value)?;
                self.put(out, &printed)?;
            }
            StatementKind::Filter(steps, body) => {
                let value = self.block(steps, body)?;
                let printed = self.printed(&value)?;
                self.put(out, &printed)?;
            }
            StatementKind::Generation(body) => {
                let left = self.enter(self.scope)?;
                self.run(body, out)?;
                self.leave(left);
            }
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn put(&mut self, out: &mut String, text: &str) -> Result<()> {
        self.pay(text.len() as u64)?;
        if out.len() + text.len() > LONGEST {
            return Err(too_much());
        }
        out.push_str(text);
        Ok(())
    }

    /// A value's text, paid for.
    pub(super) fn printed(&mut self, value: &Value) -> Result<Text> {
        match value {
            Value::Text(text) | Value::Markup(text) => Ok(text.clone()),
            other => {
                let mut out = String::new();
                print(&mut out, other)?;
                self.pay_text(out.len())?;
                Ok(out.into())
            }
        }
    }

    /// The text of a block, through its filters.
    fn block(&mut self, steps: &'a [Step], body: &'a Body) -> Result<Value> {
        let left = self.enter(self.scope)?;
        let mut text = String::new();
        self.run(body, &mut text)?;
        self.leave(left);
        let mut value = Value::text(text);
        for step in steps {
            let arguments = self.evaluate_arguments(&step.arguments)?;
            value = self.filter(&step.name, value, arguments)?;
        }
        Ok(value)
    }

    // Loops

    /// Runs a loop over values.
    pub(super) fn repeat(&mut self, definition: &'a For, values: &Value, depth: i64, out: &mut String) -> Result<()> {
        let pending = self.items(values)?.into();
        self.pay(20 * ELEMENT)?;
        let number = self.loops.len();
        let (scope, before, current) = (self.scope, None, None);
        self.loops.push(Loop {
            definition,
            scope,
            pending,
            passed: false,
            after: None,
            before,
            current,
            given: 0,
            depth,
            changed: None,
        });
        while let Some(value) = self.next_of(number)? {
            if let Some(state) = self.loops.get_mut(number) {
                state.before = state.current.replace(value.clone());
                state.given += 1;
            }
            let left = self.enter(self.scope)?;
            self.assign("loop".into(), Value::Loop(number));
            self.assign_to(&definition.target, value)?;
            let flow = self.run(&definition.body, out)?;
            self.leave(left);
            if flow == Flow::Break {
                break;
            }
        }
        // What it held is let go; its number may be kept in a name, so its place stays.
        let given = self.loops.get_mut(number).map_or(0, |state| {
            state.pending.clear();
            state.given
        });
        if given == 0 {
            let left = self.enter(self.scope)?;
            self.run(&definition.otherwise, out)?;
            self.leave(left);
        }
        Ok(())
    }

    /// The next value of a loop that its condition lets through. The condition is asked as late as can be: it may depend on what the
    /// loop's body does.
    fn next_of(&mut self, number: usize) -> Result<Option<Value>> {
        if let Some(after) = self.loops.get_mut(number).and_then(|state| state.after.take()) {
            return Ok(Some(after));
        }
        loop {
            let Some(state) = self.loops.get_mut(number) else { return Ok(None) };
            let (definition, scope) = (state.definition, state.scope);
            let Some(value) = state.pending.pop_front() else { return Ok(None) };
            let Some(condition) = definition.condition.as_ref().filter(|_| !state.passed) else {
                return Ok(Some(value));
            };
            let left = self.enter(scope)?;
            self.assign_to(&definition.target, value.clone())?;
            let holds = self.evaluate(condition)?.is_true();
            self.leave(left);
            if holds {
                return Ok(Some(value));
            }
        }
    }

    /// The value behind the current one, without taking it.
    pub(super) fn peek(&mut self, number: usize) -> Result<Option<Value>> {
        let next = self.next_of(number)?;
        if let Some(state) = self.loops.get_mut(number) {
            state.after = next.clone();
        }
        Ok(next)
    }

    /// How many values a loop gives in all.
    pub(super) fn length_of(&mut self, number: usize) -> Result<i64> {
        let mut rest = VecDeque::new();
        while let Some(value) = self.next_of(number)? {
            rest.push_back(value);
        }
        let Some(state) = self.loops.get_mut(number) else { return Ok(0) };
        let length = state.given + rest.len() as i64;
        state.pending = rest;
        state.passed = true;
        Ok(length)
    }

    /// What `loop(values)` renders inside of a recursive loop.
    pub(super) fn recurse(&mut self, number: usize, values: &Value) -> Result<Value> {
        let Some(state) = self.loops.get(number) else { return Ok(Value::None) };
        let (definition, scope, depth) = (state.definition, state.scope, state.depth + 1);
        if !definition.recursive {
            return Err(Fault::new("`loop(…)`: expected a loop that is `recursive`"));
        }
        let here = std::mem::replace(&mut self.scope, scope);
        let mut out = String::new();
        self.repeat(definition, values, depth, &mut out)?;
        self.scope = here;
        Ok(Value::text(out))
    }

    // Macros

    fn new_macro(&mut self, definition: &'a MacroDefinition) -> Result<Value> {
        self.pay(10 * ELEMENT)?;
        self.kept += 1;
        self.macros.push(Macro { definition, scope: self.scope });
        Ok(Value::Macro(self.macros.len() - 1))
    }

    pub(super) fn call_macro(&mut self, number: usize, given: super::arguments::Given) -> Result<Value> {
        let Some(&Macro { definition, scope }) = self.macros.get(number) else { return Ok(Value::None) };
        let name = &definition.name;
        let super::arguments::Given { positional, mut named } = given;
        let mut more = Vec::new();
        let mut values: Vec<Option<Value>> = vec![None; definition.parameters.len()];
        for (i, value) in positional.into_iter().enumerate() {
            match values.get_mut(i) {
                Some(place) => *place = Some(value),
                None => more.push(value),
            }
        }
        if !more.is_empty() && !definition.takes_more {
            let most = definition.parameters.len();
            return Err(Fault::new(format!("macro `{name}` takes at most {most} arguments")));
        }
        for (place, parameter) in values.iter_mut().zip(&definition.parameters) {
            if let Some(at) = named.iter().position(|(own, _)| own == parameter) {
                let (_, value) = named.remove(at);
                if place.replace(value).is_some() {
                    return Err(Fault::new(format!("macro `{name}` was given `{parameter}` twice")));
                }
            }
        }
        let mut caller = Value::undefined("no caller is defined");
        if definition.takes_caller
            && let Some(at) = named.iter().position(|(own, _)| &**own == "caller")
        {
            caller = named.remove(at).1;
        }
        if let Some((own, _)) = named.first().filter(|_| !definition.takes_names) {
            return Err(Fault::new(format!("macro `{name}` takes no argument `{own}`")));
        }
        let left = self.enter(scope)?;
        let without = definition.parameters.len() - definition.defaults.len();
        for (i, (parameter, value)) in definition.parameters.iter().zip(values).enumerate() {
            let value = match (value, i.checked_sub(without).and_then(|i| definition.defaults.get(i))) {
                (Some(value), _) => value,
                (None, Some(default)) => self.evaluate(default)?,
                (None, None) => Value::undefined(format!("parameter `{parameter}` was not provided")),
            };
            self.assign(parameter.clone(), value);
        }
        if definition.takes_more {
            self.assign("varargs".into(), Value::tuple(more)?);
        }
        if definition.takes_names {
            let entries = named.into_iter().map(|(name, value)| (Value::Text(name), value)).collect();
            self.assign("kwargs".into(), Value::dict(entries)?);
        }
        if definition.takes_caller {
            self.assign("caller".into(), caller);
        }
        let mut out = String::new();
        self.run(&definition.body, &mut out)?;
        self.leave(left);
        Ok(Value::text(out))
    }

    /// The name of a macro.
    pub(super) fn macro_name(&self, number: usize) -> Text {
        self.macros.get(number).map_or_else(|| "".into(), |own| own.definition.name.clone())
    }
}
