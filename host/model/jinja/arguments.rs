//! The arguments of a call, and how they meet the parameters of what is called.

use super::syntax::Text;
use super::value::Value;
use super::{Fault, Result};

/// Arguments as a call gives them.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(Text, Value)>,
}

impl Given {
    /// The arguments by parameter. Errors: too many, one given twice, or a name that is no parameter.
    pub(super) fn bind<const N: usize>(self, of: &str, parameters: [&str; N]) -> Result<[Option<Value>; N]> {
        let mut out = [const { None }; N];
        if self.positional.len() > N {
            let found = self.positional.len();
            return Err(Fault::new(format!("`{of}` takes at most {N} arguments, found {found}")));
        }
        for (place, value) in out.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            let place = parameters.iter().position(|parameter| **parameter == *name);
            match place.and_then(|at| out.get_mut(at)) {
                Some(place @ None) => *place = Some(value),
                Some(_) => return Err(Fault::new(format!("`{of}` was given `{name}` twice"))),
                None => return Err(Fault::new(format!("`{of}` takes no argument `{name}`"))),
            }
        }
        Ok(out)
    }

    /// Of a method that takes no names.
    pub(super) fn unnamed<const N: usize>(self, of: &str) -> Result<[Option<Value>; N]> {
        match self.named.first() {
            Some((name, _)) => Err(Fault::new(format!("`{of}` takes no argument `{name}`"))),
            None => self.bind(of, [""; N]),
        }
    }
}

/// An argument that must be there.
pub(super) fn needed(value: Option<Value>, of: &str) -> Result<Value> {
    value.ok_or_else(|| Fault::new(format!("`{of}` needs one more argument")))
}

/// A text.
pub(super) fn text(value: &Value, of: &str) -> Result<Text> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(mismatch(other, "a text", of)),
    }
}

/// A whole number.
pub(super) fn whole(value: &Value, of: &str) -> Result<i64> {
    value.whole().ok_or_else(|| mismatch(value, "a whole number", of))
}

/// A whole number, where it is given and not none.
pub(super) fn maybe_whole(value: Option<&Value>, of: &str) -> Result<Option<i64>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(value) => whole(value, of).map(Some),
    }
}

/// The message of a value of the wrong kind; an undefined one says itself what it is.
pub(super) fn mismatch(value: &Value, expected: &str, of: &str) -> Fault {
    match value {
        Value::Undefined(message) => Fault::new(message.to_string()),
        other => Fault::new(format!("`{of}`: expected {expected}, found {}", other.kind())),
    }
}
