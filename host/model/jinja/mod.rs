//! Chat templates in Jinja, evaluated as Transformers evaluates them: Jinja2's grammar and scopes, Python's values.
//!
//! | file | what it holds |
//! |---|---|
//! | `lexer.rs`, `parser.rs`, `syntax.rs` | text → tokens → tree |
//! | `value.rs`, `text.rs` | values, and how they are printed |
//! | `machine.rs`, `expression.rs` | statements, scopes, loops, macros; operators, attributes, calls |
//! | `filters.rs`, `lists.rs`, `tests.rs`, `methods.rs`, `arguments.rs` | filters, tests and methods, and how they are called |
//! | `format.rs`, `numbers.rs`, `json.rs`, `clock.rs` | `%` and `str.format`, numbers, `tojson`, `strftime_now` |
//!
//! A template is a stranger's program. It reads nothing but what it is given, and what it may do is bounded: the nesting of its text, and one
//! account of work ([`WORK`]) from which every step, and every byte and element that it makes, is paid *before* it is made.

mod access;
mod arguments;
mod clock;
mod expression;
mod filters;
mod format;
mod json;
mod lexer;
mod lists;
mod machine;
mod methods;
mod numbers;
mod operators;
mod parser;
mod pieces;
mod syntax;
mod tests;
mod text;
mod value;

pub(super) use clock::Clock;

use syntax::Body;

/// What a template may do: a step of the tree costs 10, a byte 1, an element of a list 32. Real templates take a few thousand.
const WORK: u64 = 100_000_000;
/// The most bytes of one text.
const LONGEST: usize = 32 << 20;
/// The most bytes of a template; real ones have some thousands.
const LARGEST_SOURCE: usize = 1 << 20;
/// What the nesting that is allowed needs of a stack, with much to spare; the pages that are not touched take no memory.
const STACK: usize = 64 << 20;

/// What is wrong with a template, or with what it was given.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// The line of the template, where it is known.
    line: Option<usize>,
    text: String,
    hint: Option<&'static str>,
}

type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    fn new(text: impl Into<String>) -> Self {
        Self { line: None, text: text.into(), hint: None }
    }

    fn at(line: usize, text: impl Into<String>) -> Self {
        Self { line: Some(line), text: text.into(), hint: None }
    }

    fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The message, and what to do about it.
    pub(super) fn message(&self) -> (String, Option<&'static str>) {
        let text = match self.line {
            Some(line) => format!("line {line}: {}", self.text),
            None => self.text.clone(),
        };
        (text, self.hint)
    }
}

fn too_much() -> Fault {
    Fault::new("it does more than a chat template may: expected one that ends soon and makes little text")
}

/// A parsed template.
pub(super) struct Template {
    body: Body,
}

/// What came of a template.
pub(super) struct Rendered {
    pub(super) text: String,
    /// Whether it asked for `strftime_now` where no date is given, and went on without.
    pub(super) missed_date: bool,
}

impl Template {
    /// Parses a template.
    pub(super) fn parse(source: &str) -> Result<Self> {
        if source.len() > LARGEST_SOURCE {
            let found = source.len();
            return Err(Fault::new(format!("expected at most {LARGEST_SOURCE} bytes, found {found}")));
        }
        let body = on_own_stack(|| parser::parse(source))?;
        Ok(Self { body })
    }

    /// The text of a template with these names. Without a clock, `strftime_now` is not defined.
    pub(super) fn render(&self, names: &[(&str, &serde_json::Value)], clock: Option<&Clock>) -> Result<Rendered> {
        on_own_stack(|| machine::render(&self.body, names, clock))
    }
}

/// Runs on a stack that holds the nesting which is allowed, whatever stack the caller has.
fn on_own_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("chat template".into()).stack_size(STACK);
        let handle =
            thread.spawn_scoped(scope, work).map_err(|e| Fault::new(format!("no thread could be started: {e}")))?;
        handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
