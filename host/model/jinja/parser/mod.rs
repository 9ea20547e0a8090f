//! From tokens to a tree, by Jinja's grammar. What the grammar nests is bounded, since what reads it recurses.

use super::lexer::{Token, TokenKind, tokens};
use super::syntax::{Body, Expr, ExprKind, Text};
use super::{Fault, Result};

mod expressions;
mod statements;

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
}
