//! What the trials of all laws came to.

use serde::Serialize;
use serde_json::Value;

use super::law::Law;

/// What the trials of a plugin came to.
#[derive(Clone, Debug, Serialize)]
pub struct Conformance {
    /// What was tried, as it was given.
    pub component: String,
    /// The component's SHA-256, where it could be read.
    pub sha256: String,
    /// What it does, where it is a plugin: `converter`, `label mapper` or `metric`.
    pub kind: Option<String>,
    /// The name that it gives itself.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The configuration that it was tried with.
    pub config: Value,
    /// How many laws were kept, broken, and not applicable.
    pub passed: usize,
    /// See [`Conformance::passed`].
    pub failed: usize,
    /// See [`Conformance::passed`].
    pub not_applicable: usize,
    /// One finding a law.
    pub laws: Vec<Finding>,
}

impl Conformance {
    /// The finding of a law.
    pub fn law(&self, name: &str) -> Option<&Finding> {
        self.laws.iter().find(|finding| finding.law.name == name)
    }

    /// The names of the laws that were broken.
    pub fn broken(&self) -> Vec<&'static str> {
        let broken = self.laws.iter().filter(|finding| matches!(finding.outcome, Outcome::Failed(_)));
        broken.map(|finding| finding.law.name).collect()
    }
}

/// A law and what its trials came to.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The law.
    #[serde(flatten)]
    pub law: Law,
    /// What its trials came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What the trials of a law came to.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was kept.
    Passed {
        /// How many inputs it was tried on.
        trials: usize,
    },
    /// It was broken.
    Failed(Broken),
    /// It was not tried.
    NotApplicable {
        /// Why not.
        reason: String,
    },
}

/// How a law was broken.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// What was found.
    pub found: String,
    /// The input that breaks the law, for people to read.
    pub input: String,
    /// The same, for programs to read.
    pub counterexample: Value,
    /// Whether nothing can be left out of it. Where it is false, the search was ended for taking too long.
    pub smallest: bool,
}
