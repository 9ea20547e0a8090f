//! The policy while sources are read: examples are redacted or left out, and so is what is said of rejected records.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::read::Reading;
use crate::data::SourceStatistics;
use crate::data::policy::{Judged, Policy, PolicyAction, PolicyCounts, PolicyKind, PolicySettings, PolicyStatistics};
use crate::{Error, Result};

/// Applies the policy to one source after another.
pub(in crate::pipeline) struct Enforcer {
    policy: Policy,
    found: PolicyCounts,
    renamed: usize,
    /// How many candidates and how many refused records were looked at.
    done: (usize, usize),
}

impl Enforcer {
    pub(in crate::pipeline) fn new(settings: PolicySettings) -> Result<Self> {
        Ok(Self { policy: Policy::new(settings)?, found: PolicyCounts::default(), renamed: 0, done: (0, 0) })
    }

    /// Applies the policy to what a source gave. What was counted goes into its statistics.
    ///
    /// # Errors
    /// Something found whose action is to fail.
    pub(in crate::pipeline) fn source(
        &mut self,
        reading: &mut Reading,
        statistics: &mut SourceStatistics,
    ) -> Result<()> {
        self.reasons(reading);
        let own = &mut reading.candidates[self.done.0..];
        let policy = &self.policy;
        let judged: Vec<Judged> = own.par_iter_mut().map(|candidate| policy.redact(&mut candidate.example)).collect();

        let mut counts = PolicyCounts::default();
        let mut failing = Vec::new();
        let mut keep = Vec::with_capacity(own.len());
        for (candidate, judged) in own.iter_mut().zip(&judged) {
            if judged.is_named {
                self.renamed += self.policy.rename(&mut candidate.example);
            }
            counts.add(judged.counts);
            let action = self.policy.action(&judged.counts);
            keep.push(action < PolicyAction::Drop);
            if action >= PolicyAction::Drop {
                let id = &candidate.example.id;
                reading.refused.push(left_out(&statistics.name, id, judged.counts, self.policy.settings(), action));
                statistics.dropped += 1;
                if action == PolicyAction::Fail {
                    failing.push((id.as_str().to_owned(), judged.counts));
                }
            }
        }
        let mut kept = keep.into_iter();
        let mut index = 0;
        let from = self.done.0;
        reading.candidates.retain(|_| {
            index += 1;
            index <= from || kept.next().unwrap_or(true)
        });
        statistics.found = counts.by_name();
        self.found.add(counts);
        self.done = (reading.candidates.len(), reading.refused.len());
        match failing.is_empty() {
            true => Ok(()),
            false => Err(self.failure(&statistics.name, &failing)),
        }
    }

    /// Takes what the policy looks for out of the reasons of records that were refused since the last call.
    fn reasons(&self, reading: &mut Reading) {
        for line in &mut reading.refused[self.done.1..] {
            let Ok(Value::Object(mut record)) = serde_json::from_str(line) else { continue };
            for value in record.values_mut() {
                if let Value::String(text) = value {
                    *text = self.policy.text(text);
                }
            }
            *line = Value::Object(record).to_string();
        }
    }

    /// An error that a source ended in, without what the policy looks for.
    pub(in crate::pipeline) fn error(&self, error: Error, reading: &mut Reading) -> Error {
        self.reasons(reading);
        error.rewritten(|text| self.policy.text(text))
    }

    /// What the policy came to.
    pub(in crate::pipeline) fn statistics(&self) -> PolicyStatistics {
        let settings = self.policy.settings();
        PolicyStatistics {
            actions: PolicyKind::ALL.map(|kind| (kind.name().to_owned(), settings.of(kind))).into(),
            found: self.found.by_name(),
            renamed: self.renamed,
        }
    }

    fn failure(&self, source: &str, failing: &[(String, PolicyCounts)]) -> Error {
        let settings = self.policy.settings();
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (_, found) in failing {
            for (kind, count) in found.found().filter(|(kind, _)| settings.of(*kind) == PolicyAction::Fail) {
                let own = counts.entry(kind.name()).or_default();
                *own = (own.0 + count, own.1 + 1);
            }
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(kind, (found, examples))| format!("`{kind}` {found} times in {examples} examples"))
            .collect();
        let first: Vec<String> = failing.iter().take(3).map(|(id, _)| format!("`{id}`")).collect();
        Error::data(format!(
            "source `{source}` holds {}, which `[redaction]` says to fail for; the first: {}",
            counts.join(", "),
            first.join(", ")
        ))
        .with_hint("`rejected.jsonl` in the run's folder lists all; `redact` puts placeholders in, `drop` leaves the examples out")
    }
}

/// The line of `rejected.jsonl` for an example that was left out.
fn left_out(source: &str, id: &str, counts: PolicyCounts, settings: &PolicySettings, action: PolicyAction) -> String {
    let kinds: Vec<&str> =
        counts.found().filter(|(kind, _)| settings.of(*kind) == action).map(|(kind, _)| kind.name()).collect();
    let word = if action == PolicyAction::Fail { "fail" } else { "drop" };
    json!({"source": source, "id": id, "reason": format!("policy: holds {}: `{word}`", kinds.join(", "))}).to_string()
}
