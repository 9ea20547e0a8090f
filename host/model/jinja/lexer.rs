//! From a template's text to tokens, with the white space around tags taken away as `trim_blocks` and `lstrip_blocks` say.

use super::text::is_space;
use super::{Fault, Result};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// Text outside of all tags.
    Data(String),
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Operator(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: TokenKind,
}

/// The longest first.
const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",",
];

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    /// Whether the last piece ended a line.
    line_starts: bool,
    tokens: Vec<Token>,
}

/// The tokens of a template.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>> {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    // One newline at the very end does not belong to the text.
    if source.ends_with('\n') {
        source.pop();
    }
    let mut lexer = Lexer { source: &source, at: 0, line: 1, line_starts: true, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn fault(&self, text: impl Into<String>) -> Fault {
        Fault::at(self.line, text)
    }

    fn push(&mut self, kind: TokenKind) {
        self.tokens.push(Token { line: self.line, kind });
    }

    /// Moves past `length` bytes.
    fn skip(&mut self, length: usize) {
        let passed = &self.rest()[..length];
        self.line += passed.matches('\n').count();
        self.line_starts = passed.ends_with('\n');
        self.at += length;
    }

    fn skip_space(&mut self) {
        let space = self.rest().len() - self.rest().trim_start_matches(is_space).len();
        if space > 0 {
            self.skip(space);
        }
    }

    fn run(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let mut braces = rest.match_indices('{').map(|(at, _)| at);
            let Some(start) = braces.find(|at| rest[at + 1..].starts_with(['%', '{', '#'])) else {
                if !rest.is_empty() {
                    self.push(TokenKind::Data(rest.to_string()));
                }
                self.push(TokenKind::End);
                return Ok(());
            };
            let opening = &rest[start..start + 2];
            let sign = self.sign(start + 2);
            self.data(start, sign, opening != "{{");
            self.skip(2 + usize::from(sign.is_some()));
            match opening {
                "{#" => self.comment()?,
                "{%" if self.is_raw() => self.raw()?,
                "{%" => {
                    self.push(TokenKind::BlockBegin);
                    self.tag(true)?;
                }
                _ => {
                    self.push(TokenKind::VariableBegin);
                    self.tag(false)?;
                }
            }
        }
    }

    /// The sign of white-space control at an offset.
    fn sign(&self, offset: usize) -> Option<char> {
        self.rest()[offset..].chars().next().filter(|c| matches!(c, '-' | '+'))
    }

    /// Takes the text before a tag.
    fn data(&mut self, length: usize, sign: Option<char>, strips_line: bool) {
        let whole = &self.rest()[..length];
        let mut text = whole;
        if sign == Some('-') {
            text = whole.trim_end_matches(is_space);
        } else if sign.is_none() && strips_line {
            let line = whole.rfind('\n').map_or(0, |at| at + 1);
            if (line > 0 || self.line_starts) && line < whole.len() && whole[line..].chars().all(is_space) {
                text = &whole[..line];
            }
        }
        if !text.is_empty() {
            self.push(TokenKind::Data(text.to_string()));
        }
        if length > 0 {
            self.skip(length);
        }
    }

    /// Takes the end of a tag, with the white space that goes with it; `None` where none stands here.
    fn close(&mut self, mark: &str, is_variable: bool) -> Option<()> {
        let rest = self.rest();
        if let Some(after) = rest.strip_prefix('-').and_then(|rest| rest.strip_prefix(mark)) {
            let space = after.len() - after.trim_start_matches(is_space).len();
            self.skip(1 + mark.len() + space);
            return Some(());
        }
        if !is_variable && rest.strip_prefix('+').is_some_and(|rest| rest.starts_with(mark)) {
            self.skip(1 + mark.len());
            return Some(());
        }
        let after = rest.strip_prefix(mark)?;
        let newline = usize::from(!is_variable && after.starts_with('\n'));
        self.skip(mark.len() + newline);
        Some(())
    }

    fn comment(&mut self) -> Result<()> {
        let Some(end) = self.rest().find("#}") else { return Err(self.fault("a comment without its `#}`")) };
        let signed = self.rest()[..end].ends_with(['-', '+']);
        self.skip(end - usize::from(signed));
        self.close("#}", false);
        Ok(())
    }

    /// Whether `raw` and the tag's end stand here.
    fn is_raw(&self) -> bool {
        let Some(after) = self.rest().trim_start_matches(is_space).strip_prefix("raw") else { return false };
        let after = after.trim_start_matches(is_space);
        after.starts_with("%}") || after.starts_with("-%}")
    }

    fn raw(&mut self) -> Result<()> {
        self.skip_space();
        self.skip("raw".len());
        self.skip_space();
        let strips = self.rest().starts_with('-');
        self.skip(2 + usize::from(strips));
        if strips {
            self.skip_space();
        }
        let mut from = 0;
        while let Some(found) = self.rest()[from..].find("{%") {
            let start = from + found;
            let sign = self.sign(start + 2);
            let name = &self.rest()[start + 2 + usize::from(sign.is_some())..];
            let name = name.trim_start_matches(is_space);
            let after = name.strip_prefix("endraw").map(|after| after.trim_start_matches(is_space));
            if after.is_some_and(|after| after.trim_start_matches(['-', '+']).starts_with("%}")) {
                self.data(start, sign, true);
                self.skip(2 + usize::from(sign.is_some()));
                self.skip_space();
                self.skip("endraw".len());
                self.skip_space();
                return self.close("%}", false).ok_or_else(|| self.fault("expected `%}` behind `endraw`"));
            }
            from = start + 2;
        }
        Err(self.fault("`raw` without its `endraw`"))
    }

    /// The inside of a tag, up to its end.
    fn tag(&mut self, is_block: bool) -> Result<()> {
        let mut open: Vec<&str> = Vec::new();
        loop {
            if open.is_empty() {
                let kind = if is_block { TokenKind::BlockEnd } else { TokenKind::VariableEnd };
                let line = self.line;
                if self.close(if is_block { "%}" } else { "}}" }, !is_block).is_some() {
                    self.tokens.push(Token { line, kind });
                    return Ok(());
                }
            }
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Err(self.fault(format!("a tag without its `{}`", if is_block { "%}" } else { "}}" })));
            };
            if is_space(first) {
                self.skip_space();
            } else if first.is_ascii_digit() {
                self.number()?;
            } else if first == '_' || first.is_alphabetic() {
                let length = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
                self.push(TokenKind::Name(rest[..length].to_string()));
                self.skip(length);
            } else if first == '"' || first == '\'' {
                self.text(first)?;
            } else {
                let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
                let Some(&operator) = operator else {
                    return Err(self.fault(format!("expected an expression, found `{first}`")));
                };
                match operator {
                    "(" => open.push(")"),
                    "[" => open.push("]"),
                    "{" => open.push("}"),
                    ")" | "]" | "}" if open.pop() != Some(operator) => {
                        return Err(self.fault(format!("`{operator}` closes nothing")));
                    }
                    _ => {}
                }
                self.push(TokenKind::Operator(operator));
                self.skip(operator.len());
            }
        }
    }

    fn number(&mut self) -> Result<()> {
        let rest = self.rest();
        let digits = |text: &str, is_digit: &dyn Fn(char) -> bool| {
            // Single underscores between digits.
            let mut end = 0;
            for (at, c) in text.char_indices() {
                if is_digit(c) {
                    end = at + 1;
                } else if c != '_' || at != end || at == 0 {
                    break;
                }
            }
            end
        };
        let decimal = |c: char| c.is_ascii_digit();
        let is_float_allowed = !self.source[..self.at].ends_with('.');
        let whole = digits(rest, &decimal);
        let mut end = whole;
        if let Some(after) = rest[whole..].strip_prefix('.') {
            let fraction = digits(after, &decimal);
            if fraction > 0 {
                end = whole + 1 + fraction;
            }
        }
        if rest[end..].starts_with(['e', 'E']) {
            let signed = usize::from(rest[end + 1..].starts_with(['+', '-']));
            let exponent = digits(&rest[end + 1 + signed..], &decimal);
            if exponent > 0 {
                end += 1 + signed + exponent;
            }
        }
        if end > whole && is_float_allowed {
            let value: f64 = rest[..end].replace('_', "").parse().map_err(|_| self.fault("not a number"))?;
            self.push(TokenKind::Float(value));
            self.skip(end);
            return Ok(());
        }
        let lower = rest.get(..2).unwrap_or_default().to_ascii_lowercase();
        let (radix, prefix) = match lower.as_str() {
            "0b" => (2, 2),
            "0o" => (8, 2),
            "0x" => (16, 2),
            _ => (10, 0),
        };
        let length = digits(&rest[prefix..], &|c| c.is_digit(radix));
        let (start, length) = if length == 0 { (0, 1) } else { (prefix, length) };
        let text = rest[start..start + length].replace('_', "");
        let radix = if start == 0 { 10 } else { radix };
        let value = i64::from_str_radix(&text, radix)
            .map_err(|_| self.fault(format!("expected a whole number of at most 63 bits, found `{text}`")))?;
        if radix == 10 && text.len() > 1 && text.starts_with('0') && value != 0 {
            return Err(self.fault(format!("expected a number without leading zeros, found `{text}`")));
        }
        self.push(TokenKind::Int(value));
        self.skip(start + length);
        Ok(())
    }

    fn text(&mut self, quote: char) -> Result<()> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest[1..].char_indices().find(|&(_, c)| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some((length, _)) = end else { return Err(self.fault("a text without its closing quote")) };
        let text = unescape(&rest[1..1 + length]).map_err(|text| self.fault(text))?;
        self.push(TokenKind::Text(text));
        self.skip(length + 2);
        Ok(())
    }
}

/// The escapes of Python's texts.
fn unescape(text: &str) -> std::result::Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let Some(kind) = chars.next() else { return Err("a text that ends with a backslash".into()) };
        let mut hexadecimal = |count: usize| -> std::result::Result<char, String> {
            let mut code = 0;
            for _ in 0..count {
                let digit = chars.next().and_then(|c| c.to_digit(16));
                code = code * 16
                    + digit.ok_or_else(|| format!("expected {count} hexadecimal digits behind `\\{kind}`"))?;
            }
            char::from_u32(code).ok_or_else(|| format!("no character has the number {code:#x}"))
        };
        match kind {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(kind),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            'x' => out.push(hexadecimal(2)?),
            'u' => out.push(hexadecimal(4)?),
            'U' => out.push(hexadecimal(8)?),
            'N' => return Err("characters by name (`\\N{…}`) are not supported".into()),
            '0'..='7' => {
                let mut code = kind.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    if let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) {
                        code = code * 8 + digit;
                        chars.next();
                    }
                }
                out.push(char::from_u32(code).ok_or("no such character")?);
            }
            other if !other.is_ascii() => return Err(format!("a backslash before `{other}` is not supported")),
            // An unknown escape is the text itself.
            other => out.extend(['\\', other]),
        }
    }
    Ok(out)
}
