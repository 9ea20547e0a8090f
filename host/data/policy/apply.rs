//! The policy on examples: texts are redacted in place, and names that hold personal data become numbered ones.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Finder, PolicyAction, PolicyKind, PolicySettings, replaced};
use crate::Example;
use so8t_base::Result;

/// How often each kind was found, by [`PolicyKind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyCounts(pub [usize; 7]);

impl PolicyCounts {
    /// Adds the counts of another.
    pub fn add(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own += other);
    }

    /// The kinds that were found, with how often.
    pub fn found(&self) -> impl Iterator<Item = (PolicyKind, usize)> {
        PolicyKind::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    /// The same by name.
    pub fn by_name(&self) -> BTreeMap<String, usize> {
        self.found().map(|(kind, count)| (kind.name().to_owned(), count)).collect()
    }
}

/// What was found in one example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// In its request and its output.
    pub counts: PolicyCounts,
    /// Whether its id, its group or its category hold something.
    pub is_named: bool,
}

/// What the policy came to, for the whole set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatistics {
    /// What becomes of each kind, by name.
    pub actions: BTreeMap<String, PolicyAction>,
    /// How often each kind was found in requests and outputs, by name; those that were not are left out.
    pub found: BTreeMap<String, usize>,
    /// Ids, groups and categories that held something and were renamed.
    pub renamed: usize,
}

/// A policy: what is looked for, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Policy {
    settings: PolicySettings,
    finder: Finder,
    names: HashMap<String, usize>,
}

impl Policy {
    /// A policy of these settings.
    ///
    /// # Errors
    /// As [`Finder::new`].
    pub fn new(settings: PolicySettings) -> Result<Self> {
        let finder = Finder::new(|kind| settings.of(kind) != PolicyAction::Keep)?;
        Ok(Self { settings, finder, names: HashMap::new() })
    }

    /// What becomes of each kind.
    pub fn settings(&self) -> &PolicySettings {
        &self.settings
    }

    /// Replaces what an example's request and output hold by placeholders, whatever becomes of the example then.
    pub fn redact(&self, example: &mut Example) -> Judged {
        let mut judged = Judged::default();
        for text in [&mut example.request.instruction, &mut example.request.input, &mut example.output] {
            if text.is_empty() {
                continue;
            }
            let found = self.finder.find(text);
            if !found.is_empty() {
                found.iter().for_each(|finding| judged.counts.0[finding.kind as usize] += 1);
                *text = replaced(text, &found).into();
            }
        }
        let names = [&example.id, &example.group, &example.category];
        judged.is_named = names.iter().any(|name| !name.is_empty() && !self.finder.find(name).is_empty());
        judged
    }

    /// The gravest action that something found asks for.
    pub fn action(&self, counts: &PolicyCounts) -> PolicyAction {
        counts.found().map(|(kind, _)| self.settings.of(kind)).max().unwrap_or(PolicyAction::Keep)
    }

    /// Gives an example whose names hold something other names: `[MAIL]-1`, `[MAIL]-2`, …, the same for the same name. Returns how
    /// many were changed.
    pub fn rename(&mut self, example: &mut Example) -> usize {
        let mut renamed = 0;
        for name in [&mut example.id, &mut example.group, &mut example.category] {
            if let Some(new) = self.finder.redacted(name) {
                let next = self.names.len() + 1;
                let number = *self.names.entry(name.as_str().to_owned()).or_insert(next);
                *name = format!("{new}-{number}").into();
                renamed += 1;
            }
        }
        renamed
    }

    /// A message or a line of a log without what the policy looks for.
    pub fn text(&self, text: &str) -> String {
        self.finder.redacted(text).unwrap_or_else(|| text.to_owned())
    }
}
