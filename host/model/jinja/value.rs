//! What a template computes with: Python's values, as far as templates meet them.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::rc::Rc;

use super::syntax::Text;
use super::{Fault, Result};

/// How deep lists and dictionaries may hold each other.
const DEEPEST: usize = 100;
/// What it costs to compare two values.
const COMPARISON: u64 = 8;

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// What is not there, and the message for whoever needs it.
    Undefined(Text),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text),
    /// A text that is marked as safe; like a text where it is printed.
    Markup(Text),
    List(Rc<Sequence>),
    Tuple(Rc<Sequence>),
    Dict(Rc<Dict>),
    View(View, Rc<Dict>),
    /// Start, stop, step.
    Range(i64, i64, i64),
    /// What can be read once.
    Generator(Rc<Generator>),
    /// By their numbers in the machine, so that no value holds itself.
    Namespace(usize),
    Macro(usize),
    Loop(usize),
    Method(Rc<(Value, &'static str)>),
    Function(Function),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Keys,
    Values,
    Items,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Range,
    Dict,
    Namespace,
    RaiseException,
    StrftimeNow,
}

#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) items: Vec<Value>,
    depth: usize,
    /// Whether all of it can be a key.
    keys: bool,
}

#[derive(Debug)]
pub(super) struct Dict {
    pub(super) entries: Vec<(Value, Value)>,
    depth: usize,
}

#[derive(Debug)]
pub(super) struct Generator {
    pub(super) items: RefCell<VecDeque<Value>>,
    depth: usize,
}

fn deeper<'a>(values: impl Iterator<Item = &'a Value>) -> Result<usize> {
    let depth = values.map(Value::depth).max().unwrap_or(0) + 1;
    if depth > DEEPEST {
        return Err(Fault::new(format!("lists or dictionaries hold each other more than {DEEPEST} deep")));
    }
    Ok(depth)
}

impl Value {
    pub(super) fn text(text: impl Into<Text>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn undefined(message: impl Into<Text>) -> Self {
        Self::Undefined(message.into())
    }

    pub(super) fn list(items: Vec<Value>) -> Result<Self> {
        let depth = deeper(items.iter())?;
        Ok(Self::List(Rc::new(Sequence { items, depth, keys: false })))
    }

    pub(super) fn tuple(items: Vec<Value>) -> Result<Self> {
        let depth = deeper(items.iter())?;
        let keys = items.iter().all(Self::is_key);
        Ok(Self::Tuple(Rc::new(Sequence { items, depth, keys })))
    }

    /// The keys must be distinct and fit for keys.
    pub(super) fn dict(entries: Vec<(Value, Value)>) -> Result<Self> {
        let depth = deeper(entries.iter().flat_map(|(key, value)| [key, value]))?;
        Ok(Self::Dict(Rc::new(Dict { entries, depth })))
    }

    pub(super) fn generator(items: Vec<Value>) -> Result<Self> {
        let depth = deeper(items.iter())?;
        Ok(Self::Generator(Rc::new(Generator { items: RefCell::new(items.into()), depth })))
    }

    pub(super) fn method(of: Value, name: &'static str) -> Result<Self> {
        deeper(std::iter::once(&of))?;
        Ok(Self::Method(Rc::new((of, name))))
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(list) | Self::Tuple(list) => list.depth,
            Self::Dict(dict) | Self::View(_, dict) => dict.depth,
            Self::Generator(generator) => generator.depth,
            Self::Method(method) => method.0.depth() + 1,
            _ => 0,
        }
    }

    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// What Python calls the type, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "undefined",
            Self::None => "none",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Markup(_) => "a text marked as safe",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dictionary",
            Self::View(..) => "a view of a dictionary",
            Self::Range(..) => "a range",
            Self::Generator(_) => "a generator",
            Self::Namespace(_) => "a namespace",
            Self::Macro(_) => "a macro",
            Self::Loop(_) => "a loop",
            Self::Method(_) => "a method",
            Self::Function(_) => "a function",
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) | Self::Markup(text) => !text.is_empty(),
            Self::List(list) | Self::Tuple(list) => !list.items.is_empty(),
            Self::Dict(dict) | Self::View(_, dict) => !dict.entries.is_empty(),
            Self::Range(start, stop, step) => range_length(*start, *stop, *step) > 0,
            Self::Generator(_)
            | Self::Namespace(_)
            | Self::Macro(_)
            | Self::Loop(_)
            | Self::Method(_)
            | Self::Function(_) => true,
        }
    }

    /// A number without a fraction, booleans included as in Python.
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            _ => self.whole().map(|value| value as f64),
        }
    }

    pub(super) fn is_key(&self) -> bool {
        match self {
            Self::List(_) | Self::Dict(_) | Self::View(..) => false,
            Self::Tuple(list) => list.keys,
            _ => true,
        }
    }

    /// Python's `==`. `steps` counts what is compared; beyond what a template may take, the answer means nothing.
    pub(super) fn equals(&self, other: &Self, steps: &mut u64) -> bool {
        *steps += COMPARISON;
        if *steps > super::WORK {
            return false;
        }
        match (self, other) {
            (Self::Undefined(_), Self::Undefined(_)) | (Self::None, Self::None) => true,
            (Self::Text(a) | Self::Markup(a), Self::Text(b) | Self::Markup(b)) => {
                *steps += a.len().min(b.len()) as u64 / 16;
                a == b
            }
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                a.items.len() == b.items.len() && a.items.iter().zip(&b.items).all(|(a, b)| a.equals(b, steps))
            }
            (Self::Dict(a), Self::Dict(b)) => {
                a.entries.len() == b.entries.len()
                    && a.entries
                        .iter()
                        .all(|(key, value)| b.get(key, steps).is_some_and(|other| value.equals(other, steps)))
            }
            (Self::Range(..), Self::Range(..)) => {
                let (a, b) = (range_items(self), range_items(other));
                *steps += a.len() as u64;
                a == b
            }
            (Self::Generator(a), Self::Generator(b)) => Rc::ptr_eq(a, b),
            (Self::Namespace(a), Self::Namespace(b))
            | (Self::Macro(a), Self::Macro(b))
            | (Self::Loop(a), Self::Loop(b)) => a == b,
            (Self::Function(a), Self::Function(b)) => a == b,
            (Self::Method(a), Self::Method(b)) => Rc::ptr_eq(a, b),
            _ => compare_numbers(self, other) == Some(Ordering::Equal),
        }
    }

    /// Python's order. Errors: two values that have none.
    pub(super) fn order(&self, other: &Self, steps: &mut u64) -> Result<Ordering> {
        *steps += COMPARISON;
        if *steps > super::WORK {
            return Err(super::too_much());
        }
        match (self, other) {
            (Self::Text(a) | Self::Markup(a), Self::Text(b) | Self::Markup(b)) => {
                *steps += a.len().min(b.len()) as u64 / 16;
                // The order of UTF-8 is that of code points.
                Ok(a.cmp(b))
            }
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(b, steps) {
                        return a.order(b, steps);
                    }
                }
                Ok(a.items.len().cmp(&b.items.len()))
            }
            _ => match (self.number(), other.number()) {
                (Some(_), Some(_)) => compare_numbers(self, other).ok_or_else(|| Fault::new("`nan` has no order")),
                _ => Err(Fault::new(match (self, other) {
                    (Self::Undefined(message), _) | (_, Self::Undefined(message)) => message.to_string(),
                    _ => format!("{} and {} have no order", self.kind(), other.kind()),
                })),
            },
        }
    }
}

fn compare_numbers(a: &Value, b: &Value) -> Option<Ordering> {
    match (a.whole(), b.whole()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => compare_mixed(a, b.number()?),
        (None, Some(b)) => compare_mixed(b, a.number()?).map(Ordering::reverse),
        (None, None) => a.number()?.partial_cmp(&b.number()?),
    }
}

/// Exact, though not every whole number is a float.
fn compare_mixed(whole: i64, number: f64) -> Option<Ordering> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if number.is_nan() {
        return None;
    }
    if number >= BOUND {
        return Some(Ordering::Less);
    }
    if number < -BOUND {
        return Some(Ordering::Greater);
    }
    let floor = number.floor();
    Some(whole.cmp(&(floor as i64)).then(if number > floor { Ordering::Less } else { Ordering::Equal }))
}

impl Dict {
    pub(super) fn get(&self, key: &Value, steps: &mut u64) -> Option<&Value> {
        self.entries.iter().find(|(own, _)| own.equals(key, steps)).map(|(_, value)| value)
    }
}

impl View {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keys => "dict_keys",
            Self::Values => "dict_values",
            Self::Items => "dict_items",
        }
    }

    /// The values that are seen. Errors: pairs that are nested too deep.
    pub(super) fn items(self, dict: &Dict) -> Result<Vec<Value>> {
        match self {
            Self::Keys => Ok(dict.entries.iter().map(|(key, _)| key.clone()).collect()),
            Self::Values => Ok(dict.entries.iter().map(|(_, value)| value.clone()).collect()),
            Self::Items => {
                dict.entries.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect()
            }
        }
    }
}

pub(super) fn range_length(start: i64, stop: i64, step: i64) -> u64 {
    let (start, stop, step) = (i128::from(start), i128::from(stop), i128::from(step));
    let length = match step {
        0 => 0,
        step if step > 0 => (stop - start + step - 1).div_euclid(step),
        step => (start - stop - step - 1).div_euclid(-step),
    };
    u64::try_from(length).unwrap_or(0)
}

fn range_items(value: &Value) -> Vec<i64> {
    match value {
        Value::Range(start, stop, step) => {
            (0..range_length(*start, *stop, *step)).map(|i| start + i as i64 * step).collect()
        }
        _ => Vec::new(),
    }
}
