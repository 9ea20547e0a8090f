//! From tokens to a tree, by Jinja's grammar. What the grammar nests is bounded, since what reads it recurses.

use std::sync::Arc;

use super::lexer::{Token, TokenKind, tokens};
use super::syntax::{
    Arguments, Body, Comparison, Expr, ExprKind, For, MacroDefinition, Operator, Statement, StatementKind, Step,
    Target, Text,
};
use super::{Fault, Result};

/// How deep blocks and expressions may be nested: many times what real templates do.
pub(super) const DEEPEST: usize = 200;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// Calls of this parser that are open.
    depth: usize,
    /// Loops around the statement that is parsed, since the last macro.
    loops: usize,
}

/// Parses a template.
pub(super) fn parse(source: &str) -> Result<Body> {
    let mut parser = Parser { tokens: tokens(source)?, at: 0, depth: 0, loops: 0 };
    let body = parser.statements(&[])?;
    match parser.kind() {
        TokenKind::End => Ok(body),
        other => Err(parser.unexpected(&other.clone())),
    }
}

impl Parser {
    fn kind(&self) -> &TokenKind {
        self.tokens.get(self.at).map_or(&TokenKind::End, |token| &token.kind)
    }

    fn after(&self) -> &TokenKind {
        self.tokens.get(self.at + 1).map_or(&TokenKind::End, |token| &token.kind)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    fn fault(&self, text: impl Into<String>) -> Fault {
        Fault::at(self.line(), text)
    }

    fn unexpected(&self, kind: &TokenKind) -> Fault {
        let found = match kind {
            TokenKind::Data(_) => "text".to_string(),
            TokenKind::VariableBegin => "`{{`".to_string(),
            TokenKind::VariableEnd => "`}}`".to_string(),
            TokenKind::BlockBegin => "`{%`".to_string(),
            TokenKind::BlockEnd => "`%}`".to_string(),
            TokenKind::Name(name) => format!("`{name}`"),
            TokenKind::Text(_) => "a text".to_string(),
            TokenKind::Int(_) | TokenKind::Float(_) => "a number".to_string(),
            TokenKind::Operator(operator) => format!("`{operator}`"),
            TokenKind::End => "the end of the template".to_string(),
        };
        self.fault(format!("unexpected {found}"))
    }

    fn next(&mut self) -> TokenKind {
        let kind = self.kind().clone();
        self.at += 1;
        kind
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.kind(), TokenKind::Operator(found) if *found == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.kind(), TokenKind::Name(found) if found == name)
    }

    fn take_operator(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        self.at += usize::from(found);
        found
    }

    fn take_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        self.at += usize::from(found);
        found
    }

    fn expect_operator(&mut self, operator: &str) -> Result<()> {
        if self.take_operator(operator) {
            return Ok(());
        }
        let found = self.unexpected(self.kind());
        Err(self.fault(format!("expected `{operator}`, {}", found.text)))
    }

    fn expect_name(&mut self) -> Result<Text> {
        match self.kind() {
            TokenKind::Name(name) => {
                let name = Text::from(name.as_str());
                self.at += 1;
                Ok(name)
            }
            other => Err(self.fault(format!("expected a name, {}", self.unexpected(other).text))),
        }
    }

    fn expect_word(&mut self, name: &str) -> Result<()> {
        if self.take_name(name) {
            return Ok(());
        }
        Err(self.fault(format!("expected `{name}`, {}", self.unexpected(self.kind()).text)))
    }

    /// Parses what may be nested in itself.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fault(format!("blocks or expressions are nested more than {DEEPEST} deep")));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn expr(&self, kind: ExprKind) -> Result<Expr> {
        let expr = Expr::new(kind);
        if expr.depth > DEEPEST {
            return Err(self.fault(format!("an expression is nested more than {DEEPEST} deep")));
        }
        Ok(expr)
    }

    // Statements

    /// Statements up to a tag of one of these names, which is left standing behind its `{%`.
    fn statements(&mut self, ends: &[&str]) -> Result<Body> {
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

    fn block_end(&mut self) -> Result<()> {
        match self.kind() {
            TokenKind::BlockEnd => {
                self.at += 1;
                Ok(())
            }
            other => Err(self.fault(format!("expected `%}}`, {}", self.unexpected(other).text))),
        }
    }

    /// The body behind a tag, up to the tag with one of these names, whose name is taken and given too.
    fn body(&mut self, ends: &[&str]) -> Result<(Body, Text)> {
        self.take_operator(":");
        self.block_end()?;
        let body = self.statements(ends)?;
        Ok((body, self.expect_name()?))
    }

    fn statement(&mut self, line: usize, out: &mut Body) -> Result<()> {
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

    fn if_statement(&mut self) -> Result<StatementKind> {
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

    fn for_statement(&mut self) -> Result<StatementKind> {
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

    fn set_statement(&mut self) -> Result<StatementKind> {
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

    fn with_statement(&mut self) -> Result<StatementKind> {
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

    fn macro_rest(&mut self, name: Text, has_signature: bool, end: &str) -> Result<MacroDefinition> {
        let (parameters, defaults) = if has_signature { self.signature()? } else { (Vec::new(), Vec::new()) };
        let body = self.macro_body(end)?;
        Ok(define(name, parameters, defaults, body))
    }

    /// A body that is a function of its own: no loop around it can be left from inside.
    fn macro_body(&mut self, end: &str) -> Result<Body> {
        let loops = std::mem::take(&mut self.loops);
        let body = self.body(&[end]);
        self.loops = loops;
        Ok(body?.0)
    }

    fn signature(&mut self) -> Result<(Vec<Text>, Vec<Expr>)> {
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
    fn step(&mut self) -> Result<Step> {
        let name = self.dotted_name()?;
        let arguments = if self.is_operator("(") { self.arguments()? } else { Arguments::default() };
        Ok(Step { name, arguments })
    }

    fn dotted_name(&mut self) -> Result<Text> {
        let mut name = self.expect_name()?.to_string();
        while self.take_operator(".") {
            name.push('.');
            name.push_str(&self.expect_name()?);
        }
        Ok(name.into())
    }

    fn target(&mut self, with_tuple: bool, with_attribute: bool, ends: &[&str]) -> Result<Target> {
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

    fn one_target(&mut self, with_attribute: bool) -> Result<Target> {
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

    fn ends_tuple(&self, ends: &[&str]) -> bool {
        matches!(self.kind(), TokenKind::VariableEnd | TokenKind::BlockEnd)
            || self.is_operator(")")
            || ends.iter().any(|end| self.is_name(end))
    }

    /// An expression, or several with commas between them.
    fn tuple(&mut self, with_choice: bool, ends: &[&str]) -> Result<Expr> {
        self.tuple_or_empty(with_choice, ends, false)
    }

    fn tuple_or_empty(&mut self, with_choice: bool, ends: &[&str], may_be_empty: bool) -> Result<Expr> {
        let mut list = Vec::new();
        let mut is_tuple = false;
        loop {
            if !list.is_empty() {
                self.expect_operator(",")?;
            }
            if self.ends_tuple(ends) {
                break;
            }
            list.push(if with_choice { self.expression()? } else { self.or()? });
            if !self.is_operator(",") {
                break;
            }
            is_tuple = true;
        }
        if !is_tuple {
            if let Some(only) = list.pop() {
                return Ok(only);
            }
            if !may_be_empty {
                return Err(self.fault(format!("expected an expression, {}", self.unexpected(self.kind()).text)));
            }
        }
        self.expr(ExprKind::Tuple(list))
    }

    fn expression(&mut self) -> Result<Expr> {
        self.nested(|parser| {
            let mut value = parser.or()?;
            while parser.take_name("if") {
                let condition = parser.or()?;
                let other = if parser.take_name("else") { Some(Box::new(parser.expression()?)) } else { None };
                value = parser.expr(ExprKind::Choice(Box::new(condition), Box::new(value), other))?;
            }
            Ok(value)
        })
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.take_name("or") {
            let right = self.and()?;
            left = self.expr(ExprKind::Or(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.take_name("and") {
            let right = self.not()?;
            left = self.expr(ExprKind::And(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.take_name("not") {
            let value = self.nested(Self::not)?;
            return self.expr(ExprKind::Not(Box::new(value)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let comparison = match self.kind() {
                TokenKind::Operator("==") => Comparison::Equal,
                TokenKind::Operator("!=") => Comparison::NotEqual,
                TokenKind::Operator("<") => Comparison::Less,
                TokenKind::Operator("<=") => Comparison::LessOrEqual,
                TokenKind::Operator(">") => Comparison::Greater,
                TokenKind::Operator(">=") => Comparison::GreaterOrEqual,
                TokenKind::Name(name) if name == "in" => Comparison::In,
                TokenKind::Name(name) if name == "not" => match self.after() {
                    TokenKind::Name(name) if name == "in" => {
                        self.at += 1;
                        Comparison::NotIn
                    }
                    _ => break,
                },
                _ => break,
            };
            self.at += 1;
            rest.push((comparison, self.sum()?));
        }
        if rest.is_empty() { Ok(first) } else { self.expr(ExprKind::Compare(Box::new(first), rest)) }
    }

    fn sum(&mut self) -> Result<Expr> {
        let mut left = self.concatenation()?;
        loop {
            let operator = match self.kind() {
                TokenKind::Operator("+") => Operator::Add,
                TokenKind::Operator("-") => Operator::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.concatenation()?;
            left = self.expr(ExprKind::Binary(operator, Box::new(left), Box::new(right)))?;
        }
    }

    fn concatenation(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if !self.is_operator("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take_operator("~") {
            parts.push(self.product()?);
        }
        self.expr(ExprKind::Concat(parts))
    }

    fn product(&mut self) -> Result<Expr> {
        let mut left = self.power()?;
        loop {
            let operator = match self.kind() {
                TokenKind::Operator("*") => Operator::Multiply,
                TokenKind::Operator("/") => Operator::Divide,
                TokenKind::Operator("//") => Operator::FloorDivide,
                TokenKind::Operator("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.power()?;
            left = self.expr(ExprKind::Binary(operator, Box::new(left), Box::new(right)))?;
        }
    }

    /// From the left, unlike Python's.
    fn power(&mut self) -> Result<Expr> {
        let mut left = self.unary(true)?;
        while self.take_operator("**") {
            let right = self.unary(true)?;
            left = self.expr(ExprKind::Binary(Operator::Power, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn unary(&mut self, with_filter: bool) -> Result<Expr> {
        let mut value = if self.take_operator("-") {
            let value = self.nested(|parser| parser.unary(false))?;
            self.expr(ExprKind::Negative(Box::new(value)))?
        } else if self.take_operator("+") {
            let value = self.nested(|parser| parser.unary(false))?;
            self.expr(ExprKind::Positive(Box::new(value)))?
        } else {
            self.primary()?
        };
        value = self.postfix(value)?;
        while with_filter {
            if self.take_operator("|") {
                let step = self.step()?;
                value = self.expr(ExprKind::Filter(Box::new(value), step.name, step.arguments))?;
            } else if self.take_name("is") {
                value = self.test(value)?;
            } else if self.is_operator("(") {
                let arguments = self.arguments()?;
                value = self.expr(ExprKind::Call(Box::new(value), arguments))?;
            } else {
                break;
            }
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<Expr> {
        let kind = match self.next() {
            TokenKind::Name(name) => match name.as_str() {
                "true" | "True" => ExprKind::Bool(true),
                "false" | "False" => ExprKind::Bool(false),
                "none" | "None" => ExprKind::None,
                _ => ExprKind::Name(name.into()),
            },
            TokenKind::Text(mut text) => {
                while let TokenKind::Text(more) = self.kind() {
                    text.push_str(more);
                    self.at += 1;
                }
                ExprKind::Text(text.into())
            }
            TokenKind::Int(value) => ExprKind::Int(value),
            TokenKind::Float(value) => ExprKind::Float(value),
            TokenKind::Operator("(") => {
                let value = self.nested(|parser| parser.tuple_or_empty(true, &[], true))?;
                self.expect_operator(")")?;
                return Ok(value);
            }
            TokenKind::Operator("[") => {
                let mut list = Vec::new();
                while !self.is_operator("]") {
                    if !list.is_empty() {
                        self.expect_operator(",")?;
                    }
                    if self.is_operator("]") {
                        break;
                    }
                    list.push(self.expression()?);
                }
                self.expect_operator("]")?;
                ExprKind::List(list)
            }
            TokenKind::Operator("{") => {
                let mut pairs = Vec::new();
                while !self.is_operator("}") {
                    if !pairs.is_empty() {
                        self.expect_operator(",")?;
                    }
                    if self.is_operator("}") {
                        break;
                    }
                    let key = self.expression()?;
                    self.expect_operator(":")?;
                    pairs.push((key, self.expression()?));
                }
                self.expect_operator("}")?;
                ExprKind::Dict(pairs)
            }
            other => {
                self.at -= 1;
                return Err(self.unexpected(&other));
            }
        };
        self.expr(kind)
    }

    fn postfix(&mut self, mut value: Expr) -> Result<Expr> {
        loop {
            let kind = if self.take_operator(".") {
                match self.next() {
                    TokenKind::Name(name) => ExprKind::Attribute(Box::new(value), name.into()),
                    TokenKind::Int(index) => {
                        ExprKind::Item(Box::new(value), Box::new(self.expr(ExprKind::Int(index))?))
                    }
                    other => {
                        self.at -= 1;
                        return Err(
                            self.fault(format!("expected a name or a number, {}", self.unexpected(&other).text))
                        );
                    }
                }
            } else if self.take_operator("[") {
                let mut list = Vec::new();
                while !self.is_operator("]") {
                    if !list.is_empty() {
                        self.expect_operator(",")?;
                    }
                    list.push(self.subscript()?);
                }
                self.expect_operator("]")?;
                let by = match list.pop() {
                    Some(only) if list.is_empty() => only,
                    last => {
                        list.extend(last);
                        self.expr(ExprKind::Tuple(list))?
                    }
                };
                ExprKind::Item(Box::new(value), Box::new(by))
            } else if self.is_operator("(") {
                let arguments = self.arguments()?;
                ExprKind::Call(Box::new(value), arguments)
            } else {
                return Ok(value);
            };
            value = self.expr(kind)?;
        }
    }

    fn subscript(&mut self) -> Result<Expr> {
        let mut parts: [Option<Expr>; 3] = [None, None, None];
        if !self.is_operator(":") {
            let value = self.expression()?;
            if !self.is_operator(":") {
                return Ok(value);
            }
            parts[0] = Some(value);
        }
        for part in &mut parts[1..] {
            if !self.take_operator(":") {
                break;
            }
            if !self.is_operator("]") && !self.is_operator(",") && !self.is_operator(":") {
                *part = Some(self.expression()?);
            }
        }
        self.expr(ExprKind::Slice(Box::new(parts)))
    }

    fn arguments(&mut self) -> Result<Arguments> {
        let mut out = Arguments::default();
        let mut first = true;
        self.expect_operator("(")?;
        while !self.is_operator(")") {
            if !first {
                self.expect_operator(",")?;
                if self.is_operator(")") {
                    break;
                }
            }
            first = false;
            let open = out.more_named.is_none();
            if self.take_operator("*") {
                let allowed = open && out.more.is_none();
                out.more = Some(Box::new(self.expression()?));
                self.allow(allowed)?;
            } else if self.take_operator("**") {
                out.more_named = Some(Box::new(self.expression()?));
                self.allow(open)?;
            } else if let (TokenKind::Name(name), TokenKind::Operator("=")) = (self.kind().clone(), self.after()) {
                self.at += 2;
                let value = self.expression()?;
                self.allow(open && out.named.iter().all(|(other, _)| **other != *name))?;
                out.named.push((name.into(), value));
            } else {
                self.allow(open && out.more.is_none() && out.named.is_empty())?;
                out.positional.push(self.expression()?);
            }
        }
        self.expect_operator(")")?;
        Ok(out)
    }

    fn allow(&self, allowed: bool) -> Result<()> {
        if allowed { Ok(()) } else { Err(self.fault("the arguments of a call are in no valid order")) }
    }

    fn test(&mut self, value: Expr) -> Result<Expr> {
        let negated = self.take_name("not");
        let name = self.dotted_name()?;
        let starts = match self.kind() {
            TokenKind::Name(word) => !matches!(word.as_str(), "else" | "or" | "and"),
            TokenKind::Text(_) | TokenKind::Int(_) | TokenKind::Float(_) => true,
            TokenKind::Operator(operator) => matches!(*operator, "[" | "{"),
            _ => false,
        };
        let arguments = if self.is_operator("(") {
            self.arguments()?
        } else if starts {
            if self.is_name("is") {
                return Err(self.fault("tests with `is` cannot be chained"));
            }
            let argument = self.primary()?;
            Arguments { positional: vec![self.postfix(argument)?], ..Arguments::default() }
        } else {
            Arguments::default()
        };
        let test = self.expr(ExprKind::Test(Box::new(value), name, arguments))?;
        if negated { self.expr(ExprKind::Not(Box::new(test))) } else { Ok(test) }
    }
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
