//! Expressions, from the loosest operator to the tightest.

use super::Parser;
use crate::jinja::Result;
use crate::jinja::lexer::TokenKind;
use crate::jinja::syntax::*;

impl Parser {
    pub(super) fn ends_tuple(&self, ends: &[&str]) -> bool {
        matches!(self.kind(), TokenKind::VariableEnd | TokenKind::BlockEnd)
            || self.is_operator(")")
            || ends.iter().any(|end| self.is_name(end))
    }

    /// An expression, or several with commas between them.
    pub(super) fn tuple(&mut self, with_choice: bool, ends: &[&str]) -> Result<Expr> {
        self.tuple_or_empty(with_choice, ends, false)
    }

    pub(super) fn tuple_or_empty(&mut self, with_choice: bool, ends: &[&str], may_be_empty: bool) -> Result<Expr> {
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

    pub(super) fn expression(&mut self) -> Result<Expr> {
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

    pub(super) fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.take_name("or") {
            let right = self.and()?;
            left = self.expr(ExprKind::Or(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    pub(super) fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.take_name("and") {
            let right = self.not()?;
            left = self.expr(ExprKind::And(Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    pub(super) fn not(&mut self) -> Result<Expr> {
        if self.take_name("not") {
            let value = self.nested(Self::not)?;
            return self.expr(ExprKind::Not(Box::new(value)));
        }
        self.comparison()
    }

    pub(super) fn comparison(&mut self) -> Result<Expr> {
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

    pub(super) fn sum(&mut self) -> Result<Expr> {
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

    pub(super) fn concatenation(&mut self) -> Result<Expr> {
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

    pub(super) fn product(&mut self) -> Result<Expr> {
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
    pub(super) fn power(&mut self) -> Result<Expr> {
        let mut left = self.unary(true)?;
        while self.take_operator("**") {
            let right = self.unary(true)?;
            left = self.expr(ExprKind::Binary(Operator::Power, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    pub(super) fn unary(&mut self, with_filter: bool) -> Result<Expr> {
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
        if !with_filter {
            return Ok(value);
        }
        loop {
            if self.take_operator("|") {
                let step = self.step()?;
                value = self.expr(ExprKind::Filter(Box::new(value), step.name, step.arguments))?;
            } else if self.take_name("is") {
                value = self.test(value)?;
            } else if self.is_operator("(") {
                let arguments = self.arguments()?;
                value = self.expr(ExprKind::Call(Box::new(value), arguments))?;
            } else {
                return Ok(value);
            }
        }
    }

    pub(super) fn primary(&mut self) -> Result<Expr> {
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

    pub(super) fn postfix(&mut self, mut value: Expr) -> Result<Expr> {
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

    pub(super) fn subscript(&mut self) -> Result<Expr> {
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

    pub(super) fn arguments(&mut self) -> Result<Arguments> {
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

    pub(super) fn allow(&self, allowed: bool) -> Result<()> {
        if allowed { Ok(()) } else { Err(self.fault("the arguments of a call are in no valid order")) }
    }

    pub(super) fn test(&mut self, value: Expr) -> Result<Expr> {
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
