//! The tree of a parsed template.

use std::sync::Arc;

/// A name or a text, shared by the tree and the values that are made of it.
pub(super) type Text = Arc<str>;

/// Statements in their order.
pub(super) type Body = Vec<Statement>;

/// A statement, and the line on which it stands.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) kind: StatementKind,
}

#[derive(Debug)]
pub(super) enum StatementKind {
    Text(Text),
    Print(Expr),
    /// Conditions with their bodies, and what holds otherwise.
    If(Vec<(Expr, Body)>, Body),
    For(Box<For>),
    Set(Target, Expr),
    SetBlock(Target, Vec<Step>, Body),
    With(Vec<(Target, Expr)>, Body),
    Macro(Arc<MacroDefinition>),
    /// `{% call %}`: the body is given to what is called.
    Call(Arc<MacroDefinition>, Expr),
    Filter(Vec<Step>, Body),
    /// `{% generation %}`: what the assistant said. A scope of its own, and otherwise nothing.
    Generation(Body),
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct For {
    pub(super) target: Target,
    pub(super) values: Expr,
    pub(super) condition: Option<Expr>,
    pub(super) recursive: bool,
    pub(super) body: Body,
    pub(super) otherwise: Body,
}

#[derive(Debug)]
pub(super) struct MacroDefinition {
    pub(super) name: Text,
    pub(super) parameters: Vec<Text>,
    /// Those of the last parameters.
    pub(super) defaults: Vec<Expr>,
    pub(super) body: Body,
    /// Which of `varargs`, `kwargs` and `caller` the body names: only then does a macro take them.
    pub(super) takes_more: bool,
    pub(super) takes_names: bool,
    pub(super) takes_caller: bool,
}

/// What is assigned to.
#[derive(Debug)]
pub(super) enum Target {
    Name(Text),
    Attribute(Text, Text),
    Tuple(Vec<Target>),
}

/// A filter of a chain whose input is a block.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: Text,
    pub(super) arguments: Arguments,
}

#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Expr>,
    pub(super) named: Vec<(Text, Expr)>,
    pub(super) more: Option<Box<Expr>>,
    pub(super) more_named: Option<Box<Expr>>,
}

impl Arguments {
    fn depth(&self) -> usize {
        let named = self.named.iter().map(|(_, value)| value);
        let more = self.more.iter().chain(&self.more_named).map(|value| &**value);
        self.positional.iter().chain(named).chain(more).map(|value| value.depth).max().unwrap_or(0)
    }
}

/// An expression, and how deep it is nested: what evaluates it recurses as deep.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) depth: usize,
    pub(super) kind: ExprKind,
}

#[derive(Debug)]
pub(super) enum ExprKind {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text),
    Name(Text),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attribute(Box<Expr>, Text),
    Item(Box<Expr>, Box<Expr>),
    /// Only as what an item is looked up by.
    Slice(Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Arguments),
    Filter(Box<Expr>, Text, Arguments),
    Test(Box<Expr>, Text, Arguments),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Concat(Vec<Expr>),
    /// A chain of comparisons: `a < b < c` is `a < b and b < c`.
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// The condition, the value where it holds, and the value otherwise.
    Choice(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

impl Operator {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::FloorDivide => "//",
            Self::Modulo => "%",
            Self::Power => "**",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

impl Expr {
    pub(super) fn new(kind: ExprKind) -> Self {
        use ExprKind as K;
        let deepest = |list: &[Expr]| list.iter().map(|e| e.depth).max().unwrap_or(0);
        let below = match &kind {
            K::None | K::Bool(_) | K::Int(_) | K::Float(_) | K::Text(_) | K::Name(_) => 0,
            K::List(list) | K::Tuple(list) | K::Concat(list) => deepest(list),
            K::Dict(pairs) => pairs.iter().map(|(key, value)| key.depth.max(value.depth)).max().unwrap_or(0),
            K::Attribute(of, _) | K::Not(of) | K::Negative(of) | K::Positive(of) => of.depth,
            K::Item(of, by) => of.depth.max(by.depth),
            K::Slice(parts) => parts.iter().flatten().map(|e| e.depth).max().unwrap_or(0),
            K::Call(of, arguments) | K::Filter(of, _, arguments) | K::Test(of, _, arguments) => {
                of.depth.max(arguments.depth())
            }
            K::And(left, right) | K::Or(left, right) | K::Binary(_, left, right) => left.depth.max(right.depth),
            K::Compare(first, rest) => rest.iter().map(|(_, e)| e.depth).max().unwrap_or(0).max(first.depth),
            K::Choice(condition, value, other) => {
                condition.depth.max(value.depth).max(other.as_ref().map_or(0, |e| e.depth))
            }
        };
        Self { depth: below + 1, kind }
    }
}
