//! What was decided of one request, on its way to the audit log and to a client.

use serde_json::{Map, Value, json};

use crate::engine::{About, Ask, Decided, Prepared};
use so8t_audit::{Entry, Keys};
use so8t_base::Result;

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The model decided.
    Decision,
    /// The deadline passed.
    TimeOut,
    /// The policy leaves the request out: no decision.
    Refusal,
    /// The model failed: no decision.
    Error,
}

impl Kind {
    /// Its name in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::TimeOut => "time-out",
            Self::Refusal => "refusal",
            Self::Error => "error",
        }
    }
}

/// What was decided of one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its entry's id.
    pub audit_id: String,
    /// How it came about.
    pub kind: Kind,
    /// The label's name, `INVALID` for an answer that is none; `None` where nothing was decided.
    pub decision: Option<String>,
    /// Whether the decision lets the request pass.
    pub allowed: bool,
    /// What the model said; `None` where it said nothing in time.
    pub decided: Option<Decided>,
    /// What became of the request before the model read it; without its tokens.
    pub prepared: Prepared,
    /// How many tokens its prompt had.
    pub tokens: usize,
}

impl Answer {
    /// The probabilities that the decision rests on: calibrated ones where there are some.
    pub fn probabilities(&self) -> Option<&[f32]> {
        let decided = self.decided.as_ref()?;
        Some(decided.calibrated.as_deref().unwrap_or(&decided.raw))
    }

    /// The number of tokens of its prompt.
    pub fn prepared_tokens(&self) -> usize {
        self.tokens
    }

    /// How far the likeliest label is before the second.
    pub fn margin(&self) -> Option<f32> {
        let mut sorted = self.probabilities()?.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        Some(sorted.first()? - sorted.get(1).copied().unwrap_or(0.0))
    }

    /// Its entry in the audit log. Texts stand in it as keyed hashes alone.
    pub(crate) fn entry(&self, about: &About, ask: &Ask, endpoint: &str, client: &str, keys: &Keys) -> Result<Entry> {
        let mut entry = Entry::new(self.kind.name(), &self.audit_id)
            .with("endpoint", endpoint)
            .with("client", client)
            .with("run", about.name.as_str())
            .with("digests", serde_json::to_value(&about.digests).unwrap_or_default())
            .with("decision", self.decision.clone())
            .with("request", Value::from(keys.mac(&ask.bytes())?));
        if let Some(decided) = &self.decided {
            let mut probabilities = Map::new();
            probabilities.insert("raw".to_owned(), numbers(&decided.raw));
            if let Some(calibrated) = &decided.calibrated {
                probabilities.insert("calibrated".to_owned(), numbers(calibrated));
            }
            entry = entry.with("probabilities", probabilities);
            if let Some(answer) = &decided.answer {
                entry = entry.with("thinking", Value::from(keys.mac(answer.as_bytes())?));
            }
        }
        if self.prepared.is_cut {
            entry = entry.with("cut", true);
        }
        if !self.prepared.found.is_empty() {
            entry = entry.with("redacted", json!(self.prepared.found));
        }
        Ok(entry)
    }
}

/// Numbers as JSON: each `f32` as the `f64` of the same value, so that reading it back gives the same bits.
pub(crate) fn numbers(values: &[f32]) -> Value {
    values.iter().map(|value| Value::from(f64::from(*value))).collect()
}

/// The same by label.
pub(crate) fn by_label(about: &About, values: &[f32]) -> Value {
    let pairs = about.labels.iter().zip(values);
    Value::Object(pairs.map(|(label, value)| (label.clone(), Value::from(f64::from(*value)))).collect())
}
