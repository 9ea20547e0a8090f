//! Numbers as Python computes with them, whole ones within 64 bits.

use super::arguments::mismatch;
use super::syntax::Operator;
use super::value::Value;
use super::{Fault, Result};

fn beyond() -> Fault {
    Fault::new("a whole number of more than 63 bits is not supported")
}

pub(super) fn negative(value: &Value) -> Result<Value> {
    match (value.whole(), value) {
        (Some(whole), _) => Ok(Value::Int(whole.checked_neg().ok_or_else(beyond)?)),
        (None, Value::Float(value)) => Ok(Value::Float(-value)),
        _ => Err(mismatch(value, "a number", "-")),
    }
}

pub(super) fn positive(value: &Value) -> Result<Value> {
    match (value.whole(), value) {
        (Some(whole), _) => Ok(Value::Int(whole)),
        (None, Value::Float(value)) => Ok(Value::Float(*value)),
        _ => Err(mismatch(value, "a number", "+")),
    }
}

/// The result where both are numbers.
pub(super) fn binary(operator: Operator, left: &Value, right: &Value) -> Result<Option<Value>> {
    if let (Some(a), Some(b)) = (left.whole(), right.whole()) {
        return whole(operator, a, b).map(Some);
    }
    match (left.number(), right.number()) {
        (Some(a), Some(b)) => float(operator, a, b).map(Some),
        _ => Ok(None),
    }
}

fn zero() -> Fault {
    Fault::new("division by zero")
}

fn whole(operator: Operator, a: i64, b: i64) -> Result<Value> {
    let value = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::FloorDivide | Operator::Modulo if b == 0 => return Err(zero()),
        Operator::FloorDivide => {
            let quotient = a.checked_div(b).ok_or_else(beyond)?;
            quotient.checked_sub(i64::from(a % b != 0 && (a < 0) != (b < 0)))
        }
        Operator::Modulo => {
            let rest = a.checked_rem(b).unwrap_or(0);
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        }
        Operator::Divide => {
            const EXACT: u64 = 1 << 53;
            if a.unsigned_abs() > EXACT || b.unsigned_abs() > EXACT {
                return Err(beyond());
            }
            return float(operator, a as f64, b as f64);
        }
        Operator::Power if b < 0 => return float(operator, a as f64, b as f64),
        Operator::Power => a.checked_pow(u32::try_from(b).map_err(|_| beyond())?),
    };
    value.map(Value::Int).ok_or_else(beyond)
}

fn float(operator: Operator, a: f64, b: f64) -> Result<Value> {
    let divides = matches!(operator, Operator::Divide | Operator::FloorDivide | Operator::Modulo);
    if divides && b == 0.0 {
        return Err(zero());
    }
    let rest = || {
        let rest = a % b;
        if rest == 0.0 {
            0.0_f64.copysign(b)
        } else if (rest < 0.0) != (b < 0.0) {
            rest + b
        } else {
            rest
        }
    };
    Ok(Value::Float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Modulo => rest(),
        Operator::FloorDivide => {
            let quotient = (a - rest()) / b;
            let floor = quotient.floor();
            if quotient - floor > 0.5 { floor + 1.0 } else { floor }
        }
        Operator::Power => {
            if (a == 0.0 && b < 0.0) || (a < 0.0 && b.fract() != 0.0) {
                return Err(Fault::new("a power that is no real number"));
            }
            // The last bit of a power is the machine's business; small whole ones are exact.
            let value = a.powf(b);
            if value.is_infinite() && a.is_finite() && b.is_finite() {
                return Err(Fault::new("a power that is too large"));
            }
            value
        }
    }))
}

/// A float without its fraction. Errors: too large, or no number.
pub(super) fn truncated(value: f64) -> Result<i64> {
    let whole = value.trunc();
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
        Ok(whole as i64)
    } else {
        Err(beyond())
    }
}

/// Python's `int(text, base)`; `None` where it is no number. Errors: more than 64 bits.
pub(super) fn read_whole(text: &str, base: u32) -> Result<Option<i64>> {
    let text = text.trim_matches(super::text::is_space);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let prefix = [("0b", 2), ("0o", 8), ("0x", 16)].into_iter().find(|(prefix, _)| lower.starts_with(prefix));
    let (base, digits) = match prefix {
        Some((_, own)) if base == 0 || base == own => (own, digits[2..].strip_prefix('_').unwrap_or(&digits[2..])),
        _ if base == 0 => (10, digits),
        _ => (base, digits),
    };
    if !underscores_part(digits) || !digits.chars().all(|c| c == '_' || c.is_digit(base)) {
        if digits.chars().any(|c| !c.is_ascii() && super::text::is_decimal(c)) {
            return Err(Fault::new("digits outside of ASCII are not supported"));
        }
        return Ok(None);
    }
    let digits = digits.replace('_', "");
    i64::from_str_radix(&format!("{sign}{digits}"), base).map(Some).map_err(|_| beyond())
}

/// Python's `float(text)`; `None` where it is no number.
pub(super) fn read_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(super::text::is_space);
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() - unsigned.len() > 1 {
        return None;
    }
    let lower = unsigned.to_ascii_lowercase();
    let value = match lower.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ => {
            let valid = lower.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-' | b'_'));
            let parts_digits = lower.split(['.', 'e', '+', '-']).all(|part| part.is_empty() || underscores_part(part));
            if !valid || !parts_digits || !lower.bytes().any(|b| b.is_ascii_digit()) {
                return None;
            }
            lower.replace('_', "").parse().ok()?
        }
    };
    Some(if text.starts_with('-') { -value } else { value })
}

/// Whether single underscores stand between digits alone, and something stands there.
fn underscores_part(digits: &str) -> bool {
    !digits.is_empty() && !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__")
}
