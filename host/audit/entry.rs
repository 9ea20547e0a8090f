//! What an entry says, as canonical JSON: keys sorted, no white space.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value};

use so8t_base::{Error, Result};

/// The most bytes of an entry, which a bundle gives two bytes for the length of.
pub(crate) const MOST: usize = u16::MAX as usize;

/// An entry that is being written.
#[derive(Clone, Debug)]
pub struct Entry {
    fields: Map<String, Value>,
}

impl Entry {
    /// An entry of a kind (`decision`, `refusal`, `time-out`, `error`) under an audit id, with the time.
    pub fn new(kind: &str, id: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("audit_id".to_owned(), id.into());
        fields.insert("kind".to_owned(), kind.into());
        fields.insert("time".to_owned(), timestamp(SystemTime::now()).into());
        Self { fields }
    }

    /// With one more field; a later one of the same name takes its place.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Its bytes in the log.
    ///
    /// # Errors
    /// An entry that is longer than 65,535 bytes.
    pub fn bytes(self) -> Result<Vec<u8>> {
        let bytes = canonical(&Value::Object(self.fields)).into_bytes();
        if bytes.len() > MOST {
            return Err(Error::data(format!("an audit entry has {} bytes: expected at most {MOST}", bytes.len())));
        }
        Ok(bytes)
    }
}

/// JSON with sorted keys and without white space.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|field| field.0);
            out.push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(value, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// A new audit id: 32 hexadecimal digits that say nothing.
///
/// # Errors
/// A system without random bits.
pub fn new_id() -> Result<String> {
    Ok(hex(&random::<16>()?))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("the system gives no random bits"))?;
    Ok(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time as `2026-01-31T23:59:59.123Z`. Days to dates by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = ((since.as_secs() / 86_400) as i64, since.as_secs() % 86_400);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}
