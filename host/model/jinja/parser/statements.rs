//! Statements: blocks, loops, assignments and macros, and the targets that they name.

use std::sync::Arc;

use super::Parser;
use crate::jinja::Result;
use crate::jinja::lexer::TokenKind;
use crate::jinja::syntax::*;

impl Parser {
    /// Statements up to a tag of one of these names, which is left standing behind its `{%`.
    pub(super) fn statements(&mut self, ends: &[&str]) -> Result<Body> {
        self.nested(|parser| {
            let mut out = Vec::new();
            loop {
                let line = parser.line();
                match parser.kind().clone() {
                    TokenKind::End => {
                        if let Some(end) = ends.last() {
                            return Err(parser.fault(format!("expected `{end}`, found the end of the template")));
                        }
                        return Ok(out);
                    }
                    TokenKind::Data(text) => {
                        parser.at += 1;
                        out.push(Statement { line, kind: StatementKind::Text(text.into()) });
                    }
                    TokenKind::VariableBegin => {
                        parser.at += 1;
                        let value = parser.tuple(true, &[])?;
                        out.push(Statement { line, kind: StatementKind::Print(value) });
                        match parser.next() {
                            TokenKind::VariableEnd => {}
                            other => {
                                parser.at -= 1;
                                return Err(parser.unexpected(&other));
                            }
                        }
                    }
                    TokenKind::BlockBegin => {
                        parser.at += 1;
                        if ends.iter().any(|end| parser.is_name(end)) {
                            return Ok(out);
                        }
                        parser.statement(line, &mut out)?;
                        parser.block_end()?;
                    }
                    other => return Err(parser.unexpected(&other)),
                }
            }
        })
    }

    pub(super) fn block_end(&mut self) -> Result<()> {
        match self.kind() {
            TokenKind::BlockEnd => {
                self.at += 1;
                Ok(())
            }
            other => Err(self.fault(format!("expected `%}}`, {}", self.unexpected(other).text))),
        }
    }

    /// The body behind a tag, up to the tag with one of these names, whose name is taken and given too.
    pub(super) fn body(&mut self, ends: &[&str]) -> Result<(Body, Text)> {
        self.take_operator(":");
        self.block_end()?;
        let body = self.statements(ends)?;
        Ok((body, self.expect_name()?))
    }

    pub(super) fn statement(&mut self, line: usize, out: &mut Body) -> Result<()> {
        let name = self.expect_name()?;
        let kind = match &*name {
            "if" => self.if_statement()?,
            "for" => self.for_statement()?,
            "set" => self.set_statement()?,
            "with" => self.with_statement()?,
            "macro" => {
                let name = self.expect_name()?;
                StatementKind::Macro(Arc::new(self.macro_rest(name, true, "endmacro")?))
            }
            "call" => {
                let (parameters, defaults) =
                    if self.is_operator("(") { self.signature()? } else { (Vec::new(), Vec::new()) };
                let call = self.expression()?;
                if !matches!(call.kind, ExprKind::Call(..)) {
                    return Err(self.fault("`call`: expected a call"));
                }
                let body = self.macro_body("endcall")?;
                let definition = define("caller".into(), parameters, defaults, body);
                StatementKind::Call(Arc::new(definition), call)
            }
            "filter" => {
                let mut steps = vec![self.step()?];
                while self.take_operator("|") {
                    steps.push(self.step()?);
                }
                let (body, _) = self.body(&["endfilter"])?;
                StatementKind::Filter(steps, body)
            }
            "generation" => {
                let body = self.macro_body("endgeneration")?;
                StatementKind::Generation(body)
            }
            "print" => {
                while !matches!(self.kind(), TokenKind::BlockEnd) {
                    let value = self.expression()?;
                    out.push(Statement { line, kind: StatementKind::Print(value) });
                    if !matches!(self.kind(), TokenKind::BlockEnd) {
                        self.expect_operator(",")?;
                    }
                }
                return Ok(());
            }
            "break" | "continue" if self.loops == 0 => {
                return Err(self.fault(format!("`{name}` outside of a loop")));
            }
            "break" => StatementKind::Break,
            "continue" => StatementKind::Continue,
            "include" | "import" | "from" | "extends" | "block" | "autoescape" => {
                return Err(self.fault(format!("statement `{name}` is not supported in a chat template")));
            }
            _ => return Err(self.fault(format!("statement `{name}` is not known"))),
        };
        out.push(Statement { line, kind });
        Ok(())
    }

    pub(super) fn if_statement(&mut self) -> Result<StatementKind> {
        let mut cases = Vec::new();
        loop {
            let condition = self.tuple(false, &[])?;
            let (body, end) = self.body(&["elif", "else", "endif"])?;
            cases.push((condition, body));
            match &*end {
                "elif" => {}
                "else" => return Ok(StatementKind::If(cases, self.body(&["endif"])?.0)),
                _ => return Ok(StatementKind::If(cases, Vec::new())),
            }
        }
    }

    pub(super) fn for_statement(&mut self) -> Result<StatementKind> {
        let target = self.target(true, false, &["in"])?;
        self.expect_word("in")?;
        let values = self.tuple(false, &["recursive"])?;
        let condition = if self.take_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.take_name("recursive");
        self.loops += 1;
        let parsed = self.body(&["endfor", "else"]);
        self.loops -= 1;
        let (body, end) = parsed?;
        let otherwise = if &*end == "else" { self.body(&["endfor"])?.0 } else { Vec::new() };
        Ok(StatementKind::For(Box::new(For { target, values, condition, recursive, body, otherwise })))
    }

    pub(super) fn set_statement(&mut self) -> Result<StatementKind> {
        let target = self.target(true, true, &[])?;
        if self.take_operator("=") {
            return Ok(StatementKind::Set(target, self.tuple(true, &[])?));
        }
        let mut steps = Vec::new();
        while self.take_operator("|") {
            steps.push(self.step()?);
        }
        let (body, _) = self.body(&["endset"])?;
        Ok(StatementKind::SetBlock(target, steps, body))
    }

    pub(super) fn with_statement(&mut self) -> Result<StatementKind> {
        let mut values = Vec::new();
        while !matches!(self.kind(), TokenKind::BlockEnd) && !self.is_operator(":") {
            if !values.is_empty() {
                self.expect_operator(",")?;
            }
            let target = self.target(true, false, &[])?;
            self.expect_operator("=")?;
            values.push((target, self.expression()?));
        }
        let (body, _) = self.body(&["endwith"])?;
        Ok(StatementKind::With(values, body))
    }

    pub(super) fn macro_rest(&mut self, name: Text, has_signature: bool, end: &str) -> Result<MacroDefinition> {
        let (parameters, defaults) = if has_signature { self.signature()? } else { (Vec::new(), Vec::new()) };
        let body = self.macro_body(end)?;
        Ok(define(name, parameters, defaults, body))
    }

    /// A body that is a function of its own: no loop around it can be left from inside.
    pub(super) fn macro_body(&mut self, end: &str) -> Result<Body> {
        let loops = std::mem::take(&mut self.loops);
        let body = self.body(&[end]);
        self.loops = loops;
        Ok(body?.0)
    }

    pub(super) fn signature(&mut self) -> Result<(Vec<Text>, Vec<Expr>)> {
        let (mut parameters, mut defaults) = (Vec::new(), Vec::new());
        self.expect_operator("(")?;
        while !self.is_operator(")") {
            if !parameters.is_empty() {
                self.expect_operator(",")?;
            }
            parameters.push(self.expect_name()?);
            if self.take_operator("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return Err(self.fault("a parameter without a default behind one that has one"));
            }
        }
        self.expect_operator(")")?;
        Ok((parameters, defaults))
    }

    /// A filter with its arguments, behind its `|`.
    pub(super) fn step(&mut self) -> Result<Step> {
        let name = self.dotted_name()?;
        let arguments = if self.is_operator("(") { self.arguments()? } else { Arguments::default() };
        Ok(Step { name, arguments })
    }

    pub(super) fn dotted_name(&mut self) -> Result<Text> {
        let mut name = self.expect_name()?.to_string();
        while self.take_operator(".") {
            name.push('.');
            name.push_str(&self.expect_name()?);
        }
        Ok(name.into())
    }

    pub(super) fn target(&mut self, with_tuple: bool, with_attribute: bool, ends: &[&str]) -> Result<Target> {
        self.nested(|parser| {
            let mut targets = Vec::new();
            let mut is_tuple = false;
            loop {
                if !targets.is_empty() {
                    parser.expect_operator(",")?;
                }
                if parser.ends_tuple(ends) || parser.is_operator("=") {
                    break;
                }
                targets.push(parser.one_target(with_attribute)?);
                if !parser.is_operator(",") || !with_tuple {
                    break;
                }
                is_tuple = true;
            }
            match targets.pop() {
                Some(target) if !is_tuple => Ok(target),
                Some(last) => {
                    targets.push(last);
                    Ok(Target::Tuple(targets))
                }
                None => Err(parser.unexpected(parser.kind())),
            }
        })
    }

    pub(super) fn one_target(&mut self, with_attribute: bool) -> Result<Target> {
        if self.take_operator("(") {
            let target = self.target(true, with_attribute, &[])?;
            self.expect_operator(")")?;
            return Ok(target);
        }
        let name = self.expect_name()?;
        if matches!(&*name, "true" | "false" | "none" | "True" | "False" | "None") {
            return Err(self.fault(format!("cannot assign to `{name}`")));
        }
        if with_attribute && self.take_operator(".") {
            return Ok(Target::Attribute(name, self.expect_name()?));
        }
        Ok(Target::Name(name))
    }

    // Expressions
}

fn define(name: Text, parameters: Vec<Text>, defaults: Vec<Expr>, body: Body) -> MacroDefinition {
    let names = |name: &str| !parameters.iter().any(|parameter| &**parameter == name) && body_names(&body, name);
    let (takes_more, takes_names, takes_caller) = (names("varargs"), names("kwargs"), names("caller"));
    MacroDefinition { name, parameters, defaults, body, takes_more, takes_names, takes_caller }
}

/// Whether a body reads a name, anywhere in it.
fn body_names(body: &Body, name: &str) -> bool {
    body.iter().any(|statement| match &statement.kind {
        StatementKind::Text(_) | StatementKind::Break | StatementKind::Continue => false,
        StatementKind::Print(value) => expr_names(value, name),
        StatementKind::If(cases, otherwise) => {
            cases.iter().any(|(condition, body)| expr_names(condition, name) || body_names(body, name))
                || body_names(otherwise, name)
        }
        StatementKind::For(parts) => {
            expr_names(&parts.values, name)
                || parts.condition.as_ref().is_some_and(|condition| expr_names(condition, name))
                || body_names(&parts.body, name)
                || body_names(&parts.otherwise, name)
        }
        StatementKind::Set(_, value) => expr_names(value, name),
        StatementKind::SetBlock(_, steps, body) | StatementKind::Filter(steps, body) => {
            steps.iter().any(|step| arguments_name(&step.arguments, name)) || body_names(body, name)
        }
        StatementKind::With(values, body) => {
            values.iter().any(|(_, value)| expr_names(value, name)) || body_names(body, name)
        }
        StatementKind::Macro(definition) => body_names(&definition.body, name),
        StatementKind::Call(definition, call) => expr_names(call, name) || body_names(&definition.body, name),
        StatementKind::Generation(body) => body_names(body, name),
    })
}

fn arguments_name(arguments: &Arguments, name: &str) -> bool {
    let named = arguments.named.iter().map(|(_, value)| value);
    let more = arguments.more.iter().chain(&arguments.more_named).map(|value| &**value);
    arguments.positional.iter().chain(named).chain(more).any(|value| expr_names(value, name))
}

fn expr_names(expr: &Expr, name: &str) -> bool {
    use ExprKind as K;
    match &expr.kind {
        K::None | K::Bool(_) | K::Int(_) | K::Float(_) | K::Text(_) => false,
        K::Name(found) => &**found == name,
        K::List(list) | K::Tuple(list) | K::Concat(list) => list.iter().any(|e| expr_names(e, name)),
        K::Dict(pairs) => pairs.iter().any(|(key, value)| expr_names(key, name) || expr_names(value, name)),
        K::Attribute(of, _) | K::Not(of) | K::Negative(of) | K::Positive(of) => expr_names(of, name),
        K::Item(of, by) => expr_names(of, name) || expr_names(by, name),
        K::Slice(parts) => parts.iter().flatten().any(|e| expr_names(e, name)),
        K::Call(of, arguments) | K::Filter(of, _, arguments) | K::Test(of, _, arguments) => {
            expr_names(of, name) || arguments_name(arguments, name)
        }
        K::And(left, right) | K::Or(left, right) | K::Binary(_, left, right) => {
            expr_names(left, name) || expr_names(right, name)
        }
        K::Compare(first, rest) => expr_names(first, name) || rest.iter().any(|(_, e)| expr_names(e, name)),
        K::Choice(condition, value, other) => {
            expr_names(condition, name)
                || expr_names(value, name)
                || other.as_ref().is_some_and(|other| expr_names(other, name))
        }
    }
}
