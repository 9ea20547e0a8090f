//! Tests: what stands behind `is`.

use super::arguments::{Given, mismatch, needed};
use super::machine::Machine;
use super::syntax::Comparison;
use super::value::Value;
use super::{Fault, Result, filters};

const NAMES: [&str; 39] = [
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

impl Machine<'_> {
    pub(super) fn test(&mut self, name: &str, value: &Value, given: Given) -> Result<bool> {
        let comparison = match name {
            "==" | "eq" | "equalto" => Some(Comparison::Equal),
            "!=" | "ne" => Some(Comparison::NotEqual),
            "<" | "lt" | "lessthan" => Some(Comparison::Less),
            "<=" | "le" => Some(Comparison::LessOrEqual),
            ">" | "gt" | "greaterthan" => Some(Comparison::Greater),
            ">=" | "ge" => Some(Comparison::GreaterOrEqual),
            "in" => Some(Comparison::In),
            _ => None,
        };
        if let Some(comparison) = comparison {
            let [other] = given.unnamed(name)?;
            return self.compare(comparison, value, &needed(other, name)?);
        }
        match name {
            "divisibleby" => {
                let [by] = given.bind(name, ["num"])?;
                let by = needed(by, name)?;
                let rest = super::numbers::binary(super::syntax::Operator::Modulo, value, &by)?;
                let rest = rest.ok_or_else(|| mismatch(value, "a number", name))?;
                return Ok(!rest.is_true());
            }
            "sameas" => {
                let [other] = given.bind(name, ["other"])?;
                return Ok(match (value, &needed(other, name)?) {
                    (Value::None, Value::None) => true,
                    (Value::Bool(a), Value::Bool(b)) => a == b,
                    (Value::None | Value::Bool(_), _) | (_, Value::None | Value::Bool(_)) => false,
                    _ => {
                        return Err(Fault::new(
                            "`sameas` of other values than `none`, `true` and `false` is not supported",
                        ));
                    }
                });
            }
            _ => {
                let [] = given.bind::<0>(name, [])?;
            }
        }
        let text = |value: &Value, of: &dyn Fn(char) -> bool, not: &dyn Fn(char) -> bool| match value {
            Value::Text(text) | Value::Markup(text) => text.chars().any(of) && !text.chars().any(not),
            // Others are printed first, and all that prints with letters has small ones, or large ones alone.
            other => super::text::printed(other).is_ok_and(|text| text.chars().any(of) && !text.chars().any(not)),
        };
        Ok(match name {
            "defined" => !value.is_undefined(),
            "undefined" => value.is_undefined(),
            "none" => matches!(value, Value::None),
            "true" => matches!(value, Value::Bool(true)),
            "false" => matches!(value, Value::Bool(false)),
            "boolean" => matches!(value, Value::Bool(_)),
            "integer" => matches!(value, Value::Int(_)),
            "float" => matches!(value, Value::Float(_)),
            "number" => value.number().is_some(),
            "string" => matches!(value, Value::Text(_) | Value::Markup(_)),
            "mapping" => matches!(value, Value::Dict(_)),
            // What is undefined has a length, 0, and can be asked for an item, if in vain.
            "sequence" => matches!(
                value,
                Value::Text(_)
                    | Value::Markup(_)
                    | Value::List(_)
                    | Value::Tuple(_)
                    | Value::Dict(_)
                    | Value::Range(..)
                    | Value::Undefined(_)
            ),
            "iterable" => matches!(
                value,
                Value::Text(_)
                    | Value::Markup(_)
                    | Value::List(_)
                    | Value::Tuple(_)
                    | Value::Dict(_)
                    | Value::View(..)
                    | Value::Range(..)
                    | Value::Generator(_)
                    | Value::Loop(_)
                    | Value::Undefined(_)
            ),
            "callable" => matches!(
                value,
                Value::Macro(_) | Value::Method(_) | Value::Function(_) | Value::Loop(_) | Value::Undefined(_)
            ),
            "escaped" => matches!(value, Value::Markup(_)),
            "lower" => text(value, &|c| c.is_lowercase(), &|c| c.is_uppercase() || super::text::is_titlecase(c)),
            "upper" => text(value, &|c| c.is_uppercase(), &|c| c.is_lowercase() || super::text::is_titlecase(c)),
            "odd" | "even" => {
                let rest = super::numbers::binary(super::syntax::Operator::Modulo, value, &Value::Int(2))?;
                let rest = rest.and_then(|rest| rest.number()).ok_or_else(|| mismatch(value, "a number", name))?;
                rest == if name == "odd" { 1.0 } else { 0.0 }
            }
            "filter" => matches!(value, Value::Text(text) if filters::is_known(text)),
            "test" => matches!(value, Value::Text(text) if NAMES.contains(&&**text)),
            _ => return Err(Fault::new(format!("test `{name}` is not known"))),
        })
    }
}
